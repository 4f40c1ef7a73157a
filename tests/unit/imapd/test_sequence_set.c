/* RFC 9051 §9 sequence-set: parsed, resolved, written. */
#include "imapd/sequence_set.h"

#include "parse_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct set_row {
	const char *input;
	uint32_t largest;
	const char *parsed, *resolved; /* parsed NULL: it is none */
	const char *rest;
} rows[] = {
	/* the examples of §9 */
	{ "2,4:7,9,12:*", 15, "2,4:7,9,12:*", "2,4:7,9,12:15", "" },
	{ "*:4,5:7", 10, "*:4,5:7", "4:10", "" },
	{ "2:4", 9, "2:4", "2:4", "" },
	{ "4:2", 9, "4:2", "2:4", "" },
	{ "3291:*", 17, "3291:*", "17:3291", "" },
	{ "1", 1, "1", "1", "" },
	{ "*", 7, "*", "7", "" },
	{ "*:*", 7, "*", "7", "" },
	{ "$", 7, "$", "$", "" },
	{ "1:4294967295", 9, "1:4294967295", "1:4294967295", "" },
	{ "4294967295:1,5", 9, "4294967295:1,5", "1:4294967295", "" },
	{ "4294967295,4294967294", 9, "4294967295,4294967294", "4294967294:4294967295", "" },
	{ "5,4,3,2,1", 9, "5,4,3,2,1", "1:5", "" },
	{ "1:3,2:5,9,9,7", 9, "1:3,2:5,9,9,7", "1:5,7,9", "" },
	{ "1:9,2:3,5", 9, "1:9,2:3,5", "1:9", "" },
	{ "1:2,4:5", 9, "1:2,4:5", "1:2,4:5", "" },
	{ "007", 9, "7", "7", "" }, /* no nz-number, but harmless */
	/* an empty mailbox */
	{ "*", 0, "*", "", "" },
	{ "1:*", 0, "1:*", "", "" },
	{ "1:3,*", 0, "1:3,*", "1:3", "" },
	/* it ends where it ends */
	{ "1:2 (FLAGS)", 9, "1:2", "1:2", " (FLAGS)" },
	{ "3)", 9, "3", "3", ")" },
	{ "1:2:3", 9, "1:2", "1:2", ":3" },
	{ "$,1", 9, "$", "$", ",1" },
	{ "", 0, NULL },
	{ "0", 0, NULL },
	{ "1:0", 0, NULL },
	{ "1,", 0, NULL },
	{ ",1", 0, NULL },
	{ "1,,2", 0, NULL },
	{ "1:", 0, NULL },
	{ ":1", 0, NULL },
	{ "1:,2", 0, NULL },
	{ "4294967296", 0, NULL },
	{ "1,99999999999999999999", 0, NULL },
	{ "x", 0, NULL },
	{ " 1", 0, NULL },
	{ "-1", 0, NULL },
	{ "1,$", 0, NULL },
};

static void check_text(const char *input, const struct sequence_set *set, const char *want)
{
	struct buffer out;

	buffer_init(&out, SHOW_MAX);
	show_set(&out, set);
	if (strcmp(buffer_text(&out), want) != 0)
		fail_msg("%s gave %s, want %s", input, buffer_text(&out), want);
	buffer_free(&out);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct set_row *row = &rows[i];
		struct span in = span_of(row->input), before = in;
		struct sequence_set set;
		struct arena arena;

		arena_init(&arena, 1 * KIB);
		if (sequence_set_parse(&in, true, &arena, &set) != (row->parsed != NULL))
			fail_msg("%s", row->input);
		if (row->parsed != NULL) {
			check_text(row->input, &set, row->parsed);
			sequence_set_resolve(&set, row->largest);
			check_text(row->input, &set, row->resolved);
			assert_true(span_equal(in, span_of(row->rest)));
		} else {
			assert_ptr_equal(in.ptr, before.ptr);
			assert_int_equal(in.len, before.len);
		}
		arena_free(&arena);
	}
}

static void test_saved_only_where_allowed(void **state)
{
	struct span in = SPAN("$");
	struct sequence_set set;
	struct arena arena;

	arena_init(&arena, 1 * KIB);
	assert_false(sequence_set_parse(&in, false, &arena, &set));
	assert_true(sequence_set_parse(&in, true, &arena, &set));
	assert_true(set.saved && set.count == 0 && in.len == 0);
	arena_free(&arena);
}

static void test_full_arena(void **state)
{
	struct span in = SPAN("1,2,3,4,5,6,7,8,9");
	struct sequence_set set;
	struct arena arena;

	arena_init(&arena, 8 * sizeof(struct number_range));
	assert_false(sequence_set_parse(&in, true, &arena, &set));
	assert_true(arena.failed && in.len == 17);
	arena_free(&arena);
}

static void test_contains(void **state)
{
	struct number_range ranges[] = { { 2, 2 }, { 4, 7 }, { 9, 9 }, { 4294967290u, UINT32_MAX } };
	struct sequence_set set = { .ranges = ranges, .count = ARRAY_LEN(ranges) }, none = { 0 };

	for (uint32_t n = 0; n < 12; n++)
		assert_int_equal(sequence_set_contains(&set, n), n == 2 || (n >= 4 && n <= 7) || n == 9);
	assert_true(sequence_set_contains(&set, 4294967290u) && sequence_set_contains(&set, UINT32_MAX));
	assert_false(sequence_set_contains(&set, 4294967289u));
	assert_false(sequence_set_contains(&none, 1));
}

static void test_star(void **state)
{
	static const struct {
		const char *input;
		bool want;
	} stars[] = { { "*", true }, { "1:*", true }, { "*:1", true }, { "1,2,5:*", true }, { "1:4,9", false },
		{ "$", false } };

	for (size_t i = 0; i < ARRAY_LEN(stars); i++) {
		struct span in = span_of(stars[i].input);
		struct sequence_set set;
		struct arena arena;

		arena_init(&arena, 1 * KIB);
		assert_true(sequence_set_parse(&in, true, &arena, &set));
		assert_int_equal(sequence_set_has_star(&set), stars[i].want);
		arena_free(&arena);
	}
}

/* 20,000 ranges, the last one first, each overlapping its neighbour, and each spanning most of all numbers. */
static void test_many_ranges(void **state)
{
	struct buffer text, written;
	struct sequence_set set;
	struct arena arena;
	struct span in;

	buffer_init(&text, 1 * MIB);
	buffer_init(&written, 1 * MIB);
	arena_init(&arena, 1 * MIB);
	for (unsigned i = 20000; i > 0; i--)
		assert_true(buffer_printf(&text, "%s%u:4294%06u", i < 20000 ? "," : "", 2 * i, i));
	in = buffer_span(&text);
	assert_true(sequence_set_parse(&in, false, &arena, &set));
	assert_int_equal(set.count, 20000);
	sequence_set_resolve(&set, 5);
	check_text("many", &set, "2:4294020000");
	buffer_free(&text);
	buffer_free(&written);
	arena_free(&arena);
}

static void test_write(void **state)
{
	static const struct {
		uint32_t numbers[8];
		size_t count;
		const char *want;
	} writes[] = {
		{ { 0 }, 0, "" },
		{ { 7 }, 1, "7" },
		{ { 1, 2, 3, 5 }, 4, "1:3,5" },
		{ { 1, 3, 4 }, 3, "1,3:4" },
		{ { 304, 319, 320 }, 3, "304,319:320" }, /* RFC 9051 §6.4.7 has 304,319:320 */
		{ { 4294967294u, UINT32_MAX }, 2, "4294967294:4294967295" },
	};

	for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
		struct buffer out;

		buffer_init(&out, 100);
		assert_true(sequence_set_write(&out, writes[i].numbers, writes[i].count));
		assert_string_equal(buffer_text(&out), writes[i].want);
		buffer_free(&out);
	}
}

static void test_write_into_a_full_buffer(void **state)
{
	uint32_t numbers[] = { 1, 2, 3, 50, 100 };

	for (size_t limit = 0; limit < sizeof("1:3,50,100") - 1; limit++) {
		struct buffer out;

		buffer_init(&out, limit);
		assert_false(sequence_set_write(&out, numbers, ARRAY_LEN(numbers)));
		buffer_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_saved_only_where_allowed),
		cmocka_unit_test(test_full_arena),
		cmocka_unit_test(test_contains),
		cmocka_unit_test(test_star),
		cmocka_unit_test(test_many_ranges),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_into_a_full_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
