/* RFC 3501 §5.1.3: mailbox names in modified UTF-7, and in UTF-8 (RFC 6855 §3). */
#include "parse_show.h"

#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Names whose one form on the wire is this, both ways. */
static const struct name_row {
	const char *name, *utf7, *utf8;
} names[] = {
	{ "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
	        "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
	        "\"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\"" }, /* RFC 3501 §5.1.3 */
	{ "\xe2\x98\xba!", "&Jjo-!", "\"\xe2\x98\xba!\"" },
	{ "INBOX", "INBOX", "INBOX" },
	{ "Tom & Jerry", "\"Tom &- Jerry\"", "\"Tom & Jerry\"" },
	{ "&", "&-", "&" },
	{ "&&", "&-&-", "&&" },
	{ "\xc3\x9cmlaut & Co", "\"&ANw-mlaut &- Co\"", "\"\xc3\x9cmlaut & Co\"" }, /* Thunderbird */
	{ "\xc3\xa4\xc3\xb6", "&AOQA9g-", "\"\xc3\xa4\xc3\xb6\"" },
	{ "\xc3\xa4\xc3\xb6\xc3\xbc", "&AOQA9gD8-", "\"\xc3\xa4\xc3\xb6\xc3\xbc\"" },
	{ "\xf0\x9f\x98\x80", "&2D3eAA-", "\"\xf0\x9f\x98\x80\"" }, /* a surrogate pair */
	{ "a\xf0\x9f\x98\x80\xc3\xa4-b", "a&2D3eAADk--b", "\"a\xf0\x9f\x98\x80\xc3\xa4-b\"" },
	{ "\xef\xbf\xbf\xf4\x8f\xbf\xbf", "&,,,b,9,,-", "\"\xef\xbf\xbf\xf4\x8f\xbf\xbf\"" },
	{ "\t\x7f", "&AAkAfw-", "\"\t\x7f\"" },
	{ "a\r\nb", "a&AA0ACg-b", "{4}\r\na\r\nb" },
	{ "", "\"\"", "\"\"" },
	{ "nil", "\"nil\"", "\"nil\"" },
	{ "a\"b\\c", "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\"" },
	{ "100% *", "\"100% *\"", "\"100% *\"" },
	{ "a(b){c}[d]", "\"a(b){c}[d]\"", "\"a(b){c}[d]\"" },
	{ "Archive/2026", "Archive/2026", "Archive/2026" },
};

static void check_encoded(const char *name, bool utf8, const char *want)
{
	struct buffer out;

	buffer_init(&out, 1 * KIB);
	assert_true(mailbox_name_encode(&out, utf8, span_of(name)));
	assert_string_equal(buffer_text(&out), want);
	buffer_free(&out);
}

static void check_parsed(const char *wire, bool utf8, const char *want)
{
	struct error err = { 0 };
	struct arena arena;
	struct parser p = { .in = span_of(wire), .arena = &arena, .err = &err, .utf8 = utf8 };
	struct span name;

	arena_init(&arena, 4 * KIB);
	assert_true(parse_mailbox(&p, &name));
	if (p.in.len > 0 || !span_equal(name, span_of(want)))
		fail_msg("%s gave %.*s, want %s", wire, SPAN_FMT(name), want);
	arena_free(&arena);
}

static void test_both_ways(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		check_encoded(names[i].name, false, names[i].utf7);
		check_encoded(names[i].name, true, names[i].utf8);
		check_parsed(names[i].utf7, false, names[i].name);
		check_parsed(names[i].utf8, true, names[i].name);
	}
}

/* What is no modified UTF-7 is the UTF-8 that stands there; "&..-&..-" is superfluous, but clear. */
static const struct decode_row {
	const char *wire, *name; /* name NULL: refused */
} decodes[] = {
	{ "&AOQ-&APY-", "\xc3\xa4\xc3\xb6" },
	{ "&AOQ", "&AOQ" },         /* no end */
	{ "&AO-", "&AO-" },         /* half a unit */
	{ "&AOR-", "&AOR-" },       /* bits that are not 0 */
	{ "&AOQA-", "&AOQA-" },     /* more than a unit */
	{ "&AEE-", "&AEE-" },       /* "A" has a form of its own */
	{ "&ACY-", "&ACY-" },       /* so has "&" */
	{ "&AAA-", "&AAA-" },       /* NUL */
	{ "&2D0-", "&2D0-" },       /* half a pair */
	{ "&2D0AQQ-", "&2D0AQQ-" }, /* half a pair and another character */
	{ "&3gA-", "&3gA-" },       /* the other half */
	{ "&3gDYPQ-", "&3gDYPQ-" }, /* both, swapped */
	{ "&AO/E-", "&AO/E-" },     /* "/" is not of this base64 */
	{ "&AO Q-", "&AO Q-" },
	{ "a & b", "a & b" },
	{ "\xc3\xa4 &AOQ-", "\xc3\xa4 &AOQ-" }, /* 8 bit: it must be UTF-8, all of it */
	{ "iNbOx", "INBOX" },
	{ "INBOX/a", "INBOX/a" },
	{ "\xff", NULL },
	{ "&AOQ-\xff", NULL },
	{ "\xed\xa0\x80", NULL },
};

static void test_decode(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(decodes); i++) {
		const struct decode_row *row = &decodes[i];
		struct arena arena;
		struct span name;

		arena_init(&arena, 4 * KIB);
		if (mailbox_name_decode(&arena, false, span_of(row->wire), &name) != (row->name != NULL))
			fail_msg("%s", row->wire);
		if (row->name != NULL && !span_equal(name, span_of(row->name)))
			fail_msg("%s gave %.*s", row->wire, SPAN_FMT(name));
		arena_free(&arena);
	}
}

static void test_no_room(void **state)
{
	struct arena arena;
	struct buffer out;
	struct span name;

	arena_init(&arena, 1);
	assert_false(mailbox_name_decode(&arena, false, SPAN("&AOQ-"), &name));
	assert_true(arena.failed);
	arena_free(&arena);
	for (size_t limit = 0; limit < sizeof("\"&AOQ- b\"") - 1; limit++) {
		buffer_init(&out, limit);
		assert_false(mailbox_name_encode(&out, false, SPAN("\xc3\xa4 b")));
		buffer_free(&out);
		buffer_init(&out, limit);
		assert_false(mailbox_name_encode(&out, true, SPAN("\xc3\xa4\r12345")));
		buffer_free(&out);
	}
}

/* The store has no such names; but if it had, LIST would go on. */
static void test_invalid_name_is_still_told(void **state)
{
	check_encoded("a\xff", false, "a&,,0-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_invalid_name_is_still_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
