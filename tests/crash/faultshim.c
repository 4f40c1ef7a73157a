/* tests/crash/faultshim.c — makes chosen calls of a process fail, wait, come short, or be its last, while it runs.
 *
 * Preloaded into the suite (LD_PRELOAD). PH_FAULTS names a file of one `struct control`, mapped by every process before its
 * sandbox closes; faults.py writes into it to switch faults on and off. File calls are touched only when they concern a regular
 * file (or a path) below the folder named in the control. Counters are shared by all processes. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum operation {
	OP_OPEN,
	OP_WRITE,
	OP_SYNC,
	OP_RENAME,
	OP_LINK,
	OP_UNLINK,
	OP_ALLOCATE,
	OP_TRUNCATE,
	OP_MALLOC,
	OP_READ, /* at a place of a file: what SQLite and bodies in files are read with */
	OP_COUNT
};
enum action { NOTHING, FAIL, WAIT, SHORT, KILL_BEFORE, KILL_AFTER };

struct rule {
	_Atomic uint32_t action;
	_Atomic uint32_t every; /* the n-th, 2n-th, ... call counted from 1; for KILL_*: only the n-th */
	_Atomic uint32_t error;
	_Atomic uint32_t wait_ms;
	_Atomic uint32_t calls; /* since it was switched on */
	_Atomic uint32_t hits;
};

struct control {
	struct rule rules[OP_COUNT];
	_Atomic int64_t clock_offset_s; /* of the wall clock */
	char folder[PATH_MAX];
};

static struct control *control;

__attribute__((constructor)) static void map_control(void)
{
	const char *name = getenv("PH_FAULTS");
	int fd = name != NULL ? open(name, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (map != MAP_FAILED)
		control = map;
}

static bool path_is_ours(const char *path)
{
	size_t len = strlen(control->folder);

	return path[0] != '/' || strncmp(path, control->folder, len) == 0 || strncmp(path, "/proc/self/fd/", 14) == 0;
}

static bool fd_is_ours(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len <= 0)
		return false;
	path[len] = '\0';
	return strncmp(path, control->folder, strlen(control->folder)) == 0;
}

/* What shall happen to this call; NOTHING when its turn has not come. */
static enum action turn(enum operation op)
{
	struct rule *rule = &control->rules[op];
	uint32_t every = rule->every, action = rule->action, call;

	if (action == NOTHING)
		return NOTHING;
	call = ++rule->calls;
	if (every > 1 && (action == KILL_BEFORE || action == KILL_AFTER ? call != every : call % every != 0))
		return NOTHING;
	rule->hits++;
	if (action == WAIT) {
		(void)poll(NULL, 0, (int)rule->wait_ms);
		return NOTHING;
	}
	if (action == KILL_BEFORE)
		(void)raise(SIGKILL);
	return (enum action)action;
}

static bool fails(enum operation op)
{
	if (turn(op) != FAIL)
		return false;
	errno = (int)control->rules[op].error;
	return true;
}

static void after(enum action action)
{
	if (action == KILL_AFTER)
		(void)raise(SIGKILL);
}

#define REAL(name)                                                                                                     \
	static __typeof__(&name) real;                                                                                 \
	if (real == NULL)                                                                                              \
	*(void **)&real = dlsym(RTLD_NEXT, #name)

#define PATH_CALL(op, path, call)                                                                                      \
	do {                                                                                                           \
		enum action what = control != NULL && path_is_ours(path) ? turn(op) : NOTHING;                         \
		if (what == FAIL) {                                                                                    \
			errno = (int)control->rules[op].error;                                                         \
			return -1;                                                                                     \
		}                                                                                                      \
		__typeof__(call) result = call;                                                                        \
		after(what);                                                                                           \
		return result;                                                                                         \
	} while (0)

#define FD_CALL(op, fd, call)                                                                                          \
	do {                                                                                                           \
		enum action what = control != NULL && control->rules[op].action != NOTHING && fd_is_ours(fd)           \
		                           ? turn(op)                                                                  \
		                           : NOTHING;                                                                  \
		if (what == FAIL) {                                                                                    \
			errno = (int)control->rules[op].error;                                                         \
			return -1;                                                                                     \
		}                                                                                                      \
		__typeof__(call) result = call;                                                                        \
		after(what);                                                                                           \
		return result;                                                                                         \
	} while (0)

#define OPEN_LIKE(name, parameters, path, ...)                                                                         \
	int name parameters                                                                                            \
	{                                                                                                              \
		mode_t mode = 0;                                                                                       \
		REAL(name);                                                                                            \
		if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {                                      \
			va_list rest;                                                                                  \
			va_start(rest, flags);                                                                         \
			mode = va_arg(rest, mode_t);                                                                   \
			va_end(rest);                                                                                  \
		}                                                                                                      \
		PATH_CALL(OP_OPEN, path, real(__VA_ARGS__, mode));                                                     \
	}

OPEN_LIKE(open, (const char *path, int flags, ...), path, path, flags)
OPEN_LIKE(open64, (const char *path, int flags, ...), path, path, flags)
OPEN_LIKE(openat, (int dir, const char *path, int flags, ...), path, dir, path, flags)
OPEN_LIKE(openat64, (int dir, const char *path, int flags, ...), path, dir, path, flags)

/* What _FORTIFY_SOURCE makes of open() without a mode. */
#define FORTIFIED(name, parameters, path, ...)                                                                         \
	int name parameters;                                                                                           \
	int name parameters                                                                                            \
	{                                                                                                              \
		REAL(name);                                                                                            \
		PATH_CALL(OP_OPEN, path, real(__VA_ARGS__));                                                           \
	}

FORTIFIED(__open_2, (const char *path, int flags), path, path, flags)
FORTIFIED(__open64_2, (const char *path, int flags), path, path, flags)
FORTIFIED(__openat_2, (int dir, const char *path, int flags), path, dir, path, flags)
FORTIFIED(__openat64_2, (int dir, const char *path, int flags), path, dir, path, flags)

/* Written to less than asked for; the caller has to go on. */
static size_t shortened(enum operation op, int fd, size_t len, enum action *what)
{
	*what = control != NULL && control->rules[op].action != NOTHING && fd_is_ours(fd) ? turn(op) : NOTHING;
	return *what == SHORT && len > 1 ? len / 2 : len;
}

#define WRITE_LIKE(name, parameters, ...)                                                                              \
	ssize_t name parameters                                                                                        \
	{                                                                                                              \
		enum action what;                                                                                      \
		REAL(name);                                                                                            \
		size_t len = shortened(OP_WRITE, fd, size, &what);                                                     \
		if (what == FAIL) {                                                                                    \
			errno = (int)control->rules[OP_WRITE].error;                                                   \
			return -1;                                                                                     \
		}                                                                                                      \
		ssize_t result = real(__VA_ARGS__);                                                                    \
		after(what);                                                                                           \
		return result;                                                                                         \
	}

WRITE_LIKE(write, (int fd, const void *bytes, size_t size), fd, bytes, len)
WRITE_LIKE(pwrite, (int fd, const void *bytes, size_t size, off_t at), fd, bytes, len, at)
WRITE_LIKE(pwrite64, (int fd, const void *bytes, size_t size, off64_t at), fd, bytes, len, at)

ssize_t pread(int fd, void *bytes, size_t size, off_t at)
{
	REAL(pread);
	FD_CALL(OP_READ, fd, real(fd, bytes, size, at));
}

ssize_t pread64(int fd, void *bytes, size_t size, off64_t at)
{
	REAL(pread64);
	FD_CALL(OP_READ, fd, real(fd, bytes, size, at));
}

int fsync(int fd)
{
	REAL(fsync);
	FD_CALL(OP_SYNC, fd, real(fd));
}

int fdatasync(int fd)
{
	REAL(fdatasync);
	FD_CALL(OP_SYNC, fd, real(fd));
}

int rename(const char *from, const char *to)
{
	REAL(rename);
	PATH_CALL(OP_RENAME, from, real(from, to));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	REAL(renameat);
	PATH_CALL(OP_RENAME, from, real(from_dir, from, to_dir, to));
}

int link(const char *from, const char *to)
{
	REAL(link);
	PATH_CALL(OP_LINK, to, real(from, to));
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	REAL(linkat);
	PATH_CALL(OP_LINK, to, real(from_dir, from, to_dir, to, flags));
}

int unlink(const char *path)
{
	REAL(unlink);
	PATH_CALL(OP_UNLINK, path, real(path));
}

int unlinkat(int dir, const char *path, int flags)
{
	REAL(unlinkat);
	PATH_CALL(OP_UNLINK, path, real(dir, path, flags));
}

int ftruncate(int fd, off_t len)
{
	REAL(ftruncate);
	FD_CALL(OP_TRUNCATE, fd, real(fd, len));
}

int ftruncate64(int fd, off64_t len)
{
	REAL(ftruncate64);
	FD_CALL(OP_TRUNCATE, fd, real(fd, len));
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
	REAL(fallocate);
	FD_CALL(OP_ALLOCATE, fd, real(fd, mode, at, len));
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
	REAL(fallocate64);
	FD_CALL(OP_ALLOCATE, fd, real(fd, mode, at, len));
}

/* posix_fallocate() returns the error instead of setting errno. */
int posix_fallocate(int fd, off_t at, off_t len)
{
	REAL(posix_fallocate);
	if (control != NULL && fd_is_ours(fd) && fails(OP_ALLOCATE))
		return errno;
	return real(fd, at, len);
}

int posix_fallocate64(int fd, off64_t at, off64_t len)
{
	REAL(posix_fallocate64);
	if (control != NULL && fd_is_ours(fd) && fails(OP_ALLOCATE))
		return errno;
	return real(fd, at, len);
}

/* ---- memory ---- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	return control != NULL && fails(OP_MALLOC) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return control != NULL && fails(OP_MALLOC) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return control != NULL && size > 0 && fails(OP_MALLOC) ? NULL : __libc_realloc(old, size);
}

/* ---- the wall clock ---- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
	REAL(clock_gettime);
	int result = real(clock, now);

	if (result == 0 && control != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += control->clock_offset_s;
	return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return (time_t)-1;
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}
