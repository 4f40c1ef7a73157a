/* smtpd/inbound/deliver_private.h — one delivery under way; for deliver*.c and story.c only. */
#ifndef SMTPD_INBOUND_DELIVER_PRIVATE_H
#define SMTPD_INBOUND_DELIVER_PRIVATE_H

#include "smtpd/inbound/deliver.h"
#include "smtpd/inbound/letters.h"
#include "storage/batch.h"

struct delivery;

/* One account's part. */
struct part {
	struct worker_job job;
	struct delivery *delivery;
	const struct delivery_target *target;
	bool sent; /* the sender's copy: into Sent, seen */
	struct batch *batch;
	struct error error;
	bool already;
	char folder[QUEUE_FOLDER_MAX + 1]; /* where the subaddress asked for; "": INBOX */
	uint32_t uid;
};

struct delivery {
	struct delivery_request request;
	deliver_done *done;
	void *arg;
	struct worker_job job; /* prepare, or the queue */
	struct prepared prepared;
	struct error error; /* of that job */
	struct delivery_outcome outcome;
	struct letters letters; /* what was queued */
	bool is_prepared;       /* the message is acceptable, and has its prefix */
	size_t pending;         /* parts whose job is under way */
	struct delivery_target sender;
	uint8_t sent_op_id[OP_ID_LEN]; /* of the sender's copy of what goes through the queue */
	struct part sent_part;
	bool *failed;          /* by part: goes to the queue */
	struct error *results; /* request.each: by RCPT */
	size_t part_count;
	struct part parts[];
};

bool delivery_wants_sent(const struct delivery *delivery); /* the sender's copy is ours to make */
void delivery_operation_id(const struct part *part, uint8_t out[OP_ID_LEN]);
void delivery_finish(struct delivery *delivery); /* tells, and frees */

/* deliver_parts.c */
void parts_start(struct delivery *delivery);     /* all of them */
void parts_record(struct delivery *delivery);    /* ids of those that succeeded, then finish */
void parts_forget(struct delivery *delivery);    /* ids of an earlier try, then finish */
void parts_file_sent(struct delivery *delivery); /* the sender's copy, then delivery_parts_done() */
/* The same of what is in the queue: now, under the operation id that the queue has for it, then finish. */
void parts_file_queued_sent(struct delivery *delivery);
void delivery_parts_done(struct delivery *delivery);

/* deliver_each.c */
bool each_new(struct delivery *delivery); /* false: out of memory */
void each_parts_done(struct delivery *delivery);
void each_queued(struct delivery *delivery);
void each_finish(struct delivery *delivery); /* fills in the results */

/* deliver_queue.c */
void queue_start(struct delivery *delivery); /* prepares at need; then delivery_queued() */
void delivery_queued(struct delivery *delivery);

/* story.c */
void story_tell(const struct delivery *delivery);

#endif
