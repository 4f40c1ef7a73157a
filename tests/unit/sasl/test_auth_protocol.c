/* The packets between daemons and authd: what is written reads back; anything else is refused. */
#include "base/macros.h"
#include "sasl/auth_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t proof[AUTH_PROOF_LEN] = { 1, 2, 3 };

static const struct auth_question questions[] = {
	{ .kind = AUTH_ASK_PASSWORD,
	        .service = AUTH_IMAP,
	        .id = 0x123456789abcdef0,
	        .address = SPAN("192.0.2.1"),
	        .login = SPAN("bob@example.test"),
	        .password = SPAN("p\0w") },
	{ .kind = AUTH_ASK_PASSWORD },
	{ .kind = AUTH_ASK_SCRAM_FIRST, .service = AUTH_POP3, .id = 7, .address = SPAN("::1"), .login = SPAN("x") },
	{ .kind = AUTH_ASK_SCRAM_FINAL,
	        .id = 8,
	        .address = SPAN("::1"),
	        .login = SPAN("x"),
	        .message = SPAN("n=x"),
	        .proof = { (const char *)proof, sizeof(proof) } },
	{ .kind = AUTH_ASK_CANCEL, .id = UINT64_MAX },
};

static void questions_read_back(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
		const struct auth_question *q = &questions[i];
		uint8_t packet[AUTH_QUESTION_MAX];
		size_t len = auth_question_encode(q, packet, sizeof(packet));
		struct auth_question got;

		assert_true(len >= AUTH_QUESTION_HEADER);
		assert_true(auth_question_decode(span_make(packet, len), &got));
		assert_int_equal(got.kind, q->kind);
		assert_int_equal(got.service, q->service);
		assert_true(got.id == q->id);
		assert_true(span_equal(got.address, q->address) && span_equal(got.login, q->login));
		assert_true(span_equal(got.password, q->password) && span_equal(got.message, q->message));
		assert_true(span_equal(got.proof, q->proof));
	}
}

/* Cut anywhere, or longer by one byte: no question. */
static void questions_cut(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
		uint8_t packet[AUTH_QUESTION_MAX + 1] = { 0 };
		size_t len = auth_question_encode(&questions[i], packet, sizeof(packet));
		struct auth_question got;

		for (size_t cut = 0; cut < len; cut++)
			assert_false(auth_question_decode(span_make(packet, cut), &got));
		assert_false(auth_question_decode(span_make(packet, len + 1), &got));
		for (size_t size = 0; size < len; size++)
			assert_int_equal(auth_question_encode(&questions[i], packet, size), 0);
	}
}

static void bad_headers(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = { { 0, 0 }, { 0, 2 }, { 1, 0 }, { 1, AUTH_ASK_CANCEL + 1 }, { 1, 255 }, { 2, AUTH_IMAP + 1 },
		{ 3, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t packet[AUTH_QUESTION_MAX];
		size_t len = auth_question_encode(&questions[0], packet, sizeof(packet));
		struct auth_question got;

		packet[cases[i].at] = cases[i].value;
		assert_false(auth_question_decode(span_make(packet, len), &got));
	}
}

static void over_the_limits(void **state)
{
	static char big[AUTH_MESSAGE_MAX + 1];
	uint8_t packet[AUTH_QUESTION_MAX * 2];
	struct auth_question q = questions[0];

	memset(big, 'a', sizeof(big));
	q.login = span_make(big, AUTH_LOGIN_MAX);
	q.password = span_make(big, AUTH_PASSWORD_MAX);
	q.address = span_make(big, AUTH_ADDRESS_MAX);
	assert_true(auth_question_encode(&q, packet, sizeof(packet)) > 0);
	q.login.len++;
	assert_int_equal(auth_question_encode(&q, packet, sizeof(packet)), 0);
	q.login.len--;
	q.password.len++;
	assert_int_equal(auth_question_encode(&q, packet, sizeof(packet)), 0);
	q.password.len--;
	q.address.len++;
	assert_int_equal(auth_question_encode(&q, packet, sizeof(packet)), 0);
	q = questions[3];
	q.message = span_make(big, AUTH_MESSAGE_MAX);
	assert_true(auth_question_encode(&q, packet, AUTH_QUESTION_MAX) > 0);
	q.message.len++;
	assert_int_equal(auth_question_encode(&q, packet, sizeof(packet)), 0);
	q.message.len--;
	q.proof.len--;
	assert_int_equal(auth_question_encode(&q, packet, sizeof(packet)), 0);
}

static void replies(void **state)
{
	struct auth_answer answer = { .status = AUTH_OK,
		.account_id = -5,
		.login = "bob@example.test",
		.salt = { 9 },
		.iterations = 16384,
		.server_signature = { 8 } };
	struct auth_answer got;
	uint8_t packet[AUTH_REPLY_MAX + 1] = { 0 };
	size_t len = auth_reply_encode(77, &answer, packet, sizeof(packet));
	uint64_t id;

	assert_true(auth_reply_decode(span_make(packet, len), &id, &got));
	assert_true(id == 77 && got.status == AUTH_OK && got.account_id == -5 && got.iterations == 16384);
	assert_string_equal(got.login, answer.login);
	assert_memory_equal(got.salt, answer.salt, sizeof(got.salt));
	assert_memory_equal(got.server_signature, answer.server_signature, sizeof(got.server_signature));
	for (size_t cut = 0; cut < len; cut++)
		assert_false(auth_reply_decode(span_make(packet, cut), &id, &got));
	assert_false(auth_reply_decode(span_make(packet, len + 1), &id, &got));
	packet[1] = AUTH_UNAVAILABLE + 1;
	assert_false(auth_reply_decode(span_make(packet, len), &id, &got));
	memset(answer.login, 'l', AUTH_LOGIN_MAX);
	assert_int_equal(auth_reply_encode(1, &answer, packet, sizeof(packet)), AUTH_REPLY_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_read_back),
		cmocka_unit_test(questions_cut),
		cmocka_unit_test(bad_headers),
		cmocka_unit_test(over_the_limits),
		cmocka_unit_test(replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
