#include "message/address_token.h"

#include <string.h>

void token_scanner_init(struct token_scanner *scanner, struct span source)
{
	*scanner = (struct token_scanner) { .rest = source };
}

static bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_special(unsigned char c)
{
	return c == '"' || c == '(' || c == ')' || c == ',' || c == '.' || c == ':' || c == ';' || c == '<' ||
	       c == '>' || c == '@' || c == '[' || c == '\\' || c == ']';
}

static bool is_atom(unsigned char c)
{
	return !is_blank(c) && !is_special(c);
}

/* RFC 5322 §3.2.3 atext, RFC 6532 §3.2; control characters are none. */
static bool all_printable(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return true;
}

/* The text up to the matching ")" with both parentheses off; in->ptr[0] is "(". Nesting is counted, not recursed. */
static bool take_comment(struct span *in, struct span *comment)
{
	unsigned depth = 0;

	for (size_t i = 0; i < in->len; i++) {
		char c = in->ptr[i];

		if (c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0) {
			*comment = span_make(in->ptr + 1, i - 1);
			*in = span_skip(*in, i + 1);
			return true;
		}
	}
	return false;
}

/* The text up to the next unescaped `close`; in->ptr[0] opens it. */
static bool take_enclosed(struct span *in, char close, struct span *text)
{
	for (size_t i = 1; i < in->len; i++) {
		if (in->ptr[i] == '\\')
			i++;
		else if (in->ptr[i] == close) {
			*text = span_make(in->ptr + 1, i - 1);
			*in = span_skip(*in, i + 1);
			return true;
		}
	}
	return false;
}

static void skip_filler(struct token_scanner *scanner, struct token *token)
{
	struct span run;

	token->space_before = false;
	token->comment = SPAN_EMPTY;
	for (;;) {
		if (span_take_run(&scanner->rest, is_blank, &run)) {
			token->space_before = true;
		} else if (scanner->rest.len > 0 && scanner->rest.ptr[0] == '(' && !scanner->no_comment) {
			if (!take_comment(&scanner->rest, &token->comment))
				scanner->no_comment = true;
			else
				token->space_before = true;
		} else {
			return;
		}
	}
}

/* The length of "=?charset?q?text?=" at the front, which holds no blank; 0 when there is none. */
static size_t encoded_word_length(struct token_scanner *scanner)
{
	struct span in = scanner->rest;
	size_t question;

	if (scanner->in_addr_spec || in.len < 8 || in.ptr[0] != '=' || in.ptr[1] != '?')
		return 0;
	if (!span_find(span_first(span_skip(in, 2), ENCODED_WORD_CHARSET_MAX), '?', &question) ||
	        question + 5 >= in.len || in.ptr[question + 4] != '?' ||
	        in.ptr + question + 5 < scanner->no_encoded_before)
		return 0;
	for (size_t i = question + 5; i + 1 < in.len && !is_blank((unsigned char)in.ptr[i]); i++) {
		if (in.ptr[i] == '?' && in.ptr[i + 1] == '=')
			return i + 2;
		scanner->no_encoded_before = in.ptr + i;
	}
	return 0;
}

static bool take_word(struct token_scanner *scanner, struct token *token)
{
	size_t encoded = encoded_word_length(scanner);

	if (encoded > 0) {
		token->text = span_first(scanner->rest, encoded);
		scanner->rest = span_skip(scanner->rest, encoded);
	} else if (!span_take_run(&scanner->rest, is_atom, &token->text)) {
		return false;
	}
	token->kind = TOKEN_ATOM;
	token->well_formed = all_printable(token->text);
	return true;
}

static bool take_quoted(struct token_scanner *scanner, struct token *token)
{
	if (scanner->rest.len == 0 || scanner->rest.ptr[0] != '"' || scanner->no_quote)
		return false;
	if (!take_enclosed(&scanner->rest, '"', &token->text)) {
		scanner->no_quote = true;
		return false;
	}
	token->kind = TOKEN_QUOTED;
	return true;
}

static bool take_literal(struct token_scanner *scanner, struct token *token)
{
	const char *begin = scanner->rest.ptr;
	struct span inner;

	if (scanner->rest.len == 0 || begin[0] != '[' || scanner->no_literal)
		return false;
	if (!take_enclosed(&scanner->rest, ']', &inner)) {
		scanner->no_literal = true;
		return false;
	}
	token->kind = TOKEN_LITERAL;
	token->text = span_make(begin, inner.len + 2);
	/* RFC 5322 §3.4.1 dtext; quoted pairs (§4.4 obs-dtext) are read, but not called well formed */
	token->well_formed = memchr(inner.ptr, '[', inner.len) == NULL && memchr(inner.ptr, '\\', inner.len) == NULL;
	return true;
}

static enum token_kind special_kind(char c)
{
	switch (c) {
	case '.': return TOKEN_DOT;
	case '@': return TOKEN_AT;
	case ',': return TOKEN_COMMA;
	case ';': return TOKEN_SEMICOLON;
	case ':': return TOKEN_COLON;
	case '<': return TOKEN_LESS;
	case '>': return TOKEN_GREATER;
	default: return TOKEN_STRAY;
	}
}

void token_next(struct token_scanner *scanner, bool literal_allowed, struct token *token)
{
	token->well_formed = true;
	skip_filler(scanner, token);
	token->begin = scanner->rest.ptr;
	if (scanner->rest.len == 0) {
		token->kind = TOKEN_END;
		token->text = scanner->rest;
	} else if (!take_word(scanner, token) && !take_quoted(scanner, token) &&
	           !(literal_allowed && take_literal(scanner, token))) {
		token->kind = special_kind(scanner->rest.ptr[0]);
		token->text = span_first(scanner->rest, 1);
		token->well_formed = token->kind != TOKEN_STRAY;
		scanner->rest = span_skip(scanner->rest, 1);
	}
	token->end = scanner->rest.ptr;
}
