/* Sections as octet ranges, names of items, header fields, and decoded parts. */
#include "imapd/binary.h"
#include "imapd/body_section.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static struct message_part parts[MIME_PARTS_MAX];
static size_t part_count;
static struct message_summary summary;

static void parse(const char *message)
{
	struct summary_builder *builder = summary_builder_new();
	struct error err;

	CHECK(builder != NULL && summary_feed(builder, span_of(message)));
	CHECK(summary_finish(builder, &summary, &err));
	CHECK(message_parts_read(summary.parts, parts, LEN(parts), &part_count));
	summary_builder_free(&builder);
}

/* "1.2.HEADER" as a section; fields of HEADER.FIELDS are not needed here. */
static struct section make_section(const char *text)
{
	static const char *const names[] = { "", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME" };
	static uint32_t numbers[PARSE_SECTION_DEPTH];
	struct section section = { .parts = numbers };
	struct span in = span_of(text);

	while (section.part_count < LEN(numbers) && span_take_number(&in, UINT32_MAX, &numbers[section.part_count])) {
		section.part_count++;
		(void)span_take_char(&in, '.');
	}
	for (size_t i = 0; i < LEN(names); i++)
		if (span_equal(in, span_of(names[i])))
			section.text = (enum section_text)i;
	return section;
}

/* The example of RFC 9051 §6.4.5.1, built as it says. */
#define RFC_EXAMPLE                                                                                                    \
	"Subject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n"                     \
	"--A\r\n\r\none\r\n"                                                                                           \
	"--A\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n"                                                 \
	"--A\r\nContent-Type: message/rfc822\r\n\r\n"                                                                  \
	"Subject: three\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"                                          \
	"--B\r\n\r\nthree one\r\n--B\r\nContent-Type: application/octet-stream\r\n\r\nthree two\r\n--B--\r\n"          \
	"--A\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n"                                                     \
	"--C\r\nContent-Type: image/gif\r\n\r\nGIF\r\n"                                                                \
	"--C\r\nContent-Type: message/rfc822\r\n\r\n"                                                                  \
	"Subject: four two\r\nContent-Type: multipart/mixed; boundary=D\r\n\r\n"                                       \
	"--D\r\n\r\nfour two one\r\n"                                                                                  \
	"--D\r\nContent-Type: multipart/alternative; boundary=E\r\n\r\n"                                               \
	"--E\r\n\r\nplain\r\n--E\r\nContent-Type: text/richtext\r\n\r\nrich\r\n--E--\r\n"                              \
	"--D--\r\n"                                                                                                    \
	"--C--\r\n"                                                                                                    \
	"--A--\r\n"

#define SINGLE "Subject: single\r\n\r\nthe text\r\n"
#define INNER                                                                                                          \
	"Subject: outer\r\nContent-Type: message/rfc822\r\n\r\n"                                                       \
	"Subject: inner\r\n\r\nthe inner text\r\n"

static const struct section_case {
	const char *message;
	const char *section;
	const char *want; /* NULL: there is no such section */
} section_cases[] = {
	{ SINGLE, "", SINGLE },
	{ SINGLE, "HEADER", "Subject: single\r\n\r\n" },
	{ SINGLE, "TEXT", "the text\r\n" },
	{ SINGLE, "1", "the text\r\n" }, /* every message has at least one part number */
	{ SINGLE, "1.MIME", "Subject: single\r\n\r\n" },
	{ SINGLE, "MIME", NULL },
	{ SINGLE, "1.1", NULL },
	{ SINGLE, "2", NULL },
	{ SINGLE, "0", NULL },
	{ SINGLE, "1.HEADER", NULL },
	{ SINGLE, "1.TEXT", NULL },
	{ "Subject: no body\r\n\r\n", "TEXT", "" },
	{ "Subject: no end", "HEADER", "Subject: no end" },
	{ "\r\nno header", "HEADER", "\r\n" },
	{ "\r\nno header", "1", "no header" },
	{ RFC_EXAMPLE, "1", "one" },
	{ RFC_EXAMPLE, "1.MIME", "\r\n" },
	{ RFC_EXAMPLE, "2", "two" },
	{ RFC_EXAMPLE, "2.MIME", "Content-Type: application/octet-stream\r\n\r\n" },
	{ RFC_EXAMPLE, "2.HEADER", NULL },
	{ RFC_EXAMPLE, "3.HEADER", "Subject: three\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n" },
	{ RFC_EXAMPLE, "3.MIME", "Content-Type: message/rfc822\r\n\r\n" },
	{ RFC_EXAMPLE, "3.TEXT",
	        "--B\r\n\r\nthree one\r\n--B\r\nContent-Type: application/octet-stream\r\n\r\nthree two\r\n--B--\r\n" }, /* the line end of "--B--" is B's, as in Dovecot */
	{ RFC_EXAMPLE, "3.1", "three one" },
	{ RFC_EXAMPLE, "3.2", "three two" },
	{ RFC_EXAMPLE, "3.3", NULL },
	{ RFC_EXAMPLE, "4.1", "GIF" },
	{ RFC_EXAMPLE, "4.1.MIME", "Content-Type: image/gif\r\n\r\n" },
	{ RFC_EXAMPLE, "4.HEADER", NULL }, /* a multipart has no message header of its own */
	{ RFC_EXAMPLE, "4.2.HEADER", "Subject: four two\r\nContent-Type: multipart/mixed; boundary=D\r\n\r\n" },
	{ RFC_EXAMPLE, "4.2.1", "four two one" },
	{ RFC_EXAMPLE, "4.2.2.1", "plain" },
	{ RFC_EXAMPLE, "4.2.2.2", "rich" },
	{ RFC_EXAMPLE, "4.2.2.2.MIME", "Content-Type: text/richtext\r\n\r\n" },
	{ RFC_EXAMPLE, "4.2.2.3", NULL },
	{ RFC_EXAMPLE, "4.2.2.2.1", NULL },
	{ RFC_EXAMPLE, "5", NULL },
	{ RFC_EXAMPLE, "4294967295", NULL },
	{ INNER, "1", "Subject: inner\r\n\r\nthe inner text\r\n" },
	{ INNER, "1.MIME", "Subject: outer\r\nContent-Type: message/rfc822\r\n\r\n" },
	{ INNER, "1.HEADER", "Subject: inner\r\n\r\n" },
	{ INNER, "1.TEXT", "the inner text\r\n" },
	{ INNER, "1.1", "the inner text\r\n" },
	{ INNER, "1.1.MIME", "Subject: inner\r\n\r\n" },
	{ INNER, "1.2", NULL },
	{ INNER, "1.1.1", NULL },
	{ INNER, "1.1.TEXT", NULL },
};

static void test_sections(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(section_cases); i++) {
		const struct section_case *row = &section_cases[i];
		struct section section = make_section(row->section);
		struct section_place place;
		bool found;

		parse(row->message);
		found = section_find(parts, part_count, &section, &place);
		if (found != (row->want != NULL))
			fail_msg("[%s]: %s", row->section, found ? "found" : "not found");
		if (found && (place.len != strlen(row->want) || place.at + place.len > strlen(row->message) ||
		                     memcmp(row->message + place.at, row->want, place.len) != 0))
			fail_msg("[%s]: got \"%.*s\", want \"%s\"", row->section, (int)place.len,
			        row->message + place.at, row->want);
		message_summary_free(&summary);
	}
}

static void test_cut(void **state)
{
	static const struct {
		uint64_t offset, size, total, at, len;
	} rows[] = {
		{ 0, 10, 100, 0, 10 },
		{ 90, 20, 100, 90, 10 }, /* truncated as appropriate */
		{ 100, 1, 100, 100, 0 }, /* beyond the end: an empty string */
		{ 5000, 10, 100, 100, 0 },
		{ 0, 2048, 1500, 0, 1500 },
		{ 1, UINT64_MAX, 3, 1, 2 },
		{ UINT64_MAX, UINT64_MAX, 3, 3, 0 },
		{ 0, 1, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct fetch_item item = { .partial = true, .offset = rows[i].offset, .size = rows[i].size };
		struct section_range range = section_cut(&item, rows[i].total);

		assert_int_equal(range.at, rows[i].at);
		assert_int_equal(range.len, rows[i].len);
	}
	assert_int_equal(section_cut(&(struct fetch_item) { 0 }, 77).len, 77);
}

static void test_names(void **state)
{
	uint32_t numbers[] = { 1, 22 };
	struct span fields[] = { SPAN("From"), SPAN("odd name") };
	const struct section text = { numbers, 2, SECTION_TEXT, NULL, 0 };
	const struct section not = { NULL, 0, SECTION_HEADER_FIELDS_NOT, fields, 2 };
	const struct section mime = { numbers, 1, SECTION_MIME, NULL, 0 };
	const struct {
		struct fetch_item item;
		const char *want;
	} rows[] = {
		{ { FETCH_ENVELOPE, false, { 0 }, false, 0, 0 }, "ENVELOPE" },
		{ { FETCH_BODY, false, { 0 }, false, 0, 0 }, "BODY" },
		{ { FETCH_SECTION, true, { 0 }, false, 0, 0 }, "BODY[]" }, /* PEEK is not in the answer */
		{ { FETCH_SECTION, true, text, true, 65536, 10 }, "BODY[1.22.TEXT]<65536>" },
		{ { FETCH_SECTION, true, not, true, 0, 1 }, "BODY[HEADER.FIELDS.NOT (From \"odd name\")]<0>" },
		{ { FETCH_SECTION, true, mime, false, 0, 0 }, "BODY[1.MIME]" },
		{ { FETCH_BINARY, true, { numbers, 2, SECTION_WHOLE, NULL, 0 }, true, 3, 1 }, "BINARY[1.22]<3>" },
		{ { FETCH_BINARY_SIZE, true, { numbers, 1, SECTION_WHOLE, NULL, 0 }, false, 0, 0 }, "BINARY.SIZE[1]" },
		{ { FETCH_RFC822_HEADER, true, { 0 }, false, 0, 0 }, "RFC822.HEADER" },
	};
	struct buffer out;

	(void)state;
	buffer_init(&out, 1000);
	for (size_t i = 0; i < LEN(rows); i++) {
		buffer_clear(&out);
		assert_true(section_write_name(&out, &rows[i].item));
		assert_string_equal(buffer_text(&out), rows[i].want);
	}
	buffer_free(&out);
}

#define BLOCK                                                                                                          \
	"From: a\r\n"                                                                                                  \
	"Received: x\r\n\tby y\r\n"                                                                                    \
	"subject : s\r\n"                                                                                              \
	"no colon here\r\n"                                                                                            \
	"Received: z\r\n"                                                                                              \
	"\r\n"

static const struct filter_case {
	const char *block;
	const char *names[3];
	const char *fields, *rest; /* HEADER.FIELDS, HEADER.FIELDS.NOT */
} filter_cases[] = {
	{ BLOCK, { "RECEIVED" }, "Received: x\r\n\tby y\r\nReceived: z\r\n\r\n",
	        "From: a\r\nsubject : s\r\nno colon here\r\n\r\n" },
	{ BLOCK, { "Subject", "from" }, "From: a\r\nsubject : s\r\n\r\n",
	        "Received: x\r\n\tby y\r\nno colon here\r\nReceived: z\r\n\r\n" },
	{ BLOCK, { "To" }, "\r\n", BLOCK },
	{ BLOCK, { "Sub", "rom", "Received:" }, "\r\n", BLOCK }, /* "otherwise exact" */
	/* no body and no empty line: none is made up */
	{ "From: a", { "From" }, "From: a", "" },
	{ "From: a\r\nTo: b\r\n", { "From" }, "From: a\r\n", "To: b\r\n" },
	{ "From: a\n b\n\nbody: x", { "From" }, "From: a\n b\n\n", "\n" },
	{ "\r\n", { "From" }, "\r\n", "\r\n" },
	{ " lost: fold\r\nTo: b\r\n\r\n", { "lost", "to" }, "To: b\r\n\r\n", " lost: fold\r\n\r\n" },
	{ ": x\r\n:\r\nA:\r\n\r\n", { "a", "" }, "A:\r\n\r\n", ": x\r\n:\r\n\r\n" },
	{ "", { "From" }, "", "" },
};

static void check_filter(const struct filter_case *row, enum section_text text, const char *want)
{
	struct span names[3];
	struct section section = { .text = text, .fields = names };
	struct field_filter filter;
	struct buffer out;

	while (section.field_count < 3 && row->names[section.field_count] != NULL) {
		names[section.field_count] = span_of(row->names[section.field_count]);
		section.field_count++;
	}
	buffer_init(&out, strlen(row->block));
	assert_true(field_filter_init(&filter, &section));
	assert_true(field_filter_apply(&filter, span_of(row->block), &out));
	assert_string_equal(buffer_text(&out), want);
	field_filter_free(&filter);
	buffer_free(&out);
}

static void test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(filter_cases); i++) {
		check_filter(&filter_cases[i], SECTION_HEADER_FIELDS, filter_cases[i].fields);
		check_filter(&filter_cases[i], SECTION_HEADER_FIELDS_NOT, filter_cases[i].rest);
	}
}

/* --- BINARY --- */

struct memory {
	struct span text;
	size_t read; /* octets asked for */
	bool fails;
};

static bool read_memory(void *arg, uint64_t offset, size_t size, struct buffer *out, struct error *err)
{
	struct memory *memory = arg;

	if (memory->fails)
		return error_set(err, ERR_IO, "no disk");
	memory->read += size;
	return buffer_append_span(out, span_first(span_skip(memory->text, (size_t)offset), size));
}

/* Every cut of a part must be what stands there in the part decoded at once. */
static void check_cuts(const struct binary_map *map, const struct octet_source *source, struct span whole, size_t step)
{
	struct buffer out;
	struct error err;

	buffer_init(&out, 4 * MIB);
	for (size_t at = 0; at < whole.len; at += step) {
		size_t size = whole.len - at < step ? whole.len - at : step;

		buffer_clear(&out);
		assert_true(binary_read(map, source, at, size, &out, &err));
		assert_int_equal(out.len, size);
		assert_memory_equal(out.data, whole.ptr + at, size);
	}
	buffer_free(&out);
}

static void make_part(enum transfer_encoding encoding, size_t size, struct buffer *raw)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned random = 1;

	for (size_t i = 0; i < size; i++) {
		random = random * 1103515245u + 12345u;
		if (encoding == TRANSFER_BASE64)
			buffer_append_text(raw, i % 77 == 76 ? "\r\n" : (char[2]) { base64[random >> 26], 0 });
		else if (encoding == TRANSFER_QUOTED_PRINTABLE && i % 61 == 60)
			buffer_append_text(raw, i % 2 == 0 ? "=\r\n" : " \t\r\n");
		else if (encoding == TRANSFER_QUOTED_PRINTABLE && i % 7 == 0)
			buffer_append_text(raw, "=C3=a4");
		else
			buffer_append_char(raw, (char)('a' + (random >> 16) % 26));
	}
}

static void check_part(enum transfer_encoding encoding, size_t size, size_t step)
{
	struct transfer_decoder decoder;
	struct buffer raw, whole;
	struct memory memory = { 0 };
	struct octet_source source = { read_memory, &memory };
	struct binary_map *map = calloc(1, sizeof(*map));
	struct error err;

	buffer_init(&raw, 8 * MIB);
	buffer_init(&whole, 8 * MIB);
	make_part(encoding, size, &raw);
	transfer_init(&decoder, encoding);
	transfer_feed(&decoder, buffer_span(&raw), &whole);
	transfer_finish(&decoder, &whole);
	assert_false(raw.failed || whole.failed);
	memory.text = buffer_span(&raw);
	assert_true(binary_map_fill(map, 5, 0, raw.len, encoding, &source, &err));
	assert_true(binary_map_is(map, 5, 0, raw.len) && !binary_map_is(map, 6, 0, raw.len));
	assert_int_equal(map->size, whole.len);
	assert_true(map->has_nul == (whole.len > 0 && memchr(whole.data, 0, whole.len) != NULL));
	check_cuts(map, &source, buffer_span(&whole), step);
	memory.read = 0;
	check_cuts(map, &source, span_skip(buffer_span(&whole), whole.len), step);
	/* The last piece costs a few reads, not the part. */
	if (whole.len > 10) {
		struct buffer last;

		buffer_init(&last, 10);
		assert_true(binary_read(map, &source, whole.len - 10, 10, &last, &err));
		assert_true(memory.read <= 3 * BINARY_PIECE);
		buffer_free(&last);
	}
	memory.fails = true;
	assert_false(binary_map_fill(map, 7, 0, raw.len + 1, encoding, &source, &err));
	assert_false(binary_map_is(map, 7, 0, raw.len + 1));
	buffer_free(&raw);
	buffer_free(&whole);
	free(map);
}

static void test_binary(void **state)
{
	static const enum transfer_encoding encodings[] = { TRANSFER_IDENTITY, TRANSFER_QUOTED_PRINTABLE,
		TRANSFER_BASE64 };

	(void)state;
	for (size_t i = 0; i < LEN(encodings); i++) {
		check_part(encodings[i], 0, 1);
		check_part(encodings[i], 1, 1);
		check_part(encodings[i], 500, 7);
		check_part(encodings[i], 65536, 10007);
		check_part(encodings[i], 1000001, 65536);
	}
}

static void test_binary_nul(void **state)
{
	struct memory memory = { .text = SPAN("QUEAQg==") };
	struct octet_source source = { read_memory, &memory };
	struct binary_map *map = calloc(1, sizeof(*map));
	struct error err;

	(void)state;
	assert_true(binary_map_fill(map, 1, 0, 8, TRANSFER_BASE64, &source, &err));
	assert_int_equal(map->size, 4);
	assert_true(map->has_nul);
	free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_binary_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
