/* smtpd/inbound/prepare.h — a received message before it is stored: is it acceptable, what goes in front of it, what is to be known of it.
 *
 * Blocking (the spool and the directory are read): worker threads. */
#ifndef SMTPD_INBOUND_PREPARE_H
#define SMTPD_INBOUND_PREPARE_H

#include "message/summary.h"
#include "net/worker.h"
#include "smtpd/inbound/accept.h"
#include "smtpd/inbound/received.h"
#include "storage/spool.h"

#define CONTENT_HASH    32
#define MESSAGE_ID_KEPT 255 /* a longer one is not told */

/* What is known of a message when its last octet has come. All belongs to the caller and must live until the delivery is done. */
struct delivery_request {
	const struct accept_context *accept;
	struct worker_pool *pool;
	struct spool *spool;
	const struct envelope *envelope; /* at least one target or remote */
	const struct mail_args *mail;
	const struct trace *trace;
	int64_t account_id;                   /* who logged in; 0: nobody */
	const struct sender_options *options; /* of the account */
	struct span login;                    /* of the account; or the address of the local user whose program it is */
	bool trusted;                         /* who may relay: what the message lacks is added */
	bool each;             /* LMTP: of each RCPT is to be told what became of it; envelope->keeps_links */
	int64_t received_ms;   /* internal date */
	int64_t not_before_ms; /* by the wall clock; 0: now */
};

/* Owner: the caller of prepared_init(), until prepared_free(). */
struct prepared {
	struct buffer prefix;   /* Return-Path, Received, and what the message lacked */
	size_t return_path_len; /* how much of it is Return-Path */
	char message_id[MESSAGE_ID_KEPT + 1];
	/* for mailboxes */
	bool has_summary;
	struct message_summary summary;
	uint8_t content[CONTENT_HASH]; /* over sender and octets */
	/* for the queue */
	unsigned flags; /* enum queue_flag that the message itself gives */
};

void prepared_init(struct prepared *prepared);
void prepared_free(struct prepared *prepared);

/* Both check the message (accept_message) and write the prefix; a refusal is in *err. */
bool prepare_for_mailboxes(const struct delivery_request *request, struct prepared *out, struct error *err);
bool prepare_for_queue(const struct delivery_request *request, struct prepared *out, struct error *err);
/* What the queue must know of a message that was prepared for mailboxes. */
bool prepare_flags(const struct delivery_request *request, struct prepared *out, struct error *err);
/* What mailboxes need of a message that was prepared for the queue. */
bool prepare_summary(const struct delivery_request *request, struct prepared *out, struct error *err);

#endif
