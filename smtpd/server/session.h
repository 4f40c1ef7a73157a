/* smtpd/server/session.h — one SMTP session: its lifetime, its states, its replies. The transaction is another type.
 *
 *            EHLO, HELO           MAIL               RCPT               DATA
 *  GREETED -----------> READY ----------> HAS_SENDER ------> HAS_RCPT ------> RECEIVING
 *   ^  ^                | ^ ^ ^                |                 |                |
 *   |  +--- STARTTLS ---+ | | +-- RSET, EHLO --+-----------------+-- end of data -+
 *   |                     | +-- AUTH --> AUTHENTICATING
 *  CONNECTED              +------------------+
 *
 *  CONNECTED -> GREETED         session_greet          at once, or after a proxy's header, the handshake of implicit TLS
 *  any before MAIL -> CONNECTED session_greet_again    XCLIENT: another client
 *  GREETED -> READY             cmd_ehlo, cmd_helo     RFC 5321 §4.1.1.1
 *  any before MAIL -> GREETED   cmd_starttls           RFC 3207 §4.2: forget all that the client said
 *  READY -> AUTHENTICATING      cmd_auth               RFC 4954 §4
 *  AUTHENTICATING -> READY      auth_end
 *  READY -> HAS_SENDER          session_begin          RFC 5321 §4.1.1.2
 *  HAS_SENDER -> HAS_RCPT       session_add_recipient  RFC 5321 §4.1.1.3
 *  HAS_RCPT -> RECEIVING        cmd_data               RFC 5321 §4.1.1.4
 *  HAS_RCPT -> CHUNKED          cmd_bdat               RFC 3030 §2: from here on only BDAT brings the message on
 *  any with a message -> READY  session_end_message    RFC 5321 §4.1.1.5, §4.2.5
 *  Always (session_check): a transaction exists exactly in HAS_SENDER and later; an exchange exactly in AUTHENTICATING; bytes
 *  are read raw exactly in RECEIVING and while a chunk is under way (`chunk`).
 *
 * Lifetime: session_start() makes it; the memory goes in one place, session_release(), once the conn is closed and the job
 * under way, the timer and the delivery have given back their holds. So a callback may always dereference its session, and
 * looks at s->closing before it acts.
 * Waiting: a session has at most one job (or login step) under way; meanwhile the conn is paused, so commands keep their
 * order. Thread: the loop's. */
#ifndef SMTPD_SERVER_SESSION_H
#define SMTPD_SERVER_SESSION_H

#include "net/conn.h"
#include "net/network.h"
#include "net/worker.h"
#include "sasl/sasl.h"
#include "smtpd/inbound/recipient_cache.h"
#include "smtpd/server/reply_for_error.h"
#include "smtpd/server/transaction.h"
#include "smtpd/syntax/proxy_header.h"
#include "smtpd/syntax/reply.h"
#include "smtpd/syntax/xclient.h"

enum session_state {
	CONNECTED = 1 << 0,
	GREETED = 1 << 1,
	READY = 1 << 2,
	AUTHENTICATING = 1 << 3,
	HAS_SENDER = 1 << 4,
	HAS_RCPT = 1 << 5,
	RECEIVING = 1 << 6,
	CHUNKED = 1 << 7,
};
#define IN_TRANSACTION (HAS_SENDER | HAS_RCPT | RECEIVING | CHUNKED)
#define ANY_COMMAND    (GREETED | READY | HAS_SENDER | HAS_RCPT | CHUNKED) /* states in which lines are commands */

/* What a session waits for. A login step and a delay are cancelled when the conn goes; a job and a delivery always come back. */
enum session_wait { WAIT_NOTHING, WAIT_JOB, WAIT_LOGIN, WAIT_DELAY };

#define SESSION_ANSWER_MAX 900 /* octets of what EXPN tells; fits into one reply of session_reply() */

enum smtp_port {
	PORT_MX,
	PORT_SUBMIT,
	PORT_SUBMIT_TLS,
	PORT_LOCAL /* the sendmail command's socket */,
	PORT_DELIVER /* LMTP */
};

struct smtp_session;

struct smtp_networks {
	struct network list[NETWORKS_MAX];
	size_t count;
};

/* One process's share: what all sessions use. Owner: main.c. */
struct smtp_server {
	struct smtpd_settings settings;
	struct accept_context accept; /* points to settings */
	struct recipient_cache recipients;
	struct smtp_networks relay, xclient, proxy; /* of the settings, parsed */
	struct worker_pool *pool;
	struct auth_client *auth;
	uint32_t own_uid;              /* of this process */
	size_t envelopes;              /* memory of all, as far as the sessions have counted it */
	size_t spooled;                /* octets of messages in memory: SPOOLS_MAX */
	unsigned wide_readers;         /* WIDE_READERS_MAX */
	struct smtp_session *sessions; /* all that live */
	bool draining;
	void (*on_empty)(void *arg); /* draining, and the last session has ended */
	void *arg;
};

struct smtp_session {
	struct smtp_server *server;
	struct smtp_session *next, **link; /* in server->sessions */
	struct conn *conn;                 /* invalid once closing */
	uint64_t id;
	enum smtp_port port;
	enum session_state state;
	unsigned holds;
	bool closing; /* the conn is gone */
	bool ended;   /* the farewell is said: nothing more is read */
	enum session_wait waiting;
	bool paused; /* the conn is: while waiting, and until the callback is through */

	/* What a proxy said before the client could */
	struct proxy_reader proxy;
	bool awaits_proxy;  /* its header has to come first */
	bool peer_unproven; /* the address that we see is the proxy's: nothing is allowed because of it */
	bool may_xclient;
	struct xclient_args *xclient; /* while its login is looked up */
	char *peer_name; /* of the address, as the proxy has found and checked it (XCLIENT NAME); or NULL */

	/* What the client said, or XCLIENT for it (then the client does not change it); forgotten at STARTTLS */
	bool helo_given, proto_given, esmtp_given;
	bool extended; /* EHLO */
	char helo[TRACE_HELO_MAX + 1];

	/* Login */
	struct sasl *sasl;
	int64_t account_id; /* 0: nobody */
	uint32_t uid;       /* on PORT_LOCAL: of the program at the other end */
	char login[AUTH_LOGIN_MAX + 1];

	struct transaction *transaction;
	size_t envelope;   /* its share of server->envelopes */
	size_t spooled;    /* and of server->spooled */
	bool reads_widely; /* counts in server->wide_readers */
	struct
	{ /* the BDAT under way (RFC 3030 §2); its octets come in any state, and go nowhere where it was refused */
		bool open, last;
		uint64_t left, size;
		struct smtp_reply refusal; /* code 0: none */
		const char *why;
	} chunk;
	struct rcpt_job *rcpt; /* during a RCPT */
	struct worker_job job; /* the one under way */
	void (*job_run)(struct smtp_session *s);
	void (*job_done)(struct smtp_session *s);
	struct error job_error;
	char question[PATH_MAILBOX_MAX + 1]; /* what a job of EXPN or ETRN (cmd_admin.c) is about, and what it found */
	struct buffer answer;
	uint64_t number;

	uv_timer_t timer; /* the time to log in; later the delay of cmd_rcpt */
	bool timer_open;

	unsigned bad_commands, idle_commands, refusals, unknown_recipients, auth_failures, messages;
	int64_t started_ms;
};

/* Takes the conn over. Without memory the conn is closed. */
void session_start(struct smtp_server *server, struct conn *conn, enum smtp_port port);
/* 421 to whom is between messages; the others end after their message. */
void server_drain(struct smtp_server *server);
void server_close_all(struct smtp_server *server); /* at once */

/* --- replies --- */

/* A code of 421 also ends the session (RFC 5321 §3.8). */
void session_reply(struct smtp_session *s, unsigned code, const char *enhanced, const char *format, ...)
        PRINTF_LIKE(4, 5);
/* The reply for an error at this stage; logged, and counted towards the goodbye. */
void session_refuse(struct smtp_session *s, enum smtp_stage stage, const struct error *err);
/* The same for `posthouse explain`, where there is a transaction to tell of; recipient: or empty. */
void session_tell_refused(
        struct smtp_session *s, enum smtp_stage stage, const struct error *err, struct span recipient);
/* The same for a command that is wrong in itself: counts towards the goodbye. */
void session_bad_command(struct smtp_session *s, unsigned code, const char *enhanced, const char *text);
void session_bad_argument(struct smtp_session *s, enum smtp_stage stage, const struct error *err);
/* Counts; above the limit the answer is 421 and true. */
bool session_lose_patience(struct smtp_session *s, unsigned *count, unsigned limit, const char *what);
void session_end(struct smtp_session *s); /* sends what is queued and closes */

/* --- steps --- */

/* Runs `run` on a worker and then `done` on the loop, unless the session has ended by then. */
void session_work(struct smtp_session *s, enum worker_lane lane, void (*run)(struct smtp_session *s),
        void (*done)(struct smtp_session *s));
/* For what waits elsewhere (a login step, a delivery, a delay). Its callback begins with `if (!session_woken(s)) return;`
 * (the session has ended: nothing more to do) and ends with session_go_on(s); in between it may wait again. */
void session_wait(struct smtp_session *s, enum session_wait what);
bool session_woken(struct smtp_session *s);
void session_go_on(struct smtp_session *s);

void session_set_timer(struct smtp_session *s, unsigned milliseconds, uv_timer_cb callback);
void session_stop_timer(struct smtp_session *s);

void session_begin(struct smtp_session *s, struct transaction *transaction);
void session_count_envelope(struct smtp_session *s); /* after it has grown */
void session_end_message(struct smtp_session *s);    /* to READY; also when there is no message */
void session_forget_client(struct smtp_session *s);
void session_leave_if_draining(struct smtp_session *s); /* between messages: 421 if we are going down */
size_t session_line_limit(const struct smtp_session *s);

void session_greet(struct smtp_session *s);                  /* CONNECTED -> GREETED, or goodbye */
const char *session_port_name(const struct smtp_session *s); /* as in the log */
/* The client at this end of the conn is known now: greets it, or lets TLS begin. */
void session_peer_known(struct smtp_session *s);
void session_log_in(struct smtp_session *s, int64_t account_id, struct span login);
/* A new client on the same conn (XCLIENT): all that is known of the last one is forgotten. */
void session_greet_again(struct smtp_session *s);
/* The reply for an error and nothing else: it was logged and counted before. */
void session_say(struct smtp_session *s, enum smtp_stage stage, const struct error *err);

/* May a password be sent here? TLS, or loopback when the admin says so. */
bool session_is_private(const struct smtp_session *s);
/* May mail for other servers be given to us? */
bool session_may_relay(const struct smtp_session *s);
bool session_offers_auth(const struct smtp_session *s);
bool session_needs_login(const struct smtp_session *s); /* a submission port and nobody logged in */
bool session_offers_starttls(const struct smtp_session *s);

void session_check(const struct smtp_session *s);

#endif
