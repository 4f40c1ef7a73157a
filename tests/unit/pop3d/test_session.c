/* Whole sessions against a fake connection, store and authd: what each command answers in each state, and what is left of the
 * maildrop afterwards. */
#include "fake.h"

#include "base/log.h"
#include "pop3d/message_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FIRST  "Subject: one\r\n\r\nbody 1\r\n.dot\r\n"
#define SECOND "Subject: two\r\n\r\nbody 2\r\n"
#define EIGHT  "Subject: \xc3\xa4\r\n\r\nbody\r\n"

static int setup(void **state)
{
	(void)state;
	fake_reset();
	fake_add(FIRST);
	fake_add(SECOND);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_free();
	return 0;
}

static void login(void)
{
	fake_connect();
	assert_string_equal(fake_take(), "+OK pop.example.test POP3 ready\r\n");
	assert_string_equal(fake_ask("USER alice@example.test"), "+OK now the password\r\n");
	assert_int_equal(strncmp(fake_ask("PASS secret"), "+OK maildrop has ", 17), 0);
	assert_true(fake.locked);
}

/* Lines of a conversation: what is asked, and the beginning of what comes back ("" nothing at all). */
struct turn {
	const char *ask, *want;
};

static void talk(const struct turn *turns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *got = fake_ask(turns[i].ask);

		if (strncmp(got, turns[i].want, strlen(turns[i].want)) != 0)
			fail_msg("%s: wanted %s got %s", turns[i].ask, turns[i].want, got);
		assert_true(*turns[i].want != '\0' || *got == '\0');
	}
}
#define TALK(...) talk((const struct turn[]) { __VA_ARGS__ }, ARRAY_LEN(((const struct turn[]) { __VA_ARGS__ })))

/* RFC 1939 §10, with USER and PASS */
static void test_whole_session(void **state)
{
	(void)state;
	login();
	TALK({ "STAT", "+OK 2 54\r\n" }, { "LIST", "+OK 2 messages (54 octets)\r\n1 30\r\n2 24\r\n.\r\n" },
	        { "RETR 1", "+OK 30 octets\r\nSubject: one\r\n\r\nbody 1\r\n..dot\r\n.\r\n" },
	        { "DELE 1", "+OK message 1 deleted\r\n" },
	        { "RETR 2", "+OK 24 octets\r\nSubject: two\r\n\r\nbody 2\r\n.\r\n" },
	        { "DELE 2", "+OK message 2 deleted\r\n" }, { "STAT", "+OK 0 0\r\n" },
	        { "LIST", "+OK 0 messages (0 octets)\r\n.\r\n" });
	assert_int_equal(fake.commits, 0);
	TALK({ "QUIT", "+OK pop.example.test POP3 signing off\r\n" });
	assert_true(fake.closed && !fake.locked);
	assert_int_equal(fake.commits, 1); /* both in one transaction */
	assert_true(fake.messages[0].gone && fake.messages[1].gone);
}

static void test_wrong_state(void **state)
{
	static const char *const before[] = { "STAT", "LIST", "RETR 1", "DELE 1", "NOOP", "RSET", "TOP 1 0", "UIDL" };
	static const char *const after[] = { "USER x", "PASS x", "AUTH", "AUTH PLAIN", "STLS", "UTF8" };

	(void)state;
	fake.offers_tls = true;
	fake.settings.bad_commands = 100;
	fake_connect();
	for (size_t i = 0; i < ARRAY_LEN(before); i++)
		TALK({ before[i], "-ERR log in first\r\n" });
	TALK({ "USER alice@example.test", "+OK" }, { "PASS secret", "+OK" });
	for (size_t i = 0; i < ARRAY_LEN(after); i++)
		TALK({ after[i], "-ERR not after login\r\n" });
}

static void test_arguments(void **state)
{
	(void)state;
	fake.settings.bad_commands = 100;
	login();
	TALK({ "RETR", "-ERR" }, { "RETR 1 2", "-ERR" }, { "RETR x", "-ERR that is no message number" },
	        { "RETR 0", "-ERR no such message, only 2 messages in maildrop\r\n" },
	        { "RETR 3", "-ERR no such message" }, { "RETR -1", "-ERR" }, { "RETR 4294967296", "-ERR" },
	        { "RETR 4294967297", "-ERR" }, { "RETR 99999999999999999999", "-ERR" }, { "TOP 1", "-ERR" },
	        { "TOP 1 -1", "-ERR" }, { "TOP 3 1", "-ERR" }, { "TOP 1 1 1", "-ERR" },
	        { "STAT 1", "-ERR no arguments here" }, { "NOOP 1", "-ERR" }, { "LIST 1 2", "-ERR" },
	        { "LIST 2", "+OK 2 24\r\n" }, { "list 2 ", "+OK 2 24\r\n" },
	        { "LIST 3", "-ERR no such message, only 2" }, { "UIDL 2", "+OK 2 0000000700000008\r\n" },
	        { "UIDL", "+OK unique-id listing follows\r\n1 0000000700000005\r\n" },
	        { "XTND XLST", "-ERR unknown command" }, { "", "-ERR unknown command" }, { "RETR:1", "-ERR unknown" });
}

static void test_top(void **state)
{
	(void)state;
	login();
	TALK({ "TOP 1 0", "+OK top of message follows\r\nSubject: one\r\n\r\n.\r\n" },
	        { "TOP 1 1", "+OK top of message follows\r\nSubject: one\r\n\r\nbody 1\r\n.\r\n" },
	        { "TOP 1 10", "+OK top of message follows\r\nSubject: one\r\n\r\nbody 1\r\n..dot\r\n.\r\n" },
	        { "TOP 1 99999999999", "+OK top of message follows\r\nSubject: one\r\n\r\nbody 1\r\n..dot\r\n.\r\n" });
}

static void test_marks(void **state)
{
	(void)state;
	login();
	TALK({ "DELE 1", "+OK" }, { "DELE 1", "-ERR message 1 already deleted\r\n" },
	        { "RETR 1", "-ERR message 1 already" }, { "LIST 1", "-ERR" }, { "UIDL 1", "-ERR" },
	        { "TOP 1 0", "-ERR" }, { "LIST", "+OK 1 messages (24 octets)\r\n2 24\r\n.\r\n" },
	        { "UIDL", "+OK unique-id listing follows\r\n2 0000000700000008\r\n.\r\n" }, { "STAT", "+OK 1 24\r\n" },
	        { "RSET", "+OK maildrop has 2 messages (54 octets)\r\n" }, { "RETR 1", "+OK 30 octets" },
	        { "DELE 2", "+OK" }, { "QUIT", "+OK" });
	assert_true(!fake.messages[0].gone && fake.messages[1].gone);
}

static void test_dropped_connection_deletes_nothing(void **state)
{
	(void)state;
	login();
	TALK({ "DELE 1", "+OK" }, { "DELE 2", "+OK" });
	fake_hang_up();
	assert_int_equal(fake.commits, 0);
	assert_true(!fake.locked && !fake.messages[0].gone);
}

static void test_delete_to_trash(void **state)
{
	(void)state;
	fake.settings.delete_to = DELETE_TO_TRASH;
	fake.no_trash = true; /* the user removed it: made again */
	login();
	TALK({ "DELE 2", "+OK" }, { "QUIT", "+OK" });
	assert_true(fake.messages[1].moved && !fake.messages[1].gone && !fake.messages[0].moved);
}

static void test_update_fails(void **state)
{
	static const struct {
		enum error_code open, commit;
		bool validity;
		const char *want;
	} cases[] = {
		{ ERR_NONE, ERR_NO_SPACE, false, "-ERR [SYS/TEMP] " },
		{ ERR_NONE, ERR_IO, false, "-ERR [SYS/TEMP] " },
		{ ERR_BUSY, ERR_NONE, false, "-ERR [SYS/TEMP] " }, /* not [IN-USE]: that is of the login */
		{ ERR_DAMAGED, ERR_NONE, false, "-ERR [SYS/PERM] " },
		{ ERR_NONE, ERR_NONE, true, "-ERR [SYS/TEMP] " },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		login();
		fake.fail_open = cases[i].open;
		fake.fail_commit = cases[i].commit;
		fake.uid_validity_changed = cases[i].validity;
		TALK({ "DELE 1", "+OK" }, { "QUIT", cases[i].want });
		assert_true(fake.closed && !fake.locked && !fake.messages[0].gone);
		fake_free();
		setup(state);
	}
	fake_connect();
}

static void test_login_refusals(void **state)
{
	static const struct {
		enum auth_status status;
		enum error_code open;
		bool locked;
		const char *password, *want;
	} cases[] = {
		{ AUTH_OK, ERR_NONE, false, "PASS wrong", "-ERR [AUTH] wrong user name or password\r\n" },
		{ AUTH_OK, ERR_NONE, false, "PASS secret ", "-ERR [AUTH] " }, /* the blank is part of it */
		{ AUTH_DISABLED, ERR_NONE, false, "PASS secret", "-ERR [AUTH] " },
		{ AUTH_THROTTLED, ERR_NONE, false, "PASS secret", "-ERR [LOGIN-DELAY] " },
		{ AUTH_UNAVAILABLE, ERR_NONE, false, "PASS secret", "-ERR [SYS/TEMP] " },
		{ AUTH_OK, ERR_NONE, true, "PASS secret", "-ERR [IN-USE] " }, /* RFC 2449 §8.1.2 */
		{ AUTH_OK, ERR_BUSY, false, "PASS secret", "-ERR [SYS/TEMP] " },
		{ AUTH_OK, ERR_DAMAGED, false, "PASS secret", "-ERR [SYS/PERM] " },
		{ AUTH_OK, ERR_IO, false, "PASS secret", "-ERR [SYS/TEMP] " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fake.auth_status = cases[i].status;
		fake.fail_open = cases[i].open;
		fake.locked_by_other = cases[i].locked;
		fake_connect();
		TALK({ "USER alice@example.test", "+OK" }, { cases[i].password, cases[i].want });
		assert_false(fake.locked); /* RFC 1939 §4: released before the refusal */
		TALK({ "PASS secret", "-ERR USER first\r\n" }, { "STAT", "-ERR log in first" });
		fake.auth_status = AUTH_OK;
		fake.fail_open = ERR_NONE;
		fake.locked_by_other = false;
		TALK({ "USER alice@example.test", "+OK" }, { "PASS secret", "+OK" }, { "QUIT", "+OK" });
		fake_free();
		fake_reset();
	}
	fake_connect();
}

static void test_failures_end_the_session(void **state)
{
	(void)state;
	fake_connect();
	TALK({ "USER nobody@example.test", "+OK" }, { "PASS x", "-ERR [AUTH]" },
	        { "AUTH PLAIN AGEAYg==", "-ERR [AUTH]" });
	assert_false(fake.closed);
	TALK({ "AUTH PLAIN", "+ \r\n" },
	        { "!", "-ERR that is not what the mechanism expects; too many failures, goodbye\r\n" });
	assert_true(fake.closed);
}

static void test_bad_commands_end_the_session(void **state)
{
	(void)state;
	fake_connect();
	for (int i = 0; i < 9; i++)
		TALK({ "HELP", "-ERR unknown command\r\n" });
	assert_false(fake.closed);
	TALK({ "HELP", "-ERR unknown command; too many bad commands, goodbye\r\n" });
	assert_true(fake.closed);
}

static void test_other_protocols(void **state)
{
	(void)state;
	fake_connect();
	TALK({ "GET / HTTP/1.1", "-ERR this is a POP3 server\r\n" });
	assert_true(fake.closed);
}

static void test_auth(void **state)
{
	(void)state;
	fake_connect();
	/* Outlook: bare AUTH, also with a blank */
	TALK({ "AUTH", "+OK mechanisms follow\r\nPLAIN\r\nLOGIN\r\nSCRAM-SHA-256\r\n.\r\n" },
	        { "AUTH ", "+OK mechanisms follow\r\nPLAIN\r\n" },
	        { "AUTH CRAM-MD5", "-ERR no such authentication mechanism\r\n" }, { "AUTH PLAIN", "+ \r\n" },
	        { "*", "-ERR cancelled\r\n" },
	        { "auth plain AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=", "+OK maildrop has 2 messages" },
	        { "STAT", "+OK 2" });
}

static void test_auth_with_last_word(void **state)
{
	(void)state;
	fake_connect();
	TALK({ "AUTH SCRAM-SHA-256 AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=", "+ dj1zZXJ2ZXI=\r\n" },
	        { "x", "-ERR that is not what the mechanism expects" }, { "STAT", "-ERR log in first" },
	        { "AUTH SCRAM-SHA-256 AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=", "+ dj1zZXJ2ZXI=\r\n" },
	        { "", "+OK maildrop" });
}

static void test_no_password_in_the_clear(void **state)
{
	(void)state;
	fake.loopback = false;
	fake.offers_tls = true;
	fake_connect();
	TALK({ "CAPA",
	             "+OK capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
	             "PIPELINING\r\nEXPIRE NEVER\r\nSTLS\r\nUTF8 USER\r\nLANG\r\nIMPLEMENTATION Posthouse-1\r\n.\r\n" },
	        { "USER alice@example.test", "-ERR [AUTH] use TLS first (STLS)\r\n" }, { "PASS secret", "-ERR [AUTH]" },
	        { "AUTH PLAIN", "-ERR [AUTH]" }, { "AUTH SCRAM-SHA-256 xx", "-ERR [AUTH] use TLS first (STLS)\r\n" },
	        { "AUTH", "-ERR [AUTH]" }, { "STLS", "+OK begin TLS negotiation\r\n" });
	fake_handshake();
	TALK({ "STLS", "-ERR TLS is active already\r\n" },
	        { "CAPA",
	                "+OK capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE "
	                "NEVER\r\nUSER\r\nSASL PLAIN LOGIN SCRAM-SHA-256\r\nUTF8 USER\r\n" },
	        { "AUTH", "+OK mechanisms follow\r\nPLAIN\r\nLOGIN\r\nSCRAM-SHA-256\r\n.\r\n" });
	fake.server.settings.channel_binding = true;
	TALK({ "AUTH", "+OK mechanisms follow\r\nPLAIN\r\nLOGIN\r\nSCRAM-SHA-256\r\nSCRAM-SHA-256-PLUS\r\n.\r\n" },
	        { "USER alice@example.test", "+OK" }, { "PASS secret", "+OK" },
	        { "CAPA", "+OK capability list follows\r\nTOP\r\n" });
}

/* What was said in the clear does not count under TLS (RFC 2595 §4), and nothing may come behind STLS. */
static void test_stls(void **state)
{
	(void)state;
	fake.offers_tls = true;
	fake_connect();
	TALK({ "USER alice@example.test", "+OK" }, { "STLS", "+OK" });
	fake_handshake();
	TALK({ "PASS secret", "-ERR USER first" });
	fake_free();
	fake_reset();
	fake.offers_tls = true;
	fake_connect();
	fake_ask("STLS\r\nCAPA");
	assert_true(fake.closed);
	fake_free();
	fake_reset();
	fake_connect();
	TALK({ "STLS", "-ERR no TLS here" });
}

static void test_implicit_tls_greets_after_the_handshake(void **state)
{
	(void)state;
	fake.implicit_tls = true;
	fake_connect();
	assert_string_equal(fake_take(), "");
	fake_handshake();
	assert_string_equal(fake_take(), "+OK pop.example.test POP3 ready\r\n");
}

static void test_pipelining(void **state)
{
	(void)state;
	fake_connect();
	assert_string_equal(
	        fake_ask(
	                "USER alice@example.test\r\nPASS secret\r\nSTAT\r\nRETR 2\r\nDELE 2\r\nRETR 1\r\nRETR 2\r\nQUIT"),
	        "+OK now the password\r\n+OK maildrop has 2 messages (54 octets)\r\n+OK 2 54\r\n"
	        "+OK 24 octets\r\nSubject: two\r\n\r\nbody 2\r\n.\r\n+OK message 2 deleted\r\n"
	        "+OK 30 octets\r\nSubject: one\r\n\r\nbody 1\r\n..dot\r\n.\r\n-ERR message 2 already deleted\r\n"
	        "+OK pop.example.test POP3 signing off\r\n");
}

static void test_lines(void **state)
{
	char line[5000];

	(void)state;
	login();
	fake_send("STAT\nNOOP\n", 10); /* bare LF is forgiven */
	assert_string_equal(fake_take(), "+OK 2 54\r\n+OK nothing done\r\n");
	memset(line, 'a', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	TALK({ line, "-ERR the line is too long\r\n" }, { "STAT", "+OK 2 54\r\n" });
}

/* RFC 6856 */
static void test_utf8(void **state)
{
	(void)state;
	fake_add(EIGHT);
	login();
	/* the size is said as stored, and as sent once that is known */
	TALK({ "LIST 3", "+OK 3 21\r\n" },
	        { "RETR 3", "+OK 37 octets\r\nSubject: =?utf-8?q?=C3=A4?=\r\n\r\nbody\r\n.\r\n" },
	        { "LIST 3", "+OK 3 37\r\n" }, { "STAT", "+OK 3 91\r\n" },
	        { "TOP 3 0", "+OK top of message follows\r\nSubject: =?utf-8?q?=C3=A4?=\r\n\r\n.\r\n" },
	        { "QUIT", "+OK" });
	fake_free();
	setup(state);
	fake_add(EIGHT);
	fake.offers_tls = true;
	fake_connect();
	TALK({ "UTF8 x", "-ERR" }, { "UTF8", "+OK UTF8 enabled\r\n" }, { "STLS", "-ERR not after UTF8" },
	        { "USER alice@example.test", "+OK" }, { "PASS secret", "+OK" },
	        { "RETR 3", "+OK 21 octets\r\n" EIGHT ".\r\n" });
}

static void test_user_names(void **state)
{
	char line[400] = "USER ";

	(void)state;
	fake_connect();
	memset(line + 5, 'a', AUTH_LOGIN_MAX + 1);
	TALK({ "USER", "-ERR wrong arguments" }, { line, "-ERR that is no user name" },
	        { "USER \xff", "-ERR that is no user name" }, { "PASS x", "-ERR USER first" },
	        { "USER \xc3\xa4@example.test", "+OK" }, { "PASS x", "-ERR [AUTH] wrong" });
}

static void test_lang(void **state)
{
	(void)state;
	login();
	TALK({ "LANG", "+OK language listing follows\r\nen English\r\ni-default English\r\n.\r\n" },
	        { "LANG en", "+OK en language is English\r\n" }, { "LANG EN-us", "+OK en " },
	        { "LANG i-default", "+OK i-default " }, { "LANG *", "+OK en " },
	        { "LANG MUL", "-ERR no such language" }, { "LANG -", "-ERR" }, { "LANG e", "-ERR" });
}

/* One job reads the next messages together; a message is read once. */
static void test_read_ahead(void **state)
{
	char line[32], want[32];

	(void)state;
	for (int i = 2; i < 1000; i++)
		fake_add(i % 100 == 50 ? EIGHT : SECOND);
	login();
	fake.opens = fake.reads = 0;
	for (int i = 1; i <= 1000; i++) {
		snprintf(line, sizeof(line), "RETR %d", i);
		snprintf(want, sizeof(want), "+OK %d octets\r\n", i == 1 ? 30 : (i - 1) % 100 == 50 ? 37 : 24);
		TALK({ line, want });
	}
	assert_int_equal(fake.reads, 1000);
	assert_true(fake.opens <= 1000 / READ_AHEAD_MESSAGES + 3);
}

static void test_read_ahead_out_of_order(void **state)
{
	(void)state;
	for (int i = 2; i < 100; i++)
		fake_add(SECOND);
	login();
	fake.reads = 0;
	for (int i = 100; i >= 1; i--) {
		char line[32];

		snprintf(line, sizeof(line), "RETR %d", i);
		TALK({ line, "+OK " });
	}
	assert_int_equal(fake.reads, 100);
}

/* A message that went away meanwhile is refused, its neighbours are not, and no number changes. */
static void test_vanished_message(void **state)
{
	(void)state;
	for (int i = 2; i < 60; i++)
		fake_add(SECOND);
	login();
	fake.messages[4].gone = fake.messages[50].gone = true;
	for (int i = 1; i <= 60; i++) {
		char line[32];

		snprintf(line, sizeof(line), "RETR %d", i);
		TALK({ line, i == 5 || i == 51 ? "-ERR the message is no longer there\r\n" : "+OK " });
	}
	TALK({ "TOP 5 0", "-ERR the message is no longer there\r\n" }, { "STAT", "+OK 60 " }, { "DELE 5", "+OK" },
	        { "QUIT", "+OK" });
}

static void test_store_fails_at_retr(void **state)
{
	(void)state;
	login();
	fake.fail_open = ERR_IO;
	TALK({ "RETR 1", "-ERR [SYS/TEMP]" }, { "TOP 1 0", "-ERR [SYS/TEMP]" });
	fake.fail_open = ERR_NONE;
	TALK({ "RETR 1", "+OK 30" });
}

static void check_big_body(const char *got, uint32_t size)
{
	char status[64];
	uint64_t at = 0;

	snprintf(status, sizeof(status), "+OK %u octets\r\n", size);
	assert_int_equal(strncmp(got, status, strlen(status)), 0);
	for (got += strlen(status); at < size; at++, got++) {
		if (at % 50 == 0)
			assert_int_equal(*got++, '.');
		assert_int_equal(*got, fake_big_octet(at));
	}
	assert_string_equal(got, ".\r\n");
}

/* A large message is streamed: what is queued stays bounded however slowly the client reads. */
static void test_streaming(void **state)
{
	(void)state;
	fake_add_big(5000000);
	fake.full_at = CONN_OUTPUT_FULL;
	login();
	fake.queued_most = 0;
	check_big_body(fake_ask("RETR 3"), 5000000);
	assert_true(fake.queued_most <= CONN_OUTPUT_FULL + MESSAGE_REPLY_MAX);
	fake_take();
	fake.client_reads = false;
	assert_true(strlen(fake_ask("RETR 3\r\nSTAT")) <= CONN_OUTPUT_FULL + MESSAGE_REPLY_MAX);
	fake_hang_up();
}

static void test_client_that_does_not_read(void **state)
{
	(void)state;
	for (int i = 2; i < 20000; i++)
		fake_add(SECOND);
	fake.full_at = 10000;
	login();
	fake.client_reads = false;
	fake_ask("UIDL\r\nLIST\r\nRETR 1\r\nRETR 2\r\nSTAT");
	assert_true(fake.queued_most < 30000);
	fake.client_reads = true;
	fake_run();
	assert_non_null(strstr(fake_take(), "\r\n.\r\n+OK 20000 "));
}

static void test_damage_in_the_middle_closes(void **state)
{
	(void)state;
	fake_add_big(500000);
	fake.messages[2].damaged = true;
	fake.settings.bad_commands = 3;
	fake_connect();
	/* utf8: no second look at the message, so the damage is met after "+OK" */
	TALK({ "UTF8", "+OK" }, { "USER alice@example.test", "+OK" }, { "PASS secret", "+OK" });
	assert_null(strstr(fake_ask("RETR 3"), "\r\n.\r\n"));
	assert_true(fake.closed && !fake.locked);
}

static void test_hang_up_while_waiting(void **state)
{
	static const char *const commands[] = { "RETR 1", "RETR 3", "TOP 1 1", "QUIT" };

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		fake_add_big(200000);
		login();
		TALK({ "DELE 2", "+OK" });
		fake.hold_jobs = true;
		TALK({ commands[i], "" });
		fake_hang_up();
		assert_int_equal(fake.locked, i != 0); /* read-ahead does not need the maildrop */
		fake.hold_jobs = false;
		fake_run();
		assert_false(fake.locked);
		/* QUIT was received: its deletions happen although nobody hears the answer */
		assert_int_equal(fake.messages[1].gone, i == 3);
		fake_free();
		setup(state);
	}
	fake.hold_jobs = true;
	fake_connect();
	TALK({ "USER alice@example.test", "+OK" }, { "PASS secret", "" });
	fake_hang_up();
}

static void on_empty(void *arg)
{
	*(bool *)arg = true;
}

static void test_drain(void **state)
{
	bool empty = false;

	(void)state;
	fake_connect();
	fake_take();
	fake.server.on_empty = on_empty;
	fake.server.arg = &empty;
	server_drain(&fake.server);
	for (int i = 0; i < 100 && !empty; i++) {
		uv_run(&fake.loop, UV_RUN_ONCE);
		fake_run();
	}
	assert_true(empty && fake.closed);
	assert_string_equal(fake_take(), "-ERR [SYS/TEMP] the server is going down; try again soon\r\n");
}

/* authd's answer may take as long as a queue of guesses, and is not waited for. */
static void test_drain_during_a_login(void **state)
{
	bool empty = false;

	(void)state;
	fake_connect();
	fake_take();
	fake.hold_steps = true;
	TALK({ "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=", "" });
	fake.server.on_empty = on_empty;
	fake.server.arg = &empty;
	server_drain(&fake.server);
	for (int i = 0; i < 100 && !empty; i++) {
		uv_run(&fake.loop, UV_RUN_ONCE);
		fake_run();
	}
	assert_true(empty && fake.closed);
	assert_string_equal(fake_take(), "-ERR [SYS/TEMP] the server is going down; try again soon\r\n");
}

static void test_drain_deletes_nothing(void **state)
{
	bool empty = false;

	(void)state;
	login();
	TALK({ "DELE 1", "+OK" });
	fake.server.on_empty = on_empty;
	fake.server.arg = &empty;
	server_drain(&fake.server);
	while (!empty) {
		uv_run(&fake.loop, UV_RUN_ONCE);
		fake_run();
	}
	assert_string_equal(fake_take(), "-ERR [SYS/TEMP] the server is going down; try again soon\r\n");
	assert_true(!fake.messages[0].gone && fake.commits == 0);
}

static void test_time_to_log_in(void **state)
{
	(void)state;
	fake.settings.login_timeout_ms = 20;
	fake_connect();
	fake_take();
	for (int i = 0; i < 1000 && !fake.closed; i++) {
		uv_run(&fake.loop, UV_RUN_ONCE);
		fake_run();
	}
	assert_string_equal(fake_take(), "-ERR you took too long to log in\r\n");
}

/* A step that is under way at that moment is answered, and then it is over. */
static void test_time_to_log_in_ends_during_a_step(void **state)
{
	(void)state;
	fake.settings.login_timeout_ms = 20;
	fake_connect();
	fake_take();
	fake.hold_steps = true;
	fake_send("AUTH PLAIN\r\n", 12);
	for (int i = 0; i < 1000 && !fake.server.sessions->login_overdue; i++)
		uv_run(&fake.loop, UV_RUN_ONCE);
	assert_string_equal(fake_take(), "");
	fake.hold_steps = false;
	fake_run();
	assert_string_equal(fake_take(), "+ \r\n-ERR you took too long to log in\r\n");
	assert_true(fake.closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_top, setup, teardown),
		cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dropped_connection_deletes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delete_to_trash, setup, teardown),
		cmocka_unit_test_setup_teardown(test_update_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_login_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures_end_the_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_commands_end_the_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_protocols, setup, teardown),
		cmocka_unit_test_setup_teardown(test_auth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_auth_with_last_word, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_password_in_the_clear, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_implicit_tls_greets_after_the_handshake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipelining, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_utf8, setup, teardown),
		cmocka_unit_test_setup_teardown(test_user_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lang, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_ahead_out_of_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vanished_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_fails_at_retr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streaming, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_that_does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage_in_the_middle_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hang_up_while_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_during_a_login, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_deletes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_to_log_in, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_to_log_in_ends_during_a_step, setup, teardown),
	};

	log_open("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
