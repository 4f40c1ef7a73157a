/* common/base/secret.h — memory that held a secret, and comparing without telling how far it matched. Any thread. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/buffer.h"

void secret_wipe(void *bytes, size_t len);
void secret_buffer_free(struct buffer *b); /* wipes all of the buffer's memory, then frees it */
bool secret_buffer_reserve(
        struct buffer *b, size_t extra); /* buffer_reserve() that leaves no copy behind when it grows */
void secret_buffer_consume(struct buffer *b, size_t count);  /* buffer_consume() that wipes what it drops */
bool secret_equal(const void *a, const void *b, size_t len); /* constant time for a given len */

#endif
