/* common/message/header.h — the fields of a header block (RFC 5322 §2.2), as offsets into it.
 *
 * Lines end with CRLF, or LF alone in mail that came so. A field's name may be followed by blanks before the colon (§4.5
 * obs-optional); a line without colon, and a continuation without a field before it, is skipped as no field, so that
 * one bad line hides nothing behind it. Linear; nothing is copied; any thread. */
#ifndef MESSAGE_HEADER_H
#define MESSAGE_HEADER_H

#include "base/buffer.h"

#define HEADER_BLOCK_MAX  MIB
#define HEADER_FIELDS_MAX 10000

struct header_field {
	struct span name;  /* without blanks and colon */
	struct span value; /* raw: after the colon, folds included, without the final line end */
	size_t at;         /* of the field's first octet in the block */
	size_t len;        /* octets with the final line end: at + len is where the next line begins */
};

struct header_reader {
	struct span block;
	size_t at;
	unsigned count;
};

/* block: a header with or without its empty line (reading stops there), looked at up to HEADER_BLOCK_MAX octets. */
void header_reader_init(struct header_reader *reader, struct span block);
/* The next field; false at the end, or after HEADER_FIELDS_MAX fields. */
bool header_next(struct header_reader *reader, struct header_field *field);

/* The first field of that name (ASCII case-insensitive); false when there is none. */
bool header_find(struct span block, struct span name, struct header_field *field);

/* Octets of the header with its empty line, when `message` (or its beginning) contains that line; false when it does not
 * (yet): then all of it is header. */
bool header_length(struct span message, size_t *len);

/* Appends a value unfolded (RFC 5322 §2.2.3: line ends before a blank go; other CR and LF become blanks) without the
 * blanks after the colon and at the end; a fold directly after the colon keeps its blank, as Dovecot and Cyrus have it. False when out is full. */
bool header_unfold(struct span value, struct buffer *out);

#endif
