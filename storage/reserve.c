#include "storage/reserve.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SPARE_SHARE 64          /* of the file system */
#define SPARE_ROOM  8           /* times the spare must be free before it is made */
#define LOG_EVERY   (60 * 1000) /* say it once a minute, not per message */

struct reserve {
	char data_dir[512];
	char spare[600];
	pthread_mutex_t mutex;
	int64_t logged_at;
	bool spare_there;
};

static uint64_t floor_of(const struct statvfs *fs)
{
	uint64_t share = (uint64_t)fs->f_blocks * fs->f_frsize / SPARE_SHARE;

	return share < RESERVE_MIN ? RESERVE_MIN : share > RESERVE_MAX ? RESERVE_MAX : share;
}

/* Failing to make the spare is no error: there is just no spare. */
static void make_spare(struct reserve *reserve)
{
	int fd = open(reserve->spare, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0)
		return;
	if ((fstat(fd, &st) == 0 && st.st_size >= RESERVE_MIN) || posix_fallocate(fd, 0, RESERVE_MIN) == 0)
		reserve->spare_there = true;
	close(fd);
}

struct reserve *reserve_new(const char *data_dir)
{
	struct reserve *reserve = calloc(1, sizeof(*reserve));
	struct statvfs fs;

	if (reserve == NULL)
		return NULL;
	snprintf(reserve->data_dir, sizeof(reserve->data_dir), "%s", data_dir);
	snprintf(reserve->spare, sizeof(reserve->spare), "%s/spare", data_dir);
	pthread_mutex_init(&reserve->mutex, NULL);
	reserve->logged_at = -LOG_EVERY;
	if (statvfs(data_dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize > SPARE_ROOM * floor_of(&fs))
		make_spare(reserve);
	return reserve;
}

void reserve_free(struct reserve **reserve)
{
	if (*reserve == NULL)
		return;
	pthread_mutex_destroy(&(*reserve)->mutex);
	free(*reserve);
	*reserve = NULL;
}

static void log_full(struct reserve *reserve, uint64_t left)
{
	int64_t now = clock_mono_ms();

	if (now - reserve->logged_at < LOG_EVERY)
		return;
	reserve->logged_at = now;
	LOG(LOG_ERROR, "storage.disk_full", LOG_TEXT("directory", reserve->data_dir), LOG_NUMBER("free", left));
}

bool reserve_allows(struct reserve *reserve, uint64_t more, struct error *err)
{
	struct statvfs fs;
	uint64_t left, least;

	if (statvfs(reserve->data_dir, &fs) != 0)
		return error_errno(err, errno, reserve->data_dir);
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	least = floor_of(&fs);
	if (left >= least && left - least >= more) {
		if (reserve->spare_there || left <= SPARE_ROOM * least)
			return true;
		pthread_mutex_lock(&reserve->mutex);
		make_spare(reserve);
		pthread_mutex_unlock(&reserve->mutex);
		return true;
	}
	pthread_mutex_lock(&reserve->mutex);
	log_full(reserve, left);
	pthread_mutex_unlock(&reserve->mutex);
	return error_detail(err, ERR_NO_SPACE, "%.200s: %llu octets free", reserve->data_dir, (unsigned long long)left);
}

bool reserve_has_plenty(struct reserve *reserve, uint64_t more, struct error *err)
{
	struct statvfs fs;
	uint64_t left;

	if (statvfs(reserve->data_dir, &fs) != 0)
		return error_errno(err, errno, reserve->data_dir);
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	return left >= RESERVE_FOR_MAIL * floor_of(&fs) + more ||
	       error_detail(err, ERR_NO_SPACE, "%.200s: %llu octets free", reserve->data_dir, (unsigned long long)left);
}

bool reserve_release(struct reserve *reserve)
{
	struct stat st;
	bool freed;

	pthread_mutex_lock(&reserve->mutex);
	freed = stat(reserve->spare, &st) == 0 && st.st_size > 0 && truncate(reserve->spare, 0) == 0;
	reserve->spare_there = false;
	if (freed)
		LOG(LOG_WARNING, "storage.spare_used", LOG_TEXT("file", reserve->spare));
	pthread_mutex_unlock(&reserve->mutex);
	return freed;
}
