/* CSV as spreadsheets write it (RFC 4180 §2); bad records are named and do not hide those after them. */
#include "posthouse/csv.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Records as "LINE:[field][field]\n", errors as "LINE:!\n". */
static const struct csv_case {
	const char *input;
	const char *want;
} cases[] = {
	{ "", "" },
	{ "\n\r\n\n", "" },
	{ "a,b", "1:[a][b]\n" },
	{ "a,b\n", "1:[a][b]\n" },
	{ "a,b\r\nc,d\r\n", "1:[a][b]\n2:[c][d]\n" },
	{ "\n\na\n\nb\n", "3:[a]\n5:[b]\n" },
	{ ",,\n", "1:[][][]\n" },
	{ " a , b \n", "1:[ a ][ b ]\n" },           /* RFC 4180 §2.4: blanks are part of the field */
	{ "\"a,b\",c\n", "1:[a,b][c]\n" },           /* §2.6 */
	{ "\"a\"\"b\"\"\",c\n", "1:[a\"b\"][c]\n" }, /* §2.7 */
	{ "\"\",x\n", "1:[][x]\n" },
	{ "\"two\nlines\",x\ny\n", "1:[two\nlines][x]\n3:[y]\n" },
	{ "a\"b,c\n", "1:[a\"b][c]\n" }, /* a quote inside a plain field is itself */
	{ "\"a\"b,c\nd\n", "1:!\n2:[d]\n" },
	{ "\"open,c\nd\n", "1:!\n" }, /* nothing after it can be trusted */
	{ "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\nx\n", "1:!\n2:[x]\n" },
	{ "ok,1\n\"bad\"x\nok,2\n", "1:[ok][1]\n2:!\n3:[ok][2]\n" },
};

static void describe(struct span in, struct buffer *out)
{
	struct csv_record record;
	struct error err;

	csv_init(&record);
	for (;;) {
		bool ok = csv_take(&in, &record, &err);
		if (!ok && err.code == ERR_NONE)
			break;
		(void)buffer_printf(out, "%u:", record.line);
		for (size_t i = 0; ok && i < record.count; i++)
			(void)buffer_printf(out, "[%.*s]", SPAN_FMT(record.fields[i]));
		(void)buffer_append_text(out, ok ? "\n" : "!\n");
	}
	csv_free(&record);
}

static void test_records(void **state)
{
	struct buffer got;

	buffer_init(&got, 64 * KIB);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buffer_clear(&got);
		describe(span_of(cases[i].input), &got);
		if (strcmp(buffer_text(&got), cases[i].want) != 0)
			fail_msg("row %zu: got %s want %s", i, buffer_text(&got), cases[i].want);
	}
	buffer_free(&got);
}

static void test_a_record_over_the_limit_is_refused(void **state)
{
	struct buffer in, got;

	buffer_init(&in, 4 * CSV_RECORD_MAX);
	buffer_init(&got, 64 * KIB);
	for (size_t i = 0; i < CSV_RECORD_MAX + 1; i++)
		(void)buffer_append_char(&in, 'x');
	(void)buffer_append_text(&in, "\nnext\n");
	describe(buffer_span(&in), &got);
	assert_string_equal(buffer_text(&got), "1:!\n2:[next]\n");
	buffer_free(&in);
	buffer_free(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_a_record_over_the_limit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
