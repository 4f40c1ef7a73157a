/* storage/spool_private.h — what a commit needs of a spool; for storage/ only. */
#ifndef STORAGE_SPOOL_PRIVATE_H
#define STORAGE_SPOOL_PRIVATE_H

#include "storage/spool.h"

bool spool_is_file(const struct spool *spool);
int spool_fd(const struct spool *spool);             /* of one that is a file */
struct span spool_memory(const struct spool *spool); /* of one that is not */

#endif
