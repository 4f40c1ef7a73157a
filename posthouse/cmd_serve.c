/* posthouse/cmd_serve.c — `posthouse serve`: everything that comes before the supervisor's loop, in the order that privileges
 * allow: config, descriptors, directories and ports as root; then the service user; then the files. */
#include "posthouse/cli.h"

#include "base/file.h"
#include "base/log.h"
#include "base/privileges.h"
#include "base/random.h"
#include "base/secret.h"
#include "posthouse/site.h"
#include "posthouse/site_check.h"
#include "posthouse/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS_WANTED 65536
#define SECRET_LEN         32 /* SERVICE_SECRET_LEN of net/service.h */

static struct supervisor supervisor;
static struct settings settings, candidate;

/* One descriptor a session; a worker may have [limits] connections of them, and files beside. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_max < DESCRIPTORS_WANTED) {
		struct rlimit more = { DESCRIPTORS_WANTED, DESCRIPTORS_WANTED };
		if (setrlimit(RLIMIT_NOFILE, &more) == 0) /* only root may */
			return;
	}
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		LOG(LOG_WARNING, "serve.few_descriptors", LOG_NUMBER("limit", limit.rlim_cur));
}

/* 32 random bytes that all workers share and nobody else sees: a worker takes up TLS sessions that another began. */
static int make_secret(struct error *err)
{
	unsigned char secret[SECRET_LEN];
	int fd = memfd_create("secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool ok;

	random_bytes(secret, sizeof(secret));
	ok = fd >= 0 && file_write_all(fd, span_make(secret, sizeof(secret)), err) && lseek(fd, 0, SEEK_SET) == 0 &&
	     fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0;
	secret_wipe(secret, sizeof(secret));
	if (!ok) {
		(void)error_errno(err, errno, "memfd_create");
		if (fd >= 0)
			(void)close(fd);
		return -1;
	}
	return fd;
}

/* The pid file is a lock as well: the kernel gives it up when we die, however that happens. */
static bool take_pid_file(const struct settings *s, struct error *err)
{
	char path[SITE_PATH_MAX], text[32];
	int fd;

	site_path(s, "run/posthouse.pid", path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, errno, path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)close(fd);
		return error_set(
		        err, ERR_BUSY, "a server for this data directory is running already; see `posthouse status`");
	}
	(void)snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || !file_pwrite_all(fd, span_of(text), 0, err)) {
		(void)error_errno(err, errno, path);
		(void)close(fd);
		return false;
	}
	return true; /* open, and locked, until the process ends */
}

/* As root, where we are it. */
static bool open_what_needs_root(struct supervisor *s, struct error *err)
{
	struct sockets inherited;

	raise_descriptors();
	if (!site_prepare(s->settings, err) || !sockets_inherit(s->settings, &inherited, err))
		return false;
	if (!sockets_open(s->settings, &inherited, &s->sockets, err)) {
		sockets_close(&inherited);
		return false;
	}
	sockets_close(&inherited);
	return true;
}

static bool programs_are_there(const struct supervisor *s, struct error *err)
{
	char path[PROGRAM_PATH_MAX];

	for (size_t i = 0; i < daemon_kind_count; i++) {
		if (slots_want(&daemon_kinds[i], s->settings) &&
		        !program_find(s->libexec, daemon_kinds[i].name, daemon_kinds[i].folder, path, sizeof(path)))
			return error_detail(
			        err, ERR_BAD_VALUE, "%s is missing, or the service user may not execute it", path);
	}
	return true;
}

static bool open_the_rest(struct supervisor *s, struct error *err)
{
	char path[SITE_PATH_MAX];

	(void)umask(0077);
	site_path(s->settings, "run/active.conf", s->active_path, sizeof(s->active_path));
	if (!take_pid_file(s->settings, err) || !programs_are_there(s, err) || !site_check_tls(s->settings, err) ||
	        !supervisor_write_active(s, s->settings, err))
		return false;
	s->secret_fd = make_secret(err);
	if (s->secret_fd < 0)
		return false;
	site_path(s->settings, "run/authd.sock", path, sizeof(path));
	s->auth_fd = sockets_open_unix(path, SOCK_SEQPACKET, 0600, err);
	if (s->auth_fd < 0)
		return false;
	site_path(s->settings, "run/posthouse.sock", path, sizeof(path));
	s->status_fd = sockets_open_unix(path, SOCK_STREAM, 0600, err);
	if (s->status_fd < 0)
		return false;
	s->sendmail_fd = sockets_open_unix(s->settings->listen.sendmail_socket, SOCK_STREAM, 0666, err);
	return s->sendmail_fd >= 0;
}

static void close_all(struct supervisor *s)
{
	char path[SITE_PATH_MAX];

	sockets_close(&s->sockets);
	site_path(s->settings, "run/posthouse.sock", path, sizeof(path));
	(void)unlink(path);
	site_path(s->settings, "run/authd.sock", path, sizeof(path));
	(void)unlink(path);
	(void)unlink(s->settings->listen.sendmail_socket);
	(void)close(s->sendmail_fd);
	(void)close(s->status_fd);
	(void)close(s->auth_fd);
	(void)close(s->secret_fd);
}

enum exit_code cmd_serve(struct cli *cli)
{
	struct supervisor *s = &supervisor;
	struct error err;
	enum exit_code code = site_load(cli, &settings);

	if (code != CLI_OK)
		return code;
	log_open("posthouse", settings.server.log_level);
	s->settings = &settings;
	s->candidate = &candidate;
	s->config_path = cli_config_path(cli);
	s->libexec = cli->options[OPT_LIBEXEC];
	if (!open_what_needs_root(s, &err) || !privileges_drop(settings.server.user, &err) || !open_the_rest(s, &err))
		return cli_error("serve", &err);
	if (!supervisor_run(s, &err))
		return cli_error("serve", &err);
	close_all(s);
	return CLI_OK;
}
