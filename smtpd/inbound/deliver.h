/* smtpd/inbound/deliver.h — a received message to where it goes: into the mailboxes of all its accounts, each exactly once, or into the
 * queue; durably.
 *
 *   deliver_start -+-> all here, and now: [prepare] -> commit per account -+-> all took it: [sender's copy] ---------------> done
 *                  |                                                       +-> none did -------------------------------> done
 *                  |                                                       +-> some did: the others go to the queue --+> done
 *                  |                                                                                                  +> record ids -> done
 *                  +-> somebody elsewhere, or later, or to be reported: [prepare] -> queue -> [sender's copy] ---------> done
 *
 * One account: prepare and commit are one job, so one hop to a worker and back; jobs that wait for the same account become
 * one transaction (group commit), and so do those that wait for the queue. Several accounts: prepare once, then one job for each
 * account, side by side. What is large is prepared in a job of its own before it waits for the queue, or others would wait for it.
 *
 * What some mailboxes took and others could not (full, damaged, no disk) is ours from then on (RFC 5321 §4.4): the queue tries the others
 * again and reports. When it cannot be written either, the sender is told to try again, and the successful ones record the
 * operation id, BLAKE2b-128 over sender, account and the octets received; the retry finds it and does nothing there. Every delivery
 * looks for its id. Once all have the message the id is taken back: who sends the same octets again means it.
 *
 * LMTP (request.each) is told of each RCPT by itself. Who leads to one account fails with it, and the client keeps the message for him
 * (RFC 2033 §3). Who leads to several, an alias, has it when one of them took it or one is at another server: the others are the queue's,
 * as all addresses elsewhere are, or the client's next try would double it for those who have it.
 *
 * A report on success (RFC 3461 §5.2.3) is made by the relay in the transaction in which the recipient leaves the queue: so exactly once.
 *
 * The sender's copy of what is queued is a recipient there too, with an operation id; it is filed here under the same id before the
 * 250, and the relay finds it done, or does it: exactly once, whoever dies.
 *
 * Owner: the delivery owns itself from deliver_start() until done() has returned; what the request names belongs to the
 * caller and must live until then. Thread: deliver_start() and done() on the loop. done() comes exactly once, later. */
#ifndef SMTPD_INBOUND_DELIVER_H
#define SMTPD_INBOUND_DELIVER_H

#include "smtpd/inbound/prepare.h"

struct delivery_outcome {
	struct error error; /* ERR_NONE: in every mailbox or in the queue, and would survive a power cut */
	bool limited;       /* refused: the account has sent enough for today */
	bool partial;       /* refused, but some mailboxes took it: the reply must ask for another try */
	bool queued;        /* (some of) it is in the queue */
	/* Of each RCPT, in order, where request.each; else NULL. ERR_NONE: its mailboxes have it, or the queue. Then `error` is only one of them. */
	const struct error *results;
	unsigned already; /* accounts where an earlier try had succeeded */
};

typedef void deliver_done(void *arg, const struct delivery_outcome *outcome);

/* False: out of memory; nothing was started. */
bool deliver_start(const struct delivery_request *request, deliver_done *done, void *arg);

#endif
