/* storage/walk_vfs.h — a walk along a table reads the file in pieces of up to WALK_WINDOW, not page by page.
 *
 * SQLite reads each page in a call of its own. This stands in front of the default VFS's main database files and passes everything through, but
 * while a walk is on it looks for runs of pages that are read one behind the other, and reads on from there: the next pages are copied from memory.
 * Runs grow from WALK_FIRST, so scattered reads cost what they cost before. Several runs are followed at once: a walk along two or three
 * tables reads their pages in turn.
 *
 * Why what is in memory is as good as the file: a walk lies within one read transaction. Of all pages, a reader of a WAL database takes from the
 * file only those that are there as its transaction sees them, and no checkpoint changes these before the transaction ends (a checkpoint
 * writes what is older than every reader; what such a reader may still find in the WAL it takes from there). So the end of the walk, which must come before the
 * end of the transaction, forgets everything, and nothing else has to. */
#ifndef STORAGE_WALK_VFS_H
#define STORAGE_WALK_VFS_H

#include "base/macros.h"

#include <sqlite3.h>
#include <stdbool.h>

#define WALK_WINDOW  (64 * KIB)
#define WALK_FIRST   (8 * KIB)
#define WALK_WINDOWS 3

struct walk_window {
	char *bytes; /* of WALK_WINDOW; NULL: none */
	sqlite3_int64 at;
	int len;
	int size;      /* of the next piece */
	unsigned used; /* when, by walk_file.reads */
};

struct walk_file {
	sqlite3_file base;
	bool on;
	unsigned reads;
	sqlite3_int64 behind; /* the page that was read last outside of all windows */
	struct walk_window windows[WALK_WINDOWS];
	sqlite3_file *real; /* behind this one */
};

/* For the VFS: opens the real file behind `file` and puts this in front of it. */
int walk_vfs_open(sqlite3_vfs *real, const char *name, struct walk_file *file, int flags, int *out_flags);
/* Between the begin and the end of one read transaction of this connection. */
void walk_begin(sqlite3 *handle);
void walk_end(sqlite3 *handle);

#endif
