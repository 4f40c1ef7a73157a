#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_write_all(int fd, struct span bytes, struct error *err)
{
	while (bytes.len > 0) {
		ssize_t done = write(fd, bytes.ptr, bytes.len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return error_errno(err, errno, "write");
		bytes = span_skip(bytes, (size_t)done);
	}
	return true;
}

bool file_pwrite_all(int fd, struct span bytes, off_t offset, struct error *err)
{
	while (bytes.len > 0) {
		ssize_t done = pwrite(fd, bytes.ptr, bytes.len, offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return error_errno(err, errno, "pwrite");
		bytes = span_skip(bytes, (size_t)done);
		offset += done;
	}
	return true;
}

bool file_pread_all(int fd, void *out, size_t len, off_t offset, struct error *err)
{
	char *to = out;

	while (len > 0) {
		ssize_t done = pread(fd, to, len, offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return error_errno(err, errno, "pread");
		if (done == 0)
			return error_detail(err, ERR_DAMAGED, "file ends %zu bytes early", len);
		to += done;
		len -= (size_t)done;
		offset += done;
	}
	return true;
}

static bool read_to_end(int fd, struct buffer *out, struct error *err)
{
	for (;;) {
		char chunk[4096];
		ssize_t got = read(fd, chunk, sizeof(chunk));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, errno, "read");
		if (got == 0)
			return true;
		if (!buffer_append(out, chunk, (size_t)got))
			return error_detail(err, ERR_TOO_LARGE, "file is larger than %zu bytes", out->limit);
	}
}

bool file_read_path(const char *path, struct buffer *out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return error_errno(err, errno, path);
	ok = read_to_end(fd, out, err);
	close(fd);
	return ok;
}

bool file_sync(int fd, struct error *err)
{
	/* Never retried: after a failed fdatasync the pages may be marked clean without being on the disk. */
	return fdatasync(fd) == 0 ? true : error_errno(err, errno, "fdatasync");
}

bool file_sync_dir(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed;

	if (fd < 0)
		return error_errno(err, errno, path);
	failed = fsync(fd) == 0 ? 0 : errno;
	close(fd);
	return failed == 0 ? true : error_errno(err, failed, "fsync of a directory");
}

bool file_make_dir(const char *path, mode_t mode, struct error *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return true;
	if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return true;
	return error_errno(err, errno, path);
}

static bool write_new_file(const char *path, struct span bytes, mode_t mode, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	bool ok;

	if (fd < 0)
		return error_errno(err, errno, path);
	ok = file_write_all(fd, bytes, err) && file_sync(fd, err);
	if (close(fd) != 0 && ok)
		ok = error_errno(err, errno, "close");
	return ok;
}

bool file_replace(const char *path, struct span bytes, mode_t mode, struct error *err)
{
	char temporary[PATH_MAX];
	char parent[PATH_MAX];
	int len = snprintf(temporary, sizeof(temporary), "%s.tmp", path);

	if (len < 0 || (size_t)len >= sizeof(temporary))
		return error_detail(err, ERR_TOO_LONG, "path too long: %.200s", path);
	snprintf(parent, sizeof(parent), "%s", path);
	if (!write_new_file(temporary, bytes, mode, err)) {
		unlink(temporary);
		return false;
	}
	if (rename(temporary, path) != 0) {
		error_errno(err, errno, "rename");
		unlink(temporary);
		return false;
	}
	return file_sync_dir(dirname(parent), err);
}
