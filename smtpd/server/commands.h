/* smtpd/server/commands.h — the command table, its gate, and the handlers behind it (one file each). Thread: the loop's. */
#ifndef SMTPD_SERVER_COMMANDS_H
#define SMTPD_SERVER_COMMANDS_H

#include "smtpd/server/session.h"

/* One command line without its CRLF. The gate (command.c) checks state, login and the presence of arguments; handlers never
 * do that again. */
void command_dispatch(struct smtp_session *s, struct span line);

/* server/extensions.c: the lines of the EHLO reply after the first, each beginning with LF. */
void extensions_list(const struct smtp_session *s, struct buffer *out);

/* server/cmd_session.c */
void cmd_ehlo(struct smtp_session *s, struct span args);
void cmd_helo(struct smtp_session *s, struct span args);
void cmd_starttls(struct smtp_session *s, struct span args);
void cmd_rset(struct smtp_session *s, struct span args);
void cmd_noop(struct smtp_session *s, struct span args);
void cmd_vrfy(struct smtp_session *s, struct span args);
void cmd_help(struct smtp_session *s, struct span args);
void cmd_quit(struct smtp_session *s, struct span args);
void cmd_not_here(struct smtp_session *s, struct span args);
void cmd_wrong_protocol(struct smtp_session *s, struct span args);

/* server/cmd_auth.c */
void cmd_auth(struct smtp_session *s, struct span args);
void auth_line(struct smtp_session *s, struct span line); /* a line in AUTHENTICATING */
void auth_line_too_long(struct smtp_session *s);
/* What sasl must know of the connection, as it is now. */
struct sasl_channel auth_channel(const struct smtp_session *s);

/* server/cmd_mail.c, server/cmd_rcpt.c */
void cmd_mail(struct smtp_session *s, struct span args);
struct rcpt_job;
void cmd_rcpt(struct smtp_session *s, struct span args);
void rcpt_job_free(struct rcpt_job **rcpt); /* also of NULL */

/* server/cmd_data.c */
void cmd_data(struct smtp_session *s, struct span args);
/* server/message_end.c: the last octet is in transaction->spool (or failure, too_large are set); ends with a reply. */
void message_end(struct smtp_session *s);
void message_refuse(struct smtp_session *s, enum smtp_stage stage, const struct error *err);
size_t data_receive(struct smtp_session *s, struct span bytes); /* octets in RECEIVING; returns how many it took */

#endif
