#include "imapd/parse_internal.h"

#include "base/utf8.h"

#include <string.h>

#define WORD_MAX                                                                                                       \
	32 /* longer than any name of a key, item or option, so that tables of them are looked through cheaply */

/* --- errors and memory --- */

bool parse_expected(struct parser *p, const char *what)
{
	return error_set(p->err, ERR_SYNTAX, "expected %s", what);
}

void *parse_alloc(struct parser *p, size_t size)
{
	void *memory;

	if (size > p->arena->limit - p->arena->used) {
		error_set(p->err, ERR_TOO_LONG, "the command holds too many values");
		return NULL;
	}
	memory = arena_alloc(p->arena, size);
	if (memory == NULL)
		error_set(p->err, ERR_NO_MEMORY, "out of memory");
	return memory;
}

void *parse_grow(struct parser *p, void *items, size_t count, size_t *capacity, size_t item_size)
{
	size_t wanted = *capacity == 0 ? 4 : 2 * *capacity;
	void *grown;

	if (count >= PARSE_ITEMS_MAX) {
		error_set(p->err, ERR_TOO_LONG, "more than %d items in one list", PARSE_ITEMS_MAX);
		return NULL;
	}
	if (count < *capacity)
		return items;
	grown = parse_alloc(p, wanted * item_size);
	if (grown == NULL)
		return NULL;
	if (count > 0)
		memcpy(grown, items, count * item_size);
	*capacity = wanted;
	return grown;
}

uint32_t hash_nocase(uint32_t hash, struct span s)
{
	hash ^= 2166136261u; /* FNV-1a */
	for (size_t i = 0; i < s.len; i++)
		hash = (hash ^ (unsigned char)ascii_lower(s.ptr[i])) * 16777619u;
	return hash;
}

bool repeats_find(const struct repeats *repeats, uint32_t hash, size_t *at)
{
	for (; *at < repeats->count; ++*at) {
		if (repeats->hashes[*at] == hash)
			return true;
	}
	return false;
}

/* --- characters (RFC 9051 §9) --- */

static bool is_control(unsigned char c)
{
	return c < ' ' || c == 0x7f;
}

static bool is_atom_char(unsigned char c)
{
	return !is_control(c) && c < 0x80 && strchr("(){ %*\"\\]", c) == NULL;
}

/* ASTRING-CHAR, and what Dovecot accepts as well because clients send it bare: "LOGIN DOMAIN\user", "%" and "*". */
static bool is_astring_char(unsigned char c)
{
	return !is_control(c) && c < 0x80 && strchr("(){ \"", c) == NULL;
}

static bool is_list_char(unsigned char c)
{
	return is_atom_char(c) || c == '%' || c == '*' || c == ']';
}

static bool is_word_char(unsigned char c)
{
	return ascii_is_alnum(c) || c == '.' || c == '-';
}

bool parse_char(struct parser *p, char c, const char *what)
{
	return span_take_char(&p->in, c) || parse_expected(p, what);
}

bool parse_space(struct parser *p)
{
	if (p->in.len == 0)
		return error_set(p->err, ERR_SYNTAX, "the command ends too early");
	return parse_char(p, ' ', "a space");
}

bool parse_at_end(const struct parser *p)
{
	struct span blanks = p->in;

	while (span_take_char(&blanks, ' ')) /* Outlook leaves one behind */
		;
	return blanks.len == 0;
}

bool parse_end(struct parser *p)
{
	if (!parse_at_end(p))
		return parse_expected(p, "the end of the command");
	p->in = span_skip(p->in, p->in.len);
	return true;
}

bool parse_atom(struct parser *p, struct span *out)
{
	return span_take_run(&p->in, is_atom_char, out) || parse_expected(p, "an atom");
}

struct span parse_peek_word(const struct parser *p)
{
	struct span in = span_first(p->in, WORD_MAX + 1), word;

	return span_take_run(&in, is_word_char, &word) ? word : span_first(p->in, 0);
}

bool parse_take_word(struct parser *p, const char *word)
{
	struct span found = parse_peek_word(p);

	if (!span_equal_nocase(found, span_of(word)))
		return false;
	p->in = span_skip(p->in, found.len);
	return true;
}

bool parse_number64(struct parser *p, uint64_t *out)
{
	return span_take_number64(&p->in, NUMBER64_MAX, out) || parse_expected(p, "a number below 2^63");
}

bool parse_set(struct parser *p, struct sequence_set *out)
{
	size_t left = p->arena->limit - p->arena->used;

	if (sequence_set_parse(&p->in, true, p->arena, out))
		return true;
	if (!p->arena->failed)
		return parse_expected(p, "a sequence set");
	if (p->in.len > left / sizeof(*out->ranges)) /* a range takes an octet at least */
		return error_set(p->err, ERR_TOO_LONG, "the command holds too many values");
	return error_set(p->err, ERR_NO_MEMORY, "out of memory");
}

/* --- strings --- */

/* How long the quoted text is up to its closing quote; `escapes`: how many of it are backslashes that go. */
static bool measure_quoted(struct span in, size_t *len, size_t *escapes)
{
	*escapes = 0;
	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i];

		if (c == '"') {
			*len = i;
			return true;
		}
		if (c == '\\') { /* §9 has only quote and backslash behind it; Dovecot takes any character, so do we */
			++*escapes;
			if (++i == in.len)
				return false;
			c = in.ptr[i];
		}
		if (c == '\0' || c == '\r' || c == '\n')
			return false;
	}
	return false;
}

static bool unescape(struct parser *p, struct span quoted, size_t escapes, struct span *out)
{
	char *text = parse_alloc(p, quoted.len - escapes);
	size_t len = 0;

	if (text == NULL)
		return false;
	for (size_t i = 0; i < quoted.len; i++) {
		if (quoted.ptr[i] == '\\')
			i++;
		text[len++] = quoted.ptr[i];
	}
	*out = span_make(text, len);
	return true;
}

/* §9 QUOTED-CHAR: UTF-8 only once it is enabled (RFC 6855 §3). Where it is not, 8-bit octets have no charset, so they are refused; but not in
 * passwords, ID, mailbox names and searches that name a charset, where clients send them and what is meant is plain. */
static bool parse_quoted(struct parser *p, bool any_8bit, struct span *out)
{
	struct span in = span_skip(p->in, 1), text;
	size_t len, escapes;

	if (!measure_quoted(in, &len, &escapes))
		return parse_expected(p, "a closing quote, and no CR, LF or NUL before it");
	text = span_first(in, len);
	if (!any_8bit && !utf8_is_ascii(text)) {
		if (!p->utf8)
			return parse_expected(p, "ASCII in a quoted string: UTF-8 is not enabled");
		if (!utf8_valid(text))
			return parse_expected(p, "valid UTF-8 in a quoted string");
	}
	if (escapes == 0)
		*out = text;
	else if (!unescape(p, text, escapes, out))
		return false;
	p->in = span_skip(in, len + 1);
	return true;
}

/* "{5}" CRLF and five octets of CHAR8: no NUL (§9 literal). */
static bool parse_literal(struct parser *p, struct span *out)
{
	struct span in = span_skip(p->in, 1);
	uint64_t size;
	size_t at;

	if (!span_take_number64(&in, NUMBER64_MAX, &size))
		return parse_expected(p, "the size of a literal");
	(void)span_take_char(&in, '+'); /* RFC 7888 §3 */
	if (!span_take_char(&in, '}') || !span_take_char(&in, '\r') || !span_take_char(&in, '\n') || size > in.len)
		return parse_expected(p, "a literal");
	*out = span_first(in, (size_t)size);
	if (span_find(*out, '\0', &at))
		return parse_expected(p, "no NUL in a literal");
	p->in = span_skip(in, (size_t)size);
	return true;
}

static bool parse_string_as(struct parser *p, bool any_8bit, const char *what, struct span *out)
{
	if (span_starts(p->in, SPAN("\"")))
		return parse_quoted(p, any_8bit, out);
	if (span_starts(p->in, SPAN("{")))
		return parse_literal(p, out);
	return parse_expected(p, what);
}

bool parse_string(struct parser *p, struct span *out)
{
	return parse_string_as(p, false, "a string", out);
}

bool parse_string_8bit(struct parser *p, struct span *out)
{
	return parse_string_as(p, true, "a string", out);
}

bool parse_astring(struct parser *p, struct span *out)
{
	return span_take_run(&p->in, is_astring_char, out) || parse_string_as(p, false, "a string or an atom", out);
}

bool parse_astring_8bit(struct parser *p, struct span *out)
{
	return span_take_run(&p->in, is_astring_char, out) || parse_string_as(p, true, "a string or an atom", out);
}

bool parse_nstring(struct parser *p, struct span *out)
{
	if (parse_take_word(p, "NIL")) {
		*out = SPAN_EMPTY;
		return true;
	}
	return parse_string_as(p, false, "a string or NIL", out);
}

bool parse_list_mailbox(struct parser *p, struct span *out)
{
	return span_take_run(&p->in, is_list_char, out) || parse_string_as(p, true, "a mailbox pattern", out);
}
