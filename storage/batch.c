#include "storage/batch.h"

#include "storage/batch_private.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_OPERATIONS 4
#define FIRST_RESULTS    4

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
		free(gone->operations[i].keywords);
		free(gone->operations[i].name);
	}
	free(gone->operations);
	free(gone->uids);
	free(gone->sources);
	free(gone->modified);
	free(gone->removed);
	free(gone->rows);
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

/* The texts stand behind the spans, in one allocation. */
static struct span *copy_keywords(const struct message_flags *flags)
{
	size_t size = flags->keyword_count * sizeof(struct span);
	struct span *spans;
	char *text;

	for (size_t i = 0; i < flags->keyword_count; i++)
		size += flags->keywords[i].len;
	spans = malloc(size);
	if (spans == NULL)
		return NULL;
	text = (char *)(spans + flags->keyword_count);
	for (size_t i = 0; i < flags->keyword_count; i++) {
		struct span name = flags->keywords[i];

		if (name.len > 0)
			memcpy(text, name.ptr, name.len);
		spans[i] = span_make(text, name.len);
		text += name.len;
	}
	return spans;
}

static bool set_flags(struct batch *batch, struct operation *operation, const struct message_flags *flags)
{
	operation->flags.system = flags->system & FLAG_SYSTEM;
	if (flags->keyword_count == 0)
		return true;
	if (flags->keyword_count <= BATCH_KEYWORDS_MAX)
		operation->keywords = copy_keywords(flags);
	if (operation->keywords == NULL) {
		batch->failed = true;
		return false;
	}
	operation->flags.keywords = operation->keywords;
	operation->flags.keyword_count = flags->keyword_count;
	return true;
}

bool batch_append(struct batch *batch, int64_t mailbox_id, const struct new_message *message)
{
	struct operation *operation = add(batch, OP_APPEND, mailbox_id);

	if (operation == NULL)
		return false;
	operation->message = *message;
	return set_flags(batch, operation, &message->flags);
}

bool batch_append_to_use(struct batch *batch, enum special_use use, const struct new_message *message)
{
	struct operation *operation = add(batch, OP_APPEND, 0);

	if (operation == NULL)
		return false;
	operation->use = use;
	operation->message = *message;
	return set_flags(batch, operation, &message->flags);
}

bool batch_flags(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count, enum flag_change change,
        const struct message_flags *flags, uint64_t unchanged_since)
{
	struct operation *operation = add_with_uids(batch, OP_FLAGS, mailbox_id, uids, count);

	if (operation == NULL)
		return false;
	operation->change = change;
	operation->unchanged_since = unchanged_since;
	return set_flags(batch, operation, flags);
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

bool batch_expunge_deleted(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count)
{
	struct operation *operation = add_with_uids(batch, OP_EXPUNGE, mailbox_id, uids, uids == NULL ? 0 : count);

	if (operation == NULL)
		return false;
	operation->only_deleted = true;
	operation->all = uids == NULL;
	return true;
}

bool batch_mailbox_create(struct batch *batch, struct span name, enum special_use use)
{
	bool ends = name.len > 1 && name.ptr[name.len - 1] == '/'; /* RFC 9051 §6.3.4 */
	struct operation *operation = add_with_name(batch, OP_CREATE, 0, span_first(name, name.len - ends));

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

/* Room for one more; memory grows by doubling. */
static bool has_room(void **array, size_t *capacity, size_t count, size_t item, struct error *err)
{
	size_t bigger = *capacity == 0 ? FIRST_RESULTS : *capacity * 2;
	void *moved;

	if (count < *capacity)
		return true;
	moved = realloc(*array, bigger * item);
	if (moved == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	*array = moved;
	*capacity = bigger;
	return true;
}

static bool add_number(uint32_t **array, size_t *capacity, size_t count, uint32_t number, struct error *err)
{
	void *memory = *array;
	bool ok = has_room(&memory, capacity, count, sizeof(number), err);

	*array = memory;
	if (ok)
		(*array)[count] = number;
	return ok;
}

bool batch_add_uid(struct batch *batch, uint32_t uid, uint32_t source, struct error *err)
{
	struct batch_result *result = &batch->result;

	if (!add_number(&batch->uids, &batch->uid_capacity, result->uid_count, uid, err) ||
	        !add_number(&batch->sources, &batch->source_capacity, result->uid_count, source, err))
		return false;
	result->uid_count++;
	result->uids = batch->uids;
	result->source_uids = batch->sources;
	return true;
}

bool batch_add_row(struct batch *batch, const struct flags_row *row, struct error *err)
{
	void *memory = batch->rows;
	bool ok = has_room(&memory, &batch->row_capacity, batch->result.row_count, sizeof(*row), err);

	batch->rows = memory;
	if (ok)
		batch->rows[batch->result.row_count++] = *row;
	batch->result.rows = batch->rows;
	return ok;
}

bool batch_add_modified(struct batch *batch, uint32_t uid, struct error *err)
{
	struct batch_result *result = &batch->result;

	if (!add_number(&batch->modified, &batch->modified_capacity, result->modified_count, uid, err))
		return false;
	result->modified_count++;
	result->modified = batch->modified;
	return true;
}

bool batch_add_removed(struct batch *batch, uint32_t uid, struct error *err)
{
	struct batch_result *result = &batch->result;

	if (!add_number(&batch->removed, &batch->removed_capacity, result->removed_count, uid, err))
		return false;
	result->removed_count++;
	result->removed = batch->removed;
	return true;
}

void batch_clear_result(struct batch *batch)
{
	batch->result = (struct batch_result) { 0 };
	error_clear(&batch->result.error);
}
