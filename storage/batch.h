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

#define OP_ID_LEN          16
#define BATCH_OPS_MAX      100000
#define BATCH_KEYWORDS_MAX 1000 /* named by one operation */
#define OP_ID_KEEP_DAYS    40   /* a message may be held for 28 (RFC 4865), with a copy in Sent */

struct batch;
struct message_summary; /* message/summary.h */

/* System flags as bits, keywords by name: their numbers are the store's (account_keywords), found or given inside the transaction.
 * ERR_TOO_LONG: a keyword over KEYWORD_LEN_MAX; ERR_LIMIT: more than FLAG_KEYWORD_COUNT of them in use in the account. */
struct message_flags {
	uint64_t system;             /* enum message_flag; other bits are ignored */
	const struct span *keywords; /* copied */
	size_t keyword_count;
};

struct new_message {
	struct span prefix; /* trace header and added fields, CRLF lines; goes in front of the body */
	struct spool *body;
	const struct message_summary *summary; /* of prefix and body together */
	int64_t internal_date_ms;
	struct message_flags flags;
};

/* A message that a change of flags was about, as it is after it. */
struct flags_row {
	uint32_t uid;
	bool changed; /* else it had these flags already, and keeps its modseq (RFC 7162 §3.1) */
	uint64_t flags;
	uint64_t modseq;
};

/* What came of it. The arrays are owned by the batch; what several operations of it did stands in their order. */
struct batch_result {
	struct error error;    /* ERR_NONE: done */
	bool no_target;        /* with ERR_NO_SUCH_MAILBOX: the one to append, copy or move to is missing (TRYCREATE) */
	bool already_done;     /* the operation id was recorded before: nothing was changed now */
	uint64_t modseq;       /* the account's after this batch */
	uint64_t keywords;     /* keyword_list.version after this batch */
	uint32_t uid_validity; /* of the mailbox last appended, copied or moved to */
	/* The UIDs given by append, copy and move, in the order of the operations and within them of the set. */
	const uint32_t *uids;
	const uint32_t
	        *source_uids; /* beside each: the UID it was copied or moved from (RFC 4315 COPYUID); 0 for append */
	size_t uid_count;
	const struct flags_row *rows; /* by batch_flags: each message of the set that is there and not in modified */
	size_t row_count;
	const uint32_t *modified; /* by batch_flags: left alone, changed after unchanged_since (RFC 7162 §3.1.3) */
	size_t modified_count;
	const uint32_t *removed; /* by batch_expunge: UIDs that were there */
	size_t removed_count;
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
/* unchanged_since: messages with a higher modseq are left alone (RFC 7162 §3.1.3); UINT64_MAX: none. */
bool batch_flags(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count, enum flag_change change,
        const struct message_flags *flags, uint64_t unchanged_since);
/* Flags (keywords too) and internal date go with the message; the save date is now. No quota: a message counts once. */
bool batch_copy(struct batch *batch, int64_t from, const uint32_t *uids, size_t count, int64_t to);
bool batch_move(struct batch *batch, int64_t from, const uint32_t *uids, size_t count, int64_t to);
bool batch_expunge(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count);
/* Only what has \Deleted at the commit (RFC 9051 §6.4.3, §6.4.9). uids NULL: of the whole mailbox, which is read when there is any. */
bool batch_expunge_deleted(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count);

/* Missing parents are made, without use (RFC 9051 §6.3.4); one '/' at the end of the name is ignored. ERR_EXISTS; ERR_UNSUPPORTED: another
 * mailbox has that use (RFC 6154 §3 USEATTR); ERR_BAD_VALUE, ERR_TOO_LONG: the name; ERR_LIMIT: MAILBOX_COUNT_MAX. */
bool batch_mailbox_create(struct batch *batch, struct span name, enum special_use use);
/* With all below it; ids, UIDs, UIDVALIDITY and uses stay, subscriptions too (they are names). Missing parents are made. INBOX: its messages move
 * to a new mailbox, INBOX stays and so does what is below it (RFC 9051 §6.3.6). ERR_EXISTS, also of a name below; ERR_BAD_VALUE: below itself. */
bool batch_mailbox_rename(struct batch *batch, int64_t mailbox_id, struct span name);
/* What is below it stays. ERR_DENIED: INBOX. */
bool batch_mailbox_delete(struct batch *batch, int64_t mailbox_id);
/* The name need not be a mailbox's (RFC 9051 §6.3.7). ERR_LIMIT: SUBSCRIPTION_COUNT_MAX. */
bool batch_mailbox_subscribe(struct batch *batch, struct span name, bool subscribed);

bool account_commit(struct account *account, struct batch **batches, size_t count, struct error *err);
const struct batch_result *batch_result(const struct batch *batch); /* after account_commit() returned true */

#endif
