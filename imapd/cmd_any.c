/* CAPABILITY, NOOP and CHECK, LOGOUT, ID: the commands of all states. */
#include "base/log.h"
#include "imapd/capability.h"
#include "imapd/command.h"

/* RFC 9051 §6.1.1 */
void cmd_capability(struct imap_session *s, struct imap_request *req)
{
	char capabilities[CAPABILITIES_MAX];

	if (!parse_end(&req->parser)) {
		command_refuse(s, &req->error);
		return;
	}
	capability_list(s, capabilities);
	session_printf(s, "* CAPABILITY %s\r\n", capabilities);
	command_ok(s, NULL, "done");
}

/* RFC 9051 §6.1.2, RFC 3501 §6.4.1: what is new is told at the end of any command, and everything is on disk already. */
void cmd_noop(struct imap_session *s, struct imap_request *req)
{
	if (parse_end(&req->parser))
		command_ok(s, NULL, "done");
	else
		command_refuse(s, &req->error);
}

/* RFC 9051 §6.1.3 */
void cmd_logout(struct imap_session *s, struct imap_request *req)
{
	if (!parse_end(&req->parser)) {
		command_refuse(s, &req->error);
		return;
	}
	session_unselect(s);
	s->state = LOGGED_OUT;
	session_write_text(s, "* BYE goodbye\r\n");
	req->after = session_end;
	command_ok(s, NULL, "done");
}

static struct span value_of(const struct span_list *pairs, struct span name)
{
	for (size_t i = 0; i + 1 < pairs->count; i += 2) {
		if (span_equal_nocase(pairs->items[i], name))
			return pairs->items[i + 1];
	}
	return SPAN_EMPTY;
}

/* RFC 2971 §3.1. The version is told only to who has logged in: others need it for attacks at best. */
void cmd_id(struct imap_session *s, struct imap_request *req)
{
	struct span_list pairs;

	if (!parse_id(&req->parser, &pairs)) {
		command_refuse(s, &req->error);
		return;
	}
	if (s->state == NOT_AUTHENTICATED) {
		session_write_text(s, "* ID (\"name\" \"Posthouse\")\r\n");
	} else {
		LOG(LOG_INFO, "imap.client", LOG_NUMBER("session", s->id),
		        LOG_SPAN("name", value_of(&pairs, SPAN("name"))),
		        LOG_SPAN("version", value_of(&pairs, SPAN("version"))));
		session_printf(s, "* ID (\"name\" \"Posthouse\" \"version\" \"%s\")\r\n", s->server->settings.version);
	}
	command_ok(s, NULL, "done");
}
