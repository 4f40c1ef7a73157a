/* Octets of a message on their way to the spool: what fits into its memory is appended at once, on the loop; what needs the disk goes as
 * a chunk to a worker while the conn is paused, so memory stays flat however large the message is. */
#include "smtpd/server/commands.h"

#include "base/check.h"

bool octets_begin(struct smtp_session *s, struct error *err)
{
	return spool_new(s->server->accept.store, s->server->settings.max_message_size, &s->transaction->spool, err);
}

void octets_give_up(struct transaction *transaction)
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
	octets_give_up(transaction);
}

/* At most DATA_CHUNK_MAX octets come between two flushes. */
void octets_keep(struct smtp_session *s, struct span text)
{
	struct transaction *transaction = s->transaction;

	count_octets(s, text.len);
	if (keeps_nothing(transaction))
		return;
	if (transaction->chunk.len == 0 && spool_fits(transaction->spool, text.len)) {
		if (!spool_append(transaction->spool, text, &transaction->failure))
			octets_give_up(transaction);
	} else if (!buffer_append_span(&transaction->chunk, text)) {
		error_set(&transaction->failure, ERR_NO_MEMORY, "out of memory, try again later");
		octets_give_up(transaction);
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
		octets_give_up(transaction);
	}
	transaction->flushed(s);
}

bool octets_flush(struct smtp_session *s, void (*done)(struct smtp_session *s))
{
	if (s->transaction->chunk.len == 0)
		return false;
	s->transaction->flushed = done;
	session_work(s, WORKER_WRITE, write_chunk, chunk_written);
	return true;
}

/* Nobody reads that much only to say no. */
bool octets_far_too_many(const struct smtp_session *s)
{
	return s->transaction->too_large &&
	       s->transaction->size / DATA_DISCARD_FACTOR > s->server->settings.max_message_size;
}

void octets_bad(struct smtp_session *s)
{
	struct error err;

	error_set(&err, ERR_SYNTAX, "bare CR, bare LF or NUL in the message (RFC 5321 2.3.8), goodbye");
	message_refuse(s, STAGE_DATA, &err);
	session_end(s);
}
