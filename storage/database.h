/* storage/database.h — one SQLite file: opening, migrating, prepared statements, transactions, and the one write lock.
 *
 * No two connections, in whatever processes, ever write or checkpoint one file at the same time: an advisory lock on
 * "<path>-lock" is held around BEGIN IMMEDIATE .. COMMIT and around every checkpoint (SQLite before 3.51.3 can corrupt a WAL
 * when a checkpoint races a commit; its busy handler starves). It is held while a file is opened too, because the
 * first to open recovers the WAL of a process that was killed.
 * After an I/O error or damage the connection is not trusted: it is closed, and opened anew by the next call.
 * Owner: the caller of database_open(), until database_close(). One thread at a time; every call may wait for the disk. */
#ifndef STORAGE_DATABASE_H
#define STORAGE_DATABASE_H

#include "base/error.h"
#include "base/span.h"

#include <sqlite3.h>
#include <stdint.h>

#define DATABASE_PATH_MAX         1024
#define DATABASE_CHECKPOINT_PAGES 1000 /* of WAL, before a writer checkpoints */
#define DATABASE_READER_WAIT_MS   2000 /* for SQLite's own short locks: another connection recovers the file */

struct database;

struct database_kind {
	uint32_t application_id;
	const char *const *steps; /* steps[n] takes an empty file (n = 0) or version n to version n + 1 */
	int version;              /* number of steps */
	const char *const *statements;
	unsigned statement_count;
};

struct value {
	enum { VALUE_NULL, VALUE_INT, VALUE_TEXT, VALUE_BLOB } type;
	int64_t number;
	struct span bytes; /* must live until the statement was stepped */
};

#define V_NULL        ((struct value) { VALUE_NULL, 0, SPAN_EMPTY })
#define V_INT(number) ((struct value) { VALUE_INT, (int64_t)(number), SPAN_EMPTY })
#define V_TEXT(span)  ((struct value) { VALUE_TEXT, 0, (span) })
#define V_BLOB(span)  ((struct value) { VALUE_BLOB, 0, (span) })

/* create: make the file when it is not there. ERR_DAMAGED: not such a file, or not readable as one; ERR_UNSUPPORTED: made by a
 * newer version; ERR_BUSY: the lock was held too long. Before each migration step a copy is kept as "<path>.v<N>". */
bool database_open(
        const char *path, const struct database_kind *kind, bool create, struct database **out, struct error *err);
void database_close(struct database **database);
const char *database_path(const struct database *database);

/* Writing. begin takes the lock; commit and rollback give it back. After commit returned true the transaction would survive a
 * power cut; after false it did not happen, also after a crash. */
bool database_begin(struct database *database, struct error *err);
bool database_commit(struct database *database, struct error *err);
/* After a commit that returned false: true when the disk failed so thoroughly that the commit may yet turn up, wholly, once it
 * works again; files that its rows name must then stay. */
bool database_commit_unknown(const struct database *database);
void database_rollback(struct database *database);
bool database_savepoint(struct database *database, struct error *err); /* not nested */
bool database_savepoint_keep(struct database *database, struct error *err);
bool database_savepoint_undo(struct database *database, struct error *err);

/* For a transaction that touches many rows: 8 MiB instead of 128 KiB. Give it back after the transaction. */
void database_large_cache(struct database *database, bool large);

/* Reading one consistent state with several statements. Must be ended by the function that began it. */
bool database_begin_read(struct database *database, struct error *err);
void database_end_read(struct database *database);

/* Runs a statement of the kind's table that gives no row. */
bool database_run(struct database *database, unsigned which, const struct value *values, int count, struct error *err);
#define DATABASE_RUN(database, which, err, ...)                                                                        \
	database_run(database, which, (const struct value[]) { __VA_ARGS__ },                                          \
	        (int)(sizeof((const struct value[]) { __VA_ARGS__ }) / sizeof(struct value)), err)
int64_t database_changes(const struct database *database); /* rows that the last run changed */

/* Rows: query, then step while it gives STEP_ROW, reading columns by sqlite3_column_*(), then always database_done(). */
enum step { STEP_ROW, STEP_DONE, STEP_FAILED };
bool database_query(struct database *database, unsigned which, const struct value *values, int count,
        sqlite3_stmt **rows, struct error *err);
#define DATABASE_QUERY(database, which, rows, err, ...)                                                                \
	database_query(database, which, (const struct value[]) { __VA_ARGS__ },                                        \
	        (int)(sizeof((const struct value[]) { __VA_ARGS__ }) / sizeof(struct value)), rows, err)
enum step database_step(struct database *database, sqlite3_stmt *rows, struct error *err);
void database_done(sqlite3_stmt *rows);
struct span database_text(sqlite3_stmt *rows, int column); /* of TEXT or BLOB; until the next step */

/* Changes whenever another connection has changed the file. */
bool database_data_version(struct database *database, uint32_t *version, struct error *err);
/* false: the next commits need not be durable at once (a crash may lose them, never tear them). */
bool database_set_durable(struct database *database, bool durable, struct error *err);
/* Moves all of the WAL into the file and empties it, as far as readers let it; takes the lock. */
bool database_checkpoint(struct database *database, struct error *err);
/* For maintenance that prepares what is not in the table; constant SQL only. */
sqlite3 *database_handle(struct database *database);
/* What SQLite's result code means to us; always returns false. Remembers that the connection is not to be trusted. */
bool database_failed(struct database *database, int code, struct error *err);

#endif
