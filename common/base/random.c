#include "base/random.h"

#include "base/check.h"

#include <sodium.h>

static uint64_t test_state;

/* splitmix64: good enough to make tests repeatable, never used for secrets outside them */
static uint8_t test_byte(void)
{
	uint64_t z = (test_state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint8_t)(z ^ (z >> 31));
}

void random_bytes(void *out, size_t len)
{
	uint8_t *bytes = out;

	if (test_state == 0) {
		randombytes_buf(out, len);
		return;
	}
	for (size_t i = 0; i < len; i++)
		bytes[i] = test_byte();
}

uint64_t random_u64(void)
{
	uint64_t value;

	random_bytes(&value, sizeof(value));
	return value;
}

uint32_t random_below(uint32_t bound)
{
	CHECK(bound > 0);
	/* 64 random bits against a 32-bit bound: the bias is below 2^-32 */
	return (uint32_t)(random_u64() % bound);
}

void random_seed_for_test(uint64_t seed)
{
	test_state = seed;
}
