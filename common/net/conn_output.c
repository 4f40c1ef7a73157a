#include "net/conn_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SPARE_MAX    (512 * KIB) /* the largest output buffer that the hub keeps */
#define SMALL_OUTPUT (4 * KIB)   /* not worth a smaller buffer */

/* --- the queue ------------------------------------------------------------------------------------------------- */

size_t conn_queued(const struct conn *conn)
{
	return conn->out.len - conn->out_sent + (conn->cipher.len - conn->cipher_sent);
}

bool conn_full(const struct conn *conn)
{
	return conn_queued(conn) >= CONN_OUTPUT_FULL;
}

static void take_spare(struct conn *conn)
{
	if (conn->out.data == NULL) {
		struct buffer empty = conn->out;

		conn->out = conn->hub->spare;
		conn->hub->spare = empty;
	}
}

/* All is sent: the memory goes to whoever writes next. */
static void give_spare(struct conn *conn)
{
	struct buffer *spare = &conn->hub->spare;

	conn->out_sent = 0;
	buffer_clear(&conn->out);
	if (conn->out.cap > SPARE_MAX || conn->out.cap <= spare->cap) {
		buffer_free(&conn->out);
		return;
	}
	buffer_free(spare);
	*spare = conn->out;
	buffer_init(&conn->out, CONN_OUTPUT_MAX);
}

/* A peer that takes a long time keeps no more memory than what waits for it. */
static void shrink_output(struct conn *conn)
{
	struct buffer rest;

	if (conn->out.cap <= SMALL_OUTPUT || conn->out.len - conn->out_sent > conn->out.cap / 4)
		return;
	buffer_init(&rest, CONN_OUTPUT_MAX);
	if (!buffer_append(&rest, conn->out.data + conn->out_sent, conn->out.len - conn->out_sent))
		return;
	give_spare(conn);
	conn->out = rest;
}

/* Nothing may follow "220" in clear: what the session writes between conn_start_tls() and on_tls() is dropped. */
static bool takes_output(const struct conn *conn)
{
	return !conn->closing && !conn->finishing && conn->tls_state != CONN_TLS_FLUSHING;
}

static bool queued(struct conn *conn, bool added)
{
	if (!added) {
		conn_end(conn, CONN_END_NO_MEMORY);
		return false;
	}
	if (conn_full(conn))
		conn->was_full = true;
	conn_make_dirty(conn);
	return true;
}

static void make_room(struct conn *conn)
{
	take_spare(conn);
	if (conn->out_sent > 0 && conn->out_sent >= conn->out.cap / 2) {
		buffer_consume(&conn->out, conn->out_sent);
		conn->out_sent = 0;
	}
}

bool conn_write(struct conn *conn, const void *bytes, size_t len)
{
	if (!takes_output(conn))
		return !conn->closing || conn->why != CONN_END_NO_MEMORY;
	make_room(conn);
	return queued(conn, buffer_append(&conn->out, bytes, len));
}

bool conn_write_text(struct conn *conn, const char *text)
{
	return conn_write(conn, text, strlen(text));
}

bool conn_printf(struct conn *conn, const char *format, ...)
{
	char line[512], *text;
	va_list args;
	int len;
	bool ok;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len >= 0 && (size_t)len < sizeof(line))
		return conn_write(conn, line, (size_t)len);
	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0)
		return queued(conn, false);
	ok = conn_write(conn, text, (size_t)len);
	free(text);
	return ok;
}

/* --- sending --------------------------------------------------------------------------------------------------- */

/* As much as the socket takes. */
bool conn_send_plain(struct conn *conn, struct buffer *queue, size_t *sent)
{
	ssize_t done = 0;

	while (*sent < queue->len) {
		size_t wanted = queue->len - *sent;

		done = send(conn->fd, queue->data + *sent, wanted, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			break;
		*sent += (size_t)done;
		conn_touch(conn);
		if ((size_t)done < wanted)
			return true; /* the socket is full; asking again would only say so */
	}
	if (done < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		conn_end(conn, CONN_END_PEER);
		return false;
	}
	return true;
}

static void all_sent(struct conn *conn);

void conn_flush(struct conn *conn)
{
	bool in_clear = conn->tls_state == CONN_TLS_NONE || conn->tls_state == CONN_TLS_FLUSHING;

	if (conn->closing || conn->tls_state == CONN_TLS_HANDSHAKE)
		return;
	if (in_clear)
		(void)conn_send_plain(conn, &conn->out, &conn->out_sent);
	else
		conn_tls_flush(conn);
	if (conn->closing)
		return;
	if (conn_queued(conn) > 0) {
		shrink_output(conn);
		conn_poll_for(conn, UV_WRITABLE, 0);
	} else {
		if (conn->out.data != NULL)
			give_spare(conn);
		conn_poll_for(conn, 0, UV_WRITABLE);
		all_sent(conn);
	}
	if (conn->was_full && !conn->closing && conn_queued(conn) < CONN_OUTPUT_LOW) {
		conn->was_full = false;
		if (conn->handler->on_drained != NULL && !conn->finishing)
			conn->handler->on_drained(conn->session);
		if (conn_wants_input(conn)) /* it waited as well */
			conn_make_ready(conn);
	}
}

/* --- the end --------------------------------------------------------------------------------------------------- */

/* Bytes that we have not read make the kernel reset the connection at close(), and a reset may destroy our last reply on
 * its way: so a session that ends in the middle of input reads on for a short while (RFC 9112 §9.6 tells the same of HTTP). */
void conn_linger(struct conn *conn)
{
	ssize_t got = recv(conn->fd, conn->hub->scratch, CONN_SCRATCH, MSG_DONTWAIT);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		conn_end(conn, conn->why);
}

static bool input_is_at_rest(struct conn *conn)
{
	char byte;

	return conn->mode == CONN_LINES && conn_input_left(conn) == 0 &&
	       recv(conn->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) <= 0;
}

static void last_word_sent(struct conn *conn)
{
	if (conn->tls_state == CONN_TLS_ESTABLISHED)
		conn_tls_goodbye(conn);
	if (conn_queued(conn) > 0)
		conn_poll_for(conn, UV_WRITABLE, 0);
	if (conn->closing || conn_queued(conn) > 0)
		return;
	if (input_is_at_rest(conn)) {
		conn_end(conn, conn->why);
		return;
	}
	conn->lingering = true;
	conn_free_input(conn);
	shutdown(conn->fd, SHUT_WR);
	conn_set_deadline(conn, conn_waits.linger);
	conn_poll_for(conn, UV_READABLE, 0);
}

static void all_sent(struct conn *conn)
{
	if (conn->tls_state == CONN_TLS_FLUSHING) {
		conn->tls_state = CONN_TLS_HANDSHAKE; /* on_poll() goes on; on_tls() must not come from inside a call */
		conn_poll_for(conn, conn->client != NULL ? UV_READABLE | UV_WRITABLE : UV_READABLE, 0);
	} else if (conn->finishing && !conn->lingering) {
		last_word_sent(conn);
	}
}

void conn_finish_as(struct conn *conn, enum conn_end why, unsigned milliseconds)
{
	if (conn->closing || conn->lingering)
		return;
	if (conn->tls_state == CONN_TLS_HANDSHAKE || conn->tls_state == CONN_TLS_FLUSHING) {
		conn_end(conn, why); /* there is no way to say anything */
		return;
	}
	conn->finishing = true;
	conn->why = why;
	conn_set_deadline(conn, milliseconds);
	conn_make_dirty(conn);
}

void conn_finish(struct conn *conn)
{
	if (!conn->finishing)
		conn_finish_as(conn, CONN_END_LOCAL, conn_waits.finish);
}
