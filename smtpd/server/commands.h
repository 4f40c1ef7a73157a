/* smtpd/server/commands.h — the command table, its gate, and the handlers behind it (one file each). Thread: the loop's. */
#ifndef SMTPD_SERVER_COMMANDS_H
#define SMTPD_SERVER_COMMANDS_H

#include "smtpd/server/session.h"

/* One command line without its CRLF. The gate (command.c) checks state, login and the presence of arguments; handlers never
 * do that again. */
void command_dispatch(struct smtp_session *s, struct span line);

/* server/extensions.c: the lines of the EHLO reply after the first, each beginning with LF. */
void extensions_list(const struct smtp_session *s, struct buffer *out);
/* The same for who reads the arguments of MAIL and RCPT. */
struct smtp_offers extensions_offers(const struct smtp_session *s);

/* server/cmd_session.c */
void cmd_ehlo(struct smtp_session *s, struct span args);
void cmd_helo(struct smtp_session *s, struct span args);
void cmd_lhlo(struct smtp_session *s, struct span args);
void cmd_starttls(struct smtp_session *s, struct span args);
void cmd_rset(struct smtp_session *s, struct span args);
void cmd_noop(struct smtp_session *s, struct span args);
void cmd_help(struct smtp_session *s, struct span args);
void cmd_quit(struct smtp_session *s, struct span args);
void cmd_not_here(struct smtp_session *s, struct span args);
void cmd_wrong_protocol(struct smtp_session *s, struct span args);

/* server/cmd_admin.c */
void cmd_vrfy(struct smtp_session *s, struct span args);
void cmd_expn(struct smtp_session *s, struct span args);
void cmd_etrn(struct smtp_session *s, struct span args);
bool session_offers_expn(const struct smtp_session *s);
bool session_offers_etrn(const struct smtp_session *s);

/* server/cmd_xclient.c */
void cmd_xclient(struct smtp_session *s, struct span args);

/* server/proxy.c: the header that comes before anything else where a proxy connects. */
void proxy_await(struct smtp_session *s);
void proxy_receive(struct smtp_session *s, struct span bytes); /* takes them all */

/* server/local_user.c: PORT_LOCAL */
void local_user_start(struct smtp_session *s);
void local_user_sender(const struct smtp_session *s, struct smtp_path *sender); /* who MAIL is really from */

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

/* server/cmd_bdat.c */
void cmd_bdat(struct smtp_session *s, struct span args);
size_t chunk_receive(struct smtp_session *s, struct span bytes); /* octets of a chunk; returns how many it took */

/* server/octets.c: what DATA and BDAT share: octets on their way to the spool. */
bool octets_begin(struct smtp_session *s, struct error *err); /* a spool for the message; the disk is not touched */
void octets_keep(struct smtp_session *s, struct span text);
/* What is too much for memory goes to the disk, and then done() comes; true: it is under way, and the session waits. */
bool octets_flush(struct smtp_session *s, void (*done)(struct smtp_session *s));
/* How much is read at once: much while a message comes in, where not too many do, and little else. */
void octets_read_widely(struct smtp_session *s);
void octets_read_narrowly(struct smtp_session *s);
void octets_left_memory(struct smtp_session *s);        /* the spool has nothing there any more: gone, or a file */
bool octets_are_too_many(const struct smtp_session *s); /* in memory, of all sessions */
bool octets_far_too_many(const struct smtp_session *s);
void octets_bad(struct smtp_session *s); /* bare CR, bare LF or NUL: refused, and the end of the session */

#endif
