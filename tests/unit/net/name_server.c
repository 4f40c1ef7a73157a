#include "name_server.h"

#include "fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

/* Starts it in the server's folder, its output in the file `out` there. It ends with us. */
static pid_t spawn(const struct name_server *server, const char *out, char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (chdir(server->folder) != 0 || (fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600)) < 0)
			_exit(126);
		dup2(fd, 1);
		dup2(fd, 2);
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

static void run(const struct name_server *server, const char *out, char *const argv[])
{
	pid_t pid = spawn(server, out, argv);
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s failed: are nsd and ldnsutils installed (script/setup test)?", argv[0]);
}

static FILE *open_file(const struct name_server *server, const char *name, const char *how)
{
	char path[700];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", server->folder, name);
	f = fopen(path, how);
	if (f == NULL)
		fail_msg("%s", path);
	return f;
}

static void read_text(const struct name_server *server, const char *name, char *out, size_t size)
{
	FILE *f = open_file(server, name, "r");
	size_t len = fread(out, 1, size - 1, f);

	out[len] = '\0';
	fclose(f);
}

/* --- zones ------------------------------------------------------------------------------------------------------ */

/* The root's file is "root", its origin has no second dot. */
static const char *file_of(const struct zone *zone)
{
	return strcmp(zone->name, ".") == 0 ? "root" : zone->name;
}

static void write_zone(const struct name_server *server, const struct zone *zone)
{
	FILE *f = open_file(server, file_of(zone), "w");

	fprintf(f, "$ORIGIN %s%s\n$TTL 300\n", zone->name, strcmp(zone->name, ".") == 0 ? "" : ".");
	fprintf(f, "@ IN SOA ns admin 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n");
	zone->write(f);
	fclose(f);
}

/* Its key to the anchors; the signed zone takes the place of the plain one. */
static void sign(const struct name_server *server, const struct zone *zone)
{
	char key[300], name[350], text[2000], signed_name[300], *old;
	FILE *anchors = open_file(server, "anchors", "a");
	char *keygen[] = { (char[]) { "ldns-keygen" }, (char[]) { "-a" }, (char[]) { "ECDSAP256SHA256" },
		(char[]) { "-k" }, strdup(zone->name), NULL };
	char *signzone[] = { (char[]) { "ldns-signzone" }, (char[]) { "-i" }, (char[]) { "20010101000000" },
		(char[]) { "-e" }, strdup(zone->kind == ZONE_EXPIRED ? "20010201000000" : "20370101000000"),
		(char[]) { "-f" }, signed_name, strdup(file_of(zone)), key, NULL };

	run(server, "key", keygen);
	read_text(server, "key", key, sizeof(key));
	key[strcspn(key, "\n")] = '\0';
	snprintf(name, sizeof(name), "%s.ds", key);
	read_text(server, name, text, sizeof(text));
	fprintf(anchors, "%s", text);
	fclose(anchors);
	snprintf(signed_name, sizeof(signed_name), "%s", file_of(zone));
	if (zone->kind != ZONE_STRIPPED)
		run(server, "signing", signzone);
	if (zone->kind == ZONE_FORGED) {
		static char whole[64 * 1024];
		FILE *f;

		read_text(server, file_of(zone), whole, sizeof(whole));
		old = strstr(whole, "192.0.2.66");
		assert_non_null(old);
		old[9] = '7';
		f = open_file(server, file_of(zone), "w");
		fprintf(f, "%s", whole);
		fclose(f);
	}
	free(keygen[4]);
	free(signzone[4]);
	free(signzone[7]);
}

static void write_config(const struct name_server *server, const struct zone *zones, size_t count)
{
	FILE *f = open_file(server, "nsd.conf", "w");

	fprintf(f, "server:\n ip-address: %s\n username: \"\"\n chroot: \"\"\n zonesdir: \"%s\"\n database: \"\"\n",
	        server->forward, server->folder);
	fprintf(f, " pidfile: \"%s/pid\"\n xfrdfile: \"%s/xfrd\"\n zonelistfile: \"%s/zones\"\n xfrdir: \"%s\"\n",
	        server->folder, server->folder, server->folder, server->folder);
	fprintf(f,
	        " server-count: 1\n minimal-responses: no\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n");
	for (size_t i = 0; i < count; i++)
		fprintf(f, "zone:\n name: \"%s\"\n zonefile: \"%s\"\n", zones[i].name, file_of(&zones[i]));
	fclose(f);
}

/* --- the server ------------------------------------------------------------------------------------------------- */

static uint16_t free_port(void)
{
	for (int i = 0; i < 100; i++) {
		struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(address);
		int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
		bool good = bind(udp, (struct sockaddr *)&address, len) == 0 &&
		            getsockname(udp, (struct sockaddr *)&address, &len) == 0 &&
		            bind(tcp, (struct sockaddr *)&address, len) == 0;

		close(udp);
		close(tcp);
		if (good)
			return ntohs(address.sin_port);
	}
	fail_msg("no free port");
	return 0;
}

/* Whether it answers at all; false when it has ended. */
static bool wait_for_answers(const struct name_server *server)
{
	static const char question[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\0\0\6\0\1"; /* the root's SOA: REFUSED will do */
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(server->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), status;
	bool answered = false;
	char answer[512];

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	for (int i = 0; i < 500 && !answered && waitpid(server->pid, &status, WNOHANG) == 0; i++) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };

		(void)send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL);
		(void)poll(&wait, 1, 20);
		answered = recv(fd, answer, sizeof(answer), 0) > 0;
		if (!answered)
			usleep(10000); /* ECONNREFUSED came at once */
	}
	close(fd);
	return answered;
}

void name_server_start(struct name_server *server, const struct zone *zones, size_t count)
{
	char *nsd[] = { (char[]) { "nsd" }, (char[]) { "-d" }, (char[]) { "-c" }, (char[]) { "nsd.conf" }, NULL };
	bool answers = false;

	temporary_folder(server->folder, sizeof(server->folder));
	snprintf(server->anchor, sizeof(server->anchor), "%s/anchors", server->folder);
	for (size_t i = 0; i < count; i++) {
		write_zone(server, &zones[i]);
		if (zones[i].kind != ZONE_PLAIN)
			sign(server, &zones[i]);
	}
	for (int i = 0; i < 5 && !answers; i++) { /* somebody else may have taken the port meanwhile */
		server->port = free_port();
		snprintf(server->forward, sizeof(server->forward), "127.0.0.1@%u", server->port);
		write_config(server, zones, count);
		server->pid = spawn(server, "log", nsd);
		answers = wait_for_answers(server);
	}
	assert_true(answers);
}

void name_server_stop(struct name_server *server)
{
	DIR *dir = opendir(server->folder);
	struct dirent *entry;

	kill(server->pid, SIGTERM);
	waitpid(server->pid, NULL, 0);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(server->folder);
}
