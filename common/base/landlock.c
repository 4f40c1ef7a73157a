#include "base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h, by the version of the interface (ABI) that brought them */
#define NR_LANDLOCK_CREATE_RULESET 444
#define NR_LANDLOCK_ADD_RULE       445
#define NR_LANDLOCK_RESTRICT_SELF  446
#define CREATE_RULESET_VERSION     1u
#define RULE_PATH_BENEATH          1

#define FS_EXECUTE     (1ull << 0)
#define FS_WRITE_FILE  (1ull << 1)
#define FS_READ_FILE   (1ull << 2)
#define FS_READ_DIR    (1ull << 3)
#define FS_REMOVE_DIR  (1ull << 4)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_CHAR   (1ull << 6)
#define FS_MAKE_DIR    (1ull << 7)
#define FS_MAKE_REG    (1ull << 8)
#define FS_MAKE_SOCK   (1ull << 9)
#define FS_MAKE_FIFO   (1ull << 10)
#define FS_MAKE_BLOCK  (1ull << 11)
#define FS_MAKE_SYM    (1ull << 12)
#define FS_REFER       (1ull << 13) /* 2: link and rename into another directory */
#define FS_TRUNCATE    (1ull << 14) /* 3 */
#define FS_IOCTL_DEV   (1ull << 15) /* 5 */
#define SCOPE_SIGNAL   (1ull << 1)  /* 6 */

#define FS_FILE (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV) /* may be said of a file */
#define FS_READ (FS_READ_FILE | FS_READ_DIR)
#define FS_WRITE                                                                                                       \
	(FS_READ | FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |          \
	        FS_MAKE_SOCK | FS_REFER)

struct ruleset_attr {
	uint64_t handled_fs;
	uint64_t handled_net; /* ABI 4 */
	uint64_t scoped;      /* ABI 6 */
};

struct path_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

static uint64_t handled_by(int abi)
{
	uint64_t handled = FS_REFER - 1; /* all of ABI 1 */

	if (abi >= 2)
		handled |= FS_REFER;
	if (abi >= 3)
		handled |= FS_TRUNCATE;
	if (abi >= 5)
		handled |= FS_IOCTL_DEV;
	return handled;
}

static int create_ruleset(int abi)
{
	struct ruleset_attr attr = { .handled_fs = handled_by(abi), .scoped = abi >= 6 ? SCOPE_SIGNAL : 0 };
	size_t size = abi >= 6 ? sizeof(attr) : sizeof(attr.handled_fs); /* older kernels know a shorter struct */

	return (int)syscall(NR_LANDLOCK_CREATE_RULESET, &attr, size, 0);
}

static bool allow(int ruleset, const struct sandbox_path *path, uint64_t handled, struct error *err)
{
	struct path_attr rule = { .allowed = path->access == SANDBOX_WRITE ? FS_WRITE : FS_READ };
	struct stat st;
	int failed = 0;

	rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return true;
	if (rule.parent_fd < 0)
		return error_errno(err, errno, path->path);
	if (fstat(rule.parent_fd, &st) != 0)
		failed = errno;
	if (failed == 0 && !S_ISDIR(st.st_mode))
		rule.allowed &= FS_FILE;
	rule.allowed &= handled;
	if (failed == 0 && syscall(NR_LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0)
		failed = errno;
	close(rule.parent_fd);
	return failed == 0 ? true : error_errno(err, failed, path->path);
}

static bool restrict_self(int ruleset, struct error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return error_errno(err, errno, "PR_SET_NO_NEW_PRIVS");
	if (syscall(NR_LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0)
		return error_errno(err, errno, "landlock_restrict_self");
	return true;
}

bool landlock_enter(const struct sandbox_path *paths, size_t count, int *abi, struct error *err)
{
	bool ok = true;
	int ruleset;

	*abi = (int)syscall(NR_LANDLOCK_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
	if (*abi <= 0) { /* ENOSYS: not in this kernel; EOPNOTSUPP: switched off */
		*abi = 0;
		return true;
	}
	ruleset = create_ruleset(*abi);
	if (ruleset < 0)
		return error_errno(err, errno, "landlock_create_ruleset");
	for (size_t i = 0; ok && i < count; i++)
		ok = allow(ruleset, &paths[i], handled_by(*abi), err);
	ok = ok && restrict_self(ruleset, err);
	close(ruleset);
	return ok;
}
