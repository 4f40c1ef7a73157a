/* STARTTLS, AUTHENTICATE, LOGIN (RFC 9051 §6.2). What the lines of an exchange mean is common/sasl's. */
#include "base/log.h"
#include "base/secret.h"
#include "imapd/capability.h"
#include "imapd/command.h"
#include "imapd/session_private.h"

/* --- STARTTLS --- */

/* session_input.c goes on, once it knows that nothing came behind the command. */
static void await_tls(struct imap_session *s)
{
	s->starts_tls = !s->ended;
}

void cmd_starttls(struct imap_session *s, struct imap_request *req)
{
	if (!parse_end(&req->parser)) {
		command_refuse(s, &req->error);
	} else if (!conn_can_start_tls(s->conn)) {
		command_bad(s, conn_has_tls(s->conn) ? "TLS is active already" : "TLS is not available");
	} else {
		req->after = await_tls;
		command_ok(s, NULL, "begin TLS now");
	}
}

/* --- how a login ends --- */

/* RFC 5530 §3: the texts are the same whether user or password is wrong. */
static void refuse_login(struct imap_session *s, enum auth_status status)
{
	static const struct {
		const char *code, *text;
	} refusals[] = {
		[AUTH_WRONG] = { "AUTHENTICATIONFAILED", "wrong user name or password" },
		[AUTH_DISABLED] = { "CONTACTADMIN", "this account is disabled; ask your postmaster" },
		[AUTH_THROTTLED] = { "LIMIT", "too many failed logins from your address; try again later" },
		[AUTH_UNAVAILABLE] = { "UNAVAILABLE", "logins are not possible now; try again later" },
	};

	LOG(LOG_INFO, "imap.login_failed", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_TEXT("why", refusals[status].code == NULL ? "" : refusals[status].code));
	session_forget_client(s);
	s->login_failures++;
	command_no(s, refusals[status].code, refusals[status].text);
}

/* RFC 9051 §6.2.2, §6.2.3: the capabilities come with the OK, so that no client needs to ask. */
static void accept_login(struct imap_session *s, const struct auth_answer *answer)
{
	char capabilities[CAPABILITIES_MAX];
	struct buffer code;

	session_logged_in(s, answer->account_id, answer->login);
	capability_list(s, capabilities);
	buffer_init(&code, CAPABILITIES_MAX + 16);
	(void)buffer_printf(&code, "CAPABILITY %s", capabilities);
	command_ok_long(s, &code, "logged in");
}

/* --- LOGIN --- */

static void on_answer(void *arg, const struct auth_answer *answer)
{
	struct imap_session *s = arg;

	s->auth = NULL;
	if (s->ended)
		return;
	if (answer->status == AUTH_OK)
		accept_login(s, answer);
	else
		refuse_login(s, answer->status);
}

void cmd_login(struct imap_session *s, struct imap_request *req)
{
	struct login_args args;

	if (!parse_login(&req->parser, &args)) {
		command_refuse(s, &req->error);
		return;
	}
	s->auth = auth_password(s->server->auth, &s->peer, args.user, args.password, on_answer, s);
	if (s->auth == NULL)
		refuse_login(s, AUTH_UNAVAILABLE);
}

/* --- AUTHENTICATE --- */

struct sasl_channel auth_channel(const struct imap_session *s)
{
	struct sasl_channel channel = { .secure = session_is_private(s) };

	_Static_assert(SASL_BINDING_MAX == CONN_BINDING_MAX, "what conn writes fits");
	for (size_t i = 0; s->server->settings.channel_binding && i < SASL_BINDING_COUNT; i++)
		channel.bindings[i].len =
		        conn_channel_binding(s->conn, sasl_binding_types[i], channel.bindings[i].octets);
	return channel;
}

static bool on_exchange_line(struct imap_session *s, struct span line)
{
	session_take_lines(s, NULL); /* nothing more is read until the step is through */
	sasl_step(s->sasl, line);
	return true;
}

static void send_challenge(struct imap_session *s, struct span text)
{
	if (s->login_overdue) {
		session_bye(s, NULL, "you took too long to log in");
		return;
	}
	session_write_text(s, "+ ");
	session_write(s, text);
	session_write_text(s, "\r\n");
	session_take_lines(s, on_exchange_line);
}

/* RFC 9051 §6.2.2: a cancelled or wrong exchange is BAD. */
static void refuse_exchange(struct imap_session *s, const char *text)
{
	session_forget_client(s);
	command_bad(s, text);
}

static void on_outcome(void *arg, enum sasl_outcome outcome, struct span text, const struct auth_answer *answer)
{
	struct imap_session *s = arg;

	if (s->ended)
		return;
	switch (outcome) {
	case SASL_CHALLENGE: send_challenge(s, text); break;
	case SASL_OK: accept_login(s, answer); break;
	case SASL_CANCELLED: refuse_exchange(s, "cancelled"); break;
	case SASL_MALFORMED: refuse_exchange(s, "that is not what the mechanism expects"); break;
	case SASL_WRONG: refuse_login(s, AUTH_WRONG); break;
	case SASL_DISABLED: refuse_login(s, AUTH_DISABLED); break;
	case SASL_THROTTLED: refuse_login(s, AUTH_THROTTLED); break;
	case SASL_UNAVAILABLE: refuse_login(s, AUTH_UNAVAILABLE); break;
	}
}

void cmd_authenticate(struct imap_session *s, struct imap_request *req)
{
	const struct sasl_channel channel = auth_channel(s);
	struct authenticate_args args;

	if (!parse_authenticate(&req->parser, &args) ||
	        !sasl_new(s->server->auth, &s->peer, args.mechanism, &channel, on_outcome, s, &s->sasl, &req->error)) {
		command_refuse(s, &req->error);
		return;
	}
	sasl_start(s->sasl, args.has_initial, args.initial);
}
