/* common/message/transfer.h — Content-Transfer-Encoding (RFC 2045 §6) undone, forgivingly, as a stream.
 *
 * quoted-printable: bad escapes stay as they are, lower-case hex is taken, blanks before a line end go (§6.7 rule 3).
 * base64: octets outside the alphabet are skipped, padding in the middle begins anew, a cut end gives what is whole.
 * 7bit, 8bit, binary and unknown encodings pass through. A decoder is a plain value: no memory of its own. Any thread. */
#ifndef MESSAGE_TRANSFER_H
#define MESSAGE_TRANSFER_H

#include "base/buffer.h"

#define TRANSFER_PENDING_MAX 1024 /* trailing blanks held back; a longer run is taken as text */

enum transfer_encoding { TRANSFER_IDENTITY, TRANSFER_QUOTED_PRINTABLE, TRANSFER_BASE64, TRANSFER_UNKNOWN };

struct transfer_decoder {
	enum transfer_encoding encoding;
	uint32_t bits;      /* base64: what of a quad has come */
	unsigned bit_chars; /* base64: how many characters of it */
	unsigned pending_len;
	char pending[TRANSFER_PENDING_MAX]; /* quoted-printable: "=", "=X", "= \r" or blanks whose fate is open */
};

/* The encoding's name in the field's value, without comments; false when it is no single token (then it is 7bit). */
bool transfer_encoding_name(struct span value, struct span *name);
/* By the field's value: comments and blanks around it are ignored; empty is TRANSFER_IDENTITY (7bit). */
enum transfer_encoding transfer_encoding_of(struct span value);

void transfer_init(struct transfer_decoder *decoder, enum transfer_encoding encoding);
/* Appends what the octets decode to. False when out is full. */
bool transfer_feed(struct transfer_decoder *decoder, struct span in, struct buffer *out);
bool transfer_finish(struct transfer_decoder *decoder, struct buffer *out);

#endif
