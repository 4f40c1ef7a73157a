#include "store_inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define TRACE_MAX 4000

static bool armed;
static uint64_t count, fail_at;
static enum inject_mode mode;
static int error_number;
static const char *failed;
static char trace[TRACE_MAX + 1];
static size_t trace_len;

void inject_arm(uint64_t n, enum inject_mode how, int number)
{
	count = 0;
	fail_at = n;
	mode = how;
	error_number = number;
	failed = NULL;
	armed = true;
}

bool inject_disarm(const char **what)
{
	armed = false;
	*what = failed;
	return failed != NULL;
}

static bool fails(const char *what)
{
	if (!armed)
		return false;
	count++;
	if (count != fail_at && (mode == INJECT_ONCE || count < fail_at))
		return false;
	if (failed == NULL)
		failed = what;
	errno = error_number;
	return true;
}

static void note(char what)
{
	if (trace_len < TRACE_MAX && (trace_len == 0 || trace[trace_len - 1] != what))
		trace[trace_len++] = what;
	trace[trace_len] = '\0';
}

void inject_trace_start(void)
{
	trace_len = 0;
	trace[0] = '\0';
}

const char *inject_trace(void)
{
	return trace;
}

/* SQLite's files */

struct file {
	sqlite3_file base;
	bool is_wal;
	sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct file *)(void *)file)->real;
}

static int shim_close(sqlite3_file *file)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods != NULL ? real->pMethods->xClose(real) : SQLITE_OK;
}

static int shim_read(sqlite3_file *file, void *out, int amount, sqlite3_int64 offset)
{
	return fails("xRead") ? SQLITE_IOERR_READ : real_of(file)->pMethods->xRead(real_of(file), out, amount, offset);
}

static int shim_write(sqlite3_file *file, const void *bytes, int amount, sqlite3_int64 offset)
{
	if (fails("xWrite")) {
		/* half of it is there: a full disk and a torn write look like that */
		real_of(file)->pMethods->xWrite(real_of(file), bytes, amount / 2, offset);
		return error_number == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	}
	if (((struct file *)(void *)file)->is_wal)
		note('w');
	return real_of(file)->pMethods->xWrite(real_of(file), bytes, amount, offset);
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return fails("xTruncate") ? SQLITE_IOERR_TRUNCATE : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int shim_sync(sqlite3_file *file, int flags)
{
	if (fails("xSync"))
		return SQLITE_IOERR_FSYNC;
	if (((struct file *)(void *)file)->is_wal)
		note('s');
	return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int shim_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return fails("xFileSize") ? SQLITE_IOERR_FSTAT : real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int shim_lock(sqlite3_file *file, int level)
{
	return fails("xLock") ? SQLITE_IOERR_LOCK : real_of(file)->pMethods->xLock(real_of(file), level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int shim_check_reserved(sqlite3_file *file, int *out)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int shim_control(sqlite3_file *file, int op, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int shim_sector_size(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int shim_characteristics(sqlite3_file *file)
{
	return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shim_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
	return fails("xShmMap") ? SQLITE_IOERR_SHMMAP
	                        : real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	if ((flags & SQLITE_SHM_LOCK) != 0 && fails("xShmLock"))
		return SQLITE_IOERR_SHMLOCK;
	return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void shim_shm_barrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_shm_unmap(sqlite3_file *file, int delete)
{
	return real_of(file)->pMethods->xShmUnmap(real_of(file), delete);
}

static const sqlite3_io_methods shim_methods = {
	.iVersion = 2,
	.xClose = shim_close,
	.xRead = shim_read,
	.xWrite = shim_write,
	.xTruncate = shim_truncate,
	.xSync = shim_sync,
	.xFileSize = shim_file_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_check_reserved,
	.xFileControl = shim_control,
	.xSectorSize = shim_sector_size,
	.xDeviceCharacteristics = shim_characteristics,
	.xShmMap = shim_shm_map,
	.xShmLock = shim_shm_lock,
	.xShmBarrier = shim_shm_barrier,
	.xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct file *shim = (struct file *)(void *)file;
	int code;

	(void)vfs;
	shim->base.pMethods = NULL;
	if (fails("xOpen"))
		return SQLITE_CANTOPEN;
	shim->real = (sqlite3_file *)(void *)(shim + 1);
	shim->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
	code = real_vfs->xOpen(real_vfs, name, shim->real, flags, out_flags);
	if (code == SQLITE_OK)
		shim->base.pMethods = &shim_methods;
	return code;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs;
	return fails("xDelete") ? SQLITE_IOERR_DELETE : real_vfs->xDelete(real_vfs, name, sync);
}

static int shim_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs;
	return fails("xAccess") ? SQLITE_IOERR_ACCESS : real_vfs->xAccess(real_vfs, name, flags, out);
}

static int shim_last_error(sqlite3_vfs *vfs, int size, char *out)
{
	(void)vfs;
	(void)size;
	(void)out;
	return error_number;
}

/* SQLite's memory */

static sqlite3_mem_methods real_memory;

static void *shim_malloc(int size)
{
	return fails("sqlite malloc") ? NULL : real_memory.xMalloc(size);
}

static void *shim_realloc(void *memory, int size)
{
	return fails("sqlite realloc") ? NULL : real_memory.xRealloc(memory, size);
}

void inject_install(void)
{
	static sqlite3_vfs shim;
	sqlite3_mem_methods memory;

	sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
	memory = real_memory;
	memory.xMalloc = shim_malloc;
	memory.xRealloc = shim_realloc;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
	real_vfs = sqlite3_vfs_find(NULL);
	shim = *real_vfs;
	shim.zName = "inject";
	shim.szOsFile = real_vfs->szOsFile + (int)sizeof(struct file);
	shim.xOpen = shim_open;
	shim.xDelete = shim_delete;
	shim.xAccess = shim_access;
	shim.xGetLastError = shim_last_error;
	sqlite3_vfs_register(&shim, 1);
}

/* Our own calls: the linker sends them here (--wrap). */

#define WRAP(type, bad, name, parameters, arguments)                                                                   \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		return fails(#name) ? (bad) : __real_##name arguments;                                                 \
	}

WRAP(void *, NULL, malloc, (size_t size), (size))
WRAP(void *, NULL, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, NULL, realloc, (void *memory, size_t size), (memory, size))
WRAP(int, -1, access, (const char *path, int kind), (path, kind))
WRAP(int, -1, mkdir, (const char *path, mode_t permissions), (path, permissions))
WRAP(int, -1, rename, (const char *from, const char *to), (from, to))
WRAP(ssize_t, -1, pread64, (int fd, void *out, size_t size, off64_t offset), (fd, out, size, offset))
WRAP(ssize_t, -1, pwrite64, (int fd, const void *bytes, size_t size, off64_t offset), (fd, bytes, size, offset))
WRAP(int, -1, ftruncate64, (int fd, off64_t size), (fd, size))
WRAP(int, -1, flock, (int fd, int operation), (fd, operation))
WRAP(int, -1, fstat64, (int fd, struct stat64 *st), (fd, st))
WRAP(int, -1, statvfs64, (const char *path, struct statvfs64 *fs), (path, fs))
WRAP(DIR *, NULL, opendir, (const char *path), (path))

#define WRAP_TRACED(name, letter, parameters, arguments)                                                               \
	int __real_##name parameters;                                                                                  \
	int __wrap_##name parameters;                                                                                  \
	int __wrap_##name parameters                                                                                   \
	{                                                                                                              \
		if (fails(#name))                                                                                      \
			return -1;                                                                                     \
		note(letter);                                                                                          \
		return __real_##name arguments;                                                                        \
	}

WRAP_TRACED(fdatasync, 'd', (int fd), (fd))
WRAP_TRACED(fsync, 'f', (int fd), (fd))
WRAP_TRACED(linkat, 'l', (int from_dir, const char *from, int to_dir, const char *to, int flags),
        (from_dir, from, to_dir, to, flags))

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t permissions;

	va_start(args, flags);
	permissions = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return fails("open") ? -1 : __real_open64(path, flags, permissions);
}
