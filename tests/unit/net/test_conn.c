/* Lines, bytes, order, back-pressure and ends of a plain connection. */
#include "fixture.h"

#include "net/conn_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define LINE_LIMIT 12

static const struct line_case {
	const char *input;
	size_t len; /* 0: up to the NUL */
	const char *seen;
} line_cases[] = {
	{ "one\r\ntwo\r\n", 0, "<one><two>" },
	{ "\r\n\r\n", 0, "<><>" },
	{ "lf\nmore\r\n", 0, "[lf]<more>" },
	{ "\n", 0, "[]" },
	{ "bare\rcr\r\n", 0, "<bare\rcr>" },
	{ "twice\r\r\n", 0, "<twice\r>" },
	{ "not yet", 0, "" },
	{ "not yet\r", 0, "" },
	{ "0123456789\r\n", 0, "<0123456789>" },         /* 12 octets with CRLF: the limit */
	{ "0123456789a\r\nx\r\n", 0, "!long<x>" },       /* 13 */
	{ "0123456789a\nx\r\n", 0, "[0123456789a]<x>" }, /* 12 with LF */
	{ "0123456789ab\nx\r\n", 0, "!long<x>" },
	{ "0123456789012345678901234567890\r\nx\r\n", 0, "!long<x>" },
	{ "0123456789012345678901234567890", 0, "" }, /* told when its end has been skipped */
	{ "0123456789012345678901\r\n01234567890123\r\nx\n", 0, "!long!long[x]" },
	{ "BYTES 5\r\na\r\nb\nafter\r\n", 0, NULL }, /* pieces differ; see expect_pieces() */
	{ "WANT 5\r\na\r\nb\nafter\r\n", 0, "<WANT 5>{a\r\nb\n}<after>" },
	{ "WANT 3\r\nabcWANT 2\r\nde\r\n", 0, "<WANT 3>{abc}<WANT 2>{de}<>" },
	{ "QUIT\r\nlost\r\n", 0, "<QUIT>!closed 0" },
	{ "CLOSE\r\nlost\r\n", 0, "<CLOSE>!closed 0" },
};

/* Raw bytes come in whatever pieces the network makes. */
static void join_pieces(struct buffer *seen)
{
	struct buffer joined;

	buffer_init(&joined, seen->limit);
	for (size_t i = 0; i < seen->len; i++) {
		if (seen->data[i] == '}' && i + 1 < seen->len && seen->data[i + 1] == '{')
			i++;
		else
			buffer_append_char(&joined, seen->data[i]);
	}
	buffer_free(seen);
	*seen = joined;
}

static void run_line_case(const struct line_case *c, size_t piece)
{
	const char *want = c->seen != NULL ? c->seen : "<BYTES 5>{a\r\nb\n}<after>";
	size_t len = c->len > 0 ? c->len : strlen(c->input);
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, LINE_LIMIT);
	for (size_t at = 0; at < len; at += piece) {
		(void)!send(t.peer, c->input + at, len - at < piece ? len - at : piece, MSG_NOSIGNAL);
		turn(&t);
	}
	if (strstr(want, "!closed") != NULL) {
		shutdown(t.peer, SHUT_WR); /* ends a linger */
		turn_until(&t, &t.recorder.closed);
	}
	join_pieces(&t.recorder.seen);
	expect_seen(&t, want);
	net_test_close(&t);
}

static void lines_in_pieces_of_every_size(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(line_cases); i++)
		for (size_t piece = 1; piece <= 48; piece++)
			run_line_case(&line_cases[i], piece);
}

static void a_line_may_contain_nul(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, LINE_LIMIT);
	peer_send(&t, "a\0b\r\n", 5);
	assert_int_equal(t.recorder.seen.len, 5);
	assert_memory_equal(t.recorder.seen.data, "<a\0b>", 5);
	net_test_close(&t);
}

static void small_reads_deliver_the_same(void **state)
{
	struct net_test t;

	for (size_t size = 1; size < 30; size++) {
		net_test_open(&t);
		net_test_connect(&t, NULL, false);
		net_test_start(&t, &recorder_handler, LINE_LIMIT);
		conn_set_read_size(t.recorder.conn, size);
		peer_say(&t, "first\r\n0123456789a\r\nWANT 6\r\nabcdefsecond\r\n");
		turn_for(&t, 20);
		expect_seen(&t, "<first>!long<WANT 6>{abcdef}<second>");
		net_test_close(&t);
	}
}

static void a_pause_keeps_order_and_delivers_nothing(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	peer_say(&t, "PAUSE\r\none\r\ntwo\r\nPAUSE\r\nthree\r\n");
	expect_seen(&t, "<PAUSE>");
	peer_say(&t, "four\r\n");
	turn_for(&t, 10);
	expect_seen(&t, "");
	conn_resume(t.recorder.conn);
	expect_seen(&t, ""); /* not from inside the call */
	turn(&t);
	expect_seen(&t, "<one><two><PAUSE>");
	conn_resume(t.recorder.conn);
	turn(&t);
	expect_seen(&t, "<three><four>");
	net_test_close(&t);
}

static void a_paused_conn_keeps_no_more_than_one_read(void **state)
{
	static const char flood[1 << 20];
	struct net_test t;
	ssize_t sent = 0, done;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 1000);
	peer_say(&t, "PAUSE\r\n");
	while ((done = send(t.peer, flood, sizeof(flood), MSG_NOSIGNAL)) > 0) {
		sent += done;
		turn(&t);
	}
	assert_true(sent > 0 && errno == EAGAIN); /* the socket is full, and stays so */
	turn_for(&t, 20);
	assert_true(send(t.peer, flood, 1, MSG_NOSIGNAL) < 0);
	assert_true(t.recorder.conn->in.len <= 4 * KIB);
	net_test_close(&t);
}

static void send_lines(struct net_test *t, const char *first, size_t len)
{
	static char lines[20000];

	for (size_t i = 0; i + 4 <= sizeof(lines); i += 4)
		memcpy(lines + i, "xx\r\n", 4);
	assert_int_equal(send(t->peer, first, strlen(first), MSG_NOSIGNAL), strlen(first));
	assert_int_equal(send(t->peer, lines, len, MSG_NOSIGNAL), len);
}

/* What follows a message is kept while that is stored, however small the reads of lines are. */
static void a_large_read_may_leave_much(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	peer_say(&t, "in two ");
	peer_say(&t, "pieces\r\n"); /* the buffer was made for a line */
	expect_seen(&t, "<in two pieces>");
	conn_set_read_size(t.recorder.conn, 64 * KIB);
	send_lines(&t, "PAUSE\r\n", 20000);
	turn(&t);
	conn_set_read_size(t.recorder.conn, 4 * KIB);
	expect_seen(&t, "<PAUSE>");
	conn_resume(t.recorder.conn);
	turn_for(&t, 10);
	assert_int_equal(t.recorder.seen.len, 20000);
	assert_false(t.recorder.closed);
	net_test_close(&t);
}

static void resume_now(uv_async_t *async)
{
	conn_resume(((struct net_test *)async->data)->recorder.conn);
}

/* A job comes back in the turn in which more arrives: what is kept goes first, and is not in the way of it. */
static void a_resume_and_more_input_at_once(void **state)
{
	struct net_test t;
	uv_async_t async;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	uv_async_init(&t.loop, &async, resume_now);
	async.data = &t;
	conn_set_read_size(t.recorder.conn, 64 * KIB);
	send_lines(&t, "PAUSE\r\n", 20000);
	turn(&t);
	conn_set_read_size(t.recorder.conn, 4 * KIB);
	expect_seen(&t, "<PAUSE>");
	uv_async_send(&async);
	send_lines(&t, "yyyy\r\n", 4);
	turn_for(&t, 10);
	assert_false(t.recorder.closed);
	assert_int_equal(t.recorder.seen.len, 20000 + 6 + 4);
	assert_memory_equal(t.recorder.seen.data + 20000, "<yyyy><xx>", 10);
	uv_close((uv_handle_t *)&async, NULL);
	net_test_close(&t);
}

static void one_write_for_all_replies_of_a_turn(void **state)
{
	char chunk[100];
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	/* A packet socket would show each send(2) as a packet; on a stream, one recv right after the turn sees all. */
	peer_say(&t, "SAY a\r\nSAY b\r\nSAY c\r\n");
	assert_int_equal(recv(t.peer, chunk, sizeof(chunk), 0), 9);
	assert_memory_equal(chunk, "a\r\nb\r\nc\r\n", 9);
	net_test_close(&t);
}

static void a_peer_that_does_not_read_stops_the_session(void **state)
{
	struct net_test t;
	struct buffer got;
	bool open = true;

	buffer_init(&got, 16 * MIB);
	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	peer_say(&t, "SEND 8388608\r\nafter\r\n");
	turn_for(&t, 20);
	assert_true(conn_full(t.recorder.conn));
	assert_true(conn_queued(t.recorder.conn) < CONN_OUTPUT_FULL + 8192);
	expect_seen(&t, "<SEND 8388608>"); /* not <after>: whoever does not read is not read */
	for (int i = 0; i < 10000 && open && got.len < 8388608; i++) {
		open = peer_read(&t, &got);
		turn(&t);
	}
	assert_int_equal(got.len, 8388608);
	turn(&t);
	expect_seen(&t, "<after>");
	assert_int_equal(conn_queued(t.recorder.conn), 0);
	buffer_free(&got);
	net_test_close(&t);
}

static void commands_without_reading_replies_are_bounded(void **state)
{
	static char flood[65536];
	struct net_test t;
	size_t most = 0;

	for (size_t i = 0; i + 16 <= sizeof(flood); i += 16)
		memcpy(flood + i, "SAY 0123456789\r\n", 16);
	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	conn_set_read_size(t.recorder.conn, 64 * KIB);
	for (int i = 0; i < 200; i++) {
		(void)!send(t.peer, flood, sizeof(flood), MSG_NOSIGNAL);
		turn(&t);
		buffer_clear(&t.recorder.seen);
		if (conn_queued(t.recorder.conn) > most)
			most = conn_queued(t.recorder.conn);
	}
	assert_true(most >= CONN_OUTPUT_FULL && most < CONN_OUTPUT_FULL + 64 * KIB);
	net_test_close(&t);
}

static bool remembers(const char *memory, size_t len)
{
	return memmem(memory, len, "hunter2", 7) != NULL;
}

/* In one piece, in two, and with more behind it that waits. */
static void a_password_does_not_stay_in_the_buffers(void **state)
{
	struct net_test t;
	struct conn *conn;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 200);
	conn = t.recorder.conn;
	peer_say(&t, "PASS hunter2\r\n");
	assert_true(remembers(conn->hub->scratch, CONN_SCRATCH)); /* so the search below finds what there is */
	conn_set_secret_input(conn, true);
	peer_say(&t, "PASS hunter2\r\n");
	assert_false(remembers(conn->hub->scratch, CONN_SCRATCH));
	peer_say(&t, "PASS hunter2");
	peer_say(&t, "\r\nand a line that is not all there");
	assert_false(remembers(conn->hub->scratch, CONN_SCRATCH));
	assert_false(remembers(conn->in.data, conn->in.cap));
	peer_say(&t, "\r\nPAUSE\r\nPASS hunter2\r\nmore");
	assert_true(remembers(conn->in.data, conn->in.cap));
	assert_false(remembers(conn->hub->scratch, CONN_SCRATCH));
	conn_resume(conn);
	turn(&t);
	assert_false(remembers(conn->in.data, conn->in.cap));
	expect_seen(&t,
	        "<PASS hunter2><PASS hunter2><PASS hunter2><and a line that is not all there><PAUSE><PASS hunter2>");
	net_test_close(&t);
}

static void no_buffer_at_rest(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	peer_say(&t, "SAY x\r\nhalf");
	peer_say(&t, " a line\r\n");
	expect_reply(&t, "x\r\n");
	assert_null(t.recorder.conn->in.data);
	assert_null(t.recorder.conn->out.data);
	assert_true(sizeof(struct conn) <= KIB);
	net_test_close(&t);
}

/* --- ends ------------------------------------------------------------------------------------------------------- */

static void the_last_word_arrives_though_the_peer_goes_on_sending(void **state)
{
	static const char flood[1 << 16];
	struct buffer got;
	struct net_test t;

	buffer_init(&got, MIB);
	net_test_open(&t);
	net_test_connect_tcp(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	assert_int_equal(send(t.peer, "QUIT\r\n", 6, MSG_NOSIGNAL), 6);
	for (int i = 0; i < 20; i++) { /* a close() with these unread would be a reset */
		assert_true(send(t.peer, flood, sizeof(flood), MSG_NOSIGNAL) > 0);
		turn(&t);
	}
	assert_false(t.recorder.closed);
	while (peer_read(&t, &got))
		turn(&t);
	assert_string_equal(buffer_text(&got), "bye\r\n");
	close(t.peer);
	t.peer = -1;
	turn_until(&t, &t.recorder.closed);
	assert_int_equal(t.recorder.why, CONN_END_LOCAL);
	buffer_free(&got);
	net_test_close(&t);
}

static void a_finish_waits_for_a_slow_reader_but_not_for_ever(void **state)
{
	struct conn_waits waits = conn_waits;
	struct net_test t;

	conn_waits.finish = 50;
	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	t.recorder.to_send = 1 << 20;
	conn_write_text(t.recorder.conn, "x");
	for (int i = 0; i < 100; i++)
		conn_write(t.recorder.conn, (char[8192]) { 0 }, 8192);
	conn_finish(t.recorder.conn);
	conn_finish(t.recorder.conn);
	turn(&t);
	assert_false(t.recorder.closed);
	assert_true(conn_is_closing(t.recorder.conn));
	turn_until(&t, &t.recorder.closed);
	assert_int_equal(t.recorder.why, CONN_END_LOCAL);
	conn_waits = waits;
	net_test_close(&t);
}

static void the_peer_leaves(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect_tcp(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	peer_say(&t, "last\r\nhalf");
	close(t.peer);
	t.peer = -1;
	turn_until(&t, &t.recorder.closed);
	expect_seen(&t, "<last>!closed 1");
	net_test_close(&t);
}

static void the_peer_leaves_during_a_job(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect_tcp(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	peer_say(&t, "PAUSE\r\nmore\r\n");
	close(t.peer);
	t.peer = -1;
	turn_for(&t, 10);
	conn_write_text(t.recorder.conn, "nobody reads this\r\n");
	turn(&t);
	if (!t.recorder.closed)
		conn_resume(t.recorder.conn);
	turn_until(&t, &t.recorder.closed);
	assert_int_equal(t.recorder.why, CONN_END_PEER);
	net_test_close(&t);
}

static void a_half_closed_peer_gets_its_answers(void **state)
{
	struct buffer got;
	struct net_test t;

	buffer_init(&got, MIB);
	net_test_open(&t);
	net_test_connect_tcp(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	(void)!send(t.peer, "SAY a\r\nQUIT\r\n", 13, MSG_NOSIGNAL);
	shutdown(t.peer, SHUT_WR);
	turn_until(&t, &t.recorder.closed);
	while (peer_read(&t, &got))
		turn(&t);
	assert_string_equal(buffer_text(&got), "a\r\nbye\r\n");
	buffer_free(&got);
	net_test_close(&t);
}

static void close_is_told_once_and_not_from_inside(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	conn_close(t.recorder.conn);
	assert_false(t.recorder.closed);
	conn_finish(t.recorder.conn);
	conn_write_text(t.recorder.conn, "into the void");
	conn_resume(t.recorder.conn);
	conn_pause(t.recorder.conn);
	conn_set_timeout(t.recorder.conn, 1);
	conn_close(t.recorder.conn);
	turn_for(&t, 10);
	expect_seen(&t, "!closed 0");
	net_test_close(&t);
}

static void a_conn_closed_before_its_start_tells_nobody(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	conn_close(t.recorder.conn);
	t.recorder.conn = NULL;
	turn(&t);
	expect_seen(&t, "");
	net_test_close(&t);
}

/* The other end is a socketpair's: no address of its own. */
static void a_proxy_says_where_the_peer_is(void **state)
{
	const struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc6336407) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct net_test t;
	struct error err;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	assert_string_equal(conn_peer_text(t.recorder.conn), "local");
	assert_true(conn_set_peer(t.recorder.conn, (const struct sockaddr *)&in4, &err));
	assert_string_equal(conn_peer_text(t.recorder.conn), "198.51.100.7");
	assert_false(conn_peer_is_loopback(t.recorder.conn));
	assert_true(conn_set_peer(t.recorder.conn, (const struct sockaddr *)&in6, &err));
	assert_string_equal(conn_peer_text(t.recorder.conn), "::1");
	assert_true(conn_peer_is_loopback(t.recorder.conn));
	net_test_close(&t);
}

/* --- time ------------------------------------------------------------------------------------------------------- */

static void silence_times_out_and_activity_does_not(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	conn_set_timeout(t.recorder.conn, 80);
	for (int i = 0; i < 8; i++) {
		peer_say(&t, "x\r\n");
		turn_for(&t, 20);
	}
	assert_null(strstr(buffer_text(&t.recorder.seen), "!timeout"));
	buffer_clear(&t.recorder.seen);
	turn_until(&t, &t.recorder.closed);
	expect_seen(&t, "!timeout!closed 0");
	expect_reply(&t, "late\r\n");
	net_test_close(&t);
}

static void without_on_timeout_the_conn_closes_itself(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_bare_handler, 100);
	conn_set_timeout(t.recorder.conn, 20);
	turn_until(&t, &t.recorder.closed);
	expect_seen(&t, "!closed 2");
	net_test_close(&t);
}

/* Octets every 10 ms against 1,000 a second, in windows of 50 ms after a grace of 100. */
static bool survives_rate(size_t octets, bool pause)
{
	static const char bytes[1000];
	struct conn_waits waits = conn_waits;
	struct net_test t;
	bool alive;

	conn_waits.rate_grace = 100;
	conn_waits.rate_window = 50;
	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_bare_handler, 100);
	t.recorder.quiet = true;
	peer_say(&t, "BYTES 1000000\r\n");
	conn_set_min_rate(t.recorder.conn, 1000);
	if (pause)
		conn_pause(t.recorder.conn);
	for (int i = 0; i < 40 && !t.recorder.closed; i++) {
		(void)!send(t.peer, bytes, octets, MSG_NOSIGNAL);
		turn_for(&t, 10);
	}
	alive = !t.recorder.closed;
	conn_waits = waits;
	net_test_close(&t);
	return alive;
}

static void a_body_that_drips_ends_the_conn(void **state)
{
	assert_true(survives_rate(200, false));
	assert_false(survives_rate(1, false));
	assert_true(survives_rate(1, true)); /* it is we who do not read */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_in_pieces_of_every_size),
		cmocka_unit_test(a_line_may_contain_nul),
		cmocka_unit_test(small_reads_deliver_the_same),
		cmocka_unit_test(a_pause_keeps_order_and_delivers_nothing),
		cmocka_unit_test(a_paused_conn_keeps_no_more_than_one_read),
		cmocka_unit_test(a_large_read_may_leave_much),
		cmocka_unit_test(a_resume_and_more_input_at_once),
		cmocka_unit_test(one_write_for_all_replies_of_a_turn),
		cmocka_unit_test(a_peer_that_does_not_read_stops_the_session),
		cmocka_unit_test(commands_without_reading_replies_are_bounded),
		cmocka_unit_test(a_password_does_not_stay_in_the_buffers),
		cmocka_unit_test(no_buffer_at_rest),
		cmocka_unit_test(the_last_word_arrives_though_the_peer_goes_on_sending),
		cmocka_unit_test(a_finish_waits_for_a_slow_reader_but_not_for_ever),
		cmocka_unit_test(the_peer_leaves),
		cmocka_unit_test(the_peer_leaves_during_a_job),
		cmocka_unit_test(a_half_closed_peer_gets_its_answers),
		cmocka_unit_test(close_is_told_once_and_not_from_inside),
		cmocka_unit_test(a_conn_closed_before_its_start_tells_nobody),
		cmocka_unit_test(silence_times_out_and_activity_does_not),
		cmocka_unit_test(without_on_timeout_the_conn_closes_itself),
		cmocka_unit_test(a_body_that_drips_ends_the_conn),
		cmocka_unit_test(a_proxy_says_where_the_peer_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
