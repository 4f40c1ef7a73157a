/* The sendmail command's parts that need no server: options, the message on its way in, exit codes. */
#include "posthouse/sendmail/letter.h"
#include "posthouse/sendmail/options.h"
#include "posthouse/sendmail/submit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

#define ARGS_MAX 12

static bool parse(const char *const *args, struct sendmail_options *out, struct error *err)
{
	static char copies[ARGS_MAX][80];
	static char *argv[ARGS_MAX + 1];
	int argc = 0;

	for (; args[argc] != NULL; argc++) {
		assert_true(span_copy(span_of(args[argc]), copies[argc], sizeof(copies[argc])));
		argv[argc] = copies[argc];
	}
	argv[argc] = NULL;
	return sendmail_options(argc, argv, out, err);
}

static const struct {
	const char *args[ARGS_MAX];
	bool ok;
	enum sendmail_mode mode;
	bool from_header, ignore_dots;
	size_t recipients;
	const char *sender;
} option_cases[] = {
	{ { "sendmail", "a@b" }, true, SENDMAIL_SEND, false, false, 1, NULL },
	{ { "sendmail", "-t", "-i" }, true, SENDMAIL_SEND, true, true, 0, NULL },
	{ { "sendmail", "-ti" }, true, SENDMAIL_SEND, true, true, 0, NULL },
	{ { "sendmail", "-oi", "-oem", "-odb", "-f", "c@d", "--", "-a@b" }, true, SENDMAIL_SEND, false, true, 1,
	        "c@d" },
	{ { "sendmail", "-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-fc@d" }, true, SENDMAIL_SEND, true, true,
	        0, "c@d" },
	{ { "sendmail", "-f", "", "a@b" }, true, SENDMAIL_SEND, false, false, 1, "" },
	{ { "sendmail", "-r", "c@d", "-B", "8BITMIME", "-N", "success,failure", "-R", "hdrs", "-Vx", "a@b" }, true,
	        SENDMAIL_SEND, false, false, 1, "c@d" },
	{ { "sendmail", "-O", "QueueDirectory=/tmp", "-X", "/tmp/x", "-OIgnoreDots", "a@b" }, true, SENDMAIL_SEND,
	        false, true, 1, NULL },
	{ { "sendmail", "-bs" }, true, SENDMAIL_SMTP, false, false, 0, NULL },
	{ { "sendmail", "-bp" }, true, SENDMAIL_LIST, false, false, 0, NULL },
	{ { "/usr/bin/mailq" }, true, SENDMAIL_LIST, false, false, 0, NULL },
	{ { "sendmail", "-q" }, true, SENDMAIL_RETRY, false, false, 0, NULL },
	{ { "newaliases" }, true, SENDMAIL_ALIASES, false, false, 0, NULL },
	{ { "sendmail", "a@b", "-t" }, false, 0, false, false, 0, NULL }, /* nor taken for an address */
	{ { "sendmail" }, false, 0, false, false, 0, NULL },
	{ { "sendmail", "-bd" }, false, 0, false, false, 0, NULL },
	{ { "sendmail", "-bv", "a@b" }, false, 0, false, false, 0, NULL },
	{ { "sendmail", "-N", "never,success", "a@b" }, false, 0, false, false, 0, NULL },
	{ { "sendmail", "-N", "", "a@b" }, false, 0, false, false, 0, NULL },
	{ { "sendmail", "-R", "some", "a@b" }, false, 0, false, false, 0, NULL },
	{ { "sendmail", "-B", "BINARY", "a@b" }, false, 0, false, false, 0, NULL },
	{ { "sendmail", "-f" }, false, 0, false, false, 0, NULL },
	{ { "sendmail", "-Z", "a@b" }, false, 0, false, false, 0, NULL },
};

static void test_options(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(option_cases); i++) {
		struct sendmail_options o;
		struct error err;
		bool ok = parse(option_cases[i].args, &o, &err);

		if (ok != option_cases[i].ok)
			fail_msg("case %zu", i);
		if (!ok)
			continue;
		assert_int_equal(o.mode, option_cases[i].mode);
		assert_int_equal(o.from_header, option_cases[i].from_header);
		assert_int_equal(o.ignore_dots, option_cases[i].ignore_dots);
		assert_int_equal(o.recipient_count, option_cases[i].recipients);
		assert_int_equal(o.sender == NULL, option_cases[i].sender == NULL);
		if (o.sender != NULL)
			assert_string_equal(o.sender, option_cases[i].sender);
	}
}

/* ---- messages ---- */

static const struct {
	const char *in, *want;
	bool ignore_dots;
} letter_cases[] = {
	{ "Subject: x\n\nbody\n", "Subject: x\r\n\r\nbody\r\n", false },
	{ "Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n\r\nbody\r\n", false },
	{ "Subject: x\n\nno end", "Subject: x\r\n\r\nno end\r\n", false },
	{ "Subject: x\n\n10%\r20%\r\n", "Subject: x\r\n\r\n10%\r\n20%\r\n", false },
	{ "Subject: x\n\na\n.\nb\n", "Subject: x\r\n\r\na\r\n", false },
	{ "Subject: x\n\na\n.\nb\n", "Subject: x\r\n\r\na\r\n.\r\nb\r\n", true },
	{ "Subject: x\n\na\n.", "Subject: x\r\n\r\na\r\n.\r\n", true },
	{ "Subject: x\n\n..\n", "Subject: x\r\n\r\n..\r\n", false },
	{ "hello\n", "\r\nhello\r\n", false },
	{ "hello: \n", "hello: \r\n\r\n", false },
	{ "Subject: x\n folded\nno field\n", "Subject: x\r\n folded\r\n\r\nno field\r\n", false },
	{ " begins folded\n", "\r\n begins folded\r\n", false },
	{ "From a@b Mon Jan  1\nSubject: x\n\nFrom here\n", "Subject: x\r\n\r\nFrom here\r\n", false },
	{ "\nbody\n", "\r\nbody\r\n", false },
	{ "", "\r\n", false },
	{ "\n", "\r\n", false },
};

static void read_in(struct letter *letter, const char *in, bool ignore_dots, size_t piece)
{
	struct span rest = span_of(in);
	struct error err;

	letter_init(letter, KIB);
	for (; rest.len > 0; rest = span_skip(rest, piece))
		assert_true(letter_feed(letter, span_first(rest, piece), ignore_dots, &err));
	assert_true(letter_finish(letter, &err));
}

static void test_line_ends(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(letter_cases); i++) {
		for (size_t piece = 1; piece < 4; piece++) {
			struct letter letter;

			read_in(&letter, letter_cases[i].in, letter_cases[i].ignore_dots, piece);
			assert_string_equal(buffer_text(&letter.text), letter_cases[i].want);
			letter_free(&letter);
		}
	}
}

static void test_nul_and_limit(void **state)
{
	struct letter letter;
	struct error err;

	letter_init(&letter, 20);
	assert_true(letter_feed(&letter, span_make("a: \0\xff\n", 6), true, &err));
	assert_true(letter.eight_bit);
	assert_memory_equal(letter.text.data, "a: ?\xff\r\n", 7);
	assert_false(letter_feed(&letter, SPAN("\nthis is too much for it\n"), true, &err));
	assert_int_equal(err.code, ERR_TOO_LARGE);
	letter_free(&letter);
}

static const struct {
	const char *in, *recipients; /* separated by blanks; NULL: refused */
	const char *want;            /* the message afterwards; NULL: as it was */
} header_cases[] = {
	{ "To: a@b.example\n\n", "a@b.example", NULL },
	{ "To: Ann <a@b.example>, c@d.example\nCc: e@f.example\n\n", "a@b.example c@d.example e@f.example", NULL },
	{ "to: a@b.example,\n c@d.example\n\n", "a@b.example c@d.example", NULL },
	{ "To: a@b.example\nBcc: s@b.example,\n t@b.example\nSubject: x\n\nBcc: body\n",
	        "a@b.example s@b.example t@b.example", "To: a@b.example\r\nSubject: x\r\n\r\nBcc: body\r\n" },
	{ "Bcc: s@b.example\n\n", "s@b.example", "\r\n" },
	{ "To: root\n\n", "root@site.example", NULL },
	{ "To: friends: a@b.example, c@d.example;\n\n", "a@b.example c@d.example", NULL },
	{ "To: a@b.example, a@b.example\n\n", "a@b.example", NULL },
	{ "To: a@b.example\nResent-To: c@d.example\nResent-Bcc: e@f.example\n\n", "c@d.example e@f.example",
	        "To: a@b.example\r\nResent-To: c@d.example\r\n\r\n" },
	{ "To: undisclosed:;\n\n", "", NULL },
	{ "Subject: x\n\n", "", NULL },
};

static void test_recipients_of_header(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(header_cases); i++) {
		struct letter letter;
		struct error err;

		read_in(&letter, header_cases[i].in, true, 100);
		assert_true(letter_take_recipients(&letter, "site.example", &err));
		for (size_t k = 0; k < letter.recipients.len; k++)
			if (letter.recipients.data[k] == '\0')
				letter.recipients.data[k] = k + 1 < letter.recipients.len ? ' ' : '\0';
		assert_string_equal(buffer_text(&letter.recipients), header_cases[i].recipients);
		if (header_cases[i].want != NULL)
			assert_string_equal(buffer_text(&letter.text), header_cases[i].want);
		letter_free(&letter);
	}
}

static void test_recipients_of_words(void **state)
{
	static const char *const bad[] = { "<a@b>\r\nRCPT TO:<c@d>", "a b@c.example <", "@", "<>" };
	struct letter letter;
	struct error err;

	letter_init(&letter, KIB);
	assert_true(letter_add_recipients(&letter, SPAN("a@b.example"), "site.example", &err));
	assert_true(letter_add_recipients(&letter, SPAN("-x"), "site.example", &err)); /* after "--" */
	assert_int_equal(letter.recipient_count, 2);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)letter_add_recipients(&letter, span_of(bad[i]), "site.example", &err);
		assert_null(strpbrk(buffer_text(&letter.recipients), "\r\n<> "));
	}
	letter_free(&letter);
}

static void test_from(void **state)
{
	struct letter letter;
	struct error err;

	read_in(&letter, "Subject: x\n\nbody\n", true, 100);
	assert_true(letter_add_from(&letter, "Ann, of \"Ours\"", "ann@b.example", &err));
	assert_string_equal(buffer_text(&letter.text),
	        "Subject: x\r\nFrom: \"Ann, of \\\"Ours\\\"\" <ann@b.example>\r\n\r\nbody\r\n");
	assert_true(letter_add_from(&letter, "", "other@b.example", &err)); /* there is one now */
	assert_null(strstr(buffer_text(&letter.text), "other"));
	letter_free(&letter);
	read_in(&letter, "body\n", true, 100);
	assert_true(letter_add_from(&letter, NULL, "ann@b.example", &err));
	assert_string_equal(buffer_text(&letter.text), "From: ann@b.example\r\n\r\nbody\r\n");
	letter_free(&letter);
}

/* ---- replies ---- */

static void test_exit_codes(void **state)
{
	static const struct {
		const char *reply;
		int want;
	} cases[] = {
		{ "550 5.1.1 no", EX_NOUSER },
		{ "550 5.1.2 no", EX_NOHOST },
		{ "556 5.1.10 no", EX_NOHOST },
		{ "451 4.3.0 later", EX_TEMPFAIL },
		{ "421 4.4.2 gone", EX_TEMPFAIL },
		{ "552 5.3.4 large", EX_DATAERR },
		{ "550 5.7.1 no", EX_NOPERM },
		{ "550 5.7.30 no", EX_NOPERM },
		{ "554 5.6.0 bad", EX_DATAERR },
		{ "554", EX_UNAVAILABLE },
		{ "554 no", EX_UNAVAILABLE },
		{ "299 what", EX_PROTOCOL },
		{ "", EX_TEMPFAIL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(submit_exit_code(cases[i].reply), cases[i].want);
}

static void test_xtext(void **state)
{
	struct buffer out;

	buffer_init(&out, 100);
	assert_true(submit_xtext(SPAN("a+b=c d\n"), &out));
	assert_string_equal(buffer_text(&out), "a+2Bb+3Dc+20d+0A"); /* RFC 3461 §4 */
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_nul_and_limit),
		cmocka_unit_test(test_recipients_of_header),
		cmocka_unit_test(test_recipients_of_words),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_xtext),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
