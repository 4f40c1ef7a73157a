/* smtpd/server/transaction.h — one mail transaction: from MAIL to the end of data, RSET, EHLO or the end of the session.
 *
 * RSET is transaction_free(), so nothing of one message can reach the next. Owner: the session; thread: the loop's, except
 * that a job of the session may read it while the session waits for that job. */
#ifndef SMTPD_SERVER_TRANSACTION_H
#define SMTPD_SERVER_TRANSACTION_H

#include "net/conn.h"
#include "smtpd/inbound/deliver.h"
#include "smtpd/syntax/data_scan.h"

struct smtp_session;

struct transaction {
	char id[TRACE_ID_MAX];
	int64_t started_ms; /* clock_mono_ms() */
	struct mail_args mail;
	bool lowered;                      /* mail.priority is not what the client asked for */
	char sender[PATH_MAILBOX_MAX + 1]; /* what mail.sender's spans point into; "" for "<>" */
	char envid[QUEUE_ENVID_MAX + 1];   /* what mail.envid points into */
	struct sender_options options;     /* of who is logged in */
	struct envelope envelope;

	/* From DATA on */
	struct data_scan scan;
	struct spool *spool;
	uint64_t size;                           /* octets received, after undoing dot-stuffing */
	bool too_large;                          /* the rest is read and thrown away */
	bool complete;                           /* the end of data was seen */
	struct buffer chunk;                     /* on its way to the disk */
	void (*flushed)(struct smtp_session *s); /* called when it is there */
	struct error failure;                    /* of the spool: said at the end of data */
	struct trace trace; /* while it is delivered; what its spans point into outlives the conn: */
	char peer[CONN_ADDRESS_TEXT];
	char tls_version[TRACE_TLS_MAX];
	char tls_cipher[TRACE_TLS_MAX];
};

/* Copies what args points to. NULL: out of memory. */
struct transaction *transaction_new(const struct mail_args *args);
void transaction_free(struct transaction **transaction); /* also of NULL */

#endif
