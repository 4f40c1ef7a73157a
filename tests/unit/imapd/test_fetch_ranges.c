/* Which messages a FETCH is about, slice by slice, and which UIDs it says are gone: against a view of a few UIDs. */
#include "imapd/fetch_ranges.h"
#include "imapd/fetch_vanished.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* --- the view: what the client knows --- */

static const uint32_t known[] = { 3, 5, 6, 10, 11, 12, 20, 4000000000 };
static size_t known_count = LEN(known);

uint32_t view_count(const struct view *view)
{
	(void)view;
	return (uint32_t)known_count;
}

uint32_t view_uid(const struct view *view, uint32_t sequence)
{
	(void)view;
	assert_in_range(sequence, 1, known_count);
	return known[sequence - 1];
}

bool view_sequence(const struct view *view, uint32_t uid, uint32_t *sequence)
{
	(void)view;
	for (size_t i = 0; i < known_count; i++)
		if (known[i] == uid) {
			*sequence = (uint32_t)i + 1;
			return true;
		}
	return false;
}

/* UID 6 is gone meanwhile. */
bool view_collect(const struct view *view, struct sequence_set *set, bool uid, struct view_message **out, size_t *count,
        bool *beyond, size_t *gone)
{
	(void)view;
	assert_false(uid);
	*out = calloc(LEN(known), sizeof(**out));
	*count = *gone = 0;
	*beyond = false;
	for (uint32_t sequence = 1; sequence <= known_count; sequence++) {
		if (!sequence_set_contains(set, sequence))
			continue;
		if (known[sequence - 1] == 6) {
			++*gone;
			continue;
		}
		(*out)[*count].sequence = sequence;
		(*out)[(*count)++].row.uid = known[sequence - 1];
	}
	return true;
}

/* --- the store --- */

static const uint32_t vanished[] = { 4, 6, 7, 8, 9, 13, 21 };
static struct message_row rows[] = { { .uid = 3 }, { .uid = 5 }, { .uid = 10 }, { .uid = 20 }, { .uid = 25 } };
static bool is_too_old;

bool account_changes(
        struct account *account, uint64_t since, int64_t mailbox_id, struct account_changes *out, struct error *err)
{
	static struct mailbox_changes mailbox = { .vanished = vanished, .vanished_count = LEN(vanished) };

	(void)account;
	(void)since;
	(void)mailbox_id;
	if (is_too_old)
		return error_set(err, ERR_CONFLICT, "too old");
	out->mailboxes = &mailbox;
	out->count = 1;
	return true;
}

void account_changes_free(struct account_changes *changes)
{
	*changes = (struct account_changes) { 0 };
}

bool mailbox_snapshot(struct account *account, int64_t mailbox_id, struct mailbox_snapshot *out, struct error *err)
{
	(void)account;
	(void)mailbox_id;
	(void)err;
	out->rows = rows;
	out->count = LEN(rows);
	out->info.uid_next = 28;
	return true;
}

void mailbox_snapshot_free(struct mailbox_snapshot *snapshot)
{
	*snapshot = (struct mailbox_snapshot) { 0 };
}

/* --- */

static struct view view;
static struct imap_session session;

static struct sequence_set parse(struct arena *arena, const char *text)
{
	struct span in = span_of(text);
	struct sequence_set set = { 0 };

	view.session = &session;
	arena_init(arena, MIB);
	assert_true(sequence_set_parse(&in, true, arena, &set));
	assert_int_equal(in.len, 0);
	return set;
}

static const struct set_case {
	const char *set;
	bool uid;
	const char *want; /* UIDs; NULL: beyond */
	size_t gone;
} set_cases[] = {
	{ "1", false, "3", 0 },
	{ "*", false, "4000000000", 0 },
	{ "2:1,1", false, "3,5", 0 },
	{ "1:*", false, "3,5,10:12,20,4000000000", 1 },
	{ "3", false, "", 1 },
	{ "9", false, NULL, 0 },
	{ "1,4294967295", false, NULL, 0 },
	{ "1", true, "", 0 },
	{ "4:11", true, "5,10:11", 1 },
	{ "1:*", true, "3,5,10:12,20,4000000000", 1 },
	{ "4000000001:*", true, "4000000000",
	        0 }, /* RFC 9051 §9 seq-range: "*" is the largest, and 4000000001:* holds it */
	{ "4294967295", true, "", 0 },
	{ "1:4294967295", true, "3,5,10:12,20,4000000000", 1 },
	{ "7:9,13:19", true, "", 0 },
	{ "5:3,3:5", true, "3,5", 0 },
};

static void take_all(struct fetch_ranges *ranges, size_t most, struct buffer *out, size_t *gone)
{
	uint32_t uids[LEN(known)];
	size_t all = 0;
	bool done = false;

	*gone = 0;
	while (!done) {
		struct view_message *messages;
		size_t count;

		assert_true(fetch_ranges_next(ranges, &view, most, &messages, &count, gone, &done));
		assert_true(count <= most);
		for (size_t i = 0; i < count; i++)
			uids[all++] = messages[i].row.uid;
		free(messages);
	}
	buffer_clear(out);
	assert_true(sequence_set_write(out, uids, all));
}

static void test_sets(void **state)
{
	struct buffer out;

	(void)state;
	buffer_init(&out, 1000);
	for (size_t i = 0; i < LEN(set_cases); i++)
		for (size_t most = 1; most < 10; most++) {
			const struct set_case *row = &set_cases[i];
			struct fetch_ranges ranges;
			struct arena arena;
			struct sequence_set set = parse(&arena, row->set);
			size_t gone;
			bool beyond;

			assert_true(fetch_ranges_init(&ranges, &view, &set, row->uid, &beyond));
			assert_true(beyond == (row->want == NULL));
			if (!beyond) {
				take_all(&ranges, most, &out, &gone);
				assert_string_equal(buffer_text(&out), row->want);
				assert_int_equal(gone, row->gone);
			}
			fetch_ranges_free(&ranges);
			arena_free(&arena);
		}
	buffer_free(&out);
}

static void test_empty_mailbox(void **state)
{
	static const char *const sets[] = { "1:*", "*", "$" };
	struct buffer out;

	(void)state;
	buffer_init(&out, 100);
	known_count = 0;
	for (size_t i = 0; i < LEN(sets); i++)
		for (int uid = 0; uid < 2; uid++) {
			struct fetch_ranges ranges;
			struct arena arena;
			struct sequence_set set = parse(&arena, sets[i]);
			size_t gone;
			bool beyond;

			assert_true(fetch_ranges_init(&ranges, &view, &set, uid, &beyond));
			if (!beyond)
				take_all(&ranges, 5, &out, &gone);
			assert_int_equal(out.len, 0);
			fetch_ranges_free(&ranges);
			arena_free(&arena);
		}
	known_count = LEN(known);
	buffer_free(&out);
}

static void test_saved(void **state)
{
	struct uid_list *saved = calloc(1, sizeof(*saved) + 4 * sizeof(uint32_t));
	struct fetch_ranges ranges;
	struct arena arena;
	struct sequence_set set = parse(&arena, "$");
	struct buffer out;
	size_t gone;
	bool beyond;

	(void)state;
	buffer_init(&out, 100);
	saved->count = 4;
	memcpy(saved->uids, (uint32_t[]) { 5, 7, 11, 12 }, 4 * sizeof(uint32_t));
	session.saved = saved;
	assert_true(fetch_ranges_init(&ranges, &view, &set, false, &beyond) && !beyond);
	take_all(&ranges, 2, &out, &gone);
	assert_string_equal(buffer_text(&out), "5,11:12");
	session.saved = NULL;
	fetch_ranges_free(&ranges);
	arena_free(&arena);
	buffer_free(&out);
	free(saved);
}

/* RFC 7162 §3.2.6. UIDs that the client has a number for are told by the view. */
static const struct vanished_case {
	bool too_old;
	const char *set, *want;
} vanished_cases[] = {
	{ false, "1:*", "* VANISHED (EARLIER) 4,7:9,13,21\r\n" },
	{ false, "8:13", "* VANISHED (EARLIER) 8:9,13\r\n" },
	{ false, "3,5", "" },
	{ true, "1:*", "* VANISHED (EARLIER) 1:2,4,7:9,13:19,21:24,26:27\r\n" },
	{ true, "1,2,8:14,26:30", "* VANISHED (EARLIER) 1:2,8:9,13:14,26:27\r\n" },
	{ true, "28:4294967295", "" },
	{ true, "3,5:6,10", "" },
};

static void test_vanished(void **state)
{
	struct buffer out;

	(void)state;
	buffer_init(&out, 1000);
	for (size_t i = 0; i < LEN(vanished_cases); i++) {
		struct vanished gone = { 0 };
		struct arena arena;
		struct sequence_set set = parse(&arena, vanished_cases[i].set);
		struct error err;

		is_too_old = vanished_cases[i].too_old;
		sequence_set_resolve(&set, known[LEN(known) - 1]);
		assert_true(vanished_read(&gone, NULL, 1, 5, &err));
		buffer_clear(&out);
		assert_true(vanished_write(&gone, &view, &set, &out));
		assert_string_equal(buffer_text(&out), vanished_cases[i].want);
		vanished_free(&gone);
		arena_free(&arena);
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_empty_mailbox),
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_vanished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
