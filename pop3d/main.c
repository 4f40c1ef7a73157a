/* pop3d — hands mail out by POP3. Usage: pop3d --config FILE [--worker N] (started by `posthouse serve`, net/service.h).
 * What all daemons share is in net/daemon.h; here is what is particular to this one, in the order it is called. */
#include "base/macros.h"
#include "config/settings.h"
#include "net/daemon.h"
#include "pop3d/session.h"

#define WORKER_THREADS 8 /* readers of the store; idle ones end */

_Static_assert(SETTINGS_CERTIFICATES_MAX <= TLS_CERTIFICATES_MAX, "all that the settings have can be served");

struct program {
	struct settings settings;
	struct pop3_server server;
};

static const struct daemon_port ports[] = {
	{ .name = "pop3", .implicit_tls = false }, { .name = "pop3s", .implicit_tls = true }, /* RFC 8314 §3.3 */
};

/* The accounts alone: neither auth.db nor directory.db. */
static const char *const writable[] = { "/accounts", "/run", "/spare", NULL };

static void take_frame(const struct settings *settings, struct daemon_settings *out)
{
	out->user = settings->server.user;
	out->data_dir = settings->server.data_dir;
	out->hostname = settings->server.hostname;
	out->log_level = settings->server.log_level;
	out->limits = (struct limiter_settings) {
		.per_address = settings->limits.connections_per_address,
		.total = settings->limits.connections,
		.exempt = span_of(settings->limits.unlimited_networks),
	};
	out->pair_count = settings->tls.pair_count;
	for (size_t i = 0; i < out->pair_count; i++)
		out->pairs[i] = (struct tls_pair) { settings->tls.pairs[i].certificate, settings->tls.pairs[i].key };
}

static void take_settings(const struct settings *settings, struct pop3d_settings *out)
{
	*out = (struct pop3d_settings) {
		.hostname = settings->server.hostname,
		.version = POSTHOUSE_VERSION,
		.plaintext_auth_on_loopback = settings->auth.plaintext_on_loopback,
		.channel_binding = settings->auth.channel_binding,
		.delete_to = settings->pop3.delete_to == POP3_DELETE_TRASH ? DELETE_TO_TRASH : DELETE_EXPUNGE,
		.idle_timeout_ms = (unsigned)settings->pop3.idle_timeout,
		.tls_timeout_ms = (unsigned)settings->limits.tls_timeout,
		.login_timeout_ms = (unsigned)settings->limits.login_timeout,
		.bad_commands = settings->limits.bad_commands,
	};
}

static bool configure(void *arg, const char *config_path, struct daemon_settings *out, struct error *err)
{
	struct program *program = arg;

	if (!settings_load(config_path, &program->settings, err))
		return false;
	take_frame(&program->settings, out);
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

	return store_open(&store, &program->server.store, err);
}

static void on_empty(void *arg)
{
	daemon_end(arg);
}

static bool start(void *arg, struct daemon *daemon, struct error *err)
{
	struct program *program = arg;
	struct pop3_server *server = &program->server;

	server->loop = daemon_loop(daemon);
	server->pool = daemon_pool(daemon);
	server->on_empty = on_empty;
	server->arg = daemon;
	return auth_client_new_in(server->loop, program->settings.server.data_dir, &server->auth, err);
}

static void accept_conn(void *arg, struct conn *conn, const struct daemon_port *port)
{
	struct program *program = arg;

	session_start(&program->server, conn, port->implicit_tls);
}

/* Account files that nobody uses. */
static void tidy(void *arg)
{
	struct program *program = arg;

	store_close_idle(program->server.store, DAEMON_TIDY_MS);
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
}

static void close_store(void *arg)
{
	struct program *program = arg;

	store_close(&program->server.store);
}

int main(int argc, char **argv)
{
	static const struct daemon_program pop3d = {
		.name = "pop3d",
		.config_path = SETTINGS_FILE_DEFAULT,
		.ports = ports,
		.port_count = ARRAY_LEN(ports),
		.refusal = "-ERR [SYS/TEMP] too many connections, try again later\r\n",
		.alpn = "pop3", /* RFC 7301 registry */
		.threads = WORKER_THREADS,
		.writable = writable,
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

	return daemon_main(&pop3d, &program, argc, argv);
}
