/* Whole sessions against a world in memory: what goes in, what codes come out, and what was stored. */
#include "fake.h"

#include "base/log.h"
#include "base/macros.h"
#include "message/header.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HELLO    "EHLO client.example\r\n"
#define ENVELOPE "MAIL FROM:<a@client.example>\r\nRCPT TO:<alice@example.test>\r\n"
#define BINARY   HELLO "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<alice@example.test>\r\n"
#define MESSAGE  "DATA\r\nFrom: a@client.example\r\nSubject: x\r\n\r\nhello\r\n.\r\n"

#define ORCPT_50  "01234567890123456789012345678901234567890123456789"
#define ORCPT_400 ORCPT_50 ORCPT_50 ORCPT_50 ORCPT_50 ORCPT_50 ORCPT_50 ORCPT_50 ORCPT_50

/* Replies by their last lines: "250 2.1.0;250 2.1.5;354;" — code and enhanced code of each. */
static void codes(const char *output, char *out, size_t size)
{
	struct span rest = span_of(output), line;
	size_t len = 0;

	out[0] = '\0';
	while (span_take_until(&rest, '\n', &line)) {
		struct span word = span_skip(line, 4);
		size_t dots = 0, at = 0;

		if (line.len < 4 || line.ptr[3] == '-')
			continue;
		while (at < word.len && (ascii_is_digit((unsigned char)word.ptr[at]) || word.ptr[at] == '.'))
			dots += word.ptr[at++] == '.';
		len += (size_t)snprintf(out + len, size - len, "%.3s%s%.*s;", line.ptr, dots == 2 ? " " : "",
		        dots == 2 ? (int)at : 0, word.ptr);
		assert_true(len < size);
	}
}

static const struct session_case {
	const char *name;
	enum smtp_port port;
	const char *send;
	const char *want; /* codes after the greeting */
	bool open;        /* the session goes on */
	unsigned alice, bob;
} cases[] = {
	{ "one message", PORT_MX, HELLO ENVELOPE MESSAGE "QUIT\r\n", "250;250 2.1.0;250 2.1.5;354;250 2.0.0;221 2.0.0;",
	        false, 1, 0 },
	{ "HELO", PORT_MX, "HELO client.example\r\n" ENVELOPE MESSAGE, "250;250 2.1.0;250 2.1.5;354;250 2.0.0;", true,
	        1, 0 },
	{ "HELO has no parameters", PORT_MX, "HELO c\r\nMAIL FROM:<a@b> SIZE=1\r\n", "250;555 5.5.4;", true, 0, 0 },
	{ "two recipients", PORT_MX, HELLO ENVELOPE "RCPT TO:<bob@example.test>\r\n" MESSAGE,
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;354;250 2.0.0;", true, 1, 1 },
	{ "the same account twice", PORT_MX,
	        HELLO ENVELOPE "RCPT TO:<team@example.test>\r\nRCPT TO:<Postmaster>\r\n" MESSAGE,
	        "250;250 2.1.0;250 2.1.5;250 2.1.5;250 2.1.5;354;250 2.0.0;", true, 1, 1 },
	{ "two messages, the second pipelined", PORT_MX, HELLO ENVELOPE MESSAGE ENVELOPE MESSAGE,
	        "250;250 2.1.0;250 2.1.5;354;250 2.0.0;250 2.1.0;250 2.1.5;354;250 2.0.0;", true, 2, 0 },
	{ "lower case and blanks", PORT_MX,
	        "ehlo x\r\nmail from: <a@b> \r\nrcpt to: <ALICE@EXAMPLE.TEST>\r\ndata \r\nx\r\n.\r\n",
	        "250;250 2.1.0;250 2.1.5;354;250 2.0.0;", true, 1, 0 },
	{ "source route", PORT_MX, HELLO "MAIL FROM:<>\r\nRCPT TO:<@x.org,@y.org:alice@example.test>\r\n",
	        "250;250 2.1.0;250 2.1.5;", true, 0, 0 },
	{ "no relaying", PORT_MX,
	        HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<x@foreign.example>\r\nRCPT TO:<@example.test:x@foreign.example>\r\n"
	              "RCPT TO:<x%foreign.example@example.test>\r\nRCPT TO:<foreign.example!x@example.test>\r\n"
	              "RCPT TO:<\"x@foreign.example\"@example.test>\r\nRCPT TO:<alice@[127.0.0.1]>\r\n",
	        "250;250 2.1.0;550 5.7.1;550 5.7.1;550 5.1.1;550 5.1.1;550 5.1.1;550 5.7.1;", true, 0, 0 },
	{ "over quota", PORT_MX,
	        HELLO "MAIL FROM:<a@b> SIZE=100\r\nRCPT TO:<full@example.test>\r\nRSET\r\n"
	              "MAIL FROM:<a@b> SIZE=2000\r\nRCPT TO:<full@example.test>\r\n",
	        "250;250 2.1.0;452 4.2.2;250 2.0.0;250 2.1.0;552 5.2.2;", true, 0, 0 },
	{ "a store that fails", PORT_MX, HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<broken@example.test>\r\n" MESSAGE,
	        "250;250 2.1.0;250 2.1.5;354;451 4.3.0;", true, 0, 0 },
	{ "order: nothing before EHLO", PORT_MX, "MAIL FROM:<a@b>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n",
	        "503 5.5.1;503 5.5.1;503 5.5.1;", true, 0, 0 },
	{ "order: at any time", PORT_MX, "NOOP\r\nNOOP x y\r\nRSET\r\nVRFY alice\r\nHELP\r\nHELP MAIL\r\nQUIT\r\n",
	        "250 2.0.0;250 2.0.0;250 2.0.0;252 2.0.0;214 2.0.0;214 2.0.0;221 2.0.0;", false, 0, 0 },
	{ "order: inside", PORT_MX,
	        HELLO
	        "RCPT TO:<alice@example.test>\r\nDATA\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\nDATA\r\nSTARTTLS\r\n",
	        "250;503 5.5.1;503 5.5.1;250 2.1.0;503 5.5.1;503 5.5.1;503 5.5.1;", true, 0, 0 },
	{ "EHLO is a RSET", PORT_MX, HELLO ENVELOPE HELLO "DATA\r\nRCPT TO:<bob@example.test>\r\n",
	        "250;250 2.1.0;250 2.1.5;250;503 5.5.1;503 5.5.1;", true, 0, 0 },
	{ "a refused EHLO changes nothing", PORT_MX, HELLO ENVELOPE "EHLO\r\n" MESSAGE,
	        "250;250 2.1.0;250 2.1.5;501;354;250 2.0.0;", true, 1, 0 },
	{ "RSET forgets", PORT_MX, HELLO ENVELOPE "RSET\r\nDATA\r\n", "250;250 2.1.0;250 2.1.5;250 2.0.0;503 5.5.1;",
	        true, 0, 0 },
	{ "a refused MAIL changes nothing", PORT_MX,
	        HELLO "MAIL FROM:<a\r\nMAIL FROM:<a@b> SIZE=100001\r\n" ENVELOPE MESSAGE,
	        "250;501 5.1.7;552 5.3.4;250 2.1.0;250 2.1.5;354;250 2.0.0;", true, 1, 0 },
	{ "arguments", PORT_MX, HELLO "DATA x\r\nRSET x\r\nQUIT x\r\nMAIL\r\nVRFY\r\n",
	        "250;503 5.5.1;501 5.5.4;501 5.5.4;501 5.5.4;501 5.5.4;", true, 0, 0 },
	{ "not here", PORT_MX, HELLO "EXPN x\r\nTURN\r\nSEND FROM:<a@b>\r\nXYZZY\r\n\r\n",
	        "250;502 5.5.1;502 5.5.1;502 5.5.1;500 5.5.1;500 5.5.1;", true, 0, 0 },
	{ "RFC 6710 §4.1: a stranger may ask for less hurry", PORT_MX,
	        HELLO "MAIL FROM:<a@b> MT-PRIORITY=3\r\nRSET\r\nMAIL FROM:<a@b> MT-PRIORITY=-3\r\nRSET\r\n"
	              "MAIL FROM:<a@b> MT-PRIORITY=0\r\nRSET\r\nMAIL FROM:<a@b> MT-PRIORITY=x\r\n",
	        "250;250 2.3.6;250 2.0.0;250 2.1.0;250 2.0.0;250 2.1.0;250 2.0.0;501 5.5.2;", true, 0, 0 },
	{ "RFC 6710 §4.1: who is known for more", PORT_SUBMIT_TLS,
	        HELLO "AUTH PLAIN good\r\nMAIL FROM:<alice@example.test> MT-PRIORITY=3\r\n", "250;235 2.7.0;250 2.1.0;",
	        true, 0, 0 },
	{ "RFC 2852 §3, §4", PORT_MX,
	        HELLO "MAIL FROM:<a@b> BY=120;R\r\nMAIL FROM:<a@b> BY=0;R\r\nMAIL FROM:<a@b> BY=-1;N\r\n",
	        "250;555 5.5.4;501 5.5.4;250 2.1.0;", true, 0, 0 },
	{ "RFC 4865 §4.2, §5.2.2", PORT_SUBMIT_TLS,
	        HELLO
	        "AUTH PLAIN good\r\nMAIL FROM:<alice@example.test> HOLDFOR=0\r\n"
	        "MAIL FROM:<alice@example.test> HOLDFOR=601 BY=600;N\r\nMAIL FROM:<alice@example.test> HOLDFOR=600 BY=600;N\r\n",
	        "250;235 2.7.0;501 5.5.4;501 5.5.4;250 2.1.0;", true, 0, 0 },
	{ "no login on 25", PORT_MX, HELLO "AUTH PLAIN good\r\n", "250;502 5.5.1;", true, 0, 0 },
	{ "HTTP", PORT_MX, "POST / HTTP/1.1\r\nHost: x\r\n" HELLO, "421 4.7.0;", false, 0, 0 },
	{ "BDAT in two chunks", PORT_MX, HELLO ENVELOPE "BDAT 8\r\nS: x\r\n\r\nBDAT 7 LAST\r\n.body\r\nQUIT\r\n",
	        "250;250 2.1.0;250 2.1.5;250 2.0.0;250 2.0.0;221 2.0.0;", false, 1, 0 },
	{ "BDAT 0 LAST", PORT_MX, HELLO ENVELOPE "BDAT 8\r\nS: x\r\n\r\nBDAT 0 LAST\r\n",
	        "250;250 2.1.0;250 2.1.5;250 2.0.0;250 2.0.0;", true, 1, 0 },
	{ "BDAT: a line end in two chunks", PORT_MX, HELLO ENVELOPE "BDAT 2\r\na\rBDAT 2 LAST\r\n\nb",
	        "250;250 2.1.0;250 2.1.5;250 2.0.0;250 2.0.0;", true, 1, 0 },
	{ "BDAT nobody asked for is read, not obeyed", PORT_MX, HELLO "BDAT 6\r\nQUIT\r\nNOOP\r\n",
	        "250;503 5.5.1;250 2.0.0;", true, 0, 0 },
	{ "BDAT without a login", PORT_SUBMIT_TLS, HELLO "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "250;530 5.7.0;250 2.0.0;",
	        true, 0, 0 },
	{ "BDAT with a bare LF", PORT_MX, HELLO ENVELOPE "BDAT 3 LAST\r\na\nbNOOP\r\n",
	        "250;250 2.1.0;250 2.1.5;550 5.6.11;", false, 0, 0 },
	{ "BDAT that ends in a CR", PORT_MX, HELLO ENVELOPE "BDAT 2 LAST\r\na\r", "250;250 2.1.0;250 2.1.5;550 5.6.11;",
	        false, 0, 0 },
	{ "BDAT 0 LAST after a CR", PORT_MX, HELLO ENVELOPE "BDAT 2\r\na\rBDAT 0 LAST\r\n",
	        "250;250 2.1.0;250 2.1.5;250 2.0.0;550 5.6.11;", false, 0, 0 },
	{ "BDAT LAST without a blank", PORT_MX, HELLO ENVELOPE "BDAT 2LAST\r\nab", "250;250 2.1.0;250 2.1.5;501 5.5.4;",
	        false, 0, 0 },
	{ "DATA after BDAT", PORT_MX, HELLO ENVELOPE "BDAT 1\r\naDATA\r\nRCPT TO:<bob@example.test>\r\n",
	        "250;250 2.1.0;250 2.1.5;250 2.0.0;503 5.5.1;503 5.5.1;", true, 0, 0 },
	{ "RSET between chunks", PORT_MX, HELLO ENVELOPE "BDAT 1\r\naRSET\r\nBDAT 1 LAST\r\nb",
	        "250;250 2.1.0;250 2.1.5;250 2.0.0;250 2.0.0;503 5.5.1;", true, 0, 0 },
	{ "BDAT of more than 64 bits", PORT_MX, HELLO ENVELOPE "BDAT 99999999999999999999\r\n",
	        "250;250 2.1.0;250 2.1.5;501 5.5.4;", false, 0, 0 },
	{ "BDAT far too large", PORT_MX, HELLO ENVELOPE "BDAT 18446744073709551615\r\nx",
	        "250;250 2.1.0;250 2.1.5;552 5.3.4;", false, 0, 0 },
	{ "BDAT without a number", PORT_MX, HELLO ENVELOPE "BDAT LAST\r\nx", "250;250 2.1.0;250 2.1.5;501 5.5.4;",
	        false, 0, 0 },
	{ "binary comes by BDAT only", PORT_MX,
	        HELLO
	        "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nBDAT 5 LAST\r\n\r\na\nb",
	        "250;250 2.1.0;250 2.1.5;503 5.5.1;250 2.0.0;", true, 1, 0 },
	{ "binary: a header of lines that end otherwise", PORT_MX, BINARY "BDAT 17 LAST\r\nA: b\nC: d\r\n\r\nhi\r\n",
	        "250;250 2.1.0;250 2.1.5;550 5.6.11;", true, 0, 0 },
	{ "binary: between the parts", PORT_MX,
	        BINARY
	        "BDAT 71 LAST\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\n.\nQUIT\r\n--b\r\n\r\nx\r\n--b--\r\n",
	        "250;250 2.1.0;250 2.1.5;550 5.6.11;", true, 0, 0 },
	{ "bare LF in a command", PORT_MX, "EHLO x\nNOOP\r\n", "500 5.5.2;250 2.0.0;", true, 0, 0 },
	{ "control characters in a command", PORT_MX, HELLO "NOOP \001\r\nMAIL FROM:<a\r@b>\r\n",
	        "250;500 5.5.2;500 5.5.2;", true, 0, 0 },
	{ "ten bad commands", PORT_MX, "A\r\nB\r\nC\r\nD\r\nE\r\nF\r\nG\r\nH\r\nI\r\nJ\r\nK\r\nNOOP\r\n",
	        "500 5.5.1;500 5.5.1;500 5.5.1;500 5.5.1;500 5.5.1;500 5.5.1;500 5.5.1;500 5.5.1;500 5.5.1;500 5.5.1;"
	        "421 4.7.0;",
	        false, 0, 0 },
	{ "smuggling: LF . LF", PORT_MX, HELLO ENVELOPE "DATA\r\nx\n.\nMAIL FROM:<evil@b>\r\n.\r\nNOOP\r\n",
	        "250;250 2.1.0;250 2.1.5;354;550 5.6.11;", false, 0, 0 },
	{ "smuggling: CR . CR", PORT_MX, HELLO ENVELOPE "DATA\r\nx\r.\r\r\n.\r\nNOOP\r\n",
	        "250;250 2.1.0;250 2.1.5;354;550 5.6.11;", false, 0, 0 },
	{ "UTF-8 address", PORT_MX,
	        HELLO "MAIL FROM:<\xc3\xb6@b> SMTPUTF8\r\nRCPT TO:<j\xc3\xb6rg@example.test>\r\n" MESSAGE,
	        "250;250 2.1.0;250 2.1.5;354;250 2.0.0;", true, 0, 1 },
	{ "UTF-8 address without SMTPUTF8", PORT_MX,
	        HELLO "MAIL FROM:<\xc3\xb6@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<j\xc3\xb6rg@example.test>\r\n",
	        "250;550 5.6.7;250 2.1.0;553 5.6.7;", true, 0, 0 },
	{ "submission wants STARTTLS", PORT_SUBMIT,
	        HELLO ENVELOPE "DATA\r\nAUTH PLAIN good\r\nAUTH SCRAM-SHA-256 good\r\n",
	        "250;530 5.7.0;530 5.7.0;530 5.7.0;538 5.7.11;538 5.7.11;", true, 0, 0 },
	{ "submission", PORT_SUBMIT, HELLO "STARTTLS\r\n", "250;220 2.0.0;", true, 0, 0 },
	{ "STARTTLS injection", PORT_SUBMIT, HELLO "STARTTLS\r\n" HELLO, "250;220 2.0.0;", false, 0, 0 },
	{ "submission over TLS", PORT_SUBMIT_TLS,
	        HELLO "AUTH PLAIN good\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
	              "From: Alice <alice@example.test>\r\n\r\nx\r\n.\r\n",
	        "250;235 2.7.0;250 2.1.0;250 2.1.5;354;250 2.0.0;", true, 0, 1 },
	{ "submission: foreign sender", PORT_SUBMIT_TLS,
	        HELLO
	        "AUTH PLAIN good\r\nMAIL FROM:<bob@example.test>\r\nMAIL FROM:<x@foreign.example>\r\nMAIL FROM:<>\r\n",
	        "250;235 2.7.0;550 5.7.1;550 5.7.1;250 2.1.0;", true, 0, 0 },
	{ "submission: foreign From", PORT_SUBMIT_TLS,
	        HELLO "AUTH PLAIN good\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
	              "From: bob@example.test\r\n\r\nx\r\n.\r\n",
	        "250;235 2.7.0;250 2.1.0;250 2.1.5;354;550 5.7.1;", true, 0, 0 },
	{ "submission: two From, or none", PORT_SUBMIT_TLS,
	        HELLO
	        "AUTH PLAIN good\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
	        "From: alice@example.test\r\nFrom: alice@example.test\r\n\r\nx\r\n.\r\n"
	        "MAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n",
	        "250;235 2.7.0;250 2.1.0;250 2.1.5;354;554 5.6.0;250 2.1.0;250 2.1.5;354;554 5.6.0;", true, 0, 0 },
	{ "submission: also to other domains", PORT_SUBMIT_TLS,
	        HELLO "AUTH PLAIN good\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<x@foreign.example>\r\n"
	              "RCPT TO:<nobody@example.test>\r\n",
	        "250;235 2.7.0;250 2.1.0;250 2.1.5;550 5.1.1;", true, 0, 0 },
	{ "AUTH: continuation, cancel, bad", PORT_SUBMIT_TLS,
	        HELLO
	        "AUTH PLAIN\r\n*\r\nAUTH PLAIN bad\r\nAUTH PLAIN ???\r\nAUTH NTLM\r\nAUTH PLAIN more\r\ngood\r\nAUTH PLAIN good\r\n",
	        "250;334;501 5.7.0;535 5.7.8;501 5.5.2;504 5.5.4;334;235 2.7.0;503 5.5.1;", true, 0, 0 },
	{ "AUTH: the last word of SCRAM", PORT_SUBMIT_TLS, HELLO "AUTH SCRAM-SHA-256 good\r\n\r\nNOOP\r\n",
	        "250;334;235 2.7.0;250 2.0.0;", true, 0, 0 },
	{ "AUTH: the last word of SCRAM, refused", PORT_SUBMIT_TLS,
	        HELLO "AUTH SCRAM-SHA-256 good\r\n*\r\nMAIL FROM:<alice@example.test>\r\n",
	        "250;334;501 5.7.0;530 5.7.0;", true, 0, 0 },
	{ "AUTH: five failures", PORT_SUBMIT_TLS,
	        HELLO
	        "AUTH PLAIN bad\r\nAUTH PLAIN bad\r\nAUTH PLAIN bad\r\nAUTH PLAIN bad\r\nAUTH PLAIN bad\r\nNOOP\r\n",
	        "250;535 5.7.8;535 5.7.8;535 5.7.8;535 5.7.8;421 4.7.0;", false, 0, 0 },
	{ "AUTH in a transaction", PORT_SUBMIT_TLS, HELLO "AUTH PLAIN good\r\nMAIL FROM:<>\r\nAUTH PLAIN good\r\n",
	        "250;235 2.7.0;250 2.1.0;503 5.5.1;", true, 0, 0 },
};

static void compare(const struct session_case *c, struct conn *conn, struct fake_world *world)
{
	char got[4096];

	codes(fake_output(conn), got, sizeof(got));
	if (strncmp(got, "220;", 4) != 0 || strcmp(got + 4, c->want) != 0)
		fail_msg("%s:\n got  %s\n want 220;%s", c->name, got, c->want);
	if (fake_is_open(conn) != c->open)
		fail_msg("%s: the session is %s", c->name, c->open ? "closed" : "open");
	if (world->delivered[1] != c->alice || world->delivered[2] != c->bob)
		fail_msg("%s: alice has %u, bob has %u", c->name, world->delivered[1], world->delivered[2]);
}

static void run_case(const struct session_case *c, size_t piece)
{
	struct fake_world world;
	struct conn *conn;
	struct span rest = span_of(c->send);

	fake_init(&world);
	conn = fake_connect(&world, c->port);
	while (rest.len > 0) {
		fake_send(conn, span_first(rest, piece));
		rest = span_skip(rest, piece);
	}
	compare(c, conn, &world);
	fake_release(&conn);
	fake_free(&world);
}

/* All in one packet, and in pieces of any size: the answers are the same. */
static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		run_case(&cases[i], SIZE_MAX);
		if (strcmp(cases[i].name, "STARTTLS injection") == 0)
			continue; /* only in one packet is it one */
		for (size_t piece = 1; piece < 20; piece++)
			run_case(&cases[i], piece);
	}
}

/* The client goes away after n steps, with a job or a login under way or not: nothing is left behind (ASan, fake_free). */
static void test_hang_up_anywhere(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool moved = true;

		for (unsigned steps = 0; moved; steps++) {
			struct fake_world world;
			struct conn *conn;

			fake_init(&world);
			world.spool_memory = 4; /* so that there are jobs in DATA too */
			conn = fake_connect(&world, cases[i].port);
			fake_queue(conn, span_of(cases[i].send));
			for (unsigned step = 0; moved && step < steps; step++)
				moved = fake_step(&world);
			fake_hang_up(conn);
			fake_release(&conn);
			fake_free(&world);
		}
	}
}

static void test_stored_text(void **state)
{
	struct fake_world world;
	struct conn *conn;
	const char *text;

	fake_init(&world);
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(HELLO ENVELOPE "DATA\r\nSubject: x\r\n\r\n..dot\r\n.b\r\nend\r\n.\r\n"));
	text = buffer_text(&world.last);
	assert_true(span_starts(span_of(text), SPAN("Return-Path: <a@client.example>\r\n"
	                                            "Received: from client.example ([192.0.2.7])\r\n"
	                                            "\tby mail.example.test with ESMTP\r\n\tid ")));
	assert_non_null(strstr(text, "\tfor <alice@example.test>;\r\n"));
	assert_string_equal(strstr(text, "Subject: x"), "Subject: x\r\n\r\n.dot\r\nb\r\nend\r\n");
	fake_release(&conn);
	fake_free(&world);
}

static void test_submission_adds_fields(void **state)
{
	struct fake_world world;
	struct conn *conn;
	const char *text;

	fake_init(&world);
	conn = fake_connect(&world, PORT_SUBMIT);
	fake_send(conn, SPAN(HELLO "STARTTLS\r\n"));
	fake_clear(conn);
	fake_send(conn, SPAN("MAIL FROM:<alice@example.test>\r\n")); /* RFC 3207 §4.2: all forgotten, also EHLO */
	assert_int_equal(strncmp(fake_output(conn), "530 5.7.0", 9), 0);
	fake_send(conn,
	        SPAN(HELLO "AUTH PLAIN good\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
	                   "From: alice@example.test\r\n\r\nx\r\n.\r\n"));
	text = buffer_text(&world.last);
	assert_non_null(strstr(text, "with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"));
	assert_non_null(strstr(text, "\r\nDate: "));
	assert_non_null(strstr(text, "\r\nMessage-ID: <"));
	fake_release(&conn);
	fake_free(&world);
}

/* Nothing can be promised: the sender is to try again, and who has the message gets it once. */
static void test_partial_failure_is_recorded(void **state)
{
	struct fake_world world;
	struct conn *conn;

	fake_init(&world);
	world.queue_fails = true;
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn,
	        SPAN(HELLO
	                "MAIL FROM:<a@b>\r\nRCPT TO:<mixed@example.test>\r\nRCPT TO:<bob@example.test>\r\n" MESSAGE));
	assert_non_null(strstr(fake_output(conn), "\r\n451 4.3.0 "));
	assert_int_equal(world.delivered[1] + world.delivered[2], 2);
	assert_int_equal(world.recorded[1], 1); /* so that the sender's next try does nothing here */
	assert_int_equal(world.recorded[2], 1);
	world.mended = true;
	for (unsigned i = 1; i <= 2; i++) { /* the next try; and the same message again, which is another one */
		fake_clear(conn);
		fake_send(conn,
		        SPAN("MAIL FROM:<a@b>\r\nRCPT TO:<mixed@example.test>\r\nRCPT TO:<bob@example.test>\r\n" MESSAGE));
		assert_non_null(strstr(fake_output(conn), "\r\n250 2.0.0 "));
		assert_int_equal(world.delivered[4], i);
		assert_int_equal(world.delivered[1], i);
		assert_int_equal(world.delivered[2], i);
	}
	fake_release(&conn);
	fake_free(&world);
}

static struct span big_message(size_t size)
{
	char *text = malloc(size);

	for (size_t i = 0; i < size; i++)
		text[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : (char)('a' + i % 26);
	return span_make(text, size);
}

/* In pieces through a spool that keeps `memory` octets itself; the rest goes by way of jobs. */
static void send_big(size_t size, uint64_t memory, size_t piece, const char *want, unsigned delivered)
{
	struct fake_world world;
	struct conn *conn;
	struct span message = big_message(size), rest = message;
	char got[256];

	fake_init(&world);
	world.spool_memory = memory;
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(HELLO ENVELOPE "DATA\r\n"));
	fake_clear(conn);
	while (rest.len > 0 && fake_is_open(conn)) {
		fake_send(conn, span_first(rest, piece));
		rest = span_skip(rest, piece);
	}
	if (fake_is_open(conn))
		fake_send(conn, SPAN(".\r\nNOOP\r\n"));
	codes(fake_output(conn), got, sizeof(got));
	assert_string_equal(got, want);
	assert_int_equal(world.delivered[1], delivered);
	if (delivered > 0) {
		struct span stored = buffer_span(&world.last);

		assert_true(stored.len > size);
		assert_memory_equal(stored.ptr + stored.len - size, message.ptr, size);
	}
	free((void *)(uintptr_t)message.ptr);
	fake_release(&conn);
	fake_free(&world);
}

static void test_big_messages(void **state)
{
	send_big(99968, 0, 1000, "250 2.0.0;250 2.0.0;", 1);
	send_big(99968, 1000, SIZE_MAX, "250 2.0.0;250 2.0.0;", 1);
	send_big(99968, 50000, 64 * KIB, "250 2.0.0;250 2.0.0;", 1);
	send_big(99968, 1 * MIB, 4096, "250 2.0.0;250 2.0.0;", 1);
	send_big(100032, 1000, 4096, "552 5.3.4;250 2.0.0;", 0); /* one line over the limit */
	send_big(400000, 1 * MIB, 64 * KIB, "552 5.3.4;250 2.0.0;", 0);
	send_big(1000000, 1000, 4096, "552 5.3.4;", 0); /* nobody reads that much only to say no */
}

static void test_mail_loop(void **state)
{
	struct fake_world world;
	struct conn *conn;

	for (unsigned hops = 50; hops <= 51; hops++) {
		fake_init(&world);
		conn = fake_connect(&world, PORT_MX);
		fake_send(conn, SPAN(HELLO ENVELOPE "DATA\r\n"));
		for (unsigned i = 0; i < hops; i++)
			fake_send(conn, SPAN("Received: from a by b; Sat, 21 Nov 2026 10:41:08 +0000\r\n"));
		fake_clear(conn);
		fake_send(conn, SPAN("\r\nx\r\n.\r\n"));
		assert_int_equal(strncmp(fake_output(conn), hops == 50 ? "250 2.0.0" : "554 5.4.6", 9), 0);
		fake_release(&conn);
		fake_free(&world);
	}
}

static void test_limits(void **state)
{
	struct fake_world world;
	struct conn *conn;

	fake_init(&world);
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(HELLO "MAIL FROM:<a@b>\r\n"));
	for (unsigned i = 0; i < 100; i++)
		fake_send(conn, SPAN("RCPT TO:<alice@example.test>\r\n"));
	fake_clear(conn);
	fake_send(conn, SPAN("RCPT TO:<alice@example.test>\r\n" MESSAGE));
	assert_int_equal(strncmp(fake_output(conn), "452 4.5.3", 9), 0); /* RFC 5321 §4.5.3.1.10 */
	assert_int_equal(world.delivered[1], 1);
	for (unsigned i = 0; i < IDLE_COMMANDS_MAX; i++)
		fake_send(conn, SPAN("NOOP\r\n"));
	assert_true(fake_is_open(conn));
	fake_send(conn, SPAN("NOOP\r\n"));
	assert_false(fake_is_open(conn));
	fake_release(&conn);
	fake_free(&world);
}

/* Many sessions with long lists: who has a short one goes on, the others send what they have and come again. */
static void test_envelopes_have_a_budget(void **state)
{
	struct fake_world world;
	struct conn *conn;
	unsigned taken = 0;

	fake_init(&world);
	world.server.envelopes = ENVELOPES_MAX; /* the others' */
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(HELLO "MAIL FROM:<a@b>\r\n"));
	for (fake_clear(conn); strncmp(fake_output(conn), "452 4.3.1 ", 10) != 0; taken++) {
		assert_true(taken < 100);
		fake_clear(conn);
		fake_send(conn, SPAN("RCPT TO:<alice@example.test> ORCPT=rfc822;" ORCPT_400 "\r\n"));
	}
	assert_true(taken > 10);
	assert_true(world.server.envelopes > ENVELOPES_MAX + ENVELOPE_SMALL);
	assert_true(world.server.envelopes < ENVELOPES_MAX + 4 * ENVELOPE_SMALL);
	fake_clear(conn);
	fake_send(conn, SPAN(MESSAGE));
	assert_int_equal(strncmp(fake_output(conn), "354", 3), 0);
	assert_int_equal(world.delivered[1], 1);
	assert_int_equal(world.server.envelopes, ENVELOPES_MAX);
	fake_send(conn, SPAN(ENVELOPE));
	assert_true(world.server.envelopes > ENVELOPES_MAX);
	fake_release(&conn);
	assert_int_equal(world.server.envelopes, ENVELOPES_MAX);
	fake_free(&world);
}

#define STALLED 400

/* promises.md, "pre-auth memory": many that send much and then nothing hold what all may hold, and a little each; what they send then comes
 * in all the same, and so does what others send. */
static void test_stalled_messages_have_a_budget(void **state)
{
	static char body[60 * KIB];
	static struct conn *conns[STALLED];
	struct fake_world world;
	const struct smtp_server *server = &world.server;

	fake_init(&world);
	world.server.settings.max_message_size = MIB;
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
	for (size_t i = 0; i < STALLED; i++) {
		conns[i] = fake_connect(&world, PORT_MX);
		fake_send(conns[i], SPAN(HELLO ENVELOPE "DATA\r\n"));
		fake_send(conns[i], span_make(body, sizeof(body)));
		assert_true(server->spooled <= SPOOLS_MAX && server->wide_readers <= WIDE_READERS_MAX);
	}
	assert_true(server->spooled > SPOOLS_MAX - sizeof(body)); /* the first ones have theirs there */
	assert_int_equal(server->wide_readers, WIDE_READERS_MAX);
	for (size_t i = 0; i < STALLED; i++) { /* small ones still are */
		fake_clear(conns[i]);
		fake_send(conns[i], SPAN("\r\n.\r\n" ENVELOPE "DATA\r\nSubject: x\r\n\r\nx\r\n"));
		assert_non_null(strstr(fake_output(conns[i]), "250 2.0.0 delivered"));
		assert_true(world.last.len > sizeof(body));
	}
	assert_int_equal(world.delivered[1], STALLED);
	assert_int_equal(server->spooled, STALLED * strlen("Subject: x\r\n\r\nx\r\n"));
	for (size_t i = 0; i < STALLED; i++)
		fake_release(&conns[i]);
	assert_int_equal(server->spooled, 0);
	assert_int_equal(server->wide_readers, 0);
	fake_free(&world);
}

static void test_harvest_is_slowed(void **state)
{
	struct fake_world world;
	struct conn *conn;

	fake_init(&world);
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(HELLO "MAIL FROM:<a@b>\r\n"));
	for (unsigned i = 0; i < HARVEST_FREE; i++)
		fake_send(conn, SPAN("RCPT TO:<nobody@example.test>\r\n"));
	fake_clear(conn);
	fake_send(conn, SPAN("RCPT TO:<nobody@example.test>\r\n"));
	assert_string_equal(fake_output(conn), ""); /* not yet */
	uv_run(&world.loop, UV_RUN_DEFAULT);
	assert_int_equal(strncmp(fake_output(conn), "550 5.1.1", 9), 0);
	fake_send(conn, SPAN("RCPT TO:<nobody@example.test>\r\n"));
	fake_release(&conn); /* the client leaves while it waits */
	fake_free(&world);
}

static void test_drain(void **state)
{
	struct fake_world world;
	struct conn *idle, *busy, *guest;

	fake_init(&world);
	idle = fake_connect(&world, PORT_MX);
	busy = fake_connect(&world, PORT_MX);
	guest = fake_connect(&world, PORT_SUBMIT_TLS);
	fake_send(guest, SPAN(HELLO));
	fake_clear(guest);
	fake_send(idle, SPAN(HELLO));
	fake_send(busy, SPAN(HELLO ENVELOPE "DATA\r\nx\r\n"));
	fake_clear(idle);
	fake_clear(busy);
	fake_queue(guest, SPAN("AUTH PLAIN bad\r\n"));
	assert_true(fake_step(&world)); /* asked, not yet answered */
	server_drain(&world.server);
	assert_int_equal(strncmp(fake_output(guest), "421 4.3.2", 9), 0); /* authd may take its time */
	assert_false(fake_is_open(guest));
	fake_settle(&world);
	assert_null(strstr(fake_output(guest), "535"));
	assert_int_equal(strncmp(fake_output(idle), "421 4.3.2", 9), 0);
	assert_false(fake_is_open(idle));
	assert_true(fake_is_open(busy) && !world.emptied);
	fake_send(busy, SPAN(".\r\n"));
	assert_int_equal(strncmp(fake_output(busy), "250 2.0.0", 9), 0); /* the message first, then 421 */
	assert_non_null(strstr(fake_output(busy), "\r\n421 4.3.2"));
	assert_int_equal(world.delivered[1], 1);
	fake_release(&idle);
	fake_release(&busy);
	fake_release(&guest);
	assert_true(world.emptied);
	fake_free(&world);
}

static void test_time_out(void **state)
{
	struct fake_world world;
	struct conn *conn;

	fake_init(&world);
	conn = fake_connect(&world, PORT_MX);
	fake_clear(conn);
	fake_time_out(conn);
	assert_int_equal(strncmp(fake_output(conn), "421 4.4.2", 9), 0);
	assert_false(fake_is_open(conn));
	fake_release(&conn);
	fake_free(&world);
}

/* While a message is being stored its session stays, or the client would send it again. */
/* A chunk of nothing brings no mail on. */
static void test_empty_chunks_have_an_end(void **state)
{
	struct fake_world world;
	struct conn *conn;

	(void)state;
	fake_init(&world);
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(HELLO ENVELOPE));
	for (unsigned i = 0; i < IDLE_COMMANDS_MAX; i++)
		fake_send(conn, SPAN("BDAT 0\r\n"));
	assert_false(fake_is_open(conn));
	assert_non_null(strstr(fake_output(conn), "\r\n421 4.7.0 "));
	fake_release(&conn);
	fake_free(&world);
}

static void test_evicted(void **state)
{
	struct fake_world world;
	struct conn *idle, *busy;

	fake_init(&world);
	idle = fake_connect(&world, PORT_MX);
	busy = fake_connect(&world, PORT_MX);
	fake_send(busy, SPAN(HELLO ENVELOPE "DATA\r\nx\r\n"));
	fake_clear(idle);
	fake_clear(busy);
	fake_queue(busy, SPAN(".\r\n"));
	assert_true(fake_step(&world)); /* the end of data is read, the delivery waits for its worker */
	fake_evict(idle);
	fake_evict(busy);
	fake_settle(&world);
	assert_int_equal(strncmp(fake_output(idle), "421 4.7.0", 9), 0);
	assert_int_equal(strncmp(fake_output(busy), "250 2.0.0", 9), 0);
	assert_int_equal(world.delivered[1], 1);
	fake_clear(busy);
	fake_evict(busy); /* it is over */
	assert_int_equal(strncmp(fake_output(busy), "421 4.7.0", 9), 0);
	fake_release(&idle);
	fake_release(&busy);
	fake_free(&world);
}

/* Each costs a look-up and a line in the log. */
static void test_refusals_have_an_end(void **state)
{
	struct fake_world world;
	struct conn *conn;

	fake_init(&world);
	conn = fake_connect(&world, PORT_MX);
	fake_send(conn, SPAN(HELLO "MAIL FROM:<a@b>\r\n"));
	for (unsigned i = 0; i < REFUSALS_MAX; i++)
		fake_send(conn, SPAN("RCPT TO:<x@foreign.example>\r\n"));
	assert_true(fake_is_open(conn));
	fake_send(conn, SPAN("RCPT TO:<alice@example.test>\r\n" MESSAGE "MAIL FROM:<a@b>\r\n"));
	for (unsigned i = 0; i < REFUSALS_MAX; i++) /* a good message begins a new count */
		fake_send(conn, SPAN("RCPT TO:<x@foreign.example>\r\n"));
	assert_true(fake_is_open(conn));
	fake_clear(conn);
	fake_send(conn, SPAN("RCPT TO:<x@foreign.example>\r\n"));
	assert_int_equal(strncmp(fake_output(conn), "421 4.7.0", 9), 0);
	assert_false(fake_is_open(conn));
	fake_release(&conn);
	fake_free(&world);
}

/* A From behind more fields than we look at would be the one that some reader shows. */
static void test_from_behind_a_long_header(void **state)
{
	struct fake_world world;
	struct conn *conn;

	fake_init(&world);
	conn = fake_connect(&world, PORT_SUBMIT_TLS);
	fake_send(conn, SPAN(HELLO "AUTH PLAIN good\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\n"
	                           "DATA\r\nFrom: alice@example.test\r\n"));
	for (unsigned i = 0; i < HEADER_FIELDS_MAX; i++)
		fake_send(conn, SPAN("x:\r\n"));
	fake_clear(conn);
	fake_send(conn, SPAN("From: bob@example.test\r\n\r\nx\r\n.\r\n"));
	assert_int_equal(strncmp(fake_output(conn), "554 5.6.0", 9), 0);
	assert_int_equal(world.delivered[2], 0);
	fake_release(&conn);
	fake_free(&world);
}

/* RFC 1985 §5.3, RFC 5321 §4.1.1.7: only where the admin has said so. */
static void test_etrn_and_expn(void **state)
{
	struct fake_world world;
	struct conn *conn;

	fake_init(&world);
	conn = fake_connect(&world, PORT_SUBMIT_TLS);
	fake_send(conn, SPAN(HELLO "AUTH PLAIN good\r\n"));
	fake_clear(conn);
	fake_send(conn, SPAN("ETRN waiting.example\r\nEXPN sales@example.test\r\n"));
	assert_string_equal(fake_output(conn),
	        "502 5.5.1 this command is not available here\r\n502 5.5.1 this command is not available here\r\n");
	world.server.settings.etrn_domains = SPAN("waiting.example empty.example broken.example");
	world.server.settings.expn = true;
	fake_clear(conn);
	fake_send(conn,
	        SPAN("ETRN Waiting.example\r\nETRN waiting.example\r\nETRN empty.example\r\nETRN broken.example\r\nETRN other.example\r\n"
	             "ETRN @Waiting.example\r\nETRN @empty.example\r\nETRN @broken.example\r\nETRN @example\r\nETRN @\r\nETRN #x\r\nETRN\r\n"));
	assert_string_equal(fake_output(conn),
	        "253 2.0.0 3 recipients at waiting.example are tried now\r\n253 2.0.0 3 recipients at waiting.example are tried now\r\n"
	        "251 2.0.0 no messages wait for empty.example\r\n458 4.3.0 the queue cannot be started now\r\n"
	        "459 4.7.1 this queue may not be started from here\r\n253 2.0.0 5 recipients at waiting.example and below are tried now\r\n"
	        "251 2.0.0 no messages wait for empty.example and below\r\n458 4.3.0 the queue cannot be started now\r\n"
	        "459 4.7.1 this queue may not be started from here\r\n501 5.5.4 expected ETRN domain or ETRN @domain\r\n"
	        "501 5.5.4 expected ETRN domain or ETRN @domain\r\n"
	        "501 5.5.4 this command needs an argument\r\n");
	fake_clear(conn);
	fake_send(conn,
	        SPAN("EXPN sales@example.test\r\nEXPN <sales@example.test>\r\nEXPN alice@example.test\r\nEXPN sales\r\nVRFY bob\r\n"));
	assert_string_equal(fake_output(conn),
	        "250-2.0.0 <alice@example.test>\r\n250 2.0.0 <bob@example.net>\r\n250-2.0.0 <alice@example.test>\r\n250 2.0.0 <bob@example.net>\r\n"
	        "550 5.1.1 no such alias\r\n501 5.5.4 expected EXPN address\r\n252 2.0.0 cannot verify, but send your mail and it will be tried\r\n");
	fake_release(&conn);
	fake_free(&world);
}

static void test_ehlo_lists(void **state)
{
	struct fake_world world;
	struct conn *conn;

	clock_set_for_test(-1, 1000000000000);
	fake_init(&world);
	conn = fake_connect(&world, PORT_SUBMIT);
	fake_clear(conn);
	fake_send(conn, SPAN("EHLO [127.0.0.1]\r\n"));
	assert_string_equal(fake_output(conn),
	        "250-mail.example.test\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250-STARTTLS\r\n250-8BITMIME\r\n"
	        "250-ENHANCEDSTATUSCODES\r\n250-HELP\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-FUTURERELEASE 2419200 2001-10-07T01:46:40Z\r\n"
	        "250-DELIVERBY 300\r\n250-MT-PRIORITY\r\n250 LIMITS RCPTMAX=100\r\n");
	fake_send(conn, SPAN("STARTTLS\r\n"));
	fake_clear(conn);
	fake_send(conn, SPAN("EHLO [127.0.0.1]\r\n"));
	assert_string_equal(fake_output(conn),
	        "250-mail.example.test\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250-AUTH PLAIN LOGIN SCRAM-SHA-256\r\n"
	        "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-HELP\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-REQUIRETLS\r\n250-FUTURERELEASE 2419200 "
	        "2001-10-07T01:46:40Z\r\n250-DELIVERBY 300\r\n250-MT-PRIORITY\r\n250 LIMITS RCPTMAX=100\r\n");
	clock_set_for_test(-1, -1);
	world.server.settings.channel_binding = true;
	fake_clear(conn);
	fake_send(conn, SPAN("EHLO [127.0.0.1]\r\n"));
	assert_non_null(strstr(fake_output(conn), "\r\n250-AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS\r\n"));
	fake_release(&conn);
	fake_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_hang_up_anywhere),
		cmocka_unit_test(test_stored_text),
		cmocka_unit_test(test_submission_adds_fields),
		cmocka_unit_test(test_partial_failure_is_recorded),
		cmocka_unit_test(test_big_messages),
		cmocka_unit_test(test_mail_loop),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_envelopes_have_a_budget),
		cmocka_unit_test(test_stalled_messages_have_a_budget),
		cmocka_unit_test(test_harvest_is_slowed),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_time_out),
		cmocka_unit_test(test_refusals_have_an_end),
		cmocka_unit_test(test_from_behind_a_long_header),
		cmocka_unit_test(test_ehlo_lists),
		cmocka_unit_test(test_etrn_and_expn),
		cmocka_unit_test(test_empty_chunks_have_an_end),
		cmocka_unit_test(test_evicted),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
