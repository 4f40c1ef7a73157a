/* Addresses, dates, header blocks, parameters, encoded words, subjects and message ids: input and what is read. */
#include "message/address.h"
#include "message/date.h"
#include "message/encoded_word.h"
#include "message/header.h"
#include "message/message_id.h"
#include "message/params.h"
#include "message/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* One address as name|route|mailbox|host, "-" for absent; "!" in front when not well formed; groups as "{name" and "}". */
static void describe(const struct address *address, struct buffer *out)
{
	const struct span fields[] = { address->name, address->route, address->mailbox, address->host };

	if (address->kind == ADDRESS_GROUP_START) {
		buffer_printf(out, "{%.*s ", SPAN_FMT(address->name));
		return;
	}
	if (address->kind == ADDRESS_GROUP_END) {
		buffer_append_text(out, "} ");
		return;
	}
	if (!address->well_formed)
		buffer_append_char(out, '!');
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (fields[i].ptr == NULL)
			buffer_append_char(out, '-');
		buffer_printf(out, "%.*s%c", SPAN_FMT(fields[i]), i == 3 ? ' ' : '|');
	}
}

static const struct {
	const char *input, *want;
} address_cases[] = {
	{ "", "" },
	{ "a@example.com", "-|-|a|example.com " },
	{ "Ann <a@example.com>", "Ann|-|a|example.com " },
	{ "\"B, C\" <b@x>,d@y", "B, C|-|b|x -|-|d|y " },
	{ "Joe Q. Public <j@x>", "Joe Q. Public|-|j|x " }, /* RFC 5322 §4.1 obs-phrase */
	{ "a@x (Ann)", "Ann|-|a|x " },
	{ "(c) a@x", "-|-|a|x " },
	{ "<@a,@b:c@d>", "-|@a,@b|c|d " },   /* §4.4 obs-route */
	{ "a . b @ c . d", "-|-|a.b|c.d " }, /* §4.4 obs-local-part, obs-domain */
	{ "x@[192.0.2.1]", "-|-|x|[192.0.2.1] " },
	{ "\"a b\"@x", "-|-|a b|x " },
	{ "\"\"@x", "-|-||x " },
	{ "G: a@x, B <b@y>;, c@z", "{G -|-|a|x B|-|b|y } -|-|c|z " },
	{ "G:;", "{G } " },
	{ "G: a@x", "{G -|-|a|x } " },                                       /* never closed */
	{ ",, a@x,,", "-|-|a|x " },                                          /* §4.4 obs-addr-list */
	{ "j\xc3\xb6@\xc3\xbc.example", "-|-|j\xc3\xb6|\xc3\xbc.example " }, /* RFC 6532 §3.2 */
	{ "=?utf-8?q?a=2C?= <a@x>", "=?utf-8?q?a=2C?=|-|a|x " },
	{ "=?utf-8?q?a,_:b?= <a@x>", "=?utf-8?q?a,_:b?=|-|a|x " }, /* specials inside, against RFC 2047 §5 */
	{ "=?a,b <a@x>", "!-|-|=?a|- b|-|a|x " },
	{ "A <a@x> B <b@y>", "A|-|a|x !B|-|b|y " }, /* a comma is missing */
	{ "a@x b@y", "-|-|a|x !-|-|b|y " },
	{ "a@x <b@y>", "!a@x|-|b|y " },
	{ "A <a@x> rest", "A|-|a|x " },
	{ "A <>", "!A|-|-|- " },
	{ "A <a>", "!A|-|a|- " },
	{ "A <a@x", "!A|-|a|x " },
	{ "A <a@x, b@y", "!A|-|a|x -|-|b|y " },
	{ "no address here", "!no address here|-|-|- " },
	{ "word", "!-|-|word|- " },
	{ "A B c@x", "!A B|-|c|x " },
	{ "@x", "!-|-|-|x " },
	{ "a@", "!-|-|a|- " },
	{ "a@@x", "!-|-|a|x " },
	{ "a..b@x", "!-|-|a..b|x " },
	{ ".a@x", "!-|-|a|x " },
	{ "\"open <a@x>", "!\"open|-|a|x " },
	{ "(open <a@x>", "!(open|-|a|x " },
	{ "a@[open, b@y", "!-|-|a|open -|-|b|y " },
	{ "a@x\r\n (n\r\n m)", "n m|-|a|x " },
};

static void test_addresses(void **state)
{
	struct address_list list;
	struct buffer text;

	(void)state;
	address_list_init(&list);
	buffer_init(&text, MIB);
	for (size_t i = 0; i < ARRAY_LEN(address_cases); i++) {
		buffer_clear(&text);
		assert_true(address_list_parse(&list, span_of(address_cases[i].input)));
		for (size_t j = 0; j < list.count; j++)
			describe(&list.items[j], &text);
		assert_string_equal(buffer_text(&text), address_cases[i].want);
	}
	buffer_free(&text);
	address_list_free(&list);
}

static void test_address_count(void **state)
{
	struct address_list list;
	struct buffer text;

	(void)state;
	address_list_init(&list);
	buffer_init(&text, MIB);
	for (size_t i = 0; i < ADDRESS_COUNT_MAX; i++)
		buffer_append_text(&text, "a@b,");
	assert_true(address_list_parse(&list, buffer_span(&text)));
	assert_int_equal(list.count, ADDRESS_COUNT_MAX);
	assert_false(list.truncated);
	buffer_append_text(&text, "a@b");
	assert_true(address_list_parse(&list, buffer_span(&text)));
	assert_int_equal(list.count, ADDRESS_COUNT_MAX);
	assert_true(list.truncated);
	buffer_free(&text);
	address_list_free(&list);
}

static const struct {
	const char *name, *mailbox, *host, *want;
} write_cases[] = {
	{ "", "a", "x.example", "a@x.example" },
	{ "Ann", "a", "x", "Ann <a@x>" },
	{ "Ann Archer", "a", "x", "Ann Archer <a@x>" },
	{ "B, C", "a.b", "x", "\"B, C\" <a.b@x>" },
	{ "J. Q", "a", "x", "\"J. Q\" <a@x>" },
	{ "say \"x\"\\", "a", "x", "\"say \\\"x\\\"\\\\\" <a@x>" },
	{ "", "a b", "x", "\"a b\"@x" },
	{ "", "a..b", "x", "\"a..b\"@x" },
	{ "", ".a", "x", "\".a\"@x" },
	{ "", "", "x", "\"\"@x" },
	{ "", "=?a", "x", "\"=?a\"@x" },                             /* no reader may take it for an encoded word */
	{ "a\r\nBcc: b@y", "a", "x\r\n y", "\"aBcc: b@y\" <a@xy>" }, /* always one line */
	{ "J\xc3\xb6rg", "j", "x", "J\xc3\xb6rg <j@x>" },
};

static void test_address_write(void **state)
{
	struct buffer text;

	(void)state;
	buffer_init(&text, KIB);
	for (size_t i = 0; i < ARRAY_LEN(write_cases); i++) {
		struct address address = { .kind = ADDRESS_MAILBOX,
			.name = span_of(write_cases[i].name),
			.mailbox = span_of(write_cases[i].mailbox),
			.host = span_of(write_cases[i].host) };

		buffer_clear(&text);
		assert_true(address_write(&text, &address));
		assert_string_equal(buffer_text(&text), write_cases[i].want);
	}
	buffer_free(&text);
}

#define NO_DATE INT64_MIN

static const struct {
	const char *input;
	int64_t seconds;
	int zone;
} date_cases[] = {
	{ "Sat, 21 Nov 2026 10:41:08 +0000", 1795257668, 0 },
	{ "Sat, 21 Nov 2026 10:41:08 +0530", 1795237868, 330 },
	{ "21 Nov 2026 10:41 -0800", 1795286460, -480 },
	{ "21 Nov 26 10:41:08 GMT", 1795257668, 0 },
	{ "Sunday, 06-Nov-94 08:49:37 GMT", 784111777, 0 },
	{ "Sun Nov  6 08:49:37 1994", 784111777, 0 },
	{ "Thu (day),\r\n 13 (d)\r\n Feb (m) 69 23 : 32 (time) -0330 (Newfoundland)", -27723480, -210 },
	{ "1 Jan 70 00:00 UT", 0, 0 },
	{ "1 Jan 1970 00:00:00 EST", 18000, -300 },
	{ "1 Jan 1970 00:00:00 Q", 0, 0 }, /* RFC 5322 §4.3: military zones are unknown */
	{ "1 Jan 1970 00:00:00", 0, 0 },
	{ "1 Jan 100 00:00:00 +0000", 946684800, 0 }, /* three digits: 1900 and later, so 2000 */
	{ "29 Feb 2024 12:00:00 +0000", 1709208000, 0 },
	{ "31 Dec 2016 23:59:60 +0000", 1483228800, 0 }, /* a leap second */
	{ "29 Feb 2023 12:00:00 +0000", NO_DATE, 0 },
	{ "32 Jan 2020 00:00:00 +0000", NO_DATE, 0 },
	{ "1 Jan 2020 24:00:00 +0000", NO_DATE, 0 },
	{ "1 Jan 2020 10:60:00 +0000", NO_DATE, 0 },
	{ "1 Foo 2020 10:00:00 +0000", NO_DATE, 0 },
	{ "1 Jan 99999 10:00:00 +0000", NO_DATE, 0 },
	{ "1 Jan 2020", NO_DATE, 0 },
	{ "", NO_DATE, 0 },
	{ "((((((((((", NO_DATE, 0 },
};

static void test_dates(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(date_cases); i++) {
		struct message_date date;
		bool valid = date_parse(span_of(date_cases[i].input), &date);

		assert_int_equal(valid, date_cases[i].seconds != NO_DATE);
		if (!valid)
			continue;
		assert_true(date.unix_seconds == date_cases[i].seconds);
		assert_int_equal(date.zone_minutes, date_cases[i].zone);
	}
}

static const struct {
	int64_t seconds;
	const char *want;
} format_cases[] = {
	{ 0, "Thu, 01 Jan 1970 00:00:00 +0000" },
	{ 1795257668, "Sat, 21 Nov 2026 10:41:08 +0000" },
	{ -1, "Wed, 31 Dec 1969 23:59:59 +0000" },
	{ 951782400, "Tue, 29 Feb 2000 00:00:00 +0000" },
	{ 253402300799, "Fri, 31 Dec 9999 23:59:59 +0000" },
};

static void test_date_format(void **state)
{
	struct buffer text;

	(void)state;
	buffer_init(&text, 100);
	for (size_t i = 0; i < ARRAY_LEN(format_cases); i++) {
		buffer_clear(&text);
		assert_true(date_format(format_cases[i].seconds, &text));
		assert_string_equal(buffer_text(&text), format_cases[i].want);
	}
	buffer_free(&text);
}

static const struct {
	const char *block, *want; /* "name=unfolded value;" for each field */
} header_cases[] = {
	{ "", "" },
	{ "A: b\r\nC:d\r\n\r\nE: f\r\n", "A=b;C=d;" },
	{ "A: b\nC: d\n\nE: f", "A=b;C=d;" },
	{ "A : b\r\nB\t: c\r\n", "A=b;B=c;" }, /* RFC 5322 §4.5.8 */
	{ "A: b\r\n c\r\n\td\r\nE:\r\n f\r\n", "A=b c\td;E= f;" },
	{ " fold\r\nA: b\r\nno colon\r\n: none\r\nX Y: z\r\nC: d", "A=b;C=d;" },
	{ "A: b\r\n \r\n \r\nC: d", "A=b;C=d;" },
	{ "A: b\rc\r\n", "A=b c;" },
	{ "A:", "A=;" },
	{ "A: b\r\r\nC: d", "A=b;C=d;" },
};

static void test_headers(void **state)
{
	struct buffer text;
	struct header_reader reader;
	struct header_field field;

	(void)state;
	buffer_init(&text, KIB);
	for (size_t i = 0; i < ARRAY_LEN(header_cases); i++) {
		buffer_clear(&text);
		header_reader_init(&reader, span_of(header_cases[i].block));
		while (header_next(&reader, &field)) {
			buffer_printf(&text, "%.*s=", SPAN_FMT(field.name));
			assert_true(header_unfold(field.value, &text));
			buffer_append_char(&text, ';');
		}
		assert_string_equal(buffer_text(&text), header_cases[i].want);
	}
	buffer_free(&text);
}

static void test_header_find_and_length(void **state)
{
	struct span block = SPAN("A: 1\r\nB: 2\r\nb: 3\r\n\r\nbody");
	struct header_field field;
	size_t len;

	(void)state;
	assert_true(header_find(block, SPAN("b"), &field));
	assert_true(span_equal(field.value, SPAN(" 2")));
	assert_int_equal(field.at, 6);
	assert_int_equal(field.len, 6);
	assert_false(header_find(block, SPAN("c"), &field));
	assert_true(header_length(block, &len));
	assert_int_equal(len, 20);
	assert_true(header_length(SPAN("\nbody"), &len));
	assert_int_equal(len, 1);
	assert_false(header_length(SPAN("A: 1\r\n"), &len));
}

static const struct {
	const char *value, *want; /* type/subtype;name=value;... */
} param_cases[] = {
	{ "text/plain", "text/plain;" },
	{ "Text/HTML; Charset=utf-8", "Text/HTML;Charset=utf-8;" },
	{ "text/plain; charset=us-ascii (Plain text)", "text/plain;charset=us-ascii;" },
	{ "text/plain; charset = \"us-ascii\" ; format=flowed", "text/plain;charset=us-ascii;format=flowed;" },
	{ "a/b; n=\"q\\\"q\\\\\"", "a/b;n=q\"q\\;" },
	{ "a/b; n=\"x\r\n y\"", "a/b;n=x y;" },
	{ "a/b; n=a b (c).bin; m=x/y", "a/b;n=a b (c).bin;m=x/y;" },
	{ "a/b; n=\"x\" m=y", "a/b;n=x;m=y;" },
	{ "a/b; n=x m=y", "a/b;n=x;m=y;" },
	{ "a/b n=x", "a/b;n=x;" },
	{ "a/b; =x; n; n=; m=y", "a/b;m=y;" },
	{ "a/b; n=\"open; m=y", "a/b;n=open;m=y;" },
	{ "a/b; n*0=x; n*1=y", "a/b;n=xy;" },
	{ "a/b; n*1=y; m=z; n*0=x", "a/b;n=xy;m=z;" },
	{ "a/b; n*0*=utf-8''%C3; n*1*=%BC; n*2=\"5%\"", "a/b;n*=utf-8''%C3%BC5%25;" },
	{ "a/b; n*1=y", "a/b;n*1=y;" },
	{ "a/b; n*0=x; n*2=z", "a/b;n=x;n*2=z;" },
	{ "a/b; n*0=x; n*0=y", "a/b;n*0=x;n*0=y;" },
	{ "a/b; n*00=x", "a/b;n*00=x;" },
	{ "text", "/;" },
	{ "text/", "/;" },
	{ "text/plain>", "/;" },
	{ "", "/;" },
};

static void test_params(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(param_cases); i++) {
		struct mime_params params;
		struct span type, subtype;
		struct arena arena;
		struct buffer text;

		arena_init(&arena, MIB);
		buffer_init(&text, KIB);
		assert_true(params_parse_content_type(&arena, span_of(param_cases[i].value), &type, &subtype, &params));
		buffer_printf(&text, "%.*s/%.*s;", SPAN_FMT(type), SPAN_FMT(subtype));
		for (size_t j = 0; j < params.count; j++)
			buffer_printf(
			        &text, "%.*s=%.*s;", SPAN_FMT(params.items[j].name), SPAN_FMT(params.items[j].value));
		assert_string_equal(buffer_text(&text), param_cases[i].want);
		buffer_free(&text);
		arena_free(&arena);
	}
}

static const struct {
	const char *value, *want;
} filename_cases[] = {
	{ "attachment; filename=x.txt", "x.txt" },
	{ "attachment; filename=\"=?utf-8?q?=C3=BC?=.txt\"", "\xc3\xbc.txt" },
	{ "attachment; filename=plain; filename*=iso-8859-1'en'%A3", "\xc2\xa3" }, /* RFC 2231 wins */
	{ "attachment; filename*=%41", "A" },
	{ "attachment; filename*=x-none''%FF%41", "\xef\xbf\xbd"
	                                          "A" },
	{ "; filename=x", "x" },
	{ "attachment", "" },
};

static void test_params_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(filename_cases); i++) {
		struct mime_params params;
		struct span disposition;
		struct arena arena;
		struct buffer text;

		arena_init(&arena, MIB);
		buffer_init(&text, KIB);
		assert_true(params_parse_disposition(&arena, span_of(filename_cases[i].value), &disposition, &params));
		assert_true(params_decode(&params, SPAN("filename"), &text));
		assert_string_equal(buffer_text(&text), filename_cases[i].want);
		buffer_free(&text);
		arena_free(&arena);
	}
}

static void test_params_limit(void **state)
{
	struct mime_params params;
	struct span type, subtype;
	struct arena arena;
	struct buffer text;

	(void)state;
	arena_init(&arena, 16 * MIB);
	buffer_init(&text, MIB);
	buffer_append_text(&text, "a/b");
	for (size_t i = 0; i < PARAMS_MAX + 10; i++)
		buffer_printf(&text, "; n%zu=x", i);
	assert_true(params_parse_content_type(&arena, buffer_span(&text), &type, &subtype, &params));
	assert_int_equal(params.count, PARAMS_MAX);
	buffer_free(&text);
	arena_free(&arena);
}

static const struct {
	const char *value, *want;
} word_cases[] = {
	{ "plain", "plain" },
	{ " J\xc3\xb6rg \xff", "J\xc3\xb6rg \xef\xbf\xbd" },
	{ "=?utf-8?q?J=C3=B6rg_x?=", "J\xc3\xb6rg x" },
	{ "=?UTF-8?B?SsO2cmc=?=", "J\xc3\xb6rg" },
	{ "=?utf-8?q?a?= =?utf-8?q?b?=", "ab" }, /* RFC 2047 §6.2 */
	{ "=?utf-8?q?a?=\r\n =?utf-8?q?b?= c", "ab c" },
	{ "=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "\xc3\xbc" }, /* one character in two words */
	{ "=?iso-8859-1?q?=FC?= =?iso-8859-2?q?=F5?=", "\xc3\xbc\xc5\x91" },
	{ "=?iso-2022-jp?b?GyRCJCIbKEI=?=", "\xe3\x81\x82" },
	{ "=?utf-8*en?q?x?=", "x" }, /* RFC 2231 §5 */
	{ "=?utf-8?x?a?= =?utf-8?q?open", "=?utf-8?x?a?= =?utf-8?q?open" },
	{ "=?utf-8?q?a=0D=0AB:c?=", "a  B:c" }, /* one line */
	{ "=??q?x?=", "=??q?x?=" },
	{ "a =?utf-8?q?b?= c", "a b c" },
};

static void test_encoded_words(void **state)
{
	struct buffer text;

	(void)state;
	buffer_init(&text, KIB);
	for (size_t i = 0; i < ARRAY_LEN(word_cases); i++) {
		buffer_clear(&text);
		assert_true(encoded_word_decode(span_of(word_cases[i].value), &text));
		assert_string_equal(buffer_text(&text), word_cases[i].want);
	}
	buffer_free(&text);
}

static const struct {
	const char *subject, *want;
	bool reply;
} subject_cases[] = {
	{ "Hello", "Hello", false },
	{ "  Hello \t world  ", "Hello world", false },
	{ "Re: Hello", "Hello", true },
	{ "RE: Fwd: fw: Hello", "Hello", true },
	{ "Re[2]: Hello", "Hello", true },
	{ "Re [x] : Hello", "Hello", true },
	{ "[list] Re: [list] Hello", "Hello", true },
	{ "[list] Hello", "Hello", false },
	{ "[list]", "[list]", false },
	{ "[a] [b]", "[b]", false },
	{ "Hello (fwd) (FWD)", "Hello", true },
	{ "[fwd: Hello]", "Hello", true },
	{ "[Fwd: Re: [fwd: [l] Hello (fwd)]]", "Hello", true },
	{ "=?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=",
	        "Gr\xc3\xbc\xc3\x9f"
	        "e",
	        true },
	{ "Reply: x", "Reply: x", false },
	{ "Re:", "", true },
	{ "", "", false },
};

static void test_subjects(void **state)
{
	struct buffer text;
	bool reply;

	(void)state;
	buffer_init(&text, KIB);
	for (size_t i = 0; i < ARRAY_LEN(subject_cases); i++) {
		buffer_clear(&text);
		assert_true(subject_base(span_of(subject_cases[i].subject), &text, &reply));
		assert_string_equal(buffer_text(&text), subject_cases[i].want);
		assert_int_equal(reply, subject_cases[i].reply);
	}
	buffer_free(&text);
}

static const struct {
	const char *value, *want; /* ids, each with a blank */
} id_cases[] = {
	{ "<a@b>", "a@b " },
	{ "<a@b><c@d>,<e@f> garbage <g@h <\"q d\"@x>", "a@b c@d e@f qd@x " },
	{ "Your message of Monday <x@y>", "x@y " },
	{ "< a @ b (comment) >", "a@b " },
	{ "<>", "" },
	{ "<open", "" },
	{ "none", "" },
};

static void test_message_ids(void **state)
{
	struct buffer text;

	(void)state;
	buffer_init(&text, KIB);
	for (size_t i = 0; i < ARRAY_LEN(id_cases); i++) {
		struct span rest = span_of(id_cases[i].value);

		buffer_clear(&text);
		while (message_id_take(&rest, &text))
			buffer_append_char(&text, ' ');
		assert_string_equal(buffer_text(&text), id_cases[i].want);
	}
	buffer_clear(&text);
	assert_true(message_id_of(SPAN(" bare@id \r\n"), &text));
	assert_string_equal(buffer_text(&text), "bare@id");
	assert_false(message_id_of(SPAN("two words"), &text));
	buffer_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_address_count),
		cmocka_unit_test(test_address_write),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_date_format),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_header_find_and_length),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_params_decode),
		cmocka_unit_test(test_params_limit),
		cmocka_unit_test(test_encoded_words),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_message_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
