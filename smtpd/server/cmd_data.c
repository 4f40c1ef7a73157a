#include "smtpd/server/commands.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

/* The way of a message: data_receive() takes the octets out of the receive buffer; what fits into the spool's memory is
 * appended at once, on the loop; what needs the disk goes as a chunk to a worker while the conn is paused, so memory stays
 * flat however large the message is. The end of data starts the delivery, whose outcome is the reply. */

/* --- the end of data ------------------------------------------------------------------------------------------- */

static void leave_data(struct smtp_session *s)
{
	conn_set_min_rate(s->conn, 0);
	conn_set_read_size(s->conn, COMMAND_READ_SIZE);
	conn_set_mode(s->conn, CONN_LINES);
}

static void refuse_message(struct smtp_session *s, enum smtp_stage stage, const struct error *err)
{
	session_refuse(s, stage, err);
	session_end_message(s);
}

static void log_accepted(const struct smtp_session *s, const struct delivery_outcome *outcome)
{
	const struct transaction *transaction = s->transaction;

	LOG(LOG_INFO, "smtp.accepted", LOG_NUMBER("session", s->id), LOG_TEXT("id", transaction->id),
	        LOG_SPAN("peer", transaction->trace.peer), LOG_TEXT("login", s->login),
	        LOG_TEXT("from", transaction->sender), LOG_SPAN("to", buffer_span(&transaction->names)),
	        LOG_NUMBER("recipients", transaction->recipients), LOG_NUMBER("accounts", transaction->target_count),
	        LOG_NUMBER("already", outcome->already), LOG_NUMBER("size", transaction->size),
	        LOG_NUMBER("ms", clock_mono_ms() - transaction->started_ms));
}

/* What was durable before the session ended stays delivered: the client has no answer and will try again. */
static void log_unanswered(const struct smtp_session *s, const struct delivery_outcome *outcome)
{
	LOG(LOG_INFO, outcome->error.code == ERR_NONE ? "smtp.accepted_unanswered" : "smtp.refused_unanswered",
	        LOG_NUMBER("session", s->id), LOG_TEXT("id", s->transaction->id),
	        LOG_NUMBER("accounts", s->transaction->target_count), LOG_FAILURE(&outcome->error));
}

static void accepted(struct smtp_session *s, const struct delivery_outcome *outcome)
{
	log_accepted(s, outcome);
	session_reply(
	        s, 250, "2.0.0", "delivered, id %s", s->transaction->id); /* RFC 5321 §4.2.5: from here it is ours */
	s->messages++;
	s->bad_commands = 0;
	s->idle_commands = 0;
	s->refusals = 0;
	session_end_message(s);
}

static void on_delivered(void *arg, const struct delivery_outcome *outcome)
{
	struct smtp_session *s = arg;
	struct error err = outcome->error;

	if (s->closing || s->ended)
		log_unanswered(s, outcome);
	if (!session_woken(s))
		return;
	conn_set_evictable(s->conn, true);
	if (err.code == ERR_NONE) {
		accepted(s, outcome);
	} else {
		if (outcome->partial && reply_for_error(STAGE_DELIVERY, err.code).code >= 500)
			err.code = ERR_TEMPORARY; /* the next try finds the mailboxes that have it, and says so then */
		refuse_message(s, STAGE_DELIVERY, &err);
	}
	session_go_on(s);
}

static struct span kept(const char *text, char *out, size_t size)
{
	return span_copy(span_of(text), out, size) ? span_of(out) : SPAN_EMPTY;
}

static void fill_trace(const struct smtp_session *s, struct transaction *t)
{
	t->trace = (struct trace) {
		.sender = span_of(t->sender),
		.helo = span_of(s->helo),
		.peer = kept(conn_peer_text(s->conn), t->peer, sizeof(t->peer)),
		.hostname = span_of(s->server->settings.hostname),
		.id = span_of(t->id),
		.recipient = t->recipients == 1 ? span_of(t->first_recipient) : SPAN_EMPTY,
		.tls_version = kept(conn_tls_version(s->conn), t->tls_version, sizeof(t->tls_version)),
		.tls_cipher = kept(conn_tls_cipher(s->conn), t->tls_cipher, sizeof(t->tls_cipher)),
		.extended = s->extended,
		.smtputf8 = t->mail.smtputf8,
		.authenticated = s->account_id != 0,
		.unix_seconds = clock_wall_ms() / 1000,
	};
}

static void deliver(struct smtp_session *s)
{
	struct transaction *transaction = s->transaction;
	const struct delivery_request request = {
		.accept = &s->server->accept,
		.pool = s->server->pool,
		.spool = transaction->spool,
		.targets = transaction->targets,
		.target_count = transaction->target_count,
		.trace = &transaction->trace,
		.account_id = s->account_id,
		.received_ms = clock_wall_ms(),
	};

	fill_trace(s, transaction);
	if (deliver_start(&request, on_delivered, s)) {
		conn_set_evictable(s->conn, false); /* who hears nothing of it sends the message again */
		session_wait(s, WAIT_JOB);
		return;
	}
	error_set(&transaction->failure, ERR_NO_MEMORY, "out of memory, try again later");
	refuse_message(s, STAGE_DATA, &transaction->failure);
}

static void end_of_data(struct smtp_session *s)
{
	struct transaction *transaction = s->transaction;

	leave_data(s);
	if (transaction->too_large)
		error_set(&transaction->failure, ERR_TOO_LARGE, "message too large: at most %llu octets",
		        (unsigned long long)s->server->settings.max_message_size);
	if (transaction->failure.code == ERR_NONE)
		deliver(s);
	else
		refuse_message(s, STAGE_DATA, &transaction->failure);
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
	refuse_message(s, STAGE_DATA, &err);
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
		refuse_message(s, STAGE_DATA, &transaction->failure);
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
