/* common/message/charset.h — text of any charset to UTF-8.
 *
 * Labels are matched as WHATWG's Encoding Standard has them, and some more that mail uses (KS_C_5601-1987, x-gbk, cp-850,
 * UTF-7 ...); only names out of our own table ever reach iconv. ISO-8859-1 means windows-1252, as in all
 * mail clients. 8-bit text that says it is US-ASCII is UTF-8 when its first such character is, else windows-1252.
 * Never fails for bad text: what cannot be converted becomes U+FFFD. Any thread; a converter by one at a time. */
#ifndef MESSAGE_CHARSET_H
#define MESSAGE_CHARSET_H

#include "base/buffer.h"

#define CHARSET_LABEL_MAX 64

/* Appends `in` as UTF-8. An unknown label means UTF-8, repaired. False when out is full (or out of memory). */
bool charset_to_utf8(struct span label, struct span in, struct buffer *out);

/* The same as a stream: characters may be cut anywhere between feeds. NULL when out of memory. */
struct charset_converter;
struct charset_converter *charset_open(struct span label);
bool charset_feed(struct charset_converter *converter, struct span in, struct buffer *out);
bool charset_finish(struct charset_converter *converter, struct buffer *out); /* a cut character becomes U+FFFD */
/* Whether octets that are ASCII come out as they are, now: nothing is held back, and the charset has no other use for them. Then such octets need
 * not be fed. */
bool charset_passes_ascii(const struct charset_converter *converter);
void charset_close(struct charset_converter **converter);

#endif
