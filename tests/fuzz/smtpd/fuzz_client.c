/* A hostile far end against a whole client session: whatever it answers, whenever it leaves. First octet: LMTP, TLS by demand, a login, the
 * kind of message; second: how its answers are cut, and whether it hangs up at their end. A success is only what was said after the
 * whole message had left, and each recipient gets exactly one answer. net is not linked: the conn, the worker pool and TLS are here. */
#include "smtpd/outbound/client.h"

#include "base/check.h"
#include "base/log.h"
#include "base/macros.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECIPIENTS 3
#define OUT_MAX    (4 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct conn {
	const struct conn_handler *handler;
	void *session;
	struct buffer out;
	bool closing, told, tls;
};

static uv_loop_t loop;
static struct conn far;
static struct worker_job *job;
static struct client *client;
static struct client_message message;
static struct queue_message envelope;
static struct queue_rcpt recipients[RECIPIENTS];
static char octets[3000];
static unsigned closed, sent, rounds;
static bool fail_read, is_lmtp;

/* --- what the client asks of net -------------------------------------------------------------------------------- */

void conn_start(struct conn *conn, const struct conn_handler *handler, void *session, size_t line_limit)
{
	conn->handler = handler;
	conn->session = session;
}

void conn_set_read_size(struct conn *conn, size_t size)
{
}

void conn_set_timeout(struct conn *conn, unsigned milliseconds)
{
}

bool conn_write(struct conn *conn, const void *bytes, size_t len)
{
	CHECK(!conn->told);
	return conn->closing || buffer_append(&conn->out, bytes, len);
}

bool conn_write_text(struct conn *conn, const char *text)
{
	return conn_write(conn, text, strlen(text));
}

bool conn_full(const struct conn *conn)
{
	return false;
}

void conn_close(struct conn *conn)
{
	conn->closing = true;
}

bool conn_is_closing(const struct conn *conn)
{
	return conn->closing;
}

bool conn_peer_is_loopback(const struct conn *conn)
{
	return true;
}

bool conn_start_tls_client(struct conn *conn, const struct tls_client_request *request)
{
	CHECK(!conn->tls);
	conn->tls = true;
	return true;
}

const char *conn_tls_failure(const struct conn *conn)
{
	return NULL;
}

uv_loop_t *conn_loop(const struct conn *conn)
{
	return &loop;
}

void worker_submit(struct worker_pool *pool, struct worker_job *it)
{
	CHECK(job == NULL);
	job = it;
}

/* --- the world around it ---------------------------------------------------------------------------------------- */

static void run_job(void)
{
	struct worker_job *it = job;

	job = NULL;
	if (it == NULL)
		return;
	it->run(it);
	it->done(it);
}

static void tell_closed(enum conn_end why)
{
	if (far.told || far.handler == NULL)
		return;
	far.told = true;
	far.handler->on_closed(far.session, why);
}

static bool read_octets(void *arg, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	if (fail_read)
		return error_set(err, ERR_IO, "the disk failed");
	CHECK(offset + size <= message.size);
	memcpy(out, octets + offset, size);
	*got = size;
	return true;
}

static void on_ready(void *arg, const struct client_offer *offer)
{
	client_send(client, &message);
}

static bool has_left_whole(void)
{
	return strstr(buffer_text(&far.out), "\r\n.\r\n") != NULL || strstr(buffer_text(&far.out), "BDAT ") != NULL;
}

static void on_sent(void *arg, const struct client_reply *replies, size_t count, bool lost)
{
	CHECK(count == RECIPIENTS);
	for (size_t i = 0; i < count; i++) {
		CHECK(replies[i].code == 0 ||
		        (replies[i].code >= 200 && replies[i].code < 600 && replies[i].code / 100 != 3));
		/* LMTP may have answered for some, and be lost before the others (RFC 2033 §4.2) */
		CHECK(replies[i].code / 100 != 2 || (has_left_whole() && (!lost || is_lmtp) && !fail_read));
	}
	sent++;
	if (sent < rounds && !far.closing && !far.told)
		client_send(client, &message);
	else if (!far.told)
		client_quit(client);
}

static void on_closed(void *arg, const struct client_reply *why, bool tls_failed)
{
	closed++;
}

/* No line of what we send in DATA may be taken for another one: no NUL, no bare CR or LF anywhere but in BDAT. */
static void check_output(void)
{
	const char *text = buffer_text(&far.out);

	if (strstr(text, "BDAT ") != NULL)
		return;
	for (size_t i = 0; i < far.out.len; i++) {
		CHECK(text[i] != '\0');
		CHECK((text[i] == '\n') == (i > 0 && text[i - 1] == '\r'));
	}
}

static void make_message(unsigned options)
{
	static const char text[] = "Subject: x\r\n\r\n.\r\n..\r\n\n.\n\r.\r\nbare\nlf\rcr";

	memset(octets, 'a', sizeof(octets));
	memcpy(octets, text, sizeof(text) - 1); /* the NUL goes too, of the array's 'a's none is one */
	octets[60] = options & 8 ? '\0' : 'a';
	memset(&envelope, 0, sizeof(envelope));
	memset(recipients, 0, sizeof(recipients));
	(void)snprintf(envelope.sender, sizeof(envelope.sender), "a@example.test");
	(void)snprintf(envelope.envid, sizeof(envelope.envid), "QQ");
	envelope.recipients = recipients;
	envelope.recipient_count = RECIPIENTS;
	envelope.flags = options & 16 ? QUEUE_REQUIRETLS : 0;
	envelope.deliver_by_ms = options & 16 ? 1 : 0;
	for (size_t i = 0; i < RECIPIENTS; i++) {
		(void)snprintf(recipients[i].address, sizeof(recipients[i].address), "r%zu@example.net", i);
		recipients[i].notify = (unsigned)i * 3;
	}
	message = (struct client_message) { .message = &envelope,
		.read = read_octets,
		.size = sizeof(octets),
		.eight_bit = true,
		.binary = options & 32 };
}

/* As conn.c hands lines over, in pieces of the loop's turns: a job may be done before or after. */
static void feed(struct span rest, unsigned how)
{
	struct span line;

	while (rest.len > 0 && !far.closing && !far.told) {
		if (!span_take_until(&rest, '\n', &line)) {
			line = rest;
			rest = SPAN_EMPTY;
		}
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (how & 1)
			run_job();
		if (far.tls && (how & 2)) { /* the handshake ends well */
			how &= ~2u;
			far.handler->on_tls(far.session);
		}
		if (!far.closing)
			far.handler->on_line(far.session, line, LINE_END_CRLF);
		if (far.tls && (how & 4)) { /* or the far end leaves in the middle of it */
			tell_closed(CONN_END_TLS);
			break;
		}
		if ((how & 1) == 0)
			run_job();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct client_events events = { on_ready, on_sent, on_closed };
	static bool made;
	struct client_settings settings = { .hostname = "client.example.test", .use_starttls = true };

	if (size < 2)
		return 0;
	if (!made)
		CHECK(uv_loop_init(&loop) == 0);
	made = true;
	log_set_level(LOG_ERROR);
	memset(&far, 0, sizeof(far));
	buffer_init(&far.out, OUT_MAX);
	job = NULL;
	closed = sent = 0;
	rounds = data[1] & 8 ? 2 : 1;
	fail_read = data[1] & 16;
	make_message(data[0]);
	settings.lmtp = is_lmtp = data[0] & 1;
	settings.must_tls = data[0] & 2;
	settings.user = data[0] & 4 ? "user" : NULL;
	settings.password = "pencil";
	settings.pool = data[1] & 32 ? (struct worker_pool *)&far : NULL;
	client = client_new(&far, &settings, &events, NULL);
	CHECK(client != NULL);
	feed(span_make(data + 2, size - 2), data[1]);
	if (!far.told && !far.closing && (data[1] & 64))
		client_abort(client);
	tell_closed(far.closing ? CONN_END_LOCAL : CONN_END_PEER);
	run_job();
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	CHECK(closed == 1 && job == NULL);
	if (!fail_read)
		check_output();
	buffer_free(&far.out);
	return 0;
}
