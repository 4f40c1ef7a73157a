#include "smtpd/server/commands.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

/* The way of a message: data_receive() takes the octets out of the receive buffer; what fits into the spool's memory is
 * appended at once, on the loop; what needs the disk goes as a chunk to a worker while the conn is paused, so memory stays
 * flat however large the message is. What becomes of it at its end: message_end.c. */

static void end_of_data(struct smtp_session *s)
{
	conn_set_min_rate(s->conn, 0);
	conn_set_read_size(s->conn, COMMAND_READ_SIZE);
	conn_set_mode(s->conn, CONN_LINES);
	message_end(s);
}

/* --- octets on their way to the spool -------------------------------------------------------------------------- */

/* Nothing of the message is kept from here on; it is read to its end so that the client hears why. */
static void give_up(struct transaction *transaction)
{
	spool_free(&transaction->spool);
	buffer_free(&transaction->chunk);
}

static bool keeps_nothing(const struct transaction *transaction)
{
	return transaction->too_large || transaction->failure.code != ERR_NONE;
}

static void count_octets(struct smtp_session *s, size_t more)
{
	struct transaction *transaction = s->transaction;

	transaction->size += more;
	if (transaction->size <= s->server->settings.max_message_size || transaction->too_large)
		return;
	transaction->too_large = true;
	give_up(transaction);
}

/* A run of text that data_receive() cut; at most DATA_CHUNK_MAX octets of such runs come between two waits. */
static void keep_text(struct smtp_session *s, struct span text)
{
	struct transaction *transaction = s->transaction;

	count_octets(s, text.len);
	if (keeps_nothing(transaction))
		return;
	if (transaction->chunk.len == 0 && spool_fits(transaction->spool, text.len)) {
		if (!spool_append(transaction->spool, text, &transaction->failure))
			give_up(transaction);
	} else if (!buffer_append_span(&transaction->chunk, text)) {
		error_set(&transaction->failure, ERR_NO_MEMORY, "out of memory, try again later");
		give_up(transaction);
	}
}

static void write_chunk(struct smtp_session *s)
{
	(void)spool_append(s->transaction->spool, buffer_span(&s->transaction->chunk), &s->job_error);
}

static void chunk_written(struct smtp_session *s)
{
	struct transaction *transaction = s->transaction;

	buffer_free(&transaction->chunk); /* whoever sends slowly has no claim to it */
	if (s->job_error.code != ERR_NONE) {
		transaction->failure = s->job_error;
		give_up(transaction);
	}
	if (transaction->complete)
		end_of_data(s);
}

static void bad_octet(struct smtp_session *s)
{
	struct error err;

	error_set(&err, ERR_SYNTAX, "bare CR, bare LF or NUL in the message (RFC 5321 2.3.8), goodbye");
	message_refuse(s, STAGE_DATA, &err);
	session_end(s);
}

/* Nobody reads that much only to say no. */
static bool is_far_too_large(const struct smtp_session *s)
{
	return s->transaction->too_large &&
	       s->transaction->size / DATA_DISCARD_FACTOR > s->server->settings.max_message_size;
}

size_t data_receive(struct smtp_session *s, struct span bytes)
{
	struct transaction *transaction = s->transaction;
	struct span in = span_first(bytes, DATA_CHUNK_MAX), text;
	size_t offered = in.len;
	enum data_found found;

	CHECK(s->state == RECEIVING && s->waiting == WAIT_NOTHING);
	while ((found = data_scan_next(&transaction->scan, &in, &text)) == DATA_TEXT)
		keep_text(s, text);
	if (found == DATA_BAD) {
		bad_octet(s);
		return bytes.len;
	}
	transaction->complete = found == DATA_END;
	if (transaction->chunk.len > 0) {
		session_work(s, WORKER_WRITE, write_chunk, chunk_written);
	} else if (transaction->complete) {
		end_of_data(s);
	} else if (is_far_too_large(s)) {
		error_set(&transaction->failure, ERR_TOO_LARGE, "message far too large, goodbye");
		message_refuse(s, STAGE_DATA, &transaction->failure);
		session_end(s);
	}
	return offered - in.len;
}

/* RFC 5321 §4.1.1.4. */
void cmd_data(struct smtp_session *s, struct span args)
{
	struct transaction *transaction = s->transaction;
	struct error err;

	(void)args;
	if (!spool_new(s->server->accept.store, s->server->settings.max_message_size, &transaction->spool, &err)) {
		session_refuse(s, STAGE_DATA, &err);
		return;
	}
	data_scan_init(&transaction->scan);
	s->state = RECEIVING;
	conn_set_mode(s->conn, CONN_BYTES);
	conn_set_read_size(s->conn, DATA_READ_SIZE);
	conn_set_min_rate(s->conn, DATA_MIN_RATE);
	session_reply(s, 354, NULL, "send the message, end with CR LF . CR LF");
}
