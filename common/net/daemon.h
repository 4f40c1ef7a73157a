/* common/net/daemon.h — the frame of smtpd, pop3d and imapd: loop, inherited listeners, certificates, limiter, worker threads and
 * a timer for tidying; started in the order that privileges ask for, drained, reloaded, ended.
 *
 * A daemon is a table of what is its own; its main() hands that to daemon_main(). Which then calls, in this order:
 *
 *   configure    --config FILE is read; from here on the daemon's user
 *   open         (sockets are taken, certificates read) what the sandbox hides: the store
 *   start        (in the sandbox, threads may run) what needs loop and threads: the client of authd
 *   accept ...   (ready) each new connection; tidy each DAEMON_TIDY_MS
 *   drain        (listeners have stopped) tell the sessions; daemon_end() once the last has gone
 *   stop         (after daemon_end(), or a step that failed) close what keeps the loop alive
 *   close        (the loop has ended) free the rest
 *
 * stop and close always come, whichever step failed: they must bear that open or start did not happen.
 * Thread: the loop's, but for tidy. net knows neither config, sasl nor storage: settings come as plain structs. */
#ifndef NET_DAEMON_H
#define NET_DAEMON_H

#include "base/log.h"
#include "net/conn.h"
#include "net/limiter.h"
#include "net/tls.h"
#include "net/worker.h"

#define DAEMON_TIDY_MS 60000

struct daemon;

/* One kind of listening socket; several sockets may be of one kind. */
struct daemon_port {
	const char *name; /* in LISTEN_FDNAMES, net/service.h */
	bool implicit_tls;
	int kind; /* the daemon's own */
};

/* What configure fills in. Texts are the daemon's, until daemon_main() returns. */
struct daemon_settings {
	const char *user;     /* see privileges_drop() */
	const char *data_dir; /* `writable` is below it */
	const char *hostname; /* for the log */
	enum log_level log_level;
	struct limiter_settings limits;
	struct tls_pair pairs[TLS_CERTIFICATES_MAX];
	size_t pair_count; /* 0: no TLS; then a port with implicit TLS is an error */
};

struct daemon_program {
	const char *name;        /* "smtpd": before the events of the log */
	const char *config_path; /* where no --config says another */
	const struct daemon_port *ports;
	size_t port_count;
	const char *refusal; /* see struct listener_settings */
	const char *alpn;    /* see struct tls_settings */
	unsigned threads;    /* of the worker pool, at most; idle ones end */
	const char *const
	        *writable; /* what the sandbox leaves of the data directory: "/accounts", ...; ends with NULL */
	const char *const *readable; /* the same, whole paths; NULL: none. Certificates are there by themselves */

	bool (*configure)(void *arg, const char *config_path, struct daemon_settings *out, struct error *err);
	bool (*open)(void *arg, struct error *err);
	bool (*start)(void *arg, struct daemon *daemon, struct error *err);
	void (*accept)(void *arg, struct conn *conn, const struct daemon_port *port);
	void (*tidy)(void *arg); /* on a worker thread, never twice at once */
	void (*drain)(void *arg);
	void (*close_sessions)(void *arg); /* draining has taken SERVICE_DRAIN_MS */
	void (*stop)(void *arg);
	void (*close)(void *arg);
};

/* All of main(): its result is the exit code. Once in a process. */
int daemon_main(const struct daemon_program *program, void *arg, int argc, char **argv);

uv_loop_t *daemon_loop(struct daemon *daemon);
struct worker_pool *daemon_pool(struct daemon *daemon);
/* No session is left. May come from any callback of the loop: nothing is freed until that has returned. */
void daemon_end(struct daemon *daemon);

#endif
