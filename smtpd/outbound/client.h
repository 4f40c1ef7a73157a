/* smtpd/outbound/client.h — one SMTP or LMTP session as a client (RFC 5321, RFC 2033), from the connected conn to QUIT.
 *
 *               greeting        EHLO            [STARTTLS, EHLO]  [AUTH]
 *   CONNECTED -----------> GREETED ---------------------------------------> READY --client_send--> SENDING --> READY
 *        any: 421, timeout, end of stream, garbage -> on_closed                     --client_quit--> QUITTING --> closed
 *
 * One message at a time: MAIL, RCPT for each recipient and DATA (or BDAT) are pipelined where the server offers it (RFC 2920); several
 * messages one after the other on one connection. Each recipient gets an answer of its own: after RCPT, after the end of data, or (LMTP) one each
 * after the end of data. Every reply is bounded (CLIENT_REPLY_LINES, CLIENT_REPLY_MAX), every wait has the time of RFC 5321 §4.5.3.2.
 * What we write is re-serialised: dot-stuffed CRLF lines; no bare CR, LF or NUL ever leaves in DATA (promises.md, "smuggling out").
 * Owner: the caller of client_new(), until on_closed() has come (exactly once, the last callback). Thread: the loop's; the message's
 * octets are read by `read` jobs on worker threads. */
#ifndef SMTPD_OUTBOUND_CLIENT_H
#define SMTPD_OUTBOUND_CLIENT_H

#include "net/dial.h"
#include "net/worker.h"
#include "storage/queue.h"

#define CLIENT_REPLY_LINES 100
#define CLIENT_REPLY_MAX   (8 * 1024) /* octets of one reply that are read; more ends the session */
#define CLIENT_REPLY_TEXT  QUEUE_REPLY_MAX
#define CLIENT_GREETING_MS 300000 /* RFC 5321 §4.5.3.2.1 */
#define CLIENT_COMMAND_MS  300000 /* §4.5.3.2.2, .3 */
#define CLIENT_DATA_MS     120000 /* §4.5.3.2.4 */
#define CLIENT_CHUNK_MS    180000 /* §4.5.3.2.5 */
#define CLIENT_END_MS      600000 /* §4.5.3.2.6 */
#define CLIENT_QUIT_MS     5000

/* One reply of the other server. code 0: there was none (the connection was lost, a timeout, a local reason): `text` says what happened. */
struct client_reply {
	unsigned code;                    /* 200..599, or 0 */
	char enhanced[12];                /* "5.1.1" or "" (RFC 3463) */
	char text[CLIENT_REPLY_TEXT + 1]; /* printable, LF between lines */
};

/* What the server offered after the last EHLO. */
struct client_offer {
	bool starttls, pipelining, eight_bit_mime, smtputf8, dsn, chunking, binarymime, requiretls, enhanced,
	        future_release, deliver_by, mt_priority, auth_plain, auth_login, auth_scram, has_size;
	uint64_t size;            /* RFC 1870; 0: no limit said */
	uint32_t rcpt_max;        /* LIMITS RCPTMAX (RFC 9422); 0: not said */
	uint32_t mail_max;        /* LIMITS MAILMAX */
	uint32_t rcpt_domain_max; /* LIMITS RCPTDOMAINMAX */
	int64_t deliver_by_min;   /* RFC 2852 §2, seconds */
};

struct client_settings {
	const char *hostname; /* EHLO */
	bool lmtp;            /* LHLO, one reply for each recipient */
	bool implicit_tls;
	bool use_starttls;             /* when offered; with must_tls its absence ends the session before MAIL */
	bool must_tls;                 /* DANE, MTA-STS enforce, REQUIRETLS, an override: nothing goes out without it */
	struct tls_client_request tls; /* copied deeply */
	const char *user, *password;   /* AUTH; NULL: none. Copied, wiped. Only over TLS (or loopback) */
	struct worker_pool *pool;      /* where SCRAM computes; NULL: PLAIN or LOGIN then */
	unsigned time_percent;         /* 100; tests use less: all waits are multiplied */
};

struct client;
struct client_message {
	const struct queue_message *message; /* envelope; recipients in its order */
	struct worker_pool *pool;
	/* Octets, on a worker thread, one call at a time; prefix and body as one. Already converted where the server needs that (transcode). */
	bool (*read)(void *arg, uint64_t offset, void *out, size_t size, size_t *got, struct error *err);
	void *arg;
	const char *octets; /* all of them, where they are few and in memory; else NULL: read() */
	uint64_t size;
	bool eight_bit, binary, smtputf8; /* what the octets are now: BODY=, SMTPUTF8 are said accordingly */
};

struct client_events {
	/* READY for the first message (or it will never be: on_closed). offer is valid while the client lives. */
	void (*on_ready)(void *arg, const struct client_offer *offer);
	/* After client_send(): what became of each recipient, in order; MAIL refused: the same reply for all. lost: the connection died
	 * after the last octet was sent and before its answer: the message may have been taken. */
	void (*on_sent)(void *arg, const struct client_reply *replies, size_t count, bool lost);
	/* why.code != 0: the server said it (421, a refused greeting, EHLO, STARTTLS or AUTH). tls_failed: STARTTLS was refused or the handshake failed.
	 * When a message was under way on_sent() came before. */
	void (*on_closed)(void *arg, const struct client_reply *why, bool tls_failed);
};

/* Takes the conn over (not started yet). NULL: out of memory, the conn is closed. */
struct client *client_new(
        struct conn *conn, const struct client_settings *settings, const struct client_events *events, void *arg);
bool client_is_ready(const struct client *client); /* READY: false also from the moment the connection is lost */
const struct client_offer *client_offer(const struct client *client);
const struct conn *client_conn(const struct client *client); /* TLS version, verified; valid until on_closed */
void client_send(
        struct client *client, const struct client_message *message); /* in READY only; lives until on_sent() */
/* In on_sent(): the session ended before the server had answered MAIL (or with 421): it has seen nothing of this message. */
bool client_took_nothing(const struct client *client);
void client_quit(struct client *client);  /* in READY: QUIT, then on_closed(); any other time: at once */
void client_abort(struct client *client); /* at once; on_closed() comes */

#endif
