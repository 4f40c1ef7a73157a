/* Who waits how long: a clock of the test's own, no waiting. */
#include "authd/failures.h"
#include "authd/peer.h"
#include "authd/remembered.h"
#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONGEST 15000

static const struct failures_settings settings = { .tries_per_minute = 10, .longest_delay_ms = LONGEST };

static struct failures *failures;

static int set_up(void **state)
{
	failures = failures_new(&settings);
	return failures == NULL;
}

static int tear_down(void **state)
{
	failures_free(&failures);
	return 0;
}

static struct failures_ticket prepare(const char *address, const char *login)
{
	struct failures_ticket ticket;
	struct table_key key;

	peer_key(span_of(address), &key);
	failures_prepare(failures, &key, span_of(login), &ticket);
	return ticket;
}

/* A try of now: 0 when it was checked (what it came to: right or wrong), else how long it would have to wait. */
static int64_t try_at(const char *address, const char *login, bool right, int64_t now)
{
	struct failures_ticket ticket = prepare(address, login);
	int64_t wait = 0;

	if (!failures_admit(failures, &ticket, now, &wait))
		return wait;
	if (right)
		failures_good(failures, &ticket, now);
	else
		failures_wrong(failures, &ticket, now);
	return 0;
}

static enum standing standing_at(const char *address, const char *login, int64_t now)
{
	struct failures_ticket ticket = prepare(address, login);
	int64_t wait;
	enum standing standing;

	assert_true(failures_admit(failures, &ticket, now, &wait));
	standing = failures_standing(failures, &ticket, now);
	failures_not_tried(failures, &ticket, now);
	return standing;
}

/* Ten go through, then each waits longer, up to the longest. The clock stands still but for those waits, so little is forgotten. */
static void delays_grow(void **state)
{
	static const struct failures_settings slow = { .tries_per_minute = 10, .longest_delay_ms = 3000 };
	int64_t now = 1000, wait, before = 0;

	for (int i = 0; i < 10; i++)
		assert_int_equal(try_at("192.0.2.1", "bob", false, now), 0);
	assert_int_equal(try_at("192.0.2.1", "bob", false, now), 1000);
	assert_int_equal(try_at("192.0.2.1", "bob", false, now + 999), 1);
	for (int i = 0; i < 3; i++) { /* 1 s, 2 s, 4 s */
		wait = try_at("192.0.2.1", "bob", false, now);
		assert_int_equal(wait, 1000 << i);
		assert_true(wait > before);
		assert_int_equal(try_at("192.0.2.2", "bob", false, now), 0); /* the account is not locked */
		now += wait;
		assert_int_equal(try_at("192.0.2.1", "bob", false, now), 0);
		before = wait;
	}
	failures_free(&failures);
	failures = failures_new(&slow);
	for (now = 0; now < 600 * 1000; now += 100) {
		wait = try_at("192.0.2.1", "bob", false, now);
		assert_in_range(wait, 0, 3000);
	}
}

/* An attacker who does all he can for an hour, at 100 tries a second. */
static void long_run_is_bounded(void **state)
{
	unsigned guesses = 0;

	for (int64_t now = 0; now < 3600 * 1000; now += 10)
		guesses += try_at("192.0.2.1", "bob", false, now) == 0;
	print_message("guesses in an hour: %u\n", guesses);
	assert_in_range(guesses, 100, 3600 / 5);
}

static void silence_is_rewarded(void **state)
{
	for (int i = 0; i < 15; i++)
		(void)try_at("192.0.2.1", "bob", false, 1000);
	assert_true(try_at("192.0.2.1", "bob", false, 1500) > 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(try_at("192.0.2.1", "bob", false, 1000 + 10 * 60 * 1000), 0);
}

/* Logging in well does not buy guesses: the right ones are only not counted. */
static void right_ones_do_not_reset(void **state)
{
	for (int i = 0; i < 10; i++)
		assert_int_equal(try_at("192.0.2.1", "bob", false, 1000), 0);
	for (int i = 0; i < 100; i++)
		(void)try_at("192.0.2.1", "alice", true, 1000);
	for (int i = 0; i < 100; i++)
		(void)try_at("192.0.2.1", "bob", false, 1000);
	assert_true(try_at("192.0.2.1", "carol", false, 1000) > 0);
}

/* A company or a cloud: a neighbour guesses, who logged in from there before notices nothing. */
static void known_pair_passes(void **state)
{
	assert_int_equal(try_at("192.0.2.1", "alice", true, 1000), 0);
	for (int i = 0; i < 200; i++)
		(void)try_at("192.0.2.1", "bob", false, 2000);
	assert_true(try_at("192.0.2.1", "carol", false, 2000) > 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(try_at("192.0.2.1", "Alice", true, 2000), 0);
	assert_int_equal(standing_at("192.0.2.1", "alice", 2000), STANDING_GOOD);
	/* but guessing at the known name from there is counted by itself */
	for (int i = 0; i < 10; i++)
		assert_int_equal(try_at("192.0.2.1", "alice", false, 2000), 0);
	assert_int_equal(try_at("192.0.2.1", "alice", false, 2000), 1000);
	assert_int_equal(standing_at("192.0.2.1", "alice", 2000 + 1000), STANDING_SUSPECT);
}

static void many_good_logins_widen(void **state)
{
	char login[16];
	unsigned through = 0;

	for (int i = 0; i < 50; i++) {
		snprintf(login, sizeof(login), "user%d", i);
		assert_int_equal(try_at("192.0.2.1", login, true, 1000), 0);
	}
	while (try_at("192.0.2.1", "new", false, 1000) == 0)
		through++;
	assert_int_equal(through, 10 * FAILURES_SHARE_MAX);
}

static void known_pair_is_forgotten(void **state)
{
	assert_int_equal(try_at("192.0.2.1", "alice", true, 0), 0);
	assert_int_equal(standing_at("192.0.2.1", "alice", FAILURES_GOOD_MS), STANDING_GOOD);
	assert_int_equal(standing_at("192.0.2.1", "alice", FAILURES_GOOD_MS + 1), STANDING_CLEAN);
}

static void standings(void **state)
{
	assert_int_equal(standing_at("192.0.2.1", "bob", 0), STANDING_CLEAN);
	(void)try_at("192.0.2.1", "bob", false, 0);
	assert_int_equal(standing_at("192.0.2.1", "bob", 0), STANDING_SUSPECT);
	assert_int_equal(standing_at("192.0.2.1", "bob", 59 * 1000), STANDING_SUSPECT);
	assert_int_equal(standing_at("192.0.2.1", "bob", 60 * 1000), STANDING_CLEAN);
	(void)try_at("192.0.2.9", "alice", true, 0);
	assert_int_equal(standing_at("192.0.2.9", "other", 0), STANDING_GOOD);
	(void)try_at("192.0.2.9", "other", false, 0);
	assert_int_equal(standing_at("192.0.2.9", "other", 0), STANDING_GOOD); /* a slip */
	for (int i = 0; i < 15; i++)
		(void)try_at("192.0.2.9", "other", false, 0);
	assert_int_equal(standing_at("192.0.2.9", "other", 0), STANDING_SUSPECT);
	assert_int_equal(standing_at("192.0.2.9", "alice", 0), STANDING_GOOD);
}

static void not_tried_costs_nothing(void **state)
{
	for (int i = 0; i < 100; i++)
		assert_int_equal(standing_at("192.0.2.1", "bob", 0), STANDING_CLEAN);
	assert_int_equal(try_at("192.0.2.1", "bob", false, 0), 0);
}

/* 100,000 addresses guess: memory is bounded, and the one that people log in from keeps its good name. */
static void many_addresses(void **state)
{
	char address[32];

	assert_int_equal(try_at("198.51.100.1", "alice", true, 0), 0);
	for (int i = 0; i < 100000; i++) {
		snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		assert_int_equal(try_at(address, "bob", false, i), 0);
	}
	assert_int_equal(standing_at("198.51.100.1", "alice", 100000), STANDING_GOOD);
	assert_int_equal(standing_at("198.51.100.1", "stranger", 100000), STANDING_GOOD);
}

static const struct peer_case {
	const char *a, *b;
	bool same;
} peer_cases[] = {
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.2", false },
	{ "::ffff:192.0.2.1", "192.0.2.1", true },
	{ "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true }, /* one /64 */
	{ "2001:db8::1", "2001:db8:0:1::1", false },
	{ "fe80::1%eth0", "fe80::2", true },
	{ "", "nonsense", true },
	{ "", "0.0.0.0", false },
	{ "", "::", false },
	{ "0.0.0.0", "::", false },
	{ "192.0.2.1", "192.0.2.1.", false },
};

static void peers(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(peer_cases); i++) {
		struct table_key a, b;

		peer_key(span_of(peer_cases[i].a), &a);
		peer_key(span_of(peer_cases[i].b), &b);
		assert_int_equal(memcmp(&a, &b, sizeof(a)) == 0, peer_cases[i].same);
	}
}

static void remembers(void **state)
{
	struct remembered *remembered = remembered_new(1000);
	struct table_key key, other;
	struct remembered_login *login;

	remembered_key(remembered, SPAN("bob"), SPAN("pw"), &key);
	remembered_key(remembered, SPAN("bobp"), SPAN("w"), &other); /* the same bytes, cut elsewhere */
	assert_true(memcmp(&key, &other, sizeof(key)) != 0);
	assert_null(remembered_find(remembered, &key, 0));
	remembered_add(remembered, &key, 42, "bob@example.test", "$hash", 7, 100);
	login = remembered_find(remembered, &key, 1099);
	assert_non_null(login);
	assert_int_equal(login->account_id, 42);
	assert_int_equal(login->version, 7);
	assert_string_equal(login->login, "bob@example.test");
	assert_null(remembered_find(remembered, &key, 1100)); /* however often it was used */
	assert_null(remembered_find(remembered, &key, 100));  /* gone for good */
	remembered_free(&remembered);

	remembered = remembered_new(0);
	remembered_add(remembered, &key, 42, "bob@example.test", "$hash", 7, 100);
	assert_null(remembered_find(remembered, &key, 100));
	remembered_free(&remembered);
}

static void remembers_so_many(void **state)
{
	struct remembered *remembered = remembered_new(1000);
	struct table_key key;
	char login[32];

	for (int i = 0; i < REMEMBERED_MAX + 10; i++) {
		snprintf(login, sizeof(login), "user%d", i);
		remembered_key(remembered, span_of(login), SPAN("pw"), &key);
		remembered_add(remembered, &key, i, login, "$hash", 1, 0);
		remembered_key(remembered, SPAN("user0"), SPAN("pw"), &key);
		assert_non_null(remembered_find(remembered, &key, 0)); /* in use: it stays */
	}
	remembered_key(remembered, SPAN("user1"), SPAN("pw"), &key);
	assert_null(remembered_find(remembered, &key, 0)); /* the oldest went */
	remembered_free(&remembered);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(delays_grow),
		TEST(long_run_is_bounded),
		TEST(silence_is_rewarded),
		TEST(right_ones_do_not_reset),
		TEST(known_pair_passes),
		TEST(many_good_logins_widen),
		TEST(known_pair_is_forgotten),
		TEST(standings),
		TEST(not_tried_costs_nothing),
		TEST(many_addresses),
		cmocka_unit_test(peers),
		cmocka_unit_test(remembers),
		cmocka_unit_test(remembers_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
