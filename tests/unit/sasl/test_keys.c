/* Passwords and keys: SCRAM's arithmetic on the RFC's example, SASLprep on the RFC's examples, Argon2id both ways. */
#include "base/base64.h"
#include "base/macros.h"
#include "base/secret.h"
#include "sasl/password.h"
#include "sasl/saslprep.h"
#include "sasl/scram_keys.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void decode(const char *text, uint8_t *out, size_t len)
{
	struct buffer b;

	buffer_init(&b, 64);
	assert_true(base64_decode(span_of(text), &b));
	assert_int_equal(b.len, len);
	memcpy(out, b.data, len);
	buffer_free(&b);
}

/* RFC 7677 §3 */
#define FIRST_BARE    "n=user,r=rOprNGfwEbeRWgbNEkqO"
#define SERVER_FIRST  "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define WITHOUT_PROOF "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define AUTH_MESSAGE  FIRST_BARE "," SERVER_FIRST "," WITHOUT_PROOF

static void scram_example(void **state)
{
	uint8_t salt[16], proof[32], want[32], got[32];
	struct scram_keys keys;

	decode("W22ZaJ0SNY7soEsUEjb6gQ==", salt, sizeof(salt));
	decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", proof, sizeof(proof));
	decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", want, sizeof(want));
	scram_make_keys(SPAN("pencil"), span_make(salt, sizeof(salt)), 4096, &keys);
	assert_true(scram_check(&keys, SPAN(AUTH_MESSAGE), proof, got));
	assert_memory_equal(got, want, sizeof(got));

	proof[31] ^= 1;
	assert_false(scram_check(&keys, SPAN(AUTH_MESSAGE), proof, got));
	proof[31] ^= 1;
	assert_false(scram_check(&keys, SPAN(AUTH_MESSAGE "x"), proof, got));
	scram_make_keys(SPAN("pencils"), span_make(salt, sizeof(salt)), 4096, &keys);
	assert_false(scram_check(&keys, SPAN(AUTH_MESSAGE), proof, got));
}

static const struct prep_case {
	const char *in, *want; /* NULL: refused */
} prep_cases[] = {
	/* RFC 4013 §3 */
	{ "I\xC2\xADX", "IX" },
	{ "user", "user" },
	{ "USER", "USER" },
	{ "\xC2\xAA", "a" },
	{ "\xE2\x85\xA8", "IX" },
	{ "\x07", NULL },
	{ "\xD8\xA7"
	  "1",
	        NULL },
	/* further */
	{ "p w\tx", NULL }, /* C.2.1 */
	{ "p\x7F", NULL },
	{ " ~!\"\\", " ~!\"\\" },
	{ "a\xC2\xA0z", "a z" },     /* C.1.2: NO-BREAK SPACE */
	{ "a\xE3\x80\x80z", "a z" }, /* IDEOGRAPHIC SPACE */
	{ "o\xCC\x88", "\xC3\xB6" }, /* composed: one ö however it was typed */
	{ "\xC3\xB6", "\xC3\xB6" },
	{ "\xEF\xBC\xA1", "A" },      /* full width */
	{ "\xE2\x80\x8F", NULL },     /* C.8: RIGHT-TO-LEFT MARK */
	{ "\xEE\x80\x80", NULL },     /* C.3: private use */
	{ "\xEF\xBF\xBD", NULL },     /* C.6 */
	{ "a\xEF\xBF\xBE", NULL },    /* C.4 */
	{ "\xF0\x9F\xBF\xBE", NULL }, /* C.4: U+1FFFE */
	{ "\xC2\x80", NULL },         /* C.2.2 */
	{ "\xD8\xA7"
	  "1"
	  "\xD8\xA8",
	        "\xD8\xA7"
	        "1"
	        "\xD8\xA8" }, /* RFC 3454 §6: fine between two Arabic letters */
	{ "\xD8\xA7"
	  "a"
	  "\xD8\xA8",
	        NULL },                             /* but not with a Latin one */
	{ "\xF0\x9F\x94\x91", "\xF0\x9F\x94\x91" }, /* a key, younger than Unicode 3.2 */
	{ "\xFF", NULL },
	{ "\xC0\xAF", NULL },
};

static void saslprep_table(void **state)
{
	struct buffer out;
	struct error err;

	buffer_init(&out, 64);
	for (size_t i = 0; i < ARRAY_LEN(prep_cases); i++) {
		const struct prep_case *c = &prep_cases[i];

		buffer_clear(&out);
		assert_int_equal(saslprep(span_of(c->in), &out, &err), c->want != NULL);
		if (c->want != NULL)
			assert_string_equal(buffer_text(&out), c->want);
		else
			assert_int_equal(err.code, ERR_BAD_VALUE);
	}
	buffer_free(&out);
}

static void password_both_ways(void **state)
{
	struct password_keys keys;
	struct scram_keys again;
	struct error err;

	assert_true(password_make(SPAN("gr\xC3\xBC\xC3\x9F dich"), &keys, &err));
	assert_memory_equal(keys.hash, "$argon2id$v=19$m=65536,t=2,p=1$", 31);
	assert_true(password_matches(keys.hash, SPAN("gr\xC3\xBC\xC3\x9F dich")));
	assert_true(password_matches(keys.hash, SPAN("gru\xCC\x88\xC3\x9F dich"))); /* typed on another system */
	assert_false(password_matches(keys.hash, SPAN("gr\xC3\xBC\xC3\x9F Dich")));
	assert_int_equal(errno, 0);
	assert_false(password_matches(keys.hash, SPAN("")));
	assert_false(password_matches(keys.hash, SPAN("gr\xFC\xDF dich"))); /* Latin-1 */
	assert_false(password_matches("", SPAN("x")));
	assert_false(password_matches("$argon2id$v=19$nonsense", SPAN("x")));

	assert_int_equal(keys.scram_iterations, SCRAM_ITERATIONS);
	scram_make_keys(SPAN("gr\xC3\xBC\xC3\x9F dich"), span_make(keys.scram_salt, sizeof(keys.scram_salt)),
	        keys.scram_iterations, &again);
	assert_memory_equal(again.stored_key, keys.scram_stored_key, SCRAM_HASH_LEN);
	assert_memory_equal(again.server_key, keys.scram_server_key, SCRAM_HASH_LEN);
}

static void scram_alone(void **state)
{
	static const uint8_t salt[PASSWORD_SALT_LEN] = "sixteen octets.";
	struct password_keys keys = { 0 };
	struct scram_keys want;
	struct error err;

	/* prepared like the password of password_make() */
	assert_true(password_make_scram(SPAN("gru\xCC\x88\xC3\x9F dich"), salt, &keys, &err));
	scram_make_keys(SPAN("gr\xC3\xBC\xC3\x9F dich"), span_make(salt, sizeof(salt)), keys.scram_iterations, &want);
	assert_int_equal(keys.scram_iterations, SCRAM_ITERATIONS);
	assert_memory_equal(keys.scram_salt, salt, sizeof(salt));
	assert_memory_equal(keys.scram_stored_key, want.stored_key, SCRAM_HASH_LEN);
	assert_memory_equal(keys.scram_server_key, want.server_key, SCRAM_HASH_LEN);
	assert_string_equal(keys.hash, "");
	assert_false(password_make_scram(SPAN("gr\xFC\xDF dich"), salt, &keys, &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
}

static void password_refused(void **state)
{
	static char longest[PASSWORD_MAX + 1];
	struct password_keys keys;
	struct error err;

	memset(longest, 'a', sizeof(longest));
	assert_false(password_make(SPAN(""), &keys, &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
	assert_false(password_make(span_make(longest, sizeof(longest)), &keys, &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
	assert_false(password_make(SPAN("a\nb"), &keys, &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
	assert_false(password_make(SPAN("\xC2\xAD"), &keys, &err)); /* nothing is left of it */
	assert_int_equal(err.code, ERR_BAD_VALUE);
	assert_true(password_make(span_make(longest, PASSWORD_MAX), &keys, &err));
	assert_true(password_matches(keys.hash, span_make(longest, PASSWORD_MAX)));
}

static const struct usable_case {
	const char *hash;
	bool usable;
} usable_cases[] = {
	{ "$argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$aGFzaA", true },
	{ "$argon2id$v=19$m=19456,t=2,p=4$c2FsdHNhbHQ$aGFzaA", true },
	{ "$argon2id$v=19$m=65537,t=2,p=1$c2FsdHNhbHQ$aGFzaA", false }, /* more memory than we give */
	{ "$argon2id$v=19$m=4294967295,t=2,p=1$c2FsdHNhbHQ$aGFzaA", false },
	{ "$argon2id$v=19$m=65536,t=17,p=1$c2FsdHNhbHQ$aGFzaA", false },
	{ "$argon2id$v=19$m=65536,t=2,p=1", false },
	{ "$argon2i$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$aGFzaA", false },
	{ "$6$salt$hash", false },
	{ "", false },
};

static void usable_hashes(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(usable_cases); i++)
		assert_int_equal(password_hash_usable(usable_cases[i].hash), usable_cases[i].usable);
}

static double cpu_ms_of(bool known, const char *hash)
{
	struct timespec before, after;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	if (known)
		assert_false(password_matches(hash, SPAN("not the password")));
	else
		password_waste_time(SPAN("not the password"));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	return (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6;
}

/* A hash text that libsodium cannot read would be refused at once and give every unknown user away. */
static void unknown_costs_the_same(void **state)
{
	struct password_keys keys;
	struct error err;
	double known = 1e9, unknown = 1e9;

	assert_true(password_make(SPAN("the password"), &keys, &err));
	for (int i = 0; i < 5; i++) {
		double a = cpu_ms_of(true, keys.hash), b = cpu_ms_of(false, NULL);

		known = a < known ? a : known;
		unknown = b < unknown ? b : unknown;
	}
	print_message("least CPU: known %.1f ms, unknown %.1f ms\n", known, unknown);
	assert_true(known < unknown * 2 && unknown < known * 2); /* refused at once would be a thousandth */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scram_example),
		cmocka_unit_test(saslprep_table),
		cmocka_unit_test(password_both_ways),
		cmocka_unit_test(scram_alone),
		cmocka_unit_test(password_refused),
		cmocka_unit_test(usable_hashes),
		cmocka_unit_test(unknown_costs_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
