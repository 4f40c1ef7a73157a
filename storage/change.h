/* storage/change.h — the transaction in which batches are applied: the account's and mailboxes' counters in memory, written once
 * at the end, so that 64 deliveries in one commit change those rows once. For storage/ only.
 *
 * apply_*() return false with one of two kinds of error: those of error_is_of_batch() undo this batch only; all others
 * (disk, memory, damage) end the whole transaction. */
#ifndef STORAGE_CHANGE_H
#define STORAGE_CHANGE_H

#include "storage/account.h"
#include "storage/batch_private.h"

#define CHANGE_MAILBOXES 8 /* kept in memory; the oldest is written back when more are touched */

struct account_row {
	uint64_t modseq;
	int64_t id_next;
	int64_t uid_validity_next;
	uint64_t usage_bytes;
	uint64_t usage_messages;
	uint64_t keyword_modseq;
};

struct mailbox_state {
	int64_t id;
	uint32_t uid_validity;
	uint32_t uid_next;
	uint32_t messages;
	uint32_t unseen;
	uint32_t deleted;
	uint64_t size;
	uint64_t deleted_size;
	uint64_t modseq;
	enum special_use use;
	bool dirty;
};

/* What a savepoint must be able to bring back. */
struct change_state {
	struct account_row row;
	struct mailbox_state mailboxes[CHANGE_MAILBOXES];
	unsigned mailbox_count;
	unsigned next_out;
	size_t freed_count;
	size_t appended_count, written_count;
	bool dirty;
};

struct change {
	struct account *account;
	struct database *database;
	int64_t now; /* clock_wall_ms() */
	struct change_state state, saved;
	struct batch *batch;
	uint64_t modseq;         /* of this batch; 0: nothing changed yet */
	struct body_name *freed; /* files to remove after the commit */
	size_t freed_capacity;
	struct operation **appended; /* written_count of them have their octets in the database */
	size_t appended_capacity;
	struct buffer head;     /* scratch */
	unsigned freed_at_once; /* messages */
};

/* The number of this batch's changes; the first call of a batch takes it. */
uint64_t change_modseq(struct change *change);
/* The counters of a mailbox, to be changed in place; valid until the second next call. ERR_NO_SUCH_MAILBOX. */
bool change_mailbox(struct change *change, int64_t id, struct mailbox_state **out, struct error *err);
/* The same for one that messages go to: when it is missing the result says so. */
bool change_target(struct change *change, int64_t id, struct mailbox_state **out, struct error *err);
/* A message comes into or leaves a mailbox. */
void change_count(struct mailbox_state *mailbox, uint64_t size, uint64_t flags, bool added);
/* Marks it changed now. */
void change_touch(struct change *change, struct mailbox_state *mailbox);
void change_forget_mailbox(struct change *change, int64_t id); /* its row is gone */
/* Remembers a body file to be removed once the commit is durable. */
bool change_free_file(struct change *change, struct span name, struct error *err);

bool apply_append(struct change *change, struct operation *operation, struct error *err);
/* The octets of what was appended so far: last and together, so that rows of one kind lie side by side in the file, and a walk along
 * them reads little else. */
bool append_octets(struct change *change, struct error *err);
bool apply_flags(struct change *change, const struct operation *operation, struct error *err);
bool apply_copy(struct change *change, const struct operation *operation, struct error *err);
bool apply_move(struct change *change, const struct operation *operation, struct error *err);
bool apply_expunge(struct change *change, const struct operation *operation, struct error *err);
bool apply_create(struct change *change, const struct operation *operation, struct error *err);
bool apply_rename(struct change *change, const struct operation *operation, struct error *err);
bool apply_delete(struct change *change, const struct operation *operation, struct error *err);
bool apply_subscribe(struct change *change, const struct operation *operation, struct error *err);

/* storage/keyword.c: the bits for flags. make: names that have no number get one; else they have no bit. */
bool keyword_bits(
        struct change *change, const struct message_flags *flags, bool make, uint64_t *bits, struct error *err);

/* All of a mailbox's messages go, or move to another one. */
bool apply_expunge_all(struct change *change, int64_t mailbox_id, struct error *err);
bool apply_move_all(struct change *change, int64_t from, int64_t to, struct error *err);

/* storage/expunge.c: the message has lost a membership; when that was the last it is kept, or freed: at once when such messages are few, else by
 * change_tidy(), in transactions of their own, since nobody should wait for that. */
bool message_hold(struct change *change, int64_t message_id, struct error *err); /* one more membership */
bool message_drop(struct change *change, int64_t message_id, uint64_t size, struct error *err);
/* Frees what has been kept long enough; a bounded piece of work. */
bool change_tidy(struct change *change, struct error *err);

/* storage/thread.c: which thread a new message belongs to; remembers its ids. */
bool thread_assign(struct change *change, const struct message_summary *summary, int64_t message_id, int64_t *thread_id,
        struct error *err);
bool thread_forget(
        struct change *change, int64_t thread_id, struct span message_id, struct span base_subject, struct error *err);

#endif
