/* pop3d/read_ahead.h — RETR of messages up to WHOLE_MESSAGE_MAX: clients fetch them in order, so one job reads the next ones
 * together and the following RETRs are answered from memory, without a thread hop each.
 *
 * Two windows: `front` answers, `back` is being filled while the client takes the second half of front. A window holds whole
 * replies, dots doubled, ready to be sent. Width grows 1, 8, 32 while RETRs come in order; any other RETR reads one message.
 * A message that cannot be read is never answered from a background read: it is tried again, so that the refusal is of now.
 * Owner: the session; freed when no job of it is under way. Thread: the loop's. */
#ifndef POP3D_READ_AHEAD_H
#define POP3D_READ_AHEAD_H

#include "pop3d/session.h"

/* Answers RETR, now or later; the message is there, not marked and not larger than WHOLE_MESSAGE_MAX. */
void read_ahead_retr(struct pop3_session *s, uint32_t number);
void read_ahead_free(struct read_ahead **ahead);

#endif
