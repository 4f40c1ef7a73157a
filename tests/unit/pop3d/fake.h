/* tests/unit/pop3d/fake.h — what stands around a POP3 session, in memory: a client's connection, authd, the store, the worker
 * pool. One of each per process; everything happens inside fake_run(), so a test (or a fuzzer) repeats exactly. */
#ifndef TEST_POP3D_FAKE_H
#define TEST_POP3D_FAKE_H

#include "pop3d/session.h"

#define FAKE_MESSAGES_MAX 20000

struct fake_message {
	uint32_t uid;
	const char *text; /* NULL: FAKE_BIG octets of lines are made up, or it is gone */
	uint32_t size;
	bool gone;    /* ERR_NO_SUCH_MESSAGE */
	bool damaged; /* ERR_DAMAGED when read behind its first chunk */
	bool moved;   /* in Trash */
};

struct fake {
	struct fake_message messages[FAKE_MESSAGES_MAX]; /* of the store; stands first for fake_reset() */
	/* set before fake_connect() */
	bool offers_tls, implicit_tls, loopback;
	struct pop3d_settings settings;
	/* the store */
	size_t count;
	bool locked_by_other, no_trash, uid_validity_changed;
	enum error_code fail_open, fail_commit; /* ERR_NONE: works */
	unsigned opens, commits, reads;
	bool locked; /* by our session */
	/* the connection */
	struct conn *conn;
	struct buffer out; /* what the client has received and the test not yet taken */
	size_t full_at;    /* conn_full() when so much is queued; 0: never */
	bool client_reads; /* false: nothing is drained */
	bool closed, tls;
	size_t queued_most;
	bool hold_jobs;  /* jobs wait until false */
	bool hold_steps; /* and so do SASL's answers */
	enum auth_status auth_status;
	struct pop3_server server;
	uv_loop_t loop;
};

extern struct fake fake;

void fake_reset(
        void); /* loopback, plaintext allowed, an empty maildrop, user "alice@example.test", password "secret" */
void fake_add(const char *text);
void fake_add_big(uint32_t size);
void fake_connect(void);
void fake_send(const void *bytes, size_t len); /* and runs */
void fake_run(void);
void fake_hang_up(void);   /* the client is gone */
bool fake_wants_tls(void); /* STLS was answered, the handshake is awaited */
void fake_handshake(void);
void fake_free(void); /* hangs up, and checks that the session, its lock and its jobs are gone */

/* Sends a line with CRLF and returns all that came back, NUL-terminated, valid until the next call. */
const char *fake_ask(const char *line);
const char *fake_take(void);
char fake_big_octet(uint64_t at);

#endif
