#include "net/daemon.h"

#include "base/macros.h"
#include "base/sandbox_list.h"
#include "net/listener.h"
#include "net/service.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MALLOC_ARENAS 4 /* an arena for each of many threads would cost more memory than it saves waiting */
#define EVENT_MAX     40

struct daemon_listener {
	struct daemon *daemon;
	const struct daemon_port *port;
	struct listener *listener;
};

struct daemon {
	const struct daemon_program *program;
	void *arg;
	struct daemon_settings settings;
	uv_loop_t loop;
	struct service *service;
	struct worker_pool *pool;
	struct tls_context *tls;
	struct limiter *limiter;
	struct daemon_listener listeners[SERVICE_FDS_MAX];
	size_t listener_count;
	uv_timer_t tidy_timer;
	struct worker_job tidy_job;
	bool tidying;
	char event[EVENT_MAX];
};

uv_loop_t *daemon_loop(struct daemon *daemon)
{
	return &daemon->loop;
}

struct worker_pool *daemon_pool(struct daemon *daemon)
{
	return daemon->pool;
}

void daemon_end(struct daemon *daemon)
{
	uv_stop(&daemon->loop);
}

/* "smtpd.ready"; until the next one. */
static const char *event(struct daemon *daemon, const char *what)
{
	(void)snprintf(daemon->event, sizeof(daemon->event), "%s.%s", daemon->program->name, what);
	return daemon->event;
}

/* --- what nobody uses any more ---------------------------------------------------------------------------------- */

static void run_tidy(struct worker_job *job)
{
	struct daemon *daemon = container_of(job, struct daemon, tidy_job);

	daemon->program->tidy(daemon->arg);
	(void)malloc_trim(0); /* after a burst of mail its memory is the machine's again */
}

static void on_tidied(struct worker_job *job)
{
	container_of(job, struct daemon, tidy_job)->tidying = false;
}

static void on_tidy_time(uv_timer_t *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, tidy_timer);

	if (daemon->tidying)
		return;
	daemon->tidying = true;
	daemon->tidy_job = (struct worker_job) { .run = run_tidy, .done = on_tidied, .lane = WORKER_WRITE };
	worker_submit(daemon->pool, &daemon->tidy_job);
}

/* --- what the supervisor asks for --------------------------------------------------------------------------------- */

static void on_drain(void *arg)
{
	struct daemon *daemon = arg;

	LOG(LOG_INFO, event(daemon, "drain"), LOG_TEXT("hostname", daemon->settings.hostname));
	for (size_t i = 0; i < daemon->listener_count; i++)
		listener_stop(daemon->listeners[i].listener);
	daemon->program->drain(daemon->arg);
}

static void on_drain_over(void *arg)
{
	struct daemon *daemon = arg;

	daemon->program->close_sessions(daemon->arg);
}

static void on_reload(void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->tls != NULL)
		tls_context_reload(daemon->tls);
}

/* --- the start ---------------------------------------------------------------------------------------------------- */

static bool open_service(struct daemon *daemon, struct error *err)
{
	static const struct service_events events = { on_drain, on_drain_over, on_reload };

	return service_new(&daemon->loop, &events, daemon, &daemon->service, err);
}

static bool open_tls(struct daemon *daemon, struct error *err)
{
	const struct tls_settings tls = {
		.pairs = daemon->settings.pairs,
		.pair_count = daemon->settings.pair_count,
		.secret = service_secret(daemon->service),
		.alpn = daemon->program->alpn,
	};

	return tls.pair_count == 0 || tls_context_new(&tls, &daemon->tls, err);
}

static bool lock_in(const struct daemon *daemon, struct error *err)
{
	static struct sandbox_list list;
	const char *const *name;

	for (name = daemon->program->writable; *name != NULL; name++)
		sandbox_list_add(&list, SANDBOX_WRITE, daemon->settings.data_dir, *name);
	for (name = daemon->program->readable; name != NULL && *name != NULL; name++)
		sandbox_list_add(&list, SANDBOX_READ, *name, "");
	for (size_t i = 0; i < daemon->settings.pair_count; i++) {
		sandbox_list_add_replaced(&list, daemon->settings.pairs[i].certificate_path);
		sandbox_list_add_replaced(&list, daemon->settings.pairs[i].key_path);
	}
	return sandbox_enter(&(struct sandbox_settings) { list.paths, list.count }, err);
}

static bool start_threads(struct daemon *daemon, struct error *err)
{
	if (!worker_pool_new(&daemon->loop, daemon->program->threads, &daemon->pool, err))
		return false;
	uv_timer_start(&daemon->tidy_timer, on_tidy_time, DAEMON_TIDY_MS, DAEMON_TIDY_MS);
	return daemon->tls == NULL || tls_context_watch(daemon->tls, &daemon->loop, daemon->pool, err);
}

static void on_accept(void *arg, struct conn *conn)
{
	struct daemon_listener *listener = arg;

	listener->daemon->program->accept(listener->daemon->arg, conn, listener->port);
}

static bool listen_on(struct daemon *daemon, const struct daemon_port *port, int fd, struct error *err)
{
	struct daemon_listener *listener = &daemon->listeners[daemon->listener_count];
	const struct listener_settings settings = {
		.name = port->name,
		.tls = daemon->tls,
		.implicit_tls = port->implicit_tls,
		.refusal = daemon->program->refusal,
		.on_accept = on_accept,
		.arg = listener,
	};

	if (port->implicit_tls && daemon->tls == NULL)
		return error_detail(
		        err, ERR_BAD_VALUE, "port %s needs a certificate: set [tls] certificates and keys", port->name);
	*listener = (struct daemon_listener) { .daemon = daemon, .port = port };
	if (!listener_new(&daemon->loop, fd, &settings, daemon->limiter, &listener->listener, err))
		return false;
	daemon->listener_count++;
	return true;
}

/* No more sockets can come than there are places: SERVICE_FDS_MAX is all that a process takes over. */
static bool open_listeners(struct daemon *daemon, struct error *err)
{
	const struct daemon_port *ports = daemon->program->ports;
	int fd;

	if (!limiter_new(&daemon->settings.limits, &daemon->limiter, err))
		return false;
	for (size_t i = 0; i < daemon->program->port_count; i++)
		while ((fd = service_take_socket(daemon->service, ports[i].name)) >= 0)
			if (!listen_on(daemon, &ports[i], fd, err))
				return false;
	return true;
}

static bool start(struct daemon *daemon, const char *config_path, struct error *err)
{
	const struct daemon_program *program = daemon->program;

	if (!program->configure(daemon->arg, config_path, &daemon->settings, err))
		return false;
	log_set_level(daemon->settings.log_level);
	return privileges_drop(daemon->settings.user, err) && open_service(daemon, err) && open_tls(daemon, err) &&
	       program->open(daemon->arg, err) && lock_in(daemon, err) && start_threads(daemon, err) &&
	       program->start(daemon->arg, daemon, err) && open_listeners(daemon, err);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Closes everything that keeps the loop alive; the pool's last jobs run in here. */
static void stop(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->listener_count; i++)
		listener_free(&daemon->listeners[i].listener);
	daemon->program->stop(daemon->arg);
	if (daemon->tls != NULL)
		tls_context_unwatch(daemon->tls);
	uv_close((uv_handle_t *)&daemon->tidy_timer, NULL);
	worker_pool_free(&daemon->pool);
	if (daemon->service != NULL)
		service_done(daemon->service);
}

static void close_all(struct daemon *daemon)
{
	stop(daemon);
	(void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
	limiter_free(&daemon->limiter);
	tls_context_free(&daemon->tls);
	daemon->program->close(daemon->arg);
	service_free(&daemon->service);
	(void)uv_loop_close(&daemon->loop);
}

/* --config FILE; --worker N is for who reads the list of processes. */
static const char *config_argument(int argc, char **argv, const char *otherwise)
{
	for (int i = 1; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--config") == 0)
			otherwise = argv[i + 1];
	return otherwise;
}

int daemon_main(const struct daemon_program *program, void *arg, int argc, char **argv)
{
	static struct daemon daemon;
	struct error err;
	bool ok;

	daemon.program = program;
	daemon.arg = arg;
	log_open(program->name, LOG_INFO);
	(void)mallopt(M_ARENA_MAX, MALLOC_ARENAS);
	(void)signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&daemon.loop) != 0 || uv_timer_init(&daemon.loop, &daemon.tidy_timer) != 0)
		return EXIT_FAILURE;
	error_clear(&err);
	ok = start(&daemon, config_argument(argc, argv, program->config_path), &err);
	if (ok) {
		service_ready(daemon.service);
		LOG(LOG_INFO, event(&daemon, "ready"), LOG_NUMBER("listeners", daemon.listener_count));
		(void)uv_run(&daemon.loop, UV_RUN_DEFAULT);
	} else {
		LOG(LOG_ERROR, event(&daemon, "start"), LOG_FAILURE(&err));
	}
	close_all(&daemon);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
