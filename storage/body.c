#include "storage/body.h"

#include "base/file.h"
#include "base/random.h"
#include "storage/database.h"
#include "storage/spool_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_PIECE (64 * KIB)

static void dir_of(const char *account_path, const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s/blobs/%.2s", account_path, name);
}

static void path_of(const char *account_path, const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s/blobs/%.2s/%.32s", account_path, name, name);
}

static void choose_name(struct body_name *name)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bytes[BODY_NAME_LEN / 2];

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		name->text[2 * i] = digits[bytes[i] >> 4];
		name->text[2 * i + 1] = digits[bytes[i] & 15];
	}
	name->text[BODY_NAME_LEN] = '\0';
}

void body_shelf_choose(struct body_shelf *shelf)
{
	struct body_name name;

	if (shelf->digits[0] != '\0')
		return;
	choose_name(&name);
	snprintf(shelf->digits, sizeof(shelf->digits), "%.2s", name.text);
}

static bool make_dir(const char *account_path, const char *dir, struct error *err)
{
	char parent[DATABASE_PATH_MAX + 8];

	if (access(dir, F_OK) == 0)
		return true;
	snprintf(parent, sizeof(parent), "%s/blobs", account_path);
	return file_make_dir(dir, 0700, err) && file_sync_dir(parent, err);
}

static bool copy_bytes(struct spool *spool, int to, struct error *err)
{
	char piece[COPY_PIECE];
	uint64_t at = 0;
	size_t got;

	for (;;) {
		if (!spool_read(spool, at, piece, sizeof(piece), &got, err))
			return false;
		if (got == 0)
			return file_sync(to, err);
		if (!file_pwrite_all(to, span_make(piece, got), (off_t)at, err))
			return false;
		at += got;
	}
}

/* Where the kernel forbids the link (an old Landlock knows no link between directories; no /proc). */
static bool copy_file(struct spool *spool, const char *path, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return error_errno(err, errno, "new body file");
	ok = copy_bytes(spool, fd, err);
	close(fd);
	if (!ok)
		unlink(path);
	return ok;
}

static bool link_file(struct spool *spool, const char *path, struct error *err)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", spool_fd(spool));
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return true;
	switch (errno) {
	case EXDEV:
	case EPERM:
	case EACCES:
	case ENOENT:
	case EMLINK: return copy_file(spool, path, err);
	default: return error_errno(err, errno, "link of a body file");
	}
}

bool body_link(const char *account_path, const struct body_shelf *shelf, struct spool *spool, struct body_name *name,
        struct error *err)
{
	char dir[DATABASE_PATH_MAX + 16], path[DATABASE_PATH_MAX + 64];

	choose_name(name);
	memcpy(name->text, shelf->digits, 2);
	dir_of(account_path, name->text, dir, sizeof(dir));
	path_of(account_path, name->text, path, sizeof(path));
	return spool_sync(spool, err) && make_dir(account_path, dir, err) && link_file(spool, path, err);
}

bool body_shelf_sync(const char *account_path, const struct body_shelf *shelf, struct error *err)
{
	char dir[DATABASE_PATH_MAX + 16];

	dir_of(account_path, shelf->digits, dir, sizeof(dir));
	return file_sync_dir(dir, err);
}

void body_remove(const char *account_path, const char *name)
{
	char path[DATABASE_PATH_MAX + 64];

	path_of(account_path, name, path, sizeof(path));
	unlink(path); /* what stays is rubbish that `posthouse check --repair` removes */
}

int body_open(const char *account_path, struct span name, uint64_t length, struct error *err)
{
	char path[DATABASE_PATH_MAX + 64], text[BODY_NAME_LEN + 1];
	struct stat st;
	int fd;

	if (name.len != BODY_NAME_LEN || !span_copy(name, text, sizeof(text))) {
		error_detail(err, ERR_DAMAGED, "%.200s: a row names no proper body file", account_path);
		return -1;
	}
	path_of(account_path, text, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		error_detail(err, ERR_DAMAGED, "%.200s is missing", path);
	else if (fd < 0)
		error_errno(err, errno, path);
	else if (fstat(fd, &st) != 0)
		error_errno(err, errno, path);
	else if ((uint64_t)st.st_size == length)
		return fd;
	else
		error_detail(err, ERR_DAMAGED, "%.200s is not %llu octets long", path, (unsigned long long)length);
	if (fd >= 0)
		close(fd);
	return -1;
}
