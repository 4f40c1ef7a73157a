/* Sessions that others open for their clients: LMTP (RFC 2033), XCLIENT, the PROXY protocol; against a world in memory. */
#include "fake.h"

#include "base/log.h"
#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LHLO   "LHLO foo.edu\r\n"
#define SENDER "MAIL FROM:<chris@bar.com>\r\n"
#define BODY   "DATA\r\nFrom: a@client.example\r\n\r\nhello\r\n.\r\n"
#define ALICE  "RCPT TO:<alice@example.test>\r\n"
#define BOB    "RCPT TO:<bob@example.test>\r\n"
#define BROKEN "RCPT TO:<broken@example.test>\r\n"
#define MIXED  "RCPT TO:<mixed@example.test>\r\n" /* alice, who can, and broken, who cannot */
#define BOTH   "RCPT TO:<both@example.test>\r\n"  /* bob, and another server */
#define HALF   "RCPT TO:<half@example.test>\r\n"  /* broken, who cannot, and another server */
#define AWAY   "RCPT TO:<away@example.test>\r\n"  /* another server */

/* PROXY, version 2 */
#define HEADER       "\r\n\r\n\0\r\nQUIT\n"
#define FROM_IN4     HEADER "\x21\x11\0\x0c\xc6\x33\x64\x07\xc0\0\x02\x01\xd4\x31\0\x19" /* 198.51.100.7 */
#define FROM_IN4_TLV HEADER "\x21\x11\0\x11\xc6\x33\x64\x07\xc0\0\x02\x01\xd4\x31\0\x19\x04\0\x02xy"
#define IN6          "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"
#define FROM_IN6     HEADER "\x21\x21\0\x24" IN6 IN6 "\xd4\x31\0\x19"
#define LOCAL        HEADER "\x20\0\0\0"
#define UNSPEC       HEADER "\x21\0\0\0"

static void trust(struct fake_world *world, struct smtp_networks *networks)
{
	struct error err;

	(void)world;
	assert_true(network_parse_list(SPAN("192.0.2.7"), networks->list, &networks->count, &err));
}

/* Replies by their codes: "250 2.1.0;354;". */
static void codes(const char *output, char *out, size_t size)
{
	struct span rest = span_of(output), line;
	size_t len = 0;

	out[0] = '\0';
	while (span_take_until(&rest, '\n', &line)) {
		struct span word = span_skip(line, 4);
		bool enhanced = word.len > 5 && word.ptr[1] == '.' && (word.ptr[3] == '.' || word.ptr[4] == '.');
		size_t blank = 0;

		if (line.len < 4 || line.ptr[3] == '-')
			continue;
		if (enhanced)
			assert_true(span_find(word, ' ', &blank));
		len += (size_t)snprintf(
		        out + len, size - len, "%.3s%s%.*s;", line.ptr, blank > 0 ? " " : "", (int)blank, word.ptr);
		assert_true(len < size);
	}
}

/* --- LMTP ---------------------------------------------------------------------------------------------------------- */

static void nothing(struct fake_world *world)
{
	(void)world;
}

static void disk_is_full(struct fake_world *world)
{
	world->queue_fails = true;
}

static const struct lmtp_case {
	const char *name;
	void (*prepare)(struct fake_world *world);
	const char *send;
	const char *want; /* codes after the greeting */
	const char *queued;
	unsigned alice, bob, recorded_alice;
} lmtp_cases[] = {
	{ "RFC 2033 §4.2: two of three", nothing,
	        LHLO SENDER ALICE "RCPT TO:<green@example.test>\r\n" BROKEN BODY "QUIT\r\n",
	        "250;250 2.1.0;250 2.1.5;550 5.1.1;250 2.1.5;354;250 2.1.5;451 4.3.0;221 2.0.0;", "", 1, 0, 0 },
	{ "the reply of each, in order", nothing, LHLO SENDER BROKEN BOB ALICE BODY,
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;250 2.1.5;354;451 4.3.0;250 2.1.5;250 2.1.5;", "", 1, 1, 0 },
	{ "the same mailbox twice", nothing, LHLO SENDER ALICE "RCPT TO:<Postmaster>\r\n" BODY,
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;354;250 2.1.5;250 2.1.5;", "", 1, 0, 0 },
	{ "the same that fails, twice", nothing, LHLO SENDER BROKEN BROKEN BODY,
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;354;451 4.3.0;451 4.3.0;", "", 0, 0, 0 },
	{ "an alias of which one has it: the other is ours", nothing, LHLO SENDER MIXED BODY,
	        "250;250 2.1.0;250 2.1.5;354;250 2.1.5;",
	        "entry 0 from <chris@bar.com>\nlocal <mixed@example.test> account=4\n", 1, 0, 0 },
	{ "the same, and it cannot be ours", disk_is_full, LHLO SENDER MIXED BOB BODY,
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;354;452 4.3.1;250 2.1.5;", "", 1, 1, 1 },
	{ "an alias that leads away, too", nothing, LHLO "MAIL FROM:<>\r\n" BOTH ALICE BODY,
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;354;250 2.1.5;250 2.1.5;",
	        "entry 0 from <>\nremote <away@elsewhere.example> domain=elsewhere.example\n", 1, 1, 0 },
	{ "an alias that leads away, and its mailbox fails: both are ours", nothing, LHLO "MAIL FROM:<>\r\n" HALF BODY,
	        "250;250 2.1.0;250 2.1.5;354;250 2.1.5;",
	        "entry 0 from <>\nlocal <half@example.test> account=4\n"
	        "entry -1 from <>\nremote <away@elsewhere.example> domain=elsewhere.example\n",
	        0, 0, 0 },
	{ "the same, and cannot be queued", disk_is_full, LHLO "MAIL FROM:<>\r\n" HALF BODY,
	        "250;250 2.1.0;250 2.1.5;354;452 4.3.1;", "", 0, 0, 0 },
	{ "an alias that only leads away", nothing, LHLO "MAIL FROM:<>\r\n" AWAY BODY,
	        "250;250 2.1.0;250 2.1.5;354;250 2.1.5;",
	        "entry 0 from <>\nremote <away@elsewhere.example> domain=elsewhere.example\n", 0, 0, 0 },
	{ "the same, and cannot be queued", disk_is_full, LHLO "MAIL FROM:<>\r\n" AWAY BODY,
	        "250;250 2.1.0;250 2.1.5;354;452 4.3.1;", "", 0, 0, 0 },
	{ "with others, and cannot be queued", disk_is_full, LHLO "MAIL FROM:<>\r\n" AWAY BOB BODY,
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;354;452 4.3.1;250 2.1.5;", "", 0, 1, 0 },
	{ "only our domains", nothing, LHLO SENDER "RCPT TO:<x@foreign.example>\r\nDATA\r\n",
	        "250;250 2.1.0;550 5.7.1;503 5.5.1;", "", 0, 0, 0 },
	{ "RFC 2033 §4.1: neither HELO nor EHLO", nothing, "EHLO foo.edu\r\nHELO foo.edu\r\n" SENDER,
	        "500 5.5.1;500 5.5.1;503 5.5.1;", "", 0, 0, 0 },
	{ "what SMTP has and LMTP has not", nothing,
	        LHLO "AUTH PLAIN good\r\nETRN example.test\r\nXCLIENT NAME=x\r\n"
	             "MAIL FROM:<a@b> RET=FULL\r\nMAIL FROM:<a@b> BY=600;N\r\nMAIL FROM:<a@b>\r\n"
	             "RCPT TO:<alice@example.test> NOTIFY=SUCCESS\r\n",
	        "250;502 5.5.1;502 5.5.1;550 5.7.0;555 5.5.4;555 5.5.4;250 2.1.0;555 5.5.4;", "", 0, 0, 0 },
	{ "RFC 2033 §4.3: BDAT LAST has the replies", nothing,
	        LHLO SENDER ALICE BROKEN "BDAT 3\r\nA: BDAT 5 LAST\r\nb\r\n\r\n",
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;250 2.0.0;250 2.1.5;451 4.3.0;", "", 1, 0, 0 },
	{ "BDAT without a recipient has one", nothing, LHLO SENDER "BDAT 3 LAST\r\nA: ", "250;250 2.1.0;503 5.5.1;", "",
	        0, 0, 0 },
	{ "all are told what is wrong with the message", nothing, LHLO SENDER ALICE BOB "DATA\r\na\nb\r\n.\r\n",
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;354;550 5.6.11;550 5.6.11;", "", 0, 0, 0 },
	{ "pipelined, and the next", nothing, LHLO SENDER ALICE BODY SENDER BOB BODY,
	        "250;250 2.1.0;250 2.1.5;354;250 2.1.5;250 2.1.0;250 2.1.5;354;250 2.1.5;", "", 1, 1, 0 },
};

static void test_lmtp(void **state)
{
	char got[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lmtp_cases); i++) {
		const struct lmtp_case *c = &lmtp_cases[i];
		struct fake_world world;
		struct conn *conn;

		fake_init(&world);
		trust(&world, &world.server.relay);
		c->prepare(&world);
		conn = fake_connect(&world, PORT_DELIVER);
		assert_string_equal(fake_output(conn), "220 mail.example.test LMTP Posthouse\r\n");
		fake_clear(conn);
		fake_send(conn, span_of(c->send));
		codes(fake_output(conn), got, sizeof(got));
		if (strcmp(got, c->want) != 0)
			fail_msg("%s: got %s\nwant %s\n%s", c->name, got, c->want, fake_output(conn));
		if (strcmp(buffer_text(&world.queued), c->queued) != 0)
			fail_msg("%s: queued\n%swant\n%s", c->name, buffer_text(&world.queued), c->queued);
		if (world.delivered[1] != c->alice || world.delivered[2] != c->bob ||
		        world.recorded[1] != c->recorded_alice)
			fail_msg("%s: alice has %u, bob %u, recorded %u", c->name, world.delivered[1],
			        world.delivered[2], world.recorded[1]);
		fake_release(&conn);
		fake_free(&world);
	}
}

static void test_lmtp_hang_up_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lmtp_cases); i++) {
		bool moved = true;

		for (unsigned steps = 0; moved; steps++) {
			struct fake_world world;
			struct conn *conn;

			fake_init(&world);
			trust(&world, &world.server.relay);
			lmtp_cases[i].prepare(&world);
			conn = fake_connect(&world, PORT_DELIVER);
			fake_queue(conn, span_of(lmtp_cases[i].send));
			for (unsigned step = 0; moved && step < steps; step++)
				moved = fake_step(&world);
			fake_hang_up(conn);
			fake_release(&conn);
			fake_free(&world);
		}
	}
}

/* A loop, seen when the message is looked at: several mailboxes are prepared in a job of their own. */
static void test_lmtp_refused_message(void **state)
{
	struct fake_world world;
	struct conn *conn;
	char got[1024];

	(void)state;
	fake_init(&world);
	world.server.settings.max_hops = 1;
	trust(&world, &world.server.relay);
	conn = fake_connect(&world, PORT_DELIVER);
	fake_clear(conn);
	fake_send(conn, SPAN(LHLO SENDER ALICE BOB BOTH "DATA\r\nReceived: a\r\nReceived: b\r\n\r\nhello\r\n.\r\n"
	                                                "RSET\r\n" SENDER ALICE
	                                                "DATA\r\nReceived: a\r\nReceived: b\r\n\r\nhello\r\n.\r\n"));
	codes(fake_output(conn), got, sizeof(got));
	assert_string_equal(got, "250;250 2.1.0;250 2.1.5;250 2.1.5;250 2.1.5;354;554 5.4.6;554 5.4.6;554 5.4.6;"
	                         "250 2.0.0;250 2.1.0;250 2.1.5;354;554 5.4.6;");
	assert_string_equal(buffer_text(&world.queued), "");
	assert_int_equal(world.delivered[1] + world.delivered[2], 0);
	fake_release(&conn);
	fake_free(&world);
}

static void test_lmtp_is_for_known_servers(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	fake_init(&world);
	conn = fake_connect(&world, PORT_DELIVER);
	assert_string_equal(
	        fake_output(conn), "421 4.7.1 mail.example.test takes mail by LMTP from its relay_networks only\r\n");
	assert_false(fake_is_open(conn));
	fake_release(&conn);
	conn = fake_connect(&world, PORT_MX);
	fake_clear(conn);
	fake_send(conn, SPAN(LHLO));
	assert_string_equal(fake_output(conn), "500 5.5.1 this is SMTP, say EHLO\r\n");
	fake_release(&conn);
	fake_free(&world);
}

static void test_lmtp_announces(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	fake_init(&world);
	trust(&world, &world.server.relay);
	conn = fake_connect(&world, PORT_DELIVER);
	fake_clear(conn);
	fake_send(conn, SPAN(LHLO));
	assert_string_equal(fake_output(conn), /* RFC 2033 §5: the first and the last but one of these it must have */
	        "250-mail.example.test\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250-STARTTLS\r\n250-8BITMIME\r\n"
	        "250-ENHANCEDSTATUSCODES\r\n250-HELP\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"
	        "250 LIMITS RCPTMAX=100\r\n");
	fake_send(conn, SPAN(SENDER ALICE BODY));
	assert_non_null(strstr(buffer_text(&world.last), "\r\n\tby mail.example.test with LMTP\r\n"));
	fake_release(&conn);
	fake_free(&world);
}

/* --- XCLIENT, PROXY -------------------------------------------------------------------------------------------------- */

#define HELLO          "EHLO proxy.example\r\n"
#define MAIL           "MAIL FROM:<a@client.example>\r\n" ALICE BODY
#define PLAIN(literal) SPAN(literal)

enum who { NOBODY, XCLIENT, PROXY };

static const struct proxied_case {
	const char *name;
	enum smtp_port port;
	enum who who; /* the peer is */
	struct span send;
	const char *want;     /* codes after the first greeting */
	const char *received; /* in the message; NULL: there is none */
	bool open;
} proxied_cases[] = {
	{ "Postfix's XCLIENT_README, example 1", PORT_MX, XCLIENT,
	        PLAIN("EHLO client.example.com\r\nXCLIENT NAME=spike.porcupine.org ADDR=168.100.189.2\r\n"
	              "EHLO spike.porcupine.org\r\n" MAIL),
	        "250;220;250;250 2.1.0;250 2.1.5;354;250 2.0.0;",
	        "from spike.porcupine.org (spike.porcupine.org [168.100.189.2])\r\n", true },
	{ "HELO and PROTO, which the proxy's EHLO does not change", PORT_MX, XCLIENT,
	        PLAIN("XCLIENT ADDR=198.51.100.7 PORT=54321 HELO=its.example PROTO=SMTP\r\n" HELLO MAIL),
	        "220;250;250 2.1.0;250 2.1.5;354;250 2.0.0;",
	        "from its.example ([198.51.100.7])\r\n\tby mail.example.test with SMTP\r\n", true },
	{ "IPv6, and another client after it", PORT_MX, XCLIENT,
	        PLAIN("XCLIENT ADDR=IPV6:2001:db8::9 HELO=six.example\r\nXCLIENT ADDR=IPv6:2001:DB8::a\r\nEHLO ten.example\r\n" MAIL),
	        "220;220;250;250 2.1.0;250 2.1.5;354;250 2.0.0;", "from ten.example ([IPv6:2001:db8::a])\r\n", true },
	{ "another address has not the name of the last one", PORT_MX, XCLIENT,
	        PLAIN("XCLIENT NAME=spike.porcupine.org ADDR=168.100.189.2\r\nXCLIENT ADDR=198.51.100.7\r\n" HELLO
	                        MAIL),
	        "220;220;250;250 2.1.0;250 2.1.5;354;250 2.0.0;", "from proxy.example ([198.51.100.7])\r\n", true },
	{ "the name of the same address stays, and goes when it is not known any more", PORT_MX, XCLIENT,
	        PLAIN("XCLIENT ADDR=198.51.100.7\r\nXCLIENT NAME=a.example\r\nXCLIENT HELO=b.example\r\n" HELLO MAIL),
	        "220;220;220;250;250 2.1.0;250 2.1.5;354;250 2.0.0;", "from b.example (a.example [198.51.100.7])\r\n",
	        true },
	{ "the name is not known", PORT_MX, XCLIENT,
	        PLAIN("XCLIENT NAME=a.example ADDR=198.51.100.7\r\nXCLIENT NAME=[UNAVAILABLE]\r\n" HELLO MAIL),
	        "220;220;250;250 2.1.0;250 2.1.5;354;250 2.0.0;", "from proxy.example ([198.51.100.7])\r\n", true },
	{ "what is not announced is not taken", PORT_MX, XCLIENT, PLAIN("XCLIENT DESTADDR=192.0.2.1\r\n"), "501 5.5.4;",
	        NULL, true },
	{ "all is forgotten", PORT_MX, XCLIENT, PLAIN(HELLO "XCLIENT NAME=[UNAVAILABLE]\r\nMAIL FROM:<a@b>\r\n"),
	        "250;220;503 5.5.1;", NULL, true },
	{ "not inside a transaction", PORT_MX, XCLIENT, PLAIN(HELLO "MAIL FROM:<a@b>\r\nXCLIENT ADDR=198.51.100.7\r\n"),
	        "250;250 2.1.0;503 5.5.1;", NULL, true },
	{ "not for everybody", PORT_MX, NOBODY, PLAIN(HELLO "XCLIENT ADDR=198.51.100.7\r\n" MAIL),
	        "250;550 5.7.0;250 2.1.0;250 2.1.5;354;250 2.0.0;", "from proxy.example ([192.0.2.7])\r\n", true },
	{ "what is malformed changes nothing", PORT_MX, XCLIENT,
	        PLAIN(HELLO
	                "XCLIENT ADDR=x\r\nXCLIENT ADDR\r\nXCLIENT FOO=bar\r\nXCLIENT ADDR=2001:db8::1\r\nXCLIENT PORT=99999\r\n"
	                "XCLIENT HELO=a+0Ab\r\nXCLIENT NAME=a NAME=b\r\nXCLIENT\r\n" MAIL),
	        "250;501 5.5.4;501 5.5.4;501 5.5.4;501 5.5.4;501 5.5.4;501 5.5.4;501 5.5.4;501 5.5.4;"
	        "250 2.1.0;250 2.1.5;354;250 2.0.0;",
	        "from proxy.example ([192.0.2.7])\r\n", true },
	{ "LOGIN: who was let in there is let in here", PORT_SUBMIT, XCLIENT,
	        PLAIN("XCLIENT ADDR=198.51.100.7 LOGIN=alice@example.test\r\n" HELLO
	              "MAIL FROM:<bob@example.test>\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<x@foreign.example>\r\n"
	              "XCLIENT ADDR=198.51.100.8\r\nRSET\r\nXCLIENT ADDR=198.51.100.8\r\n" HELLO
	              "MAIL FROM:<alice@example.test>\r\n"),
	        "220;250;550 5.7.1;250 2.1.0;250 2.1.5;503 5.5.1;250 2.0.0;220;250;530 5.7.0;", NULL, true },
	{ "LOGIN: nobody, disabled", PORT_SUBMIT, XCLIENT,
	        PLAIN("XCLIENT LOGIN=no@example.test\r\nXCLIENT LOGIN=disabled@example.test\r\n" HELLO
	              "MAIL FROM:<a@b>\r\n"),
	        "550 5.7.1;550 5.7.13;250;530 5.7.0;", NULL, true },
	{ "PROXY: IPv4", PORT_MX, PROXY, PLAIN(FROM_IN4 HELLO MAIL), "220;250;250 2.1.0;250 2.1.5;354;250 2.0.0;",
	        "from proxy.example ([198.51.100.7])\r\n", true },
	{ "PROXY: IPv4 and TLVs", PORT_MX, PROXY, PLAIN(FROM_IN4_TLV HELLO MAIL),
	        "220;250;250 2.1.0;250 2.1.5;354;250 2.0.0;", "from proxy.example ([198.51.100.7])\r\n", true },
	{ "PROXY: IPv6", PORT_MX, PROXY, PLAIN(FROM_IN6 HELLO MAIL), "220;250;250 2.1.0;250 2.1.5;354;250 2.0.0;",
	        "from proxy.example ([IPv6:2001:db8::9])\r\n", true },
	{ "PROXY: its own", PORT_MX, PROXY, PLAIN(LOCAL HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<x@foreign.example>\r\n"),
	        "220;250;250 2.1.0;250 2.1.5;", NULL, true },
	{ "PROXY: an unknown client has not the proxy's rights", PORT_MX, PROXY,
	        PLAIN(UNSPEC HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<x@foreign.example>\r\n"),
	        "220;250;250 2.1.0;550 5.7.1;", NULL, true },
	{ "PROXY: a known one neither", PORT_MX, PROXY,
	        PLAIN(FROM_IN4 HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<x@foreign.example>\r\nXCLIENT NAME=x\r\n"),
	        "220;250;250 2.1.0;550 5.7.1;503 5.5.1;", NULL, true },
	{ "PROXY: LMTP goes by the client's address", PORT_DELIVER, PROXY, PLAIN(FROM_IN4 LHLO), "421 4.7.1;", NULL,
	        false },
	{ "no header", PORT_MX, PROXY, PLAIN(HELLO MAIL), "", NULL, false },
	{ "version 1", PORT_MX, PROXY, PLAIN("PROXY TCP4 198.51.100.7 192.0.2.1 5 25\r\n" HELLO), "", NULL, false },
	{ "a header from others is none", PORT_MX, NOBODY, PLAIN(FROM_IN4 HELLO),
	        "500 5.5.1;500 5.5.1;500 5.5.2;500 5.5.2;500 5.5.2;", NULL, true },
};

/* What the admin allows on this machine counts for who is known to be on it. */
static void test_unknown_is_not_near(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	fake_init(&world);
	world.server.settings.plaintext_auth_on_loopback = world.looks_near = true;
	trust(&world, &world.server.proxy);
	conn = fake_connect(&world, PORT_SUBMIT);
	fake_send(conn, PLAIN(UNSPEC HELLO "AUTH PLAIN good\r\n"));
	assert_null(strstr(fake_output(conn), "250-AUTH"));
	assert_non_null(strstr(fake_output(conn), "\r\n538 5.7.11 "));
	fake_release(&conn);
	conn = fake_connect(&world, PORT_SUBMIT);
	fake_send(conn, PLAIN(LOCAL HELLO "AUTH PLAIN good\r\n"));
	assert_non_null(strstr(fake_output(conn), "\r\n235 2.7.0 "));
	fake_release(&conn);
	fake_free(&world);
}

static void play(const struct proxied_case *c, size_t piece)
{
	struct fake_world world;
	struct conn *conn;
	char got[1024];

	fake_init(&world);
	if (c->who == XCLIENT)
		trust(&world, &world.server.xclient);
	if (c->who == PROXY) {
		trust(&world, &world.server.proxy);
		trust(&world, &world.server.relay);
		trust(&world, &world.server.xclient);
	}
	conn = fake_connect(&world, c->port);
	if (c->who == PROXY)
		assert_string_equal(fake_output(conn), "");
	fake_clear(conn);
	for (struct span rest = c->send; rest.len > 0 && fake_is_open(conn); rest = span_skip(rest, piece))
		fake_send(conn, span_first(rest, piece));
	codes(fake_output(conn), got, sizeof(got));
	if (strcmp(got, c->want) != 0)
		fail_msg("%s: got %s\nwant %s\n%s", c->name, got, c->want, fake_output(conn));
	assert_int_equal(world.delivered[1], c->received != NULL);
	if (c->received != NULL && strstr(buffer_text(&world.last), c->received) == NULL)
		fail_msg("%s: %s", c->name, buffer_text(&world.last));
	if (fake_is_open(conn) != c->open)
		fail_msg("%s: open or not", c->name);
	fake_release(&conn);
	fake_free(&world);
}

static void test_proxied(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(proxied_cases); i++) {
		play(&proxied_cases[i], SIZE_MAX);
		play(&proxied_cases[i], 1);
	}
}

static void test_a_proxied_address_may_be_full(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	for (enum who who = XCLIENT; who <= PROXY; who++) {
		fake_init(&world);
		world.address_is_full = true;
		trust(&world, who == PROXY ? &world.server.proxy : &world.server.xclient);
		conn = fake_connect(&world, PORT_MX);
		fake_clear(conn);
		fake_send(conn, who == PROXY ? SPAN(FROM_IN4) : SPAN("XCLIENT ADDR=198.51.100.7\r\n"));
		assert_string_equal(fake_output(conn), "421 4.7.0 too many connections, try again later\r\n");
		assert_false(fake_is_open(conn));
		fake_release(&conn);
		fake_free(&world);
	}
}

/* Nothing is said where TLS has to come first, not even goodbye. */
static void test_nothing_is_said_before_the_header(void **state)
{
	struct fake_world world;
	struct conn *evicted, *drained, *full;

	(void)state;
	fake_init(&world);
	trust(&world, &world.server.proxy);
	evicted = fake_connect(&world, PORT_SUBMIT_TLS);
	drained = fake_connect(&world, PORT_SUBMIT_TLS);
	full = fake_connect(&world, PORT_SUBMIT_TLS);
	fake_evict(evicted);
	world.address_is_full = true;
	fake_send(full, SPAN(FROM_IN4));
	server_drain(&world.server);
	fake_settle(&world);
	assert_string_equal(fake_output(evicted), "");
	assert_string_equal(fake_output(drained), "");
	assert_string_equal(fake_output(full), "");
	assert_true(!fake_is_open(drained) && !fake_is_open(full));
	fake_release(&evicted);
	fake_release(&drained);
	fake_release(&full);
	fake_free(&world);
}

/* 465: the header, then the handshake, then the greeting. */
static void test_the_header_comes_before_tls(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	fake_init(&world);
	trust(&world, &world.server.proxy);
	conn = fake_connect(&world, PORT_SUBMIT_TLS);
	assert_string_equal(fake_output(conn), "");
	fake_send(conn, SPAN(FROM_IN6));
	assert_string_equal(fake_output(conn), "220 mail.example.test ESMTP Posthouse\r\n");
	fake_send(conn, SPAN(HELLO "AUTH PLAIN good\r\n"));
	assert_non_null(strstr(fake_output(conn), "\r\n235 2.7.0 "));
	assert_null(strstr(fake_output(conn), "STARTTLS"));
	fake_release(&conn);
	fake_free(&world);
}

static void test_xclient_is_announced_to_them_only(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	fake_init(&world);
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(HELLO));
	assert_null(strstr(fake_output(conn), "XCLIENT"));
	fake_release(&conn);
	trust(&world, &world.server.xclient);
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(HELLO));
	assert_non_null(strstr(fake_output(conn), "\r\n250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN\r\n"));
	fake_release(&conn);
	fake_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lmtp),
		cmocka_unit_test(test_lmtp_hang_up_anywhere),
		cmocka_unit_test(test_lmtp_refused_message),
		cmocka_unit_test(test_lmtp_is_for_known_servers),
		cmocka_unit_test(test_lmtp_announces),
		cmocka_unit_test(test_unknown_is_not_near),
		cmocka_unit_test(test_proxied),
		cmocka_unit_test(test_a_proxied_address_may_be_full),
		cmocka_unit_test(test_nothing_is_said_before_the_header),
		cmocka_unit_test(test_the_header_comes_before_tls),
		cmocka_unit_test(test_xclient_is_announced_to_them_only),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
