/* The client of authd: answers, cancellation, restarts of authd, silence, limits. */
#include "base/log.h"
#include "fake_authd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uv_loop_t loop;
static struct fake_authd authd;
static struct auth_client *client;
static char path[64];

static const struct auth_peer peer = { .service = AUTH_SMTP, .address = "192.0.2.1" };

struct outcome {
	unsigned calls;
	struct auth_answer answer;
};

static void note(void *arg, const struct auth_answer *answer)
{
	struct outcome *outcome = arg;

	outcome->calls++;
	outcome->answer = *answer;
}

static bool told(void *arg)
{
	return ((struct outcome *)arg)->calls > 0;
}

static int set_up(void **state)
{
	struct error err;

	log_open("test", LOG_ERROR);
	snprintf(path, sizeof(path), "/tmp/posthouse-auth-%ld.sock", (long)getpid());
	uv_loop_init(&loop);
	memset(&authd, 0, sizeof(authd));
	assert_true(auth_client_new(&loop, path, &client, &err));
	return 0;
}

static int tear_down(void **state)
{
	auth_client_close(&client);
	fake_authd_forget(&authd);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

static struct auth_request *ask(struct outcome *outcome)
{
	return auth_password(client, &peer, SPAN("bob"), SPAN("secret"), note, outcome);
}

static void answer_ok(uint64_t id, int64_t account)
{
	struct auth_answer answer = { .status = AUTH_OK, .account_id = account, .login = "bob@example.test" };

	fake_authd_answer(&authd, id, &answer);
}

static void asks_and_is_answered(void **state)
{
	struct outcome outcome = { 0 };

	fake_authd_start(&authd, &loop, path);
	assert_non_null(ask(&outcome));
	assert_int_equal(outcome.calls, 0);
	run_until(&loop, authd_was_asked, &authd);
	assert_int_equal(authd.questions[0]->question.kind, AUTH_ASK_PASSWORD);
	assert_true(span_equal(authd.questions[0]->question.address, SPAN("192.0.2.1")));
	assert_true(span_equal(authd.questions[0]->question.password, SPAN("secret")));
	answer_ok(authd.questions[0]->question.id, 42);
	run_until(&loop, told, &outcome);
	assert_int_equal(outcome.answer.status, AUTH_OK);
	assert_int_equal(outcome.answer.account_id, 42);
	assert_string_equal(outcome.answer.login, "bob@example.test");
	fake_authd_stop(&authd);
}

static void cancelled_hears_nothing(void **state)
{
	struct outcome outcome = { 0 };
	struct auth_request *request;

	fake_authd_start(&authd, &loop, path);
	request = ask(&outcome);
	run_until(&loop, authd_was_asked, &authd);
	auth_cancel(&request);
	assert_null(request);
	answer_ok(authd.questions[0]->question.id, 42); /* was on its way */
	run_for(&loop, 50);
	assert_int_equal(outcome.calls, 0);
	assert_int_equal(authd.asked, 2);
	assert_int_equal(authd.questions[1]->question.kind, AUTH_ASK_CANCEL);
	assert_true(authd.questions[1]->question.id == authd.questions[0]->question.id);
	fake_authd_stop(&authd);
}

/* authd is started after the question. */
static void waits_for_authd(void **state)
{
	struct outcome outcome = { 0 };

	assert_non_null(ask(&outcome));
	run_for(&loop, 200);
	assert_int_equal(outcome.calls, 0);
	fake_authd_start(&authd, &loop, path);
	run_until(&loop, authd_was_asked, &authd);
	answer_ok(authd.questions[0]->question.id, 1);
	run_until(&loop, told, &outcome);
	assert_int_equal(outcome.answer.status, AUTH_OK);
	fake_authd_stop(&authd);
}

static void asked_again_once(void **state)
{
	struct outcome outcomes[3] = { 0 };

	fake_authd_start(&authd, &loop, path);
	for (int i = 0; i < 3; i++)
		assert_non_null(ask(&outcomes[i]));
	run_for(&loop, 20);
	assert_int_equal(authd.asked, 3);
	fake_authd_stop(&authd);
	fake_authd_start(&authd, &loop, path);
	run_for(&loop, 200);
	assert_int_equal(authd.asked, 6);
	for (size_t i = 0; i < 3; i++) /* the same, in the same order */
		assert_true(authd.questions[i]->question.id == authd.questions[i + 3]->question.id);
	answer_ok(authd.questions[4]->question.id, 5);
	run_until(&loop, told, &outcomes[1]);
	assert_int_equal(outcomes[1].answer.account_id, 5);

	fake_authd_stop(&authd);
	fake_authd_start(&authd, &loop, path);
	run_until(&loop, told, &outcomes[0]);
	run_until(&loop, told, &outcomes[2]);
	assert_int_equal(outcomes[0].answer.status, AUTH_UNAVAILABLE);
	assert_int_equal(outcomes[2].answer.status, AUTH_UNAVAILABLE);
	assert_int_equal(authd.asked, 6);
	fake_authd_stop(&authd);
}

static void nobody_there(void **state)
{
	struct outcome outcome = { 0 };
	uint64_t start = uv_hrtime();

	assert_non_null(ask(&outcome));
	while (outcome.calls == 0)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(outcome.answer.status, AUTH_UNAVAILABLE);
	assert_in_range((uv_hrtime() - start) / 1000000, AUTH_CONNECT_MS - 100, AUTH_CONNECT_MS + 60000);
}

static void bad_reply_drops_the_connection(void **state)
{
	struct outcome outcome = { 0 };

	fake_authd_start(&authd, &loop, path);
	assert_non_null(ask(&outcome));
	run_until(&loop, authd_was_asked, &authd);
	fake_authd_send(&authd, "nonsense", 8);
	run_for(&loop, 100);
	assert_int_equal(authd.asked, 2);
	answer_ok(authd.questions[1]->question.id, 9);
	run_until(&loop, told, &outcome);
	assert_int_equal(outcome.answer.account_id, 9);
	fake_authd_stop(&authd);
}

static struct auth_request *requests[AUTH_PENDING_MAX];

/* All that may be open at once, to an authd that reads nothing for a while: the socket fills, nothing is lost. */
static void many_and_a_deaf_authd(void **state)
{
	static struct outcome outcomes[AUTH_PENDING_MAX];
	struct outcome over = { 0 };

	memset(outcomes, 0, sizeof(outcomes));
	fake_authd_start(&authd, &loop, path);
	authd.deaf = true;
	for (size_t i = 0; i < AUTH_PENDING_MAX; i++)
		assert_non_null(requests[i] = ask(&outcomes[i]));
	assert_null(ask(&over));
	run_for(&loop, 50);
	assert_int_equal(authd.asked, 0);
	/* Now it listens: stop and start as a new authd does, which also asks again what had been sent. */
	fake_authd_stop(&authd);
	authd.deaf = false;
	fake_authd_start(&authd, &loop, path);
	run_for(&loop, 500);
	assert_int_equal(authd.asked, AUTH_PENDING_MAX);
	for (size_t i = 0; i < AUTH_PENDING_MAX; i++) {
		answer_ok(authd.questions[i]->question.id, (int64_t)i);
		if (i % 64 == 0)
			uv_run(&loop, UV_RUN_NOWAIT);
	}
	run_for(&loop, 50);
	for (size_t i = 0; i < AUTH_PENDING_MAX; i++) {
		assert_int_equal(outcomes[i].calls, 1);
		assert_int_equal(outcomes[i].answer.account_id, i);
	}
	fake_authd_stop(&authd);
}

static void too_long_is_refused(void **state)
{
	static char big[AUTH_PASSWORD_MAX + 1];
	struct outcome outcome = { 0 };

	assert_null(auth_password(client, &peer, SPAN("bob"), span_make(big, sizeof(big)), note, &outcome));
	assert_null(auth_password(client, &peer, span_make(big, AUTH_LOGIN_MAX + 1), SPAN("x"), note, &outcome));
}

/* The daemon goes down with requests open: no callback, and they can still be cancelled. */
static void closed_with_requests(void **state)
{
	struct outcome outcome = { 0 };
	struct auth_request *request;
	struct error err;

	fake_authd_start(&authd, &loop, path);
	request = ask(&outcome);
	run_until(&loop, authd_was_asked, &authd);
	auth_client_close(&client);
	assert_null(client);
	run_for(&loop, 20);
	assert_int_equal(outcome.calls, 0);
	auth_cancel(&request);
	fake_authd_stop(&authd);
	assert_true(auth_client_new(&loop, path, &client, &err)); /* for tear_down */
}

static struct auth_request *other;

static void cancel_other(void *arg, const struct auth_answer *answer)
{
	note(arg, answer);
	auth_cancel(&other);
}

/* A callback that cancels the next one, while both end for the same reason. */
static void cancel_inside_a_callback(void **state)
{
	struct outcome first = { 0 }, second = { 0 };

	fake_authd_start(&authd, &loop, path);
	assert_non_null(auth_password(client, &peer, SPAN("a"), SPAN("b"), cancel_other, &first));
	other = ask(&second);
	run_until(&loop, authd_was_asked, &authd);
	fake_authd_stop(&authd);
	fake_authd_start(&authd, &loop, path);
	run_for(&loop, 200);
	fake_authd_stop(&authd); /* the second time: both are given up */
	run_until(&loop, told, &first);
	run_for(&loop, 50);
	assert_int_equal(first.answer.status, AUTH_UNAVAILABLE);
	assert_int_equal(second.calls, 0);
}

static void path_too_long(void **state)
{
	static char long_path[200];
	struct auth_client *none = NULL;
	struct error err;

	memset(long_path, 'x', sizeof(long_path) - 1);
	assert_false(auth_client_new(&loop, long_path, &none, &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(asks_and_is_answered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cancelled_hears_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(waits_for_authd, set_up, tear_down),
		cmocka_unit_test_setup_teardown(asked_again_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_reply_drops_the_connection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_and_a_deaf_authd, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_long_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(closed_with_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cancel_inside_a_callback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(path_too_long, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
