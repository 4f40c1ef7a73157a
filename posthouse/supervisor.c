#include "posthouse/supervisor.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FROZEN_MS 2000 /* a turn of the loop that was this late: we were stopped, or the machine slept */
#define POLLS_MAX (2 + 2 * SLOTS_MAX + LEAVING_MAX)

static int open_signals(struct error *err)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		(void)error_errno(err, errno, "signalfd");
	return fd;
}

/* The first TERM or INT drains; the second gives a second; the third kills. */
static void stop(struct supervisor *s, int signal_number, int64_t now)
{
	int64_t patience = s->stop_signals == 0 ? DRAIN_MS : s->stop_signals == 1 ? DRAIN_HURRY_MS : 0;

	s->stop_signals++;
	LOG(LOG_INFO, "serve.stopping", LOG_TEXT("signal", strsignal(signal_number)),
	        LOG_NUMBER("patience_ms", patience));
	if (s->phase < PHASE_DRAINING_WORKERS) {
		s->phase = PHASE_DRAINING_WORKERS;
		notify_stopping(&s->notify);
	}
	slots_drain(s, true, now + patience);
	if (s->phase == PHASE_DRAINING_AUTHD || s->stop_signals > 2)
		slots_drain(s, false, now + patience);
}

static void take_signals(struct supervisor *s, int64_t now)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			slots_reap(s);
		else if (info.ssi_signo == SIGHUP)
			supervisor_reload(s, now);
		else
			stop(s, (int)info.ssi_signo, now);
	}
}

static void add_poll(struct pollfd *polls, nfds_t *count, int fd)
{
	if (fd >= 0)
		polls[(*count)++] = (struct pollfd) { .fd = fd, .events = POLLIN };
}

/* Sleeps until something is to do. poll() only wakes us: every reader below finds out by itself what there is. */
static void wait_for_events(struct supervisor *s, int64_t now)
{
	struct pollfd polls[POLLS_MAX];
	nfds_t count = 0;
	int64_t until = slots_deadline(s);

	if (s->notify.watchdog_ms != 0 && s->notify.next_watchdog_ms < until)
		until = s->notify.next_watchdog_ms;
	add_poll(polls, &count, s->signal_fd);
	add_poll(polls, &count, s->status_fd);
	for (size_t i = 0; i < s->slot_count; i++) {
		add_poll(polls, &count, s->slots[i].current.control);
		add_poll(polls, &count, s->slots[i].next.control);
	}
	for (size_t i = 0; i < s->leaving_count; i++)
		add_poll(polls, &count, s->leaving[i].child.control);
	s->looked_ms = until > now ? until : now; /* when we mean to be back, at the latest */
	(void)poll(polls, count, until == INT64_MAX ? -1 : until > now ? (int)(until - now) : 0);
}

static void advance(struct supervisor *s, int64_t now)
{
	if (s->phase == PHASE_STARTING && slots_all_ready(s)) {
		s->phase = PHASE_RUNNING;
		notify_ready(&s->notify);
		notify_status(&s->notify, "serving");
		LOG(LOG_INFO, "serve.ready", LOG_NUMBER("pid", getpid()), LOG_NUMBER("after_ms", now - s->started_ms));
	}
	if (s->phase == PHASE_DRAINING_WORKERS && !slots_any_alive(s, true)) {
		s->phase = PHASE_DRAINING_AUTHD;
		slots_drain(s, false, now + (s->stop_signals > 1 ? DRAIN_HURRY_MS : DRAIN_MS));
	}
}

static bool finished(const struct supervisor *s)
{
	return s->phase == PHASE_DRAINING_AUTHD && !slots_any_alive(s, false);
}

static void turn(struct supervisor *s)
{
	int64_t now;

	wait_for_events(s, clock_mono_ms());
	now = clock_mono_ms();
	if (now > s->looked_ms + FROZEN_MS)
		slots_forgive(s, now);
	take_signals(s, now);
	slots_read(s, now);
	slots_watch(s, now);
	slots_start_due(s, now);
	advance(s, now);
	report_answer(s, now);
	notify_watchdog(&s->notify, now);
}

bool supervisor_run(struct supervisor *s, struct error *err)
{
	s->signal_fd = open_signals(err);
	if (s->signal_fd < 0)
		return false;
	notify_open(&s->notify);
	s->started_ms = clock_mono_ms();
	s->started_wall_ms = clock_wall_ms();
	slots_fill(s);
	slots_start_due(s, s->started_ms);
	while (!finished(s))
		turn(s);
	LOG(LOG_INFO, "serve.stopped", LOG_NUMBER("pid", getpid()));
	notify_close(&s->notify);
	(void)close(s->signal_fd);
	return true;
}
