#include "smtpd/syntax/data_scan.h"

#include <string.h>

void data_scan_init(struct data_scan *scan)
{
	/* What the client sends after DATA begins a line (RFC 5321 §4.1.1.4: "." at once is an empty message). */
	scan->state = DATA_LINE_START;
}

/* Octets of `in` up to and with the first CR LF, or all of it without one; 0 when a bare CR, bare LF or NUL is inside.
 * A CR as the last octet is neither good nor bad yet: the state says so. */
static size_t good_line(struct span in, enum data_state *state)
{
	const char *lf = memchr(in.ptr, '\n', in.len);
	size_t len = lf != NULL ? (size_t)(lf - in.ptr) + 1 : in.len;
	const char *cr = memchr(in.ptr, '\r', len);

	if (memchr(in.ptr, '\0', len) != NULL)
		return 0;
	if (lf != NULL) {
		*state = DATA_LINE_START;
		return cr != NULL && cr + 1 == lf ? len : 0;
	}
	*state = cr != NULL ? DATA_CR : DATA_IN_LINE;
	return cr == NULL || cr == in.ptr + len - 1 ? len : 0;
}

/* A run of text from in->ptr + taken on, over whole lines, until a line begins with a dot or the input ends. */
static bool take_text(struct data_scan *scan, struct span *in, size_t taken, struct span *text)
{
	struct span rest = span_skip(*in, taken);
	size_t line;

	while (rest.len > 0 && !(scan->state == DATA_LINE_START && rest.ptr[0] == '.')) {
		line = good_line(rest, &scan->state);
		if (line == 0)
			return false;
		rest = span_skip(rest, line);
	}
	*text = span_first(*in, in->len - rest.len);
	*in = rest;
	return true;
}

/* The octets after a dot at the start of a line; each may be in another packet. Sets *end at the end of data. */
static bool after_dot(struct data_scan *scan, struct span *in, bool *end)
{
	bool cr_seen = scan->state == DATA_DOT_CR;
	char c = in->ptr[0];

	*end = false;
	if (cr_seen) {
		*end = c == '\n';
		*in = span_skip(*in, 1);
		return *end; /* ".CR" and no LF: a bare CR */
	}
	if (c == '\r') {
		scan->state = DATA_DOT_CR;
		*in = span_skip(*in, 1);
		return true;
	}
	scan->state = DATA_IN_LINE; /* RFC 5321 §4.5.2: the first character is deleted; it already is */
	return true;
}

enum data_found data_scan_next(struct data_scan *scan, struct span *in, struct span *text)
{
	bool end;

	while (in->len > 0) {
		switch (scan->state) {
		case DATA_DOT:
		case DATA_DOT_CR:
			if (!after_dot(scan, in, &end))
				return DATA_BAD;
			if (end)
				return DATA_END;
			break;
		case DATA_CR:
			if (in->ptr[0] != '\n')
				return DATA_BAD;
			scan->state = DATA_LINE_START;
			return take_text(scan, in, 1, text) ? DATA_TEXT : DATA_BAD;
		case DATA_LINE_START:
			if (in->ptr[0] == '.') {
				scan->state = DATA_DOT;
				*in = span_skip(*in, 1);
				break;
			}
			return take_text(scan, in, 0, text) ? DATA_TEXT : DATA_BAD;
		case DATA_IN_LINE: return take_text(scan, in, 0, text) ? DATA_TEXT : DATA_BAD;
		}
	}
	return DATA_MORE;
}

bool data_scan_chunk(struct data_scan *scan, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '\0' || (c == '\n') != (scan->state == DATA_CR))
			return false;
		scan->state = c == '\r' ? DATA_CR : DATA_IN_LINE;
	}
	return true;
}

bool data_scan_whole(const struct data_scan *scan)
{
	return scan->state != DATA_CR;
}
