#include "smtpd/server/commands.h"

#include "base/log.h"

/* RFC 5321 §4.1.1.1 wants a domain or an address literal; clients say much else (clients.md §2.4), and what they say proves
 * nothing (§4.1.4), so any one word of printable ASCII will do. What follows the word is ignored, as §4.1.1.1 advises. */
static bool take_client_name(struct smtp_session *s, struct span args)
{
	struct span name;

	if (!span_take_until(&args, ' ', &name))
		name = args;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= 32 || name.ptr[i] == 127)
			return false;
	if (s->helo_given)
		return name.len > 0;
	return name.len > 0 && span_copy(name, s->helo, sizeof(s->helo));
}

/* RFC 5321 §4.1.4: also later in a session, as a RSET. A refused one leaves the state as it was. No enhanced codes here
 * (RFC 2034 §4). */
static bool greeted_by(struct smtp_session *s, struct span args, bool extended)
{
	if (!take_client_name(s, args)) {
		session_bad_command(s, 501, NULL, "expected the name or the address literal of your host");
		return false;
	}
	session_end_message(s);
	s->extended = extended;
	s->state = READY;
	return true;
}

static void greet_extended(struct smtp_session *s, struct span args)
{
	struct buffer lines;

	if (!greeted_by(s, args, true))
		return;
	buffer_init(&lines, 2 * KIB);
	extensions_list(s, &lines);
	session_reply(s, 250, NULL, "%s%s", s->server->settings.hostname, buffer_text(&lines));
	buffer_free(&lines);
}

/* RFC 2033 §4.1: neither of the two is taken for the other. */
static bool is_lmtp(struct smtp_session *s)
{
	if (s->port != PORT_DELIVER)
		return false;
	session_bad_command(s, 500, "5.5.1", "this is LMTP, say LHLO");
	return true;
}

void cmd_ehlo(struct smtp_session *s, struct span args)
{
	if (!is_lmtp(s))
		greet_extended(s, args);
}

void cmd_lhlo(struct smtp_session *s, struct span args)
{
	if (s->port == PORT_DELIVER)
		greet_extended(s, args);
	else
		session_bad_command(s, 500, "5.5.1", "this is SMTP, say EHLO");
}

void cmd_helo(struct smtp_session *s, struct span args)
{
	if (!is_lmtp(s) && greeted_by(s, args, false))
		session_reply(s, 250, NULL, "%s", s->server->settings.hostname);
}

void cmd_starttls(struct smtp_session *s, struct span args)
{
	(void)args;
	if (conn_has_tls(s->conn)) {
		session_bad_command(s, 503, "5.5.1", "TLS is already on"); /* RFC 3207 §4.2 */
		return;
	}
	if (!session_offers_starttls(s)) {
		session_bad_command(s, 502, "5.5.1", "TLS is not available here");
		return;
	}
	session_reply(s, 220, "2.0.0", "ready to start TLS");
	session_forget_client(s); /* RFC 3207 §4.2 */
	conn_set_timeout(s->conn, s->server->settings.tls_timeout_ms);
	if (!conn_start_tls(s->conn)) { /* commands came in the same packet: CVE-2011-0411 */
		s->ended = true;
		LOG(LOG_WARNING, "smtp.starttls_injection", LOG_NUMBER("session", s->id),
		        LOG_TEXT("peer", conn_peer_text(s->conn)));
	}
}

void cmd_rset(struct smtp_session *s, struct span args)
{
	(void)args;
	session_end_message(s);
	session_reply(s, 250, "2.0.0", "OK");
}

void cmd_noop(struct smtp_session *s, struct span args)
{
	(void)args; /* RFC 5321 §4.1.1.9: a parameter is ignored */
	session_reply(s, 250, "2.0.0", "OK");
}

void cmd_help(struct smtp_session *s, struct span args)
{
	(void)args;
	session_reply(s, 214, "2.0.0",
	        "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP STARTTLS AUTH%s%s\nsee RFC 5321; questions to postmaster",
	        session_offers_expn(s) ? " EXPN" : "", session_offers_etrn(s) ? " ETRN" : "");
}

void cmd_quit(struct smtp_session *s, struct span args)
{
	(void)args;
	session_reply(s, 221, "2.0.0", "goodbye");
	session_end(s);
}

/* RFC 5321 §4.2.4: 502 for a command that is known and not implemented. */
void cmd_not_here(struct smtp_session *s, struct span args)
{
	(void)args;
	session_bad_command(s, 502, "5.5.1", "this command is not available here");
}

/* A browser, or a client that sends data that would be taken for commands: nothing that follows is looked at. */
void cmd_wrong_protocol(struct smtp_session *s, struct span args)
{
	(void)args;
	LOG(LOG_WARNING, "smtp.wrong_protocol", LOG_NUMBER("session", s->id),
	        LOG_TEXT("peer", conn_peer_text(s->conn)));
	session_reply(s, 421, "4.7.0", "this is not what is spoken here, goodbye");
}
