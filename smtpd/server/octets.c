/* Octets of a message on their way to the spool: what fits into its memory is appended at once, on the loop; what needs the disk goes as
 * a chunk to a worker while the conn is paused, so memory stays flat however large the message is.
 *
 * It stays flat however many come at once, too (promises.md, "pre-auth memory"): 2,000 clients that stop after 64 KiB would hold 128 MiB.
 * So what all sessions have in memory is counted, and beyond SPOOLS_MAX only small messages stay there; and few read much at once. */
#include "smtpd/server/commands.h"

#include "base/check.h"

bool octets_begin(struct smtp_session *s, struct error *err)
{
	return spool_new(s->server->accept.store, s->server->settings.max_message_size, &s->transaction->spool, err);
}

void octets_read_widely(struct smtp_session *s)
{
	if (!s->reads_widely && s->server->wide_readers < WIDE_READERS_MAX) {
		s->reads_widely = true;
		s->server->wide_readers++;
	}
	conn_set_read_size(s->conn, s->reads_widely ? DATA_READ_SIZE : COMMAND_READ_SIZE);
}

void octets_read_narrowly(struct smtp_session *s)
{
	if (!s->reads_widely)
		return;
	s->reads_widely = false;
	s->server->wide_readers--;
	if (!s->closing)
		conn_set_read_size(s->conn, COMMAND_READ_SIZE);
}

void octets_left_memory(struct smtp_session *s)
{
	s->server->spooled -= s->spooled;
	s->spooled = 0;
}

bool octets_are_too_many(const struct smtp_session *s)
{
	return s->server->spooled > SPOOLS_MAX;
}

static void count_in_memory(struct smtp_session *s, size_t more)
{
	s->spooled += more;
	s->server->spooled += more;
}

/* Nothing is kept from here on; failure or too_large says why. */
static void give_up(struct smtp_session *s)
{
	spool_free(&s->transaction->spool);
	buffer_free(&s->transaction->chunk);
	octets_left_memory(s);
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
	give_up(s);
}

/* At most DATA_CHUNK_MAX octets come between two flushes. */
void octets_keep(struct smtp_session *s, struct span text)
{
	struct transaction *transaction = s->transaction;

	count_octets(s, text.len);
	if (keeps_nothing(transaction))
		return;
	if (s->spooled + text.len > SPOOL_SMALL && s->server->spooled + text.len > SPOOLS_MAX)
		spool_leave_memory(transaction->spool);
	if (transaction->chunk.len == 0 && spool_fits(transaction->spool, text.len)) {
		count_in_memory(s, text.len);
		if (!spool_append(transaction->spool, text, &transaction->failure))
			give_up(s);
	} else if (!buffer_append_span(&transaction->chunk, text)) {
		error_set(&transaction->failure, ERR_NO_MEMORY, "out of memory, try again later");
		give_up(s);
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
	octets_left_memory(s);
	if (s->job_error.code != ERR_NONE) {
		transaction->failure = s->job_error;
		give_up(s);
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
