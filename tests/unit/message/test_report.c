/* Reports, xtext and SRS. */
#include "message/report.h"
#include "message/srs.h"
#include "message/xtext.h"

#include "base/macros.h"
#include "message/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- reports ---- */

static const char original[] =
        "From: alice@example.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n folded\r\nMessage-ID: <1@example.test>\r\nX: y\r\n\r\n";

static struct report a_report(const struct report_recipient *recipients, size_t count)
{
	return (struct report) {
		.hostname = SPAN("mail.example.test"),
		.to = SPAN("alice@example.test"),
		.message_id = SPAN("r1@mail.example.test"),
		.envid = SPAN("QQ314159+2B"),
		.trace = SPAN("abc123"),
		.arrival = 1000000000,
		.now = 1000003600,
		.recipients = recipients,
		.recipient_count = count,
		.original_header = { original, sizeof(original) - 1 },
		.subject = SPAN("=?utf-8?q?Gr=C3=BC=C3=9Fe?="),
	};
}

static char *written(const struct report *report, struct buffer *head)
{
	struct buffer tail;
	struct error err;

	buffer_init(head, MIB);
	buffer_init(&tail, MIB);
	assert_true(report_write(report, head, &tail, &err));
	if (report->full)
		(void)buffer_append_text(head, original);
	assert_true(buffer_append_span(head, buffer_span(&tail)));
	buffer_free(&tail);
	for (size_t i = 0, line = 0; i < head->len; i++) {
		assert_true((head->data[i] == '\n') == (i > 0 && head->data[i - 1] == '\r') || head->data[i] == '\r');
		line = head->data[i] == '\n' ? 0 : line + 1;
		assert_true(line <= 999);
	}
	return head->data;
}

static void has(const char *text, const char *what)
{
	if (text == NULL || strstr(text, what) == NULL)
		fail_msg("no %s in:\n%s", what, text == NULL ? "" : text);
}

/* RFC 2852 §5, RFC 4865 §5.1.2: behind Arrival-Date, before the recipients. */
static void test_times_asked_for(void **state)
{
	const struct report_recipient recipients[] = {
		{ .action = REPORT_FAILED, .address = SPAN("bob@example.net"), .status = SPAN("5.4.7") },
	};
	struct report report = a_report(recipients, 1);
	struct buffer out;
	char *text;

	(void)state;
	report.deliver_by = 1000000060;
	report.future_release = SPAN("for;60");
	text = written(&report, &out);
	has(text,
	        "Arrival-Date: Sun, 09 Sep 2001 01:46:40 +0000\r\nDeliver-By-Date: Sun, 09 Sep 2001 01:47:40 +0000\r\n"
	        "Future-Release-Request: for;60\r\n\r\nFinal-Recipient: ");
	buffer_free(&out);
}

static void test_failure(void **state)
{
	const struct report_recipient recipients[] = {
		{ .action = REPORT_FAILED,
		        .address = SPAN("bob@example.net"),
		        .orcpt = SPAN("rfc822;Bob+2Bx@example.net"),
		        .status = SPAN("5.1.1"),
		        .remote_host = SPAN("mx.example.net"),
		        .remote_address = SPAN("192.0.2.1"),
		        .diagnostic = SPAN("550-5.1.1 no such user\n550 5.1.1 \x1b[31mbad\r\nX-Evil: 1"),
		        .last_attempt = 1000003599 },
		{ .action = REPORT_FAILED,
		        .address = SPAN("carol@gone.example"),
		        .status = SPAN("5.1.2"),
		        .reason = SPAN("the domain gone.example does not exist") },
	};
	struct report report = a_report(recipients, 2);
	struct buffer out;
	char *text = written(&report, &out);

	has(text, "From: Mail Delivery System <mailer-daemon@mail.example.test>\r\nTo: <alice@example.test>\r\n");
	has(text, "Subject: Undelivered: your mail to 2 recipients\r\n");
	has(text, "Auto-Submitted: auto-replied\r\n");
	has(text, "Content-Type: multipart/report; report-type=delivery-status;\r\n");
	has(text,
	        "Original-Envelope-Id: QQ314159+\r\nReporting-MTA: dns;mail.example.test\r\nArrival-Date: Sun, 09 Sep 2001 01:46:40 +0000\r\n");
	has(text, "In-Reply-To: <1@example.test>\r\n");
	has(text,
	        "\r\n\r\nOriginal-Recipient: rfc822;Bob+x@example.net\r\nFinal-Recipient: rfc822;bob@example.net\r\nAction: failed\r\n"
	        "Status: 5.1.1\r\nRemote-MTA: dns;mx.example.net\r\nDiagnostic-Code: smtp;550-5.1.1 no such user\r\n 550 5.1.1 ?[31mbad?\r\n X-Evil: 1\r\n"
	        "Last-Attempt-Date: ");
	has(text,
	        "Final-Recipient: rfc822;carol@gone.example\r\nAction: failed\r\nStatus: 5.1.2\r\nDiagnostic-Code: x-posthouse;the domain gone.example does");
	has(text, "The server mx.example.net [192.0.2.1] said:\r\n");
	has(text, "No such domain exists.");
	has(text, "Its subject: Gr\xc3\xbc\xc3\x9f"
	          "e\r\n");
	has(text, "Content-Type: text/rfc822-headers\r\n");
	has(text, "X: y\r\n\r\n--=_");
	assert_null(strstr(text, "\nX-Evil"));
	buffer_free(&out);
}

static void test_delay_success_and_full(void **state)
{
	const struct report_recipient late = { .action = REPORT_DELAYED,
		.address = SPAN("bob@example.net"),
		.status = SPAN("4.4.1"),
		.reason = SPAN("no answer"),
		.will_retry_until = 1000400000 };
	const struct report_recipient good = {
		.action = REPORT_DELIVERED, .address = SPAN("bob@example.net"), .status = SPAN("2.1.5")
	};
	struct report report = a_report(&late, 1);
	struct buffer out;
	char *text = written(&report, &out);

	has(text, "Subject: Delayed: bob@example.net\r\n");
	has(text, "Action: delayed\r\n");
	has(text, "Will-Retry-Until: ");
	has(text, "You need not send it again");
	buffer_free(&out);
	report = a_report(&good, 1);
	report.full = true;
	text = written(&report, &out);
	has(text, "Action: delivered\r\nStatus: 2.1.5\r\n");
	has(text,
	        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nFrom: alice@example.test\r\n");
	buffer_free(&out);
}

/* RFC 6533: addresses beyond ASCII, in both forms. */
static void test_utf8(void **state)
{
	const struct report_recipient recipient = { .action = REPORT_FAILED,
		.address = SPAN("b\xc3\xb6@example.net"),
		.orcpt = SPAN("utf-8;b\\x{F6}@example.net"),
		.status = SPAN("5.6.7"),
		.reason = SPAN("the server takes no such addresses") };
	struct report report = a_report(&recipient, 1);
	struct buffer out;
	char *text = written(&report, &out);

	has(text, "Content-Type: message/delivery-status\r\n");
	has(text, "Original-Recipient: utf-8;b\\x{F6}@example.net\r\nFinal-Recipient: utf-8;b\\x{F6}@example.net\r\n");
	buffer_free(&out);
	report.utf8 = true;
	text = written(&report, &out);
	has(text, "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n");
	has(text,
	        "Original-Recipient: utf-8;b\xc3\xb6@example.net\r\nFinal-Recipient: utf-8;b\xc3\xb6@example.net\r\n");
	has(text, "Content-Type: message/global-headers\r\n");
	buffer_free(&out);
}

/* What another server says can be anything. */
static void test_long_words(void **state)
{
	static char long_reply[20000];
	struct report_recipient recipient = {
		.action = REPORT_FAILED, .address = SPAN("b@example.net"), .status = SPAN("5.0.0")
	};
	struct report report = a_report(&recipient, 1);
	struct buffer out;

	memset(long_reply, 'x', sizeof(long_reply));
	recipient.diagnostic = span_make(long_reply, sizeof(long_reply));
	recipient.remote_host = span_make(long_reply, 900);
	(void)written(&report, &out);
	buffer_free(&out);
}

/* A line of blanks alone would end the recipient's group for some readers (RFC 3464 §2.1). */
static void test_blanks(void **state)
{
	static const char *const replies[] = {
		"550 5.0.0 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx                                                       ",
		"550                                                                                                         x",
		"550-a\n     \n    \n550 b",
	};
	struct report_recipient recipient = {
		.action = REPORT_FAILED, .address = SPAN("b@example.net"), .status = SPAN("5.0.0"), .last_attempt = 1
	};
	struct report report = a_report(&recipient, 1);

	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		struct buffer out;
		const char *status;
		struct span rest, line;

		recipient.diagnostic = span_of(replies[i]);
		status = strstr(written(&report, &out), "Diagnostic-Code: ");
		for (rest = span_of(status); span_take_until(&rest, '\n', &line) && !span_starts(line, SPAN("Last-"));)
			if (span_trim(line).len == 0)
				fail_msg("%s:\n%s", replies[i], status);
		buffer_free(&out);
	}
}

/* What programs compare must come whole. */
static void test_long_address(void **state)
{
	char address[320];
	struct report_recipient recipient = { .action = REPORT_FAILED, .status = SPAN("5.0.0") };
	struct report report = a_report(&recipient, 1);
	struct buffer out;

	memset(address, 'd', sizeof(address));
	memcpy(address, "local@", 6);
	memcpy(address + sizeof(address) - 6, ".test", 5);
	address[sizeof(address) - 1] = '\0';
	recipient.address = span_of(address);
	has(written(&report, &out), "dddd.test\r\nAction: failed");
	buffer_free(&out);
}

/* As many recipients as the relay puts into one report, and all that each of them can have, as the queue limits it. */
static void test_most(void **state)
{
	static struct report_recipient recipients[500];
	static char reply[512], orcpt[500], address[320], host[253];
	struct report report = a_report(recipients, ARRAY_LEN(recipients));
	struct buffer head, tail;
	struct error err;

	for (size_t i = 0; i < sizeof(reply); i++)
		reply[i] = "550-\n"[i % 5];
	memset(orcpt, 'o', sizeof(orcpt));
	memcpy(orcpt, "rfc822;", 7);
	memset(address, 'a', sizeof(address));
	memset(host, 'h', sizeof(host));
	for (size_t i = 0; i < ARRAY_LEN(recipients); i++)
		recipients[i] = (struct report_recipient) {
			.action = REPORT_FAILED,
			.address = span_make(address, sizeof(address)),
			.orcpt = span_make(orcpt, sizeof(orcpt)),
			.status = SPAN("5.2.2"),
			.remote_host = span_make(host, sizeof(host)),
			.remote_address = SPAN("2001:db8:1111:2222:3333:4444:5555:6666"),
			.diagnostic = span_make(reply, sizeof(reply)),
			.last_attempt = 1,
		};
	buffer_init(&head, REPORT_TEXT_MAX);
	buffer_init(&tail, REPORT_TEXT_MAX);
	assert_true(report_write(&report, &head, &tail, &err));
	buffer_free(&head);
	buffer_free(&tail);
}

/* RFC 6533 §3: raw UTF-8 of an ORCPT has no place among seven bits; and an 8-bit header is labelled so. */
static void test_eight_bits(void **state)
{
	const struct report_recipient recipient = { .action = REPORT_FAILED,
		.address = SPAN("b@example.net"),
		.orcpt = SPAN("utf-8;b\xc3\xb6\\x{F6}@example.net"),
		.status = SPAN("5.1.1") };
	struct report report = a_report(&recipient, 1);
	struct buffer out;
	char *text;

	report.original_header = SPAN("Subject: Gr\xfc\xdf"
	                              "e\r\n\r\n");
	text = written(&report, &out);
	has(text, "Original-Recipient: utf-8;b\\x{F6}\\x{F6}@example.net\r\n");
	has(text, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n");
	has(text, "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--=_");
	buffer_free(&out);
	report.utf8 = true;
	report.original_header = SPAN("Subject: Gr\xc3\xbc\r\n\r\n");
	text = written(&report, &out);
	has(text, "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n");
	buffer_free(&out);
}

/* ---- xtext ---- */

static const struct xtext_case {
	const char *in, *out; /* out NULL: malformed */
} xtext_cases[] = {
	{ "", "" },
	{ "abc", "abc" },
	{ "a+2Bb+3D", "a+b=" },
	{ "a+2b", NULL }, /* RFC 3461 §4: upper case */
	{ "a+", NULL },
	{ "a+4", NULL },
	{ "a b", NULL },
	{ "b\\x{F6}", "b\xc3\xb6" },
	{ "b\\x{110000}", "b\\x{110000}" },
	{ "b\\x", "b\\x" },
};

static void test_xtext(void **state)
{
	struct buffer out;

	buffer_init(&out, KIB);
	for (size_t i = 0; i < ARRAY_LEN(xtext_cases); i++) {
		buffer_clear(&out);
		bool ok = xtext_decode(span_of(xtext_cases[i].in), &out);
		if (ok != (xtext_cases[i].out != NULL) || (ok && strcmp(buffer_text(&out), xtext_cases[i].out) != 0))
			fail_msg("%s -> %s", xtext_cases[i].in, buffer_text(&out));
	}
	buffer_clear(&out);
	assert_true(xtext_encode(SPAN("a+b= \xc3\xb6"), &out));
	assert_string_equal(buffer_text(&out), "a+2Bb+3D+20+C3+B6");
	buffer_free(&out);
}

/* ---- SRS ---- */

static const uint8_t secret[SRS_SECRET_LEN] = { 1, 2, 3 };
#define DAY 86400

static void round_trip(const char *sender, const char *start)
{
	char forward[512], back[512], upper[512];
	struct error err;
	size_t at;

	assert_true(
	        srs_forward(secret, span_of(sender), SPAN("ours.test"), 20000 * DAY, forward, sizeof(forward), &err));
	assert_true(strncmp(forward, start, strlen(start)) == 0);
	assert_true(span_find_last(span_of(forward), '@', &at));
	assert_string_equal(forward + at, "@ours.test");
	assert_true(srs_is_ours(span_first(span_of(forward), at)));
	assert_true(srs_reverse(secret, span_first(span_of(forward), at), 20005 * DAY, back, sizeof(back), &err));
	assert_string_equal(back, sender);
	(void)snprintf(
	        upper, sizeof(upper), "%s", forward); /* some servers change the case of what stands before the @ */
	for (size_t i = 0; i < 5 + 8; i++)
		upper[i] = (char)(upper[i] >= 'a' && upper[i] <= 'z' ? upper[i] - 32 : upper[i]);
	assert_true(srs_reverse(secret, span_first(span_of(upper), at), 20005 * DAY, back, sizeof(back), &err));
	assert_string_equal(back, sender);
	upper[6] = upper[6] == 'A' ? 'B' : 'A';
	assert_false(srs_reverse(secret, span_first(span_of(upper), at), 20005 * DAY, back, sizeof(back), &err));
	assert_int_equal(err.code, ERR_DENIED);
}

static void test_srs(void **state)
{
	char out[512], long_local[300];
	struct error err;

	round_trip("alice@example.org", "SRS0=");
	round_trip("a=b=c+d@example.org", "SRS0=");
	round_trip("SRS0=aaaaaaaa=bb=first.example=x@second.example", "SRS1=");
	assert_true(srs_forward(secret, SPAN("SRS1=hhhh=first.example==rest@third.example"), SPAN("ours.test"),
	        20000 * DAY, out, sizeof(out), &err));
	assert_non_null(strstr(out, "=first.example==rest@ours.test"));
	assert_true(
	        srs_forward(secret, SPAN("alice@example.org"), SPAN("ours.test"), 20000 * DAY, out, sizeof(out), &err));
	*strchr(out, '@') = '\0';
	assert_false(srs_reverse(secret, span_of(out), (20000 + SRS_DAYS + 1) * (int64_t)DAY, out, sizeof(out), &err));
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_false(srs_reverse(secret, SPAN("SRS0=abc"), 0, out, sizeof(out), &err));
	assert_int_equal(err.code, ERR_BAD_ADDRESS);
	assert_false(srs_is_ours(SPAN("SRS0")));
	assert_false(srs_is_ours(SPAN("srsx=1")));
	memset(long_local, 'a', sizeof(long_local));
	memcpy(long_local + sizeof(long_local) - 6, "@b.org", 6);
	assert_false(srs_forward(
	        secret, span_make(long_local, sizeof(long_local)), SPAN("ours.test"), 0, out, sizeof(out), &err));
	assert_int_equal(err.code, ERR_TOO_LONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times_asked_for),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_delay_success_and_full),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_long_address),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_eight_bits),
		cmocka_unit_test(test_xtext),
		cmocka_unit_test(test_srs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
