/* imapd/session.h — one IMAP session: its lifetime, its states (RFC 9051 §3), and how a command begins, waits and ends.
 *
 *                       LOGIN, AUTHENTICATE            SELECT, EXAMINE
 *  NOT_AUTHENTICATED -----------------------> AUTHENTICATED ----------> SELECTED --+
 *   ^            |                              ^    |                    |   ^    | SELECT, EXAMINE
 *   +- STARTTLS -+                              |    +----- LOGOUT ---+   |   +----+
 *                |                              +-- CLOSE, UNSELECT --|---+
 *                +------------ LOGOUT ----> LOGGED_OUT <--------------+   (connection lost: from anywhere)
 *
 *  NOT_AUTHENTICATED -> itself       cmd_starttls: what was said in the clear is forgotten   RFC 9051 §6.2.1
 *  NOT_AUTHENTICATED -> AUTHENTICATED  session_logged_in                                     RFC 9051 §6.2.2, §6.2.3
 *  AUTHENTICATED <-> SELECTED        session_select, session_unselect (the view comes, goes) RFC 9051 §6.3.2, §6.4.1
 *  Always (session_check): a view exists exactly in SELECTED; a SASL exchange only in NOT_AUTHENTICATED.
 *
 * A command: reader collects it -> command_dispatch() parses the head, checks table and gate, calls the handler. The handler ends
 * the command by exactly one of command_ok/no/bad/refuse, at once or from a later callback. Then (session_end_command): what the
 * selected mailbox has news of is told where that command allows it (view_sync), the tagged line goes out, the next command begins.
 * One command at a time, in order, so RFC 9051 §5.5 has no ambiguity to forbid; only consecutive APPENDs overlap (session_detach).
 * Lifetime: session_start() makes it; the memory goes in one place, session_release(), when the conn is closed and every job and
 * wait has given back its hold. A callback may always dereference its session, and looks at s->closing before it acts.
 * Thread: the loop's; jobs (session_work) run on workers and touch only what they were given. */
#ifndef IMAPD_SESSION_H
#define IMAPD_SESSION_H

#include "imapd/parse.h"
#include "imapd/settings.h"
#include "net/conn.h"
#include "net/worker.h"
#include "sasl/sasl.h"
#include "storage/batch.h"

enum imap_state { NOT_AUTHENTICATED = 1 << 0, AUTHENTICATED = 1 << 1, SELECTED = 1 << 2, LOGGED_OUT = 1 << 3 };
enum imap_enabled {
	ENABLED_CONDSTORE = 1 << 0,
	ENABLED_QRESYNC = 1 << 1,
	ENABLED_UTF8 = 1 << 2,
	ENABLED_REV2 = 1 << 3
};

enum session_pace { PACE_IDLE, PACE_COMMAND, PACE_STALLED }; /* which time-out stands: session_input.c */

struct imap_session;
struct imap_request;
struct reader;   /* imapd/reader.h */
struct compress; /* imapd/compress.h */
struct binary_map;
struct fetch_ahead;
struct view;  /* imapd/view.h */
struct watch; /* imapd/watch.h: what this process knows of the accounts its sessions use */

/* Keys of jobs that open an account, for the pool (net/worker.h). */
#define ACCOUNT_READERS 2
uint64_t account_reading_key(int64_t account_id, uint64_t reader); /* any number: who shares work, or takes turns */
uint64_t account_writing_key(int64_t account_id);

/* One process's share: what all sessions use. Owner: main.c. */
struct imap_server {
	struct imapd_settings settings;
	uv_loop_t *loop;
	struct worker_pool *pool;
	struct store *store;
	struct directory *directory; /* the accounts' quotas; asked by jobs */
	struct auth_client *auth;
	struct watch *watch;
	struct imap_session *sessions; /* all that live */
	struct imap_session *busy;     /* those with work in the next turn of the loop that no event announces */
	uv_idle_t turn;                /* runs while there are any */
	uv_timer_t drain_timer;
	unsigned open_handles;
	bool draining;
	void (*on_empty)(void *arg); /* draining, and the last session has ended; comes once */
	void *arg;
};

struct imap_session {
	struct imap_server *server;
	struct imap_session *next, **link; /* in server->sessions */
	struct imap_session *busy_next;    /* in server->busy, when is_busy */
	bool is_busy;
	struct conn *conn; /* invalid once closing */
	uint64_t id;
	enum imap_state state;
	unsigned enabled; /* enum imap_enabled */
	unsigned holds;
	bool closing; /* the conn is gone */
	bool ended;   /* BYE is said: nothing more is read */
	enum session_pace pace;
	bool held; /* session_hold_input() */
	bool handshaking;
	bool tls_at_once; /* the port's TLS is implicit, and not yet there */
	bool starts_tls;  /* STARTTLS is answered; the bytes behind it must be none */

	struct reader *reader;
	struct compress *compress; /* COMPRESS=DEFLATE is active; else NULL */
	/* The command under way, or NULL: no further one is read meanwhile (but its own lines and literals). */
	struct imap_request *request;
	bool dispatching;            /* its handler has not returned yet */
	struct imap_request *ending; /* have their result; the view is being refreshed before it is told. In order */
	struct imap_request *ending_upto; /* the last that the refresh under way is for; NULL: none is */
	struct imap_request *detached;    /* APPENDs whose commit is under way while the next is read */
	size_t append_memory;             /* octets of messages that APPENDs keep in memory (imapd/append.h) */
	bool append_waits;                /* nothing is read until one of them is through ... */
	bool append_writes;               /* ... or until a worker has written what came of a message */
	struct buffer parked;             /* the command that waits for these to end */
	bool is_parked;

	/* NOT_AUTHENTICATED */
	struct auth_peer peer;
	uv_timer_t timer; /* the time to log in */
	bool timer_open;
	bool login_overdue;
	struct sasl *sasl;
	struct auth_request *auth;

	/* AUTHENTICATED, SELECTED */
	int64_t account_id;
	char login[AUTH_LOGIN_MAX + 1];
	struct view *view;
	struct binary_map *binary; /* of the part that BINARY decoded last (imapd/binary.h), or NULL */
	struct fetch_ahead *ahead; /* of the part it takes in pieces (imapd/fetch_ahead.h), or NULL */
	struct uid_list *saved;    /* "$" (RFC 5182): see view.h; NULL: empty */

	struct worker_job job; /* the one that the command waits for */
	void (*job_run)(struct imap_session *s);
	void (*job_done)(struct imap_session *s);
	bool job_busy;
	struct error job_error;

	void (*on_room)(struct imap_session *s); /* set while the command waits for the output queue to drain */
	bool (*on_line)(struct imap_session *s, struct
	        span line); /* IDLE's DONE, a SASL answer: takes lines instead of commands; false: not mine, and the command under way ends with BAD */

	unsigned bad_commands, login_failures;
	int64_t last_command_ms; /* uv_now() */
};

/* Takes the conn over. Without memory the conn is closed. */
void session_start(struct imap_server *server, struct conn *conn, bool tls_at_once);
void server_open(struct imap_server *server); /* before the first session; loop and settings are set */
/* Polite: BYE to who is idle, to the others after their command. on_empty() comes when none is left and the handles of
 * server_open() are closed. */
void server_drain(struct imap_server *server);
void server_close_all(struct imap_server *server); /* at once; after server_drain() */

/* --- output: everything a session says goes through here (compression, IMAP4rev1's 8 bit rules are the callers') --- */
void session_write(struct imap_session *s, struct span bytes);
void session_printf(struct imap_session *s, const char *format, ...) PRINTF_LIKE(2, 3);
void session_write_text(struct imap_session *s, const char *text);
bool session_full(const struct imap_session *s); /* stop producing; wait with session_wait_for_room() */
void session_wait_for_room(struct imap_session *s, void (*on_room)(struct imap_session *s));

/* --- the end of a command; exactly one of them for each. The request is gone afterwards, but for a handler that has not
 * returned yet. code: "TRYCREATE", "APPENDUID 1 2" ... without brackets, or NULL --- */
void command_ok(struct imap_session *s, const char *code, const char *text);
void command_no(struct imap_session *s, const char *code, const char *text);
void command_bad(struct imap_session *s, const char *text); /* counts towards the goodbye */
void command_refuse(
        struct imap_session *s, const struct error *err); /* response_for_error; logged where it is our trouble */
/* A code that is longer than struct imap_request has room for, e.g. COPYUID of 10,000 ranges: moved out of *code. */
void command_ok_long(struct imap_session *s, struct buffer *code, const char *text);
void session_bye(struct imap_session *s, const char *code, const char *text); /* untagged BYE, then the end */
void session_end(struct imap_session *s);                                     /* sends what is queued and closes */

/* --- steps --- */
/* Runs `run` on a worker and then `done` on the loop, unless the session has ended by then. It may open the session's account: what waits for that
 * stands in line in the pool and not in its threads, so the sessions of one account leave threads to others. Of one account at most
 * ACCOUNT_READERS jobs run in WORKER_READ at a time, and one in WORKER_WRITE, in the order of its commits. */
void session_work(struct imap_session *s, enum worker_lane lane, void (*run)(struct imap_session *s),
        void (*done)(struct imap_session *s));
/* The same in WORKER_WRITE for what does not touch the account: the file of a message that comes in. */
void session_work_apart(
        struct imap_session *s, void (*run)(struct imap_session *s), void (*done)(struct imap_session *s));
/* Commits the batch in the account's write queue, together with what other sessions have waiting (group commit), then done(). The batch is the caller's to free
 * after done(); when the session ends meanwhile it is freed by the job. `failed`: the commit as a whole (disk); else look at batch_result(). */
void session_commit(struct imap_session *s, struct batch *batch,
        void (*done)(struct imap_session *s, struct batch *batch, const struct error *failed));
/* The command under way gives way to the next one, which is read but only run when it has the flag COMMAND_OVERLAPS too; any other
 * waits until no request is detached. Its end comes by request_end(), in any order. The session frees it if it ends before. */
struct imap_request *session_detach(struct imap_session *s);
void request_end(
        struct imap_session *s, struct imap_request *req, const char *status, const char *code, const char *text);
void request_refuse(struct imap_session *s, struct imap_request *req, const struct error *err);
/* Lines go to on_line until the command ends or this is called with NULL. */
void session_take_lines(struct imap_session *s, bool (*on_line)(struct imap_session *s, struct span line));
/* Nothing more is read until release: the taker of a message has its hands full. */
void session_hold_input(struct imap_session *s);
void session_release_input(struct imap_session *s);
bool session_reads(const struct imap_session *s); /* may the reader be fed? */
/* Pauses or resumes the conn as session_reads() says. */
void session_update_input(struct imap_session *s);
void session_hold(struct imap_session *s);
void session_release(struct imap_session *s);

void session_logged_in(struct imap_session *s, int64_t account_id, const char *login);
void session_select(struct imap_session *s, struct view *view); /* takes the view */
void session_unselect(struct imap_session *s);
bool session_is_private(const struct imap_session *s);   /* may a password be sent here? */
bool session_is_read_only(const struct imap_session *s); /* the mailbox was opened by EXAMINE */
bool session_utf8(const struct imap_session *s); /* names and strings in UTF-8: UTF8=ACCEPT or IMAP4rev2 enabled */
void session_check(const struct imap_session *s);

#endif
