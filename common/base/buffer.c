#include "base/buffer.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

void buffer_init(struct buffer *b, size_t limit)
{
	*b = (struct buffer) { .limit = limit };
}

void buffer_free(struct buffer *b)
{
	free(b->data);
	buffer_init(b, b->limit);
}

void buffer_clear(struct buffer *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

bool buffer_reserve(struct buffer *b, size_t extra)
{
	size_t cap = b->cap < FIRST_CAPACITY ? FIRST_CAPACITY : b->cap;
	char *data;

	if (b->failed)
		return false;
	if (extra > b->limit - b->len) {
		b->failed = true;
		return false;
	}
	if (b->data != NULL && b->len + extra <= b->cap)
		return true;
	while (cap < b->len + extra)
		cap = cap > b->limit / 2 ? b->limit : cap * 2;
	if (cap > b->limit)
		cap = b->limit;
	data = realloc(b->data, cap + 1);
	if (data == NULL) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	b->data[b->len] = '\0';
	return true;
}

bool buffer_append(struct buffer *b, const void *bytes, size_t len)
{
	if (!buffer_reserve(b, len))
		return false;
	if (len > 0)
		memcpy(b->data + b->len, bytes, len);
	b->len += len;
	b->data[b->len] = '\0';
	return true;
}

bool buffer_append_span(struct buffer *b, struct span s)
{
	return buffer_append(b, s.ptr, s.len);
}

bool buffer_append_text(struct buffer *b, const char *text)
{
	return buffer_append(b, text, strlen(text));
}

bool buffer_append_char(struct buffer *b, char c)
{
	return buffer_append(b, &c, 1);
}

bool buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0) {
		b->failed = true;
		return false;
	}
	if (!buffer_reserve(b, (size_t)len))
		return false;
	va_start(args, format);
	vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
	va_end(args);
	b->len += (size_t)len;
	return true;
}

void buffer_consume(struct buffer *b, size_t count)
{
	CHECK(count <= b->len);
	if (count == 0)
		return;
	b->len -= count;
	memmove(b->data, b->data + count, b->len);
	b->data[b->len] = '\0';
}

struct span buffer_span(const struct buffer *b)
{
	return (struct span) { b->data, b->len };
}

const char *buffer_text(const struct buffer *b)
{
	return b->data == NULL ? "" : b->data;
}
