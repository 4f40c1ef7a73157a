#include "message/message_text.h"

#include "message/charset.h"
#include "message/encoded_word.h"
#include "message/fold.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define STEP        (4 * KIB)                            /* octets of a part that are decoded at a time */
#define STEP_UTF8   (16 * (STEP + TRANSFER_PENDING_MAX)) /* and what they can become */
#define FLUSH_AT    (32 * KIB)                           /* text that is worth handing out */
#define VALUE_MAX   (MIME_HEADER_MAX)                    /* of one field, decoded */
#define KEEP_BUFFER (256 * KIB)                          /* kept from one message to the next */

struct message_text {
	struct message_text_hooks hooks;
	struct mime_parser *parser;
	bool stopped; /* no more is wanted */
	bool failed;  /* out of memory */
	enum message_text_place place;
	struct buffer out; /* folded text of `place` that has not been handed out */

	/* The leaf whose body is being fed. */
	struct transfer_decoder transfer;
	struct charset_converter *charset;
	struct buffer octets, utf8; /* between the stages */

	struct buffer value; /* of a header field, decoded */
};

static void flush(struct message_text *t)
{
	if (t->out.len > 0 && !t->stopped && !t->failed)
		t->stopped = !t->hooks.on_text(t->hooks.context, t->place, buffer_span(&t->out));
	buffer_clear(&t->out);
}

static void enter(struct message_text *t, enum message_text_place place)
{
	if (t->place != place)
		flush(t);
	t->place = place;
}

static void note_failure(struct message_text *t, bool done)
{
	t->failed = t->failed || !done;
}

/* Folds text that is as large as it likes. */
static void put_folded(struct message_text *t, struct span utf8)
{
	while (utf8.len > 0 && !t->stopped && !t->failed) {
		struct span piece = utf8;

		if (piece.len > STEP) { /* cut before a character */
			piece.len = STEP;
			while (piece.len > STEP - 4 && (utf8.ptr[piece.len] & 0xc0) == 0x80)
				piece.len--;
		}
		note_failure(t, fold_text(piece, &t->out));
		if (t->out.len >= FLUSH_AT)
			flush(t);
		utf8 = span_skip(utf8, piece.len);
	}
}

/* The end of one text. */
static void put_separator(struct message_text *t)
{
	note_failure(t, buffer_append_char(&t->out, '\0'));
}

static bool has_encoded_word(struct span s)
{
	return s.len > 6 && memmem(s.ptr, s.len, "=?", 2) != NULL;
}

/* The decoded value in `decoded`, as UTF-8. */
static bool decode_value(struct span value, struct buffer *decoded)
{
	buffer_clear(decoded);
	if (has_encoded_word(value))
		return encoded_word_decode(value, decoded);
	return header_unfold(value, decoded);
}

bool message_text_value(struct span value, struct buffer *scratch, struct buffer *out)
{
	return decode_value(value, scratch) && fold_text(buffer_span(scratch), out);
}

static void put_field(struct message_text *t, const struct header_field *field)
{
	if (!decode_value(field->value, &t->value)) {
		t->failed = true;
		return;
	}
	put_folded(t, field->name);
	note_failure(t, buffer_append_text(&t->out, ": "));
	put_folded(t, buffer_span(&t->value));
	put_separator(t);
}

static void put_header(struct message_text *t, struct span block)
{
	struct header_reader reader;
	struct header_field field;

	enter(t, TEXT_HEADER);
	header_reader_init(&reader, block);
	while (!t->stopped && !t->failed && header_next(&reader, &field))
		put_field(t, &field);
}

static bool is_searched(const struct mime_part *part)
{
	return part->kind == MIME_LEAF &&
	       (span_equal_nocase(part->type, SPAN("text")) || span_equal_nocase(part->type, SPAN("message")));
}

static bool begin_body(struct message_text *t, const struct mime_part *part)
{
	struct span charset = SPAN_EMPTY;
	bool extended;

	(void)params_find(&part->params, SPAN("charset"), &charset, &extended);
	t->charset = charset_open(charset);
	note_failure(t, t->charset != NULL);
	transfer_init(&t->transfer, part->transfer);
	enter(t, TEXT_BODY);
	return t->charset != NULL;
}

static bool on_header(void *context, struct mime_part *part, struct span block)
{
	struct message_text *t = context;

	if (t->stopped || t->failed)
		return false;
	if (t->hooks.headers)
		put_header(t, block);
	return t->hooks.bodies && is_searched(part) && begin_body(t, part);
}

static void put_octets(struct message_text *t, struct span octets)
{
	/* Most text is ASCII, which every charset but a few passes as it is. */
	if (charset_passes_ascii(t->charset))
		octets = span_skip(octets, fold_ascii(octets, &t->out));
	if (octets.len > 0) {
		buffer_clear(&t->utf8);
		note_failure(t, charset_feed(t->charset, octets, &t->utf8));
		put_folded(t, buffer_span(&t->utf8));
	}
	note_failure(t, !t->out.failed);
	if (t->out.len >= FLUSH_AT)
		flush(t);
}

static void on_body(void *context, struct mime_part *part, struct span bytes)
{
	struct message_text *t = context;

	(void)part;
	while (bytes.len > 0 && !t->stopped && !t->failed) {
		struct span piece = span_first(bytes, STEP);

		bytes = span_skip(bytes, piece.len);
		if (t->transfer.encoding == TRANSFER_IDENTITY || t->transfer.encoding == TRANSFER_UNKNOWN) {
			put_octets(t, piece);
			continue;
		}
		buffer_clear(&t->octets);
		note_failure(t, transfer_feed(&t->transfer, piece, &t->octets));
		put_octets(t, buffer_span(&t->octets));
	}
}

static void end_body(struct message_text *t)
{
	buffer_clear(&t->octets);
	note_failure(t, transfer_finish(&t->transfer, &t->octets));
	put_octets(t, buffer_span(&t->octets));
	buffer_clear(&t->utf8);
	note_failure(t, charset_finish(t->charset, &t->utf8));
	put_folded(t, buffer_span(&t->utf8));
	put_separator(t);
	charset_close(&t->charset);
}

/* Only leaves are decoded, and nothing begins inside one: the open charset is this part's. */
static void on_end(void *context, struct mime_part *part)
{
	struct message_text *t = context;

	(void)part;
	if (t->charset != NULL)
		end_body(t);
}

struct message_text *message_text_new(const struct message_text_hooks *hooks)
{
	struct message_text *t = calloc(1, sizeof(*t));
	struct mime_hooks mime = { .context = t, .on_header = on_header, .on_body = on_body, .on_end = on_end };

	if (t == NULL)
		return NULL;
	t->hooks = *hooks;
	t->parser = mime_parser_new(&mime);
	if (t->parser == NULL) {
		free(t);
		return NULL;
	}
	buffer_init(&t->out, MESSAGE_TEXT_PIECE_MAX);
	buffer_init(&t->octets, STEP + TRANSFER_PENDING_MAX);
	buffer_init(&t->utf8, STEP_UTF8);
	buffer_init(&t->value, 4 * VALUE_MAX);
	return t;
}

void message_text_free(struct message_text **text)
{
	struct message_text *t = *text;

	if (t == NULL)
		return;
	mime_parser_free(&t->parser);
	charset_close(&t->charset);
	buffer_free(&t->out);
	buffer_free(&t->octets);
	buffer_free(&t->utf8);
	buffer_free(&t->value);
	free(t);
	*text = NULL;
}

bool message_text_feed(struct message_text *t, struct span octets)
{
	if (!t->stopped && !t->failed)
		note_failure(t, mime_parser_feed(t->parser, octets));
	return !t->stopped && !t->failed;
}

bool message_text_finish(struct message_text *t)
{
	bool failed;

	if (!t->stopped && !t->failed)
		note_failure(t, mime_parser_finish(t->parser));
	flush(t);
	failed = t->failed;
	mime_parser_reset(t->parser);
	charset_close(&t->charset);
	buffer_clear(&t->out);
	buffer_clear(&t->octets);
	buffer_clear(&t->utf8);
	if (t->value.cap > KEEP_BUFFER)
		buffer_free(&t->value);
	t->stopped = t->failed = false;
	return !failed;
}
