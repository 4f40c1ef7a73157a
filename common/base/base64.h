/* common/base/base64.h — RFC 4648 §4, strict: whole quads, canonical padding, nothing else. For SASL and headers; the
 * forgiving MIME stream decoder is message/transfer.h. Any thread. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buffer.h"

bool base64_encode(struct span in, struct buffer *out); /* appends; false when out is full */
/* Appends the decoded bytes; false (and out as it was) on bad input or when out is full. */
bool base64_decode(struct span in, struct buffer *out);

#endif
