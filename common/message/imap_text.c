#include "message/imap_text.h"

#include <string.h>

#define QUOTED_MAX 4096 /* longer ones go as literals; clients have line limits */

static bool can_quote(struct span s, bool *escapes)
{
	*escapes = false;
	if (s.len > QUOTED_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c >= 0x80 || c == '\0' || c == '\r' || c == '\n')
			return false;
		if (c == '"' || c == '\\')
			*escapes = true;
	}
	return true;
}

static bool put_literal(struct buffer *out, struct span s)
{
	static const char replacement[] = "\xef\xbf\xbd";
	size_t nuls = 0;
	size_t at;

	for (struct span rest = s; span_find(rest, '\0', &at); rest = span_skip(rest, at + 1))
		nuls++;
	buffer_printf(out, "{%zu}\r\n", s.len + nuls * (sizeof(replacement) - 2));
	while (span_find(s, '\0', &at)) {
		buffer_append(out, s.ptr, at);
		buffer_append(out, replacement, sizeof(replacement) - 1);
		s = span_skip(s, at + 1);
	}
	return buffer_append_span(out, s);
}

bool imap_put_string(struct buffer *out, struct span s)
{
	bool escapes;

	if (!can_quote(s, &escapes))
		return put_literal(out, s);
	buffer_append_char(out, '"');
	if (!escapes)
		buffer_append_span(out, s);
	for (size_t i = 0; escapes && i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			buffer_append_char(out, '\\');
		buffer_append_char(out, s.ptr[i]);
	}
	return buffer_append_char(out, '"');
}

bool imap_put_nstring(struct buffer *out, struct span s)
{
	return s.ptr == NULL ? buffer_append(out, "NIL", 3) : imap_put_string(out, s);
}
