/* smtpd/syntax/reply.h — one SMTP reply (RFC 5321 §4.2): a code, an enhanced code (RFC 3463) and polite text.
 *
 * Any thread. */
#ifndef SMTPD_SYNTAX_REPLY_H
#define SMTPD_SYNTAX_REPLY_H

#include "base/buffer.h"

#define REPLY_LINE_MAX 512 /* octets with CRLF (RFC 5321 §4.5.3.1.5) */

struct smtp_reply {
	unsigned code;        /* 200..599 */
	const char *enhanced; /* "5.1.1"; NULL where RFC 2034 §4 has none: greeting, EHLO and HELO, 3yz */
};

/* Appends the reply with CRLF. Each LF in text begins a further line ("250-..."). Text never carries more than it should:
 * octets outside printable ASCII become "?" (RFC 6531 §3.7.4.2), lines are cut at REPLY_LINE_MAX. False when out is full. */
bool reply_format(struct buffer *out, struct smtp_reply reply, struct span text);

#endif
