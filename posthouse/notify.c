#include "posthouse/notify.h"

#include "base/clock.h"
#include "base/span.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 256

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	int fd;

	if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* abstract, unix(7) */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
	                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) != 0) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

void notify_open(struct notify *notify)
{
	const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t value;

	*notify = (struct notify) { .fd = path != NULL ? connect_to(path) : -1 };
	if (pid != NULL && (!span_number(span_of(pid), INT32_MAX, &value) || value != (uint64_t)getpid()))
		return;
	if (usec != NULL && span_number(span_of(usec), INT64_MAX, &value))
		notify->watchdog_ms = (int64_t)(value / 2000);
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		(void)close(notify->fd);
	notify->fd = -1;
}

static void tell(struct notify *notify, const char *text)
{
	if (notify->fd >= 0)
		(void)!send(notify->fd, text, strlen(text), MSG_NOSIGNAL);
}

void notify_ready(struct notify *notify)
{
	tell(notify, "READY=1");
}

void notify_reloading(struct notify *notify)
{
	char text[MESSAGE_MAX];

	/* Type=notify-reload wants to know when, to tell this reload from the one before. */
	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_ms() * 1000);
	tell(notify, text);
}

void notify_stopping(struct notify *notify)
{
	tell(notify, "STOPPING=1");
}

void notify_status(struct notify *notify, const char *status)
{
	char text[MESSAGE_MAX];

	(void)snprintf(text, sizeof(text), "STATUS=%s", status);
	tell(notify, text);
}

void notify_watchdog(struct notify *notify, int64_t now)
{
	if (notify->watchdog_ms == 0 || now < notify->next_watchdog_ms)
		return;
	notify->next_watchdog_ms = now + notify->watchdog_ms;
	tell(notify, "WATCHDOG=1");
}
