/* common/message/address_token.h — the tokens of RFC 5322 §3.2 for the address parser. Forgiving: what opens and is never
 * closed (quote, comment, bracket) counts as one stray character, found out once, so the scan stays linear. Any thread. */
#ifndef MESSAGE_ADDRESS_TOKEN_H
#define MESSAGE_ADDRESS_TOKEN_H

#include "base/span.h"

#define ENCODED_WORD_CHARSET_MAX 64

enum token_kind {
	TOKEN_END,
	TOKEN_ATOM,    /* also an encoded word, whatever specials it holds (against RFC 2047 §5, but sent) */
	TOKEN_QUOTED,  /* text: between the quotes, still with backslashes and folds */
	TOKEN_LITERAL, /* text: with the brackets; only where asked for */
	TOKEN_DOT,
	TOKEN_AT,
	TOKEN_COMMA,
	TOKEN_SEMICOLON,
	TOKEN_COLON,
	TOKEN_LESS,
	TOKEN_GREATER,
	TOKEN_STRAY, /* one character that has no business here */
};

struct token {
	enum token_kind kind;
	bool well_formed;
	bool space_before;   /* blanks or comments in front of it */
	struct span comment; /* the last comment in front of it, without parentheses; ptr NULL: none */
	struct span text;
	const char *begin, *end; /* in the source */
};

struct token_scanner {
	struct span rest;
	bool no_quote, no_comment, no_literal; /* known: nothing closes one from here on */
	const char *no_encoded_before;         /* known: no encoded word ends before this */
	bool in_addr_spec;                     /* RFC 2047 §5: no encoded words here, "=?" is plain text */
};

void token_scanner_init(struct token_scanner *scanner, struct span source);
void token_next(struct token_scanner *scanner, bool literal_allowed, struct token *token);

#endif
