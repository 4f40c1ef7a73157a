/* Options of the queue's commands: filters, pages, numbers, durations. */
#include "posthouse/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000000000000

static const struct filter_case {
	enum cli_option option;
	const char *value;
	bool ok;
	struct queue_filter want; /* held -1 but for --held */
} filter_cases[] = {
	{ OPT_SENDER, "a@b.example", true, { .sender = { "a@b.example", 11 }, .held = -1 } },
	{ OPT_SENDER, "@b.example", true, { .sender = { "@b.example", 10 }, .held = -1 } },
	{ OPT_SENDER, "<>", true, { .sender = { "<>", 2 }, .held = -1 } },
	{ OPT_SENDER, "a", false, { .held = -1 } },
	{ OPT_SENDER, "a@", false, { .held = -1 } },
	{ OPT_SENDER, "", false, { .held = -1 } },
	{ OPT_RECIPIENT, "@b.example", true, { .recipient = { "@b.example", 10 }, .held = -1 } },
	{ OPT_RECIPIENT, "<>", false, { .held = -1 } },
	{ OPT_HELD, "", true, { .held = 1 } },
	{ OPT_OLDER_THAN, "90m", true, { .held = -1, .older_than_ms = NOW - 90 * 60 * 1000 } },
	{ OPT_OLDER_THAN, "2d", true, { .held = -1, .older_than_ms = NOW - 2 * 86400 * 1000 } },
	{ OPT_OLDER_THAN, "0", true, { .held = -1, .older_than_ms = NOW } },
	{ OPT_OLDER_THAN, "90", false, { .held = -1 } },
	{ OPT_OLDER_THAN, "-1h", false, { .held = -1 } },
	{ OPT_OLDER_THAN, "99999999d", false, { .held = -1 } },
	{ OPT_OLDER_THAN, "soon", false, { .held = -1 } },
};

static void test_filters(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(filter_cases); i++) {
		const struct filter_case *c = &filter_cases[i];
		struct cli cli = { .word_count = 0 };
		struct queue_filter got;
		struct error err;

		cli.options[c->option] = c->value;
		assert_int_equal(filter_from_options(&cli, NOW, &got, &err), c->ok);
		if (!c->ok) {
			assert_int_equal(err.code, ERR_SYNTAX);
			continue;
		}
		assert_true(span_equal(got.sender, c->want.sender));
		assert_true(span_equal(got.recipient, c->want.recipient));
		assert_int_equal(got.held, c->want.held);
		assert_int_equal(got.older_than_ms, c->want.older_than_ms);
		assert_false(filter_is_everything(&got)); /* so none of these needs --all */
	}
}

static void test_nothing_is_everything(void **state)
{
	struct cli cli = { .word_count = 0 };
	struct queue_filter got;
	struct error err;

	assert_true(filter_from_options(&cli, NOW, &got, &err));
	assert_true(filter_is_everything(&got));
	got.trace = SPAN("abc");
	assert_false(filter_is_everything(&got));
}

static const struct page_case {
	const char *limit, *page;
	bool ok;
	uint64_t want_skip, want_limit;
} page_cases[] = {
	{ NULL, NULL, true, 0, PAGE_LIMIT },
	{ "10", NULL, true, 0, 10 },
	{ "10", "1", true, 0, 10 },
	{ "10", "3", true, 20, 10 },
	{ NULL, "2", true, PAGE_LIMIT, PAGE_LIMIT },
	{ "100000", "1000000", true, 99999900000, 100000 },
	{ "0", NULL, false, 0, 0 },
	{ NULL, "0", false, 0, 0 },
	{ "100001", NULL, false, 0, 0 },
	{ "1e3", NULL, false, 0, 0 },
	{ "-1", NULL, false, 0, 0 },
	{ NULL, "99999999999999999999", false, 0, 0 },
};

static void test_pages(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(page_cases); i++) {
		const struct page_case *c = &page_cases[i];
		struct cli cli = { .word_count = 0 };
		uint64_t skip, limit;
		struct error err;

		cli.options[OPT_LIMIT] = c->limit;
		cli.options[OPT_PAGE] = c->page;
		assert_int_equal(page_from_options(&cli, &skip, &limit, &err), c->ok);
		if (!c->ok)
			continue;
		assert_int_equal(skip, c->want_skip);
		assert_int_equal(limit, c->want_limit);
	}
}

static void test_numbers_for_people(void **state)
{
	static const struct {
		uint64_t number;
		const char *want;
	} cases[] = { { 0, "0" }, { 999, "999" }, { 1000, "1,000" }, { 100000, "100,000" }, { 12345678, "12,345,678" },
		{ UINT64_MAX, "18,446,744,073,709,551,615" } };
	char out[32];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		output_number(cases[i].number, out, sizeof(out));
		assert_string_equal(out, cases[i].want);
	}
	output_printable(SPAN("a\033[2Jb\n\xc3\xa9"), out, sizeof(out));
	assert_string_equal(out, "a?[2Jb?\xc3\xa9");
	output_printable(SPAN("ab\xc3\xa9"), out, 4); /* no half character at the end */
	assert_string_equal(out, "ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_nothing_is_everything),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_numbers_for_people),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
