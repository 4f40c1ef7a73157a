#include "storage/mailbox.h"

#include "storage/mailbox_name.h"
#include "storage/mailbox_private.h"

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

bool versions_read(struct account *account, uint64_t *modseq, uint64_t *keywords, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(account->database, MAIL_ACCOUNT, NULL, 0, &rows, err))
		return false;
	step = database_step(account->database, rows, err);
	if (step == STEP_ROW) {
		*modseq = (uint64_t)sqlite3_column_int64(rows, 0);
		*keywords = (uint64_t)sqlite3_column_int64(rows, 5);
	}
	database_done(rows);
	if (step == STEP_DONE)
		error_detail(err, ERR_DAMAGED, "%.200s: no account row", account->path);
	return step == STEP_ROW;
}

bool account_keywords(struct account *account, struct keyword_list *out, struct error *err)
{
	uint64_t modseq, version;
	bool ok;

	*out = (struct keyword_list) { 0 };
	if (!database_begin_read(account->database, err))
		return false;
	ok = versions_read(account, &modseq, &version, err) && keywords_read(account, version, out, err);
	database_end_read(account->database);
	return ok;
}

void info_read(sqlite3_stmt *rows, struct mailbox_info *out)
{
	*out = (struct mailbox_info) {
		.id = sqlite3_column_int64(rows, 0),
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

/* stored: its name, or NULL. */
static bool find_named(struct account *account, enum mail_statement which, struct value key, char *stored,
        struct mailbox_info *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!database_query(account->database, which, &key, 1, &rows, err))
		return false;
	step = database_step(account->database, rows, err);
	if (step == STEP_ROW) {
		info_read(rows, out);
		ok = is_subscribed(account, database_text(rows, MAILBOX_NAME_COLUMN), &out->subscribed,
		        err); /* the same snapshot: rows is open */
		if (stored != NULL &&
		        !span_copy(database_text(rows, MAILBOX_NAME_COLUMN), stored, MAILBOX_NAME_MAX + 1))
			ok = error_detail(err, ERR_DAMAGED, "a mailbox name is too long");
	}
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	return step == STEP_ROW && ok;
}

static bool find_one(struct account *account, enum mail_statement which, struct value key, struct mailbox_info *out,
        struct error *err)
{
	return find_named(account, which, key, NULL, out, err);
}

static bool parse_name(struct span name, struct mailbox_name *out, struct error *err)
{
	return mailbox_name_parse(name, out, err) ||
	       (err->code != ERR_NO_MEMORY && error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox"));
}

bool mailbox_find(struct account *account, struct span name, struct mailbox_info *out, struct error *err)
{
	struct mailbox_name parsed;

	return parse_name(name, &parsed, err) &&
	       find_one(account, MAIL_MAILBOX_BY_NAME, V_TEXT(mailbox_name_span(&parsed)), out, err);
}

bool mailbox_find_any_case(struct account *account, struct span name, char stored[MAILBOX_NAME_MAX + 1],
        struct mailbox_info *out, struct error *err)
{
	struct mailbox_name parsed;
	struct value key;

	if (!parse_name(name, &parsed, err))
		return false;
	key = V_TEXT(mailbox_name_span(&parsed));
	if (find_named(account, MAIL_MAILBOX_BY_NAME, key, stored, out, err))
		return true;
	return err->code == ERR_NO_SUCH_MAILBOX && find_named(account, MAIL_MAILBOX_ANY_CASE, key, stored, out, err);
}

bool mailbox_find_use(struct account *account, enum special_use use, struct mailbox_info *out, struct error *err)
{
	return find_one(account, MAIL_MAILBOX_BY_USE, V_INT(use), out, err);
}

bool mailbox_find_id(struct account *account, int64_t mailbox_id, struct mailbox_info *out, struct error *err)
{
	return find_one(account, MAIL_MAILBOX, V_INT(mailbox_id), out, err);
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
		info_read(rows, &info);
		info.subscribed = sqlite3_column_int64(rows, MAILBOX_NAME_COLUMN + 1) != 0;
		each(arg, database_text(rows, MAILBOX_NAME_COLUMN), &info);
	}
	database_done(rows);
	return step == STEP_DONE;
}

bool subscription_list(struct account *account, void (*each)(void *arg, struct span name), void *arg, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(account->database, MAIL_SUBSCRIPTIONS, NULL, 0, &rows, err))
		return false;
	while ((step = database_step(account->database, rows, err)) == STEP_ROW)
		each(arg, database_text(rows, 0));
	database_done(rows);
	return step == STEP_DONE;
}
