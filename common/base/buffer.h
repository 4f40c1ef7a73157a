/* common/base/buffer.h — owned bytes that refuse to grow past their limit.
 *
 * Invariants: len <= cap <= limit (plus one spare byte that is always NUL once data is allocated); data is NULL until
 * the first byte is added. An append that would pass the limit, or finds no memory, adds nothing, sets `failed` and
 * returns false; `failed` stays until buffer_clear(), so a run of appends may be checked once at its end.
 * Owner: whoever called buffer_init(), until buffer_free(). Any thread, one at a time. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/macros.h"
#include "base/span.h"

#include <stdarg.h>

struct buffer {
	char *data;
	size_t len;
	size_t cap;
	size_t limit;
	bool failed;
};

void buffer_init(struct buffer *b, size_t limit);
void buffer_free(struct buffer *b);  /* gives the memory back; the limit stays, the buffer can be used again */
void buffer_clear(struct buffer *b); /* length 0, failed false; keeps the memory */

bool buffer_reserve(struct buffer *b, size_t extra); /* room for extra more bytes */
bool buffer_append(struct buffer *b, const void *bytes, size_t len);
bool buffer_append_span(struct buffer *b, struct span s);
bool buffer_append_text(struct buffer *b, const char *text);
bool buffer_append_char(struct buffer *b, char c);
bool buffer_printf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_consume(struct buffer *b, size_t count); /* drops the first count bytes */

struct span buffer_span(const struct buffer *b); /* valid until the buffer changes */
const char *buffer_text(const struct buffer *b); /* NUL-terminated; "" when empty */

#endif
