#include "smtpd/server/commands.h"

enum command_flag {
	NO_ARGUMENT = 1 << 0, /* RFC 5321 §4.3.2: 501 when one is given */
	NEEDS_ARGUMENT = 1 << 1,
	NEEDS_LOGIN = 1 << 2,    /* on the submission ports (RFC 6409 §4.3) */
	BRINGS_NOTHING = 1 << 3, /* counts towards IDLE_COMMANDS_MAX */
};

struct smtp_command {
	const char *name;
	unsigned states;
	void (*run)(struct smtp_session *s, struct span args);
	unsigned flags;
};

/* Most frequent first. Pipelining needs no flag: a session that waits reads nothing (RFC 2920), and conn_start_tls()
 * refuses what came after STARTTLS in the same packet. */
static const struct smtp_command commands[] = {
	/* name     legal states           handler       flags                                    RFC 5321 */
	{ "MAIL", READY, cmd_mail, NEEDS_ARGUMENT | NEEDS_LOGIN },                 /* §4.1.1.2 */
	{ "RCPT", HAS_SENDER | HAS_RCPT, cmd_rcpt, NEEDS_ARGUMENT | NEEDS_LOGIN }, /* §4.1.1.3 */
	{ "DATA", HAS_RCPT, cmd_data, NO_ARGUMENT | NEEDS_LOGIN },                 /* §4.1.1.4 */
	{ "RSET", ANY_COMMAND, cmd_rset, NO_ARGUMENT | BRINGS_NOTHING },           /* §4.1.1.5 */
	{ "EHLO", ANY_COMMAND, cmd_ehlo, BRINGS_NOTHING },                         /* §4.1.1.1 */
	{ "HELO", ANY_COMMAND, cmd_helo, BRINGS_NOTHING },                         /* §4.1.1.1 */
	{ "QUIT", ANY_COMMAND, cmd_quit, NO_ARGUMENT },                            /* §4.1.1.10 */
	{ "NOOP", ANY_COMMAND, cmd_noop, BRINGS_NOTHING },                         /* §4.1.1.9 */
	{ "STARTTLS", GREETED | READY, cmd_starttls, NO_ARGUMENT },                /* RFC 3207 §4 */
	{ "AUTH", READY, cmd_auth, NEEDS_ARGUMENT },                               /* RFC 4954 §4 */
	{ "VRFY", ANY_COMMAND, cmd_vrfy, NEEDS_ARGUMENT | BRINGS_NOTHING },        /* §4.1.1.6 */
	{ "HELP", ANY_COMMAND, cmd_help, BRINGS_NOTHING },                         /* §4.1.1.8 */
	{ "EXPN", ANY_COMMAND, cmd_expn, NEEDS_ARGUMENT | BRINGS_NOTHING },        /* §4.1.1.7, §7.3 */
	{ "SEND", ANY_COMMAND, cmd_not_here, 0 },                                  /* appendix F.6 */
	{ "SOML", ANY_COMMAND, cmd_not_here, 0 },                                  /* appendix F.6 */
	{ "SAML", ANY_COMMAND, cmd_not_here, 0 },                                  /* appendix F.6 */
	{ "TURN", ANY_COMMAND, cmd_not_here, 0 },                                  /* appendix F.1 */
	{ "ETRN", READY, cmd_etrn, NEEDS_ARGUMENT | BRINGS_NOTHING },              /* RFC 1985 */
	{ "BDAT", ANY_COMMAND, cmd_bdat, 0 }, /* RFC 3030 §2; in every state, as its octets follow in any case */
	{ "LHLO", ANY_COMMAND, cmd_lhlo, BRINGS_NOTHING },           /* RFC 2033 §4.1 */
	{ "XCLIENT", GREETED | READY, cmd_xclient, NEEDS_ARGUMENT }, /* Postfix's XCLIENT_README */
	{ "GET", ANY_COMMAND, cmd_wrong_protocol, 0 },               /* promises.md, "cross-protocol" */
	{ "POST", ANY_COMMAND, cmd_wrong_protocol, 0 }, { "HEAD", ANY_COMMAND, cmd_wrong_protocol, 0 },
	{ "PUT", ANY_COMMAND, cmd_wrong_protocol, 0 }, { "DELETE", ANY_COMMAND, cmd_wrong_protocol, 0 },
	{ "PATCH", ANY_COMMAND, cmd_wrong_protocol, 0 }, { "OPTIONS", ANY_COMMAND, cmd_wrong_protocol, 0 },
	{ "CONNECT", ANY_COMMAND, cmd_wrong_protocol, 0 }, { "TRACE", ANY_COMMAND, cmd_wrong_protocol, 0 },
	{ "PRI", ANY_COMMAND, cmd_wrong_protocol, 0 }, /* HTTP/2 */
};

static const struct smtp_command *command_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (span_equal_nocase(name, span_of(commands[i].name)))
			return &commands[i];
	return NULL;
}

static const char *what_is_missing(const struct smtp_session *s, const struct smtp_command *command)
{
	if (s->state == GREETED)
		return s->port == PORT_DELIVER ? "say LHLO first" : "say EHLO first";
	if (command->states == READY)
		return "not inside a mail transaction";
	if (s->state == READY)
		return "say MAIL first";
	if (command->states == HAS_RCPT)
		return "no valid recipients, say RCPT first";
	return "not now";
}

/* RFC 4954 §6, RFC 3207 §4. */
static void refuse_without_login(struct smtp_session *s)
{
	if (!session_is_private(s) && session_offers_starttls(s))
		session_bad_command(s, 530, "5.7.0", "say STARTTLS first, then log in");
	else
		session_bad_command(s, 530, "5.7.0", "log in first");
}

static bool has_control_characters(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if (((unsigned char)line.ptr[i] < 32 && line.ptr[i] != '\t') || line.ptr[i] == 127)
			return true;
	return false;
}

static void run_command(struct smtp_session *s, const struct smtp_command *command, struct span args)
{
	if (command == NULL)
		session_bad_command(s, 500, "5.5.1", "unknown command");
	else if ((command->flags & NEEDS_LOGIN) && session_needs_login(s))
		refuse_without_login(s);
	else if ((command->states & s->state) == 0)
		session_bad_command(s, 503, "5.5.1", what_is_missing(s, command));
	else if ((command->flags & NO_ARGUMENT) && args.len > 0)
		session_bad_command(s, 501, "5.5.4", "this command takes no argument");
	else if ((command->flags & NEEDS_ARGUMENT) && args.len == 0)
		session_bad_command(s, 501, "5.5.4", "this command needs an argument");
	else if ((command->flags & BRINGS_NOTHING) == 0 ||
	         !session_lose_patience(s, &s->idle_commands, IDLE_COMMANDS_MAX, "too many commands without mail"))
		command->run(s, args);
}

/* The one gate. */
void command_dispatch(struct smtp_session *s, struct span line)
{
	struct span name = SPAN_EMPTY, args = span_trim(line); /* RFC 5321 §4.1.1: trailing white space is forgiven */

	if (has_control_characters(line)) {
		session_bad_command(s, 500, "5.5.2", "control character in the line");
		return;
	}
	if (!span_take_until(&args, ' ', &name)) {
		name = args;
		args = SPAN_EMPTY;
	}
	run_command(s, command_find(name), span_trim(args));
}
