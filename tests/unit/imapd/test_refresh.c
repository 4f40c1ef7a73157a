/* A refresh of the view that fails: what a command then does, and that it does nothing by half (imapd/command.h). The store's
 * account_changes() and the index's index_patch() fail when told to; the clock stands, so that a test says when the index is asked for anew. */
#include "fixture.h"

#include "base/clock.h"
#include "imapd/index.h"
#include "imapd/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define UNREADABLE "NO [UNAVAILABLE] *"

static bool changes_fail, patches_fail;
static enum error_code why;
static int64_t now = 1000000;

bool __real_account_changes(
        struct account *account, uint64_t since, int64_t mailbox_id, struct account_changes *out, struct error *err);
bool __real_index_patch(struct index *index, uint64_t since, uint64_t modseq, const struct mailbox_changes *changes);
bool __wrap_account_changes(
        struct account *account, uint64_t since, int64_t mailbox_id, struct account_changes *out, struct error *err);
bool __wrap_index_patch(struct index *index, uint64_t since, uint64_t modseq, const struct mailbox_changes *changes);

bool __wrap_account_changes(
        struct account *account, uint64_t since, int64_t mailbox_id, struct account_changes *out, struct error *err)
{
	if (changes_fail)
		return error_set(err, why, "a test makes this fail");
	return __real_account_changes(account, since, mailbox_id, out, err);
}

/* As if memory were out. */
bool __wrap_index_patch(struct index *index, uint64_t since, uint64_t modseq, const struct mailbox_changes *changes)
{
	if (patches_fail && modseq > index->modseq) {
		index->behind = true;
		return false;
	}
	return __real_index_patch(index, since, modseq, changes);
}

static void expect(const char *ask, const char *want)
{
	size_t len = strlen(want);
	char line[300];
	const char *got;

	(void)snprintf(line, sizeof(line), "a %s", ask);
	got = place_ask(line);
	if (want[len - 1] == '*' ? strncmp(got, want, len - 1) != 0 : strcmp(got, want) != 0)
		fail_msg("%.60s: wanted %.200s got %.200s", ask, want, got);
}

/* What is known of the mailbox is too old to be used unasked. */
static void time_passes(void)
{
	now += 2 * WATCH_TRUST_MS;
	clock_set_for_test(now, -1);
}

/* Three messages, the second is \Deleted; Trash is empty. */
static int setup(void **state)
{
	(void)state;
	clock_set_for_test(now, -1);
	changes_fail = patches_fail = false;
	why = ERR_IO;
	place_open_with_store();
	place_connect();
	place_ask("a LOGIN alice@example.test secret");
	place_ask("a SELECT INBOX");
	place_ask("a STORE 1:* +FLAGS.SILENT (\\Deleted)");
	place_ask("a EXPUNGE");
	for (int i = 0; i < 3; i++)
		place_ask("a APPEND INBOX {12+}\r\nSubject: x\r\n");
	place_ask("a STORE 2 +FLAGS (\\Deleted)");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	place_close();
	clock_set_for_test(-1, -1);
	return 0;
}

static const struct refused {
	const char *command;
	bool old_will_do;
} rows[] = {
	{ "EXPUNGE", false },
	{ "UID EXPUNGE 1:*", false },
	{ "CLOSE", false },
	{ "STORE 1 +FLAGS (\\Seen)", false },
	{ "UID STORE 1:* -FLAGS.SILENT (\\Deleted)", false },
	{ "COPY 1:* Trash", false },
	{ "UID COPY 1:* Trash", false },
	{ "MOVE 1:* Trash", false },
	{ "UID MOVE 1:* Trash", false },
	{ "SEARCH ALL", false },
	{ "UID SEARCH DELETED", false },
	{ "SORT (ARRIVAL) UTF-8 ALL", false },
	{ "THREAD REFERENCES UTF-8 ALL", false },
	{ "FETCH 1 (FLAGS)", true },
	{ "NOOP", true },
	{ "STATUS Trash (MESSAGES)", true },
};

static void assert_nothing_happened(void)
{
	expect("FETCH 1:* (FLAGS)",
	        "* 1 FETCH (FLAGS ())\r\n* 2 FETCH (FLAGS (\\Deleted))\r\n* 3 FETCH (FLAGS ())\r\na OK *");
	expect("STATUS Trash (MESSAGES)", "* STATUS Trash (MESSAGES 0)\r\na OK *");
}

static void assert_goes_on(const char *command)
{
	char line[100];
	const char *got;

	(void)snprintf(line, sizeof(line), "a %s", command);
	got = place_ask(line);
	if (strstr(got, "a OK ") == NULL)
		fail_msg("%s: got %s", command, got);
}

static void test_commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		time_passes();
		changes_fail = true;
		if (!rows[i].old_will_do)
			expect(rows[i].command, "a " UNREADABLE);
		else
			assert_goes_on(rows[i].command);
		changes_fail = false;
		assert_nothing_happened();
	}
	expect("EXPUNGE", "* 2 EXPUNGE\r\na OK *");
}

/* The same when the changes were read, and there is no memory to take them. */
static void test_commands_without_memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		patches_fail = true;
		expect("SUBSCRIBE news", "a OK *"); /* a change, though not here */
		time_passes();
		if (!rows[i].old_will_do)
			expect(rows[i].command, "a " UNREADABLE);
		patches_fail = false;
		expect("UNSUBSCRIBE news", "a OK *");
		assert_nothing_happened();
	}
}

/* What happened is told by its code. */
static void test_codes(void **state)
{
	static const struct {
		enum error_code why;
		const char *want;
	} codes[] = {
		{ ERR_IO, "a NO [UNAVAILABLE] *" },
		{ ERR_NO_MEMORY, "a NO [UNAVAILABLE] *" },
		{ ERR_DAMAGED, "a NO [CORRUPTION] *" },
		{ ERR_BUSY, "a NO [INUSE] *" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		time_passes();
		changes_fail = true;
		why = codes[i].why;
		expect("EXPUNGE", codes[i].want);
	}
}

/* FETCH does not go back behind what the session has done itself, nor shows bits under names that they did not have. */
static void test_fetch_is_refused_too(void **state)
{
	(void)state;
	changes_fail = true;
	expect("STORE 1 +FLAGS (\\Flagged)", "* 1 FETCH (FLAGS (\\Flagged))\r\na OK *");
	expect("FETCH 1 (FLAGS)", "a " UNREADABLE);
	changes_fail = false;
	expect("FETCH 1 (FLAGS)", "* 1 FETCH (FLAGS (\\Flagged))\r\n*");
	patches_fail = true;
	expect("APPEND INBOX ($new) {12+}\r\nSubject: x\r\n", "a OK *");
	expect("FETCH 1 (FLAGS)", "a " UNREADABLE);
	patches_fail = false;
	expect("NOOP", "* 4 EXISTS\r\n*");
	expect("FETCH 4 (FLAGS)", "* 4 FETCH (FLAGS ($new))\r\na OK *");
}

/* What was done is done: its news come when they can be read. */
static void test_news_come_later(void **state)
{
	(void)state;
	changes_fail = true;
	expect("EXPUNGE", "a OK *");
	expect("NOOP", "a OK *");
	changes_fail = false;
	expect("NOOP", "* 2 EXPUNGE\r\na OK *");
}

/* A mailbox that cannot be brought up to date is not opened. */
static void test_select(void **state)
{
	(void)state;
	expect("UNSELECT", "a OK *");
	time_passes();
	changes_fail = true;
	expect("SELECT INBOX", "a " UNREADABLE);
	changes_fail = false;
	assert_non_null(strstr(place_ask("a SELECT INBOX"), "* 3 EXISTS"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_commands),
		TEST(test_commands_without_memory),
		TEST(test_codes),
		TEST(test_fetch_is_refused_too),
		TEST(test_news_come_later),
		TEST(test_select),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
