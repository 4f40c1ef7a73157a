#include "storage/spool.h"

#include "base/buffer.h"
#include "base/file.h"
#include "storage/account.h"
#include "storage/spool_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spool {
	struct store *store;
	uint64_t limit;
	uint64_t size;
	struct buffer memory; /* all of it, while fd is -1 */
	int fd;
	bool leaves; /* nothing more stays in memory */
	bool synced;
	bool failed; /* a write went wrong: what is there is not the message */
};

bool spool_new(struct store *store, uint64_t limit, struct spool **out, struct error *err)
{
	struct spool *spool = calloc(1, sizeof(*spool));

	*out = spool;
	if (spool == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	spool->store = store;
	spool->limit = limit;
	spool->fd = -1;
	buffer_init(&spool->memory, STORE_INLINE_BODY_MAX);
	return true;
}

void spool_free(struct spool **spool)
{
	if (*spool == NULL)
		return;
	if ((*spool)->fd >= 0)
		close((*spool)->fd);
	buffer_free(&(*spool)->memory);
	free(*spool);
	*spool = NULL;
}

bool spool_fits(const struct spool *spool, size_t more)
{
	return spool->fd < 0 && !spool->leaves && more <= STORE_INLINE_BODY_MAX - spool->size;
}

void spool_leave_memory(struct spool *spool)
{
	spool->leaves = true;
}

bool spool_is_file(const struct spool *spool)
{
	return spool->fd >= 0;
}

int spool_fd(const struct spool *spool)
{
	return spool->fd;
}

struct span spool_memory(const struct spool *spool)
{
	return buffer_span(&spool->memory);
}

uint64_t spool_size(const struct spool *spool)
{
	return spool->size;
}

static bool move_to_file(struct spool *spool, struct error *err)
{
	char dir[DATABASE_PATH_MAX];
	int fd;

	snprintf(dir, sizeof(dir), "%s/spool", spool->store->data_dir);
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, errno, "unnamed file in spool/");
	if (!file_pwrite_all(fd, buffer_span(&spool->memory), 0, err)) {
		close(fd);
		return false;
	}
	spool->fd = fd;
	buffer_free(&spool->memory);
	return true;
}

static bool write_bytes(struct spool *spool, struct span bytes, struct error *err)
{
	if (spool_fits(spool, bytes.len)) {
		if (buffer_append_span(&spool->memory, bytes))
			return true;
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (spool->fd < 0 && !move_to_file(spool, err))
		return false;
	spool->synced = false;
	return file_pwrite_all(spool->fd, bytes, (off_t)spool->size, err);
}

bool spool_append(struct spool *spool, struct span bytes, struct error *err)
{
	if (spool->failed)
		return error_detail(err, ERR_IO, "an earlier write to the spool failed");
	if (bytes.len > spool->limit - spool->size)
		return error_set(
		        err, ERR_TOO_LARGE, "message larger than %llu octets", (unsigned long long)spool->limit);
	if (!write_bytes(spool, bytes, err)) {
		spool->failed = true;
		return false;
	}
	spool->size += bytes.len;
	return true;
}

bool spool_read(struct spool *spool, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	uint64_t left = offset < spool->size ? spool->size - offset : 0;

	*got = size < left ? size : (size_t)left;
	if (*got == 0)
		return true;
	if (spool->fd >= 0)
		return file_pread_all(spool->fd, out, *got, (off_t)offset, err);
	memcpy(out, spool->memory.data + offset, *got);
	return true;
}

bool spool_sync(struct spool *spool, struct error *err)
{
	if (spool->failed)
		return error_detail(err, ERR_IO, "an earlier write to the spool failed");
	if (spool->fd < 0 || spool->synced)
		return true;
	if (!file_sync(spool->fd, err)) {
		spool->failed = true; /* a second fdatasync would say yes without proof */
		return false;
	}
	spool->synced = true;
	return true;
}
