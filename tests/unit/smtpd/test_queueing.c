/* What of a message goes into mailboxes and what into the queue, and with which envelope; against a world in memory. */
#include "fake.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "message/srs.h"

#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HELLO   "EHLO client.example\r\n"
#define LOGIN   HELLO "AUTH PLAIN good\r\nMAIL FROM:<alice@example.test>"
#define MX      HELLO "MAIL FROM:<a@client.example>\r\n"
#define NOBODYS "DATA\r\nFrom: Bin <bin@example.test>, www@client.example\r\n\r\nhello\r\n.\r\n"
#define BODY    "DATA\r\nFrom: alice@example.test\r\nMessage-ID: <one@client.example>\r\n\r\nhello\r\n.\r\n"

static void nothing(struct fake_world *world)
{
	(void)world;
}

static void clock_stands(struct fake_world *world)
{
	(void)world;
	clock_set_for_test(-1, 1000000000000);
}

static void files_sent(struct fake_world *world)
{
	world->options.file_sent = true;
}

static void files_sent_without_sent(struct fake_world *world)
{
	world->options.file_sent = true;
	world->no_sent = true;
}

static void thinks_again(struct fake_world *world)
{
	world->options.undo_seconds = 30;
}

static void files_sent_and_thinks_again(struct fake_world *world)
{
	world->options.file_sent = true;
	world->options.undo_seconds = 30;
}

static void site_thinks_again(struct fake_world *world)
{
	world->server.settings.undo_ms = 10000;
}

static void only_alice_does_not(struct fake_world *world)
{
	world->server.settings.undo_ms = 10000;
	world->options.undo_seconds = 0;
}

static void trusts_the_client(struct fake_world *world)
{
	struct error err;

	assert_true(
	        network_parse_list(SPAN("192.0.2.0/29"), world->server.relay.list, &world->server.relay.count, &err));
}

/* The one uid with the same name everywhere, but root's (LSB; Debian's base-passwd). */
static void is_bin(struct fake_world *world)
{
	struct passwd *bin = getpwnam("bin");

	assert_non_null(bin);
	world->uid = bin->pw_uid;
}

static void is_itself(struct fake_world *world)
{
	world->uid = world->server.own_uid;
}

static void is_nobody_known(struct fake_world *world)
{
	world->uid = 4000000000;
}

static void disk_is_full(struct fake_world *world)
{
	world->queue_fails = true;
}

static const struct queueing_case {
	const char *name;
	enum smtp_port port;
	void (*prepare)(struct fake_world *world);
	const char *send;
	const char *want; /* in the last reply but one to QUIT; of the message */
	const char *queued;
	unsigned alice, bob, sent;
} cases[] = {
	{ "to another server", PORT_SUBMIT_TLS, nothing, LOGIN "\r\nRCPT TO:<x@Foreign.example>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1\nremote <x@Foreign.example> domain=foreign.example\n", 0,
	        0, 0 },
	{ "to a literal", PORT_SUBMIT_TLS, nothing, LOGIN "\r\nRCPT TO:<x@[192.0.2.9]>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1\nremote <x@[192.0.2.9]> domain=[192.0.2.9]\n", 0, 0, 0 },
	{ "here and there", PORT_SUBMIT_TLS, nothing,
	        LOGIN
	        "\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<x@foreign.example>\r\nRCPT TO:<x@foreign.example>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1\nlocal <bob@example.test> account=2\n"
	        "remote <x@foreign.example> domain=foreign.example\n",
	        0, 0, 0 },
	{ "only here: at once", PORT_SUBMIT_TLS, nothing, LOGIN "\r\nRCPT TO:<bob@example.test>\r\n" BODY,
	        "250 2.0.0 delivered, id ", "", 0, 1, 0 },
	{ "a copy for Sent", PORT_SUBMIT_TLS, files_sent, LOGIN "\r\nRCPT TO:<bob@example.test>\r\n" BODY,
	        "250 2.0.0 delivered, id ", "", 0, 1, 1 },
	{ "to oneself, and a copy for Sent", PORT_SUBMIT_TLS, files_sent,
	        LOGIN "\r\nRCPT TO:<alice@example.test>\r\n" BODY, "250 2.0.0 delivered, id ", "", 1, 0, 1 },
	{ "a copy for Sent, by the queue", PORT_SUBMIT_TLS, files_sent,
	        LOGIN "\r\nRCPT TO:<x@foreign.example>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1\nsent <alice@example.test> account=1 notify=1 once\n"
	        "remote <x@foreign.example> domain=foreign.example\n",
	        0, 0, 1 },
	{ "a copy for Sent, by the queue, that cannot be filed now", PORT_SUBMIT_TLS, files_sent_without_sent,
	        LOGIN "\r\nRCPT TO:<x@foreign.example>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1\nsent <alice@example.test> account=1 notify=1 once\n"
	        "remote <x@foreign.example> domain=foreign.example\n",
	        0, 0, 0 },
	{ "a copy for Sent that cannot be filed now", PORT_SUBMIT_TLS, files_sent_without_sent,
	        LOGIN "\r\nRCPT TO:<bob@example.test>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1\nsent <alice@example.test> account=1 notify=1\n", 0, 1,
	        0 },
	{ "nobody took it: no copy for Sent", PORT_SUBMIT_TLS, files_sent,
	        LOGIN "\r\nRCPT TO:<broken@example.test>\r\n" BODY, "451 4.3.0 ", "", 0, 0, 0 },
	{ "undo time of the account", PORT_SUBMIT_TLS, thinks_again, LOGIN "\r\nRCPT TO:<bob@example.test>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 after=30000\nlocal <bob@example.test> account=2\n", 0, 0,
	        0 },
	{ "what may be undone leaves no copy in Sent: that waits too", PORT_SUBMIT_TLS, files_sent_and_thinks_again,
	        LOGIN "\r\nRCPT TO:<bob@example.test>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 after=30000\nlocal <bob@example.test> account=2\n"
	        "sent <alice@example.test> account=1 notify=1 once\n",
	        0, 0, 0 },
	{ "RFC 4865: held for a time, and what is told of it", PORT_SUBMIT_TLS, clock_stands,
	        LOGIN " HOLDFOR=60\r\nRCPT TO:<bob@example.test>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 after=60000 release=for;60\nlocal <bob@example.test> account=2\n",
	        0, 0, 0 },
	{ "RFC 4865: held up to a moment", PORT_SUBMIT_TLS, clock_stands,
	        LOGIN " HOLDUNTIL=2001-09-09T03:47:40+01:00\r\nRCPT TO:<bob@example.test>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 after=3660000 release=until;2001-09-09T02:47:40Z\n"
	        "local <bob@example.test> account=2\n",
	        0, 0, 0 },
	{ "RFC 2852, RFC 6710: a time and a priority, and no more than 0 for a stranger", PORT_MX, clock_stands,
	        HELLO "MAIL FROM:<> BY=300;R MT-PRIORITY=3\r\nRCPT TO:<away@example.test>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <> flags=64 by=300000\nremote <away@elsewhere.example> domain=elsewhere.example\n", 0, 0,
	        0 },
	{ "RFC 6710: who has logged in for more", PORT_SUBMIT_TLS, clock_stands,
	        LOGIN " MT-PRIORITY=3\r\nRCPT TO:<x@foreign.example>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 priority=3\nremote <x@foreign.example> domain=foreign.example\n",
	        0, 0, 0 },
	{ "undo time of the site", PORT_SUBMIT_TLS, site_thinks_again, LOGIN "\r\nRCPT TO:<bob@example.test>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 after=10000\nlocal <bob@example.test> account=2\n", 0, 0,
	        0 },
	{ "undo time is not for the world", PORT_MX, site_thinks_again, MX "RCPT TO:<bob@example.test>\r\n" BODY,
	        "250 2.0.0 delivered, id ", "", 0, 1, 0 },
	{ "the account's own undo time goes first", PORT_SUBMIT_TLS, only_alice_does_not,
	        LOGIN "\r\nRCPT TO:<bob@example.test>\r\n" BODY, "250 2.0.0 delivered, id ", "", 0, 1, 0 },
	{ "the queue cannot be written", PORT_SUBMIT_TLS, disk_is_full,
	        LOGIN "\r\nRCPT TO:<x@foreign.example>\r\n" BODY, "452 4.3.1 ", "", 0, 0, 0 },
	{ "no relaying for the world", PORT_MX, nothing, MX "RCPT TO:<x@foreign.example>\r\n", "550 5.7.1 ", "", 0, 0,
	        0 },
	{ "a program of this machine", PORT_LOCAL, nothing, MX "RCPT TO:<x@foreign.example>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <a@client.example>\nremote <x@foreign.example> domain=foreign.example\n", 0, 0, 0 },
	{ "a program of another user: as that user", PORT_LOCAL, is_bin, MX "RCPT TO:<x@foreign.example>\r\n" NOBODYS,
	        "250 2.0.0 queued as ",
	        "entry 0 from <bin@example.test>\nremote <x@foreign.example> domain=foreign.example\n", 0, 0, 0 },
	{ "nor may From name a user who is another", PORT_LOCAL, is_bin, MX "RCPT TO:<x@foreign.example>\r\n" BODY,
	        "550 5.7.1 ", "", 0, 0, 0 },
	{ "nor a second From", PORT_LOCAL, is_bin,
	        MX
	        "RCPT TO:<bob@example.test>\r\nDATA\r\nFrom: bin\r\nFrom : x@y.example, alice@example.test\r\n\r\n.\r\n",
	        "554 5.6.0 ", "", 0, 0, 0 },
	{ "nor one among others", PORT_LOCAL, is_bin,
	        MX "RCPT TO:<bob@example.test>\r\nDATA\r\nFrom: x@y.example, Alice@example.test\r\n\r\n.\r\n",
	        "550 5.7.1 ", "", 0, 0, 0 },
	{ "as cron writes it", PORT_LOCAL, is_bin,
	        MX "RCPT TO:<bob@example.test>\r\nDATA\r\nFrom: root (Cron Daemon)\r\n\r\n.\r\n",
	        "250 2.0.0 delivered, id ", "", 0, 1, 0 },
	{ "without From", PORT_LOCAL, is_bin, MX "RCPT TO:<bob@example.test>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n",
	        "250 2.0.0 delivered, id ", "", 0, 1, 0 },
	{ "an answer by a machine stays one", PORT_LOCAL, is_bin,
	        HELLO "MAIL FROM:<>\r\nRCPT TO:<x@foreign.example>\r\n" NOBODYS, "250 2.0.0 queued as ",
	        "entry 0 from <>\nremote <x@foreign.example> domain=foreign.example\n", 0, 0, 0 },
	{ "the service itself: as anybody", PORT_LOCAL, is_itself, MX "RCPT TO:<x@foreign.example>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <a@client.example>\nremote <x@foreign.example> domain=foreign.example\n", 0, 0, 0 },
	{ "a user without a name", PORT_LOCAL, is_nobody_known, HELLO, "421 4.7.1 ", "", 0, 0, 0 },
	{ "REQUIRETLS goes along with what is queued", PORT_SUBMIT_TLS, nothing,
	        LOGIN " REQUIRETLS\r\nRCPT TO:<mixed@example.test>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 flags=8\nlocal <mixed@example.test> account=4\n", 1, 0,
	        0 },
	{ "a program of this machine logs in nowhere", PORT_LOCAL, nothing, HELLO "AUTH PLAIN good\r\n", "502 5.5.1 ",
	        "", 0, 0, 0 },
	{ "relaying for a trusted network", PORT_MX, trusts_the_client, MX "RCPT TO:<x@foreign.example>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <a@client.example>\nremote <x@foreign.example> domain=foreign.example\n", 0, 0, 0 },
	{ "an alias that leads away keeps a sender of ours", PORT_SUBMIT_TLS, nothing,
	        LOGIN "\r\nRCPT TO:<away@example.test>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test>\nremote <away@elsewhere.example> domain=elsewhere.example\n", 0, 0,
	        0 },
	{ "the null sender stays", PORT_MX, nothing, HELLO "MAIL FROM:<>\r\nRCPT TO:<away@example.test>\r\n" BODY,
	        "250 2.0.0 queued as ", "entry 0 from <>\nremote <away@elsewhere.example> domain=elsewhere.example\n",
	        0, 0, 0 },
	{ "a mailbox that fails is the queue's", PORT_MX, nothing, MX "RCPT TO:<mixed@example.test>\r\n" BODY,
	        "250 2.0.0 queued as ", "entry 0 from <a@client.example>\nlocal <mixed@example.test> account=4\n", 1, 0,
	        0 },
	{ "eight bits are seen", PORT_SUBMIT_TLS, nothing,
	        LOGIN "\r\nRCPT TO:<x@foreign.example>\r\nDATA\r\nFrom: alice@example.test\r\n\r\nh\xc3\xb6\r\n.\r\n",
	        "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 flags=2\nremote <x@foreign.example> domain=foreign.example\n",
	        0, 0, 0 },
	{ "SMTPUTF8 only when it is needed", PORT_SUBMIT_TLS, nothing,
	        LOGIN " SMTPUTF8\r\nRCPT TO:<x@foreign.example>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1\nremote <x@foreign.example> domain=foreign.example\n", 0,
	        0, 0 },
	{ "SMTPUTF8 for an address", PORT_SUBMIT_TLS, nothing,
	        LOGIN " SMTPUTF8\r\nRCPT TO:<\xc3\xb6@foreign.example>\r\n" BODY, "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 flags=1\nremote <\xc3\xb6@foreign.example> domain=foreign.example\n",
	        0, 0, 0 },
	{ "SMTPUTF8 for the address that an alias leads to", PORT_MX, nothing,
	        HELLO "MAIL FROM:<>\r\nRCPT TO:<world@example.test>\r\nRCPT TO:<away@example.test>\r\n" BODY,
	        "250 2.0.0 queued as ",
	        "entry 0 from <> flags=1\nremote <w\xc3\xb6rld@elsewhere.example> domain=elsewhere.example\n"
	        "entry -1 from <>\nremote <away@elsewhere.example> domain=elsewhere.example\n",
	        0, 0, 0 },
	{ "TLS-Required: No", PORT_SUBMIT_TLS, nothing,
	        LOGIN
	        "\r\nRCPT TO:<x@foreign.example>\r\nDATA\r\nFrom: alice@example.test\r\ntls-required: no\r\n\r\nh\r\n.\r\n",
	        "250 2.0.0 queued as ",
	        "entry 0 from <alice@example.test> account=1 flags=16\nremote <x@foreign.example> domain=foreign.example\n",
	        0, 0, 0 },
	{ "an address that would be made by SRS, but not by us", PORT_MX, nothing,
	        HELLO "MAIL FROM:<>\r\nRCPT TO:<SRS0=AAAA=BB=foreign.example=x@example.test>\r\n", "550 5.1.1 ", "", 0,
	        0, 0 },
	{ "a forward that comes back", PORT_MX, nothing,
	        MX "RCPT TO:<away@example.test>\r\nDATA\r\nDelivered-To: AWAY@example.test\r\n\r\nx\r\n.\r\n",
	        "554 5.4.6 ", "", 0, 0, 0 },
	{ "a forward of somebody else's", PORT_MX, nothing,
	        HELLO
	        "MAIL FROM:<>\r\nRCPT TO:<away@example.test>\r\nDATA\r\nDelivered-To: bob@example.test\r\n\r\nx\r\n.\r\n",
	        "250 2.0.0 queued as ", "entry 0 from <>\nremote <away@elsewhere.example> domain=elsewhere.example\n",
	        0, 0, 0 },
};

/* The reply to the last command. */
static const char *last_reply(const char *output)
{
	const char *end = output + strlen(output), *line = end;

	while (line > output && !(line < end - 2 && line[-1] == '\n'))
		line--;
	return line;
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct queueing_case *c = &cases[i];
		struct fake_world world;
		struct conn *conn;

		fake_init(&world);
		c->prepare(&world);
		conn = fake_connect(&world, c->port);
		fake_send(conn, span_of(c->send));
		if (!span_starts(span_of(last_reply(fake_output(conn))), span_of(c->want)))
			fail_msg("%s: want %s, got\n%s", c->name, c->want, fake_output(conn));
		if (strcmp(buffer_text(&world.queued), c->queued) != 0)
			fail_msg("%s: queued\n%swant\n%s", c->name, buffer_text(&world.queued), c->queued);
		if (world.delivered[1] != c->alice || world.delivered[2] != c->bob || world.sent[1] != c->sent)
			fail_msg("%s: alice has %u, bob %u, Sent %u", c->name, world.delivered[1], world.delivered[2],
			        world.sent[1]);
		/* Ids are recorded of what the queue has too, and of nothing else. */
		assert_int_equal(world.recorded[1], c->sent > 0 && c->queued[0] != '\0' && c->bob == 0);
		assert_int_equal(world.recorded[2], 0);
		fake_release(&conn);
		fake_free(&world);
		clock_set_for_test(-1, -1);
	}
}

/* The client goes away after n steps: nothing is left behind (ASan, fake_free). */
static void test_hang_up_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool moved = true;

		for (unsigned steps = 0; moved; steps++) {
			struct fake_world world;
			struct conn *conn;

			fake_init(&world);
			cases[i].prepare(&world);
			conn = fake_connect(&world, cases[i].port);
			fake_queue(conn, span_of(cases[i].send));
			for (unsigned step = 0; moved && step < steps; step++)
				moved = fake_step(&world);
			fake_hang_up(conn);
			fake_release(&conn);
			fake_free(&world);
			clock_set_for_test(-1, -1);
		}
	}
}

/* A sender of another site is rewritten, for each alias by itself; the others keep the message and its sender as they are. A bounce for
 * it comes back the same way. */
static void test_forwarding(void **state)
{
	struct fake_world world;
	struct conn *conn;
	const char *queued, *rewritten;
	char address[400], rcpt[1024];
	size_t len;

	(void)state;
	fake_init(&world);
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(MX "RCPT TO:<both@example.test>\r\nRCPT TO:<away@example.test>\r\n" BODY));
	queued = buffer_text(&world.queued);
	assert_true(span_starts(
	        span_of(queued), SPAN("entry 0 from <a@client.example>\nlocal <both@example.test> account=2\n"
	                              "entry -1 from <SRS0=")));
	assert_non_null(strstr(queued,
	        "@example.test>\nremote <away@elsewhere.example> domain=elsewhere.example\nentry -2 from <SRS0="));
	assert_true(span_starts(
	        buffer_span(&world.last), SPAN("Delivered-To: away@example.test\r\nReceived: from client.example")));
	rewritten = strstr(queued, "<SRS0=") + 1;
	len = strcspn(rewritten, ">");
	assert_true(span_copy(span_make(rewritten, len), address, sizeof(address)));
	buffer_clear(&world.queued);
	snprintf(rcpt, sizeof(rcpt),
	        "MAIL FROM:<x@y.example>\r\nRCPT TO:<%s>\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\n" BODY, address,
	        address);
	fake_clear(conn);
	fake_send(conn, span_of(rcpt));
	assert_non_null(strstr(fake_output(conn), "\r\n550 5.7.1 this address takes delivery reports only"));
	assert_string_equal(
	        buffer_text(&world.queued), "entry 0 from <>\nremote <a@client.example> domain=client.example\n");
	assert_false(span_starts(buffer_span(&world.last), SPAN("Delivered-To"))); /* nobody forwards it now */
	fake_release(&conn);
	fake_free(&world);
}

static void test_limits_of_a_day(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	fake_init(&world);
	world.may_send = 2;
	conn = fake_connect(&world, PORT_SUBMIT_TLS);
	fake_send(conn, SPAN(LOGIN "\r\nRCPT TO:<a@foreign.example>\r\nRCPT TO:<b@foreign.example>\r\n"));
	fake_clear(conn);
	fake_send(conn, SPAN("RCPT TO:<c@foreign.example>\r\n"));
	assert_string_equal(fake_output(conn), "451 4.7.1 you have written to 2 recipients today\r\n");
	assert_non_null(strstr(buffer_text(&world.told), "limit <c@foreign.example>: 451 4.7.1 "));
	fake_clear(conn);
	fake_send(conn, SPAN("RCPT TO:<bob@example.test>\r\n")); /* those here do not count */
	assert_int_equal(strncmp(fake_output(conn), "250 ", 4), 0);
	world.may_send = 1; /* another session has sent meanwhile */
	fake_clear(conn);
	fake_send(conn, SPAN(BODY));
	assert_non_null(strstr(fake_output(conn), "\r\n451 4.7.1 "));
	assert_string_equal(buffer_text(&world.queued), "");
	assert_int_equal(world.delivered[2], 0);
	world.options.recipients_a_day = 0; /* none for her */
	fake_clear(conn);
	fake_send(conn,
	        SPAN("MAIL FROM:<alice@example.test>\r\nRCPT TO:<a@foreign.example>\r\nRCPT TO:<b@foreign.example>\r\n" BODY));
	assert_non_null(strstr(fake_output(conn), "\r\n250 2.0.0 queued as "));
	fake_release(&conn);
	fake_free(&world);
}

/* The sessions of a stolen password are over when the admin says so. */
static void test_disabled_meanwhile(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	fake_init(&world);
	conn = fake_connect(&world, PORT_SUBMIT_TLS);
	fake_send(conn, SPAN(LOGIN "\r\nRSET\r\n"));
	world.disabled = true;
	fake_clear(conn);
	fake_send(conn, SPAN("MAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\n"));
	assert_string_equal(fake_output(conn), "550 5.7.13 this account is disabled\r\n503 5.5.1 say MAIL first\r\n");
	fake_release(&conn);
	fake_free(&world);
}

static void test_what_is_told(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	fake_init(&world);
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(MX "RCPT TO:<nobody@example.test>\r\nRCPT TO:<alice@example.test>\r\n" BODY));
	assert_string_equal(buffer_text(&world.told),
	        "refused <nobody@example.test>: 550 5.1.1 no such mailbox here\n"
	        "received <alice@example.test>: from client.example [192.0.2.7] with ESMTP, 1 recipient\n"
	        "delivered <alice@example.test>: alice@example.test: INBOX, UID 1\n");
	buffer_clear(&world.told);
	fake_send(conn, SPAN("MAIL FROM:<>\r\nRCPT TO:<both@example.test>\r\n" BODY));
	assert_string_equal(buffer_text(&world.told),
	        "recipient <both@example.test>: an alias: 1 here, 1 elsewhere: away@elsewhere.example\n"
	        "received <both@example.test>: from client.example [192.0.2.7] with ESMTP, 1 recipient\n"
	        "queued <both@example.test>: 1 recipient\n"
	        "queued <both@example.test>: 1 recipient, forwarded by both@example.test as <>\n");
	fake_release(&conn);
	fake_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_hang_up_anywhere),
		cmocka_unit_test(test_forwarding),
		cmocka_unit_test(test_limits_of_a_day),
		cmocka_unit_test(test_disabled_meanwhile),
		cmocka_unit_test(test_what_is_told),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
