/* What happens to a message when its memberships come and go, and when it has been kept long enough (design 6: expunge is
 * "row to tombstone, body freed after N days"). */
#include "storage/change.h"

#define DAY_MS            ((int64_t)86400 * 1000)
#define TOMBSTONE_KEEP_MS (30 * DAY_MS)
#define TIDY_ROWS         500 /* of each kind in one transaction */
#define FREE_AT_ONCE      100 /* messages in one transaction with what others wait for */
#define FREE_PAGES_MIN    1024
#define FREE_PAGES_SHARE  4 /* a quarter of the file */

static bool read_copies(struct change *change, int64_t message_id, int64_t *copies, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(change->database, MAIL_COPIES, &rows, err, V_INT(message_id)))
		return false;
	step = database_step(change->database, rows, err);
	*copies = step == STEP_ROW ? sqlite3_column_int64(rows, 0) : 1;
	database_done(rows);
	return step != STEP_FAILED;
}

static bool write_copies(struct change *change, int64_t message_id, int64_t copies, struct error *err)
{
	if (copies == 1)
		return DATABASE_RUN(change->database, MAIL_COPIES_ONE, err, V_INT(message_id));
	return DATABASE_RUN(change->database, MAIL_COPIES_SET, err, V_INT(message_id), V_INT(copies));
}

bool message_hold(struct change *change, int64_t message_id, struct error *err)
{
	int64_t copies;

	return read_copies(change, message_id, &copies, err) && write_copies(change, message_id, copies + 1, err);
}

static bool forget_thread_of(struct change *change, int64_t message_id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(change->database, MAIL_MESSAGE_THREAD, &rows, err, V_INT(message_id)))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW)
		ok = thread_forget(
		        change, sqlite3_column_int64(rows, 0), database_text(rows, 1), database_text(rows, 2), err);
	database_done(rows);
	return ok && step != STEP_FAILED;
}

static bool free_file_of(struct change *change, int64_t message_id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(change->database, MAIL_CONTENT_FILE, &rows, err, V_INT(message_id)))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW && sqlite3_column_type(rows, 0) != SQLITE_NULL)
		ok = change_free_file(change, database_text(rows, 0), err);
	database_done(rows);
	return ok && step != STEP_FAILED;
}

static bool free_message(struct change *change, int64_t message_id, struct error *err)
{
	/* It may be one that was appended in this very transaction. */
	return append_octets(change, err) && free_file_of(change, message_id, err) &&
	       forget_thread_of(change, message_id, err) &&
	       DATABASE_RUN(change->database, MAIL_HEADER_DELETE, err, V_INT(message_id)) &&
	       DATABASE_RUN(change->database, MAIL_CONTENT_DELETE, err, V_INT(message_id)) &&
	       DATABASE_RUN(change->database, MAIL_MESSAGE_DELETE, err, V_INT(message_id));
}

bool message_drop(struct change *change, int64_t message_id, uint64_t size, struct error *err)
{
	unsigned days = change->account->store->keep_expunged_days;
	int64_t copies;

	if (!read_copies(change, message_id, &copies, err))
		return false;
	if (copies > 1)
		return write_copies(change, message_id, copies - 1, err);
	change->state.row.usage_bytes -= size;
	change->state.row.usage_messages--;
	change->state.dirty = true;
	if (days == 0 && change->freed_at_once++ < FREE_AT_ONCE)
		return free_message(change, message_id, err);
	change->account->has_rest = change->account->has_rest || days == 0;
	return DATABASE_RUN(
	        change->database, MAIL_EXPUNGED, err, V_INT(change->now + days * DAY_MS), V_INT(message_id));
}

struct due {
	int64_t message_id, free_after;
};

static bool read_due(struct change *change, struct due *due, size_t *count, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	*count = 0;
	if (!DATABASE_QUERY(change->database, MAIL_EXPUNGED_DUE, &rows, err, V_INT(change->now), V_INT(TIDY_ROWS)))
		return false;
	while ((step = database_step(change->database, rows, err)) == STEP_ROW)
		due[(*count)++] = (struct due) { sqlite3_column_int64(rows, 0), sqlite3_column_int64(rows, 1) };
	database_done(rows);
	return step == STEP_DONE;
}

static bool free_due(struct change *change, struct error *err)
{
	struct due due[TIDY_ROWS];
	size_t count;

	if (!read_due(change, due, &count, err))
		return false;
	change->account->has_rest = count == TIDY_ROWS;
	for (size_t i = 0; i < count; i++) {
		if (!free_message(change, due[i].message_id, err) ||
		        !DATABASE_RUN(change->database, MAIL_EXPUNGED_DONE, err, V_INT(due[i].free_after),
		                V_INT(due[i].message_id)))
			return false;
	}
	return true;
}

/* Deletes the oldest rows of a log up to a whole mod-sequence, and raises the floor to it: "too old" is a defined answer. */
static bool trim_log(struct change *change, enum mail_statement find, enum mail_statement trim,
        enum mail_statement floor, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	int64_t modseq = 0;

	if (!DATABASE_QUERY(
	            change->database, find, &rows, err, V_INT(change->now - TOMBSTONE_KEEP_MS), V_INT(TIDY_ROWS)))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW)
		modseq = sqlite3_column_int64(rows, 0); /* NULL, nothing old, reads as 0 */
	database_done(rows);
	if (step == STEP_FAILED || modseq == 0)
		return step != STEP_FAILED;
	return DATABASE_RUN(change->database, floor, err, V_INT(modseq)) &&
	       DATABASE_RUN(change->database, trim, err, V_INT(modseq));
}

static bool many_free_pages(struct change *change, bool *many, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(change->database, MAIL_FREE_PAGES, NULL, 0, &rows, err))
		return false;
	step = database_step(change->database, rows, err);
	*many = step == STEP_ROW && sqlite3_column_int64(rows, 0) > FREE_PAGES_MIN &&
	        sqlite3_column_int64(rows, 0) > sqlite3_column_int64(rows, 1) / FREE_PAGES_SHARE;
	database_done(rows);
	return step != STEP_FAILED;
}

/* Pages that are free are used again; only when they are many does the file get shorter, a piece at a time. */
static bool give_pages_back(struct change *change, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool many;

	if (!many_free_pages(change, &many, err))
		return false;
	if (!many)
		return true;
	if (!database_query(change->database, MAIL_GIVE_BACK, NULL, 0, &rows, err))
		return false;
	do {
		step = database_step(change->database, rows, err);
	} while (step == STEP_ROW);
	database_done(rows);
	return step == STEP_DONE;
}

bool change_tidy(struct change *change, struct error *err)
{
	return free_due(change, err) &&
	       trim_log(change, MAIL_OLD_TOMBSTONES, MAIL_TOMBSTONE_TIDY, MAIL_FLOOR_SET, err) &&
	       trim_log(change, MAIL_OLD_FLAG_CHANGES, MAIL_FLAG_CHANGE_TIDY, MAIL_FLOOR_SET, err) &&
	       trim_log(change, MAIL_OLD_MAILBOXES, MAIL_MAILBOX_TOMBSTONE_TIDY, MAIL_MAILBOX_FLOOR_SET, err) &&
	       give_pages_back(change, err);
}
