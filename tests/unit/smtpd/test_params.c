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
	{ "TO:<a@example.org> NOTIFY=NEVER", ERR_NONE, "a@example.org" },
	{ "TO:<a@example.org> NOTIFY=NEVER,DELAY", ERR_BAD_VALUE }, /* RFC 3461 §4.1 */
	{ "TO:<a@example.org> NOTIFY=SUCCESS,", ERR_BAD_VALUE },
	{ "TO:<a@example.org> NOTIFY", ERR_BAD_VALUE },
	{ "TO:<a@example.org> ORCPT=rfc822;Bob+2B@example.org", ERR_NONE, "a@example.org" },
	{ "TO:<a@example.org> ORCPT=utf-8;b\\x{F6}@example.org", ERR_NONE, "a@example.org" }, /* RFC 6533 §3 */
	{ "TO:<a@example.org> ORCPT=rfc822;", ERR_BAD_VALUE },
	{ "TO:<a@example.org> ORCPT=bob@example.org", ERR_BAD_VALUE },
	{ "TO:<a@example.org> ORCPT=rfc822;a+2b", ERR_BAD_VALUE },
	{ "TO:<a@example.org> FOO=1", ERR_UNSUPPORTED },
	{ "TO:<a@example.org> =", ERR_SYNTAX },
};

static void test_rcpt(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rcpt_cases); i++) {
		const struct rcpt_case *c = &rcpt_cases[i];
		struct rcpt_args args;
		struct error err = { 0 };
		bool ok = parse_rcpt(span_of(c->input), &(struct smtp_offers) { .extended = true }, &args, &err);

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
	{ "FROM:<a@example.org> BODY=BINARYMIME", EXTENDED, ERR_NONE, BODY8, -1 }, /* RFC 3030 §3 */
	{ "FROM:<a@example.org> BODY=9BIT", EXTENDED, ERR_BAD_VALUE, 0, 0 },
	{ "FROM:<a@example.org> SMTPUTF8=1", EXTENDED, ERR_BAD_VALUE, 0, 0 }, /* RFC 6531 §3.4 */
	{ "FROM:<a@example.org> AUTH", EXTENDED | AUTH, ERR_BAD_VALUE, 0, 0 },
	{ "FROM:<a@example.org> AUTH=<>", EXTENDED, ERR_UNSUPPORTED, 0, 0 },
	{ "FROM:<a@example.org> REQUIRETLS", EXTENDED, ERR_UNSUPPORTED, 0, 0 }, /* RFC 8689 §2: no TLS here */
	{ "FROM:<a@example.org> HOLDFOR=60", EXTENDED, ERR_UNSUPPORTED, 0, 0 }, /* RFC 4865 §4.2: not submission */
	{ "FROM:<a@example.org> SIZE=1", 0, ERR_UNSUPPORTED, 0, 0 },            /* HELO has no parameters */
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
		const struct smtp_offers offers = { .extended = c->how & EXTENDED, .auth = c->how & AUTH };
		bool ok = parse_mail(span_of(c->input), &offers, &args, &err);

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

/* What each parameter says. */
static const struct meaning_case {
	const char *params;
	struct mail_args want;
	enum error_code code;
} meanings[] = {
	{ "RET=FULL ENVID=QQ314159", { .ret = RET_FULL, .envid = { "QQ314159", 8 } } },
	{ "RET=hdrs", { .ret = RET_HDRS } },
	{ "RET=ALL", { .ret = RET_NOT_SAID }, ERR_BAD_VALUE },
	{ "ENVID=a+2", { .size = 0 }, ERR_BAD_VALUE },
	{ "ENVID=1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890x",
	        { .size = 0 }, ERR_BAD_VALUE },
	{ "REQUIRETLS", { .requiretls = true } },
	{ "REQUIRETLS=1", { .size = 0 }, ERR_BAD_VALUE },
	{ "BY=300;R", { .by_mode = BY_RETURN, .deliver_by_ms = 1000300000 } },
	{ "BY=+999999999;nt", { .by_mode = BY_NOTIFY, .deliver_by_ms = 1000999999000, .by_trace = true } },
	{ "BY=-60;N", { .by_mode = BY_NOTIFY, .deliver_by_ms = 999940000 } },
	{ "BY=0;N", { .by_mode = BY_NOTIFY, .deliver_by_ms = 1000000000 } },
	{ "BY=-60;R", { .size = 0 }, ERR_BAD_VALUE }, /* RFC 2852 §4 */
	{ "BY=0;R", { .size = 0 }, ERR_BAD_VALUE },
	{ "BY=10;R", { .size = 0 }, ERR_UNSUPPORTED }, /* §3: sooner than was announced, 55z */
	{ "BY=1000000000;N", { .size = 0 }, ERR_BAD_VALUE },
	{ "BY=0000000300;N", { .size = 0 }, ERR_BAD_VALUE },
	{ "BY=;N", { .size = 0 }, ERR_BAD_VALUE },
	{ "BY=--3;N", { .size = 0 }, ERR_BAD_VALUE },
	{ "BY=300;X", { .size = 0 }, ERR_BAD_VALUE },
	{ "BY=300;RTX", { .size = 0 }, ERR_BAD_VALUE },
	{ "BY=300", { .size = 0 }, ERR_BAD_VALUE },
	{ "MT-PRIORITY=3", { .priority = 3 } },
	{ "MT-PRIORITY=0", { .priority = 0 } },
	{ "MT-PRIORITY=-9", { .priority = -9 } },
	{ "MT-PRIORITY=10", { .size = 0 }, ERR_SYNTAX }, /* RFC 6710 §7, §4.1 (1) */
	{ "MT-PRIORITY=+3", { .size = 0 }, ERR_SYNTAX },
	{ "MT-PRIORITY=-0", { .size = 0 }, ERR_SYNTAX },
	{ "MT-PRIORITY=03", { .size = 0 }, ERR_SYNTAX },
	{ "MT-PRIORITY=-", { .size = 0 }, ERR_SYNTAX },
	{ "MT-PRIORITY=", { .size = 0 }, ERR_SYNTAX },
	{ "HOLDFOR=60", { .hold = HOLD_FOR, .hold_until_ms = 1000060000 } },
	{ "HOLDFOR=0", { .size = 0 }, ERR_BAD_VALUE }, /* RFC 4865 §3: %x31-39 *8DIGIT */
	{ "HOLDFOR=060", { .size = 0 }, ERR_BAD_VALUE },
	{ "HOLDFOR=600 BY=600;R",
	        { .hold = HOLD_FOR, .hold_until_ms = 1000600000, .by_mode = BY_RETURN, .deliver_by_ms = 1000600000 } },
	{ "HOLDFOR=601 BY=600;R", { .size = 0 }, ERR_BAD_VALUE }, /* §5.2.2 */
	{ "BY=600;N HOLDUNTIL=1970-01-13T00:00:00Z", { .size = 0 }, ERR_BAD_VALUE },
	{ "HOLDUNTIL=1970-01-13T00:00:00Z", { .hold = HOLD_UNTIL, .hold_until_ms = 1036800000 } },
	{ "HOLDFOR=60 HOLDUNTIL=1970-01-13T00:00:00Z", { .size = 0 }, ERR_BAD_VALUE },
	{ "HOLDFOR=2419201", { .size = 0 }, ERR_BAD_VALUE },
	{ "HOLDUNTIL=2026-11-21T12:00:00Z", { .size = 0 }, ERR_BAD_VALUE },
	{ "HOLDUNTIL=tomorrow", { .size = 0 }, ERR_BAD_VALUE },
};

static void test_meanings(void **state)
{
	const struct smtp_offers offers = { true, true, true, true, 1000000000 };

	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		const struct meaning_case *c = &meanings[i];
		struct mail_args args;
		struct error err = { 0 };
		char line[300] = "FROM:<> ";
		bool ok;

		(void)strncat(line, c->params, sizeof(line) - 20);
		ok = parse_mail(span_of(line), &offers, &args, &err);
		if (ok != (c->code == ERR_NONE) || err.code != c->code)
			fail_msg("%s: got %s (%s)", c->params, error_name(err.code), err.reason);
		if (ok && (args.ret != c->want.ret || !span_equal(args.envid, c->want.envid) ||
		                  args.requiretls != c->want.requiretls || args.by_mode != c->want.by_mode ||
		                  args.deliver_by_ms != c->want.deliver_by_ms || args.hold != c->want.hold ||
		                  args.by_trace != c->want.by_trace || args.priority != c->want.priority ||
		                  args.hold_until_ms != c->want.hold_until_ms))
			fail_msg("%s: means something else", c->params);
	}
}

/* RFC 3339 §5.8 examples first. */
static const struct time_case {
	const char *text;
	bool ok;
	int64_t seconds;
} times[] = {
	{ "1985-04-12T23:20:50.52Z", true, 482196050 },
	{ "1996-12-19T16:39:57-08:00", true, 851042397 },
	{ "1990-12-31T23:59:60Z", true, 662688000 },
	{ "2000-02-29t00:00:00z", true, 951782400 },
	{ "2100-02-29T00:00:00Z", false },
	{ "1969-12-31T00:00:00Z", false },
	{ "2026-11-21T12:00:00", false },
	{ "2026-11-21 12:00:00Z", false },
	{ "2026-1-21T12:00:00Z", false },
	{ "2026-11-21T24:00:00Z", false },
	{ "2026-11-21T12:00:00.Z", false },
	{ "2026-11-21T12:00:00Zx", false },
	{ "", false },
};

static void test_times(void **state)
{
	struct buffer text;

	buffer_init(&text, 100);
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		int64_t seconds = 0, again = 0;
		if (parse_date_time(span_of(times[i].text), &seconds) != times[i].ok || seconds != times[i].seconds)
			fail_msg("%s: %lld", times[i].text, (long long)seconds);
		if (!times[i].ok)
			continue;
		buffer_clear(&text);
		assert_true(date_time_write(seconds, &text) && parse_date_time(buffer_span(&text), &again));
		assert_int_equal(seconds, again);
	}
	buffer_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rcpt), cmocka_unit_test(test_mail),
		cmocka_unit_test(test_meanings), cmocka_unit_test(test_times) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
