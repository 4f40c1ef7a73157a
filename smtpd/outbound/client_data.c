/* smtpd/outbound/client_data.c — the octets of a message on their way out: read ahead by jobs, written as DATA or BDAT. */
#include "smtpd/outbound/client_internal.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* One piece is read while the one before leaves. */
static void read_run(struct worker_job *job)
{
	struct client *client = container_of(job, struct client, body.job);
	struct body *body = &client->body;
	const struct client_message *message = client->message;
	size_t want =
	        message->size - body->offset < CLIENT_PIECE ? (size_t)(message->size - body->offset) : CLIENT_PIECE;

	body->failed = !message->read(message->arg, body->offset, body->piece, want, &body->len, &body->error);
	if (!body->failed && body->len < want)
		body->failed = !error_detail(&body->error, ERR_IO, "the message is shorter than it was");
}

static void read_done(struct worker_job *job)
{
	struct client *client = container_of(job, struct client, body.job);
	struct body *body = &client->body;

	body->reading = false;
	if (client->state != CLIENT_OVER) {
		if (!body->failed) {
			body->offset += body->len;
			body->last = body->offset == client->message->size;
		}
		envelope_job_done(client);
		if (client->state == CLIENT_BODY)
			body_write(client);
	}
	client_release(client);
}

static void read_next(struct client *client)
{
	struct body *body = &client->body;

	body->job = (struct worker_job) { .run = read_run, .done = read_done, .lane = WORKER_READ };
	body->reading = true;
	body->len = 0;
	client_hold(client);
	worker_submit(client->message->pool, &body->job);
}

static void take_all(struct body *body, const struct client_message *message)
{
	memcpy(body->piece, message->octets, (size_t)message->size);
	body->len = (size_t)message->size;
	body->offset = message->size;
	body->last = true;
}

bool body_begin(struct client *client)
{
	struct body *body = &client->body;
	const struct client_message *message = client->message;

	memset(body, 0, sizeof(*body));
	body->line_start = true;
	/* RFC 3030: what is binary can go no other way; what is large goes faster. */
	body->chunked = client->offer.chunking && (message->binary || message->size >= CLIENT_BDAT_MIN);
	body->piece = malloc(message->size < CLIENT_PIECE ? (size_t)message->size + 1 : CLIENT_PIECE);
	if (body->piece == NULL)
		return false;
	if (message->octets != NULL && message->size <= CLIENT_PIECE)
		take_all(body, message);
	else
		read_next(client); /* while the envelope is talked over */
	return true;
}

void body_free(struct client *client)
{
	CHECK(!client->body.reading);
	free(client->body.piece);
	client->body.piece = NULL;
}

/* ---- DATA ---- */

/* RFC 5321 §4.5.2, and nothing that another server could take for an end of data: lines end with CRLF and only they do
 * (promises.md, "smuggling out"). out has room. */
static size_t stuff(struct body *body, const char *in, size_t len, char *out)
{
	char *at = out;

	for (size_t i = 0; i < len; i++) {
		char c = in[i];
		if (body->was_cr && c != '\n') {
			*at++ = '\n'; /* a bare CR was one line end */
			body->line_start = true;
		}
		if (c == '\n' && !body->was_cr)
			*at++ = '\r';
		if (c == '.' && body->line_start)
			*at++ = '.';
		*at++ = c == '\0' ? '?' : c;
		body->was_cr = c == '\r';
		body->line_start = c == '\n';
	}
	return (size_t)(at - out);
}

static bool write_stuffed(struct client *client)
{
	struct body *body = &client->body;
	char *out = malloc(3 * body->len + 8);
	size_t len;
	bool ok;

	if (out == NULL)
		return false;
	len = stuff(body, body->piece, body->len, out);
	if (body->last) {
		if (body->was_cr)
			out[len++] = '\n';
		else if (!body->line_start) {
			out[len++] = '\r';
			out[len++] = '\n';
		}
		memcpy(out + len, ".\r\n", 3);
		len += 3;
	}
	ok = conn_write(client->conn, out, len);
	free(out);
	return ok;
}

/* ---- both ---- */

static void all_sent(struct client *client)
{
	client->body.all_sent = client->envelope.accepted > 0;
	client->state = CLIENT_ENDING;
	client_wait(client, CLIENT_END_MS);
}

void body_write(struct client *client)
{
	struct body *body = &client->body;
	bool ok;

	if (body->reading || conn_full(client->conn)) {
		client_wait(client, CLIENT_CHUNK_MS);
		return;
	}
	if (body->failed) { /* never an end of data behind half a message */
		client_fail(client, "the message could not be read: %s", body->error.reason);
		return;
	}
	ok = body->chunked ? conn_write(client->conn, body->piece, body->len) : write_stuffed(client);
	if (!ok)
		client_fail(client, "out of memory");
	else if (body->last)
		all_sent(client);
	else {
		read_next(client);
		client_wait(client, CLIENT_CHUNK_MS);
	}
}

void body_go(struct client *client)
{
	struct body *body = &client->body;

	client->state = CLIENT_BODY;
	if (client->envelope.accepted == 0) { /* DATA was pipelined, and nobody is there to get it */
		(void)conn_write_text(client->conn, ".\r\n");
		all_sent(client);
		return;
	}
	if (body->chunked)
		client_printf(client, "BDAT %llu LAST", (unsigned long long)client->message->size);
	body_write(client);
}
