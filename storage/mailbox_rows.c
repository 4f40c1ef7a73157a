/* The rows of a mailbox: which messages are in it, since when, and all of it as one snapshot. */
#include "storage/mailbox_private.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_MAX  (1u << 31)
#define SAVED_GAP 8 /* UIDs of no interest that are read over rather than looked up around */

struct message_row row_read(sqlite3_stmt *rows)
{
	return (struct message_row) {
		.uid = (uint32_t)sqlite3_column_int64(rows, 0),
		.size = (uint32_t)sqlite3_column_int64(rows, 1),
		.message_id = sqlite3_column_int64(rows, 2),
		.flags = (uint64_t)sqlite3_column_int64(rows, 3),
		.modseq = (uint64_t)sqlite3_column_int64(rows, 4),
	};
}

/* The counter of the same snapshot says how much room is needed. */
static bool step_rows(struct account *account, sqlite3_stmt *rows, struct message_row *out, size_t capacity,
        size_t *count, struct error *err)
{
	enum step step;

	*count = 0;
	while ((step = database_step(account->database, rows, err)) == STEP_ROW && *count < capacity)
		out[(*count)++] = row_read(rows);
	if (step == STEP_ROW || (step == STEP_DONE && *count < capacity))
		return error_detail(err, ERR_DAMAGED, "%.180s: not as many rows as counted", account->path);
	return step == STEP_DONE;
}

static bool read_rows(struct account *account, const struct mailbox_info *info, struct message_row **out, size_t *count,
        struct error *err)
{
	struct message_row *array;
	sqlite3_stmt *rows;
	bool ok;

	if (info->messages > ROWS_MAX)
		return error_set(err, ERR_LIMIT, "too many messages in the mailbox");
	array = malloc((info->messages + (size_t)1) * sizeof(*array));
	if (array == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = DATABASE_QUERY(account->database, MAIL_ROWS, &rows, err, V_INT(info->id));
	ok = ok && step_rows(account, rows, array, info->messages, count, err);
	database_done(rows);
	if (!ok)
		free(array);
	else
		*out = array;
	return ok;
}

static bool read_info(struct account *account, int64_t mailbox_id, struct mailbox_info *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(account->database, MAIL_MAILBOX, &rows, err, V_INT(mailbox_id)))
		return false;
	step = database_step(account->database, rows, err);
	if (step == STEP_ROW)
		info_read(rows, out);
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	return step == STEP_ROW;
}

bool mailbox_snapshot(struct account *account, int64_t mailbox_id, struct mailbox_snapshot *out, struct error *err)
{
	uint64_t keywords;
	bool ok;

	memset(out, 0, sizeof(*out));
	if (!database_begin_read(account->database, err))
		return false;
	ok = read_info(account, mailbox_id, &out->info, err) && versions_read(account, &out->modseq, &keywords, err) &&
	     read_rows(account, &out->info, &out->rows, &out->count, err) &&
	     keywords_read(account, keywords, &out->keywords, err);
	database_end_read(account->database);
	if (!ok)
		mailbox_snapshot_free(out);
	return ok;
}

void mailbox_snapshot_free(struct mailbox_snapshot *snapshot)
{
	free(snapshot->rows);
	keyword_list_free(&snapshot->keywords);
	memset(snapshot, 0, sizeof(*snapshot));
}

bool mailbox_rows(
        struct account *account, int64_t mailbox_id, struct message_row **rows, size_t *count, struct error *err)
{
	struct mailbox_info info;
	bool ok;

	*rows = NULL;
	*count = 0;
	if (!database_begin_read(account->database, err))
		return false;
	ok = read_info(account, mailbox_id, &info, err) && read_rows(account, &info, rows, count, err);
	database_end_read(account->database);
	if (!ok)
		*count = 0;
	return ok;
}

bool mailbox_newest(struct account *account, int64_t mailbox_id, struct message_row *rows, size_t max, size_t *count,
        struct error *err)
{
	sqlite3_stmt *newest;
	enum step step = STEP_DONE;

	*count = 0;
	if (!DATABASE_QUERY(account->database, MAIL_CHANGED_NEW, &newest, err, V_INT(mailbox_id)))
		return false;
	while (*count < max && (step = database_step(account->database, newest, err)) == STEP_ROW)
		rows[(*count)++] = row_read(newest);
	database_done(newest);
	for (size_t i = 0; i < *count / 2; i++) {
		struct message_row row = rows[i];

		rows[i] = rows[*count - 1 - i];
		rows[*count - 1 - i] = row;
	}
	return step != STEP_FAILED;
}

/* From uids[*at] on as far as one cursor goes. */
static bool read_saved(struct account *account, int64_t mailbox_id, const uint32_t *uids, size_t count, size_t *at,
        int64_t *dates, struct error *err)
{
	size_t i = *at, end = i + 1;
	sqlite3_stmt *rows;
	enum step step;

	while (end < count && uids[end] - uids[end - 1] <= SAVED_GAP)
		end++;
	if (!DATABASE_QUERY(account->database, MAIL_ROWS_SAVED, &rows, err, V_INT(mailbox_id), V_INT(uids[i]),
	            V_INT(uids[end - 1])))
		return false;
	while ((step = database_step(account->database, rows, err)) == STEP_ROW) {
		uint32_t uid = (uint32_t)sqlite3_column_int64(rows, 0);

		while (i < end && uids[i] < uid)
			i++;
		if (i < end && uids[i] == uid)
			dates[i++] = sqlite3_column_int64(rows, 1);
	}
	database_done(rows);
	*at = end;
	return step == STEP_DONE;
}

bool mailbox_save_dates(struct account *account, int64_t mailbox_id, const uint32_t *uids, size_t count, int64_t *dates,
        struct error *err)
{
	bool ok = true;

	for (size_t i = 0; i < count; i++)
		dates[i] = 0;
	if (!database_begin_read(account->database, err))
		return false;
	for (size_t at = 0; ok && at < count;)
		ok = read_saved(account, mailbox_id, uids, count, &at, dates, err);
	database_end_read(account->database);
	return ok;
}
