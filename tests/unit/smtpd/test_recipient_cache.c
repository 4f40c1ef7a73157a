/* What smtpd remembers of recipients: only what is plain, only as long as the directory stays as it was, and not for long. */
#include "smtpd/inbound/recipient_cache.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static uint64_t now_version = 7;
static bool has_version = true;

bool directory_version(const struct directory *directory, uint64_t *version)
{
	(void)directory;
	*version = now_version;
	return has_version;
}

static struct recipient_cache cache;

static struct resolution to_account(int64_t id, const char *detail)
{
	struct resolution resolution = { .count = 1 };

	resolution.targets[0].account_id = id;
	(void)span_copy(span_of(detail), resolution.detail, sizeof(resolution.detail));
	return resolution;
}

static int setup(void **state)
{
	(void)state;
	memset(&cache, 0, sizeof(cache));
	now_version = 7;
	has_version = true;
	return 0;
}

static bool find(const char *mailbox, int64_t now_ms, struct resolution *out)
{
	return recipient_cache_find(&cache, NULL, span_of(mailbox), now_ms, out);
}

static void remembers_what_is_plain(void **state)
{
	struct resolution resolution = to_account(5, "tag"), out;

	(void)state;
	assert_false(find("a+tag@example.test", 100, &out));
	recipient_cache_add(&cache, 7, SPAN("a+tag@example.test"), 100, &resolution);
	assert_true(find("a+tag@example.test", 100, &out));
	assert_int_equal(out.count, 1);
	assert_int_equal(out.targets[0].account_id, 5);
	assert_string_equal(out.detail, "tag");
	assert_false(find("a@example.test", 100, &out));
	assert_false(find("A+tag@example.test", 100, &out)); /* as written: nothing to get wrong */
}

static void forgets_in_time(void **state)
{
	struct resolution resolution = to_account(5, ""), out;

	(void)state;
	recipient_cache_add(&cache, 7, SPAN("a@example.test"), 100, &resolution);
	assert_true(find("a@example.test", 100 + RECIPIENT_CACHE_MS - 1, &out));
	assert_false(find("a@example.test", 100 + RECIPIENT_CACHE_MS, &out));
}

static void forgets_at_any_change(void **state)
{
	struct resolution resolution = to_account(5, ""), out;

	(void)state;
	recipient_cache_add(&cache, 7, SPAN("a@example.test"), 100, &resolution);
	now_version = 8;
	assert_false(find("a@example.test", 100, &out));
	now_version = 7;
	has_version = false;
	assert_false(find("a@example.test", 100, &out));
}

static void looks_again_at_what_is_not_plain(void **state)
{
	static const struct {
		size_t count;
		uint64_t bytes, messages;
	} cases[] = { { 0, 0, 0 }, { 2, 0, 0 }, { 1, 1000, 0 }, { 1, 0, 10 } };
	char longer[RECIPIENT_CACHE_TEXT_MAX + 2];
	struct resolution resolution = to_account(5, ""), out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		resolution.count = cases[i].count;
		resolution.targets[0].quota_bytes = cases[i].bytes;
		resolution.targets[0].quota_messages = cases[i].messages;
		recipient_cache_add(&cache, 7, SPAN("a@example.test"), 100, &resolution);
		assert_false(find("a@example.test", 100, &out));
	}
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	resolution = to_account(5, "");
	recipient_cache_add(&cache, 7, span_of(longer), 100, &resolution);
	assert_false(find(longer, 100, &out));
}

static void a_place_has_one_address(void **state)
{
	struct resolution out;
	unsigned right = 0;
	char text[48];

	(void)state;
	for (int64_t i = 0; i < 3 * RECIPIENT_CACHE_PLACES; i++) {
		struct resolution resolution = to_account(i + 1, "");

		snprintf(text, sizeof(text), "u%lld@example.test", (long long)i);
		recipient_cache_add(&cache, 7, span_of(text), 100, &resolution);
	}
	for (int64_t i = 0; i < 3 * RECIPIENT_CACHE_PLACES; i++) {
		snprintf(text, sizeof(text), "u%lld@example.test", (long long)i);
		if (!find(text, 100, &out))
			continue;
		assert_int_equal(out.targets[0].account_id, i + 1);
		right++;
	}
	assert_in_range(right, RECIPIENT_CACHE_PLACES / 2, RECIPIENT_CACHE_PLACES);
}

static bool is_elsewhere(const char *domain, int64_t now_ms)
{
	return recipient_cache_is_elsewhere(&cache, NULL, span_of(domain), now_ms);
}

static void remembers_domains_elsewhere(void **state)
{
	char longer[RECIPIENT_CACHE_TEXT_MAX + 2];
	struct resolution out;

	(void)state;
	assert_false(is_elsewhere("example.net", 100));
	recipient_cache_add_elsewhere(&cache, 7, SPAN("example.net"), 100);
	assert_true(is_elsewhere("example.net", 100 + RECIPIENT_CACHE_MS - 1));
	assert_false(is_elsewhere("example.net", 100 + RECIPIENT_CACHE_MS));
	assert_false(is_elsewhere("example.org", 100));
	now_version = 8; /* it may be ours since */
	assert_false(is_elsewhere("example.net", 100));
	now_version = 7;
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	recipient_cache_add_elsewhere(&cache, 7, span_of(longer), 100);
	assert_false(is_elsewhere(longer, 100));
	assert_false(find("example.net", 100, &out)); /* never for one of our addresses */
}

static void an_address_is_no_domain(void **state)
{
	struct resolution resolution = to_account(5, "");

	(void)state;
	recipient_cache_add(&cache, 7, SPAN("postmaster"), 100, &resolution);
	assert_false(is_elsewhere("postmaster", 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(remembers_what_is_plain, setup),
		cmocka_unit_test_setup(forgets_in_time, setup),
		cmocka_unit_test_setup(forgets_at_any_change, setup),
		cmocka_unit_test_setup(looks_again_at_what_is_not_plain, setup),
		cmocka_unit_test_setup(a_place_has_one_address, setup),
		cmocka_unit_test_setup(remembers_domains_elsewhere, setup),
		cmocka_unit_test_setup(an_address_is_no_domain, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
