/* storage/mailbox.h — reading the mailboxes of one account: names, counters, rows, keywords, message bytes, usage.
 *
 * All take a borrowed account (storage/store.h) and see one consistent state per call; nothing stays open between calls.
 * Changes go through storage/batch.h. UIDs only grow while UIDVALIDITY stands (RFC 9051 §2.3.1.1). */
#ifndef STORAGE_MAILBOX_H
#define STORAGE_MAILBOX_H

#include "base/buffer.h"
#include "storage/store.h"

#define MAILBOX_NAME_MAX       1000 /* octets of UTF-8 */
#define MAILBOX_DEPTH_MAX      32
#define MAILBOX_COUNT_MAX      10000 /* per account */
#define SUBSCRIPTION_COUNT_MAX (2 * MAILBOX_COUNT_MAX)

/* Bits of message_row.flags; keywords of the account take the bits from FLAG_KEYWORD_FIRST on, by number (account_keywords). */
enum message_flag {
	FLAG_SEEN = 1 << 0,
	FLAG_ANSWERED = 1 << 1,
	FLAG_FLAGGED = 1 << 2,
	FLAG_DELETED = 1 << 3,
	FLAG_DRAFT = 1 << 4,
};
#define FLAG_SYSTEM        (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DELETED | FLAG_DRAFT)
#define FLAG_KEYWORD_FIRST 6
#define FLAG_KEYWORD_COUNT 58  /* per account */
#define KEYWORD_LEN_MAX    100 /* octets */

enum special_use { USE_NONE, USE_INBOX, USE_DRAFTS, USE_SENT, USE_ARCHIVE, USE_JUNK, USE_TRASH, USE_COUNT };

struct mailbox_info {
	int64_t id;
	uint32_t uid_validity;
	uint32_t uid_next;
	uint32_t messages;
	uint32_t unseen;
	uint32_t deleted;
	uint64_t size;         /* octets of all its messages */
	uint64_t deleted_size; /* of those with \Deleted (RFC 9208 §4.1.4 DELETED-STORAGE) */
	uint64_t
	        modseq; /* HIGHESTMODSEQ: grows with every change of its messages (expunge too) or of itself, never back */
	enum special_use use;
	bool subscribed;
};

struct message_row {
	uint32_t uid;
	uint32_t size; /* octets as handed out: prefix and body */
	int64_t message_id;
	uint64_t flags;
	uint64_t modseq;
};

struct account_usage {
	uint64_t bytes; /* every message counted once, in however many mailboxes it is */
	uint64_t messages;
	uint64_t modseq; /* of the account: grows with every change of anything */
};

bool account_usage(struct account *account, struct account_usage *out, struct error *err);

/* The account's keywords (RFC 9051 §2.3.2), as first written; compared without regard to ASCII case. A number keeps its name while any
 * message has it; when all numbers are given, those that no message has get new names. So a list goes with rows that were read with it
 * (mailbox_snapshot, account_changes), and one of an older version must not be used for newer rows. */
struct keyword_list {
	uint64_t version;                      /* the account's modseq when a name was last given or taken; 0: never */
	struct span names[FLAG_KEYWORD_COUNT]; /* names[n] is bit FLAG_KEYWORD_FIRST + n; empty: no name now */
	void *memory;
};
bool account_keywords(struct account *account, struct keyword_list *out, struct error *err);
void keyword_list_free(struct keyword_list *list); /* also of a zeroed one */

/* Names are UTF-8 with '/' between levels; INBOX in any case (RFC 9051 §5.1). ERR_NO_SUCH_MAILBOX. */
bool mailbox_find(struct account *account, struct span name, struct mailbox_info *out, struct error *err);
/* Where none has that name: the first one, in order of octets, that differs from it in the case of ASCII letters only. For names out of addresses,
 * whose case nobody keeps (address_key.h), while that of a mailbox counts. stored: how it is written. */
bool mailbox_find_any_case(struct account *account, struct span name, char stored[MAILBOX_NAME_MAX + 1],
        struct mailbox_info *out, struct error *err);
bool mailbox_find_use(struct account *account, enum special_use use, struct mailbox_info *out, struct error *err);
bool mailbox_find_id(struct account *account, int64_t mailbox_id, struct mailbox_info *out, struct error *err);
bool mailbox_list(struct account *account, void (*each)(void *arg, struct span name, const struct mailbox_info *info),
        void *arg, struct error *err);

/* All subscribed names, in order of octets; they need not be mailboxes. */
bool subscription_list(
        struct account *account, void (*each)(void *arg, struct span name), void *arg, struct error *err);

/* A mailbox as it was at one moment: what an index starts from. account_changes() since `modseq` brings it up to date. */
struct mailbox_snapshot {
	struct mailbox_info info; /* without `subscribed` */
	uint64_t modseq;          /* the account's */
	struct message_row *rows; /* rising UIDs; take it by setting it to NULL */
	size_t count;
	struct keyword_list keywords;
};
bool mailbox_snapshot(struct account *account, int64_t mailbox_id, struct mailbox_snapshot *out, struct error *err);
void mailbox_snapshot_free(struct mailbox_snapshot *snapshot);

/* All rows in order of UID, in one array that the caller frees with free(). ERR_NO_SUCH_MAILBOX, ERR_LIMIT above 2^31. */
bool mailbox_rows(
        struct account *account, int64_t mailbox_id, struct message_row **rows, size_t *count, struct error *err);

/* The newest ones, by UID, at most max; rising UIDs. Costs as many row reads as it gives. */
bool mailbox_newest(struct account *account, int64_t mailbox_id, struct message_row *rows, size_t max, size_t *count,
        struct error *err);

/* When each was put into this mailbox (RFC 8514 SAVEDATE), unix seconds; uids rising; 0 for those that are not there. */
bool mailbox_save_dates(struct account *account, int64_t mailbox_id, const uint32_t *uids, size_t count, int64_t *dates,
        struct error *err);

/* Appends up to size octets from offset of the message to out (prefix and body as one). Short only at the end of the message.
 * ERR_NO_SUCH_MESSAGE when its body is gone for good, ERR_DAMAGED when a file or row is not as long as recorded. */
bool message_read(struct account *account, int64_t message_id, uint64_t offset, size_t size, struct buffer *out,
        struct error *err);
/* The length of the header block, its empty line included. */
bool message_header_length(struct account *account, int64_t message_id, uint32_t *length, struct error *err);

#endif
