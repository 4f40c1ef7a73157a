#include "message/summary.h"

#include "message/bodystructure.h"
#include "message/date.h"
#include "message/envelope.h"
#include "message/message_id.h"
#include "message/preview.h"
#include "message/subject.h"
#include "message/summary_parts.h"

#include <stdlib.h>
#include <string.h>

#define ENVELOPES_MAX  SUMMARY_TEXT_MAX /* octets of the envelopes of contained messages together */
#define KEEP_ADDRESSES 1000
#define KEEP_TEXT      (64 * KIB) /* what a builder keeps of each buffer from one message to the next */

/* What is written into buffers of the builder, and copied into the summary's memory at the end. */
enum text { ENVELOPE, STRUCTURE, BODY, PARTS, SUBJECT, MESSAGE_ID, IN_REPLY_TO, REFERENCES, TEXT_COUNT };

struct summary_builder {
	struct mime_parser *parser;
	struct address_list addresses;
	struct preview preview;
	struct arena envelopes; /* of contained messages: struct span and its text */
	struct buffer scratch;
	struct buffer header; /* of the message itself */
	struct buffer texts[TEXT_COUNT];
	struct envelope_fields fields; /* spans into `header` */
	uint64_t size;
	bool failed; /* out of memory */
	bool has_attachment;
};

static bool is_type(const struct mime_part *part, struct span type, struct span subtype)
{
	return span_equal_nocase(part->type, type) && span_equal_nocase(part->subtype, subtype);
}

static bool has_name(const struct mime_part *part)
{
	struct span value;
	bool extended;

	return params_find(&part->disposition_params, SPAN("filename"), &value, &extended) ||
	       params_find(&part->params, SPAN("name"), &value, &extended);
}

/* Parts that mail clients show as attachments: marked so, named, contained messages, and what is neither text nor an
 * image that the text refers to, nor a signature. */
static bool is_attachment(const struct mime_part *part)
{
	if (part->kind == MIME_MULTIPART)
		return false;
	if (part->parent == MIME_NO_PART)
		return !span_equal_nocase(part->type, SPAN("text"));
	if (span_equal_nocase(part->disposition, SPAN("attachment")) || part->kind == MIME_MESSAGE)
		return true;
	if (is_type(part, SPAN("application"), SPAN("pgp-signature")) ||
	        is_type(part, SPAN("application"), SPAN("pkcs7-signature")) ||
	        is_type(part, SPAN("application"), SPAN("x-pkcs7-signature")))
		return false;
	if (span_equal_nocase(part->disposition, SPAN("inline")) || part->id.ptr != NULL)
		return has_name(part) && !span_equal_nocase(part->type, SPAN("image"));
	return has_name(part) ||
	       !(span_equal_nocase(part->type, SPAN("text")) || span_equal_nocase(part->type, SPAN("message")));
}

static bool wants_preview(const struct summary_builder *b, const struct mime_part *part)
{
	return !b->preview.active && b->preview.chars == 0 && part->kind == MIME_LEAF &&
	       span_equal_nocase(part->type, SPAN("text")) &&
	       (span_equal_nocase(part->subtype, SPAN("plain")) || span_equal_nocase(part->subtype, SPAN("html"))) &&
	       !span_equal_nocase(part->disposition, SPAN("attachment"));
}

static bool begin_preview(struct summary_builder *b, const struct mime_part *part)
{
	struct span charset = SPAN_EMPTY;
	bool extended;

	(void)params_find(&part->params, SPAN("charset"), &charset, &extended);
	preview_begin(&b->preview, span_equal_nocase(part->subtype, SPAN("html")), part->transfer, charset);
	return b->preview.active;
}

/* Whether a buffer failed because the text is too large (no single piece is half the limit), not for lack of memory. */
static bool is_full(const struct buffer *buffer)
{
	return buffer->failed && buffer->len > buffer->limit / 2;
}

/* Writes an envelope; a plain one when it is too large. */
static void write_envelope(
        struct summary_builder *b, struct span block, struct envelope_fields *fields, struct buffer *out)
{
	if (envelope_write(block, &b->addresses, fields, out))
		return;
	if (!is_full(out)) {
		b->failed = true;
		return;
	}
	buffer_clear(out);
	buffer_append_text(out, ENVELOPE_EMPTY);
}

/* Keeps the envelope of a contained message with the part that is its content. Without room there is none. */
static void keep_envelope(struct summary_builder *b, struct mime_part *part, struct span block)
{
	struct span *kept;

	buffer_clear(&b->scratch);
	write_envelope(b, block, NULL, &b->scratch);
	if (b->envelopes.limit - b->envelopes.used < b->scratch.len + sizeof(*kept))
		return;
	kept = arena_alloc(&b->envelopes, sizeof(*kept));
	if (kept != NULL) {
		*kept = arena_copy(&b->envelopes, buffer_span(&b->scratch));
		part->context = kept;
	}
	b->failed = b->failed || b->envelopes.failed;
}

static bool on_header(void *context, struct mime_part *part, struct span block)
{
	struct summary_builder *b = context;

	if (part->parent == MIME_NO_PART)
		(void)(buffer_append_span(&b->header, block) || (b->failed = true));
	else if (part->is_message)
		keep_envelope(b, part, block);
	b->has_attachment = b->has_attachment || is_attachment(part);
	return wants_preview(b, part) && begin_preview(b, part);
}

static void on_body(void *context, struct mime_part *part, struct span bytes)
{
	struct summary_builder *b = context;

	(void)part;
	preview_feed(&b->preview, bytes);
}

/* Only one part at a time is a preview's, and a leaf: nothing begins inside it. */
static void on_end(void *context, struct mime_part *part)
{
	struct summary_builder *b = context;

	if (part->kind == MIME_LEAF)
		preview_end(&b->preview);
}

struct summary_builder *summary_builder_new(void)
{
	struct summary_builder *b = calloc(1, sizeof(*b));
	struct mime_hooks hooks = { .context = b, .on_header = on_header, .on_body = on_body, .on_end = on_end };

	if (b == NULL)
		return NULL;
	b->parser = mime_parser_new(&hooks);
	if (b->parser == NULL) {
		free(b);
		return NULL;
	}
	address_list_init(&b->addresses);
	preview_init(&b->preview);
	arena_init(&b->envelopes, ENVELOPES_MAX);
	buffer_init(&b->scratch, SUMMARY_TEXT_MAX);
	buffer_init(&b->header, HEADER_BLOCK_MAX);
	for (size_t i = 0; i < TEXT_COUNT; i++)
		buffer_init(&b->texts[i], SUMMARY_TEXT_MAX);
	return b;
}

void summary_builder_free(struct summary_builder **builder)
{
	struct summary_builder *b = *builder;

	if (b == NULL)
		return;
	mime_parser_free(&b->parser);
	address_list_free(&b->addresses);
	preview_free(&b->preview);
	arena_free(&b->envelopes);
	buffer_free(&b->scratch);
	buffer_free(&b->header);
	for (size_t i = 0; i < TEXT_COUNT; i++)
		buffer_free(&b->texts[i]);
	free(b);
	*builder = NULL;
}

static void empty(struct buffer *buffer)
{
	if (buffer->cap > KEEP_TEXT)
		buffer_free(buffer);
	else
		buffer_clear(buffer);
}

static void make_ready(struct summary_builder *b)
{
	mime_parser_reset(b->parser);
	if (b->addresses.capacity > KEEP_ADDRESSES || b->addresses.text.cap > KEEP_TEXT)
		address_list_free(&b->addresses);
	preview_reset(&b->preview);
	arena_reset(&b->envelopes);
	empty(&b->scratch);
	empty(&b->header);
	for (size_t i = 0; i < TEXT_COUNT; i++)
		empty(&b->texts[i]);
	b->fields = (struct envelope_fields) { 0 };
	b->size = 0;
	b->failed = b->has_attachment = false;
}

bool summary_feed(struct summary_builder *b, struct span bytes)
{
	if (b->failed)
		return false;
	b->size += bytes.len;
	if (!mime_parser_feed(b->parser, bytes))
		b->failed = true;
	return !b->failed;
}

/* The ids of References, each followed by LF but the last; of a list that is too long the first half and the last half. */
static void write_references(struct summary_builder *b)
{
	struct span rest = b->fields.references;
	struct buffer *out = &b->texts[REFERENCES];
	size_t ends[SUMMARY_REFERENCES_MAX]; /* where each of the kept ids ends in `out` */
	size_t count = 0;
	size_t begin = 0;

	while (message_id_take(&rest, out)) {
		struct span id = span_skip(buffer_span(out), begin);
		size_t before = count > 1 ? ends[count - 2] : 0;

		if (count > 0 && span_equal(span_make(out->data + before, begin - 1 - before), id)) {
			out->len = begin;
			continue;
		}
		if (count == SUMMARY_REFERENCES_MAX) {
			size_t half = SUMMARY_REFERENCES_MAX / 2;
			size_t cut = ends[half] - ends[half - 1];

			memmove(out->data + ends[half - 1], out->data + ends[half], out->len - ends[half]);
			out->len -= cut;
			for (size_t i = half; i + 1 < count; i++)
				ends[i] = ends[i + 1] - cut;
			count--;
		}
		buffer_append_char(out, '\n');
		ends[count++] = begin = out->len;
	}
	if (out->len > begin)
		out->len = begin;
	if (out->len > 0)
		out->len--;
}

static void write_structure(struct summary_builder *b, bool extended, struct buffer *out)
{
	size_t count;

	if (bodystructure_write(mime_parser_parts(b->parser, &count), extended, out) || !is_full(out))
		return;
	buffer_clear(out);
	buffer_append_text(out, extended ? BODYSTRUCTURE_OPAQUE : BODY_OPAQUE);
}

static void write_texts(struct summary_builder *b, struct message_summary *out)
{
	const struct mime_part *parts;
	size_t count;

	write_envelope(b, buffer_span(&b->header), &b->fields, &b->texts[ENVELOPE]);
	write_structure(b, true, &b->texts[STRUCTURE]);
	write_structure(b, false, &b->texts[BODY]);
	parts = mime_parser_parts(b->parser, &count);
	summary_parts_write(parts, count, &b->texts[PARTS]);
	subject_base(b->fields.subject, &b->texts[SUBJECT], &out->subject_is_reply);
	message_id_of(b->fields.message_id, &b->texts[MESSAGE_ID]);
	message_id_take(&b->fields.in_reply_to, &b->texts[IN_REPLY_TO]);
	write_references(b);
	for (size_t i = 0; i < TEXT_COUNT; i++)
		b->failed = b->failed || b->texts[i].failed;
	out->header_len = parts[0].header_len;
}

static struct span put_copy(char **at, struct span s)
{
	struct span copy = span_make(*at, s.len);

	if (s.len > 0)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return copy;
}

/* All texts into one piece of memory, which the summary owns. */
static bool copy_texts(struct summary_builder *b, struct message_summary *out)
{
	struct span *const targets[TEXT_COUNT] = { &out->envelope, &out->body_structure, &out->body, &out->parts,
		&out->base_subject, &out->message_id, &out->in_reply_to, &out->references };
	size_t total = b->header.len + b->preview.text.len;
	char *at;

	for (size_t i = 0; i < TEXT_COUNT; i++)
		total += b->texts[i].len;
	out->memory = at = malloc(total + 1);
	if (at == NULL)
		return false;
	for (size_t i = 0; i < TEXT_COUNT; i++)
		*targets[i] = put_copy(&at, buffer_span(&b->texts[i]));
	out->header = put_copy(&at, buffer_span(&b->header));
	out->preview = put_copy(&at, buffer_span(&b->preview.text));
	return true;
}

static bool finish(struct summary_builder *b, struct message_summary *out)
{
	struct message_date date;

	if (b->failed || !mime_parser_finish(b->parser) || b->preview.failed || b->failed)
		return false;
	write_texts(b, out);
	if (b->failed || !copy_texts(b, out))
		return false;
	if (date_parse(b->fields.date, &date)) {
		out->has_date = true;
		out->date = date.unix_seconds;
	}
	out->size = b->size;
	out->has_attachment = b->has_attachment;
	return true;
}

bool summary_finish(struct summary_builder *b, struct message_summary *out, struct error *err)
{
	bool done;

	*out = (struct message_summary) { 0 };
	done = finish(b, out);
	make_ready(b);
	if (!done)
		return error_set(err, ERR_NO_MEMORY, "no memory to read the message");
	error_clear(err);
	return true;
}

void message_summary_free(struct message_summary *summary)
{
	free(summary->memory);
	*summary = (struct message_summary) { 0 };
}
