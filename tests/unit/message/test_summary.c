/* What a delivery keeps: every member of the summary; the parts blob read back; limits; and memory failing at every n-th call. */
#include "message/summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* --- memory that fails on request; the linker sends the library's calls here --- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

static unsigned allocations_left; /* 0: never fail */

static bool fails_now(void)
{
	return allocations_left > 0 && --allocations_left == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return fails_now() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
	return fails_now() ? NULL : __real_reallocarray(memory, count, size);
}

/* --- */

static const char mail[] =
        "Return-Path: <a@example.test>\r\n"
        "Message-ID: <m@example.test>\r\n"
        "In-Reply-To: <r2@x> (text) <other@x>\r\n"
        "References: <r1@x> <r2@x>\r\n <r2@x>\r\n"
        "Date: Sat, 21 Nov 2026 10:41:08 +0000\r\n"
        "From: Ann <a@example.test>\r\n"
        "To: b@example.test\r\n"
        "Subject: Re: [l] =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n"
        "\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\n \r\n"
        "--b\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        "<p>J=F6rg</p>\r\n"
        "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n"
        "--b--\r\n";

static void summarise(const char *text, size_t len, struct message_summary *summary)
{
	struct summary_builder *builder = summary_builder_new();
	struct error err;

	assert_non_null(builder);
	assert_true(summary_feed(builder, span_make(text, len)));
	assert_true(summary_finish(builder, summary, &err));
	summary_builder_free(&builder);
}

static void assert_span(struct span got, const char *want)
{
	assert_int_equal(got.len, strlen(want));
	assert_memory_equal(got.len == 0 ? "" : got.ptr, want, got.len);
}

static void test_members(void **state)
{
	struct message_summary s;

	(void)state;
	summarise(mail, sizeof(mail) - 1, &s);
	assert_span(s.envelope, "(\"Sat, 21 Nov 2026 10:41:08 +0000\" \"Re: [l] =?utf-8?q?Gr=C3=BC=C3=9Fe?=\" "
	                        "((\"Ann\" NIL \"a\" \"example.test\")) ((\"Ann\" NIL \"a\" \"example.test\")) "
	                        "((\"Ann\" NIL \"a\" \"example.test\")) ((NIL NIL \"b\" \"example.test\")) NIL NIL "
	                        "\"<r2@x> (text) <other@x>\" \"<m@example.test>\")");
	assert_span(s.body_structure,
	        "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL)"
	        "(\"text\" \"html\" (\"charset\" \"iso-8859-1\") NIL NIL \"quoted-printable\" 13 0 NIL NIL NIL NIL)"
	        "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 16 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)"
	        " \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)");
	assert_span(s.body,
	        "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0)"
	        "(\"text\" \"html\" (\"charset\" \"iso-8859-1\") NIL NIL \"quoted-printable\" 13 0)"
	        "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 16 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0) 2) \"mixed\")");
	assert_span(s.preview, "J\xc3\xb6rg"); /* the first text that is not empty */
	assert_span(s.base_subject, "Gr\xc3\xbc\xc3\x9f"
	                            "e");
	assert_true(s.subject_is_reply);
	assert_span(s.message_id, "m@example.test");
	assert_span(s.in_reply_to, "r2@x");
	assert_span(s.references, "r1@x\nr2@x");
	assert_true(s.has_date);
	assert_true(s.date == 1795257668);
	assert_int_equal(s.size, sizeof(mail) - 1);
	assert_int_equal(s.header_len, s.header.len);
	assert_memory_equal(s.header.ptr, mail, s.header.len);
	assert_memory_equal(mail + s.header_len - 4, "\r\n\r\n--b", 7);
	assert_true(s.has_attachment);
	message_summary_free(&s);
	assert_null(s.memory);
}

static void test_empty(void **state)
{
	struct message_summary s;

	(void)state;
	summarise("", 0, &s);
	assert_span(s.envelope, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
	assert_span(s.body, "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0)");
	assert_false(s.has_date);
	assert_false(s.has_attachment);
	assert_int_equal(s.header_len, 0);
	message_summary_free(&s);
	message_summary_free(&s);
}

static void test_parts(void **state)
{
	static const struct message_part want[] = {
		{ MIME_NO_PART, MIME_MULTIPART, TRANSFER_IDENTITY, 0, 313, 210, 16 },
		{ 0, MIME_LEAF, TRANSFER_IDENTITY, 318, 28, 1, 0 },
		{ 0, MIME_LEAF, TRANSFER_QUOTED_PRINTABLE, 354, 92, 13, 0 },
		{ 0, MIME_MESSAGE, TRANSFER_IDENTITY, 466, 32, 16, 2 },
		{ 3, MIME_LEAF, TRANSFER_IDENTITY, 498, 15, 1, 0 },
	};
	struct message_part parts[8];
	struct message_summary s;
	size_t count;

	(void)state;
	summarise(mail, sizeof(mail) - 1, &s);
	assert_true(message_parts_read(s.parts, parts, ARRAY_LEN(parts), &count));
	assert_int_equal(count, ARRAY_LEN(want));
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(parts[i].parent, want[i].parent);
		assert_int_equal(parts[i].kind, want[i].kind);
		assert_int_equal(parts[i].transfer, want[i].transfer);
		assert_int_equal(parts[i].header_at, want[i].header_at);
		assert_int_equal(parts[i].header_len, want[i].header_len);
		assert_int_equal(parts[i].body_len, want[i].body_len);
		assert_int_equal(parts[i].body_lines, want[i].body_lines);
	}
	assert_true(message_parts_read(s.parts, parts, 2, &count)); /* fewer than there are */
	assert_int_equal(count, ARRAY_LEN(want));
	for (size_t cut = 0; cut < s.parts.len; cut++)
		assert_false(message_parts_read(span_first(s.parts, cut), parts, ARRAY_LEN(parts), &count));
	assert_false(message_parts_read(SPAN("\2\1\0\0\0\0\0\0\0"), parts, 8, &count)); /* another version */
	assert_false(
	        message_parts_read(SPAN("\1\1\1\0\0\0\0\0\0"), parts, 8, &count)); /* the first part has a parent */
	message_summary_free(&s);
}

static const struct {
	const char *mail;
	bool attachment;
} attachment_cases[] = {
	{ "Content-Type: text/plain\r\n\r\n", false },
	{ "Content-Type: application/pdf\r\n\r\n", true },
	{ "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n",
	        false },
	{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment\r\n\r\n", true },
	{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; name=x\r\n\r\n", true },
	{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n", true },
	{ "Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: image/png; name=x\r\nContent-ID: <x>\r\n\r\n",
	        false },
	{ "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-signature; name=x\r\n\r\n",
	        false },
	{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/zip\r\n\r\n", true },
};

static void test_attachments(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attachment_cases); i++) {
		struct message_summary s;

		summarise(attachment_cases[i].mail, strlen(attachment_cases[i].mail), &s);
		assert_int_equal(s.has_attachment, attachment_cases[i].attachment);
		message_summary_free(&s);
	}
}

static void test_many_references(void **state)
{
	struct message_summary s;
	struct buffer text;
	unsigned lines = 1;

	(void)state;
	buffer_init(&text, MIB);
	buffer_append_text(&text, "References:");
	for (unsigned i = 0; i < 3 * SUMMARY_REFERENCES_MAX; i++)
		buffer_printf(&text, "\r\n <%u@x>", i);
	buffer_append_text(&text, "\r\n\r\n");
	summarise(text.data, text.len, &s);
	for (size_t i = 0; i < s.references.len; i++)
		lines += s.references.ptr[i] == '\n';
	assert_int_equal(lines, SUMMARY_REFERENCES_MAX);
	assert_true(span_starts(s.references, SPAN("0@x\n1@x\n")));
	assert_true(span_ends_nocase(s.references, SPAN("\n298@x\n299@x")));
	message_summary_free(&s);
	buffer_free(&text);
}

/* An envelope that has no room is an empty one, not a failure. */
static void test_huge_envelope(void **state)
{
	struct message_summary s;
	struct buffer text;

	(void)state;
	buffer_init(&text, 2 * MIB);
	while (text.len < MIB - 100)
		buffer_append_text(&text, text.len % 20000 < 10 ? "\r\nBcc: a," : "a,");
	buffer_append_text(&text, "\r\nSubject: x\r\n\r\n");
	text.data[0] = 'A';
	text.data[1] = ':';
	summarise(text.data, text.len, &s);
	assert_true(s.envelope.len > 2 && s.envelope.len <= SUMMARY_TEXT_MAX);
	message_summary_free(&s);
	buffer_free(&text);
}

static bool try_summary(unsigned fail_at)
{
	struct message_summary s = { 0 };
	struct error err = { 0 };
	struct summary_builder *builder;
	bool done = false;

	allocations_left = fail_at;
	builder = summary_builder_new();
	if (builder != NULL) {
		for (struct span rest = span_make(mail, sizeof(mail) - 1); rest.len > 0; rest = span_skip(rest, 50))
			summary_feed(builder, span_first(rest, 50));
		done = summary_finish(builder, &s, &err);
		assert_int_equal(err.code, done ? ERR_NONE : ERR_NO_MEMORY);
		allocations_left = 0;
		/* The builder is fit for the next message, whatever happened. */
		message_summary_free(&s);
		assert_true(summary_feed(builder, span_make(mail, sizeof(mail) - 1)));
		assert_true(summary_finish(builder, &s, &err));
		assert_span(s.preview, "J\xc3\xb6rg");
		message_summary_free(&s);
	}
	allocations_left = 0;
	summary_builder_free(&builder);
	return done;
}

static void test_out_of_memory(void **state)
{
	unsigned fail_at = 1;

	(void)state;
	while (!try_summary(fail_at))
		fail_at++;
	assert_true(fail_at > 10); /* so many allocations were made, and each failed once */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_attachments),
		cmocka_unit_test(test_many_references),
		cmocka_unit_test(test_huge_envelope),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
