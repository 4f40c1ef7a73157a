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

/* The value of a base64 character; 64 for "=", 65 for what is none. */
static unsigned base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26u;
	if (c >= '0' && c <= '9')
		return c - '0' + 52u;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return c == '=' ? 64 : 65;
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
		unsigned value = base64_value((unsigned char)in.ptr[i]);

		if (value == 65)
			continue; /* RFC 2045 §6.8: all other characters must be ignored */
		if (value == 64) {
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

static bool is_plain(unsigned char c)
{
	return c != '=' && c != ' ' && c != '\t' && c != '\r' && c != '\n';
}

static void quoted_printable_feed(struct transfer_decoder *decoder, struct span in, struct buffer *out)
{
	struct span run;

	while (in.len > 0) {
		if (decoder->pending_len == 0 && span_take_run(&in, is_plain, &run)) {
			buffer_append_span(out, run);
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
