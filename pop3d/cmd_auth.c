/* AUTH (RFC 5034): the framing of a SASL exchange in POP3. What the lines mean is common/sasl's. */
#include "base/check.h"
#include "pop3d/command.h"

struct sasl_channel auth_channel(const struct pop3_session *s)
{
	struct sasl_channel channel = { .secure = session_is_private(s) };

	_Static_assert(SASL_BINDING_MAX == CONN_BINDING_MAX, "what conn writes fits");
	for (size_t i = 0; s->server->settings.channel_binding && i < SASL_BINDING_COUNT; i++)
		channel.bindings[i].len =
		        conn_channel_binding(s->conn, sasl_binding_types[i], channel.bindings[i].octets);
	return channel;
}

/* "AUTH" alone lists the mechanisms, one a line: not in RFC 5034, but Outlook asks so. */
static void list_mechanisms(struct pop3_session *s)
{
	const struct sasl_channel channel = auth_channel(s);
	struct span names = span_of(sasl_mechanism_names(&channel)), name;

	reply_ok(s, "mechanisms follow");
	while (names.len > 0) {
		if (!span_take_until(&names, ' ', &name)) {
			name = names;
			names = SPAN_EMPTY;
		}
		conn_printf(s->conn, "%.*s\r\n", SPAN_FMT(name));
	}
	conn_write_text(s->conn, ".\r\n");
}

static void end_exchange(struct pop3_session *s)
{
	sasl_free(&s->sasl);
	conn_set_line_limit(s->conn, COMMAND_LINE_MAX);
}

/* RFC 5034 §4: a wrong exchange leaves the session where it was. */
static void refuse_exchange(struct pop3_session *s, const char *text)
{
	end_exchange(s);
	s->login_failures++;
	if (s->login_failures < LOGIN_FAILURES_MAX) {
		reply_err(s, "%s", text);
		return;
	}
	reply_err(s, "%s; too many failures, goodbye", text);
	session_end(s);
}

static void send_challenge(struct pop3_session *s, struct span text)
{
	conn_write_text(s->conn, "+ ");
	conn_write(s->conn, text.ptr, text.len);
	conn_write_text(s->conn, "\r\n");
	session_go_on(s);
}

static void succeed(struct pop3_session *s, const struct auth_answer *answer)
{
	s->account_id = answer->account_id;
	(void)span_copy(span_of(answer->login), s->user, sizeof(s->user));
	end_exchange(s);
	login_begin(s, s->account_id);
}

static void on_outcome(void *arg, enum sasl_outcome outcome, struct span text, const struct auth_answer *answer)
{
	struct pop3_session *s = arg;

	if (s->ended)
		return;
	switch (outcome) {
	case SASL_CHALLENGE: send_challenge(s, text); return;
	case SASL_OK: succeed(s, answer); return;
	case SASL_CANCELLED:
		refuse_exchange(s, "cancelled");
		session_go_on(s);
		return;
	case SASL_MALFORMED:
		refuse_exchange(s, "that is not what the mechanism expects");
		session_go_on(s);
		return;
	case SASL_WRONG:
	case SASL_DISABLED:
	case SASL_THROTTLED:
	case SASL_UNAVAILABLE: break;
	}
	end_exchange(s);
	login_failed(s, outcome == SASL_WRONG       ? ERR_AUTH_FAILED
	                : outcome == SASL_DISABLED  ? ERR_DISABLED
	                : outcome == SASL_THROTTLED ? ERR_LIMIT
	                                            : ERR_TEMPORARY);
}

void cmd_auth(struct pop3_session *s, const struct pop3_request *req)
{
	const struct sasl_channel channel = auth_channel(s);
	struct error err;

	if (req->arg_count == 0) {
		list_mechanisms(s);
		return;
	}
	if (!sasl_new(s->server->auth, &s->peer, req->args[0], &channel, on_outcome, s, &s->sasl, &err)) {
		if (err.code == ERR_UNSUPPORTED)
			reply_bad(s, err.reason);
		else
			reply_refuse(s, &err);
		return;
	}
	s->has_user = false;
	conn_set_line_limit(s->conn, SASL_LINE_MAX + 2);
	session_wait(s);
	sasl_start(s->sasl, req->arg_count == 2, req->args[1]);
}

void auth_line(struct pop3_session *s, struct span line)
{
	session_wait(s);
	sasl_step(s->sasl, line);
}

void auth_line_too_long(struct pop3_session *s)
{
	refuse_exchange(s, "the line is too long");
}
