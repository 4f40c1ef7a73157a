#include "authd/service.h"

#include "base/check.h"
#include "base/log.h"
#include "base/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 64

/* A reply that the socket had no room for. */
struct reply {
	TAILQ_ENTRY(reply) link;
	size_t len;
	uint8_t bytes[AUTH_REPLY_MAX];
};

struct question;

/* One daemon process. Its memory goes when its poll handle has closed; it is cut off before, in process_drop() alone. */
struct process {
	struct auth_service_socket *service;
	uv_poll_t poll;
	int fd;
	pid_t pid;
	int events; /* that are polled for now */
	unsigned open;
	TAILQ_HEAD(, reply) replies;
	TAILQ_ENTRY(process) link;
	struct question *questions[AUTH_PENDING_MAX]; /* by id modulo AUTH_PENDING_MAX */
};

struct question {
	struct process *process;
	uint64_t id;
	struct attempt *attempt;
};

struct auth_service_socket {
	uv_loop_t *loop;
	struct attempts *attempts;
	struct auth_service_settings settings;
	uv_poll_t poll; /* of the listener */
	int listener;
	bool listening;
	bool draining;
	bool told_quiet;
	unsigned count;
	unsigned open; /* questions of all processes */
	TAILQ_HEAD(, process) processes;
};

static void on_process_ready(uv_poll_t *poll, int status, int events);

static void watch(struct process *process)
{
	bool takes_questions = TAILQ_EMPTY(&process->replies) && !process->service->draining;
	int events = UV_DISCONNECT | (takes_questions ? UV_READABLE : 0) |
	             (TAILQ_EMPTY(&process->replies) ? 0 : UV_WRITABLE);

	if (events != process->events)
		uv_poll_start(&process->poll, events, on_process_ready);
	process->events = events;
}

static void look_if_quiet(struct auth_service_socket *service)
{
	if (!service->draining || service->told_quiet || service->open > 0)
		return;
	service->told_quiet = true;
	service->settings.on_quiet(service->settings.arg);
}

static void question_free(struct question *question)
{
	struct process *process = question->process;

	process->questions[question->id % AUTH_PENDING_MAX] = NULL;
	process->open--;
	process->service->open--;
	free(question);
}

static void on_process_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void process_drop(struct process *process)
{
	struct auth_service_socket *service = process->service;
	struct reply *reply;

	for (size_t i = 0; i < AUTH_PENDING_MAX && process->open > 0; i++) {
		if (process->questions[i] == NULL)
			continue;
		attempt_cancel(process->questions[i]->attempt);
		question_free(process->questions[i]);
	}
	while ((reply = TAILQ_FIRST(&process->replies)) != NULL) {
		TAILQ_REMOVE(&process->replies, reply, link);
		free(reply);
	}
	TAILQ_REMOVE(&service->processes, process, link);
	service->count--;
	uv_poll_stop(&process->poll);
	close(process->fd);
	uv_close((uv_handle_t *)&process->poll, on_process_closed);
	look_if_quiet(service);
}

static bool must_wait(int errnum)
{
	return errnum == EAGAIN || errnum == ENOBUFS || errnum == EINTR;
}

static bool queue_reply(struct process *process, const uint8_t *bytes, size_t len)
{
	struct reply *reply = malloc(sizeof(*reply));

	if (reply == NULL)
		return false;
	memcpy(reply->bytes, bytes, len);
	reply->len = len;
	TAILQ_INSERT_TAIL(&process->replies, reply, link);
	return true;
}

/* False: the process cannot be answered any more. The queue is bounded: nothing is read while it holds anything. */
static bool send_reply(struct process *process, uint64_t id, const struct auth_answer *answer)
{
	uint8_t bytes[AUTH_REPLY_MAX];
	size_t len = auth_reply_encode(id, answer, bytes, sizeof(bytes));

	CHECK(len > 0);
	if (TAILQ_EMPTY(&process->replies)) {
		if (send(process->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len)
			return true;
		if (!must_wait(errno))
			return false;
	}
	return queue_reply(process, bytes, len);
}

static void on_answer(void *arg, const struct auth_answer *answer)
{
	struct question *question = arg;
	struct process *process = question->process;
	struct auth_service_socket *service = process->service;
	uint64_t id = question->id;

	question_free(question);
	if (send_reply(process, id, answer)) {
		watch(process);
		look_if_quiet(service);
	} else {
		process_drop(process);
	}
}

static bool refuse(struct process *process, uint64_t id)
{
	struct auth_answer answer = { .status = AUTH_UNAVAILABLE };

	return send_reply(process, id, &answer);
}

static void cancel(struct process *process, uint64_t id)
{
	struct question *question = process->questions[id % AUTH_PENDING_MAX];

	/* It may have been answered while the cancellation was on its way. */
	if (question == NULL || question->id != id)
		return;
	attempt_cancel(question->attempt);
	question_free(question);
}

static bool open_question(struct process *process, const struct auth_question *asked)
{
	struct question *question = malloc(sizeof(*question));

	if (question == NULL)
		return refuse(process, asked->id);
	question->process = process;
	question->id = asked->id;
	question->attempt = attempt_begin(process->service->attempts, asked, on_answer, question);
	if (question->attempt == NULL) {
		free(question);
		return refuse(process, asked->id);
	}
	process->questions[asked->id % AUTH_PENDING_MAX] = question;
	process->open++;
	process->service->open++;
	return true;
}

/* False: it breaks the protocol, or cannot be answered. */
static bool take_packet(struct process *process, struct span packet)
{
	struct auth_question asked;

	if (!auth_question_decode(packet, &asked)) {
		LOG(LOG_ERROR, "auth.bad_question", LOG_NUMBER("pid", process->pid));
		return false;
	}
	if (asked.kind == AUTH_ASK_CANCEL) {
		cancel(process, asked.id);
		return true;
	}
	if (process->questions[asked.id % AUTH_PENDING_MAX] != NULL) {
		LOG(LOG_ERROR, "auth.too_many_questions", LOG_NUMBER("pid", process->pid));
		return false;
	}
	return open_question(process, &asked);
}

/* False: the process is gone or is to be cut off. */
static bool receive(struct process *process)
{
	uint8_t packet[AUTH_QUESTION_MAX + 1];
	bool ok = true;

	for (int i = 0; ok && i < AUTH_READS_A_TURN && TAILQ_EMPTY(&process->replies); i++) {
		ssize_t got = recv(process->fd, packet, sizeof(packet), MSG_DONTWAIT);

		if (got <= 0)
			return got < 0 && must_wait(errno);
		ok = take_packet(process, span_make(packet, (size_t)got));
		secret_wipe(packet, (size_t)got);
	}
	return ok;
}

static bool send_waiting(struct process *process)
{
	struct reply *reply;

	while ((reply = TAILQ_FIRST(&process->replies)) != NULL) {
		if (send(process->fd, reply->bytes, reply->len, MSG_NOSIGNAL) != (ssize_t)reply->len)
			return must_wait(errno);
		TAILQ_REMOVE(&process->replies, reply, link);
		free(reply);
	}
	return true;
}

static void on_process_ready(uv_poll_t *poll, int status, int events)
{
	struct process *process = poll->data;
	bool ok = status == 0;

	if (ok && (events & UV_WRITABLE) != 0)
		ok = send_waiting(process);
	if (ok && (events & UV_READABLE) != 0)
		ok = receive(process);
	if (ok && (events & UV_DISCONNECT) != 0 && (events & UV_READABLE) == 0)
		ok = false;
	if (ok)
		watch(process);
	else
		process_drop(process);
}

/* The socket's mode says the same; this holds also when somebody has changed that. */
static bool is_ours(int fd, pid_t *pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	*pid = peer.pid;
	if (peer.uid == geteuid() || peer.uid == 0)
		return true;
	LOG(LOG_WARNING, "auth.stranger", LOG_NUMBER("pid", peer.pid), LOG_NUMBER("uid", peer.uid));
	return false;
}

static void process_add(struct auth_service_socket *service, int fd)
{
	struct process *process = NULL;
	pid_t pid;

	if (is_ours(fd, &pid) && service->count < AUTH_PROCESSES_MAX)
		process = calloc(1, sizeof(*process));
	if (process == NULL || uv_poll_init(service->loop, &process->poll, fd) < 0) {
		free(process);
		close(fd);
		return;
	}
	process->service = service;
	process->poll.data = process;
	process->fd = fd;
	process->pid = pid;
	TAILQ_INIT(&process->replies);
	TAILQ_INSERT_TAIL(&service->processes, process, link);
	service->count++;
	watch(process);
}

static void on_listener_ready(uv_poll_t *poll, int status, int events)
{
	struct auth_service_socket *service = poll->data;
	int fd = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		process_add(service, fd);
	else if (!must_wait(errno) && errno != ECONNABORTED)
		LOG(LOG_ERROR, "auth.accept", LOG_TEXT("error", strerrorname_np(errno)));
}

static bool listen_at(const char *path, int *out, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!span_copy(span_of(path), address.sun_path, sizeof(address.sun_path)))
		return error_detail(err, ERR_BAD_VALUE, "the path is too long for a socket: %s", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, errno, "socket");
	(void)unlink(path); /* of the authd before */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 ||
	        listen(fd, LISTEN_BACKLOG) < 0) {
		error_errno(err, errno, path);
		close(fd);
		return false;
	}
	*out = fd;
	return true;
}

bool auth_service_new(uv_loop_t *loop, struct attempts *attempts, const struct auth_service_settings *settings,
        struct auth_service_socket **out, struct error *err)
{
	struct auth_service_socket *service = calloc(1, sizeof(*service));

	if (service == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	service->loop = loop;
	service->attempts = attempts;
	service->settings = *settings;
	service->listener = settings->listener;
	TAILQ_INIT(&service->processes);
	if (service->listener < 0 && !listen_at(settings->path, &service->listener, err)) {
		free(service);
		return false;
	}
	if (uv_poll_init(loop, &service->poll, service->listener) < 0) {
		close(service->listener);
		free(service);
		return error_set(err, ERR_INTERNAL, "the socket cannot be polled");
	}
	service->listening = true;
	service->poll.data = service;
	*out = service;
	return true;
}

void auth_service_start(struct auth_service_socket *service)
{
	uv_poll_start(&service->poll, UV_READABLE, on_listener_ready);
}

static void stop_listening(struct auth_service_socket *service)
{
	if (!service->listening)
		return;
	service->listening = false;
	uv_poll_stop(&service->poll);
	close(service->listener);
	uv_close((uv_handle_t *)&service->poll, NULL);
}

void auth_service_drain(struct auth_service_socket *service)
{
	struct process *process;

	if (service->draining)
		return;
	service->draining = true;
	stop_listening(service);
	TAILQ_FOREACH (process, &service->processes, link)
		watch(process);
	look_if_quiet(service);
}

void auth_service_close(struct auth_service_socket *service)
{
	struct process *process;

	service->told_quiet = true; /* nobody waits for it any more */
	stop_listening(service);
	while ((process = TAILQ_FIRST(&service->processes)) != NULL)
		process_drop(process);
}

void auth_service_free(struct auth_service_socket **service)
{
	if (*service == NULL)
		return;
	CHECK(TAILQ_EMPTY(&(*service)->processes));
	free(*service);
	*service = NULL;
}
