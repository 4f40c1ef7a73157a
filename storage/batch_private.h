/* storage/batch_private.h — what a batch is made of; for batch.c and the files that apply it. */
#ifndef STORAGE_BATCH_PRIVATE_H
#define STORAGE_BATCH_PRIVATE_H

#include "storage/batch.h"
#include "storage/body.h"
#include "storage/mailbox_name.h"

enum operation_type {
	OP_EXPECT,
	OP_APPEND,
	OP_FLAGS,
	OP_COPY,
	OP_MOVE,
	OP_EXPUNGE,
	OP_CREATE,
	OP_RENAME,
	OP_DELETE,
	OP_SUBSCRIBE
};

struct operation {
	enum operation_type type;
	int64_t mailbox_id; /* 0 in an append: by use */
	int64_t to;
	uint32_t *uids;
	size_t count;
	enum flag_change change;
	struct message_flags flags; /* of OP_APPEND and OP_FLAGS */
	struct span *keywords;      /* what flags.keywords points to: one allocation with its texts */
	uint64_t unchanged_since;
	bool only_deleted, all; /* OP_EXPUNGE */
	enum special_use use;
	uint32_t uid_validity;
	bool subscribed;
	struct mailbox_name *name;
	struct error name_error; /* of a name that cannot be; told when the batch is committed */
	struct new_message message;
	int64_t message_id; /* what OP_APPEND gave it */
	bool linked;        /* body names a file that is durable, and rubbish until the commit */
	struct body_name body;
};

struct batch {
	struct operation *operations;
	size_t count, capacity;
	uint8_t op_id[OP_ID_LEN];
	bool has_op_id, record_op, forget_op;
	uint64_t limit_bytes, limit_messages;
	bool failed; /* an operation could not be added */
	struct batch_result result;
	/* what the arrays of the result point to */
	uint32_t *uids, *sources, *modified, *removed;
	struct flags_row *rows;
	size_t uid_capacity, source_capacity, modified_capacity, removed_capacity, row_capacity;
};

/* Add one to the result; ERR_NO_MEMORY. */
bool batch_add_uid(struct batch *batch, uint32_t uid, uint32_t source, struct error *err);
bool batch_add_row(struct batch *batch, const struct flags_row *row, struct error *err);
bool batch_add_modified(struct batch *batch, uint32_t uid, struct error *err);
bool batch_add_removed(struct batch *batch, uint32_t uid, struct error *err);
/* As before any operation; the arrays keep their memory. */
void batch_clear_result(struct batch *batch);
bool batch_has_append(const struct batch *batch);

#endif
