/* Errors as response codes, and strings in IMAP's syntax. */
#include "imapd/response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* RFC 5530 §3, RFC 9051 §7.1, RFC 9208 §4.3.1, RFC 4469 §4.2, RFC 7162: what a code may be. */
static const char *const known[] = { "UNAVAILABLE", "AUTHENTICATIONFAILED", "PRIVACYREQUIRED", "CONTACTADMIN", "NOPERM",
	"INUSE", "EXPUNGEISSUED", "CORRUPTION", "SERVERBUG", "CLIENTBUG", "CANNOT", "LIMIT", "OVERQUOTA",
	"ALREADYEXISTS", "NONEXISTENT", "TOOBIG" };

static void test_every_error_has_a_row(void **state)
{
	(void)state;
	for (enum error_code code = ERR_NONE; code < ERROR_CODE_COUNT; code++) {
		bool is_bad = false, found = false;
		const char *name = response_code_for_error(code, &is_bad);

		for (size_t i = 0; i < ARRAY_LEN(known) && name != NULL; i++)
			found = found || strcmp(name, known[i]) == 0;
		if (is_bad ? name != NULL : !found)
			fail_msg("%s", error_name(code));
		assert_false(is_bad && response_is_our_trouble(code));
	}
}

static const struct string_row {
	const char *in, *astring, *ascii, *utf8;
} string_rows[] = {
	{ "INBOX", "INBOX", "\"INBOX\"", "\"INBOX\"" },
	{ "", "\"\"", "\"\"", "\"\"" },
	{ "NIL", "\"NIL\"", "\"NIL\"", "\"NIL\"" },
	{ "nil", "\"nil\"", "\"nil\"", "\"nil\"" },
	{ "a b", "\"a b\"", "\"a b\"", "\"a b\"" },
	{ "a]", "a]", "\"a]\"", "\"a]\"" },
	{ "a%", "\"a%\"", "\"a%\"", "\"a%\"" },
	{ "a*", "\"a*\"", "\"a*\"", "\"a*\"" },
	{ "(x)", "\"(x)\"", "\"(x)\"", "\"(x)\"" },
	{ "{3}", "\"{3}\"", "\"{3}\"", "\"{3}\"" },
	{ "a\"b\\c", "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\"" },
	{ "a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb" },
	{ "\xc3\xa4", "{2}\r\n\xc3\xa4", "{2}\r\n\xc3\xa4", "\"\xc3\xa4\"" },
	{ "\xe4", "{1}\r\n\xe4", "{1}\r\n\xe4", "{1}\r\n\xe4" }, /* not UTF-8 */
	{ "\t", "\"\t\"", "\"\t\"", "\"\t\"" },
};

static void test_strings(void **state)
{
	struct buffer out;

	(void)state;
	buffer_init(&out, KIB);
	for (size_t i = 0; i < ARRAY_LEN(string_rows); i++) {
		const struct string_row *row = &string_rows[i];

		assert_true(response_put_astring(&out, span_of(row->in)));
		assert_string_equal(buffer_text(&out), row->astring);
		buffer_clear(&out);
		assert_true(response_put_string(&out, span_of(row->in), false));
		assert_string_equal(buffer_text(&out), row->ascii);
		buffer_clear(&out);
		assert_true(response_put_string(&out, span_of(row->in), true));
		assert_string_equal(buffer_text(&out), row->utf8);
		buffer_clear(&out);
	}
	assert_true(response_put_string(&out, SPAN("a\0b"), true)); /* CHAR8 has no NUL (RFC 9051 §9) */
	assert_string_equal(buffer_text(&out), "{3}\r\na\x80"
	                                       "b");
	buffer_free(&out);
}

static void test_full_buffers_say_so(void **state)
{
	struct buffer out;

	(void)state;
	for (size_t limit = 1; limit < 8; limit++) {
		buffer_init(&out, limit);
		assert_false(response_put_string(&out, SPAN("a\"cdef"), false));
		buffer_clear(&out);
		assert_false(response_put_string(&out, SPAN("a\ncdef"), false));
		buffer_clear(&out);
		assert_false(response_put_date_time(&out, 0));
		buffer_free(&out);
	}
}

/* RFC 9051 §9 date-time: the day has two places, the year four digits. */
static void test_dates(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {
		{ 0, "\" 1-Jan-1970 00:00:00 +0000\"" },
		{ 1770501145, "\" 7-Feb-2026 21:52:25 +0000\"" },
		{ 1798761599, "\"31-Dec-2026 23:59:59 +0000\"" },
		{ -1, "\"31-Dec-1969 23:59:59 +0000\"" },
		{ INT64_MAX, "\" 1-Jan-1970 00:00:00 +0000\"" },
		{ INT64_MIN, "\" 1-Jan-1970 00:00:00 +0000\"" },
	};
	struct buffer out;

	(void)state;
	buffer_init(&out, KIB);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(response_put_date_time(&out, rows[i].seconds));
		assert_string_equal(buffer_text(&out), rows[i].text);
		buffer_clear(&out);
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_error_has_a_row),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_full_buffers_say_so),
		cmocka_unit_test(test_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
