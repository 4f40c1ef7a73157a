/* imapd/session_private.h — what the files of a session (session*.c, server.c) share with each other, and with cmd_auth.c where it
 * says so. */
#ifndef IMAPD_SESSION_PRIVATE_H
#define IMAPD_SESSION_PRIVATE_H

#include "imapd/session.h"

/* session_input.c */
size_t session_on_bytes(void *session, struct span bytes);
void session_on_drained(void *session);
/* Work in the next turn of the loop: what zlib holds, in either direction. */
void session_busy(struct imap_session *s);
void session_not_busy(struct imap_session *s);
void server_on_turn(uv_idle_t *turn);

/* session_command.c: the handler has returned; what has ended meanwhile is told, and the session goes on */
void session_tell_endings(struct imap_session *s);

/* command.c: runs the command that waited for detached ones, when none is left */
void command_unpark(struct imap_session *s);

/* server.c */
void server_check_empty(struct imap_server *server);

/* session.c; cmd_auth.c */
void session_forget_client(struct imap_session *s);   /* what was said before login: the exchange */
void session_begin_handshake(struct imap_session *s); /* bounds its time */

#endif
