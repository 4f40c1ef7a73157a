#include "imapd/scan.h"

#include "base/check.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>

#define IDLE_PENDING 1 /* jobs of others under way while a second one of ours still does no harm */

struct scan_job {
	struct worker_job job;
	struct scan *scan;
	unsigned number;
	bool active;    /* the loop's: submitted, not yet back */
	bool has_block; /* the job's while it runs, the loop's between two slices: that one is not finished */
	size_t first, count;
};

struct scan {
	struct scan_plan plan;
	struct scan_job jobs[SCAN_JOBS_MAX];
	bool abandoned;        /* the loop's */
	bool telling;          /* done() is being called */
	pthread_mutex_t mutex; /* of what follows */
	size_t next;
	bool failed;
	struct error err; /* of the first block that failed */
};

static bool take_block(struct scan *scan, size_t *first, size_t *count)
{
	bool there;

	pthread_mutex_lock(&scan->mutex);
	there = !scan->failed && scan->next < scan->plan.count;
	if (there) {
		*first = scan->next;
		*count = scan->plan.block(scan->plan.arg, *first);
		CHECK(*count > 0 && *count <= scan->plan.count - *first);
		scan->next += *count;
	}
	pthread_mutex_unlock(&scan->mutex);
	return there;
}

static void note_failure(struct scan *scan, const struct error *err)
{
	pthread_mutex_lock(&scan->mutex);
	if (!scan->failed)
		scan->err = *err;
	scan->failed = true;
	pthread_mutex_unlock(&scan->mutex);
}

static void run(struct worker_job *job)
{
	struct scan_job *mine = container_of(job, struct scan_job, job);
	struct scan *scan = mine->scan;
	int64_t until = clock_mono_ms() + SCAN_SLICE_MS;
	struct error err;

	do {
		if (!mine->has_block && !take_block(scan, &mine->first, &mine->count))
			return;
		mine->has_block = false;
		if (!scan->plan.work(scan->plan.arg, mine->number, mine->first, mine->count, &err)) {
			note_failure(scan, &err);
			return;
		}
		mine->has_block =
		        scan->plan.is_unfinished != NULL && scan->plan.is_unfinished(scan->plan.arg, mine->number);
	} while (clock_mono_ms() < until);
}

/* For this job: a block of its own to go on with, or one that nobody has taken. */
static bool has_more(struct scan_job *job)
{
	struct scan *scan = job->scan;
	bool more;

	pthread_mutex_lock(&scan->mutex);
	more = !scan->failed && (job->has_block || scan->next < scan->plan.count);
	pthread_mutex_unlock(&scan->mutex);
	return more;
}

static bool is_busy(const struct scan *scan)
{
	for (unsigned i = 0; i < SCAN_JOBS_MAX; i++)
		if (scan->jobs[i].active)
			return true;
	return false;
}

static void submit(struct scan_job *job)
{
	job->active = true;
	worker_submit(job->scan->plan.pool, &job->job);
}

/* A second job when the pool has nothing else to do. */
static void add_help(struct scan *scan)
{
	unsigned ours = 0;

	if (!scan->plan.parallel)
		return;
	for (unsigned i = 0; i < SCAN_JOBS_MAX; i++)
		ours += scan->jobs[i].active;
	for (unsigned i = 0; i < SCAN_JOBS_MAX; i++) {
		if (scan->jobs[i].active || worker_pending(scan->plan.pool) > ours + IDLE_PENDING)
			continue;
		submit(&scan->jobs[i]);
		ours++;
	}
}

static void finish(struct scan *scan)
{
	struct scan_plan plan = scan->plan;

	if (!scan->abandoned) {
		scan->telling = true;
		plan.done(plan.arg, scan->failed ? &scan->err : NULL);
	}
	pthread_mutex_destroy(&scan->mutex);
	free(scan);
	plan.release(plan.arg);
}

static void on_done(struct worker_job *job)
{
	struct scan_job *mine = container_of(job, struct scan_job, job);
	struct scan *scan = mine->scan;

	mine->active = false;
	if (!scan->abandoned && has_more(mine)) {
		submit(mine);
		add_help(scan);
		if (scan->plan.slice != NULL)
			scan->plan.slice(scan->plan.arg);
	} else if (!is_busy(scan)) {
		finish(scan);
	}
}

bool scan_start(const struct scan_plan *plan, struct scan **out, struct error *err)
{
	struct scan *scan = calloc(1, sizeof(*scan));

	*out = NULL;
	if (scan == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	scan->plan = *plan;
	pthread_mutex_init(&scan->mutex, NULL);
	for (unsigned i = 0; i < SCAN_JOBS_MAX; i++) {
		scan->jobs[i] = (struct scan_job) { .scan = scan, .number = i };
		scan->jobs[i].job =
		        (struct worker_job) { .run = run, .done = on_done, .lane = WORKER_READ, .key = plan->keys[i] };
	}
	*out = scan;
	submit(&scan->jobs[0]);
	return true;
}

void scan_abandon(struct scan **scan)
{
	if (*scan != NULL && !(*scan)->telling)
		(*scan)->abandoned = true;
	*scan = NULL;
}
