/* The part tree: offsets, limits, and that pieces of any size give the same. */
#include "message/mime.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Each part as "depth:type/subtype[header|body]lines "; header and body as their octets, CRLF as ~. */
static void describe(struct span message, const struct mime_part *part, struct buffer *out)
{
	buffer_printf(out, "%" PRIu32 ":%.*s/%.*s[", part->depth, SPAN_FMT(part->type), SPAN_FMT(part->subtype));
	for (uint64_t i = 0; i < part->header_len + part->body_len; i++) {
		char c = message.ptr[part->header_at + i];

		if (i == part->header_len)
			buffer_append_char(out, '|');
		if (c != '\r')
			buffer_append_char(out, c == '\n' ? '~' : c);
	}
	if (part->body_len == 0)
		buffer_append_char(out, '|');
	buffer_printf(out, "]%" PRIu64 " ", part->body_lines);
}

static void parse(struct span message, size_t piece, struct buffer *out)
{
	struct mime_parser *parser = mime_parser_new(NULL);
	const struct mime_part *parts;
	size_t count;

	assert_non_null(parser);
	for (struct span rest = message; rest.len > 0; rest = span_skip(rest, piece))
		assert_true(mime_parser_feed(parser, span_first(rest, piece)));
	assert_true(mime_parser_finish(parser));
	parts = mime_parser_parts(parser, &count);
	buffer_clear(out);
	for (size_t i = 0; i < count; i++)
		describe(message, &parts[i], out);
	mime_parser_free(&parser);
}

#define MULTIPART "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define M_HEAD    "Content-Type: multipart/mixed; boundary=b~~"

static const struct {
	const char *message, *want;
} cases[] = {
	{ "", "0:text/plain[|]0 " },
	{ "\r\n", "0:text/plain[~|]0 " },
	{ "A: b", "0:text/plain[A: b|]0 " },
	{ "A: b\r\n\r\nx\r\ny", "0:text/plain[A: b~~|x~y]1 " },
	{ "A: b\n\nx\ny\n", "0:text/plain[A: b~~|x~y~]2 " },
	{ MULTIPART "pre\r\n--b\r\n\r\none\r\n--b\r\nA: b\r\n\r\ntwo\r\n\r\n--b--\r\nepi",
	        "0:multipart/mixed[" M_HEAD "|pre~--b~~one~--b~A: b~~two~~--b--~epi]10 "
	        "1:text/plain[~|one]0 1:text/plain[A: b~~|two~]1 " },
	{ MULTIPART "--b\r\n--b\r\nA: b\r\n--b--", "0:multipart/mixed[" M_HEAD "|--b~--b~A: b~--b--]3 "
	                                           "1:text/plain[|]0 1:text/plain[A: b~|]0 " },
	{ MULTIPART "--b \t\r\n\r\nx\r\n--bx\r\n --b\r\n--b-\r\n--b--footer",
	        "0:multipart/mixed[" M_HEAD
	        "|--b \t~~x~--bx~ --b~--b-~--b--footer]6 1:text/plain[~|x~--bx~ --b~--b-]3 " },
	{ MULTIPART "--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--b\r\n\r\ny",
	        "0:multipart/mixed[" M_HEAD "|--b~Content-Type: multipart/x; boundary=c~~--c~~x~--b~~y]8 "
	        "1:multipart/x[Content-Type: multipart/x; boundary=c~~|--c~~x]2 2:text/plain[~|x]0 1:text/plain[~|y]0 " },
	{ "Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx\r\n",
	        "0:message/rfc822[Content-Type: message/rfc822~~|A: b~~x~]3 1:text/plain[A: b~~|x~]1 " },
	{ MULTIPART "--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n--b--",
	        "0:multipart/mixed[" M_HEAD "|--b~Content-Type: message/rfc822~~A: b~--b--]4 "
	        "1:message/rfc822[Content-Type: message/rfc822~~|A: b~]1 2:text/plain[A: b~|]0 " },
	{ "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nA: b\r\n\r\nx\r\n--b--",
	        "0:multipart/digest[Content-Type: multipart/digest; boundary=b~~|--b~~A: b~~x~--b--]5 "
	        "1:message/rfc822[~|A: b~~x]2 2:text/plain[A: b~~|x]0 " },
	{ "Content-Type: multipart/mixed\r\n\r\n--b\r\n", "0:text/plain[Content-Type: multipart/mixed~~|--b~]1 " },
};

static void test_trees(void **state)
{
	struct buffer text;

	(void)state;
	buffer_init(&text, MIB);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t piece = 1; piece < 200; piece += piece < 12 ? 1 : 47) {
			parse(span_of(cases[i].message), piece, &text);
			assert_string_equal(buffer_text(&text), cases[i].want);
		}
	buffer_free(&text);
}

static struct mime_parser *parsed(struct span message, const struct mime_part **parts, size_t *count)
{
	struct mime_parser *parser = mime_parser_new(NULL);

	assert_non_null(parser);
	assert_true(mime_parser_feed(parser, message));
	assert_true(mime_parser_finish(parser));
	*parts = mime_parser_parts(parser, count);
	return parser;
}

static bool is_opaque(const struct mime_part *part)
{
	return part->kind == MIME_LEAF && span_equal(part->type, SPAN("application")) &&
	       span_equal(part->subtype, SPAN("octet-stream"));
}

static void test_depth_limit(void **state)
{
	const struct mime_part *parts;
	struct mime_parser *parser;
	struct buffer text;
	size_t count;

	(void)state;
	buffer_init(&text, MIB);
	for (size_t i = 0; i < MIME_DEPTH_MAX + 20; i++)
		buffer_printf(&text, "Content-Type: multipart/mixed; boundary=b%zu\r\n\r\n--b%zu\r\n", i, i);
	buffer_append_text(&text, "\r\nx\r\n--b5\r\n\r\nbehind\r\n--b0--\r\n");
	parser = parsed(buffer_span(&text), &parts, &count);
	assert_int_equal(count, MIME_DEPTH_MAX + 2);
	assert_int_equal(parts[MIME_DEPTH_MAX - 1].kind, MIME_MULTIPART);
	assert_int_equal(parts[MIME_DEPTH_MAX].depth, MIME_DEPTH_MAX);
	assert_true(is_opaque(&parts[MIME_DEPTH_MAX]));
	assert_int_equal(parts[MIME_DEPTH_MAX + 1].depth, 6); /* the outer boundaries still count */
	assert_int_equal(parts[MIME_DEPTH_MAX + 1].body_len, 6);
	mime_parser_free(&parser);
	buffer_free(&text);
}

static void test_part_limit(void **state)
{
	const struct mime_part *parts;
	struct mime_parser *parser;
	struct buffer text;
	size_t count;

	(void)state;
	buffer_init(&text, MIB);
	buffer_append_text(&text, MULTIPART);
	for (size_t i = 0; i < MIME_PARTS_MAX + 20; i++)
		buffer_append_text(&text, "--b\r\n\r\nx\r\n");
	parser = parsed(buffer_span(&text), &parts, &count);
	assert_int_equal(count, MIME_PARTS_MAX);
	assert_false(is_opaque(&parts[count - 2]));
	assert_true(is_opaque(&parts[count - 1]));
	assert_true(parts[count - 1].body_at + parts[count - 1].body_len == text.len);
	mime_parser_free(&parser);
	buffer_free(&text);
}

/* A header beyond a limit: its message is one opaque part, with the right offsets all the same. */
static void check_header_limit(const char *line, size_t octets)
{
	const struct mime_part *parts;
	struct mime_parser *parser;
	struct buffer text;
	size_t count;

	buffer_init(&text, 4 * MIB);
	buffer_append_text(&text, "Content-Type: multipart/mixed; boundary=b\r\n");
	while (text.len < octets)
		buffer_append_text(&text, line);
	buffer_append_text(&text, "\r\n--b\r\n\r\nx\r\n--b--\r\n");
	parser = parsed(buffer_span(&text), &parts, &count);
	assert_int_equal(count, 1);
	assert_true(is_opaque(&parts[0]));
	assert_int_equal(parts[0].body_len, 17);
	mime_parser_free(&parser);
	buffer_free(&text);
}

static void test_header_limits(void **state)
{
	(void)state;
	check_header_limit("X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
	        MIME_HEADER_MAX + 1);
	check_header_limit("X:\r\n", (MIME_FIELDS_MAX + 20) * 4);
}

static void test_headers_total(void **state)
{
	const struct mime_part *parts;
	struct mime_parser *parser;
	struct buffer text;
	size_t count;

	(void)state;
	buffer_init(&text, 4 * MIB);
	buffer_append_text(&text, MULTIPART);
	for (size_t part = 0; part < 5; part++) {
		size_t end = text.len + 600 * KIB;

		buffer_append_text(&text, "--b\r\nX-Long: ");
		while (text.len < end)
			buffer_append_char(&text, 'x');
		buffer_append_text(&text, "\r\n\r\nbody\r\n");
	}
	parser = parsed(buffer_span(&text), &parts, &count);
	assert_int_equal(count, 5);
	assert_false(is_opaque(&parts[3]));
	assert_true(is_opaque(&parts[4]));
	assert_true(parts[4].body_at + parts[4].body_len == text.len);
	mime_parser_free(&parser);
	buffer_free(&text);
}

static void test_fields(void **state)
{
	const struct mime_part *parts;
	struct mime_parser *parser;
	size_t count;

	(void)state;
	parser = parsed(
	        SPAN("Content-ID: <i>\r\nContent-Description: d\r\n e\r\nContent-MD5: m\r\nContent-Language: de\r\n"
	             "Content-Location: l\r\nContent-Transfer-Encoding: Base64 (x)\r\nContent-Type: text/html\r\n"
	             "Content-Type: text/plain\r\nContent-Disposition: inline\r\n"
	             "Content-Disposition: attachment; filename=f\r\n\r\n"),
	        &parts, &count);
	assert_int_equal(count, 1);
	assert_true(span_equal(parts[0].id, SPAN("<i>")));
	assert_true(span_equal(parts[0].description, SPAN("d e")));
	assert_true(span_equal(parts[0].md5, SPAN("m")));
	assert_true(span_equal(parts[0].language, SPAN("de")));
	assert_true(span_equal(parts[0].location, SPAN("l")));
	assert_true(span_equal(parts[0].encoding, SPAN("Base64")));
	assert_int_equal(parts[0].transfer, TRANSFER_BASE64);
	assert_true(span_equal(parts[0].subtype, SPAN("html")));           /* the first */
	assert_true(span_equal(parts[0].disposition, SPAN("attachment"))); /* the last */
	assert_int_equal(parts[0].disposition_params.count, 1);
	mime_parser_free(&parser);
}

struct seen {
	struct buffer bodies;
	unsigned headers, ends;
};

static bool note_header(void *context, struct mime_part *part, struct span block)
{
	struct seen *seen = context;

	(void)block;
	seen->headers++;
	return span_equal(part->subtype, SPAN("plain"));
}

static void note_body(void *context, struct mime_part *part, struct span bytes)
{
	struct seen *seen = context;

	assert_int_equal(part->kind, MIME_LEAF);
	buffer_append_span(&seen->bodies, bytes);
}

static void note_end(void *context, struct mime_part *part)
{
	struct seen *seen = context;

	(void)part;
	seen->ends++;
}

static void test_hooks(void **state)
{
	struct seen seen = { 0 };
	struct mime_hooks hooks = { &seen, note_header, note_body, note_end };
	struct mime_parser *parser = mime_parser_new(&hooks);

	(void)state;
	assert_non_null(parser);
	for (int round = 1; round <= 2; round++) {
		buffer_init(&seen.bodies, KIB);
		assert_true(mime_parser_feed(parser,
		        SPAN(MULTIPART
		                "pre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\nno\r\n--b\r\n\r\ntwo\r\n--b--\r\nepi")));
		assert_true(mime_parser_finish(parser));
		assert_string_equal(buffer_text(&seen.bodies), "one\r\ntwo\r\n");
		assert_int_equal(seen.headers, 4 * round);
		assert_int_equal(seen.ends, 4 * round);
		buffer_free(&seen.bodies);
		mime_parser_reset(parser);
	}
	mime_parser_free(&parser);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trees),
		cmocka_unit_test(test_depth_limit),
		cmocka_unit_test(test_part_limit),
		cmocka_unit_test(test_header_limits),
		cmocka_unit_test(test_headers_total),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_hooks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
