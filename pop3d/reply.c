/* The one-line replies of pop3d/session.h (RFC 1939 §3). */
#include "base/log.h"
#include "pop3d/reply_for_error.h"
#include "pop3d/session.h"

#include <stdarg.h>
#include <stdio.h>

PRINTF_LIKE(3, 0)
static void reply(struct pop3_session *s, const char *status, const char *format, va_list args)
{
	char line[RESPONSE_LINE_MAX + 1]; /* and a NUL that is not sent */
	int len = snprintf(line, sizeof(line), "%s ", status), more;

	more = vsnprintf(line + len, sizeof(line) - (size_t)len - 2, format, args);
	if (more < 0)
		more = 0;
	len += more;
	if ((size_t)len > RESPONSE_LINE_MAX - 2)
		len = RESPONSE_LINE_MAX - 2;
	line[len] = '\r';
	line[len + 1] = '\n';
	conn_write(s->conn, line, (size_t)len + 2);
}

void reply_ok(struct pop3_session *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reply(s, "+OK", format, args);
	va_end(args);
}

void reply_err(struct pop3_session *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reply(s, "-ERR", format, args);
	va_end(args);
}

void reply_refuse(struct pop3_session *s, const struct error *err)
{
	const struct pop3_reply *row = reply_for_error(err->code);

	if (row->log)
		LOG(LOG_WARNING, "pop3.failed", LOG_NUMBER("session", s->id), LOG_NUMBER("account", s->account_id),
		        LOG_FAILURE(err));
	reply_err(s, "%s%s%s", row->code == NULL ? "" : row->code, row->code == NULL ? "" : " ",
	        row->text == NULL ? err->reason : row->text);
}

void reply_bad(struct pop3_session *s, const char *text)
{
	s->bad_commands++;
	if (s->bad_commands < s->server->settings.bad_commands) {
		reply_err(s, "%s", text);
		return;
	}
	LOG(LOG_INFO, "pop3.bad_commands", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)));
	reply_err(s, "%s; too many bad commands, goodbye", text);
	session_end(s);
}
