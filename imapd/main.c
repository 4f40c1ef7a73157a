/* pop3d — hands mail out by POP3. Usage: pop3d --config FILE [--worker N] (started by `posthouse serve`, net/service.h). */
#include "base/log.h"
#include "base/privileges.h"
#include "config/settings.h"
#include "net/listener.h"
#include "net/service.h"
#include "net/tls.h"
#include "storage/directory.h"
#include "imapd/session.h"

#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKER_THREADS 8 /* readers of the store; idle ones end */
#define MALLOC_ARENAS  4 /* an arena for each thread would cost more memory than it saves waiting */
#define TIDY_EVERY_MS  60000
#define SANDBOX_MAX    (16 + 4 * SETTINGS_CERTIFICATES_MAX)

struct program {
	uv_loop_t loop;
	struct settings settings;
	struct service *service;
	struct worker_pool *pool;
	struct tls_context *tls;
	struct limiter *limiter;
	struct listener *listeners[SERVICE_FDS_MAX];
	size_t listener_count;
	struct imap_server server;
	uv_timer_t tidy_timer;
	struct worker_job tidy_job;
	bool tidying;
};

/* One kind of listening socket; `program` is set at start. */
static struct port {
	const char *name; /* in LISTEN_FDNAMES */
	bool implicit_tls;
	struct program *program;
} ports[] = {
	{ "imap", false, NULL }, { "imaps", true, NULL }, /* RFC 8314 §3.2 */
};

/* --- account files that nobody uses --- */

static void run_tidy(struct worker_job *job)
{
	struct program *program = container_of(job, struct program, tidy_job);

	store_close_idle(program->server.store, TIDY_EVERY_MS);
	(void)malloc_trim(0);
}

static void on_tidied(struct worker_job *job)
{
	container_of(job, struct program, tidy_job)->tidying = false;
}

static void on_tidy_time(uv_timer_t *timer)
{
	struct program *program = container_of(timer, struct program, tidy_timer);

	if (program->tidying)
		return;
	program->tidying = true;
	program->tidy_job = (struct worker_job) { .run = run_tidy, .done = on_tidied, .lane = WORKER_READ };
	worker_submit(program->pool, &program->tidy_job);
}

/* --- the end --- */

/* Closes everything that keeps the loop alive. */
static void stop(struct program *program)
{
	for (size_t i = 0; i < program->listener_count; i++)
		listener_free(&program->listeners[i]);
	if (program->server.auth != NULL)
		auth_client_close(&program->server.auth);
	if (program->tls != NULL)
		tls_context_unwatch(program->tls);
	uv_close((uv_handle_t *)&program->tidy_timer, NULL);
	program->server.on_empty = NULL;
	server_drain(&program->server); /* if it was not: the start failed */
	if (program->pool != NULL)
		worker_pool_free(&program->pool);
	if (program->service != NULL)
		service_done(program->service);
}

/* Comes from inside a callback of the loop, so nothing is freed here: close_all() does it after uv_run(). */
static void on_empty(void *arg)
{
	struct program *program = arg;

	uv_stop(&program->loop);
}

static void on_drain(void *arg)
{
	struct program *program = arg;

	LOG(LOG_INFO, "imapd.drain", LOG_TEXT("hostname", program->server.settings.hostname));
	for (size_t i = 0; i < program->listener_count; i++)
		listener_stop(program->listeners[i]);
	server_drain(&program->server);
}

static void on_drain_over(void *arg)
{
	struct program *program = arg;

	server_close_all(&program->server);
}

static void on_reload(void *arg)
{
	struct program *program = arg;

	if (program->tls != NULL)
		tls_context_reload(program->tls);
}

/* --- the start --- */

static void on_accept(void *arg, struct conn *conn)
{
	struct port *port = arg;

	session_start(&port->program->server, conn, port->implicit_tls);
}

static bool listen_on(struct program *program, struct port *port, int fd, struct error *err)
{
	const struct listener_settings settings = {
		.name = port->name,
		.tls = program->tls,
		.implicit_tls = port->implicit_tls,
		.refusal = "* BYE [UNAVAILABLE] too many connections, try again later\r\n",
		.on_accept = on_accept,
		.arg = port,
	};

	port->program = program;
	if (port->implicit_tls && program->tls == NULL)
		return error_detail(
		        err, ERR_BAD_VALUE, "port %s needs a certificate: set [tls] certificates and keys", port->name);
	if (!listener_new(
	            &program->loop, fd, &settings, program->limiter, &program->listeners[program->listener_count], err))
		return false;
	program->listener_count++;
	return true;
}

static bool open_listeners(struct program *program, struct error *err)
{
	const struct limiter_settings limits = {
		.per_address = program->settings.limits.connections_per_address,
		.total = program->settings.limits.connections,
		.exempt = span_of(program->settings.limits.unlimited_networks),
	};
	int fd;

	if (!limiter_new(&limits, &program->limiter, err))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		while ((fd = service_take_socket(program->service, ports[i].name)) >= 0) {
			if (program->listener_count == SERVICE_FDS_MAX || !listen_on(program, &ports[i], fd, err))
				return false;
		}
	}
	return true;
}

static bool open_tls(struct program *program, struct error *err)
{
	struct tls_pair pairs[SETTINGS_CERTIFICATES_MAX];
	struct tls_settings tls = {
		.pairs = pairs,
		.pair_count = program->settings.tls.pair_count,
		.secret = service_secret(program->service),
		.alpn = "imap", /* RFC 7301 registry */
	};

	if (tls.pair_count == 0)
		return true;
	for (size_t i = 0; i < tls.pair_count; i++)
		pairs[i] = (struct tls_pair) { program->settings.tls.pairs[i].certificate,
			program->settings.tls.pairs[i].key };
	return tls_context_new(&tls, &program->tls, err);
}

static bool open_store(struct program *program, struct error *err)
{
	const struct settings *settings = &program->settings;
	const struct store_settings store = {
		.data_dir = settings->server.data_dir,
		.accounts_max = settings->store.accounts_open,
		.keep_expunged_days = settings->store.keep_expunged_days,
	};

	return store_open(&store, &program->server.store, err) &&
	       directory_open(settings->server.data_dir, &program->server.directory, err);
}

static void take_settings(struct program *program)
{
	const struct settings *settings = &program->settings;

	program->server.settings = (struct imapd_settings) {
		.hostname = settings->server.hostname,
		.version = POSTHOUSE_VERSION,
		.plaintext_auth_on_loopback = settings->auth.plaintext_on_loopback,
		.message_size_max = settings->smtp.max_message_size,
		.idle_timeout_ms = (unsigned)settings->imap.idle_timeout,
		.tls_timeout_ms = (unsigned)settings->limits.tls_timeout,
		.login_timeout_ms = (unsigned)settings->limits.login_timeout,
		.bad_commands = settings->limits.bad_commands,
		.index_memory = settings->imap.index_memory,
	};
	program->server.on_empty = on_empty;
	program->server.arg = program;
}

static bool start_threads(struct program *program, struct error *err)
{
	char authd[PATH_MAX];

	if (snprintf(authd, sizeof(authd), "%s/run/authd.sock", program->settings.server.data_dir) >=
	        (int)sizeof(authd))
		return error_set(err, ERR_BAD_VALUE, "the data directory's name is too long");
	if (!worker_pool_new(&program->loop, WORKER_THREADS, &program->pool, err))
		return false;
	program->server.pool = program->pool;
	uv_timer_start(&program->tidy_timer, on_tidy_time, TIDY_EVERY_MS, TIDY_EVERY_MS);
	if (!auth_client_new(&program->loop, authd, &program->server.auth, err))
		return false;
	return program->tls == NULL || tls_context_watch(program->tls, &program->loop, program->pool, err);
}

/* --- the sandbox: the accounts, and the certificates --- */

struct sandbox_list {
	struct sandbox_path paths[SANDBOX_MAX];
	char texts[SANDBOX_MAX][PATH_MAX];
	size_t count;
};

static void allow(struct sandbox_list *list, enum sandbox_access access, const char *dir, const char *name)
{
	char *text;

	if (list->count == SANDBOX_MAX)
		return;
	text = list->texts[list->count];
	if (snprintf(text, PATH_MAX, "%s%s", dir, name) < PATH_MAX)
		list->paths[list->count++] = (struct sandbox_path) { text, access };
}

/* A renewed certificate is another file in the same directory, or (as certbot has it) behind a link into another one. */
static void allow_certificate(struct sandbox_list *list, const char *path)
{
	char copy[PATH_MAX], *real = realpath(path, NULL);

	if (snprintf(copy, sizeof(copy), "%s", path) < (int)sizeof(copy))
		allow(list, SANDBOX_READ, dirname(copy), "");
	if (real != NULL)
		allow(list, SANDBOX_READ, dirname(real), "");
	free(real);
}

static bool lock_in(const struct program *program, struct error *err)
{
	static const char *const parts[] = { "/accounts", "/spool", "/run", "/spare", "/directory.db",
		"/directory.db-wal", "/directory.db-shm", "/directory.db-lock" };
	static struct sandbox_list list;
	struct sandbox_settings sandbox = { .paths = list.paths };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		allow(&list, SANDBOX_WRITE, program->settings.server.data_dir, parts[i]);
	for (size_t i = 0; i < program->settings.tls.pair_count; i++) {
		allow_certificate(&list, program->settings.tls.pairs[i].certificate);
		allow_certificate(&list, program->settings.tls.pairs[i].key);
	}
	allow(&list, SANDBOX_READ, "/proc/self/fd", ""); /* linkat(2) of an unnamed spool file */
	sandbox.path_count = list.count;
	return sandbox_enter(&sandbox, err);
}

static bool start(struct program *program, const char *config_path, struct error *err)
{
	static const struct service_events events = { on_drain, on_drain_over, on_reload };

	if (!settings_load(config_path, &program->settings, err))
		return false;
	log_set_level(program->settings.server.log_level);
	take_settings(program);
	return privileges_drop(program->settings.server.user, err) &&
	       service_new(&program->loop, &events, program, &program->service, err) && open_tls(program, err) &&
	       open_store(program, err) && lock_in(program, err) && start_threads(program, err) &&
	       open_listeners(program, err);
}

static void close_all(struct program *program)
{
	stop(program);
	(void)uv_run(&program->loop, UV_RUN_DEFAULT);
	if (program->limiter != NULL)
		limiter_free(&program->limiter);
	if (program->tls != NULL)
		tls_context_free(&program->tls);
	if (program->server.store != NULL)
		store_close(&program->server.store);
	directory_close(&program->server.directory);
	if (program->service != NULL)
		service_free(&program->service);
	(void)uv_loop_close(&program->loop);
}

static const char *config_argument(int argc, char **argv)
{
	const char *path = SETTINGS_FILE_DEFAULT;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--config") == 0)
			path = argv[i + 1];
	}
	return path;
}

int main(int argc, char **argv)
{
	static struct program program;
	struct error err;
	bool ok;

	log_open("imapd", LOG_INFO);
	(void)mallopt(M_ARENA_MAX, MALLOC_ARENAS);
	(void)signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&program.loop) != 0 || uv_timer_init(&program.loop, &program.tidy_timer) != 0)
		return EXIT_FAILURE;
	program.server.loop = &program.loop;
	server_open(&program.server);
	error_clear(&err);
	ok = start(&program, config_argument(argc, argv), &err);
	if (ok) {
		service_ready(program.service);
		LOG(LOG_INFO, "imapd.ready", LOG_NUMBER("listeners", program.listener_count));
		(void)uv_run(&program.loop, UV_RUN_DEFAULT);
	} else {
		LOG(LOG_ERROR, "imapd.start", LOG_FAILURE(&err));
	}
	close_all(&program);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
