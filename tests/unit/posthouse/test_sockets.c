/* Listening sockets: one for each worker, used again at a reload, nothing lost when the new set cannot be opened. */
#include "posthouse/sockets.h"

#include "base/macros.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct settings settings;

static uint32_t free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	(void)close(fd);
	return ntohs(address.sin_port);
}

static void set_up(uint32_t workers)
{
	memset(&settings, 0, sizeof(settings));
	(void)snprintf(settings.listen.addresses, sizeof(settings.listen.addresses), "127.0.0.1");
	settings.server.workers = workers;
	settings.listen.ports[PORT_SMTP] = free_port();
	settings.listen.ports[PORT_POP3] = free_port();
}

static unsigned count_open(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

static void test_one_for_each_worker(void **state)
{
	struct sockets none = { 0 }, sockets;
	struct error err;

	set_up(3);
	assert_true(sockets_open(&settings, &none, &sockets, &err));
	assert_int_equal(sockets.count, 6);
	for (size_t i = 0; i < sockets.count; i++) {
		assert_int_equal(sockets.entries[i].worker, i % 3);
		assert_true(fcntl(sockets.entries[i].fd, F_GETFD) & FD_CLOEXEC);
	}
	sockets_close(&sockets);
}

static void test_used_again(void **state)
{
	struct sockets none = { 0 }, first, second;
	struct error err;
	unsigned before = count_open();
	int kept;

	set_up(2);
	assert_true(sockets_open(&settings, &none, &first, &err));
	kept = first.entries[1].fd;
	settings.listen.ports[PORT_POP3] = free_port();
	settings.server.workers = 3;
	assert_true(sockets_open(&settings, &first, &second, &err));
	assert_int_equal(second.count, 6);
	assert_int_equal(second.entries[1].fd, kept); /* moved */
	assert_int_equal(first.entries[1].fd, -1);
	assert_true(first.entries[2].fd >= 0); /* the old pop3: left for the caller to close */
	sockets_close(&first);
	assert_true(fcntl(kept, F_GETFD) != -1);
	sockets_close(&second);
	assert_int_equal(count_open(), before);
}

static void test_a_taken_port_changes_nothing(void **state)
{
	struct sockets none = { 0 }, first, second, other;
	struct settings taken;
	struct error err;
	unsigned open_fds;

	set_up(1);
	assert_true(sockets_open(&settings, &none, &first, &err));
	taken = settings;
	taken.listen.ports[PORT_SMTP] = free_port();
	assert_true(sockets_open(&taken, &first, &other, &err)); /* pop3 is moved to it */
	open_fds = count_open();
	settings.server.workers = 2;
	settings.listen.ports[PORT_SMTP] = taken.listen.ports[PORT_SMTP];
	/* To a set that does not hold it, the port of `other` is somebody else's: SO_REUSEPORT must not share it. */
	assert_false(sockets_open(&settings, &first, &second, &err));
	assert_int_equal(err.code, ERR_BUSY);
	assert_non_null(strstr(err.reason, "is in use"));
	assert_int_equal(second.count, 0);
	assert_int_equal(count_open(), open_fds);
	assert_true(first.entries[0].fd >= 0 && fcntl(first.entries[0].fd, F_GETFD) != -1);
	sockets_close(&first);
	sockets_close(&other);
}

static void test_no_ports_is_an_error(void **state)
{
	struct sockets none = { 0 }, sockets;
	struct error err;

	set_up(1);
	memset(settings.listen.ports, 0, sizeof(settings.listen.ports));
	assert_false(sockets_open(&settings, &none, &sockets, &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
}

static void test_is_a_port_free(void **state)
{
	struct sockets none = { 0 }, sockets;
	struct error err;

	set_up(1);
	assert_true(sockets_port_free(&settings, PORT_SMTP, &err));
	assert_true(sockets_open(&settings, &none, &sockets, &err));
	assert_false(sockets_port_free(&settings, PORT_SMTP, &err));
	sockets_close(&sockets);
	(void)snprintf(settings.listen.addresses, sizeof(settings.listen.addresses), "192.0.2.77");
	assert_false(sockets_port_free(&settings, PORT_SMTP, &err));
	assert_string_equal(err.reason, "192.0.2.77 is not an address of this machine");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_for_each_worker),
		cmocka_unit_test(test_used_again),
		cmocka_unit_test(test_a_taken_port_changes_nothing),
		cmocka_unit_test(test_no_ports_is_an_error),
		cmocka_unit_test(test_is_a_port_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
