/* tests/unit/smtpd/fake.h — the world around a session, in memory: a conn fed by the test, jobs that run when asked, a
 * directory of three users, and a store that keeps what it is given. For test_session.c and the session fuzzer.
 *
 * Users: alice (1), bob (2), full (3, over quota), broken (4, its store fails), all @example.test; alias team = alice + bob;
 * mixed = alice + broken; away = away@elsewhere.example; both = bob + that one; half = broken + that one. Passwords are "secret"
 * (AUTH PLAIN only, base64 not decoded: see fake.c). */
#ifndef FAKE_H
#define FAKE_H

#include "smtpd/server/session.h"

#define FAKE_ACCOUNTS 5 /* ids 1..4 */

struct fake_world {
	struct smtp_server server;
	uv_loop_t loop;
	unsigned delivered[FAKE_ACCOUNTS]; /* messages by account */
	unsigned sent[FAKE_ACCOUNTS];      /* into Sent, seen */
	unsigned recorded[FAKE_ACCOUNTS];  /* operation ids written down, and not taken back */
	bool mended;                       /* the store of broken works now */
	struct buffer last;                /* prefix and body of the last message that was stored */
	uint64_t spool_memory;             /* how much of a spool stays in memory: beyond needs a job */
	bool have_tls;                     /* STARTTLS can be had */
	struct account_options options;    /* of alice */
	bool disabled;                     /* so is she */
	bool looks_near;                   /* every connection is one from this machine */
	unsigned may_send;                 /* recipients elsewhere of one message */
	bool queue_fails;                  /* the disk is full */
	struct buffer queued;              /* "entry 0 from <a@b>\nremote <x@y> domain=y\n": what queue_add() got */
	struct buffer told;                /* "received <bob@example.test>: ...\n": events */
	uint32_t uid;                      /* at the other end of PORT_LOCAL; 999 is the service's own */
	bool address_is_full;              /* whoever a proxy names has too many connections */
	bool no_sent;                      /* USE_SENT is missing */
	bool emptied;                      /* on_empty came */
};

/* fake_queue.c; by fake_init() and fake_free() */
void fake_queue_init(struct fake_world *world);
void fake_queue_free(struct fake_world *world);
void fake_add_remote(struct resolution *out, const char *address, const char *alias);

void fake_init(struct fake_world *world);
void fake_free(struct fake_world *world);

/* A client. The output is all the session wrote since fake_clear(). */
struct conn *fake_connect(struct fake_world *world, enum smtp_port port);
void fake_send(struct conn *conn, struct span bytes);  /* and lets everything run until nothing moves */
void fake_queue(struct conn *conn, struct span bytes); /* only puts it into the receive buffer */
void fake_settle(struct fake_world *world);
bool fake_step(struct fake_world *world); /* one event, job or login step; false when nothing moves */
void fake_hang_up(struct conn *conn);     /* the client is gone; jobs may still be under way */
void fake_time_out(struct conn *conn);
void fake_evict(struct conn *conn); /* the listener needs the place; nothing happens to who is not evictable */
const char *fake_output(struct conn *conn);
void fake_clear(struct conn *conn);
bool fake_is_open(struct conn *conn);  /* false: the session has said goodbye or was closed */
void fake_release(struct conn **conn); /* the test's own hold */

#endif
