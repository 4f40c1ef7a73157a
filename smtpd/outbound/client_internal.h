/* smtpd/outbound/client_internal.h — what the files of one client session share; nobody else includes it.
 *
 *   GREETING --220--> HELLO --250--> [STARTTLS --220--> HANDSHAKE --> HELLO] --> [AUTH --235-->] READY
 *   HELLO: EHLO (LHLO), and HELO where that is unknown
 *   READY --client_send--> ENVELOPE --354 (or all recipients answered: BDAT)--> BODY --all is sent--> ENDING --replies--> READY
 *                             |  nobody is left                                                          ^
 *                             +--- RSETTING (RFC 5321 §4.1.1.5) -----------------------------------------+
 *   READY --client_quit--> QUITTING.   From anywhere --client_over()--> OVER: waits for the conn, the job and the timer, then on_closed().
 *
 * client_check() asserts: a message exists exactly in ENVELOPE, BODY, ENDING and RSETTING. */
#ifndef SMTPD_OUTBOUND_CLIENT_INTERNAL_H
#define SMTPD_OUTBOUND_CLIENT_INTERNAL_H

#include "sasl/client.h"
#include "smtpd/outbound/client_reply.h"

#include "base/macros.h"

#define CLIENT_LINE_MAX   4096 /* of a reply; RFC 5321 §4.5.3.1.5 asks for 512 */
#define CLIENT_PIECE      (64 * KIB)
#define CLIENT_READ_SIZE  (16 * KIB)
#define CLIENT_TLSA_MAX   20
#define CLIENT_BDAT_MIN   MIB   /* from here on BDAT instead of DATA, where it is offered: no stuffing */
#define CLIENT_TLS_MS     60000 /* STARTTLS until the handshake is done */
#define CLIENT_AUTH_STEPS 4

enum client_state {
	CLIENT_GREETING = 1 << 0,
	CLIENT_HELLO = 1 << 1,
	CLIENT_STARTTLS = 1 << 2,
	CLIENT_HANDSHAKE = 1 << 3,
	CLIENT_AUTH = 1 << 4,
	CLIENT_READY = 1 << 5,
	CLIENT_ENVELOPE = 1 << 6,
	CLIENT_BODY = 1 << 7,
	CLIENT_ENDING = 1 << 8,
	CLIENT_RSETTING = 1 << 9,
	CLIENT_QUITTING = 1 << 10,
	CLIENT_OVER = 1 << 11,
};
#define CLIENT_HAS_MESSAGE (CLIENT_ENVELOPE | CLIENT_BODY | CLIENT_ENDING | CLIENT_RSETTING)

/* Where the envelope is: commands are numbered 0 MAIL, 1..n RCPT, n + 1 DATA (not with BDAT). */
struct envelope {
	size_t sent, answered, total;
	size_t accepted; /* recipients */
	bool mail_refused;
	bool complete;                /* every recipient has its final answer */
	bool reset_later;             /* a read job is under way: RSET after it */
	struct client_reply *replies; /* one for each recipient */
	size_t ending;                /* LMTP: the recipient whose final reply is next */
};

struct body {
	struct worker_job job;
	bool reading; /* the job is under way: piece, len, offset and failed are its */
	bool last;    /* what is in piece is the end */
	bool chunked; /* BDAT */
	bool failed;
	struct error error;
	char *piece; /* CLIENT_PIECE */
	size_t len;
	uint64_t offset; /* behind what is in piece */
	bool line_start, was_cr;
	bool all_sent; /* to somebody */
};

struct client {
	struct conn *conn; /* NULL once it is closed */
	const struct client_events *events;
	void *arg;
	struct client_settings settings; /* texts are in `texts` */
	const char *names[TLS_CLIENT_NAMES_MAX];
	struct span tlsa[CLIENT_TLSA_MAX];
	char *texts;
	size_t texts_len;
	enum client_state state;
	unsigned holds; /* conn, timer, job */
	bool tls_failed, said_helo, has_tls, ready_told;
	bool lost; /* see client_events.on_sent */
	struct client_reply why;
	struct client_offer offer;
	struct reply_reader reader;
	size_t hello_lines; /* of the EHLO reply that is being read */
	uv_timer_t timer;

	struct sasl_client *sasl;
	unsigned auth_steps;
	struct worker_job auth_job;
	struct buffer auth_challenge, auth_answer;
	struct error auth_error;
	bool auth_ok, auth_running;

	const struct client_message *message;
	struct client_message copy;
	struct envelope envelope;
	struct body body;
};

/* client.c */
void client_check(const struct client *client);
void client_wait(
        struct client *client, unsigned milliseconds); /* for the next reply; ends the session when it takes longer */
void client_over(struct client *client);               /* client->why is filled: closes everything */
void client_fail(struct client *client, const char *format, ...)
        PRINTF_LIKE(2, 3);                  /* a local reason, then client_over() */
void client_refused(struct client *client); /* the reply that was just read ends the session */
void client_hold(struct client *client);
void client_release(struct client *client);
void client_ready(struct client *client);
void client_printf(struct client *client, const char *format, ...) PRINTF_LIKE(2, 3); /* a command, with CRLF */

/* client_hello.c: from the greeting to READY */
void hello_reply(struct client *client, const struct client_reply *reply);
void hello_line(struct client *client, struct span line);
void hello_begin(struct client *client);
void auth_reply(struct client *client, const struct client_reply *reply);
void auth_free(struct client *client);

/* client_envelope.c */
void envelope_begin(struct client *client);
void envelope_reply(struct client *client, const struct client_reply *reply);
void envelope_end(struct client *client, bool lost); /* on_sent() */
void envelope_job_done(struct client *client);
void ending_reply(struct client *client, const struct client_reply *reply);

/* client_data.c */
bool body_begin(struct client *client); /* false: out of memory */
void body_go(struct client *client);    /* 354 came, or it is time for BDAT */
void body_write(struct client *client);
void body_free(struct client *client);

#endif
