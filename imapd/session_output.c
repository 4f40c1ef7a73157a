/* What a session writes (imapd/session.h): to the conn, by way of the compressor where COMPRESS is active. */
#include "base/check.h"
#include "imapd/compress.h"
#include "imapd/session_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void session_write(struct imap_session *s, struct span bytes)
{
	if (s->closing || s->ended || bytes.len == 0)
		return;
	if (s->compress == NULL) {
		(void)conn_write(s->conn, bytes.ptr, bytes.len);
		return;
	}
	compress_write(s->compress, s->conn, bytes);
	session_busy(s); /* what zlib keeps goes out at the end of the turn */
}

void session_write_text(struct imap_session *s, const char *text)
{
	session_write(s, span_of(text));
}

void session_printf(struct imap_session *s, const char *format, ...)
{
	char line[512], *text;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len >= 0 && (size_t)len < sizeof(line)) {
		session_write(s, span_make(line, (size_t)len));
		return;
	}
	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0) {
		conn_close(s->conn); /* no memory: a reply that is not whole is none */
		return;
	}
	session_write(s, span_make(text, (size_t)len));
	free(text);
}

bool session_full(const struct imap_session *s)
{
	return conn_full(s->conn);
}

void session_wait_for_room(struct imap_session *s, void (*on_room)(struct imap_session *s))
{
	CHECK(s->on_room == NULL && s->request != NULL);
	if (!session_full(s)) {
		on_room(s);
		return;
	}
	s->on_room = on_room;
	session_update_input(s);
}
