/* Whole SASL exchanges as a daemon sees them, against a fake authd: what is asked for, what goes out, how it ends. */
#include "base/base64.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/random.h"
#include "fake_authd.h"
#include "sasl/sasl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uv_loop_t loop;
static struct fake_authd authd;
static struct auth_client *client;
/* What a daemon says of a connection: in the clear; with TLS; with TLS 1.3 or TLS 1.2 and binding. */
static const struct sasl_channel in_the_clear;
static const struct sasl_channel private_channel = { .secure = true };
static const struct sasl_channel bound_channel = { .secure = true,
	.bindings[0] = { 32,
	        { 0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF, 0xB0,
	                0xB1, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xBB, 0xBC, 0xBD, 0xBE, 0xBF } } };
static const struct sasl_channel old_channel = {
	.secure = true, .bindings[1] = { 3, { 0xD0, 0xD1, 0xD2 } }, .bindings[2] = { 3, { 0xE0, 0xE1, 0xE2 } }
};
/* Its certificate alone: TLS 1.2 with a client that does not know RFC 7627. */
static const struct sasl_channel certificate_channel = { .secure = true, .bindings[2] = { 3, { 0xE0, 0xE1, 0xE2 } } };
static const struct auth_peer peer = { .service = AUTH_SMTP, .address = "192.0.2.1" };

static struct heard {
	unsigned calls;
	enum sasl_outcome outcome;
	char text[4096]; /* decoded */
	int64_t account_id;
	char login[AUTH_LOGIN_MAX + 1];
} heard;

static void hear(void *arg, enum sasl_outcome outcome, struct span text, const struct auth_answer *answer)
{
	struct buffer decoded;

	buffer_init(&decoded, sizeof(heard.text) - 1);
	assert_true(base64_decode(text, &decoded));
	heard.calls++;
	heard.outcome = outcome;
	assert_true(span_copy(buffer_span(&decoded), heard.text, sizeof(heard.text)));
	buffer_free(&decoded);
	assert_int_equal(answer != NULL, outcome == SASL_OK);
	if (answer != NULL) {
		heard.account_id = answer->account_id;
		memcpy(heard.login, answer->login, sizeof(heard.login));
	}
}

static int set_up(void **state)
{
	char path[64];
	struct error err;

	log_open("test", LOG_ERROR);
	snprintf(path, sizeof(path), "/tmp/posthouse-sasl-%ld.sock", (long)getpid());
	uv_loop_init(&loop);
	memset(&authd, 0, sizeof(authd));
	memset(&heard, 0, sizeof(heard));
	fake_authd_start(&authd, &loop, path);
	assert_true(auth_client_new(&loop, path, &client, &err));
	return 0;
}

static int tear_down(void **state)
{
	auth_client_close(&client);
	fake_authd_stop(&authd);
	fake_authd_forget(&authd);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

static struct sasl *new_sasl_on(const struct sasl_channel *channel, const char *mechanism)
{
	struct sasl *sasl = NULL;
	struct error err;

	assert_true(sasl_new(client, &peer, span_of(mechanism), channel, hear, NULL, &sasl, &err));
	return sasl;
}

static struct sasl *new_sasl(const char *mechanism)
{
	return new_sasl_on(&private_channel, mechanism);
}

static bool was_called(void *arg)
{
	return heard.calls > 0;
}

static void wait_for(enum sasl_outcome outcome, const char *text)
{
	assert_int_equal(heard.calls, 0); /* never from inside the call */
	run_until(&loop, was_called, NULL);
	assert_int_equal(heard.calls, 1);
	assert_int_equal(heard.outcome, outcome);
	assert_string_equal(heard.text, text);
	heard.calls = 0;
}

static struct span encode(struct span text)
{
	static struct buffer encoded;

	buffer_free(&encoded);
	buffer_init(&encoded, 16384);
	assert_true(base64_encode(text, &encoded));
	return buffer_span(&encoded);
}

static const struct auth_question *wait_for_question(enum auth_kind kind)
{
	run_until(&loop, authd_was_asked, &authd);
	assert_int_equal(authd.asked, 1);
	assert_int_equal(authd.questions[0]->question.kind, kind);
	assert_true(span_equal(authd.questions[0]->question.address, SPAN("192.0.2.1")));
	return &authd.questions[0]->question;
}

static void answer(enum auth_status status)
{
	struct auth_answer text = { .status = status, .account_id = status == AUTH_OK ? 42 : 0 };

	if (status == AUTH_OK)
		(void)span_copy(SPAN("tim@example.test"), text.login, sizeof(text.login));
	fake_authd_answer(&authd, authd.questions[0]->question.id, &text);
	fake_authd_forget(&authd);
}

static void asked_for(const char *login, const char *password)
{
	const struct auth_question *question = wait_for_question(AUTH_ASK_PASSWORD);

	assert_true(span_equal(question->login, span_of(login)));
	assert_true(span_equal(question->password, span_of(password)));
}

static void plain_with_initial_response(void **state)
{
	struct sasl *sasl = new_sasl("plain"); /* in any case (RFC 4954 §4) */

	sasl_start(sasl, true, encode(SPAN("\0tim\0tanstaaftanstaaf")));
	asked_for("tim", "tanstaaftanstaaf");
	answer(AUTH_OK);
	wait_for(SASL_OK, "");
	assert_int_equal(heard.account_id, 42);
	assert_string_equal(heard.login, "tim@example.test");
	sasl_free(&sasl);
}

static void plain_with_challenge(void **state)
{
	struct sasl *sasl = new_sasl("PLAIN");

	sasl_start(sasl, false, SPAN_EMPTY);
	wait_for(SASL_CHALLENGE, "");
	sasl_step(sasl, encode(SPAN("tim\0Tim\0pw"))); /* the authzid is his own */
	asked_for("Tim", "pw");
	answer(AUTH_WRONG);
	wait_for(SASL_WRONG, "");
	sasl_free(&sasl);
}

static const struct {
	enum auth_status status;
	enum sasl_outcome outcome;
} outcomes[] = { { AUTH_OK, SASL_OK }, { AUTH_WRONG, SASL_WRONG }, { AUTH_DISABLED, SASL_DISABLED },
	{ AUTH_THROTTLED, SASL_THROTTLED }, { AUTH_UNAVAILABLE, SASL_UNAVAILABLE } };

static void every_answer(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		struct sasl *sasl = new_sasl("PLAIN");

		sasl_start(sasl, true, encode(SPAN("\0tim\0pw")));
		asked_for("tim", "pw");
		answer(outcomes[i].status);
		wait_for(outcomes[i].outcome, "");
		sasl_free(&sasl);
	}
}

/* One message that ends the exchange without asking authd. */
static const struct refused_case {
	const char *mechanism;
	const char *line;
	enum sasl_outcome outcome;
	const char *text;
} refused_cases[] = {
	{ "PLAIN", "AHRpbQBwdw", SASL_MALFORMED, "" },    /* no padding */
	{ "PLAIN", "AHRp bQBwdw==", SASL_MALFORMED, "" }, /* a blank in it */
	{ "PLAIN", "AHRpbQBwdw==\r", SASL_MALFORMED, "" }, { "PLAIN", "AHRpbQ==AAAA", SASL_MALFORMED, "" },
	{ "PLAIN", "*", SASL_CANCELLED, "" }, { "PLAIN", "**", SASL_MALFORMED, "" },
	{ "PLAIN", "", SASL_MALFORMED, "" },
	{ "PLAIN", "=", SASL_MALFORMED, "" },            /* only an initial response may be written so */
	{ "PLAIN", "Ym9iAHRpbQBwdw==", SASL_WRONG, "" }, /* bob NUL tim NUL pw: to act as another */
	{ "LOGIN", "*", SASL_CANCELLED, "" }, { "LOGIN", "", SASL_MALFORMED, "" },
	{ "LOGIN", "dABt", SASL_MALFORMED, "" }, /* t NUL m */
	{ "SCRAM-SHA-256", "*", SASL_CANCELLED, "" }, { "SCRAM-SHA-256", "", SASL_MALFORMED, "e=invalid-encoding" },
	{ "SCRAM-SHA-256", "cD10bHMtdW5pcXVlLCxuPXVzZXIscj1hYmM=", SASL_MALFORMED,
	        "e=channel-binding-not-supported" }, /* p=tls-unique,,n=user,r=abc */
	{ "SCRAM-SHA-256", "biwsbT14LG49dXNlcixyPWFiYw==", SASL_MALFORMED, "e=extensions-not-supported" },
	{ "SCRAM-SHA-256", "biwsbj11PXYscj1hYmM=", SASL_MALFORMED, "e=invalid-username-encoding" }, /* n=u=v */
	{ "SCRAM-SHA-256", "bixhPWJvYixuPXRpbSxyPWFiYw==", SASL_WRONG, "e=other-error" },           /* a=bob, n=tim */
};

static void refused_without_asking(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(refused_cases); i++) {
		const struct refused_case *c = &refused_cases[i];
		struct sasl *sasl = new_sasl(c->mechanism);

		sasl_start(sasl, false, SPAN_EMPTY);
		wait_for(SASL_CHALLENGE, strcmp(c->mechanism, "LOGIN") == 0 ? "Username:" : "");
		sasl_step(sasl, span_of(c->line));
		wait_for(c->outcome, c->text);
		sasl_free(&sasl);
	}
	run_for(&loop, 20);
	assert_int_equal(authd.asked, 0);
}

/* RFC 5802 §6: what a client's first message says of channel binding, on a channel that can bind or cannot. */
static const struct flag_case {
	const struct sasl_channel *channel;
	const char *mechanism, *first;
	enum sasl_outcome outcome; /* SASL_OK: authd is asked */
	const char *text;
} flag_cases[] = {
	{ &private_channel, "SCRAM-SHA-256", "n,,n=user,r=abc", SASL_OK },
	{ &private_channel, "SCRAM-SHA-256", "y,,n=user,r=abc", SASL_OK }, /* it saw no -PLUS, and there was none */
	{ &private_channel, "SCRAM-SHA-256", "p=tls-exporter,,n=user,r=abc", SASL_MALFORMED,
	        "e=channel-binding-not-supported" },
	{ &bound_channel, "SCRAM-SHA-256", "n,,n=user,r=abc", SASL_OK },
	{ &bound_channel, "SCRAM-SHA-256", "y,,n=user,r=abc", SASL_WRONG, "e=server-does-support-channel-binding" },
	{ &bound_channel, "SCRAM-SHA-256", "p=tls-exporter,,n=user,r=abc", SASL_MALFORMED,
	        "e=channel-binding-not-supported" },
	{ &bound_channel, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=user,r=abc", SASL_OK },
	{ &bound_channel, "scram-sha-256-plus", "p=tls-exporter,a=user,n=user,r=abc", SASL_OK },
	{ &bound_channel, "SCRAM-SHA-256-PLUS", "n,,n=user,r=abc", SASL_MALFORMED, "e=other-error" },
	{ &bound_channel, "SCRAM-SHA-256-PLUS", "y,,n=user,r=abc", SASL_WRONG,
	        "e=server-does-support-channel-binding" },
	{ &bound_channel, "SCRAM-SHA-256-PLUS", "p=tls-unique,,n=user,r=abc", SASL_MALFORMED,
	        "e=unsupported-channel-binding-type" },
	{ &bound_channel, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=user,r=abc", SASL_MALFORMED,
	        "e=unsupported-channel-binding-type" },
	{ &old_channel, "SCRAM-SHA-256-PLUS", "p=tls-unique,,n=user,r=abc", SASL_OK },
	{ &old_channel, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=user,r=abc", SASL_OK },
	{ &old_channel, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=user,r=abc", SASL_MALFORMED,
	        "e=unsupported-channel-binding-type" },
	{ &old_channel, "SCRAM-SHA-256", "y,,n=user,r=abc", SASL_WRONG, "e=server-does-support-channel-binding" },
	{ &certificate_channel, "SCRAM-SHA-256", "y,,n=user,r=abc", SASL_OK },
	{ &bound_channel, "SCRAM-SHA-256-PLUS", "p=TLS-exporter,,n=user,r=abc", SASL_MALFORMED,
	        "e=unsupported-channel-binding-type" },
	{ &bound_channel, "SCRAM-SHA-256-PLUS", "p=tls-exporter2,,n=user,r=abc", SASL_MALFORMED,
	        "e=unsupported-channel-binding-type" },
	{ &bound_channel, "SCRAM-SHA-256-PLUS", "p=,,n=user,r=abc", SASL_MALFORMED, "e=invalid-encoding" },
	{ &bound_channel, "SCRAM-SHA-256-PLUS", "p=tls-exporter,a=bob,n=user,r=abc", SASL_WRONG, "e=other-error" },
};

static void scram_binding_flags(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(flag_cases); i++) {
		const struct flag_case *c = &flag_cases[i];
		struct sasl *sasl = new_sasl_on(c->channel, c->mechanism);

		sasl_start(sasl, true, encode(span_of(c->first)));
		if (c->outcome == SASL_OK)
			assert_true(span_equal(wait_for_question(AUTH_ASK_SCRAM_FIRST)->login, SPAN("user")));
		else
			wait_for(c->outcome, c->text);
		sasl_free(&sasl);
		run_for(&loop, 5);
		assert_int_equal(authd.asked, c->outcome == SASL_OK ? 2 : 0); /* the question, and its cancellation */
		fake_authd_forget(&authd);
	}
}

static void too_long(void **state)
{
	static char line[SASL_LINE_MAX];
	struct sasl *sasl = new_sasl("PLAIN");

	memset(line, 'A', sizeof(line));
	sasl_start(sasl, true, span_make(line, sizeof(line)));
	wait_for(SASL_MALFORMED, "");
	sasl_free(&sasl);
}

static void empty_initial_response(void **state)
{
	struct sasl *sasl = new_sasl("PLAIN");

	sasl_start(sasl, true, SPAN("=")); /* RFC 4954 §4: zero length, which PLAIN does not know */
	wait_for(SASL_MALFORMED, "");
	sasl_free(&sasl);
}

/* Outlook: no initial response. Its challenges are exactly these. */
static void login_asked_for_both(void **state)
{
	struct sasl *sasl = new_sasl("LOGIN");

	sasl_start(sasl, false, SPAN_EMPTY);
	wait_for(SASL_CHALLENGE, "Username:");
	sasl_step(sasl, encode(SPAN("tim")));
	wait_for(SASL_CHALLENGE, "Password:");
	sasl_step(sasl, encode(SPAN("tanstaaftanstaaf")));
	asked_for("tim", "tanstaaftanstaaf");
	answer(AUTH_OK);
	wait_for(SASL_OK, "");
	sasl_free(&sasl);
}

/* Microsoft's servers and copiers: AUTH LOGIN <name>. */
static void login_with_the_inline_name(void **state)
{
	struct sasl *sasl = new_sasl("LOGIN");

	sasl_start(sasl, true, encode(SPAN("tim")));
	wait_for(SASL_CHALLENGE, "Password:");
	sasl_step(sasl, encode(SPAN("tanstaaftanstaaf")));
	asked_for("tim", "tanstaaftanstaaf");
	answer(AUTH_OK);
	wait_for(SASL_OK, "");
	sasl_free(&sasl);
}

static void login_cancelled_at_the_password(void **state)
{
	struct sasl *sasl = new_sasl("LOGIN");

	sasl_start(sasl, true, encode(SPAN("tim")));
	wait_for(SASL_CHALLENGE, "Password:");
	sasl_step(sasl, SPAN("*"));
	wait_for(SASL_CANCELLED, "");
	sasl_free(&sasl);
}

#define SALT_TEXT "W22ZaJ0SNY7soEsUEjb6gQ=="

/* Up to the client's final message; leaves the nonce of server-first in `nonce`. */
static struct sasl *scram_until_final_on(
        const struct sasl_channel *channel, const char *mechanism, const char *first, char *nonce, size_t nonce_size)
{
	struct auth_answer text = { .status = AUTH_OK, .iterations = 4096 };
	struct buffer salt;
	struct sasl *sasl = new_sasl_on(channel, mechanism);
	struct span line, part;

	buffer_init(&salt, 32);
	assert_true(base64_decode(SPAN(SALT_TEXT), &salt));
	memcpy(text.salt, salt.data, sizeof(text.salt));
	buffer_free(&salt);
	sasl_start(sasl, true, encode(span_of(first)));
	assert_true(span_equal(wait_for_question(AUTH_ASK_SCRAM_FIRST)->login, SPAN("user")));
	fake_authd_answer(&authd, authd.questions[0]->question.id, &text);
	fake_authd_forget(&authd);
	run_until(&loop, was_called, NULL);
	assert_int_equal(heard.outcome, SASL_CHALLENGE);
	heard.calls = 0;
	line = span_of(heard.text);
	assert_true(span_starts(line, SPAN("r=rOprNGfwEbeRWgbNEkqO")));
	line = span_skip(line, 2);
	assert_true(span_take_until(&line, ',', &part));
	assert_int_equal(part.len, 20 + 24); /* the client's and ours */
	assert_true(span_copy(part, nonce, nonce_size));
	assert_true(span_equal(line, SPAN("s=" SALT_TEXT ",i=4096")));
	return sasl;
}

static struct sasl *scram_until_final(const char *first, char *nonce, size_t nonce_size)
{
	return scram_until_final_on(&private_channel, "SCRAM-SHA-256", first, nonce, nonce_size);
}

#define CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define PROOF        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static void scram_whole(void **state)
{
	char nonce[128], line[512], want[1024];
	struct sasl *sasl = scram_until_final(CLIENT_FIRST, nonce, sizeof(nonce));
	struct auth_answer text = { .status = AUTH_OK, .account_id = 42, .login = "user@example.test" };
	const struct auth_question *question;

	snprintf(line, sizeof(line), "c=biws,r=%s,p=" PROOF, nonce);
	sasl_step(sasl, encode(span_of(line)));
	question = wait_for_question(AUTH_ASK_SCRAM_FINAL);
	snprintf(want, sizeof(want), "n=user,r=rOprNGfwEbeRWgbNEkqO,r=%s,s=" SALT_TEXT ",i=4096,c=biws,r=%s", nonce,
	        nonce);
	assert_true(span_equal(question->message, span_of(want)));
	assert_int_equal((uint8_t)question->proof.ptr[0], 0x74);
	memset(text.server_signature, 0, sizeof(text.server_signature));
	fake_authd_answer(&authd, question->id, &text);
	wait_for(SASL_CHALLENGE, "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	sasl_step(sasl, SPAN_EMPTY);
	wait_for(SASL_OK, "");
	assert_int_equal(heard.account_id, 42);
	assert_string_equal(heard.login, "user@example.test");
	sasl_free(&sasl);
}

/* base64 of the gs2 header "p=tls-exporter,," and the octets of bound_channel. */
#define BOUND      "cD10bHMtZXhwb3J0ZXIsLKChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/"
#define PLUS_FIRST "p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO"

/* The same with -PLUS: AuthMessage, which authd's proof is over, holds what was bound. */
static void scram_plus_whole(void **state)
{
	char nonce[128], line[512], want[1024];
	struct sasl *sasl =
	        scram_until_final_on(&bound_channel, "SCRAM-SHA-256-PLUS", PLUS_FIRST, nonce, sizeof(nonce));
	struct auth_answer text = { .status = AUTH_OK, .account_id = 42, .login = "user@example.test" };
	const struct auth_question *question;

	snprintf(line, sizeof(line), "c=" BOUND ",r=%s,p=" PROOF, nonce);
	sasl_step(sasl, encode(span_of(line)));
	question = wait_for_question(AUTH_ASK_SCRAM_FINAL);
	snprintf(want, sizeof(want), "n=user,r=rOprNGfwEbeRWgbNEkqO,r=%s,s=" SALT_TEXT ",i=4096,c=" BOUND ",r=%s",
	        nonce, nonce);
	assert_true(span_equal(question->message, span_of(want)));
	fake_authd_answer(&authd, question->id, &text);
	wait_for(SASL_CHALLENGE, "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	sasl_step(sasl, SPAN_EMPTY);
	wait_for(SASL_OK, "");
	assert_int_equal(heard.account_id, 42);
	sasl_free(&sasl);
}

/* base64 of the gs2 header and the octets of old_channel, and of others. */
static void scram_plus_below_tls_1_3(void **state)
{
#define UNIQUE      "p=tls-unique,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define CERTIFICATE "p=tls-server-end-point,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	static const struct {
		const char *first, *binding;
		bool right;
	} cases[] = {
		{ UNIQUE, "cD10bHMtdW5pcXVlLCzQ0dI=", true },
		{ UNIQUE, "cD10bHMtdW5pcXVlLCzQ0dM=", false },
		{ UNIQUE, "cD10bHMtc2VydmVyLWVuZC1wb2ludCws4OHi", false }, /* of the other type */
		{ CERTIFICATE, "cD10bHMtc2VydmVyLWVuZC1wb2ludCws4OHi", true },
		{ CERTIFICATE, "cD10bHMtc2VydmVyLWVuZC1wb2ludCws4OHj", false },
		{ CERTIFICATE, "cD10bHMtc2VydmVyLWVuZC1wb2ludCws", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char nonce[128], line[512];
		struct sasl *sasl =
		        scram_until_final_on(&old_channel, "SCRAM-SHA-256-PLUS", cases[i].first, nonce, sizeof(nonce));

		snprintf(line, sizeof(line), "c=%s,r=%s,p=" PROOF, cases[i].binding, nonce);
		sasl_step(sasl, encode(span_of(line)));
		if (cases[i].right)
			(void)wait_for_question(AUTH_ASK_SCRAM_FINAL);
		else
			wait_for(SASL_WRONG, "e=channel-bindings-dont-match");
		sasl_free(&sasl);
		run_for(&loop, 5);
		assert_int_equal(authd.asked, cases[i].right ? 2 : 0); /* the question, and its cancellation */
		fake_authd_forget(&authd);
	}
}

/* c= of a client on another channel than ours: somebody is between us, and authd is not asked. */
static void scram_plus_on_another_channel(void **state)
{
	static const char *const wrong[] = {
		"cD10bHMtZXhwb3J0ZXIsLKChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6+",         /* its last bit */
		"cD10bHMtZXhwb3J0ZXIsLCChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/",         /* its first */
		"cD10bHMtZXhwb3J0ZXIsLKChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb4=",         /* one octet is missing */
		"cD10bHMtZXhwb3J0ZXIsLKChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/AA==",     /* one more */
		"cD10bHMtZXhwb3J0ZXIsLA==",                                                 /* the header alone */
		"cD10bHMtZXhwb3J0ZXIsLAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",         /* 32 octets of nothing */
		"cD10bHMtZXhwb3J0ZXIsYT11c2VyLKChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/", /* another header */
		"biws",
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char nonce[128], line[512];
		struct sasl *sasl =
		        scram_until_final_on(&bound_channel, "SCRAM-SHA-256-PLUS", PLUS_FIRST, nonce, sizeof(nonce));

		snprintf(line, sizeof(line), "c=%s,r=%s,p=" PROOF, wrong[i], nonce);
		sasl_step(sasl, encode(span_of(line)));
		wait_for(SASL_WRONG, "e=channel-bindings-dont-match");
		sasl_free(&sasl);
		run_for(&loop, 5);
		assert_int_equal(authd.asked, 0);
	}
}

static void scram_wrong_proof(void **state)
{
	char nonce[128], line[512];
	struct sasl *sasl = scram_until_final(CLIENT_FIRST, nonce, sizeof(nonce));

	snprintf(line, sizeof(line), "c=biws,r=%s,p=" PROOF, nonce);
	sasl_step(sasl, encode(span_of(line)));
	(void)wait_for_question(AUTH_ASK_SCRAM_FINAL);
	answer(AUTH_WRONG);
	wait_for(SASL_WRONG, "e=invalid-proof");
	sasl_free(&sasl);
}

static const struct final_case {
	const char *first, *format; /* of the final message, for the nonce */
	enum sasl_outcome outcome;  /* SASL_OK: authd is asked */
	const char *text;
} final_cases[] = {
	{ "y,,n=user,r=rOprNGfwEbeRWgbNEkqO", "c=eSws,r=%s,p=" PROOF,
	        SASL_OK }, /* RFC 5802 §6: fine, there is no -PLUS here */
	{ "n,a=user,n=user,r=rOprNGfwEbeRWgbNEkqO", "c=bixhPXVzZXIs,r=%s,p=" PROOF, SASL_OK },
	{ CLIENT_FIRST, "c=eSws,r=%s,p=" PROOF, SASL_WRONG, "e=channel-bindings-dont-match" },
	{ CLIENT_FIRST, "c=biwsYQ==,r=%s,p=" PROOF, SASL_WRONG, "e=channel-bindings-dont-match" },
	{ CLIENT_FIRST, "c=biws,r=%sx,p=" PROOF, SASL_WRONG, "e=other-error" },
	{ CLIENT_FIRST, "c=biws,r=x%s,p=" PROOF, SASL_WRONG, "e=other-error" },
	{ CLIENT_FIRST, "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=" PROOF, SASL_WRONG, "e=other-error" },
	{ CLIENT_FIRST, "c=biws,r=%s", SASL_MALFORMED, "e=invalid-encoding" },
	{ CLIENT_FIRST, "c=biws,r=%s,p=AAAA", SASL_MALFORMED, "e=invalid-encoding" },
};

static void scram_finals(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(final_cases); i++) {
		const struct final_case *c = &final_cases[i];
		char nonce[128];
		struct sasl *sasl = scram_until_final(c->first, nonce, sizeof(nonce));
		struct buffer line;
		struct span head = span_of(c->format), tail = head;
		size_t at;

		buffer_init(&line, 512);
		if (span_find(head, '%', &at)) {
			buffer_append_span(&line, span_first(head, at));
			buffer_append_text(&line, nonce);
			tail = span_skip(head, at + 2);
		}
		buffer_append_span(&line, tail);
		sasl_step(sasl, encode(buffer_span(&line)));
		buffer_free(&line);
		if (c->outcome == SASL_OK) {
			(void)wait_for_question(AUTH_ASK_SCRAM_FINAL);
			fake_authd_forget(&authd);
		} else {
			wait_for(c->outcome, c->text);
		}
		sasl_free(&sasl);
		run_for(&loop, 5);
		fake_authd_forget(&authd); /* the cancellation */
	}
}

static void scram_junk_after_the_verifier(void **state)
{
	char nonce[128], line[512];
	struct sasl *sasl = scram_until_final(CLIENT_FIRST, nonce, sizeof(nonce));

	snprintf(line, sizeof(line), "c=biws,r=%s,p=" PROOF, nonce);
	sasl_step(sasl, encode(span_of(line)));
	(void)wait_for_question(AUTH_ASK_SCRAM_FINAL);
	answer(AUTH_OK);
	wait_for(SASL_CHALLENGE, "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	sasl_step(sasl, encode(SPAN("more")));
	wait_for(SASL_MALFORMED, "");
	sasl_free(&sasl);
}

/* The session may go at any point: before a challenge is told, while authd is asked, and inside the callback. */
static void freed_at_any_point(void **state)
{
	struct sasl *sasl = new_sasl("LOGIN");

	sasl_free(&sasl);
	sasl = new_sasl("LOGIN");
	sasl_start(sasl, false, SPAN_EMPTY);
	sasl_free(&sasl);
	assert_null(sasl);
	sasl = new_sasl("LOGIN");
	sasl_start(sasl, true, encode(SPAN("tim")));
	wait_for(SASL_CHALLENGE, "Password:");
	sasl_free(&sasl);
	sasl = new_sasl("PLAIN");
	sasl_start(sasl, true, encode(SPAN("\0tim\0pw")));
	(void)wait_for_question(AUTH_ASK_PASSWORD);
	sasl_free(&sasl);
	run_for(&loop, 20);
	assert_int_equal(heard.calls, 0);
}

static struct sasl *freed_inside;

static void free_inside(void *arg, enum sasl_outcome outcome, struct span text, const struct auth_answer *answer_)
{
	sasl_free(&freed_inside);
	heard.calls++;
}

static void freed_in_its_callback(void **state)
{
	struct error err;

	assert_true(sasl_new(client, &peer, SPAN("PLAIN"), &private_channel, free_inside, NULL, &freed_inside, &err));
	sasl_start(freed_inside, false, SPAN_EMPTY);
	run_until(&loop, was_called, NULL);
	heard.calls = 0;
	assert_true(sasl_new(client, &peer, SPAN("PLAIN"), &private_channel, free_inside, NULL, &freed_inside, &err));
	sasl_start(freed_inside, true, encode(SPAN("\0tim\0pw")));
	(void)wait_for_question(AUTH_ASK_PASSWORD);
	answer(AUTH_OK);
	run_until(&loop, was_called, NULL);
}

static void mechanisms(void **state)
{
	static const char *const all[] = { "PLAIN", "login", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "CRAM-MD5" };
	struct sasl *sasl = NULL;
	struct error err;

	assert_string_equal(sasl_mechanism_names(&in_the_clear), "");
	assert_string_equal(sasl_mechanism_names(&private_channel), "PLAIN LOGIN SCRAM-SHA-256");
	assert_string_equal(sasl_mechanism_names(&bound_channel), "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS");
	assert_string_equal(sasl_mechanism_names(&old_channel), "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS");
	assert_string_equal(sasl_mechanism_names(&certificate_channel), "PLAIN LOGIN SCRAM-SHA-256");
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_false(sasl_new(client, &peer, span_of(all[i]), &in_the_clear, hear, NULL, &sasl, &err));
		assert_int_equal(err.code, ERR_TLS_REQUIRED);
		assert_null(sasl);
	}
	assert_false(sasl_new(client, &peer, SPAN("CRAM-MD5"), &bound_channel, hear, NULL, &sasl, &err));
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_false(sasl_new(client, &peer, SPAN("SCRAM-SHA-256-PLUS"), &private_channel, hear, NULL, &sasl, &err));
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_false(sasl_new(client, &peer, SPAN(""), &bound_channel, hear, NULL, &sasl, &err));
	assert_null(sasl);
}

/* All that is announced can be begun, in either kind of channel. */
static void announced_mechanisms(void **state)
{
	const struct sasl_channel *const channels[] = { &private_channel, &bound_channel, &old_channel };

	for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
		struct span names = span_of(sasl_mechanism_names(channels[i])), name;
		struct sasl *sasl;
		struct error err;

		while (names.len > 0) {
			if (!span_take_until(&names, ' ', &name)) {
				name = names;
				names = SPAN_EMPTY;
			}
			assert_true(sasl_new(client, &peer, name, channels[i], hear, NULL, &sasl, &err));
			sasl_free(&sasl);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain_with_initial_response),
		TEST(plain_with_challenge),
		TEST(every_answer),
		TEST(refused_without_asking),
		TEST(scram_binding_flags),
		TEST(too_long),
		TEST(empty_initial_response),
		TEST(login_asked_for_both),
		TEST(login_with_the_inline_name),
		TEST(login_cancelled_at_the_password),
		TEST(scram_whole),
		TEST(scram_plus_whole),
		TEST(scram_plus_below_tls_1_3),
		TEST(scram_plus_on_another_channel),
		TEST(scram_wrong_proof),
		TEST(scram_finals),
		TEST(scram_junk_after_the_verifier),
		TEST(freed_at_any_point),
		TEST(freed_in_its_callback),
		TEST(mechanisms),
		TEST(announced_mechanisms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
