/* storage/relay_store.h */
#include "fixture.h"

#include "storage/relay_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct site {
	char dir[64];
	struct relay_store *store;
};

static int setup(void **state)
{
	struct site *site = calloc(1, sizeof(*site));
	struct error err;

	make_dir(site->dir, sizeof(site->dir));
	assert_true(relay_store_open(site->dir, &site->store, &err));
	*state = site;
	return 0;
}

static int teardown(void **state)
{
	struct site *site = *state;

	relay_store_close(&site->store);
	remove_dir(site->dir);
	free(site);
	return 0;
}

static enum error_code set(struct site *site, const char *match, enum route_kind kind, const char *host)
{
	struct route route = { .kind = kind, .port = 587, .tls = ROUTE_TLS_VERIFY, .implicit_tls = true };
	struct error err;

	(void)snprintf(route.match, sizeof(route.match), "%s", match);
	(void)snprintf(route.host, sizeof(route.host), "%s", host);
	(void)snprintf(route.user, sizeof(route.user), "user");
	(void)snprintf(route.password, sizeof(route.password), "pass word");
	return relay_store_set_route(site->store, &route, &err) ? ERR_NONE : err.code;
}

static void test_order(void **state)
{
	static const struct {
		const char *recipient, *sender, *host; /* NULL: none */
	} rows[] = {
		{ "example.net", "s.test", "exact" }, { "mail.example.net", "s.test", "parent" },
		{ "a.b.example.net", "s.test", "near" }, { "b.example.net", "s.test", "parent" },
		{ "other.test", "s.test", "sender" }, { "other.test", "t.test", "rest" }, { "other.test", "", "rest" },
		{ "[192.0.2.1]", "", "literal" }, { "[192.0.2.9]", "", "rest" },
		{ "direct.test", "s.test", "" }, /* ROUTE_MX ends the search */
	};
	struct site *site = *state;
	struct route route;
	struct error err;
	bool found;

	assert_true(relay_store_find_route(site->store, SPAN("example.net"), SPAN("s.test"), &route, &found, &err));
	assert_false(found);
	assert_int_equal(set(site, "example.net", ROUTE_SMTP, "old"), ERR_NONE);
	assert_int_equal(set(site, "example.net", ROUTE_SMTP, "exact"), ERR_NONE);
	assert_int_equal(set(site, ".example.net", ROUTE_SMTP, "parent"), ERR_NONE);
	assert_int_equal(set(site, ".b.example.net", ROUTE_LMTP, "near"), ERR_NONE);
	assert_int_equal(set(site, "from:s.test", ROUTE_SMTP, "sender"), ERR_NONE);
	assert_int_equal(set(site, "[192.0.2.1]", ROUTE_SMTP, "literal"), ERR_NONE);
	assert_int_equal(set(site, "direct.test", ROUTE_MX, ""), ERR_NONE);
	assert_int_equal(set(site, "*", ROUTE_SMTP, "rest"), ERR_NONE);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(relay_store_find_route(
		        site->store, span_of(rows[i].recipient), span_of(rows[i].sender), &route, &found, &err));
		assert_true(found);
		assert_string_equal(route.host, rows[i].host);
		assert_int_equal(route.port, 587);
		assert_int_equal(route.tls, ROUTE_TLS_VERIFY);
		assert_true(route.implicit_tls);
		assert_string_equal(route.user, "user");
		assert_string_equal(route.password, "pass word");
	}
}

static bool count_route(void *arg, const struct route *route)
{
	assert_true(route->match[0] != '\0');
	return ++*(unsigned *)arg < 3;
}

static void test_routes(void **state)
{
	static const struct {
		const char *match, *host;
		enum error_code want;
	} rows[] = {
		{ "a.test", "h", ERR_NONE },
		{ "", "h", ERR_BAD_VALUE },
		{ "A.test", "h", ERR_BAD_VALUE },
		{ "a test", "h", ERR_BAD_VALUE },
		{ "b\xc3\xbc.test", "h", ERR_BAD_VALUE },
		{ "b.test", "", ERR_BAD_VALUE },
		{ "b.test", "h", ERR_NONE },
	};
	struct site *site = *state;
	unsigned count = 0;
	struct error err;
	char path[100], match[20];
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(set(site, rows[i].match, ROUTE_SMTP, rows[i].host), rows[i].want);
	assert_true(relay_store_each_route(site->store, count_route, &count, &err));
	assert_int_equal(count, 2);
	assert_true(relay_store_remove_route(site->store, SPAN("b.test"), &err));
	assert_false(relay_store_remove_route(site->store, SPAN("b.test"), &err));
	assert_int_equal(err.code, ERR_NO_SUCH_DOMAIN);
	for (int i = 1; i < ROUTES_MAX; i++) {
		(void)snprintf(match, sizeof(match), "d%d.test", i);
		assert_int_equal(set(site, match, ROUTE_SMTP, "h"), ERR_NONE);
	}
	assert_int_equal(set(site, "one-more.test", ROUTE_SMTP, "h"), ERR_LIMIT);
	assert_int_equal(set(site, "a.test", ROUTE_SMTP, "h2"), ERR_NONE); /* replaced, not added */
	count = 0;
	assert_true(relay_store_each_route(site->store, count_route, &count, &err));
	assert_int_equal(count, 3);
	(void)snprintf(path, sizeof(path), "%s/relay.db", site->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void put(struct site *site, const char *domain, int64_t expires, const char *policy, size_t len)
{
	struct sts_policy_row row = { .fetched_ms = 1, .expires_ms = expires, .policy_len = len };
	char text[STS_POLICY_MAX];
	struct error err;

	memcpy(text, policy, len);
	row.policy = text;
	(void)snprintf(row.domain, sizeof(row.domain), "%s", domain);
	(void)snprintf(row.id, sizeof(row.id), "id%d", (int)expires);
	assert_true(relay_store_put_policy(site->store, &row, &err));
}

static void test_policies(void **state)
{
	struct site *site = *state;
	char domains[2][ROUTE_HOST_MAX + 1], large[STS_POLICY_MAX];
	struct sts_policy_row row;
	struct error err;
	size_t count;
	bool found;

	memset(large, 'p', sizeof(large));
	put(site, "a.test", 100, "version: STSv1\r\n", 16);
	put(site, "b.test", 50, large, sizeof(large));
	put(site, "c.test", 200, "", 0);
	relay_store_close(&site->store);
	assert_true(relay_store_open(site->dir, &site->store, &err)); /* RFC 8461 §3.2 */
	assert_true(relay_store_find_policy(site->store, SPAN("a.test"), &row, &found, &err));
	assert_true(found);
	assert_string_equal(row.policy, "version: STSv1\r\n");
	assert_string_equal(row.id, "id100");
	assert_int_equal(row.expires_ms, 100);
	assert_int_equal(row.fetched_ms, 1);
	free(row.policy);
	assert_true(relay_store_find_policy(site->store, SPAN("b.test"), &row, &found, &err));
	assert_int_equal(row.policy_len, STS_POLICY_MAX);
	row.policy_len++;
	assert_false(relay_store_put_policy(site->store, &row, &err));
	free(row.policy);
	assert_true(relay_store_policies_expiring(site->store, 150, domains, 2, &count, &err));
	assert_int_equal(count, 2);
	assert_string_equal(domains[0], "b.test");
	assert_true(relay_store_policies_expiring(site->store, 1000, domains, 1, &count, &err));
	assert_int_equal(count, 1);
	put(site, "b.test", 500, "x", 1);
	assert_true(relay_store_policies_expiring(site->store, 150, domains, 2, &count, &err));
	assert_int_equal(count, 1);
	assert_true(relay_store_find_policy(site->store, SPAN("nobody.test"), &row, &found, &err));
	assert_false(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policies, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
