#include "storage/mailbox.h"

#include "storage/account.h"
#include "storage/mailbox_name.h"

#include <stdlib.h>

#define FIRST_ROWS 256
#define ROWS_MAX   (1u << 31)

bool account_usage(struct account *account, struct account_usage *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(account->database, MAIL_ACCOUNT, NULL, 0, &rows, err))
		return false;
	step = database_step(account->database, rows, err);
	if (step == STEP_ROW) {
		out->modseq = (uint64_t)sqlite3_column_int64(rows, 0);
		out->bytes = (uint64_t)sqlite3_column_int64(rows, 3);
		out->messages = (uint64_t)sqlite3_column_int64(rows, 4);
	}
	database_done(rows);
	if (step == STEP_DONE)
		error_detail(err, ERR_DAMAGED, "%.200s: no account row", account->path);
	return step == STEP_ROW;
}

static void read_info(sqlite3_stmt *rows, struct mailbox_info *out)
{
	*out = (struct mailbox_info) {
		.id = sqlite3_column_int64(rows, 0),
		.uid_validity = (uint32_t)sqlite3_column_int64(rows, 1),
		.uid_next = (uint32_t)sqlite3_column_int64(rows, 2),
		.messages = (uint32_t)sqlite3_column_int64(rows, 3),
		.unseen = (uint32_t)sqlite3_column_int64(rows, 4),
		.deleted = (uint32_t)sqlite3_column_int64(rows, 5),
		.size = (uint64_t)sqlite3_column_int64(rows, 6),
		.modseq = (uint64_t)sqlite3_column_int64(rows, 7),
		.use = (enum special_use)sqlite3_column_int64(rows, 8),
	};
}

static bool is_subscribed(struct account *account, struct span name, bool *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(account->database, MAIL_SUBSCRIBED, &rows, err, V_TEXT(name)))
		return false;
	step = database_step(account->database, rows, err);
	*out = step == STEP_ROW;
	database_done(rows);
	return step != STEP_FAILED;
}

static bool find_one(struct account *account, enum mail_statement which, struct value key, struct mailbox_info *out,
        struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!database_query(account->database, which, &key, 1, &rows, err))
		return false;
	step = database_step(account->database, rows, err);
	if (step == STEP_ROW) {
		read_info(rows, out);
		ok = is_subscribed(
		        account, database_text(rows, 9), &out->subscribed, err); /* the same snapshot: rows is open */
	}
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	return step == STEP_ROW && ok;
}

bool mailbox_find(struct account *account, struct span name, struct mailbox_info *out, struct error *err)
{
	struct mailbox_name stored;

	if (!mailbox_name_parse(name, &stored, err)) {
		if (err->code == ERR_NO_MEMORY)
			return false;
		return error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	}
	return find_one(account, MAIL_MAILBOX_BY_NAME, V_TEXT(mailbox_name_span(&stored)), out, err);
}

bool mailbox_find_use(struct account *account, enum special_use use, struct mailbox_info *out, struct error *err)
{
	return find_one(account, MAIL_MAILBOX_BY_USE, V_INT(use), out, err);
}

bool mailbox_list(struct account *account, void (*each)(void *arg, struct span name, const struct mailbox_info *info),
        void *arg, struct error *err)
{
	struct mailbox_info info;
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(account->database, MAIL_MAILBOX_ALL, NULL, 0, &rows, err))
		return false;
	while ((step = database_step(account->database, rows, err)) == STEP_ROW) {
		read_info(rows, &info);
		info.subscribed = sqlite3_column_int64(rows, 10) != 0;
		each(arg, database_text(rows, 9), &info);
	}
	database_done(rows);
	return step == STEP_DONE;
}

struct row_array {
	struct message_row *rows;
	size_t count, capacity;
};

static bool add_row(struct row_array *array, sqlite3_stmt *rows, struct error *err)
{
	if (array->count == array->capacity) {
		size_t capacity = array->capacity == 0 ? FIRST_ROWS : array->capacity * 2;
		struct message_row *bigger;

		if (capacity > ROWS_MAX)
			return error_set(err, ERR_LIMIT, "too many messages in the mailbox");
		bigger = realloc(array->rows, capacity * sizeof(*bigger));
		if (bigger == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		array->rows = bigger;
		array->capacity = capacity;
	}
	array->rows[array->count++] = (struct message_row) {
		.uid = (uint32_t)sqlite3_column_int64(rows, 0),
		.size = (uint32_t)sqlite3_column_int64(rows, 1),
		.message_id = sqlite3_column_int64(rows, 2),
		.flags = (uint64_t)sqlite3_column_int64(rows, 3),
		.modseq = (uint64_t)sqlite3_column_int64(rows, 4),
	};
	return true;
}

static bool read_rows(struct account *account, int64_t mailbox_id, struct row_array *array, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(account->database, MAIL_ROWS, &rows, err, V_INT(mailbox_id)))
		return false;
	while (ok && (step = database_step(account->database, rows, err)) == STEP_ROW)
		ok = add_row(array, rows, err);
	database_done(rows);
	return ok && step == STEP_DONE;
}

static bool mailbox_exists(struct account *account, int64_t mailbox_id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(account->database, MAIL_MAILBOX, &rows, err, V_INT(mailbox_id)))
		return false;
	step = database_step(account->database, rows, err);
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	return step == STEP_ROW;
}

bool mailbox_rows(
        struct account *account, int64_t mailbox_id, struct message_row **rows, size_t *count, struct error *err)
{
	struct row_array array = { 0 };
	bool ok;

	*rows = NULL;
	*count = 0;
	if (!database_begin_read(account->database, err))
		return false;
	ok = mailbox_exists(account, mailbox_id, err) && read_rows(account, mailbox_id, &array, err);
	database_end_read(account->database);
	if (!ok) {
		free(array.rows);
		return false;
	}
	*rows = array.rows;
	*count = array.count;
	return true;
}
