/* "There is work", told to the relay: a datagram of one octet to run/relay.sock. A hint that is lost costs nothing but the time until the relay
 * looks by itself: it wakes up for the next attempt that it knows of. That something was changed is worth some patience. */
#include "storage/queue_private.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RELAY_SOCKET  "relay.sock"
#define CHANGED       'c'
#define WORK          'q'
#define ROOM_TRIES    100 /* for a place among the hints that wait: the relay takes them many times a second */
#define ROOM_PAUSE_MS 10

/* sun_path is short and data directories may be deep, so the socket is reached through the directory's descriptor. */
static void address_of(int dir, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un) { .sun_family = AF_UNIX };
	(void)snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/" RELAY_SOCKET, dir);
}

static int open_run(const char *data_dir)
{
	char path[DATABASE_PATH_MAX + 8];

	(void)snprintf(path, sizeof(path), "%s/run", data_dir);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void send_hint(const struct queue *queue, enum queue_hint hint)
{
	char octet = hint == QUEUE_HINT_CHANGED ? CHANGED : WORK;
	unsigned tries = hint == QUEUE_HINT_CHANGED ? ROOM_TRIES : 0;
	struct sockaddr_un address;

	address_of(queue->run_dir, &address);
	while (sendto(queue->tell_socket, &octet, sizeof(octet), MSG_DONTWAIT | MSG_NOSIGNAL,
	               (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EAGAIN || tries-- == 0)
			return; /* full: hints are waiting; nobody there: it looks when it starts */
		(void)poll(NULL, 0, ROOM_PAUSE_MS);
	}
}

void queue_tell(struct queue *queue, enum queue_hint hint)
{

	pthread_mutex_lock(&queue->tell_mutex);
	if (queue->run_dir < 0)
		queue->run_dir = open_run(queue->data_dir);
	if (queue->tell_socket < 0)
		queue->tell_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (queue->run_dir >= 0 && queue->tell_socket >= 0)
		send_hint(queue, hint);
	pthread_mutex_unlock(&queue->tell_mutex);
}

static int bind_socket(int dir, struct error *err)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	if (fd < 0) {
		error_errno(err, errno, "relay socket");
		return -1;
	}
	address_of(dir, &address);
	unlinkat(dir, RELAY_SOCKET, 0); /* of a relay that is gone: there is one */
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error_errno(err, errno, "relay socket");
	close(fd);
	return -1;
}

int queue_watch(const char *data_dir, struct error *err)
{
	char run[DATABASE_PATH_MAX + 8];
	int dir, fd;

	(void)snprintf(run, sizeof(run), "%s/run", data_dir);
	if (!file_make_dir(run, 0700, err))
		return -1;
	dir = open_run(data_dir);
	if (dir < 0) {
		error_errno(err, errno, "run/");
		return -1;
	}
	fd = bind_socket(dir, err);
	close(dir);
	return fd;
}

enum queue_hint queue_watch_next(int fd)
{
	char hint = WORK;

	if (recv(fd, &hint, sizeof(hint), MSG_DONTWAIT) < 0)
		return QUEUE_HINT_NONE;
	return hint == CHANGED ? QUEUE_HINT_CHANGED : QUEUE_HINT_WORK;
}
