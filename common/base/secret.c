#include "base/secret.h"

#include <sodium.h>

void secret_wipe(void *bytes, size_t len)
{
	sodium_memzero(bytes, len);
}

void secret_buffer_free(struct buffer *b)
{
	if (b->data != NULL)
		secret_wipe(b->data, b->cap);
	buffer_free(b);
}

bool secret_buffer_reserve(struct buffer *b, size_t extra)
{
	struct buffer grown;

	if (b->failed || b->data == NULL || extra > b->limit - b->len || b->len + extra <= b->cap)
		return buffer_reserve(b, extra);
	buffer_init(&grown, b->limit);
	if (!buffer_reserve(&grown, b->len + extra)) {
		b->failed = true;
		return false;
	}
	buffer_append_span(&grown, buffer_span(b));
	secret_buffer_free(b);
	*b = grown;
	return true;
}

void secret_buffer_consume(struct buffer *b, size_t count)
{
	buffer_consume(b, count);
	if (count > 0)
		secret_wipe(b->data + b->len, count);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}
