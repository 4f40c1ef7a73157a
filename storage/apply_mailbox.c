/* CREATE, RENAME, DELETE and SUBSCRIBE. */
#include "storage/change.h"

#include <stdlib.h>
#include <string.h>

/* *id is 0 when there is none of that name. */
static bool find_name(struct change *change, struct span name, int64_t *id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(change->database, MAIL_MAILBOX_BY_NAME, &rows, err, V_TEXT(name)))
		return false;
	step = database_step(change->database, rows, err);
	*id = step == STEP_ROW ? sqlite3_column_int64(rows, 0) : 0;
	database_done(rows);
	return step != STEP_FAILED;
}

/* ERR_LIMIT when `counted` gives more than limit. */
static bool check_room(
        struct change *change, enum mail_statement counted, int limit, const char *of_what, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	int64_t count;

	if (!database_query(change->database, counted, NULL, 0, &rows, err))
		return false;
	step = database_step(change->database, rows, err);
	count = step == STEP_ROW ? sqlite3_column_int64(rows, 0) : 0;
	database_done(rows);
	if (step != STEP_ROW)
		return false;
	return count <= limit || error_set(err, ERR_LIMIT, "more than %d %s", limit, of_what);
}

static bool use_is_free(struct change *change, enum special_use use, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (use == USE_NONE)
		return true;
	if (!DATABASE_QUERY(change->database, MAIL_MAILBOX_BY_USE, &rows, err, V_INT(use)))
		return false;
	step = database_step(change->database, rows, err);
	database_done(rows);
	if (step == STEP_ROW)
		return error_set(err, ERR_UNSUPPORTED, "another mailbox has that special use");
	return step == STEP_DONE;
}

static bool insert_mailbox(
        struct change *change, struct span name, enum special_use use, int64_t *id, struct error *err)
{
	struct account_row *row = &change->state.row;

	if (!check_room(change, MAIL_MAILBOX_COUNT, MAILBOX_COUNT_MAX - 1, "mailboxes", err) ||
	        !use_is_free(change, use, err))
		return false;
	if (row->uid_validity_next >= UINT32_MAX)
		return error_set(err, ERR_LIMIT, "no more UIDVALIDITY numbers in this account");
	*id = row->id_next++;
	return DATABASE_RUN(change->database, MAIL_MAILBOX_NEW, err, V_INT(*id), V_INT(row->uid_validity_next++),
	        V_INT(change_modseq(change)), V_INT(use), V_TEXT(name));
}

/* RFC 9051 §6.3.4: superior names that are needed are made too. */
static bool make_parents(struct change *change, struct span name, struct error *err)
{
	int64_t id;

	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] != '/')
			continue;
		if (!find_name(change, span_first(name, i), &id, err))
			return false;
		if (id == 0 && !insert_mailbox(change, span_first(name, i), USE_NONE, &id, err))
			return false;
	}
	return true;
}

static bool check_free(struct change *change, struct span name, struct error *err)
{
	int64_t id;

	if (!find_name(change, name, &id, err))
		return false;
	return id == 0 || error_set(err, ERR_EXISTS, "a mailbox of that name exists");
}

bool apply_create(struct change *change, const struct operation *operation, struct error *err)
{
	struct span name = mailbox_name_span(operation->name);
	int64_t id;

	return check_free(change, name, err) && make_parents(change, name, err) &&
	       insert_mailbox(change, name, operation->use, &id, err);
}

static bool rename_one(struct change *change, int64_t id, struct span name, struct error *err)
{
	struct mailbox_state *mailbox;

	if (!change_mailbox(change, id, &mailbox, err) || !check_free(change, name, err))
		return false;
	change_touch(change, mailbox);
	return DATABASE_RUN(change->database, MAIL_MAILBOX_RENAME, err, V_TEXT(name), V_INT(id));
}

struct inferior {
	int64_t id;
	struct mailbox_name name;
};

static bool read_inferiors(struct change *change, struct span name, struct inferior *out, size_t capacity,
        size_t *count, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool fits = true;

	*count = 0;
	if (!DATABASE_QUERY(change->database, MAIL_MAILBOX_BELOW, &rows, err, V_TEXT(name)))
		return false;
	while (fits && *count < capacity && (step = database_step(change->database, rows, err)) == STEP_ROW) {
		struct inferior *inferior = &out[(*count)++];

		inferior->id = sqlite3_column_int64(rows, 0);
		fits = span_copy(database_text(rows, 1), inferior->name.text, sizeof(inferior->name.text));
		inferior->name.len = strlen(inferior->name.text);
	}
	database_done(rows);
	if (!fits)
		return error_detail(err, ERR_DAMAGED, "%.200s: mailbox name too long", change->account->path);
	return step != STEP_FAILED;
}

static bool rename_inferior(
        struct change *change, const struct inferior *inferior, struct span old, struct span new, struct error *err)
{
	struct mailbox_name name;
	size_t rest = inferior->name.len - old.len;

	if (new.len + rest > MAILBOX_NAME_MAX)
		return error_set(err, ERR_TOO_LONG, "an inferior mailbox would get too long a name");
	memcpy(name.text, new.ptr, new.len);
	memcpy(name.text + new.len, inferior->name.text + old.len, rest);
	name.len = new.len + rest;
	name.text[name.len] = '\0';
	if (!mailbox_name_parse(mailbox_name_span(&name), &name, err)) /* its depth */
		return false;
	return rename_one(change, inferior->id, mailbox_name_span(&name), err);
}

#define INFERIORS_AT_ONCE 64

/* Renamed ones are not found under the old name again, so reading from the start ends. */
static bool rename_tree_below(struct change *change, struct span old, struct span new, struct error *err)
{
	struct inferior *inferiors = malloc(INFERIORS_AT_ONCE * sizeof(*inferiors));
	size_t count = 0;
	bool ok = inferiors != NULL;

	if (!ok)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	do {
		ok = read_inferiors(change, old, inferiors, INFERIORS_AT_ONCE, &count, err);
		for (size_t i = 0; ok && i < count; i++)
			ok = rename_inferior(change, &inferiors[i], old, new, err);
	} while (ok && count == INFERIORS_AT_ONCE);
	free(inferiors);
	return ok;
}

static bool read_name(struct change *change, int64_t id, struct mailbox_name *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool fits = true;

	if (!DATABASE_QUERY(change->database, MAIL_MAILBOX, &rows, err, V_INT(id)))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW) {
		fits = span_copy(database_text(rows, 10), out->text, sizeof(out->text));
		out->len = fits ? strlen(out->text) : 0;
	}
	database_done(rows);
	if (!fits)
		return error_detail(err, ERR_DAMAGED, "%.200s: mailbox name too long", change->account->path);
	if (step == STEP_DONE)
		return error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	return step == STEP_ROW;
}

/* RFC 9051 §6.3.6: renaming INBOX moves its messages into a new mailbox and leaves INBOX empty; what is below it stays. */
static bool rename_inbox(struct change *change, int64_t inbox, struct span name, struct error *err)
{
	int64_t id;

	return insert_mailbox(change, name, USE_NONE, &id, err) && apply_move_all(change, inbox, id, err);
}

bool apply_rename(struct change *change, const struct operation *operation, struct error *err)
{
	struct span new = mailbox_name_span(operation->name), old;
	struct mailbox_name old_name;

	if (!read_name(change, operation->mailbox_id, &old_name, err) || !check_free(change, new, err))
		return false;
	old = mailbox_name_span(&old_name);
	if (span_starts(new, old) && new.len > old.len &&new.ptr[old.len] == '/' && !mailbox_name_is_inbox(old))
		return error_set(err, ERR_BAD_VALUE, "a mailbox cannot go below itself");
	if (!make_parents(change, new, err))
		return false;
	if (mailbox_name_is_inbox(old))
		return rename_inbox(change, operation->mailbox_id, new, err);
	return rename_one(change, operation->mailbox_id, new, err) && rename_tree_below(change, old, new, err);
}

bool apply_delete(struct change *change, const struct operation *operation, struct error *err)
{
	struct mailbox_name name;
	int64_t id = operation->mailbox_id;

	if (!read_name(change, id, &name, err))
		return false;
	if (mailbox_name_is_inbox(mailbox_name_span(&name)))
		return error_set(err, ERR_DENIED, "INBOX cannot be deleted"); /* RFC 9051 §6.3.5 */
	if (!apply_expunge_all(change, id, err))
		return false;
	change_forget_mailbox(change, id);
	return DATABASE_RUN(change->database, MAIL_MAILBOX_TOMBSTONE, err, V_INT(change_modseq(change)), V_INT(id),
	               V_TEXT(mailbox_name_span(&name)), V_INT(change->now)) &&
	       DATABASE_RUN(change->database, MAIL_MAILBOX_DELETE, err, V_INT(id));
}

/* RFC 9051 §6.3.7: the mailbox need not exist. */
bool apply_subscribe(struct change *change, const struct operation *operation, struct error *err)
{
	enum mail_statement statement = operation->subscribed ? MAIL_SUBSCRIBE : MAIL_UNSUBSCRIBE;
	struct span name = mailbox_name_span(operation->name);
	struct mailbox_state *mailbox;
	int64_t id;

	if (!DATABASE_RUN(change->database, statement, err, V_TEXT(name)))
		return false;
	if (database_changes(change->database) == 0)
		return true;
	if (operation->subscribed &&
	        !check_room(change, MAIL_SUBSCRIPTION_COUNT, SUBSCRIPTION_COUNT_MAX, "subscriptions", err))
		return false;
	change_modseq(change);
	if (!find_name(change, name, &id, err))
		return false;
	if (id == 0)
		return true;
	if (!change_mailbox(change, id, &mailbox, err))
		return false;
	change_touch(change, mailbox);
	return true;
}
