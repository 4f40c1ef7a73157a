/* pop3d/body_stream.h — TOP, and RETR of a message over WHOLE_MESSAGE_MAX: read by one job a chunk, sent as the client takes
 * it. Memory stays flat: one chunk here, and what the conn has queued.
 *
 * A message that cannot be read to its end after "+OK" closes the connection: there is no other way to say so, and a client
 * must not take a part for the whole. Owner: the session. Thread: the loop's. */
#ifndef POP3D_BODY_STREAM_H
#define POP3D_BODY_STREAM_H

#include "pop3d/session.h"

/* top_lines: as message_reply_init(). The message is there and not marked. */
void body_stream_begin(struct pop3_session *s, uint32_t number, uint32_t top_lines);
void body_stream_free(struct body_stream **stream); /* no job of it is under way */

#endif
