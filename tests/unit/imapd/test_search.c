/* SEARCH: needles, programs over a message made by the same code that delivers, and the answer. */
#include "imapd/search_answer.h"
#include "imapd/search_program.h"
#include "imapd/search_text.h"

#include "message/summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* --- needles --- */

static uint32_t seed = 1;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static bool find_naive(struct span needle, struct span in)
{
	for (size_t i = 0; i + needle.len <= in.len; i++)
		if (memcmp(in.ptr + i, needle.ptr, needle.len) == 0)
			return true;
	return false;
}

/* Few letters, so that near misses and repetitions are common; whole, and cut into pieces. */
static void test_needles(void **state)
{
	char text[200], wanted[24];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = next_random(sizeof(text)), wanted_len = 1 + next_random(sizeof(wanted) - 1);
		uint32_t letters = 1 + next_random(4);
		struct text_needle needle;
		struct text_stream stream;
		struct span rest;
		bool want;

		for (size_t i = 0; i < len; i++)
			text[i] = (char)('a' + next_random(letters));
		for (size_t i = 0; i < wanted_len; i++)
			wanted[i] = (char)('a' + next_random(letters));
		want = find_naive(span_make(wanted, wanted_len), span_make(text, len));
		assert_true(text_needle_init(&needle, span_make(wanted, wanted_len)));
		assert_int_equal(text_find(&needle, span_make(text, len)), want);
		text_stream_init(&stream, &needle);
		for (rest = span_make(text, len); rest.len > 0;) {
			size_t piece = 1 + next_random(40);

			assert_true(text_stream_feed(&stream, span_first(rest, piece)));
			rest = span_skip(rest, piece);
		}
		assert_int_equal(stream.found, want);
		text_stream_free(&stream);
		text_needle_free(&needle);
	}
}

/* A needle that stands nearly everywhere costs linear time all the same: this would take hours otherwise. */
static void test_needle_bomb(void **state)
{
	size_t len = 16 * MIB, wanted = 100 * KIB;
	char *text = malloc(len), *bomb = malloc(wanted);
	struct text_needle needle;

	(void)state;
	memset(text, 'a', len);
	memset(bomb, 'a', wanted);
	bomb[0] = 'b';
	assert_true(text_needle_init(&needle, span_make(bomb, wanted)));
	assert_false(text_find(&needle, span_make(text, len)));
	text_needle_free(&needle);
	bomb[0] = 'a';
	bomb[wanted / 2] = 'b';
	assert_true(text_needle_init(&needle, span_make(bomb, wanted)));
	memset(text + len / 2, 'b', 1);
	assert_true(text_find(&needle, span_make(text, len)));
	text_needle_free(&needle);
	free(text);
	free(bomb);
}

static void test_no_match_over_nul(void **state)
{
	struct text_needle needle;
	struct text_stream stream;

	(void)state;
	assert_true(text_needle_init(&needle, SPAN("AbC")));
	text_stream_init(&stream, &needle);
	assert_true(text_stream_feed(&stream, SPAN("xab\0c ab")));
	assert_true(text_stream_feed(&stream, SPAN("\0c")));
	assert_false(stream.found);
	assert_true(text_stream_feed(&stream, SPAN(" a")));
	assert_true(text_stream_feed(&stream, SPAN("b")));
	assert_true(text_stream_feed(&stream, SPAN("cd")));
	assert_true(stream.found);
	text_stream_reset(&stream);
	assert_true(text_stream_feed(&stream, SPAN("ab")));
	text_stream_reset(&stream);
	assert_true(text_stream_feed(&stream, SPAN("c")));
	assert_false(stream.found);
	text_stream_free(&stream);
	text_needle_free(&needle);
}

/* --- programs --- */

static const char mail[] = "From: =?iso-8859-1?Q?J=FCrgen_M=FCller?= <jm@Example.ORG>\r\n"
                           "To: \"Doe, John\" <john@doe.test>, Friends: a@b.test, c@d.test;\r\n"
                           "Cc: nobody@nowhere\r\n"
                           "Subject: =?utf-8?B?R3LDtsOfZQ==?= of\r\n the Budget\r\n"
                           "Date: Tue, 7 Feb 2023 23:30:00 -0800\r\n"
                           "Message-ID: <one@x.test>\r\n"
                           "X-Empty:\r\n"
                           "X-Two: first\r\n"
                           "X-Two: =?utf-8?Q?second_=C3=A9?=\r\n"
                           "MIME-Version: 1.0\r\n"
                           "Content-Type: multipart/mixed; boundary=b\r\n"
                           "\r\n"
                           "preamble\r\n"
                           "--b\r\n"
                           "Content-Type: text/plain; charset=utf-8\r\n"
                           "Content-Transfer-Encoding: quoted-printable\r\n"
                           "\r\n"
                           "The kilim=\r\nanjaro caf=C3=A9 is closed.\r\n"
                           "--b\r\n"
                           "Content-Type: application/octet-stream; name=secret.bin\r\n"
                           "\r\n"
                           "attachment octets\r\n"
                           "--b\r\n"
                           "Content-Type: message/rfc822\r\n"
                           "\r\n"
                           "Subject: Inner subject\r\n"
                           "\r\n"
                           "Inner text\r\n"
                           "--b--\r\n";

#define DAY_MS 86400000LL

static const struct view_message row = { .sequence = 3,
	.row = { .uid = 17,
	        .size = sizeof(mail) - 1,
	        .message_id = 42,
	        .flags = FLAG_SEEN | FLAG_FLAGGED | 1 << FLAG_KEYWORD_FIRST,
	        .modseq = 100 } };
static const uint32_t saved[] = { 4, 5, 6, 17, 30 };
static const int64_t now = 1700000000; /* 14 November 2023, 22:13:20 */

static const struct {
	const char *keys;
	bool want;
	enum search_level level; /* where it is decided */
} program_cases[] = {
	{ "ALL", true, LEVEL_ROW },
	{ "3", true, LEVEL_ROW },
	{ "1:2,5:*", false, LEVEL_ROW },
	{ "*:3", true, LEVEL_ROW },
	{ "*", false, LEVEL_ROW },
	{ "4294967295:1", true, LEVEL_ROW },
	{ "UID 17", true, LEVEL_ROW },
	{ "UID 3", false, LEVEL_ROW },
	{ "UID 10:*", true, LEVEL_ROW },
	{ "$", true, LEVEL_ROW },
	{ "UID $", true, LEVEL_ROW },
	{ "NOT $", false, LEVEL_ROW },
	{ "SEEN", true, LEVEL_ROW },
	{ "UNSEEN", false, LEVEL_ROW },
	{ "FLAGGED UNANSWERED UNDELETED UNDRAFT", true, LEVEL_ROW },
	{ "ANSWERED", false, LEVEL_ROW },
	{ "DELETED", false, LEVEL_ROW },
	{ "DRAFT", false, LEVEL_ROW },
	{ "UNFLAGGED", false, LEVEL_ROW },
	{ "KEYWORD $label1", true, LEVEL_ROW },
	{ "KEYWORD other", false, LEVEL_ROW },
	{ "KEYWORD unheard-of", false, LEVEL_ROW },
	{ "UNKEYWORD unheard-of", true, LEVEL_ROW },
	{ "UNKEYWORD $label1", false, LEVEL_ROW },
	{ "NEW", false, LEVEL_ROW },
	{ "RECENT", false, LEVEL_ROW },
	{ "OLD", true, LEVEL_ROW },
	{ "LARGER 100 SMALLER 100000", true, LEVEL_ROW },
	{ "LARGER 100000", false, LEVEL_ROW },
	{ "SMALLER 1", false, LEVEL_ROW },
	{ "MODSEQ 100", true, LEVEL_ROW },
	{ "MODSEQ 101", false, LEVEL_ROW },
	{ "EMAILID M42", true, LEVEL_ROW },
	{ "EMAILID M042", false, LEVEL_ROW },
	{ "EMAILID m42", false, LEVEL_ROW },
	{ "EMAILID M43", false, LEVEL_ROW },
	{ "SAVEDATESUPPORTED", true, LEVEL_ROW },
	{ "OR SEEN BODY nothing", true, LEVEL_ROW },
	{ "UNSEEN BODY nothing", false, LEVEL_ROW },
	{ "BODY nothing UNSEEN", false, LEVEL_ROW }, /* cheap ones first, however they were written */
	{ "NOT (UNSEEN BODY nothing)", true, LEVEL_ROW },
	{ "OR OR UNSEEN ANSWERED NOT FLAGGED", false, LEVEL_ROW },

	{ "THREADID T41", true, LEVEL_COLUMNS },
	{ "THREADID T42", false, LEVEL_COLUMNS },
	{ "ON 1-Mar-2023", true, LEVEL_COLUMNS }, /* internal date: 1 March 2023, 23:59:59.999 UTC */
	{ "SINCE 1-Mar-2023", true, LEVEL_COLUMNS },
	{ "SINCE 2-Mar-2023", false, LEVEL_COLUMNS },
	{ "BEFORE 2-Mar-2023", true, LEVEL_COLUMNS },
	{ "BEFORE 1-Mar-2023", false, LEVEL_COLUMNS },
	{ "SENTON 7-Feb-2023", true, LEVEL_COLUMNS }, /* the day as written, though it is the 8th in UTC */
	{ "SENTON 8-Feb-2023", false, LEVEL_COLUMNS },
	{ "SENTSINCE 7-Feb-2023 SENTBEFORE 8-Feb-2023", true, LEVEL_COLUMNS },
	{ "SAVEDON 2-Mar-2023", true, LEVEL_COLUMNS },
	{ "SAVEDBEFORE 2-Mar-2023", false, LEVEL_COLUMNS },
	{ "SAVEDSINCE 2-Mar-2023", true, LEVEL_COLUMNS },
	{ "YOUNGER 4294967295", true, LEVEL_COLUMNS },
	{ "YOUNGER 3600", false, LEVEL_COLUMNS },
	{ "OLDER 3600", true, LEVEL_COLUMNS },
	{ "FROM \"jurgen muller\"", true, LEVEL_COLUMNS },
	{ "FROM \"jm@example.org\"", true, LEVEL_COLUMNS },
	{ "FROM \"Muller <jm@\"", true, LEVEL_COLUMNS },
	{ "FROM john", false, LEVEL_COLUMNS },
	{ "TO \"doe, john\"", true, LEVEL_COLUMNS },
	{ "TO c@d.test", true, LEVEL_COLUMNS },
	{ "TO friends", true, LEVEL_COLUMNS },
	{ "TO missing", false, LEVEL_COLUMNS },
	{ "CC nobody@nowhere", true, LEVEL_COLUMNS },
	{ "CC \"\"", true, LEVEL_COLUMNS },
	{ "BCC \"\"", false, LEVEL_COLUMNS },
	{ "BCC x", false, LEVEL_COLUMNS },
	{ "SUBJECT \"GROSSE OF THE\"", true, LEVEL_COLUMNS },
	{ "SUBJECT inner", false, LEVEL_COLUMNS },
	{ "OR SUBJECT budget BODY nothing", true, LEVEL_COLUMNS },
	{ "SUBJECT inner BODY text", false, LEVEL_COLUMNS },
	{ "NOT SUBJECT budget", false, LEVEL_COLUMNS },

	{ "HEADER X-Two \"SECOND E\"", true, LEVEL_HEADER },
	{ "HEADER x-two first", true, LEVEL_HEADER },
	{ "HEADER x-two \"\"", true, LEVEL_HEADER },
	{ "HEADER X-Empty \"\"", true, LEVEL_HEADER },
	{ "HEADER X-Empty x", false, LEVEL_HEADER },
	{ "HEADER X-None \"\"", false, LEVEL_HEADER },
	{ "HEADER X first", false, LEVEL_HEADER },
	{ "HEADER Message-ID <one@x.test>", true, LEVEL_HEADER },
	{ "HEADER Subject \"of the budget\"", true, LEVEL_HEADER },

	{ "BODY kilimanjaro", true, LEVEL_TEXT },
	{ "BODY \"KILIMANJARO CAFE\"", true, LEVEL_TEXT },
	{ "BODY \"inner text\"", true, LEVEL_TEXT },
	{ "BODY \"inner subject\"", false, LEVEL_TEXT },
	{ "TEXT \"inner subject\"", true, LEVEL_TEXT },
	{ "BODY attachment", false, LEVEL_TEXT },
	{ "BODY preamble", false, LEVEL_TEXT },
	{ "BODY budget", false, LEVEL_TEXT },
	{ "TEXT budget", true, LEVEL_TEXT },
	{ "TEXT \"subject: grosse\"", true, LEVEL_TEXT },
	{ "TEXT secret.bin", true, LEVEL_TEXT },
	{ "TEXT kilimanjaro", true, LEVEL_TEXT },
	{ "TEXT nowhere-to-be-found", false, LEVEL_TEXT },
	{ "BODY \"\"", true, LEVEL_TEXT },
	{ "NOT BODY nothing", true, LEVEL_TEXT },
	{ "BODY kilimanjaro BODY \"inner text\" NOT TEXT nothing", true, LEVEL_TEXT },
	{ "OR BODY nothing TEXT budget", true, LEVEL_TEXT },
	{ "OR BODY nothing BODY \"never\"", false, LEVEL_TEXT },
	{ "SUBJECT budget HEADER x-two first BODY closed SEEN", true, LEVEL_TEXT },
	{ "((SEEN) (BODY closed) (OR (NOT SEEN) (NOT (BODY nothing))))", true, LEVEL_TEXT },
};

static bool keyword(const void *arg, struct span name, uint64_t *bit)
{
	(void)arg;
	*bit = span_equal_nocase(name, SPAN("$Label1")) ? 1ull << FLAG_KEYWORD_FIRST : 1ull << (FLAG_KEYWORD_FIRST + 1);
	return !span_equal(name, SPAN("unheard-of"));
}

static struct search_program *compile(const char *keys)
{
	struct search_context context = { .largest_sequence = 9,
		.largest_uid = 30,
		.saved = saved,
		.saved_count = ARRAY_LEN(saved),
		.now = now,
		.keyword = keyword };
	struct search_program *program = NULL;
	struct search_args args = { 0 };
	struct buffer text;
	struct arena arena;
	struct error err;
	struct parser parser = { .arena = &arena, .err = &err };

	arena_init(&arena, PARSE_ARENA_MAX);
	buffer_init(&text, KIB * KIB);
	buffer_append_char(&text, ' ');
	buffer_append_text(&text, keys);
	parser.in = buffer_span(&text);
	if (!parse_search(&parser, &args))
		fail_msg("%s: %s", keys, err.reason);
	assert_true(search_program_new(args.key, &context, &program, &err));
	arena_free(&arena); /* the program has copied what it needs */
	buffer_free(&text);
	return program;
}

static void summarize(struct span text, struct message_summary *summary)
{
	struct summary_builder *builder = summary_builder_new();
	struct error err;

	assert_non_null(builder);
	assert_true(summary_feed(builder, text));
	assert_true(summary_finish(builder, summary, &err));
	summary_builder_free(&builder);
}

static struct stored_message store(const struct message_summary *summary)
{
	return (struct stored_message) { .message_id = 42,
		.thread_id = 41,
		.internal_date_ms = 19417 * DAY_MS + DAY_MS - 1, /* 1 March 2023 */
		.sent_date = summary->date,
		.has_sent_date = summary->has_date,
		.envelope = summary->envelope };
}

/* Level by level, with what is known put aside and taken up again between. */
static enum verdict ask(
        struct search_program *program, const struct message_summary *summary, size_t piece, enum search_level *level)
{
	struct stored_message stored = store(summary);
	struct search_match *match = search_match_new(program);
	uint8_t *kept = malloc(search_match_state_size(program));
	enum verdict verdict = search_match_row(match, &row);

	*level = LEVEL_ROW;
	search_match_save(match, kept);
	if (verdict == VERDICT_OPEN && search_program_uses(program, LEVEL_COLUMNS)) {
		*level = LEVEL_COLUMNS;
		search_match_resume(match, &row, kept);
		verdict = search_match_columns(match, &stored, 19418 * 86400 + 5);
		search_match_save(match, kept);
	}
	if (verdict == VERDICT_OPEN && search_program_uses(program, LEVEL_HEADER)) {
		*level = LEVEL_HEADER;
		search_match_resume(match, &row, kept);
		verdict = search_match_header(match, summary->header);
		search_match_save(match, kept);
	}
	if (verdict == VERDICT_OPEN) {
		*level = LEVEL_TEXT;
		search_match_resume(match, &row, kept);
		for (struct span rest = span_make(mail, sizeof(mail) - 1); rest.len > 0 && verdict == VERDICT_OPEN;
		        rest = span_skip(rest, piece))
			verdict = search_match_feed(match, span_first(rest, piece));
		verdict = search_match_end(match);
	}
	assert_false(search_match_failed(match));
	search_match_free(&match);
	free(kept);
	return verdict;
}

static void test_programs(void **state)
{
	static const size_t pieces[] = { 1, 7, 100, sizeof(mail) };
	struct message_summary summary;

	(void)state;
	summarize(span_make(mail, sizeof(mail) - 1), &summary);
	for (size_t i = 0; i < ARRAY_LEN(program_cases); i++) {
		for (size_t j = 0; j < ARRAY_LEN(pieces); j++) {
			struct search_program *program = compile(program_cases[i].keys);
			enum search_level level;
			enum verdict verdict = ask(program, &summary, pieces[j], &level);

			if (verdict != (program_cases[i].want ? VERDICT_YES : VERDICT_NO) ||
			        level != program_cases[i].level)
				fail_msg("%s: verdict %d at level %d", program_cases[i].keys, verdict, level);
			search_program_free(&program);
		}
	}
	message_summary_free(&summary);
}

/* One match object goes from message to message: nothing of the one before may stay. */
static void test_match_again(void **state)
{
	struct search_program *program = compile("OR BODY kilimanjaro SUBJECT budget");
	struct search_match *match = search_match_new(program);
	struct stored_message none = { .envelope = SPAN("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)") };
	struct message_summary summary;
	struct stored_message stored;

	(void)state;
	summarize(span_make(mail, sizeof(mail) - 1), &summary);
	stored = store(&summary);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(search_match_row(match, &row), VERDICT_OPEN);
		assert_int_equal(search_match_columns(match, &stored, 0), VERDICT_YES);
		assert_int_equal(search_match_row(match, &row), VERDICT_OPEN);
		assert_int_equal(search_match_columns(match, &none, 0), VERDICT_OPEN);
		assert_int_equal(search_match_feed(match, SPAN("X: y\r\n\r\nthe kilim")), VERDICT_OPEN);
		assert_int_equal(search_match_end(match), VERDICT_NO);
		assert_int_equal(search_match_row(match, &row), VERDICT_OPEN);
		assert_int_equal(search_match_columns(match, &none, 0), VERDICT_OPEN);
		assert_int_equal(search_match_feed(match, SPAN("X: y\r\n\r\nanjaro kilimanjaro")), VERDICT_OPEN);
		assert_int_equal(search_match_end(match), VERDICT_YES);
	}
	search_match_free(&match);
	search_program_free(&program);
	message_summary_free(&summary);
}

/* A damaged envelope is one without fields. */
static void test_damaged_envelope(void **state)
{
	static const char *const texts[] = { "", "(", "(\"", "(NIL {9999}\r\nx", "(NIL NIL ((NIL NIL \"a\" \"b\")",
		"((((", "(NIL NIL (\"x\"))" };
	struct search_program *program = compile("OR OR FROM a SUBJECT a SENTON 1-Jan-2020");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct search_match *match = search_match_new(program);
		struct stored_message stored = { .envelope = span_of(texts[i]), .has_sent_date = true };

		assert_int_equal(search_match_row(match, &row), VERDICT_OPEN);
		assert_int_equal(search_match_columns(match, &stored, 0), VERDICT_NO);
		search_match_free(&match);
	}
	search_program_free(&program);
}

/* --- the answer --- */

static const struct {
	bool uid, extended, modseq;
	unsigned returns;
	size_t count;
	const char *want;
	const char *saved; /* UIDs */
} answer_cases[] = {
	{ false, false, false, RETURN_ALL, 0, "* SEARCH\r\n", "" },
	{ false, false, true, RETURN_ALL, 0, "* SEARCH\r\n", "" }, /* RFC 7162 §3.1.5, example 16 */
	{ false, false, false, RETURN_ALL, 5, "* SEARCH 2 3 4 7 9\r\n", "12 13 14 20 21" },
	{ true, false, true, RETURN_ALL, 5, "* SEARCH 12 13 14 20 21 (MODSEQ 50)\r\n", "12 13 14 20 21" },
	{ false, true, false, RETURN_ALL, 5, "* ESEARCH (TAG \"a1\") ALL 2:4,7,9\r\n", "12 13 14 20 21" },
	{ true, true, false, RETURN_ALL, 5, "* ESEARCH (TAG \"a1\") UID ALL 12:14,20:21\r\n", "12 13 14 20 21" },
	{ true, true, true, RETURN_ALL, 0, "* ESEARCH (TAG \"a1\") UID\r\n", "" },
	{ false, true, true, RETURN_MIN, 5, "* ESEARCH (TAG \"a1\") MIN 2 MODSEQ 10\r\n", "12" },
	{ false, true, true, RETURN_MAX | RETURN_SAVE, 5, "* ESEARCH (TAG \"a1\") MAX 9 MODSEQ 30\r\n", "21" },
	{ false, true, true, RETURN_MIN | RETURN_MAX | RETURN_SAVE, 5,
	        "* ESEARCH (TAG \"a1\") MIN 2 MAX 9 MODSEQ 30\r\n", "12 21" },
	{ false, true, true, RETURN_MIN | RETURN_COUNT, 5, "* ESEARCH (TAG \"a1\") MIN 2 COUNT 5 MODSEQ 50\r\n",
	        "12 13 14 20 21" },
	{ false, true, false, RETURN_MIN | RETURN_MAX | RETURN_ALL | RETURN_COUNT, 5,
	        "* ESEARCH (TAG \"a1\") MIN 2 MAX 9 COUNT 5 ALL 2:4,7,9\r\n", "12 13 14 20 21" },
	{ false, true, false, RETURN_MIN | RETURN_MAX | RETURN_COUNT, 0, "* ESEARCH (TAG \"a1\") COUNT 0\r\n", "" },
	{ false, true, false, RETURN_SAVE, 5, "", "12 13 14 20 21" }, /* RFC 5182 §2.2, example 1 */
	{ false, true, false, RETURN_MIN | RETURN_MAX | RETURN_SAVE, 1, "* ESEARCH (TAG \"a1\") MIN 2 MAX 2\r\n",
	        "12" },
};

static void test_answers(void **state)
{
	static const struct view_message hits[] = {
		{ .sequence = 2, .row = { .uid = 12, .modseq = 10 } },
		{ .sequence = 3, .row = { .uid = 13, .modseq = 50 } },
		{ .sequence = 4, .row = { .uid = 14, .modseq = 20 } },
		{ .sequence = 7, .row = { .uid = 20, .modseq = 20 } },
		{ .sequence = 9, .row = { .uid = 21, .modseq = 30 } },
	};
	struct buffer out;

	(void)state;
	buffer_init(&out, KIB);
	for (size_t i = 0; i < ARRAY_LEN(answer_cases); i++) {
		struct search_answer answer = { .hits = hits,
			.count = answer_cases[i].count,
			.tag = SPAN("a1"),
			.uid = answer_cases[i].uid,
			.extended = answer_cases[i].extended,
			.returns = answer_cases[i].returns,
			.modseq = answer_cases[i].modseq };
		bool first, last, all;

		buffer_clear(&out);
		while (!answer.ended)
			assert_true(search_answer_write(&answer, &out));
		assert_string_equal(buffer_text(&out), answer_cases[i].want);
		buffer_clear(&out);
		search_answer_saved(&answer, &first, &last, &all);
		for (size_t n = 0; n < answer.count; n++)
			if (all || (first && n == 0) || (last && n + 1 == answer.count))
				buffer_printf(&out, "%s%u", out.len > 0 ? " " : "", hits[n].row.uid);
		assert_string_equal(buffer_text(&out), answer_cases[i].saved);
	}
	buffer_free(&out);
}

/* A long answer comes in pieces that fit together. */
static void test_long_answer(void **state)
{
	size_t count = 100000, pieces = 0;
	struct view_message *hits = calloc(count, sizeof(*hits));
	struct search_answer answer = { .hits = hits, .count = count, .tag = SPAN("t") };
	struct buffer out, all;
	struct span rest;
	uint32_t number;

	(void)state;
	for (size_t i = 0; i < count; i++)
		hits[i].sequence = (uint32_t)(2 * i + 1);
	buffer_init(&out, 2 * SEARCH_ANSWER_PIECE);
	buffer_init(&all, MIB);
	for (; !answer.ended; pieces++) {
		buffer_clear(&out);
		assert_true(search_answer_write(&answer, &out));
		assert_true(buffer_append_span(&all, buffer_span(&out)));
	}
	assert_in_range(pieces, 15, 25);
	rest = buffer_span(&all);
	assert_true(span_take_word(&rest, "* SEARCH"));
	for (size_t i = 0; i < count; i++) {
		assert_true(span_take_char(&rest, ' ') && span_take_number(&rest, UINT32_MAX, &number));
		assert_int_equal(number, 2 * i + 1);
	}
	assert_true(span_equal(rest, SPAN("\r\n")));
	buffer_free(&out);
	buffer_free(&all);
	free(hits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needles),
		cmocka_unit_test(test_needle_bomb),
		cmocka_unit_test(test_no_match_over_nul),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_match_again),
		cmocka_unit_test(test_damaged_envelope),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
