#include "storage/walk_vfs.h"

#include <stdlib.h>
#include <string.h>

static struct walk_file *walk_file_of(sqlite3_file *file)
{
	return container_of(file, struct walk_file, base);
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return walk_file_of(file)->real;
}

/* --- windows --- */

static void forget(struct walk_file *walk)
{
	for (unsigned i = 0; i < WALK_WINDOWS; i++) {
		free(walk->windows[i].bytes);
		walk->windows[i] = (struct walk_window) { .bytes = NULL };
	}
	walk->behind = -1;
	walk->on = false;
}

/* The window that has these octets, or that ends where they begin. */
static struct walk_window *find_window(struct walk_file *walk, int len, sqlite3_int64 at)
{
	for (unsigned i = 0; i < WALK_WINDOWS; i++) {
		struct walk_window *window = &walk->windows[i];

		if (window->bytes != NULL && at >= window->at &&
		        (at + len <= window->at + window->len || at == window->at + window->len))
			return window;
	}
	return NULL;
}

/* For a run that begins: the one that was of no use for the longest time. NULL: out of memory. */
static struct walk_window *take_window(struct walk_file *walk)
{
	struct walk_window *oldest = &walk->windows[0];

	for (unsigned i = 1; i < WALK_WINDOWS; i++) {
		if (walk->windows[i].used < oldest->used)
			oldest = &walk->windows[i];
	}
	if (oldest->bytes == NULL)
		oldest->bytes = malloc(WALK_WINDOW);
	if (oldest->bytes == NULL)
		return NULL;
	oldest->len = 0;
	oldest->size = WALK_FIRST;
	return oldest;
}

/* Reads the window anew from `at` on. False: it cannot be read so far, at the end of the file or for an error; the page alone is to be tried. */
static bool fill(struct walk_file *walk, struct walk_window *window, int len, sqlite3_int64 at)
{
	int size = window->size - window->size % len;

	window->len = 0;
	if (size < len || walk->real->pMethods->xRead(walk->real, window->bytes, size, at) != SQLITE_OK)
		return false;
	window->at = at;
	window->len = size;
	if (window->size < (int)WALK_WINDOW)
		window->size *= 2;
	return true;
}

static struct walk_window *window_for(struct walk_file *walk, int len, sqlite3_int64 at)
{
	struct walk_window *window = find_window(walk, len, at);

	if (window == NULL && at == walk->behind)
		window = take_window(walk);
	if (window == NULL)
		return NULL;
	if ((window->len == 0 || at == window->at + window->len) && !fill(walk, window, len, at))
		return NULL;
	return window;
}

static int walk_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
	struct walk_file *walk = walk_file_of(file);
	struct walk_window *window;

	if (!walk->on)
		return walk->real->pMethods->xRead(walk->real, out, len, at);
	walk->reads++;
	window = window_for(walk, len, at);
	if (window == NULL) {
		walk->behind = at + len;
		return walk->real->pMethods->xRead(walk->real, out, len, at);
	}
	window->used = walk->reads;
	memcpy(out, window->bytes + (at - window->at), (size_t)len);
	return SQLITE_OK;
}

/* --- all else goes through --- */

static int walk_close(sqlite3_file *file)
{
	forget(walk_file_of(file));
	return real_of(file)->pMethods->xClose(real_of(file));
}

static int walk_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	return real_of(file)->pMethods->xWrite(real_of(file), bytes, len, at);
}

static int walk_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int walk_sync(sqlite3_file *file, int flags)
{
	return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int walk_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int walk_lock(sqlite3_file *file, int lock)
{
	return real_of(file)->pMethods->xLock(real_of(file), lock);
}

static int walk_unlock(sqlite3_file *file, int lock)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), lock);
}

static int walk_check_reserved(sqlite3_file *file, int *reserved)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), reserved);
}

static int walk_control(sqlite3_file *file, int operation, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), operation, arg);
}

static int walk_sector_size(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int walk_characteristics(sqlite3_file *file)
{
	return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int walk_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	return real_of(file)->pMethods->xShmMap(real_of(file), region, size, extend, out);
}

static int walk_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void walk_shm_barrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int walk_shm_unmap(sqlite3_file *file, int delete)
{
	return real_of(file)->pMethods->xShmUnmap(real_of(file), delete);
}

/* Version 2: nothing is ever mapped (no xFetch). */
static const sqlite3_io_methods walk_methods = {
	.iVersion = 2,
	.xClose = walk_close,
	.xRead = walk_read,
	.xWrite = walk_write,
	.xTruncate = walk_truncate,
	.xSync = walk_sync,
	.xFileSize = walk_size,
	.xLock = walk_lock,
	.xUnlock = walk_unlock,
	.xCheckReservedLock = walk_check_reserved,
	.xFileControl = walk_control,
	.xSectorSize = walk_sector_size,
	.xDeviceCharacteristics = walk_characteristics,
	.xShmMap = walk_shm_map,
	.xShmLock = walk_shm_lock,
	.xShmBarrier = walk_shm_barrier,
	.xShmUnmap = walk_shm_unmap,
};

int walk_vfs_open(sqlite3_vfs *real, const char *name, struct walk_file *file, int flags, int *out_flags)
{
	int code;

	*file = (struct walk_file) { .real = (sqlite3_file *)(file + 1), .behind = -1 };
	code = real->xOpen(real, name, file->real, flags, out_flags);
	if (file->real->pMethods != NULL && file->real->pMethods->iVersion >= 2)
		file->base.pMethods = &walk_methods;
	return code;
}

static struct walk_file *main_file(sqlite3 *handle)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file == NULL ||
	        file->pMethods != &walk_methods)
		return NULL;
	return walk_file_of(file);
}

void walk_begin(sqlite3 *handle)
{
	struct walk_file *walk = main_file(handle);

	if (walk != NULL)
		walk->on = true;
}

void walk_end(sqlite3 *handle)
{
	struct walk_file *walk = main_file(handle);

	if (walk != NULL)
		forget(walk);
}
