/* tests/unit/message/vectors.h — the shared test vectors, which are not part of this repository. Found by the environment
 * variable POSTHOUSE_VECTORS, or beside the source tree in ../shared/vectors. Tests that need them skip without. */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include "base/buffer.h"

#include <jansson.h>

/* skip() when there are none. */
const char *vectors_folder(void);
/* Fail the test when the file cannot be read. */
void vectors_read(const char *path, struct buffer *out);
json_t *vectors_json(const char *path);

#endif
