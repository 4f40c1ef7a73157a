#include "message/params.h"

#include "message/charset.h"
#include "message/encoded_word.h"

static bool is_extended_form(struct span name, struct span wanted)
{
	return name.len == wanted.len + 1 && name.ptr[wanted.len] == '*' &&
	       span_equal_nocase(span_first(name, wanted.len), wanted);
}

bool params_find(const struct mime_params *params, struct span name, struct span *value, bool *extended)
{
	const struct mime_param *plain = NULL;

	for (size_t i = 0; i < params->count; i++) {
		if (is_extended_form(params->items[i].name, name)) {
			*value = params->items[i].value;
			*extended = true;
			return true;
		}
		if (plain == NULL && span_equal_nocase(params->items[i].name, name))
			plain = &params->items[i];
	}
	if (plain == NULL)
		return false;
	*value = plain->value;
	*extended = false;
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void decode_percent(struct span s, struct buffer *out)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '%' && i + 2 < s.len && hex_value(s.ptr[i + 1]) >= 0 && hex_value(s.ptr[i + 2]) >= 0) {
			c = (char)(hex_value(s.ptr[i + 1]) << 4 | hex_value(s.ptr[i + 2]));
			i += 2;
		}
		buffer_append_char(out, c);
	}
}

/* charset'language'percent-encoded (RFC 2231 §4) */
static bool decode_extended(struct span value, struct buffer *out)
{
	struct span charset = SPAN_EMPTY;
	struct span language;
	struct span rest = value;
	struct buffer octets;

	if (!span_take_until(&rest, '\'', &charset) || !span_take_until(&rest, '\'', &language)) {
		charset = SPAN_EMPTY;
		rest = value;
	}
	buffer_init(&octets, value.len + 1);
	decode_percent(rest, &octets);
	if (octets.failed)
		out->failed = true;
	charset_to_utf8(charset, buffer_span(&octets), out);
	buffer_free(&octets);
	return !out->failed;
}

bool params_decode(const struct mime_params *params, struct span name, struct buffer *out)
{
	struct span value;
	bool extended;

	if (!params_find(params, name, &value, &extended))
		return true;
	return extended ? decode_extended(value, out) : encoded_word_decode(value, out);
}
