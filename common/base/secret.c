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

bool secret_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}
