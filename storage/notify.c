#include "storage/notify.h"

#include "base/clock.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NOTIFY_DIR    "run/notify"
#define LOOK_AGAIN_MS 1000 /* also when the directory looks unchanged: its time stamp is coarse */

struct hint {
	int64_t account_id;
	uint64_t modseq;
};

struct notifier {
	pthread_mutex_t mutex;
	int socket;
	int dir;              /* -1: nobody listens on this site */
	struct timespec seen; /* the directory's time when the names were read */
	int64_t read_at;
	unsigned count;
	char names[NOTIFY_LISTENERS_MAX][64];
};

/* sun_path is short and data directories may be deep, so sockets are reached through the directory's descriptor. */
static bool address_of(int dir, const char *name, struct sockaddr_un *address)
{
	int len;

	*address = (struct sockaddr_un) { .sun_family = AF_UNIX };
	len = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", dir, name);
	return len > 0 && (size_t)len < sizeof(address->sun_path);
}

static int open_dir(const char *data_dir)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/" NOTIFY_DIR, data_dir);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct notifier *notifier_new(const char *data_dir)
{
	struct notifier *notifier = calloc(1, sizeof(*notifier));

	if (notifier == NULL)
		return NULL;
	pthread_mutex_init(&notifier->mutex, NULL);
	notifier->read_at = -LOOK_AGAIN_MS;
	notifier->dir = open_dir(data_dir);
	notifier->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return notifier;
}

void notifier_free(struct notifier **notifier)
{
	struct notifier *gone = *notifier;

	if (gone == NULL)
		return;
	if (gone->dir >= 0)
		close(gone->dir);
	if (gone->socket >= 0)
		close(gone->socket);
	pthread_mutex_destroy(&gone->mutex);
	free(gone);
	*notifier = NULL;
}

static void read_names(struct notifier *notifier)
{
	int fd = openat(notifier->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	notifier->count = 0;
	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL && notifier->count < NOTIFY_LISTENERS_MAX) {
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < sizeof(notifier->names[0]))
			snprintf(
			        notifier->names[notifier->count++], sizeof(notifier->names[0]), "%.63s", entry->d_name);
	}
	closedir(dir);
}

static void refresh(struct notifier *notifier)
{
	int64_t now = clock_mono_ms();
	struct stat st;

	if (fstat(notifier->dir, &st) != 0)
		return;
	if (st.st_mtim.tv_sec == notifier->seen.tv_sec && st.st_mtim.tv_nsec == notifier->seen.tv_nsec &&
	        now - notifier->read_at < LOOK_AGAIN_MS)
		return;
	notifier->seen = st.st_mtim;
	notifier->read_at = now;
	read_names(notifier);
}

void notifier_tell(struct notifier *notifier, int64_t account_id, uint64_t modseq)
{
	struct hint hint = { account_id, modseq };
	struct sockaddr_un address;

	if (notifier->dir < 0 || notifier->socket < 0)
		return;
	pthread_mutex_lock(&notifier->mutex);
	refresh(notifier);
	for (unsigned i = 0; i < notifier->count; i++) {
		if (!address_of(notifier->dir, notifier->names[i], &address))
			continue;
		if (sendto(notifier->socket, &hint, sizeof(hint), MSG_DONTWAIT | MSG_NOSIGNAL,
		            (const struct sockaddr *)&address, sizeof(address)) < 0 &&
		        errno == ECONNREFUSED)
			unlinkat(notifier->dir, notifier->names[i], 0); /* its process is dead */
	}
	pthread_mutex_unlock(&notifier->mutex);
}

int notify_listen(const char *data_dir, struct span name, struct error *err)
{
	int dir = open_dir(data_dir), fd = -1;
	struct sockaddr_un address;
	char text[64];

	if (dir < 0) {
		error_errno(err, errno, NOTIFY_DIR);
		return -1;
	}
	if (!span_copy(name, text, sizeof(text)) || !address_of(dir, text, &address)) {
		error_set(err, ERR_TOO_LONG, "name too long");
	} else {
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		unlinkat(dir, text, 0);
		if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
			error_errno(err, errno, "notify socket");
			if (fd >= 0)
				close(fd);
			fd = -1;
		}
	}
	close(dir);
	return fd;
}

void notify_forget(const char *data_dir, struct span name)
{
	int dir = open_dir(data_dir);
	char text[64];

	if (dir < 0)
		return;
	if (span_copy(name, text, sizeof(text)))
		unlinkat(dir, text, 0);
	close(dir);
}

bool notify_next(int fd, int64_t *account_id, uint64_t *modseq)
{
	struct hint hint;

	if (recv(fd, &hint, sizeof(hint), MSG_DONTWAIT) != (ssize_t)sizeof(hint))
		return false;
	*account_id = hint.account_id;
	*modseq = hint.modseq;
	return true;
}
