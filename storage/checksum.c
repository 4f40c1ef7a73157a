#include "storage/checksum.h"

#include <sodium.h>
#include <string.h>

static uint64_t hash(struct span s)
{
	static const unsigned char key[crypto_shorthash_KEYBYTES] = "posthouse store";
	unsigned char out[crypto_shorthash_BYTES];
	uint64_t number;

	crypto_shorthash(out, (const unsigned char *)s.ptr, s.len, key);
	memcpy(&number, out, sizeof(number));
	return number;
}

int64_t content_checksum(struct span head, struct span bytes)
{
	uint64_t first = hash(head);

	return (int64_t)((first << 1 | first >> 63) ^ hash(bytes));
}
