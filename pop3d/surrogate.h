/* pop3d/surrogate.h — a message with UTF-8 in its headers, for a client that did not say UTF8 (RFC 6856 §2.1, §4).
 *
 * The surrogate is the message with the header fields that need it rewritten in ASCII, by the rules of RFC 6858: addresses
 * that are not ASCII become <invalid@internationalized-address.invalid> behind a name that shows them, names and texts become
 * encoded words (RFC 2047), parameters RFC 2231, and structured fields that cannot be said in ASCII are left out. Headers of
 * MIME parts are treated in the same way; bodies never change. Octets that are not UTF-8 are not "internationalized" (RFC 6532)
 * but old 8-bit mail: those fields pass as they came.
 *
 * Feed the message (or its beginning: headers that begin later pass as they are), finish, then copy it out piece by piece.
 * Owner: whoever called surrogate_init(), until surrogate_free(). Any thread, one at a time. */
#ifndef POP3D_SURROGATE_H
#define POP3D_SURROGATE_H

#include "base/buffer.h"
#include "message/mime.h"

#define SURROGATE_TEXT_MAX   (256 * KIB) /* of rewritten headers; beyond: non-ASCII octets become "?" */
#define SURROGATE_PIECES_MAX 1000        /* headers that are rewritten */

struct surrogate_piece {
	uint64_t at; /* in the stored message */
	size_t len;
	size_t text_at; /* in text */
	size_t text_len;
};

struct surrogate {
	struct mime_parser *parser; /* while it is fed */
	struct surrogate_piece *pieces;
	size_t count;
	struct buffer text;
	int64_t growth; /* octets that the surrogate is longer than the message */
	bool failed;
};

void surrogate_init(struct surrogate *surrogate);
void surrogate_free(struct surrogate *surrogate);
/* False: out of memory. */
bool surrogate_feed(struct surrogate *surrogate, struct span bytes);
bool surrogate_finish(struct surrogate *surrogate);

/* The next run of the message that goes out: either the beginning of *bytes (which stands at *at in the message) as it is, or
 * a rewritten header in its place. Consumes from *bytes and moves *at; false when nothing is left. */
bool surrogate_next(const struct surrogate *surrogate, uint64_t *at, struct span *bytes, struct span *out);

#endif
