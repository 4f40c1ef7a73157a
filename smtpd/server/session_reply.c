/* What a session says: replies, refusals and their log lines, and the end of its patience. */
#include "smtpd/server/session.h"

#include "base/log.h"
#include "smtpd/inbound/story.h"

#include <stdarg.h>
#include <stdio.h>

#define SMTP_REPLY_TOLD 192

void session_end(struct smtp_session *s)
{
	if (s->ended || s->closing)
		return;
	s->ended = true;
	conn_finish(s->conn);
}

static void send_reply(struct smtp_session *s, struct smtp_reply reply, struct span text)
{
	struct buffer out;

	if (s->ended || s->closing)
		return;
	buffer_init(&out, 8 * KIB);
	if (s->awaits_proxy) /* it would go to the proxy, perhaps where TLS should be */
		conn_close(s->conn);
	else if (reply_format(&out, reply, text))
		conn_write(s->conn, out.data, out.len);
	else
		conn_close(s->conn); /* out of memory */
	buffer_free(&out);
	if (reply.code == 421) /* RFC 5321 §3.8: only with this code may a server leave first */
		session_end(s);
}

void session_reply(struct smtp_session *s, unsigned code, const char *enhanced, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_reply(s, (struct smtp_reply) { code, enhanced }, span_of(text));
}

static void log_refusal(const struct smtp_session *s, enum smtp_stage stage, unsigned code, const struct error *err)
{
	static const char *const stages[STAGE_COUNT] = { "command", "sender", "recipient", "data", "delivery",
		"limit" };

	/* A limit that is reached may mean a stolen password: somebody should look. */
	LOG(stage == STAGE_LIMIT ? LOG_WARNING : LOG_INFO, stage == STAGE_LIMIT ? "smtp.limit" : "smtp.refused",
	        LOG_NUMBER("session", s->id), LOG_TEXT("login", s->login), LOG_TEXT("port", session_port_name(s)),
	        LOG_TEXT("peer", s->closing ? "" : conn_peer_text(s->conn)), LOG_TEXT("at", stages[stage]),
	        LOG_NUMBER("code", code), LOG_TEXT("from", s->transaction != NULL ? s->transaction->sender : ""),
	        LOG_FAILURE(err));
}

static void too_many(struct smtp_session *s, const char *what)
{
	LOG(LOG_INFO, "smtp.goodbye", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_TEXT("why", what));
	session_reply(s, 421, "4.7.0", "%s, goodbye", what);
}

/* Not with a server of the admin's that delivers into us all day. */
bool session_lose_patience(struct smtp_session *s, unsigned *count, unsigned limit, const char *what)
{
	if (s->port == PORT_DELIVER || ++*count <= limit)
		return false;
	too_many(s, what);
	return true;
}

void session_refuse(struct smtp_session *s, enum smtp_stage stage, const struct error *err)
{
	struct smtp_reply reply = reply_for_error(stage, err->code);

	log_refusal(s, stage, reply.code, err);
	if (!session_lose_patience(s, &s->refusals, REFUSALS_MAX, "too many refusals"))
		send_reply(s, reply, span_of(err->reason));
}

void session_say(struct smtp_session *s, enum smtp_stage stage, const struct error *err)
{
	send_reply(s, reply_for_error(stage, err->code), span_of(err->reason));
}

void session_tell_refused(struct smtp_session *s, enum smtp_stage stage, const struct error *err, struct span recipient)
{
	struct smtp_reply reply = reply_for_error(stage, err->code);
	char text[SMTP_REPLY_TOLD];

	if (s->transaction == NULL)
		return;
	snprintf(text, sizeof(text), "%u %s %s", reply.code, reply.enhanced, err->reason);
	story_refused(s->server->accept.events, stage == STAGE_LIMIT ? EVENT_LIMIT : EVENT_REFUSED,
	        span_of(s->transaction->id), span_of(s->transaction->sender), recipient, span_of(text));
}

void session_bad_command(struct smtp_session *s, unsigned code, const char *enhanced, const char *text)
{
	LOG(LOG_DEBUG, "smtp.bad_command", LOG_NUMBER("session", s->id), LOG_NUMBER("code", code),
	        LOG_TEXT("reason", text));
	if (!session_lose_patience(s, &s->bad_commands, s->server->settings.bad_commands, "too many bad commands"))
		session_reply(s, code, enhanced, "%s", text);
}

void session_bad_argument(struct smtp_session *s, enum smtp_stage stage, const struct error *err)
{
	struct smtp_reply reply = reply_for_error(stage, err->code);

	session_bad_command(s, reply.code, reply.enhanced, err->reason);
}
