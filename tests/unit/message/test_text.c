/* Transfer encodings, charsets, previews and IMAP strings. */
#include "message/charset.h"
#include "message/charset_table.h"
#include "message/imap_text.h"
#include "message/preview.h"
#include "message/transfer.h"

#include <iconv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	enum transfer_encoding encoding;
	const char *input, *want;
} transfer_cases[] = {
	{ TRANSFER_IDENTITY, "a=3D\r\n", "a=3D\r\n" },
	{ TRANSFER_UNKNOWN, "a=3D\r\n", "a=3D\r\n" },
	{ TRANSFER_QUOTED_PRINTABLE, "a=3Db=c3=BC", "a=b\xc3\xbc" },
	{ TRANSFER_QUOTED_PRINTABLE, "a=\r\nb=\nc", "abc" },
	{ TRANSFER_QUOTED_PRINTABLE, "a= \t\r\nb", "ab" },        /* blanks added to a soft line break */
	{ TRANSFER_QUOTED_PRINTABLE, "a \t\r\nb c", "a\r\nb c" }, /* RFC 2045 §6.7 rule 3 */
	{ TRANSFER_QUOTED_PRINTABLE, "a=zz=4", "a=zz=4" },
	{ TRANSFER_QUOTED_PRINTABLE, "a==41", "a=A" },
	{ TRANSFER_QUOTED_PRINTABLE, "a=", "a" },
	{ TRANSFER_QUOTED_PRINTABLE, "a= ", "a" },
	{ TRANSFER_QUOTED_PRINTABLE, "a\rb", "a\rb" },
	{ TRANSFER_BASE64, "SGVsbG8=", "Hello" },
	{ TRANSFER_BASE64, "SGVs\r\nbG8", "Hello" },   /* padding missing */
	{ TRANSFER_BASE64, "S G!V*s\tbG8=", "Hello" }, /* RFC 2045 §6.8: other characters are ignored */
	{ TRANSFER_BASE64, "QQ==QUI=", "AAB" },        /* two texts glued together */
	{ TRANSFER_BASE64, "Q", "" },
	{ TRANSFER_BASE64, "", "" },
};

static void decode(enum transfer_encoding encoding, struct span in, size_t piece, struct buffer *out)
{
	struct transfer_decoder decoder;

	buffer_clear(out);
	transfer_init(&decoder, encoding);
	for (; in.len > 0; in = span_skip(in, piece))
		assert_true(transfer_feed(&decoder, span_first(in, piece), out));
	assert_true(transfer_finish(&decoder, out));
}

static void test_transfer(void **state)
{
	struct buffer text;

	(void)state;
	buffer_init(&text, KIB);
	for (size_t i = 0; i < ARRAY_LEN(transfer_cases); i++)
		for (size_t piece = 1; piece < 20; piece++) {
			decode(transfer_cases[i].encoding, span_of(transfer_cases[i].input), piece, &text);
			assert_string_equal(buffer_text(&text), transfer_cases[i].want);
		}
	buffer_free(&text);
}

static void test_transfer_names(void **state)
{
	(void)state;
	assert_int_equal(transfer_encoding_of(SPAN(" BASE64 (x)")), TRANSFER_BASE64);
	assert_int_equal(transfer_encoding_of(SPAN("Quoted-Printable")), TRANSFER_QUOTED_PRINTABLE);
	assert_int_equal(transfer_encoding_of(SPAN("")), TRANSFER_IDENTITY);
	assert_int_equal(transfer_encoding_of(SPAN("8bit")), TRANSFER_IDENTITY);
	assert_int_equal(transfer_encoding_of(SPAN("x-uuencode")), TRANSFER_UNKNOWN);
	assert_int_equal(transfer_encoding_of(SPAN("base64;")), TRANSFER_IDENTITY);
}

#define BYTES(literal)                                                                                                 \
	{                                                                                                              \
		literal, sizeof(literal) - 1                                                                           \
	}

static const struct {
	const char *label;
	struct span input;
	const char *want;
} charset_cases[] = {
	{ "utf-8", BYTES("J\xc3\xb6rg"), "J\xc3\xb6rg" },
	{ "UTF8",
	        BYTES("a\xff"
	              "b\xc3"),
	        "a\xef\xbf\xbd"
	        "b\xef\xbf\xbd" },
	{ "us-ascii", BYTES("J\xc3\xb6rg"), "J\xc3\xb6rg" }, /* lies, but is UTF-8 */
	{ "us-ascii", BYTES("J\xf6rg"), "J\xc3\xb6rg" },     /* lies, and is not */
	{ "", BYTES("\xf6"), "\xc3\xb6" },
	{ "ISO-8859-1", BYTES("\x80 \xf6"), "\xe2\x82\xac \xc3\xb6" }, /* is windows-1252 */
	{ "iso-8859-15", BYTES("\xa4"), "\xe2\x82\xac" }, { "windows-1251", BYTES("\xc0"), "\xd0\x90" },
	{ "koi8-r", BYTES("\xc1"), "\xd0\xb0" }, { "gb2312", BYTES("\xc4\xe3"), "\xe4\xbd\xa0" },
	{ "x-gbk", BYTES("\xc4\xe3"), "\xe4\xbd\xa0" }, { "big5", BYTES("\xa7\x41"), "\xe4\xbd\xa0" },
	{ "Shift_JIS", BYTES("\x82\xa0"), "\xe3\x81\x82" }, { "iso-2022-jp", BYTES("\x1b$B$\"\x1b(B"), "\xe3\x81\x82" },
	{ "euc-jp", BYTES("\xa4\xa2"), "\xe3\x81\x82" }, { "ks_c_5601-1987", BYTES("\xb0\xa1"), "\xea\xb0\x80" },
	{ "cp-850", BYTES("\x94"), "\xc3\xb6" }, { "utf-16le", BYTES("a\0\x62\0"), "ab" },
	{ "utf-16", BYTES("\xfe\xff\0a"), "a" }, { "utf-7", BYTES("+APY-"), "\xc3\xb6" },
	{ "shift_jis", BYTES("\x82"), "\xef\xbf\xbd" }, /* cut */
	{ "euc-kr",
	        BYTES("\xff"
	              "a"),
	        "\xef\xbf\xbd"
	        "a" },
	{ "x-unknown", BYTES("a\xf6"), "a\xef\xbf\xbd" }, { "../../etc/x", BYTES("a"), "a" },
	{ "UTF-8//IGNORE", BYTES("\xf6"), "\xef\xbf\xbd" }, /* never reaches iconv */
};

static void test_charsets(void **state)
{
	struct buffer text;

	(void)state;
	buffer_init(&text, KIB);
	for (size_t i = 0; i < ARRAY_LEN(charset_cases); i++) {
		struct span label = span_of(charset_cases[i].label);
		struct charset_converter *converter = charset_open(label);
		struct span rest = charset_cases[i].input;

		buffer_clear(&text);
		assert_true(charset_to_utf8(label, rest, &text));
		assert_string_equal(buffer_text(&text), charset_cases[i].want);
		buffer_clear(&text);
		assert_non_null(converter);
		for (; rest.len > 0; rest = span_skip(rest, 1))
			assert_true(charset_feed(converter, span_first(rest, 1), &text));
		assert_true(charset_finish(converter, &text));
		assert_string_equal(buffer_text(&text), charset_cases[i].want);
		charset_close(&converter);
	}
	buffer_free(&text);
}

/* bsearch() needs the order, and this system's iconv has to know every name. */
static void test_charset_table(void **state)
{
	const struct charset *before = NULL;

	(void)state;
	for (size_t i = 0; charset_at(i) != NULL; i++) {
		const struct charset *charset = charset_at(i);

		assert_true(before == NULL || strcmp(before->label, charset->label) < 0);
		assert_ptr_equal(charset_find(span_of(charset->label)), charset);
		if (charset->method == CHARSET_ICONV) {
			iconv_t converter = iconv_open("UTF-8", charset->iconv_name);

			assert_true(converter != (iconv_t)-1);
			iconv_close(converter);
		}
		before = charset;
	}
	assert_non_null(charset_find(SPAN(" UTF-8 ")));
	assert_null(charset_find(SPAN("x-unknown")));
}

static const struct {
	bool html;
	enum transfer_encoding encoding;
	const char *charset, *input, *want;
} preview_cases[] = {
	{ false, TRANSFER_IDENTITY, "", "Hello\r\n\r\n  world \r\n", "Hello world" },
	{ false, TRANSFER_IDENTITY, "", " \r\n\t", "" },
	{ false, TRANSFER_QUOTED_PRINTABLE, "iso-8859-1", "J=F6rg=\r\n!", "J\xc3\xb6rg!" },
	{ false, TRANSFER_BASE64, "utf-8", "SsO2cmc=", "J\xc3\xb6rg" },
	{ false, TRANSFER_IDENTITY, "", "a<b>&amp;", "a<b>&amp;" },
	{ true, TRANSFER_IDENTITY, "", "<p>a</p><p>b<b>c</b> &lt;&amp;&#228;&#xe4;&nbsp;d</p>",
	        "a bc <&\xc3\xa4\xc3\xa4 d" },
	{ true, TRANSFER_IDENTITY, "", "<style>p { x }</style><script>if (a<b) c()</script>x<!-- <p>no--> y", "x y" },
	{ true, TRANSFER_IDENTITY, "", "<title>t</title><a href=\"x>y\">z</a>", "z" },
	{ true, TRANSFER_IDENTITY, "", "a &unknown; &#0; b & c &lt", "a &unknown; &#0; b & c &lt" },
	{ true, TRANSFER_IDENTITY, "", "a&zwnj;&#8203;b", "ab" },
};

static void test_previews(void **state)
{
	struct preview preview;

	(void)state;
	preview_init(&preview);
	for (size_t i = 0; i < ARRAY_LEN(preview_cases); i++)
		for (size_t piece = 1; piece < 300; piece += 13) {
			preview_reset(&preview);
			preview_begin(&preview, preview_cases[i].html, preview_cases[i].encoding,
			        span_of(preview_cases[i].charset));
			for (struct span in = span_of(preview_cases[i].input); in.len > 0; in = span_skip(in, piece))
				preview_feed(&preview, span_first(in, piece));
			preview_end(&preview);
			assert_false(preview.failed);
			assert_string_equal(buffer_text(&preview.text), preview_cases[i].want);
		}
	preview_free(&preview);
}

static void test_preview_length(void **state)
{
	struct preview preview;

	(void)state;
	preview_init(&preview);
	preview_begin(&preview, false, TRANSFER_IDENTITY, SPAN("utf-8"));
	for (size_t i = 0; i < 300; i++)
		if (!preview_feed(&preview, SPAN("\xc3\xbc")))
			break;
	preview_end(&preview);
	assert_int_equal(preview.text.len, 2 * PREVIEW_CHARS);
	preview_reset(&preview);
	preview_begin(&preview, true, TRANSFER_IDENTITY, SPAN(""));
	assert_true(preview_feed(&preview, SPAN("<p>")));
	for (size_t i = 0; preview_feed(&preview, SPAN("                ")); i++)
		assert_true(i < PREVIEW_SOURCE_MAX);
	assert_int_equal(preview.text.len, 0);
	preview_free(&preview);
}

static const struct {
	struct span input;
	const char *want;
} imap_cases[] = {
	{ BYTES("a"), "\"a\"" },
	{ BYTES(""), "\"\"" },
	{ BYTES("a\"b\\c"), "\"a\\\"b\\\\c\"" },
	{ BYTES("\x01\x7f"), "\"\x01\x7f\"" },
	{ BYTES("a\r\nb"), "{4}\r\na\r\nb" },
	{ BYTES("\xc3\xbc"), "{2}\r\n\xc3\xbc" },
	{ BYTES("a\0b"), "{5}\r\na\xef\xbf\xbd"
	                 "b" },
};

static void test_imap_strings(void **state)
{
	struct buffer text;

	(void)state;
	buffer_init(&text, KIB);
	for (size_t i = 0; i < ARRAY_LEN(imap_cases); i++) {
		buffer_clear(&text);
		assert_true(imap_put_nstring(&text, imap_cases[i].input));
		assert_string_equal(buffer_text(&text), imap_cases[i].want);
	}
	buffer_clear(&text);
	assert_true(imap_put_nstring(&text, SPAN_EMPTY));
	assert_string_equal(buffer_text(&text), "NIL");
	buffer_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_transfer_names),
		cmocka_unit_test(test_charsets),
		cmocka_unit_test(test_charset_table),
		cmocka_unit_test(test_previews),
		cmocka_unit_test(test_preview_length),
		cmocka_unit_test(test_imap_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
