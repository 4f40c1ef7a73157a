/* Accepting through the limiter, eviction, refusal, and doing without descriptors. */
#include "fixture.h"

#include "base/log.h"
#include "net/conn_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#define CLIENTS 8

struct door {
	struct net_test base; /* only its loop */
	struct limiter *limiter;
	struct listener *listener;
	struct sockaddr_in address;
	struct recorder sessions[CLIENTS];
	size_t accepted;
	int clients[CLIENTS];
};

static void on_accept(void *arg, struct conn *conn)
{
	struct door *door = arg;
	struct recorder *r = &door->sessions[door->accepted++];

	r->conn = conn;
	buffer_init(&r->seen, MIB);
	conn_start(conn, &recorder_handler, r, 100);
	conn_printf(conn, "hello %s\r\n", conn_peer_text(conn));
}

static void open_door(struct door *door, unsigned per_address, unsigned total)
{
	struct limiter_settings limits = { per_address, total, SPAN_EMPTY };
	struct listener_settings settings = {
		.name = "test", .refusal = "no room\r\n", .on_accept = on_accept, .arg = door
	};
	socklen_t len = sizeof(door->address);
	struct error err;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(door, 0, sizeof(*door));
	memset(door->clients, -1, sizeof(door->clients));
	net_test_open(&door->base);
	door->address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)&door->address, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&door->address, &len), 0);
	assert_true(limiter_new(&limits, &door->limiter, &err));
	assert_true(listener_new(&door->base.loop, fd, &settings, door->limiter, &door->listener, &err));
}

static void close_door(struct door *door)
{
	listener_free(&door->listener);
	assert_null(door->listener);
	for (size_t i = 0; i < door->accepted; i++) {
		if (!door->sessions[i].closed)
			conn_close(door->sessions[i].conn);
		turn_until(&door->base, &door->sessions[i].closed);
		buffer_free(&door->sessions[i].seen);
	}
	for (size_t i = 0; i < CLIENTS; i++)
		if (door->clients[i] >= 0)
			close(door->clients[i]);
	limiter_free(&door->limiter);
	net_test_close(&door->base);
}

static void knock(struct door *door, size_t client)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&door->address, sizeof(door->address)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	door->clients[client] = fd;
	turn(&door->base);
}

static void expect_text(struct door *door, size_t client, const char *wanted)
{
	char chunk[200];
	ssize_t got;

	turn_for(&door->base, 4);
	got = recv(door->clients[client], chunk, sizeof(chunk) - 1, 0);
	chunk[got < 0 ? 0 : got] = '\0';
	assert_string_equal(chunk, wanted);
}

static void conns_are_handed_out(void **state)
{
	struct door door;
	int on = 0;
	socklen_t len = sizeof(on);

	open_door(&door, 0, 100);
	knock(&door, 0);
	knock(&door, 1);
	expect_text(&door, 0, "hello 127.0.0.1\r\n");
	expect_text(&door, 1, "hello 127.0.0.1\r\n");
	assert_true(conn_peer_is_loopback(door.sessions[0].conn));
	assert_string_equal(conn_local_text(door.sessions[0].conn), "127.0.0.1");
	assert_true(conn_id(door.sessions[0].conn) != conn_id(door.sessions[1].conn));
	getsockopt(door.sessions[0].conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, &len);
	assert_true(on != 0);
	assert_int_equal(limiter_count(door.limiter), 2);
	close(door.clients[0]);
	door.clients[0] = -1;
	turn_until(&door.base, &door.sessions[0].closed);
	assert_int_equal(limiter_count(door.limiter), 1);
	close_door(&door);
}

static void too_many_from_one_address_are_refused(void **state)
{
	struct door door;

	log_set_level(LOG_ERROR);
	open_door(&door, 2, 100);
	knock(&door, 0);
	knock(&door, 1);
	knock(&door, 2);
	expect_text(&door, 2, "no room\r\n");
	expect_text(&door, 2, "");
	conn_set_logged_in(door.sessions[0].conn);
	knock(&door, 3);
	expect_text(&door, 3, "hello 127.0.0.1\r\n");
	assert_int_equal(door.accepted, 3);
	close_door(&door);
}

static void who_must_have_an_answer_is_passed_over(void **state)
{
	struct door door;

	open_door(&door, 0, 2);
	knock(&door, 0);
	knock(&door, 1);
	conn_set_evictable(door.sessions[0].conn, false);
	knock(&door, 2);
	expect_text(&door, 1, "hello 127.0.0.1\r\nothers wait\r\n");
	turn_until(&door.base, &door.sessions[1].closed);
	assert_false(door.sessions[0].closed);
	conn_set_evictable(door.sessions[0].conn, true);
	close_door(&door);
}

static void the_oldest_goes_when_all_places_are_taken(void **state)
{
	struct door door;

	open_door(&door, 0, 2);
	knock(&door, 0);
	conn_set_logged_in(door.sessions[0].conn);
	knock(&door, 1);
	knock(&door, 2);
	expect_text(&door, 1, "hello 127.0.0.1\r\nothers wait\r\n");
	turn_until(&door.base, &door.sessions[1].closed);
	assert_int_equal(door.sessions[1].why, CONN_END_EVICTED);
	assert_false(door.sessions[0].closed);
	expect_text(&door, 2, "hello 127.0.0.1\r\n");
	assert_int_equal(limiter_count(door.limiter), 2);
	close_door(&door);
}

static void sessions_live_on_after_the_door_is_shut(void **state)
{
	struct door door;

	open_door(&door, 0, 10);
	knock(&door, 0);
	expect_text(&door, 0, "hello 127.0.0.1\r\n");
	listener_stop(door.listener);
	turn(&door.base);
	assert_int_equal(send(door.clients[0], "SAY on\r\n", 8, 0), 8);
	expect_text(&door, 0, "on\r\n");
	close_door(&door);
}

static void without_descriptors_it_waits_and_does_not_spin(void **state)
{
	struct rlimit old, few;
	struct rusage before, after;
	struct door door;
	int64_t spent;

	open_door(&door, 0, 10);
	knock(&door, 0);
	door.clients[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)door.clients[1] + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(connect(door.clients[1], (struct sockaddr *)&door.address, sizeof(door.address)), 0);
	getrusage(RUSAGE_SELF, &before);
	for (int i = 0; i < 3; i++) /* each waits for the 100 ms timer: spinning, it would not sleep at all */
		uv_run(&door.base.loop, UV_RUN_ONCE);
	getrusage(RUSAGE_SELF, &after);
	spent = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
	        before.ru_utime.tv_usec;
	assert_true(spent < 50000);
	assert_int_equal(door.accepted, 1);
	assert_false(door.sessions[0].closed);
	setrlimit(RLIMIT_NOFILE, &old);
	turn_for(&door.base, 150);
	assert_int_equal(door.accepted, 2);
	close_door(&door);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conns_are_handed_out),
		cmocka_unit_test(too_many_from_one_address_are_refused),
		cmocka_unit_test(who_must_have_an_answer_is_passed_over),
		cmocka_unit_test(the_oldest_goes_when_all_places_are_taken),
		cmocka_unit_test(sessions_live_on_after_the_door_is_shut),
		cmocka_unit_test(without_descriptors_it_waits_and_does_not_spin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
