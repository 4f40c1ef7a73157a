/* storage/spool.h: limits, the step from memory to file, reading back. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

static void test_sizes(void **state)
{
	static const struct {
		uint64_t limit;
		size_t piece, pieces;
		enum error_code want; /* of the last piece */
		bool fits;            /* one more octet, without the disk */
	} rows[] = {
		{ 10, 10, 1, ERR_NONE, true },
		{ 10, 11, 1, ERR_TOO_LARGE, true },
		{ 10, 5, 3, ERR_TOO_LARGE, true },
		{ UINT64_MAX, 65535, 1, ERR_NONE, true },
		{ UINT64_MAX, 65536, 1, ERR_NONE, false },
		{ UINT64_MAX, 65537, 1, ERR_NONE, false },
		{ UINT64_MAX, 40000, 5, ERR_NONE, false },
		{ 100000, 40000, 3, ERR_TOO_LARGE, false },
	};
	struct fixture *fixture = *state;
	char *bytes = malloc(70000);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t size = 0;
		struct spool *spool;
		struct error err;
		size_t got;
		char last;

		assert_true(spool_new(fixture->store, rows[i].limit, &spool, &err));
		for (size_t n = 1; n <= rows[i].pieces; n++) {
			bool ok;

			memset(bytes, (int)('a' + n), rows[i].piece);
			ok = spool_append(spool, span_make(bytes, rows[i].piece), &err);
			assert_int_equal(ok ? ERR_NONE : err.code, n == rows[i].pieces ? rows[i].want : ERR_NONE);
			size += ok ? rows[i].piece : 0;
		}
		assert_int_equal(spool_size(spool), size);
		assert_int_equal(spool_fits(spool, 1), rows[i].fits);
		assert_true(spool_sync(spool, &err));
		assert_true(spool_read(spool, size, &last, 1, &got, &err));
		assert_int_equal(got, 0);
		if (size > 0) {
			assert_true(spool_read(spool, size - 1, &last, 10, &got, &err));
			assert_int_equal(got, 1);
			assert_int_equal(last, 'a' + size / rows[i].piece);
			assert_true(spool_read(spool, 0, &last, 1, &got, &err));
			assert_int_equal(last, 'b');
		}
		spool_free(&spool);
		spool_free(&spool);
	}
	free(bytes);
}

/* What was in memory goes along, and nothing more stays there. */
static void test_leaves_memory(void **state)
{
	struct fixture *fixture = *state;
	struct spool *spool;
	struct error err;
	char text[10];
	size_t got;

	assert_true(spool_new(fixture->store, 100, &spool, &err));
	assert_true(spool_append(spool, SPAN("abc"), &err));
	assert_true(spool_fits(spool, 1));
	spool_leave_memory(spool);
	assert_false(spool_fits(spool, 0));
	assert_true(spool_read(spool, 0, text, sizeof(text), &got, &err) && got == 3); /* until more comes */
	assert_true(spool_append(spool, SPAN("def"), &err));
	assert_true(spool_sync(spool, &err));
	assert_true(spool_read(spool, 0, text, sizeof(text), &got, &err) && got == 6);
	assert_memory_equal(text, "abcdef", 6);
	spool_free(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sizes, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_leaves_memory, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
