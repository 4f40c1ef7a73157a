#include "storage/database.h"

#include "base/check.h"
#include "base/log.h"
#include "storage/database_private.h"
#include "storage/store.h"
#include "storage/wal_vfs.h"
#include "storage/write_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOKASIDE_SLOT       256
#define LOOKASIDE_COUNT      64
#define CHECKPOINT_READER_MS 50 /* for readers to let go of the WAL; otherwise it grows by another thousand pages */

enum fixed {
	FIXED_BEGIN_WRITE,
	FIXED_BEGIN_READ,
	FIXED_COMMIT,
	FIXED_ROLLBACK,
	FIXED_SAVE,
	FIXED_SAVE_KEEP,
	FIXED_SAVE_UNDO,
	FIXED_DATA_VERSION,
	FIXED_COUNT
};

static const char *const fixed_sql[FIXED_COUNT] = {
	[FIXED_BEGIN_WRITE] = "BEGIN IMMEDIATE",
	[FIXED_BEGIN_READ] = "BEGIN",
	[FIXED_COMMIT] = "COMMIT",
	[FIXED_ROLLBACK] = "ROLLBACK",
	[FIXED_SAVE] = "SAVEPOINT batch",
	[FIXED_SAVE_KEEP] = "RELEASE batch",
	[FIXED_SAVE_UNDO] = "ROLLBACK TO batch",
	[FIXED_DATA_VERSION] = "PRAGMA data_version",
};

static const char connection_sql[] =
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -128; PRAGMA cache_spill = 2000;"
        "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;";

/* A large transaction would read the pages that lead to its rows again and again: what it has changed leaves them no room. */
static const char large_cache_sql[] = "PRAGMA cache_size = -8192";
static const char usual_cache_sql[] = "PRAGMA cache_size = -128";

static pthread_once_t sqlite_once = PTHREAD_ONCE_INIT;

static void configure_sqlite(void)
{
	/* Fails, harmlessly, when the program has started SQLite before. */
	sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum error_code meaning_of(sqlite3 *handle, int code)
{
	int cause = handle == NULL ? 0 : sqlite3_system_errno(handle);

	switch (code & 0xff) {
	case SQLITE_FULL: return ERR_NO_SPACE;
	case SQLITE_NOMEM: return ERR_NO_MEMORY;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return ERR_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return ERR_DAMAGED;
	case SQLITE_TOOBIG: return ERR_TOO_LARGE;
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_NOMEM)
			return ERR_NO_MEMORY;
		return cause == ENOSPC || cause == EDQUOT ? ERR_NO_SPACE : ERR_IO;
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM: return ERR_IO;
	case SQLITE_CONSTRAINT: return ERR_DAMAGED; /* we only write what fits, so what was there did not */
	default: return ERR_INTERNAL;
	}
}

bool database_failed(struct database *database, int code, struct error *err)
{
	switch (code & 0xff) {
	case SQLITE_IOERR:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_CONSTRAINT: database->distrusted = true; break;
	default: break;
	}
	return error_detail(err, meaning_of(database->handle, code), "%.180s: %s (%d)", database->path,
	        database->handle == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(database->handle), code);
}

static int on_commit(void *arg, sqlite3 *handle, const char *name, int pages)
{
	struct database *database = arg;

	(void)handle;
	(void)name;
	database->wal_pages = pages;
	return SQLITE_OK;
}

static bool configure(struct database *database, struct error *err)
{
	sqlite3 *handle = database->handle;
	int code;

	sqlite3_extended_result_codes(handle, 1);
	sqlite3_busy_timeout(handle, DATABASE_READER_WAIT_MS);
	sqlite3_db_config(handle, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_SLOT, LOOKASIDE_COUNT);
	sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_wal_hook(handle, on_commit, database); /* takes the place of SQLite's automatic checkpoints */
	code = sqlite3_exec(handle, connection_sql, NULL, NULL, NULL); /* constant SQL */
	return code == SQLITE_OK ? true : database_failed(database, code, err);
}

static void disconnect(struct database *database)
{
	for (unsigned i = 0; i < database->kind->statement_count; i++) {
		sqlite3_finalize(database->statements[i]);
		database->statements[i] = NULL;
	}
	for (unsigned i = 0; i < FIXED_COUNT; i++) {
		sqlite3_finalize(database->fixed[i]);
		database->fixed[i] = NULL;
	}
	sqlite3_close(database->handle);
	database->handle = NULL;
}

/* SQLite would make it readable for all; its -wal and -shm take the mode of the file. Nobody has the file open yet, so
 * closing this descriptor drops nobody's locks. */
static bool make_file(const char *path, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EEXIST || error_errno(err, errno, path);
	close(fd);
	return true;
}

static bool connect_locked(struct database *database, bool create, struct error *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
	int code = wal_vfs_register();

	if (create && !make_file(database->path, err))
		return false;
	if (code == SQLITE_OK)
		code = sqlite3_open_v2(database->path, &database->handle, flags, WAL_VFS_NAME);
	if (code != SQLITE_OK)
		return database_failed(database, code, err);
	return configure(database, err) && database_migrate(database, create, err);
}

static bool connect_database(struct database *database, bool create, struct error *err)
{
	bool ok;

	if (!write_lock_take(database->lock_fd, STORE_LOCK_WAIT_MS, err))
		return false;
	database->distrusted = false;
	database->checkpoint_at = DATABASE_CHECKPOINT_PAGES;
	ok = connect_locked(database, create, err);
	if (!ok)
		disconnect(database);
	write_lock_give(database->lock_fd);
	return ok;
}

static struct database *database_alloc(const char *path, const struct database_kind *kind)
{
	struct database *database = calloc(1, sizeof(*database));

	if (database == NULL)
		return NULL;
	database->lock_fd = -1;
	database->kind = kind;
	snprintf(database->path, sizeof(database->path), "%s", path);
	database->statements = calloc(kind->statement_count + FIXED_COUNT, sizeof(sqlite3_stmt *));
	if (database->statements == NULL) {
		free(database);
		return NULL;
	}
	database->fixed = database->statements + kind->statement_count;
	return database;
}

bool database_open(
        const char *path, const struct database_kind *kind, bool create, struct database **out, struct error *err)
{
	char lock_path[DATABASE_PATH_MAX + 8];
	struct database *database;

	*out = NULL;
	pthread_once(&sqlite_once, configure_sqlite);
	if (strlen(path) >= DATABASE_PATH_MAX)
		return error_detail(err, ERR_TOO_LONG, "path too long: %.200s", path);
	database = database_alloc(path, kind);
	if (database == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	snprintf(lock_path, sizeof(lock_path), "%s-lock", path);
	database->lock_fd = write_lock_open(lock_path, err);
	if (database->lock_fd < 0 || !connect_database(database, create, err)) {
		database_close(&database);
		return false;
	}
	*out = database;
	return true;
}

void database_close(struct database **database)
{
	struct database *gone = *database;

	if (gone == NULL)
		return;
	CHECK(!gone->writing && !gone->reading);
	disconnect(gone);
	if (gone->lock_fd >= 0)
		close(gone->lock_fd);
	free(gone->statements);
	free(gone);
	*database = NULL;
}

const char *database_path(const struct database *database)
{
	return database->path;
}

/* Between transactions a connection that has seen an error is replaced; inside one everything fails until its end. */
static bool ready(struct database *database, struct error *err)
{
	if (!database->distrusted && database->handle != NULL)
		return true;
	if (database->writing || database->reading)
		return error_detail(err, ERR_IO, "%.200s: an earlier error in this transaction", database->path);
	disconnect(database);
	return connect_database(database, false, err);
}

static bool prepare(struct database *database, sqlite3_stmt **slot, const char *sql, struct error *err)
{
	int code;

	if (*slot != NULL)
		return true;
	code = sqlite3_prepare_v3(database->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
	return code == SQLITE_OK ? true : database_failed(database, code, err);
}

static bool run_fixed(struct database *database, enum fixed which, struct error *err)
{
	int code;

	if (!prepare(database, &database->fixed[which], fixed_sql[which], err))
		return false;
	code = sqlite3_step(database->fixed[which]);
	if (code != SQLITE_DONE)
		database_failed(database, code, err);
	sqlite3_reset(database->fixed[which]);
	return code == SQLITE_DONE;
}

void database_large_cache(struct database *database, bool large)
{
	const char *sql = large ? large_cache_sql : usual_cache_sql;

	if (database->handle != NULL)
		(void)sqlite3_exec(database->handle, sql, NULL, NULL, NULL); /* constant SQL; or it is slower */
}

bool database_begin(struct database *database, struct error *err)
{
	CHECK(!database->writing && !database->reading);
	database->unknown = false;
	if (!ready(database, err) || !write_lock_take(database->lock_fd, STORE_LOCK_WAIT_MS, err))
		return false;
	if (!run_fixed(database, FIXED_BEGIN_WRITE, err)) {
		write_lock_give(database->lock_fd);
		return false;
	}
	database->writing = true;
	return true;
}

static void end_writing(struct database *database)
{
	database->writing = false;
	write_lock_give(database->lock_fd);
}

void database_rollback(struct database *database)
{
	struct error err;

	CHECK(database->writing);
	/* SQLite has rolled back by itself after some errors. */
	if (!sqlite3_get_autocommit(database->handle) && !run_fixed(database, FIXED_ROLLBACK, &err)) {
		LOG(LOG_ERROR, "storage.rollback_failed", LOG_FAILURE(&err));
		database->distrusted = true;
	}
	(void)wal_vfs_end(database->handle, false);
	end_writing(database);
}

static void checkpoint_locked(struct database *database, int mode)
{
	int pages = 0, done = 0, code;
	struct error err;

	sqlite3_busy_timeout(database->handle, CHECKPOINT_READER_MS);
	code = sqlite3_wal_checkpoint_v2(database->handle, "main", mode, &pages, &done);
	sqlite3_busy_timeout(database->handle, DATABASE_READER_WAIT_MS);
	database->checkpoint_at = DATABASE_CHECKPOINT_PAGES;
	if (code == SQLITE_OK)
		return;
	database->checkpoint_at = database->wal_pages + DATABASE_CHECKPOINT_PAGES;
	if ((code & 0xff) == SQLITE_BUSY)
		return;
	database_failed(database, code, &err); /* the commit stands: it is in the WAL */
	LOG(LOG_ERROR, "storage.checkpoint_failed", LOG_FAILURE(&err));
}

bool database_commit(struct database *database, struct error *err)
{
	CHECK(database->writing);
	if (database->distrusted) {
		database_rollback(database);
		return error_detail(err, ERR_IO, "%.200s: an earlier error in this transaction", database->path);
	}
	if (!run_fixed(database, FIXED_COMMIT, err)) {
		database->distrusted = true;
		if (!sqlite3_get_autocommit(database->handle))
			sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
		database->unknown = !wal_cut_failed_commit(database);
		(void)wal_vfs_end(database->handle, false);
		end_writing(database);
		return false;
	}
	if (database->wal_pages >= database->checkpoint_at)
		checkpoint_locked(database, SQLITE_CHECKPOINT_RESTART);
	if (wal_vfs_end(database->handle, true) != SQLITE_OK) /* not after a sync: then nothing is left */
		database->distrusted = true;
	end_writing(database);
	return true;
}

bool database_commit_unknown(const struct database *database)
{
	return database->unknown;
}

bool database_savepoint(struct database *database, struct error *err)
{
	return run_fixed(database, FIXED_SAVE, err);
}

bool database_savepoint_keep(struct database *database, struct error *err)
{
	return run_fixed(database, FIXED_SAVE_KEEP, err);
}

bool database_savepoint_undo(struct database *database, struct error *err)
{
	return run_fixed(database, FIXED_SAVE_UNDO, err) && run_fixed(database, FIXED_SAVE_KEEP, err);
}

bool database_begin_read(struct database *database, struct error *err)
{
	CHECK(!database->writing && !database->reading);
	if (!ready(database, err) || !run_fixed(database, FIXED_BEGIN_READ, err))
		return false;
	database->reading = true;
	return true;
}

void database_end_read(struct database *database)
{
	struct error err;

	CHECK(database->reading);
	database->reading = false;
	if (!sqlite3_get_autocommit(database->handle) && !run_fixed(database, FIXED_COMMIT, &err))
		database->distrusted = true;
}

static int bind_value(sqlite3_stmt *statement, int at, const struct value *v)
{
	const char *bytes = v->bytes.ptr == NULL ? "" : v->bytes.ptr;

	switch (v->type) {
	case VALUE_INT: return sqlite3_bind_int64(statement, at, v->number);
	case VALUE_TEXT: return sqlite3_bind_text64(statement, at, bytes, v->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
	case VALUE_BLOB: return sqlite3_bind_blob64(statement, at, bytes, v->bytes.len, SQLITE_STATIC);
	case VALUE_NULL: break;
	}
	return sqlite3_bind_null(statement, at);
}

bool database_query(struct database *database, unsigned which, const struct value *values, int count,
        sqlite3_stmt **rows, struct error *err)
{
	CHECK(which < database->kind->statement_count);
	*rows = NULL;
	if (!ready(database, err) ||
	        !prepare(database, &database->statements[which], database->kind->statements[which], err))
		return false;
	for (int i = 0; i < count; i++) {
		int code = bind_value(database->statements[which], i + 1, &values[i]);

		if (code != SQLITE_OK)
			return database_failed(database, code, err);
	}
	*rows = database->statements[which];
	return true;
}

enum step database_step(struct database *database, sqlite3_stmt *rows, struct error *err)
{
	int code = sqlite3_step(rows);

	if (code == SQLITE_ROW)
		return STEP_ROW;
	if (code == SQLITE_DONE)
		return STEP_DONE;
	database_failed(database, code, err);
	return STEP_FAILED;
}

void database_done(sqlite3_stmt *rows)
{
	if (rows != NULL)
		sqlite3_reset(rows); /* its error, if any, was reported by the step */
}

bool database_run(struct database *database, unsigned which, const struct value *values, int count, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(database, which, values, count, &rows, err))
		return false;
	step = database_step(database, rows, err);
	database_done(rows);
	CHECK(step != STEP_ROW);
	return step == STEP_DONE;
}

int64_t database_changes(const struct database *database)
{
	return sqlite3_changes64(database->handle);
}

struct span database_text(sqlite3_stmt *rows, int column)
{
	const void *bytes = sqlite3_column_blob(rows, column);

	return span_make(bytes, bytes == NULL ? 0 : (size_t)sqlite3_column_bytes(rows, column));
}

bool database_data_version(struct database *database, uint32_t *version, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!ready(database, err) ||
	        !prepare(database, &database->fixed[FIXED_DATA_VERSION], fixed_sql[FIXED_DATA_VERSION], err))
		return false;
	rows = database->fixed[FIXED_DATA_VERSION];
	step = database_step(database, rows, err);
	if (step == STEP_ROW)
		*version = (uint32_t)sqlite3_column_int64(rows, 0);
	database_done(rows);
	return step == STEP_ROW;
}

bool database_set_durable(struct database *database, bool durable, struct error *err)
{
	int code;

	if (!ready(database, err))
		return false;
	code = sqlite3_exec(database->handle, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
	        NULL, NULL, NULL);
	if (code == SQLITE_OK)
		return true;
	database_failed(database, code, err);
	database->distrusted = true; /* opened anew it is durable */
	return false;
}

bool database_checkpoint(struct database *database, struct error *err)
{
	CHECK(!database->writing && !database->reading);
	if (!ready(database, err) || !write_lock_take(database->lock_fd, STORE_LOCK_WAIT_MS, err))
		return false;
	checkpoint_locked(database, SQLITE_CHECKPOINT_TRUNCATE);
	write_lock_give(database->lock_fd);
	return true;
}

sqlite3 *database_handle(struct database *database)
{
	return database->handle;
}
