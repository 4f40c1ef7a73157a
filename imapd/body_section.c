#include "imapd/body_section.h"

#include "imapd/response.h"

#include <stdlib.h>
#include <string.h>

/* The n-th child of a part. The parts below one stand together behind it, so each is looked at once on the way down. */
static bool find_child(const struct message_part *parts, size_t count, uint32_t n, uint32_t *part)
{
	uint32_t parent = *part;

	for (size_t i = (size_t)parent + 1; i < count && parts[i].parent >= parent; i++)
		if (parts[i].parent == parent && --n == 0) {
			*part = (uint32_t)i;
			return true;
		}
	return false;
}

/* One number of a section. `as_message`: the parts of the message are numbered whose header *part has; a message that is no multipart
 * has one part, number 1, and that is *part again (RFC 9051 §6.4.5.1). */
static bool step_down(const struct message_part *parts, size_t count, uint32_t n, uint32_t *part, bool *as_message)
{
	if (!*as_message && parts[*part].kind == MIME_MESSAGE) {
		if (!find_child(parts, count, 1, part))
			return false;
		*as_message = true;
	}
	if (parts[*part].kind == MIME_MULTIPART) {
		*as_message = false;
		return find_child(parts, count, n, part);
	}
	if (!*as_message)
		return false;
	*as_message = false;
	return n == 1;
}

static void place_body(const struct message_part *part, struct section_place *out)
{
	out->at = part->header_at + part->header_len;
	out->len = part->body_len;
}

static void place_header(const struct message_part *part, struct section_place *out)
{
	out->at = part->header_at;
	out->len = part->header_len;
}

static bool place_text(const struct message_part *part, enum section_text text, struct section_place *out)
{
	if (text == SECTION_TEXT)
		place_body(part, out);
	else
		place_header(part, out);
	return true;
}

bool section_find(
        const struct message_part *parts, size_t count, const struct section *section, struct section_place *out)
{
	uint32_t part = 0;
	bool as_message = true;

	*out = (struct section_place) { 0 };
	for (unsigned i = 0; i < section->part_count; i++)
		if (section->parts[i] == 0 || !step_down(parts, count, section->parts[i], &part, &as_message))
			return false;
	out->part = part;
	if (section->part_count == 0 && section->text == SECTION_WHOLE) {
		out->len = parts[0].header_at + parts[0].header_len + parts[0].body_len;
		return true;
	}
	if (section->text == SECTION_WHOLE) {
		out->is_part = true;
		place_body(&parts[part], out);
		return true;
	}
	if (section->text == SECTION_MIME) {
		place_header(&parts[part], out);
		return section->part_count > 0;
	}
	/* HEADER and TEXT are a message's: of the whole, or of what a message/rfc822 part holds. */
	if (section->part_count == 0)
		return place_text(&parts[0], section->text, out);
	return parts[part].kind == MIME_MESSAGE && find_child(parts, count, 1, &part) &&
	       place_text(&parts[part], section->text, out);
}

struct section_range section_cut(const struct fetch_item *item, uint64_t total)
{
	struct section_range range = { 0, total };

	if (!item->partial)
		return range;
	range.at = item->offset < total ? item->offset : total;
	range.len = item->size < total - range.at ? item->size : total - range.at;
	return range;
}

/* --- names --- */

static const char *const text_names[] = {
	[SECTION_WHOLE] = "",
	[SECTION_HEADER] = "HEADER",
	[SECTION_HEADER_FIELDS] = "HEADER.FIELDS",
	[SECTION_HEADER_FIELDS_NOT] = "HEADER.FIELDS.NOT",
	[SECTION_TEXT] = "TEXT",
	[SECTION_MIME] = "MIME",
};

static const char *const kind_names[] = {
	[FETCH_UID] = "UID",
	[FETCH_FLAGS] = "FLAGS",
	[FETCH_INTERNALDATE] = "INTERNALDATE",
	[FETCH_RFC822_SIZE] = "RFC822.SIZE",
	[FETCH_ENVELOPE] = "ENVELOPE",
	[FETCH_BODY] = "BODY",
	[FETCH_BODYSTRUCTURE] = "BODYSTRUCTURE",
	[FETCH_SECTION] = "BODY",
	[FETCH_RFC822] = "RFC822",
	[FETCH_RFC822_HEADER] = "RFC822.HEADER",
	[FETCH_RFC822_TEXT] = "RFC822.TEXT",
	[FETCH_BINARY] = "BINARY",
	[FETCH_BINARY_SIZE] = "BINARY.SIZE",
	[FETCH_MODSEQ] = "MODSEQ",
	[FETCH_EMAILID] = "EMAILID",
	[FETCH_THREADID] = "THREADID",
	[FETCH_SAVEDATE] = "SAVEDATE",
	[FETCH_PREVIEW] = "PREVIEW",
};

static void write_fields(struct buffer *out, const struct section *section)
{
	buffer_append_text(out, " (");
	for (size_t i = 0; i < section->field_count; i++) {
		if (i > 0)
			buffer_append_char(out, ' ');
		response_put_astring(out, section->fields[i]);
	}
	buffer_append_char(out, ')');
}

static void write_section(struct buffer *out, const struct section *section)
{
	bool has_text = section->text != SECTION_WHOLE;

	buffer_append_char(out, '[');
	for (unsigned i = 0; i < section->part_count; i++)
		buffer_printf(out, "%s%u", i > 0 ? "." : "", section->parts[i]);
	if (has_text && section->part_count > 0)
		buffer_append_char(out, '.');
	buffer_append_text(out, text_names[section->text]);
	if (section->text == SECTION_HEADER_FIELDS || section->text == SECTION_HEADER_FIELDS_NOT)
		write_fields(out, section);
	buffer_append_char(out, ']');
}

bool section_write_name(struct buffer *out, const struct fetch_item *item)
{
	buffer_append_text(out, kind_names[item->kind]);
	if (item->kind == FETCH_SECTION || item->kind == FETCH_BINARY || item->kind == FETCH_BINARY_SIZE)
		write_section(out, &item->section);
	if (item->partial)
		buffer_printf(out, "<%llu>", (unsigned long long)item->offset);
	return !out->failed;
}

/* --- HEADER.FIELDS --- */

static size_t length_class(size_t len)
{
	return len < FIELD_FILTER_LENGTHS ? len : FIELD_FILTER_LENGTHS - 1;
}

bool field_filter_init(struct field_filter *filter, const struct section *section)
{
	*filter = (struct field_filter) { .section = section };
	filter->next = calloc(section->field_count + 1, sizeof(*filter->next));
	if (filter->next == NULL)
		return false;
	for (size_t i = 0; i < section->field_count; i++) {
		uint16_t *first = &filter->first[length_class(section->fields[i].len)];

		filter->next[i] = *first;
		*first = (uint16_t)(i + 1);
	}
	return true;
}

void field_filter_free(struct field_filter *filter)
{
	free(filter->next);
	*filter = (struct field_filter) { 0 };
}

/* Most names differ in their first letter. */
static bool same_name(struct span a, struct span b)
{
	return ascii_lower(a.ptr[0]) == ascii_lower(b.ptr[0]) && span_equal_nocase(a, b);
}

static bool filter_has(const struct field_filter *filter, struct span name)
{
	if (name.len == 0)
		return false; /* no field */
	for (unsigned i = filter->first[length_class(name.len)]; i > 0; i = filter->next[i - 1])
		if (same_name(name, filter->section->fields[i - 1]))
			return true;
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The line's octets with its end. */
static size_t line_length(const char *at, const char *end)
{
	const char *lf = memchr(at, '\n', (size_t)(end - at));

	return (size_t)((lf != NULL ? lf + 1 : end) - at);
}

static bool is_empty_line(const char *at, size_t len)
{
	return (len >= 1 && at[0] == '\n') || (len == 2 && at[0] == '\r' && at[1] == '\n');
}

/* The name in front of the colon of a field's first line, without blanks (RFC 5322 §4.5.8); empty: it is no field. */
static struct span field_name(const char *line, size_t len)
{
	const char *colon = is_blank(line[0]) ? NULL : memchr(line, ':', len);
	size_t name_len = colon != NULL ? (size_t)(colon - line) : 0;

	while (name_len > 0 && is_blank(line[name_len - 1]))
		name_len--;
	return span_make(line, name_len);
}

/* A run of lines that are all wanted is appended at once. Lines that are no fields belong to what was not asked for by name. */
bool field_filter_apply(const struct field_filter *filter, struct span block, struct buffer *out)
{
	bool keep_matches = filter->section->text == SECTION_HEADER_FIELDS;
	const char *at = block.ptr, *end = block.ptr + block.len, *run = at;
	bool keeping = false;

	while (at < end) {
		size_t len = line_length(at, end);
		bool empty = is_empty_line(at, len), keep = keeping;

		if (empty || at == block.ptr || !is_blank(at[0]))
			keep = empty || filter_has(filter, field_name(at, len)) == keep_matches;
		if (keep != keeping) {
			if (keeping)
				buffer_append(out, run, (size_t)(at - run));
			run = at;
			keeping = keep;
		}
		at += len;
		if (empty)
			break;
	}
	return !keeping || buffer_append(out, run, (size_t)(at - run));
}
