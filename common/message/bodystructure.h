/* common/message/bodystructure.h — a part tree as IMAP BODY or BODYSTRUCTURE (RFC 9051 §7.5.2). Any thread. */
#ifndef MESSAGE_BODYSTRUCTURE_H
#define MESSAGE_BODYSTRUCTURE_H

#include "message/mime.h"

/* Of a message of `size` octets that is one opaque part; for what has no room. */
#define BODYSTRUCTURE_OPAQUE "(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" 0 NIL NIL NIL NIL)"
#define BODY_OPAQUE          "(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" 0)"

/* Appends it. A part whose parent is a message may have `context` point to a struct span: that message's envelope text.
 * Without recursion. False when out is full. */
bool bodystructure_write(const struct mime_part *parts, bool extended, struct buffer *out);

#endif
