/* Sizes, durations, switches, host names and near misses, as people write them. */
#include "base/macros.h"
#include "config/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define REFUSED UINT64_MAX

static const struct number_case {
	const char *text;
	uint64_t max;
	uint64_t want;
} size_cases[] = {
	{ "0", 100, 0 },
	{ "1000", 1000, 1000 },
	{ "1001", 1000, REFUSED },
	{ "50M", 1ull << 40, 52428800 },
	{ "50m", 1ull << 40, 52428800 },
	{ "50MB", 1ull << 40, 52428800 },
	{ "50MiB", 1ull << 40, 52428800 },
	{ "1K", 1024, 1024 },
	{ "1K", 1023, REFUSED },
	{ "2G", 1ull << 40, 2147483648 },
	{ "1T", 1ull << 40, 1ull << 40 },
	{ "17B", 100, 17 },
	{ "18446744073709551615", UINT64_MAX - 1, REFUSED },
	{ "18446744073709551616", UINT64_MAX - 1, REFUSED },
	{ "16777216T", UINT64_MAX - 1, REFUSED }, /* 2^64 */
	{ "", 100, REFUSED },
	{ "M", 100, REFUSED },
	{ "B", 100, REFUSED },
	{ "iB", 100, REFUSED },
	{ "-1", 100, REFUSED },
	{ "+1", 100, REFUSED },
	{ " 1", 100, REFUSED },
	{ "1 K", 10000, REFUSED },
	{ "1.5M", 1ull << 40, REFUSED },
	{ "0x10", 100, REFUSED },
	{ "1KK", 1ull << 40, REFUSED },
	{ "1P", UINT64_MAX - 1, REFUSED },
}, duration_cases[] = {
	{ "0", 100, 0 },
	{ "0s", 100, 0 },
	{ "5", 100000, REFUSED }, /* of what? */
	{ "250ms", 250, 250 },
	{ "30s", 30000, 30000 },
	{ "30s", 29999, REFUSED },
	{ "5m", 1ull << 40, 300000 },
	{ "2h", 1ull << 40, 7200000 },
	{ "7d", 1ull << 40, 604800000 },
	{ "1w", 1ull << 40, 604800000 },
	{ "1W", 1ull << 40, 604800000 },
	{ "1M", 1ull << 40, 60000 },
	{ "1min", 1ull << 40, REFUSED },
	{ "s", 1ull << 40, REFUSED },
	{ "1s1", 1ull << 40, REFUSED },
	{ "30500568904943w", UINT64_MAX - 1, REFUSED }, /* over 2^64 ms */
};

static void test_sizes(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(size_cases); i++) {
		uint64_t got = REFUSED;
		bool ok = value_size(span_of(size_cases[i].text), size_cases[i].max, &got);
		if (ok != (size_cases[i].want != REFUSED) || got != size_cases[i].want)
			fail_msg("size \"%s\": %d, %llu", size_cases[i].text, ok, (unsigned long long)got);
	}
}

static void test_durations(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(duration_cases); i++) {
		uint64_t got = REFUSED;
		bool ok = value_duration(span_of(duration_cases[i].text), duration_cases[i].max, &got);
		if (ok != (duration_cases[i].want != REFUSED) || got != duration_cases[i].want)
			fail_msg("duration \"%s\": %d, %llu", duration_cases[i].text, ok, (unsigned long long)got);
	}
}

static void test_written_sizes_and_durations_read_back(void **state)
{
	static const struct {
		uint64_t value;
		const char *size, *duration;
	} cases[] = { { 0, "0", "0" }, { 1, "1", "1ms" }, { 1024, "1K", "1024ms" }, { 52428800, "50M", "52428800ms" },
		{ 1000, "1000", "1s" }, { 60000, "60000", "1m" }, { 604800000, "590625K", "1w" },
		{ 90000, "90000", "90s" } };
	char text[VALUE_TEXT_MAX];
	uint64_t back;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		value_size_text(cases[i].value, text, sizeof(text));
		assert_string_equal(text, cases[i].size);
		assert_true(value_size(span_of(text), UINT64_MAX, &back) && back == cases[i].value);
		value_duration_text(cases[i].value, text, sizeof(text));
		assert_string_equal(text, cases[i].duration);
		assert_true(value_duration(span_of(text), UINT64_MAX, &back) && back == cases[i].value);
	}
}

static void test_switches(void **state)
{
	static const struct {
		const char *text;
		int want; /* -1: refused */
	} cases[] = { { "yes", 1 }, { "NO", 0 }, { "True", 1 }, { "false", 0 }, { "on", 1 }, { "off", 0 }, { "1", 1 },
		{ "0", 0 }, { "", -1 }, { "2", -1 }, { "ja", -1 }, { "yess", -1 }, { "y", -1 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool got = false;
		bool ok = value_bool(span_of(cases[i].text), &got);
		assert_int_equal(ok, cases[i].want >= 0);
		assert_int_equal(got, cases[i].want == 1);
	}
}

static void test_host_names(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = { { "mail.example.org", true }, { "localhost", true }, { "3com.example", true },
		{ "xn--bcher-kva.example", true }, { "", false }, { ".", false }, { "a..b", false }, { "a.", false },
		{ "-a.b", false }, { "a-.b", false }, { "a_b.c", false }, { "a b", false },
		{ "b\303\274cher.example", false },
		{ "0123456789012345678901234567890123456789012345678901234567890123.example",
		        false }, /* a label of 64 */
		{ "012345678901234567890123456789012345678901234567890123456789012.example", true } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (value_is_hostname(span_of(cases[i].text)) != cases[i].want)
			fail_msg("%s", cases[i].text);
	}
}

static void test_nearest(void **state)
{
	static const char *const keys[] = { "hostname", "data_dir", "workers", "smtp", "pop3", "pop3s",
		"max_message_size" };
	static const struct {
		const char *word, *want;
	} cases[] = { { "hostnam", "hostname" }, { "host_name", "hostname" }, { "Hostname", "hostname" },
		{ "worker", "workers" }, { "smpt", "smtp" }, { "stmp", "smtp" }, { "pop3", "pop3" }, { "pop", "pop3" },
		{ "message_size", "max_message_size" }, { "max-message-size", "max_message_size" },
		{ "datadir", "data_dir" }, { "xyz", NULL }, { "", NULL }, { "relayhost", NULL },
		{ "hostnamehostnamehostnamehostnamehostnamehostnamehostnamehostnamehostname", NULL } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = value_nearest(span_of(cases[i].word), keys, ARRAY_LEN(keys));
		if ((got == NULL) != (cases[i].want == NULL) || (got != NULL && strcmp(got, cases[i].want) != 0))
			fail_msg("%s: %s", cases[i].word, got != NULL ? got : "(none)");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_written_sizes_and_durations_read_back),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_host_names),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
