#include "message/message_id.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Appends what is between < and >. */
static void normalise(struct span inner, struct buffer *out)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < inner.len; i++) {
		char c = inner.ptr[i];

		if (c == '\\' && (quoted || depth > 0) && i + 1 < inner.len)
			c = inner.ptr[++i];
		else if (c == '"' && depth == 0) {
			quoted = !quoted;
			continue;
		} else if (!quoted && (c == '(' || (c == ')' && depth > 0))) {
			depth += c == '(' ? 1u : -1u;
			continue;
		}
		if (depth == 0 && !is_blank(c) && c != '\0')
			buffer_append_char(out, c);
	}
}

bool message_id_take(struct span *value, struct buffer *out)
{
	struct span skipped;
	struct span inner;

	while (span_take_until(value, '<', &skipped)) {
		struct span rest = *value;
		size_t again;
		size_t begin = out->len;

		if (!span_take_until(&rest, '>', &inner))
			return false;
		if (span_find_last(inner, '<', &again)) /* "<a@b <c@d>": the first was never closed */
			inner = span_skip(inner, again + 1);
		*value = rest;
		if (inner.len > MESSAGE_ID_MAX)
			continue;
		normalise(inner, out);
		if (out->len > begin || out->failed)
			return !out->failed;
	}
	return false;
}

bool message_id_of(struct span value, struct buffer *out)
{
	struct span rest = value;

	if (message_id_take(&rest, out))
		return true;
	value = span_trim(value);
	if (value.len == 0 || value.len > MESSAGE_ID_MAX)
		return false;
	for (size_t i = 0; i < value.len; i++)
		if (is_blank(value.ptr[i]) || value.ptr[i] == '<' || value.ptr[i] == '>' || value.ptr[i] == '\0')
			return false;
	return buffer_append_span(out, value);
}
