/* Looking at the queue, and changing it by hand. */
#include "storage/address_key.h"
#include "storage/queue_private.h"
#include "storage/reserve.h"

#include <stdlib.h>
#include <string.h>

/* Recipients in a transaction: neighbours, whose pages and lanes are then written once for many. It takes some 50 ms, and whoever waits for the
 * lock meanwhile has it before the next one. */
#define CHANGE_PIECE 2000
/* But to delete a body reads all its pages: some 20 ms for each MiB, of those that are in the rows. */
#define DROP_OCTETS (4 * MIB)

/* A filter in the form that QUEUE_FIND takes, see queue_sql.h. */
struct finder {
	struct value values[14];
	char domain[1 + DOMAIN_MAX + 1]; /* "one.test", or ".one.test" for all below it */
	bool nothing;                    /* it is known that nothing is found */
};

enum {
	AFTER,
	UP_TO,
	HELD,
	ATTEMPTS,
	RCPT_HOW,
	RCPT,
	RCPT_DOMAIN,
	MESSAGE_HOW,
	SENDER_HOW,
	SENDER,
	OLDER,
	LIMIT,
	SKIP,
	TRACE
};
enum { ANY, EXACTLY, ENDS_WITH };

/* The address of a filter: "", "user@domain", "@domain", ".domain" or "<>". */
static int how_of(struct span *address)
{
	if (address->len == 0)
		return ANY;
	if (span_equal(*address, SPAN("<>")))
		*address = SPAN("");
	return address->len > 0 && (address->ptr[0] == '@' || address->ptr[0] == '.') ? ENDS_WITH : EXACTLY;
}

/* From the first to the last of a trace and its parts, TRACE-1 and so on; others may lie between. 0: there is none. */
static bool messages_of(struct database *database, struct span trace, int64_t *first, int64_t *last, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(database, QUEUE_MESSAGES_OF_TRACE, &rows, err, V_TEXT(trace)))
		return false;
	step = database_step(database, rows, err);
	if (step == STEP_ROW) {
		*first = sqlite3_column_int64(rows, 0); /* NULL is 0 */
		*last = sqlite3_column_int64(rows, 1);
	}
	database_done(rows);
	return step == STEP_ROW;
}

/* Recipients of a domain are found by it in any form, when it is one: also where the address has it in another. */
static struct span lane_domain(struct finder *finder, struct span recipient)
{
	size_t size = sizeof(finder->domain) - 1;
	struct error err;

	if (recipient.len < 2 || (!domain_key(span_skip(recipient, 1), finder->domain + 1, size, &err) &&
	                                 !span_copy(span_skip(recipient, 1), finder->domain + 1, size)))
		return SPAN("?"); /* no lane has that name; an address literal has its own */
	finder->domain[0] = '.';
	return span_of(finder->domain + (recipient.ptr[0] == '.' ? 0 : 1));
}

static bool finder_init(
        struct finder *finder, struct database *database, const struct queue_filter *filter, struct error *err)
{
	struct span sender = filter->sender, recipient = filter->recipient;
	int sender_how = how_of(&sender), recipient_how = how_of(&recipient);
	int64_t first = 0, last = 0;

	memset(finder, 0, sizeof(*finder));
	if (filter->trace.len > 0 && !messages_of(database, filter->trace, &first, &last, err))
		return false;
	finder->nothing = filter->trace.len > 0 && first == 0;
	finder->values[AFTER] = V_INT(first > 0 ? (first << QUEUE_NUMBER_BITS) - 1 : -1);
	finder->values[UP_TO] = V_INT(last > 0 ? last << QUEUE_NUMBER_BITS | QUEUE_NUMBER_MASK : INT64_MAX);
	finder->values[HELD] = V_INT(filter->held);
	finder->values[ATTEMPTS] = V_INT(filter->tried ? 1 : 0);
	finder->values[RCPT_HOW] = V_INT(recipient_how);
	finder->values[RCPT] = V_TEXT(recipient);
	finder->values[RCPT_DOMAIN] = V_TEXT(lane_domain(finder, recipient));
	finder->values[MESSAGE_HOW] = V_INT(sender_how != ANY || filter->older_than_ms > 0 || first != last);
	finder->values[SENDER_HOW] = V_INT(sender_how);
	finder->values[SENDER] = V_TEXT(sender);
	finder->values[OLDER] = V_INT(filter->older_than_ms);
	finder->values[TRACE] = V_TEXT(filter->trace);
	return true;
}

/* At most `limit` recipients after the last ones; the finder remembers how far it came. */
static bool find_some(struct finder *finder, struct database *database, uint64_t skip, uint64_t limit,
        struct id_list *found, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	found->count = 0;
	if (finder->nothing)
		return true;
	finder->values[LIMIT] = V_INT(limit);
	finder->values[SKIP] = V_INT(skip > INT64_MAX ? INT64_MAX : skip);
	if (!database_query(database, QUEUE_FIND, finder->values, ARRAY_LEN(finder->values), &rows, err))
		return false;
	while (ok && (step = database_step(database, rows, err)) == STEP_ROW)
		ok = id_list_add(found, sqlite3_column_int64(rows, 0), err);
	database_done(rows);
	if (found->count > 0)
		finder->values[AFTER] = V_INT(found->ids[found->count - 1]);
	return ok && step == STEP_DONE;
}

/* Lists */

struct listed {
	struct queue_message message;
	struct queue_rcpt recipient;
};

struct page {
	struct listed *rows;
	size_t count;
	struct id_list ids;
};

static bool read_listed(struct database *database, int64_t id, struct listed *out, bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(database, QUEUE_RCPT, &rows, err, V_INT(id)))
		return false;
	step = database_step(database, rows, err);
	*found = step == STEP_ROW;
	if (*found)
		ok = queue_fill_rcpt(rows, &out->recipient, err);
	database_done(rows);
	return ok && step != STEP_FAILED &&
	       (!*found || queue_fill_message(database, id >> QUEUE_NUMBER_BITS, &out->message, found, err));
}

static void empty_page(struct page *page)
{
	for (size_t i = 0; i < page->count; i++)
		free(page->rows[i].message.message_id);
	page->count = 0;
}

/* In one read transaction. */
static bool read_page(
        struct queue *queue, struct finder *finder, uint64_t skip, size_t limit, struct page *page, struct error *err)
{
	bool ok, found;

	empty_page(page);
	ok = find_some(finder, queue->reader, skip, limit, &page->ids, err);
	for (size_t i = 0; ok && i < page->ids.count; i++) {
		struct listed *row = &page->rows[page->count];

		memset(row, 0, sizeof(*row));
		ok = read_listed(queue->reader, page->ids.ids[i], row, &found, err);
		if (ok && found)
			page->count++;
		else
			free(row->message.message_id);
	}
	return ok;
}

static bool show_page(const struct page *page, bool (*each)(void *arg, const struct queue_row *row), void *arg)
{
	for (size_t i = 0; i < page->count; i++) {
		struct listed *listed = &page->rows[i];
		const struct queue_row row = { &listed->message, &listed->recipient,
			listed->recipient.next_attempt_ms };

		if (!each(arg, &row))
			return false;
	}
	return true;
}

struct listing {
	const struct queue_filter *filter;
	uint64_t skip, limit;
	bool (*each)(void *arg, const struct queue_row *row);
	void *arg;
};

/* Read in pieces, and shown between them: nothing is held while each() runs, which may use the queue. */
static bool list_pieces(struct queue *queue, const struct listing *list, struct page *page, struct error *err)
{
	uint64_t left = list->limit, skip = list->skip;
	struct finder finder;
	bool ok = true, more = true, first = true;

	while (ok && more && left > 0) {
		size_t want = left < QUEUE_PIECE ? (size_t)left : QUEUE_PIECE;

		if (!queue_begin_read(queue, err))
			return false;
		ok = (!first || finder_init(&finder, queue->reader, list->filter, err)) &&
		     read_page(queue, &finder, skip, want, page, err);
		queue_end_read(queue);
		more = ok && page->ids.count == want;
		left -= page->ids.count;
		skip = 0;
		first = false;
		if (ok && !show_page(page, list->each, list->arg))
			break;
	}
	return ok;
}

bool queue_list(struct queue *queue, const struct queue_filter *filter, uint64_t skip, uint64_t limit,
        bool (*each)(void *arg, const struct queue_row *row), void *arg, struct error *err)
{
	const struct listing list = { filter, skip, limit, each, arg };
	struct page page = { .rows = calloc(limit < QUEUE_PIECE ? limit + 1 : QUEUE_PIECE, sizeof(*page.rows)) };
	bool ok;

	if (page.rows == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = list_pieces(queue, &list, &page, err);
	empty_page(&page);
	free(page.rows);
	free(page.ids.ids);
	return ok;
}

bool queue_count(struct queue *queue, int64_t now_ms, struct queue_counts *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!queue_begin_read(queue, err))
		return false;
	step = DATABASE_QUERY(queue->reader, QUEUE_COUNT, &rows, err, V_INT(now_ms))
	               ? database_step(queue->reader, rows, err)
	               : STEP_FAILED;
	if (step == STEP_ROW)
		*out = (struct queue_counts) {
			.messages = (uint64_t)sqlite3_column_int64(rows, 0),
			.recipients = (uint64_t)sqlite3_column_int64(rows, 1),
			.held = (uint64_t)sqlite3_column_int64(rows, 2), /* NULL, of an empty queue, is 0 */
			.due = (uint64_t)sqlite3_column_int64(rows, 3),
		};
	database_done(rows);
	queue_end_read(queue);
	return step == STEP_ROW;
}

/* Changes */

struct admin_change {
	bool (*apply)(struct queue_change *change, const struct admin_change *what, int64_t id, bool *found,
	        struct error *err);
	enum queue_statement statement;
	int64_t now_ms;
	struct span domain;
	bool drops;
	bool stops;   /* what the relay has taken may not go as it would */
	bool is_hint; /* need not be durable: it would come about by itself */
};

static bool apply_update(
        struct queue_change *change, const struct admin_change *what, int64_t id, bool *found, struct error *err)
{
	const struct value values[] = { V_INT(id), V_INT(what->now_ms) };
	bool has_time = what->statement == QUEUE_RCPT_RETRY || what->statement == QUEUE_RCPT_RELEASE;

	if (!queue_touch(change, what->statement, values, has_time ? 2 : 1, found, err))
		return false;
	return !*found || !what->drops || id_list_add(&change->messages, id >> QUEUE_NUMBER_BITS, err);
}

/* Those that are due already count, and are not written again. */
static bool apply_retry(
        struct queue_change *change, const struct admin_change *what, int64_t id, bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!apply_update(change, what, id, found, err))
		return false;
	if (*found)
		return true;
	if (!DATABASE_QUERY(change->database, QUEUE_RCPT_WAITS, &rows, err, V_INT(id)))
		return false;
	step = database_step(change->database, rows, err);
	*found = step == STEP_ROW;
	database_done(rows);
	return step != STEP_FAILED;
}

static bool priority_of(struct queue_change *change, int64_t message, int *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(change->database, QUEUE_MESSAGE_PRIORITY, &rows, err, V_INT(message)))
		return false;
	step = database_step(change->database, rows, err);
	*out = step == STEP_ROW ? sqlite3_column_int(rows, 0) : 0;
	database_done(rows);
	return step != STEP_FAILED;
}

/* Both lanes are touched: the old one may have lost its last recipient, the new one is due when this recipient is. */
static bool apply_move(
        struct queue_change *change, const struct admin_change *what, int64_t id, bool *found, struct error *err)
{
	const struct value key = V_INT(id);
	struct value values[2] = { key };
	int64_t lane;
	bool moved;
	int priority;

	if (!queue_touch(change, QUEUE_RCPT_LANE, &key, 1, found, err))
		return false;
	if (!*found)
		return true;
	if (!priority_of(change, id >> QUEUE_NUMBER_BITS, &priority, err) ||
	        !queue_lane(change, what->domain, priority, INT64_MAX, &lane, err))
		return false;
	values[1] = V_INT(lane);
	return queue_touch(change, QUEUE_RCPT_MOVE, values, 2, &moved, err) &&
	       (!moved || id_list_add(&change->lanes, lane, err));
}

struct admin_run {
	struct finder finder;
	struct id_list ids;
	bool started, more;
};

static bool add_size(struct database *database, int64_t message, uint64_t *octets, struct error *err)
{
	uint64_t size = 0;
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(database, QUEUE_MESSAGE_SIZE, &rows, err, V_INT(message)))
		return false;
	step = database_step(database, rows, err);
	if (step == STEP_ROW)
		size = (uint64_t)sqlite3_column_int64(rows, 0);
	database_done(rows);
	*octets +=
	        size < STORE_INLINE_BODY_MAX ? size : STORE_INLINE_BODY_MAX; /* what is larger is a file, or nearly */
	return step != STEP_FAILED;
}

/* What of the piece would be too much to delete is left for the next one. */
static bool cut_piece(struct database *database, struct admin_run *run, struct error *err)
{
	uint64_t octets = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < run->ids.count; i++) {
		int64_t message = run->ids.ids[i] >> QUEUE_NUMBER_BITS;

		if (i > 0 && message == run->ids.ids[i - 1] >> QUEUE_NUMBER_BITS)
			continue;
		ok = add_size(database, message, &octets, err);
		if (ok && octets > DROP_OCTETS) {
			run->more = run->more || i + 1 < run->ids.count;
			run->ids.count = i + 1;
			run->finder.values[AFTER] = V_INT(run->ids.ids[i]);
		}
	}
	return ok;
}

/* Outside the write lock: whoever takes mail in does not wait while a long queue is looked through, and what finds nothing writes nothing. */
static bool find_piece(struct queue *queue, const struct queue_filter *filter, const struct admin_change *what,
        struct admin_run *run, struct error *err)
{
	bool ok;

	if (!queue_begin_read(queue, err))
		return false;
	run->started = run->started || finder_init(&run->finder, queue->reader, filter, err);
	ok = run->started && find_some(&run->finder, queue->reader, 0, CHANGE_PIECE, &run->ids, err);
	run->more = ok && run->ids.count == CHANGE_PIECE;
	ok = ok && (!what->drops || cut_piece(queue->reader, run, err));
	queue_end_read(queue);
	return ok;
}

/* One transaction. What went between the finding and it is passed over: ids are not used twice. */
static bool change_piece(struct queue *queue, const struct admin_change *what, const struct admin_run *run,
        uint64_t *changed, struct error *err)
{
	struct queue_change change;
	uint64_t count = 0;
	bool ok = true, found;

	if (!(what->is_hint ? queue_hint_begin : queue_change_begin)(queue, &change, err))
		return false;
	change.is_long = run->ids.count >= QUEUE_PIECE;
	if (change.is_long)
		database_large_cache(change.database, true);
	for (size_t i = 0; ok && i < run->ids.count; i++) {
		ok = what->apply(&change, what, run->ids.ids[i], &found, err);
		count += ok && found ? 1 : 0;
	}
	ok = queue_change_end(&change, ok, NULL, err);
	*changed += ok ? count : 0;
	return ok;
}

static bool change_all(struct queue *queue, const struct queue_filter *filter, const struct admin_change *what,
        uint64_t *changed, struct error *err)
{
	struct admin_run run = { .more = true };
	bool ok = true;

	*changed = 0;
	while (ok && run.more) {
		ok = find_piece(queue, filter, what, &run, err);
		if (!ok || run.ids.count == 0)
			break;
		ok = change_piece(queue, what, &run, changed, err);
		if (!ok && err->code == ERR_NO_SPACE && reserve_release(queue->reserve))
			ok = change_piece(queue, what, &run, changed, err);
		if (queue->progress != NULL)
			queue->progress(queue->progress_arg, *changed);
	}
	free(run.ids.ids);
	if (*changed > 0)
		queue_tell(queue, what->stops ? QUEUE_HINT_CHANGED : QUEUE_HINT_WORK);
	return ok;
}

void queue_show_progress(struct queue *queue, void (*progress)(void *arg, uint64_t changed), void *arg)
{
	queue->progress = progress;
	queue->progress_arg = arg;
}

bool queue_retry(
        struct queue *queue, const struct queue_filter *filter, int64_t now_ms, uint64_t *changed, struct error *err)
{
	const struct admin_change what = {
		.apply = apply_retry, .statement = QUEUE_RCPT_RETRY, .now_ms = now_ms, .is_hint = true
	};

	return change_all(queue, filter, &what, changed, err);
}

bool queue_hold(struct queue *queue, const struct queue_filter *filter, uint64_t *changed, struct error *err)
{
	const struct admin_change what = { .apply = apply_update, .statement = QUEUE_RCPT_HOLD, .stops = true };

	return change_all(queue, filter, &what, changed, err);
}

bool queue_release(
        struct queue *queue, const struct queue_filter *filter, int64_t now_ms, uint64_t *changed, struct error *err)
{
	const struct admin_change what = { .apply = apply_update, .statement = QUEUE_RCPT_RELEASE, .now_ms = now_ms };

	return change_all(queue, filter, &what, changed, err);
}

bool queue_drop(struct queue *queue, const struct queue_filter *filter, uint64_t *changed, struct error *err)
{
	const struct admin_change what = {
		.apply = apply_update, .statement = QUEUE_RCPT_DONE, .drops = true, .stops = true
	};

	return change_all(queue, filter, &what, changed, err);
}

bool queue_reroute(struct queue *queue, const struct queue_filter *filter, struct span domain, uint64_t *changed,
        struct error *err)
{
	const struct admin_change what = { .apply = apply_move, .domain = domain, .stops = true };
	size_t at;

	if (domain.len == 0 || domain.len > QUEUE_DOMAIN_MAX || span_find(domain, '\0', &at)) {
		*changed = 0;
		return error_set(err, ERR_BAD_VALUE, "not a destination");
	}
	return change_all(queue, filter, &what, changed, err);
}
