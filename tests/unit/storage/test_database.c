/* storage/database.h: migrations with a kept copy, the lock, and what is refused. */
#include "fixture.h"

#include "storage/database.h"
#include "storage/write_lock.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_1 "PRAGMA application_id = 77; CREATE TABLE t (a INTEGER) STRICT; PRAGMA user_version = 1;"
#define STEP_2 "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 5; PRAGMA user_version = 2;"
#define BROKEN "ALTER TABLE t ADD COLUMN c INTEGER; SELECT no_such_function(); PRAGMA user_version = 3;"

static const char *const steps[] = { STEP_1, STEP_2, BROKEN };
static const char *const statements_1[] = { "INSERT INTO t VALUES (?)", "SELECT sum(a) FROM t" };
static const char *const statements_2[] = { "INSERT INTO t VALUES (?, 7)", "SELECT sum(a) + sum(b) FROM t" };

enum { INSERT, SUM };

static const struct database_kind version_1 = { 77, steps, 1, statements_1, 2 };
static const struct database_kind version_2 = { 77, steps, 2, statements_2, 2 };
static const struct database_kind version_3 = { 77, steps, 3, statements_2, 2 };
static const char *const large_steps[] = {
	"PRAGMA application_id = 77; CREATE TABLE t (a INTEGER, b BLOB); PRAGMA user_version = 1;"
};
static const char *const large_statements[] = { "INSERT INTO t VALUES (?, iif(?1 < 0, zeroblob(8240000), NULL))",
	"SELECT sum(a) FROM t" };
static const struct database_kind large_rows = { 77, large_steps, 1, large_statements, 2 };
static const struct database_kind other_kind = { 78, steps, 1, statements_1, 2 };

static bool insert(struct database *database, int64_t number)
{
	struct error err;

	assert_true(database_begin(database, &err));
	assert_true(DATABASE_RUN(database, INSERT, &err, V_INT(number)));
	return database_commit(database, &err);
}

static int64_t sum(struct database *database)
{
	sqlite3_stmt *rows;
	struct error err;
	int64_t number;

	assert_true(database_query(database, SUM, NULL, 0, &rows, &err));
	assert_int_equal(database_step(database, rows, &err), STEP_ROW);
	number = sqlite3_column_int64(rows, 0);
	database_done(rows);
	return number;
}

static void test_migration(void **state)
{
	char dir[64], path[128], kept[160];
	struct database *database;
	struct error err;

	(void)state;
	make_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/x.db", dir);
	snprintf(kept, sizeof(kept), "%s.v1", path);
	assert_false(database_open(path, &version_1, false, &database, &err)); /* not there */
	assert_true(database_open(path, &version_1, true, &database, &err));
	assert_true(insert(database, 10));
	database_close(&database);
	assert_null(database);

	assert_true(database_open(path, &version_2, false, &database, &err));
	assert_int_equal(sum(database), 15);
	assert_true(insert(database, 1));
	database_close(&database);
	assert_true(database_open(kept, &version_1, false, &database, &err)); /* the copy is as it was */
	assert_int_equal(sum(database), 10);
	database_close(&database);

	assert_false(database_open(path, &version_3, false, &database, &err)); /* a step that fails changes nothing */
	assert_true(database_open(path, &version_2, false, &database, &err));
	assert_int_equal(sum(database), 23);
	database_close(&database);
	assert_false(database_open(path, &version_1, false, &database, &err)); /* newer than the program */
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.reason, "newer version"));
	assert_false(database_open(path, &other_kind, false, &database, &err));
	assert_int_equal(err.code, ERR_DAMAGED);
	remove_dir(dir);
}

static void test_not_a_database(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = { { "", 0 }, { "hello", 5 }, { "SQLite format 3", 16 } };
	char dir[64], path[128];

	(void)state;
	make_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/x.db", dir);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
		struct database *database;
		struct error err;

		assert_true(fd >= 0 && write(fd, rows[i].bytes, rows[i].len) == (ssize_t)rows[i].len);
		close(fd);
		assert_false(database_open(path, &version_1, false, &database, &err));
		assert_int_equal(err.code, ERR_DAMAGED);
	}
	remove_dir(dir);
}

static void test_rollback_and_savepoint(void **state)
{
	char dir[64], path[128];
	struct database *database;
	struct error err;

	(void)state;
	make_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/x.db", dir);
	assert_true(database_open(path, &version_1, true, &database, &err));
	assert_true(insert(database, 1));
	assert_true(database_begin(database, &err));
	assert_true(DATABASE_RUN(database, INSERT, &err, V_INT(10)));
	database_rollback(database);
	assert_int_equal(sum(database), 1);
	assert_true(database_begin(database, &err));
	assert_true(database_savepoint(database, &err));
	assert_true(DATABASE_RUN(database, INSERT, &err, V_INT(100)));
	assert_true(database_savepoint_undo(database, &err));
	assert_true(database_savepoint(database, &err));
	assert_true(DATABASE_RUN(database, INSERT, &err, V_INT(1000)));
	assert_true(database_savepoint_keep(database, &err));
	assert_true(database_commit(database, &err));
	assert_int_equal(sum(database), 1001);
	assert_true(database_checkpoint(database, &err));
	assert_int_equal(sum(database), 1001);
	database_close(&database);
	remove_dir(dir);
}

struct waiter {
	int fd;
	int wait_ms;
	bool taken;
	int64_t waited;
	struct error err;
};

static void *wait_for_lock(void *arg)
{
	struct waiter *waiter = arg;
	int64_t start = clock_mono_ms();

	waiter->taken = write_lock_take(waiter->fd, waiter->wait_ms, &waiter->err);
	waiter->waited = clock_mono_ms() - start;
	return NULL;
}

static void test_lock_wait_is_bounded(void **state)
{
	struct waiter patient = { .wait_ms = 10000 }, hasty = { .wait_ms = 100 };
	pthread_t threads[2];
	char dir[64], path[128];
	struct error err;
	int holder;

	(void)state;
	make_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/lock", dir);
	holder = write_lock_open(path, &err);
	patient.fd = write_lock_open(path, &err);
	hasty.fd = write_lock_open(path, &err);
	assert_true(write_lock_take(holder, 0, &err));
	assert_false(write_lock_take(patient.fd, 0, &err));
	assert_int_equal(err.code, ERR_BUSY);
	pthread_create(&threads[0], NULL, wait_for_lock, &patient);
	pthread_create(&threads[1], NULL, wait_for_lock, &hasty);
	pthread_join(threads[1], NULL);
	assert_false(hasty.taken);
	assert_int_equal(hasty.err.code, ERR_BUSY);
	assert_true(hasty.waited >= 100);
	write_lock_give(holder);
	pthread_join(threads[0], NULL);
	assert_true(patient.taken);
	close(holder);
	close(patient.fd);
	close(hasty.fd);
	remove_dir(dir);
}

/* A commit that waits for a reader's snapshot would make readers block writers: it must not. */
static void test_reader_does_not_block_writer(void **state)
{
	char dir[64], path[128];
	struct database *reader, *writer;
	struct error err;

	(void)state;
	make_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/x.db", dir);
	assert_true(database_open(path, &version_1, true, &writer, &err));
	assert_true(database_open(path, &version_1, false, &reader, &err));
	assert_true(insert(writer, 1));
	assert_true(database_begin_read(reader, &err));
	assert_int_equal(sum(reader), 1);
	for (int i = 0; i < 3000; i++) /* across several checkpoints */
		assert_true(insert(writer, 1));
	assert_int_equal(sum(reader), 1);
	database_end_read(reader);
	assert_int_equal(sum(reader), 3001);
	database_close(&reader);
	database_close(&writer);
	remove_dir(dir);
}

static void copy_file(const char *from, const char *to)
{
	static char piece[64 * 1024];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t got;

	assert_true(in >= 0 && out >= 0);
	while ((got = read(in, piece, sizeof(piece))) > 0)
		assert_int_equal(write(out, piece, (size_t)got), got);
	close(in);
	close(out);
}

/* What the WAL has beyond its last frame is zeros, and whoever finds it after a crash reads what was committed and no more. */
static void test_wal_grows_ahead(void **state)
{
	char dir[64], path[128], wal[140], crashed[140], crashed_wal[160];
	struct database *database;
	struct stat before = { .st_size = 0 }, after;
	struct error err;
	unsigned growths = 0;

	(void)state;
	make_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/x.db", dir);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	snprintf(crashed, sizeof(crashed), "%s/crashed.db", dir);
	snprintf(crashed_wal, sizeof(crashed_wal), "%s-wal", crashed);
	assert_true(database_open(path, &version_1, true, &database, &err));
	for (int i = 1; i <= 900; i++) { /* before the first checkpoint */
		assert_true(insert(database, 1));
		assert_int_equal(stat(wal, &after), 0);
		growths += after.st_size != before.st_size;
		before = after;
	}
	assert_in_range(growths, 1, 12);
	copy_file(path, crashed);
	copy_file(wal, crashed_wal);
	assert_int_equal(sum(database), 900);
	database_close(&database);
	assert_true(database_open(crashed, &version_1, false, &database, &err));
	assert_int_equal(sum(database), 900);
	assert_true(insert(database, 1));
	assert_int_equal(sum(database), 901);
	database_close(&database);
	remove_dir(dir);
}

/* SQLite writes a transaction that is too large for memory to the WAL before it ends. What of it has not been written by then must never be. */
static void test_large_rollback_leaves_nothing(void **state)
{
	char dir[64], path[128], wal[140], crashed[140], crashed_wal[160];
	struct database *ours, *others;
	struct error err;

	(void)state;
	make_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/x.db", dir);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	snprintf(crashed, sizeof(crashed), "%s/crashed.db", dir);
	snprintf(crashed_wal, sizeof(crashed_wal), "%s-wal", crashed);
	assert_true(database_open(path, &large_rows, true, &ours, &err));
	assert_true(database_open(path, &large_rows, false, &others, &err));
	assert_true(insert(ours, 1));
	assert_true(database_begin(ours, &err));
	assert_true(DATABASE_RUN(ours, INSERT, &err, V_INT(-5)));
	database_rollback(ours);
	assert_true(insert(others, 2));
	assert_int_equal(sum(ours), 3);
	copy_file(path, crashed);
	copy_file(wal, crashed_wal);
	assert_int_equal(sum(others), 3);
	database_close(&ours);
	database_close(&others);
	assert_true(database_open(crashed, &large_rows, false, &ours, &err));
	assert_int_equal(sum(ours), 3);
	database_close(&ours);
	remove_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_migration),
		cmocka_unit_test(test_not_a_database),
		cmocka_unit_test(test_rollback_and_savepoint),
		cmocka_unit_test(test_lock_wait_is_bounded),
		cmocka_unit_test(test_reader_does_not_block_writer),
		cmocka_unit_test(test_wal_grows_ahead),
		cmocka_unit_test(test_large_rollback_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
