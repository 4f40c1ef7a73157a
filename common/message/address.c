#include "message/address.h"

#include "message/address_token.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 8

struct address_parser {
	struct address_list *list;
	struct token_scanner scanner;
	struct token token; /* the next one, not used yet */
	bool in_group;
	bool no_separator; /* the member before this one ended without a comma */
	bool out_of_memory;
};

/* What one list member consists of, as places in the source. */
struct member {
	const char *begin; /* of its first token */
	const char *unit;  /* of its last "word.word.word" in front of the @ */
	const char *at;    /* end of the first @, or NULL */
	const char *local_end, *end;
	struct span comment; /* behind the address */
	unsigned units;
	bool well_formed;
};

void address_list_init(struct address_list *list)
{
	*list = (struct address_list) { 0 };
	buffer_init(&list->text, SIZE_MAX / 4);
}

void address_list_free(struct address_list *list)
{
	free(list->items);
	buffer_free(&list->text);
	address_list_init(list);
}

static struct span between(const char *begin, const char *end)
{
	return span_make(begin, (size_t)(end - begin));
}

static void add(struct address_parser *p, const struct address *address)
{
	struct address_list *list = p->list;

	if (list->count == ADDRESS_COUNT_MAX) {
		list->truncated = true;
		return;
	}
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? FIRST_CAPACITY : list->capacity * 2;
		struct address *items = reallocarray(list->items, capacity, sizeof(*items));

		if (items == NULL) {
			p->out_of_memory = true;
			return;
		}
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = *address;
}

static void advance(struct address_parser *p, bool literal_allowed)
{
	token_next(&p->scanner, literal_allowed, &p->token);
}

/* Appends a token's text: without quoting backslashes (RFC 5322 §3.2.1) and line ends of folds. */
static void put_token(struct buffer *text, const struct token *token)
{
	bool quoted = token->kind == TOKEN_QUOTED || token->kind == TOKEN_LITERAL;

	if (!quoted) {
		buffer_append_span(text, token->text);
		return;
	}
	for (size_t i = 0; i < token->text.len; i++) {
		char c = token->text.ptr[i];

		if (c == '\\' && i + 1 < token->text.len)
			c = token->text.ptr[++i];
		if (c != '\r' && c != '\n')
			buffer_append_char(text, c);
	}
}

static bool is_word(enum token_kind kind)
{
	return kind == TOKEN_ATOM || kind == TOKEN_QUOTED;
}

/* A display name: words with one blank where blanks or comments were. Absent when nothing is left. */
static struct span put_phrase(struct address_parser *p, struct span source)
{
	struct buffer *text = &p->list->text;
	struct token_scanner scanner;
	struct token token;
	size_t begin = text->len;

	token_scanner_init(&scanner, source);
	for (token_next(&scanner, false, &token); token.kind != TOKEN_END; token_next(&scanner, false, &token)) {
		if (token.space_before && text->len > begin)
			buffer_append_char(text, ' ');
		put_token(text, &token);
	}
	return text->len == begin ? SPAN_EMPTY : span_skip(buffer_span(text), begin);
}

/* word *("." word), blanks and comments around the dots gone (RFC 5322 §4.4 obs-local-part) */
static struct span put_local(struct address_parser *p, struct span source, bool *well_formed)
{
	struct buffer *text = &p->list->text;
	struct token_scanner scanner;
	struct token token;
	size_t begin = text->len;
	bool want_word = true;

	token_scanner_init(&scanner, source);
	scanner.in_addr_spec = true;
	for (token_next(&scanner, false, &token); token.kind != TOKEN_END; token_next(&scanner, false, &token)) {
		bool fits = want_word ? is_word(token.kind) : token.kind == TOKEN_DOT;

		*well_formed = *well_formed && fits && token.well_formed;
		if (token.space_before && !want_word && is_word(token.kind))
			buffer_append_char(text, ' ');
		put_token(text, &token);
		want_word = !is_word(token.kind);
	}
	*well_formed = *well_formed && !want_word;
	return source.len == 0 ? SPAN_EMPTY : span_skip(buffer_span(text), begin);
}

/* atom *("." atom), or one literal; what is neither is left out */
static struct span put_domain(struct address_parser *p, struct span source, bool *well_formed)
{
	struct buffer *text = &p->list->text;
	struct token_scanner scanner;
	struct token token;
	size_t begin = text->len;
	bool want_atom = true;
	bool done = false;

	token_scanner_init(&scanner, source);
	scanner.in_addr_spec = true;
	for (token_next(&scanner, true, &token); token.kind != TOKEN_END; token_next(&scanner, true, &token)) {
		bool fits = token.kind == (want_atom ? TOKEN_ATOM : TOKEN_DOT);
		bool literal = token.kind == TOKEN_LITERAL && text->len == begin;

		*well_formed = *well_formed && (fits || literal) && !done && token.well_formed;
		if (is_word(token.kind) || token.kind == TOKEN_DOT || token.kind == TOKEN_LITERAL)
			put_token(text, &token);
		want_atom = token.kind != TOKEN_ATOM && token.kind != TOKEN_LITERAL;
		done = done || literal;
	}
	*well_formed = *well_formed && !want_atom;
	return text->len == begin ? SPAN_EMPTY : span_skip(buffer_span(text), begin);
}

/* The text of a comment, as the name of an address that has no other (the old "a@b (Name)"). */
static struct span put_comment(struct address_parser *p, struct span comment)
{
	struct buffer *text = &p->list->text;
	size_t begin = text->len;

	put_token(text, &(struct token) { .kind = TOKEN_QUOTED, .text = span_trim(comment) });
	return text->len == begin ? SPAN_EMPTY : span_skip(buffer_span(text), begin);
}

/* Behind "<": the obsolete route "@a,@b:" (RFC 5322 §4.4); p->token is the first "@". Without its colon it was none. */
static bool scan_route(struct address_parser *p, struct span *route)
{
	const char *begin = p->token.begin;
	struct address_parser before = *p;

	for (;;) {
		switch (p->token.kind) {
		case TOKEN_COLON:
			*route = between(begin, p->token.begin);
			advance(p, false);
			return true;
		case TOKEN_AT:
		case TOKEN_ATOM:
		case TOKEN_DOT:
		case TOKEN_COMMA:
		case TOKEN_LITERAL: advance(p, true); break;
		default: *p = before; return false;
		}
	}
}

static struct span put_route(struct address_parser *p, struct span source)
{
	struct buffer *text = &p->list->text;
	struct token_scanner scanner;
	struct token token;
	size_t begin = text->len;

	token_scanner_init(&scanner, source);
	for (token_next(&scanner, true, &token); token.kind != TOKEN_END; token_next(&scanner, true, &token))
		put_token(text, &token);
	return span_skip(buffer_span(text), begin);
}

static void put_address(struct address_parser *p, const struct member *m, struct address *address)
{
	if (m->at == NULL) {
		address->well_formed = false;
		address->mailbox = put_local(p, between(m->unit, m->end), &address->well_formed);
		return;
	}
	address->mailbox = put_local(p, between(m->unit, m->local_end), &address->well_formed);
	address->host = put_domain(p, between(m->at, m->end), &address->well_formed);
	if (address->mailbox.ptr == NULL || address->host.ptr == NULL)
		address->well_formed = false;
}

/* Notes the first "@" and what is around it. */
static void note_at(struct member *m, const struct token *token)
{
	if (m->at == NULL) {
		m->local_end = token->begin;
		m->at = token->end;
	}
}

/* "<" [route] addr-spec ">"; p->token is "<". Ends behind ">", or where a comma or the end shows that it is missing. */
static void parse_angle(struct address_parser *p, struct address *address)
{
	struct member m = { 0 };
	struct span route = SPAN_EMPTY;

	advance(p, false);
	if (p->token.kind == TOKEN_AT && scan_route(p, &route))
		address->route = put_route(p, route);
	m.begin = m.unit = m.end = p->token.begin;
	while (p->token.kind != TOKEN_GREATER && p->token.kind != TOKEN_COMMA && p->token.kind != TOKEN_END) {
		if (p->token.kind == TOKEN_AT)
			note_at(&m, &p->token);
		m.end = p->token.end;
		advance(p, m.at == p->token.end);
	}
	put_address(p, &m, address);
	if (p->token.kind == TOKEN_GREATER)
		advance(p, false);
	else
		address->well_formed = false;
	if (address->name.ptr == NULL && p->token.comment.ptr != NULL)
		address->name = put_comment(p, p->token.comment);
}

/* One more token of a member's part in front of "<": false when it belongs to the next member (a comma is missing). */
static bool member_token(struct address_parser *p, struct member *m, enum token_kind previous)
{
	const struct token *token = &p->token;
	bool starts_unit = token->space_before && previous != TOKEN_DOT && previous != TOKEN_AT;

	if (token->kind == TOKEN_AT) {
		m->well_formed = m->well_formed && m->at == NULL;
		note_at(m, token);
	} else if (m->at != NULL) {
		if (starts_unit && token->kind != TOKEN_DOT)
			return false;
		m->comment = SPAN_EMPTY;
	} else if (token->kind != TOKEN_DOT && (m->units == 0 || starts_unit)) {
		m->unit = token->begin;
		m->units++;
	} else if (m->units == 0) {
		m->well_formed = false; /* a dot in front of the first word */
	}
	m->well_formed = m->well_formed && token->well_formed && token->kind != TOKEN_GREATER;
	m->end = token->end;
	return true;
}

static bool ends_member(const struct address_parser *p)
{
	enum token_kind kind = p->token.kind;

	return kind == TOKEN_COMMA || kind == TOKEN_SEMICOLON || kind == TOKEN_END || kind == TOKEN_LESS ||
	       (kind == TOKEN_COLON && !p->in_group);
}

/* Reads up to what ends the member or begins its "<". */
static void scan_member(struct address_parser *p, struct member *m)
{
	enum token_kind previous = TOKEN_AT;

	*m = (struct member) {
		.begin = p->token.begin, .unit = p->token.begin, .end = p->token.begin, .well_formed = true
	};
	while (!ends_member(p) && member_token(p, m, previous)) {
		previous = p->token.kind;
		advance(p, previous == TOKEN_AT);
		if (m->at != NULL && previous != TOKEN_AT)
			m->comment = p->token.comment;
	}
}

static void start_group(struct address_parser *p, const struct member *m)
{
	struct address group = { .kind = ADDRESS_GROUP_START, .well_formed = true };

	group.name = put_phrase(p, between(m->begin, m->end));
	if (group.name.ptr == NULL)
		group.name = SPAN("");
	add(p, &group);
	p->in_group = true;
	p->no_separator = false;
	advance(p, false);
}

static void end_group(struct address_parser *p)
{
	add(p, &(struct address) { .kind = ADDRESS_GROUP_END, .well_formed = true });
	p->in_group = false;
}

/* A member without "<": addr-spec, perhaps with words in front of it; or words only. */
static void plain_member(struct address_parser *p, struct member *m, struct address *address)
{
	if (m->at == NULL && m->units > 1) {
		address->name = put_phrase(p, between(m->begin, m->end));
		address->well_formed = false;
		return;
	}
	if (m->units > 1) {
		address->name = put_phrase(p, between(m->begin, m->unit));
		address->well_formed = false;
	}
	put_address(p, m, address);
	if (address->name.ptr == NULL && m->comment.ptr != NULL)
		address->name = put_comment(p, m->comment);
}

/* mailbox or group start (RFC 5322 §3.4); p->token begins it. */
static void parse_member(struct address_parser *p)
{
	struct address address = { .kind = ADDRESS_MAILBOX };
	struct member m;

	scan_member(p, &m);
	if (p->token.kind == TOKEN_COLON && !p->in_group) {
		start_group(p, &m);
		return;
	}
	address.well_formed = m.well_formed && !p->no_separator;
	if (p->token.kind == TOKEN_LESS) {
		/* "a@b <c@d>" is not right, but all of it in front of "<" is meant as the name */
		address.well_formed = address.well_formed && m.at == NULL;
		address.name = put_phrase(p, between(m.begin, m.end));
		parse_angle(p, &address);
	} else if (m.at == NULL && p->no_separator) {
		return; /* words behind an address */
	} else {
		plain_member(p, &m, &address);
	}
	p->no_separator = true;
	add(p, &address);
}

bool address_list_parse(struct address_list *list, struct span value)
{
	struct address_parser p = { .list = list };

	list->count = 0;
	list->truncated = false;
	buffer_clear(&list->text);
	/* What is written never is longer than what it was read from, so the text never moves under the spans. */
	if (!buffer_reserve(&list->text, value.len + 1))
		return false;
	token_scanner_init(&p.scanner, value);
	advance(&p, false);
	while (p.token.kind != TOKEN_END && !list->truncated && !p.out_of_memory) {
		if (p.token.kind == TOKEN_COMMA || p.token.kind == TOKEN_SEMICOLON) {
			if (p.token.kind == TOKEN_SEMICOLON && p.in_group)
				end_group(&p);
			p.no_separator = false;
			advance(&p, false);
		} else {
			parse_member(&p);
		}
	}
	if (p.in_group)
		end_group(&p);
	CHECK(list->text.len <= value.len + 1);
	return !p.out_of_memory;
}
