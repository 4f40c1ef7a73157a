/* smtpd — takes mail in. Usage: smtpd --config FILE [--worker N] (started by `posthouse serve`, net/service.h).
 * What all daemons share is in net/daemon.h; here is what is particular to this one, in the order it is called. */
#include "base/macros.h"
#include "config/settings.h"
#include "net/daemon.h"
#include "smtpd/server/session.h"

#include <stdio.h>
#include <unistd.h>

#define WORKER_THREADS 16 /* many waiting writers make one sync cheaper than few (design.md §5); idle ones end */

_Static_assert(SETTINGS_CERTIFICATES_MAX <= TLS_CERTIFICATES_MAX, "all that the settings have can be served");

struct program {
	struct settings settings;
	char exempt[2 * SETTINGS_LIST_MAX];
	struct smtp_server server;
	uv_timer_t flush_timer;
	bool flush_timer_open;
	struct worker_job flush_job;
	bool flushing; /* the job is under way */
};

static const struct daemon_port ports[] = {
	{ "smtp", false, PORT_MX },
	{ "submission", false, PORT_SUBMIT },
	{ "submissions", true, PORT_SUBMIT_TLS },
	{ "sendmail", false, PORT_LOCAL },
	{ "lmtp", false, PORT_DELIVER },
};

/* The store without auth.db. */
static const char *const writable[] = { "/accounts", "/spool", "/run", "/spare", "/directory.db", "/directory.db-wal",
	"/directory.db-shm", "/directory.db-lock", "/queue", "/queue.db", "/queue.db-wal", "/queue.db-shm",
	"/queue.db-lock", "/events.db", "/events.db-wal", "/events.db-shm", "/events.db-lock", NULL };
/* linkat(2) of an unnamed spool file. And who uses the sendmail command's socket (local_user.c): getpwuid(3) reads nsswitch.conf and passwd(5). That is
 * another file after each change (rename(2)), and a rule of Landlock holds for the file that was there when it was made: of a user added
 * since then nothing would be known, and no rule can be added later. So it is the folder; what in it is not for this user stays shut by its mode. */
static const char *const readable[] = { "/proc/self/fd", "/etc", NULL };

/* A proxy's connections count for those who come through it, once it has said who that is. */
static struct span exempt_networks(struct program *program)
{
	const struct settings *settings = &program->settings;

	(void)snprintf(program->exempt, sizeof(program->exempt), "%s %s", settings->limits.unlimited_networks,
	        settings->smtp.proxy_networks);
	return span_of(program->exempt);
}

static void take_frame(struct program *program, struct daemon_settings *out)
{
	const struct settings *settings = &program->settings;

	out->user = settings->server.user;
	out->data_dir = settings->server.data_dir;
	out->hostname = settings->server.hostname;
	out->log_level = settings->server.log_level;
	out->limits = (struct limiter_settings) {
		.per_address = settings->limits.connections_per_address,
		.total = settings->limits.connections,
		.exempt = exempt_networks(program),
	};
	out->pair_count = settings->tls.pair_count;
	for (size_t i = 0; i < out->pair_count; i++)
		out->pairs[i] = (struct tls_pair) { settings->tls.pairs[i].certificate, settings->tls.pairs[i].key };
}

static void take_settings(const struct settings *settings, struct smtpd_settings *out)
{
	*out = (struct smtpd_settings) {
		.hostname = settings->server.hostname,
		.max_message_size = settings->smtp.max_message_size,
		.max_recipients = settings->smtp.max_recipients,
		.plaintext_auth_on_loopback = settings->auth.plaintext_on_loopback,
		.channel_binding = settings->auth.channel_binding,
		.max_hops = settings->smtp.max_hops,
		.idle_timeout_ms = (unsigned)settings->smtp.idle_timeout,
		.tls_timeout_ms = (unsigned)settings->limits.tls_timeout,
		.login_timeout_ms = (unsigned)settings->limits.login_timeout,
		.bad_commands = settings->limits.bad_commands,
		.relay_networks = span_of(settings->smtp.relay_networks),
		.xclient_networks = span_of(settings->smtp.xclient_networks),
		.proxy_networks = span_of(settings->smtp.proxy_networks),
		.etrn_domains = span_of(settings->smtp.etrn_domains),
		.expn = settings->smtp.expn,
		.recipients_a_day = settings->submission.recipients_a_day,
		.new_recipients_a_day = settings->submission.new_recipients_a_day,
		.undo_ms = (int64_t)settings->submission.undo,
		.give_up_ms = (int64_t)settings->queue.give_up_after,
		.keep_days = settings->explain.keep_days,
	};
}

static bool configure(void *arg, const char *config_path, struct daemon_settings *out, struct error *err)
{
	struct program *program = arg;

	if (!settings_load(config_path, &program->settings, err))
		return false;
	take_frame(program, out);
	take_settings(&program->settings, &program->server.settings);
	return true;
}

static bool open_store(void *arg, struct error *err)
{
	struct program *program = arg;
	const struct settings *settings = &program->settings;
	const struct store_settings store = {
		.data_dir = settings->server.data_dir,
		.accounts_max = settings->store.accounts_open,
		.keep_expunged_days = settings->store.keep_expunged_days,
	};

	return store_open(&store, &program->server.accept.store, err) &&
	       directory_open(settings->server.data_dir, &program->server.accept.directory, err) &&
	       queue_open(settings->server.data_dir, &program->server.accept.queue, err) &&
	       event_log_open(settings->server.data_dir, true, settings->explain.keep_days,
	               &program->server.accept.events, err);
}

/* --- the story of messages is written down now and then ------------------------------------------------------------ */

static void flush_events(struct worker_job *job)
{
	events_flush(container_of(job, struct program, flush_job)->server.accept.events);
}

static void events_flushed(struct worker_job *job)
{
	container_of(job, struct program, flush_job)->flushing = false;
}

static void on_flush_timer(uv_timer_t *timer)
{
	struct program *program = container_of(timer, struct program, flush_timer);

	if (program->flushing || !event_log_wants_flush(program->server.accept.events))
		return;
	program->flushing = true;
	program->flush_job = (struct worker_job) { .run = flush_events, .done = events_flushed, .lane = WORKER_WRITE };
	worker_submit(program->server.pool, &program->flush_job);
}

static void start_flushing(struct program *program, uv_loop_t *loop)
{
	uv_timer_init(loop, &program->flush_timer);
	uv_unref((uv_handle_t *)&program->flush_timer);
	uv_timer_start(&program->flush_timer, on_flush_timer, EVENTS_FLUSH_MS, EVENTS_FLUSH_MS);
	program->flush_timer_open = true;
}

static void on_empty(void *arg)
{
	daemon_end(arg);
}

static bool take_networks(struct span text, struct smtp_networks *out, struct error *err)
{
	return network_parse_list(text, out->list, &out->count, err);
}

static bool start(void *arg, struct daemon *daemon, struct error *err)
{
	struct program *program = arg;
	struct smtp_server *server = &program->server;

	server->accept.settings = &server->settings;
	server->own_uid = (uint32_t)getuid();
	server->pool = daemon_pool(daemon);
	server->on_empty = on_empty;
	server->arg = daemon;
	if (!take_networks(server->settings.relay_networks, &server->relay, err) ||
	        !take_networks(server->settings.xclient_networks, &server->xclient, err) ||
	        !take_networks(server->settings.proxy_networks, &server->proxy, err))
		return false;
	start_flushing(program, daemon_loop(daemon));
	return auth_client_new_in(daemon_loop(daemon), program->settings.server.data_dir, &server->auth, err);
}

static void accept_conn(void *arg, struct conn *conn, const struct daemon_port *port)
{
	struct program *program = arg;

	session_start(&program->server, conn, (enum smtp_port)port->kind);
}

/* Account files that nobody uses. */
static void tidy(void *arg)
{
	struct program *program = arg;

	store_close_idle(program->server.accept.store, DAEMON_TIDY_MS);
}

static void drain(void *arg)
{
	struct program *program = arg;

	server_drain(&program->server);
}

static void close_sessions(void *arg)
{
	struct program *program = arg;

	server_close_all(&program->server);
}

static void stop(void *arg)
{
	struct program *program = arg;

	auth_client_close(&program->server.auth);
	if (program->flush_timer_open)
		uv_close((uv_handle_t *)&program->flush_timer, NULL);
	program->flush_timer_open = false;
}

static void close_store(void *arg)
{
	struct program *program = arg;

	event_log_close(&program->server.accept.events);
	queue_close(&program->server.accept.queue);
	directory_close(&program->server.accept.directory);
	store_close(&program->server.accept.store);
}

int main(int argc, char **argv)
{
	static const struct daemon_program smtpd = {
		.name = "smtpd",
		.config_path = SETTINGS_FILE_DEFAULT,
		.ports = ports,
		.port_count = ARRAY_LEN(ports),
		.refusal = "421 4.7.0 too many connections, try again later\r\n",
		.alpn = NULL, /* SMTP has no registered name (RFC 7301 registry) */
		.threads = WORKER_THREADS,
		.writable = writable,
		.readable = readable,
		.configure = configure,
		.open = open_store,
		.start = start,
		.accept = accept_conn,
		.tidy = tidy,
		.drain = drain,
		.close_sessions = close_sessions,
		.stop = stop,
		.close = close_store,
	};
	static struct program program;

	return daemon_main(&smtpd, &program, argc, argv);
}
