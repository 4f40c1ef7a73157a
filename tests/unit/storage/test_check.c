/* storage/check.h: each kind of damage is found; what can be repaired is, and then nothing is found any more. */
#include "fixture.h"

#include "storage/check.h"

#include "base/clock.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct seen {
	unsigned count, repaired;
	enum finding_severity worst;
};

static void see(void *arg, const struct finding *finding)
{
	struct seen *seen = arg;

	seen->count++;
	seen->repaired += finding->repaired;
	if (finding->severity > seen->worst)
		seen->worst = finding->severity;
}

static struct seen check(const struct fixture *fixture, bool repair)
{
	struct seen seen = { 0 };
	struct error err;

	if (!check_site(fixture->dir, repair, see, &seen, &err))
		fail_msg("%s: %s", err.reason, err.detail);
	return seen;
}

static void run_sql(const struct fixture *fixture, const char *sql)
{
	char path[128];
	sqlite3 *handle;

	snprintf(path, sizeof(path), "%s/accounts/%d/mail.db", fixture->dir, ACCOUNT);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
	sqlite3_close(handle);
}

static const struct damage {
	const char *sql;
	enum finding_severity severity;
	bool repairable;
} damages[] = {
	{ "UPDATE mailbox SET messages = messages + 1 WHERE name = 'INBOX'", FINDING_COUNTER, true },
	{ "UPDATE mailbox SET unseen = 0, deleted = 5, size = 1", FINDING_COUNTER, true },
	{ "UPDATE account SET usage_bytes = 1", FINDING_COUNTER, true },
	{ "UPDATE account SET usage_messages = 17", FINDING_COUNTER, true },
	{ "UPDATE account SET modseq = 1", FINDING_DAMAGE, true },
	{ "UPDATE account SET id_next = 1", FINDING_DAMAGE, true },
	{ "UPDATE account SET uid_validity_next = 1", FINDING_DAMAGE, true },
	{ "UPDATE mailbox SET uid_next = 1 WHERE name = 'INBOX'", FINDING_DAMAGE, true },
	{ "UPDATE mailbox SET modseq = 1 WHERE name = 'INBOX'", FINDING_DAMAGE, true },
	{ "UPDATE mailbox SET uid_validity = 1", FINDING_DAMAGE, false },
	{ "UPDATE mailbox SET name = 'x' WHERE name = 'INBOX'", FINDING_DAMAGE, false },
	{ "UPDATE membership SET size = 1 WHERE uid = 2", FINDING_COUNTER, true },
	{ "UPDATE membership SET created = modseq + 1 WHERE uid = 2", FINDING_DAMAGE, true },
	{ "DELETE FROM membership WHERE uid = 2", FINDING_COUNTER, true }, /* and its message is rubbish */
	{ "DELETE FROM extra_copies", FINDING_COUNTER, true },
	{ "UPDATE extra_copies SET copies = 3", FINDING_COUNTER, true },
	{ "INSERT INTO extra_copies SELECT message_id, 2 FROM membership WHERE uid = 2", FINDING_COUNTER, true },
	{ "INSERT INTO expunged SELECT 5, message_id FROM membership WHERE uid = 2", FINDING_DAMAGE, true },
	{ "INSERT INTO expunged VALUES (5, 99999)", FINDING_RUBBISH, true },
	{ "INSERT INTO tombstone SELECT 1, mailbox_id, uid, 0, 0 FROM membership WHERE uid = 2", FINDING_DAMAGE, true },
	{ "INSERT INTO tombstone VALUES (999999, 1, 77, 0, 0)", FINDING_DAMAGE, true },
	{ "DELETE FROM content WHERE message_id = (SELECT message_id FROM membership WHERE uid = 2)", FINDING_DAMAGE,
	        false },
	{ "DELETE FROM header WHERE message_id = (SELECT message_id FROM membership WHERE uid = 2)", FINDING_DAMAGE,
	        false },
	{ "UPDATE header SET head = zeroblob(length(head))", FINDING_DAMAGE, false },
	{ "DELETE FROM message WHERE message_id = (SELECT message_id FROM membership WHERE uid = 2)", FINDING_DAMAGE,
	        false },
	{ "UPDATE content SET bytes = zeroblob(length(bytes)) WHERE bytes IS NOT NULL", FINDING_DAMAGE, false },
	{ "UPDATE content SET length = length + 1 WHERE class = 1", FINDING_DAMAGE, false },
	{ "UPDATE content SET file = replace(file, substr(file, 9, 1), 'z') WHERE class = 1", FINDING_DAMAGE, false },
	{ "DELETE FROM account_constant", FINDING_DAMAGE, false },
	{ "UPDATE mailbox SET deleted_size = 7 WHERE name = 'INBOX'", FINDING_COUNTER, true },
	{ "DELETE FROM flag_change", FINDING_DAMAGE, true },
	{ "UPDATE flag_change SET uid_last = uid_first - 1", FINDING_DAMAGE, true },
	{ "UPDATE membership SET flags = flags | 32 WHERE uid = 2", FINDING_DAMAGE, true },
	{ "DELETE FROM keyword", FINDING_DAMAGE, true },
	{ "UPDATE membership SET flags = flags | (1 << 63) WHERE uid = 2", FINDING_DAMAGE, true },
	{ "UPDATE account SET keyword_modseq = 100000", FINDING_DAMAGE, true },
	{ "UPDATE account SET keyword_modseq = 0", FINDING_DAMAGE, true },
};

static void test_damages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		const struct message_flags flags = { FLAG_DELETED, (const struct span[]) { SPAN("$Junk") }, 1 };
		const struct damage *damage = &damages[i];
		struct fixture *fixture;
		struct mailbox_info inbox;
		struct batch *batch;
		struct seen seen;

		fixture_setup((void **)&fixture);
		append(fixture, "INBOX", 100, 'a');
		append(fixture, "INBOX", 200, 'b');
		append(fixture, "INBOX", 100000, 'c');
		inbox = info_of(fixture, "INBOX");
		batch = batch_new(NULL);
		assert_true(batch_copy(batch, inbox.id, (const uint32_t[]) { 3 }, 1, info_of(fixture, "Archive").id));
		assert_true(
		        batch_flags(batch, inbox.id, (const uint32_t[]) { 1, 2 }, 2, FLAGS_ADD, &flags, UINT64_MAX));
		assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
		assert_clean(fixture);
		store_close_idle(fixture->store, 0);
		run_sql(fixture, damage->sql);
		seen = check(fixture, false);
		if (seen.count == 0 || seen.worst != damage->severity || seen.repaired != 0)
			fail_msg("%s: %u findings, worst %d", damage->sql, seen.count, seen.worst);
		seen = check(fixture, true);
		assert_int_equal(damage->repairable, seen.repaired == seen.count);
		if (damage->repairable && check(fixture, true).count != 0)
			fail_msg("%s: still there after the repair", damage->sql);
		if (damage->repairable)
			assert_clean(fixture);
		fixture_teardown((void **)&fixture);
	}
}

static void test_rubbish_bodies(void **state)
{
	struct fixture *fixture = *state;
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/accounts/%d/blobs/ab", fixture->dir, ACCOUNT);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/accounts/%d/blobs/ab/ab012345678901234567890123456789", fixture->dir, ACCOUNT);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(check(fixture, true).count, 0); /* young: somebody may be about to name it */
	assert_int_equal(access(path, F_OK), 0);
	clock_set_for_test(-1, clock_wall_ms() + 2 * CHECK_YOUNG_MS);
	assert_int_equal(check(fixture, false).count, 1);
	assert_int_equal(check(fixture, true).repaired, 1);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(check(fixture, true).count, 0);
	clock_set_for_test(-1, -1);
}

static void test_torn_file(void **state)
{
	struct fixture *fixture = *state;
	char path[128];

	for (int i = 0; i < 50; i++)
		append(fixture, "INBOX", 3000, 't');
	store_close(&fixture->store);
	run_sql(fixture, "PRAGMA wal_checkpoint(TRUNCATE)");
	snprintf(path, sizeof(path), "%s/accounts/%d/mail.db", fixture->dir, ACCOUNT);
	assert_int_equal(truncate(path, 4096 * 20), 0);
	assert_true(check(fixture, false).worst == FINDING_DAMAGE);
	assert_true(check(fixture, true).repaired == 0);
	fixture_reopen(fixture, 0);
}

static void test_missing_file(void **state)
{
	struct fixture *fixture = *state;
	char path[128];

	store_close_idle(fixture->store, 0);
	snprintf(path, sizeof(path), "%s/accounts/%d/mail.db", fixture->dir, ACCOUNT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(check(fixture, true).count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damages),
		cmocka_unit_test_setup_teardown(test_rubbish_bodies, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_torn_file, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_missing_file, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
