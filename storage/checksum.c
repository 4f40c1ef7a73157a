/* XXH64 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md): every body that is stored or read goes through it, so it
 * must cost less than the copying. */
#include "storage/checksum.h"

#include <endian.h>
#include <string.h>

#define PRIME_1 0x9e3779b185ebca87u
#define PRIME_2 0xc2b2ae3d27d4eb4fu
#define PRIME_3 0x165667b19e3779f9u
#define PRIME_4 0x85ebca77c2b2ae63u
#define PRIME_5 0x27d4eb2f165667c5u

#define LANES  4
#define STRIPE (LANES * 8)

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static uint64_t read_8(const char *at)
{
	uint64_t number;

	memcpy(&number, at, sizeof(number));
	return le64toh(number);
}

static uint64_t read_4(const char *at)
{
	uint32_t number;

	memcpy(&number, at, sizeof(number));
	return le32toh(number);
}

static uint64_t mix(uint64_t lane, uint64_t input)
{
	return rotate(lane + input * PRIME_2, 31) * PRIME_1;
}

static uint64_t merge(uint64_t sum, uint64_t lane)
{
	return (sum ^ mix(0, lane)) * PRIME_1 + PRIME_4;
}

/* Takes the whole stripes off the front. */
static uint64_t take_stripes(uint64_t seed, struct span *s)
{
	uint64_t a = seed + PRIME_1 + PRIME_2, b = seed + PRIME_2, c = seed, d = seed - PRIME_1, sum;
	const char *at = s->ptr, *end = at + s->len / STRIPE * STRIPE;

	for (; at < end; at += STRIPE) {
		a = mix(a, read_8(at));
		b = mix(b, read_8(at + 8));
		c = mix(c, read_8(at + 16));
		d = mix(d, read_8(at + 24));
	}
	*s = span_skip(*s, s->len / STRIPE * STRIPE);
	sum = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
	return merge(merge(merge(merge(sum, a), b), c), d);
}

uint64_t checksum_xxh64(uint64_t seed, struct span s)
{
	uint64_t length = s.len, sum;

	sum = (s.len >= STRIPE ? take_stripes(seed, &s) : seed + PRIME_5) + length;
	for (; s.len >= 8; s = span_skip(s, 8))
		sum = rotate(sum ^ mix(0, read_8(s.ptr)), 27) * PRIME_1 + PRIME_4;
	for (; s.len >= 4; s = span_skip(s, 4))
		sum = rotate(sum ^ read_4(s.ptr) * PRIME_1, 23) * PRIME_2 + PRIME_3;
	for (; s.len > 0; s = span_skip(s, 1))
		sum = rotate(sum ^ (uint8_t)*s.ptr * PRIME_5, 11) * PRIME_1;
	sum = (sum ^ sum >> 33) * PRIME_2;
	sum = (sum ^ sum >> 29) * PRIME_3;
	return sum ^ sum >> 32;
}

int64_t content_checksum(struct span head, struct span bytes)
{
	return (int64_t)checksum_xxh64(checksum_xxh64(0, head), bytes);
}
