#include "base/utf8.h"

#include <string.h>

#define REPLACEMENT 0xfffdu

static bool is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

bool utf8_take(struct span *in, uint32_t *code_point)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)in->ptr;
	size_t len;
	uint32_t value;

	if (in->len == 0)
		return false;
	if (p[0] < 0x80)
		len = 1, value = p[0];
	else if ((p[0] & 0xe0) == 0xc0)
		len = 2, value = p[0] & 0x1f;
	else if ((p[0] & 0xf0) == 0xe0)
		len = 3, value = p[0] & 0x0f;
	else if ((p[0] & 0xf8) == 0xf0)
		len = 4, value = p[0] & 0x07;
	else
		return false;
	if (len > in->len)
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!is_continuation(p[i]))
			return false;
		value = value << 6 | (p[i] & 0x3f);
	}
	if (len > 1 && (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)))
		return false;
	*in = span_skip(*in, len);
	*code_point = value;
	return true;
}

bool utf8_is_ascii(struct span s)
{
	size_t i = 0;

	for (; i + sizeof(uint64_t) <= s.len; i += sizeof(uint64_t)) { /* whole messages are looked at: eight at once */
		uint64_t eight;

		memcpy(&eight, s.ptr + i, sizeof(eight));
		if (eight & 0x8080808080808080u)
			return false;
	}
	for (; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80)
			return false;
	return true;
}

bool utf8_valid(struct span s)
{
	uint32_t code_point;

	while (s.len > 0)
		if (!utf8_take(&s, &code_point))
			return false;
	return true;
}

bool utf8_append(struct buffer *out, uint32_t c)
{
	char bytes[4];

	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = REPLACEMENT;
	if (c < 0x80)
		return buffer_append_char(out, (char)c);
	if (c < 0x800) {
		bytes[0] = (char)(0xc0 | c >> 6);
		bytes[1] = (char)(0x80 | (c & 0x3f));
		return buffer_append(out, bytes, 2);
	}
	if (c < 0x10000) {
		bytes[0] = (char)(0xe0 | c >> 12);
		bytes[1] = (char)(0x80 | (c >> 6 & 0x3f));
		bytes[2] = (char)(0x80 | (c & 0x3f));
		return buffer_append(out, bytes, 3);
	}
	bytes[0] = (char)(0xf0 | c >> 18);
	bytes[1] = (char)(0x80 | (c >> 12 & 0x3f));
	bytes[2] = (char)(0x80 | (c >> 6 & 0x3f));
	bytes[3] = (char)(0x80 | (c & 0x3f));
	return buffer_append(out, bytes, 4);
}

/* The front that is valid; most text is ASCII, and is looked at eight octets at a time. */
static size_t valid_length(struct span s)
{
	struct span rest = s;
	uint64_t eight;
	uint32_t c;

	while (rest.len > 0) {
		for (; rest.len >= sizeof(eight); rest = span_skip(rest, sizeof(eight))) {
			memcpy(&eight, rest.ptr, sizeof(eight));
			if (eight & 0x8080808080808080u)
				break;
		}
		if (rest.len > 0 && !utf8_take(&rest, &c))
			break;
	}
	return s.len - rest.len;
}

bool utf8_append_repaired(struct buffer *out, struct span s)
{
	while (s.len > 0) {
		size_t valid = valid_length(s);

		buffer_append(out, s.ptr, valid);
		s = span_skip(s, valid);
		if (s.len > 0) {
			utf8_append(out, REPLACEMENT);
			s = span_skip(s, 1);
		}
	}
	return !out->failed;
}
