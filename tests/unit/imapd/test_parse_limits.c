/* Limits of the parser: each holds at its value and refuses one more; and what NUL and cut input do. */
#include "parse_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* before, then `piece` count times with `between`, then after */
static const struct limit_row {
	const char *before, *piece, *between, *after;
	size_t allowed;
} limits[] = {
	{ "", "x", "", " NOOP", PARSE_TAG_MAX },
	{ "a SEARCH ", "SEEN", " ", "", PARSE_ITEMS_MAX - 1 },        /* and the key around all */
	{ "a SEARCH ", "OR ALL ", "", "ALL", (PARSE_ITEMS_MAX - 3) }, /* one OR with all of them */
	{ "a ENABLE ", "x", " ", "", PARSE_ITEMS_MAX },
	{ "a FETCH 1 BODY[", "1", ".", "]", PARSE_SECTION_DEPTH },
	{ "a FETCH 1 BODY[HEADER.FIELDS (", "x", " ", ")]", PARSE_ITEMS_MAX },
	{ "a ID (", "\"a\" \"b\"", " ", ")", 30 }, /* RFC 2971 §3.3 */
	{ "a LIST \"\" (", "x", " ", ")", PARSE_ITEMS_MAX },
	{ "a CREATE x (USE (", "\\X", " ", "))", PARSE_ITEMS_MAX },
};

static bool parses(struct span command, char *text, size_t text_size)
{
	struct arena arena;
	struct buffer out;
	bool parsed;

	arena_init(&arena, PARSE_ARENA_MAX);
	buffer_init(&out, SHOW_MAX);
	parsed = parse_show_command(command, false, &arena, &out);
	(void)span_copy(span_first(buffer_span(&out), text_size - 1), text, text_size);
	buffer_free(&out);
	arena_free(&arena);
	return parsed;
}

static bool repeated_parses(const struct limit_row *row, size_t count, char *text, size_t text_size)
{
	struct buffer command;
	bool parsed;

	buffer_init(&command, 1 * MIB);
	buffer_append_text(&command, row->before);
	for (size_t i = 0; i < count; i++) {
		buffer_append_text(&command, i > 0 ? row->between : "");
		buffer_append_text(&command, row->piece);
	}
	assert_true(buffer_append_text(&command, row->after));
	parsed = parses(buffer_span(&command), text, text_size);
	buffer_free(&command);
	return parsed;
}

static void test_limits(void **state)
{
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		if (!repeated_parses(&limits[i], limits[i].allowed, text, sizeof(text)))
			fail_msg("%s: %s", limits[i].before, text);
		if (repeated_parses(&limits[i], limits[i].allowed + 1, text, sizeof(text)) ||
		        strncmp(text, "TOO_LONG ", 9) != 0)
			fail_msg("%s: one more gave %s", limits[i].before, text);
	}
}

/* Items that are all different, up to the limit and one more. */
static void check_different(const char *before, const char *piece_before, const char *piece_after, const char *after)
{
	for (unsigned count = PARSE_ITEMS_MAX; count <= PARSE_ITEMS_MAX + 1; count++) {
		struct buffer command;
		char text[200];
		bool parsed;

		buffer_init(&command, 1 * MIB);
		buffer_append_text(&command, before);
		for (unsigned i = 1; i <= count; i++)
			buffer_printf(&command, "%s%s%u%s", i > 1 ? " " : "", piece_before, i, piece_after);
		assert_true(buffer_append_text(&command, after));
		parsed = parses(buffer_span(&command), text, sizeof(text));
		if (parsed != (count == PARSE_ITEMS_MAX) || (!parsed && strncmp(text, "TOO_LONG ", 9) != 0))
			fail_msg("%s with %u: %s", before, count, text);
		buffer_free(&command);
	}
}

static void test_different_items(void **state)
{
	check_different("a FETCH 1 (", "BODY[", "]", ")");
	check_different("a STORE 1 FLAGS (", "k", "", ")");
	check_different("a STORE 1 FLAGS ", "k", "", "");
}

static const struct depth_row {
	const char *open, *close;
	unsigned levels; /* that each counts */
} depths[] = { { "(", ")", 1 }, { "NOT (", ")", 2 }, { "OR ALL NOT ", "", 2 }, { "OR ALL (", ")", 2 } };

static bool nested_parses(const struct depth_row *row, unsigned count, char *text, size_t text_size)
{
	struct buffer command;
	bool parsed;

	buffer_init(&command, 1 * MIB);
	buffer_append_text(&command, "a SEARCH ");
	for (unsigned i = 0; i < count; i++)
		buffer_append_text(&command, row->open);
	buffer_append_text(&command, "SEEN");
	for (unsigned i = 0; i < count; i++)
		assert_true(buffer_append_text(&command, row->close));
	parsed = parses(buffer_span(&command), text, text_size);
	buffer_free(&command);
	return parsed;
}

static void test_depth(void **state)
{
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
		unsigned allowed = PARSE_DEPTH_MAX / depths[i].levels;

		if (!nested_parses(&depths[i], allowed, text, sizeof(text)))
			fail_msg("%s: %s", depths[i].open, text);
		for (unsigned count = allowed + 1; count < 20000; count *= 12) {
			if (nested_parses(&depths[i], count, text, sizeof(text)) || strncmp(text, "TOO_LONG ", 9) != 0)
				fail_msg("%s %u times: %s", depths[i].open, count, text);
		}
	}
}

/* 200 KiB of sets, as much as a command can hold; and more than the arena does. */
static void test_many_ranges(void **state)
{
	static const struct limit_row row = { "a FETCH 1", ",1", "", " UID", 100000 };
	char text[200];

	assert_true(repeated_parses(&row, row.allowed, text, sizeof(text)));
	assert_false(repeated_parses(&row, PARSE_ARENA_MAX / sizeof(struct number_range) + 1, text, sizeof(text)));
	assert_int_equal(strncmp(text, "TOO_LONG ", 9), 0);
}

static const char *const good[] = {
	"a LOGIN \"j\\\"oe\" {3}\r\nabc",
	"a AUTHENTICATE PLAIN dGVzdA==",
	"a ID (\"a\" \"b\" \"c\" NIL)",
	"a SELECT \"&AOQ-\" (CONDSTORE QRESYNC (1 2 1:3 (1 1)))",
	"a CREATE x (USE (\\Junk))",
	"a LIST (SUBSCRIBED) \"\" (\"*\" &AOQ-%) RETURN (SPECIAL-USE STATUS (MESSAGES))",
	"a STATUS x (MESSAGES UNSEEN)",
	"a APPEND x (\\Seen $a) \" 7-Feb-1994 21:52:25 -0800\" UTF8 (~{5+}",
	"a UID FETCH 1:* (FLAGS BODY.PEEK[1.HEADER.FIELDS (From {2}\r\nTo)]<0.5>) (CHANGEDSINCE 1 VANISHED)",
	"a STORE 2:4,* (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Seen $a $b)",
	"a SEARCH RETURN (MIN) CHARSET ISO-8859-1 OR FROM \"\xe4\" NOT (SINCE 1-Feb-1994 HEADER a {1}\r\nb) 1:4 UID $",
	"a SORT (REVERSE DATE) KOI8-R BODY {1}\r\n\xc1",
	"a THREAD REFERENCES UTF-8 MODSEQ \"/flags/a\" all 5",
};

/* In memory of exactly its size, so that reading beyond it is found. */
static bool parses_exactly(struct span command, size_t arena_limit)
{
	char *copy = malloc(command.len + 1);
	struct arena arena;
	struct buffer out;
	bool parsed;

	assert_non_null(copy);
	memmove(copy + 1, command.ptr, command.len);
	arena_init(&arena, arena_limit);
	buffer_init(&out, SHOW_MAX);
	parsed = parse_show_command(span_make(copy + 1, command.len), false, &arena, &out);
	buffer_free(&out);
	arena_free(&arena);
	free(copy);
	return parsed;
}

static void test_nul_is_nowhere(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		size_t len = strlen(good[i]);

		assert_true(parses_exactly(span_of(good[i]), PARSE_ARENA_MAX));
		for (size_t at = 0; at < len; at++) {
			char text[256];

			assert_true(span_copy(span_of(good[i]), text, sizeof(text)));
			text[at] = '\0';
			if (parses_exactly(span_make(text, len), PARSE_ARENA_MAX))
				fail_msg("NUL at %zu of %s", at, good[i]);
		}
	}
}

static void test_cut_anywhere(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		for (size_t len = 0; len < strlen(good[i]); len++)
			(void)parses_exactly(span_make(good[i], len), PARSE_ARENA_MAX);
	}
}

/* Whatever the arena refuses is an error, and the limit at which a command fits is one limit: it fits with more as well. */
static void test_full_arena(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		bool fits = false;

		for (size_t limit = 0; limit < 4096; limit++) {
			bool parsed = parses_exactly(span_of(good[i]), limit);

			assert_true(parsed || !fits);
			fits = parsed;
		}
		assert_true(fits);
	}
}

static const struct announce_row {
	const char *command;
	unsigned messages;
	bool want;
} announcements[] = {
	{ "A003 APPEND saved-messages (\\Seen) {326}", 0, true },
	{ "a append x {1+}", 0, true },
	{ "a APPEND \"x y\" ~{1}", 0, true },
	{ "a APPEND x UTF8 (~{1}", 0, true },
	{ "a APPEND {4}\r\nSent {10}", 0, true },
	{ "a APPEND x (\\Seen \" 7-Feb {1}", 0, true }, /* wrong, and its handler says so */
	{ "a APPEND x CATENATE (TEXT {1}", 0, true },
	{ "a APPEND {4}", 0, false }, /* the mailbox's name */
	{ "a APPEND {4+}", 0, false },
	{ "a APPEND ~{4}", 0, false },
	{ "a APPEND{4}", 0, false },
	{ "a APPEND", 0, false },
	{ "a APPENDS x {4}", 0, false },
	{ "a UID APPEND x {4}", 0, false },
	{ "a LOGIN x {4}", 0, false },
	{ "a SEARCH SUBJECT {4}", 0, false },
	{ "* APPEND x {4}", 0, false },
	{ "", 0, false },
	{ " (\\Seen) {4}", 1, true },
	{ ") {4}", 2, true },
};

static void test_announcements(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(announcements); i++) {
		const struct announce_row *row = &announcements[i];

		if (append_announces_message(span_of(row->command), row->messages, false) != row->want)
			fail_msg("%s", row->command);
	}
}

/* RFC 3502 §6.3.11's example, piece by piece as the reader hands it over. */
static void test_several_messages(void **state)
{
	struct error err = { 0 };
	struct arena arena;
	struct parser p = { .in = SPAN("A003 APPEND saved-messages (\\Seen) {329}"), .arena = &arena, .err = &err };
	struct append_message message;
	struct command_head head;
	struct span mailbox;
	bool more;

	arena_init(&arena, 4 * KIB);
	assert_true(parse_head(&p, &head) && parse_append_mailbox(&p, &mailbox) && parse_append_message(&p, &message));
	assert_true(message.size == 329 && message.synchronizing && !message.utf8 && !message.literal8);
	p.in = SPAN(" () \" 7-Feb-1994 22:43:04 -0800\" UTF8 (~{295+}");
	assert_true(parse_append_next(&p, &message, &more) && more && parse_append_message(&p, &message));
	assert_true(
	        message.size == 295 && !message.synchronizing && message.utf8 && message.literal8 && message.has_date);
	assert_int_equal(message.internal_date, 760689784);
	p.in = SPAN(") {1}");
	assert_true(parse_append_next(&p, &message, &more) && more && parse_append_message(&p, &message));
	p.in = SPAN(" "); /* Outlook */
	assert_true(parse_append_next(&p, &message, &more) && !more);
	p.in = SPAN("");
	assert_true(parse_append_next(&p, &message, &more) && !more);
	p.in = SPAN("x");
	assert_true(parse_append_next(&p, &message, &more) && more && !parse_append_message(&p, &message));
	message.utf8 = true;
	p.in = SPAN("");
	assert_false(parse_append_next(&p, &message, &more));
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_different_items),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_many_ranges),
		cmocka_unit_test(test_nul_is_nowhere),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_full_arena),
		cmocka_unit_test(test_announcements),
		cmocka_unit_test(test_several_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
