#include "posthouse/child.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD     3 /* SD_LISTEN_FDS_START */
#define NAME_MAX_LEN 32
#define EXIT_NO_EXEC 127

void child_init(struct child *child)
{
	memset(child, 0, sizeof(*child));
	child->control = -1;
}

/* ---- starting; from here to exec_child() we are in the new process, single-threaded, before exec ---- */

/* Descriptors into FIRST_FD, FIRST_FD + 1, ...: first all out of the way, so that none is overwritten before its turn. */
static bool place_fds(const struct child_spec *spec, int control)
{
	int moved[CHILD_FDS_MAX + 1];
	size_t count = spec->fd_count + 1;

	for (size_t i = 0; i < count; i++) {
		int fd = i < spec->fd_count ? spec->fds[i].fd : control;
		moved[i] = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD + CHILD_FDS_MAX + 1);
		if (moved[i] < 0)
			return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (dup2(moved[i], FIRST_FD + (int)i) < 0) /* without close-on-exec */
			return false;
	}
	return true;
}

static bool set_environment(const struct child_spec *spec)
{
	char names[(CHILD_FDS_MAX + 1) * NAME_MAX_LEN] = "", number[32];
	size_t length = 0;

	for (size_t i = 0; i < spec->fd_count; i++)
		length += (size_t)snprintf(
		        names + length, sizeof(names) - length, "%.*s:", NAME_MAX_LEN - 1, spec->fds[i].name);
	(void)snprintf(names + length, sizeof(names) - length, "control");
	(void)snprintf(number, sizeof(number), "%d", (int)getpid());
	if (setenv("LISTEN_PID", number, 1) != 0 || setenv("LISTEN_FDNAMES", names, 1) != 0)
		return false;
	(void)snprintf(number, sizeof(number), "%zu", spec->fd_count + 1);
	/* What systemd says is for us alone: a worker must not tell it that the site is ready. */
	return setenv("LISTEN_FDS", number, 1) == 0 && unsetenv("NOTIFY_SOCKET") == 0 &&
	       unsetenv("WATCHDOG_USEC") == 0 && unsetenv("WATCHDOG_PID") == 0;
}

static _Noreturn void exec_child(const struct child_spec *spec, int control)
{
	char worker[16];
	sigset_t none;
	int null_fd;

	(void)snprintf(worker, sizeof(worker), "%u", spec->worker);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setpgid(0, 0); /* Ctrl-C on a terminal is for the supervisor, which drains the children in their order */
	null_fd = open("/dev/null", O_RDWR);
	if (null_fd >= 0)
		(void)dup2(null_fd, STDIN_FILENO);
	if (place_fds(spec, control) && set_environment(spec))
		(void)execl(spec->program, spec->name, "--config", spec->config, "--worker", worker, (char *)NULL);
	LOG(LOG_ERROR, "serve.exec_failed", LOG_TEXT("program", spec->program), LOG_TEXT("error", strerror(errno)));
	_exit(EXIT_NO_EXEC);
}

bool child_start(struct child *child, const struct child_spec *spec, struct error *err)
{
	int pair[2];
	pid_t pid;

	CHECK(child->state == CHILD_NONE && spec->fd_count <= CHILD_FDS_MAX);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return error_errno(err, errno, "socketpair");
	pid = fork();
	if (pid < 0) {
		(void)error_errno(err, errno, "fork");
		(void)close(pair[0]);
		(void)close(pair[1]);
		return false;
	}
	if (pid == 0)
		exec_child(spec, pair[1]);
	(void)close(pair[1]);
	child_init(child);
	child->state = CHILD_STARTING;
	child->pid = pid;
	child->control = pair[0];
	child->started_ms = clock_mono_ms();
	child->next_ping_ms = child->started_ms + CHILD_PING_MS;
	return true;
}

/* ---- talking ---- */

void child_send(struct child *child, char message)
{
	/* A full or broken socket needs no answer here: pings find out that nobody reads. */
	if (child->control >= 0)
		(void)!send(child->control, &message, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool child_read(struct child *child, int64_t now)
{
	char message[16];
	ssize_t got;
	bool became_ready = false;

	while (child->control >= 0 && (got = recv(child->control, message, sizeof(message), MSG_DONTWAIT)) != -1) {
		if (got == 0) { /* it closed its end; its death follows, or child_watch() sees to it */
			(void)close(child->control);
			child->control = -1;
			child->closed_ms = now;
			break;
		}
		if (message[0] == 'p')
			child->pinged_ms = 0;
		if (message[0] == 'R' && child->state == CHILD_STARTING) {
			child->state = CHILD_READY;
			child->next_ping_ms = now;
			became_ready = true;
		}
	}
	return became_ready;
}

void child_drain(struct child *child, int64_t kill_at_ms)
{
	if (child->state == CHILD_NONE)
		return;
	if (child->state != CHILD_DRAINING || kill_at_ms < child->kill_at_ms)
		child->kill_at_ms = kill_at_ms;
	child->state = CHILD_DRAINING;
	child_send(child, 'd');
}

void child_kill(struct child *child)
{
	if (child->state == CHILD_NONE || child->killed)
		return;
	child->killed = true;
	(void)kill(child->pid, SIGKILL);
}

/* ---- watching ---- */

static const char *reason_to_kill(const struct child *child, int64_t now)
{
	if (child->state == CHILD_DRAINING && now >= child->kill_at_ms)
		return "drained too long";
	if (child->state == CHILD_STARTING && now >= child->started_ms + CHILD_START_MS)
		return "not ready in time";
	if (child->closed_ms != 0 && child->state != CHILD_DRAINING && now >= child->closed_ms + CHILD_CLOSED_MS)
		return "closed its control socket";
	if (child->state == CHILD_READY && child->pinged_ms != 0 && now >= child->pinged_ms + CHILD_HUNG_MS)
		return "hung";
	return NULL;
}

bool child_watch(struct child *child, int64_t now, const char **why)
{
	if (child->state == CHILD_NONE || child->killed)
		return false;
	*why = reason_to_kill(child, now);
	if (*why != NULL) {
		child_kill(child);
		return true;
	}
	if (child->state == CHILD_READY && child->closed_ms == 0 && child->pinged_ms == 0 &&
	        now >= child->next_ping_ms) {
		child->pinged_ms = now;
		child->next_ping_ms = now + CHILD_PING_MS;
		child_send(child, 'p');
	}
	return false;
}

int64_t child_deadline(const struct child *child)
{
	if (child->killed)
		return INT64_MAX;
	if (child->closed_ms != 0 && child->state != CHILD_DRAINING)
		return child->closed_ms + CHILD_CLOSED_MS;
	switch (child->state) {
	case CHILD_NONE: return INT64_MAX;
	case CHILD_STARTING: return child->started_ms + CHILD_START_MS;
	case CHILD_READY: return child->pinged_ms != 0 ? child->pinged_ms + CHILD_HUNG_MS : child->next_ping_ms;
	case CHILD_DRAINING: return child->kill_at_ms;
	}
	return INT64_MAX;
}

void child_forgive(struct child *child, int64_t now)
{
	if (child->pinged_ms != 0)
		child->pinged_ms = now;
	if (child->state == CHILD_STARTING)
		child->started_ms = now;
}

void child_reaped(struct child *child)
{
	if (child->control >= 0)
		(void)close(child->control);
	child_init(child);
}
