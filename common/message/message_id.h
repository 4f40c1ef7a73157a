/* common/message/message_id.h — message ids as RFC 5256 §3 compares them. Any thread. */
#ifndef MESSAGE_MESSAGE_ID_H
#define MESSAGE_MESSAGE_ID_H

#include "base/buffer.h"

#define MESSAGE_ID_MAX 998 /* octets; a longer one is none (RFC 5322 §2.1.1) */

/* Cuts the next "<id>" out of *value and appends it without < >, quotes, blanks and comments. False when there is none, or
 * when out is full. */
bool message_id_take(struct span *value, struct buffer *out);

/* The id of a Message-ID: value: the first one, or the value itself when it has no < > and is one word. */
bool message_id_of(struct span value, struct buffer *out);

#endif
