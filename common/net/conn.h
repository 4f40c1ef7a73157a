/* common/net/conn.h — one connection: TLS or plain, CRLF lines or raw bytes, timeouts, back-pressure both ways.
 *
 * Owner:    the session that got it from its listener (net/listener.h). The session calls conn_start() once, and
 *           conn_close() any number of times from anywhere; the memory goes only after on_closed(), which comes exactly
 *           once, from the loop (never from inside a call of the session), and is the last callback. Limiter and TLS
 *           context of its listener outlive it.
 * Thread:   the loop's. No call blocks, no call touches the disk.
 * Input:    bytes reach the handler either as lines (CONN_LINES) or raw (CONN_BYTES); the session switches at any time,
 *           also inside a callback, and what was already received follows the new mode. Nothing is delivered while the
 *           conn is paused; a session pauses while a job of its own is under way, so commands keep their order.
 * Output:   conn_write() only queues; everything queued during one turn of the loop leaves in one write. A session that
 *           produces much writes until conn_full(), then returns and goes on in on_drained(). While the queue is full no
 *           input is delivered either, so a peer that sends commands and reads no replies stops itself. What is written
 *           after conn_finish(), or between conn_start_tls() and on_tls(), is dropped.
 * Memory:   a conn keeps no buffer while nothing is queued or left over. Received bytes not yet consumed are at most
 *           the input limit; the socket is not read beyond that. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/buffer.h"
#include "base/error.h"

#include <sys/socket.h>
#include <uv.h>

#define CONN_OUTPUT_FULL  (256 * KIB) /* conn_full() from here on */
#define CONN_OUTPUT_LOW   (64 * KIB)  /* on_drained() when the queue falls below */
#define CONN_ADDRESS_TEXT 64          /* INET6_ADDRSTRLEN and room */

struct conn;
struct tls_context; /* net/tls.h */

enum conn_mode { CONN_LINES, CONN_BYTES };

enum conn_end {
	CONN_END_LOCAL,     /* the session called conn_close() or conn_finish() */
	CONN_END_PEER,      /* end of file or reset by the peer */
	CONN_END_TIMEOUT,   /* the session left the timeout to the conn (on_timeout == NULL) */
	CONN_END_TLS,       /* the handshake or the TLS stream failed; logged */
	CONN_END_NO_MEMORY, /* a buffer could not grow */
	CONN_END_EVICTED,   /* the listener needed the place (net/limiter.h) */
};

/* How a line ended. SMTP refuses bare LF (RFC 5321 §2.3.8); POP3 and IMAP forgive it. */
enum line_end { LINE_END_CRLF, LINE_END_LF };

struct conn_handler {
	/* A whole line, without its end. The span is valid until the callback returns. May contain NUL or bare CR. */
	void (*on_line)(void *session, struct span line, enum line_end end);
	/* The line is longer than the limit; called once per line, when its end has been skipped. */
	void (*on_line_too_long)(void *session);
	/* Raw bytes; returns how many were consumed. Returning less than given without pausing, switching the mode or
	 * closing means "I need more": the rest is offered again together with what arrives next. */
	size_t (*on_bytes)(void *session, struct span bytes);
	/* TLS is established (implicit TLS: before the session should greet; STARTTLS: after conn_start_tls()). */
	void (*on_tls)(void *session);
	/* The output queue fell below CONN_OUTPUT_LOW after conn_full() had been true. May be NULL. */
	void (*on_drained)(void *session);
	/* The idle time of conn_set_timeout() ran out; NULL: the conn closes by itself. The session usually writes its
	 * farewell and calls conn_finish(). */
	void (*on_timeout)(void *session);
	/* The listener evicts this session in favour of others: say goodbye and conn_finish(). NULL: just closed. */
	void (*on_evict)(void *session);
	/* The peer is gone or the close is complete. The conn is invalid after return. */
	void (*on_closed)(void *session, enum conn_end why);
};

/* Wires the conn to its session and begins: the handshake if the listener has implicit TLS, else nothing is read until
 * the session returns to the loop. line_limit: longest line in octets, its CRLF included. A handshake that takes over
 * 30 s, here or after conn_start_tls(), ends the conn with CONN_END_TIMEOUT. */
void conn_start(struct conn *conn, const struct conn_handler *handler, void *session, size_t line_limit);

/* Before conn_start(): implicit TLS does not begin by itself; the session calls conn_start_tls() when it has read what comes before, and
 * not one octet more (conn_set_read_size). */
void conn_hold_tls(struct conn *conn);

void conn_set_mode(struct conn *conn, enum conn_mode mode);
void conn_set_line_limit(struct conn *conn, size_t octets); /* e.g. longer in AUTH (RFC 4954 §4), or after login */
/* How many bytes one read may take; small before login (the 16 KiB budget), up to 64 KiB after. Default 4 KiB. */
void conn_set_read_size(struct conn *conn, size_t octets);

/* While on, what was received is wiped as soon as the session has consumed it, and no copy of it stays in TLS: for the time in
 * which passwords may come. */
void conn_set_secret_input(struct conn *conn, bool on);

void conn_pause(struct conn *conn);  /* not nested: one pause, one resume */
void conn_resume(struct conn *conn); /* delivers what is left over, from the loop, not from inside this call */

/* Copies; false only when memory is out, and then the conn is closing (CONN_END_NO_MEMORY). */
bool conn_write(struct conn *conn, const void *bytes, size_t len);
bool conn_write_text(struct conn *conn, const char *text);
bool conn_printf(struct conn *conn, const char *format, ...) PRINTF_LIKE(2, 3);
bool conn_full(const struct conn *conn);
size_t conn_queued(const struct conn *conn);

/* STARTTLS, STLS: sends what is queued, forgets nothing of ours, and asserts that no input is left over: bytes that came
 * after the command in the same packet mean injection (CVE-2011-0411) and the conn closes with CONN_END_TLS; returns
 * false then. The caller has already written its "220"/"+OK". */
bool conn_start_tls(struct conn *conn);
bool conn_has_tls(const struct conn *conn);
bool conn_can_start_tls(const struct conn *conn);      /* the listener has a TLS context and TLS is not on yet */
const char *conn_tls_version(const struct conn *conn); /* "TLSv1.3", or NULL without TLS */
const char *conn_tls_cipher(const struct conn *conn);  /* "TLS_AES_256_GCM_SHA384", or NULL */
/* What SASL may bind a login to, by the name of its type; its length, or 0: this connection does not have it.
 *   "tls-exporter"          RFC 9266 §2; TLS 1.3 only
 *   "tls-unique"            RFC 5929 §3; TLS 1.2 only, and only with RFC 7627, without which it can be forged (§1 there)
 *   "tls-server-end-point"  RFC 5929 §4: the digest of our certificate; not when its signature names no one hash (Ed25519) */
#define CONN_BINDING_MAX 64
size_t conn_channel_binding(const struct conn *conn, const char *type, uint8_t out[CONN_BINDING_MAX]);

/* Idle timeout: restarted whenever bytes arrive or leave. 0 switches it off. */
void conn_set_timeout(struct conn *conn, unsigned milliseconds);
/* Least rate while a body is received: after a grace of 60 s, fewer than this many octets per second over the last 30 s
 * end the conn like a timeout (slowloris in DATA). 0 switches it off. */
void conn_set_min_rate(struct conn *conn, unsigned octets_per_second);

/* Sends what is queued (bounded by 10 s), TLS close_notify, then closes. When the peer is still sending, what it sends is
 * read and dropped for up to 2 s, so that a reset does not destroy the last reply. During a handshake: at once. */
void conn_finish(struct conn *conn);
void conn_close(struct conn *conn);            /* at once; queued bytes are dropped */
bool conn_is_closing(const struct conn *conn); /* conn_finish() or conn_close() was called, or it ended by itself */

/* The peer logged in: it no longer counts as one of its address's sessions before login (net/limiter.h), and may not be
 * evicted. */
void conn_set_logged_in(struct conn *conn);
/* False while the session does what must not be done without an answer (a message is being stored): others are evicted. */
void conn_set_evictable(struct conn *conn, bool evictable);

const char *conn_peer_text(const struct conn *conn); /* "192.0.2.1" or "2001:db8::1" */
const struct sockaddr *conn_peer(const struct conn *conn);
/* Where the peer really is, as a proxy that is trusted said; from here on this is what the calls above tell, and what the limiter counts.
 * IPv4 or IPv6. ERR_LIMIT: that address has too many connections, ERR_NO_MEMORY; then nothing has changed. */
bool conn_set_peer(struct conn *conn, const struct sockaddr *peer, struct error *err);
const char *conn_local_text(const struct conn *conn);
/* Who is at the other end of a Unix socket, as the kernel says; false: it is none. */
bool conn_peer_user(const struct conn *conn, uint32_t *uid);
bool conn_peer_is_loopback(const struct conn *conn); /* 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104 */
uint64_t conn_id(const struct conn *conn);           /* unique within the process; in every log line of a session */
uv_loop_t *conn_loop(const struct conn *conn);

#endif
