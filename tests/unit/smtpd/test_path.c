/* RFC 5321 §4.1.2 paths, as tables. */
#include "smtpd/syntax/path.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct path_case {
	const char *input;
	enum error_code want;
	const char *local, *domain; /* when it is good */
	const char *rest;
} reverse_cases[] = {
	{ "<>", ERR_NONE, "", "", "" }, { "<a@example.org>", ERR_NONE, "a", "example.org", "" },
	{ "<a@example.org> SIZE=1", ERR_NONE, "a", "example.org", " SIZE=1" },
	{ "<a.b+c=d%e!f@example.org>", ERR_NONE, "a.b+c=d%e!f", "example.org", "" },
	{ "<\"a b\"@example.org>", ERR_NONE, "a b", "example.org", "" },
	{ "<\"\\a\\\"\\\\\"@example.org>", ERR_NONE, "a\"\\", "example.org", "" },
	{ "<\"\"@example.org>", ERR_NONE, "", "example.org", "" },
	{ "<\"a@b\"@example.org>", ERR_NONE, "a@b", "example.org", "" },
	{ "<@x.org,@y.org:a@example.org>", ERR_NONE, "a", "example.org", "" },
	{ "<@[192.0.2.1]:a@example.org>", ERR_NONE, "a", "example.org", "" },
	{ "<a@[192.0.2.1]>", ERR_NONE, "a", "[192.0.2.1]", "" },
	{ "<a@[IPv6:2001:db8::1]>", ERR_NONE, "a", "[IPv6:2001:db8::1]", "" },
	{ "<a@[ipv6:::ffff:192.0.2.1]>", ERR_NONE, "a", "[ipv6:::ffff:192.0.2.1]", "" },
	{ "<a@[X-tag:stuff]>", ERR_NONE, "a", "[X-tag:stuff]", "" },
	{ "<j\xc3\xb6rg@example.org>", ERR_NONE, "j\xc3\xb6rg", "example.org", "" },
	{ "<a@b\xc3\xbc"
	  "cher.example>",
	        ERR_NONE, "a",
	        "b\xc3\xbc"
	        "cher.example",
	        "" },
	{ "<\"j\xc3\xb6 rg\"@example.org>", ERR_NONE, "j\xc3\xb6 rg", "example.org", "" },
	{ "<a@localhost>", ERR_NONE, "a", "localhost", "" }, { "<a@1.2.3>", ERR_NONE, "a", "1.2.3", "" },
	{ "", ERR_BAD_ADDRESS }, { "a@example.org", ERR_BAD_ADDRESS }, { "<a@example.org", ERR_BAD_ADDRESS },
	{ "<a", ERR_BAD_ADDRESS }, { "<a>", ERR_BAD_ADDRESS },
	{ "<Postmaster>", ERR_BAD_ADDRESS }, /* only as a recipient */
	{ "<@example.org>", ERR_BAD_ADDRESS }, { "<a@>", ERR_BAD_ADDRESS }, { "<a@b c>", ERR_BAD_ADDRESS },
	{ "<a b@example.org>", ERR_BAD_ADDRESS }, { "<.a@example.org>", ERR_BAD_ADDRESS },
	{ "<a.@example.org>", ERR_BAD_ADDRESS }, { "<a..b@example.org>", ERR_BAD_ADDRESS },
	{ "<a@.example.org>", ERR_BAD_ADDRESS }, { "<a@example.org.>", ERR_BAD_ADDRESS },
	{ "<a@example..org>", ERR_BAD_ADDRESS }, { "<a@-example.org>", ERR_BAD_ADDRESS },
	{ "<a@example-.org>", ERR_BAD_ADDRESS },
	{ "<a@exam_ple.org>", ERR_BAD_ADDRESS }, /* RFC 5321 §4.1.2: no underscore */
	{ "<a@[192.0.2]>", ERR_BAD_ADDRESS }, { "<a@[192.0.2.256]>", ERR_BAD_ADDRESS },
	{ "<a@[2001:db8::1]>", ERR_NONE, "a", "[2001:db8::1]", "" },
	/* a General-address-literal, by the grammar */ { "<a@[IPv6:2001:db8]>", ERR_BAD_ADDRESS },
	{ "<a@[IPv6:192.0.2.1]>", ERR_BAD_ADDRESS }, { "<a@[X-tag:]>", ERR_BAD_ADDRESS },
	{ "<a@[192.0.2.1>", ERR_BAD_ADDRESS }, { "<a@[]>", ERR_BAD_ADDRESS }, { "<\"a@example.org>", ERR_BAD_ADDRESS },
	{ "<\"a\"b@example.org>", ERR_BAD_ADDRESS }, { "<\"a\\\"@example.org>", ERR_BAD_ADDRESS },
	{ "<\"a\\\xc3\xb6\"@example.org>", ERR_BAD_ADDRESS }, /* a quoted pair is ASCII */
	{ "<\xff@example.org>", ERR_BAD_ADDRESS }, { "<a@\xc3.example>", ERR_BAD_ADDRESS },
	{ "<@x.org:>", ERR_BAD_ADDRESS }, { "<@x.org,:a@example.org>", ERR_BAD_ADDRESS },
	{ "<@x.org a@example.org>", ERR_BAD_ADDRESS }, { "<a@b@example.org>", ERR_BAD_ADDRESS },
	{ "<a@example.org\r>", ERR_BAD_ADDRESS },
	{ "<a@example.org>>", ERR_NONE, "a", "example.org", ">" }, /* the rest is the parameters' business */
};

static const struct path_case forward_cases[] = {
	{ "<Postmaster>", ERR_NONE, "postmaster", "", "" }, /* RFC 5321 §4.1.1.3 */
	{ "<pOSTMASTER> X=1", ERR_NONE, "postmaster", "", " X=1" },
	{ "<Postmaster@example.org>", ERR_NONE, "Postmaster", "example.org", "" },
	{ "<postmasters>", ERR_BAD_ADDRESS },
	{ "<>", ERR_BAD_ADDRESS },
	{ "<@ours.example:victim@foreign.example>", ERR_NONE, "victim", "foreign.example", "" },
};

typedef bool take(struct span *in, struct smtp_path *out, struct error *err);

static void run_case(const struct path_case *c, take *take_path)
{
	struct span in = span_of(c->input);
	struct smtp_path path;
	struct error err = { 0 };
	bool ok = take_path(&in, &path, &err);

	if (ok != (c->want == ERR_NONE) || err.code != c->want)
		fail_msg("%s: got %s (%s)", c->input, error_name(err.code), err.reason);
	if (!ok) {
		assert_int_equal(in.len, strlen(c->input)); /* untouched */
		return;
	}
	if (!span_equal(path_local(&path), span_of(c->local)) || !span_equal(path.domain, span_of(c->domain)) ||
	        !span_equal(in, span_of(c->rest)))
		fail_msg("%s: local \"%.*s\" domain \"%.*s\" rest \"%.*s\"", c->input, SPAN_FMT(path_local(&path)),
		        SPAN_FMT(path.domain), SPAN_FMT(in));
}

static void test_reverse(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(reverse_cases); i++)
		run_case(&reverse_cases[i], path_take_reverse);
}

static void test_forward(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(forward_cases); i++)
		run_case(&forward_cases[i], path_take_forward);
}

static bool reverse_of(const char *local, size_t local_len, size_t labels, enum error_code *code)
{
	char text[2048] = "<";
	size_t len = 1;
	struct span in;
	struct smtp_path path;
	struct error err = { 0 };
	bool ok;

	memset(text + len, local[0], local_len);
	len += local_len;
	text[len++] = '@';
	for (size_t i = 0; i < labels; i++) {
		memset(text + len, 'd', 30);
		len += 30;
		text[len++] = '.';
	}
	text[len - 1] = '>';
	in = span_make(text, len);
	ok = path_take_reverse(&in, &path, &err);
	*code = err.code;
	return ok;
}

static void test_limits(void **state)
{
	enum error_code code;

	assert_true(reverse_of("a", 64, 8, &code)); /* RFC 5321 §4.5.3.1.1, §4.5.3.1.2 */
	assert_true(reverse_of("a", PATH_LOCAL_MAX, 1, &code));
	assert_false(reverse_of("a", PATH_LOCAL_MAX + 1, 1, &code));
	assert_false(reverse_of("a", 1, 9, &code)); /* 278 octets of domain */
	assert_int_equal(code, ERR_BAD_ADDRESS);
	assert_false(reverse_of("a", 200, 8, &code)); /* both fit, together they do not */
	assert_int_equal(code, ERR_TOO_LONG);
}

static void test_flags(void **state)
{
	struct smtp_path path;
	struct error err;
	struct span in = SPAN("<@x.org:a@[192.0.2.1]>");

	assert_true(path_take_forward(&in, &path, &err));
	assert_true(path.routed && path.literal && !path.utf8);
	assert_true(span_equal(path.mailbox, SPAN("a@[192.0.2.1]")));
	in = SPAN("<\xc3\xb6@example.org>");
	assert_true(path_take_forward(&in, &path, &err));
	assert_true(!path.routed && !path.literal && path.utf8);
}

static const struct domain_case {
	const char *text;
	bool domain, literal;
} domain_cases[] = {
	{ "example.org", true, false },
	{ "localhost", true, false },
	{ "a-b.c", true, false },
	{ "", false, false },
	{ ".", false, false },
	{ "a b", false, false },
	{ "[127.0.0.1]", false, true },
	{ "[::1]", false, false },
	{ "[IPv6:::1]", false, true },
	{ "[127.0.0.1] x", false, false },
};

static void test_domains(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(domain_cases); i++) {
		struct span text = span_of(domain_cases[i].text);

		if (domain_is_valid(text) != domain_cases[i].domain ||
		        address_literal_is_valid(text) != domain_cases[i].literal)
			fail_msg("%s", domain_cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reverse),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
