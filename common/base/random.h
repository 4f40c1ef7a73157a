/* common/base/random.h — randomness behind one door, so that tests can set it. Any thread. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t len); /* from the kernel, fit for secrets; cannot fail */
uint64_t random_u64(void);
uint32_t random_below(uint32_t bound); /* 0 .. bound-1, evenly; bound > 0 */

/* Tests only: a repeatable sequence from here on; 0 gives the kernel back. Not for more than one thread. */
void random_seed_for_test(uint64_t seed);

#endif
