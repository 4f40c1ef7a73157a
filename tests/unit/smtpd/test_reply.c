/* RFC 5321 §4.2: how replies look on the wire. */
#include "smtpd/syntax/reply.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct reply_case {
	struct smtp_reply reply;
	const char *text;
	const char *want;
} cases[] = {
	{ { 250, "2.0.0" }, "OK", "250 2.0.0 OK\r\n" },
	{ { 354, NULL }, "go on", "354 go on\r\n" },
	{ { 250, NULL }, "host\nSIZE 10\nHELP", "250-host\r\n250-SIZE 10\r\n250 HELP\r\n" },
	{ { 550, "5.7.1" }, "a\nb", "550-5.7.1 a\r\n550 5.7.1 b\r\n" }, /* RFC 2034 §4: on every line */
	{ { 550, "5.1.1" }, "no \xc3\xb6\r", "550 5.1.1 no ???\r\n" },  /* RFC 6531 §3.7.4.2 */
	{ { 250, "2.0.0" }, "", "250 2.0.0 \r\n" },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buffer out;

		buffer_init(&out, 4096);
		assert_true(reply_format(&out, cases[i].reply, span_of(cases[i].text)));
		assert_string_equal(buffer_text(&out), cases[i].want);
		buffer_free(&out);
	}
}

static void test_long_line(void **state)
{
	char text[2000];
	struct buffer out;

	memset(text, 'x', sizeof(text));
	buffer_init(&out, 4096);
	assert_true(reply_format(&out, (struct smtp_reply) { 550, "5.7.1" }, span_make(text, sizeof(text))));
	assert_int_equal(out.len, REPLY_LINE_MAX); /* RFC 5321 §4.5.3.1.5 */
	buffer_free(&out);
}

static void test_full(void **state)
{
	struct buffer out;

	buffer_init(&out, 8);
	assert_false(reply_format(&out, (struct smtp_reply) { 250, "2.0.0" }, SPAN("OK")));
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
