#include "storage/credentials.h"

#include "base/file.h"
#include "base/secret.h"
#include "storage/address_key.h"
#include "storage/directory_sql.h"
#include "storage/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum auth_statement {
	AUTH_FIND,
	AUTH_PUT,
	AUTH_ADD_SCRAM,
	AUTH_LOGIN_OWNER,
	AUTH_DISABLE,
	AUTH_REMOVE,
	AUTH_NOTE,
	AUTH_STATEMENT_COUNT
};

static const char *const steps[] = { schema_auth_1 };

static const char *const statements[AUTH_STATEMENT_COUNT] = {
	[AUTH_FIND] =
	        "SELECT account_id, login, disabled, password_hash, scram_salt, scram_iterations, scram_stored_key, "
	        "scram_server_key FROM credential WHERE login = ?",
	[AUTH_LOGIN_OWNER] = "SELECT 1 FROM credential WHERE login = ? AND account_id <> ?",
	[AUTH_PUT] =
	        "INSERT INTO credential VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (account_id) DO UPDATE SET "
	        "login = ?2, disabled = ?3, password_hash = ?4, scram_salt = ?5, scram_iterations = ?6, "
	        "scram_stored_key = ?7, scram_server_key = ?8",
	[AUTH_ADD_SCRAM] =
	        "UPDATE credential SET scram_salt = ?3, scram_iterations = ?4, scram_stored_key = ?5, scram_server_key = ?6 "
	        "WHERE account_id = ?1 AND password_hash = ?2 AND scram_iterations = 0",
	[AUTH_DISABLE] = "UPDATE credential SET disabled = ? WHERE account_id = ?",
	[AUTH_REMOVE] = "DELETE FROM credential WHERE account_id = ?",
	[AUTH_NOTE] = "INSERT INTO last_login SELECT account_id, ?2, ?3, ?4 FROM credential WHERE account_id = ?1 "
	              "ON CONFLICT (account_id, service) DO UPDATE SET at = ?3, peer = ?4",
};

const struct database_kind auth_kind = {
	.application_id = 0x50486131,
	.steps = steps,
	.version = (int)ARRAY_LEN(steps),
	.statements = statements,
	.statement_count = AUTH_STATEMENT_COUNT,
};

struct credentials {
	struct database *database;
};

bool credentials_open(const char *data_dir, struct credentials **out, struct error *err)
{
	char path[DATABASE_PATH_MAX];
	struct credentials *credentials;

	*out = NULL;
	snprintf(path, sizeof(path), "%s/auth.db", data_dir);
	if (!file_make_dir(data_dir, 0700, err))
		return false;
	credentials = calloc(1, sizeof(*credentials));
	if (credentials == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (!database_open(path, &auth_kind, true, &credentials->database, err)) {
		free(credentials);
		return false;
	}
	*out = credentials;
	return true;
}

void credentials_close(struct credentials **credentials)
{
	if (*credentials == NULL)
		return;
	database_close(&(*credentials)->database);
	free(*credentials);
	*credentials = NULL;
}

static bool take_bytes(sqlite3_stmt *rows, int column, void *out, size_t len)
{
	struct span bytes = database_text(rows, column);

	if (bytes.len != len)
		return false;
	memcpy(out, bytes.ptr, len);
	return true;
}

static bool read_credential(sqlite3_stmt *rows, struct credential *out, struct error *err)
{
	out->account_id = sqlite3_column_int64(rows, 0);
	out->disabled = sqlite3_column_int64(rows, 2) != 0;
	out->scram_iterations = (uint32_t)sqlite3_column_int64(rows, 5);
	if (span_copy(database_text(rows, 1), out->login, sizeof(out->login)) &&
	        span_copy(database_text(rows, 3), out->password_hash, sizeof(out->password_hash)) &&
	        take_bytes(rows, 4, out->scram_salt, sizeof(out->scram_salt)) &&
	        take_bytes(rows, 6, out->scram_stored_key, sizeof(out->scram_stored_key)) &&
	        take_bytes(rows, 7, out->scram_server_key, sizeof(out->scram_server_key)))
		return true;
	return error_detail(
	        err, ERR_DAMAGED, "auth.db: a field of account %lld has a wrong length", (long long)out->account_id);
}

/* Logins are stored in the form of addresses; one that is no address belongs to nobody. */
static bool login_key(struct span login, char *out, size_t size, struct error *err)
{
	struct address_key key;
	int len;

	if (!address_key(login, &key, err))
		return false;
	len = snprintf(out, size, "%s@%s", key.local, key.domain);
	return (len > 0 && (size_t)len < size) || error_set(err, ERR_BAD_ADDRESS, "login too long");
}

bool credentials_find(struct credentials *credentials, struct span login, struct credential *out, struct error *err)
{
	char key[ADDRESS_TEXT_MAX + 1];
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!login_key(login, key, sizeof(key), err)) {
		if (err->code == ERR_NO_MEMORY)
			return false;
		return error_set(err, ERR_NO_SUCH_ACCOUNT, "no such account");
	}
	if (!DATABASE_QUERY(credentials->database, AUTH_FIND, &rows, err, V_TEXT(span_of(key))))
		return false;
	step = database_step(credentials->database, rows, err);
	if (step == STEP_ROW)
		ok = read_credential(rows, out, err);
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_ACCOUNT, "no such account");
	return step == STEP_ROW && ok;
}

static bool end_transaction(struct credentials *credentials, bool ok, struct error *err)
{
	if (ok)
		return database_commit(credentials->database, err);
	database_rollback(credentials->database);
	return false;
}

static bool login_is_free(struct credentials *credentials, const char *key, int64_t account_id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(
	            credentials->database, AUTH_LOGIN_OWNER, &rows, err, V_TEXT(span_of(key)), V_INT(account_id)))
		return false;
	step = database_step(credentials->database, rows, err);
	database_done(rows);
	if (step == STEP_ROW)
		return error_set(err, ERR_EXISTS, "the login belongs to another account");
	return step == STEP_DONE;
}

bool credentials_put(struct credentials *credentials, const struct credential *c, struct error *err)
{
	char key[ADDRESS_TEXT_MAX + 1];
	bool ok;

	if (!login_key(span_of(c->login), key, sizeof(key), err) || !database_begin(credentials->database, err))
		return false;
	ok = login_is_free(credentials, key, c->account_id, err) &&
	     DATABASE_RUN(credentials->database, AUTH_PUT, err, V_INT(c->account_id), V_TEXT(span_of(key)),
	             V_INT(c->disabled), V_TEXT(span_of(c->password_hash)),
	             V_BLOB(span_make(c->scram_salt, sizeof(c->scram_salt))), V_INT(c->scram_iterations),
	             V_BLOB(span_make(c->scram_stored_key, sizeof(c->scram_stored_key))),
	             V_BLOB(span_make(c->scram_server_key, sizeof(c->scram_server_key))));
	return end_transaction(credentials, ok, err);
}

bool credentials_add_scram(struct credentials *credentials, const struct credential *c, bool *added, struct error *err)
{
	bool ok;

	*added = false;
	if (!database_begin(credentials->database, err))
		return false;
	ok = DATABASE_RUN(credentials->database, AUTH_ADD_SCRAM, err, V_INT(c->account_id),
	        V_TEXT(span_of(c->password_hash)), V_BLOB(span_make(c->scram_salt, sizeof(c->scram_salt))),
	        V_INT(c->scram_iterations), V_BLOB(span_make(c->scram_stored_key, sizeof(c->scram_stored_key))),
	        V_BLOB(span_make(c->scram_server_key, sizeof(c->scram_server_key))));
	if (ok && database_changes(credentials->database) == 0) {
		database_rollback(credentials->database);
		return true;
	}
	*added = end_transaction(credentials, ok, err);
	return *added;
}

static bool change_one(struct credentials *credentials, enum auth_statement which, const struct value *values,
        int count, struct error *err)
{
	bool ok;

	if (!database_begin(credentials->database, err))
		return false;
	ok = database_run(credentials->database, which, values, count, err);
	if (ok && database_changes(credentials->database) == 0)
		ok = error_set(err, ERR_NO_SUCH_ACCOUNT, "no such account");
	return end_transaction(credentials, ok, err);
}

bool credentials_set_disabled(struct credentials *credentials, int64_t account_id, bool disabled, struct error *err)
{
	const struct value values[] = { V_INT(disabled), V_INT(account_id) };

	return change_one(credentials, AUTH_DISABLE, values, ARRAY_LEN(values), err);
}

bool credentials_remove(struct credentials *credentials, int64_t account_id, struct error *err)
{
	const struct value values[] = { V_INT(account_id) };

	return change_one(credentials, AUTH_REMOVE, values, ARRAY_LEN(values), err);
}

bool credentials_note_login(struct credentials *credentials, int64_t account_id, int64_t when_ms, struct span service,
        struct span peer, struct error *err)
{
	const struct value values[] = { V_INT(account_id), V_TEXT(service), V_INT(when_ms), V_TEXT(peer) };
	struct error restored;
	bool ok;

	if (!database_set_durable(credentials->database, false, err))
		return false;
	ok = change_one(credentials, AUTH_NOTE, values, ARRAY_LEN(values), err);
	if (!database_set_durable(credentials->database, true, &restored) && ok) {
		*err = restored;
		return false;
	}
	return ok;
}

bool credentials_version(struct credentials *credentials, uint32_t *version, struct error *err)
{
	return database_data_version(credentials->database, version, err);
}
