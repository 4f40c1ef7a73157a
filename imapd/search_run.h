/* imapd/search_run.h — a search program put to many messages of one mailbox, on workers (imapd/scan.h).
 *
 * Messages are taken in blocks; of a block first what the index knows, then stored columns, header blocks and whole messages of those that are still open.
 * An account is held while a block is read and its header blocks are searched, not while its text is, so other sessions of it wait for
 * SEARCH_BLOCK_WORK at most.
 * Owner: whoever called search_run_new(), until search_run_free(). Thread: search_run_plan()'s functions as scan.h says; else one at a time. */
#ifndef IMAPD_SEARCH_RUN_H
#define IMAPD_SEARCH_RUN_H

#include "imapd/scan.h"
#include "imapd/search_program.h"

#define SEARCH_BLOCK_MESSAGES 512
#define SEARCH_BLOCK_BYTES    (4 * MIB)  /* of message octets in memory, where they are needed */
#define SEARCH_BLOCK_WORK     (64 * MIB) /* octets times keys: some 50 ms, after which a scan may yield */

struct search_run;
/* Takes the program and the array (malloc'd), also when it fails. The store is borrowed. NULL: out of memory. */
struct search_run *search_run_new(struct search_program *program, struct view_message *messages, size_t count,
        struct store *store, int64_t account_id, int64_t mailbox_id);
void search_run_free(struct search_run **run);

/* block, work, is_unfinished and count for scan_start(); arg is the run. */
size_t search_run_block(void *run, size_t first);
bool search_run_work(void *run, unsigned job, size_t first, size_t count, struct error *err);
bool search_run_is_unfinished(void *run, unsigned job);
/* Needs nothing but the index: so cheap that it may be done at once. */
bool search_run_is_cheap(const struct search_run *run);

/* Afterwards: the messages that match, in rising order. */
const struct view_message *search_run_hits(struct search_run *run, size_t *count);
const struct search_program *search_run_program(const struct search_run *run);
size_t search_run_count(const struct search_run *run);  /* messages to look at */
size_t search_run_memory(const struct search_run *run); /* octets that it holds after search_run_hits() */

#endif
