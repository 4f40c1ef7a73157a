/* common/message/transcode.h — a message that the next server cannot take as it is: parts with octets over 127 (or binary ones) become
 * quoted-printable or base64, whichever is shorter, and their Content-Transfer-Encoding says so (RFC 6152 §3, RFC 3030 §3, RFC 2045 §6).
 *
 * Streams: memory does not depend on the size of the message. Multiparts within multiparts and message/rfc822 (whose content is converted
 * itself: RFC 2045 §6.4 allows it no encoding) come out right, boundaries and preambles stay. Header fields with raw UTF-8 cannot be
 * converted (ERR_UNSUPPORTED, "needs SMTPUTF8"). Parts of multipart/signed and message/partial stay as they are: when such a part would have to
 * change the result is ERR_UNSUPPORTED and the message is to be bounced. Any thread. */
#ifndef MESSAGE_TRANSCODE_H
#define MESSAGE_TRANSCODE_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

enum transcode_target {
	TRANSCODE_7BIT, /* only octets 1..127, lines of at most 998 */
	TRANSCODE_8BIT, /* binary parts (NUL, bare CR or LF, long lines) become base64, 8-bit text stays */
};

struct transcode_io {
	bool (*read)(void *arg, uint64_t offset, void *out, size_t size, size_t *got,
	        struct error *err); /* short only at the end */
	bool (*write)(void *arg, struct span bytes, struct error *err);
	void *arg;
};

/* ERR_UNSUPPORTED: it cannot be converted, nothing was written; ERR_NO_MEMORY; what read and write say. */
bool transcode(const struct transcode_io *io, enum transcode_target target, struct error *err);
/* What a message is: looks at all of it. */
struct transcode_need {
	bool eight_bit;   /* an octet over 127 in a body */
	bool utf8_header; /* one in a header: needs SMTPUTF8 (RFC 6532) */
	bool binary;      /* NUL, bare CR, bare LF, or a line over 998 octets */
};
bool transcode_look(const struct transcode_io *io, struct transcode_need *out, struct error *err);

#endif
