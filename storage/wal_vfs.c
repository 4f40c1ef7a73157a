#include "storage/wal_vfs.h"

#include "base/macros.h"
#include "storage/walk_vfs.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COLLECT_MAX      (128 * KIB)
#define AHEAD_MIN        (64 * KIB)
#define AHEAD_MAX        (1024 * KIB)
#define WAL_FRAME_HEADER 24 /* https://sqlite.org/fileformat2.html#walformat */

struct wal_file {
	sqlite3_file base;
	char *collected; /* NULL while there is nothing */
	int len;
	sqlite3_int64 at;   /* where collected[0] belongs in the file */
	bool commit_next;   /* the last header said: the page that follows ends a transaction */
	sqlite3_int64 size; /* it was at least that long when last looked at; 0: not known */
	sqlite3_file *real;
};

static struct wal_file *wal_file_of(sqlite3_file *file)
{
	return container_of(file, struct wal_file, base);
}

static void drop(struct wal_file *wal)
{
	free(wal->collected);
	wal->collected = NULL;
	wal->len = 0;
}

/* A full quota is a full disk; the VFS of unix says so of ENOSPC only. */
static int write_real(struct wal_file *wal, const void *bytes, int len, sqlite3_int64 at)
{
	int code = wal->real->pMethods->xWrite(wal->real, bytes, len, at);

	return code == SQLITE_IOERR_WRITE && errno == EDQUOT ? SQLITE_FULL : code;
}

/* A flush of what lies within a file is one write to the disk; of what makes it longer also the file system's journal, two to three times as long. So
 * the file grows by zeros before it is written beyond its end: as much again as there is. No frame begins with zeros, so they end the WAL for
 * whoever recovers it. Before, because a failure after the frame that commits would leave open whether that counts. That there is no room for
 * them is no failure. */
static void grow_ahead(struct wal_file *wal, sqlite3_int64 end)
{
	static const char zeros[AHEAD_MIN];
	sqlite3_int64 until;

	if (end <= wal->size || wal->real->pMethods->xFileSize(wal->real, &wal->size) != SQLITE_OK || end <= wal->size)
		return;
	until = end + (end < AHEAD_MIN ? AHEAD_MIN : end > AHEAD_MAX ? AHEAD_MAX : end);
	while (wal->size < until &&
	        wal->real->pMethods->xWrite(wal->real, zeros, sizeof(zeros), wal->size) == SQLITE_OK)
		wal->size += (sqlite3_int64)sizeof(zeros);
}

static int hand_on(struct wal_file *wal)
{
	int code = SQLITE_OK;

	if (wal->len > 0) {
		if (wal->at == 0) /* begun anew, perhaps after somebody has cut it */
			wal->size = 0;
		grow_ahead(wal, wal->at + wal->len);
		code = write_real(wal, wal->collected, wal->len, wal->at);
	}
	drop(wal);
	return code;
}

static int wal_close(sqlite3_file *file)
{
	struct wal_file *wal = wal_file_of(file);
	/* What is still here belongs to a transaction that was never committed. */
	drop(wal);
	return wal->real->pMethods->xClose(wal->real);
}

static int wal_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
	struct wal_file *wal = wal_file_of(file);

	if (wal->len > 0 && at + len > wal->at) {
		int code = hand_on(wal);

		if (code != SQLITE_OK)
			return code;
	}
	return wal->real->pMethods->xRead(wal->real, out, len, at);
}

static bool ends_transaction(struct wal_file *wal, const void *bytes, int len)
{
	bool ends = wal->commit_next && len > WAL_FRAME_HEADER;

	/* Octets 4 to 7 of a frame's header: the size of the database after a commit, else 0. */
	wal->commit_next = len == WAL_FRAME_HEADER && memcmp((const char *)bytes + 4, "\0\0\0\0", 4) != 0;
	return ends;
}

static int wal_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	struct wal_file *wal = wal_file_of(file);
	bool ends = ends_transaction(wal, bytes, len);
	int code = SQLITE_OK;

	if (wal->len > 0 && (at != wal->at + wal->len || (unsigned)(wal->len + len) > COLLECT_MAX))
		code = hand_on(wal);
	if (code != SQLITE_OK)
		return code;
	if (wal->collected == NULL) {
		wal->collected = (unsigned)len > COLLECT_MAX ? NULL : malloc(COLLECT_MAX);
		wal->at = at;
	}
	if (wal->collected == NULL) /* no memory: as if this VFS were not there */
		return write_real(wal, bytes, len, at);
	memcpy(wal->collected + wal->len, bytes, (size_t)len);
	wal->len += len;
	return ends ? hand_on(wal) : SQLITE_OK;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct wal_file *wal = wal_file_of(file);
	int code = hand_on(wal);

	wal->size = 0;
	return code != SQLITE_OK ? code : wal->real->pMethods->xTruncate(wal->real, size);
}

static int wal_sync(sqlite3_file *file, int flags)
{
	struct wal_file *wal = wal_file_of(file);
	int code = hand_on(wal);

	return code != SQLITE_OK ? code : wal->real->pMethods->xSync(wal->real, flags);
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct wal_file *wal = wal_file_of(file);
	int code = hand_on(wal);

	return code != SQLITE_OK ? code : wal->real->pMethods->xFileSize(wal->real, size);
}

static int wal_lock(sqlite3_file *file, int lock)
{
	struct wal_file *wal = wal_file_of(file);

	return wal->real->pMethods->xLock(wal->real, lock);
}

static int wal_unlock(sqlite3_file *file, int lock)
{
	struct wal_file *wal = wal_file_of(file);

	return wal->real->pMethods->xUnlock(wal->real, lock);
}

static int wal_check_reserved(sqlite3_file *file, int *reserved)
{
	struct wal_file *wal = wal_file_of(file);

	return wal->real->pMethods->xCheckReservedLock(wal->real, reserved);
}

static int wal_control(sqlite3_file *file, int operation, void *arg)
{
	struct wal_file *wal = wal_file_of(file);

	return wal->real->pMethods->xFileControl(wal->real, operation, arg);
}

static int wal_sector_size(sqlite3_file *file)
{
	struct wal_file *wal = wal_file_of(file);

	return wal->real->pMethods->xSectorSize(wal->real);
}

static int wal_characteristics(sqlite3_file *file)
{
	struct wal_file *wal = wal_file_of(file);

	return wal->real->pMethods->xDeviceCharacteristics(wal->real);
}

/* Version 1: a WAL is never mapped, and the wal-index belongs to the main file. */
static const sqlite3_io_methods wal_methods = {
	.iVersion = 1,
	.xClose = wal_close,
	.xRead = wal_read,
	.xWrite = wal_write,
	.xTruncate = wal_truncate,
	.xSync = wal_sync,
	.xFileSize = wal_size,
	.xLock = wal_lock,
	.xUnlock = wal_unlock,
	.xCheckReservedLock = wal_check_reserved,
	.xFileControl = wal_control,
	.xSectorSize = wal_sector_size,
	.xDeviceCharacteristics = wal_characteristics,
};

int wal_vfs_end(sqlite3 *handle, bool committed)
{
	sqlite3_file *file = NULL;
	struct wal_file *wal;

	if (sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK || file == NULL ||
	        file->pMethods != &wal_methods)
		return SQLITE_OK; /* no WAL is open */
	wal = wal_file_of(file);
	wal->commit_next = false;
	if (committed)
		return hand_on(wal);
	drop(wal);
	return SQLITE_OK;
}

static sqlite3_vfs *real_vfs(sqlite3_vfs *vfs)
{
	return vfs->pAppData;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct wal_file *wal = wal_file_of(file);
	int code;

	if ((flags & SQLITE_OPEN_MAIN_DB) != 0)
		return walk_vfs_open(real_vfs(vfs), name, container_of(file, struct walk_file, base), flags, out_flags);
	if ((flags & SQLITE_OPEN_WAL) == 0)
		return real_vfs(vfs)->xOpen(real_vfs(vfs), name, file, flags, out_flags);
	*wal = (struct wal_file) { .real = (sqlite3_file *)(wal + 1) };
	code = real_vfs(vfs)->xOpen(real_vfs(vfs), name, wal->real, flags, out_flags);
	if (wal->real->pMethods != NULL)
		wal->base.pMethods = &wal_methods;
	return code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	return real_vfs(vfs)->xDelete(real_vfs(vfs), name, sync_dir);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
	return real_vfs(vfs)->xAccess(real_vfs(vfs), name, flags, result);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	return real_vfs(vfs)->xFullPathname(real_vfs(vfs), name, size, out);
}

static sqlite3_vfs wal_vfs;
static int register_result;

static void register_once(void)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	if (real == NULL) {
		register_result = SQLITE_ERROR;
		return;
	}
	/* Time, randomness and error texts are the default's own functions: they look at no file. */
	wal_vfs = *real;
	wal_vfs.pNext = NULL;
	wal_vfs.zName = WAL_VFS_NAME;
	wal_vfs.szOsFile =
	        real->szOsFile + (int)(sizeof(struct walk_file) > sizeof(struct wal_file) ? sizeof(struct walk_file)
	                                                                                  : sizeof(struct wal_file));
	wal_vfs.pAppData = real;
	wal_vfs.xOpen = vfs_open;
	wal_vfs.xDelete = vfs_delete;
	wal_vfs.xAccess = vfs_access;
	wal_vfs.xFullPathname = vfs_full_path;
	register_result = sqlite3_vfs_register(&wal_vfs, 0);
}

int wal_vfs_register(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_once);
	return register_result;
}
