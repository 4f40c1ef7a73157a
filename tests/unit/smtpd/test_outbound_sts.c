/* MTA-STS by the vectors (RFC 8461), and what follows for one host from all that is known of it. */
#include "smtpd/outbound/tls_policy.h"

#include "base/macros.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECORDS_MAX 8

static json_t *load(const char *name)
{
	char path[512];
	json_error_t problem;
	json_t *root;

	(void)snprintf(path, sizeof(path), "%s/mta-sts-%s.json", getenv("VECTORS"), name);
	root = json_load_file(path, 0, &problem);
	assert_non_null(root);
	assert_true(json_array_size(root) > 0);
	return root;
}

static struct span text_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return span_make(json_string_value(value), json_string_length(value));
}

static void records(void **state)
{
	json_t *root = load("records"), *it;
	size_t at;

	(void)state;
	json_array_foreach(root, at, it)
	{
		json_t *list = json_object_get(it, "records");
		struct span spans[RECORDS_MAX];
		char id[33] = "";
		size_t count = json_array_size(list);
		bool want = json_is_true(json_object_get(it, "valid"));

		assert_true(count <= RECORDS_MAX);
		for (size_t i = 0; i < count; i++)
			spans[i] = span_of(json_string_value(json_array_get(list, i)));
		if (sts_parse_records(spans, count, id, sizeof(id)) != want)
			fail_msg("record %zu: %s", at, json_string_value(json_object_get(it, "why")));
		if (want)
			assert_string_equal(id, json_string_value(json_object_get(it, "id")));
	}
	json_decref(root);
}

static const char *mode_name(enum sts_mode mode)
{
	return mode == STS_ENFORCE ? "enforce" : mode == STS_TESTING ? "testing" : "none";
}

static void compare_policy(const json_t *want, const struct sts_policy *policy)
{
	const json_t *mx = json_object_get(want, "mx");

	assert_string_equal(mode_name(policy->mode), json_string_value(json_object_get(want, "mode")));
	assert_int_equal(policy->max_age, json_integer_value(json_object_get(want, "max_age")));
	assert_int_equal(policy->mx_count, json_array_size(mx));
	for (size_t i = 0; i < policy->mx_count; i++)
		assert_string_equal(policy->mx[i], json_string_value(json_array_get(mx, i)));
}

/* What HTTP said (status, type, size) is the fetcher's: tests/interop. */
static void policies(void **state)
{
	json_t *root = load("policies"), *it;
	struct sts_policy *policy = malloc(sizeof(*policy));
	size_t at, checked = 0;

	(void)state;
	assert_non_null(policy);
	json_array_foreach(root, at, it)
	{
		struct span body = text_of(it, "body");
		bool want = json_is_true(json_object_get(it, "valid"));
		struct error err;

		if (!want && (json_object_get(it, "status") != NULL || json_object_get(it, "content_type") != NULL))
			continue;
		checked++;
		if (sts_parse_policy(body, policy, &err) != want)
			fail_msg("policy %zu: %s", at, json_string_value(json_object_get(it, "why")));
		if (want)
			compare_policy(it, policy);
	}
	assert_true(checked >= 25);
	free(policy);
	json_decref(root);
}

static void names(void **state)
{
	json_t *root = load("mx-match"), *it;
	size_t at;

	(void)state;
	json_array_foreach(root, at, it)
	{
		struct sts_policy *policy = calloc(1, sizeof(*policy));

		assert_non_null(policy);
		policy->mx_count = 1;
		(void)span_copy(text_of(it, "pattern"), policy->mx[0], sizeof(policy->mx[0]));
		if (sts_matches(policy, text_of(it, "host")) != json_is_true(json_object_get(it, "match")))
			fail_msg("%s against %s", policy->mx[0], json_string_value(json_object_get(it, "host")));
		free(policy);
	}
	json_decref(root);
}

static void limits(void **state)
{
	struct sts_policy *policy = malloc(sizeof(*policy));
	struct error err;
	char text[8192];
	size_t len;

	(void)state;
	assert_non_null(policy);
	len = (size_t)snprintf(text, sizeof(text), "version: STSv1\nmode: enforce\nmax_age: 1\n");
	for (int i = 0; i < STS_MX_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "mx: m%d.example\n", i);
	assert_true(sts_parse_policy(span_make(text, len), policy, &err));
	assert_int_equal(policy->mx_count, STS_MX_MAX);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "mx: one.more.example\n");
	assert_false(sts_parse_policy(span_make(text, len), policy, &err));
	assert_int_equal(err.code, ERR_SYNTAX);
	free(policy);
}

#define UNSAID TLS_LEVEL_UNSAID

/* RFC 7672, RFC 8461 §2, RFC 8689 §4.2.1, §4.2.2: who decides. */
static const struct {
	struct tls_facts facts; /* override, dane, sts, secure name, requiretls, tls_no */
	bool possible;
	enum tls_level level;
	enum tls_source source;
} demands[] = {
	{ { UNSAID, DANE_NONE, STS_NONE, false, false, false }, true, TLS_LEVEL_MAY, TLS_SOURCE_DEFAULT },
	{ { UNSAID, DANE_USABLE, STS_NONE, true, false, false }, true, TLS_LEVEL_DANE, TLS_SOURCE_DANE },
	{ { UNSAID, DANE_UNUSABLE, STS_NONE, true, false, false }, true, TLS_LEVEL_ENCRYPT, TLS_SOURCE_DANE },
	{ { UNSAID, DANE_NONE, STS_ENFORCE, false, false, false }, true, TLS_LEVEL_VERIFY, TLS_SOURCE_STS },
	{ { UNSAID, DANE_NONE, STS_TESTING, false, false, false }, true, TLS_LEVEL_MAY, TLS_SOURCE_DEFAULT },
	{ { UNSAID, DANE_USABLE, STS_ENFORCE, true, false, false }, true, TLS_LEVEL_DANE, TLS_SOURCE_DANE },
	{ { UNSAID, DANE_UNUSABLE, STS_ENFORCE, true, false, false }, true, TLS_LEVEL_ENCRYPT, TLS_SOURCE_DANE },
	{ { TLS_LEVEL_NONE, DANE_USABLE, STS_ENFORCE, true, false, false }, true, TLS_LEVEL_NONE, TLS_SOURCE_OVERRIDE },
	{ { TLS_LEVEL_MAY, DANE_USABLE, STS_NONE, true, false, false }, true, TLS_LEVEL_MAY, TLS_SOURCE_OVERRIDE },
	{ { TLS_LEVEL_VERIFY, DANE_USABLE, STS_NONE, true, false, false }, true, TLS_LEVEL_DANE, TLS_SOURCE_OVERRIDE },
	{ { TLS_LEVEL_VERIFY, DANE_NONE, STS_NONE, true, false, false }, true, TLS_LEVEL_VERIFY, TLS_SOURCE_OVERRIDE },
	{ { UNSAID, DANE_NONE, STS_NONE, false, true, false }, false, TLS_LEVEL_MAY, TLS_SOURCE_DEFAULT },
	{ { UNSAID, DANE_NONE, STS_NONE, true, true, false }, true, TLS_LEVEL_VERIFY, TLS_SOURCE_REQUIRETLS },
	{ { UNSAID, DANE_NONE, STS_ENFORCE, false, true, false }, true, TLS_LEVEL_VERIFY, TLS_SOURCE_STS },
	{ { UNSAID, DANE_NONE, STS_TESTING, false, true, false }, false, TLS_LEVEL_MAY, TLS_SOURCE_DEFAULT },
	{ { UNSAID, DANE_USABLE, STS_NONE, true, true, false }, true, TLS_LEVEL_DANE, TLS_SOURCE_DANE },
	{ { UNSAID, DANE_UNUSABLE, STS_NONE, true, true, false }, true, TLS_LEVEL_VERIFY, TLS_SOURCE_REQUIRETLS },
	{ { TLS_LEVEL_NONE, DANE_NONE, STS_NONE, true, true, false }, true, TLS_LEVEL_VERIFY, TLS_SOURCE_REQUIRETLS },
	{ { UNSAID, DANE_USABLE, STS_NONE, true, false, true }, true, TLS_LEVEL_MAY, TLS_SOURCE_REQUIRETLS },
	{ { TLS_LEVEL_VERIFY, DANE_NONE, STS_NONE, true, false, true }, true, TLS_LEVEL_VERIFY, TLS_SOURCE_OVERRIDE },
};

static void who_decides(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(demands); i++) {
		struct tls_demand demand;

		if (tls_demand(&demands[i].facts, &demand) != demands[i].possible)
			fail_msg("row %zu: possible", i);
		if (demands[i].possible && (demand.level != demands[i].level || demand.source != demands[i].source))
			fail_msg("row %zu: %s by %s", i, tls_level_name(demand.level), tls_source_name(demand.source));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(policies),
		cmocka_unit_test(names),
		cmocka_unit_test(limits),
		cmocka_unit_test(who_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
