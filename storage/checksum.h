/* storage/checksum.h — notices rot in stored octets (not an attacker: the key is fixed). Any thread. */
#ifndef STORAGE_CHECKSUM_H
#define STORAGE_CHECKSUM_H

#include "base/span.h"

int64_t content_checksum(struct span head, struct span bytes);

#endif
