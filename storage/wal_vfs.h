/* storage/wal_vfs.h — writes the frames of one commit to the WAL in few large calls.
 *
 * SQLite writes each frame of a transaction in two calls, header and page: some twenty system calls for a delivery. This VFS
 * stands in front of the default one, for WAL files and (walk_vfs.h) the database itself; all others are the default's own, untouched. It collects
 * writes that follow one another and hands them on when the frame that commits is complete, or earlier when the buffer is
 * full, or when the file is read, synced, measured or cut. So whatever another connection may look at has been written
 * before SQLite publishes it in the wal-index, also with synchronous=NORMAL, where no sync follows a commit.
 * And it lets the file grow by zeros ahead of what is written, so that most commits are flushed without the file system's journal.
 * All that is done under the write lock: what a transaction that was undone, by itself or to a savepoint, has left in memory may never be written
 * later, over what others have committed meanwhile. wal_vfs_end() sees to that.
 * A write that fails later than it was asked for fails the call that handed it on, before the commit counts. */
#ifndef STORAGE_WAL_VFS_H
#define STORAGE_WAL_VFS_H

#include <sqlite3.h>
#include <stdbool.h>

#define WAL_VFS_NAME "posthouse-wal"

/* Registers the VFS; again does nothing. Any thread. An SQLite result code. */
int wal_vfs_register(void);
/* After each transaction that may have written, while the write lock is still held. committed: what is not written yet (without a sync, the last
 * of the headers that SQLite has corrected) is written now; otherwise it is forgotten. An SQLite result code. */
int wal_vfs_end(sqlite3 *handle, bool committed);

#endif
