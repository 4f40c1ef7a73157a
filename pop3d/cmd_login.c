/* From "authd says yes" to the TRANSACTION state (RFC 1939 §4), for PASS and AUTH alike. */
#include "base/check.h"
#include "base/log.h"
#include "pop3d/command.h"

static void run_open(struct pop3_session *s)
{
	(void)maildrop_open(s->server->store, s->account_id, &s->maildrop, &s->job_error);
}

static void refuse(struct pop3_session *s, const struct error *err)
{
	LOG(LOG_INFO, "pop3.login_failed", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_TEXT("error", error_name(err->code)), LOG_SPAN("user", span_of(s->user)));
	session_forget_client(s);
	reply_refuse(s, err);
	if (++s->login_failures >= LOGIN_FAILURES_MAX || s->login_overdue)
		session_end(s);
	session_go_on(s);
}

void login_failed(struct pop3_session *s, enum error_code why)
{
	struct error err;

	error_detail(&err, why, "login");
	refuse(s, &err);
}

static void login_opened(struct pop3_session *s)
{
	struct maildrop *maildrop = s->maildrop;

	if (maildrop == NULL) {
		refuse(s, &s->job_error);
		return;
	}
	session_logged_in(s);
	LOG(LOG_INFO, "pop3.login", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_NUMBER("account", s->account_id), LOG_NUMBER("tls", conn_has_tls(s->conn)),
	        LOG_NUMBER("messages", maildrop->count));
	reply_ok(s, "maildrop has %u messages (%llu octets)", maildrop->count, (unsigned long long)maildrop->size);
	session_go_on(s);
}

void login_begin(struct pop3_session *s, int64_t account_id)
{
	CHECK(s->state == AUTHORIZATION && s->maildrop == NULL);
	s->account_id = account_id;
	session_work(s, WORKER_READ, run_open, login_opened);
}
