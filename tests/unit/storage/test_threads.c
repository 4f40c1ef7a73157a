/* Several threads of one process on the same accounts, as the workers of a daemon are; for the thread sanitizer, and for the sums at the end. */
#include "fixture.h"

#include "storage/changes.h"
#include "storage/messages.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS  4
#define ROUNDS   60
#define ACCOUNTS 3 /* more than are kept open, so that files are closed and opened meanwhile */

struct work {
	struct fixture *fixture;
	unsigned number;
	uint64_t modseq[ACCOUNTS]; /* as last seen */
	bool failed;
};

static bool add_octets(void *arg, size_t i, const struct stored_message *message)
{
	(void)i;
	*(uint64_t *)arg += message->header.len + message->rest.len;
	return true;
}

/* All rows of INBOX, and the octets of the first ones. */
static bool read_some(struct account *account, int64_t inbox, struct error *err)
{
	struct mailbox_snapshot snapshot;
	int64_t ids[20];
	uint64_t octets = 0, sizes = 0;
	bool ok;

	if (!mailbox_snapshot(account, inbox, &snapshot, err))
		return false;
	for (size_t i = 0; i < snapshot.count && i < ARRAY_LEN(ids); i++) {
		ids[i] = snapshot.rows[i].message_id;
		sizes += snapshot.rows[i].size;
	}
	ok = snapshot.count == snapshot.info.messages &&
	     messages_read(account, ids, snapshot.count < ARRAY_LEN(ids) ? snapshot.count : ARRAY_LEN(ids), WANT_BYTES,
	             add_octets, &octets, err) &&
	     octets == sizes;
	mailbox_snapshot_free(&snapshot);
	return ok;
}

static bool see_changes(struct work *w, struct account *account, unsigned which, int64_t inbox, struct error *err)
{
	struct account_changes changes;
	bool ok = account_changes(account, w->modseq[which], inbox, &changes, err);

	ok = ok && changes.modseq >= w->modseq[which];
	if (ok)
		w->modseq[which] = changes.modseq;
	account_changes_free(&changes);
	return ok;
}

static bool change_some(struct work *w, struct account *account, int64_t inbox, struct error *err)
{
	char name[20];
	struct span keyword;
	struct message_flags flags = { .system = FLAG_SEEN, .keywords = &keyword, .keyword_count = 1 };
	const uint32_t uids[] = { 1, 2, 3, 5, 8, 13, 21 };
	struct batch *batch = batch_new(NULL);
	struct message message;
	bool ok;

	snprintf(name, sizeof(name), "thread%u", w->number);
	keyword = span_of(name);
	message_make(w->fixture, &message, 200, 't');
	ok = batch_append(batch, inbox, &message.new) &&
	     batch_flags(batch, inbox, uids, ARRAY_LEN(uids), FLAGS_SET, &flags, UINT64_MAX) &&
	     account_commit(account, &batch, 1, err) && batch_result(batch)->error.code == ERR_NONE;
	batch_free(&batch);
	message_free(&message);
	return ok;
}

static bool one_round(struct work *w, unsigned which, struct error *err)
{
	struct mailbox_info inbox;
	struct account *account;
	bool ok;

	if (!account_open(w->fixture->store, ACCOUNT + which, &account, err))
		return false;
	ok = mailbox_find_use(account, USE_INBOX, &inbox, err) && change_some(w, account, inbox.id, err) &&
	     see_changes(w, account, which, inbox.id, err) && read_some(account, inbox.id, err);
	account_release(&account);
	return ok;
}

static void *run(void *arg)
{
	struct work *w = arg;
	struct error err;

	error_clear(&err);
	for (unsigned i = 0; i < ROUNDS && !w->failed; i++) {
		w->failed = !one_round(w, (i + w->number) % ACCOUNTS, &err);
		if (w->failed)
			print_error("thread %u: %s %s\n", w->number, err.reason, err.detail);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct fixture *fixture = *state;
	struct store_settings settings = { .data_dir = fixture->dir, .accounts_max = ACCOUNTS - 1 };
	struct work works[THREADS] = { 0 };
	pthread_t threads[THREADS];
	struct error err;

	store_close(&fixture->store);
	assert_true(store_open(&settings, &fixture->store, &err));
	for (unsigned i = 1; i < ACCOUNTS; i++)
		assert_true(store_create_account(fixture->store, ACCOUNT + i, &err));
	for (unsigned i = 0; i < THREADS; i++) {
		works[i].fixture = fixture;
		works[i].number = i;
		assert_int_equal(pthread_create(&threads[i], NULL, run, &works[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(works[i].failed);
	}
	assert_int_equal(info_of(fixture, "INBOX").messages, THREADS * ROUNDS / ACCOUNTS);
	assert_clean(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
