/* smtpd/inbound/letters.h — what of a message goes into the queue: one entry for those whom the sender wrote to, and one for each alias
 * that forwards it.
 *
 * An entry has one sender and one prefix, so what an alias sends on is an entry of its own: its sender is rewritten when it is of
 * another site (SRS: the next server would hold it to that site's SPF), its prefix begins with Delivered-To, by which a loop is seen
 * (accept.h). The message itself, and so its signatures, stays as it came. The first entry's trace is the transaction's, the
 * others' have "-1", "-2" ... behind it.
 *
 * Owner: the caller, until letters_free(); request and prepared must live as long. Blocking (the directory is asked for SRS). */
#ifndef SMTPD_INBOUND_LETTERS_H
#define SMTPD_INBOUND_LETTERS_H

#include "smtpd/inbound/prepare.h"
#include "storage/queue.h"

#define LETTER_SENDER_MAX 513

struct letter {
	struct queue_entry entry;
	struct span alias; /* that forwards it; empty: none */
	char trace[QUEUE_TRACE_MAX + 1];
	char sender[LETTER_SENDER_MAX]; /* rewritten */
	char future_release[QUEUE_RELEASE_MAX + 1];
	struct buffer prefix; /* of a forwarded one */
	size_t first;         /* of its recipients in letters.recipients */
};

struct letters {
	struct letter *items;
	size_t count;
	struct queue_rcpt_new *recipients;
	size_t recipient_count;
};

/* targets: which of envelope->targets go along (by index; NULL: all), and then also whether the remotes and the sender's copy do. */
struct letters_wanted {
	const bool *targets;
	bool remotes;
	bool sent;
	const uint8_t *sent_op_id; /* OP_ID_LEN; NULL: the queue makes one */
};

bool letters_make(const struct delivery_request *request, const struct prepared *prepared,
        const struct letters_wanted *wanted, struct letters *out, struct error *err);
void letters_free(struct letters *letters); /* also of a zeroed one */

#endif
