/* account_commit(): several batches of one account in one transaction; storage/change.h has the parts. */
#include "storage/batch.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "storage/change.h"
#include "storage/notify.h"
#include "storage/reserve.h"
#include "storage/spool_private.h"

#include <stdlib.h>
#include <string.h>

#define MANY_ROWS     8 /* from here on the larger cache of pages is worth its two pragmas */
#define OP_ID_KEEP_MS ((int64_t)OP_ID_KEEP_DAYS * 86400 * 1000)

/* Errors that are about what the batch asked for; after any other the transaction is not to be trusted. */
static bool error_is_of_batch(const struct error *err)
{
	switch (err->code) {
	case ERR_NO_SUCH_MAILBOX:
	case ERR_UNSUPPORTED:
	case ERR_OVER_QUOTA:
	case ERR_CONFLICT:
	case ERR_EXISTS:
	case ERR_BAD_VALUE:
	case ERR_TOO_LONG:
	case ERR_TOO_LARGE:
	case ERR_LIMIT:
	case ERR_DENIED: return true;
	default: return false;
	}
}

uint64_t change_modseq(struct change *change)
{
	if (change->modseq == 0) {
		change->modseq = ++change->state.row.modseq;
		change->state.dirty = true;
	}
	return change->modseq;
}

bool change_free_file(struct change *change, struct span name, struct error *err)
{
	if (change->state.freed_count == change->freed_capacity) {
		size_t capacity = change->freed_capacity == 0 ? 16 : change->freed_capacity * 2;
		struct body_name *freed = realloc(change->freed, capacity * sizeof(*freed));

		if (freed == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		change->freed = freed;
		change->freed_capacity = capacity;
	}
	if (!span_copy(name, change->freed[change->state.freed_count].text, sizeof(change->freed[0].text)))
		return error_detail(err, ERR_DAMAGED, "%.200s: a row names no proper body file", change->account->path);
	change->state.freed_count++;
	return true;
}

static bool load_account(struct change *change, struct error *err)
{
	struct account_row *row = &change->state.row;
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(change->database, MAIL_ACCOUNT, NULL, 0, &rows, err))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW) {
		row->modseq = (uint64_t)sqlite3_column_int64(rows, 0);
		row->id_next = sqlite3_column_int64(rows, 1);
		row->uid_validity_next = sqlite3_column_int64(rows, 2);
		row->usage_bytes = (uint64_t)sqlite3_column_int64(rows, 3);
		row->usage_messages = (uint64_t)sqlite3_column_int64(rows, 4);
		row->keyword_modseq = (uint64_t)sqlite3_column_int64(rows, 5);
	}
	database_done(rows);
	if (step == STEP_DONE)
		error_detail(err, ERR_DAMAGED, "%.200s: no account row", change->account->path);
	return step == STEP_ROW;
}

static bool save_account(struct change *change, struct error *err)
{
	const struct account_row *row = &change->state.row;

	if (!change->state.dirty)
		return true;
	return DATABASE_RUN(change->database, MAIL_ACCOUNT_SET, err, V_INT(row->modseq), V_INT(row->id_next),
	        V_INT(row->uid_validity_next), V_INT(row->usage_bytes), V_INT(row->usage_messages),
	        V_INT(row->keyword_modseq));
}

static bool load_mailbox(struct change *change, int64_t id, struct mailbox_state *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(change->database, MAIL_MAILBOX, &rows, err, V_INT(id)))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW) {
		*out = (struct mailbox_state) {
			.id = id,
			.uid_validity = (uint32_t)sqlite3_column_int64(rows, 1),
			.uid_next = (uint32_t)sqlite3_column_int64(rows, 2),
			.messages = (uint32_t)sqlite3_column_int64(rows, 3),
			.unseen = (uint32_t)sqlite3_column_int64(rows, 4),
			.deleted = (uint32_t)sqlite3_column_int64(rows, 5),
			.size = (uint64_t)sqlite3_column_int64(rows, 6),
			.deleted_size = (uint64_t)sqlite3_column_int64(rows, 7),
			.modseq = (uint64_t)sqlite3_column_int64(rows, 8),
			.use = (enum special_use)sqlite3_column_int64(rows, 9),
		};
	}
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	return step == STEP_ROW;
}

static bool save_mailbox(struct change *change, struct mailbox_state *mailbox, struct error *err)
{
	if (!mailbox->dirty)
		return true;
	mailbox->dirty = false;
	return DATABASE_RUN(change->database, MAIL_MAILBOX_SET, err, V_INT(mailbox->uid_next), V_INT(mailbox->messages),
	        V_INT(mailbox->unseen), V_INT(mailbox->deleted), V_INT(mailbox->size), V_INT(mailbox->deleted_size),
	        V_INT(mailbox->modseq), V_INT(mailbox->id));
}

bool change_mailbox(struct change *change, int64_t id, struct mailbox_state **out, struct error *err)
{
	struct change_state *state = &change->state;
	struct mailbox_state loaded, *place;

	for (unsigned i = 0; i < state->mailbox_count; i++) {
		if (state->mailboxes[i].id == id) {
			*out = &state->mailboxes[i];
			return true;
		}
	}
	if (!load_mailbox(change, id, &loaded, err))
		return false;
	if (state->mailbox_count < CHANGE_MAILBOXES) {
		place = &state->mailboxes[state->mailbox_count++];
	} else {
		place = &state->mailboxes[state->next_out];
		state->next_out = (state->next_out + 1) % CHANGE_MAILBOXES;
		if (!save_mailbox(change, place, err))
			return false;
	}
	*place = loaded;
	*out = place;
	return true;
}

bool change_target(struct change *change, int64_t id, struct mailbox_state **out, struct error *err)
{
	if (!change_mailbox(change, id, out, err)) {
		change->batch->result.no_target = err->code == ERR_NO_SUCH_MAILBOX;
		return false;
	}
	change->batch->result.uid_validity = (*out)->uid_validity;
	return true;
}

void change_count(struct mailbox_state *mailbox, uint64_t size, uint64_t flags, bool added)
{
	bool deleted = (flags & FLAG_DELETED) != 0;
	uint32_t one = added ? 1 : UINT32_MAX; /* modulo 2^32 and 2^64 */
	uint64_t octets = added ? size : -size;

	mailbox->messages += one;
	mailbox->size += octets;
	if ((flags & FLAG_SEEN) == 0)
		mailbox->unseen += one;
	if (deleted) {
		mailbox->deleted += one;
		mailbox->deleted_size += octets;
	}
}

void change_touch(struct change *change, struct mailbox_state *mailbox)
{
	mailbox->modseq = change_modseq(change);
	mailbox->dirty = true;
}

void change_forget_mailbox(struct change *change, int64_t id)
{
	struct change_state *state = &change->state;

	for (unsigned i = 0; i < state->mailbox_count; i++) {
		if (state->mailboxes[i].id != id)
			continue;
		state->mailboxes[i] = state->mailboxes[--state->mailbox_count];
		state->next_out = 0;
		return;
	}
}

static bool save_all(struct change *change, struct error *err)
{
	for (unsigned i = 0; i < change->state.mailbox_count; i++) {
		if (!save_mailbox(change, &change->state.mailboxes[i], err))
			return false;
	}
	return save_account(change, err);
}

static bool apply_expect(struct change *change, const struct operation *operation, struct error *err)
{
	struct mailbox_state *mailbox;

	if (!change_mailbox(change, operation->mailbox_id, &mailbox, err))
		return false;
	return mailbox->uid_validity == operation->uid_validity ||
	       error_set(err, ERR_CONFLICT, "UIDVALIDITY is another");
}

static bool apply_operation(struct change *change, struct operation *operation, struct error *err)
{
	if (operation->name != NULL && operation->name_error.code != ERR_NONE) {
		*err = operation->name_error;
		return false;
	}
	switch (operation->type) {
	case OP_EXPECT: return apply_expect(change, operation, err);
	case OP_APPEND: return apply_append(change, operation, err);
	case OP_FLAGS: return apply_flags(change, operation, err);
	case OP_COPY: return apply_copy(change, operation, err);
	case OP_MOVE: return apply_move(change, operation, err);
	case OP_EXPUNGE: return apply_expunge(change, operation, err);
	case OP_CREATE: return apply_create(change, operation, err);
	case OP_RENAME: return apply_rename(change, operation, err);
	case OP_DELETE: return apply_delete(change, operation, err);
	case OP_SUBSCRIBE: return apply_subscribe(change, operation, err);
	}
	return error_detail(err, ERR_INTERNAL, "operation of type %d", (int)operation->type);
}

/* Design 2.2: what was done before is not done again. */
static bool look_for_op(struct change *change, struct batch *batch, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!batch->has_op_id)
		return true;
	if (batch->forget_op)
		return DATABASE_RUN(
		        change->database, MAIL_OPERATION_FORGET, err, V_BLOB(span_make(batch->op_id, OP_ID_LEN)));
	if (!DATABASE_QUERY(change->database, MAIL_OPERATION, &rows, err, V_BLOB(span_make(batch->op_id, OP_ID_LEN))))
		return false;
	step = database_step(change->database, rows, err);
	database_done(rows);
	batch->result.already_done = step == STEP_ROW;
	return step != STEP_FAILED;
}

static bool record_op(struct change *change, const struct batch *batch, struct error *err)
{
	if (!batch->has_op_id || !batch->record_op)
		return true;
	return DATABASE_RUN(change->database, MAIL_OPERATION_NEW, err, V_BLOB(span_make(batch->op_id, OP_ID_LEN)),
	               V_INT(change->now)) &&
	       DATABASE_RUN(change->database, MAIL_OPERATION_TIDY, err, V_INT(change->now - OP_ID_KEEP_MS));
}

static bool apply_batch(struct change *change, struct batch *batch, struct error *err)
{
	change->batch = batch;
	change->modseq = 0;
	if (!look_for_op(change, batch, err))
		return false;
	for (size_t i = 0; i < batch->count && !batch->result.already_done; i++) {
		if (!apply_operation(change, &batch->operations[i], err))
			return false;
	}
	if (!batch->result.already_done && !record_op(change, batch, err))
		return false;
	batch->result.modseq = change->state.row.modseq;
	batch->result.keywords = change->state.row.keyword_modseq;
	return true;
}

static void refuse_batch(struct change *change, struct batch *batch, const struct error *why)
{
	bool no_target = batch->result.no_target;

	change->state = change->saved;
	batch_clear_result(batch);
	batch->result.error = *why;
	batch->result.no_target = no_target;
}

static bool apply_with_savepoint(struct change *change, struct batch *batch, struct error *err)
{
	struct error why;

	error_clear(&why);
	change->saved = change->state;
	if (!database_savepoint(change->database, err))
		return false;
	if (apply_batch(change, batch, &why))
		return database_savepoint_keep(change->database, err);
	if (!error_is_of_batch(&why)) {
		*err = why;
		return false;
	}
	refuse_batch(change, batch, &why);
	return database_savepoint_undo(change->database, err);
}

static bool apply_all(struct change *change, struct batch **batches, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (batches[i]->result.error.code != ERR_NONE)
			continue;
		if (!apply_with_savepoint(change, batches[i], err))
			return false;
	}
	return append_octets(change, err) && save_all(change, err);
}

/* One batch alone needs no savepoint, which would copy every page before it is changed: its end is the transaction's. */
static bool run_alone(struct change *change, struct batch *batch, struct error *err)
{
	if (batch->result.error.code != ERR_NONE)
		return true;
	change->saved = change->state;
	if (!database_begin(change->database, err))
		return false;
	if (load_account(change, err) && apply_batch(change, batch, err) && append_octets(change, err) &&
	        save_all(change, err))
		return database_commit(change->database, err);
	database_rollback(change->database);
	if (!error_is_of_batch(err))
		return false;
	refuse_batch(change, batch, err);
	error_clear(err);
	return true;
}

static bool run_transaction(struct change *change, struct batch **batches, size_t count, struct error *err)
{
	if (count == 1)
		return run_alone(change, batches[0], err);
	if (!database_begin(change->database, err))
		return false;
	if (load_account(change, err) && apply_all(change, batches, count, err))
		return database_commit(change->database, err);
	database_rollback(change->database);
	return false;
}

static void reset_change(struct change *change)
{
	change->state = (struct change_state) { 0 };
	change->freed_at_once = 0;
	change->now = clock_wall_ms();
}

static void reset_result(struct batch *batch)
{
	batch_clear_result(batch);
	if (batch->failed)
		error_set(&batch->result.error, ERR_LIMIT, "too many operations, or out of memory");
}

static uint64_t octets_of(const struct batch *batch)
{
	uint64_t octets = 0;

	for (size_t i = 0; i < batch->count; i++) {
		if (batch->operations[i].type == OP_APPEND)
			octets += spool_size(batch->operations[i].message.body);
	}
	return octets;
}

/* For all together, since asking costs a system call; where that is too much each is asked for alone. */
static void check_room(struct account *account, struct batch **batches, size_t count)
{
	uint64_t octets = 0;
	bool any = false;
	struct error err;

	for (size_t i = 0; i < count; i++) {
		any |= batch_has_append(batches[i]);
		octets += octets_of(batches[i]);
	}
	if (!any || reserve_allows(account->store->reserve, octets, &err))
		return;
	for (size_t i = 0; i < count; i++) {
		struct error *why = &batches[i]->result.error;

		if (why->code == ERR_NONE && batch_has_append(batches[i]))
			(void)reserve_allows(account->store->reserve, octets_of(batches[i]), why);
	}
}

/* What goes wrong here is this batch's alone. */
static bool link_bodies(struct account *account, struct body_shelf *shelf, struct batch *batch)
{
	struct error *err = &batch->result.error;
	bool any = false;

	for (size_t i = 0; i < batch->count && err->code == ERR_NONE; i++) {
		struct operation *operation = &batch->operations[i];

		if (operation->type != OP_APPEND || !spool_is_file(operation->message.body))
			continue;
		body_shelf_choose(shelf);
		operation->linked = body_link(account->path, shelf, operation->message.body, &operation->body, err);
		any |= operation->linked;
	}
	return any;
}

static bool has_linked(const struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->operations[i].linked)
			return true;
	}
	return false;
}

/* Slow files are made durable before the lock is taken. */
static void prepare_batches(struct account *account, struct batch **batches, size_t count)
{
	struct body_shelf shelf = { .digits = "" };
	bool any = false;
	struct error err;

	check_room(account, batches, count);
	for (size_t i = 0; i < count; i++)
		any |= link_bodies(account, &shelf, batches[i]);
	if (!any || body_shelf_sync(account->path, &shelf, &err))
		return;
	for (size_t i = 0; i < count; i++) {
		if (batches[i]->result.error.code == ERR_NONE && has_linked(batches[i]))
			batches[i]->result.error = err;
	}
}

/* Removes the body files of batches that did not happen. Where nobody can know whether they did, a file without a row is
 * rubbish for check to find, but a row without its file would be a message lost. */
static void drop_links(struct account *account, struct batch *batch, bool committed)
{
	bool used = committed ? batch->result.error.code == ERR_NONE && !batch->result.already_done
	                      : database_commit_unknown(account->database);

	for (size_t i = 0; i < batch->count; i++) {
		struct operation *operation = &batch->operations[i];

		if (operation->linked && !used)
			body_remove(account->path, operation->body.text);
		operation->linked = false;
	}
}

static void finish(struct change *change, struct batch **batches, size_t count, bool committed)
{
	struct account *account = change->account;

	for (size_t i = 0; i < count; i++)
		drop_links(account, batches[i], committed);
	for (size_t i = 0; committed && i < change->state.freed_count; i++)
		body_remove(account->path, change->freed[i].text);
	if (committed && change->state.dirty)
		notifier_tell(account->store->notifier, account->id, change->state.row.modseq);
	free(change->freed);
	free(change->appended);
	buffer_free(&change->head);
}

/* Its failure is nobody's failure. */
void account_tidy(struct account *account)
{
	struct change change = { .account = account, .database = account->database };
	struct error err;
	bool ok;

	account->tidied_at = clock_mono_ms();
	account->has_rest = false;
	reset_change(&change);
	if (!database_begin(account->database, &err))
		return;
	ok = load_account(&change, &err) && change_tidy(&change, &err) && save_all(&change, &err);
	if (ok)
		ok = database_commit(account->database, &err);
	else
		database_rollback(account->database);
	if (!ok)
		LOG(LOG_WARNING, "storage.tidy_failed", LOG_NUMBER("account", account->id), LOG_FAILURE(&err));
	finish(&change, NULL, 0, ok);
}

bool account_has_due(struct account *account)
{
	struct error err;
	sqlite3_stmt *rows;
	bool has;

	if (!DATABASE_QUERY(account->database, MAIL_EXPUNGED_DUE, &rows, &err, V_INT(clock_wall_ms()), V_INT(1)))
		return false;
	has = database_step(account->database, rows, &err) == STEP_ROW;
	database_done(rows);
	return has;
}

/* What a transaction that was rolled back said; what was wrong with the batch before stands. */
static void forget_attempt(struct batch *batch)
{
	struct error before = batch->result.error;

	batch_clear_result(batch);
	batch->result.error = before;
}

/* How many rows will be touched, about; MANY_ROWS is enough to know. */
static bool has_many_rows(struct batch **batches, size_t count)
{
	size_t rows = 0;

	for (size_t i = 0; i < count && rows < MANY_ROWS; i++) {
		rows += batches[i]->count;
		for (size_t j = 0; j < batches[i]->count && rows < MANY_ROWS; j++)
			rows += batches[i]->operations[j].all ? MANY_ROWS : batches[i]->operations[j].count;
	}
	return rows >= MANY_ROWS;
}

bool account_commit(struct account *account, struct batch **batches, size_t count, struct error *err)
{
	struct change change = { .account = account, .database = account->database };
	bool ok, many = has_many_rows(batches, count);

	buffer_init(&change.head, SIZE_MAX / 2);
	for (size_t i = 0; i < count; i++)
		reset_result(batches[i]);
	prepare_batches(account, batches, count);
	reset_change(&change);
	if (many)
		database_large_cache(account->database, true);
	ok = run_transaction(&change, batches, count, err);
	if (!ok && err->code == ERR_NO_SPACE && reserve_release(account->store->reserve)) {
		for (size_t i = 0; i < count; i++)
			forget_attempt(batches[i]);
		reset_change(&change);
		ok = run_transaction(&change, batches, count, err);
	}
	if (many)
		database_large_cache(account->database, false);
	finish(&change, batches, count, ok);
	if (ok && clock_mono_ms() - account->tidied_at >= ACCOUNT_TIDY_MS)
		account_tidy(account);
	return ok;
}
