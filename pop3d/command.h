/* pop3d/command.h — the one table of commands and the one gate in front of them.
 *
 * A handler runs only when the state allows its command, the number of arguments is right and, for logins, the connection
 * is private; it never checks these again. Thread: the loop's. */
#ifndef POP3D_COMMAND_H
#define POP3D_COMMAND_H

#include "pop3d/session.h"

#define COMMAND_ARGS_MAX 2

struct pop3_request {
	struct span name;
	struct span
	        rest; /* all after the keyword's blank, as it came: a password may hold blanks (RFC 1939 §7, PASS) */
	struct span args[COMMAND_ARGS_MAX];
	size_t arg_count;
};

/* Cuts a line; more than COMMAND_ARGS_MAX arguments are counted, not kept. */
void command_parse(struct span line, struct pop3_request *request);
/* Looks the command up and runs it, or says why not. */
void command_dispatch(struct pop3_session *s, struct span line);

/* Any state */
void cmd_capa(struct pop3_session *s, const struct pop3_request *req);
void cmd_lang(struct pop3_session *s, const struct pop3_request *req);
void cmd_quit(struct pop3_session *s, const struct pop3_request *req);
/* AUTHORIZATION */
void cmd_user(struct pop3_session *s, const struct pop3_request *req);
void cmd_pass(struct pop3_session *s, const struct pop3_request *req);
void cmd_auth(struct pop3_session *s, const struct pop3_request *req);
void cmd_stls(struct pop3_session *s, const struct pop3_request *req);
void cmd_utf8(struct pop3_session *s, const struct pop3_request *req);
/* TRANSACTION */
void cmd_stat(struct pop3_session *s, const struct pop3_request *req);
void cmd_list(struct pop3_session *s, const struct pop3_request *req);
void cmd_uidl(struct pop3_session *s, const struct pop3_request *req);
void cmd_retr(struct pop3_session *s, const struct pop3_request *req);
void cmd_top(struct pop3_session *s, const struct pop3_request *req);
void cmd_dele(struct pop3_session *s, const struct pop3_request *req);
void cmd_noop(struct pop3_session *s, const struct pop3_request *req);
void cmd_rset(struct pop3_session *s, const struct pop3_request *req);

/* The line that answers a SASL challenge (cmd_auth.c). */
void auth_line(struct pop3_session *s, struct span line);
void auth_line_too_long(struct pop3_session *s);
/* What sasl must know of the connection, as it is now (cmd_auth.c). */
struct sasl_channel auth_channel(const struct pop3_session *s);
/* The account is known to be the client's: lock and read the maildrop (cmd_login.c). */
void login_begin(struct pop3_session *s, int64_t account_id);
/* Refuses a login; the session ends after LOGIN_FAILURES_MAX. */
void login_failed(struct pop3_session *s, enum error_code why);
/* A message number that is there and not marked; else NULL, and the refusal is said. */
struct maildrop_message *take_message(struct pop3_session *s, struct span number_text, uint32_t *number);

#endif
