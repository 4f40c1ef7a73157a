/* CAPA, LANG, QUIT: the commands of both states. */
#include "base/log.h"
#include "pop3d/command.h"

/* RFC 2449 §5: what can be said before login is said after it too, but for STLS (RFC 2595 §8). */
void cmd_capa(struct pop3_session *s, const struct pop3_request *req)
{
	const struct pop3d_settings *settings = &s->server->settings;
	const struct sasl_channel channel = auth_channel(s);

	(void)req;
	reply_ok(s, "capability list follows");
	conn_write_text(s->conn, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n");
	if (channel.secure) /* RFC 2595 §2.3, and the rule in sasl/sasl.h */
		conn_printf(s->conn, "USER\r\nSASL %s\r\n", sasl_mechanism_names(&channel));
	if (s->state == AUTHORIZATION && conn_can_start_tls(s->conn))
		conn_write_text(s->conn, "STLS\r\n");
	conn_printf(s->conn, "UTF8 USER\r\nLANG\r\nIMPLEMENTATION Posthouse-%s\r\n.\r\n", settings->version);
}

/* RFC 4647 §3.4 Lookup: the range, or failing that the range without its last subtags. */
static bool lookup(struct span range, bool *i_default)
{
	size_t at;

	while (range.len > 0) {
		if (span_equal_nocase(range, SPAN("en")) || span_equal_nocase(range, SPAN("*"))) {
			*i_default = false;
			return true;
		}
		if (span_equal_nocase(range, SPAN("i-default"))) {
			*i_default = true;
			return true;
		}
		range = span_first(range, span_find_last(range, '-', &at) ? at : 0);
	}
	return false;
}

/* All our texts are English, which is also what i-default means (RFC 2277 §4.5). */
void cmd_lang(struct pop3_session *s, const struct pop3_request *req)
{
	if (req->arg_count == 0) {
		reply_ok(s, "language listing follows");
		conn_write_text(s->conn, "en English\r\ni-default English\r\n.\r\n");
	} else if (lookup(req->args[0], &s->i_default)) {
		reply_ok(s, "%s language is English", s->i_default ? "i-default" : "en");
	} else {
		reply_err(s, "no such language here; LANG alone lists them");
	}
}

static void sign_off(struct pop3_session *s)
{
	reply_ok(s, "%s POP3 signing off", s->server->settings.hostname);
	session_end(s);
}

static void run_update(struct pop3_session *s)
{
	(void)maildrop_update(s->maildrop, s->server->settings.delete_to, &s->job_error);
	maildrop_close(&s->maildrop); /* before the answer: the client may come again at once */
}

static void update_done(struct pop3_session *s)
{
	struct error err = s->job_error;

	if (err.code == ERR_NONE) {
		sign_off(s);
	} else {
		s->deleted = 0;
		reply_refuse(s, &err); /* RFC 1939 §6: "-ERR some deleted messages not removed"; here none is */
		session_end(s);
	}
	session_go_on(s);
}

void cmd_quit(struct pop3_session *s, const struct pop3_request *req)
{
	(void)req;
	if (s->state == AUTHORIZATION) {
		sign_off(s);
		return;
	}
	s->state = UPDATE; /* RFC 1939 §6 */
	s->deleted = s->maildrop->total - s->maildrop->count;
	if (s->deleted > 0) {
		session_work(s, WORKER_WRITE, run_update, update_done);
	} else {
		maildrop_close(&s->maildrop);
		sign_off(s);
	}
}
