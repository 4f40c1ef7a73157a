/* storage/spool.h — a message while it is being received, before anybody owns it.
 *
 * The first STORE_INLINE_BODY_MAX octets are kept in memory; when more comes everything goes to an unnamed file
 * (O_TMPFILE) in <data>/spool/, so a killed process leaves nothing behind and memory stays flat. A spool is given to
 * batch_append() of any number of accounts; a large one is linked into each, never copied.
 * Thread: spool_append() of bytes that stay in memory (spool_fits()) may be called on the loop; everything else waits for
 * the disk and belongs on a worker thread. One thread at a time. */
#ifndef STORAGE_SPOOL_H
#define STORAGE_SPOOL_H

#include "storage/store.h"

struct spool;

/* limit: the message may not grow past it (ERR_TOO_LARGE); 64-bit counted. */
bool spool_new(struct store *store, uint64_t limit, struct spool **out, struct error *err);
bool spool_fits(const struct spool *spool, size_t more); /* true: appending `more` octets touches no disk */
/* Memory is scarce: the next octets go to the file, and all that came before them. For all messages of a process together that is its user's
 * to decide. Thread: any, touches no disk. */
void spool_leave_memory(struct spool *spool);
bool spool_append(struct spool *spool, struct span bytes, struct error *err);
uint64_t spool_size(const struct spool *spool);
/* Reads back, at most size octets, short only at the end; for the summary and for hashing. */
bool spool_read(struct spool *spool, uint64_t offset, void *out, size_t size, size_t *got, struct error *err);
/* Makes a large spool durable (data; the names follow with each account's commit). Does nothing for one in memory. */
bool spool_sync(struct spool *spool, struct error *err);
void spool_free(struct spool **spool);

#endif
