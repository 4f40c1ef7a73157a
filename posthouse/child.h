/* posthouse/child.h — one process of the suite, seen from its parent: start it by exec, talk to it, know if it lives.
 *
 *            child_start        'R' read             child_drain            reaped
 *   NONE ------------> STARTING ---------> READY ---------------> DRAINING ---------> NONE
 *                          |                 |  no answer to pings     |  deadline
 *                          +-----------------+---------> SIGKILL <-----+
 *
 * The service protocol (net/service.h has the child's side): descriptors from 3 on named in LISTEN_FDNAMES; over
 * "control" one-byte messages 'p' ping (both ways), 'd' drain, 'r' reload to the child, 'R' ready from it.
 * Thread: the supervisor's only one. No call waits. */
#ifndef POSTHOUSE_CHILD_H
#define POSTHOUSE_CHILD_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

#define CHILD_FDS_MAX   64
#define CHILD_PING_MS   1000  /* from one ping to the next */
#define CHILD_HUNG_MS   4000  /* a ping unanswered for so long: killed */
#define CHILD_CLOSED_MS 1000  /* from the end of its control socket to its own end; then killed */
#define CHILD_START_MS  60000 /* to become ready: opening a store after a crash may take its time */

enum child_state { CHILD_NONE, CHILD_STARTING, CHILD_READY, CHILD_DRAINING };

struct child {
	enum child_state state;
	pid_t pid;
	int control;        /* our end; -1 without a process */
	int64_t started_ms; /* monotonic, like all times here */
	int64_t pinged_ms;  /* when the ping that waits for its answer was sent; 0: none waits */
	int64_t next_ping_ms;
	int64_t closed_ms;  /* when it closed its end of control; 0: it has not */
	int64_t kill_at_ms; /* DRAINING: the end of its patience; 0: none */
	bool killed;        /* SIGKILL was sent; only the reaping is missing */
};

struct child_spec {
	const char *program; /* path */
	const char *name;    /* argv[0], and the process name in logs: "smtpd" */
	const char *config;
	unsigned worker;
	struct {
		int fd;
		const char *name;
	} fds[CHILD_FDS_MAX]; /* without control, which child_start() adds */
	size_t fd_count;
};

void child_init(struct child *child);
/* STARTING on true. A program that cannot be executed shows as an exit with status 127. */
bool child_start(struct child *child, const struct child_spec *spec, struct error *err);
/* Reads what the child said; true when it became ready by that. */
bool child_read(struct child *child, int64_t now);
/* Pings when it is time to, kills who does not answer, kills who drains too long. *why: a word for the log when it killed. */
bool child_watch(struct child *child, int64_t now, const char **why);
int64_t child_deadline(const struct child *child); /* when child_watch() is next of use; INT64_MAX: never */
void child_send(struct child *child, char message);
void child_drain(struct child *child, int64_t kill_at_ms);
void child_kill(struct child *child);
void child_forgive(struct child *child, int64_t now); /* we were frozen ourselves: its silence proves nothing */
void child_reaped(struct child *child);               /* -> NONE */

#endif
