#include "message/bodystructure.h"

#include "message/envelope.h"
#include "message/imap_text.h"

#include <inttypes.h>

static void put_nil_or(struct buffer *out, struct span s)
{
	buffer_append_char(out, ' ');
	imap_put_nstring(out, s);
}

static void put_param(struct buffer *out, struct span name, struct span value, bool *first)
{
	buffer_append_char(out, *first ? '(' : ' ');
	*first = false;
	imap_put_string(out, name);
	buffer_append_char(out, ' ');
	imap_put_string(out, value);
}

/* SP body-fld-param; text without a charset is in US-ASCII, and says so (RFC 2045 §5.2). */
static void put_params(struct buffer *out, const struct mime_params *params, bool is_text)
{
	struct span value;
	bool extended;
	bool first = true;

	buffer_append_char(out, ' ');
	for (size_t i = 0; i < params->count; i++)
		put_param(out, params->items[i].name, params->items[i].value, &first);
	if (is_text && !params_find(params, SPAN("charset"), &value, &extended))
		put_param(out, SPAN("charset"), SPAN("us-ascii"), &first);
	buffer_append_text(out, first ? "NIL" : ")");
}

static void put_disposition(struct buffer *out, const struct mime_part *part)
{
	if (part->disposition.ptr == NULL) {
		buffer_append_text(out, " NIL");
		return;
	}
	buffer_append_text(out, " (");
	imap_put_string(out, part->disposition);
	put_params(out, &part->disposition_params, false);
	buffer_append_char(out, ')');
}

/* SP body-fld-lang: a list of tags (RFC 9051 §9) */
static void put_language(struct buffer *out, struct span value)
{
	bool first = true;

	buffer_append_char(out, ' ');
	while (value.len > 0) {
		struct span tag = value;

		if (span_take_until(&value, ',', &tag))
			;
		else
			value = SPAN_EMPTY;
		tag = span_trim(tag);
		if (tag.len == 0)
			continue;
		buffer_append_char(out, first ? '(' : ' ');
		imap_put_string(out, tag);
		first = false;
	}
	buffer_append_text(out, first ? "NIL" : ")");
}

static void put_extension(struct buffer *out, const struct mime_part *part)
{
	put_disposition(out, part);
	put_language(out, part->language);
	put_nil_or(out, part->location);
}

static bool is_text(const struct mime_part *part)
{
	return span_equal_nocase(part->type, SPAN("text"));
}

/* What leaf and message have in common, up to the size. */
static void begin_single(struct buffer *out, const struct mime_part *part)
{
	buffer_append_char(out, '(');
	imap_put_string(out, part->type);
	put_nil_or(out, part->subtype);
	put_params(out, &part->params, is_text(part));
	put_nil_or(out, part->id);
	put_nil_or(out, part->description);
	put_nil_or(out, part->encoding);
	buffer_printf(out, " %" PRIu64, part->body_len);
}

static void end_single(struct buffer *out, const struct mime_part *part, bool extended)
{
	if (is_text(part) || part->kind == MIME_MESSAGE)
		buffer_printf(out, " %" PRIu64, part->body_lines);
	if (extended) {
		put_nil_or(out, part->md5);
		put_extension(out, part);
	}
	buffer_append_char(out, ')');
}

static void begin_part(struct buffer *out, const struct mime_part *parts, const struct mime_part *part)
{
	const struct span *envelope;

	if (part->kind == MIME_MULTIPART) {
		buffer_append_char(out, '(');
		return;
	}
	begin_single(out, part);
	if (part->kind != MIME_MESSAGE)
		return;
	envelope = parts[part->first_child].context;
	buffer_append_char(out, ' ');
	buffer_append_span(out, envelope != NULL ? *envelope : SPAN(ENVELOPE_EMPTY));
	buffer_append_char(out, ' ');
}

static void end_part(struct buffer *out, const struct mime_part *part, bool extended)
{
	/* The grammar wants at least one part (RFC 9051 §9 body-type-mpart): an empty one. */
	static const struct mime_part none = {
		.type = { "text", 4 }, .subtype = { "plain", 5 }, .encoding = { "7bit", 4 }
	};

	if (part->kind != MIME_MULTIPART) {
		end_single(out, part, extended);
		return;
	}
	if (part->first_child == MIME_NO_PART) {
		begin_single(out, &none);
		end_single(out, &none, extended);
	}
	put_nil_or(out, part->subtype);
	if (extended) {
		put_params(out, &part->params, false);
		put_extension(out, part);
	}
	buffer_append_char(out, ')');
}

bool bodystructure_write(const struct mime_part *parts, bool extended, struct buffer *out)
{
	uint32_t at = 0;

	for (;;) {
		begin_part(out, parts, &parts[at]);
		if (parts[at].first_child != MIME_NO_PART) {
			at = parts[at].first_child;
			continue;
		}
		end_part(out, &parts[at], extended);
		while (parts[at].next_sibling == MIME_NO_PART) {
			at = parts[at].parent;
			if (at == MIME_NO_PART)
				return !out->failed;
			end_part(out, &parts[at], extended);
		}
		at = parts[at].next_sibling;
	}
}
