/* SORT and THREAD (RFC 5256). */
#include "imapd/sort.h"
#include "imapd/thread.h"

#include "message/fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* --- SORT --- */

static const struct sort_message mails[] = {
	{ 1, 100, 50, 10,
	        { [SORT_FROM] = SPAN("BOB"),
	                [SORT_SUBJECT] = SPAN("LUNCH"),
	                [SORT_TO] = SPAN("X"),
	                [SORT_CC] = SPAN("") } },
	{ 2, 300, 40, 10,
	        { [SORT_FROM] = SPAN("ALICE"),
	                [SORT_SUBJECT] = SPAN("LUNCH BREAK"),
	                [SORT_TO] = SPAN("X"),
	                [SORT_CC] = SPAN("Z") } },
	{ 3, 200, 30, -5,
	        { [SORT_FROM] = SPAN("BOB"),
	                [SORT_SUBJECT] = SPAN(""),
	                [SORT_TO] = SPAN("W"),
	                [SORT_CC] = SPAN("Y") } },
	{ 4, 100, 20, 99,
	        { [SORT_FROM] = SPAN("BOBBY TABLES"),
	                [SORT_SUBJECT] = SPAN("LUNCH BREAD"),
	                [SORT_TO] = SPAN(""),
	                [SORT_CC] = SPAN("Y") } },
};

static const struct {
	struct sort_criterion criteria[3];
	size_t count;
	uint32_t want[4];
} sort_cases[] = {
	{ { { SORT_ARRIVAL, false } }, 1, { 4, 3, 2, 1 } },
	{ { { SORT_ARRIVAL, true } }, 1, { 1, 2, 3, 4 } },
	{ { { SORT_DATE, false } }, 1, { 3, 1, 2, 4 } },
	{ { { SORT_DATE, true } }, 1, { 4, 1, 2, 3 } }, /* the tie stays in the order of the mailbox */
	{ { { SORT_SIZE, false } }, 1, { 1, 4, 3, 2 } },
	{ { { SORT_SIZE, true } }, 1, { 2, 3, 1, 4 } },
	{ { { SORT_SUBJECT, false } }, 1, { 3, 1, 4, 2 } },
	{ { { SORT_SUBJECT, true } }, 1, { 2, 4, 1, 3 } },
	{ { { SORT_FROM, false } }, 1, { 2, 1, 3, 4 } },
	{ { { SORT_FROM, false }, { SORT_SIZE, true } }, 2, { 2, 3, 1, 4 } },
	{ { { SORT_TO, false }, { SORT_FROM, false } }, 2, { 4, 3, 2, 1 } },
	{ { { SORT_CC, true }, { SORT_SUBJECT, true } }, 2, { 2, 4, 3, 1 } },
	{ { { SORT_SIZE, false }, { SORT_DATE, true }, { SORT_FROM, false } }, 3, { 4, 1, 3, 2 } },
};

static void test_sort(void **state)
{
	uint32_t numbers[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sort_cases); i++) {
		assert_true(
		        sort_messages(mails, ARRAY_LEN(mails), sort_cases[i].criteria, sort_cases[i].count, numbers));
		assert_memory_equal(numbers, sort_cases[i].want, sizeof(numbers));
		assert_true(sort_messages(mails, 0, sort_cases[i].criteria, sort_cases[i].count, numbers));
	}
}

/* --- THREAD --- */

#define REFERENCES_MAX 8
#define MAILS_MAX      16

/* date: in this order; references as In-Reply-To or References would have them */
struct mail {
	const char *id, *references, *subject; /* "Re: " in front: a reply */
	int64_t date;
};

struct mailbox {
	struct thread_message messages[MAILS_MAX];
	uint64_t references[MAILS_MAX][REFERENCES_MAX];
	size_t count;
};

static void fill(struct mailbox *box, const struct mail *list)
{
	struct thread_hash hash;

	thread_hash_init(&hash);
	for (box->count = 0; list[box->count].subject != NULL; box->count++) {
		const struct mail *mail = &list[box->count];
		struct thread_message *m = &box->messages[box->count];
		struct span subject = span_of(mail->subject), rest = span_of(mail->references), id;
		struct buffer collated;

		assert_true(box->count < MAILS_MAX);
		*m = (struct thread_message) { .number = (uint32_t)box->count + 1, .sent = mail->date };
		m->is_reply = span_take_word(&subject, "Re: ");
		buffer_init(&collated, KIB);
		assert_true(fold_collate(subject, &collated));
		m->subject = thread_hash_of(&hash, buffer_span(&collated));
		buffer_free(&collated);
		m->id = thread_hash_of(&hash, span_of(mail->id));
		m->references = box->references[box->count];
		while (rest.len > 0) {
			if (!span_take_until(&rest, ' ', &id)) {
				id = rest;
				rest.len = 0;
			}
			assert_true(m->reference_count < REFERENCES_MAX);
			box->references[box->count][m->reference_count++] = thread_hash_of(&hash, id);
		}
	}
}

static const struct thread_case {
	const char *name;
	struct mail mails[MAILS_MAX];
	const char *references, *ordered_subject;
} thread_cases[] = {
	{ "nothing", { { 0 } }, "", "" },
	{ "one", { { "a", "", "x", 1 } }, "(1)", "(1)" },
	{ "by date", { { "a", "", "x", 3 }, { "b", "", "y", 1 }, { "c", "", "z", 2 } }, "(2)(3)(1)", "(2)(3)(1)" },
	{ "chain", { { "a", "", "x", 1 }, { "b", "a", "Re: x", 2 }, { "c", "a b", "Re: x", 3 } }, "(1 2 3)",
	        "(1 (2)(3))" },
	{ "one reply", { { "a", "", "x", 1 }, { "b", "a", "Re: x", 2 } }, "(1 2)", "(1 2)" },
	{ "branches", /* the shape of RFC 5256 §4: (2)(3 6 (4 23)(44 7 96)) */
	        { { "r", "", "one", 1 }, { "3", "", "two", 2 }, { "6", "3", "Re: two", 3 },
	                { "4", "3 6", "Re: two", 4 }, { "23", "3 6 4", "Re: two", 5 }, { "44", "3 6", "Re: two", 6 },
	                { "7", "3 6 44", "Re: two", 7 }, { "96", "3 6 44 7", "Re: two", 8 } },
	        "(1)(2 3 (4 5)(6 7 8))", "(1)(2 (3)(4)(5)(6)(7)(8))" },
	{ "missing parent", { { "b", "a", "Re: x", 1 }, { "c", "a", "Re: x", 2 } }, "((1)(2))", "(1 2)" },
	{ "missing parent of one", { { "b", "a", "Re: x", 1 } }, "(1)", "(1)" },
	{ "chain of missing ones", { { "d", "a b c", "Re: x", 2 }, { "e", "a b c", "Re: x", 1 } }, "((2)(1))",
	        "(2 1)" },
	{ "dummy in the middle", { { "a", "", "x", 1 }, { "c", "a b", "Re: x", 2 }, { "d", "a b", "Re: x", 3 } },
	        "(1 (2)(3))", "(1 (2)(3))" },
	{ "child before parent", { { "b", "a", "Re: x", 2 }, { "a", "", "x", 1 } }, "(2 1)", "(2 1)" },
	{ "loop of two", { { "a", "b", "Re: x", 1 }, { "b", "a", "Re: x", 2 } }, "(2 1)", "(1 2)" },
	{ "itself", { { "a", "a", "x", 1 } }, "(1)", "(1)" },
	{ "loop in references", { { "a", "b c b a", "x", 1 } }, "(1)", "(1)" },
	{ "same id twice", { { "a", "", "x", 1 }, { "a", "", "y", 2 }, { "b", "a", "Re: x", 3 } }, "(1 3)(2)",
	        "(1 3)(2)" },
	{ "no id", { { "", "", "x", 1 }, { "", "", "y", 2 } }, "(1)(2)", "(1)(2)" },
	{ "truncated references are corrected", /* 1 (B) breaks the link that 1 (A) made */
	        { { "x", "a b", "Re: s", 1 }, { "b", "c", "Re: t", 2 }, { "a", "", "u", 3 }, { "c", "", "v", 4 } },
	        "(3)(4 2 1)", "(1)(2)(3)(4)" },
	{ "same subject", { { "a", "", "Plan", 1 }, { "b", "", "Re: PLAN", 2 } }, "(1 2)", "(1 2)" },
	{ "same subject, reply first", { { "a", "", "Re: plan", 1 }, { "b", "", "plan", 2 } }, "(2 1)", "(1 2)" },
	{ "same subject, none a reply", { { "a", "", "plan", 1 }, { "b", "", "plan", 2 }, { "c", "", "plan", 3 } },
	        "((1)(2)(3))", "(1 (2)(3))" },
	{ "same subject, all replies", { { "a", "", "Re: plan", 1 }, { "b", "", "Re: plan", 2 } }, "((1)(2))",
	        "(1 2)" },
	{ "empty subjects do not gather", { { "a", "", "", 1 }, { "b", "", "", 2 } }, "(1)(2)", "(1 2)" },
	{ "dummy and message of one subject",
	        { { "b", "a", "Re: plan", 1 }, { "c", "a", "Re: plan", 2 }, { "d", "", "plan", 3 } }, "((1)(2)(3))",
	        "(1 (2)(3))" },
	{ "two dummies of one subject",
	        { { "b", "a", "Re: p", 1 }, { "c", "a", "Re: p", 4 }, { "e", "d", "Re: p", 2 },
	                { "f", "d", "Re: p", 3 } },
	        "((1)(3)(4)(2))", "(1 (3)(4)(2))" },
	{ "accents differ", { { "a", "", "resume", 1 }, { "b", "", "r\xc3\xa9sum\xc3\xa9", 2 } }, "(1)(2)", "(1)(2)" },
	{ "dummy with children of other subjects merges once", /* its own subject is that of its first child */
	        { { "b", "a", "Re: p", 1 }, { "c", "a", "Re: q", 2 }, { "d", "", "Re: q", 3 },
	                { "e", "", "Re: p", 4 } },
	        "((1)(2)(4))(3)", "(1 4)(2 3)" },
	{ "ties by place",
	        { { "a", "", "x", 5 }, { "b", "", "y", 5 }, { "c", "a", "Re: x", 5 }, { "d", "a", "Re: x", 5 } },
	        "(1 (3)(4))(2)", "(1 (3)(4))(2)" },
};

static void test_threads(void **state)
{
	struct mailbox box;
	struct buffer out;

	(void)state;
	buffer_init(&out, KIB);
	for (size_t i = 0; i < ARRAY_LEN(thread_cases); i++) {
		fill(&box, thread_cases[i].mails);
		buffer_clear(&out);
		assert_true(thread_references(box.messages, box.count, 1000, &out));
		if (strcmp(buffer_text(&out), thread_cases[i].references) != 0)
			fail_msg("%s: %s", thread_cases[i].name, buffer_text(&out));
		buffer_clear(&out);
		assert_true(thread_ordered_subject(box.messages, box.count, &out));
		if (strcmp(buffer_text(&out), thread_cases[i].ordered_subject) != 0)
			fail_msg("%s: %s", thread_cases[i].name, buffer_text(&out));
	}
	buffer_free(&out);
}

/* Each number stands once, parentheses fit together. */
static void check_answer(struct span answer, size_t count)
{
	uint8_t *seen = calloc(1, count + 1);
	size_t depth = 0, total = 0;
	uint32_t number;

	while (answer.len > 0) {
		if (span_take_char(&answer, '(')) {
			depth++;
		} else if (span_take_char(&answer, ')')) {
			assert_true(depth > 0);
			depth--;
		} else if (!span_take_char(&answer, ' ')) {
			assert_true(span_take_number(&answer, UINT32_MAX, &number));
			assert_true(number >= 1 && number <= count && !seen[number]);
			seen[number] = 1;
			total++;
		}
	}
	assert_int_equal(depth, 0);
	assert_int_equal(total, count);
	free(seen);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* How the references of message i of n look. */
enum shape { CHAIN, CHAIN_BACKWARDS, STAR, RING, PAIRS, RANDOM, MISSING, ONE_SUBJECT, SHAPES };

static uint64_t id_of(uint64_t i)
{
	i = (i + 1) * 0x9e3779b97f4a7c15u;
	return (i ^ i >> 29) * 0xbf58476d1ce4e5b9u | 1;
}

static uint32_t references_of(enum shape shape, uint64_t i, uint64_t n, uint64_t *out)
{
	uint32_t count = 0;

	switch (shape) {
	case CHAIN:
		for (uint64_t back = i < 20 ? i : 20; back > 0; back--)
			out[count++] = id_of(i - back);
		return count;
	case CHAIN_BACKWARDS: out[0] = id_of(i + 1); return 1;
	case STAR: out[0] = id_of(0); return i > 0;
	case RING: out[0] = id_of((i + 1) % n); return 1;
	case PAIRS: /* n/2 pairs, each then hung below the one before: every link asks far upwards for a loop */
		if (i < n / 2) {
			out[0] = id_of(n + 2 * i);
			out[1] = id_of(n + 2 * i + 1);
			return 2;
		}
		out[0] = id_of(n + 2 * (i - n / 2) + 1);
		out[1] = id_of(n + 2 * (i - n / 2) + 2);
		return 2;
	case RANDOM:
		for (; count < 10; count++)
			out[count] = id_of(id_of(i * 10 + count) % (2 * n));
		return count;
	case MISSING:
		for (; count < 20; count++)
			out[count] = id_of(n + 20 * i + count);
		return count;
	case ONE_SUBJECT:
	case SHAPES: return 0;
	}
	return 0;
}

/* 100,000 messages made to cost: no recursion, no quadratic time. (A second is a hundred times what it takes, and a sanitizer's patience.) */
static void test_bombs(void **state)
{
	size_t n = 100000;
	struct thread_message *messages = calloc(n, sizeof(*messages));
	uint64_t *references = calloc(n * 20, sizeof(*references));
	struct buffer out;

	(void)state;
	buffer_init(&out, 16 * MIB);
	for (enum shape shape = CHAIN; shape < SHAPES; shape++) {
		double begin;

		for (size_t i = 0; i < n; i++) {
			messages[i] = (struct thread_message) {
				.number = (uint32_t)i + 1,
				.sent = (int64_t)(id_of(i) % 1000),
				.id = id_of(i),
				.subject = shape == ONE_SUBJECT ? 1 : id_of(i),
				.is_reply = i % 2,
				.references = references + 20 * i,
				.reference_count = references_of(shape, i, n, references + 20 * i),
			};
		}
		buffer_clear(&out);
		begin = seconds();
		assert_true(thread_references(messages, n, 1000000, &out));
		printf("shape %d: %.0f ms\n", (int)shape, (seconds() - begin) * 1000);
		assert_true(seconds() - begin < 20);
		check_answer(buffer_span(&out), n);
		buffer_clear(&out);
		assert_true(thread_ordered_subject(messages, n, &out));
		check_answer(buffer_span(&out), n);
	}
	buffer_free(&out);
	free(messages);
	free(references);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_bombs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
