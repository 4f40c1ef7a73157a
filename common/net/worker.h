/* common/net/worker.h — runs a blocking job off the loop and brings the result back to it (lesson 8).
 *
 * A pool has `threads` threads. Jobs in lane WORKER_WRITE (anything that may wait for a durable write) occupy at most
 * threads - WORKER_RESERVED of them, so that a slow or frozen disk under writers leaves threads for WORKER_READ.
 * Jobs with the same non-zero key never run at the same time in this pool and keep their order; those that wait together
 * and have the same run_batch are handed over in one call (group commit).
 * Owner: a job belongs to its submitter; the pool borrows it from worker_submit() until done() is called on the loop.
 * done() is called exactly once for each submitted job and always after it ran, so a session can hold a reference for each
 * (session_hold / session_release). One thread stays, others start at need and end after WORKER_IDLE_MS without work. */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include "base/error.h"

#include <stdint.h>
#include <uv.h>

#define WORKER_RESERVED  2
#define WORKER_BATCH_MAX 64
#define WORKER_IDLE_MS   10000
#define WORKER_STACK     (256 * KIB)

struct worker_pool;
enum worker_lane { WORKER_READ, WORKER_WRITE };

struct worker_job {
	/* On a worker thread. Exactly one of the two is set; run_batch gets 1..WORKER_BATCH_MAX jobs of one key. */
	void (*run)(struct worker_job *job);
	void (*run_batch)(struct worker_job **jobs, size_t count);
	/* On the loop, afterwards. */
	void (*done)(struct worker_job *job);
	enum worker_lane lane;
	uint64_t key; /* 0: no order */
	/* Private to the pool. */
	struct worker_job *next;
	uint64_t sequence;
};

bool worker_pool_new(uv_loop_t *loop, unsigned threads, struct worker_pool **out, struct error *err);
void worker_submit(struct worker_pool *pool, struct worker_job *job);
unsigned worker_pending(const struct worker_pool *pool); /* submitted, done() not yet called */
/* Runs what is queued to its end (done() without run() would let a session promise what was never stored), calls done() for
 * all, ends the threads. On the loop's thread; clears *pool; the memory goes in a later turn of the loop. */
void worker_pool_free(struct worker_pool **pool);

#endif
