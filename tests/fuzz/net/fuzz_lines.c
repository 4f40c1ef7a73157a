/* A peer's bytes cut at random, against a plain model of what lines a session must see. Input: first byte the line limit,
 * second the size of a read, third seeds the cuts and pauses; the rest is the stream. */
#include "net/conn_internal.h"

#include "base/check.h"
#include "base/log.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct conn *conn;
	struct buffer text;
	unsigned random;
	bool paused, closed;
};

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245u + 12345u;
	return *state >> 16;
}

static void add_line(struct buffer *out, struct span line, enum line_end end)
{
	buffer_append_char(out, end == LINE_END_CRLF ? '<' : '[');
	buffer_append_span(out, line);
	buffer_append_char(out, '>');
}

static void on_line(void *session, struct span line, enum line_end end)
{
	struct seen *s = session;

	CHECK(!s->paused);
	add_line(&s->text, line, end);
	s->paused = next_random(&s->random) % 4 == 0;
	if (s->paused)
		conn_pause(s->conn);
}

static void on_line_too_long(void *session)
{
	buffer_append_char(&((struct seen *)session)->text, '!');
}

static void on_closed(void *session, enum conn_end why)
{
	(void)why;
	((struct seen *)session)->closed = true;
}

static const struct conn_handler handler = {
	.on_line = on_line, .on_line_too_long = on_line_too_long, .on_closed = on_closed
};

static void expect(struct span stream, size_t limit, struct buffer *out)
{
	struct span line;

	while (span_take_until(&stream, '\n', &line)) {
		bool crlf = line.len > 0 && line.ptr[line.len - 1] == '\r';

		if (line.len + 1 > limit)
			buffer_append_char(out, '!');
		else
			add_line(out, span_first(line, line.len - crlf), crlf ? LINE_END_CRLF : LINE_END_LF);
	}
}

static void turn(uv_loop_t *loop, struct seen *s)
{
	for (int i = 0; i < 3; i++)
		uv_run(loop, UV_RUN_NOWAIT);
	if (s->paused && !s->closed) {
		s->paused = false;
		conn_resume(s->conn);
	}
}

static void play(uv_loop_t *loop, int peer, struct span stream, struct seen *s)
{
	while (stream.len > 0) {
		size_t cut = next_random(&s->random) % 40 + 1;
		ssize_t sent = send(peer, stream.ptr, cut < stream.len ? cut : stream.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0)
			stream = span_skip(stream, (size_t)sent);
		turn(loop, s);
	}
	close(peer);
	while (!s->closed) {
		turn(loop, s);
		uv_run(loop, UV_RUN_NOWAIT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr from = { .sa_family = AF_UNIX };
	struct seen s = { 0 };
	struct buffer wanted;
	struct conn_origin origin = { .peer = &from };
	uv_loop_t loop;
	int pair[2];

	if (size < 3 || size > 4096 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
		return 0;
	uv_loop_init(&loop);
	origin.fd = pair[0];
	s.conn = conn_new(&loop, &origin);
	s.random = data[2];
	CHECK(s.conn != NULL);
	buffer_init(&s.text, 64 * KIB);
	buffer_init(&wanted, 64 * KIB);
	conn_set_read_size(s.conn, data[1] + 1u);
	conn_start(s.conn, &handler, &s, data[0] + 1u);
	play(&loop, pair[1], span_make(data + 3, size - 3), &s);
	expect(span_make(data + 3, size - 3), data[0] + 1u, &wanted);
	CHECK(span_equal(buffer_span(&s.text), buffer_span(&wanted)));
	buffer_free(&s.text);
	buffer_free(&wanted);
	uv_run(&loop, UV_RUN_NOWAIT);
	CHECK(uv_loop_close(&loop) == 0);
	return 0;
}
