#include "message/params.h"

#include "message/charset.h"
#include "message/encoded_word.h"

#include <stdlib.h>
#include <string.h>

#define SECTION_MAX 999 /* RFC 2231 §3 section numbers; PARAMS_MAX bounds how many there can be */

struct params_parser {
	struct arena *arena;
	struct span in;
	struct mime_param *items;
	size_t count, capacity;
	bool no_comment; /* known: no comment is closed from here on */
	bool no_quote;   /* the same of quoted strings */
};

static bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 2045 §5.1 token; octets above 127 too, which many senders put into file names */
static bool is_token(unsigned char c)
{
	return c > ' ' && c != 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* Over a comment at the front; nesting is counted. False, and remembered, when it is never closed. */
static bool skip_comment(struct params_parser *p, struct span *in)
{
	unsigned depth = 0;

	if (p->no_comment)
		return false;
	for (size_t i = 0; i < in->len; i++) {
		if (in->ptr[i] == '\\')
			i++;
		else if (in->ptr[i] == '(')
			depth++;
		else if (in->ptr[i] == ')' && --depth == 0) {
			*in = span_skip(*in, i + 1);
			return true;
		}
	}
	p->no_comment = true;
	return false;
}

static void skip_filler(struct params_parser *p)
{
	struct span run;

	while (span_take_run(&p->in, is_blank, &run) ||
	        (p->in.len > 0 && p->in.ptr[0] == '(' && skip_comment(p, &p->in)))
		;
}

/* A copy without line ends (folds), and for quoted strings without backslashes. */
static struct span copy_value(struct params_parser *p, struct span raw, bool quoted)
{
	char *copy = arena_alloc(p->arena, raw.len + 1);
	size_t len = 0;

	if (copy == NULL)
		return SPAN_EMPTY;
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.ptr[i];

		if (quoted && c == '\\' && i + 1 < raw.len)
			c = raw.ptr[++i];
		if (c != '\r' && c != '\n')
			copy[len++] = c;
	}
	return span_make(copy, len);
}

/* DQUOTE text DQUOTE; raw text without the quotes. */
static bool take_quoted(struct params_parser *p, struct span *raw)
{
	if (p->no_quote)
		return false;
	for (size_t i = 1; i < p->in.len; i++) {
		if (p->in.ptr[i] == '\\')
			i++;
		else if (p->in.ptr[i] == '"') {
			*raw = span_make(p->in.ptr + 1, i - 1);
			p->in = span_skip(p->in, i + 1);
			return true;
		}
	}
	p->no_quote = true;
	return false;
}

/* Behind a blank: "name=" with a value, so a semicolon is missing in front of it (also in the examples of RFC 2231 §4.1). */
static bool is_next_param(struct span in)
{
	struct span name;

	return span_take_run(&in, is_token, &name) && in.len > 1 && in.ptr[0] == '=' &&
	       !is_blank((unsigned char)in.ptr[1]);
}

/* An unquoted value: up to the next semicolon, so that "name=a b (c).bin" is kept whole, as its sender meant it; but a comment
 * that stands apart at its end ("us-ascii (Plain text)", RFC 2045 §5.1) is none of it. */
static struct span take_unquoted(struct params_parser *p)
{
	struct span in = p->in;
	const char *begin = in.ptr;
	const char *end = begin;
	bool blank_before = false;

	while (in.len > 0 && in.ptr[0] != ';') {
		struct span after = in;

		if (blank_before && end != begin && is_next_param(in))
			break;

		if (in.ptr[0] == '(' && blank_before && skip_comment(p, &after)) {
			struct params_parser probe = { .arena = NULL, .in = after, .no_comment = p->no_comment };

			skip_filler(&probe);
			if (probe.in.len == 0 || probe.in.ptr[0] == ';') {
				in = probe.in;
				break;
			}
			in = after;
			end = in.ptr;
			blank_before = false;
			continue;
		}
		blank_before = is_blank((unsigned char)in.ptr[0]);
		in = span_skip(in, 1);
		if (!blank_before)
			end = in.ptr;
	}
	p->in = in;
	return span_make(begin, (size_t)(end - begin));
}

static void add_param(struct params_parser *p, struct span name, struct span value)
{
	if (p->count == PARAMS_MAX || value.ptr == NULL)
		return;
	if (p->count == p->capacity) {
		size_t capacity = p->capacity == 0 ? 4 : p->capacity * 2;
		struct mime_param *items = arena_alloc(p->arena, capacity * sizeof(*items));

		if (items == NULL)
			return;
		if (p->count > 0)
			memcpy(items, p->items, p->count * sizeof(*items));
		p->items = items;
		p->capacity = capacity;
	}
	p->items[p->count++] = (struct mime_param) { .name = name, .value = value };
}

static void skip_to_semicolon(struct params_parser *p)
{
	size_t at;

	p->in = span_find(p->in, ';', &at) ? span_skip(p->in, at) : span_skip(p->in, p->in.len);
}

/* attribute "=" value; what has no name or no value is left out. */
static void parse_param(struct params_parser *p)
{
	struct span name = SPAN_EMPTY;
	struct span raw;

	(void)span_take_run(&p->in, is_token, &name);
	skip_filler(p);
	if (!span_take_char(&p->in, '=') || name.len == 0) {
		skip_to_semicolon(p);
		return;
	}
	skip_filler(p);
	if (p->in.len > 0 && p->in.ptr[0] == '"' && take_quoted(p, &raw)) {
		add_param(p, name, copy_value(p, raw, true));
		skip_filler(p);
		/* A missing semicolon: name="x" charset=y */
		if (p->in.len > 0 && !is_token((unsigned char)p->in.ptr[0]))
			skip_to_semicolon(p);
		return;
	}
	raw = take_unquoted(p);
	if (raw.len > 0 && raw.ptr[0] == '"')
		raw = span_skip(raw, 1);
	if (raw.len > 0)
		add_param(p, name, copy_value(p, raw, false));
}

static void parse_list(struct params_parser *p)
{
	while (p->in.len > 0 && p->count < PARAMS_MAX) {
		skip_filler(p);
		if (!span_take_char(&p->in, ';') && p->in.len > 0)
			parse_param(p);
	}
}

/* --- RFC 2231 §3, §4.1: name*0, name*1*, ... joined --- */

struct section {
	struct span base;
	uint32_t number;
	bool extended;
	size_t index; /* among the parameters */
};

/* "name*N" or "name*N*" */
static bool section_of(struct span name, struct section *section)
{
	struct span number;
	size_t star;

	if (!span_find(name, '*', &star) || star == 0)
		return false;
	section->base = span_first(name, star);
	number = span_skip(name, star + 1);
	if (number.len > 1 && number.ptr[0] == '0' && ascii_is_digit((unsigned char)number.ptr[1]))
		return false; /* RFC 2231 §3: no leading zeros */
	if (!span_take_number(&number, SECTION_MAX, &section->number))
		return false;
	section->extended = span_take_char(&number, '*');
	return number.len == 0;
}

static int compare_nocase(struct span a, struct span b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < shorter; i++) {
		int order = (unsigned char)ascii_lower(a.ptr[i]) - (unsigned char)ascii_lower(b.ptr[i]);

		if (order != 0)
			return order;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

static int by_base_and_number(const void *left, const void *right)
{
	const struct section *a = left;
	const struct section *b = right;
	int order = compare_nocase(a->base, b->base);

	if (order == 0)
		order = a->number < b->number ? -1 : a->number > b->number;
	if (order == 0)
		order = a->index < b->index ? -1 : a->index > b->index;
	return order;
}

static bool same_name(const struct section *a, const struct section *b)
{
	return span_equal_nocase(a->base, b->base);
}

/* Appends a section's value; a plain one among encoded ones gets its "%" encoded, or it would be decoded twice. */
static char *put_section(char *at, struct span value, bool escape)
{
	for (size_t i = 0; i < value.len; i++) {
		if (escape && value.ptr[i] == '%') {
			memcpy(at, "%25", 3);
			at += 3;
		} else {
			*at++ = value.ptr[i];
		}
	}
	return at;
}

/* Joins `count` sections into the place of the first of them; the others are emptied and dropped later. */
static void join(struct params_parser *p, const struct section *sections, size_t count)
{
	struct mime_param *target;
	bool extended = false;
	size_t room = 0;
	size_t place = sections[0].index;
	char *value;
	char *at;
	char *name;

	for (size_t i = 0; i < count; i++) {
		extended = extended || sections[i].extended;
		room += p->items[sections[i].index].value.len * 3;
		if (sections[i].index < place)
			place = sections[i].index;
	}
	value = at = arena_alloc(p->arena, room + 1);
	name = arena_alloc(p->arena, sections[0].base.len + 1);
	if (value == NULL || name == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		struct mime_param *param = &p->items[sections[i].index];

		at = put_section(at, param->value, extended && !sections[i].extended);
		param->name = SPAN_EMPTY;
	}
	memcpy(name, sections[0].base.ptr, sections[0].base.len);
	name[sections[0].base.len] = '*';
	target = &p->items[place];
	target->name = span_make(name, sections[0].base.len + extended);
	target->value = span_make(value, (size_t)(at - value));
}

/* Sections count from 0 without gaps; what comes behind a gap, or twice, stays as it was sent. */
static size_t complete_run(const struct section *sections, size_t count)
{
	size_t run = 0;

	while (run < count && same_name(&sections[run], &sections[0]) && sections[run].number == run)
		run++;
	if (run < count && same_name(&sections[run], &sections[0]) && sections[run].number < run)
		return 0;
	return run;
}

static void drop_joined(struct params_parser *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++)
		if (p->items[i].name.ptr != NULL)
			p->items[kept++] = p->items[i];
	p->count = kept;
}

static void join_continuations(struct params_parser *p)
{
	struct section *sections = NULL;
	struct section section;
	size_t count = 0;

	for (size_t i = 0; i < p->count; i++) {
		if (!section_of(p->items[i].name, &section))
			continue;
		if (sections == NULL)
			sections = arena_alloc(p->arena, (p->count - i) * sizeof(*sections));
		if (sections == NULL)
			return;
		section.index = i;
		sections[count++] = section;
	}
	if (count == 0)
		return;
	qsort(sections, count, sizeof(*sections), by_base_and_number);
	for (size_t i = 0; i < count;) {
		size_t run = complete_run(sections + i, count - i);

		if (run > 0)
			join(p, sections + i, run);
		do
			i++;
		while (i < count && same_name(&sections[i], &sections[i - 1]));
	}
	drop_joined(p);
}

static bool finish(struct params_parser *p, struct mime_params *params)
{
	parse_list(p);
	join_continuations(p);
	*params = (struct mime_params) { .items = p->items, .count = p->count };
	return !p->arena->failed;
}

bool params_parse_content_type(
        struct arena *arena, struct span value, struct span *type, struct span *subtype, struct mime_params *params)
{
	struct params_parser p = { .arena = arena, .in = value };

	*type = *subtype = SPAN_EMPTY;
	*params = (struct mime_params) { 0 };
	skip_filler(&p);
	if (!span_take_run(&p.in, is_token, type))
		return true;
	skip_filler(&p);
	if (!span_take_char(&p.in, '/')) {
		*type = SPAN_EMPTY;
		return true;
	}
	skip_filler(&p);
	if (span_take_run(&p.in, is_token, subtype)) {
		skip_filler(&p);
		if (p.in.len == 0 || p.in.ptr[0] == ';' || is_token((unsigned char)p.in.ptr[0]))
			return finish(&p, params);
	}
	*type = *subtype = SPAN_EMPTY; /* RFC 2045 §5.2: not valid, so as if it were not there */
	return true;
}

bool params_parse_disposition(
        struct arena *arena, struct span value, struct span *disposition, struct mime_params *params)
{
	struct params_parser p = { .arena = arena, .in = value };

	*disposition = SPAN_EMPTY;
	skip_filler(&p);
	(void)span_take_run(&p.in, is_token, disposition);
	skip_filler(&p);
	if (p.in.len > 0 && p.in.ptr[0] != ';')
		skip_to_semicolon(&p);
	return finish(&p, params);
}

static bool is_extended_form(struct span name, struct span wanted)
{
	return name.len == wanted.len + 1 && name.ptr[wanted.len] == '*' &&
	       span_equal_nocase(span_first(name, wanted.len), wanted);
}

bool params_find(const struct mime_params *params, struct span name, struct span *value, bool *extended)
{
	const struct mime_param *plain = NULL;

	for (size_t i = 0; i < params->count; i++) {
		if (is_extended_form(params->items[i].name, name)) {
			*value = params->items[i].value;
			*extended = true;
			return true;
		}
		if (plain == NULL && span_equal_nocase(params->items[i].name, name))
			plain = &params->items[i];
	}
	if (plain == NULL)
		return false;
	*value = plain->value;
	*extended = false;
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void decode_percent(struct span s, struct buffer *out)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '%' && i + 2 < s.len && hex_value(s.ptr[i + 1]) >= 0 && hex_value(s.ptr[i + 2]) >= 0) {
			c = (char)(hex_value(s.ptr[i + 1]) << 4 | hex_value(s.ptr[i + 2]));
			i += 2;
		}
		buffer_append_char(out, c);
	}
}

/* charset'language'percent-encoded (RFC 2231 §4) */
static bool decode_extended(struct span value, struct buffer *out)
{
	struct span charset = SPAN_EMPTY;
	struct span language;
	struct span rest = value;
	struct buffer octets;

	if (!span_take_until(&rest, '\'', &charset) || !span_take_until(&rest, '\'', &language)) {
		charset = SPAN_EMPTY;
		rest = value;
	}
	buffer_init(&octets, value.len + 1);
	decode_percent(rest, &octets);
	if (octets.failed)
		out->failed = true;
	charset_to_utf8(charset, buffer_span(&octets), out);
	buffer_free(&octets);
	return !out->failed;
}

bool params_decode(const struct mime_params *params, struct span name, struct buffer *out)
{
	struct span value;
	bool extended;

	if (!params_find(params, name, &value, &extended))
		return true;
	return extended ? decode_extended(value, out) : encoded_word_decode(value, out);
}
