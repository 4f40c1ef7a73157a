#include "message/params.h"

#include "message/params_sections.h"

#include <string.h>

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

static bool finish(struct params_parser *p, struct mime_params *params)
{
	parse_list(p);
	*params = (struct mime_params) { .items = p->items, .count = p->count };
	params_join_sections(p->arena, params);
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
