#include "base/span.h"

#include <string.h>

struct span span_of(const char *nul_terminated)
{
	if (nul_terminated == NULL)
		return SPAN_EMPTY;
	return (struct span) { nul_terminated, strlen(nul_terminated) };
}

struct span span_make(const void *ptr, size_t len)
{
	return (struct span) { ptr, len };
}

struct span span_first(struct span s, size_t count)
{
	if (count < s.len)
		s.len = count;
	return s;
}

struct span span_skip(struct span s, size_t count)
{
	if (count > s.len)
		count = s.len;
	if (count == 0)
		return s;
	return (struct span) { s.ptr + count, s.len - count };
}

char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool ascii_is_alpha(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool ascii_is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

bool ascii_is_alnum(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool equal_nocase(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

bool span_equal_nocase(struct span a, struct span b)
{
	return a.len == b.len && equal_nocase(a.ptr, b.ptr, a.len);
}

int span_compare(struct span a, struct span b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;
	int order = shorter == 0 ? 0 : memcmp(a.ptr, b.ptr, shorter);

	if (order != 0)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

bool span_starts(struct span s, struct span prefix)
{
	return span_equal(span_first(s, prefix.len), prefix);
}

bool span_starts_nocase(struct span s, struct span prefix)
{
	return span_equal_nocase(span_first(s, prefix.len), prefix);
}

bool span_ends_nocase(struct span s, struct span suffix)
{
	return s.len >= suffix.len && span_equal_nocase(span_skip(s, s.len - suffix.len), suffix);
}

bool span_find(struct span s, char c, size_t *at)
{
	const char *found = s.len == 0 ? NULL : memchr(s.ptr, c, s.len);

	if (found == NULL)
		return false;
	*at = (size_t)(found - s.ptr);
	return true;
}

bool span_find_last(struct span s, char c, size_t *at)
{
	const char *found = s.len == 0 ? NULL : memrchr(s.ptr, c, s.len);

	if (found == NULL)
		return false;
	*at = (size_t)(found - s.ptr);
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span s)
{
	while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
		s.len--;
	while (s.len > 0 && is_blank(s.ptr[0]))
		s = span_skip(s, 1);
	return s;
}

bool span_take_char(struct span *in, char c)
{
	if (in->len == 0 || in->ptr[0] != c)
		return false;
	*in = span_skip(*in, 1);
	return true;
}

bool span_take_word(struct span *in, const char *word)
{
	struct span wanted = span_of(word);

	if (!span_starts_nocase(*in, wanted))
		return false;
	*in = span_skip(*in, wanted.len);
	return true;
}

bool span_take_number64(struct span *in, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;
	size_t digits = 0;

	for (; digits < in->len && ascii_is_digit((unsigned char)in->ptr[digits]); digits++) {
		uint64_t digit = (uint64_t)(in->ptr[digits] - '0');

		if (digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (digits == 0)
		return false;
	*in = span_skip(*in, digits);
	*out = value;
	return true;
}

bool span_take_number(struct span *in, uint32_t max, uint32_t *out)
{
	uint64_t value;

	if (!span_take_number64(in, max, &value))
		return false;
	*out = (uint32_t)value;
	return true;
}

bool span_number(struct span s, uint64_t max, uint64_t *out)
{
	uint64_t value;

	if (!span_take_number64(&s, max, &value) || s.len != 0)
		return false;
	*out = value;
	return true;
}

bool span_take_until(struct span *in, char c, struct span *out)
{
	size_t at;

	if (!span_find(*in, c, &at))
		return false;
	*out = span_first(*in, at);
	*in = span_skip(*in, at + 1);
	return true;
}

bool span_take_run(struct span *in, bool (*member)(unsigned char c), struct span *out)
{
	size_t len = 0;

	while (len < in->len && member((unsigned char)in->ptr[len]))
		len++;
	if (len == 0)
		return false;
	*out = span_first(*in, len);
	*in = span_skip(*in, len);
	return true;
}

bool span_copy(struct span s, char *out, size_t out_size)
{
	size_t at;

	if (s.len >= out_size || span_find(s, '\0', &at))
		return false;
	if (s.len > 0)
		memcpy(out, s.ptr, s.len);
	out[s.len] = '\0';
	return true;
}
