#include "storage/change.h"

#include "base/check.h"
#include "message/summary.h"
#include "storage/checksum.h"
#include "storage/content.h"
#include "storage/spool_private.h"

#include <stdlib.h>

static bool within_quota(const struct change *change, uint64_t size, struct error *err)
{
	const struct account_row *row = &change->state.row;
	const struct batch *batch = change->batch;

	if (batch->limit_bytes != 0 && row->usage_bytes + size > batch->limit_bytes)
		return error_set(err, ERR_OVER_QUOTA, "the mailbox is full");
	if (batch->limit_messages != 0 && row->usage_messages + 1 > batch->limit_messages)
		return error_set(err, ERR_OVER_QUOTA, "the mailbox is full: too many messages");
	return true;
}

static bool find_target(
        struct change *change, const struct operation *operation, struct mailbox_state **out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	int64_t id;

	if (operation->use == USE_NONE)
		return change_target(change, operation->mailbox_id, out, err);
	if (!DATABASE_QUERY(change->database, MAIL_MAILBOX_BY_USE, &rows, err, V_INT(operation->use)))
		return false;
	step = database_step(change->database, rows, err);
	id = step == STEP_ROW ? sqlite3_column_int64(rows, 0) : 0;
	database_done(rows);
	if (step == STEP_DONE) {
		change->batch->result.no_target = true;
		return error_set(err, ERR_NO_SUCH_MAILBOX, "no mailbox for that use");
	}
	return step == STEP_ROW && change_target(change, id, out, err);
}

static bool insert_message(struct change *change, const struct new_message *message, uint64_t size, int64_t id,
        int64_t thread_id, struct error *err)
{
	const struct message_summary *summary = message->summary;
	int traits = (summary->subject_is_reply ? TRAIT_REPLY : 0) | (summary->has_attachment ? TRAIT_ATTACHMENT : 0);

	return DATABASE_RUN(change->database, MAIL_MESSAGE_NEW, err, V_INT(id), V_INT(thread_id),
	        V_INT(message->internal_date_ms), summary->has_date ? V_INT(summary->date) : V_NULL, V_INT(size),
	        V_INT(summary->header_len), V_INT(traits), V_BLOB(summary->envelope), V_BLOB(summary->body),
	        V_BLOB(summary->body_structure), V_BLOB(summary->parts), V_TEXT(summary->preview),
	        V_TEXT(summary->base_subject), V_BLOB(summary->message_id), V_BLOB(summary->in_reply_to),
	        V_BLOB(summary->references));
}

/* head: the prefix, and of the body what belongs to the header, CONTENT_HEAD_MAX in all; *skip is how much of the body that was. */
static bool build_head(struct change *change, const struct new_message *message, size_t *skip, struct error *err)
{
	uint64_t header = message->summary->header_len, body = spool_size(message->body);
	struct buffer *head = &change->head;
	size_t got;

	if (header > CONTENT_HEAD_MAX)
		header = CONTENT_HEAD_MAX;
	*skip = 0;
	if (header > message->prefix.len)
		*skip = (size_t)(header - message->prefix.len < body ? header - message->prefix.len : body);
	buffer_clear(head);
	if (!buffer_append_span(head, message->prefix) || !buffer_reserve(head, *skip + 1))
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (!spool_read(message->body, 0, head->data + head->len, *skip, &got, err))
		return false;
	CHECK(got == *skip);
	head->len += got;
	return true;
}

static bool insert_header(struct change *change, const struct operation *operation, struct error *err)
{
	size_t skip;

	return build_head(change, &operation->message, &skip, err) &&
	       DATABASE_RUN(change->database, MAIL_HEADER_NEW, err, V_INT(operation->message_id),
	               V_BLOB(buffer_span(&change->head)));
}

static bool insert_content(struct change *change, const struct operation *operation, struct error *err)
{
	const struct new_message *message = &operation->message;
	int64_t id = operation->message_id;
	struct span head, rest;
	size_t skip;

	if (!build_head(change, message, &skip, err))
		return false;
	head = buffer_span(&change->head);
	if (operation->linked)
		return DATABASE_RUN(change->database, MAIL_CONTENT_NEW, err, V_INT(id), V_INT(CONTENT_FILE),
		        V_INT(spool_size(message->body)), V_INT(skip), V_NULL, V_TEXT(span_of(operation->body.text)),
		        V_NULL);
	rest = span_skip(spool_memory(message->body), skip);
	return DATABASE_RUN(change->database, MAIL_CONTENT_NEW, err, V_INT(id), V_INT(CONTENT_ROW), V_INT(rest.len),
	        V_INT(0), V_INT(content_checksum(head, rest)), V_NULL, V_BLOB(rest));
}

bool append_octets(struct change *change, struct error *err)
{
	struct change_state *state = &change->state;

	for (size_t i = state->written_count; i < state->appended_count; i++) {
		if (!insert_header(change, change->appended[i], err))
			return false;
	}
	for (size_t i = state->written_count; i < state->appended_count; i++) {
		if (!insert_content(change, change->appended[i], err))
			return false;
	}
	state->written_count = state->appended_count;
	return true;
}

static bool add_appended(struct change *change, struct operation *operation, struct error *err)
{
	if (change->state.appended_count == change->appended_capacity) {
		size_t capacity = change->appended_capacity == 0 ? 16 : change->appended_capacity * 2;
		struct operation **bigger = reallocarray(change->appended, capacity, sizeof(*bigger));

		if (bigger == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		change->appended = bigger;
		change->appended_capacity = capacity;
	}
	change->appended[change->state.appended_count++] = operation;
	return true;
}

static bool insert_membership(struct change *change, struct mailbox_state *mailbox, uint64_t flags, uint64_t size,
        int64_t id, struct error *err)
{
	uint32_t uid = mailbox->uid_next;

	if (!DATABASE_RUN(change->database, MAIL_ROW_NEW, err, V_INT(mailbox->id), V_INT(uid), V_INT(id), V_INT(size),
	            V_INT(flags), V_INT(change_modseq(change)), V_INT(change->now / 1000)))
		return false;
	change_touch(change, mailbox);
	mailbox->uid_next++;
	change_count(mailbox, size, flags, true);
	return batch_add_uid(change->batch, uid, 0, err);
}

bool apply_append(struct change *change, struct operation *operation, struct error *err)
{
	const struct new_message *message = &operation->message;
	uint64_t size = message->prefix.len + spool_size(message->body);
	struct mailbox_state *mailbox;
	int64_t id, thread_id;
	uint64_t flags;

	if (!find_target(change, operation, &mailbox, err) || !within_quota(change, size, err))
		return false;
	if (size > UINT32_MAX)
		return error_set(err, ERR_TOO_LARGE, "message too large");
	if (mailbox->uid_next == UINT32_MAX)
		return error_set(err, ERR_LIMIT, "no more UIDs in this mailbox");
	if (!keyword_bits(change, &operation->flags, true, &flags, err))
		return false;
	operation->message_id = id = change->state.row.id_next++;
	change->state.row.usage_bytes += size;
	change->state.row.usage_messages++;
	return thread_assign(change, message->summary, id, &thread_id, err) &&
	       insert_message(change, message, size, id, thread_id, err) &&
	       insert_membership(change, mailbox, flags, size, id, err) && add_appended(change, operation, err);
}
