/* imapd/command.h — the one table of commands and the one gate in front of them (lesson 4).
 *
 * A handler runs only when the state allows its command and TLS is on where a password comes; it never checks these again.
 * It parses its arguments with parse_*() from req->parser, acts, and ends the command (imapd/session.h). Thread: the loop's. */
#ifndef IMAPD_COMMAND_H
#define IMAPD_COMMAND_H

#include "imapd/session.h"

enum command_flag {
	COMMAND_NEEDS_PRIVACY = 1 << 0, /* a password: TLS, or loopback where allowed */
	COMMAND_NEEDS_WRITE = 1 << 1,   /* not in a mailbox opened by EXAMINE: NO [READ-ONLY] */
	COMMAND_KEEPS_NUMBERS =
	        1
	        << 2, /* FETCH, STORE, SEARCH (also SORT, THREAD) without UID: no EXPUNGE may be told (RFC 9051 §7.5.1) */
	COMMAND_SECRET = 1 << 3,     /* its arguments are wiped, and never logged */
	COMMAND_UID = 1 << 4,        /* may have the prefix UID */
	COMMAND_OVERLAPS = 1 << 5,   /* may run beside requests that are detached (session_detach) */
	COMMAND_WANTS_NEWS = 1 << 6, /* works on the selected mailbox as it is now: view_refresh() comes first, or NO */
	COMMAND_OLD_WILL_DO =
	        1 << 7, /* ... but as it was at an earlier moment, when that fails: it only shows messages */
};

struct command {
	const char *name;
	unsigned states; /* enum imap_state, those in which it is legal */
	void (*run)(struct imap_session *s, struct imap_request *req);
	unsigned flags; /* enum command_flag */
};

/* A command under way. Memory: its text and the arena live until it has ended. */
struct imap_request {
	struct buffer text;        /* as the reader collected it */
	struct imap_request *next; /* in the session's `ending` or `detached` */
	struct span tag;
	const struct command *command;
	bool uid;
	bool keeps_numbers;   /* although by UID: UID SEARCH of numbers (RFC 7162 §3.2.10.2) */
	struct parser parser; /* in: what follows the name; err: &error */
	struct error error;
	struct arena arena;
	void *state; /* the handler's own, e.g. its progress; freed by `free_state` at the command's end */
	void (*free_state)(void *state);
	void (*after)(struct imap_session *s); /* once the tagged line is written: STARTTLS, COMPRESS, LOGOUT go on */
	/* Set by command_ok ... */
	const char *status; /* "OK", "NO", "BAD" */
	struct buffer code; /* without brackets; empty: none */
	char words[200];
	bool ended;
};

/* Takes the command under way out of *text (which is empty then), looks it up and runs it, or says why not. */
void command_dispatch(struct imap_session *s, struct buffer *text);
/* The same for one that the reader refuses: only its tag is looked at. */
void command_reject(
        struct imap_session *s, struct buffer *text, const char *status, const char *code, const char *words);
void request_free(struct imap_session *s, struct imap_request *req);
const struct command *command_find(struct span name);
/* view_refresh() failed, and the command must not go by an index that may lack changes: it would do less than it says. NO, with the code of
 * what happened (RFC 5530 §3: UNAVAILABLE for a disk that fails or memory that is out). */
void command_refuse_stale(struct imap_session *s, const struct error *failed);

/* cmd_any.c */
void cmd_capability(struct imap_session *s, struct imap_request *req);
void cmd_noop(struct imap_session *s, struct imap_request *req); /* also CHECK */
void cmd_logout(struct imap_session *s, struct imap_request *req);
void cmd_id(struct imap_session *s, struct imap_request *req);
/* cmd_auth.c */
void cmd_starttls(struct imap_session *s, struct imap_request *req);
void cmd_authenticate(struct imap_session *s, struct imap_request *req);
void cmd_login(struct imap_session *s, struct imap_request *req);
/* What sasl must know of the connection, as it is now. */
struct sasl_channel auth_channel(const struct imap_session *s);
/* cmd_enable.c */
void cmd_enable(struct imap_session *s, struct imap_request *req);
void cmd_compress(struct imap_session *s, struct imap_request *req);
/* cmd_select.c */
void cmd_select(struct imap_session *s, struct imap_request *req);
void cmd_examine(struct imap_session *s, struct imap_request *req);
void cmd_close(struct imap_session *s, struct imap_request *req);
void cmd_unselect(struct imap_session *s, struct imap_request *req);
/* cmd_mailbox.c */
void cmd_create(struct imap_session *s, struct imap_request *req);
void cmd_delete(struct imap_session *s, struct imap_request *req);
void cmd_rename(struct imap_session *s, struct imap_request *req);
void cmd_subscribe(struct imap_session *s, struct imap_request *req);
void cmd_unsubscribe(struct imap_session *s, struct imap_request *req);
/* cmd_list.c */
void cmd_list(struct imap_session *s, struct imap_request *req);
void cmd_lsub(struct imap_session *s, struct imap_request *req);
void cmd_namespace(struct imap_session *s, struct imap_request *req);
void cmd_status(struct imap_session *s, struct imap_request *req);
/* cmd_quota.c */
void cmd_getquota(struct imap_session *s, struct imap_request *req);
void cmd_getquotaroot(struct imap_session *s, struct imap_request *req);
void cmd_setquota(struct imap_session *s, struct imap_request *req); /* NO [NOPERM] */
/* cmd_append.c */
void cmd_append(struct imap_session *s, struct imap_request *req);
/* cmd_idle.c */
void cmd_idle(struct imap_session *s, struct imap_request *req);
/* cmd_expunge.c, cmd_store.c, cmd_copy.c */
void cmd_expunge(struct imap_session *s, struct imap_request *req);
void cmd_store(struct imap_session *s, struct imap_request *req);
void cmd_copy(struct imap_session *s, struct imap_request *req);
void cmd_move(struct imap_session *s, struct imap_request *req);
/* cmd_fetch.c */
void cmd_fetch(struct imap_session *s, struct imap_request *req);
/* cmd_search.c, cmd_sort.c */
void cmd_search(struct imap_session *s, struct imap_request *req);
void cmd_sort(struct imap_session *s, struct imap_request *req);
void cmd_thread(struct imap_session *s, struct imap_request *req);

#endif
