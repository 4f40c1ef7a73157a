#include "storage/changes.h"

#include "storage/mailbox_private.h"

#include <stdlib.h>
#include <string.h>

#define RANGE_GAP 64 /* ranges of UIDs as near as that are read by one cursor: about a page */

/* Growing arrays; offsets become pointers at the end, when nothing moves any more. */
struct feed {
	struct account *account;
	uint64_t since;
	struct mailbox_changes *mailboxes;
	size_t count, capacity;
	uint32_t *uids;
	size_t uid_count, uid_capacity;
	struct message_row *rows;
	size_t row_count, row_capacity;
	struct uid_range *ranges; /* of one mailbox at a time */
	size_t range_count, range_capacity;
};

struct uid_range {
	uint32_t first, last;
};

static bool grow(void **array, size_t count, size_t *capacity, size_t item, struct error *err)
{
	size_t bigger = *capacity == 0 ? 16 : *capacity * 2;
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

static bool add_mailbox(struct feed *feed, int64_t id, bool deleted, struct error *err)
{
	void *array = feed->mailboxes;
	bool ok = grow(&array, feed->count, &feed->capacity, sizeof(*feed->mailboxes), err);

	feed->mailboxes = array;
	if (ok)
		feed->mailboxes[feed->count++] = (struct mailbox_changes) { .mailbox_id = id, .deleted = deleted };
	return ok;
}

static bool add_uid(struct feed *feed, uint32_t uid, struct error *err)
{
	void *array = feed->uids;
	bool ok = grow(&array, feed->uid_count, &feed->uid_capacity, sizeof(*feed->uids), err);

	feed->uids = array;
	if (ok)
		feed->uids[feed->uid_count++] = uid;
	return ok;
}

static bool add_row(struct feed *feed, sqlite3_stmt *rows, struct error *err)
{
	void *array = feed->rows;
	bool ok = grow(&array, feed->row_count, &feed->row_capacity, sizeof(*feed->rows), err);

	feed->rows = array;
	if (ok)
		feed->rows[feed->row_count++] = row_read(rows);
	return ok;
}

static bool add_range(struct feed *feed, struct uid_range range, struct error *err)
{
	void *array = feed->ranges;
	bool ok = grow(&array, feed->range_count, &feed->range_capacity, sizeof(*feed->ranges), err);

	feed->ranges = array;
	if (ok)
		feed->ranges[feed->range_count++] = range;
	return ok;
}

/* Of the one row of account_constant. */
static bool read_floors(struct feed *feed, uint64_t *floor, uint64_t *mailbox_floor, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(feed->account->database, MAIL_CONSTANT, NULL, 0, &rows, err))
		return false;
	step = database_step(feed->account->database, rows, err);
	if (step == STEP_ROW) {
		*floor = (uint64_t)sqlite3_column_int64(rows, 2);
		*mailbox_floor = (uint64_t)sqlite3_column_int64(rows, 3);
	}
	database_done(rows);
	if (step == STEP_DONE)
		error_detail(err, ERR_DAMAGED, "%.200s: no account_constant row", feed->account->path);
	return step == STEP_ROW;
}

static bool above_floor(struct feed *feed, bool all, struct error *err)
{
	uint64_t floor, mailbox_floor;

	if (!read_floors(feed, &floor, &mailbox_floor, err))
		return false;
	if (feed->since < floor || (all && feed->since < mailbox_floor))
		return error_set(err, ERR_CONFLICT, "the mod-sequence is too old");
	return true;
}

static bool list_gone(struct feed *feed, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(feed->account->database, MAIL_GONE_MAILBOXES, &rows, err, V_INT(feed->since)))
		return false;
	while (ok && (step = database_step(feed->account->database, rows, err)) == STEP_ROW)
		ok = add_mailbox(feed, sqlite3_column_int64(rows, 0), true, err);
	database_done(rows);
	return ok && step == STEP_DONE;
}

static bool list_changed(struct feed *feed, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(feed->account->database, MAIL_CHANGED_MAILBOXES, &rows, err, V_INT(feed->since)))
		return false;
	while (ok && (step = database_step(feed->account->database, rows, err)) == STEP_ROW) {
		ok = add_mailbox(feed, sqlite3_column_int64(rows, 0), false, err);
		if (ok)
			info_read(rows, &feed->mailboxes[feed->count - 1].info);
	}
	database_done(rows);
	return ok && step == STEP_DONE;
}

static bool list_only(struct feed *feed, int64_t mailbox_id, struct error *err)
{
	struct mailbox_info info;
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(feed->account->database, MAIL_MAILBOX, &rows, err, V_INT(mailbox_id)))
		return false;
	step = database_step(feed->account->database, rows, err);
	if (step == STEP_ROW)
		info_read(rows, &info);
	database_done(rows);
	if (step == STEP_DONE)
		return add_mailbox(feed, mailbox_id, true, err);
	if (step == STEP_FAILED || info.modseq <= feed->since)
		return step != STEP_FAILED;
	if (!add_mailbox(feed, mailbox_id, false, err))
		return false;
	feed->mailboxes[feed->count - 1].info = info;
	return true;
}

static int compare_uids(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static bool read_vanished(struct feed *feed, struct mailbox_changes *mailbox, struct error *err)
{
	size_t first = feed->uid_count;
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(feed->account->database, MAIL_GONE_ROWS, &rows, err, V_INT(feed->since),
	            V_INT(mailbox->mailbox_id)))
		return false;
	while (ok && (step = database_step(feed->account->database, rows, err)) == STEP_ROW)
		ok = add_uid(feed, (uint32_t)sqlite3_column_int64(rows, 0), err);
	database_done(rows);
	mailbox->vanished_count = feed->uid_count - first;
	if (ok && mailbox->vanished_count > 0)
		qsort(feed->uids + first, mailbox->vanished_count, sizeof(*feed->uids), compare_uids);
	return ok && step == STEP_DONE;
}

/* New rows stand at the end of the mailbox: from the last UID back, as long as they were made since. */
static bool read_new(struct feed *feed, int64_t mailbox_id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(feed->account->database, MAIL_CHANGED_NEW, &rows, err, V_INT(mailbox_id)))
		return false;
	while (ok && (step = database_step(feed->account->database, rows, err)) == STEP_ROW) {
		if ((uint64_t)sqlite3_column_int64(rows, 5) <= feed->since) {
			step = STEP_DONE;
			break;
		}
		ok = add_row(feed, rows, err);
	}
	database_done(rows);
	return ok && step == STEP_DONE;
}

static bool read_range(struct feed *feed, int64_t mailbox_id, uint32_t first, uint32_t last, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(feed->account->database, MAIL_CHANGED_ROWS, &rows, err, V_INT(mailbox_id), V_INT(first),
	            V_INT(last), V_INT(feed->since)))
		return false;
	while (ok && (step = database_step(feed->account->database, rows, err)) == STEP_ROW)
		ok = add_row(feed, rows, err);
	database_done(rows);
	return ok && step == STEP_DONE;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct uid_range *left = a, *right = b;

	return (left->first > right->first) - (left->first < right->first);
}

static bool collect_ranges(struct feed *feed, int64_t mailbox_id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	feed->range_count = 0;
	if (!DATABASE_QUERY(
	            feed->account->database, MAIL_CHANGED_RANGES, &rows, err, V_INT(feed->since), V_INT(mailbox_id)))
		return false;
	while (ok && (step = database_step(feed->account->database, rows, err)) == STEP_ROW)
		ok = add_range(feed,
		        (struct uid_range) {
		                (uint32_t)sqlite3_column_int64(rows, 0), (uint32_t)sqlite3_column_int64(rows, 1) },
		        err);
	database_done(rows);
	return ok && step == STEP_DONE;
}

/* Ranges that overlap or are near each other become one, so each row is read at most once; those changed since are taken. */
static bool read_flagged(struct feed *feed, int64_t mailbox_id, struct error *err)
{
	if (!collect_ranges(feed, mailbox_id, err))
		return false;
	if (feed->range_count > 0)
		qsort(feed->ranges, feed->range_count, sizeof(*feed->ranges), compare_ranges);
	for (size_t i = 0; i < feed->range_count;) {
		struct uid_range joined = feed->ranges[i++];

		while (i < feed->range_count &&
		        (feed->ranges[i].first <= joined.last || feed->ranges[i].first - joined.last <= RANGE_GAP)) {
			if (feed->ranges[i].last > joined.last)
				joined.last = feed->ranges[i].last;
			i++;
		}
		if (!read_range(feed, mailbox_id, joined.first, joined.last, err))
			return false;
	}
	return true;
}

static int compare_rows(const void *a, const void *b)
{
	const struct message_row *left = a, *right = b;

	return (left->uid > right->uid) - (left->uid < right->uid);
}

static bool read_mailbox(struct feed *feed, struct mailbox_changes *mailbox, struct error *err)
{
	size_t first = feed->row_count;

	if (mailbox->deleted)
		return true;
	if (!read_vanished(feed, mailbox, err) || !read_new(feed, mailbox->mailbox_id, err) ||
	        !read_flagged(feed, mailbox->mailbox_id, err))
		return false;
	mailbox->row_count = feed->row_count - first;
	if (mailbox->row_count > 0)
		qsort(feed->rows + first, mailbox->row_count, sizeof(*feed->rows), compare_rows);
	return true;
}

/* A mailbox that says itself that nothing has happened needs no log, however old that is. */
static bool list(struct feed *feed, int64_t only, struct error *err)
{
	if (only != 0)
		return list_only(feed, only, err) && (feed->count == 0 || above_floor(feed, false, err));
	return above_floor(feed, true, err) && list_gone(feed, err) && list_changed(feed, err);
}

static bool read_all(struct feed *feed, int64_t only, struct account_changes *out, struct error *err)
{
	if (!versions_read(feed->account, &out->modseq, &out->keywords_version, err) || !list(feed, only, err))
		return false;
	for (size_t i = 0; i < feed->count; i++) {
		if (!read_mailbox(feed, &feed->mailboxes[i], err))
			return false;
	}
	return out->keywords_version <= feed->since ||
	       keywords_read(feed->account, out->keywords_version, &out->keywords, err);
}

static void hand_over(struct feed *feed, struct account_changes *out)
{
	const uint32_t *uid = feed->uids;
	const struct message_row *row = feed->rows;

	for (size_t i = 0; i < feed->count; i++) {
		feed->mailboxes[i].vanished = uid;
		feed->mailboxes[i].rows = row;
		if (feed->mailboxes[i].vanished_count > 0)
			uid += feed->mailboxes[i].vanished_count;
		if (feed->mailboxes[i].row_count > 0)
			row += feed->mailboxes[i].row_count;
	}
	out->mailboxes = feed->mailboxes;
	out->count = feed->count;
	out->memory[0] = feed->uids;
	out->memory[1] = feed->rows;
}

bool account_changes(struct account *account, uint64_t since_modseq, int64_t mailbox_id, struct account_changes *out,
        struct error *err)
{
	struct feed feed = { .account = account, .since = since_modseq };
	bool ok;

	memset(out, 0, sizeof(*out));
	if (!database_begin_read(account->database, err))
		return false;
	ok = read_all(&feed, mailbox_id, out, err);
	database_end_read(account->database);
	hand_over(&feed, out);
	free(feed.ranges);
	if (!ok)
		account_changes_free(out);
	return ok;
}

void account_changes_free(struct account_changes *changes)
{
	free(changes->mailboxes);
	free(changes->memory[0]);
	free(changes->memory[1]);
	keyword_list_free(&changes->keywords);
	memset(changes, 0, sizeof(*changes));
}

bool account_data_version(struct account *account, uint32_t *version, struct error *err)
{
	return database_data_version(account->database, version, err);
}
