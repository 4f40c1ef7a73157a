#include "message/mime_fields.h"

#include <string.h>

/* Which field goes where. Of Content-Type and most others the first counts, as in Dovecot; of Content-Disposition the last,
 * as in Dovecot and Cyrus. */
struct collected {
	struct span type, encoding, disposition; /* raw */
};

static void keep_text(struct arena *arena, struct span value, struct span *out)
{
	struct buffer text;

	if (out->ptr != NULL)
		return;
	buffer_init(&text, value.len + 1);
	if (!header_unfold(value, &text))
		arena->failed = true;
	else
		*out = arena_copy(arena, buffer_span(&text));
	buffer_free(&text);
}

static void keep_first(struct span *out, struct span value)
{
	if (out->ptr == NULL)
		*out = value;
}

static void take_field(
        struct arena *arena, const struct header_field *field, struct mime_part *part, struct collected *raw)
{
	struct span name = span_skip(field->name, 8);

	if (span_equal_nocase(name, SPAN("type")))
		keep_first(&raw->type, field->value);
	else if (span_equal_nocase(name, SPAN("transfer-encoding")))
		keep_first(&raw->encoding, field->value);
	else if (span_equal_nocase(name, SPAN("disposition")))
		raw->disposition = field->value;
	else if (span_equal_nocase(name, SPAN("id")))
		keep_text(arena, field->value, &part->id);
	else if (span_equal_nocase(name, SPAN("description")))
		keep_text(arena, field->value, &part->description);
	else if (span_equal_nocase(name, SPAN("md5")))
		keep_text(arena, field->value, &part->md5);
	else if (span_equal_nocase(name, SPAN("language")))
		keep_text(arena, field->value, &part->language);
	else if (span_equal_nocase(name, SPAN("location")))
		keep_text(arena, field->value, &part->location);
}

static void default_type(struct mime_part *part, bool digest)
{
	part->type = digest ? SPAN("message") : SPAN("text");
	part->subtype = digest ? SPAN("rfc822") : SPAN("plain");
	part->params = (struct mime_params) { 0 };
}

static bool set_type(struct arena *arena, struct span raw, bool digest, struct mime_part *part)
{
	struct span copy = arena_copy(arena, raw);

	if (!params_parse_content_type(arena, copy, &part->type, &part->subtype, &part->params))
		return false;
	if (part->type.ptr == NULL)
		default_type(part, digest);
	return true;
}

static bool set_disposition(struct arena *arena, struct span raw, struct mime_part *part)
{
	if (raw.ptr == NULL)
		return true;
	if (!params_parse_disposition(arena, arena_copy(arena, raw), &part->disposition, &part->disposition_params))
		return false;
	if (part->disposition.ptr == NULL && part->disposition_params.count > 0)
		part->disposition = SPAN(""); /* "; filename=x": still tells the name */
	return true;
}

static void set_encoding(struct arena *arena, struct span raw, struct mime_part *part)
{
	struct span name;

	part->encoding = SPAN("7bit");
	if (raw.ptr != NULL && transfer_encoding_name(raw, &name))
		part->encoding = arena_copy(arena, name);
	part->transfer = transfer_encoding_of(part->encoding);
}

static void set_kind(struct mime_part *part, struct span *boundary)
{
	bool extended = false;

	part->kind = MIME_LEAF;
	*boundary = SPAN_EMPTY;
	if (span_equal_nocase(part->type, SPAN("message")) && span_equal_nocase(part->subtype, SPAN("rfc822")))
		part->kind = MIME_MESSAGE;
	if (!span_equal_nocase(part->type, SPAN("multipart")))
		return;
	if (params_find(&part->params, SPAN("boundary"), boundary, &extended) && !extended && boundary->len > 0 &&
	        boundary->len <= MIME_BOUNDARY_MAX)
		part->kind = MIME_MULTIPART;
	else
		default_type(part, false); /* RFC 2045 §5.2: a Content-Type that is not valid */
}

bool mime_fields_parse(struct arena *arena, struct span block, bool digest, struct mime_part *part,
        struct span *boundary, unsigned *fields)
{
	struct collected raw = { 0 };
	struct header_reader reader;
	struct header_field field;

	header_reader_init(&reader, block);
	while (header_next(&reader, &field))
		if (field.name.len > 8 && span_starts_nocase(field.name, SPAN("content-")))
			take_field(arena, &field, part, &raw);
	*fields = reader.count;
	default_type(part, digest);
	if (raw.type.ptr != NULL && !set_type(arena, raw.type, digest, part))
		return false;
	if (!set_disposition(arena, raw.disposition, part))
		return false;
	set_encoding(arena, raw.encoding, part);
	set_kind(part, boundary);
	return !arena->failed;
}

void mime_fields_opaque(struct mime_part *part)
{
	part->kind = MIME_LEAF;
	part->type = SPAN("application");
	part->subtype = SPAN("octet-stream");
	part->params = (struct mime_params) { 0 };
	if (part->encoding.ptr == NULL)
		part->encoding = SPAN("7bit");
}
