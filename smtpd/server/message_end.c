/* What becomes of a message when its last octet has come: the delivery, whose outcome is the reply. */
#include "smtpd/server/commands.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "smtpd/inbound/lines.h"

#define NAMES_LOGGED 1024 /* octets of recipients in the log line */

/* RFC 2033 §4.2, §4.3: after the end of data LMTP wants a reply for each recipient that was accepted; a chunk before the last has one. */
static size_t replies_wanted(const struct smtp_session *s)
{
	bool at_end = s->state == RECEIVING || (s->state == CHUNKED && s->chunk.last);

	return s->port == PORT_DELIVER && at_end ? s->transaction->envelope.rcpt_count : 1;
}

void message_refuse(struct smtp_session *s, enum smtp_stage stage, const struct error *err)
{
	size_t replies = replies_wanted(s);

	session_tell_refused(s, stage, err, SPAN_EMPTY);
	session_refuse(s, stage, err);
	for (size_t i = 1; i < replies; i++)
		session_say(s, stage, err);
	session_end_message(s);
}

/* --- the outcome --------------------------------------------------------------------------------------------------- */

static void log_accepted(const struct smtp_session *s, const struct delivery_outcome *outcome)
{
	const struct transaction *transaction = s->transaction;
	const struct envelope *envelope = &transaction->envelope;
	char names[NAMES_LOGGED];

	envelope_names(envelope, names, sizeof(names));
	LOG(LOG_INFO, "smtp.accepted", LOG_NUMBER("session", s->id), LOG_TEXT("id", transaction->id),
	        LOG_SPAN("peer", transaction->trace.peer), LOG_SPAN("name", transaction->trace.peer_name),
	        LOG_TEXT("login", s->login), LOG_TEXT("from", transaction->sender), LOG_TEXT("to", names),
	        LOG_NUMBER("recipients", envelope->rcpt_count), LOG_NUMBER("accounts", envelope->target_count),
	        LOG_NUMBER("remote", envelope->remote_count), LOG_TEXT("queued", outcome->queued ? "yes" : "no"),
	        LOG_NUMBER("already", outcome->already), LOG_NUMBER("size", transaction->size),
	        LOG_NUMBER("priority", transaction->mail.priority), /* RFC 6710 §4.1 (3) */
	        LOG_NUMBER("ms", clock_mono_ms() - transaction->started_ms));
}

/* What was durable before the session ended stays delivered: the client has no answer and will try again. */
static void log_unanswered(const struct smtp_session *s, const struct delivery_outcome *outcome)
{
	LOG(LOG_INFO, outcome->error.code == ERR_NONE ? "smtp.accepted_unanswered" : "smtp.refused_unanswered",
	        LOG_NUMBER("session", s->id), LOG_TEXT("id", s->transaction->id),
	        LOG_NUMBER("accounts", s->transaction->envelope.target_count), LOG_FAILURE(&outcome->error));
}

static void forgive(struct smtp_session *s)
{
	s->messages++;
	s->bad_commands = 0;
	s->idle_commands = 0;
	s->refusals = 0;
}

static void accepted(struct smtp_session *s, const struct delivery_outcome *outcome)
{
	log_accepted(s, outcome);
	/* RFC 5321 §4.2.5: from here it is ours */
	if (outcome->queued)
		session_reply(s, 250, "2.0.0", "queued as %s", s->transaction->id);
	else
		session_reply(s, 250, "2.0.0", "delivered, id %s", s->transaction->id);
	forgive(s);
	session_end_message(s);
}

/* RFC 2033 §4.2: in the order of the RCPTs. */
static void answer_each(struct smtp_session *s, const struct delivery_outcome *outcome)
{
	const struct envelope *envelope = &s->transaction->envelope;
	size_t good = 0;

	for (size_t i = 0; i < envelope->rcpt_count; i++) {
		const struct error *err = &outcome->results[i];
		struct span address = envelope_address(envelope, i);

		if (err->code == ERR_NONE) {
			session_reply(s, 250, "2.1.5", "<%.*s> has it, id %s",
			        SPAN_FMT(utf8_is_ascii(address) ? address : SPAN("recipient")), s->transaction->id);
			good++;
		} else {
			session_tell_refused(s, STAGE_DELIVERY, err, address);
			session_refuse(s, STAGE_DELIVERY, err);
		}
	}
	if (good > 0) {
		log_accepted(s, outcome);
		forgive(s);
	}
	session_end_message(s);
}

static void refused(struct smtp_session *s, const struct delivery_outcome *outcome)
{
	struct error err = outcome->error;

	if (outcome->partial && reply_for_error(STAGE_DELIVERY, err.code).code >= 500)
		err.code = ERR_TEMPORARY; /* the next try finds the mailboxes that have it, and says so then */
	message_refuse(s, outcome->limited ? STAGE_LIMIT : STAGE_DELIVERY, &err);
}

static void on_delivered(void *arg, const struct delivery_outcome *outcome)
{
	struct smtp_session *s = arg;

	if (s->closing || s->ended)
		log_unanswered(s, outcome);
	if (!session_woken(s))
		return;
	conn_set_evictable(s->conn, true);
	if (outcome->results != NULL)
		answer_each(s, outcome);
	else if (outcome->error.code == ERR_NONE)
		accepted(s, outcome);
	else
		refused(s, outcome);
	session_go_on(s);
}

/* --- the delivery -------------------------------------------------------------------------------------------------- */

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
		.peer_name = s->peer_name == NULL ? SPAN_EMPTY : span_of(s->peer_name),
		.hostname = span_of(s->server->settings.hostname),
		.id = span_of(t->id),
		.recipient = t->envelope.rcpt_count == 1 ? envelope_address(&t->envelope, 0) : SPAN_EMPTY,
		.tls_version = kept(conn_tls_version(s->conn), t->tls_version, sizeof(t->tls_version)),
		.tls_cipher = kept(conn_tls_cipher(s->conn), t->tls_cipher, sizeof(t->tls_cipher)),
		.extended = s->proto_given ? s->esmtp_given : s->extended,
		.lmtp = s->port == PORT_DELIVER,
		.smtputf8 = t->mail.smtputf8,
		.has_priority = t->mail.has_priority,
		.priority = t->mail.priority,
		.authenticated = s->account_id != 0,
		.local = s->port == PORT_LOCAL,
		.uid = s->uid,
		.unix_seconds = clock_wall_ms() / 1000,
	};
}

/* RFC 4865, and the time in which our user may think better of it: the later of the two. */
static int64_t not_before(const struct smtp_session *s, int64_t now_ms)
{
	const struct transaction *transaction = s->transaction;
	int64_t undo = s->account_id != 0 ? transaction->options.undo_ms : 0;
	int64_t undone_ms = undo > 0 ? now_ms + undo : 0;
	int64_t hold_ms = transaction->mail.hold_until_ms > now_ms ? transaction->mail.hold_until_ms : 0;

	return hold_ms > undone_ms ? hold_ms : undone_ms;
}

static void deliver(struct smtp_session *s)
{
	struct transaction *transaction = s->transaction;
	int64_t now_ms = clock_wall_ms();
	const struct delivery_request request = {
		.accept = &s->server->accept,
		.pool = s->server->pool,
		.spool = transaction->spool,
		.envelope = &transaction->envelope,
		.mail = &transaction->mail,
		.trace = &transaction->trace,
		.account_id = s->account_id,
		.options = &transaction->options,
		.login = span_of(s->login),
		.trusted = session_may_relay(s),
		.each = s->port == PORT_DELIVER,
		.received_ms = now_ms,
		.not_before_ms = not_before(s, now_ms),
	};

	fill_trace(s, transaction);
	if (deliver_start(&request, on_delivered, s)) {
		conn_set_evictable(s->conn, false); /* who hears nothing of it sends the message again */
		session_wait(s, WAIT_JOB);
		return;
	}
	error_set(&transaction->failure, ERR_NO_MEMORY, "out of memory, try again later");
	message_refuse(s, STAGE_DATA, &transaction->failure);
}

static void make_lines_of(struct smtp_session *s, bool in_file)
{
	(void)lines_make(s->server->accept.store, s->server->settings.max_message_size, in_file, &s->transaction->spool,
	        &s->job_error);
}

static void make_lines(struct smtp_session *s)
{
	make_lines_of(s, false);
}

static void make_lines_in_file(struct smtp_session *s)
{
	make_lines_of(s, true);
}

static void lines_are_made(struct smtp_session *s)
{
	struct transaction *transaction = s->transaction;

	transaction->mail.body = BODY_8BITMIME;
	transaction->failure = s->job_error;
	if (transaction->failure.code == ERR_NONE)
		deliver(s);
	else
		message_refuse(s, STAGE_DATA, &transaction->failure);
}

void message_end(struct smtp_session *s)
{
	struct transaction *transaction = s->transaction;

	if (transaction->too_large)
		error_set(&transaction->failure, ERR_TOO_LARGE, "message too large: at most %llu octets",
		        (unsigned long long)s->server->settings.max_message_size);
	if (transaction->failure.code != ERR_NONE)
		message_refuse(s, STAGE_DATA, &transaction->failure);
	else if (transaction->mail.body == BODY_BINARYMIME)
		session_work(s, WORKER_WRITE, octets_are_too_many(s) ? make_lines_in_file : make_lines, lines_are_made);
	else
		deliver(s);
}
