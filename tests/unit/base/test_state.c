/* Buffers, errors, the log's lines, clocks, randomness, secrets. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void a_buffer_refuses_to_pass_its_limit(void **state)
{
	struct buffer b;

	buffer_init(&b, 10);
	assert_string_equal(buffer_text(&b), "");
	assert_true(buffer_append_text(&b, "12345") && buffer_append_char(&b, '6'));
	assert_true(buffer_printf(&b, "%d", 7890));
	assert_string_equal(buffer_text(&b), "1234567890");
	assert_false(buffer_append_char(&b, 'x'));
	assert_true(b.failed);
	assert_string_equal(buffer_text(&b), "1234567890"); /* nothing half added */
	buffer_consume(&b, 8);
	assert_string_equal(buffer_text(&b), "90");
	assert_false(buffer_append_char(&b, 'x')); /* a failure stays */
	buffer_clear(&b);
	assert_true(buffer_append(&b, NULL, 0) && buffer_append_span(&b, SPAN("a\0b")));
	assert_int_equal(b.len, 3);
	assert_false(buffer_printf(&b, "%08d", 1));
	assert_int_equal(b.len, 3);
	buffer_free(&b);
	assert_true(b.data == NULL && b.limit == 10 && !b.failed);
	assert_false(buffer_reserve(&b, 11));
	buffer_clear(&b);
	assert_false(buffer_reserve(&b, SIZE_MAX));
	buffer_free(&b);
}

static void a_buffer_grows_to_any_length(void **state)
{
	for (size_t limit = 1; limit < 300; limit++) {
		struct buffer b;

		buffer_init(&b, limit);
		for (size_t i = 0; i < limit; i++) {
			assert_true(buffer_append_char(&b, (char)('a' + i % 26)));
			assert_true(b.len <= b.cap && b.cap <= limit && b.data[b.len] == '\0');
		}
		assert_false(buffer_append_char(&b, '!'));
		for (size_t i = 0; i < limit; i++)
			assert_int_equal(b.data[i], 'a' + i % 26);
		buffer_free(&b);
	}
}

static void errors_are_cut_to_fit(void **state)
{
	struct error err;
	char longer[1000];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_false(error_set(&err, ERR_SYNTAX, "expected %s", longer));
	assert_int_equal(strlen(err.reason), sizeof(err.reason) - 1);
	assert_string_equal(err.detail, "");
	assert_false(error_detail(&err, ERR_BUSY, "%s", longer));
	assert_int_equal(strlen(err.detail), sizeof(err.detail) - 1);
	assert_string_equal(err.reason, error_meaning(ERR_BUSY));
	error_clear(&err);
	assert_int_equal(err.code, ERR_NONE);
}

static void errno_becomes_a_code(void **state)
{
	static const struct {
		int errnum;
		enum error_code code;
	} rows[] = { { ENOSPC, ERR_NO_SPACE }, { EDQUOT, ERR_NO_SPACE }, { ENOMEM, ERR_NO_MEMORY }, { EIO, ERR_IO },
		{ ENOENT, ERR_IO }, { EROFS, ERR_IO } };
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_false(error_errno(&err, rows[i].errnum, "here"));
		assert_int_equal(err.code, rows[i].code);
		assert_memory_equal(err.detail, "here: ", 6);
	}
}

static void every_code_has_a_name_and_a_meaning(void **state)
{
	for (unsigned code = 0; code < ERROR_CODE_COUNT; code++) {
		assert_memory_equal(error_name(code), "ERR_", 4);
		assert_true(strlen(error_meaning(code)) > 5 && strlen(error_meaning(code)) < 128);
	}
	assert_non_null(error_name(ERROR_CODE_COUNT));
}

/* --- the log ---------------------------------------------------------------------------------------------------- */

static const struct log_case {
	struct span value;
	const char *shown;
} log_cases[] = {
	{ { "plain", 5 }, "plain" },
	{ { "a@b.example", 11 }, "a@b.example" },
	{ { "", 0 }, "\"\"" },
	{ { "two words", 9 }, "\"two words\"" },
	{ { "a=b", 3 }, "\"a=b\"" },
	{ { "a\nb", 3 }, "\"a\\x0ab\"" },
	{ { "a\r\n2026 error", 13 }, "\"a\\x0d\\x0a2026 error\"" }, /* no second line can be made */
	{ { "q\"q", 3 }, "\"q\\x22q\"" },
	{ { "b\\x41", 5 }, "\"b\\x5cx41\"" },
	{ { "\0", 1 }, "\"\\x00\"" },
	{ { "\x1b[2J", 4 }, "\"\\x1b[2J\"" },
	{ { "\x7f", 1 }, "\"\\x7f\"" },
	{ { "\xc3\xa4", 2 }, "\"\\xc3\\xa4\"" },
};

static void values_cannot_break_a_line(void **state)
{
	char line[LOG_LINE_MAX], wanted[LOG_LINE_MAX];

	clock_set_for_test(-1, 1764000000123);
	log_open("test", LOG_INFO);
	for (size_t i = 0; i < ARRAY_LEN(log_cases); i++) {
		struct log_field fields[] = { LOG_SPAN("v", log_cases[i].value), LOG_NUMBER("n", -5) };
		size_t len = log_format(line, sizeof(line), LOG_WARNING, "a.thing", fields, 2);

		snprintf(wanted, sizeof(wanted), "2025-11-24T16:00:00.123Z warning test a.thing v=%s n=-5\n",
		        log_cases[i].shown);
		assert_int_equal(len, strlen(wanted));
		assert_memory_equal(line, wanted, len);
	}
	clock_set_for_test(-1, -1);
}

static void a_line_is_cut_but_still_a_line(void **state)
{
	char line[LOG_LINE_MAX], value[2 * LOG_LINE_MAX];

	memset(value, '\n', sizeof(value));
	for (size_t size = 2; size <= LOG_LINE_MAX; size += 97) {
		struct log_field field = LOG_SPAN("v", span_make(value, sizeof(value)));
		size_t len = log_format(line, size, LOG_ERROR, "event", &field, 1);

		assert_true(len <= size && line[len - 1] == '\n');
		assert_null(memchr(line, '\n', len - 1));
	}
}

/* --- the rest --------------------------------------------------------------------------------------------------- */

static void clocks_and_randomness_obey_tests(void **state)
{
	uint64_t first, second;

	clock_set_for_test(5, 7);
	assert_true(clock_mono_ms() == 5 && clock_wall_ms() == 7);
	clock_set_for_test(-1, -1);
	assert_true(clock_mono_ms() > 5 && clock_wall_ms() > 1700000000000);
	random_seed_for_test(42);
	first = random_u64();
	random_seed_for_test(42);
	assert_true(random_u64() == first);
	random_seed_for_test(0);
	second = random_u64();
	assert_true(second != random_u64());
	for (uint32_t bound = 1; bound < 200; bound++)
		for (int i = 0; i < 20; i++)
			assert_true(random_below(bound) < bound);
}

static void secrets_are_compared_whole(void **state)
{
	struct buffer b;
	char copy[4] = "abc";

	assert_true(secret_equal("abc", copy, 4) && secret_equal("x", "y", 0));
	copy[2] = 'd';
	assert_false(secret_equal("abc", copy, 4));
	secret_wipe(copy, sizeof(copy));
	assert_memory_equal(copy, "\0\0\0\0", 4);
	buffer_init(&b, 10);
	buffer_append_text(&b, "password");
	secret_buffer_free(&b);
	assert_null(b.data);
	secret_buffer_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_refuses_to_pass_its_limit),
		cmocka_unit_test(a_buffer_grows_to_any_length),
		cmocka_unit_test(errors_are_cut_to_fit),
		cmocka_unit_test(errno_becomes_a_code),
		cmocka_unit_test(every_code_has_a_name_and_a_meaning),
		cmocka_unit_test(values_cannot_break_a_line),
		cmocka_unit_test(a_line_is_cut_but_still_a_line),
		cmocka_unit_test(clocks_and_randomness_obey_tests),
		cmocka_unit_test(secrets_are_compared_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
