/* storage/directory.h: aliases that lead elsewhere, options of accounts, what the site remembers; a file of version 1. */
#include "fixture.h"

#include "storage/directory.h"
#include "storage/schema.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct site {
	char dir[64];
	struct directory *directory;
	int64_t alice;
};

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
	assert_true(directory_add_domain(site->directory, SPAN("example.test"), &err));
	assert_true(directory_add_domain(site->directory, SPAN("second.test"), &err));
	assert_true(
	        directory_add_account(site->directory, SPAN("alice@example.test"), SPAN(""), 0, 0, &site->alice, &err));
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

/* "alice x@far.test<sales@example.test": accounts, then addresses elsewhere with the alias that names them */
static void resolves(struct site *site, const char *local, const char *domain, const char *expected)
{
	struct resolution got;
	char text[1000] = "";
	struct error err;

	if (!directory_resolve(site->directory, span_of(local), span_of(domain), &got, &err))
		(void)snprintf(text, sizeof(text), "%s", error_name(err.code));
	for (size_t i = 0; text[0] == '\0' && i < got.count; i++)
		(void)snprintf(text, sizeof(text), "%s", got.targets[i].account_id == site->alice ? "alice" : "?");
	for (size_t i = 0; strncmp(text, "ERR", 3) != 0 && i < got.remote_count; i++) {
		size_t len = strlen(text);

		assert_true(snprintf(text + len, sizeof(text) - len, "%s%s<%s", len == 0 ? "" : " ",
		                    resolution_remote(&got, i),
		                    resolution_remote_alias(&got, i)) < (int)(sizeof(text) - len));
	}
	assert_string_equal(text, expected);
}

static void test_resolve(void **state)
{
	static const struct {
		const char *local, *domain, *who;
	} rows[] = {
		{ "out", "example.test", "Bob.B@far.test<out@example.test" },
		{ "OUT", "example.test", "Bob.B@far.test<out@example.test" },
		{ "out+tag", "example.test", "Bob.B@far.test<out@example.test" },
		{ "both", "example.test",
		        "alice Bob.B@far.test<both@example.test c@xn--bcher-kva.test<both@example.test" },
		/* each address once, under the alias that came first */
		{ "deep", "example.test",
		        "alice Bob.B@far.test<both@example.test c@xn--bcher-kva.test<both@example.test "
		        "d@far.test<deep@example.test" },
		{ "whoever", "second.test", "all@far.test<*@second.test" },
		{ "\"a b\"", "far.test", "ERR_NO_SUCH_DOMAIN" },
	};
	struct site *site = *state;
	struct resolution copy;
	struct error err;

	alias(site, "out@example.test", "Bob.B@FAR.test");
	alias(site, "both@example.test", "Bob.B@far.test");
	alias(site, "both@example.test", "alice@example.test");
	alias(site, "both@example.test",
	        "c@b\xc3\xbc"
	        "cher.test");
	alias(site, "deep@example.test", "both@example.test");
	alias(site, "deep@example.test", "d@far.test");
	alias(site, "deep@example.test", "Bob.B@far.test");
	alias(site, "*@second.test", "all@far.test");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		resolves(site, rows[i].local, rows[i].domain, rows[i].who);
	assert_true(directory_resolve(site->directory, SPAN("x"), SPAN("second.test"), &copy, &err));
	assert_true(copy.catch_all);
	assert_false(directory_may_send_as(site->directory, site->alice, SPAN("out"), SPAN("example.test"), &err));
	assert_int_equal(err.code, ERR_DENIED);
	assert_true(directory_may_send_as(site->directory, site->alice, SPAN("both"), SPAN("example.test"), &err));
}

/* What is ours may be another now than when the alias was made. */
/* What is forwarded goes into a RCPT command as it is. */
static void test_targets_that_can_be_sent(void **state)
{
	static const struct {
		const char *target;
		bool good;
	} rows[] = {
		{ "a.b+c@far.test", true },
		{ "\"a b\"@far.test", true },
		{ "\"a\\\"> b\"@far.test", true },
		{ "\"a\"> b\"@far.test", false },
		{ "\"a> b\\\"@far.test", false },
		{ "\"@far.test", false },
		{ "a>b@far.test", false },
		{ "a b@far.test", false },
		{ "\"a\r\nb\"@far.test", false },
	};
	struct site *site = *state;
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (directory_add_alias(site->directory, SPAN("t@example.test"), span_of(rows[i].target), &err) !=
		        rows[i].good)
			fail_msg("%s", rows[i].target);
}

static void test_domain_added_and_removed(void **state)
{
	struct site *site = *state;
	struct error err;

	alias(site, "*@second.test", "alice@example.test");
	alias(site, "out@example.test", "Boss@third.test");
	alias(site, "near@example.test", "x@second.test");
	resolves(site, "near", "example.test", "alice");
	/* removed here: mail to it does not begin to leave the site */
	assert_true(directory_remove_domain(site->directory, SPAN("second.test"), &err));
	resolves(site, "near", "example.test", "ERR_NO_SUCH_ADDRESS");
	/* added here: mail to it does not leave the site any more */
	assert_true(directory_add_domain(site->directory, SPAN("third.test"), &err));
	resolves(site, "out", "example.test", "ERR_NO_SUCH_ADDRESS");
	alias(site, "boss@third.test", "alice@example.test");
	resolves(site, "out", "example.test", "alice");
	assert_true(directory_remove_domain(site->directory, SPAN("third.test"), &err));
	resolves(site, "out", "example.test", "Boss@third.test<out@example.test");
}

static void test_limits(void **state)
{
	struct site *site = *state;
	char target[100];
	struct error err;
	size_t count = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < 2 * DIRECTORY_REMOTES_MAX; i++) {
		(void)snprintf(target, sizeof(target), "u%zu@far.test", i);
		ok = directory_add_alias(site->directory, SPAN("many@example.test"), span_of(target), &err);
		count += ok ? 1 : 0;
	}
	assert_int_equal(count, DIRECTORY_REMOTES_MAX);
	assert_int_equal(err.code, ERR_LIMIT);
	for (ok = true, count = 0; ok && count < 100; count++) {
		(void)snprintf(target, sizeof(target), "long-%054zu@a-long-domain-name.far.test", count);
		ok = directory_add_alias(site->directory, SPAN("long@example.test"), span_of(target), &err);
	}
	assert_int_equal(err.code, ERR_LIMIT); /* DIRECTORY_REMOTE_TEXT */
	assert_true(count > 50);
}

static bool note_alias(void *arg, struct span address, struct span target)
{
	(void)address;
	(void)snprintf(arg, 100, "%.*s", SPAN_FMT(target));
	return true;
}

static void test_remove(void **state)
{
	struct site *site = *state;
	char listed[100] = "";
	struct error err;

	alias(site, "out@example.test", "Bob.B@far.test");
	assert_false(directory_add_alias(site->directory, SPAN("out@example.test"), SPAN("Bob.B@FAR.test"), &err));
	assert_int_equal(err.code, ERR_EXISTS);
	assert_true(directory_each_alias(site->directory, SPAN_EMPTY, note_alias, listed, &err));
	assert_string_equal(listed, "Bob.B@far.test");
	assert_false(directory_remove_alias(site->directory, SPAN("out@example.test"), SPAN("bob@far.test"), &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ADDRESS);
	assert_true(directory_remove_alias(site->directory, SPAN("out@example.test"), span_of(listed), &err));
	resolves(site, "out", "example.test", "ERR_NO_SUCH_ADDRESS");
}

static void test_options(void **state)
{
	static const struct {
		struct account_options options;
		enum error_code want;
	} rows[] = {
		{ { true, true, 0, 0, 0 }, ERR_NONE },
		{ { false, true, ACCOUNT_UNDO_MAX, ACCOUNT_LIMIT_MAX, 7 }, ERR_NONE },
		{ { false, true, ACCOUNT_UNDO_MAX + 1, 0, 0 }, ERR_BAD_VALUE },
		{ { false, true, -2, 0, 0 }, ERR_BAD_VALUE },
		{ { false, true, 0, -2, 0 }, ERR_BAD_VALUE },
		{ { false, true, 0, 0, ACCOUNT_LIMIT_MAX + 1 }, ERR_BAD_VALUE },
		{ { true, false, ACCOUNT_AS_CONFIGURED, ACCOUNT_AS_CONFIGURED, ACCOUNT_AS_CONFIGURED }, ERR_NONE },
	};
	struct account_options standing = { false, false, -1, -1, -1 };
	struct site *site = *state;
	struct resolution got;
	struct account_info info;
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(directory_account(site->directory, site->alice, &info, &err));
		assert_int_equal(info.options.file_sent, standing.file_sent);
		assert_int_equal(info.options.detail_folders, standing.detail_folders);
		assert_int_equal(info.options.undo_seconds, standing.undo_seconds);
		assert_int_equal(info.options.recipients_a_day, standing.recipients_a_day);
		assert_int_equal(info.options.new_recipients_a_day, standing.new_recipients_a_day);
		assert_true(directory_resolve(site->directory, SPAN("alice+x"), SPAN(""), &got, &err));
		assert_int_equal(got.targets[0].detail_folders, standing.detail_folders);
		error_clear(&err);
		(void)directory_set_options(site->directory, site->alice, &rows[i].options, &err);
		assert_int_equal(err.code, rows[i].want);
		if (err.code == ERR_NONE)
			standing = rows[i].options;
	}
	assert_false(directory_set_options(site->directory, 999, &standing, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
}

static void test_site(void **state)
{
	uint8_t first[DIRECTORY_SECRET_LEN], second[DIRECTORY_SECRET_LEN], none[DIRECTORY_SECRET_LEN] = { 0 };
	struct site *site = *state;
	struct directory *other;
	struct error err;

	assert_true(directory_open(site->dir, &other, &err));
	assert_true(directory_srs_secret(site->directory, first, &err));
	assert_true(directory_srs_secret(other, second, &err));
	assert_memory_equal(first, second, sizeof(first));
	assert_memory_not_equal(first, none, sizeof(first));
	directory_close(&other);
	assert_true(directory_has_domain(site->directory, SPAN("EXAMPLE.test."), &err));
	assert_false(directory_has_domain(site->directory, SPAN("far.test"), &err));
	assert_int_equal(err.code, ERR_NO_SUCH_DOMAIN);
	assert_false(directory_has_domain(site->directory, SPAN("[192.0.2.1]"), &err));
	assert_int_equal(err.code, ERR_NO_SUCH_DOMAIN);
}

/* A file as the first release made it. */
static void test_version_1(void **state)
{
	struct site *site = *state;
	struct account_info info;
	struct error err;
	char path[100];
	sqlite3 *handle;

	directory_close(&site->directory);
	remove_dir(site->dir);
	make_dir(site->dir, sizeof(site->dir));
	(void)snprintf(path, sizeof(path), "%s/directory.db", site->dir);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, schema_directory_1, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle,
	                         "INSERT INTO domain VALUES (1, 'example.test', 1);"
	                         "INSERT INTO account VALUES (3, 'A', 5, 6, 0, 1);"
	                         "INSERT INTO address VALUES (1, 'alice', 3, 1);"
	                         "INSERT INTO alias VALUES (1, 'sales', 'example.test', 'alice');"
	                         "INSERT INTO alias VALUES (1, 'lost', 'gone.test', 'alice');",
	                         NULL, NULL, NULL),
	        SQLITE_OK);
	sqlite3_close(handle);
	assert_true(directory_open(site->dir, &site->directory, &err));
	site->alice = 3;
	resolves(site, "sales", "example.test", "alice");
	resolves(site, "lost", "example.test", "ERR_NO_SUCH_ADDRESS"); /* was ours: does not leave */
	assert_true(directory_account(site->directory, 3, &info, &err));
	assert_int_equal(info.quota_bytes, 5);
	assert_int_equal(info.options.undo_seconds, ACCOUNT_AS_CONFIGURED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
		cmocka_unit_test_setup_teardown(test_targets_that_can_be_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domain_added_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_site, setup, teardown),
		cmocka_unit_test_setup_teardown(test_version_1, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
