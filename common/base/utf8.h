/* common/base/utf8.h — UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buffer.h"

bool utf8_valid(struct span s);
bool utf8_is_ascii(struct span s);
/* One code point off the front; false (untouched) when the front is not valid UTF-8 or the span is empty. */
bool utf8_take(struct span *in, uint32_t *code_point);
bool utf8_append(struct buffer *out, uint32_t code_point); /* U+FFFD for what has no encoding */
/* Copies s; each byte that is not part of valid UTF-8 becomes U+FFFD. */
bool utf8_append_repaired(struct buffer *out, struct span s);

#endif
