/* storage/write_lock.h — waiting for an advisory file lock, fairly and not for ever.
 *
 * flock(2) on a file beside the database: the kernel lets waiters in as they came, and gives the lock back when its holder
 * dies. The wait is bounded by a timer that interrupts this thread only (a real-time signal whose handler does nothing).
 * Any thread; a lock belongs to the open file, so each database connection has one of its own. */
#ifndef STORAGE_WRITE_LOCK_H
#define STORAGE_WRITE_LOCK_H

#include "base/error.h"

/* Opens (and makes, mode 0600) the lock file; -1 and *err when it cannot. The file is never removed while in use. */
int write_lock_open(const char *path, struct error *err);
/* ERR_BUSY when somebody else still holds it after wait_ms; wait_ms 0 does not wait. */
bool write_lock_take(int fd, int wait_ms, struct error *err);
void write_lock_give(int fd);

#endif
