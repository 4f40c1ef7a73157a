/* Spans, numbers, base64, UTF-8: tables of input and what must come of it. */
#include "base/base64.h"
#include "base/macros.h"
#include "base/span.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CUT(literal)                                                                                                   \
	{                                                                                                              \
		"" literal, sizeof(literal) - 1                                                                        \
	}

/* --- span ------------------------------------------------------------------------------------------------------- */

static const struct number_case {
	const char *input;
	uint64_t max;
	bool good;
	uint64_t value;
	const char *rest;
} number_cases[] = {
	{ "0", 10, true, 0, "" },
	{ "10", 10, true, 10, "" },
	{ "11", 10, false, 0, "11" },
	{ "007x", 10, true, 7, "x" },
	{ "12 34", 100, true, 12, " 34" },
	{ "", 10, false, 0, "" },
	{ "x1", 10, false, 0, "x1" },
	{ "-1", 10, false, 0, "-1" },
	{ "+1", 10, false, 0, "+1" },
	{ " 1", 10, false, 0, " 1" },
	{ "0x10", 100, true, 0, "x10" },
	{ "9", 5, false, 0, "9" },
	{ "0", 0, true, 0, "" },
	{ "1", 0, false, 0, "1" },
	{ "4294967295", UINT32_MAX, true, UINT32_MAX, "" },
	{ "4294967296", UINT32_MAX, false, 0, "4294967296" },
	{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX, "" },
	{ "18446744073709551616", UINT64_MAX, false, 0, "18446744073709551616" },
	{ "99999999999999999999999999", UINT64_MAX, false, 0, "99999999999999999999999999" },
	{ "00000000000000000000000000000001", 5, true, 1, "" },
};

static void numbers(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(number_cases); i++) {
		const struct number_case *c = &number_cases[i];
		struct span in = span_of(c->input);
		uint64_t value = 0;
		uint32_t small = 0;

		assert_int_equal(span_take_number64(&in, c->max, &value), c->good);
		assert_true(value == c->value);
		assert_true(span_equal(in, span_of(c->rest)));
		value = 0;
		assert_int_equal(span_number(span_of(c->input), c->max, &value), c->good && c->rest[0] == '\0');
		in = span_of(c->input);
		if (c->max <= UINT32_MAX) {
			assert_int_equal(span_take_number(&in, (uint32_t)c->max, &small), c->good);
			assert_true(small == c->value);
			assert_true(span_equal(in, span_of(c->rest)));
		}
	}
}

static const struct compare_case {
	struct span a, b;
	int order;
	bool nocase, a_starts_b, b_ends_a;
} compare_cases[] = {
	{ CUT(""), CUT(""), 0, true, true, true },
	{ CUT("a"), CUT(""), 1, false, true, true },
	{ CUT("abc"), CUT("ab"), 1, false, true, false },
	{ CUT("abc"), CUT("bc"), -1, false, false, true },
	{ CUT("abc"), CUT("ABC"), 1, true, false, true },
	{ CUT("a\0b"), CUT("a\0c"), -1, false, false, false },
	{ CUT("a"), CUT("a\0"), -1, false, false, false },
	{ CUT("\xc4"), CUT("\xe4"), -1, false, false, false }, /* no locale */
	{ CUT("["), CUT("{"), -1, false, false, false },       /* 0x20 apart, but no letters */
	{ CUT("@"), CUT("`"), -1, false, false, false },
};

static int sign(int number)
{
	return (number > 0) - (number < 0);
}

static void comparing(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(compare_cases); i++) {
		const struct compare_case *c = &compare_cases[i];

		assert_int_equal(sign(span_compare(c->a, c->b)), c->order);
		assert_int_equal(sign(span_compare(c->b, c->a)), -c->order);
		assert_int_equal(span_equal(c->a, c->b), c->order == 0);
		assert_int_equal(span_equal_nocase(c->a, c->b), c->nocase);
		assert_int_equal(span_starts(c->a, c->b), c->a_starts_b);
		assert_int_equal(span_ends_nocase(c->a, c->b), c->b_ends_a);
	}
	assert_true(span_starts_nocase(SPAN("Mail"), SPAN("mA")));
	assert_false(span_starts_nocase(SPAN("m"), SPAN("mA")));
}

static bool is_digit(unsigned char c)
{
	return ascii_is_digit(c);
}

static void taking(void **state)
{
	struct span in = SPAN("TO:<a@b>=12"), out;
	size_t at;

	assert_false(span_take_word(&in, "FROM:"));
	assert_false(span_take_char(&in, 't')); /* untouched by what fails */
	assert_true(span_take_word(&in, "to:") && span_take_char(&in, '<'));
	assert_false(span_take_until(&in, '%', &out));
	assert_true(span_take_until(&in, '>', &out));
	assert_true(span_equal(out, SPAN("a@b")));
	assert_false(span_take_run(&in, is_digit, &out));
	assert_true(span_take_char(&in, '=') && span_take_run(&in, is_digit, &out));
	assert_true(span_equal(out, SPAN("12")) && in.len == 0);
	assert_false(span_take_char(&in, 'x') || span_take_until(&in, 'x', &out) || span_take_run(&in, is_digit, &out));
	assert_true(span_take_word(&in, ""));
	assert_true(span_find(SPAN("a.b.c"), '.', &at) && at == 1);
	assert_true(span_find_last(SPAN("a.b.c"), '.', &at) && at == 3);
	assert_false(span_find(SPAN_EMPTY, '.', &at) || span_find_last(SPAN("abc"), '.', &at));
	assert_true(span_equal(span_trim(SPAN(" \t a b \r\n")), SPAN("a b")));
	assert_int_equal(span_trim(SPAN(" \r\n\t")).len, 0);
	assert_true(span_equal(span_first(SPAN("abc"), 2), SPAN("ab")) && span_first(SPAN("abc"), 9).len == 3);
	assert_true(span_equal(span_skip(SPAN("abc"), 2), SPAN("c")) && span_skip(SPAN("abc"), 9).len == 0);
	assert_int_equal(span_skip(SPAN_EMPTY, 3).len, 0);
	assert_int_equal(span_of(NULL).len, 0);
}

static void copying(void **state)
{
	char out[4] = "zzz";

	assert_true(span_copy(SPAN("abc"), out, sizeof(out)));
	assert_string_equal(out, "abc");
	assert_false(span_copy(SPAN("abcd"), out, sizeof(out)));
	assert_false(span_copy(SPAN("a\0b"), out, sizeof(out)));
	assert_false(span_copy(SPAN_EMPTY, out, 0));
	assert_true(span_copy(SPAN_EMPTY, out, 1));
	assert_string_equal(out, "");
}

/* --- base64 ----------------------------------------------------------------------------------------------------- */

static const struct base64_case {
	const char *text, *coded; /* RFC 4648 §10 and more */
} base64_cases[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xfb\xff\xfe", "+//+" },
};

static void base64_both_ways(void **state)
{
	struct buffer out;

	for (size_t i = 0; i < ARRAY_LEN(base64_cases); i++) {
		buffer_init(&out, 100);
		assert_true(base64_encode(span_of(base64_cases[i].text), &out));
		assert_string_equal(buffer_text(&out), base64_cases[i].coded);
		buffer_clear(&out);
		assert_true(base64_decode(span_of(base64_cases[i].coded), &out));
		assert_string_equal(buffer_text(&out), base64_cases[i].text);
		buffer_free(&out);
	}
}

static void base64_is_strict(void **state)
{
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "=",
		"====", "Z===", "Zg==Zg==", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zm9-", "Zm9_", "Zm9.", "Z=9v", "Zm=v",
		"\xc3\xa4==" };
	struct buffer out;

	buffer_init(&out, 100);
	buffer_append_text(&out, "before");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(base64_decode(span_of(bad[i]), &out));
		assert_string_equal(buffer_text(&out), "before");
	}
	assert_false(base64_decode(SPAN("Zm9\0"), &out));
	buffer_free(&out);
	buffer_init(&out, 3);
	assert_false(base64_encode(SPAN("f"), &out)); /* needs 4 */
	buffer_free(&out);
}

/* --- UTF-8 ------------------------------------------------------------------------------------------------------ */

static const struct utf8_case {
	struct span text;
	bool valid;
	uint32_t first; /* code point, when the front is valid */
	const char *repaired;
} utf8_cases[] = {
	{ CUT("a"), true, 'a', "a" },
	{ CUT("\0"), true, 0, "" },
	{ CUT("\xc3\xa4x"), true, 0xe4, "\xc3\xa4x" },
	{ CUT("\xe2\x82\xac"), true, 0x20ac, "\xe2\x82\xac" },
	{ CUT("\xf0\x9f\x93\xae"), true, 0x1f4ee, "\xf0\x9f\x93\xae" },
	{ CUT("\xf4\x8f\xbf\xbf"), true, 0x10ffff, "\xf4\x8f\xbf\xbf" },
	{ CUT("\xf4\x90\x80\x80"), false, 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* above U+10FFFF */
	{ CUT("\xc0\x80"), false, 0, "\xef\xbf\xbd\xef\xbf\xbd" },                                 /* overlong */
	{ CUT("\xc1\xbf"), false, 0, "\xef\xbf\xbd\xef\xbf\xbd" },
	{ CUT("\xe0\x9f\xbf"), false, 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ CUT("\xf0\x8f\xbf\xbf"), false, 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ CUT("\xed\xa0\x80"), false, 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
	{ CUT("\xed\x9f\xbf"), true, 0xd7ff, "\xed\x9f\xbf" },
	{ CUT("\x80"), false, 0, "\xef\xbf\xbd" },
	{ CUT("\xff"), false, 0, "\xef\xbf\xbd" },
	{ CUT("\xf8\x88\x80\x80\x80"), false, 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ CUT("\xc3"), false, 0, "\xef\xbf\xbd" }, /* cut off */
	{ CUT("\xe2\x82"), false, 0, "\xef\xbf\xbd\xef\xbf\xbd" },
	{ CUT("\xc3x"), false, 0, "\xef\xbf\xbdx" },
	{ CUT("0123456789abcde\xe4"), false, '0', "0123456789abcde\xef\xbf\xbd" },
};

static void utf8_of_every_kind(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(utf8_cases); i++) {
		const struct utf8_case *c = &utf8_cases[i];
		struct span rest = c->text;
		struct buffer out;
		uint32_t code_point = 0;
		bool taken;

		buffer_init(&out, 100);
		assert_int_equal(utf8_valid(c->text), c->valid);
		taken = utf8_take(&rest, &code_point);
		assert_true(taken || rest.len == c->text.len);
		if (c->valid || c->first != 0)
			assert_true(taken && code_point == c->first);
		if (taken) {
			assert_true(utf8_append(&out, code_point));
			assert_int_equal(out.len, c->text.len - rest.len);
			assert_memory_equal(out.data, c->text.ptr, out.len);
		}
		buffer_clear(&out);
		assert_true(utf8_append_repaired(&out, c->text));
		assert_string_equal(buffer_text(&out), c->repaired);
		buffer_free(&out);
	}
}

static void ascii_at_every_place(void **state)
{
	char text[40];

	for (size_t len = 0; len < sizeof(text); len++) {
		memset(text, 'a', sizeof(text));
		assert_true(utf8_is_ascii(span_make(text, len)));
		for (size_t at = 0; at < len; at++) {
			text[at] = (char)0x80;
			assert_false(utf8_is_ascii(span_make(text, len)));
			assert_false(utf8_valid(span_make(text, len)));
			text[at] = 'a';
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(comparing),
		cmocka_unit_test(taking),
		cmocka_unit_test(copying),
		cmocka_unit_test(base64_both_ways),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(utf8_of_every_kind),
		cmocka_unit_test(ascii_at_every_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
