#include "message/transfer.h"

#include <string.h>

static struct span skip_comments(struct span in)
{
	unsigned depth = 0;

	while (in.len > 0) {
		char c = in.ptr[0];

		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			break;
		in = span_skip(in, 1);
	}
	return in;
}

static bool is_token(unsigned char c)
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

bool transfer_encoding_name(struct span value, struct span *name)
{
	struct span in = skip_comments(value);

	return span_take_run(&in, is_token, name) && skip_comments(in).len == 0;
}

enum transfer_encoding transfer_encoding_of(struct span value)
{
	static const struct {
		const char *name;
		enum transfer_encoding encoding;
	} known[] = {
		{ "7bit", TRANSFER_IDENTITY },
		{ "8bit", TRANSFER_IDENTITY },
		{ "binary", TRANSFER_IDENTITY },
		{ "quoted-printable", TRANSFER_QUOTED_PRINTABLE },
		{ "base64", TRANSFER_BASE64 },
	};
	struct span name;

	if (!transfer_encoding_name(value, &name))
		return TRANSFER_IDENTITY;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_equal_nocase(name, span_of(known[i].name)))
			return known[i].encoding;
	return TRANSFER_UNKNOWN;
}

void transfer_init(struct transfer_decoder *decoder, enum transfer_encoding encoding)
{
	decoder->encoding = encoding;
	decoder->bits = 0;
	decoder->bit_chars = 0;
	decoder->pending_len = 0;
}

#define BASE64_PAD   64 /* "=" */
#define BASE64_OTHER 65 /* no character of base64; both have bit 6 set, values have not */

/* clang-format off */
static const uint8_t base64_values[128] = {
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 62, 65, 65, 65, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 65, 65, 65, 64, 65, 65,
	65, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 65, 65, 65, 65, 65,
	65, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 65, 65, 65, 65, 65,
};
/* clang-format on */

static unsigned base64_value(unsigned char c)
{
	return c < 128 ? base64_values[c] : BASE64_OTHER;
}

/* Whole quads without anything between them, which is nearly all of a real body; returns how many characters it took. */
static size_t base64_quads(struct span in, struct buffer *out)
{
	size_t at = 0;
	char *to;

	in = span_first(in, (out->limit - out->len) / 3 * 4);
	if (out->failed || in.len < 4 || !buffer_reserve(out, in.len / 4 * 3))
		return 0;
	to = out->data + out->len;
	for (; at + 4 <= in.len; at += 4) {
		const unsigned char *c = (const unsigned char *)in.ptr + at;
		unsigned a = base64_value(c[0]), b = base64_value(c[1]), d = base64_value(c[2]), e = base64_value(c[3]);

		if (((a | b | d | e) & BASE64_PAD) != 0)
			break;
		*to++ = (char)(a << 2 | b >> 4);
		*to++ = (char)(b << 4 | d >> 2);
		*to++ = (char)(d << 6 | e);
	}
	out->len = (size_t)(to - out->data);
	*to = '\0';
	return at;
}

/* The whole octets of an unfinished quad; then a new one begins. */
static void base64_flush(struct transfer_decoder *decoder, struct buffer *out)
{
	if (decoder->bit_chars == 2)
		buffer_append_char(out, (char)(decoder->bits >> 4));
	if (decoder->bit_chars == 3) {
		buffer_append_char(out, (char)(decoder->bits >> 10));
		buffer_append_char(out, (char)(decoder->bits >> 2));
	}
	decoder->bits = 0;
	decoder->bit_chars = 0;
}

static void base64_feed(struct transfer_decoder *decoder, struct span in, struct buffer *out)
{
	for (size_t i = 0; i < in.len; i++) {
		unsigned value;

		if (decoder->bit_chars == 0)
			i += base64_quads(span_skip(in, i), out);
		if (i == in.len)
			return;
		value = base64_value((unsigned char)in.ptr[i]);
		if (value == BASE64_OTHER)
			continue; /* RFC 2045 §6.8: all other characters must be ignored */
		if (value == BASE64_PAD) {
			base64_flush(decoder, out);
			continue;
		}
		decoder->bits = decoder->bits << 6 | value;
		if (++decoder->bit_chars == 4) {
			char octets[3] = { (char)(decoder->bits >> 16), (char)(decoder->bits >> 8),
				(char)decoder->bits };

			buffer_append(out, octets, 3);
			decoder->bits = 0;
			decoder->bit_chars = 0;
		}
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void flush_pending(struct transfer_decoder *decoder, struct buffer *out)
{
	buffer_append(out, decoder->pending, decoder->pending_len);
	decoder->pending_len = 0;
}

static void hold(struct transfer_decoder *decoder, char c, struct buffer *out)
{
	if (decoder->pending_len == TRANSFER_PENDING_MAX)
		flush_pending(decoder, out);
	decoder->pending[decoder->pending_len++] = c;
}

/* After "=": a hexadecimal digit, or blanks and the line end (RFC 2045 §6.7 rule 5). True when c was used. */
static bool after_equals(struct transfer_decoder *decoder, char c, struct buffer *out)
{
	char last = decoder->pending[decoder->pending_len - 1];

	if (c == '\n') {
		decoder->pending_len = 0;
		return true;
	}
	if (decoder->pending_len == 2 && hex_value(last) >= 0 && hex_value(c) >= 0) {
		decoder->pending_len = 0;
		buffer_append_char(out, (char)(hex_value(last) << 4 | hex_value(c)));
		return true;
	}
	if ((decoder->pending_len == 1 && hex_value(c) >= 0) ||
	        (hex_value(last) < 0 && (c == ' ' || c == '\t' || c == '\r'))) {
		hold(decoder, c, out);
		return true;
	}
	return false;
}

static void quoted_printable_octet(struct transfer_decoder *decoder, char c, struct buffer *out)
{
	if (decoder->pending_len > 0 && decoder->pending[0] == '=' && after_equals(decoder, c, out))
		return;
	if (c == '\n' && decoder->pending_len > 0) {
		/* rule 3: blanks before a line end were added on the way */
		bool crlf = decoder->pending[decoder->pending_len - 1] == '\r';

		decoder->pending_len = 0;
		buffer_append(out, crlf ? "\r\n" : "\n", crlf ? 2 : 1);
		return;
	}
	if (c == ' ' || c == '\t' || c == '\r') {
		if (decoder->pending_len > 0 && decoder->pending[0] == '=')
			flush_pending(decoder, out);
		hold(decoder, c, out);
		return;
	}
	flush_pending(decoder, out);
	if (c == '=')
		hold(decoder, c, out);
	else
		buffer_append_char(out, c);
}

/* Octets at the front that stand for themselves: up to "=" or a line end, without the blanks before it, whose fate is open. */
static size_t plain_length(struct span in)
{
	size_t len = 0;

	while (len < in.len && in.ptr[len] != '=' && in.ptr[len] != '\n' && in.ptr[len] != '\r')
		len++;
	while (len > 0 && (in.ptr[len - 1] == ' ' || in.ptr[len - 1] == '\t'))
		len--;
	return len;
}

static void quoted_printable_feed(struct transfer_decoder *decoder, struct span in, struct buffer *out)
{
	while (in.len > 0) {
		size_t plain = decoder->pending_len == 0 ? plain_length(in) : 0;

		if (plain > 0) {
			buffer_append_span(out, span_first(in, plain));
			in = span_skip(in, plain);
			continue;
		}
		quoted_printable_octet(decoder, in.ptr[0], out);
		in = span_skip(in, 1);
	}
}

bool transfer_feed(struct transfer_decoder *decoder, struct span in, struct buffer *out)
{
	if (decoder->encoding == TRANSFER_BASE64)
		base64_feed(decoder, in, out);
	else if (decoder->encoding == TRANSFER_QUOTED_PRINTABLE)
		quoted_printable_feed(decoder, in, out);
	else
		buffer_append_span(out, in);
	return !out->failed;
}

bool transfer_finish(struct transfer_decoder *decoder, struct buffer *out)
{
	if (decoder->encoding == TRANSFER_BASE64)
		base64_flush(decoder, out);
	/* "=" and blanks at the very end: a soft line break that lost its line end */
	if (decoder->pending_len > 0 && decoder->pending[0] == '=' &&
	        span_trim(span_make(decoder->pending + 1, decoder->pending_len - 1u)).len == 0)
		decoder->pending_len = 0;
	flush_pending(decoder, out);
	return !out->failed;
}
