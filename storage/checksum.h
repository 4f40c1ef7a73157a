/* storage/checksum.h — notices rot in stored octets (not an attacker: anybody can compute it). Any thread. */
#ifndef STORAGE_CHECKSUM_H
#define STORAGE_CHECKSUM_H

#include "base/span.h"

#include <stdint.h>

/* The sum of the bytes, begun with that of the head: either alone, and where one ends, matters. */
int64_t content_checksum(struct span head, struct span bytes);
uint64_t checksum_xxh64(uint64_t seed, struct span s);

#endif
