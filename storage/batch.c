#include "storage/batch.h"

#include "storage/batch_private.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_OPERATIONS 4
#define FIRST_UIDS       4

struct batch *batch_new(const uint8_t *op_id)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	if (batch != NULL && op_id != NULL) {
		memcpy(batch->op_id, op_id, OP_ID_LEN);
		batch->has_op_id = true;
	}
	return batch;
}

void batch_free(struct batch **batch)
{
	struct batch *gone = *batch;

	if (gone == NULL)
		return;
	for (size_t i = 0; i < gone->count; i++) {
		free(gone->operations[i].uids);
		free(gone->operations[i].name);
	}
	free(gone->operations);
	free(gone->uids);
	free(gone->sources);
	free(gone);
	*batch = NULL;
}

void batch_record_op(struct batch *batch)
{
	batch->record_op = true;
}

void batch_forget_op(struct batch *batch)
{
	batch->forget_op = true;
}

void batch_limit_usage(struct batch *batch, uint64_t bytes, uint64_t messages)
{
	batch->limit_bytes = bytes;
	batch->limit_messages = messages;
}

static bool grow(struct batch *batch)
{
	size_t capacity = batch->capacity == 0 ? FIRST_OPERATIONS : batch->capacity * 2;
	struct operation *operations = realloc(batch->operations, capacity * sizeof(*operations));

	if (operations == NULL)
		return false;
	batch->operations = operations;
	batch->capacity = capacity;
	return true;
}

static struct operation *add(struct batch *batch, enum operation_type type, int64_t mailbox_id)
{
	struct operation *operation;

	if (batch->failed || batch->count == BATCH_OPS_MAX || (batch->count == batch->capacity && !grow(batch))) {
		batch->failed = true;
		return NULL;
	}
	operation = &batch->operations[batch->count++];
	*operation = (struct operation) { .type = type, .mailbox_id = mailbox_id };
	return operation;
}

static struct operation *add_with_uids(
        struct batch *batch, enum operation_type type, int64_t mailbox_id, const uint32_t *uids, size_t count)
{
	struct operation *operation = add(batch, type, mailbox_id);

	if (operation == NULL || count == 0)
		return operation;
	operation->uids = malloc(count * sizeof(*uids));
	if (operation->uids == NULL) {
		batch->failed = true;
		return NULL;
	}
	memcpy(operation->uids, uids, count * sizeof(*uids));
	operation->count = count;
	return operation;
}

static struct operation *add_with_name(
        struct batch *batch, enum operation_type type, int64_t mailbox_id, struct span name)
{
	struct operation *operation = add(batch, type, mailbox_id);

	if (operation == NULL)
		return NULL;
	operation->name = malloc(sizeof(*operation->name));
	if (operation->name == NULL) {
		batch->failed = true;
		return NULL;
	}
	operation->name_error.code = ERR_NONE;
	(void)mailbox_name_parse(name, operation->name, &operation->name_error);
	return operation;
}

void batch_expect_uid_validity(struct batch *batch, int64_t mailbox_id, uint32_t uid_validity)
{
	struct operation *operation = add(batch, OP_EXPECT, mailbox_id);

	if (operation != NULL)
		operation->uid_validity = uid_validity;
}

bool batch_append(struct batch *batch, int64_t mailbox_id, const struct new_message *message)
{
	struct operation *operation = add(batch, OP_APPEND, mailbox_id);

	if (operation != NULL)
		operation->message = *message;
	return operation != NULL;
}

bool batch_append_to_use(struct batch *batch, enum special_use use, const struct new_message *message)
{
	struct operation *operation = add(batch, OP_APPEND, 0);

	if (operation != NULL) {
		operation->use = use;
		operation->message = *message;
	}
	return operation != NULL;
}

bool batch_flags(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count, enum flag_change change,
        uint64_t flags)
{
	struct operation *operation = add_with_uids(batch, OP_FLAGS, mailbox_id, uids, count);

	if (operation != NULL) {
		operation->change = change;
		operation->flags = flags;
	}
	return operation != NULL;
}

bool batch_copy(struct batch *batch, int64_t from, const uint32_t *uids, size_t count, int64_t to)
{
	struct operation *operation = add_with_uids(batch, OP_COPY, from, uids, count);

	if (operation != NULL)
		operation->to = to;
	return operation != NULL;
}

bool batch_move(struct batch *batch, int64_t from, const uint32_t *uids, size_t count, int64_t to)
{
	struct operation *operation = add_with_uids(batch, OP_MOVE, from, uids, count);

	if (operation != NULL)
		operation->to = to;
	return operation != NULL;
}

bool batch_expunge(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count)
{
	return add_with_uids(batch, OP_EXPUNGE, mailbox_id, uids, count) != NULL;
}

bool batch_mailbox_create(struct batch *batch, struct span name, enum special_use use)
{
	struct operation *operation = add_with_name(batch, OP_CREATE, 0, name);

	if (operation != NULL)
		operation->use = use;
	return operation != NULL;
}

bool batch_mailbox_rename(struct batch *batch, int64_t mailbox_id, struct span name)
{
	return add_with_name(batch, OP_RENAME, mailbox_id, name) != NULL;
}

bool batch_mailbox_delete(struct batch *batch, int64_t mailbox_id)
{
	return add(batch, OP_DELETE, mailbox_id) != NULL;
}

bool batch_mailbox_subscribe(struct batch *batch, struct span name, bool subscribed)
{
	struct operation *operation = add_with_name(batch, OP_SUBSCRIBE, 0, name);

	if (operation != NULL)
		operation->subscribed = subscribed;
	return operation != NULL;
}

const struct batch_result *batch_result(const struct batch *batch)
{
	return &batch->result;
}

bool batch_has_append(const struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->operations[i].type == OP_APPEND)
			return true;
	}
	return false;
}

static bool grow_uids(struct batch *batch)
{
	size_t capacity = batch->uid_capacity == 0 ? FIRST_UIDS : batch->uid_capacity * 2;
	uint32_t *uids = realloc(batch->uids, capacity * sizeof(*uids));
	uint32_t *sources;

	if (uids == NULL)
		return false;
	batch->uids = uids;
	sources = realloc(batch->sources, capacity * sizeof(*sources));
	if (sources == NULL)
		return false;
	batch->sources = sources;
	batch->uid_capacity = capacity;
	return true;
}

bool batch_add_uid(struct batch *batch, uint32_t uid, uint32_t source, struct error *err)
{
	struct batch_result *result = &batch->result;

	if (result->uid_count == batch->uid_capacity && !grow_uids(batch))
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	batch->uids[result->uid_count] = uid;
	batch->sources[result->uid_count] = source;
	result->uid_count++;
	result->uids = batch->uids;
	result->source_uids = batch->sources;
	return true;
}
