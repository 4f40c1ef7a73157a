#include "imapd/reader.h"

#include "base/check.h"
#include "base/secret.h"
#include "imapd/command.h"

#include <stdlib.h>
#include <string.h>

/*            LF, no literal: dispatched, BY_LINE again
 *   BY_LINE -----------------------------------------------------------+
 *    |    ^                                                            |
 *    |    +-- all octets are there -- IN_LITERAL <-- "{n}" collected --+
 *    |    +-- all octets are there -- IN_MESSAGE <-- reader_take_message -- ANNOUNCED <-- "{n}" of an APPEND's message
 *    +--- all octets are there ------ IN_DROPPED <-- reader_command_ended: the client sends them all the same */
enum reader_state { BY_LINE, IN_LITERAL, ANNOUNCED, IN_MESSAGE, IN_DROPPED };

#define TAIL_LEN    32                  /* "{18446744073709551615+}" CR and room */
#define LITERAL_MAX ((uint64_t)1 << 63) /* number64 (RFC 9051 §9) ends one below */

struct literal {
	uint64_t size;
	bool synchronizing;
	bool overflow; /* the size is no number64 */
};

struct reader {
	struct imap_session *session;
	enum reader_state state;
	struct buffer text; /* the command, or what follows a message, or a line for on_line */
	size_t line_start;  /* where in it the line being read begins: behind the last literal */
	unsigned literals;
	uint64_t left; /* octets of the literal that are still to come */
	struct literal announced;
	const struct reader_taker *taker; /* of the APPEND under way */
	unsigned messages;                /* of it, that were announced */
	bool refused;                     /* the command has its answer: what still comes of it is dropped */
	bool too_long;                    /* the line is over the limit: only its end is looked at */
	char tail[TAIL_LEN];              /* of such a line */
	size_t tail_len;
};

static size_t text_limit(const struct reader *r)
{
	const struct imap_session *s = r->session;

	return s->state == NOT_AUTHENTICATED || s->on_line != NULL ? COMMAND_BEFORE_LOGIN_MAX : COMMAND_MAX;
}

struct reader *reader_new(struct imap_session *s)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->session = s;
	buffer_init(&r->text, COMMAND_BEFORE_LOGIN_MAX);
	return r;
}

static void free_text(struct reader *r)
{
	if (r->session->state == NOT_AUTHENTICATED)
		secret_buffer_free(&r->text);
	else
		buffer_free(&r->text);
	r->line_start = 0;
	r->too_long = false;
	r->tail_len = 0;
}

void reader_forget(struct reader *r)
{
	free_text(r);
	secret_wipe(r->tail, sizeof(r->tail));
	r->state = BY_LINE;
	r->literals = 0;
	r->messages = 0;
	r->taker = NULL;
	r->refused = false;
}

void reader_free(struct reader **reader)
{
	if (*reader == NULL)
		return;
	reader_forget(*reader);
	free(*reader);
	*reader = NULL;
}

bool reader_in_message(const struct reader *r)
{
	return r->taker != NULL && r->state != ANNOUNCED;
}

bool reader_is_partial(const struct reader *r)
{
	return r->state != BY_LINE || r->text.len > 0 || r->refused || r->too_long || r->taker != NULL;
}

/* --- the text so far --- */

static bool add_text(struct reader *r, struct span piece)
{
	r->text.limit = text_limit(r);
	if (r->session->state == NOT_AUTHENTICATED && r->text.len + piece.len <= r->text.limit &&
	        !secret_buffer_reserve(&r->text, piece.len))
		return false;
	return buffer_append_span(&r->text, piece);
}

static void add_tail(struct reader *r, struct span piece)
{
	size_t keep;

	if (piece.len > TAIL_LEN)
		piece = span_skip(piece, piece.len - TAIL_LEN);
	keep = r->tail_len < TAIL_LEN - piece.len ? r->tail_len : TAIL_LEN - piece.len;
	memmove(r->tail, r->tail + r->tail_len - keep, keep);
	if (piece.len > 0)
		memcpy(r->tail + keep, piece.ptr, piece.len);
	r->tail_len = keep + piece.len;
}

/* What is refused is not kept; of a line that is too long, its beginning (the tag) and its end (a literal). */
static void add_line_piece(struct reader *r, struct span piece)
{
	if (!r->refused && !r->too_long && r->text.len + piece.len > text_limit(r)) {
		r->too_long = true;
		add_tail(r, span_skip(buffer_span(&r->text), r->line_start));
	}
	if (r->refused || r->too_long)
		add_tail(r, piece);
	else if (!add_text(r, piece))
		conn_close(r->session->conn); /* no memory */
}

static struct span current_line(const struct reader *r)
{
	struct span line = r->refused || r->too_long ? span_make(r->tail, r->tail_len)
	                                             : span_skip(buffer_span(&r->text), r->line_start);

	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* RFC 7888 §3: the end of every line is looked at. What is not exactly a literal is the parser's business. */
static bool find_literal(struct span line, struct literal *out)
{
	size_t at;
	struct span size;

	if (line.len < 3 || line.ptr[line.len - 1] != '}' || !span_find_last(line, '{', &at))
		return false;
	size = span_skip(span_first(line, line.len - 1), at + 1);
	out->synchronizing = true;
	if (size.len > 0 && size.ptr[size.len - 1] == '+') {
		out->synchronizing = false;
		size.len--;
	}
	for (size_t i = 0; i < size.len; i++) {
		if (!ascii_is_digit((unsigned char)size.ptr[i]))
			return false;
	}
	out->overflow = size.len > 0 && !span_number(size, LITERAL_MAX - 1, &out->size);
	return size.len > 0;
}

/* --- refusing --- */

static void cannot_go_on(struct reader *r, const char *why)
{
	session_bye(r->session, "TOOBIG", why); /* RFC 7888 §5 */
}

/* The command has a status before it was whole. If there is no other way to know where it ends, the session ends instead. */
static void reject(
        struct reader *r, const struct literal *literal, const char *status, const char *code, const char *why)
{
	struct imap_session *s = r->session;

	if (literal != NULL && !literal->synchronizing) {
		cannot_go_on(r, why);
		return;
	}
	if (s->request != NULL) { /* an APPEND, behind one of its messages */
		r->taker = NULL;
		r->state = BY_LINE;
		if (strcmp(status, "BAD") == 0)
			command_bad(s, why);
		else
			command_no(s, code, why);
		return;
	}
	command_reject(s, &r->text, status, code, why);
	free_text(r);
}

/* What comes behind a literal of a command that has its answer. */
static void drop_on(struct reader *r, const struct literal *literal)
{
	r->tail_len = 0;
	if (literal == NULL || literal->synchronizing) { /* nothing follows that we did not ask for */
		reader_forget(r);
	} else if (literal->overflow || literal->size > SWALLOW_MAX || ++r->literals > LITERAL_COUNT_MAX) {
		cannot_go_on(r, "a literal is too large");
	} else {
		r->left = literal->size;
		r->state = r->left > 0 ? IN_DROPPED : BY_LINE;
	}
}

/* --- a line is whole --- */

static bool announces_message(const struct reader *r)
{
	return r->session->state != NOT_AUTHENTICATED &&
	       append_announces_message(buffer_span(&r->text), r->messages, session_utf8(r->session));
}

static bool has_room_for(const struct reader *r, uint64_t octets)
{
	size_t used = r->text.len + 2; /* CRLF */

	return used <= text_limit(r) && octets <= text_limit(r) - used;
}

static void begin_literal(struct reader *r, const struct literal *literal)
{
	if (literal->overflow) {
		reject(r, literal, "BAD", NULL, "the size of the literal is out of range");
	} else if (r->literals >= LITERAL_COUNT_MAX || !has_room_for(r, literal->size)) {
		reject(r, literal, "NO", "TOOBIG", "the literal is too large");
	} else if (!add_text(r, SPAN("\r\n"))) {
		conn_close(r->session->conn); /* no memory */
	} else {
		r->literals++;
		r->left = literal->size;
		r->state = r->left > 0 ? IN_LITERAL : BY_LINE;
		r->line_start = r->text.len;
		if (literal->synchronizing)
			session_write_text(r->session, "+ OK\r\n");
	}
}

static void announce_message(struct reader *r, const struct literal *literal)
{
	struct imap_session *s = r->session;

	r->announced = *literal;
	r->state = ANNOUNCED;
	r->messages++;
	if (s->request == NULL)
		command_dispatch(s, &r->text);
	else
		r->taker->on_rest(s, buffer_span(&r->text), true);
}

static void end_of_command(struct reader *r)
{
	struct imap_session *s = r->session;

	r->literals = 0;
	if (r->taker != NULL) {
		const struct reader_taker *taker = r->taker;

		r->taker = NULL;
		taker->on_rest(s, buffer_span(&r->text), false);
	} else if (r->text.len > 0) {
		command_dispatch(s, &r->text);
		free_text(r);
	} else {
		free_text(r); /* Apple Mail sends an empty line now and then */
	}
}

static void line_for_session(struct reader *r)
{
	struct imap_session *s = r->session;
	struct buffer line = r->text; /* on_line may lead to whatever */
	bool too_long = r->too_long;

	buffer_init(&r->text, line.limit);
	free_text(r);
	if (too_long || !s->on_line(s, buffer_span(&line)))
		command_bad(s, too_long ? "the line is too long" : "not what was expected");
	secret_buffer_free(&line);
}

static void line_is_whole(struct reader *r)
{
	struct imap_session *s = r->session;
	struct span line = current_line(r);
	struct literal literal;
	bool has_literal = s->on_line == NULL && find_literal(line, &literal);

	if (r->refused) {
		drop_on(r, has_literal ? &literal : NULL);
		return;
	}
	if (r->too_long) {
		if (s->on_line != NULL)
			line_for_session(r);
		else
			reject(r, has_literal ? &literal : NULL, "BAD", NULL, "the command is too long");
		return;
	}
	r->text.len = r->line_start + line.len; /* without CR */
	if (s->on_line != NULL)
		line_for_session(r);
	else if (has_literal && !literal.overflow && announces_message(r))
		announce_message(r, &literal);
	else if (has_literal)
		begin_literal(r, &literal);
	else
		end_of_command(r);
}

/* --- feeding --- */

static size_t feed_line(struct reader *r, struct span bytes)
{
	size_t at;
	bool whole = span_find(bytes, '\n', &at);
	struct span piece = span_first(bytes, whole ? at : bytes.len);

	add_line_piece(r, piece);
	if (whole && !conn_is_closing(r->session->conn))
		line_is_whole(r);
	return piece.len + whole;
}

static size_t feed_octets(struct reader *r, struct span bytes)
{
	struct span piece = span_first(bytes, r->left < bytes.len ? (size_t)r->left : bytes.len);

	r->left -= piece.len;
	if (r->state == IN_MESSAGE) {
		r->taker->on_bytes(r->session, piece);
		if (r->left == 0 && r->state == IN_MESSAGE) {
			r->state = BY_LINE;
			free_text(r);
		}
		return piece.len;
	}
	if (r->state == IN_LITERAL && !add_text(r, piece)) {
		conn_close(r->session->conn); /* no memory: the size was within the limit */
		return piece.len;
	}
	if (r->left == 0) {
		r->line_start = r->text.len;
		r->state = BY_LINE;
	}
	return piece.len;
}

size_t reader_feed(struct reader *r, struct span bytes)
{
	CHECK(r->state != ANNOUNCED && bytes.len > 0);
	return r->state == BY_LINE ? feed_line(r, bytes) : feed_octets(r, bytes);
}

void reader_take_message(struct reader *r, const struct reader_taker *taker)
{
	CHECK(r->state == ANNOUNCED);
	free_text(r);
	r->taker = taker;
	r->left = r->announced.size;
	r->state = r->left > 0 ? IN_MESSAGE : BY_LINE;
	if (r->announced.synchronizing)
		session_write_text(r->session, "+ OK\r\n");
	session_update_input(r->session);
}

void reader_command_ended(struct reader *r)
{
	enum reader_state state = r->state;
	bool in_rest = r->taker != NULL && state == BY_LINE; /* the rest of the command is still to come */
	uint64_t left = state == ANNOUNCED ? r->announced.size : r->left;
	bool comes = state == IN_MESSAGE || (state == ANNOUNCED && !r->announced.synchronizing);

	reader_forget(r);
	if (!comes && !in_rest)
		return;
	if (left > SWALLOW_MAX) {
		cannot_go_on(r, "the message is too large");
		return;
	}
	r->refused = true;
	r->left = left;
	r->state = comes && left > 0 ? IN_DROPPED : BY_LINE;
}
