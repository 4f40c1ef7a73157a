/* relayd — sends the queue out. Usage: relayd --config FILE (started by `posthouse serve`, net/service.h): one process, no sockets.
 * What all daemons share is in net/daemon.h; here is what is particular to this one, in the order it is called. */
#include "config/settings.h"
#include "net/daemon.h"
#include "smtpd/outbound/finish.h"
#include "smtpd/outbound/scheduler.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define WORKER_THREADS 16 /* reading bodies for many connections; idle ones end */
#define ACCOUNTS_OPEN  32 /* local recipients are the exception here */
#define TURN_MS        100

_Static_assert(SETTINGS_DURATIONS_MAX <= SCHEDULE_STEPS_MAX, "the whole schedule fits");

struct program {
	struct settings settings;
	struct relay_settings relay_settings;
	struct relay relay;
	int ear_fd;
	int turn_fd; /* run/relay.lock: one relay at a time takes from the queue; after a reload the old one ends first */
	uv_timer_t turn_timer;
	bool has_turn_timer;
	bool ready;
};

static const char *const writable[] = { "/accounts", "/spool", "/run", "/spare", "/queue", "/queue.db", "/queue.db-wal",
	"/queue.db-shm", "/queue.db-lock", "/events.db", "/events.db-wal", "/events.db-shm", "/events.db-lock",
	"/relay.db", "/relay.db-wal", "/relay.db-shm", "/relay.db-lock", "/directory.db", "/directory.db-wal",
	"/directory.db-shm", "/directory.db-lock", NULL };
/* linkat(2) of an unnamed spool file; root hints; [dns] trust_anchor, once it is known */
static const char *readable[] = { "/proc/self/fd", "/usr/share/dns", NULL, NULL };
#define READABLE_ANCHOR 2

static void take_schedule(const struct settings *settings, struct schedule *out)
{
	out->retry_count = settings->queue.retry.count;
	for (size_t i = 0; i < out->retry_count; i++)
		out->retry_ms[i] = (int64_t)settings->queue.retry.ms[i];
	out->warn_after_ms = (int64_t)settings->queue.warn_after;
	out->give_up_after_ms = (int64_t)settings->queue.give_up_after;
}

static void take_settings(const struct settings *settings, struct relay_settings *out)
{
	*out = (struct relay_settings) {
		.hostname = settings->server.hostname,
		.data_dir = settings->server.data_dir,
		.addresses = settings->listen.addresses,
		.own_port = settings->listen.ports[PORT_SMTP],
		.port = settings->relay.port,
		.sts_port = settings->relay.sts_port,
		.source_addresses = settings->relay.source_addresses,
		.dane = settings->relay.dane,
		.mta_sts = settings->relay.mta_sts,
		.connections = settings->queue.connections,
		.connections_per_destination = settings->queue.connections_per_destination,
	};
	take_schedule(settings, &out->schedule);
}

static bool configure(void *arg, const char *config_path, struct daemon_settings *out, struct error *err)
{
	struct program *program = arg;
	const struct settings *settings = &program->settings;

	if (!settings_load(config_path, &program->settings, err))
		return false;
	take_settings(settings, &program->relay_settings);
	program->relay.settings = &program->relay_settings;
	if (settings->dns.trust_anchor[0] != '\0')
		readable[READABLE_ANCHOR] = settings->dns.trust_anchor;
	out->user = settings->server.user;
	out->data_dir = settings->server.data_dir;
	out->hostname = settings->server.hostname;
	out->log_level = settings->server.log_level;
	return true;
}

static bool open_turn(struct program *program, const char *dir, struct error *err)
{
	char path[SETTINGS_TEXT_MAX + sizeof("/run/relay.lock")];

	(void)snprintf(path, sizeof(path), "%s/run/relay.lock", dir);
	program->turn_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return program->turn_fd >= 0 || error_errno(err, errno, path);
}

/* What reads files that the sandbox will hide, or makes files that it will allow. */
static bool open_store(void *arg, struct error *err)
{
	struct program *program = arg;
	struct relay *relay = &program->relay;
	const struct settings *settings = &program->settings;
	const char *dir = settings->server.data_dir;
	const struct store_settings store = {
		.data_dir = dir,
		.accounts_max = ACCOUNTS_OPEN,
		.keep_expunged_days = settings->store.keep_expunged_days,
	};

	id_set_init(&relay->under_way);
	relay_clock_start(&relay->clock);
	program->ear_fd = program->turn_fd = -1;
	if (!open_turn(program, dir, err) || !store_open(&store, &relay->store, err) ||
	        !directory_open(dir, &relay->directory, err) || !queue_open(dir, &relay->queue, err) ||
	        !relay_store_open(dir, &relay->routes, err) ||
	        !event_log_open(dir, true, settings->explain.keep_days, &relay->events, err) ||
	        !tls_client_new(settings->relay.ca_file[0] != '\0' ? settings->relay.ca_file : NULL, &relay->tls, err))
		return false;
	program->ear_fd = queue_watch(dir, err);
	return program->ear_fd >= 0;
}

static bool start_dns(struct relay *relay, const struct settings *settings, struct error *err)
{
	const struct dns_settings dns = {
		.forward = span_of(settings->dns.forward),
		.trust_anchor = settings->dns.trust_anchor,
	};

	return dns_new(relay->loop, &dns, &relay->dns, err) &&
	       sources_new(relay->loop, relay->dns, span_of(settings->relay.source_addresses),
	               settings->server.hostname, &relay->sources, err);
}

static bool start_sts(struct relay *relay, struct error *err)
{
	const struct sts_fetcher_parts fetcher = {
		.loop = relay->loop,
		.dns = relay->dns,
		.pool = relay->pool,
		.tls = relay->tls,
		.port = relay->settings->sts_port,
	};
	struct sts_finder_parts parts = {
		.loop = relay->loop,
		.pool = relay->pool,
		.dns = relay->dns,
		.store = relay->routes,
	};

	if (!relay->settings->mta_sts)
		return true;
	if (!sts_fetcher_new(&fetcher, &relay->fetcher, err))
		return false;
	parts.fetcher = relay->fetcher;
	return sts_finder_new(&parts, &relay->sts, err);
}

static bool start_router(struct relay *relay, struct error *err)
{
	const struct relay_settings *settings = relay->settings;
	const struct router_parts parts = {
		.loop = relay->loop,
		.pool = relay->pool,
		.dns = relay->dns,
		.store = relay->routes,
		.sts = relay->sts,
		.dane = settings->dane,
		.hostname = settings->hostname,
		.own_addresses = settings->addresses,
		.own_port = settings->own_port,
		.port = settings->port,
	};

	return router_new(&parts, &relay->router, err);
}

/* The kernel gives the lock back when the other one ends, however it does. */
static void on_turn_time(uv_timer_t *timer)
{
	struct program *program = container_of(timer, struct program, turn_timer);

	if (flock(program->turn_fd, LOCK_EX | LOCK_NB) != 0)
		return;
	(void)uv_timer_stop(timer);
	scheduler_start(program->relay.scheduler);
}

static bool await_turn(struct program *program, struct error *err)
{
	if (uv_timer_init(program->relay.loop, &program->turn_timer) != 0)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	program->has_turn_timer = true;
	(void)uv_timer_start(&program->turn_timer, on_turn_time, 0, TURN_MS);
	return true;
}

static bool start(void *arg, struct daemon *daemon, struct error *err)
{
	struct program *program = arg;
	struct relay *relay = &program->relay;
	int ear_fd = program->ear_fd;

	relay->loop = daemon_loop(daemon);
	relay->pool = daemon_pool(daemon);
	if (!start_dns(relay, &program->settings, err) || !start_sts(relay, err) || !start_router(relay, err) ||
	        !finisher_new(relay, &relay->finisher, err))
		return false;
	program->ear_fd = -1;
	if (!scheduler_new(relay, ear_fd, &relay->scheduler, err))
		return false;
	return await_turn(program, err);
}

/* No sockets are inherited: no connection comes. */
static void accept_conn(void *arg, struct conn *conn, const struct daemon_port *port)
{
	(void)arg;
	(void)port;
	conn_close(conn);
}

/* Once in a process queue_tidy() has work: what a crash has left behind. */
static void tidy(void *arg)
{
	struct program *program = arg;
	struct error err;

	store_close_idle(program->relay.store, DAEMON_TIDY_MS);
	if (!program->ready && !queue_tidy(program->relay.queue, clock_wall_ms(), &err))
		LOG(LOG_WARNING, "relay.tidy", LOG_FAILURE(&err));
	program->ready = true;
}

static void on_empty(void *arg)
{
	daemon_end(arg);
}

static struct daemon *the_daemon; /* drain() is not told which */

static bool start_remembered(void *arg, struct daemon *daemon, struct error *err)
{
	the_daemon = daemon;
	return start(arg, daemon, err);
}

static void drain(void *arg)
{
	struct program *program = arg;

	(void)uv_timer_stop(&program->turn_timer);
	scheduler_drain(program->relay.scheduler, on_empty, the_daemon);
}

static void close_sessions(void *arg)
{
	struct program *program = arg;

	scheduler_close_all(program->relay.scheduler);
}

/* The pool's last jobs run after this, with everything still there. */
static void stop(void *arg)
{
	struct program *program = arg;
	struct relay *relay = &program->relay;

	if (program->has_turn_timer)
		uv_close((uv_handle_t *)&program->turn_timer, NULL);
	scheduler_stop(relay->scheduler);
	finisher_stop(relay->finisher);
	sts_finder_stop(relay->sts);
	sts_fetcher_stop(relay->fetcher);
	sources_stop(relay->sources);
	dns_free(&relay->dns);
}

static void close_store(void *arg)
{
	struct program *program = arg;
	struct relay *relay = &program->relay;

	finisher_free(&relay->finisher);
	scheduler_free(&relay->scheduler);
	router_free(&relay->router);
	sts_finder_free(&relay->sts);
	sts_fetcher_free(&relay->fetcher);
	sources_free(&relay->sources);
	tls_client_free(&relay->tls);
	if (program->ear_fd >= 0)
		(void)close(program->ear_fd);
	if (program->turn_fd >= 0)
		(void)close(program->turn_fd);
	if (relay->events != NULL)
		event_log_close(&relay->events);
	if (relay->routes != NULL)
		relay_store_close(&relay->routes);
	if (relay->queue != NULL)
		queue_close(&relay->queue);
	if (relay->directory != NULL)
		directory_close(&relay->directory);
	if (relay->store != NULL)
		store_close(&relay->store);
	if (relay->settings != NULL)
		id_set_free(&relay->under_way);
}

int main(int argc, char **argv)
{
	static const struct daemon_program relayd = {
		.name = "relayd",
		.config_path = SETTINGS_FILE_DEFAULT,
		.threads = WORKER_THREADS,
		.writable = writable,
		.readable = readable,
		.configure = configure,
		.open = open_store,
		.start = start_remembered,
		.accept = accept_conn,
		.tidy = tidy,
		.drain = drain,
		.close_sessions = close_sessions,
		.stop = stop,
		.close = close_store,
	};
	static struct program program;

	return daemon_main(&relayd, &program, argc, argv);
}
