/* BDAT (RFC 3030 §2): a message in chunks of announced size. The octets of a chunk are read whether it is wanted or not: else they would be
 * read as commands. They are counted in 64 bits, and refused before they come where they would be too many (promises.md, "BDAT confusion"). */
#include "smtpd/server/commands.h"

#include "base/check.h"

static void read_lines(struct smtp_session *s)
{
	s->chunk.open = false;
	conn_set_min_rate(s->conn, 0);
	octets_read_narrowly(s);
	conn_set_mode(s->conn, CONN_LINES);
}

static void chunk_is_there(struct smtp_session *s)
{
	struct transaction *transaction = s->transaction;

	if (s->chunk.last && transaction->mail.body != BODY_BINARYMIME && !data_scan_whole(&transaction->scan)) {
		octets_bad(s); /* also where the last chunk is empty and the CR was in the one before */
	} else if (s->chunk.last) {
		message_end(s);
	} else if (transaction->too_large || transaction->failure.code != ERR_NONE) {
		message_end(s); /* it will not get better: RFC 3030 §2 */
	} else {
		session_reply(s, 250, "2.0.0", "%llu octets received", (unsigned long long)s->chunk.size);
	}
}

static void flushed(struct smtp_session *s)
{
	if (s->chunk.left > 0)
		return;
	read_lines(s);
	chunk_is_there(s);
}

/* Nobody wants it: counted, thrown away, answered. */
static void refused_chunk_is_over(struct smtp_session *s)
{
	struct smtp_reply reply = s->chunk.refusal;

	read_lines(s);
	session_bad_command(s, reply.code, reply.enhanced, s->chunk.why);
}

static void end_of_chunk(struct smtp_session *s)
{
	if (s->chunk.refusal.code != 0) {
		refused_chunk_is_over(s);
	} else if (!octets_flush(s, flushed)) {
		read_lines(s);
		chunk_is_there(s);
	}
}

size_t chunk_receive(struct smtp_session *s, struct span bytes)
{
	struct transaction *transaction = s->transaction;
	struct span text = span_first(bytes, DATA_CHUNK_MAX);

	CHECK(s->chunk.open && s->waiting == WAIT_NOTHING);
	if (text.len > s->chunk.left)
		text.len = (size_t)s->chunk.left;
	s->chunk.left -= text.len;
	if (s->chunk.refusal.code == 0) {
		bool clean = transaction->mail.body == BODY_BINARYMIME || data_scan_chunk(&transaction->scan, text);
		if (!clean) {
			octets_bad(s);
			return bytes.len;
		}
		octets_keep(s, text);
	}
	if (s->chunk.left == 0)
		end_of_chunk(s);
	else if (s->chunk.refusal.code == 0)
		(void)octets_flush(s, flushed);
	return text.len;
}

/* "BDAT" SP chunk-size [ SP "LAST" ] */
static bool parse_bdat(struct span args, uint64_t *size, bool *last)
{
	struct span rest = args;

	if (!span_take_number64(&rest, UINT64_MAX, size) || (rest.len > 0 && rest.ptr[0] != ' ' && rest.ptr[0] != '\t'))
		return false;
	rest = span_trim(rest);
	*last = span_equal_nocase(rest, SPAN("LAST"));
	return *last || rest.len == 0;
}

static void refuse_chunk(struct smtp_session *s, unsigned code, const char *enhanced, const char *why)
{
	s->chunk.refusal = (struct smtp_reply) { code, enhanced };
	s->chunk.why = why;
}

/* Why this chunk is not wanted, if it is not. */
static void judge_chunk(struct smtp_session *s)
{
	struct error err;

	s->chunk.refusal.code = 0;
	if (session_needs_login(s)) {
		refuse_chunk(s, 530, "5.7.0", "log in first");
	} else if (s->state == HAS_RCPT) {
		if (octets_begin(s, &err)) {
			data_scan_init(&s->transaction->scan);
			s->state = CHUNKED;
		} else {
			refuse_chunk(s, 451, "4.3.0", "out of memory, try again later");
			session_end_message(s); /* or the next chunk, pipelined, would be a message without this one */
		}
	} else if (s->state != CHUNKED) {
		refuse_chunk(s, 503, "5.5.1", "no valid recipients, say MAIL and RCPT first");
	}
}

/* More than will ever be read: said at once, and the session cannot go on. */
static bool is_absurd(const struct smtp_session *s)
{
	uint64_t limit = s->server->settings.max_message_size, had = s->transaction == NULL ? 0 : s->transaction->size;

	return s->chunk.size > limit * DATA_DISCARD_FACTOR || had > limit * DATA_DISCARD_FACTOR - s->chunk.size;
}

static void refuse_absurd(struct smtp_session *s)
{
	struct error err;

	error_set(&err, ERR_TOO_LARGE, "message too large: at most %llu octets, goodbye",
	        (unsigned long long)s->server->settings.max_message_size);
	session_tell_refused(s, STAGE_DATA, &err, SPAN_EMPTY);
	session_refuse(s, STAGE_DATA, &err);
	session_end(s);
}

void cmd_bdat(struct smtp_session *s, struct span args)
{
	if (!parse_bdat(args, &s->chunk.size, &s->chunk.last)) { /* how many octets follow cannot be known */
		session_reply(s, 501, "5.5.4", "expected BDAT size [LAST], goodbye");
		session_end(s);
		return;
	}
	if (is_absurd(s)) {
		refuse_absurd(s);
		return;
	}
	if (s->chunk.size == 0 && !s->chunk.last &&
	        session_lose_patience(s, &s->idle_commands, IDLE_COMMANDS_MAX, "too many empty chunks"))
		return;
	judge_chunk(s);
	s->chunk.open = true;
	s->chunk.left = s->chunk.size;
	if (s->chunk.left == 0) {
		end_of_chunk(s);
		return;
	}
	conn_set_mode(s->conn, CONN_BYTES);
	if (s->chunk.refusal.code == 0) /* else a client without a login could have us keep that much */
		octets_read_widely(s);
	conn_set_min_rate(s->conn, DATA_MIN_RATE);
}
