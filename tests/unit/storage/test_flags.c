/* Flags and keywords of RFC 9051 §2.3.2 and the conditional STORE of RFC 7162 §3.1.3; the change feed beside them. */
#include "fixture.h"

#include "storage/account.h"
#include "storage/changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_CONDITION UINT64_MAX

/* Commits and keeps the batch, to look at its result; it must have been done. */
static struct batch *committed(struct fixture *fixture, struct batch *batch)
{
	struct account *account = borrow(fixture);
	struct error err;

	assert_true(account_commit(account, &batch, 1, &err));
	account_release(&account);
	if (batch_result(batch)->error.code != ERR_NONE)
		fail_msg("%s: %s", error_name(batch_result(batch)->error.code), batch_result(batch)->error.reason);
	return batch;
}

static enum error_code change_keyword(struct fixture *fixture, uint32_t uid, enum flag_change change, const char *name)
{
	struct span keyword = span_of(name);
	struct message_flags flags = { .keywords = &keyword, .keyword_count = 1 };
	struct batch *batch = batch_new(NULL);

	assert_true(batch_flags(batch, info_of(fixture, "INBOX").id, &uid, 1, change, &flags, NO_CONDITION));
	return commit_one(fixture, &batch);
}

static struct keyword_list keywords_of(struct fixture *fixture)
{
	struct account *account = borrow(fixture);
	struct keyword_list list;
	struct error err;

	assert_true(account_keywords(account, &list, &err));
	account_release(&account);
	return list;
}

/* The names that a message has, in order of their numbers, blanks between. */
static void keywords_of_message(struct fixture *fixture, const char *mailbox, uint32_t uid, char *out, size_t size)
{
	struct keyword_list list = keywords_of(fixture);
	struct message_row *rows;
	size_t count, len = 0;

	out[0] = '\0';
	rows = rows_of(fixture, mailbox, &count);
	for (size_t i = 0; i < count; i++) {
		for (unsigned n = 0; rows[i].uid == uid && n < FLAG_KEYWORD_COUNT; n++) {
			if (rows[i].flags >> (FLAG_KEYWORD_FIRST + n) & 1)
				len += (size_t)snprintf(
				        out + len, size - len, "%s%.*s", len ? " " : "", SPAN_FMT(list.names[n]));
		}
	}
	free(rows);
	keyword_list_free(&list);
}

static void test_keywords(void **state)
{
	static const char longest[] =
	        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const struct {
		enum flag_change change;
		const char *name;
		enum error_code want;
		const char *after;
		bool new_version;
	} rows[] = {
		{ FLAGS_ADD, "$Forwarded", ERR_NONE, "$Forwarded", true },
		{ FLAGS_ADD, "$FORWARDED", ERR_NONE, "$Forwarded", false }, /* as first written */
		{ FLAGS_REMOVE, "unheard-of", ERR_NONE, "$Forwarded", false },
		{ FLAGS_ADD, "NonJunk", ERR_NONE, "$Forwarded NonJunk", true },
		{ FLAGS_REMOVE, "$forwarded", ERR_NONE, "NonJunk", false },
		{ FLAGS_SET, "$Label1", ERR_NONE, "$Label1", true },
		{ FLAGS_SET, "nonjunk", ERR_NONE, "NonJunk", false },
		{ FLAGS_ADD, longest, ERR_TOO_LONG, "NonJunk", false },
		{ FLAGS_REMOVE, longest, ERR_NONE, "NonJunk", false },
		{ FLAGS_ADD, longest + 1, ERR_NONE, NULL, true },
		{ FLAGS_ADD, "", ERR_BAD_VALUE, NULL, false },
	};
	struct fixture *fixture = *state;
	struct keyword_list list;
	uint64_t version = 0;
	char text[300];

	append(fixture, "INBOX", 100, 'k');
	list = keywords_of(fixture);
	assert_int_equal(list.version, 0);
	keyword_list_free(&list);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(change_keyword(fixture, 1, rows[i].change, rows[i].name), rows[i].want);
		keywords_of_message(fixture, "INBOX", 1, text, sizeof(text));
		if (rows[i].after != NULL)
			assert_string_equal(text, rows[i].after);
		list = keywords_of(fixture);
		assert_int_equal(list.version > version, rows[i].new_version);
		assert_true(list.version <= usage_of(fixture).modseq);
		version = list.version;
		keyword_list_free(&list);
	}
	assert_clean(fixture);
}

/* 58 in use: no more. One that no message has any more makes room, and only then a number gets another name. */
static void test_keyword_limit(void **state)
{
	struct fixture *fixture = *state;
	struct message_flags many = { .keyword_count = 2 };
	struct span names[2] = { SPAN("kw7"), SPAN("fresh") };
	struct keyword_list list;
	struct account *account;
	struct batch *batch;
	uint64_t modseq;
	const uint32_t both[] = { 1, 2 };
	char name[20], text[600];

	append(fixture, "INBOX", 100, 'k');
	append(fixture, "INBOX", 100, 'k');
	for (int i = 0; i < FLAG_KEYWORD_COUNT; i++) {
		snprintf(name, sizeof(name), "kw%d", i);
		assert_int_equal(change_keyword(fixture, 1 + (uint32_t)i % 2, FLAGS_ADD, name), ERR_NONE);
	}
	assert_int_equal(change_keyword(fixture, 1, FLAGS_ADD, "one-too-many"), ERR_LIMIT);
	account = borrow(fixture);
	modseq = account->all_used_at; /* remembered, so that who asks again does not make us read every row */
	account_release(&account);
	assert_int_equal(modseq, usage_of(fixture).modseq);
	assert_int_equal(change_keyword(fixture, 1, FLAGS_ADD, "one-too-many"), ERR_LIMIT);
	assert_int_equal(change_keyword(fixture, 1, FLAGS_ADD, "KW57"), ERR_NONE);
	assert_int_equal(change_keyword(fixture, 2, FLAGS_REMOVE, "kw7"), ERR_NONE);
	assert_int_equal(change_keyword(fixture, 2, FLAGS_REMOVE, "kw9"), ERR_NONE);
	list = keywords_of(fixture);
	assert_true(span_equal(list.names[7], SPAN("kw7"))); /* nobody needed it yet */
	keyword_list_free(&list);
	/* kw7 is named by the same operation, before a message has it again */
	batch = batch_new(NULL);
	many.keywords = names;
	assert_true(batch_flags(batch, info_of(fixture, "INBOX").id, both, 2, FLAGS_ADD, &many, NO_CONDITION));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	list = keywords_of(fixture);
	assert_true(span_equal(list.names[7], SPAN("kw7")));
	assert_true(span_equal(list.names[9], SPAN("fresh")));
	assert_int_equal(list.version, usage_of(fixture).modseq);
	keyword_list_free(&list);
	keywords_of_message(fixture, "INBOX", 2, text, sizeof(text));
	assert_non_null(strstr(text, "kw7 fresh"));
	assert_clean(fixture);
}

static void test_keywords_per_operation(void **state)
{
	static struct span names[BATCH_KEYWORDS_MAX + 1];
	struct fixture *fixture = *state;
	struct message_flags flags = { .keywords = names, .keyword_count = BATCH_KEYWORDS_MAX };
	const uint32_t uid = append(fixture, "INBOX", 100, 'k');
	struct batch *batch = batch_new(NULL);
	int64_t inbox = info_of(fixture, "INBOX").id;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		names[i] = SPAN("never-given");
	assert_true(batch_flags(batch, inbox, &uid, 1, FLAGS_REMOVE, &flags, NO_CONDITION));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	batch = batch_new(NULL);
	flags.keyword_count++;
	assert_false(batch_flags(batch, inbox, &uid, 1, FLAGS_REMOVE, &flags, NO_CONDITION));
	assert_int_equal(commit_one(fixture, &batch), ERR_LIMIT);
}

/* APPEND with flags; COPY and MOVE take flags, keywords and the internal date along, and give a new save date (RFC 9051 §6.4.7, RFC 8514). */
static void test_flags_go_along(void **state)
{
	struct fixture *fixture = *state;
	const struct span names[] = { SPAN("$Important"), SPAN("work") };
	int64_t inbox = info_of(fixture, "INBOX").id, sent = info_of(fixture, "Sent").id,
	        trash = info_of(fixture, "Trash").id;
	struct batch *batch = batch_new(NULL);
	const uint32_t one = 1, dates_of[] = { 1, 2, 9 };
	struct message message;
	struct message_row *rows;
	struct account *account;
	int64_t dates[3];
	struct error err;
	size_t count;
	char text[100];

	message_make(fixture, &message, 100, 'f');
	message.new.flags = (struct message_flags) { FLAG_FLAGGED | FLAG_SEEN | UINT64_C(1) << 40, names, 2 };
	assert_true(batch_append(batch, inbox, &message.new));
	assert_true(batch_copy(batch, inbox, &one, 1, sent)); /* in the same batch */
	batch = committed(fixture, batch);
	assert_int_equal(batch_result(batch)->uid_validity, info_of(fixture, "Sent").uid_validity);
	assert_int_equal(batch_result(batch)->uid_count, 2);
	batch_free(&batch);
	message_free(&message);
	batch = batch_new(NULL);
	assert_true(batch_move(batch, sent, &one, 1, trash));
	batch = committed(fixture, batch);
	assert_int_equal(batch_result(batch)->uid_validity, info_of(fixture, "Trash").uid_validity);
	batch_free(&batch);
	keywords_of_message(fixture, "Trash", 1, text, sizeof(text));
	assert_string_equal(text, "$Important work");
	rows = rows_of(fixture, "Trash", &count);
	assert_int_equal(rows[0].flags & FLAG_SYSTEM, FLAG_FLAGGED | FLAG_SEEN);
	assert_int_equal(rows[0].flags >> FLAG_KEYWORD_FIRST, 3);
	free(rows);
	account = borrow(fixture);
	assert_true(mailbox_save_dates(account, trash, dates_of, 3, dates, &err));
	account_release(&account);
	assert_true(dates[0] > 1600000000 && dates[0] < INT64_C(100000000000));
	assert_int_equal(dates[1], 0);
	assert_int_equal(dates[2], 0);
	assert_clean(fixture);
}

static void test_missing_target(void **state)
{
	static const struct {
		char what;
		bool source, target, no_target;
	} rows[] = {
		{ 'c', true, false, true },
		{ 'c', false, true, false },
		{ 'c', false, false, false },
		{ 'm', true, false, true },
		{ 'm', false, true, false },
		{ 'a', true, false, true },
		{ 'e', false, true, false },
	};
	struct fixture *fixture = *state;
	int64_t inbox = info_of(fixture, "INBOX").id, sent = info_of(fixture, "Sent").id;
	const uint32_t uid = append(fixture, "INBOX", 100, 't');

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t from = rows[i].source ? inbox : 987654, to = rows[i].target ? sent : 987655;
		struct account *account = borrow(fixture);
		struct batch *batch = batch_new(NULL);
		struct message message;
		struct error err;

		message_make(fixture, &message, 100, 't');
		switch (rows[i].what) {
		case 'c': batch_copy(batch, from, &uid, 1, to); break;
		case 'm': batch_move(batch, from, &uid, 1, to); break;
		case 'a': batch_append(batch, to, &message.new); break;
		case 'e': batch_expunge(batch, from, &uid, 1); break;
		}
		assert_true(account_commit(account, &batch, 1, &err));
		account_release(&account);
		assert_int_equal(batch_result(batch)->error.code, ERR_NO_SUCH_MAILBOX);
		assert_int_equal(batch_result(batch)->no_target, rows[i].no_target);
		assert_int_equal(batch_result(batch)->uid_count, 0);
		batch_free(&batch);
		message_free(&message);
	}
	assert_int_equal(info_of(fixture, "INBOX").messages, 1);
}

/* EXPUNGE takes what has \Deleted when it is committed, not when it was asked for. */
static void test_expunge_deleted(void **state)
{
	static const struct {
		uint32_t deleted[4], set[4];
		bool all;
		uint32_t removed[4];
	} rows[] = {
		{ { 2, 4 }, { 1, 2, 3 }, false, { 2 } }, /* 4 is left */
		{ { 0 }, { 4, 5 }, false, { 4 } }, { { 0 }, { 5 }, false, { 0 } }, { { 1, 9 }, { 0 }, true, { 1, 9 } },
		{ { 0 }, { 0 }, true, { 0 } }, { { 7 }, { 0 }, false, { 0 } }, /* an empty set is not all */
	};
	struct fixture *fixture = *state;
	struct message_flags flags = { .system = FLAG_DELETED }, others = { .system = FLAG_SYSTEM & ~FLAG_DELETED };
	int64_t inbox = info_of(fixture, "INBOX").id;
	const uint32_t some[] = { 1, 3, 5, 8 };
	struct batch *batch = batch_new(NULL);

	for (int i = 0; i < 10; i++)
		append(fixture, "INBOX", 100 + (size_t)i, 'x');
	assert_true(batch_flags(batch, inbox, some, ARRAY_LEN(some), FLAGS_ADD, &others, NO_CONDITION));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t before = info_of(fixture, "INBOX").modseq;
		size_t marked = 0, count = 0, removed = 0;

		batch = batch_new(NULL);
		while (marked < 4 && rows[i].deleted[marked] != 0)
			marked++;
		while (count < 4 && rows[i].set[count] != 0)
			count++;
		while (removed < 4 && rows[i].removed[removed] != 0)
			removed++;
		assert_true(batch_flags(batch, inbox, rows[i].deleted, marked, FLAGS_ADD, &flags, NO_CONDITION));
		assert_true(batch_expunge_deleted(batch, inbox, rows[i].all ? NULL : rows[i].set, count));
		batch = committed(fixture, batch);
		assert_int_equal(batch_result(batch)->removed_count, removed);
		if (removed > 0)
			assert_memory_equal(batch_result(batch)->removed, rows[i].removed, removed * sizeof(uint32_t));
		batch_free(&batch);
		assert_int_equal(info_of(fixture, "INBOX").modseq > before, marked + removed > 0);
		assert_clean(fixture); /* the counters too */
	}
	assert_int_equal(info_of(fixture, "INBOX").messages, 6);
	assert_int_equal(info_of(fixture, "INBOX").deleted, 1);
	assert_int_equal(info_of(fixture, "INBOX").deleted_size, 106);
}

/* --- sets of every shape, against a plain array --- */

#define MODEL_MESSAGES 700

struct flags_model {
	bool there[MODEL_MESSAGES + 1];
	uint64_t flags[MODEL_MESSAGES + 1], modseq[MODEL_MESSAGES + 1];
	uint32_t random;
};

static uint32_t below(struct flags_model *model, uint32_t bound)
{
	model->random = model->random * 1664525 + 1013904223;
	return (model->random >> 8) % bound;
}

/* Dense, sparse, runs with holes; some UIDs are gone or never were. */
static size_t choose_uids(struct flags_model *model, uint32_t *uids)
{
	uint32_t first = 1 + below(model, MODEL_MESSAGES), sparse = below(model, 3) == 0 ? 40 : 1 + below(model, 3);
	size_t count = 0;

	for (uint32_t uid = first; uid < MODEL_MESSAGES + 30 && count < MODEL_MESSAGES; uid++) {
		if (below(model, sparse) == 0)
			uids[count++] = uid;
		if (below(model, 200) == 0)
			break;
	}
	return count;
}

static uint64_t new_flags(uint64_t old, enum flag_change change, uint64_t flags)
{
	switch (change) {
	case FLAGS_ADD: return old | flags;
	case FLAGS_REMOVE: return old & ~flags;
	case FLAGS_SET: break;
	}
	return flags;
}

/* The result as the model has it; also brings the model up to date. */
static void compare_result(struct flags_model *model, const struct batch_result *result, const uint32_t *uids,
        size_t count, enum flag_change change, uint64_t flags, uint64_t since)
{
	size_t row = 0, modified = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t uid = uids[i];
		uint64_t want;

		if (uid > MODEL_MESSAGES || !model->there[uid])
			continue;
		if (model->modseq[uid] > since) {
			assert_true(modified < result->modified_count);
			assert_int_equal(result->modified[modified++], uid);
			continue;
		}
		want = new_flags(model->flags[uid], change, flags);
		assert_true(row < result->row_count);
		assert_int_equal(result->rows[row].uid, uid);
		assert_int_equal(result->rows[row].flags, want);
		assert_int_equal(result->rows[row].changed, want != model->flags[uid]);
		if (want != model->flags[uid])
			model->modseq[uid] = result->modseq;
		assert_int_equal(result->rows[row++].modseq, model->modseq[uid]);
		model->flags[uid] = want;
	}
	assert_int_equal(row, result->row_count);
	assert_int_equal(modified, result->modified_count);
}

static void compare_rows(struct fixture *fixture, const struct flags_model *model)
{
	struct message_row *rows;
	size_t count, at = 0;

	rows = rows_of(fixture, "INBOX", &count);
	for (uint32_t uid = 1; uid <= MODEL_MESSAGES; uid++) {
		if (!model->there[uid])
			continue;
		assert_true(at < count && rows[at].uid == uid);
		assert_int_equal(rows[at].flags, model->flags[uid]);
		assert_int_equal(rows[at++].modseq, model->modseq[uid]);
	}
	assert_int_equal(at, count);
	free(rows);
}

/* What the feed tells since then is exactly what has a higher modseq (RFC 7162 §3.1.4.1) or is gone (§3.2.5). */
static void compare_feed(
        struct fixture *fixture, const struct flags_model *model, uint64_t since, const struct flags_model *then)
{
	struct account *account = borrow(fixture);
	struct account_changes changes;
	struct error err;
	int64_t inbox;
	size_t row = 0, gone = 0;

	account_release(&account);
	inbox = info_of(fixture, "INBOX").id;
	account = borrow(fixture);
	assert_true(account_changes(account, since, inbox, &changes, &err));
	account_release(&account);
	for (uint32_t uid = 1; uid <= MODEL_MESSAGES; uid++) {
		if (then->there[uid] && !model->there[uid])
			assert_int_equal(changes.mailboxes[0].vanished[gone++], uid);
		if (!model->there[uid] || model->modseq[uid] <= since)
			continue;
		assert_int_equal(changes.mailboxes[0].rows[row].uid, uid);
		assert_int_equal(changes.mailboxes[0].rows[row++].flags, model->flags[uid]);
	}
	assert_int_equal(changes.count, row + gone > 0 ? 1 : 0);
	if (changes.count > 0) {
		assert_int_equal(changes.mailboxes[0].row_count, row);
		assert_int_equal(changes.mailboxes[0].vanished_count, gone);
		assert_int_equal(changes.mailboxes[0].info.messages, info_of(fixture, "INBOX").messages);
	}
	account_changes_free(&changes);
}

static void remove_some(struct fixture *fixture, struct flags_model *model, int64_t inbox)
{
	struct batch *batch = batch_new(NULL);
	uint32_t uids[3], count = 0;

	for (uint32_t uid = 1 + below(model, 50); uid < MODEL_MESSAGES && count < 3; uid += 1 + below(model, 400)) {
		uids[count++] = uid;
		model->there[uid] = false;
	}
	assert_true(batch_expunge(batch, inbox, uids, count));
	batch = committed(fixture, batch);
	batch_free(&batch);
}

static void test_sets(void **state)
{
	struct fixture *fixture = *state;
	struct flags_model *model = calloc(1, sizeof(*model)), *then = calloc(1, sizeof(*then));
	int64_t inbox = info_of(fixture, "INBOX").id;
	uint32_t uids[MODEL_MESSAGES];
	struct message message;
	struct batch *batch = batch_new(NULL);
	uint64_t since;

	message_make(fixture, &message, 100, 's');
	for (uint32_t uid = 1; uid <= MODEL_MESSAGES; uid++) {
		assert_true(batch_append(batch, inbox, &message.new));
		model->there[uid] = true;
	}
	batch = committed(fixture, batch);
	since = batch_result(batch)->modseq;
	for (uint32_t uid = 1; uid <= MODEL_MESSAGES; uid++)
		model->modseq[uid] = since;
	batch_free(&batch);
	message_free(&message);
	model->random = 4711;
	*then = *model;
	for (int round = 0; round < 300; round++) {
		size_t count = choose_uids(model, uids);
		struct message_flags flags = { .system = below(model, 32) };
		enum flag_change change = (enum flag_change)below(model, 3);
		uint64_t condition = NO_CONDITION;

		if (round % 30 == 0) {
			since = usage_of(fixture).modseq;
			*then = *model;
		}
		if (below(model, 3) == 0)
			condition = usage_of(fixture).modseq - below(model, 20);
		batch = batch_new(NULL);
		assert_true(batch_flags(batch, inbox, uids, count, change, &flags, condition));
		batch = committed(fixture, batch);
		compare_result(model, batch_result(batch), uids, count, change, flags.system, condition);
		batch_free(&batch);
		if (below(model, 10) == 0)
			remove_some(fixture, model, inbox);
		compare_rows(fixture, model);
		compare_feed(fixture, model, since, then);
	}
	assert_clean(fixture); /* with the rule that each change of flags is recorded */
	free(model);
	free(then);
}

/* A keyword list comes with the rows that need it, in one state. */
static void test_feed_brings_keywords(void **state)
{
	struct fixture *fixture = *state;
	struct mailbox_snapshot snapshot;
	struct account_changes changes;
	struct account *account;
	int64_t inbox = info_of(fixture, "INBOX").id;
	struct error err;

	append(fixture, "INBOX", 100, 'k');
	assert_int_equal(change_keyword(fixture, 1, FLAGS_ADD, "first"), ERR_NONE);
	account = borrow(fixture);
	assert_true(mailbox_snapshot(account, inbox, &snapshot, &err));
	assert_int_equal(snapshot.count, 1);
	assert_int_equal(snapshot.info.messages, 1);
	assert_true(span_equal(snapshot.keywords.names[0], SPAN("first")));
	assert_int_equal(snapshot.rows[0].flags, UINT64_C(1) << FLAG_KEYWORD_FIRST);
	account_release(&account);
	assert_int_equal(change_keyword(fixture, 1, FLAGS_ADD, "second"), ERR_NONE);
	account = borrow(fixture);
	assert_true(account_changes(account, snapshot.modseq, inbox, &changes, &err));
	assert_int_equal(changes.keywords_version, changes.modseq);
	assert_int_equal(changes.keywords.version, changes.modseq);
	assert_true(span_equal(changes.keywords.names[1], SPAN("second")));
	assert_int_equal(changes.mailboxes[0].rows[0].flags, UINT64_C(3) << FLAG_KEYWORD_FIRST);
	mailbox_snapshot_free(&snapshot);
	snapshot.modseq = changes.modseq;
	account_changes_free(&changes);
	assert_true(account_changes(account, snapshot.modseq, inbox, &changes, &err));
	assert_int_equal(changes.count, 0);
	assert_int_equal(changes.keywords.version, 0); /* nothing newer */
	assert_int_equal(changes.keywords_version, snapshot.modseq);
	account_changes_free(&changes);
	assert_false(mailbox_snapshot(account, 424242, &snapshot, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_MAILBOX);
	assert_true(account_changes(account, 0, 424242, &changes, &err)); /* a mailbox that is not there is gone */
	assert_int_equal(changes.count, 1);
	assert_true(changes.mailboxes[0].deleted);
	account_changes_free(&changes);
	account_release(&account);
}

/* HIGHESTMODSEQ never goes back: not when the last message goes, not over a restart (RFC 7162 §3.1.2.1). */
static void test_modseq_never_back(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t uid = append(fixture, "INBOX", 100, 'm');
	struct batch *batch = batch_new(NULL);
	uint64_t before = info_of(fixture, "INBOX").modseq;

	assert_true(before > 0);
	assert_true(info_of(fixture, "Drafts").modseq > 0); /* RFC 7162 §3.1.2.1: not zero, also of an empty one */
	assert_true(batch_expunge(batch, info_of(fixture, "INBOX").id, &uid, 1));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	assert_true(info_of(fixture, "INBOX").modseq > before);
	before = info_of(fixture, "INBOX").modseq;
	fixture_reopen(fixture, 0);
	assert_int_equal(info_of(fixture, "INBOX").modseq, before);
	assert_int_equal(usage_of(fixture).modseq, before);
	append(fixture, "Sent", 100, 'm');
	assert_int_equal(info_of(fixture, "INBOX").modseq, before);
	assert_true(usage_of(fixture).modseq > before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_keywords),
		TEST(test_keyword_limit),
		TEST(test_keywords_per_operation),
		TEST(test_flags_go_along),
		TEST(test_missing_target),
		TEST(test_expunge_deleted),
		TEST(test_sets),
		TEST(test_feed_brings_keywords),
		TEST(test_modseq_never_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
