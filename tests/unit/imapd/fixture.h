/* tests/unit/imapd/fixture.h — a server with one client, in one process: a real loop, conn, worker pool and reader on a socket pair;
 * authd is fake_auth.c. Everything happens inside the calls of this file. The store is what the test gives, or NULL. */
#ifndef TEST_IMAPD_FIXTURE_H
#define TEST_IMAPD_FIXTURE_H

#include "imapd/session.h"

struct place {
	uv_loop_t loop;
	struct worker_pool *pool;
	struct imap_server server;
	int peer;          /* the client's end; -1: closed */
	int server_end;    /* the conn's; only asked how much it has not read */
	bool closed;       /* the server closed it */
	bool reads;        /* the client takes what comes */
	struct buffer out; /* what it has taken and the test not yet */
	bool empty;        /* server.on_empty came */
};

extern struct place place;

/* alice@example.test, password "secret", account 7; plaintext allowed on loopback. Others are wrong; but the password tells who is
 * "disabled", "throttled" or finds authd "unavailable", and "never" gets no answer. */
extern bool fake_auth_answers; /* false: requests wait */
bool fake_auth_run(void);      /* answers what waits; false: nothing did */

extern int64_t fake_auth_account; /* whose a good login is; 7 unless set */

void place_open(struct store *store);
/* With a store and directory of their own below a new directory in /tmp, and alice's account. The next place_open_with_store() of the
 * process gets the same ones, with what is in them by then; they are removed when the process ends. */
void place_open_with_store(void);
void place_connect(void);
void place_send(const void *bytes, size_t len); /* and runs */
void place_run(void);                           /* until nothing moves */
void place_wait(unsigned milliseconds);         /* runs for so long */
void place_hang_up(void);
void place_close(void); /* hangs up, drains, and CHECKs that nothing is left */

/* Sends text and CRLF, and returns all that came back, NUL-terminated, valid until the next call. */
const char *place_ask(const char *text);
const char *place_take(void);
struct imap_session *place_session(void); /* the one that lives, or NULL */

#endif
