#include "sasl/auth_client.h"

#include "base/check.h"
#include "base/log.h"
#include "base/secret.h"
#include "sasl/auth_client_later.h"
#include "sasl/auth_protocol.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SENDS_MAX 2 /* a second time after authd was restarted; a third would only feed a packet that kills it */

/* A request is UNSENT (in client->unsent) or SENT; both are in client->all, oldest first, which is also the order of deadlines.
 *
 *   new --> UNSENT --flush--> SENT --reply--> gone (callback)
 *             ^                 |
 *             +-connection_lost-+--sends == SENDS_MAX--> given up --expire--> gone (AUTH_UNAVAILABLE) */
struct auth_request {
	struct auth_client *client; /* NULL: the client is closed, only auth_cancel() is left to do */
	uint64_t id;
	auth_callback *callback;
	void *arg;
	uint64_t started_ms;
	unsigned sends;
	bool unsent;
	bool given_up;
	TAILQ_ENTRY(auth_request) all_link;
	TAILQ_ENTRY(auth_request) unsent_link;
	size_t packet_len;
	uint8_t packet[]; /* may hold a password: wiped before it is freed */
};

TAILQ_HEAD(request_list, auth_request);

/* A connection has memory of its own because its poll handle closes later than the next connection may open. */
struct connection {
	uv_poll_t poll;
	int fd;
	bool wants_writable;
};

struct auth_client {
	uv_loop_t *loop;
	struct sockaddr_un address;
	struct connection *connection; /* NULL: not connected */
	uint64_t down_since_ms;        /* of the loop's clock, while not connected */
	uv_timer_t timer;
	struct later_queue later;
	struct request_list all;
	struct request_list unsent;
	struct auth_request *slots[AUTH_PENDING_MAX]; /* by id modulo AUTH_PENDING_MAX */
	unsigned pending;
	uint64_t last_id;
	unsigned open_handles; /* of timer and later; the memory goes with the last */
	bool any_given_up;
	bool closing;
};

static void pump(struct auth_client *client);

struct later_queue *auth_client_later(struct auth_client *client)
{
	return &client->later;
}

static void request_unlink(struct auth_request *request)
{
	struct auth_client *client = request->client;

	TAILQ_REMOVE(&client->all, request, all_link);
	if (request->unsent)
		TAILQ_REMOVE(&client->unsent, request, unsent_link);
	client->slots[request->id % AUTH_PENDING_MAX] = NULL;
	client->pending--;
	request->client = NULL;
}

static void request_free(struct auth_request *request)
{
	secret_wipe(request->packet, request->packet_len);
	free(request);
}

static void request_end(struct auth_request *request, const struct auth_answer *answer)
{
	auth_callback *callback = request->callback;
	void *arg = request->arg;

	request_unlink(request);
	request_free(request);
	callback(arg, answer);
}

/* The client outlives the callback even when it is closed there; it goes in a later turn of the loop. */
static void request_fail(struct auth_request *request)
{
	struct auth_answer answer = { .status = AUTH_UNAVAILABLE };

	request_end(request, &answer);
}

static void on_connection_closed(uv_handle_t *handle)
{
	free(container_of((uv_poll_t *)handle, struct connection, poll));
}

static void connection_drop(struct auth_client *client)
{
	struct connection *connection = client->connection;

	client->connection = NULL;
	client->down_since_ms = uv_now(client->loop);
	uv_poll_stop(&connection->poll);
	close(connection->fd);
	uv_close((uv_handle_t *)&connection->poll, on_connection_closed);
}

/* Those that authd has seen are asked again once, in their old order and before all others. */
static void connection_lost(struct auth_client *client)
{
	struct auth_request *request;

	connection_drop(client);
	TAILQ_FOREACH_REVERSE (request, &client->all, request_list, all_link) {
		if (request->unsent || request->given_up)
			continue;
		if (request->sends >= SENDS_MAX) {
			request->given_up = true;
			client->any_given_up = true;
			continue;
		}
		request->unsent = true;
		TAILQ_INSERT_HEAD(&client->unsent, request, unsent_link);
	}
	LOG(LOG_WARNING, "auth.lost", LOG_NUMBER("pending", client->pending));
}

static void take_reply(struct auth_client *client, struct span packet)
{
	struct auth_answer answer;
	struct auth_request *request;
	uint64_t id;

	if (!auth_reply_decode(packet, &id, &answer)) {
		LOG(LOG_ERROR, "auth.bad_reply", LOG_NUMBER("length", packet.len));
		connection_lost(client);
		return;
	}
	request = client->slots[id % AUTH_PENDING_MAX];
	if (request != NULL && request->id == id)
		request_end(request, &answer); /* any other was cancelled after authd had answered it */
}

static void receive(struct auth_client *client)
{
	uint8_t packet[AUTH_REPLY_MAX + 1];

	while (!client->closing && client->connection != NULL) {
		ssize_t got = recv(client->connection->fd, packet, sizeof(packet), MSG_DONTWAIT);

		if (got > 0)
			take_reply(client, span_make(packet, (size_t)got));
		else if (got < 0 && errno == EINTR)
			continue;
		else if (got < 0 && errno == EAGAIN)
			return;
		else
			connection_lost(client);
	}
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct auth_client *client = poll->data;

	if (status < 0)
		connection_lost(client);
	else if ((events & (UV_READABLE | UV_DISCONNECT)) != 0)
		receive(client);
	if (!client->closing)
		pump(client);
}

static void connection_watch(struct connection *connection, bool writable)
{
	int events = UV_READABLE | UV_DISCONNECT | (writable ? UV_WRITABLE : 0);

	connection->wants_writable = writable;
	uv_poll_start(&connection->poll, events, on_ready);
}

static bool connect_now(struct auth_client *client)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (connection == NULL || fd < 0 ||
	        connect(fd, (struct sockaddr *)&client->address, sizeof(client->address)) < 0 ||
	        uv_poll_init(client->loop, &connection->poll, fd) < 0) {
		if (fd >= 0)
			close(fd);
		free(connection);
		return false;
	}
	connection->fd = fd;
	connection->poll.data = client;
	client->connection = connection;
	connection_watch(connection, false);
	return true;
}

/* Sends what waits; false when the connection is gone. */
static bool flush(struct auth_client *client)
{
	struct auth_request *request;

	while ((request = TAILQ_FIRST(&client->unsent)) != NULL) {
		if (send(client->connection->fd, request->packet, request->packet_len, MSG_NOSIGNAL) < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN && errno != ENOBUFS)
				return false;
			break;
		}
		request->sends++;
		request->unsent = false;
		TAILQ_REMOVE(&client->unsent, request, unsent_link);
	}
	if (client->connection->wants_writable != (request != NULL))
		connection_watch(client->connection, request != NULL);
	return true;
}

static bool has_ended(const struct auth_client *client, const struct auth_request *request)
{
	uint64_t now = uv_now(client->loop);
	uint64_t alone = request->started_ms > client->down_since_ms ? request->started_ms : client->down_since_ms;

	if (request->given_up || (client->connection == NULL && now >= alone + AUTH_CONNECT_MS))
		return true;
	return now >= request->started_ms + AUTH_TIMEOUT_MS;
}

/* Ends what has waited too long. A callback may cancel any other request, so each search begins anew at the oldest. Only after
 * a lost connection can another than the oldest be due: those that were sent twice stand before the others. */
static void expire(struct auth_client *client)
{
	struct auth_request *request;

	while (!client->closing && (request = TAILQ_FIRST(&client->all)) != NULL) {
		while (request != NULL && !has_ended(client, request))
			request = client->any_given_up ? TAILQ_NEXT(request, all_link) : NULL;
		if (request == NULL)
			break;
		request_fail(request);
	}
	client->any_given_up = false;
}

static void on_timer(uv_timer_t *timer)
{
	pump(timer->data);
}

static void arm_timer(struct auth_client *client)
{
	struct auth_request *oldest = TAILQ_FIRST(&client->all);
	uint64_t now = uv_now(client->loop);
	uint64_t due;

	if (oldest == NULL) {
		uv_timer_stop(&client->timer);
		return;
	}
	due = oldest->started_ms + AUTH_TIMEOUT_MS > now ? oldest->started_ms + AUTH_TIMEOUT_MS - now : 0;
	if (client->connection == NULL && due > AUTH_RETRY_MS)
		due = AUTH_RETRY_MS;
	uv_timer_start(&client->timer, on_timer, due, 0);
}

/* Does all that can be done now: connects if anybody waits, sends, ends what is over, sets the timer. */
static void pump(struct auth_client *client)
{
	if (client->connection == NULL && client->pending > 0)
		(void)connect_now(client);
	if (client->connection != NULL && !TAILQ_EMPTY(&client->unsent) && !flush(client))
		connection_lost(client);
	expire(client);
	if (!client->closing)
		arm_timer(client);
}

bool auth_client_new(uv_loop_t *loop, const char *socket_path, struct auth_client **out, struct error *err)
{
	struct auth_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	client->address.sun_family = AF_UNIX;
	if (!span_copy(span_of(socket_path), client->address.sun_path, sizeof(client->address.sun_path))) {
		free(client);
		return error_detail(err, ERR_BAD_VALUE, "the path is too long for a socket: %s", socket_path);
	}
	client->loop = loop;
	TAILQ_INIT(&client->all);
	TAILQ_INIT(&client->unsent);
	uv_timer_init(loop, &client->timer);
	client->timer.data = client;
	later_init(&client->later, loop);
	client->open_handles = 2;
	client->down_since_ms = uv_now(loop);
	*out = client;
	return true;
}

static void handle_closed(struct auth_client *client)
{
	CHECK(client->open_handles > 0);
	if (--client->open_handles == 0)
		free(client);
}

static void on_timer_closed(uv_handle_t *handle)
{
	handle_closed(handle->data);
}

static void on_later_closed(struct later_queue *queue)
{
	handle_closed(container_of(queue, struct auth_client, later));
}

bool auth_client_new_in(uv_loop_t *loop, const char *data_dir, struct auth_client **out, struct error *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/run/authd.sock", data_dir) >= (int)sizeof(path))
		return error_set(err, ERR_BAD_VALUE, "the data directory's name is too long");
	return auth_client_new(loop, path, out, err);
}

void auth_client_close(struct auth_client **client_)
{
	struct auth_client *client = *client_;
	struct auth_request *request;

	*client_ = NULL;
	if (client == NULL)
		return;
	client->closing = true;
	while ((request = TAILQ_FIRST(&client->all)) != NULL)
		request_unlink(request);
	if (client->connection != NULL)
		connection_drop(client);
	uv_close((uv_handle_t *)&client->timer, on_timer_closed);
	later_close(&client->later, on_later_closed);
}

static uint64_t free_id(struct auth_client *client)
{
	do
		client->last_id++;
	while (client->slots[client->last_id % AUTH_PENDING_MAX] != NULL);
	return client->last_id;
}

static struct auth_request *ask(
        struct auth_client *client, struct auth_question *question, auth_callback *callback, void *arg)
{
	uint8_t packet[AUTH_QUESTION_MAX];
	struct auth_request *request;
	size_t len;

	if (client->pending >= AUTH_PENDING_MAX)
		return NULL;
	question->id = free_id(client);
	len = auth_question_encode(question, packet, sizeof(packet));
	request = len > 0 ? malloc(sizeof(*request) + len) : NULL;
	if (request == NULL)
		return NULL;
	*request = (struct auth_request) { .client = client, .id = question->id, .callback = callback, .arg = arg };
	request->started_ms = uv_now(client->loop);
	request->packet_len = len;
	memcpy(request->packet, packet, len);
	secret_wipe(packet, len);
	request->unsent = true;
	client->slots[request->id % AUTH_PENDING_MAX] = request;
	client->pending++;
	TAILQ_INSERT_TAIL(&client->all, request, all_link);
	TAILQ_INSERT_TAIL(&client->unsent, request, unsent_link);
	/* Sending may find the connection dead and end older requests, whose callbacks must not come from inside this call:
	 * so the timer does all but the plain case. */
	if (client->connection == NULL)
		(void)connect_now(client);
	if (client->connection == NULL || !flush(client))
		uv_timer_start(&client->timer, on_timer, 0, 0);
	else if (!uv_is_active((uv_handle_t *)&client->timer))
		arm_timer(client);
	return request;
}

struct auth_request *auth_password(struct auth_client *client, const struct auth_peer *peer, struct span login,
        struct span password, auth_callback *callback, void *arg)
{
	struct auth_question question = { .kind = AUTH_ASK_PASSWORD,
		.service = peer->service,
		.address = span_of(peer->address),
		.login = login,
		.password = password };

	return ask(client, &question, callback, arg);
}

struct auth_request *auth_scram_first(
        struct auth_client *client, const struct auth_peer *peer, struct span login, auth_callback *callback, void *arg)
{
	struct auth_question question = { .kind = AUTH_ASK_SCRAM_FIRST,
		.service = peer->service,
		.address = span_of(peer->address),
		.login = login };

	return ask(client, &question, callback, arg);
}

struct auth_request *auth_scram_final(struct auth_client *client, const struct auth_peer *peer, struct span login,
        struct span auth_message, const uint8_t proof[AUTH_PROOF_LEN], auth_callback *callback, void *arg)
{
	struct auth_question question = { .kind = AUTH_ASK_SCRAM_FINAL,
		.service = peer->service,
		.address = span_of(peer->address),
		.login = login,
		.message = auth_message,
		.proof = span_make(proof, AUTH_PROOF_LEN) };

	return ask(client, &question, callback, arg);
}

/* Best effort: an authd that is not told computes an answer that nobody takes. */
static void tell_cancelled(struct auth_client *client, uint64_t id)
{
	struct auth_question question = { .kind = AUTH_ASK_CANCEL, .id = id };
	uint8_t packet[AUTH_QUESTION_HEADER];
	size_t len = auth_question_encode(&question, packet, sizeof(packet));

	if (client->connection != NULL)
		(void)!send(client->connection->fd, packet, len, MSG_NOSIGNAL);
}

void auth_cancel(struct auth_request **request_)
{
	struct auth_request *request = *request_;

	*request_ = NULL;
	if (request == NULL)
		return;
	if (request->client != NULL) {
		if (!request->unsent)
			tell_cancelled(request->client, request->id);
		request_unlink(request);
	}
	request_free(request);
}
