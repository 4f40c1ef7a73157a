#include "imap_value.h"

#include "base/buffer.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define DEPTH_MAX 1000

static json_t *json_of(struct span s)
{
	struct buffer out;
	uint32_t c;
	json_t *value;

	buffer_init(&out, SIZE_MAX / 2);
	while (s.len > 0) {
		struct span before = s;

		if (utf8_take(&s, &c)) {
			buffer_append(&out, before.ptr, before.len - s.len);
		} else {
			buffer_printf(&out, "\\x%02x", (unsigned char)s.ptr[0]);
			s = span_skip(s, 1);
		}
	}
	value = json_stringn(buffer_text(&out), out.len);
	buffer_free(&out);
	return value;
}

static json_t *take_quoted(struct span *in)
{
	struct buffer out;
	json_t *value;

	buffer_init(&out, SIZE_MAX / 2);
	while (in->len > 0 && in->ptr[0] != '"') {
		if (in->ptr[0] == '\\')
			*in = span_skip(*in, 1);
		assert_true(in->len > 0);
		buffer_append_char(&out, in->ptr[0]);
		*in = span_skip(*in, 1);
	}
	assert_true(span_take_char(in, '"'));
	value = json_of(buffer_span(&out));
	buffer_free(&out);
	return value;
}

static json_t *take_literal(struct span *in)
{
	uint32_t len;
	struct span text;

	assert_true(span_take_number(in, UINT32_MAX, &len));
	assert_true(span_take_word(in, "}\r\n"));
	assert_true(len <= in->len);
	text = span_first(*in, len);
	*in = span_skip(*in, len);
	return json_of(text);
}

static json_t *take_scalar(struct span *in)
{
	struct span before = *in;
	uint64_t number;

	if (span_take_char(in, '"'))
		return take_quoted(in);
	if (span_take_char(in, '{'))
		return take_literal(in);
	if (span_take_word(in, "NIL"))
		return json_null();
	assert_true(span_take_number64(in, UINT64_MAX, &number));
	return json_of(span_first(before, before.len - in->len));
}

json_t *imap_value(struct span text)
{
	json_t *stack[DEPTH_MAX];
	size_t depth = 0;

	for (;;) {
		json_t *value = NULL;

		if (span_take_char(&text, '(')) {
			assert_true(depth < DEPTH_MAX);
			stack[depth++] = json_array();
			continue;
		}
		if (depth > 0 && span_take_char(&text, ')'))
			value = stack[--depth];
		else if (depth > 0 && span_take_char(&text, ' '))
			continue;
		else
			value = take_scalar(&text);
		if (depth == 0) {
			assert_int_equal(text.len, 0);
			return value;
		}
		json_array_append_new(stack[depth - 1], value);
	}
}
