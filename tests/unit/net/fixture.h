/* tests/unit/net/fixture.h — a conn on one end of a socket, the test on the other, both in one thread: turn() lets the loop
 * do all it can. The session behind the conn writes down what it sees and obeys a few words that the peer sends. */
#ifndef TESTS_NET_FIXTURE_H
#define TESTS_NET_FIXTURE_H

#include "base/buffer.h"
#include "net/conn.h"
#include "net/limiter.h"
#include "net/listener.h"
#include "net/tls.h"

#include <openssl/ssl.h>
#include <uv.h>

/* What the session sees, in `seen`: "<line>" CRLF, "[line]" bare LF, "{bytes}", "!long", "!tls", "!drained", "!timeout",
 * "!evict", "!closed N". What it obeys, as lines:
 *   PAUSE       conn_pause(); the test resumes     BYTES N   N raw bytes, then lines again
 *   WANT N      raw, but only when N are there     QUIT      "bye", conn_finish()
 *   CLOSE       conn_close()                       STARTTLS  "go", conn_start_tls()
 *   SEND N      N octets                           SAY x     x CRLF
 *   ECHO        raw, each piece is sent back */
struct recorder {
	struct conn *conn;
	struct buffer seen;
	uint64_t bytes_left, wanted;
	uint64_t to_send; /* written while !conn_full(), on in on_drained() */
	bool echo;
	bool quiet; /* raw bytes are counted, not written down */
	uint64_t received;
	bool closed;
	enum conn_end why;
};

extern const struct conn_handler recorder_handler;
extern const struct conn_handler recorder_bare_handler; /* without on_timeout, on_evict, on_drained */

struct net_test {
	uv_loop_t loop;
	struct recorder recorder;
	int peer; /* the test's end; non-blocking */
	SSL_CTX *client_ctx;
	SSL *client;
};

void net_test_open(struct net_test *t);
void net_test_close(struct net_test *t); /* fails when anything of the loop is left open */
/* A conn over a socketpair, or over TCP. tls may be NULL. */
void net_test_connect(struct net_test *t, struct tls_context *tls, bool implicit_tls);
void net_test_connect_tcp(struct net_test *t, struct tls_context *tls, bool implicit_tls);
void net_test_start(struct net_test *t, const struct conn_handler *handler, size_t line_limit);

void turn(struct net_test *t);
void turn_for(struct net_test *t, unsigned milliseconds);
/* Until *flag, at most 5 s. */
void turn_until(struct net_test *t, const bool *flag);
void peer_send(struct net_test *t, const void *bytes, size_t len);
void peer_say(struct net_test *t, const char *text);
/* What has arrived; appended to `out`. False at end of file. */
bool peer_read(struct net_test *t, struct buffer *out);
void expect_seen(struct net_test *t, const char *seen);   /* all so far; then forgets it */
void expect_reply(struct net_test *t, const char *reply); /* turns until it is there; then nothing more */

/* TLS. */
SSL_CTX *client_context(void);
/* The handshake, and what the server has to say after it; false when it fails. */
bool peer_handshake(struct net_test *t, SSL_CTX *ctx, const char *server_name, const char *alpn, SSL_SESSION *session);
void peer_drop_tls(struct net_test *t);

/* A key and a self-signed certificate for `names` ("a.example *.b.example") as PATH.crt and PATH.key. */
void make_pair(const char *path, const char *names);
void temporary_folder(char *out, size_t size);

#endif
