/* common/message/transfer_encode.h — octets as quoted-printable or base64 (RFC 2045 §6), as a stream; message/transfer.h undoes it.
 *
 * Lines are at most 76 characters and end with CRLF. quoted-printable: CRLF is a line end and stays one; a bare CR or LF, NUL and
 * blanks before a line end are escaped. An encoder is a plain value: no memory of its own. Any thread. */
#ifndef MESSAGE_TRANSFER_ENCODE_H
#define MESSAGE_TRANSFER_ENCODE_H

#include "message/transfer.h"

#define TRANSFER_BASE64_GROUP 57 /* octets of one line of 76 characters (RFC 2045 §6.8) */

struct transfer_encoder {
	enum transfer_encoding encoding; /* TRANSFER_QUOTED_PRINTABLE or TRANSFER_BASE64 */
	size_t column;                   /* quoted-printable */
	bool was_cr;
	int blank; /* a blank whose fate is open: at the end of a line it is escaped (§6.7 rule 3); -1: none */
	size_t pending_len; /* base64 */
	bool has_line;
	char pending[TRANSFER_BASE64_GROUP];
};

void transfer_encode_init(struct transfer_encoder *encoder, enum transfer_encoding encoding);
bool transfer_encode(struct transfer_encoder *encoder, struct span in, struct buffer *out); /* false: out is full */
/* end_line: the text ends with a line end, in quoted-printable a soft one where there was none. */
bool transfer_encode_finish(struct transfer_encoder *encoder, bool end_line, struct buffer *out);

#endif
