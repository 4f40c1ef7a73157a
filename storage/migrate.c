#include "storage/database_private.h"

#include "base/file.h"
#include "base/log.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool run_sql(struct database *database, const char *sql, struct error *err)
{
	int code = sqlite3_exec(database->handle, sql, NULL, NULL, NULL); /* constant SQL */

	return code == SQLITE_OK ? true : database_failed(database, code, err);
}

static bool read_pragma(struct database *database, const char *sql, int64_t *out, struct error *err)
{
	sqlite3_stmt *rows = NULL;
	int code = sqlite3_prepare_v2(database->handle, sql, -1, &rows, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(rows);
	if (code == SQLITE_ROW)
		*out = sqlite3_column_int64(rows, 0);
	sqlite3_finalize(rows);
	return code == SQLITE_ROW ? true : database_failed(database, code, err);
}

static bool copy_pages(struct database *database, sqlite3 *copy, struct error *err)
{
	sqlite3_backup *backup = sqlite3_backup_init(copy, "main", database->handle, "main");
	int code;

	if (backup == NULL)
		return database_failed(database, sqlite3_errcode(copy), err);
	code = sqlite3_backup_step(backup, -1);
	sqlite3_backup_finish(backup);
	return code == SQLITE_DONE ? true : database_failed(database, code, err);
}

/* SQLite syncs the copy's data when it commits; the name is made durable here. */
static bool write_copy(struct database *database, const char *path, struct error *err)
{
	sqlite3 *copy = NULL;
	int code = sqlite3_open_v2(path, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	bool ok = code == SQLITE_OK ? copy_pages(database, copy, err) : database_failed(database, code, err);

	sqlite3_close(copy);
	return ok;
}

/* "<path>.v1" is version 1 as it was. An older copy of the same version is replaced: this one is newer and complete. */
static bool keep_copy(struct database *database, int version, struct error *err)
{
	char kept[DATABASE_PATH_MAX + 16], unfinished[DATABASE_PATH_MAX + 32], parent[DATABASE_PATH_MAX];

	snprintf(kept, sizeof(kept), "%s.v%d", database->path, version);
	snprintf(unfinished, sizeof(unfinished), "%s.tmp", kept);
	snprintf(parent, sizeof(parent), "%s", database->path);
	unlink(unfinished);
	if (!write_copy(database, unfinished, err))
		return false;
	if (rename(unfinished, kept) != 0)
		return error_detail(err, ERR_IO, "cannot keep a copy as %.200s", kept);
	return file_sync_dir(dirname(parent), err);
}

static bool run_step(struct database *database, int from, struct error *err)
{
	if (!run_sql(database, "BEGIN IMMEDIATE", err))
		return false;
	if (run_sql(database, database->kind->steps[from], err) && run_sql(database, "COMMIT", err))
		return true;
	sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

static bool start_file(struct database *database, struct error *err)
{
	return run_sql(
	        database, "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;", err);
}

static bool step_up(struct database *database, int64_t version, struct error *err)
{
	bool used = version > 0; /* a file that was made just now has nothing to keep */

	for (int from = (int)version; from < database->kind->version; from++) {
		if (used && !keep_copy(database, from, err))
			return false;
		if (!run_step(database, from, err))
			return false;
		if (used)
			LOG(LOG_INFO, "storage.migrated", LOG_TEXT("file", database->path),
			        LOG_NUMBER("version", from + 1));
	}
	return true;
}

static bool is_too_new(const struct database *database, int64_t version, struct error *err)
{
	error_set(err, ERR_UNSUPPORTED, "the data are of a newer version of Posthouse, and this one cannot read them");
	snprintf(err->detail, sizeof(err->detail), "%.180s has version %lld, known is %d", database->path,
	        (long long)version, database->kind->version);
	return false;
}

bool database_migrate(struct database *database, bool create, struct error *err)
{
	int64_t version, id, tables;

	if (!read_pragma(database, "PRAGMA user_version", &version, err) ||
	        !read_pragma(database, "PRAGMA application_id", &id, err) ||
	        !read_pragma(database, "SELECT count(*) FROM sqlite_schema", &tables, err))
		return false;
	if (version == 0 && (tables > 0 || !create))
		return error_detail(err, ERR_DAMAGED, "%.200s has no version", database->path);
	if (version > 0 && (uint32_t)id != database->kind->application_id)
		return error_detail(err, ERR_DAMAGED, "%.200s is a file of another kind", database->path);
	if (version < 0 || version > database->kind->version)
		return is_too_new(database, version, err);
	if (version == 0 && !start_file(database, err))
		return false;
	return step_up(database, version, err);
}
