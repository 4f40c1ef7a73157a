/* Whole sessions on a socket pair: states and gate, literals and budgets, order, time, login, the end. */
#include "fixture.h"

#include "imapd/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int setup(void **state)
{
	(void)state;
	place_open(NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	place_close();
	return 0;
}

static void login(void)
{
	place_connect();
	assert_int_equal(strncmp(place_take(), "* OK [CAPABILITY IMAP4rev1 ", 27), 0);
	assert_int_equal(strncmp(place_ask("l LOGIN alice@example.test secret"), "l OK [CAPABILITY IMAP4rev1 ", 27), 0);
}

/* What is asked, and what comes back; a want that ends in '*' is only its beginning. */
struct turn {
	const char *ask, *want;
};

static void expect(const char *ask, const char *want, const char *got)
{
	size_t len = strlen(want);
	bool ok = len > 0 && want[len - 1] == '*' ? strncmp(got, want, len - 1) == 0 : strcmp(got, want) == 0;

	if (!ok)
		fail_msg("%.60s: wanted %.200s got %.200s", ask, want, got);
}

static void talk(const struct turn *turns, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect(turns[i].ask, turns[i].want, place_ask(turns[i].ask));
}
#define TALK(...) talk((const struct turn[]) { __VA_ARGS__ }, ARRAY_LEN(((const struct turn[]) { __VA_ARGS__ })))

/* --- states and gate --- */

static void test_gate(void **state)
{
	(void)state;
	place.server.settings.bad_commands = 100;
	place_connect();
	place_take();
	TALK({ "a CHECK", "a BAD log in first\r\n" }, { "a COMPRESS DEFLATE", "a BAD log in first\r\n" },
	        { "a ENABLE CONDSTORE", "a BAD log in first\r\n" }, { "a STARTTLS", "a BAD TLS is not available\r\n" },
	        { "a XYZZY", "a BAD unknown command\r\n" }, { "a UID NOOP", "a BAD unknown command\r\n" },
	        { "a", "a BAD *" }, { " a", "* BAD *" }, { "+ NOOP", "* BAD *" }, { "a NOOP x", "a BAD *" },
	        { "\r\n\r\na NOOP", "a OK done\r\n" }, { "a nOoP", "a OK done\r\n" }, { "a NOOP ", "a OK done\r\n" },
	        { "l LOGIN alice@example.test secret", "l OK [CAPABILITY *" },
	        { "a LOGIN alice@example.test secret", "a BAD not after login\r\n" },
	        { "a AUTHENTICATE PLAIN", "a BAD not after login\r\n" }, { "a STARTTLS", "a BAD not after login\r\n" },
	        { "a CHECK", "a BAD select a mailbox first\r\n" });
	assert_int_equal(place_session()->state, AUTHENTICATED);
	TALK({ "a LOGOUT", "* BYE goodbye\r\na OK done\r\n" });
	assert_true(place.closed);
}

static void test_privacy(void **state)
{
	(void)state;
	place.server.settings.plaintext_auth_on_loopback = false;
	place_connect();
	assert_non_null(strstr(place_take(), " LOGINDISABLED"));
	TALK({ "a LOGIN alice@example.test secret", "a NO [PRIVACYREQUIRED] *" },
	        { "a AUTHENTICATE PLAIN", "a NO [PRIVACYREQUIRED] *" },
	        { "a AUTHENTICATE LOGIN", "a NO [PRIVACYREQUIRED] *" });
	assert_int_equal(place_session()->state, NOT_AUTHENTICATED);
}

static void test_bad_commands_end_the_session(void **state)
{
	(void)state;
	place_connect();
	place_take();
	for (int i = 1; i < 10; i++)
		TALK({ "a XYZZY", "a BAD unknown command\r\n" });
	TALK({ "a XYZZY", "a BAD unknown command\r\n* BYE too many bad commands\r\n" });
	assert_true(place.closed);
}

static void test_other_protocols(void **state)
{
	static const char *const words[] = { "GET / HTTP/1.1", "POST /x HTTP/1.1", "EHLO x", "USER alice",
		"PRI * HTTP/2.0" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		place_connect();
		place_take();
		TALK({ words[i], "* BYE this is an IMAP server\r\n" });
		assert_true(place.closed);
		place_hang_up();
	}
}

/* --- reading --- */

#define TOO_LARGE "NO [TOOBIG] the literal is too large\r\n"

static const struct reading {
	const char *sent, *want;
} readings[] = {
	{ "a LOGIN {18}\r\nalice@example.test {6}\r\nsecret\r\n", "+ OK\r\n+ OK\r\na OK [CAPABILITY *" },
	{ "a LOGIN {18+}\r\nalice@example.test {6+}\r\nsecret\r\n", "a OK [CAPABILITY *" },
	{ "a LOGIN {18+}\nalice@example.test {6+}\nsecret\n", "a OK [CAPABILITY *" }, /* bare LF */
	{ "a LOGIN \"alice@example.test\" \"secret\"\r\n", "a OK [CAPABILITY *" },
	{ "a LOGIN {0}\r\n {0}\r\n\r\n", "+ OK\r\n+ OK\r\na NO [AUTHENTICATIONFAILED] *" },
	{ "a LOGIN x {8192}\r\nb NOOP\r\n", "a " TOO_LARGE "b OK done\r\n" },
	{ "a LOGIN x {4294967296}\r\nb NOOP\r\n", "a " TOO_LARGE "b OK done\r\n" },
	{ "a LOGIN x {9223372036854775807}\r\nb NOOP\r\n", "a " TOO_LARGE "b OK done\r\n" },
	{ "a LOGIN x {9223372036854775808}\r\nb NOOP\r\n",
	        "a BAD the size of the literal is out of range\r\nb OK done\r\n" },
	{ "a LOGIN x {18446744073709551616}\r\nb NOOP\r\n",
	        "a BAD the size of the literal is out of range\r\nb OK done\r\n" },
	{ "a LOGIN x {99999999999999999999999999}\r\nb NOOP\r\n",
	        "a BAD the size of the literal is out of range\r\nb OK done\r\n" },
	{ "a LOGIN x {8192+}\r\nb NOOP\r\n", "* BYE [TOOBIG] the literal is too large\r\n" },
	{ "a LOGIN x {18446744073709551616+}\r\nb NOOP\r\n", "* BYE [TOOBIG] *" },
	{ "a LOGIN x {}\r\nb NOOP\r\n", "a BAD *" },
	{ "a LOGIN x {+}\r\nb NOOP\r\n", "a BAD *" },
	{ "a LOGIN x {-1}\r\nb NOOP\r\n", "a BAD *" },
	{ "a LOGIN x {1-}\r\nb NOOP\r\n", "a BAD *" },
	{ "a LOGIN x { 1}\r\nb NOOP\r\n", "a BAD *" },
	{ "a NOOP {3}\r\nabc\r\nb NOOP\r\n", "+ OK\r\na BAD *" },
	{ "\r\n\n\r\na NOOP\r\n\r\nb NOOP\r\n", "a OK done\r\nb OK done\r\n" },
	{ "{5+}\r\nhello\r\nb NOOP\r\n", "* BAD *" },
	{ "a APPEND x {5+}\r\nhello\r\nb NOOP\r\n", "a BAD log in first\r\nb OK done\r\n" },
	{ "a NOOP\r\nb NOOP\r\nc NOOP\r\nd CAPABI", "a OK done\r\nb OK done\r\nc OK done\r\n" },
};

static void test_reading_in_pieces_of_every_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(readings); i++) {
		size_t len = strlen(readings[i].sent);

		for (size_t piece = 1; piece <= len; piece += piece < 8 ? 1 : 13) {
			place_connect();
			place_take();
			for (size_t at = 0; at < len && !place.closed; at += piece)
				place_send(readings[i].sent + at, len - at < piece ? len - at : piece);
			expect(readings[i].sent, readings[i].want, place_take());
			place_hang_up();
		}
	}
}

/* A command of so many octets: "a LOGIN x ppp...". */
static char *long_login(size_t octets)
{
	char *line = malloc(octets + 1);

	assert_non_null(line);
	memset(line, 'p', octets);
	memcpy(line, "a LOGIN x ", 10);
	line[octets] = '\0';
	return line;
}

static void test_budget_before_login(void **state)
{
	static const char many[] = "a LOGIN {4000+}\r\n";
	char *line;

	(void)state;
	place_connect();
	place_take();
	line = long_login(COMMAND_BEFORE_LOGIN_MAX);
	TALK({ line, "a BAD the command is too long\r\n" }, { "b NOOP", "b OK done\r\n" });
	line[COMMAND_BEFORE_LOGIN_MAX - 100] = '\0';
	TALK({ line, "a NO *" }, { "b NOOP", "b OK done\r\n" });
	free(line);
	line = long_login(1 << 20); /* and it does not depend on how much is sent */
	TALK({ line, "a BAD the command is too long\r\n" });
	memcpy(line + (1 << 20) - 5, " {10}", 5);
	TALK({ line, "a BAD the command is too long\r\n" }, { "b NOOP", "b OK done\r\n" });
	memcpy(line + (1 << 20) - 6, " {10+}", 6);
	TALK({ line, "* BYE [TOOBIG] the command is too long\r\n" });
	free(line);
	place_hang_up();

	/* several literals share one budget */
	place_connect();
	place_take();
	place_send(many, sizeof(many) - 1);
	line = long_login(4000);
	place_send(line, 4000);
	free(line);
	TALK({ " {4300}", "a " TOO_LARGE }, { "b NOOP", "b OK done\r\n" });
}

static void test_budget_after_login(void **state)
{
	char *line = long_login(COMMAND_MAX + 1);

	(void)state;
	login();
	TALK({ line, "a BAD the command is too long\r\n" });
	line[COMMAND_MAX - 1] = '\0'; /* the CR counts */
	TALK({ line, "a BAD not after login\r\n" }, { "b XX {262144}", "b " TOO_LARGE },
	        { "b XX {262100}", "+ OK\r\n" });
	free(line);
}

static void test_number_of_literals(void **state)
{
	(void)state;
	login();
	place_send("a ID (", 6);
	for (unsigned i = 0; i < LITERAL_COUNT_MAX; i++)
		place_send("{1+}\r\nx ", 8);
	expect("one more", "a " TOO_LARGE, place_ask("{1}"));
}

static void test_secrets_leave_the_reader(void **state)
{
	struct imap_session *s;

	(void)state;
	place_connect();
	place_take();
	fake_auth_answers = false;
	expect("LOGIN", "", place_ask("a LOGIN alice@example.test secret"));
	s = place_session();
	assert_non_null(s->request);
	fake_auth_answers = true;
	place_run();
	expect("LOGIN", "a OK *", place_take());
	assert_null(s->request);
}

/* --- order and waiting --- */

static void test_pipelining(void **state)
{
	struct buffer sent, want;

	(void)state;
	place_connect();
	place_take();
	buffer_init(&sent, MIB);
	buffer_init(&want, MIB);
	(void)buffer_append_text(&sent, "l LOGIN alice@example.test secret\r\n");
	for (int i = 0; i < 5000; i++) {
		(void)buffer_printf(&sent, "t%d NOOP\r\n", i);
		(void)buffer_printf(&want, "t%d OK done\r\n", i);
	}
	place_send(sent.data, sent.len);
	assert_non_null(strstr(place.out.data, "l OK [CAPABILITY "));
	assert_string_equal(strstr(place_take(), "t0 OK"), want.data);
	buffer_free(&sent);
	buffer_free(&want);
}

static void test_a_client_that_does_not_read(void **state)
{
	struct imap_session *s;
	size_t queued;

	(void)state;
	login();
	s = place_session();
	place.reads = false;
	for (int i = 0; i < 20000; i++)
		place_send("a CAPABILITY\r\na CAPABILITY\r\na CAPABILITY\r\na CAPABILITY\r\n", 56);
	queued = conn_queued(s->conn);
	assert_true(queued >= CONN_OUTPUT_FULL && queued < CONN_OUTPUT_FULL + 4 * KIB);
	place.reads = true;
	place_run();
	expect("all of it", "* CAPABILITY *", place_take());
	TALK({ "z NOOP", "z OK done\r\n" });
}

static void test_nothing_is_kept_between_commands(void **state)
{
	struct imap_session *s;

	(void)state;
	login();
	s = place_session();
	TALK({ "a ID (\"name\" \"x\")", "* ID (\"name\" \"Posthouse\" \"version\" \"1.0\")\r\na OK done\r\n" });
	assert_null(s->request);
	assert_int_equal(s->parked.cap, 0);
	assert_true(sizeof(*s) < 2 * KIB);
}

/* --- login --- */

#define TOKEN "AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=" /* NUL alice@example.test NUL secret */

static void test_authenticate(void **state)
{
	static const struct turn good[][4] = {
		{ { "a AUTHENTICATE PLAIN " TOKEN, "a OK [CAPABILITY *" } },
		{ { "a authenticate plain", "+ \r\n" }, { TOKEN, "a OK [CAPABILITY *" } },
		{ { "a AUTHENTICATE LOGIN", "+ VXNlcm5hbWU6\r\n" },
		        { "YWxpY2VAZXhhbXBsZS50ZXN0", "+ UGFzc3dvcmQ6\r\n" }, { "c2VjcmV0", "a OK [CAPABILITY *" } },
		{ { "a AUTHENTICATE LOGIN YWxpY2VAZXhhbXBsZS50ZXN0", "+ UGFzc3dvcmQ6\r\n" }, { "c2VjcmV0", "a OK *" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		place_connect();
		place_take();
		for (size_t k = 0; k < 4 && good[i][k].ask != NULL; k++)
			talk(&good[i][k], 1);
		assert_int_equal(place_session()->state, AUTHENTICATED);
		place_hang_up();
	}
}

static void test_authenticate_refused(void **state)
{
	(void)state;
	place.server.settings.bad_commands = 100;
	place_connect();
	place_take();
	TALK({ "a AUTHENTICATE PLAIN", "+ \r\n" }, { "*", "a BAD cancelled\r\n" }, { "a AUTHENTICATE PLAIN", "+ \r\n" },
	        { "!!!", "a BAD that is not what the mechanism expects\r\n" }, { "a AUTHENTICATE PLAIN", "+ \r\n" },
	        { "", "a BAD that is not what the mechanism expects\r\n" },
	        { "a AUTHENTICATE PLAIN =", "a BAD that is not what *" },
	        { "a AUTHENTICATE CRAM-MD5", "a NO [CANNOT] *" }, { "a AUTHENTICATE", "a BAD *" },
	        { "b NOOP", "b OK done\r\n" });
	assert_int_equal(place_session()->state, NOT_AUTHENTICATED);
}

/* A line of an exchange that never ends is dropped like any other. */
static void test_authenticate_long_line(void **state)
{
	char *line = long_login(100000);

	(void)state;
	place_connect();
	place_take();
	TALK({ "a AUTHENTICATE PLAIN", "+ \r\n" }, { line, "a BAD the line is too long\r\n" },
	        { "b NOOP", "b OK done\r\n" });
	free(line);
}

static void test_login_failures(void **state)
{
	(void)state;
	place_connect();
	place_take();
	TALK({ "a LOGIN alice@example.test wrong", "a NO [AUTHENTICATIONFAILED] wrong user name or password\r\n" },
	        { "a LOGIN nobody@example.test wrong", "a NO [AUTHENTICATIONFAILED] wrong user name or password\r\n" },
	        { "a LOGIN alice@example.test unavailable",
	                "a NO [UNAVAILABLE] logins are not possible now; try again later\r\n"
	                "* BYE too many failed logins\r\n" });
	assert_true(place.closed);
	place_hang_up();
	place_connect();
	place_take();
	TALK({ "a LOGIN alice@example.test disabled", "a NO [CONTACTADMIN] *" },
	        { "a LOGIN alice@example.test throttled", "a NO [LIMIT] *" });
}

/* While a command is under way nothing is read, so that the client is gone shows when it is through. */
static void test_hang_up_while_authd_is_at_it(void **state)
{
	static const char *const logins[] = { "a LOGIN alice@example.test secret", "a AUTHENTICATE PLAIN " TOKEN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(logins); i++) {
		place_connect();
		place_take();
		fake_auth_answers = false;
		expect(logins[i], "", place_ask(logins[i]));
		place_hang_up();
		fake_auth_answers = true;
		place_run();
		assert_null(place_session());
	}
}

static void test_closed_while_authd_is_at_it(void **state)
{
	(void)state;
	place_connect();
	place_take();
	expect("LOGIN", "", place_ask("a LOGIN alice@example.test never"));
	server_drain(&place.server);
	server_close_all(&place.server);
	place_run();
	assert_true(place.closed && place_session() == NULL);
}

/* --- time --- */

static void test_time_to_log_in(void **state)
{
	(void)state;
	place.server.settings.login_timeout_ms = 30;
	place_connect();
	place_take();
	place_wait(60);
	expect("silence", "* BYE you took too long to log in\r\n", place_take());
	assert_true(place.closed);
	place_hang_up();

	/* authd may finish what it began, and then it is over */
	place_connect();
	fake_auth_answers = false;
	place_ask("a LOGIN alice@example.test wrong");
	place_wait(60);
	expect("waiting", "", place_take());
	fake_auth_answers = true;
	place_run();
	expect("the answer",
	        "a NO [AUTHENTICATIONFAILED] wrong user name or password\r\n* BYE you took too long to log in\r\n",
	        place_take());
	place_hang_up();

	/* in the middle of a line, a literal, an exchange */
	for (int i = 0; i < 3; i++) {
		static const char *const begun[] = { "a NOO", "a LOGIN {5}\r\n", "a AUTHENTICATE PLAIN\r\n" };

		place_connect();
		place_send(begun[i], strlen(begun[i]));
		place_take();
		place_wait(60);
		expect(begun[i], "* BYE you took too long to log in\r\n", place_take());
		place_hang_up();
	}
}

static void test_silence_after_login(void **state)
{
	(void)state;
	place.server.settings.idle_timeout_ms = 30;
	login();
	place_wait(80);
	expect("silence", "* BYE you were silent for too long\r\n", place_take());
	assert_true(place.closed);
}

/* --- ENABLE --- */

/* RFC 9051 §6.3.1: what is not known or not announced is ignored, and ENABLED comes all the same. */
static void test_enable(void **state)
{
	(void)state;
	login();
	TALK({ "a ENABLE X-GOOD-IDEA", "* ENABLED\r\na OK done\r\n" }, { "a ENABLE", "a BAD *" });
}

/* --- the end --- */

static void test_drain(void **state)
{
	(void)state;
	place_connect();
	place_take();
	server_drain(&place.server);
	place_wait(400);
	expect("before login", "* BYE [UNAVAILABLE] the server is going down; try again soon\r\n", place_take());
	assert_true(place.closed);
}

/* authd's answer may take as long as a queue of guesses, and is not waited for. */
static void test_drain_during_a_login(void **state)
{
	static const char *const logins[] = { "a LOGIN alice@example.test secret", "a AUTHENTICATE PLAIN " TOKEN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(logins); i++) {
		place_connect();
		place_take();
		fake_auth_answers = false;
		place_ask(logins[i]);
		server_drain(&place.server);
		place_wait(10);
		expect(logins[i], "* BYE [UNAVAILABLE] the server is going down; try again soon\r\n", place_take());
		assert_true(place.closed);
		fake_auth_answers = true;
		place_run();
		expect(logins[i], "", place_take());
		place_close();
		place_open(NULL);
	}
}

static void test_drain_leaves_time_between_commands(void **state)
{
	(void)state;
	login();
	server_drain(&place.server);
	place_wait(100);
	assert_false(place.closed);
	place_wait(DRAIN_IDLE_MS + 400);
	expect("a second later", "* BYE [UNAVAILABLE] *", place_take());
	assert_true(place.closed);
}

static void test_close_all(void **state)
{
	(void)state;
	login();
	server_drain(&place.server);
	server_close_all(&place.server);
	place_run();
	assert_true(place.closed && place_session() == NULL && place.empty);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_gate),
		TEST(test_privacy),
		TEST(test_bad_commands_end_the_session),
		TEST(test_other_protocols),
		TEST(test_reading_in_pieces_of_every_size),
		TEST(test_budget_before_login),
		TEST(test_budget_after_login),
		TEST(test_number_of_literals),
		TEST(test_secrets_leave_the_reader),
		TEST(test_pipelining),
		TEST(test_a_client_that_does_not_read),
		TEST(test_nothing_is_kept_between_commands),
		TEST(test_authenticate),
		TEST(test_authenticate_refused),
		TEST(test_authenticate_long_line),
		TEST(test_login_failures),
		TEST(test_hang_up_while_authd_is_at_it),
		TEST(test_closed_while_authd_is_at_it),
		TEST(test_time_to_log_in),
		TEST(test_silence_after_login),
		TEST(test_enable),
		TEST(test_drain),
		TEST(test_drain_during_a_login),
		TEST(test_drain_leaves_time_between_commands),
		TEST(test_close_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
