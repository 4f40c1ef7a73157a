#include "imapd/parse_internal.h"

#include "base/macros.h"

static const struct section_name {
	const char *name;
	enum section_text text;
} section_names[] = {
	{ "HEADER", SECTION_HEADER },
	{ "HEADER.FIELDS", SECTION_HEADER_FIELDS },
	{ "HEADER.FIELDS.NOT", SECTION_HEADER_FIELDS_NOT },
	{ "TEXT", SECTION_TEXT },
	{ "MIME", SECTION_MIME },
};

/* section-part = nz-number *("." nz-number); `more`: a dot and no number came behind it */
static bool parse_parts(struct parser *p, struct section *out, bool *more)
{
	uint32_t parts[PARSE_SECTION_DEPTH], part;

	*more = true;
	while (*more && span_take_number(&p->in, UINT32_MAX, &part)) {
		if (part == 0)
			return parse_expected(p, "a part number above 0");
		if (out->part_count == PARSE_SECTION_DEPTH)
			return error_set(
			        p->err, ERR_TOO_LONG, "parts are not nested deeper than %d", PARSE_SECTION_DEPTH);
		parts[out->part_count++] = part;
		*more = span_take_char(&p->in, '.');
	}
	if (out->part_count == 0)
		return true;
	out->parts = parse_alloc(p, out->part_count * sizeof(*parts));
	for (unsigned i = 0; out->parts != NULL && i < out->part_count; i++)
		out->parts[i] = parts[i];
	return out->parts != NULL;
}

/* header-list = "(" header-fld-name *(SP header-fld-name) ")" */
static bool parse_field_names(struct parser *p, struct section *out)
{
	size_t capacity = 0;

	if (!parse_space(p) || !parse_char(p, '(', "\"(\" before the field names"))
		return false;
	do {
		struct span *grown = parse_grow(p, out->fields, out->field_count, &capacity, sizeof(*grown));

		if (grown == NULL || !parse_astring(p, &grown[out->field_count]))
			return false;
		out->fields = grown;
		out->field_count++;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the field names");
}

/* section-msgtext, or section-text behind a part: only that has a MIME header (RFC 9051 §6.4.5.1) */
static bool parse_text(struct parser *p, struct section *out)
{
	for (size_t i = 0; i < ARRAY_LEN(section_names); i++) {
		if (!parse_take_word(p, section_names[i].name))
			continue;
		out->text = section_names[i].text;
		if (out->text == SECTION_MIME && out->part_count == 0)
			return parse_expected(p, "a part number before MIME");
		if (out->text == SECTION_HEADER_FIELDS || out->text == SECTION_HEADER_FIELDS_NOT)
			return parse_field_names(p, out);
		return true;
	}
	return parse_expected(p, "HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME or a part number");
}

bool parse_section(struct parser *p, bool binary, struct section *out)
{
	bool more;

	*out = (struct section) { .text = SECTION_WHOLE };
	if (!parse_char(p, '[', "a section in brackets"))
		return false;
	if (span_take_char(&p->in, ']'))
		return true;
	if (!parse_parts(p, out, &more))
		return false;
	if (more && binary) /* RFC 3516 §7 section-binary: numbers only */
		return parse_expected(p, "a part number");
	if (more && !parse_text(p, out))
		return false;
	return parse_char(p, ']', "\"]\" behind the section");
}
