/* The client session against a scripted far end: each script is a dialogue, played by a thread over a real socket. */
#include "smtpd/outbound/client.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/dial.h"
#include "smtpd/outbound/client_reply.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RECIPIENTS 3
#define STEPS_MAX  40
#define OUT_MAX    (4 * MIB)
#define PATIENCE   1 /* per cent of the waits of RFC 5321: 5 minutes are 3 s */

/* "S text" a line is sent; "s text" without its line end; "C prefix" a line that begins so is expected; "D" a message up to its end; "B n" n octets;
 * "X" the far end closes; "H" it says nothing more. */
struct script {
	const char *name;
	const char *steps[STEPS_MAX];
	const char *replies; /* what became of the recipients: codes, "-" for 0; NULL: nothing was sent */
	const char *why;     /* the end of the session contains this */
	const char *data;    /* what the message looked like on the wire */
	bool unused;         /* the last message was not looked at */
	bool lost, tls_failed, must_tls, lmtp, login, large, one_by_one, again, smtputf8, in_time;
};

struct world {
	const struct script *script;
	uv_loop_t loop;
	struct worker_pool *pool;
	struct tls_client *tls;
	struct client *client;
	struct client_message message;
	struct queue_message envelope;
	struct queue_rcpt recipients[RECIPIENTS];
	struct buffer octets;
	int listener, far;
	char far_in[16 * KIB];
	size_t far_at, far_len;
	struct buffer seen; /* by the far end */
	char problem[400];
	char replies[100], why[CLIENT_REPLY_TEXT + 1];
	bool unused, lost, tls_failed, was_sent, closed, sent_twice;
};

/* ---- the far end ---- */

static void problem(struct world *world, const char *what, const char *detail)
{
	if (world->problem[0] == '\0')
		(void)snprintf(world->problem, sizeof(world->problem), "%s: %.300s", what, detail);
}

static void far_send(struct world *world, const char *text, size_t len)
{
	size_t piece = world->script->one_by_one ? 1 : len;

	for (size_t at = 0; at < len; at += piece)
		if (write(world->far, text + at, piece < len - at ? piece : len - at) < 0)
			return;
}

static bool far_octet(struct world *world, char *out)
{
	if (world->far_at == world->far_len) {
		ssize_t got = read(world->far, world->far_in, sizeof(world->far_in));

		world->far_at = 0;
		world->far_len = got > 0 ? (size_t)got : 0;
		if (got <= 0)
			return false;
	}
	*out = world->far_in[world->far_at++];
	return true;
}

static bool far_line(struct world *world, char *line, size_t size)
{
	size_t len = 0;

	while (len + 1 < size) {
		if (!far_octet(world, line + len))
			return false;
		if (line[len++] == '\n')
			break;
	}
	line[len] = '\0';
	return true;
}

static void far_data(struct world *world)
{
	static char line[8192];

	while (far_line(world, line, sizeof(line)) && strcmp(line, ".\r\n") != 0)
		(void)buffer_append_text(&world->seen, line);
	(void)buffer_append_text(&world->seen, line);
}

static void far_octets(struct world *world, size_t count)
{
	char octet;

	for (; count > 0 && far_octet(world, &octet); count--)
		(void)buffer_append_char(&world->seen, octet);
}

static void far_step(struct world *world, const char *step)
{
	char line[8192];
	uint64_t count;

	if (step[0] == 'S' || step[0] == 's') {
		far_send(world, step + 2, strlen(step + 2));
		if (step[0] == 'S')
			far_send(world, "\r\n", 2);
	} else if (step[0] == 'C') {
		if (!far_line(world, line, sizeof(line)))
			problem(world, "the client had gone instead of", step);
		else if (strncmp(line, step + 2, strlen(step + 2)) != 0)
			problem(world, step, line);
	} else if (step[0] == 'D') {
		far_data(world);
	} else if (step[0] == 'B' && span_number(span_of(step + 2), MIB * 4, &count)) {
		far_octets(world, count);
	} else if (step[0] == 'H') {
		while (read(world->far, line, sizeof(line)) > 0)
			continue;
	}
}

static void *far_end(void *arg)
{
	struct world *world = arg;

	world->far = accept(world->listener, NULL, NULL);
	for (size_t i = 0; world->script->steps[i] != NULL && world->script->steps[i][0] != 'X'; i++)
		far_step(world, world->script->steps[i]);
	(void)close(world->far);
	return NULL;
}

/* ---- our end ---- */

static bool read_octets(void *arg, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	struct world *world = arg;

	if (world->script->data != NULL && strcmp(world->script->data, "unreadable") == 0)
		return error_set(err, ERR_IO, "the disk failed");
	*got = size;
	memcpy(out, world->octets.data + offset, size);
	return true;
}

static void send_it(struct world *world)
{
	client_send(world->client, &world->message);
}

static void on_ready(void *arg, const struct client_offer *offer)
{
	send_it(arg);
}

static void on_sent(void *arg, const struct client_reply *replies, size_t count, bool lost)
{
	struct world *world = arg;
	char *at = world->replies;

	for (size_t i = 0; i < count; i++)
		at += snprintf(at, 8, replies[i].code == 0 ? "- " : "%u ", replies[i].code);
	world->lost = lost;
	world->unused = client_took_nothing(world->client);
	if (world->script->again && !world->was_sent) {
		world->was_sent = true;
		send_it(world);
		return;
	}
	world->was_sent = true;
	client_quit(world->client);
}

static void on_closed(void *arg, const struct client_reply *why, bool tls_failed)
{
	struct world *world = arg;

	(void)snprintf(world->why, sizeof(world->why), "%s", why->text);
	world->tls_failed = tls_failed;
	world->closed = true;
	worker_pool_free(&world->pool);
}

static void on_dialled(void *arg, struct conn *conn, const struct error *err)
{
	static const struct client_events events = { on_ready, on_sent, on_closed };
	struct world *world = arg;
	struct client_settings settings = {
		.hostname = "client.example.test",
		.lmtp = world->script->lmtp,
		.use_starttls = true,
		.must_tls = world->script->must_tls,
		.user = world->script->login ? "user" : NULL,
		.password = world->script->login ? "pencil" : NULL,
		.pool = world->pool,
		.time_percent = PATIENCE,
	};

	assert_non_null(conn);
	world->client = client_new(conn, &settings, &events, world);
	assert_non_null(world->client);
}

static void make_message(struct world *world, bool in_memory)
{
	static const char text[] = "Subject: x\r\n\r\n.dot\r\nbare\nlf and\rcr\r\nno end";

	buffer_init(&world->octets, OUT_MAX);
	if (world->script->large) {
		for (int i = 0; i < 30000; i++)
			(void)buffer_printf(
			        &world->octets, ".%06d a line of a message that is larger than a piece\r\n", i);
	} else {
		(void)buffer_append_text(&world->octets, text);
	}
	world->envelope = (struct queue_message) {
		.sender = "alice@example.test", .recipients = world->recipients, .recipient_count = RECIPIENTS
	};
	for (size_t i = 0; i < RECIPIENTS; i++)
		(void)snprintf(
		        world->recipients[i].address, sizeof(world->recipients[i].address), "r%zu@example.net", i);
	world->recipients[0].notify = NOTIFY_FAILURE | NOTIFY_DELAY;
	(void)snprintf(world->recipients[1].orcpt, sizeof(world->recipients[1].orcpt), "utf-8;b\xc3\xb6@example.net");
	(void)snprintf(world->recipients[2].orcpt, sizeof(world->recipients[2].orcpt), "utf-8;");
	for (size_t at = 6; at + 2 < QUEUE_ORCPT_MAX; at += 2) /* what it would become is too long */
		memcpy(world->recipients[2].orcpt + at, "\xc3\xb6", 3);
	if (world->script->in_time) {
		world->envelope.deliver_by_ms = clock_wall_ms() + 3600000;
		world->recipients[2].notify = NOTIFY_SUCCESS;
	}
	world->message = (struct client_message) { .message = &world->envelope,
		.pool = world->pool,
		.read = read_octets,
		.arg = world,
		.octets = in_memory ? world->octets.data : NULL,
		.size = world->octets.len,
		.smtputf8 = world->script->smtputf8,
		.eight_bit = true };
}

static int listen_somewhere(struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
	return fd;
}

static void play(const struct script *script, bool in_memory)
{
	static struct world world;
	struct sockaddr_in address;
	struct dial_request request;
	struct error err;
	pthread_t thread;

	memset(&world, 0, sizeof(world));
	world.script = script;
	buffer_init(&world.seen, OUT_MAX);
	assert_int_equal(uv_loop_init(&world.loop), 0);
	assert_true(worker_pool_new(&world.loop, 2, &world.pool, &err));
	make_message(&world, in_memory);
	world.listener = listen_somewhere(&address);
	assert_true(tls_client_new(NULL, &world.tls, &err));
	assert_int_equal(pthread_create(&thread, NULL, far_end, &world), 0);
	request = (struct dial_request) {
		.loop = &world.loop, .to = (struct sockaddr *)&address, .timeout_ms = 10000, .tls = world.tls
	};
	assert_non_null(dial_start(&request, on_dialled, &world));
	(void)uv_run(&world.loop, UV_RUN_DEFAULT);
	assert_true(world.closed);
	(void)pthread_join(thread, NULL);
	(void)close(world.listener);
	tls_client_free(&world.tls);
	assert_int_equal(uv_loop_close(&world.loop), 0);

	if (world.problem[0] != '\0')
		fail_msg("%s: %s", script->name, world.problem);
	if (script->replies == NULL ? world.was_sent : strcmp(script->replies, world.replies) != 0)
		fail_msg("%s: replies %s", script->name, world.replies);
	if (script->why != NULL && strstr(world.why, script->why) == NULL)
		fail_msg("%s: ended with %s", script->name, world.why);
	if (world.unused != script->unused)
		fail_msg("%s: unused %d", script->name, world.unused);
	if (world.lost != script->lost || world.tls_failed != script->tls_failed)
		fail_msg("%s: lost %d, tls failed %d", script->name, world.lost, world.tls_failed);
	if (script->data != NULL && strcmp(script->data, "unreadable") != 0 &&
	        strcmp(script->data, buffer_text(&world.seen)) != 0)
		fail_msg("%s: on the wire: %s", script->name, buffer_text(&world.seen));
	if (script->large && script->replies[0] == '2')
		assert_true(world.seen.len > world.octets.len);
	buffer_free(&world.octets);
	buffer_free(&world.seen);
}

#define GREETED "S 220 far.example", "C EHLO client.example.test\r\n"
#define PIPED   GREETED, "S 250-far.example", "S 250-PIPELINING", "S 250-8BITMIME", "S 250 DSN"
#define PLAIN   GREETED, "S 250 far.example"
#define ENVELOPE                                                                                                       \
	"C MAIL FROM:<alice@example.test> BODY=8BITMIME\r\n", "C RCPT TO:<r0@example.net> NOTIFY=FAILURE,DELAY\r\n",   \
	        "C RCPT TO:<r1@example.net> ORCPT=utf-8;b\\x{F6}@example.net\r\n", "C RCPT TO:<r2@example.net>\r\n",   \
	        "C DATA\r\n"
#define ON_WIRE "Subject: x\r\n\r\n..dot\r\nbare\r\nlf and\r\ncr\r\nno end\r\n.\r\n"

static const struct script scripts[] = {
	{ "pipelined",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", "D", "S 250 2.0.0 taken",
	                "C QUIT\r\n", "S 221 bye" },
	        "250 250 250 ", "", ON_WIRE },
	{ "one octet at a time",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", "D", "S 250 2.0.0 taken",
	                "C QUIT\r\n", "S 221 bye" },
	        "250 250 250 ", "", ON_WIRE, .one_by_one = true },
	{ "not pipelined",
	        { PLAIN, "C MAIL FROM:<alice@example.test>\r\n", "S 250 ok", "C RCPT TO:<r0@example.net>\r\n", "S 250",
	                "C RCPT TO:<r1@", "S 550-5.1.1 no", "S 550 5.1.1 such user", "C RCPT TO:<r2@",
	                "S 450 4.2.0 later", "C DATA\r\n", "S 354 go", "D", "S 250 taken", "C QUIT\r\n", "X" },
	        "250 550 450 ", "", ON_WIRE },
	{ "HELO after EHLO",
	        { GREETED, "S 502 what", "C HELO client.example.test\r\n", "S 250 far.example",
	                "C MAIL FROM:<alice@example.test>\r\n", "S 550 go away", "C RSET\r\n", "S 250 ok", "C QUIT\r\n",
	                "X" },
	        "550 550 550 ", "" },
	{ "all refused, pipelined, DATA refused too",
	        { PIPED, ENVELOPE, "S 250 ok", "S 550 no", "S 551 no", "S 450 no", "S 503 no recipients", "C RSET\r\n",
	                "S 250 ok", "C QUIT\r\n" },
	        "550 551 450 ", "" },
	{ "all refused, and DATA is answered with 354",
	        { PIPED, ENVELOPE, "S 250 ok", "S 550 no", "S 551 no", "S 450 no", "S 354 go", "C .\r\n",
	                "S 554 no valid recipients", "C RSET\r\n", "S 250 ok", "C QUIT\r\n" },
	        "550 551 450 ", "" },
	{ "MAIL refused, pipelined",
	        { PIPED, ENVELOPE, "S 452 later", "S 503 x", "S 503 x", "S 503 x", "S 503 x", "C RSET\r\n", "S 250 ok",
	                "C QUIT\r\n" },
	        "452 452 452 ", "" },
	{ "DATA refused",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 550 no", "S 250 ok", "S 451 no room", "C RSET\r\n",
	                "S 250 ok", "C QUIT\r\n" },
	        "451 550 451 ", "" },
	{ "the message refused",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 550 no", "S 250 ok", "S 354 go", "D", "S 554 5.7.1 spam",
	                "C QUIT\r\n" },
	        "554 550 554 ", "" },
	{ "two messages",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", "D", "S 250 ok",
	                ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 550 ok", "S 354 go", "D", "S 250 ok",
	                "C QUIT\r\n" },
	        "250 250 550 ", "", .again = true },
	{ "one message a connection: closed at the next",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", "D", "S 250 ok", "X" },
	        "- - - ", "closed the connection", .again = true, .unused = true },
	{ "one message a connection: 421 to the next",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", "D", "S 250 ok",
	                "C MAIL", "S 421 4.7.0 enough", "X" },
	        "421 421 421 ", "421 4.7.0 enough", .again = true, .unused = true },
	{ "lost behind the end of data",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 550 no", "S 250 ok", "S 354 go", "D", "X" }, "- 550 - ",
	        "closed the connection", .lost = true },
	{ "silent behind the end of data",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", "D", "H" }, "- - - ",
	        "too long for its answer to the message", .lost = true },
	{ "gone before the end of data", { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 550 no", "S 250 ok", "X" },
	        "- 550 - ", "closed the connection" },
	{ "421 in the envelope", { PIPED, ENVELOPE, "S 250 ok", "S 550 no", "S 421 4.3.2 going down", "X" },
	        "550 421 421 ", "421 4.3.2 going down" },
	{ "a success out of turn is none",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "C RSET\r\n", "S 250 ok",
	                "C QUIT\r\n" },
	        "- - - ", "" },
	{ "more answers than questions", { PLAIN, "C MAIL", "S 250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok", "H" },
	        "- - - ", "too long" },
	{ "a greeting that refuses", { "S 554 5.7.1 not you", "H" }, NULL, "554 5.7.1 not you" },
	{ "421 as a greeting", { "S 421 busy", "X" }, NULL, "421 busy" },
	{ "no greeting", { "H" }, NULL, "too long for its greeting" },
	{ "closed at once", { "X" }, NULL, "closed the connection" },
	{ "garbage", { "S SSH-2.0-OpenSSH", "H" }, NULL, "not SMTP" },
	{ "a reply without end", { GREETED, "S 250-far\r\n250-a\r\n250-b", "H" }, NULL, "too long for its answer" },
	{ "STARTTLS is missing", { PLAIN, "H" }, NULL, "does not offer STARTTLS", .must_tls = true,
	        .tls_failed = true },
	{ "STARTTLS is refused", { GREETED, "S 250-far", "S 250 STARTTLS", "C STARTTLS\r\n", "S 454 not now", "H" },
	        NULL, "454 not now", .must_tls = true, .tls_failed = true },
	{ "STARTTLS is refused, and nobody insists",
	        { GREETED, "S 250-far", "S 250 STARTTLS", "C STARTTLS\r\n", "S 454 not now", "C MAIL", "S 550 x",
	                "C RSET", "S 250", "C QUIT", "X" },
	        "550 550 550 ", "" },
	{ "no TLS behind STARTTLS",
	        { GREETED, "S 250-far", "S 250 STARTTLS", "C STARTTLS\r\n", "S 220 go",
	                "S this is no TLS at all, whatever it is", "H" },
	        NULL, "", .tls_failed = true },
	{ "answers injected before TLS",
	        { GREETED, "S 250-far", "S 250 STARTTLS", "C STARTTLS\r\n", "S 220 go\r\n250-far\r\n250 AUTH PLAIN",
	                "H" },
	        NULL, "", .tls_failed = true },
	{ "unreadable", { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", "H" }, "- - - ",
	        "could not be read", "unreadable" },
	{ "large",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", "D", "S 250 taken",
	                "C QUIT\r\n" },
	        "250 250 250 ", "", .large = true },
	{ "the far end has enough in the middle",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", "B 200000",
	                "S 552 too much", "H" },
	        "552 552 552 ", NULL, .large = true },
	{ "LMTP",
	        { "S 220 far", "C LHLO client.example.test\r\n", "S 250 PIPELINING", "C MAIL", "S 250 ok",
	                "C RCPT TO:<r0@", "S 250 ok", "C RCPT TO:<r1@", "S 550 ok", "C RCPT TO:<r2@", "S 250 ok",
	                "C DATA", "S 354 go", "D", "S 250 2.1.5 in", "S 452 4.2.2 full", "C QUIT" },
	        "250 550 452 ", "", .lmtp = true },
	{ "LMTP, gone between two answers: who was told of success has it",
	        { "S 220 far", "C LHLO client.example.test\r\n", "S 250 PIPELINING", "C MAIL", "S 250 ok",
	                "C RCPT TO:<r0@", "S 250 ok", "C RCPT TO:<r1@", "S 550 ok", "C RCPT TO:<r2@", "S 250 ok",
	                "C DATA", "S 354 go", "D", "S 250 2.1.5 in", "X" },
	        "250 550 - ", "closed the connection", .lmtp = true, .lost = true },
	{ "421 as the answer to the message: it was answered",
	        { PIPED, ENVELOPE, "S 250 ok", "S 250 ok", "S 550 no", "S 250 ok", "S 354 go", "D",
	                "S 421 4.3.2 going down", "X" },
	        "421 550 421 ", "421 4.3.2 going down" },
	{ "421 to RSET: no message is given to who goes",
	        { PLAIN, "C MAIL", "S 550 no", "C RSET\r\n", "S 421 4.3.2 going down", "H" }, "550 550 550 ",
	        "421 4.3.2 going down" },
	{ "an ORCPT with UTF-8 stays in an SMTPUTF8 transaction (RFC 6533 3)",
	        { GREETED, "S 250-far", "S 250-SMTPUTF8", "S 250 DSN", "C MAIL FROM:<alice@example.test> SMTPUTF8\r\n",
	                "S 250 ok", "C RCPT TO:<r0@", "S 550 no",
	                "C RCPT TO:<r1@example.net> ORCPT=utf-8;b\xc3\xb6@example.net\r\n", "S 550 no",
	                "C RCPT TO:<r2@example.net> ORCPT=utf-8;", "S 550 no", "C RSET", "S 250", "C QUIT", "X" },
	        "550 550 550 ", "", .smtputf8 = true },
	{ "AUTH PLAIN",
	        { GREETED, "S 250-far", "S 250 AUTH LOGIN PLAIN", "C AUTH PLAIN AHVzZXIAcGVuY2ls\r\n", "S 235 2.7.0 ok",
	                "C MAIL FROM:<alice@example.test> AUTH=<>\r\n", "S 550 x", "C RSET", "S 250", "C QUIT", "X" },
	        "550 550 550 ", "", .login = true }, /* RFC 4954 §5 */
	{ "a priority is told, also 0 (RFC 6710 §4.2)",
	        { GREETED, "S 250-far", "S 250 MT-PRIORITY MIXER", "C MAIL FROM:<alice@example.test> MT-PRIORITY=0\r\n",
	                "S 550 x", "C RSET", "S 250", "C QUIT", "X" },
	        "550 550 550 ", "" },
	{ "who does not keep the time shall tell of delay (RFC 2852 §4.1.4.2)",
	        { GREETED, "S 250-far", "S 250 DSN", "C MAIL FROM:<alice@example.test>\r\n", "S 250 ok",
	                "C RCPT TO:<r0@example.net> NOTIFY=FAILURE,DELAY\r\n", "S 550 no",
	                "C RCPT TO:<r1@example.net> NOTIFY=FAILURE,DELAY ORCPT=", "S 550 no",
	                "C RCPT TO:<r2@example.net> NOTIFY=SUCCESS,DELAY", "S 550 no", "C RSET", "S 250", "C QUIT",
	                "X" },
	        "550 550 550 ", "", .in_time = true },
	{ "who keeps the time is told the rest of it",
	        { GREETED, "S 250-far", "S 250-DELIVERBY", "S 250 DSN", "C MAIL FROM:<alice@example.test> BY=",
	                "S 250 ok", "C RCPT TO:<r0@example.net> NOTIFY=FAILURE,DELAY\r\n", "S 550 no",
	                "C RCPT TO:<r1@example.net> ORCPT=", "S 550 no", "C RCPT TO:<r2@example.net> NOTIFY=SUCCESS",
	                "S 550 no", "C RSET", "S 250", "C QUIT", "X" },
	        "550 550 550 ", "", .in_time = true },
	{ "AUTH LOGIN",
	        { GREETED, "S 250-far", "S 250 AUTH=LOGIN", "C AUTH LOGIN\r\n", "S 334 VXNlcm5hbWU6", "C dXNlcg==\r\n",
	                "S 334 UGFzc3dvcmQ6", "C cGVuY2ls\r\n", "S 535 5.7.8 wrong", "H" },
	        NULL, "535 5.7.8 wrong", .login = true },
	{ "a SCRAM server that skips its proof",
	        { GREETED, "S 250-far", "S 250 AUTH SCRAM-SHA-256", "C AUTH SCRAM-SHA-256 biwsbj11c2VyL",
	                "S 235 come in", "H" },
	        NULL, "does not prove", .login = true },
	{ "nothing to log in with", { GREETED, "S 250-far", "S 250 AUTH XOAUTH2", "H" }, NULL, "no way to log in",
	        .login = true },
};

static void test_scripts(void **state)
{
	log_set_level(LOG_ERROR);
	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		play(&scripts[i], false);
		if (scripts[i].data == NULL || strcmp(scripts[i].data, "unreadable") != 0)
			play(&scripts[i], true);
	}
}

/* ---- the parser alone ---- */

static const struct reply_case {
	const char *lines[4];
	enum reply_state state;
	unsigned code;
	const char *enhanced, *text;
} reply_cases[] = {
	{ { "250" }, REPLY_WHOLE, 250, "", "250" },
	{ { "250 2.1.0 ok" }, REPLY_WHOLE, 250, "2.1.0", "250 2.1.0 ok" },
	{ { "550-5.1.1 no", "550 5.1.1 user" }, REPLY_WHOLE, 550, "5.1.1", "550-5.1.1 no\n550 5.1.1 user" },
	{ { "250-a", "550 b" }, REPLY_WHOLE, 550, "", "250-a\n550 b" },
	{ { "550 4.1.1 another class" }, REPLY_WHOLE, 550, "", "550 4.1.1 another class" },
	{ { "550 5.1.1no" }, REPLY_WHOLE, 550, "", "550 5.1.1no" },
	{ { "250 \x1b[2J\xff\tx" }, REPLY_WHOLE, 250, "", "250 ?[2J? x" },
	{ { "250-" }, REPLY_MORE, 250, "", "250-" },
	{ { "25" }, REPLY_GARBAGE },
	{ { "" }, REPLY_GARBAGE },
	{ { "199 x" }, REPLY_GARBAGE },
	{ { "600 x" }, REPLY_GARBAGE },
	{ { "2500 x" }, REPLY_GARBAGE },
	{ { "+25 x" }, REPLY_GARBAGE },
	{ { "250_x" }, REPLY_GARBAGE },
};

static void test_replies(void **state)
{
	struct reply_reader reader;

	for (size_t i = 0; i < sizeof(reply_cases) / sizeof(reply_cases[0]); i++) {
		const struct reply_case *row = &reply_cases[i];
		enum reply_state got = REPLY_MORE;
		reply_begin(&reader);
		for (size_t k = 0; row->lines[k] != NULL; k++)
			got = reply_line(&reader, span_of(row->lines[k]));
		if (got != row->state)
			fail_msg("%s: %d", row->lines[0], got);
		if (got == REPLY_GARBAGE)
			continue;
		assert_int_equal(reader.reply.code, row->code);
		assert_string_equal(reader.reply.enhanced, row->enhanced);
		assert_string_equal(reader.reply.text, row->text);
	}
	reply_begin(&reader);
	for (int i = 0; i < CLIENT_REPLY_LINES; i++)
		assert_int_equal(reply_line(&reader, SPAN("250-x")), REPLY_MORE);
	assert_int_equal(reply_line(&reader, SPAN("250-x")), REPLY_GARBAGE);
}

static void test_offers(void **state)
{
	static const char *const lines[] = { "STARTTLS", "pipelining ", "8BITMIME", "SIZE 1000",
		"AUTH PLAIN SCRAM-SHA-256", "LIMITS RCPTMAX=20 MAILMAX=x FOO=1", "DELIVERBY 240", "REQUIRETLS",
		"XSTUFF", "", " " };
	struct client_offer offer = { 0 };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		offer_line(&offer, span_of(lines[i]));
	assert_true(offer.starttls && offer.pipelining && offer.eight_bit_mime && offer.has_size && offer.auth_plain &&
	            offer.auth_scram);
	assert_true(offer.requiretls && offer.deliver_by && !offer.smtputf8 && !offer.auth_login && !offer.chunking);
	assert_int_equal(offer.size, 1000);
	assert_int_equal(offer.rcpt_max, 20);
	assert_int_equal(offer.mail_max, 0);
	assert_int_equal(offer.deliver_by_min, 240);
}

/* RFC 9422 §4: six digits, no 0 in front; §3.7: a limit that is none is left out. RFC 2852 §2: options behind the number. */
static void test_offered_numbers(void **state)
{
	static const struct {
		const char *line;
		uint32_t rcpt_max, mail_max;
		int64_t by_min;
	} rows[] = {
		{ "LIMITS RCPTMAX=999999 MAILMAX=1", 999999, 1, 0 },
		{ "LIMITS MAILMAX=7 RCPTMAX=1000000", 0, 7, 0 },
		{ "LIMITS RCPTMAX=0 MAILMAX=07", 0, 0, 0 },
		{ "LIMITS RCPTMAX MAILMAX=", 0, 0, 0 },
		{ "DELIVERBY", 0, 0, 0 },
		{ "DELIVERBY 30,FOO", 0, 0, 30 },
		{ "DELIVERBY ,FOO", 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client_offer offer = { 0 };

		offer_line(&offer, span_of(rows[i].line));
		if (offer.rcpt_max != rows[i].rcpt_max || offer.mail_max != rows[i].mail_max ||
		        offer.deliver_by_min != rows[i].by_min)
			fail_msg("%s: %u %u %lld", rows[i].line, offer.rcpt_max, offer.mail_max,
			        (long long)offer.deliver_by_min);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_offers),
		cmocka_unit_test(test_offered_numbers),
		cmocka_unit_test(test_scripts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
