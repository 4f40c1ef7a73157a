#include "storage/directory.h"

#include "base/clock.h"
#include "base/file.h"
#include "storage/directory_private.h"
#include "storage/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const steps[] = { schema_directory_1, schema_directory_2 };

static const char *const statements[DIRECTORY_STATEMENT_COUNT] = {
#define DIRECTORY_STATEMENT_SQL(name, sql) [name] = sql,
	DIRECTORY_STATEMENTS(DIRECTORY_STATEMENT_SQL)
#undef DIRECTORY_STATEMENT_SQL
};

const struct database_kind directory_kind = {
	.application_id = 0x50486431,
	.steps = steps,
	.version = (int)ARRAY_LEN(steps),
	.statements = statements,
	.statement_count = DIRECTORY_STATEMENT_COUNT,
};

bool directory_open(const char *data_dir, struct directory **out, struct error *err)
{
	char path[DATABASE_PATH_MAX];
	struct directory *directory;

	*out = NULL;
	snprintf(path, sizeof(path), "%s/directory.db", data_dir);
	if (!file_make_dir(data_dir, 0700, err))
		return false;
	directory = calloc(1, sizeof(*directory));
	if (directory == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	pthread_mutex_init(&directory->mutex, NULL);
	if (!database_open(path, &directory_kind, true, &directory->database, err)) {
		directory_close(&directory);
		return false;
	}
	directory_version_open(directory, data_dir);
	*out = directory;
	return true;
}

void directory_close(struct directory **directory)
{
	if (*directory == NULL)
		return;
	directory_version_close(*directory);
	database_close(&(*directory)->database);
	pthread_mutex_destroy(&(*directory)->mutex);
	free(*directory);
	*directory = NULL;
}

bool directory_begin_read(struct directory *directory, struct error *err)
{
	pthread_mutex_lock(&directory->mutex);
	if (database_begin_read(directory->database, err))
		return true;
	pthread_mutex_unlock(&directory->mutex);
	return false;
}

void directory_end_read(struct directory *directory)
{
	database_end_read(directory->database);
	pthread_mutex_unlock(&directory->mutex);
}

bool directory_begin(struct directory *directory, struct error *err)
{
	pthread_mutex_lock(&directory->mutex);
	if (database_begin(directory->database, err))
		return true;
	pthread_mutex_unlock(&directory->mutex);
	return false;
}

bool directory_end(struct directory *directory, bool ok, struct error *err)
{
	if (ok)
		ok = database_commit(directory->database, err);
	else
		database_rollback(directory->database);
	directory_version_next(directory);
	pthread_mutex_unlock(&directory->mutex);
	return ok;
}

bool directory_domain_id(struct directory *directory, const char *domain, int64_t *id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(directory->database, DIR_DOMAIN, &rows, err, V_TEXT(span_of(domain))))
		return false;
	step = database_step(directory->database, rows, err);
	if (step == STEP_ROW)
		*id = sqlite3_column_int64(rows, 0);
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_DOMAIN, "no such domain here");
	return step == STEP_ROW;
}

static int32_t number_or_configured(sqlite3_stmt *rows, int column)
{
	return sqlite3_column_type(rows, column) == SQLITE_NULL ? ACCOUNT_AS_CONFIGURED
	                                                        : sqlite3_column_int(rows, column);
}

static bool read_account(sqlite3_stmt *rows, struct account_info *out, struct error *err)
{
	struct span local = database_text(rows, 1), domain = database_text(rows, 2);
	int len = snprintf(out->address, sizeof(out->address), "%.*s@%.*s", SPAN_FMT(local), SPAN_FMT(domain));

	if (len < 0 || (size_t)len >= sizeof(out->address) ||
	        !span_copy(span_first(database_text(rows, 3), sizeof(out->name) - 1), out->name, sizeof(out->name)))
		return error_detail(err, ERR_DAMAGED, "directory.db: an address or name is too long");
	out->id = sqlite3_column_int64(rows, 0);
	out->quota_bytes = (uint64_t)sqlite3_column_int64(rows, 4);
	out->quota_messages = (uint64_t)sqlite3_column_int64(rows, 5);
	out->disabled = sqlite3_column_int64(rows, 6) != 0;
	out->created_ms = sqlite3_column_int64(rows, 7);
	out->options = (struct account_options) {
		.file_sent = sqlite3_column_int(rows, 8) != 0,
		.detail_folders = sqlite3_column_int(rows, 9) != 0,
		.undo_seconds = number_or_configured(rows, 10),
		.recipients_a_day = number_or_configured(rows, 11),
		.new_recipients_a_day = number_or_configured(rows, 12),
	};
	return true;
}

static bool one_account(struct directory *directory, enum directory_statement which, const struct value *keys,
        int count, struct account_info *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!database_query(directory->database, which, keys, count, &rows, err))
		return false;
	step = database_step(directory->database, rows, err);
	if (step == STEP_ROW)
		ok = read_account(rows, out, err);
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_ACCOUNT, "no such account");
	return step == STEP_ROW && ok;
}

bool directory_account(struct directory *directory, int64_t account_id, struct account_info *out, struct error *err)
{
	struct value key = V_INT(account_id);
	bool ok;

	if (!directory_begin_read(directory, err))
		return false;
	ok = one_account(directory, DIR_ACCOUNT, &key, 1, out, err);
	directory_end_read(directory);
	return ok;
}

static bool find_account(
        struct directory *directory, const struct address_key *key, struct account_info *out, struct error *err)
{
	struct value keys[2] = { [1] = V_TEXT(span_of(key->local)) };
	int64_t domain;

	if (!directory_domain_id(directory, key->domain, &domain, err))
		return false;
	keys[0] = V_INT(domain);
	return one_account(directory, DIR_ACCOUNT_BY_ADDRESS, keys, 2, out, err);
}

bool directory_find_account(
        struct directory *directory, struct span address, struct account_info *out, struct error *err)
{
	struct address_key key;
	bool ok;

	if (!address_key(address, &key, err) || !directory_begin_read(directory, err))
		return false;
	ok = find_account(directory, &key, out, err);
	directory_end_read(directory);
	return ok;
}

/* The callback may call the directory again, so the rows are collected first. */
struct account_list {
	struct account_info *infos;
	size_t count, capacity;
};

static bool add_info(struct account_list *list, sqlite3_stmt *rows, struct error *err)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
		struct account_info *bigger = realloc(list->infos, capacity * sizeof(*bigger));

		if (bigger == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		list->infos = bigger;
		list->capacity = capacity;
	}
	return read_account(rows, &list->infos[list->count++], err);
}

static bool collect_accounts(
        struct directory *directory, struct span domain, struct account_list *list, struct error *err)
{
	enum directory_statement which = domain.len > 0 ? DIR_ACCOUNTS_OF : DIR_ACCOUNTS;
	char name[DOMAIN_MAX + 1];
	sqlite3_stmt *rows;
	enum step step;
	int64_t id = 0;
	bool ok = true;

	if (domain.len > 0 &&
	        (!domain_key(domain, name, sizeof(name), err) || !directory_domain_id(directory, name, &id, err)))
		return false;
	if (!database_query(directory->database, which, &V_INT(id), domain.len > 0 ? 1 : 0, &rows, err))
		return false;
	while (ok && (step = database_step(directory->database, rows, err)) == STEP_ROW)
		ok = add_info(list, rows, err);
	database_done(rows);
	return ok && step == STEP_DONE;
}

bool directory_each_account(struct directory *directory, struct span domain,
        bool (*each)(void *arg, const struct account_info *info), void *arg, struct error *err)
{
	struct account_list list = { 0 };
	bool ok;

	if (!directory_begin_read(directory, err))
		return false;
	ok = collect_accounts(directory, domain, &list, err);
	directory_end_read(directory);
	for (size_t i = 0; ok && i < list.count && each(arg, &list.infos[i]); i++)
		;
	free(list.infos);
	return ok;
}

static bool address_is_free(struct directory *directory, int64_t domain, const char *local, struct error *err)
{
	static const enum directory_statement places[] = { DIR_ADDRESS, DIR_ALIAS };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		sqlite3_stmt *rows;
		enum step step;

		if (!DATABASE_QUERY(directory->database, places[i], &rows, err, V_INT(domain), V_TEXT(span_of(local))))
			return false;
		step = database_step(directory->database, rows, err);
		database_done(rows);
		if (step == STEP_ROW)
			return error_set(err, ERR_EXISTS, "the address is taken");
		if (step == STEP_FAILED)
			return false;
	}
	return true;
}

struct new_account {
	struct address_key key;
	struct span name;
	uint64_t quota_bytes, quota_messages;
};

static bool insert_account(struct directory *directory, const struct new_account *new, int64_t *id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(directory->database, DIR_ACCOUNT_NEW, &rows, err, V_TEXT(new->name),
	            V_INT(new->quota_bytes), V_INT(new->quota_messages), V_INT(clock_wall_ms())))
		return false;
	step = database_step(directory->database, rows, err);
	*id = step == STEP_ROW ? sqlite3_column_int64(rows, 0) : 0;
	if (step == STEP_ROW)
		step = database_step(
		        directory->database, rows, err); /* RETURNING: the insert ends with the statement */
	database_done(rows);
	return step == STEP_DONE;
}

static bool add_account(struct directory *directory, const struct new_account *new, int64_t *id, struct error *err)
{
	int64_t domain;

	return directory_domain_id(directory, new->key.domain, &domain, err) &&
	       address_is_free(directory, domain, new->key.local, err) && insert_account(directory, new, id, err) &&
	       DATABASE_RUN(directory->database, DIR_ADDRESS_NEW, err, V_INT(domain), V_TEXT(span_of(new->key.local)),
	               V_INT(*id), V_INT(1));
}

bool directory_add_account(struct directory *directory, struct span address, struct span name, uint64_t quota_bytes,
        uint64_t quota_messages, int64_t *account_id, struct error *err)
{
	struct new_account new = { .name = name, .quota_bytes = quota_bytes, .quota_messages = quota_messages };

	if (!address_key(address, &new.key, err))
		return false;
	if (strcmp(new.key.local, "*") == 0)
		return error_set(err, ERR_BAD_ADDRESS, "\"*\" is the catch-all: add an alias");
	if (name.len >= sizeof(((struct account_info *)0)->name))
		return error_set(err, ERR_TOO_LONG, "the name is too long");
	if (quota_bytes > INT64_MAX || quota_messages > INT64_MAX)
		return error_set(err, ERR_BAD_VALUE, "the quota is too large");
	if (!directory_begin(directory, err))
		return false;
	return directory_end(directory, add_account(directory, &new, account_id, err), err);
}

/* Runs one UPDATE or DELETE; ERR_NO_SUCH_ACCOUNT when it met no account. */
static bool change_account(struct directory *directory, enum directory_statement which, const struct value *values,
        int count, struct error *err)
{
	bool ok;

	if (!directory_begin(directory, err))
		return false;
	ok = database_run(directory->database, which, values, count, err);
	if (ok && database_changes(directory->database) == 0)
		ok = error_set(err, ERR_NO_SUCH_ACCOUNT, "no such account");
	return directory_end(directory, ok, err);
}

bool directory_set_disabled(struct directory *directory, int64_t account_id, bool disabled, struct error *err)
{
	const struct value values[] = { V_INT(disabled), V_INT(account_id) };

	return change_account(directory, DIR_ACCOUNT_DISABLE, values, ARRAY_LEN(values), err);
}

bool directory_set_quota(
        struct directory *directory, int64_t account_id, uint64_t bytes, uint64_t messages, struct error *err)
{
	const struct value values[] = { V_INT(bytes), V_INT(messages), V_INT(account_id) };

	if (bytes > INT64_MAX || messages > INT64_MAX)
		return error_set(err, ERR_BAD_VALUE, "the quota is too large");
	return change_account(directory, DIR_ACCOUNT_QUOTA, values, ARRAY_LEN(values), err);
}

static bool in_range(int32_t number, int32_t max)
{
	return number == ACCOUNT_AS_CONFIGURED || (number >= 0 && number <= max);
}

bool directory_set_options(
        struct directory *directory, int64_t account_id, const struct account_options *options, struct error *err)
{
	const int32_t numbers[] = { options->undo_seconds, options->recipients_a_day, options->new_recipients_a_day };
	struct value values[] = { V_INT(options->file_sent), V_INT(options->detail_folders), V_NULL, V_NULL, V_NULL,
		V_INT(account_id) };

	if (!in_range(numbers[0], ACCOUNT_UNDO_MAX) || !in_range(numbers[1], ACCOUNT_LIMIT_MAX) ||
	        !in_range(numbers[2], ACCOUNT_LIMIT_MAX))
		return error_set(err, ERR_BAD_VALUE, "the number is too large");
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		if (numbers[i] != ACCOUNT_AS_CONFIGURED)
			values[2 + i] = V_INT(numbers[i]);
	}
	return change_account(directory, DIR_ACCOUNT_OPTIONS, values, ARRAY_LEN(values), err);
}

bool directory_remove_account(struct directory *directory, int64_t account_id, struct error *err)
{
	bool ok;

	if (!directory_begin(directory, err))
		return false;
	ok = DATABASE_RUN(directory->database, DIR_ADDRESSES_DELETE, err, V_INT(account_id)) &&
	     DATABASE_RUN(directory->database, DIR_ACCOUNT_DELETE, err, V_INT(account_id));
	if (ok && database_changes(directory->database) == 0)
		ok = error_set(err, ERR_NO_SUCH_ACCOUNT, "no such account");
	return directory_end(directory, ok, err);
}
