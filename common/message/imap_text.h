/* common/message/imap_text.h — strings in IMAP syntax (RFC 9051 §4.3). Any thread. Each is false when out is full. */
#ifndef MESSAGE_IMAP_TEXT_H
#define MESSAGE_IMAP_TEXT_H

#include "base/buffer.h"

/* A quoted string when s is 7-bit text without CR and LF, else a literal. NUL, which neither may hold, becomes U+FFFD. */
bool imap_put_string(struct buffer *out, struct span s);
bool imap_put_nstring(struct buffer *out, struct span s); /* ptr NULL: NIL */

#endif
