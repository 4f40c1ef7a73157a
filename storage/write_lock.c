#include "storage/write_lock.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define WAKE_SIGNAL    (SIGRTMIN + 6)
#define WAKE_REPEAT_MS 20 /* again, in case the first signal came just before flock() began to wait */

static pthread_once_t handler_once = PTHREAD_ONCE_INIT;

static void do_nothing(int signal_number)
{
	(void)signal_number;
}

static void install_handler(void)
{
	struct sigaction action = { .sa_handler = do_nothing }; /* no SA_RESTART: flock() must return */

	sigemptyset(&action.sa_mask);
	sigaction(WAKE_SIGNAL, &action, NULL);
}

int write_lock_open(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		error_errno(err, errno, path);
	return fd;
}

static bool start_timer(int wait_ms, timer_t *timer, struct error *err)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = WAKE_SIGNAL };
	struct itimerspec when = {
		.it_value = { wait_ms / 1000, (wait_ms % 1000) * 1000000L },
		.it_interval = { 0, WAKE_REPEAT_MS * 1000000L },
	};
	sigset_t wake;

	pthread_once(&handler_once, install_handler);
	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL); /* libuv's pool threads start with every signal blocked */
	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, timer) != 0)
		return error_errno(err, errno, "timer_create");
	timer_settime(*timer, 0, &when, NULL);
	return true;
}

static bool wait_in_line(int fd, int64_t deadline, struct error *err)
{
	while (flock(fd, LOCK_EX) != 0) {
		if (errno != EINTR)
			return error_errno(err, errno, "flock");
		if (clock_mono_ms() >= deadline)
			return error_detail(err, ERR_BUSY, "another process holds the write lock");
	}
	return true;
}

bool write_lock_take(int fd, int wait_ms, struct error *err)
{
	timer_t timer;
	bool taken;

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (errno != EWOULDBLOCK && errno != EINTR)
		return error_errno(err, errno, "flock");
	if (wait_ms <= 0)
		return error_detail(err, ERR_BUSY, "another process holds the write lock");
	if (!start_timer(wait_ms, &timer, err))
		return false;
	taken = wait_in_line(fd, clock_mono_ms() + wait_ms, err);
	timer_delete(timer);
	return taken;
}

void write_lock_give(int fd)
{
	flock(fd, LOCK_UN);
}
