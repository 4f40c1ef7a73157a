#include "message/xtext.h"

#include "base/utf8.h"

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "\x{e9}" of RFC 6533 §3; *in stands behind the backslash. */
static bool take_embedded(struct span *in, uint32_t *c)
{
	uint32_t value = 0;
	size_t i;

	if (in->len < 4 || in->ptr[0] != 'x' || in->ptr[1] != '{')
		return false;
	for (i = 2; i < in->len && i < 8 && in->ptr[i] != '}'; i++) {
		int digit = hex_digit(in->ptr[i]);
		if (digit < 0)
			return false;
		value = value << 4 | (uint32_t)digit;
	}
	if (i == 2 || i >= in->len || in->ptr[i] != '}' || value > 0x10ffff)
		return false;
	*in = span_skip(*in, i + 1);
	*c = value;
	return true;
}

bool xtext_decode(struct span in, struct buffer *out)
{
	uint32_t c;

	while (in.len > 0) {
		char first = in.ptr[0];
		in = span_skip(in, 1);
		if (first == '+') {
			if (in.len < 2 || hex_digit(in.ptr[0]) < 0 || hex_digit(in.ptr[1]) < 0)
				return false;
			(void)buffer_append_char(out, (char)(hex_digit(in.ptr[0]) << 4 | hex_digit(in.ptr[1])));
			in = span_skip(in, 2);
		} else if (first == '\\' && take_embedded(&in, &c)) {
			(void)utf8_append(out, c);
		} else if (first <= ' ' && first >= 0) {
			return false;
		} else {
			(void)buffer_append_char(out, first);
		}
	}
	return !out->failed;
}

bool xtext_encode(struct span in, struct buffer *out)
{
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		if (c > ' ' && c < 0x7f && c != '+' && c != '=')
			(void)buffer_append_char(out, (char)c);
		else
			(void)buffer_printf(out, "+%02X", c);
	}
	return !out->failed;
}

static bool is_special(uint32_t c)
{
	return c <= ' ' || c == 0x7f || c == '\\' || c == '+' || c == '=';
}

static bool embed(struct span in, bool specials, struct buffer *out)
{
	uint32_t c;

	while (in.len > 0) {
		if (!utf8_take(&in, &c)) {
			in = span_skip(in, 1);
			c = '?';
		}
		if (c > 0x7f || (specials && is_special(c)))
			(void)buffer_printf(out, "\\x{%02X}", (unsigned)c);
		else
			(void)buffer_append_char(out, (char)c);
	}
	return !out->failed;
}

bool xtext_encode_utf8(struct span in, struct buffer *out)
{
	return embed(in, true, out);
}

bool xtext_to_ascii(struct span in, struct buffer *out)
{
	return embed(in, false, out);
}
