#include "pop3d/surrogate.h"

#include "base/utf8.h"
#include "pop3d/downgrade.h"

#include <stdlib.h>

void surrogate_init(struct surrogate *surrogate)
{
	*surrogate = (struct surrogate) { 0 };
	buffer_init(&surrogate->text, SURROGATE_TEXT_MAX);
}

void surrogate_free(struct surrogate *surrogate)
{
	if (surrogate->parser != NULL)
		mime_parser_free(&surrogate->parser);
	free(surrogate->pieces);
	surrogate->pieces = NULL;
	surrogate->count = 0;
	buffer_free(&surrogate->text);
}

/* There is no room to say it well: what is not ASCII becomes "?". */
static bool blot_out(struct span block, struct buffer *out)
{
	size_t begin = out->len;

	if (!buffer_append_span(out, block))
		return false;
	for (size_t i = begin; i < out->len; i++) {
		if ((unsigned char)out->data[i] >= 0x80)
			out->data[i] = '?';
	}
	return true;
}

static bool rewrite(struct surrogate *s, struct span block)
{
	size_t begin = s->text.len;

	if (downgrade_header(block, &s->text))
		return true;
	s->text.len = begin;
	s->text.failed = false;
	return blot_out(block, &s->text);
}

static bool add_piece(struct surrogate *s, uint64_t at, struct span block)
{
	struct surrogate_piece *grown = s->pieces;
	size_t begin = s->text.len;

	if (s->count == SURROGATE_PIECES_MAX || !rewrite(s, block))
		return true;                    /* beyond the limits the message goes out as it is */
	if ((s->count & (s->count + 1)) == 0) { /* 0, 1, 3, 7 ... pieces: room for as many again and one */
		grown = realloc(s->pieces, (2 * s->count + 1) * sizeof(*grown));
		if (grown == NULL)
			return false;
		s->pieces = grown;
	}
	s->pieces[s->count++] = (struct surrogate_piece) { at, block.len, begin, s->text.len - begin };
	s->growth += (int64_t)(s->text.len - begin) - (int64_t)block.len;
	return true;
}

static bool on_header(void *context, struct mime_part *part, struct span block)
{
	struct surrogate *s = context;

	if (!utf8_is_ascii(block) && !add_piece(s, part->header_at, block))
		s->failed = true;
	return false;
}

bool surrogate_feed(struct surrogate *s, struct span bytes)
{
	if (s->parser == NULL) {
		const struct mime_hooks hooks = { .context = s, .on_header = on_header };

		s->parser = mime_parser_new(&hooks);
		if (s->parser == NULL)
			return false;
	}
	return mime_parser_feed(s->parser, bytes) && !s->failed;
}

bool surrogate_finish(struct surrogate *s)
{
	bool ok = s->parser == NULL || mime_parser_finish(s->parser);

	if (s->parser != NULL)
		mime_parser_free(&s->parser);
	return ok && !s->failed;
}

/* The first piece that ends behind `at`; headers come in order and never overlap. */
static const struct surrogate_piece *find_piece(const struct surrogate *s, uint64_t at)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->pieces[middle].at + s->pieces[middle].len > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low < s->count ? &s->pieces[low] : NULL;
}

bool surrogate_next(const struct surrogate *s, uint64_t *at, struct span *bytes, struct span *out)
{
	while (bytes->len > 0) {
		const struct surrogate_piece *piece = find_piece(s, *at);
		bool begins = piece != NULL && piece->at == *at;
		uint64_t run = bytes->len;

		if (piece != NULL && piece->at > *at && piece->at - *at < run)
			run = piece->at - *at;
		else if (piece != NULL && piece->at <= *at && piece->at + piece->len - *at < run)
			run = piece->at + piece->len - *at;
		*out = span_first(*bytes, (size_t)run);
		*bytes = span_skip(*bytes, (size_t)run);
		if (piece == NULL || piece->at > *at) {
			*at += run;
			return true;
		}
		*at += run;
		if (begins) {
			*out = span_first(span_skip(buffer_span(&s->text), piece->text_at), piece->text_len);
			return true;
		}
	}
	return false;
}
