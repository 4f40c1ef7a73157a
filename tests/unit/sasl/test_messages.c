/* The grammar of PLAIN, LOGIN and SCRAM messages: what is taken, and what is refused. */
#include "sasl/login.h"
#include "sasl/plain.h"
#include "sasl/scram.h"
#include "base/macros.h"
#include "sasl/auth_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct plain_case {
	struct span in;
	bool want;
	const char *authzid, *authcid, *passwd;
} plain_cases[] = {
	/* RFC 4616 §4, both examples. */
	{ SPAN("\0tim\0tanstaaftanstaaf"), true, "", "tim", "tanstaaftanstaaf" },
	{ SPAN("Ursel\0Kurt\0xipj3plmq"), true, "Ursel", "Kurt", "xipj3plmq" },
	{ SPAN("\0bob@example.test\0p w"), true, "", "bob@example.test", "p w" },
	{ SPAN("\0b\xC3\xB6\0\xE2\x82\xAC"), true, "", "b\xC3\xB6", "\xE2\x82\xAC" },
	{ SPAN(""), false },
	{ SPAN("\0"), false },
	{ SPAN("\0\0"), false },
	{ SPAN("tim\0pass"), false },     /* one NUL */
	{ SPAN("\0tim\0"), false },       /* no password */
	{ SPAN("\0\0pass"), false },      /* no name */
	{ SPAN("\0tim\0pass\0"), false }, /* a third NUL */
	{ SPAN("\0tim\0pa\0ss"), false },
	{ SPAN("\0t\xFFm\0pass"), false },   /* not UTF-8 */
	{ SPAN("\0tim\0p\xC0\x80"), false }, /* overlong */
	{ SPAN("\xED\xA0\x80\0tim\0p"), false },
};

static void plain_table(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(plain_cases); i++) {
		const struct plain_case *c = &plain_cases[i];
		struct plain_message got;

		assert_int_equal(plain_parse(c->in, &got), c->want);
		if (!c->want)
			continue;
		assert_true(span_equal(got.authzid, span_of(c->authzid)));
		assert_true(span_equal(got.authcid, span_of(c->authcid)));
		assert_true(span_equal(got.passwd, span_of(c->passwd)));
	}
}

static bool plain_of_lengths(size_t authzid, size_t authcid, size_t passwd)
{
	size_t len = authzid + 1 + authcid + 1 + passwd;
	char *text = malloc(len);
	struct plain_message got;
	bool ok;

	memset(text, 'a', len);
	text[authzid] = '\0';
	text[authzid + 1 + authcid] = '\0';
	ok = plain_parse(span_make(text, len), &got);
	free(text);
	return ok;
}

static void plain_limits(void **state)
{
	assert_true(plain_of_lengths(AUTH_LOGIN_MAX, AUTH_LOGIN_MAX, AUTH_PASSWORD_MAX));
	assert_false(plain_of_lengths(AUTH_LOGIN_MAX + 1, 1, 1));
	assert_false(plain_of_lengths(0, AUTH_LOGIN_MAX + 1, 1));
	assert_false(plain_of_lengths(0, 1, AUTH_PASSWORD_MAX + 1));
}

static void login_fields(void **state)
{
	assert_true(login_field_ok(SPAN("tim"), 3));
	assert_false(login_field_ok(SPAN("tims"), 3));
	assert_false(login_field_ok(SPAN(""), 3));
	assert_false(login_field_ok(SPAN("t\0m"), 3));
	assert_false(login_field_ok(SPAN("\xC3"), 3));
}

static const struct first_case {
	const char *in;
	const char *wrong; /* the server-error-value; NULL: well-formed */
	const char *gs2_header, *bare, *authzid, *username, *nonce;
	enum scram_binding binding;
	const char *binding_name;
} first_cases[] = {
	{ "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", NULL, "n,,", "n=user,r=rOprNGfwEbeRWgbNEkqO", "", "user",
	        "rOprNGfwEbeRWgbNEkqO" },
	{ "y,,n=user,r=abc", NULL, "y,,", "n=user,r=abc", "", "user", "abc", SCRAM_SAW_NO_PLUS },
	{ "n,a=user,n=user,r=abc", NULL, "n,a=user,", "n=user,r=abc", "user", "user", "abc" },
	{ "n,,n=u=2Cv=3D,r=abc,x=ext,y=more", NULL, "n,,", "n=u=2Cv=3D,r=abc,x=ext,y=more", "", "u=2Cv=3D", "abc" },
	{ "p=tls-exporter,,n=user,r=abc", NULL, "p=tls-exporter,,", "n=user,r=abc", "", "user", "abc", SCRAM_BINDS,
	        "tls-exporter" },
	{ "p=a.B-9,a=user,n=user,r=abc", NULL, "p=a.B-9,a=user,", "n=user,r=abc", "user", "user", "abc", SCRAM_BINDS,
	        "a.B-9" },
	{ "p=,,n=user,r=abc", "invalid-encoding" },
	{ "p=tls exporter,,n=user,r=abc", "invalid-encoding" },
	{ "p=tls=exporter,,n=user,r=abc", "invalid-encoding" },
	{ "p=tls-exporter", "invalid-encoding" },
	{ "p=tls-exporter,n=user,r=abc", "invalid-encoding" },
	{ "p,,n=user,r=abc", "invalid-encoding" },
	{ "n=tls-exporter,,n=user,r=abc", "invalid-encoding" },
	{ "n,,m=future,n=user,r=abc", "extensions-not-supported" },
	{ "", "invalid-encoding" },
	{ "n", "invalid-encoding" },
	{ "n,", "invalid-encoding" },
	{ "n,,", "invalid-encoding" },
	{ "x,,n=user,r=abc", "invalid-encoding" },
	{ "N,,n=user,r=abc", "invalid-encoding" },
	{ "n,n=user,r=abc", "invalid-encoding" },    /* one comma of the header is missing */
	{ "n,a=,n=user,r=abc", "invalid-encoding" }, /* an authzid has at least one character */
	{ "n,,r=abc,n=user", "invalid-encoding" },   /* the order is fixed */
	{ "n,,n=,r=abc", "invalid-encoding" },
	{ "n,,n=user", "invalid-encoding" },
	{ "n,,n=user,r=", "invalid-encoding" },
	{ "n,,n=user,r=a b", "invalid-encoding" }, /* a nonce is visible ASCII */
	{ "n,,n=user,r=a\xC3\xA9", "invalid-encoding" },
	{ "n,,n=user,r=abc,", "invalid-encoding" },
	{ "n,,n=user,r=abc,x", "invalid-encoding" },
	{ "n,,n=user,r=abc,=x", "invalid-encoding" },
	{ "n,,n=us\xFFr,r=abc", "invalid-encoding" },
};

static void scram_first_table(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(first_cases); i++) {
		const struct first_case *c = &first_cases[i];
		struct scram_first got;
		const char *wrong = scram_parse_first(span_of(c->in), &got);

		if (c->wrong != NULL) {
			assert_non_null(wrong);
			assert_string_equal(wrong, c->wrong);
			continue;
		}
		assert_null(wrong);
		assert_true(span_equal(got.gs2_header, span_of(c->gs2_header)));
		assert_true(span_equal(got.bare, span_of(c->bare)));
		assert_true(span_equal(got.authzid, span_of(c->authzid)));
		assert_true(span_equal(got.username, span_of(c->username)));
		assert_true(span_equal(got.nonce, span_of(c->nonce)));
		assert_int_equal(got.binding, c->binding);
		assert_true(span_equal(got.binding_name, span_of(c->binding_name == NULL ? "" : c->binding_name)));
	}
}

static void scram_first_limits(void **state)
{
	char text[SCRAM_FIRST_MAX + 2] = "n,,n=u,r=";
	struct scram_first got;
	size_t start = strlen(text);

	memset(text + start, 'r', sizeof(text) - start);
	assert_null(scram_parse_first(span_make(text, start + SCRAM_NONCE_MAX), &got));
	assert_non_null(scram_parse_first(span_make(text, start + SCRAM_NONCE_MAX + 1), &got));
	assert_non_null(scram_parse_first(span_make(text, SCRAM_FIRST_MAX + 1), &got));
	assert_non_null(scram_parse_first(SPAN("n,,n=u\0v,r=abc"), &got));
}

#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static const struct final_case {
	const char *in;
	bool want;
	const char *without_proof, *channel_binding, *nonce;
} final_cases[] = {
	{ "c=biws,r=abc,p=" PROOF, true, "c=biws,r=abc", "biws", "abc" },
	{ "c=biws,r=abc,x=y,p=" PROOF, true, "c=biws,r=abc,x=y", "biws", "abc" },
	{ "c=biws,r=abc", false },
	{ "c=biws,r=abc,p=", false },
	{ "c=biws,r=abc,p=AAAA", false }, /* a proof is 32 bytes */
	{ "c=biws,r=abc,p=" PROOF "AAAA", false },
	{ "c=biws,r=abc,p=" PROOF ",x=y", false }, /* the proof is last */
	{ "r=abc,c=biws,p=" PROOF, false },
	{ "c=,r=abc,p=" PROOF, false },
	{ "c=biws,r=,p=" PROOF, false },
	{ "c=biws,p=" PROOF, false },
	{ "c=biws,r=abc,x,p=" PROOF, false },
	{ "p=" PROOF, false },
	{ "", false },
	{ "c=biws,r=\xFF,p=" PROOF, false },
};

static void scram_final_table(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(final_cases); i++) {
		const struct final_case *c = &final_cases[i];
		struct scram_final got;

		assert_int_equal(scram_parse_final(span_of(c->in), &got) == NULL, c->want);
		if (!c->want)
			continue;
		assert_true(span_equal(got.without_proof, span_of(c->without_proof)));
		assert_true(span_equal(got.channel_binding, span_of(c->channel_binding)));
		assert_true(span_equal(got.nonce, span_of(c->nonce)));
		assert_int_equal(got.proof[0], 0x74);
	}
}

static const struct unescape_case {
	const char *in, *want; /* NULL: refused */
} unescape_cases[] = {
	{ "user", "user" },
	{ "a=2Cb=3Dc", "a,b=c" },
	{ "=3D2C", "=2C" }, /* once only */
	{ "a=", NULL },
	{ "a=2", NULL },
	{ "a=2c", NULL }, /* upper case (RFC 5802 §5.1) */
	{ "a=41", NULL },
};

static void scram_names(void **state)
{
	struct buffer out;

	buffer_init(&out, 16);
	for (size_t i = 0; i < ARRAY_LEN(unescape_cases); i++) {
		const struct unescape_case *c = &unescape_cases[i];

		buffer_clear(&out);
		assert_int_equal(scram_unescape(span_of(c->in), &out), c->want != NULL);
		if (c->want != NULL)
			assert_string_equal(buffer_text(&out), c->want);
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_table),
		cmocka_unit_test(plain_limits),
		cmocka_unit_test(login_fields),
		cmocka_unit_test(scram_first_table),
		cmocka_unit_test(scram_first_limits),
		cmocka_unit_test(scram_final_table),
		cmocka_unit_test(scram_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
