/* smtpd/inbound/deliver.h — a received message into the mailboxes of all its accounts, durably, each exactly once.
 *
 *   deliver_start -> [prepare: checks, summary, hash] -> commit per account -> (partly failed: record) -> done
 *                                                                        \-> (a retry: forget) -------/
 *
 * One account: prepare and commit are one job, so one hop to a worker and back; jobs that wait for the same account become
 * one transaction (group commit). Several accounts: prepare once, then one job for each account, side by side.
 *
 * Exactly once: when some accounts took the message and others could not, the sender is told to try again (there is no queue
 * yet to keep the rest), and the successful ones record the operation id, BLAKE2b-128 over sender, account and the octets
 * received; the retry finds it and does nothing there. Every delivery looks for its id. Once all have the message the id is
 * taken back: who sends the same octets again means it.
 *
 * Owner: the delivery owns itself from deliver_start() until done() has returned; spool, targets and trace belong to the
 * caller and must live until then. Thread: deliver_start() and done() on the loop. done() comes exactly once, later. */
#ifndef SMTPD_INBOUND_DELIVER_H
#define SMTPD_INBOUND_DELIVER_H

#include "net/worker.h"
#include "smtpd/inbound/accept.h"
#include "smtpd/inbound/received.h"
#include "storage/spool.h"

struct delivery_target {
	int64_t account_id;
	uint64_t quota_bytes;    /* 0: no limit */
	uint64_t quota_messages; /* 0: no limit */
};

struct delivery_request {
	const struct accept_context *accept;
	struct worker_pool *pool;
	struct spool *spool;
	const struct delivery_target *targets; /* each account once */
	size_t target_count;                   /* at least 1 */
	const struct trace *trace;             /* its spans must live as long */
	int64_t account_id;                    /* who logged in; 0 on port 25 */
	int64_t received_ms;                   /* internal date */
};

struct delivery_outcome {
	struct error error; /* ERR_NONE: in every mailbox, and would survive a power cut */
	bool partial;       /* some mailboxes took it: the reply must ask for another try */
	unsigned already;   /* accounts where an earlier try had succeeded */
};

typedef void deliver_done(void *arg, const struct delivery_outcome *outcome);

/* False: out of memory; nothing was started. */
bool deliver_start(const struct delivery_request *request, deliver_done *done, void *arg);

#endif
