/* Opening queue.db, its transactions, and what each of them leaves in order: lanes and messages. */
#include "storage/queue.h"

#include "base/file.h"
#include "base/random.h"
#include "base/secret.h"
#include "storage/queue_private.h"
#include "storage/reserve.h"
#include "storage/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const steps[] = { schema_queue_1, schema_queue_2 };

static const char *const statements[QUEUE_STATEMENT_COUNT] = {
#define QUEUE_STATEMENT_SQL(name, sql) [name] = sql,
	QUEUE_STATEMENTS(QUEUE_STATEMENT_SQL)
#undef QUEUE_STATEMENT_SQL
};

const struct database_kind queue_kind = {
	.application_id = 0x50487131,
	.steps = steps,
	.version = (int)ARRAY_LEN(steps),
	.statements = statements,
	.statement_count = QUEUE_STATEMENT_COUNT,
};

_Static_assert(QUEUE_RECIPIENTS_MAX <= QUEUE_NUMBER_MASK, "recipients of a message are numbered in 14 bits");

/* Opening */

static bool read_secret(struct queue *queue, bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	struct span secret;
	enum step step;
	bool ok = true;

	if (!database_query(queue->writer, QUEUE_SECRET, NULL, 0, &rows, err))
		return false;
	step = database_step(queue->writer, rows, err);
	*found = step == STEP_ROW;
	if (*found) {
		secret = database_text(rows, 0);
		ok = secret.len == sizeof(queue->secret) ||
		     error_detail(err, ERR_DAMAGED, "queue.db: the secret has a wrong length");
		if (ok)
			memcpy(queue->secret, secret.ptr, secret.len);
	}
	database_done(rows);
	return ok && step != STEP_FAILED;
}

/* Several processes may be the first: who comes second takes what the first one wrote. */
static bool load_secret(struct queue *queue, struct error *err)
{
	uint8_t bytes[QUEUE_SECRET_LEN];
	bool found, ok;

	if (!read_secret(queue, &found, err))
		return false;
	if (found)
		return true;
	random_bytes(bytes, sizeof(bytes));
	if (!database_begin(queue->writer, err))
		return false;
	ok = DATABASE_RUN(queue->writer, QUEUE_SECRET_NEW, err, V_BLOB(span_make(bytes, sizeof(bytes))));
	secret_wipe(bytes, sizeof(bytes));
	if (!ok) {
		database_rollback(queue->writer);
		return false;
	}
	return database_commit(queue->writer, err) && read_secret(queue, &found, err);
}

static struct queue *queue_alloc(const char *data_dir)
{
	struct queue *queue = calloc(1, sizeof(*queue));

	if (queue == NULL)
		return NULL;
	snprintf(queue->data_dir, sizeof(queue->data_dir), "%s", data_dir);
	pthread_mutex_init(&queue->write_mutex, NULL);
	pthread_mutex_init(&queue->read_mutex, NULL);
	pthread_mutex_init(&queue->tell_mutex, NULL);
	queue->tell_socket = -1;
	queue->run_dir = -1;
	return queue;
}

static bool make_dirs(struct queue *queue, struct error *err)
{
	char blobs[DATABASE_PATH_MAX + 8];

	if ((size_t)snprintf(queue->path, sizeof(queue->path), "%s/queue", queue->data_dir) >= sizeof(queue->path))
		return error_detail(err, ERR_TOO_LONG, "path too long: %.200s", queue->data_dir);
	snprintf(blobs, sizeof(blobs), "%s/blobs", queue->path);
	if (access(blobs, F_OK) == 0)
		return true;
	return file_make_dir(queue->data_dir, 0700, err) && file_make_dir(queue->path, 0700, err) &&
	       file_make_dir(blobs, 0700, err) && file_sync_dir(queue->path, err) &&
	       file_sync_dir(queue->data_dir, err);
}

bool queue_open(const char *data_dir, struct queue **out, struct error *err)
{
	struct queue *queue = queue_alloc(data_dir);
	char path[DATABASE_PATH_MAX + 16];

	*out = NULL;
	if (queue == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	snprintf(path, sizeof(path), "%s/queue.db", queue->data_dir);
	if (!make_dirs(queue, err) || !database_open(path, &queue_kind, true, &queue->writer, err) ||
	        !database_open(path, &queue_kind, false, &queue->reader, err) || !load_secret(queue, err)) {
		queue_close(&queue);
		return false;
	}
	queue->reserve = reserve_new(data_dir);
	if (queue->reserve == NULL) {
		queue_close(&queue);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	*out = queue;
	return true;
}

void queue_close(struct queue **queue)
{
	struct queue *gone = *queue;

	if (gone == NULL)
		return;
	database_close(&gone->reader);
	database_close(&gone->writer);
	reserve_free(&gone->reserve);
	if (gone->tell_socket >= 0)
		close(gone->tell_socket);
	if (gone->run_dir >= 0)
		close(gone->run_dir);
	pthread_mutex_destroy(&gone->write_mutex);
	pthread_mutex_destroy(&gone->read_mutex);
	pthread_mutex_destroy(&gone->tell_mutex);
	secret_wipe(gone->secret, sizeof(gone->secret));
	free(gone);
	*queue = NULL;
}

/* Transactions */

bool queue_begin_read(struct queue *queue, struct error *err)
{
	pthread_mutex_lock(&queue->read_mutex);
	if (database_begin_read(queue->reader, err))
		return true;
	pthread_mutex_unlock(&queue->read_mutex);
	return false;
}

void queue_end_read(struct queue *queue)
{
	database_end_read(queue->reader);
	pthread_mutex_unlock(&queue->read_mutex);
}

/* Where it cannot be said the connection is opened anew, and then it is. */
static void be_durable(struct queue *queue)
{
	struct error ignored;

	(void)database_set_durable(queue->writer, true, &ignored);
}

bool queue_change_begin(struct queue *queue, struct queue_change *change, struct error *err)
{
	*change = (struct queue_change) { .queue = queue, .database = queue->writer };
	pthread_mutex_lock(&queue->write_mutex);
	if (database_begin(queue->writer, err))
		return true;
	pthread_mutex_unlock(&queue->write_mutex);
	return false;
}

bool queue_hint_begin(struct queue *queue, struct queue_change *change, struct error *err)
{
	*change = (struct queue_change) { .queue = queue, .database = queue->writer, .is_hint = true };
	pthread_mutex_lock(&queue->write_mutex);
	if (database_set_durable(queue->writer, false, err)) {
		if (database_begin(queue->writer, err))
			return true;
		be_durable(queue);
	}
	pthread_mutex_unlock(&queue->write_mutex);
	return false;
}

/* Files go after the commit; what stays when we are killed here is found by queue_tidy(). */
bool queue_change_end(struct queue_change *change, bool ok, bool *unknown, struct error *err)
{
	struct queue *queue = change->queue;

	ok = ok && queue_settle(change, err);
	if (ok)
		ok = database_commit(queue->writer, err);
	else
		database_rollback(queue->writer);
	if (unknown != NULL)
		*unknown = !ok && database_commit_unknown(queue->writer);
	if (change->is_long)
		database_large_cache(queue->writer, false);
	if (change->is_hint)
		be_durable(queue);
	pthread_mutex_unlock(&queue->write_mutex);
	for (size_t i = 0; ok && i < change->file_count; i++)
		body_remove(queue->path, change->files[i].text);
	free(change->files);
	free(change->lanes.ids);
	free(change->messages.ids);
	return ok;
}

/* Lanes */

static bool find_lane(struct queue_change *change, struct span domain, int priority, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	change->lane.known = false;
	if (!DATABASE_QUERY(change->database, QUEUE_LANE, &rows, err, V_TEXT(domain), V_INT(priority)))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW) {
		change->lane.id = sqlite3_column_int64(rows, 0);
		change->lane.next_due =
		        sqlite3_column_type(rows, 1) == SQLITE_NULL ? INT64_MAX : sqlite3_column_int64(rows, 1);
		change->lane.priority = priority;
		change->lane.known = span_copy(domain, change->lane.domain, sizeof(change->lane.domain));
	}
	database_done(rows);
	return step != STEP_FAILED;
}

static bool make_lane(struct queue_change *change, struct span domain, int priority, int64_t due_ms, struct error *err)
{
	struct value due = due_ms == INT64_MAX ? V_NULL : V_INT(due_ms);

	if (!DATABASE_RUN(change->database, QUEUE_LANE_NEW, err, V_TEXT(domain), V_INT(priority), due))
		return false;
	change->lane.id = sqlite3_last_insert_rowid(database_handle(change->database));
	change->lane.next_due = due_ms;
	change->lane.priority = priority;
	change->lane.known = span_copy(domain, change->lane.domain, sizeof(change->lane.domain));
	return true;
}

static bool is_lane(const struct queue_change *change, struct span domain, int priority)
{
	return change->lane.known && change->lane.priority == priority &&
	       span_equal(domain, span_of(change->lane.domain));
}

bool queue_lane(struct queue_change *change, struct span domain, int priority, int64_t due_ms, int64_t *lane_id,
        struct error *err)
{
	if (!is_lane(change, domain, priority)) {
		if (!find_lane(change, domain, priority, err))
			return false;
		if (!change->lane.known && !make_lane(change, domain, priority, due_ms, err))
			return false;
	}
	*lane_id = change->lane.id;
	if (due_ms >= change->lane.next_due)
		return true;
	change->lane.next_due = due_ms;
	return DATABASE_RUN(change->database, QUEUE_LANE_DUE_AT, err, V_INT(change->lane.id), V_INT(due_ms));
}

bool queue_touch(struct queue_change *change, enum queue_statement which, const struct value *values, int count,
        bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	int64_t lane = 0;

	*found = false;
	if (!database_query(change->database, which, values, count, &rows, err))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW) {
		*found = true;
		lane = sqlite3_column_int64(rows, 0);
		step = database_step(change->database, rows, err); /* RETURNING: it ends with the statement */
	}
	database_done(rows);
	return step == STEP_DONE && (!*found || id_list_add(&change->lanes, lane, err));
}

/* One number of the first row, or *found false. */
static bool one_number(struct queue_change *change, enum queue_statement which, int64_t key, int64_t *out, bool *found,
        struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(change->database, which, &rows, err, V_INT(key)))
		return false;
	step = database_step(change->database, rows, err);
	*found = step == STEP_ROW;
	if (*found)
		*out = sqlite3_column_int64(rows, 0);
	database_done(rows);
	return step != STEP_FAILED;
}

static bool settle_lane(struct queue_change *change, int64_t lane, struct error *err)
{
	int64_t first = 0;
	bool found;

	if (!one_number(change, QUEUE_LANE_FIRST, lane, &first, &found, err))
		return false;
	if (found)
		return DATABASE_RUN(change->database, QUEUE_LANE_DUE_AT, err, V_INT(lane), V_INT(first));
	if (!one_number(change, QUEUE_LANE_ANY, lane, &first, &found, err))
		return false;
	if (found)
		return DATABASE_RUN(change->database, QUEUE_LANE_DUE_AT, err, V_INT(lane), V_NULL);
	return DATABASE_RUN(change->database, QUEUE_LANE_DELETE, err, V_INT(lane));
}

/* Messages without recipients */

static bool note_file(struct queue_change *change, struct span file, struct error *err)
{
	struct body_name *bigger;

	if (file.len != BODY_NAME_LEN) /* in the row; or damage, which check finds */
		return true;
	bigger = realloc(change->files, (change->file_count + 1) * sizeof(*bigger));
	if (bigger == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	change->files = bigger;
	change->file_count += span_copy(file, bigger[change->file_count].text, sizeof(bigger->text)) ? 1 : 0;
	return true;
}

static bool delete_body(struct queue_change *change, int64_t message, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(change->database, QUEUE_BODY_DELETE, &rows, err, V_INT(message)))
		return false;
	while (ok && (step = database_step(change->database, rows, err)) == STEP_ROW)
		ok = note_file(change, database_text(rows, 0), err);
	database_done(rows);
	return ok && step == STEP_DONE;
}

static bool settle_message(struct queue_change *change, int64_t message, struct error *err)
{
	int64_t one;
	bool found;

	if (!one_number(change, QUEUE_RCPT_ANY, message, &one, &found, err))
		return false;
	return found || (delete_body(change, message, err) &&
	                        DATABASE_RUN(change->database, QUEUE_MESSAGE_DELETE, err, V_INT(message)));
}

bool queue_settle(struct queue_change *change, struct error *err)
{
	bool ok = true;

	id_list_unique(&change->lanes);
	id_list_unique(&change->messages);
	for (size_t i = 0; ok && i < change->lanes.count; i++)
		ok = settle_lane(change, change->lanes.ids[i], err);
	for (size_t i = 0; ok && i < change->messages.count; i++)
		ok = settle_message(change, change->messages.ids[i], err);
	return ok;
}
