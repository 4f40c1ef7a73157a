#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_encode(struct span in, struct buffer *out)
{
	if (!buffer_reserve(out, (in.len + 2) / 3 * 4))
		return false;
	for (size_t i = 0; i < in.len; i += 3) {
		size_t have = in.len - i < 3 ? in.len - i : 3;
		uint32_t group = (uint32_t)(uint8_t)in.ptr[i] << 16;
		char quad[4];

		if (have > 1)
			group |= (uint32_t)(uint8_t)in.ptr[i + 1] << 8;
		if (have > 2)
			group |= (uint8_t)in.ptr[i + 2];
		quad[0] = alphabet[group >> 18];
		quad[1] = alphabet[group >> 12 & 63];
		quad[2] = have > 1 ? alphabet[group >> 6 & 63] : '=';
		quad[3] = have > 2 ? alphabet[group & 63] : '=';
		buffer_append(out, quad, 4);
	}
	return true;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One quad into 1 to 3 bytes; 0 when it is bad. Padding only where `last`, and its spare bits must be zero. */
static size_t decode_quad(const char *quad, bool last, char out[3])
{
	size_t have = last && quad[3] == '=' ? (quad[2] == '=' ? 2 : 3) : 4;
	uint32_t group = 0;

	for (size_t i = 0; i < 4; i++) {
		int value = i < have ? value_of(quad[i]) : 0;

		if (value < 0)
			return 0;
		group = group << 6 | (uint32_t)value;
	}
	if ((have == 2 && (group & 0xffff) != 0) || (have == 3 && (group & 0xff) != 0))
		return 0;
	out[0] = (char)(group >> 16);
	out[1] = (char)(group >> 8);
	out[2] = (char)group;
	return have - 1;
}

bool base64_decode(struct span in, struct buffer *out)
{
	size_t before = out->len;

	if (in.len % 4 != 0 || !buffer_reserve(out, in.len / 4 * 3))
		return false;
	for (size_t i = 0; i < in.len; i += 4) {
		char bytes[3];
		size_t count = decode_quad(in.ptr + i, i + 4 == in.len, bytes);

		if (count == 0) {
			out->len = before;
			return false;
		}
		buffer_append(out, bytes, count);
	}
	return true;
}
