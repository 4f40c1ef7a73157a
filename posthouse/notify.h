/* posthouse/notify.h — what systemd wants to know (sd_notify(3)), over NOTIFY_SOCKET by hand; does nothing without it. */
#ifndef POSTHOUSE_NOTIFY_H
#define POSTHOUSE_NOTIFY_H

#include <stdint.h>

struct notify {
	int fd;                   /* -1: nobody wants to know */
	int64_t watchdog_ms;      /* half of WATCHDOG_USEC; 0: none */
	int64_t next_watchdog_ms; /* monotonic */
};

void notify_open(struct notify *notify); /* reads NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID */
void notify_close(struct notify *notify);
void notify_ready(struct notify *notify);
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify);
void notify_status(struct notify *notify, const char *text);
void notify_watchdog(struct notify *notify, int64_t now); /* WATCHDOG=1 when it is time */

#endif
