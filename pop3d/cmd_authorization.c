/* USER, PASS, STLS, UTF8: the AUTHORIZATION state but for AUTH (cmd_auth.c). */
#include "base/utf8.h"
#include "pop3d/command.h"

/* Says yes to every name: who is a user here is nobody's business (RFC 1939 §13). */
void cmd_user(struct pop3_session *s, const struct pop3_request *req)
{
	struct span name = span_trim(req->rest);

	s->has_user = false;
	/* RFC 6856 §2.2: what is not UTF-8 must be rejected. SASLprep is authd's, as for AUTH. */
	if (name.len == 0 || !utf8_valid(name) || !span_copy(name, s->user, sizeof(s->user))) {
		reply_bad(s, "that is no user name");
		return;
	}
	s->has_user = true;
	reply_ok(s, "now the password");
}

static void on_answer(void *arg, const struct auth_answer *answer)
{
	struct pop3_session *s = arg;

	s->auth = NULL;
	if (s->ended)
		return;
	switch (answer->status) {
	case AUTH_OK: login_begin(s, answer->account_id); break;
	case AUTH_WRONG: login_failed(s, ERR_AUTH_FAILED); break;
	case AUTH_DISABLED: login_failed(s, ERR_DISABLED); break;
	case AUTH_THROTTLED: login_failed(s, ERR_LIMIT); break;
	case AUTH_UNAVAILABLE: login_failed(s, ERR_TEMPORARY); break;
	}
}

void cmd_pass(struct pop3_session *s, const struct pop3_request *req)
{
	if (!s->has_user) {
		reply_bad(s, "USER first");
		return;
	}
	s->has_user = false; /* RFC 1939 §7: PASS stands directly after USER */
	session_wait(s);
	s->auth = auth_password(s->server->auth, &s->peer, span_of(s->user), req->rest, on_answer, s);
	if (s->auth == NULL)
		login_failed(s, ERR_TEMPORARY);
}

void cmd_stls(struct pop3_session *s, const struct pop3_request *req)
{
	(void)req;
	if (conn_has_tls(s->conn)) {
		reply_bad(s, "TLS is active already"); /* RFC 2595 §4 */
	} else if (!conn_can_start_tls(s->conn)) {
		reply_bad(s, "no TLS here");
	} else if (s->utf8) {
		reply_bad(s, "not after UTF8"); /* RFC 6856 §2.1 */
	} else {
		reply_ok(s, "begin TLS negotiation");
		session_forget_client(s);
		session_begin_handshake(s);
		if (!conn_start_tls(s->conn))
			s->ended = true; /* something came in the clear behind STLS: the conn is closing */
	}
}

void cmd_utf8(struct pop3_session *s, const struct pop3_request *req)
{
	(void)req;
	s->utf8 = true;
	reply_ok(s, "UTF8 enabled");
}
