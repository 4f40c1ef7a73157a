/* A daemon of the frame's kind under a supervisor played by the test: each case in a child of its own (see test_service.c). It
 * tells the test which of its parts is called, a letter each. */
#include "base/macros.h"
#include "net/daemon.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define REPORT_FD 120
#define KIND      '7'

static char data_dir[] = "/tmp/posthouse-daemon-XXXXXX";
static char fails_at; /* the part that fails, by its letter */
static struct daemon *running;

static void tell(char what)
{
	(void)!write(REPORT_FD, &what, 1);
}

static bool part(char what, struct error *err)
{
	tell(what);
	return what != fails_at || error_set(err, ERR_IO, "by the test's wish");
}

static bool configure(void *arg, const char *config_path, struct daemon_settings *out, struct error *err)
{
	out->user = "";
	out->data_dir = data_dir;
	out->hostname = "mail.example.test";
	out->log_level = LOG_ERROR;
	out->limits = (struct limiter_settings) { .total = 10 };
	return part(strcmp(config_path, arg) == 0 ? 'c' : '?', err);
}

static bool open_files(void *arg, struct error *err)
{
	return part('o', err);
}

/* `allowed` is under "/kept", which is writable, the other is beside it. */
static char can_open(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s%s", data_dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 'y' : 'n';
}

static bool start(void *arg, struct daemon *daemon, struct error *err)
{
	running = daemon;
	if (daemon_loop(daemon) == NULL || daemon_pool(daemon) == NULL)
		tell('?');
	if (!part('s', err))
		return false;
	tell(can_open("/kept/file"));
	tell(can_open("/other"));
	return true;
}

static void on_accept(void *arg, struct conn *conn, const struct daemon_port *port)
{
	tell('a');
	tell((char)port->kind);
	conn_close(conn);
}

static void tidy(void *arg)
{
	tell('t');
}

static void drain(void *arg)
{
	tell('d');
	daemon_end(running);
}

static void close_sessions(void *arg)
{
	tell('x');
}

static void stop(void *arg)
{
	tell('p');
}

static void close_files(void *arg)
{
	tell('z');
}

static int run_daemon(bool implicit_tls)
{
	static const char *const writable[] = { "/kept", "/not-there", NULL };
	const struct daemon_port ports[] = { { "imap", false, '1' }, { "smtp", implicit_tls, KIND } };
	const struct daemon_program program = {
		.name = "testd",
		.config_path = "otherwise",
		.ports = ports,
		.port_count = ARRAY_LEN(ports),
		.refusal = "",
		.threads = 2,
		.writable = writable,
		.configure = configure,
		.open = open_files,
		.start = start,
		.accept = on_accept,
		.tidy = tidy,
		.drain = drain,
		.close_sessions = close_sessions,
		.stop = stop,
		.close = close_files,
	};
	static char name[] = "testd", worker[] = "--worker", number[] = "1", config[] = "--config", path[] = "the path";
	char *argv[] = { name, worker, number, config, path, NULL };

	return daemon_main(&program, path, ARRAY_LEN(argv) - 1, argv);
}

struct child {
	pid_t pid;
	int control, report;
	struct sockaddr_in address;
};

static int listening(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(*address);

	*address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
	return fd;
}

static void be_child(int listener, int control, int report, bool implicit_tls)
{
	int high[2] = { dup2(listener, 100), dup2(control, 101) };
	char pid[16];

	dup2(report, REPORT_FD);
	for (int fd = 3; fd < 100; fd++)
		close(fd);
	dup2(high[0], 3);
	dup2(high[1], 4);
	close(high[0]);
	close(high[1]);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "smtp:control", 1);
	_exit(run_daemon(implicit_tls));
}

static struct child begin(char failing, bool implicit_tls)
{
	int control[2], pipes[2], listener;
	struct child child;

	fails_at = failing;
	listener = listening(&child.address);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control), 0);
	assert_int_equal(pipe(pipes), 0);
	child.pid = fork();
	if (child.pid == 0)
		be_child(listener, control[1], pipes[1], implicit_tls);
	close(listener);
	close(control[1]);
	close(pipes[1]);
	child.control = control[0];
	child.report = pipes[0];
	return child;
}

static char next(int fd)
{
	struct pollfd waits = { .fd = fd, .events = POLLIN };
	char byte = '!';

	if (poll(&waits, 1, 10000) == 1 && read(fd, &byte, 1) == 0)
		byte = '0';
	return byte;
}

static void expect(struct child *child, const char *letters)
{
	for (; *letters != '\0'; letters++)
		assert_int_equal(next(child->report), *letters);
}

static void expect_end(struct child *child, int code)
{
	int status;

	assert_int_equal(next(child->report), '0');
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
	close(child->control);
	close(child->report);
}

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

static void serves_drains_and_ends(void **state)
{
	struct child child = begin('\0', false);
	char byte;

	expect(&child, has_landlock() ? "cosyn" : "cosyy");
	assert_int_equal(next(child.control), 'R');
	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&child.address, sizeof(child.address)), 0);
		expect(&child, (char[]) { 'a', KIND, '\0' });
		assert_int_equal(read(fd, &byte, 1), 0); /* its session closes at once */
		close(fd);
	}
	assert_int_equal(send(child.control, "r", 1, MSG_NOSIGNAL), 1); /* nothing to reload without certificates */
	assert_int_equal(send(child.control, "d", 1, MSG_NOSIGNAL), 1);
	expect(&child, "dpz");
	expect_end(&child, EXIT_SUCCESS);
}

/* Whatever fails: what was opened is closed, no session is taken, and the exit code says it. */
static void failed_steps(void **state)
{
	static const struct row {
		char fails;
		bool implicit_tls; /* without a certificate */
		const char *letters;
	} rows[] = {
		{ 'c', false, "cpz" },
		{ 'o', false, "copz" },
		{ 's', false, "cospz" },
		{ '\0', true, "cos" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct child child = begin(rows[i].fails, rows[i].implicit_tls);

		expect(&child, rows[i].letters);
		if (rows[i].implicit_tls)
			expect(&child, has_landlock() ? "ynpz" : "yypz");
		assert_int_equal(next(child.control), '0'); /* never ready */
		expect_end(&child, EXIT_FAILURE);
	}
}

static void make_file(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%s", data_dir, name);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static int set_up(void **state)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/kept", mkdtemp(data_dir));
	if (mkdir(path, 0700) != 0)
		return -1;
	make_file("/kept/file");
	make_file("/other");
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "/kept/file", "/kept", "/other", "" };
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s%s", data_dir, names[i]);
		if (remove(path) != 0)
			return -1;
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_drains_and_ends),
		cmocka_unit_test(failed_steps),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
