/* RFC 5321 §4.4: what stands in front of a delivered message. */
#include "smtpd/inbound/received.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WHEN 1795257668 /* Sat, 21 Nov 2026 10:41:08 +0000 */

static struct trace plain(void)
{
	return (struct trace) {
		.sender = SPAN("a@client.example"),
		.helo = SPAN("client.example"),
		.peer = SPAN("192.0.2.7"),
		.hostname = SPAN("mail.example.org"),
		.id = SPAN("0123456789abcdef"),
		.recipient = SPAN("bob@example.org"),
		.extended = true,
		.unix_seconds = WHEN,
	};
}

static void expect(const struct trace *trace, const char *want)
{
	struct buffer out;

	buffer_init(&out, PREFIX_MAX);
	assert_true(trace_write_return_path(&out, trace->sender) && trace_write_received(&out, trace));
	assert_string_equal(buffer_text(&out), want);
	buffer_free(&out);
}

static void test_plain(void **state)
{
	struct trace trace = plain();

	expect(&trace, "Return-Path: <a@client.example>\r\n"
	               "Received: from client.example ([192.0.2.7])\r\n"
	               "\tby mail.example.org with ESMTP\r\n"
	               "\tid 0123456789abcdef\r\n"
	               "\tfor <bob@example.org>;\r\n"
	               "\tSat, 21 Nov 2026 10:41:08 +0000\r\n");
}

static void test_tls_many_recipients_bounce(void **state)
{
	struct trace trace = plain();

	trace.sender = SPAN_EMPTY;
	trace.recipient = SPAN_EMPTY;
	trace.peer = SPAN("2001:db8::1");
	trace.helo = SPAN("[IPv6:2001:db8::1]");
	trace.tls_version = SPAN("TLSv1.3");
	trace.tls_cipher = SPAN("TLS_AES_256_GCM_SHA384");
	expect(&trace, "Return-Path: <>\r\n"
	               "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"
	               "\tby mail.example.org with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
	               "\tid 0123456789abcdef;\r\n"
	               "\tSat, 21 Nov 2026 10:41:08 +0000\r\n");
}

/* RFC 5321 §4.4 TCP-info with a name, RFC 6710 §7 PRIORITY; a name that is none is left out. */
static void test_named_and_in_a_hurry(void **state)
{
	struct trace trace = plain();

	(void)state;
	trace.peer_name = SPAN("spike.porcupine.org");
	trace.has_priority = true;
	trace.priority = -3;
	expect(&trace, "Return-Path: <a@client.example>\r\n"
	               "Received: from client.example (spike.porcupine.org [192.0.2.7])\r\n"
	               "\tby mail.example.org with ESMTP\r\n"
	               "\tid 0123456789abcdef\r\n"
	               "\tfor <bob@example.org> PRIORITY -3;\r\n"
	               "\tSat, 21 Nov 2026 10:41:08 +0000\r\n");
	trace.peer_name = SPAN("spike)(porcupine.org");
	trace.recipient = SPAN_EMPTY;
	expect(&trace, "Return-Path: <a@client.example>\r\n"
	               "Received: from client.example ([192.0.2.7])\r\n"
	               "\tby mail.example.org with ESMTP\r\n"
	               "\tid 0123456789abcdef PRIORITY -3;\r\n"
	               "\tSat, 21 Nov 2026 10:41:08 +0000\r\n");
}

/* Where our users are is nobody's business. */
static void test_submission_tells_no_address(void **state)
{
	struct trace trace = plain();

	(void)state;
	trace.tls_version = SPAN("TLSv1.3");
	trace.tls_cipher = SPAN("TLS_AES_256_GCM_SHA384");
	trace.authenticated = true;
	expect(&trace, "Return-Path: <a@client.example>\r\n"
	               "Received: from submission\r\n"
	               "\tby mail.example.org with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
	               "\tid 0123456789abcdef\r\n"
	               "\tfor <bob@example.org>;\r\n"
	               "\tSat, 21 Nov 2026 10:41:08 +0000\r\n");
}

static void test_a_program_of_this_machine(void **state)
{
	struct trace trace = plain();

	(void)state;
	trace.local = true;
	trace.uid = 33;
	expect(&trace, "Return-Path: <a@client.example>\r\n"
	               "Received: from localhost (uid 33)\r\n"
	               "\tby mail.example.org with ESMTP\r\n"
	               "\tid 0123456789abcdef\r\n"
	               "\tfor <bob@example.org>;\r\n"
	               "\tSat, 21 Nov 2026 10:41:08 +0000\r\n");
}

static void test_odd_helo_is_not_copied(void **state)
{
	static const struct span odd[] = { SPAN("my_pc"), SPAN("(comment"), SPAN(";"), SPAN("a)b"), SPAN("[::1]"),
		SPAN("m\xc3\xbcnchen.example"), SPAN("") };

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct trace trace = plain();
		struct buffer out;

		trace.helo = odd[i];
		buffer_init(&out, PREFIX_MAX);
		assert_true(trace_write_received(&out, &trace));
		assert_non_null(strstr(buffer_text(&out), "Received: from unknown ([192.0.2.7])\r\n"));
		buffer_free(&out);
	}
}

static void test_protocols(void **state)
{
	static const struct {
		bool extended, utf8, tls, auth;
		const char *want;
	} cases[] = {
		{ false, false, false, false, "SMTP" },
		{ true, false, false, false, "ESMTP" },
		{ true, false, true, false, "ESMTPS" },
		{ true, false, false, true, "ESMTPA" },
		{ true, false, true, true, "ESMTPSA" },
		{ true, true, false, false, "UTF8SMTP" },
		{ true, true, true, false, "UTF8SMTPS" },
		{ true, true, false, true, "UTF8SMTPA" },
		{ true, true, true, true, "UTF8SMTPSA" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace trace = plain();

		trace.extended = cases[i].extended;
		trace.smtputf8 = cases[i].utf8;
		trace.tls_version = cases[i].tls ? SPAN("TLSv1.2") : SPAN_EMPTY;
		trace.authenticated = cases[i].auth;
		assert_string_equal(trace_protocol(&trace), cases[i].want);
	}
}

static void test_missing_fields(void **state)
{
	static const struct {
		const char *header;
		const char *want;
	} cases[] = {
		{ "From: a\r\n\r\n",
		        "Date: Sat, 21 Nov 2026 10:41:08 +0000\r\nMessage-ID: <0123456789abcdef@mail.example.org>\r\n" },
		{ "date: x\r\nFrom: a\r\n\r\n", "Message-ID: <0123456789abcdef@mail.example.org>\r\n" },
		{ "Message-Id: <x@y>\r\n\r\n", "Date: Sat, 21 Nov 2026 10:41:08 +0000\r\n" },
		{ "Message-ID: <x@y>\r\nDATE: x\r\n\r\n", "" },
		{ "X: y\r\n\r\nDate: in the body\r\nMessage-ID: too\r\n",
		        "Date: Sat, 21 Nov 2026 10:41:08 +0000\r\nMessage-ID: <0123456789abcdef@mail.example.org>\r\n" },
	};
	struct trace trace = plain();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer out;

		buffer_init(&out, PREFIX_MAX);
		assert_true(trace_add_missing(&out, &trace, span_of(cases[i].header)));
		assert_string_equal(buffer_text(&out), cases[i].want);
		buffer_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_tls_many_recipients_bounce),
		cmocka_unit_test(test_named_and_in_a_hurry),
		cmocka_unit_test(test_submission_tells_no_address),
		cmocka_unit_test(test_a_program_of_this_machine),
		cmocka_unit_test(test_odd_helo_is_not_copied),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_missing_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
