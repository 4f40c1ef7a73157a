/* Domains and aliases. */
#include "storage/directory_private.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool directory_add_domain(struct directory *directory, struct span name, struct error *err)
{
	char key[DOMAIN_MAX + 1];
	struct error missing;
	int64_t id;
	bool ok = false;

	if (!domain_key(name, key, sizeof(key), err) || !directory_begin(directory, err))
		return false;
	if (directory_domain_id(directory, key, &id, &missing))
		ok = error_set(err, ERR_EXISTS, "the domain is there already");
	else if (missing.code != ERR_NO_SUCH_DOMAIN)
		*err = missing;
	else
		ok = DATABASE_RUN(
		        directory->database, DIR_DOMAIN_NEW, err, V_TEXT(span_of(key)), V_INT(clock_wall_ms()));
	return directory_end(directory, ok, err);
}

static bool has_no_accounts(struct directory *directory, int64_t domain, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	int64_t count;

	if (!DATABASE_QUERY(directory->database, DIR_DOMAIN_ACCOUNTS, &rows, err, V_INT(domain)))
		return false;
	step = database_step(directory->database, rows, err);
	count = step == STEP_ROW ? sqlite3_column_int64(rows, 0) : 0;
	database_done(rows);
	if (step != STEP_ROW)
		return false;
	return count == 0 || error_set(err, ERR_EXISTS, "the domain still has accounts");
}

bool directory_remove_domain(struct directory *directory, struct span name, struct error *err)
{
	char key[DOMAIN_MAX + 1];
	int64_t id;
	bool ok;

	if (!domain_key(name, key, sizeof(key), err) || !directory_begin(directory, err))
		return false;
	ok = directory_domain_id(directory, key, &id, err) && has_no_accounts(directory, id, err) &&
	     DATABASE_RUN(directory->database, DIR_DOMAIN_ALIASES_DELETE, err, V_INT(id)) &&
	     DATABASE_RUN(directory->database, DIR_DOMAIN_DELETE, err, V_INT(id));
	return directory_end(directory, ok, err);
}

/* Lists are collected before the callback sees them, so it may call the directory again. */
struct line {
	char first[ADDRESS_TEXT_MAX + 1], second[ADDRESS_TEXT_MAX + 1];
	uint64_t accounts, aliases;
};

struct lines {
	struct line *line;
	size_t count, capacity;
};

static struct line *add_line(struct lines *lines, struct error *err)
{
	if (lines->count == lines->capacity) {
		size_t capacity = lines->capacity == 0 ? 16 : lines->capacity * 2;
		struct line *bigger = realloc(lines->line, capacity * sizeof(*bigger));

		if (bigger == NULL) {
			error_set(err, ERR_NO_MEMORY, "out of memory");
			return NULL;
		}
		lines->line = bigger;
		lines->capacity = capacity;
	}
	return &lines->line[lines->count++];
}

static bool collect_domains(struct directory *directory, struct lines *lines, struct error *err)
{
	struct line *line;
	sqlite3_stmt *rows;
	enum step step = STEP_FAILED;

	if (!database_query(directory->database, DIR_DOMAINS, NULL, 0, &rows, err))
		return false;
	while ((step = database_step(directory->database, rows, err)) == STEP_ROW) {
		line = add_line(lines, err);
		if (line == NULL)
			break;
		snprintf(line->first, sizeof(line->first), "%.*s", SPAN_FMT(database_text(rows, 0)));
		line->accounts = (uint64_t)sqlite3_column_int64(rows, 1);
		line->aliases = (uint64_t)sqlite3_column_int64(rows, 2);
	}
	database_done(rows);
	return step == STEP_DONE;
}

bool directory_each_domain(struct directory *directory,
        bool (*each)(void *arg, struct span name, uint64_t accounts, uint64_t aliases), void *arg, struct error *err)
{
	struct lines lines = { 0 };
	bool ok;

	if (!directory_begin_read(directory, err))
		return false;
	ok = collect_domains(directory, &lines, err);
	directory_end_read(directory);
	for (size_t i = 0; ok && i < lines.count; i++) {
		if (!each(arg, span_of(lines.line[i].first), lines.line[i].accounts, lines.line[i].aliases))
			break;
	}
	free(lines.line);
	return ok;
}

static bool account_has(struct directory *directory, int64_t domain, const char *local, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(directory->database, DIR_ADDRESS, &rows, err, V_INT(domain), V_TEXT(span_of(local))))
		return false;
	step = database_step(directory->database, rows, err);
	database_done(rows);
	if (step == STEP_ROW)
		return error_set(err, ERR_EXISTS, "the address belongs to an account");
	return step == STEP_DONE;
}

static bool alias_values(struct directory *directory, const struct address_key *address,
        const struct address_key *target, struct value values[4], struct error *err)
{
	int64_t domain;

	if (!directory_domain_id(directory, address->domain, &domain, err))
		return false;
	values[0] = V_INT(domain);
	values[1] = V_TEXT(span_of(address->local));
	values[2] = V_TEXT(span_of(target->domain));
	values[3] = V_TEXT(span_of(target->local));
	return true;
}

/* RFC 5321 §4.1.2 quoted-string: inside, a quote has a backslash before it. */
static bool is_quoted(struct span local)
{
	if (local.len < 3 || local.ptr[0] != '"' || local.ptr[local.len - 1] != '"')
		return false;
	for (size_t i = 1; i + 1 < local.len; i++) {
		if (local.ptr[i] == '"')
			return false;
		if (local.ptr[i] == '\\' && ++i + 1 == local.len)
			return false;
	}
	return true;
}

/* What an SMTP command could not carry, or would read as something else. */
static bool can_be_sent(struct span local, struct error *err)
{
	bool quoted = is_quoted(local);

	for (size_t i = 0; i < local.len; i++) {
		unsigned char c = (unsigned char)local.ptr[i];

		if (c < ' ' || c == 127 || (!quoted && strchr(" <>\"@,;:\\", c) != NULL))
			return error_set(err, ERR_BAD_ADDRESS, "not a local part that can be sent to");
	}
	return true;
}

static struct span local_of(struct span address)
{
	size_t at = 0;

	(void)span_find_last(address, '@', &at);
	return span_first(address, at);
}

/* The target must be reachable, when it is ours. Elsewhere its local part stays as given: only they know what its case means. */
static bool look_at_target(struct directory *directory, const struct address_key *target, struct span given,
        struct value values[5], struct error *err)
{
	struct resolution resolution;
	int64_t domain;

	if (directory_domain_id(directory, target->domain, &domain, err))
		return directory_resolve_key(directory, target, &resolution, err);
	if (err->code != ERR_NO_SUCH_DOMAIN || !can_be_sent(local_of(given), err))
		return false;
	values[3] = V_TEXT(local_of(given));
	values[4] = V_INT(1);
	return true;
}

/* The alias must not lead to itself: tried out before it is kept. */
static bool add_alias(struct directory *directory, const struct address_key *address, const struct address_key *target,
        struct span given, struct error *err)
{
	struct resolution resolution;
	struct value values[5] = { [4] = V_INT(0) };

	if (!alias_values(directory, address, target, values, err) ||
	        !account_has(directory, values[0].number, address->local, err) ||
	        !look_at_target(directory, target, given, values, err))
		return false;
	if (!database_run(directory->database, DIR_ALIAS_DELETE, values, 4, err))
		return false;
	if (database_changes(directory->database) > 0)
		return error_set(err, ERR_EXISTS, "the alias is there already");
	return database_run(directory->database, DIR_ALIAS_NEW, values, 5, err) &&
	       (values[4].number != 0 || directory_resolve_key(directory, target, &resolution, err)) &&
	       directory_resolve_key(directory, address, &resolution, err);
}

bool directory_add_alias(struct directory *directory, struct span address, struct span target, struct error *err)
{
	struct address_key from, to;

	if (!address_key(address, &from, err) || !address_key(target, &to, err))
		return false;
	if (strcmp(to.local, "*") == 0)
		return error_set(err, ERR_BAD_ADDRESS, "a target is one address");
	if (!directory_begin(directory, err))
		return false;
	return directory_end(directory, add_alias(directory, &from, &to, target, err), err);
}

/* One target, or all when `target` is NULL; one elsewhere has its local part as it was given. */
static bool remove_alias(struct directory *directory, const struct address_key *address,
        const struct address_key *target, struct span given, struct error *err)
{
	static const struct address_key none = { .local = "" };
	struct value values[4];

	if (!alias_values(directory, address, target != NULL ? target : &none, values, err))
		return false;
	if (target == NULL) {
		if (!database_run(directory->database, DIR_ALIAS_DELETE_ALL, values, 2, err))
			return false;
	} else {
		if (!database_run(directory->database, DIR_ALIAS_DELETE, values, 4, err))
			return false;
		if (database_changes(directory->database) > 0)
			return true;
		values[3] = V_TEXT(local_of(given));
		if (!database_run(directory->database, DIR_ALIAS_DELETE, values, 4, err))
			return false;
	}
	return database_changes(directory->database) > 0 || error_set(err, ERR_NO_SUCH_ADDRESS, "no such alias");
}

bool directory_remove_alias(struct directory *directory, struct span address, struct span target, struct error *err)
{
	struct address_key from, to;

	if (!address_key(address, &from, err) || (target.len > 0 && !address_key(target, &to, err)) ||
	        !directory_begin(directory, err))
		return false;
	return directory_end(directory, remove_alias(directory, &from, target.len > 0 ? &to : NULL, target, err), err);
}

static bool collect_aliases(struct directory *directory, struct span domain, struct lines *lines, struct error *err)
{
	char key[DOMAIN_MAX + 1];
	struct line *line;
	sqlite3_stmt *rows;
	enum step step = STEP_FAILED;
	int64_t id = 0;

	if (domain.len > 0 &&
	        (!domain_key(domain, key, sizeof(key), err) || !directory_domain_id(directory, key, &id, err)))
		return false;
	if (!database_query(directory->database, domain.len > 0 ? DIR_ALIASES_OF : DIR_ALIASES, &V_INT(id),
	            domain.len > 0 ? 1 : 0, &rows, err))
		return false;
	while ((step = database_step(directory->database, rows, err)) == STEP_ROW) {
		line = add_line(lines, err);
		if (line == NULL)
			break;
		snprintf(line->first, sizeof(line->first), "%.*s@%.*s", SPAN_FMT(database_text(rows, 0)),
		        SPAN_FMT(database_text(rows, 1)));
		snprintf(line->second, sizeof(line->second), "%.*s@%.*s", SPAN_FMT(database_text(rows, 2)),
		        SPAN_FMT(database_text(rows, 3)));
	}
	database_done(rows);
	return step == STEP_DONE;
}

bool directory_each_alias(struct directory *directory, struct span domain,
        bool (*each)(void *arg, struct span address, struct span target), void *arg, struct error *err)
{
	struct lines lines = { 0 };
	bool ok;

	if (!directory_begin_read(directory, err))
		return false;
	ok = collect_aliases(directory, domain, &lines, err);
	directory_end_read(directory);
	for (size_t i = 0; ok && i < lines.count; i++) {
		if (!each(arg, span_of(lines.line[i].first), span_of(lines.line[i].second)))
			break;
	}
	free(lines.line);
	return ok;
}
