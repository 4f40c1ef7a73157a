#include "message/charset.h"

#include "message/charset_table.h"

#include "base/utf8.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#define CARRY_MAX    16 /* octets of one unfinished character (or escape sequence) */
#define STEP_OUT     1024
#define REPLACEMENT  0xfffdu
#define NO_CONVERTER ((iconv_t)-1)

struct charset_converter {
	enum charset_method method;
	iconv_t iconv;
	unsigned unit; /* octets to skip over what cannot be converted */
	char carry[CARRY_MAX];
	size_t carry_len;
};

/* windows-1252 0x80 to 0x9f; holes are C1 controls, as WHATWG has it. */
static const uint16_t windows_1252[32] = { 0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030,
	0x0160, 0x2039, 0x0152, 0x8d, 0x017d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d, 0x017e, 0x0178 };

/* When the process has no memory or descriptors for iconv, the text is repaired UTF-8. */
static void open_converter(struct charset_converter *c, struct span label)
{
	const struct charset *charset = charset_find(label);

	*c = (struct charset_converter) { .method = CHARSET_UTF8, .iconv = NO_CONVERTER, .unit = 1 };
	if (charset == NULL)
		return;
	c->method = charset->method;
	if (c->method != CHARSET_ICONV)
		return;
	c->iconv = iconv_open("UTF-8", charset->iconv_name);
	if (c->iconv == NO_CONVERTER)
		c->method = CHARSET_UTF8;
	if (strncmp(charset->iconv_name, "UTF-16", 6) == 0 || strncmp(charset->iconv_name, "UCS-2", 5) == 0)
		c->unit = 2;
	if (strncmp(charset->iconv_name, "UTF-32", 6) == 0)
		c->unit = 4;
}

static void close_converter(struct charset_converter *c)
{
	if (c->iconv != NO_CONVERTER)
		iconv_close(c->iconv);
	c->iconv = NO_CONVERTER;
}

static bool is_ascii(unsigned char c)
{
	return c < 0x80;
}

static void windows_1252_feed(struct span in, struct buffer *out)
{
	struct span run;

	while (in.len > 0) {
		unsigned char c = (unsigned char)in.ptr[0];

		if (span_take_run(&in, is_ascii, &run)) {
			buffer_append_span(out, run);
			continue;
		}
		utf8_append(out, c >= 0x80 && c < 0xa0 ? windows_1252[c - 0x80] : c);
		in = span_skip(in, 1);
	}
}

/* How many octets at the end of s are the beginning of a character that is not complete. */
static size_t cut_tail(struct span s)
{
	for (size_t back = 1; back <= 3 && back <= s.len; back++) {
		unsigned char c = (unsigned char)s.ptr[s.len - back];
		size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if (c >= 0xc0)
			return need > back ? back : 0;
		if (c < 0x80)
			return 0;
	}
	return 0;
}

static void keep(struct charset_converter *c, struct span tail)
{
	c->carry_len = tail.len;
	if (tail.len > 0)
		memcpy(c->carry, tail.ptr, tail.len);
}

/* Text that says US-ASCII: decided once, at its first character that is not. What is left of `in` is not decided yet. */
static void decide(struct charset_converter *c, struct span *in, struct buffer *out)
{
	struct span run;
	struct span rest;
	uint32_t code_point;

	if (span_take_run(in, is_ascii, &run))
		buffer_append_span(out, run);
	rest = *in;
	if (utf8_take(&rest, &code_point))
		c->method = CHARSET_UTF8;
	else if (rest.len > 0 && cut_tail(rest) != rest.len)
		c->method = CHARSET_WINDOWS_1252;
}

/* Converts what can be; what is left of `in` is an unfinished character. */
static void iconv_feed(struct charset_converter *c, struct span *in, struct buffer *out)
{
	while (in->len > 0 && !out->failed) {
		char piece[STEP_OUT];
		char *source = (char *)(uintptr_t)in->ptr;
		char *target = piece;
		size_t source_left = in->len;
		size_t target_left = sizeof(piece);
		size_t result = iconv(c->iconv, &source, &source_left, &target, &target_left);
		int why = errno;

		buffer_append(out, piece, sizeof(piece) - target_left);
		*in = span_make(source, source_left);
		if (result != (size_t)-1)
			continue;
		if (why == EINVAL && in->len < CARRY_MAX)
			return;
		if (why != E2BIG) {
			utf8_append(out, REPLACEMENT);
			*in = span_skip(*in, c->unit);
		}
	}
}

static void convert(struct charset_converter *c, struct span in, struct buffer *out)
{
	size_t tail;

	if (c->method == CHARSET_ASCII)
		decide(c, &in, out);
	switch (c->method) {
	case CHARSET_ASCII: keep(c, in); return;
	case CHARSET_WINDOWS_1252: windows_1252_feed(in, out); return;
	case CHARSET_ICONV:
		iconv_feed(c, &in, out);
		keep(c, in);
		return;
	case CHARSET_UTF8:
		tail = cut_tail(in);
		utf8_append_repaired(out, span_first(in, in.len - tail));
		keep(c, span_skip(in, in.len - tail));
		return;
	}
}

/* What was carried over, completed by the first octets of `in`. */
static void convert_carried(struct charset_converter *c, struct span *in, struct buffer *out)
{
	while (c->carry_len > 0 && in->len > 0) {
		char joined[CARRY_MAX + 1];
		size_t len = c->carry_len;

		memcpy(joined, c->carry, len);
		joined[len++] = in->ptr[0];
		*in = span_skip(*in, 1);
		c->carry_len = 0;
		convert(c, span_make(joined, len), out);
	}
}

static bool feed(struct charset_converter *c, struct span in, struct buffer *out)
{
	convert_carried(c, &in, out);
	if (in.len > 0)
		convert(c, in, out);
	return !out->failed;
}

static bool finish(struct charset_converter *c, struct buffer *out)
{
	if (c->method == CHARSET_ASCII)
		windows_1252_feed(span_make(c->carry, c->carry_len), out);
	else if (c->carry_len > 0)
		utf8_append(out, REPLACEMENT);
	c->carry_len = 0;
	return !out->failed;
}

bool charset_to_utf8(struct span label, struct span in, struct buffer *out)
{
	struct charset_converter c;

	open_converter(&c, label);
	if (c.method != CHARSET_ICONV && utf8_is_ascii(in)) {
		buffer_append_span(out, in);
	} else {
		feed(&c, in, out);
		finish(&c, out);
	}
	close_converter(&c);
	return !out->failed;
}

struct charset_converter *charset_open(struct span label)
{
	struct charset_converter *c = malloc(sizeof(*c));

	if (c != NULL)
		open_converter(c, label);
	return c;
}

bool charset_feed(struct charset_converter *converter, struct span in, struct buffer *out)
{
	return feed(converter, in, out);
}

bool charset_finish(struct charset_converter *converter, struct buffer *out)
{
	return finish(converter, out);
}

bool charset_passes_ascii(const struct charset_converter *converter)
{
	return converter->method != CHARSET_ICONV && converter->carry_len == 0;
}

void charset_close(struct charset_converter **converter)
{
	if (*converter == NULL)
		return;
	close_converter(*converter);
	free(*converter);
	*converter = NULL;
}
