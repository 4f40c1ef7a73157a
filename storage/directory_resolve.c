/* Who gets a message to an address. */
#include "storage/directory_private.h"

#include <stdlib.h>
#include <string.h>

static bool add_target(struct resolution *out, int64_t id, uint64_t bytes, uint64_t messages, struct error *err)
{
	for (size_t i = 0; i < out->count; i++) {
		if (out->targets[i].account_id == id)
			return true;
	}
	if (out->count == DIRECTORY_TARGETS_MAX)
		return error_set(err, ERR_LIMIT, "the address reaches too many accounts");
	out->targets[out->count].account_id = id;
	out->targets[out->count].quota_bytes = bytes;
	out->targets[out->count].quota_messages = messages;
	out->count++;
	return true;
}

/* Adds the account that a statement gives, if any. */
static bool try_account(struct directory *directory, enum directory_statement which, int64_t domain, const char *local,
        struct resolution *out, bool *found, struct error *err)
{
	const struct value keys[] = { V_INT(domain), V_TEXT(span_of(local)) };
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!database_query(directory->database, which, keys, local == NULL ? 1 : 2, &rows, err))
		return false;
	step = database_step(directory->database, rows, err);
	if (step == STEP_ROW)
		ok = add_target(out, sqlite3_column_int64(rows, 0), (uint64_t)sqlite3_column_int64(rows, 1),
		        (uint64_t)sqlite3_column_int64(rows, 2), err);
	database_done(rows);
	*found = *found || step == STEP_ROW;
	return ok && step != STEP_FAILED;
}

static bool resolve_at(struct directory *directory, const struct address_key *key, int depth, struct resolution *out,
        bool *found, struct error *err);

/* Collected before any is followed: following one uses the same statement. */
static bool read_alias(struct directory *directory, int64_t domain, const char *local, struct address_key **out,
        size_t *count, struct error *err)
{
	struct address_key *keys = NULL, *bigger;
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	*count = 0;
	if (!DATABASE_QUERY(directory->database, DIR_ALIAS, &rows, err, V_INT(domain), V_TEXT(span_of(local))))
		return false;
	while (ok && (step = database_step(directory->database, rows, err)) == STEP_ROW) {
		bigger = *count < DIRECTORY_TARGETS_MAX ? realloc(keys, (*count + 1) * sizeof(*keys)) : NULL;
		if (bigger == NULL) {
			ok = *count < DIRECTORY_TARGETS_MAX
			             ? error_set(err, ERR_NO_MEMORY, "out of memory")
			             : error_set(err, ERR_LIMIT, "the alias has too many targets");
			break;
		}
		keys = bigger;
		if (!span_copy(database_text(rows, 0), keys[*count].local, sizeof(keys->local)) ||
		        !span_copy(database_text(rows, 1), keys[*count].domain, sizeof(keys->domain)))
			ok = error_detail(err, ERR_DAMAGED, "directory.db: an alias target is too long");
		(*count)++;
	}
	database_done(rows);
	ok = ok && step == STEP_DONE;
	if (!ok) {
		free(keys);
		keys = NULL;
	}
	*out = keys;
	return ok;
}

/* A target that is gone is passed over; the alias then reaches the others. */
static bool try_alias(struct directory *directory, int64_t domain, const char *local, int depth, struct resolution *out,
        bool *found, struct error *err)
{
	struct address_key *targets = NULL;
	size_t count;
	bool ok;

	ok = read_alias(directory, domain, local, &targets, &count, err);
	if (ok && count > 0 && depth == DIRECTORY_ALIAS_DEPTH)
		ok = error_set(err, ERR_LIMIT, "an alias leads to itself, or too far");
	for (size_t i = 0; ok && i < count; i++)
		ok = resolve_at(directory, &targets[i], depth + 1, out, found, err);
	free(targets);
	return ok;
}

static bool try_exact(struct directory *directory, int64_t domain, const char *local, int depth, struct resolution *out,
        bool *found, struct error *err)
{
	return try_account(directory, DIR_ADDRESS, domain, local, out, found, err) &&
	       (*found || try_alias(directory, domain, local, depth, out, found, err));
}

/* RFC 5233: "local+detail". The detail of the address that was asked for is the one that counts. */
static bool try_subaddress(struct directory *directory, int64_t domain, const char *local, int depth,
        struct resolution *out, bool *found, struct error *err)
{
	const char *plus = strchr(local, '+');
	char user[LOCAL_PART_MAX + 1];

	if (plus == NULL || plus == local || !span_copy(span_make(local, (size_t)(plus - local)), user, sizeof(user)))
		return true;
	if (!try_exact(directory, domain, user, depth, out, found, err))
		return false;
	if (*found && depth == 0)
		(void)span_copy(span_of(plus + 1), out->detail, sizeof(out->detail)); /* at most 64 octets: it fits */
	return true;
}

static bool try_rest(struct directory *directory, int64_t domain, const char *local, int depth, struct resolution *out,
        bool *found, struct error *err)
{
	if (strcmp(local, "postmaster") == 0) /* RFC 5321 §4.5.1: every domain has one */
		return try_account(directory, DIR_OLDEST, domain, NULL, out, found, err);
	if (!try_alias(directory, domain, "*", depth, out, found, err))
		return false;
	out->catch_all = out->catch_all || (*found && depth == 0);
	return true;
}

static bool resolve_at(struct directory *directory, const struct address_key *key, int depth, struct resolution *out,
        bool *found, struct error *err)
{
	bool here = false;
	int64_t domain;
	bool ok;

	if (!directory_domain_id(directory, key->domain, &domain, err))
		return depth > 0 && err->code == ERR_NO_SUCH_DOMAIN; /* a target in a domain that was removed */
	ok = try_exact(directory, domain, key->local, depth, out, &here, err) &&
	     (here || try_subaddress(directory, domain, key->local, depth, out, &here, err)) &&
	     (here || try_rest(directory, domain, key->local, depth, out, &here, err));
	*found = *found || here;
	return ok;
}

bool directory_resolve_key(
        struct directory *directory, const struct address_key *key, struct resolution *out, struct error *err)
{
	bool found = false;

	out->count = 0;
	out->detail[0] = '\0';
	out->catch_all = false;
	if (!resolve_at(directory, key, 0, out, &found, err))
		return false;
	return found || error_set(err, ERR_NO_SUCH_ADDRESS, "no such address here");
}

static bool first_domain(struct directory *directory, char *out, size_t size, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!database_query(directory->database, DIR_FIRST_DOMAIN, NULL, 0, &rows, err))
		return false;
	step = database_step(directory->database, rows, err);
	if (step == STEP_ROW)
		ok = span_copy(database_text(rows, 1), out, size) ||
		     error_detail(err, ERR_DAMAGED, "directory.db: a domain is too long");
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_DOMAIN, "no domain here");
	return step == STEP_ROW && ok;
}

bool directory_resolve(struct directory *directory, struct span local_part, struct span domain, struct resolution *out,
        struct error *err)
{
	struct address_key key;
	bool ok;

	if (!local_key(local_part, key.local, sizeof(key.local), err))
		return false;
	if (domain.len > 0 && !domain_key(domain, key.domain, sizeof(key.domain), err)) {
		if (err->code == ERR_NO_MEMORY)
			return false;
		return error_set(err, ERR_NO_SUCH_DOMAIN, "no such domain here"); /* also an address literal */
	}
	if (!directory_begin_read(directory, err))
		return false;
	ok = (domain.len > 0 || first_domain(directory, key.domain, sizeof(key.domain), err)) &&
	     directory_resolve_key(directory, &key, out, err);
	directory_end_read(directory);
	return ok;
}

bool directory_may_send_as(
        struct directory *directory, int64_t account_id, struct span local_part, struct span domain, struct error *err)
{
	struct resolution resolution;

	if (!directory_resolve(directory, local_part, domain, &resolution, err)) {
		if (err->code != ERR_NO_SUCH_DOMAIN && err->code != ERR_NO_SUCH_ADDRESS && err->code != ERR_BAD_ADDRESS)
			return false;
		return error_set(err, ERR_DENIED, "not an address of this account");
	}
	for (size_t i = 0; i < resolution.count; i++) {
		if (resolution.targets[i].account_id == account_id)
			return true;
	}
	return error_set(err, ERR_DENIED, "not an address of this account");
}
