/* storage/directory.h */
#include "fixture.h"

#include "storage/directory.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

struct site {
	char dir[64];
	struct directory *directory;
	int64_t alice, bob, carol, admin;
};

static int64_t add(struct site *site, const char *address)
{
	struct error err;
	int64_t id;

	if (!directory_add_account(site->directory, span_of(address), SPAN("A Person"), 1000, 10, &id, &err))
		fail_msg("%s: %s", address, err.reason);
	return id;
}

static void alias(struct site *site, const char *from, const char *to)
{
	struct error err;

	if (!directory_add_alias(site->directory, span_of(from), span_of(to), &err))
		fail_msg("%s -> %s: %s", from, to, err.reason);
}

static int setup(void **state)
{
	struct site *site = calloc(1, sizeof(*site));
	struct error err;

	make_dir(site->dir, sizeof(site->dir));
	assert_true(directory_open(site->dir, &site->directory, &err));
	assert_true(directory_add_domain(site->directory, SPAN("Example.Test"), &err));
	assert_true(directory_add_domain(site->directory,
	        SPAN("b\xc3\xbc"
	             "cher.test."),
	        &err));
	assert_true(directory_add_domain(site->directory, SPAN("empty.test"), &err));
	site->alice = add(site, "Alice@example.test");
	site->bob = add(site, "bob@EXAMPLE.test");
	site->carol = add(site, "carol@xn--bcher-kva.test");
	alias(site, "sales@example.test", "alice@example.test");
	alias(site, "sales@example.test", "bob@example.test");
	alias(site, "team@example.test", "sales@example.test");
	alias(site, "team@example.test",
	        "carol@b\xc3\xbc"
	        "cher.test");
	alias(site, "*@xn--bcher-kva.test", "carol@xn--bcher-kva.test");
	alias(site, "caf\x65\xcc\x81@example.test", "bob@example.test");
	*state = site;
	return 0;
}

static int teardown(void **state)
{
	struct site *site = *state;

	directory_close(&site->directory);
	remove_dir(site->dir);
	free(site);
	return 0;
}

/* who: a = alice, b = bob, c = carol */
static const struct resolve_case {
	const char *local, *domain;
	enum error_code want;
	const char *who, *detail;
	bool catch_all;
} resolve_cases[] = {
	{ "alice", "example.test", ERR_NONE, "a", "", false },
	{ "ALICE", "EXAMPLE.TEST.", ERR_NONE, "a", "", false },
	{ "alice+tag", "example.test", ERR_NONE, "a", "tag", false },
	{ "alice+a+b", "example.test", ERR_NONE, "a", "a+b", false },
	{ "alice+", "example.test", ERR_NONE, "a", "", false },
	{ "+alice", "example.test", ERR_NO_SUCH_ADDRESS, "", "", false },
	{ "sales", "example.test", ERR_NONE, "ab", "", false },
	{ "sales+x", "example.test", ERR_NONE, "ab", "x", false },
	{ "team", "example.test", ERR_NONE, "abc", "", false },
	{ "caf\xc3\xa9", "example.test", ERR_NONE, "b", "", false },
	{ "CAF\xc3\xa9", "example.test", ERR_NONE, "b", "", false },
	{ "nobody", "example.test", ERR_NO_SUCH_ADDRESS, "", "", false },
	{ "*", "example.test", ERR_NO_SUCH_ADDRESS, "", "", false },
	{ "anything",
	        "b\xc3\xbc"
	        "cher.test",
	        ERR_NONE, "c", "", true },
	{ "anything",
	        "B\xc3\x9c"
	        "CHER.test",
	        ERR_NONE, "c", "", true },
	{ "carol", "xn--bcher-kva.test", ERR_NONE, "c", "", false },
	{ "postmaster", "example.test", ERR_NONE, "a", "", false },
	{ "PostMaster", "xn--bcher-kva.test", ERR_NONE, "c", "", false },
	{ "Postmaster", "", ERR_NONE, "a", "", false },
	{ "bob", "", ERR_NONE, "b", "", false },
	{ "postmaster", "empty.test", ERR_NO_SUCH_ADDRESS, "", "", false },
	{ "alice", "example.org", ERR_NO_SUCH_DOMAIN, "", "", false },
	{ "alice", "[127.0.0.1]", ERR_NO_SUCH_DOMAIN, "", "", false },
	{ "alice%example.org", "example.test", ERR_NO_SUCH_ADDRESS, "", "", false },
	{ "a\xff", "example.test", ERR_BAD_ADDRESS, "", "", false },
	{ "", "example.test", ERR_BAD_ADDRESS, "", "", false },
};

static void test_resolve(void **state)
{
	struct site *site = *state;

	for (size_t i = 0; i < ARRAY_LEN(resolve_cases); i++) {
		const struct resolve_case *c = &resolve_cases[i];
		struct resolution got;
		struct error err;
		bool ok = directory_resolve(site->directory, span_of(c->local), span_of(c->domain), &got, &err);

		if ((ok ? ERR_NONE : err.code) != c->want)
			fail_msg("%s@%s: %s", c->local, c->domain, ok ? "resolved" : error_name(err.code));
		if (!ok)
			continue;
		assert_int_equal(got.count, strlen(c->who));
		for (size_t n = 0; n < got.count; n++) {
			int64_t id = got.targets[n].account_id;
			char who = id == site->alice ? 'a' : id == site->bob ? 'b' : 'c';

			assert_non_null(strchr(c->who, who));
			assert_int_equal(got.targets[n].quota_bytes, 1000);
			assert_int_equal(got.targets[n].quota_messages, 10);
		}
		assert_string_equal(got.detail, c->detail);
		assert_int_equal(got.catch_all, c->catch_all);
	}
}

static void test_may_send_as(void **state)
{
	static const struct {
		char who;
		const char *local, *domain;
		bool may;
	} rows[] = {
		{ 'a', "alice", "example.test", true },
		{ 'a', "alice+x", "example.test", true },
		{ 'a', "sales", "example.test", true },
		{ 'a', "bob", "example.test", false },
		{ 'b', "team", "example.test", true },
		{ 'c', "whatever", "xn--bcher-kva.test", true },
		{ 'a', "whatever", "xn--bcher-kva.test", false },
		{ 'a', "alice", "example.org", false },
		{ 'a', "", "example.test", false },
	};
	struct site *site = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t id = rows[i].who == 'a' ? site->alice : rows[i].who == 'b' ? site->bob : site->carol;
		struct error err;
		bool may = directory_may_send_as(
		        site->directory, id, span_of(rows[i].local), span_of(rows[i].domain), &err);

		assert_int_equal(may, rows[i].may);
		assert_true(may || err.code == ERR_DENIED);
	}
}

static void test_alias_refusals(void **state)
{
	static const struct {
		const char *from, *to;
		enum error_code want;
	} rows[] = {
		{ "alice@example.test", "bob@example.test", ERR_EXISTS },   /* an account's own address */
		{ "sales@example.test", "alice@example.test", ERR_EXISTS }, /* there already */
		{ "x@example.test", "nobody@example.test", ERR_NO_SUCH_ADDRESS },
		{ "x@example.test", "a b@example.org", ERR_BAD_ADDRESS }, /* cannot be sent to */
		{ "x@example.test", "a\r\nDATA@example.org", ERR_BAD_ADDRESS },
		{ "x@example.org", "alice@example.test", ERR_NO_SUCH_DOMAIN },
		{ "sales@example.test", "team@example.test", ERR_LIMIT }, /* leads to itself */
		{ "x", "alice@example.test", ERR_BAD_ADDRESS },
		{ "x@example.test", "*@xn--bcher-kva.test", ERR_BAD_ADDRESS },
	};
	struct site *site = *state;
	struct resolution got;
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_false(directory_add_alias(site->directory, span_of(rows[i].from), span_of(rows[i].to), &err));
		if (err.code != rows[i].want)
			fail_msg("%s -> %s: %s", rows[i].from, rows[i].to, error_name(err.code));
	}
	assert_true(directory_resolve(site->directory, SPAN("sales"), SPAN("example.test"), &got, &err));
	assert_int_equal(got.count, 2); /* the refused ones left nothing */
	assert_true(
	        directory_remove_alias(site->directory, SPAN("sales@example.test"), SPAN("bob@example.test"), &err));
	assert_true(directory_resolve(site->directory, SPAN("sales"), SPAN("example.test"), &got, &err));
	assert_int_equal(got.count, 1);
	assert_true(directory_remove_alias(site->directory, SPAN("sales@example.test"), SPAN_EMPTY, &err));
	assert_false(directory_remove_alias(site->directory, SPAN("sales@example.test"), SPAN_EMPTY, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ADDRESS);
	assert_true(directory_resolve(site->directory, SPAN("team"), SPAN("example.test"), &got, &err));
	assert_int_equal(got.count, 1); /* the target that is gone is passed over */
}

static void test_deep_aliases(void **state)
{
	struct site *site = *state;
	struct error err;
	char from[] = "d0@example.test", to[] = "d0@example.test";

	alias(site, "d0@example.test", "bob@example.test");
	for (char depth = '1'; depth <= '7'; depth++) {
		from[1] = depth;
		to[1] = (char)(depth - 1);
		alias(site, from, to);
	}
	from[1] = '8';
	to[1] = '7';
	assert_false(directory_add_alias(site->directory, span_of(from), span_of(to), &err));
	assert_int_equal(err.code, ERR_LIMIT);
}

/* a0 -> b0..b9, each -> c0..c9, each -> alice: 210 steps to one account. Ten times that is too much work for an address. */
static void test_multiplying_aliases(void **state)
{
	struct site *site = *state;
	struct resolution got;
	char from[32], to[32];
	struct error err;

	for (int i = 0; i < 10; i++) {
		(void)snprintf(from, sizeof(from), "c%d@example.test", i);
		alias(site, from, "alice@example.test");
	}
	for (int i = 0; i < 100; i++) {
		(void)snprintf(from, sizeof(from), "b%d@example.test", i / 10);
		(void)snprintf(to, sizeof(to), "c%d@example.test", i % 10);
		alias(site, from, to);
	}
	for (int i = 0; i < 10; i++) {
		(void)snprintf(to, sizeof(to), "b%d@example.test", i);
		alias(site, "a0@example.test", to);
	}
	assert_true(directory_resolve(site->directory, SPAN("a0"), SPAN("example.test"), &got, &err));
	assert_int_equal(got.count, 1);
	for (int i = 0; i < 10; i++) {
		(void)snprintf(to, sizeof(to), "d%d@example.test", i);
		alias(site, to, "a0@example.test");
		assert_int_equal(
		        directory_add_alias(site->directory, SPAN("all@example.test"), span_of(to), &err), i < 9);
	}
	assert_int_equal(err.code, ERR_LIMIT);
	assert_true(directory_resolve(site->directory, SPAN("all"), SPAN("example.test"), &got, &err));
	assert_int_equal(got.count, 1);
}

static bool count_account(void *arg, const struct account_info *info)
{
	unsigned *count = arg;

	assert_true(info->created_ms > 0);
	return ++*count < 2; /* stops after two */
}

static bool count_domain(void *arg, struct span name, uint64_t accounts, uint64_t aliases)
{
	if (span_equal(name, SPAN("example.test"))) {
		assert_int_equal(accounts, 2);
		assert_int_equal(aliases, 5);
	}
	++*(unsigned *)arg;
	return true;
}

static bool count_alias(void *arg, struct span address, struct span target)
{
	assert_true(address.len > 0 && target.len > 0);
	++*(unsigned *)arg;
	return true;
}

static void test_lists(void **state)
{
	struct site *site = *state;
	struct account_info info;
	unsigned count = 0;
	struct error err;

	assert_true(directory_each_account(site->directory, SPAN_EMPTY, count_account, &count, &err));
	assert_int_equal(count, 2);
	count = 0;
	assert_true(directory_each_account(site->directory,
	        SPAN("b\xc3\xbc"
	             "cher.test"),
	        count_account, &count, &err));
	assert_int_equal(count, 1);
	assert_false(directory_each_account(site->directory, SPAN("no.test"), count_account, &count, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_DOMAIN);
	count = 0;
	assert_true(directory_each_domain(site->directory, count_domain, &count, &err));
	assert_int_equal(count, 3);
	count = 0;
	assert_true(directory_each_alias(site->directory, SPAN_EMPTY, count_alias, &count, &err));
	assert_int_equal(count, 6);
	assert_true(directory_find_account(site->directory, SPAN("ALICE@example.test"), &info, &err));
	assert_int_equal(info.id, site->alice);
	assert_string_equal(info.address, "alice@example.test");
	assert_string_equal(info.name, "A Person");
}

static void test_accounts(void **state)
{
	struct site *site = *state;
	struct account_info info;
	struct error err;
	int64_t id;

	assert_false(directory_add_account(site->directory, SPAN("alice@example.test"), SPAN_EMPTY, 0, 0, &id, &err));
	assert_int_equal(err.code, ERR_EXISTS);
	assert_false(directory_add_account(site->directory, SPAN("sales@example.test"), SPAN_EMPTY, 0, 0, &id, &err));
	assert_int_equal(err.code, ERR_EXISTS);
	assert_false(directory_add_account(site->directory, SPAN("x@example.org"), SPAN_EMPTY, 0, 0, &id, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_DOMAIN);
	assert_false(directory_add_account(site->directory, SPAN("no at"), SPAN_EMPTY, 0, 0, &id, &err));
	assert_int_equal(err.code, ERR_BAD_ADDRESS);
	assert_true(directory_set_disabled(site->directory, site->bob, true, &err));
	assert_true(directory_set_quota(site->directory, site->bob, 5, 6, &err));
	assert_true(directory_account(site->directory, site->bob, &info, &err));
	assert_true(info.disabled);
	assert_int_equal(info.quota_bytes, 5);
	assert_int_equal(info.quota_messages, 6);
	assert_false(directory_set_disabled(site->directory, 9999, true, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
	assert_false(directory_remove_domain(site->directory, SPAN("example.test"), &err));
	assert_int_equal(err.code, ERR_EXISTS);
	assert_true(directory_remove_account(site->directory, site->carol, &err));
	assert_false(directory_remove_account(site->directory, site->carol, &err));
	assert_true(directory_remove_domain(site->directory, SPAN("xn--bcher-kva.test"), &err));
	assert_false(directory_remove_domain(site->directory, SPAN("xn--bcher-kva.test"), &err));
	assert_int_equal(err.code, ERR_NO_SUCH_DOMAIN);
	assert_true(add(site, "new@example.test") > site->carol); /* a number is never given again */
}

/* What one handle (process) writes another one reads. */
static void test_two_handles(void **state)
{
	struct site *site = *state;
	struct directory *other;
	struct account_info info;
	struct error err;
	uint64_t before, between, after;
	int64_t id;

	assert_true(directory_open(site->dir, &other, &err));
	assert_true(directory_version(site->directory, &before));
	assert_true(directory_add_account(other, SPAN("dave@example.test"), SPAN_EMPTY, 0, 0, &id, &err));
	assert_true(directory_find_account(site->directory, SPAN("dave@example.test"), &info, &err));
	assert_int_equal(info.id, id);
	assert_true(directory_version(site->directory, &between));
	assert_int_not_equal(before, between);
	assert_true(directory_set_quota(other, id, 1000, 0, &err));
	directory_close(&other);
	assert_null(other);
	assert_true(directory_version(site->directory, &after));
	assert_int_not_equal(between, after);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_resolve),
		TEST(test_may_send_as),
		TEST(test_alias_refusals),
		TEST(test_deep_aliases),
		TEST(test_multiplying_aliases),
		TEST(test_lists),
		TEST(test_accounts),
		TEST(test_two_handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
