/* pop3d/session.h — one POP3 session: its lifetime, its states (RFC 1939 §3), its replies.
 *
 *                    PASS, AUTH                    QUIT
 *  AUTHORIZATION ----------------> TRANSACTION ---------> UPDATE ---> closed
 *   ^         |                        |                                ^
 *   +- STLS --+-- QUIT ----------------+-- connection lost, idle -------+   (deletes nothing)
 *
 *  AUTHORIZATION -> AUTHORIZATION   cmd_stls: what was said in the clear is forgotten   RFC 2595 §4
 *  AUTHORIZATION -> TRANSACTION     login_opened: the maildrop is locked and read       RFC 1939 §4
 *  TRANSACTION -> UPDATE            cmd_quit                                            RFC 1939 §6
 *  Always (session_check): a maildrop exists in TRANSACTION and UPDATE, and in no other state once a command is through; a
 *  SASL exchange or a user name is kept in AUTHORIZATION only.
 *
 * Lifetime: session_start() makes it; the memory goes in one place, session_release(), once the conn is closed, the timer is,
 * and every job under way has come back. So a callback may always dereference its session, and looks at s->closing before it
 * acts. A maildrop that is still locked when the conn goes is given back then, or when the job that uses it has come back.
 * Waiting: while a command waits for authd, a job or an output queue that is full, the conn is paused, so commands keep their
 * order. Read-ahead (pop3d/read_ahead.h) is the only work beside that. Thread: the loop's. */
#ifndef POP3D_SESSION_H
#define POP3D_SESSION_H

#include "net/conn.h"
#include "net/worker.h"
#include "pop3d/maildrop.h"
#include "pop3d/settings.h"
#include "sasl/sasl.h"

enum pop3_state { AUTHORIZATION = 1 << 0, TRANSACTION = 1 << 1, UPDATE = 1 << 2 };

struct pop3_session;
struct read_ahead;  /* pop3d/read_ahead.h */
struct body_stream; /* pop3d/body_stream.h */

/* One process's share: what all sessions use. Owner: main.c. */
struct pop3_server {
	struct pop3d_settings settings;
	uv_loop_t *loop;
	struct worker_pool *pool;
	struct store *store;
	struct auth_client *auth;
	struct pop3_session *sessions; /* all that live */
	bool draining;
	uv_timer_t drain_timer;
	void (*on_empty)(void *arg); /* draining, and the last session has ended; comes once */
	void *arg;
};

struct pop3_session {
	struct pop3_server *server;
	struct pop3_session *next, **link; /* in server->sessions */
	struct conn *conn;                 /* invalid once closing */
	uint64_t id;
	enum pop3_state state;
	unsigned holds;
	bool closing; /* the conn is gone */
	bool ended;   /* the farewell is said: nothing more is read */
	bool waiting; /* a command is under way; the conn is paused */
	bool handshaking;
	bool tls_at_once; /* the port's TLS is implicit, and not yet there */
	bool utf8;        /* RFC 6856 §2.1 */
	bool i_default;   /* RFC 6856 §3: LANG i-default; else en */

	/* AUTHORIZATION */
	struct auth_peer peer;
	bool has_user;
	char user[AUTH_LOGIN_MAX + 1];
	struct sasl *sasl;
	struct auth_request *auth;

	/* TRANSACTION */
	int64_t account_id;
	struct maildrop *maildrop;
	struct read_ahead *ahead;
	struct body_stream *stream;              /* the RETR or TOP under way */
	void (*on_room)(struct pop3_session *s); /* set while the command waits for the output queue to drain */
	bool (*produce)(struct pop3_session *s); /* puts more into the output queue; false when it is done */
	uint32_t produced;                       /* its own: how far it is */

	struct worker_job job; /* the one that a command waits for */
	void (*job_run)(struct pop3_session *s);
	void (*job_done)(struct pop3_session *s);
	bool job_busy;
	struct error job_error;

	uv_timer_t timer; /* the time to log in */
	bool timer_open;
	bool login_overdue;

	unsigned bad_commands, login_failures;
	unsigned retrieved, deleted; /* for the log */
	int64_t last_command_ms;     /* uv_now() */
};

/* Takes the conn over. Without memory the conn is closed. */
void session_start(struct pop3_server *server, struct conn *conn, bool tls_at_once);
void server_drain(struct pop3_server *server);     /* polite; see session.c */
void server_close_all(struct pop3_server *server); /* at once */

/* --- replies: one line each --- */
void reply_ok(struct pop3_session *s, const char *format, ...) PRINTF_LIKE(2, 3);
void reply_err(struct pop3_session *s, const char *format, ...) PRINTF_LIKE(2, 3);
void reply_refuse(
        struct pop3_session *s, const struct error *err); /* reply_for_error(), and the log where it is our trouble */
void reply_bad(struct pop3_session *s, const char *text); /* a wrong command: counts towards the goodbye */
void session_end(struct pop3_session *s);                 /* sends what is queued and closes */

/* --- steps --- */
/* Runs `run` on a worker and then `done` on the loop, unless the session has ended by then. `done` leads to session_go_on(). */
void session_work(struct pop3_session *s, enum worker_lane lane, void (*run)(struct pop3_session *s),
        void (*done)(struct pop3_session *s));
void session_wait(struct pop3_session *s); /* for what waits elsewhere: authd, read-ahead, room for output */
void session_go_on(struct pop3_session *s);
/* Calls produce() until it is done or the output queue is full, and again when there is room; meanwhile the session waits. */
void session_produce(struct pop3_session *s, bool (*produce)(struct pop3_session *s));
/* After a long reply: waits for room if the output queue is full. */
void session_wait_for_room(struct pop3_session *s);
void session_hold(struct pop3_session *s); /* work beside the command; worker job of its own */
void session_release(struct pop3_session *s);

bool session_is_private(const struct pop3_session *s); /* may a password be sent here? */
void session_logged_in(struct pop3_session *s);        /* AUTHORIZATION -> TRANSACTION; the maildrop is there */
void session_begin_handshake(struct pop3_session *s);  /* bounds its time */
void session_forget_client(struct pop3_session *s);    /* what was said before login: name, exchange */
void session_check(const struct pop3_session *s);

#endif
