#include "net/conn_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/secret.h"

#include <errno.h>
#include <sys/socket.h>

/* Nothing is read for a session that waits, that has ended, or whose replies the peer does not take: a peer that sends
 * commands and reads no answers cannot make us queue without bound. */
bool conn_wants_input(const struct conn *conn)
{
	return !conn->closing && !conn->finishing && !conn->paused && !conn->was_full && conn->handler != NULL &&
	       (conn->tls_state == CONN_TLS_NONE || conn->tls_state == CONN_TLS_ESTABLISHED);
}

size_t conn_input_left(const struct conn *conn)
{
	return conn->delivering ? conn->undelivered : conn->in.len;
}

/* --- delivering ------------------------------------------------------------------------------------------------ */

/* At the front of `input` there is no line end: 0 to keep it, or all of it when it belongs to a line that is too long. */
static size_t keep_partial_line(struct conn *conn, size_t len)
{
	if (len >= conn->line_limit)
		conn->too_long = true;
	conn->scanned = conn->too_long ? 0 : len;
	return conn->too_long ? len : 0;
}

static size_t deliver_line(struct conn *conn, struct span input)
{
	struct span line;
	size_t at, len;

	if (!span_find(span_skip(input, conn->scanned), '\n', &at))
		return keep_partial_line(conn, input.len);
	len = conn->scanned + at + 1;
	conn->scanned = 0;
	conn->undelivered = input.len - len;
	if (conn->too_long || len > conn->line_limit) {
		conn->too_long = false;
		if (conn->handler->on_line_too_long != NULL)
			conn->handler->on_line_too_long(conn->session);
		return len;
	}
	line = span_first(input, len - 1);
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		conn->handler->on_line(conn->session, span_first(line, line.len - 1), LINE_END_CRLF);
	else
		conn->handler->on_line(conn->session, line, LINE_END_LF);
	return len;
}

static size_t deliver_bytes(struct conn *conn, struct span input)
{
	size_t used;

	conn->undelivered = 0;
	used = conn->handler->on_bytes(conn->session, input);
	CHECK(used <= input.len);
	return used;
}

/* Returns how much of `input` is done with; the rest waits for a resume or for more bytes. */
static size_t deliver(struct conn *conn, struct span input)
{
	size_t done = 0;

	conn->delivering = true;
	while (done < input.len && conn_wants_input(conn)) {
		struct span rest = span_skip(input, done);
		enum conn_mode mode = conn->mode;
		size_t used = mode == CONN_LINES ? deliver_line(conn, rest) : deliver_bytes(conn, rest);

		done += used;
		if (mode == CONN_LINES ? used == 0 : used < rest.len && conn->mode == CONN_BYTES)
			break; /* it needs more */
	}
	conn->undelivered = 0;
	conn->delivering = false;
	return done;
}

static void keep(struct conn *conn, struct span rest)
{
	if (rest.len == 0 || conn->closing || conn->finishing)
		return;
	/* As much as a read can be; reserve_input() may have left a smaller limit. */
	conn->in.limit = CONN_SCRATCH;
	if (!buffer_append_span(&conn->in, rest))
		conn_end(conn, CONN_END_NO_MEMORY);
}

static void deliver_scratch(struct conn *conn, size_t len)
{
	struct span input = { conn->hub->scratch, len };
	bool secret = conn->secret_input;

	keep(conn, span_skip(input, deliver(conn, input)));
	if (secret)
		secret_wipe(conn->hub->scratch, len);
}

static void deliver_kept(struct conn *conn)
{
	bool secret = conn->secret_input;
	size_t done = deliver(conn, buffer_span(&conn->in));

	if (secret)
		secret_buffer_consume(&conn->in, done);
	else
		buffer_consume(&conn->in, done);
	if (conn->in.len == 0)
		conn_free_input(conn);
}

void conn_free_input(struct conn *conn)
{
	if (conn->secret_input)
		secret_buffer_free(&conn->in);
	else
		buffer_free(&conn->in);
}

/* --- receiving ------------------------------------------------------------------------------------------------- */

static long receive_plain(struct conn *conn, char *out, size_t size)
{
	ssize_t got;

	do
		got = recv(conn->fd, out, size, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		return got;
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CONN_IO_AGAIN;
	/* The peer ends. What is queued may still reach it: it may have closed only its sending side. */
	conn_flush(conn);
	conn_end(conn, CONN_END_PEER);
	return CONN_IO_ENDED;
}

static long receive(struct conn *conn, char *out, size_t size)
{
	long got = conn->ssl != NULL ? conn_tls_read(conn, out, size) : receive_plain(conn, out, size);

	if (got > 0) {
		conn->window_bytes += (uint64_t)got;
		conn_touch(conn);
	}
	return got;
}

/* Room for the next read behind what is kept; 0 when the conn had to end. */
static size_t reserve_input(struct conn *conn)
{
	size_t limit = conn->line_limit > conn->read_size ? conn->line_limit : conn->read_size;
	size_t room = limit > conn->in.len ? limit - conn->in.len : 0;

	if (room > conn->read_size)
		room = conn->read_size;
	if (room == 0)
		LOG(LOG_ERROR, "conn.input_stuck", LOG_NUMBER("session", conn->id), LOG_NUMBER("kept", conn->in.len));
	conn->in.limit = limit;
	if (room > 0 && (conn->secret_input ? secret_buffer_reserve : buffer_reserve)(&conn->in, room))
		return room;
	conn_end(conn, CONN_END_NO_MEMORY);
	return 0;
}

void conn_receive(struct conn *conn)
{
	long got;

	if (conn->in.len == 0) {
		got = receive(conn, conn->hub->scratch, conn->read_size);
		if (got > 0)
			deliver_scratch(conn, (size_t)got);
	} else {
		size_t room = reserve_input(conn);

		if (room == 0)
			return;
		got = receive(conn, conn->in.data + conn->in.len, room);
		if (got > 0) {
			conn->in.len += (size_t)got;
			conn->in.data[conn->in.len] = '\0';
			deliver_kept(conn);
		}
	}
	/* What TLS has decrypted already is announced by no socket event. */
	if (got > 0 && conn_wants_input(conn) && conn_tls_has_input(conn))
		conn_make_ready(conn);
}

void conn_deliver_left(struct conn *conn)
{
	if (!conn_wants_input(conn))
		return;
	if (conn->in.len > 0)
		deliver_kept(conn);
	if (conn_wants_input(conn) && conn_tls_has_input(conn))
		conn_receive(conn);
	if (conn_wants_input(conn))
		conn_poll_for(conn, UV_READABLE, 0);
}

/* --- what the session sets ------------------------------------------------------------------------------------- */

void conn_set_mode(struct conn *conn, enum conn_mode mode)
{
	conn->mode = mode;
	conn->scanned = 0;
}

void conn_set_line_limit(struct conn *conn, size_t octets)
{
	conn->line_limit = octets;
}

void conn_set_read_size(struct conn *conn, size_t octets)
{
	conn->read_size = octets < CONN_SCRATCH ? octets : CONN_SCRATCH;
}

void conn_set_secret_input(struct conn *conn, bool on)
{
	conn->secret_input = on;
	if (conn->ssl != NULL)
		conn_tls_wipe_input(conn);
}

void conn_pause(struct conn *conn)
{
	if (conn->paused)
		return;
	conn->paused = true;
	conn->paused_at = uv_now(conn->hub->loop);
}

void conn_resume(struct conn *conn)
{
	if (!conn->paused)
		return;
	conn->paused = false;
	conn->window_paused += uv_now(conn->hub->loop) - conn->paused_at;
	if (!conn_wants_input(conn))
		return;
	if (conn->in.len > 0 || conn_tls_has_input(conn))
		conn_make_ready(conn);
	else
		conn_poll_for(conn, UV_READABLE, 0);
}
