#include "net/worker.h"

#include "base/check.h"
#include "base/log.h"
#include "net/worker_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK (4 * WORKER_STACK) /* their frames are several times as large */
#else
#define STACK WORKER_STACK
#endif

/* Everything below `lock` belongs to it; the rest to the loop's thread. */
struct worker_pool {
	uv_async_t finished_async;
	unsigned pending; /* submitted, done() not yet called */

	pthread_mutex_t lock;
	pthread_cond_t work;     /* for threads: something can be run, or the end */
	pthread_cond_t progress; /* for worker_pool_free(): something is finished */
	struct worker_queue queue;
	struct job_list finished;
	unsigned limit, write_limit;
	unsigned threads, waiting, writing; /* that exist; that wait for work; that are busy with WORKER_WRITE */
	unsigned woken;                     /* of the waiting ones: signalled, not yet awake */
	bool stop;
	bool has_ended;
	pthread_t ended; /* the last thread that has ended, not yet joined; it joins the one before it */
};

/* --- threads --------------------------------------------------------------------------------------------------- */

static bool can_run(const struct worker_pool *pool)
{
	return worker_queue_has(&pool->queue, WORKER_READ) ||
	       (pool->writing < pool->write_limit && worker_queue_has(&pool->queue, WORKER_WRITE));
}

static bool take_task(struct worker_pool *pool, struct worker_task *task)
{
	if (worker_queue_take(&pool->queue, WORKER_READ, task))
		return true;
	return pool->writing < pool->write_limit && worker_queue_take(&pool->queue, WORKER_WRITE, task);
}

static void run_task(const struct worker_task *task)
{
	struct worker_job *first = task->jobs[0];
	struct worker_job *jobs[WORKER_BATCH_MAX];

	if (first->run != NULL) {
		first->run(first);
		return;
	}
	memcpy(jobs, task->jobs, task->count * sizeof(*jobs)); /* the callee may shuffle its own array */
	first->run_batch(jobs, task->count);
}

/* Lock held. True: signal pool->work, best without the lock. */
static bool should_wake_one(struct worker_pool *pool)
{
	if (!can_run(pool) || pool->waiting <= pool->woken)
		return false;
	pool->woken++;
	return true;
}

/* Lock held; lets it go while the task runs. */
static void work(struct worker_pool *pool, struct worker_task *task)
{
	bool was_empty, wake;

	pool->writing += task->lane == WORKER_WRITE;
	wake = should_wake_one(pool); /* for what became runnable when the last task ended */
	pthread_mutex_unlock(&pool->lock);
	if (wake)
		pthread_cond_signal(&pool->work);
	run_task(task);
	pthread_mutex_lock(&pool->lock);
	pool->writing -= task->lane == WORKER_WRITE;
	worker_queue_finished(&pool->queue, task);
	was_empty = pool->finished.first == NULL;
	for (size_t i = 0; i < task->count; i++)
		job_list_add(&pool->finished, task->jobs[i]);
	if (!was_empty)
		return;
	pthread_cond_signal(&pool->progress);
	pthread_mutex_unlock(&pool->lock);    /* or whoever wakes up would only wait for it */
	uv_async_send(&pool->finished_async); /* once for all that finish before the loop looks */
	pthread_mutex_lock(&pool->lock);
}

/* Lock held. False when the thread should end: after WORKER_IDLE_MS, if it is not the only one. */
static bool wait_for_work(struct worker_pool *pool)
{
	struct timespec until;
	int result;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WORKER_IDLE_MS / 1000;
	pool->waiting++;
	result = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
	pool->waiting--;
	if (pool->woken > 0)
		pool->woken--;
	return result != ETIMEDOUT || can_run(pool) || pool->threads == 1;
}

/* Lock held; lets it go. Whoever waits for the last of this chain waits for all: what the libraries keep for a thread
 * (OpenSSL's errors) is given back only as it really ends, and that must be before the process cleans up. */
static void end_thread(struct worker_pool *pool)
{
	pthread_t before = pool->ended;
	bool has_before = pool->has_ended;

	pool->ended = pthread_self();
	pool->has_ended = true;
	pool->threads--;
	pthread_cond_signal(&pool->progress);
	pthread_mutex_unlock(&pool->lock);
	if (has_before)
		pthread_join(before, NULL);
}

static void *thread_main(void *arg)
{
	struct worker_pool *pool = arg;
	struct worker_task task;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		if (take_task(pool, &task))
			work(pool, &task);
		else if (pool->stop || !wait_for_work(pool))
			break;
	}
	end_thread(pool);
	return NULL;
}

/* Lock held. */
static bool start_thread(struct worker_pool *pool)
{
	pthread_attr_t attr;
	pthread_t thread;
	int failed;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	failed = pthread_create(&thread, &attr, thread_main, pool);
	pthread_attr_destroy(&attr);
	if (failed == 0)
		pool->threads++;
	else
		LOG(LOG_WARNING, "worker.no_thread", LOG_NUMBER("threads", pool->threads),
		        LOG_TEXT("reason", strerror(failed)));
	return failed == 0;
}

/* --- the loop's side ------------------------------------------------------------------------------------------- */

/* Calls done() for what is finished. */
static void hand_back(struct worker_pool *pool)
{
	struct worker_job *job;

	pthread_mutex_lock(&pool->lock);
	job = pool->finished.first;
	pool->finished.first = NULL;
	pthread_mutex_unlock(&pool->lock);
	while (job != NULL) {
		struct worker_job *next = job->next;

		pool->pending--;
		job->done(job);
		job = next;
	}
	if (pool->pending == 0)
		uv_unref((uv_handle_t *)&pool->finished_async);
}

static void on_finished(uv_async_t *async)
{
	hand_back(container_of(async, struct worker_pool, finished_async));
}

static void init_locks(struct worker_pool *pool)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, &attr);
	pthread_cond_init(&pool->progress, NULL);
	pthread_condattr_destroy(&attr);
}

static void pool_release(struct worker_pool *pool)
{
	worker_queue_free(&pool->queue);
	pthread_cond_destroy(&pool->progress);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static void on_async_closed(uv_handle_t *handle)
{
	pool_release(container_of((uv_async_t *)handle, struct worker_pool, finished_async));
}

bool worker_pool_new(uv_loop_t *loop, unsigned threads, struct worker_pool **out, struct error *err)
{
	struct worker_pool *pool = calloc(1, sizeof(*pool));
	bool started;

	if (pool == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	init_locks(pool);
	pool->limit = threads > 0 ? threads : 1;
	pool->write_limit = pool->limit > WORKER_RESERVED ? pool->limit - WORKER_RESERVED : 1;
	if (uv_async_init(loop, &pool->finished_async, on_finished) != 0) {
		pool_release(pool);
		return error_set(err, ERR_NO_MEMORY, "the loop takes no further handle");
	}
	uv_unref((uv_handle_t *)&pool->finished_async);
	/* The one that stays: with it, no job can be stranded when the system refuses further threads. */
	pthread_mutex_lock(&pool->lock);
	started = start_thread(pool);
	pthread_mutex_unlock(&pool->lock);
	if (!started) {
		uv_close((uv_handle_t *)&pool->finished_async, on_async_closed);
		return error_set(err, ERR_NO_MEMORY, "the system starts no further thread");
	}
	*out = pool;
	return true;
}

void worker_submit(struct worker_pool *pool, struct worker_job *job)
{
	bool wake;

	if (pool->pending++ == 0)
		uv_ref((uv_handle_t *)&pool->finished_async);
	pthread_mutex_lock(&pool->lock);
	worker_queue_add(&pool->queue, job);
	wake = should_wake_one(pool);
	if (!wake && pool->waiting <= pool->woken && pool->threads < pool->limit && can_run(pool))
		(void)start_thread(pool); /* without it, those that exist do the work */
	pthread_mutex_unlock(&pool->lock);
	if (wake)
		pthread_cond_signal(&pool->work);
}

unsigned worker_pending(const struct worker_pool *pool)
{
	return pool->pending;
}

static void wait_for_progress(struct worker_pool *pool)
{
	struct worker_task task;

	pthread_mutex_lock(&pool->lock);
	while (pool->finished.first == NULL) {
		if (pool->threads == 0 && take_task(pool, &task)) /* they have all gone, and no new one could be had */
			work(pool, &task);
		else
			pthread_cond_wait(&pool->progress, &pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
}

void worker_pool_free(struct worker_pool **pool_ptr)
{
	struct worker_pool *pool = *pool_ptr;

	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	while (pool->pending > 0) { /* a done() may still submit */
		wait_for_progress(pool);
		hand_back(pool);
	}
	pthread_mutex_lock(&pool->lock);
	while (pool->threads > 0)
		pthread_cond_wait(&pool->progress, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	if (pool->has_ended)
		pthread_join(pool->ended, NULL);
	*pool_ptr = NULL;
	uv_close((uv_handle_t *)&pool->finished_async, on_async_closed);
}
