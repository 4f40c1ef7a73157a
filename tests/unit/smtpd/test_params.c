/* The arguments of MAIL and RCPT (RFC 5321 §4.1.1.2, §4.1.1.3), as tables. */
#include "smtpd/syntax/params.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct rcpt_case {
	const char *input;
	enum error_code want;
	const char *mailbox;
} rcpt_cases[] = {
	{ "TO:<a@example.org>", ERR_NONE, "a@example.org" },
	{ "to:<Postmaster>", ERR_NONE, "Postmaster" },         /* RFC 5321 §4.5.1 */
	{ "TO: <a@example.org>", ERR_NONE, "a@example.org" },  /* Outlook (clients.md §5) */
	{ "TO:<a@example.org>  ", ERR_NONE, "a@example.org" }, /* RFC 5321 §4.1.1: trailing blanks */
	{ "TO:<@x,@y:a@example.org>", ERR_NONE, "a@example.org" },
	{ "TO:<a@example.org", ERR_BAD_ADDRESS },
	{ "TO:a@example.org", ERR_BAD_ADDRESS },
	{ "TO <a@example.org>", ERR_SYNTAX },
	{ "FROM:<a@example.org>", ERR_SYNTAX },
	{ "", ERR_SYNTAX },
	{ "TO:<>", ERR_BAD_ADDRESS },
	{ "TO:<a@example.org>X=1", ERR_SYNTAX },
	{ "TO:<a@example.org> NOTIFY=NEVER", ERR_UNSUPPORTED }, /* DSN is not announced: 555 */
	{ "TO:<a@example.org> =", ERR_SYNTAX },
};

static void test_rcpt(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rcpt_cases); i++) {
		const struct rcpt_case *c = &rcpt_cases[i];
		struct rcpt_args args;
		struct error err = { 0 };
		bool ok = parse_rcpt(span_of(c->input), &args, &err);

		if (ok != (c->want == ERR_NONE) || err.code != c->want ||
		        (ok && !span_equal(args.recipient.mailbox, span_of(c->mailbox))))
			fail_msg("%s: got %s (%s)", c->input, error_name(err.code), err.reason);
	}
}

enum { EXTENDED = 1, AUTH = 2, BODY8 = 4, UTF8 = 8 };

static const struct mail_case {
	const char *input;
	unsigned how; /* EXTENDED, AUTH */
	enum error_code want;
	unsigned flags; /* BODY8, UTF8 */
	int64_t size;   /* -1: none */
} mail_cases[] = {
	{ "FROM:<a@example.org>", 0, ERR_NONE, 0, -1 },
	{ "from:<>", 0, ERR_NONE, 0, -1 },
	{ "FROM: <a@example.org>", EXTENDED, ERR_NONE, 0, -1 },
	{ "FROM:<a@example.org> BODY=8BITMIME SIZE=419", EXTENDED, ERR_NONE, BODY8, 419 }, /* Thunderbird */
	{ "FROM:<a@example.org> size=0 body=7bit", EXTENDED, ERR_NONE, 0, 0 },
	{ "FROM:<a@example.org> SMTPUTF8", EXTENDED, ERR_NONE, UTF8, -1 }, /* Apple Mail: no BODY beside it */
	{ "FROM:<\xc3\xb6@example.org> SMTPUTF8 BODY=8BITMIME", EXTENDED, ERR_NONE, BODY8 | UTF8, -1 },
	{ "FROM:<a@example.org> AUTH=<>", EXTENDED | AUTH, ERR_NONE, 0, -1 },
	{ "FROM:<a@example.org> AUTH=e+3Dmc2@example.com", EXTENDED | AUTH, ERR_NONE, 0, -1 },
	{ "FROM:<a@example.org>\tSIZE=1 ", EXTENDED, ERR_NONE, 0, 1 },
	{ "FROM:<a@example.org> SIZE=18446744073709551615", EXTENDED, ERR_NONE, 0, -2 },
	{ "FROM:<a@example.org> SIZE=18446744073709551616", EXTENDED, ERR_BAD_VALUE, 0, 0 },
	{ "FROM:<a@example.org> SIZE=-1", EXTENDED, ERR_BAD_VALUE, 0, 0 },
	{ "FROM:<a@example.org> SIZE", EXTENDED, ERR_BAD_VALUE, 0, 0 },
	{ "FROM:<a@example.org> SIZE=", EXTENDED, ERR_SYNTAX, 0, 0 },
	{ "FROM:<a@example.org> BODY=BINARYMIME", EXTENDED, ERR_BAD_VALUE, 0, 0 },
	{ "FROM:<a@example.org> SMTPUTF8=1", EXTENDED, ERR_BAD_VALUE, 0, 0 }, /* RFC 6531 §3.4 */
	{ "FROM:<a@example.org> AUTH", EXTENDED | AUTH, ERR_BAD_VALUE, 0, 0 },
	{ "FROM:<a@example.org> AUTH=<>", EXTENDED, ERR_UNSUPPORTED, 0, 0 },
	{ "FROM:<a@example.org> RET=HDRS", EXTENDED, ERR_UNSUPPORTED, 0, 0 },
	{ "FROM:<a@example.org> SIZE=1", 0, ERR_UNSUPPORTED, 0, 0 }, /* HELO has no parameters */
	{ "FROM:<a@example.org> SIZE=1 size=2", EXTENDED, ERR_SYNTAX, 0, 0 },
	{ "FROM:<a@example.org>SIZE=1", EXTENDED, ERR_SYNTAX, 0, 0 },
	{ "FROM:<a@example.org> -X", EXTENDED, ERR_SYNTAX, 0, 0 },
	{ "FROM:<a@example.org> A B C D E F G H I J K L M N O P Q", EXTENDED, ERR_TOO_LONG, 0, 0 },
	{ "FROM:<a@example.org> A B C D E F G H I J K L M N O P", EXTENDED, ERR_UNSUPPORTED, 0, 0 },
	{ "FROM:a@example.org", EXTENDED, ERR_BAD_ADDRESS, 0, 0 },
	{ "FROM<a@example.org>", EXTENDED, ERR_SYNTAX, 0, 0 },
	{ "", EXTENDED, ERR_SYNTAX, 0, 0 },
};

static void test_mail(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(mail_cases); i++) {
		const struct mail_case *c = &mail_cases[i];
		struct mail_args args;
		struct error err = { 0 };
		bool ok = parse_mail(span_of(c->input), c->how & EXTENDED, c->how & AUTH, &args, &err);

		if (ok != (c->want == ERR_NONE) || err.code != c->want)
			fail_msg("%s: got %s (%s)", c->input, error_name(err.code), err.reason);
		if (!ok)
			continue;
		assert_int_equal(args.eight_bit, (c->flags & BODY8) != 0);
		assert_int_equal(args.smtputf8, (c->flags & UTF8) != 0);
		assert_int_equal(args.has_size, c->size != -1);
		if (args.has_size)
			assert_true(args.size == (c->size == -2 ? UINT64_MAX : (uint64_t)c->size));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rcpt), cmocka_unit_test(test_mail) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
