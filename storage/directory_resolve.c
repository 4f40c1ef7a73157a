/* Who gets a message to an address. */
#include "storage/directory_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A place in one domain: whose names are looked up there. */
struct place {
	int64_t domain;
	const char *name;
};

/* As each account once, in the order in which they were found. */
static bool add_target(struct resolution *out, sqlite3_stmt *rows, struct error *err)
{
	int64_t id = sqlite3_column_int64(rows, 0);

	for (size_t i = 0; i < out->count; i++) {
		if (out->targets[i].account_id == id)
			return true;
	}
	if (out->count == DIRECTORY_TARGETS_MAX)
		return error_set(err, ERR_LIMIT, "the address reaches too many accounts");
	out->targets[out->count].account_id = id;
	out->targets[out->count].quota_bytes = (uint64_t)sqlite3_column_int64(rows, 1);
	out->targets[out->count].quota_messages = (uint64_t)sqlite3_column_int64(rows, 2);
	out->targets[out->count].detail_folders = sqlite3_column_int(rows, 3) != 0;
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
		ok = add_target(out, rows, err);
	database_done(rows);
	*found = *found || step == STEP_ROW;
	return ok && step != STEP_FAILED;
}

const char *resolution_remote(const struct resolution *resolution, size_t i)
{
	return resolution->remote_text + resolution->remotes[i].address;
}

const char *resolution_remote_alias(const struct resolution *resolution, size_t i)
{
	return resolution->remote_text + resolution->remotes[i].alias;
}

static bool add_text(struct resolution *out, const char *local, const char *domain, uint16_t *at, struct error *err)
{
	size_t room = sizeof(out->remote_text) - out->remote_text_len;
	int len = snprintf(out->remote_text + out->remote_text_len, room, "%s@%s", local, domain);

	if (len < 0 || (size_t)len >= room)
		return error_set(err, ERR_LIMIT, "the address reaches too many addresses elsewhere");
	*at = out->remote_text_len;
	out->remote_text_len = (uint16_t)(out->remote_text_len + len + 1);
	return true;
}

static bool has_remote(const struct resolution *out, uint16_t address)
{
	for (size_t i = 0; i < out->remote_count; i++) {
		if (strcmp(out->remote_text + address, resolution_remote(out, i)) == 0)
			return true;
	}
	return false;
}

/* The targets of one alias are neighbours: its name stands there once for all of them. */
static bool add_alias_name(
        struct resolution *out, const struct place *place, const char *local, uint16_t *at, struct error *err)
{
	if (!add_text(out, local, place->name, at, err))
		return false;
	if (out->remote_count == 0 ||
	        strcmp(out->remote_text + *at, resolution_remote_alias(out, out->remote_count - 1)) != 0)
		return true;
	out->remote_text_len = *at;
	*at = out->remotes[out->remote_count - 1].alias;
	return true;
}

static bool add_remote(struct resolution *out, const struct address_key *target, const struct place *place,
        const char *local, struct error *err)
{
	uint16_t address, alias;

	if (!add_text(out, target->local, target->domain, &address, err))
		return false;
	if (has_remote(out, address)) {
		out->remote_text_len = address;
		return true;
	}
	if (out->remote_count == DIRECTORY_REMOTES_MAX)
		return error_set(err, ERR_LIMIT, "the address reaches too many addresses elsewhere");
	if (!add_alias_name(out, place, local, &alias, err))
		return false;
	out->remotes[out->remote_count].address = address;
	out->remotes[out->remote_count].alias = alias;
	out->remote_count++;
	return true;
}

static bool resolve_at(struct directory *directory, const struct address_key *key, int depth, struct resolution *out,
        bool *found, struct error *err);

struct alias_target {
	struct address_key key;
	bool elsewhere;
};

static bool fill_target(sqlite3_stmt *rows, struct alias_target *out, struct error *err)
{
	out->elsewhere = sqlite3_column_int(rows, 2) != 0;
	return (span_copy(database_text(rows, 0), out->key.local, sizeof(out->key.local)) &&
	               span_copy(database_text(rows, 1), out->key.domain, sizeof(out->key.domain))) ||
	       error_detail(err, ERR_DAMAGED, "directory.db: an alias target is too long");
}

/* Collected before any is followed: following one uses the same statement. */
static bool read_alias(struct directory *directory, int64_t domain, const char *local, struct alias_target **out,
        size_t *count, struct error *err)
{
	struct alias_target *keys = NULL, *bigger;
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
		ok = fill_target(rows, &keys[(*count)++], err);
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

/* A target elsewhere whose domain has become ours is resolved as any address of ours. */
static bool follow_elsewhere(struct directory *directory, struct alias_target *target, const struct place *place,
        const char *local, int depth, struct resolution *out, bool *found, struct error *err)
{
	char key[LOCAL_PART_MAX + 1];
	int64_t domain;

	if (directory_domain_id(directory, target->key.domain, &domain, err)) {
		if (!local_key(span_of(target->key.local), key, sizeof(key), err))
			return false;
		memcpy(target->key.local, key, sizeof(key));
		return resolve_at(directory, &target->key, depth, out, found, err);
	}
	if (err->code != ERR_NO_SUCH_DOMAIN)
		return false;
	*found = true;
	return add_remote(out, &target->key, place, local, err);
}

/* Groups that contain the same groups multiply: each target is followed each time that it is met. */
static bool may_go_on(struct directory *directory, struct error *err)
{
	return ++directory->followed <= DIRECTORY_FOLLOWED_MAX ||
	       error_set(err, ERR_LIMIT, "the address reaches too many addresses");
}

/* A target that is gone is passed over; the alias then reaches the others. */
static bool try_alias(struct directory *directory, const struct place *place, const char *local, int depth,
        struct resolution *out, bool *found, struct error *err)
{
	struct alias_target *targets = NULL;
	size_t count;
	bool ok;

	ok = read_alias(directory, place->domain, local, &targets, &count, err);
	if (ok && count > 0 && depth == DIRECTORY_ALIAS_DEPTH)
		ok = error_set(err, ERR_LIMIT, "an alias leads to itself, or too far");
	for (size_t i = 0; ok && i < count; i++)
		ok = may_go_on(directory, err) &&
		     (targets[i].elsewhere ? follow_elsewhere(
		                                     directory, &targets[i], place, local, depth + 1, out, found, err)
		                           : resolve_at(directory, &targets[i].key, depth + 1, out, found, err));
	free(targets);
	return ok;
}

static bool try_exact(struct directory *directory, const struct place *place, const char *local, int depth,
        struct resolution *out, bool *found, struct error *err)
{
	return try_account(directory, DIR_ADDRESS, place->domain, local, out, found, err) &&
	       (*found || try_alias(directory, place, local, depth, out, found, err));
}

/* RFC 5233: "local+detail". The detail of the address that was asked for is the one that counts. */
static bool try_subaddress(struct directory *directory, const struct place *place, const char *local, int depth,
        struct resolution *out, bool *found, struct error *err)
{
	const char *plus = strchr(local, '+');
	char user[LOCAL_PART_MAX + 1];

	if (plus == NULL || plus == local || !span_copy(span_make(local, (size_t)(plus - local)), user, sizeof(user)))
		return true;
	if (!try_exact(directory, place, user, depth, out, found, err))
		return false;
	if (*found && depth == 0)
		(void)span_copy(span_of(plus + 1), out->detail, sizeof(out->detail)); /* at most 64 octets: it fits */
	return true;
}

static bool try_rest(struct directory *directory, const struct place *place, const char *local, int depth,
        struct resolution *out, bool *found, struct error *err)
{
	if (strcmp(local, "postmaster") == 0) /* RFC 5321 §4.5.1: every domain has one */
		return try_account(directory, DIR_OLDEST, place->domain, NULL, out, found, err);
	if (!try_alias(directory, place, "*", depth, out, found, err))
		return false;
	out->catch_all = out->catch_all || (*found && depth == 0);
	return true;
}

static bool resolve_at(struct directory *directory, const struct address_key *key, int depth, struct resolution *out,
        bool *found, struct error *err)
{
	struct place place = { .name = key->domain };
	bool ok, here = false;

	if (!directory_domain_id(directory, key->domain, &place.domain, err))
		return depth > 0 && err->code == ERR_NO_SUCH_DOMAIN; /* a target in a domain that was removed */
	ok = try_exact(directory, &place, key->local, depth, out, &here, err) &&
	     (here || try_subaddress(directory, &place, key->local, depth, out, &here, err)) &&
	     (here || try_rest(directory, &place, key->local, depth, out, &here, err));
	*found = *found || here;
	return ok;
}

bool directory_resolve_key(
        struct directory *directory, const struct address_key *key, struct resolution *out, struct error *err)
{
	bool found = false;

	out->count = 0;
	out->remote_count = 0;
	out->remote_text_len = 0;
	out->detail[0] = '\0';
	out->catch_all = false;
	directory->followed = 0;
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
