#include "fixture.h"

#include "base/check.h"
#include "base/log.h"
#include "imapd/watch.h"
#include "net/conn_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct place place;

static void on_empty(void *arg)
{
	struct place *p = arg;

	p->empty = true;
}

void place_open(struct store *store)
{
	struct error err;

	log_set_level(LOG_ERROR);
	place = (struct place) { .peer = -1, .reads = true };
	buffer_init(&place.out, 256 * MIB);
	conn_waits.linger = 1;
	CHECK(uv_loop_init(&place.loop) == 0);
	CHECK(worker_pool_new(&place.loop, 4, &place.pool, &err));
	place.server.settings = (struct imapd_settings) {
		.hostname = "imap.example.test",
		.version = "1.0",
		.plaintext_auth_on_loopback = true,
		.message_size_max = 50 * MIB,
		.idle_timeout_ms = IDLE_TIMEOUT_MIN_MS,
		.login_timeout_ms = 60000,
		.tls_timeout_ms = 30000,
		.bad_commands = 10,
		.index_memory = MIB,
	};
	place.server.loop = &place.loop;
	place.server.pool = place.pool;
	place.server.store = store;
	place.server.on_empty = on_empty;
	place.server.arg = &place;
	CHECK(auth_client_new(&place.loop, "", &place.server.auth, &err));
	server_open(&place.server);
	CHECK(store == NULL || watch_new(&place.server, &place.server.watch, &err));
	fake_auth_answers = true;
}

void place_connect(void)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(4000) };
	struct conn_origin origin = { .peer = (const struct sockaddr *)&peer };
	struct conn *conn;
	int ends[2], small = 64 * KIB;

	peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	(void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	place.peer = ends[1];
	place.closed = false;
	origin.fd = place.server_end = ends[0];
	conn = conn_new(&place.loop, &origin);
	CHECK(conn != NULL);
	session_start(&place.server, conn, false);
	place_run();
}

/* True: something came. */
static bool receive(void)
{
	ssize_t got;
	bool any = false;

	while (place.peer >= 0 && place.reads && !place.closed) {
		CHECK(buffer_reserve(&place.out, 64 * KIB));
		got = recv(place.peer, place.out.data + place.out.len, 64 * KIB, 0);
		if (got <= 0) {
			place.closed = got == 0 || (errno != EAGAIN && errno != EINTR);
			break;
		}
		place.out.len += (size_t)got;
		place.out.data[place.out.len] = '\0';
		any = true;
	}
	return any;
}

static bool turn(void)
{
	bool moved = uv_run(&place.loop, worker_pending(place.pool) > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT) != 0 &&
	             worker_pending(place.pool) > 0;

	moved = fake_auth_run() || moved;
	return receive() || moved;
}

/* Octets that the server has not read. */
static int unread(void)
{
	int octets = 0;

	if (place.peer >= 0 && !place.closed)
		(void)ioctl(place.server_end, FIONREAD, &octets);
	return octets;
}

void place_run(void)
{
	int before = unread(), now;

	for (int quiet = 0; quiet < 4; before = now) {
		quiet = turn() ? 0 : quiet + 1;
		now = unread();
		if (now != before)
			quiet = 0;
	}
}

void place_wait(unsigned milliseconds)
{
	uint64_t end = uv_hrtime() + milliseconds * 1000000ull;

	while (uv_hrtime() < end) {
		(void)turn();
		(void)usleep(500);
	}
	place_run();
}

void place_send(const void *bytes, size_t len)
{
	const char *next = bytes;

	while (len > 0 && place.peer >= 0 && !place.closed) {
		ssize_t sent = send(place.peer, next, len, MSG_NOSIGNAL);

		if (sent > 0) {
			next += sent;
			len -= (size_t)sent;
		} else if (errno != EAGAIN) {
			break;
		}
		if (!turn() && sent <= 0 && !place.reads)
			break; /* the server takes no more */
	}
	place_run();
}

const char *place_take(void)
{
	static char *taken;

	free(taken);
	taken = strdup(buffer_text(&place.out));
	CHECK(taken != NULL);
	buffer_clear(&place.out);
	return taken;
}

const char *place_ask(const char *text)
{
	char *line;

	buffer_clear(&place.out);
	CHECK(asprintf(&line, "%s\r\n", text) > 0);
	place_send(line, strlen(line));
	free(line);
	return place_take();
}

struct imap_session *place_session(void)
{
	return place.server.sessions;
}

void place_hang_up(void)
{
	if (place.peer >= 0)
		close(place.peer);
	place.peer = -1;
	place_run();
}

void place_close(void)
{
	place_hang_up();
	server_drain(&place.server);
	for (int i = 0; i < 5000 && !place.empty; i++)
		place_wait(1);
	CHECK(place.empty && place.server.sessions == NULL);
	auth_client_close(&place.server.auth);
	worker_pool_free(&place.pool);
	watch_free(&place.server.watch);
	(void)uv_run(&place.loop, UV_RUN_DEFAULT);
	CHECK(uv_loop_close(&place.loop) == 0);
	buffer_free(&place.out);
}
