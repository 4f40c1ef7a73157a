/* imapd/scan.h — long work over many items (messages) on worker threads, in slices, that may be abandoned.
 *
 * The items are 0 to count - 1. One or two jobs (a second one when the pool has time) take blocks of neighbours, each once and in order, and work on
 * them; after SCAN_SLICE_MS a job goes back to the loop and to the end of the pool's queue, so that other work gets its turn. When all is done, or one
 * block has failed, done() is called once, on the loop. After scan_abandon() it is not, and no further slice begins.
 * Owner: whoever called scan_start(), until done() or scan_abandon(). Memory that work() uses must live until `release` is called, on the
 * loop, once, when no job is under way any more: after done() has returned, or after scan_abandon(). Thread: the loop's; work() on workers. */
#ifndef IMAPD_SCAN_H
#define IMAPD_SCAN_H

#include "base/error.h"
#include "net/worker.h"

#define SCAN_SLICE_MS 20
#define SCAN_JOBS_MAX 2

struct scan_plan {
	struct worker_pool *pool;
	uint64_t keys[SCAN_JOBS_MAX]; /* of the jobs, in the pool (net/worker.h) */
	void *arg;
	size_t count;
	bool parallel; /* a second job may help */
	/* How many items from `first` on, at least one, make a block. Called by one job at a time. */
	size_t (*block)(void *arg, size_t first);
	/* On a worker: job 0 or 1, for memory of its own. False: *err is set, and the scan ends. */
	bool (*work)(void *arg, unsigned job, size_t first, size_t count, struct error *err);
	/* Asked after it, also on the worker: there is more to do in the same block, and work() is to be called again, perhaps in the next slice. May
	 * be NULL. */
	bool (*is_unfinished)(void *arg, unsigned job);
	void (*slice)(void *arg); /* on the loop, after a slice that was not the last; may be NULL */
	void (*done)(void *arg, const struct error *failed); /* failed: NULL when all went well */
	void (*release)(void *arg);
};

struct scan;
/* False: out of memory; nothing was started and neither done() nor release() will be called. */
bool scan_start(const struct scan_plan *plan, struct scan **out, struct error *err);
void scan_abandon(struct scan **scan); /* also of NULL */

#endif
