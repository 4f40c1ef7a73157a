#include "message/preview.h"

#include "base/utf8.h"

#include <string.h>

#define STEP       256 /* octets decoded at a time: no more than is needed */
#define TEXT_LIMIT (PREVIEW_CHARS * 4 + 4)

void preview_init(struct preview *p)
{
	memset(p, 0, sizeof(*p));
	buffer_init(&p->octets, TRANSFER_PENDING_MAX + 2 * STEP);
	buffer_init(&p->utf8, 16 * (TRANSFER_PENDING_MAX + 2 * STEP));
	buffer_init(&p->text, TEXT_LIMIT);
}

void preview_free(struct preview *p)
{
	charset_close(&p->charset);
	buffer_free(&p->octets);
	buffer_free(&p->utf8);
	buffer_free(&p->text);
}

void preview_reset(struct preview *p)
{
	charset_close(&p->charset);
	buffer_clear(&p->text);
	p->active = p->failed = p->blank = false;
	p->chars = p->fed = 0;
}

void preview_begin(struct preview *p, bool html, enum transfer_encoding encoding, struct span charset)
{
	p->charset = charset_open(charset);
	if (p->charset == NULL) {
		p->failed = true;
		return;
	}
	transfer_init(&p->transfer, encoding);
	p->active = true;
	p->html = html;
	p->blank = false;
	p->fed = p->chars = p->name_len = 0;
	p->html_state = HTML_TEXT;
	p->skip_until = NULL;
	buffer_clear(&p->text);
}

/* Characters that take no room: soft hyphen, joiners, the padding of mail "preheaders". */
static bool is_invisible(uint32_t c)
{
	return c == 0xad || c == 0x34f || (c >= 0x200b && c <= 0x200f) || c == 0x2060 || c == 0xfeff;
}

static void put_char(struct preview *p, uint32_t c)
{
	if (c <= ' ' || (c >= 0x7f && c <= 0xa0) || c == 0x2028 || c == 0x2029) {
		p->blank = true;
		return;
	}
	if (is_invisible(c) || p->chars >= PREVIEW_CHARS)
		return;
	if (p->blank && p->chars > 0) {
		utf8_append(&p->text, ' ');
		if (++p->chars >= PREVIEW_CHARS) {
			p->text.len--; /* a blank at the very end says nothing */
			return;
		}
	}
	p->blank = false;
	utf8_append(&p->text, c);
	p->chars++;
}

static void name_begin(struct preview *p)
{
	p->name_len = 0;
	p->name_done = false;
}

/* false when it is too long */
static bool name_add(struct preview *p, char c)
{
	if (p->name_len == PREVIEW_NAME_MAX)
		return false;
	p->name[p->name_len++] = c;
	p->name[p->name_len] = '\0';
	return true;
}

static bool name_is(const struct preview *p, const char *text)
{
	return span_equal_nocase(span_make(p->name, p->name_len), span_of(text));
}

static uint32_t numeric_entity(struct span digits)
{
	uint32_t value = 0;

	if (!span_take_char(&digits, 'x') && !span_take_char(&digits, 'X'))
		return span_take_number(&digits, 0x10ffff, &value) && digits.len == 0 ? value : 0;
	for (size_t i = 0; i < digits.len && value <= 0x10ffff; i++) {
		char c = ascii_lower(digits.ptr[i]);

		if (c >= '0' && c <= '9')
			value = value * 16 + (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (uint32_t)(c - 'a' + 10);
		else
			return 0;
	}
	return value <= 0x10ffff ? value : 0;
}

/* 0: not known */
static uint32_t entity_value(const struct preview *p)
{
	static const struct {
		const char *name;
		uint32_t value;
	} entities[] = {
		{ "amp", '&' },
		{ "lt", '<' },
		{ "gt", '>' },
		{ "quot", '"' },
		{ "apos", '\'' },
		{ "nbsp", ' ' },
		{ "zwnj", 0x200c },
		{ "zwj", 0x200d },
		{ "shy", 0xad },
		{ "ndash", 0x2013 },
		{ "mdash", 0x2014 },
		{ "lsquo", 0x2018 },
		{ "rsquo", 0x2019 },
		{ "ldquo", 0x201c },
		{ "rdquo", 0x201d },
		{ "bull", 0x2022 },
		{ "hellip", 0x2026 },
		{ "euro", 0x20ac },
		{ "copy", 0xa9 },
		{ "reg", 0xae },
		{ "trade", 0x2122 },
		{ "auml", 0xe4 },
		{ "ouml", 0xf6 },
		{ "uuml", 0xfc },
		{ "szlig", 0xdf },
		{ "eacute", 0xe9 },
		{ "egrave", 0xe8 },
		{ "agrave", 0xe0 },
		{ "ccedil", 0xe7 },
	};

	if (p->name_len > 1 && p->name[0] == '#')
		return numeric_entity(span_make(p->name + 1, p->name_len - 1));
	for (size_t i = 0; i < ARRAY_LEN(entities); i++)
		if (span_equal(span_make(p->name, p->name_len), span_of(entities[i].name)))
			return entities[i].value;
	return 0;
}

/* What was taken for an entity, as the text that it is. */
static void put_entity_text(struct preview *p)
{
	put_char(p, '&');
	for (size_t i = 0; i < p->name_len; i++)
		put_char(p, (unsigned char)p->name[i]);
	p->html_state = HTML_TEXT;
}

static void html_entity(struct preview *p, uint32_t c)
{
	uint32_t value;

	if (c < 0x80 && (ascii_is_alnum((unsigned char)c) || c == '#') && name_add(p, (char)c))
		return;
	value = c == ';' ? entity_value(p) : 0;
	if (value == 0) {
		put_entity_text(p);
		if (c == '<') {
			name_begin(p);
			p->html_state = HTML_TAG;
		} else {
			put_char(p, c);
		}
		return;
	}
	p->html_state = HTML_TEXT;
	put_char(p, value);
}

static bool is_inline_tag(const struct preview *p)
{
	static const char *const names[] = { "a", "b", "i", "u", "em", "font", "span", "strong", "small", "sup",
		"sub" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (name_is(p, names[i]) ||
		        (p->name_len > 1 && p->name[0] == '/' &&
		                span_equal_nocase(span_make(p->name + 1, p->name_len - 1), span_of(names[i]))))
			return true;
	return false;
}

static void tag_done(struct preview *p)
{
	static const char *const skipped[] = { "style", "script", "title" };

	p->html_state = HTML_TEXT;
	if (p->skip_until != NULL) {
		if (p->name_len > 0 && p->name[0] == '/' &&
		        span_equal_nocase(span_make(p->name + 1, p->name_len - 1), span_of(p->skip_until)))
			p->skip_until = NULL;
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(skipped); i++)
		if (name_is(p, skipped[i]))
			p->skip_until = skipped[i];
	if (!is_inline_tag(p))
		p->blank = true;
}

static void html_tag(struct preview *p, uint32_t c)
{
	if (c == '>') {
		tag_done(p);
	} else if (c == '<' && p->skip_until != NULL) {
		name_begin(p); /* "a<b" in a script: only its end tag counts */
	} else if ((c == '"' || c == '\'') && p->name_done && p->skip_until == NULL) {
		p->quote = (char)c;
		p->html_state = HTML_QUOTE;
	} else if (c <= ' ' || c >= 0x80) {
		p->name_done = true;
	} else if (!p->name_done && !name_add(p, (char)c)) {
		p->name_done = true;
	}
	if (p->html_state == HTML_TAG && p->name_len == 3 && memcmp(p->name, "!--", 3) == 0) {
		p->html_state = HTML_COMMENT;
		name_begin(p);
	}
}

/* Up to "-->": name_len counts the dashes before. */
static void html_comment(struct preview *p, uint32_t c)
{
	if (c == '>' && p->name_len >= 2)
		p->html_state = HTML_TEXT;
	else if (c != '-')
		p->name_len = 0;
	else if (p->name_len < 2)
		p->name_len++;
}

static void html_char(struct preview *p, uint32_t c)
{
	switch (p->html_state) {
	case HTML_TEXT:
		if (c == '<') {
			name_begin(p);
			p->html_state = HTML_TAG;
		} else if (p->skip_until != NULL) {
			return;
		} else if (c == '&') {
			name_begin(p);
			p->html_state = HTML_ENTITY;
		} else {
			put_char(p, c);
		}
		return;
	case HTML_TAG: html_tag(p, c); return;
	case HTML_QUOTE:
		if (c == (unsigned char)p->quote)
			p->html_state = HTML_TAG;
		return;
	case HTML_COMMENT: html_comment(p, c); return;
	case HTML_ENTITY: html_entity(p, c); return;
	}
}

static void put_text(struct preview *p, struct span utf8)
{
	uint32_t c;

	while (p->chars < PREVIEW_CHARS && utf8_take(&utf8, &c)) {
		if (p->html)
			html_char(p, c);
		else
			put_char(p, c);
	}
}

static void put_octets(struct preview *p)
{
	buffer_clear(&p->utf8);
	if (!charset_feed(p->charset, buffer_span(&p->octets), &p->utf8))
		p->failed = true;
	put_text(p, buffer_span(&p->utf8));
	buffer_clear(&p->octets);
}

static void stop(struct preview *p)
{
	p->active = false;
	charset_close(&p->charset);
}

bool preview_feed(struct preview *p, struct span bytes)
{
	while (p->active && bytes.len > 0) {
		struct span piece = span_first(bytes, STEP);

		bytes = span_skip(bytes, piece.len);
		p->fed += piece.len;
		if (!transfer_feed(&p->transfer, piece, &p->octets))
			p->failed = true;
		put_octets(p);
		if (p->chars >= PREVIEW_CHARS || p->fed >= PREVIEW_SOURCE_MAX || p->failed)
			stop(p);
	}
	return p->active;
}

void preview_end(struct preview *p)
{
	if (!p->active)
		return;
	transfer_finish(&p->transfer, &p->octets);
	put_octets(p);
	buffer_clear(&p->utf8);
	charset_finish(p->charset, &p->utf8);
	put_text(p, buffer_span(&p->utf8));
	if (p->html && p->html_state == HTML_ENTITY)
		put_entity_text(p);
	stop(p);
}
