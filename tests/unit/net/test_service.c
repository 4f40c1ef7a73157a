/* A daemon under a supervisor played by the test: each case runs in a child of its own, because descriptors from 3 on and
 * the environment belong to the whole process. */
#include "base/log.h"
#include "base/macros.h"
#include "net/service.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static uv_loop_t loop;
static struct service *service;
static int report; /* the daemon tells the test what happened, a letter each */

static void tell(char what)
{
	(void)!write(report, &what, 1);
}

static void on_drain(void *arg)
{
	tell('D');
	service_done(service);
}

static void on_drain_over(void *arg)
{
	tell('O');
}

static void on_reload(void *arg)
{
	tell('L');
}

static const struct service_events events = { on_drain, on_drain_over, on_reload };

/* Descriptors 3.. are: smtp, smtp, control, secret. Exit status 0 when all was as it should be. */
static int daemon_main(void)
{
	static const uint8_t expected[SERVICE_SECRET_LEN] = "a secret of exactly 32 octets..";
	struct error err;
	int a, b;

	log_open("test", LOG_ERROR);
	uv_loop_init(&loop);
	if (!service_new(&loop, &events, NULL, &service, &err))
		return 1;
	a = service_take_socket(service, "smtp");
	b = service_take_socket(service, "smtp");
	if (a != 3 || b != 4 || service_take_socket(service, "smtp") != -1 ||
	        service_take_socket(service, "imap") != -1)
		return 2;
	if (memcmp(service_secret(service), expected, sizeof(expected)) != 0 || getenv("LISTEN_FDS") != NULL)
		return 3;
	service_ready(service);
	uv_run(&loop, UV_RUN_DEFAULT);
	if (!service_is_draining(service))
		return 4;
	service_free(&service);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop) == 0 ? 0 : 5;
}

struct child {
	pid_t pid;
	int control, report;
};

static void place(const int *fds, size_t count)
{
	int high[8];

	for (size_t i = 0; i < count; i++)
		high[i] = dup2(fds[i], 100 + (int)i);
	for (size_t i = 0; i < count; i++)
		dup2(high[i], 3 + (int)i);
}

static struct child start(void)
{
	int control[2], pipes[2], secret = memfd_create("secret", 0);
	struct child child;
	char pid[16];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(secret, "a secret of exactly 32 octets..", 32), 32);
	child.pid = fork();
	if (child.pid == 0) {
		int sockets[2] = { socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_STREAM, 0) };

		report = dup2(pipes[1], 120);
		place((int[]) { sockets[0], sockets[1], control[1], secret }, 4);
		for (int fd = 7; fd < 100; fd++)
			close(fd); /* the other end of control among them: its end is to be noticed */
		snprintf(pid, sizeof(pid), "%d", getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "4", 1);
		setenv("LISTEN_FDNAMES", "smtp:smtp:control:secret", 1);
		_exit(daemon_main());
	}
	close(control[1]);
	close(pipes[1]);
	close(secret);
	child.control = control[0];
	child.report = pipes[0];
	return child;
}

static char next(int fd)
{
	struct pollfd waits = { .fd = fd, .events = POLLIN };
	char byte = '?';

	if (poll(&waits, 1, 5000) == 1 && read(fd, &byte, 1) == 0)
		byte = '0';
	return byte;
}

static void say(const struct child *child, char what)
{
	assert_int_equal(send(child->control, &what, 1, MSG_NOSIGNAL), 1);
}

static void expect_good_end(struct child *child)
{
	int status;

	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(next(child->report), '0'); /* nothing else was told */
	close(child->report);
	if (child->control >= 0)
		close(child->control);
}

static void ready_ping_reload_drain(void **state)
{
	struct child child = start();

	assert_int_equal(next(child.control), 'R');
	for (int i = 0; i < 40; i++)
		say(&child, 'p');
	for (int i = 0; i < 40; i++)
		assert_int_equal(next(child.control), 'p');
	say(&child, 'r');
	assert_int_equal(next(child.report), 'L');
	say(&child, '?'); /* unknown: logged */
	say(&child, 'd');
	assert_int_equal(next(child.report), 'D');
	expect_good_end(&child);
}

static void the_end_of_the_supervisor_drains(void **state)
{
	struct child child = start();

	assert_int_equal(next(child.control), 'R');
	close(child.control);
	child.control = -1;
	assert_int_equal(next(child.report), 'D');
	expect_good_end(&child);
}

static void signals_do_the_same(void **state)
{
	static const struct {
		int number;
		char told;
	} rows[] = { { SIGTERM, 'D' }, { SIGINT, 'D' } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct child child = start();

		assert_int_equal(next(child.control), 'R');
		kill(child.pid, SIGHUP);
		assert_int_equal(next(child.report), 'L');
		kill(child.pid, rows[i].number);
		assert_int_equal(next(child.report), rows[i].told);
		expect_good_end(&child);
	}
}

static const struct environment_case {
	const char *pid, *fds, *names;
	bool good;
} environment_cases[] = {
	{ NULL, NULL, NULL, true }, /* started by hand */
	{ "1", "7", "smtp", true }, /* for somebody else */
	{ NULL, "0", "", true }, { NULL, "x", "smtp", false }, { NULL, "65", "smtp", false },
	{ NULL, "-1", "smtp", false }, { NULL, "60", "smtp", false }, /* not open */
};

static void set_or_not(const char *name, const char *value)
{
	if (value == NULL)
		unsetenv(name);
	else
		setenv(name, value, 1);
}

static void environments(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(environment_cases); i++) {
		const struct environment_case *c = &environment_cases[i];
		struct error err;
		bool good;

		set_or_not("LISTEN_PID", c->pid);
		set_or_not("LISTEN_FDS", c->fds);
		set_or_not("LISTEN_FDNAMES", c->names);
		assert_int_equal(uv_loop_init(&loop), 0);
		good = service_new(&loop, &events, NULL, &service, &err);
		assert_int_equal(good, c->good);
		if (good) {
			assert_int_equal(service_take_socket(service, "smtp"), -1);
			service_free(&service);
		}
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&loop), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ready_ping_reload_drain),
		cmocka_unit_test(the_end_of_the_supervisor_drains),
		cmocka_unit_test(signals_do_the_same),
		cmocka_unit_test(environments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
