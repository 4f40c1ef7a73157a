#include "storage/relay_store.h"

#include "base/file.h"
#include "base/secret.h"
#include "storage/relay_sql.h"
#include "storage/schema.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICIES_MAX   20000 /* beyond, those that expire first go: they are fetched again when there is mail */
#define POLICIES_PRUNE 100
#define FROM_PREFIX    "from:"

static const char *const steps[] = { schema_relay_1 };

static const char *const statements[RELAY_STATEMENT_COUNT] = {
#define RELAY_STATEMENT_SQL(name, sql) [name] = sql,
	RELAY_STATEMENTS(RELAY_STATEMENT_SQL)
#undef RELAY_STATEMENT_SQL
};

const struct database_kind relay_kind = {
	.application_id = 0x50487231,
	.steps = steps,
	.version = (int)ARRAY_LEN(steps),
	.statements = statements,
	.statement_count = RELAY_STATEMENT_COUNT,
};

struct relay_store {
	pthread_mutex_t mutex;
	struct database *database;
};

bool relay_store_open(const char *data_dir, struct relay_store **out, struct error *err)
{
	char path[DATABASE_PATH_MAX];
	struct relay_store *store;

	*out = NULL;
	snprintf(path, sizeof(path), "%s/relay.db", data_dir);
	if (!file_make_dir(data_dir, 0700, err))
		return false;
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	pthread_mutex_init(&store->mutex, NULL);
	if (!database_open(path, &relay_kind, true, &store->database, err)) {
		relay_store_close(&store);
		return false;
	}
	*out = store;
	return true;
}

void relay_store_close(struct relay_store **store)
{
	if (*store == NULL)
		return;
	database_close(&(*store)->database);
	pthread_mutex_destroy(&(*store)->mutex);
	free(*store);
	*store = NULL;
}

static bool begin(struct relay_store *store, struct error *err)
{
	pthread_mutex_lock(&store->mutex);
	if (database_begin(store->database, err))
		return true;
	pthread_mutex_unlock(&store->mutex);
	return false;
}

static bool end(struct relay_store *store, bool ok, struct error *err)
{
	if (ok)
		ok = database_commit(store->database, err);
	else
		database_rollback(store->database);
	pthread_mutex_unlock(&store->mutex);
	return ok;
}

static bool begin_read(struct relay_store *store, struct error *err)
{
	pthread_mutex_lock(&store->mutex);
	if (database_begin_read(store->database, err))
		return true;
	pthread_mutex_unlock(&store->mutex);
	return false;
}

static void end_read(struct relay_store *store)
{
	database_end_read(store->database);
	pthread_mutex_unlock(&store->mutex);
}

static bool count_of(struct relay_store *store, enum relay_statement which, const struct value *values, int count,
        int64_t *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!database_query(store->database, which, values, count, &rows, err))
		return false;
	step = database_step(store->database, rows, err);
	*out = step == STEP_ROW ? sqlite3_column_int64(rows, 0) : 0;
	database_done(rows);
	return step == STEP_ROW;
}

/* Routes */

static bool is_sound(const struct route *route, struct error *err)
{
	if (route->match[0] == '\0' || (route->kind != ROUTE_MX && route->host[0] == '\0'))
		return error_set(err, ERR_BAD_VALUE, "the route is not complete");
	for (const char *c = route->match; *c != '\0'; c++) {
		if (*c != ascii_lower(*c) || (unsigned char)*c <= ' ' || (unsigned char)*c > '~')
			return error_set(err, ERR_BAD_VALUE, "a route is for a domain in A-labels and lower case");
	}
	return true;
}

static bool put_route(struct relay_store *store, const struct route *route, struct error *err)
{
	int64_t others;

	if (!count_of(store, RELAY_ROUTE_COUNT, &V_TEXT(span_of(route->match)), 1, &others, err))
		return false;
	if (others >= ROUTES_MAX)
		return error_set(err, ERR_LIMIT, "there are %d routes already", ROUTES_MAX);
	return DATABASE_RUN(store->database, RELAY_ROUTE_PUT, err, V_TEXT(span_of(route->match)), V_INT(route->kind),
	        V_TEXT(span_of(route->host)), V_INT(route->port), V_INT(route->implicit_tls), V_INT(route->tls),
	        V_TEXT(span_of(route->user)), V_TEXT(span_of(route->password)));
}

bool relay_store_set_route(struct relay_store *store, const struct route *route, struct error *err)
{
	return is_sound(route, err) && begin(store, err) && end(store, put_route(store, route, err), err);
}

bool relay_store_remove_route(struct relay_store *store, struct span match, struct error *err)
{
	bool ok;

	if (!begin(store, err))
		return false;
	ok = DATABASE_RUN(store->database, RELAY_ROUTE_DELETE, err, V_TEXT(match));
	if (ok && database_changes(store->database) == 0)
		ok = error_set(err, ERR_NO_SUCH_DOMAIN, "no such route");
	return end(store, ok, err);
}

static bool read_route(sqlite3_stmt *rows, struct route *out, struct error *err)
{
	out->kind = (enum route_kind)sqlite3_column_int(rows, 1);
	out->port = (uint16_t)sqlite3_column_int(rows, 3);
	out->implicit_tls = sqlite3_column_int(rows, 4) != 0;
	out->tls = (enum route_tls)sqlite3_column_int(rows, 5);
	return (span_copy(database_text(rows, 0), out->match, sizeof(out->match)) &&
	               span_copy(database_text(rows, 2), out->host, sizeof(out->host)) &&
	               span_copy(database_text(rows, 6), out->user, sizeof(out->user)) &&
	               span_copy(database_text(rows, 7), out->password, sizeof(out->password))) ||
	       error_detail(err, ERR_DAMAGED, "relay.db: a field of a route is too long");
}

static bool collect_routes(struct relay_store *store, struct route *routes, size_t *count, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(store->database, RELAY_ROUTES, &rows, err, V_INT(ROUTES_MAX)))
		return false;
	while (ok && (step = database_step(store->database, rows, err)) == STEP_ROW)
		ok = read_route(rows, &routes[(*count)++], err);
	database_done(rows);
	return ok && step == STEP_DONE;
}

/* Collected first: the callback may use the store. */
bool relay_store_each_route(
        struct relay_store *store, bool (*each)(void *arg, const struct route *route), void *arg, struct error *err)
{
	struct route *routes = calloc(ROUTES_MAX, sizeof(*routes));
	size_t count = 0;
	bool ok;

	if (routes == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = begin_read(store, err);
	if (ok) {
		ok = collect_routes(store, routes, &count, err);
		end_read(store);
	}
	for (size_t i = 0; ok && i < count && each(arg, &routes[i]); i++)
		;
	secret_wipe(routes, count * sizeof(*routes));
	free(routes);
	return ok;
}

static bool try_route(struct relay_store *store, const char *prefix, struct span match, struct route *out, bool *found,
        struct error *err)
{
	char text[ROUTE_HOST_MAX + 6];
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (*found || snprintf(text, sizeof(text), "%s%.*s", prefix, SPAN_FMT(match)) >= (int)sizeof(text))
		return true;
	if (!DATABASE_QUERY(store->database, RELAY_ROUTE, &rows, err, V_TEXT(span_of(text))))
		return false;
	step = database_step(store->database, rows, err);
	*found = step == STEP_ROW;
	if (*found)
		ok = read_route(rows, out, err);
	database_done(rows);
	return ok && step != STEP_FAILED;
}

/* ".domain" of each parent, the nearest first. Not of an address literal: the dots in it are none of names. */
static bool try_parents(
        struct relay_store *store, struct span domain, struct route *out, bool *found, struct error *err)
{
	size_t dot;

	if (domain.len > 0 && domain.ptr[0] == '[')
		return true;
	while (!*found && span_find(domain, '.', &dot)) {
		domain = span_skip(domain, dot + 1);
		if (!try_route(store, ".", domain, out, found, err))
			return false;
	}
	return true;
}

bool relay_store_find_route(struct relay_store *store, struct span recipient_domain, struct span sender_domain,
        struct route *out, bool *found, struct error *err)
{
	bool ok;

	*found = false;
	if (!begin_read(store, err))
		return false;
	ok = try_route(store, "", recipient_domain, out, found, err) &&
	     try_parents(store, recipient_domain, out, found, err) &&
	     (sender_domain.len == 0 || try_route(store, FROM_PREFIX, sender_domain, out, found, err)) &&
	     try_route(store, "", SPAN("*"), out, found, err);
	end_read(store);
	if (!ok)
		secret_wipe(out, sizeof(*out));
	return ok;
}

/* MTA-STS */

static bool read_policy(sqlite3_stmt *rows, struct sts_policy_row *out, struct error *err)
{
	struct span policy = database_text(rows, 4);

	*out = (struct sts_policy_row) {
		.fetched_ms = sqlite3_column_int64(rows, 2),
		.expires_ms = sqlite3_column_int64(rows, 3),
	};
	if (!span_copy(database_text(rows, 0), out->domain, sizeof(out->domain)) ||
	        !span_copy(database_text(rows, 1), out->id, sizeof(out->id)) || policy.len > STS_POLICY_MAX)
		return error_detail(err, ERR_DAMAGED, "relay.db: a field of a policy is too long");
	out->policy = malloc(policy.len + 1);
	if (out->policy == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (policy.len > 0)
		memcpy(out->policy, policy.ptr, policy.len);
	out->policy[policy.len] = '\0';
	out->policy_len = policy.len;
	return true;
}

bool relay_store_find_policy(
        struct relay_store *store, struct span domain, struct sts_policy_row *out, bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok;

	*found = false;
	if (!begin_read(store, err))
		return false;
	ok = DATABASE_QUERY(store->database, RELAY_POLICY, &rows, err, V_TEXT(domain));
	if (ok) {
		step = database_step(store->database, rows, err);
		ok = step == STEP_DONE || (step == STEP_ROW && read_policy(rows, out, err));
		*found = ok && step == STEP_ROW;
		database_done(rows);
	}
	end_read(store);
	return ok;
}

static bool put_policy(struct relay_store *store, const struct sts_policy_row *row, struct error *err)
{
	int64_t count;

	if (!DATABASE_RUN(store->database, RELAY_POLICY_PUT, err, V_TEXT(span_of(row->domain)),
	            V_TEXT(span_of(row->id)), V_INT(row->fetched_ms), V_INT(row->expires_ms),
	            V_TEXT(span_make(row->policy, row->policy_len))) ||
	        !count_of(store, RELAY_POLICY_COUNT, NULL, 0, &count, err))
		return false;
	return count <= POLICIES_MAX || DATABASE_RUN(store->database, RELAY_POLICY_PRUNE, err, V_INT(POLICIES_PRUNE));
}

bool relay_store_put_policy(struct relay_store *store, const struct sts_policy_row *row, struct error *err)
{
	if (row->domain[0] == '\0' || row->policy_len > STS_POLICY_MAX)
		return error_set(err, ERR_TOO_LONG, "the policy is too long");
	return begin(store, err) && end(store, put_policy(store, row, err), err);
}

bool relay_store_policies_expiring(struct relay_store *store, int64_t before_ms, char (*domains)[ROUTE_HOST_MAX + 1],
        size_t max, size_t *count, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step = STEP_FAILED;
	bool ok;

	*count = 0;
	if (!begin_read(store, err))
		return false;
	ok = DATABASE_QUERY(store->database, RELAY_POLICIES_EXPIRING, &rows, err, V_INT(before_ms), V_INT(max));
	while (ok && (step = database_step(store->database, rows, err)) == STEP_ROW) {
		ok = span_copy(database_text(rows, 0), domains[*count], sizeof(*domains)) ||
		     error_detail(err, ERR_DAMAGED, "relay.db: a domain is too long");
		*count += ok ? 1 : 0;
	}
	database_done(rows);
	end_read(store);
	return ok && step == STEP_DONE;
}
