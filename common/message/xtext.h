/* common/message/xtext.h — xtext (RFC 3461 §4): how ENVID and ORCPT are written. Any thread. */
#ifndef MESSAGE_XTEXT_H
#define MESSAGE_XTEXT_H

#include "base/buffer.h"

/* Appends what xtext, or utf-8-addr-xtext (RFC 6533 §3: "\x{e9}"), says. False when it is malformed or out is full; out may then
 * have a part of it. */
bool xtext_decode(struct span in, struct buffer *out);
bool xtext_encode(struct span in, struct buffer *out); /* octets as "+XX"; false when out is full */
/* An address as utf-8-addr-xtext (RFC 6533 §3): characters over 127 and what xtext would escape as "\x{F6}"; false when out is full.
 * xtext_to_ascii(): the same for what is in xtext already, so only for characters over 127. */
bool xtext_encode_utf8(struct span in, struct buffer *out);
bool xtext_to_ascii(struct span in, struct buffer *out);

#endif
