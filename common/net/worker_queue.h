/* common/net/worker_queue.h — which job runs next; for worker.c only. No lock of its own: the pool's is held at each call.
 *
 *   strand: the jobs of one key that wait or run. It is in the hash table from its first job's arrival until its last
 *           job has run, and in the line of its lane while jobs wait and none runs. */
#ifndef NET_WORKER_QUEUE_H
#define NET_WORKER_QUEUE_H

#include "net/worker.h"

#define WORKER_LANES   2
#define WORKER_BUCKETS 1024

struct job_list {
	struct worker_job *first, *last;
};

struct worker_strand {
	uint64_t key;
	struct job_list waiting;
	struct worker_strand *hash_next; /* or in the free list */
	struct worker_strand *line_next;
};

struct worker_line {
	struct job_list jobs; /* without a key */
	struct worker_strand *first, *last;
};

struct worker_queue {
	uint64_t sequence;
	struct worker_line lines[WORKER_LANES];
	struct worker_strand *buckets[WORKER_BUCKETS];
	struct worker_strand *unused;
	/* When memory is out new keys share this one: slower, still in order. Never in the hash table. */
	struct worker_strand shared;
	size_t shared_jobs; /* waiting or running in it */
};

/* What a thread runs in one go: 1..WORKER_BATCH_MAX jobs of one strand, or one job without (strand NULL). */
struct worker_task {
	struct worker_strand *strand;
	struct worker_job *jobs[WORKER_BATCH_MAX];
	size_t count;
	enum worker_lane lane;
};

void job_list_add(struct job_list *list, struct worker_job *job);
void worker_queue_add(struct worker_queue *queue, struct worker_job *job);
bool worker_queue_has(const struct worker_queue *queue, enum worker_lane lane);
bool worker_queue_take(struct worker_queue *queue, enum worker_lane lane, struct worker_task *task);
void worker_queue_finished(struct worker_queue *queue, const struct worker_task *task);
void worker_queue_free(struct worker_queue *queue);

#endif
