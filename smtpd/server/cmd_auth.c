#include "smtpd/server/commands.h"

#include "base/check.h"
#include "base/log.h"

/* RFC 4954. The mechanisms live in common/sasl; here is only SMTP's framing of them. */

struct sasl_channel auth_channel(const struct smtp_session *s)
{
	struct sasl_channel channel = { .secure = session_is_private(s) };

	_Static_assert(SASL_BINDING_MAX == CONN_BINDING_MAX, "what conn writes fits");
	for (size_t i = 0; s->server->settings.channel_binding && i < SASL_BINDING_COUNT; i++)
		channel.bindings[i].len =
		        conn_channel_binding(s->conn, sasl_binding_types[i], channel.bindings[i].octets);
	return channel;
}

static void auth_end(struct smtp_session *s)
{
	CHECK(s->state == AUTHENTICATING);
	sasl_free(&s->sasl);
	s->state = READY;
}

static void logged_in(struct smtp_session *s, const struct auth_answer *answer)
{
	session_log_in(s, answer->account_id, span_of(answer->login));
	auth_end(s); /* and the answer goes with it */
	LOG(LOG_INFO, "smtp.login", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_TEXT("login", s->login), LOG_NUMBER("account", s->account_id));
	session_reply(s, 235, "2.7.0", "welcome");
}

/* What each failure is called (RFC 4954 §4, §6); `counts`: a guess, of which AUTH_FAILURES_MAX are let through. */
static const struct auth_reply {
	struct smtp_reply reply;
	const char *text;
	bool counts;
} auth_replies[] = {
	[SASL_WRONG] = { { 535, "5.7.8" }, "wrong user name or password", true },
	[SASL_DISABLED] = { { 535, "5.7.13" }, "this account is disabled, ask your postmaster", true },
	[SASL_THROTTLED] = { { 454, "4.7.0" }, "too many failed logins, try again later", true },
	[SASL_UNAVAILABLE] = { { 454, "4.7.0" }, "logins are not possible right now, try again later", false },
	[SASL_CANCELLED] = { { 501, "5.7.0" }, "login cancelled", true },
	[SASL_MALFORMED] = { { 501, "5.5.2" }, "bad base64, or not what the mechanism expects", true },
};

static void login_failed(struct smtp_session *s, enum sasl_outcome outcome)
{
	const struct auth_reply *row = &auth_replies[outcome];

	auth_end(s);
	LOG(LOG_INFO, "smtp.login_failed", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_NUMBER("code", row->reply.code), LOG_TEXT("reason", row->text));
	if (row->counts && ++s->auth_failures >= AUTH_FAILURES_MAX)
		session_reply(s, 421, "4.7.0", "%s; too many failed logins, goodbye", row->text);
	else
		session_reply(s, row->reply.code, row->reply.enhanced, "%s", row->text);
}

static void challenge(struct smtp_session *s, struct span text)
{
	session_reply(s, 334, NULL, "%.*s", SPAN_FMT(text));
}

static void on_sasl(void *arg, enum sasl_outcome outcome, struct span text, const struct auth_answer *answer)
{
	struct smtp_session *s = arg;

	if (!session_woken(s))
		return;
	if (outcome == SASL_CHALLENGE)
		challenge(s, text);
	else if (outcome == SASL_OK)
		logged_in(s, answer);
	else
		login_failed(s, outcome);
	session_go_on(s);
}

void auth_line(struct smtp_session *s, struct span line)
{
	session_wait(s, WAIT_LOGIN);
	sasl_step(s->sasl, line);
}

/* RFC 4954 §4, §6: 500 5.5.6, and the exchange is over. */
void auth_line_too_long(struct smtp_session *s)
{
	auth_end(s);
	session_bad_command(s, 500, "5.5.6", "line too long in the login exchange");
}

static void refuse_auth(struct smtp_session *s, const struct error *err)
{
	if (err->code == ERR_UNSUPPORTED) /* RFC 4954 §4 */
		session_bad_command(s, 504, "5.5.4", "this mechanism is not available");
	else
		session_bad_argument(s, STAGE_COMMAND, err);
}

static void start_exchange(struct smtp_session *s, struct span mechanism, bool has_initial, struct span initial)
{
	const struct auth_peer peer = { .service = AUTH_SMTP, .address = conn_peer_text(s->conn) };
	const struct sasl_channel channel = auth_channel(s);
	struct error err;

	if (!sasl_new(s->server->auth, &peer, mechanism, &channel, on_sasl, s, &s->sasl, &err)) {
		refuse_auth(s, &err);
		return;
	}
	s->state = AUTHENTICATING;
	session_wait(s, WAIT_LOGIN);
	sasl_start(s->sasl, has_initial, initial);
}

/* RFC 4954 §4: not in a transaction (the table says so), and only once a session. The initial response is taken for every
 * mechanism, also for LOGIN: Outlook's cloud sends one (clients.md §5). */
void cmd_auth(struct smtp_session *s, struct span args)
{
	struct span mechanism = args, initial = SPAN_EMPTY;
	bool has_initial = false;

	if (s->account_id != 0) {
		session_bad_command(s, 503, "5.5.1", "you are logged in already");
	} else if (s->port == PORT_MX || s->port == PORT_LOCAL || s->port == PORT_DELIVER) {
		session_bad_command(s, 502, "5.5.1", "logins belong to the submission ports");
	} else if (!session_offers_auth(s)) {
		session_bad_command(s, 538, "5.7.11", "say STARTTLS first: passwords need an encrypted connection");
	} else {
		if (span_take_until(&args, ' ', &mechanism)) {
			initial = span_trim(args);
			has_initial = true;
		}
		start_exchange(s, mechanism, has_initial, initial);
	}
}
