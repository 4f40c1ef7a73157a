/* What is due, its rows, and its octets: the relay's reading side. */
#include "storage/queue_private.h"

#include "base/file.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Destinations */

/* before: how many are there with higher priorities; with one priority a domain is listed once. */
static bool add_destination(
        sqlite3_stmt *rows, int priority, struct queue_destination *out, size_t before, size_t *count)
{
	struct span domain = database_text(rows, 0);
	int64_t due = sqlite3_column_int64(rows, 1);

	for (size_t i = 0; i < before; i++) {
		if (span_equal(domain, span_of(out[i].domain))) {
			out[i].due_ms = due < out[i].due_ms ? due : out[i].due_ms;
			return true;
		}
	}
	if (!span_copy(domain, out[*count].domain, sizeof(out->domain)))
		return false;
	out[*count].due_ms = due;
	out[*count].priority = priority;
	(*count)++;
	return true;
}

/* Those due with one priority. One more than there is room for is asked for, to know that there is more. A domain that is there with a
 * higher priority takes no room, so with several priorities the list may come out a little short: it is asked for again. */
static bool due_with(struct queue *queue, int priority, int64_t now_ms, struct queue_destination *out, size_t max,
        size_t *count, int64_t *next_due_ms, struct error *err)
{
	size_t room = max - *count, before = *count;
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(
	            queue->reader, QUEUE_LANES_DUE, &rows, err, V_INT(priority), V_INT(now_ms), V_INT(room + 1)))
		return false;
	while (ok && (step = database_step(queue->reader, rows, err)) == STEP_ROW) {
		if (room-- == 0) {
			*next_due_ms = now_ms < *next_due_ms ? now_ms : *next_due_ms;
			step = STEP_DONE;
			break;
		}
		ok = add_destination(rows, priority, out, before, count) ||
		     error_detail(err, ERR_DAMAGED, "queue.db: a domain is too long");
	}
	database_done(rows);
	return ok && step == STEP_DONE;
}

static bool later_with(struct queue *queue, int priority, int64_t now_ms, int64_t *next_due_ms, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	int64_t due;

	if (!DATABASE_QUERY(queue->reader, QUEUE_LANES_LATER, &rows, err, V_INT(priority), V_INT(now_ms)))
		return false;
	step = database_step(queue->reader, rows, err);
	if (step == STEP_ROW) {
		due = sqlite3_column_int64(rows, 0);
		*next_due_ms = due < *next_due_ms ? due : *next_due_ms;
	}
	database_done(rows);
	return step != STEP_FAILED;
}

static bool priority_below(struct queue *queue, int *priority, bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(queue->reader, QUEUE_LANE_PRIORITY, &rows, err, V_INT(*priority)))
		return false;
	step = database_step(queue->reader, rows, err);
	*found = step == STEP_ROW && sqlite3_column_type(rows, 0) != SQLITE_NULL;
	if (*found)
		*priority = sqlite3_column_int(rows, 0);
	database_done(rows);
	return step != STEP_FAILED;
}

bool queue_due(struct queue *queue, int64_t now_ms, struct queue_destination *out, size_t max, size_t *count,
        int64_t *next_due_ms, struct error *err)
{
	int priority = INT_MAX;
	bool ok, found = true;

	*count = 0;
	*next_due_ms = INT64_MAX;
	if (!queue_begin_read(queue, err))
		return false;
	do {
		ok = priority_below(queue, &priority, &found, err);
		if (ok && found)
			ok = due_with(queue, priority, now_ms, out, max, count, next_due_ms, err) &&
			     later_with(queue, priority, now_ms, next_due_ms, err);
	} while (ok && found);
	queue_end_read(queue);
	return ok;
}

/* Messages */

static _Atomic uint64_t octets_kept; /* QUEUE_OCTETS_ALL */

void queue_message_free(struct queue_message **message)
{
	if (*message == NULL)
		return;
	if ((*message)->octets != NULL)
		atomic_fetch_sub(&octets_kept, (*message)->size);
	free((*message)->octets);
	free((*message)->message_id);
	free((*message)->recipients);
	free(*message);
	*message = NULL;
}

static bool damaged(struct error *err)
{
	return error_detail(err, ERR_DAMAGED, "queue.db: a field is too long");
}

bool queue_fill_rcpt(sqlite3_stmt *rows, struct queue_rcpt *out, struct error *err)
{
	struct span op_id = database_text(rows, 7);

	*out = (struct queue_rcpt) { .id = sqlite3_column_int64(rows, 0) };
	out->kind = (enum queue_kind)sqlite3_column_int(rows, 1);
	out->account_id = sqlite3_column_int64(rows, 3);
	out->notify = (unsigned)sqlite3_column_int(rows, 6);
	out->attempts = (unsigned)sqlite3_column_int64(rows, 8);
	out->next_attempt_ms = sqlite3_column_int64(rows, 9);
	out->warned = sqlite3_column_int(rows, 10) != 0;
	out->held = sqlite3_column_int(rows, 11) != 0;
	if (op_id.len != sizeof(out->op_id))
		return damaged(err);
	memcpy(out->op_id, op_id.ptr, op_id.len);
	return (span_copy(database_text(rows, 2), out->address, sizeof(out->address)) &&
	               span_copy(database_text(rows, 4), out->folder, sizeof(out->folder)) &&
	               span_copy(database_text(rows, 5), out->orcpt, sizeof(out->orcpt)) &&
	               span_copy(database_text(rows, 12), out->reply, sizeof(out->reply))) ||
	       damaged(err);
}

static bool fill_texts(sqlite3_stmt *rows, struct queue_message *out, struct error *err)
{
	struct span id = database_text(rows, 3);

	if (!span_copy(database_text(rows, 0), out->trace, sizeof(out->trace)) ||
	        !span_copy(database_text(rows, 1), out->sender, sizeof(out->sender)) ||
	        !span_copy(database_text(rows, 2), out->envid, sizeof(out->envid)) ||
	        !span_copy(database_text(rows, 12), out->future_release, sizeof(out->future_release)))
		return damaged(err);
	out->message_id = malloc(id.len + 1);
	if (out->message_id == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return span_copy(id, out->message_id, id.len + 1) || damaged(err);
}

bool queue_fill_message(
        struct database *database, int64_t message_id, struct queue_message *out, bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(database, QUEUE_MESSAGE, &rows, err, V_INT(message_id)))
		return false;
	step = database_step(database, rows, err);
	*found = step == STEP_ROW;
	if (*found) {
		out->id = message_id;
		out->ret = (enum queue_return)sqlite3_column_int(rows, 4);
		out->flags = (unsigned)sqlite3_column_int(rows, 5);
		out->priority = sqlite3_column_int(rows, 6);
		out->account_id = sqlite3_column_int64(rows, 7);
		out->created_ms = sqlite3_column_int64(rows, 8);
		out->expires_ms = sqlite3_column_int64(rows, 9);
		out->deliver_by_ms = sqlite3_column_int64(rows, 10);
		out->size = (uint64_t)sqlite3_column_int64(rows, 11);
		ok = fill_texts(rows, out, err);
	}
	database_done(rows);
	return ok && step != STEP_FAILED;
}

/* The messages taken so far. */
struct taking {
	struct queue *queue;
	bool (*skip)(void *arg, int64_t recipient_id);
	void *arg;
	struct queue_message **out;
	size_t max, count;
	size_t recipients_left;
	bool full;  /* one that is not among them had to be left */
	bool plain; /* without octets */
};

static char *copy_octets(sqlite3_stmt *rows, uint64_t size)
{
	struct span prefix = database_text(rows, 0), body;
	char *octets;

	body = database_text(rows, 1);
	if (sqlite3_column_type(rows, 2) != SQLITE_NULL || prefix.len + body.len != size)
		return NULL;
	octets = malloc(size);
	if (octets != NULL && prefix.len > 0) /* of what is empty SQLite gives NULL */
		memcpy(octets, prefix.ptr, prefix.len);
	if (octets != NULL && body.len > 0)
		memcpy(octets + prefix.len, body.ptr, body.len);
	return octets;
}

/* Most messages are small, and go out at once: this saves each a turn through a worker thread. What does not come with it is read later. */
static bool keep_octets(struct database *database, struct queue_message *message, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (message->size == 0 || message->size > QUEUE_OCTETS_EACH ||
	        atomic_load(&octets_kept) + message->size > QUEUE_OCTETS_ALL)
		return true;
	if (!DATABASE_QUERY(database, QUEUE_BODY, &rows, err, V_INT(message->id)))
		return false;
	step = database_step(database, rows, err);
	if (step == STEP_ROW)
		message->octets = copy_octets(rows, message->size);
	database_done(rows);
	if (message->octets != NULL)
		atomic_fetch_add(&octets_kept, message->size); /* takes at the same time may go a little over it */
	return step != STEP_FAILED;
}

/* *out NULL: recipients without their message are damage, which check finds; the others go on. */
static bool new_message(struct taking *taking, int64_t id, struct queue_message **out, struct error *err)
{
	struct queue_message *message = calloc(1, sizeof(*message));
	bool ok, found = false;

	*out = NULL;
	if (message == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = queue_fill_message(taking->queue->reader, id, message, &found, err) &&
	     (!found || taking->plain || keep_octets(taking->queue->reader, message, err));
	if (!ok || !found) {
		queue_message_free(&message);
		return ok;
	}
	taking->out[taking->count++] = message;
	*out = message;
	return true;
}

/* The one of these messages that has room for another recipient; a full one may be there beside it. */
static struct queue_message *with_room(const struct taking *taking, int64_t id)
{
	for (size_t i = taking->count; i > 0; i--) {
		struct queue_message *message = taking->out[i - 1];

		if (message->id == id && message->recipient_count < QUEUE_TAKE_MAX)
			return message;
	}
	return NULL;
}

static bool add_rcpt(struct queue_message *message, sqlite3_stmt *rows, struct error *err)
{
	size_t count = message->recipient_count;
	struct queue_rcpt *bigger;

	if ((count & (count - 1)) == 0) { /* 0, 1, 2, 4 ... are there and full */
		bigger = realloc(message->recipients, (count == 0 ? 1 : count * 2) * sizeof(*bigger));
		if (bigger == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		message->recipients = bigger;
	}
	if (!queue_fill_rcpt(rows, &message->recipients[count], err))
		return false;
	message->recipient_count++;
	return true;
}

static bool take_row(struct taking *taking, sqlite3_stmt *rows, struct error *err)
{
	int64_t id = sqlite3_column_int64(rows, 0);
	struct queue_message *message;

	if (taking->skip != NULL && taking->skip(taking->arg, id))
		return true;
	taking->full = taking->recipients_left == 0;
	if (taking->full)
		return true;
	message = with_room(taking, id >> QUEUE_NUMBER_BITS);
	if (message == NULL) {
		taking->full = taking->count == taking->max;
		if (taking->full)
			return true;
		if (!new_message(taking, id >> QUEUE_NUMBER_BITS, &message, err))
			return false;
	}
	if (message == NULL)
		return true;
	taking->recipients_left--;
	return add_rcpt(message, rows, err);
}

static bool take_lane(struct taking *taking, int64_t lane, int64_t now_ms, struct error *err)
{
	struct database *database = taking->queue->reader;
	sqlite3_stmt *rows;
	enum step step = STEP_DONE;
	bool ok = true;

	if (!DATABASE_QUERY(database, QUEUE_RCPTS_DUE, &rows, err, V_INT(lane), V_INT(now_ms)))
		return false;
	while (ok && !taking->full && (step = database_step(database, rows, err)) == STEP_ROW)
		ok = take_row(taking, rows, err);
	database_done(rows);
	return ok && step != STEP_FAILED;
}

static bool take_lanes(struct taking *taking, const char *domain, int64_t now_ms, struct error *err)
{
	struct database *database = taking->queue->reader;
	sqlite3_stmt *rows;
	enum step step = STEP_DONE;
	bool ok = true;

	if (!DATABASE_QUERY(database, QUEUE_LANES_OF, &rows, err, V_TEXT(span_of(domain)), V_INT(now_ms)))
		return false;
	while (ok && !taking->full && (step = database_step(database, rows, err)) == STEP_ROW)
		ok = take_lane(taking, sqlite3_column_int64(rows, 0), now_ms, err);
	database_done(rows);
	return ok && step != STEP_FAILED;
}

static bool take_at_once(struct taking *taking, const char *domain, int64_t now_ms, struct error *err)
{
	bool ok;

	if (!queue_begin_read(taking->queue, err))
		return false;
	ok = take_lanes(taking, domain, now_ms, err);
	queue_end_read(taking->queue);
	for (size_t i = 0; !ok && i < taking->count; i++)
		queue_message_free(&taking->out[i]);
	return ok;
}

/* Octets that cannot be read are the trouble of their message alone: the others for that domain go on. */
bool queue_take(struct queue *queue, const char *domain, int64_t now_ms, bool (*skip)(void *arg, int64_t recipient_id),
        void *arg, struct queue_message **out, size_t max_messages, size_t max_recipients, size_t *count,
        struct error *err)
{
	struct taking first = { .queue = queue,
		.skip = skip,
		.arg = arg,
		.out = out,
		.max = max_messages,
		.recipients_left = max_recipients };
	struct taking taking = first;
	bool ok = take_at_once(&taking, domain, now_ms, err);

	if (!ok && (err->code == ERR_DAMAGED || err->code == ERR_IO)) {
		taking = first;
		taking.plain = true;
		ok = take_at_once(&taking, domain, now_ms, err);
	}
	*count = ok ? taking.count : 0;
	return ok;
}

/* Octets */

struct piece {
	uint64_t offset;
	char *out;
	size_t size, got;
};

/* Copies what of `part`, which begins at `begin` of the whole, is asked for. */
static void copy_part(struct piece *piece, uint64_t begin, struct span part)
{
	uint64_t at = piece->offset + piece->got;
	size_t want = piece->size - piece->got;

	if (want == 0 || at < begin || at - begin >= part.len)
		return;
	part = span_first(span_skip(part, (size_t)(at - begin)), want);
	memcpy(piece->out + piece->got, part.ptr, part.len);
	piece->got += part.len;
}

struct body_at {
	struct body_name file; /* empty: the body was in the row */
	uint64_t begin, length;
};

static bool read_row(sqlite3_stmt *rows, struct piece *piece, struct body_at *body, struct error *err)
{
	struct span prefix = database_text(rows, 0);

	body->begin = prefix.len;
	body->length = (uint64_t)sqlite3_column_int64(rows, 3);
	copy_part(piece, 0, prefix);
	if (sqlite3_column_type(rows, 2) == SQLITE_NULL) {
		copy_part(piece, prefix.len, database_text(rows, 1));
		return true;
	}
	return span_copy(database_text(rows, 2), body->file.text, sizeof(body->file.text)) ||
	       error_detail(err, ERR_DAMAGED, "queue.db: a row names no proper body file");
}

/* Outside the lock. That the file is gone means that the message is, or damage: who asks again is told which. */
static bool read_file(struct queue *queue, const struct body_at *body, struct piece *piece, struct error *err)
{
	uint64_t at = piece->offset + piece->got - body->begin, left = at < body->length ? body->length - at : 0;
	size_t want = piece->size - piece->got;
	bool ok;
	int fd;

	want = want < left ? want : (size_t)left;
	if (want == 0)
		return true;
	fd = body_open(queue->path, span_of(body->file.text), body->length, err);
	if (fd < 0)
		return false;
	ok = file_pread_all(fd, piece->out + piece->got, want, (off_t)at, err);
	close(fd);
	piece->got += ok ? want : 0;
	return ok;
}

static bool read_piece(
        struct queue *queue, int64_t message_id, struct piece *piece, struct body_at *body, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok;

	pthread_mutex_lock(&queue->read_mutex);
	ok = DATABASE_QUERY(queue->reader, QUEUE_BODY, &rows, err, V_INT(message_id));
	if (ok) {
		step = database_step(queue->reader, rows, err);
		ok = step == STEP_ROW && read_row(rows, piece, body, err);
		if (step == STEP_DONE)
			error_set(err, ERR_NO_SUCH_MESSAGE, "the message is no longer in the queue");
		database_done(rows);
	}
	pthread_mutex_unlock(&queue->read_mutex);
	return ok;
}

bool queue_read(struct queue *queue, int64_t message_id, uint64_t offset, void *out, size_t size, size_t *got,
        struct error *err)
{
	struct piece piece = { .offset = offset, .out = out, .size = size }, again = piece;
	struct body_at body = { .begin = 0 };
	bool ok;

	*got = 0;
	if (!read_piece(queue, message_id, &piece, &body, err))
		return false;
	ok = body.file.text[0] == '\0' || read_file(queue, &body, &piece, err);
	/* removed between the row and the file, when an admin dropped it: then the row is gone too */
	if (!ok && err->code == ERR_DAMAGED) {
		struct error damage = *err;

		if (read_piece(queue, message_id, &again, &body, err))
			*err = damage;
	}
	*got = ok ? piece.got : 0;
	return ok;
}
