/* The worker pool: order by key, batches, lanes, and done() exactly once for each job. */
#include "base/buffer.h"
#include "net/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define JOBS 2000
#define KEYS 7

struct test_job {
	struct worker_job job;
	unsigned number;
	unsigned ran; /* how often */
	unsigned done;
	size_t batch; /* how many ran with it */
};

static uv_loop_t loop;
static struct worker_pool *pool;
static unsigned last_of_key[KEYS + 1]; /* written only by whoever runs the key: TSan says if two do */
static atomic_uint running, most_running;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void open_pool(unsigned threads)
{
	struct error err;

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_true(worker_pool_new(&loop, threads, &pool, &err));
	memset(last_of_key, 0, sizeof(last_of_key));
	running = most_running = 0;
}

static void close_pool(void)
{
	worker_pool_free(&pool);
	assert_null(pool);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void run_ordered(struct worker_job *job)
{
	struct test_job *t = container_of(job, struct test_job, job);

	assert_true(t->number > last_of_key[job->key]);
	last_of_key[job->key] = t->number;
	t->ran++;
}

static void run_ordered_batch(struct worker_job **jobs, size_t count)
{
	assert_true(count >= 1 && count <= WORKER_BATCH_MAX);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(jobs[i]->key, jobs[0]->key);
		container_of(jobs[i], struct test_job, job)->batch = count;
		run_ordered(jobs[i]);
	}
}

static void run_free(struct worker_job *job)
{
	container_of(job, struct test_job, job)->ran++;
}

static void count_done(struct worker_job *job)
{
	container_of(job, struct test_job, job)->done++;
}

static void each_ran_and_is_done_once(const struct test_job *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(jobs[i].ran, 1);
		assert_int_equal(jobs[i].done, 1);
	}
}

static void same_key_same_order(void **state)
{
	struct test_job *jobs = calloc(JOBS, sizeof(*jobs));

	open_pool(6);
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i].number = i + 1;
		jobs[i].job = (struct worker_job) {
			.done = count_done, .lane = i % 3 == 0 ? WORKER_READ : WORKER_WRITE, .key = i % (KEYS + 1)
		};
		if (jobs[i].job.key == 0)
			jobs[i].job.run = run_free;
		else if (i % 5 == 0)
			jobs[i].job.run = run_ordered;
		else
			jobs[i].job.run_batch = run_ordered_batch;
		worker_submit(pool, &jobs[i].job);
	}
	assert_int_equal(worker_pending(pool), JOBS);
	uv_run(&loop, UV_RUN_DEFAULT); /* ends by itself: an idle pool does not hold the loop */
	assert_int_equal(worker_pending(pool), 0);
	each_ran_and_is_done_once(jobs, JOBS);
	close_pool();
	free(jobs);
}

static void run_gate(struct worker_job *job)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	container_of(job, struct test_job, job)->ran++;
}

static void what_waits_together_goes_together(void **state)
{
	static const struct {
		uint64_t key;
		size_t batch;
	} rows[] = { { 1, 64 }, { 1, 64 }, { 2, 1 } };
	struct test_job *jobs = calloc(200, sizeof(*jobs));
	struct test_job first = { .job = { .run = run_gate, .done = count_done, .key = 1 } };

	open_pool(4);
	pthread_mutex_lock(&gate);
	worker_submit(pool, &first.job);
	for (unsigned i = 0; i < 130; i++) {
		jobs[i].number = i + 1;
		jobs[i].job = (struct worker_job) { .run_batch = run_ordered_batch, .done = count_done, .key = 1 };
		worker_submit(pool, &jobs[i].job);
	}
	pthread_mutex_unlock(&gate);
	uv_run(&loop, UV_RUN_DEFAULT);
	each_ran_and_is_done_once(jobs, 130);
	assert_int_equal(jobs[0].batch, rows[0].batch);
	assert_int_equal(jobs[127].batch, rows[1].batch);
	assert_int_equal(jobs[129].batch, 2);
	close_pool();
	free(jobs);
}

/* All writers stuck on a frozen disk: reading goes on. */
static void readers_pass_stuck_writers(void **state)
{
	struct test_job writers[10] = { 0 }, readers[10] = { 0 };

	open_pool(4);
	pthread_mutex_lock(&gate);
	for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
		writers[i].job =
		        (struct worker_job) { .run = run_gate, .done = count_done, .lane = WORKER_WRITE, .key = i };
		worker_submit(pool, &writers[i].job);
	}
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		readers[i].job = (struct worker_job) { .run = run_free, .done = count_done, .lane = WORKER_READ };
		worker_submit(pool, &readers[i].job);
	}
	while (worker_pending(pool) > ARRAY_LEN(writers))
		uv_run(&loop, UV_RUN_ONCE);
	each_ran_and_is_done_once(readers, ARRAY_LEN(readers));
	for (size_t i = 0; i < ARRAY_LEN(writers); i++)
		assert_int_equal(writers[i].done, 0);
	pthread_mutex_unlock(&gate);
	uv_run(&loop, UV_RUN_DEFAULT);
	each_ran_and_is_done_once(writers, ARRAY_LEN(writers));
	close_pool();
}

static void run_counting(struct worker_job *job)
{
	unsigned now = atomic_fetch_add(&running, 1) + 1;
	unsigned most = atomic_load(&most_running);

	while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
		;
	usleep(2000);
	atomic_fetch_sub(&running, 1);
	container_of(job, struct test_job, job)->ran++;
}

static void threads_are_bounded_by_lane(void **state)
{
	static const struct {
		unsigned threads;
		enum worker_lane lane;
		unsigned most;
	} rows[] = { { 1, WORKER_WRITE, 1 }, { 2, WORKER_WRITE, 1 }, { 5, WORKER_WRITE, 3 }, { 5, WORKER_READ, 5 } };

	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		struct test_job jobs[40] = { 0 };

		open_pool(rows[row].threads);
		for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
			jobs[i].job =
			        (struct worker_job) { .run = run_counting, .done = count_done, .lane = rows[row].lane };
			worker_submit(pool, &jobs[i].job);
		}
		uv_run(&loop, UV_RUN_DEFAULT);
		each_ran_and_is_done_once(jobs, ARRAY_LEN(jobs));
		assert_int_equal(most_running, rows[row].most);
		close_pool();
	}
}

static void submit_again(struct worker_job *job)
{
	struct test_job *t = container_of(job, struct test_job, job);

	if (++t->done < 5)
		worker_submit(pool, job);
}

static void the_end_runs_what_is_queued(void **state)
{
	struct test_job jobs[50] = { 0 }, again = { .job = { .run = run_free, .done = submit_again, .key = 3 } };

	open_pool(3);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i].job = (struct worker_job) {
			.run = run_counting, .done = count_done, .lane = WORKER_WRITE, .key = i % 3
		};
		worker_submit(pool, &jobs[i].job);
	}
	worker_submit(pool, &again.job);
	close_pool();
	each_ran_and_is_done_once(jobs, ARRAY_LEN(jobs));
	assert_int_equal(again.ran, 5);
}

static void an_idle_pool_ends(void **state)
{
	open_pool(8);
	close_pool();
	worker_pool_free(&pool); /* nothing there: nothing happens */
}

/* --- what a thread leaves behind as it ends --- */

static pthread_key_t kept;
static atomic_uint given_back;

static void give_back(void *value)
{
	usleep(20000); /* long enough for an end that does not wait to be seen */
	given_back++;
}

static void keep_something(struct worker_job *job)
{
	assert_int_equal(pthread_setspecific(kept, job), 0);
	usleep(1000);
}

/* OpenSSL keeps errors for each thread: the process must not clean up before a thread has given them back. */
static void the_end_waits_for_what_threads_keep(void **state)
{
	struct test_job jobs[8] = { 0 };
	unsigned before;

	assert_int_equal(pthread_key_create(&kept, give_back), 0);
	given_back = 0;
	open_pool(4);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i].job = (struct worker_job) { .run = keep_something, .done = count_done, .lane = WORKER_READ };
		worker_submit(pool, &jobs[i].job);
	}
	close_pool();
	before = given_back;
	assert_in_range(before, 1, 4);
	usleep(100000);
	assert_int_equal(given_back, before); /* none comes later */
	pthread_key_delete(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_key_same_order),
		cmocka_unit_test(what_waits_together_goes_together),
		cmocka_unit_test(readers_pass_stuck_writers),
		cmocka_unit_test(threads_are_bounded_by_lane),
		cmocka_unit_test(the_end_runs_what_is_queued),
		cmocka_unit_test(an_idle_pool_ends),
		cmocka_unit_test(the_end_waits_for_what_threads_keep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
