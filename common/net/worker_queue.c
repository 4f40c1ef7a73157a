#include "net/worker_queue.h"

#include "base/check.h"

#include <stdlib.h>

void job_list_add(struct job_list *list, struct worker_job *job)
{
	job->next = NULL;
	if (list->first == NULL)
		list->first = job;
	else
		list->last->next = job;
	list->last = job;
}

static struct worker_job *job_list_take(struct job_list *list)
{
	struct worker_job *job = list->first;

	list->first = job->next;
	return job;
}

/* --- strands --------------------------------------------------------------------------------------------------- */

static struct worker_strand **bucket_of(struct worker_queue *queue, uint64_t key)
{
	return &queue->buckets[key * 0x9e3779b97f4a7c15u >> 54]; /* the top 10 bits: WORKER_BUCKETS */
}

static struct worker_strand *strand_find(struct worker_queue *queue, uint64_t key)
{
	struct worker_strand *strand = *bucket_of(queue, key);

	while (strand != NULL && strand->key != key)
		strand = strand->hash_next;
	return strand;
}

static struct worker_strand *strand_new(struct worker_queue *queue, uint64_t key)
{
	struct worker_strand **bucket = bucket_of(queue, key);
	struct worker_strand *strand = queue->unused;

	if (strand != NULL)
		queue->unused = strand->hash_next;
	else
		strand = malloc(sizeof(*strand));
	if (strand == NULL)
		return NULL;
	*strand = (struct worker_strand) { .key = key, .hash_next = *bucket };
	*bucket = strand;
	return strand;
}

/* While anything is in the shared strand every new key goes there too: its own jobs may be among them. */
static struct worker_strand *strand_for(struct worker_queue *queue, uint64_t key)
{
	struct worker_strand *strand = strand_find(queue, key);

	if (strand == NULL && queue->shared_jobs == 0)
		strand = strand_new(queue, key);
	return strand == NULL ? &queue->shared : strand;
}

static void strand_forget(struct worker_queue *queue, struct worker_strand *strand)
{
	struct worker_strand **link = bucket_of(queue, strand->key);

	while (*link != strand)
		link = &(*link)->hash_next;
	*link = strand->hash_next;
	strand->hash_next = queue->unused;
	queue->unused = strand;
}

static void stand_in_line(struct worker_queue *queue, struct worker_strand *strand)
{
	struct worker_line *line = &queue->lines[strand->waiting.first->lane];

	strand->line_next = NULL;
	if (line->first == NULL)
		line->first = strand;
	else
		line->last->line_next = strand;
	line->last = strand;
}

/* --- the queue ------------------------------------------------------------------------------------------------- */

static bool is_running(const struct worker_strand *strand)
{
	return strand->line_next == strand; /* in no line; see worker_queue_take() */
}

void worker_queue_add(struct worker_queue *queue, struct worker_job *job)
{
	struct worker_strand *strand;
	bool first;

	CHECK((job->run != NULL) != (job->run_batch != NULL) && job->lane < WORKER_LANES);
	job->sequence = ++queue->sequence;
	if (job->key == 0) {
		job_list_add(&queue->lines[job->lane].jobs, job);
		return;
	}
	strand = strand_for(queue, job->key);
	if (strand == &queue->shared)
		queue->shared_jobs++;
	first = strand->waiting.first == NULL && !is_running(strand);
	job_list_add(&strand->waiting, job);
	if (first)
		stand_in_line(queue, strand);
}

bool worker_queue_has(const struct worker_queue *queue, enum worker_lane lane)
{
	return queue->lines[lane].jobs.first != NULL || queue->lines[lane].first != NULL;
}

static void take_batch(struct worker_strand *strand, struct worker_task *task)
{
	struct worker_job *first = job_list_take(&strand->waiting);
	struct worker_job *next;

	task->jobs[0] = first;
	task->count = 1;
	while (first->run_batch != NULL && task->count < WORKER_BATCH_MAX && (next = strand->waiting.first) != NULL &&
	        next->run_batch == first->run_batch && next->key == first->key && next->lane == first->lane)
		task->jobs[task->count++] = job_list_take(&strand->waiting);
}

bool worker_queue_take(struct worker_queue *queue, enum worker_lane lane, struct worker_task *task)
{
	struct worker_line *line = &queue->lines[lane];
	struct worker_strand *strand = line->first;
	struct worker_job *job = line->jobs.first;

	task->lane = lane;
	if (job != NULL && (strand == NULL || job->sequence < strand->waiting.first->sequence)) {
		task->strand = NULL;
		task->jobs[0] = job_list_take(&line->jobs);
		task->count = 1;
		return true;
	}
	if (strand == NULL)
		return false;
	line->first = strand->line_next;
	strand->line_next = strand; /* runs */
	task->strand = strand;
	take_batch(strand, task);
	return true;
}

void worker_queue_finished(struct worker_queue *queue, const struct worker_task *task)
{
	struct worker_strand *strand = task->strand;

	if (strand == NULL)
		return;
	strand->line_next = NULL;
	if (strand == &queue->shared)
		queue->shared_jobs -= task->count;
	if (strand->waiting.first != NULL)
		stand_in_line(queue, strand);
	else if (strand != &queue->shared)
		strand_forget(queue, strand);
}

void worker_queue_free(struct worker_queue *queue)
{
	while (queue->unused != NULL) {
		struct worker_strand *strand = queue->unused;

		queue->unused = strand->hash_next;
		free(strand);
	}
}
