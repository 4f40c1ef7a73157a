#include "pop3d/stuffing.h"

#include <string.h>

void stuffing_init(struct stuffing *stuffing, uint32_t body_lines)
{
	*stuffing = (struct stuffing) {
		.body_lines = body_lines,
		.limited = body_lines != STUFFING_ALL,
		.in_header = true,
		.line_start = true,
		.empty_line = true,
		.last = { '\r', '\n' }, /* an empty message ends like one that has all its line ends */
	};
}

/* How many of the bytes may go out: up to the end of the last line that TOP asked for. */
static size_t take_lines(struct stuffing *st, struct span bytes)
{
	for (size_t at = 0; at < bytes.len;) {
		const char *lf;

		if (!st->in_header && st->body_lines == 0) {
			st->ended = true;
			return at;
		}
		lf = memchr(bytes.ptr + at, '\n', bytes.len - at);
		if (lf == NULL) {
			st->empty_line = st->empty_line && bytes.len - at == 1 && bytes.ptr[at] == '\r';
			return bytes.len;
		}
		if (!st->in_header)
			st->body_lines--;
		else if (st->empty_line && (lf == bytes.ptr + at || (lf == bytes.ptr + at + 1 && lf[-1] == '\r')))
			st->in_header = false; /* the empty line belongs to the header (RFC 1939 §7) */
		st->empty_line = true;
		at = (size_t)(lf - bytes.ptr) + 1;
	}
	if (!st->in_header && st->body_lines == 0)
		st->ended = true;
	return bytes.len;
}

bool stuffing_feed(struct stuffing *st, struct span bytes, struct buffer *out)
{
	const char *from = bytes.ptr, *at = bytes.ptr, *end;

	if (st->limited)
		bytes.len = st->ended ? 0 : take_lines(st, bytes);
	if (bytes.len == 0)
		return true;
	end = bytes.ptr + bytes.len;
	if (st->line_start && *from == '.' && !buffer_append_char(out, '.'))
		return false;
	while ((at = memchr(at, '.', (size_t)(end - at))) != NULL) {
		if (at > from && at[-1] == '\n') {
			if (!buffer_append(out, from, (size_t)(at - from)) || !buffer_append_char(out, '.'))
				return false;
			from = at;
		}
		if (++at == end)
			break;
	}
	st->last[0] = bytes.len > 1 ? end[-2] : st->last[1];
	st->last[1] = end[-1];
	st->line_start = end[-1] == '\n';
	return buffer_append(out, from, (size_t)(end - from));
}

bool stuffing_finish(struct stuffing *st, struct buffer *out)
{
	if (st->last[1] == '\r')
		return buffer_append_text(out, "\n.\r\n");
	if (st->last[1] == '\n' && st->last[0] == '\r')
		return buffer_append_text(out, ".\r\n");
	return buffer_append_text(out, "\r\n.\r\n");
}
