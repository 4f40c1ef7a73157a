/* storage/database_private.h — what database.c, migrate.c and wal.c share; nobody else includes it. */
#ifndef STORAGE_DATABASE_PRIVATE_H
#define STORAGE_DATABASE_PRIVATE_H

#include "storage/database.h"

struct database {
	char path[DATABASE_PATH_MAX];
	const struct database_kind *kind;
	sqlite3 *handle;
	sqlite3_stmt **statements; /* by number, prepared at first use */
	sqlite3_stmt **fixed;      /* BEGIN, COMMIT ... */
	int lock_fd;
	bool writing, reading;
	bool unknown;    /* the last commit failed and could not be cut off */
	bool distrusted; /* an I/O error or damage was seen: reopen before the next use */
	int wal_pages;
	int checkpoint_at; /* pages of WAL */
};

/* Brings an open file to kind->version, under the lock. Keeps a copy before each step but the first. */
bool database_migrate(struct database *database, bool create, struct error *err);

/* After a commit that failed: its frames may stand complete in the WAL, and the recovery after a crash would make them real
 * though the caller was told no. Cuts the WAL behind the last commit that SQLite acknowledged. Under the lock. False: the disk did not let
 * us, and nobody knows whether the commit will count. */
bool wal_cut_failed_commit(struct database *database);

#endif
