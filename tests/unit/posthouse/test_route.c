/* Routes as they are written on the command line. */
#include "posthouse/route.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *word, *want; /* NULL: refused */
} match_cases[] = {
	{ "example.net", "example.net" },
	{ "Example.NET.", "example.net" },
	{ ".example.net", ".example.net" },
	{ "from:Example.test", "from:example.test" },
	{ "FROM:example.test", "from:example.test" },
	{ "*", "*" },
	{ "b\xc3\xbc"
	  "cher.example",
	        "xn--bcher-kva.example" },
	{ "", NULL },
	{ ".", NULL },
	{ "from:", NULL },
	{ "**", NULL },
	{ "a@example.net", NULL },
	{ "two words.example", NULL },
	{ "[192.0.2.1]", NULL },
};

static void test_matches(void **state)
{
	struct error err;
	struct route route;

	for (size_t i = 0; i < ARRAY_LEN(match_cases); i++) {
		bool ok = route_match(span_of(match_cases[i].word), route.match, sizeof(route.match), &err);

		assert_int_equal(ok, match_cases[i].want != NULL);
		if (ok)
			assert_string_equal(route.match, match_cases[i].want);
		else
			assert_int_equal(err.code, ERR_SYNTAX);
	}
}

static const struct {
	const char *word;
	bool ok;
	enum route_kind kind;
	const char *host;
	unsigned port;
} via_cases[] = {
	{ "smtp.example.net", true, ROUTE_SMTP, "smtp.example.net", 0 },
	{ "SMTP.example.net:587", true, ROUTE_SMTP, "smtp.example.net", 587 },
	{ "192.0.2.1", true, ROUTE_SMTP, "192.0.2.1", 0 },
	{ "192.0.2.1:2525", true, ROUTE_SMTP, "192.0.2.1", 2525 },
	{ "2001:db8::1", true, ROUTE_SMTP, "2001:db8::1", 0 },
	{ "[2001:db8::1]", true, ROUTE_SMTP, "2001:db8::1", 0 },
	{ "[2001:db8::1]:25", true, ROUTE_SMTP, "2001:db8::1", 25 },
	{ "lmtp:mail.example.net:24", true, ROUTE_LMTP, "mail.example.net", 24 },
	{ "lmtp:[::1]:24", true, ROUTE_LMTP, "::1", 24 },
	{ "lmtp:/run/store/lmtp", true, ROUTE_LMTP, "/run/store/lmtp", 0 },
	{ "mx", true, ROUTE_MX, "", 0 },
	{ "lmtp:mail.example.net", false, 0, NULL, 0 }, /* LMTP has no port of its own */
	{ "lmtp:", false, 0, NULL, 0 },
	{ "", false, 0, NULL, 0 },
	{ "host:0", false, 0, NULL, 0 },
	{ "host:65536", false, 0, NULL, 0 },
	{ "host:", false, 0, NULL, 0 },
	{ ":25", false, 0, NULL, 0 },
	{ "ho st", false, 0, NULL, 0 },
	{ "/run/socket", false, 0, NULL, 0 },
	{ "[]", false, 0, NULL, 0 },
};

static void test_vias(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(via_cases); i++) {
		struct route route = { .port = 7 };
		struct error err;
		bool ok = route_via(span_of(via_cases[i].word), &route, &err);

		if (ok != via_cases[i].ok)
			fail_msg("%s", via_cases[i].word);
		if (!ok)
			continue;
		assert_int_equal(route.kind, via_cases[i].kind);
		assert_string_equal(route.host, via_cases[i].host);
		assert_int_equal(route.port, via_cases[i].port);
	}
}

static void test_tls(void **state)
{
	enum route_tls tls = ROUTE_TLS_DEFAULT;
	struct error err;

	assert_true(route_tls(SPAN("Verify"), &tls, &err));
	assert_int_equal(tls, ROUTE_TLS_VERIFY);
	assert_string_equal(route_tls_name(tls), "verify");
	assert_false(route_tls(SPAN("default"), &tls, &err));
	assert_false(route_tls(SPAN(""), &tls, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_vias),
		cmocka_unit_test(test_tls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
