/* common/net/conn_internal.h — what the files of one connection (conn*.c) and its listener share; nobody else includes it.
 *
 *   PLAIN --conn_start_tls--> FLUSHING --queue empty--> HANDSHAKE --done--> ESTABLISHED
 *     |                                                  ^
 *     +-- conn_start with implicit TLS ------------------+
 *
 * A turn of the loop:  idle: conns with input left over (hub->ready) deliver it
 *                      prepare: conns with output (hub->dirty) send it, one send(2) each
 *                      poll: sockets are read into hub->scratch and delivered from there
 * Lifetime: conn_end() stops everything and closes the socket; the memory goes in conn.c, on_handle_closed(), once libuv
 * has given back both handles. Between the two every entry looks at conn->closing first. */
#ifndef NET_CONN_INTERNAL_H
#define NET_CONN_INTERNAL_H

#include "net/conn.h"
#include "net/limiter.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

#define CONN_SCRATCH      (64 * KIB)  /* the largest single read */
#define CONN_CIPHER       (72 * KIB)  /* TLS records gathered for one send(2): four full ones and their frames */
#define CONN_RECORD       (16 * KIB)  /* RFC 8446 §5.1 */
#define CONN_RECORD_FRAME 1024        /* header, tag, and room for an alert or key update beside it */
#define CONN_OUTPUT_MAX   (64 * MIB)  /* a session that ignores conn_full() ends here */
#define CONN_CIPHER_MAX   (256 * KIB) /* records that the socket did not take yet */

enum conn_tls_state { CONN_TLS_NONE, CONN_TLS_FLUSHING, CONN_TLS_HANDSHAKE, CONN_TLS_ESTABLISHED };

/* Waits that no session sets. Variable only so that tests need not wait; milliseconds. */
struct conn_waits {
	unsigned handshake;  /* from accept or conn_start_tls() to on_tls() */
	unsigned finish;     /* conn_finish(): until all is sent */
	unsigned evict;      /* the same for an evicted session */
	unsigned linger;     /* reading on after the last word, so that a reset does not destroy it on its way */
	unsigned rate_grace; /* conn_set_min_rate() */
	unsigned rate_window;
};
extern struct conn_waits conn_waits;

/* What all conns of one loop share. Held by conns and listeners; goes with the last. */
struct conn_hub {
	uv_loop_t *loop;
	uv_idle_t idle; /* runs only while there is work that no socket event announces */
	uv_prepare_t prepare;
	TAILQ_HEAD(conn_list, conn) ready, dirty;
	unsigned users;
	unsigned open_handles;
	struct buffer spare;    /* an output buffer that the last conn had no more use for */
	BIO_METHOD *bio_method; /* conn_tls.c */
	struct conn_hub *next;
	size_t cipher_len;
	char cipher[CONN_CIPHER];
	char scratch[CONN_SCRATCH];
};

struct conn {
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned open_handles;
	int fd;
	int events; /* what the socket is polled for */
	struct conn_hub *hub;
	const struct conn_handler *handler;
	void *session;
	struct limiter *limiter;
	struct limiter_slot *slot;
	TAILQ_ENTRY(conn) ready_link, dirty_link;
	bool is_ready, is_dirty;

	bool implicit_tls;
	bool paused;
	bool finishing; /* the session has said its last word */
	bool lingering; /* and it is sent */
	bool closing;
	bool was_full; /* on_drained() is owed, and input waits */
	bool too_long; /* in a line over the limit: skip to its end */
	bool secret_input;
	enum conn_end why;
	enum conn_mode mode;

	struct buffer in;   /* received, not consumed; empty almost always */
	size_t scanned;     /* so much of `in` has no line end */
	size_t undelivered; /* bytes after the line that the session is looking at */
	bool delivering;    /* the session is looking at one; `in` may still hold it and those before it */
	size_t line_limit;
	size_t read_size;

	struct buffer out; /* what the session wrote, from out_sent on still to be sent (or encrypted) */
	size_t out_sent;
	struct buffer cipher; /* TLS records that the socket did not take */
	size_t cipher_sent;

	struct tls_context *tls;       /* as a server, or */
	struct tls_client *tls_client; /* as a client; both NULL: no TLS here */
	SSL *ssl;
	enum conn_tls_state tls_state;
	struct conn_client_tls *client; /* TLS as a client (conn_tls_client.c); NULL: as a server, or none */
	bool tls_input_over; /* the stream ended or failed right behind bytes that are being delivered first */

	uint64_t timer_due; /* of the loop's clock; 0: the timer is off */
	uint64_t deadline;  /* handshake or finish; 0: none */
	uint64_t active_at;
	unsigned timeout;
	unsigned min_rate;
	uint64_t rate_since, window_since, window_bytes;
	uint64_t window_paused, paused_at; /* while we do not read the peer is not to blame */

	uint64_t id;
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} peer;
	char peer_text[CONN_ADDRESS_TEXT];
	char local_text[CONN_ADDRESS_TEXT];
};

struct conn_origin {
	int fd; /* connected, non-blocking; taken over in any case */
	const struct sockaddr *peer;
	struct tls_context *tls;
	struct tls_client *tls_client;
	bool implicit_tls;
};

/* conn.c: NULL only when memory (or the loop) is out; then fd is closed. The listener adds limiter and slot. */
struct conn *conn_new(uv_loop_t *loop, const struct conn_origin *origin);
void conn_evict(struct conn *conn);
void conn_end(struct conn *conn, enum conn_end why); /* conn_close() for a reason; the first reason stays */
void conn_poll_for(struct conn *conn, int add, int remove);
void conn_address_text(const struct sockaddr *address, char out[CONN_ADDRESS_TEXT]);

/* conn_hub.c */
struct conn_hub *conn_hub_hold(uv_loop_t *loop);
void conn_hub_release(struct conn_hub *hub);
void conn_make_ready(struct conn *conn);
void conn_make_dirty(struct conn *conn);
void conn_hub_forget(struct conn *conn);

/* conn_input.c */
bool conn_wants_input(const struct conn *conn);
void conn_receive(struct conn *conn);      /* the socket (or TLS) may have something */
void conn_deliver_left(struct conn *conn); /* from the ready list */
size_t conn_input_left(const struct conn *conn);
void conn_free_input(struct conn *conn);

/* conn_output.c */
void conn_flush(struct conn *conn);
void conn_linger(struct conn *conn); /* reads and forgets what the peer still says */
bool conn_send_plain(struct conn *conn, struct buffer *queue, size_t *sent); /* false: ended */
void conn_finish_as(struct conn *conn, enum conn_end why, unsigned milliseconds);

/* conn_tls.c, both sides. Reads and writes as recv(2) and send(2) do: above 0 bytes, CONN_IO_*. */
#define CONN_IO_AGAIN (-1)
#define CONN_IO_ENDED (-2) /* the conn is ending */
bool conn_tls_begin(struct conn *conn);
bool conn_tls_attach(struct conn *conn, SSL *ssl); /* takes ssl over; false: NULL, or memory is out */
bool conn_tls_switch(struct conn *conn);     /* STARTTLS, both sides: nothing may be left over; false: the conn ends */
void conn_tls_wipe_input(struct conn *conn); /* or no longer, as conn->secret_input says */
void conn_tls_handshake(struct conn *conn);
long conn_tls_read(struct conn *conn, char *out, size_t size);
bool conn_tls_has_input(const struct conn *conn);
void conn_tls_flush(struct conn *conn);
void conn_tls_goodbye(struct conn *conn);

/* conn_tls_client.c */
void conn_client_established(struct conn *conn);
/* Keeps why, for conn_tls_failure(); returns better words when the certificate was the reason. As a server: `words`. */
const char *conn_client_failed(struct conn *conn, const char *words);

/* conn_timer.c */
void conn_touch(struct conn *conn);
void conn_set_deadline(struct conn *conn, unsigned milliseconds); /* 0: none */
void conn_arm_timer(struct conn *conn);
void conn_on_timer(uv_timer_t *timer);

#endif
