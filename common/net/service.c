#include "net/service.h"

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD     3 /* SD_LISTEN_FDS_START */
#define NAME_LEN     32
#define SIGNAL_COUNT 3
#define MESSAGES_MAX 16 /* from the control socket in one turn */

struct service {
	uv_loop_t *loop;
	const struct service_events *events;
	void *arg;
	struct {
		int fd; /* -1: taken */
		char name[NAME_LEN];
	} fds[SERVICE_FDS_MAX];
	size_t fd_count;
	int control; /* -1: none */
	uint8_t secret[SERVICE_SECRET_LEN];
	uv_poll_t control_poll;
	uv_timer_t drain_timer;
	uv_signal_t signals[SIGNAL_COUNT];
	unsigned open_handles;
	bool polls_control;
	bool draining, done, freed;
};

/* --- what happens ---------------------------------------------------------------------------------------------- */

static void on_drain_over(uv_timer_t *timer)
{
	struct service *service = container_of(timer, struct service, drain_timer);

	LOG(LOG_WARNING, "service.drain_over", LOG_NUMBER("ms", SERVICE_DRAIN_MS));
	service->events->on_drain_over(service->arg);
}

static void drain(struct service *service, const char *why)
{
	if (service->draining || service->done)
		return;
	service->draining = true;
	LOG(LOG_INFO, "service.drain", LOG_TEXT("reason", why));
	uv_timer_start(&service->drain_timer, on_drain_over, SERVICE_DRAIN_MS, 0);
	service->events->on_drain(service->arg);
}

static void reload(struct service *service)
{
	if (service->done)
		return;
	LOG(LOG_INFO, "service.reload", LOG_NUMBER("pid", getpid()));
	if (service->events->on_reload != NULL)
		service->events->on_reload(service->arg);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct service *service = handle->data;

	if (number == SIGHUP)
		reload(service);
	else
		drain(service, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* --- the control socket ---------------------------------------------------------------------------------------- */

static void say(struct service *service, char message)
{
	/* When the supervisor does not read, it is gone or will kill us: nothing to do here. */
	if (service->control >= 0)
		(void)!send(service->control, &message, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void lose_control(struct service *service)
{
	uv_poll_stop(&service->control_poll);
	drain(service, "the supervisor is gone");
}

static void obey(struct service *service, char message)
{
	switch (message) {
	case 'p': say(service, 'p'); break;
	case 'd': drain(service, "told to"); break;
	case 'r': reload(service); break;
	default: LOG(LOG_WARNING, "service.unknown_message", LOG_SPAN("message", span_make(&message, 1))); break;
	}
}

static void on_control(uv_poll_t *poll, int status, int events)
{
	struct service *service = container_of(poll, struct service, control_poll);

	for (int i = 0; i < MESSAGES_MAX && !service->done; i++) {
		char message;
		ssize_t got = recv(service->control, &message, 1, MSG_DONTWAIT);

		if (got == 1)
			obey(service, message);
		else if (got < 0 && errno == EINTR)
			continue;
		else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		else {
			lose_control(service);
			return;
		}
	}
}

/* --- what we inherit ------------------------------------------------------------------------------------------- */

static bool add_fd(struct service *service, int fd, struct span name, struct error *err)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0)
		return error_errno(err, errno, "an inherited descriptor");
	(void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
	service->fds[service->fd_count].fd = fd;
	if (!span_copy(name, service->fds[service->fd_count].name, NAME_LEN))
		return error_set(err, ERR_TOO_LONG, "LISTEN_FDNAMES: a name is over %d characters", NAME_LEN - 1);
	service->fd_count++;
	return true;
}

/* LISTEN_PID tells whether the descriptors are for us or for a parent that forgot to clear them (sd_listen_fds(3)). */
static bool is_for_us(void)
{
	const char *pid = getenv("LISTEN_PID");
	uint64_t number;

	return pid == NULL || (span_number(span_of(pid), INT32_MAX, &number) && (pid_t)number == getpid());
}

static bool inherit(struct service *service, struct error *err)
{
	struct span names = span_of(getenv("LISTEN_FDNAMES"));
	const char *count_text = getenv("LISTEN_FDS");
	uint64_t count = 0;

	if (count_text != NULL && !span_number(span_of(count_text), SERVICE_FDS_MAX, &count))
		return error_set(err, ERR_BAD_VALUE, "LISTEN_FDS is not a number up to %d", SERVICE_FDS_MAX);
	for (uint64_t i = 0; i < count && is_for_us(); i++) {
		struct span name;

		if (!span_take_until(&names, ':', &name)) {
			name = names;
			names = SPAN_EMPTY;
		}
		if (!add_fd(service, FIRST_FD + (int)i, name, err))
			return false;
	}
	return true;
}

static void forget_environment(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int service_take_socket(struct service *service, const char *name)
{
	for (size_t i = 0; i < service->fd_count; i++) {
		int fd = service->fds[i].fd;

		if (fd < 0 || !span_equal(span_of(service->fds[i].name), span_of(name)))
			continue;
		service->fds[i].fd = -1;
		return fd;
	}
	return -1;
}

static bool read_secret(struct service *service, struct error *err)
{
	int fd = service_take_socket(service, "secret");
	bool ok;

	if (fd < 0) {
		random_bytes(service->secret, sizeof(service->secret));
		return true;
	}
	ok = file_pread_all(fd, service->secret, sizeof(service->secret), 0, err);
	close(fd);
	return ok;
}

const uint8_t *service_secret(const struct service *service)
{
	return service->secret;
}

/* --- readiness ------------------------------------------------------------------------------------------------- */

/* sd_notify(3): a datagram to the socket named there; '@' stands for the abstract namespace. */
static void notify_systemd(const char *path)
{
	static const char ready[] = "READY=1";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct span name = span_of(path);
	int fd;

	if (name.len < 2 || !span_copy(name, address.sun_path, sizeof(address.sun_path)))
		return;
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, ready, sizeof(ready) - 1, MSG_NOSIGNAL, (struct sockaddr *)&address,
	            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.len)) < 0)
		LOG(LOG_WARNING, "service.notify_failed", LOG_TEXT("reason", strerror(errno)));
	close(fd);
}

void service_ready(struct service *service)
{
	const char *notify = getenv("NOTIFY_SOCKET");

	if (service->control >= 0)
		say(service, 'R');
	else if (notify != NULL)
		notify_systemd(notify);
}

bool service_is_draining(const struct service *service)
{
	return service->draining;
}

/* --- birth and death ------------------------------------------------------------------------------------------- */

static void release(struct service *service)
{
	if (service->control >= 0)
		close(service->control);
	for (size_t i = 0; i < service->fd_count; i++)
		if (service->fds[i].fd >= 0)
			close(service->fds[i].fd);
	secret_wipe(service->secret, sizeof(service->secret));
	free(service);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct service *service = handle->data;

	CHECK(service->open_handles > 0);
	if (--service->open_handles == 0 && service->freed)
		release(service);
}

static void opened(struct service *service, void *handle)
{
	((uv_handle_t *)handle)->data = service;
	service->open_handles++;
}

static bool open_handles(struct service *service, struct error *err)
{
	static const int numbers[SIGNAL_COUNT] = { SIGTERM, SIGINT, SIGHUP };

	uv_timer_init(service->loop, &service->drain_timer);
	opened(service, &service->drain_timer);
	for (size_t i = 0; i < SIGNAL_COUNT; i++) {
		uv_signal_init(service->loop, &service->signals[i]);
		opened(service, &service->signals[i]);
		if (uv_signal_start(&service->signals[i], on_signal, numbers[i]) != 0)
			return error_detail(err, ERR_IO, "uv_signal_start failed");
	}
	if (service->control < 0)
		return true;
	if (uv_poll_init(service->loop, &service->control_poll, service->control) != 0)
		return error_detail(err, ERR_BAD_VALUE, "the control descriptor is not a socket");
	opened(service, &service->control_poll);
	service->polls_control = true;
	uv_poll_start(&service->control_poll, UV_READABLE, on_control);
	return true;
}

bool service_new(
        uv_loop_t *loop, const struct service_events *events, void *arg, struct service **out, struct error *err)
{
	struct service *service = calloc(1, sizeof(*service));

	if (service == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	service->loop = loop;
	service->events = events;
	service->arg = arg;
	service->control = -1;
	signal(SIGPIPE, SIG_IGN); /* a peer that leaves is an error code, not our end */
	if (!inherit(service, err) || !read_secret(service, err)) {
		release(service);
		return false;
	}
	forget_environment();
	service->control = service_take_socket(service, "control");
	if (!open_handles(service, err)) {
		service_free(&service);
		return false;
	}
	*out = service;
	return true;
}

void service_done(struct service *service)
{
	if (service->done)
		return;
	service->done = true;
	uv_close((uv_handle_t *)&service->drain_timer, on_handle_closed);
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		if (service->signals[i].data != NULL)
			uv_close((uv_handle_t *)&service->signals[i], on_handle_closed);
	if (service->polls_control)
		uv_close((uv_handle_t *)&service->control_poll, on_handle_closed);
}

void service_free(struct service **service_ptr)
{
	struct service *service = *service_ptr;

	if (service == NULL)
		return;
	*service_ptr = NULL;
	service_done(service);
	service->freed = true;
	if (service->open_handles == 0)
		release(service);
}
