#include "storage/changes.h"

#include "storage/account.h"

#include <stdlib.h>
#include <string.h>

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
		feed->rows[feed->row_count++] = (struct message_row) {
			.uid = (uint32_t)sqlite3_column_int64(rows, 0),
			.size = (uint32_t)sqlite3_column_int64(rows, 1),
			.message_id = sqlite3_column_int64(rows, 2),
			.flags = (uint64_t)sqlite3_column_int64(rows, 3),
			.modseq = (uint64_t)sqlite3_column_int64(rows, 4),
		};
	return ok;
}

static bool read_number(struct feed *feed, enum mail_statement which, int column, uint64_t *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(feed->account->database, which, NULL, 0, &rows, err))
		return false;
	step = database_step(feed->account->database, rows, err);
	if (step == STEP_ROW)
		*out = (uint64_t)sqlite3_column_int64(rows, column);
	database_done(rows);
	if (step == STEP_DONE)
		error_detail(err, ERR_DAMAGED, "%.200s: no account row", feed->account->path);
	return step == STEP_ROW;
}

static bool above_floor(struct feed *feed, struct error *err)
{
	uint64_t floor, mailbox_floor;

	if (!read_number(feed, MAIL_CONSTANT, 2, &floor, err) ||
	        !read_number(feed, MAIL_CONSTANT, 3, &mailbox_floor, err))
		return false;
	if (feed->since < floor || feed->since < mailbox_floor)
		return error_set(err, ERR_CONFLICT, "the mod-sequence is too old");
	return true;
}

static bool list_mailboxes(struct feed *feed, enum mail_statement which, bool deleted, int64_t only, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(feed->account->database, which, &rows, err, V_INT(feed->since)))
		return false;
	while (ok && (step = database_step(feed->account->database, rows, err)) == STEP_ROW) {
		int64_t id = sqlite3_column_int64(rows, 0);

		if (only == 0 || id == only)
			ok = add_mailbox(feed, id, deleted, err);
	}
	database_done(rows);
	return ok && step == STEP_DONE;
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

/* The ranges in which flags changed, joined to one: each row is read once, and only those changed since are taken. */
static bool read_flagged(struct feed *feed, int64_t mailbox_id, struct error *err)
{
	uint32_t first = 0, last = 0;
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(
	            feed->account->database, MAIL_CHANGED_RANGES, &rows, err, V_INT(feed->since), V_INT(mailbox_id)))
		return false;
	while ((step = database_step(feed->account->database, rows, err)) == STEP_ROW) {
		uint32_t from = (uint32_t)sqlite3_column_int64(rows, 0), to = (uint32_t)sqlite3_column_int64(rows, 1);

		first = first == 0 || from < first ? from : first;
		last = to > last ? to : last;
	}
	database_done(rows);
	if (step != STEP_DONE)
		return false;
	return first == 0 || read_range(feed, mailbox_id, first, last, err);
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

static bool read_all(struct feed *feed, int64_t only, uint64_t *modseq, struct error *err)
{
	if (!read_number(feed, MAIL_ACCOUNT, 0, modseq, err) || !above_floor(feed, err) ||
	        !list_mailboxes(feed, MAIL_GONE_MAILBOXES, true, only, err) ||
	        !list_mailboxes(feed, MAIL_CHANGED_MAILBOXES, false, only, err))
		return false;
	for (size_t i = 0; i < feed->count; i++) {
		if (!read_mailbox(feed, &feed->mailboxes[i], err))
			return false;
	}
	return true;
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
	ok = read_all(&feed, mailbox_id, &out->modseq, err);
	database_end_read(account->database);
	hand_over(&feed, out);
	if (!ok)
		account_changes_free(out);
	return ok;
}

void account_changes_free(struct account_changes *changes)
{
	free(changes->mailboxes);
	free(changes->memory[0]);
	free(changes->memory[1]);
	memset(changes, 0, sizeof(*changes));
}

bool account_data_version(struct account *account, uint32_t *version, struct error *err)
{
	return database_data_version(account->database, version, err);
}
