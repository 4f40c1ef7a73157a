#include "pop3d/command.h"

#include "base/log.h"
#include "net/foreign.h"

enum command_flags {
	NEEDS_PRIVACY = 1 << 0, /* logs in: TLS, or loopback when the admin says so (RFC 2595 §2.3, sasl/sasl.h) */
	REST_IS_ARG = 1 << 1,   /* one argument: all to the end of the line */
};

#define ANY_STATE (AUTHORIZATION | TRANSACTION)

static const struct pop3_command {
	struct span name;
	unsigned states;
	unsigned flags;
	unsigned args_min, args_max;
	void (*run)(struct pop3_session *s, const struct pop3_request *req);
} commands[] = {
	/* name         legal states   flags                        args   handler */
	{ SPAN("RETR"), TRANSACTION, 0, 1, 1, cmd_retr }, /* RFC 1939 §5; most frequent first */
	{ SPAN("DELE"), TRANSACTION, 0, 1, 1, cmd_dele }, /* RFC 1939 §5 */
	{ SPAN("CAPA"), ANY_STATE, 0, 0, 0, cmd_capa },   /* RFC 2449 §5 */
	{ SPAN("USER"), AUTHORIZATION, NEEDS_PRIVACY | REST_IS_ARG, 1, 1, cmd_user }, /* RFC 1939 §7 */
	{ SPAN("PASS"), AUTHORIZATION, NEEDS_PRIVACY | REST_IS_ARG, 1, 1, cmd_pass }, /* RFC 1939 §7 */
	{ SPAN("AUTH"), AUTHORIZATION, NEEDS_PRIVACY, 0, 2, cmd_auth },               /* RFC 5034 §4 */
	{ SPAN("STAT"), TRANSACTION, 0, 0, 0, cmd_stat },                             /* RFC 1939 §5 */
	{ SPAN("LIST"), TRANSACTION, 0, 0, 1, cmd_list },                             /* RFC 1939 §5 */
	{ SPAN("UIDL"), TRANSACTION, 0, 0, 1, cmd_uidl },                             /* RFC 1939 §7 */
	{ SPAN("TOP"), TRANSACTION, 0, 2, 2, cmd_top },                               /* RFC 1939 §7 */
	{ SPAN("QUIT"), ANY_STATE, 0, 0, 0, cmd_quit },                               /* RFC 1939 §4, §6 */
	{ SPAN("NOOP"), TRANSACTION, 0, 0, 0, cmd_noop },                             /* RFC 1939 §5 */
	{ SPAN("RSET"), TRANSACTION, 0, 0, 0, cmd_rset },                             /* RFC 1939 §5 */
	{ SPAN("STLS"), AUTHORIZATION, 0, 0, 0, cmd_stls },                           /* RFC 2595 §4 */
	{ SPAN("UTF8"), AUTHORIZATION, 0, 0, 0, cmd_utf8 },                           /* RFC 6856 §2.1 */
	{ SPAN("LANG"), ANY_STATE, 0, 0, 1, cmd_lang },                               /* RFC 6856 §3.2 */
};

void command_parse(struct span line, struct pop3_request *req)
{
	struct span rest;

	*req = (struct pop3_request) { .name = line };
	if (!span_take_until(&line, ' ', &req->name))
		return;
	req->rest = rest = line;
	/* RFC 1939 §3 has one blank between words; more, and blanks at the end, are forgiven: Outlook sends "AUTH ". */
	while (rest.len > 0) {
		struct span word;

		if (!span_take_until(&rest, ' ', &word)) {
			word = rest;
			rest = SPAN_EMPTY;
		}
		if (word.len == 0)
			continue;
		if (req->arg_count < COMMAND_ARGS_MAX)
			req->args[req->arg_count] = word;
		req->arg_count++;
	}
}

static const struct pop3_command *find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (span_equal_nocase(name, commands[i].name))
			return &commands[i];
	}
	return NULL;
}

static void refuse_unknown(struct pop3_session *s, struct span name)
{
	if (!is_foreign_word(name, FOREIGN_HTTP | FOREIGN_SMTP)) {
		reply_bad(s, "unknown command");
		return;
	}
	LOG(LOG_INFO, "pop3.foreign", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_SPAN("command", name));
	reply_err(s, "this is a POP3 server");
	session_end(s);
}

static bool has_right_args(const struct pop3_command *command, const struct pop3_request *req)
{
	if (command->flags & REST_IS_ARG)
		return req->rest.len > 0;
	return req->arg_count >= command->args_min && req->arg_count <= command->args_max;
}

void command_dispatch(struct pop3_session *s, struct span line)
{
	const struct pop3_command *command;
	struct pop3_request req;

	command_parse(line, &req);
	command = find(req.name);
	if (command == NULL) {
		refuse_unknown(s, req.name);
	} else if (!(command->states & s->state)) {
		reply_bad(s, s->state == AUTHORIZATION ? "log in first" : "not after login");
	} else if ((command->flags & NEEDS_PRIVACY) && !session_is_private(s)) {
		struct error err;

		error_set(&err, ERR_TLS_REQUIRED, "use TLS first");
		reply_refuse(s, &err);
	} else if (!has_right_args(command, &req)) {
		reply_bad(s, command->args_max == 0 ? "no arguments here" : "wrong arguments");
	} else {
		command->run(s, &req);
	}
	session_check(s);
}
