/* Slices of long work (imapd/scan.h): each block once and in order, unfinished ones again, the end once, also after failure or abandonment. */
#include "imapd/scan.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/macros.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define ITEMS 1000

struct work {
	uv_loop_t loop;
	struct worker_pool *pool;
	struct scan *scan;
	pthread_mutex_t mutex; /* of what work() writes */
	unsigned done_count[ITEMS], calls;
	size_t expected_first;
	/* what the test wants */
	size_t block, fail_at;
	unsigned calls_a_block; /* work() says "unfinished" so often less one */
	bool abandon_at_slice;
	/* a job's own */
	unsigned calls_here[SCAN_JOBS_MAX];
	size_t first_here[SCAN_JOBS_MAX];
	/* what the loop heard */
	unsigned slices, ends, releases;
	enum error_code failed;
};

static size_t block(void *arg, size_t first)
{
	struct work *w = arg;

	CHECK(first == w->expected_first); /* in order, by one at a time */
	w->expected_first = first + w->block < ITEMS ? first + w->block : ITEMS;
	return w->expected_first - first;
}

/* The clock stands, so a slice has no end: it is moved on, and each call is a slice. */
static bool work(void *arg, unsigned job, size_t first, size_t count, struct error *err)
{
	struct work *w = arg;
	bool again = w->calls_here[job] > 0, fails;

	CHECK(!again || w->first_here[job] == first); /* unfinished: the same block, in the same job */
	w->first_here[job] = first;
	if (++w->calls_here[job] == w->calls_a_block)
		w->calls_here[job] = 0;
	pthread_mutex_lock(&w->mutex);
	w->calls++;
	fails = first <= w->fail_at && w->fail_at < first + count;
	for (size_t i = first; i < first + count; i++)
		w->done_count[i]++;
	clock_set_for_test(clock_mono_ms() + SCAN_SLICE_MS, -1);
	pthread_mutex_unlock(&w->mutex);
	return !fails || error_set(err, ERR_IO, "as the test wants");
}

static bool is_unfinished(void *arg, unsigned job)
{
	return ((struct work *)arg)->calls_here[job] > 0;
}

static void slice(void *arg)
{
	struct work *w = arg;

	CHECK(w->ends == 0 && w->releases == 0);
	w->slices++;
	if (w->abandon_at_slice && w->scan != NULL)
		scan_abandon(&w->scan);
}

static void done(void *arg, const struct error *failed)
{
	struct work *w = arg;

	w->ends++;
	w->failed = failed == NULL ? ERR_NONE : failed->code;
	CHECK(w->releases == 0);
	scan_abandon(&w->scan); /* means nothing any more */
}

static void released(void *arg)
{
	((struct work *)arg)->releases++;
}

static void run(struct work *w, bool parallel)
{
	struct scan_plan plan = { .arg = w,
		.count = ITEMS,
		.parallel = parallel,
		.block = block,
		.work = work,
		.is_unfinished = w->calls_a_block > 1 ? is_unfinished : NULL,
		.slice = slice,
		.done = done,
		.release = released };
	struct error err;

	clock_set_for_test(1000, -1);
	pthread_mutex_init(&w->mutex, NULL);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_true(worker_pool_new(&w->loop, 4, &w->pool, &err));
	plan.pool = w->pool;
	assert_true(scan_start(&plan, &w->scan, &err));
	assert_int_equal(w->releases, 0);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(w->releases, 1);
	worker_pool_free(&w->pool);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	pthread_mutex_destroy(&w->mutex);
	clock_set_for_test(-1, -1);
}

static const struct row {
	size_t block;
	unsigned calls_a_block;
	bool parallel;
} rows[] = { { 1, 1, false }, { 7, 1, true }, { 1, 3, false }, { 64, 5, true }, { ITEMS, 1, true },
	{ ITEMS, 4, false } };

static void test_all_blocks(void **state)
{
	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct work w = { .block = rows[r].block, .calls_a_block = rows[r].calls_a_block, .fail_at = ITEMS };
		size_t blocks = (ITEMS + w.block - 1) / w.block;

		run(&w, rows[r].parallel);
		assert_int_equal(w.calls, blocks * w.calls_a_block);
		for (size_t i = 0; i < ITEMS; i++)
			assert_int_equal(w.done_count[i], w.calls_a_block);
		assert_true(w.ends == 1 && w.failed == ERR_NONE);
		if (!rows[r].parallel) /* each call used its slice up */
			assert_int_equal(w.slices, w.calls - 1);
	}
}

static void test_failure(void **state)
{
	(void)state;
	for (unsigned calls = 1; calls <= 2; calls++) {
		struct work w = { .block = 10, .calls_a_block = calls, .fail_at = 505 };

		run(&w, false);
		assert_true(w.ends == 1 && w.failed == ERR_IO);
		assert_int_equal(w.done_count[499], calls);
		assert_int_equal(w.done_count[505], 1); /* not again */
		assert_int_equal(w.done_count[510], 0);
	}
}

static void test_abandoned(void **state)
{
	(void)state;
	for (unsigned calls = 1; calls <= 2; calls++) {
		struct work w = { .block = 10, .calls_a_block = calls, .fail_at = ITEMS, .abandon_at_slice = true };

		run(&w, false);
		assert_int_equal(w.ends, 0);
		assert_int_equal(w.slices, 1);
		assert_int_equal(w.calls, 2); /* the one that was under way */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_blocks),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_abandoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
