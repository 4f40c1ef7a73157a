/* authd — checks passwords for all daemons. Usage: authd --config FILE [--worker N] (started by `posthouse serve`). */
#include "authd/attempt.h"
#include "authd/service.h"
#include "base/file.h"
#include "base/log.h"
#include "base/privileges.h"
#include "config/settings.h"
#include "net/service.h"

#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET_DIR  "run"
#define SOCKET_FILE "authd.sock"

struct program {
	uv_loop_t loop;
	struct settings settings;
	char socket_dir[PATH_MAX];
	char socket_path[PATH_MAX];
	struct service *service;
	struct attempts *attempts;
	struct auth_service_socket *socket;
};

static void on_quiet(void *arg)
{
	struct program *program = arg;

	uv_stop(&program->loop);
}

static void on_drain(void *arg)
{
	struct program *program = arg;

	auth_service_drain(program->socket);
}

static void on_drain_over(void *arg)
{
	on_quiet(arg);
}

/* Nothing of authd's can change while it runs: settings are read at start, auth.db is looked at for each login. */
static void on_reload(void *arg)
{
	struct program *program = arg;

	LOG(LOG_INFO, "authd.reload", LOG_TEXT("data", program->settings.server.data_dir));
}

static bool paths(struct program *program, struct error *err)
{
	const char *data_dir = program->settings.server.data_dir;

	if (snprintf(program->socket_dir, PATH_MAX, "%s/" SOCKET_DIR, data_dir) >= PATH_MAX ||
	        snprintf(program->socket_path, PATH_MAX, "%s/" SOCKET_DIR "/" SOCKET_FILE, data_dir) >= PATH_MAX)
		return error_set(err, ERR_BAD_VALUE, "the data directory's name is too long");
	return file_make_dir(program->socket_dir, 0700, err);
}

static bool open_all(struct program *program, struct error *err)
{
	static const struct service_events events = { on_drain, on_drain_over, on_reload };
	struct attempts_settings attempts = { .data_dir = program->settings.server.data_dir,
		.remember_ms = (int64_t)program->settings.auth.remember_logins,
		.checks_at_once = program->settings.auth.checks_at_once,
		.tries_per_minute = program->settings.auth.tries_per_minute,
		.longest_delay_ms = (int64_t)program->settings.auth.longest_delay };
	struct auth_service_settings socket = { .path = program->socket_path, .on_quiet = on_quiet, .arg = program };

	if (!service_new(&program->loop, &events, program, &program->service, err) ||
	        !attempts_new(&program->loop, &attempts, &program->attempts, err))
		return false;
	socket.listener = service_take_socket(program->service, "authd");
	return auth_service_new(&program->loop, program->attempts, &socket, &program->socket, err);
}

static void close_all(struct program *program)
{
	if (program->socket != NULL)
		auth_service_close(program->socket);
	if (program->attempts != NULL)
		attempts_close(program->attempts);
	if (program->service != NULL)
		service_done(program->service);
	(void)uv_run(&program->loop, UV_RUN_DEFAULT);
	auth_service_free(&program->socket);
	attempts_free(&program->attempts);
	service_free(&program->service);
	(void)uv_loop_close(&program->loop);
}

/* What SQLite opens again after an I/O error: the files of auth.db, which exist from here on, and nothing beside them. */
static bool lock_in(const struct program *program, struct error *err)
{
	static const char *const names[] = { "auth.db", "auth.db-wal", "auth.db-shm", "auth.db-lock" };
	char paths_text[ARRAY_LEN(names)][PATH_MAX];
	struct sandbox_path allowed[ARRAY_LEN(names)];
	struct sandbox_settings sandbox = { .paths = allowed, .path_count = ARRAY_LEN(names) };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (snprintf(paths_text[i], PATH_MAX, "%s/%s", program->settings.server.data_dir, names[i]) >= PATH_MAX)
			return error_set(err, ERR_BAD_VALUE, "the data directory's name is too long");
		allowed[i] = (struct sandbox_path) { paths_text[i], SANDBOX_WRITE };
	}
	return sandbox_enter(&sandbox, err);
}

static bool start(struct program *program, const char *config_path, struct error *err)
{
	if (!settings_load(config_path, &program->settings, err))
		return false;
	log_set_level(program->settings.server.log_level);
	return privileges_drop(program->settings.server.user, err) && paths(program, err) && open_all(program, err) &&
	       lock_in(program, err) && attempts_start(program->attempts, err);
}

/* --config FILE; --worker N is taken and not needed: there is one authd. */
static const char *config_argument(int argc, char **argv)
{
	const char *path = SETTINGS_FILE_DEFAULT;

	for (int i = 1; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--config") == 0)
			path = argv[i + 1];
	return path;
}

int main(int argc, char **argv)
{
	static struct program program;
	struct error err;
	bool ok;

	log_open("authd", LOG_INFO);
	(void)mallopt(
	        M_ARENA_MAX, 1); /* threads wait for each other's malloc rarely here; an arena each would cost memory */
	(void)signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&program.loop) != 0)
		return EXIT_FAILURE;
	error_clear(&err);
	ok = start(&program, config_argument(argc, argv), &err);
	if (ok) {
		auth_service_start(program.socket);
		service_ready(program.service);
		LOG(LOG_INFO, "authd.ready", LOG_TEXT("socket", program.socket_path));
		(void)uv_run(&program.loop, UV_RUN_DEFAULT);
	} else {
		LOG(LOG_ERROR, "authd.start", LOG_FAILURE(&err));
	}
	close_all(&program);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
