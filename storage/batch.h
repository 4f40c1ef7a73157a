/* storage/batch.h — the one way to change an account: a list of changes that happens wholly or not at all.
 *
 * A batch is built in memory (any thread, no disk) and committed with account_commit(), which takes several batches of one
 * account and makes them durable together (group commit): one transaction, one sync, one savepoint per batch, so a batch
 * that cannot be done (over quota, mailbox gone, conflict) fails alone. When account_commit() returns true every batch
 * whose result is ERR_NONE would survive a power cut. When it returns false none of them happened.
 * Owner: the caller of batch_new(), until batch_free(). Message bodies named by a batch stay the caller's and must live
 * until the commit has returned. Mailboxes are named by id. UID sets are arrays of UIDs in rising order; UIDs that are not there are
 * skipped without error (RFC 9051 §6.4.9: UID commands on gone messages are OK). */
#ifndef STORAGE_BATCH_H
#define STORAGE_BATCH_H

#include "storage/mailbox.h"
#include "storage/spool.h"

#define OP_ID_LEN       16
#define BATCH_OPS_MAX   100000
#define OP_ID_KEEP_DAYS 7

struct batch;
struct message_summary; /* message/summary.h */

struct new_message {
	struct span prefix; /* trace header and added fields, CRLF lines; goes in front of the body */
	struct spool *body;
	const struct message_summary *summary; /* of prefix and body together */
	int64_t internal_date_ms;
	uint64_t flags; /* system flags only here */
};

struct batch_result {
	struct error error; /* ERR_NONE: done */
	bool already_done;  /* the operation id was recorded before: nothing was changed now */
	uint64_t modseq;    /* the account's after this batch */
	/* The UIDs given by append, copy and move, in the order of the operations and within them of the set. */
	const uint32_t *uids; /* owned by the batch */
	const uint32_t
	        *source_uids; /* beside each: the UID it was copied or moved from (RFC 4315 COPYUID); 0 for append */
	size_t uid_count;
};

/* op_id: NULL, or OP_ID_LEN bytes: if it has been recorded in this account the batch does nothing and reports already_done. */
struct batch *batch_new(const uint8_t *op_id); /* NULL: out of memory */
void batch_free(struct batch **batch);

/* Records the op_id on success. Without this call an op_id is only looked for. */
void batch_record_op(struct batch *batch);
/* Takes a recorded op_id back instead of looking for it: the whole of the operation is done, and the same again is wanted. */
void batch_forget_op(struct batch *batch);
/* Fails the batch with ERR_OVER_QUOTA when the account would be above; 0: no limit. */
void batch_limit_usage(struct batch *batch, uint64_t bytes, uint64_t messages);
/* Fails the batch with ERR_CONFLICT when the mailbox's UIDVALIDITY is another. */
void batch_expect_uid_validity(struct batch *batch, int64_t mailbox_id, uint32_t uid_validity);

enum flag_change { FLAGS_SET, FLAGS_ADD, FLAGS_REMOVE };

/* Each adds one operation; false: out of memory or over BATCH_OPS_MAX (and the commit of the batch will fail too). */
bool batch_append(struct batch *batch, int64_t mailbox_id, const struct new_message *message);
bool batch_append_to_use(struct batch *batch, enum special_use use, const struct new_message *message);
bool batch_flags(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count, enum flag_change change,
        uint64_t flags);
bool batch_copy(struct batch *batch, int64_t from, const uint32_t *uids, size_t count, int64_t to);
bool batch_move(struct batch *batch, int64_t from, const uint32_t *uids, size_t count, int64_t to);
bool batch_expunge(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count);
bool batch_mailbox_create(struct batch *batch, struct span name, enum special_use use);
bool batch_mailbox_rename(struct batch *batch, int64_t mailbox_id, struct span name);
bool batch_mailbox_delete(struct batch *batch, int64_t mailbox_id);
bool batch_mailbox_subscribe(struct batch *batch, struct span name, bool subscribed);

bool account_commit(struct account *account, struct batch **batches, size_t count, struct error *err);
const struct batch_result *batch_result(const struct batch *batch); /* after account_commit() returned true */

#endif
