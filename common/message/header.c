#include "message/header.h"

#include <string.h>

void header_reader_init(struct header_reader *reader, struct span block)
{
	*reader = (struct header_reader) { .block = span_first(block, HEADER_BLOCK_MAX) };
}

/* The line at `at` with its line end; length 0 at the end of the block. */
static struct span line_at(struct span block, size_t at)
{
	struct span rest = span_skip(block, at);
	size_t end;

	if (!span_find(rest, '\n', &end))
		return rest;
	return span_first(rest, end + 1);
}

static struct span without_line_end(struct span line)
{
	if (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_continuation(struct span line)
{
	return line.len > 0 && is_blank(line.ptr[0]);
}

/* An empty line, CRLF or LF alone, ends the header (RFC 5322 §2.1); so does the end of the block. */
static bool ends_header(struct span line)
{
	return line.len == 0 || line.ptr[0] == '\n' || (line.len == 2 && line.ptr[0] == '\r' && line.ptr[1] == '\n');
}

static size_t field_length(struct span block, size_t at)
{
	size_t next = at + line_at(block, at).len;

	for (;;) {
		struct span line = line_at(block, next);

		if (!is_continuation(line))
			return next - at;
		next += line.len;
	}
}

/* RFC 5322 §2.2 field-name, and §4.5.8: blanks before the colon. */
static bool split_field(struct span raw, struct header_field *field)
{
	struct span first_line = line_at(raw, 0);
	size_t colon;

	if (is_continuation(raw) || !span_find(first_line, ':', &colon))
		return false;
	field->name = span_first(raw, colon);
	while (field->name.len > 0 && is_blank(field->name.ptr[field->name.len - 1]))
		field->name.len--;
	field->value = without_line_end(span_skip(raw, colon + 1));
	return field->name.len > 0 && !span_find(field->name, ' ', &colon);
}

bool header_next(struct header_reader *reader, struct header_field *field)
{
	while (reader->count < HEADER_FIELDS_MAX && !ends_header(line_at(reader->block, reader->at))) {
		size_t at = reader->at;
		size_t len = field_length(reader->block, at);

		reader->at += len;
		reader->count++;
		if (split_field(span_first(span_skip(reader->block, at), len), field)) {
			field->at = at;
			field->len = len;
			return true;
		}
	}
	return false;
}

bool header_find(struct span block, struct span name, struct header_field *field)
{
	struct header_reader reader;

	header_reader_init(&reader, block);
	while (header_next(&reader, field))
		if (span_equal_nocase(field->name, name))
			return true;
	return false;
}

bool header_length(struct span message, size_t *len)
{
	size_t at = 0;

	while (at < message.len) {
		struct span line = line_at(message, at);

		at += line.len;
		if (ends_header(line)) {
			*len = at;
			return true;
		}
	}
	return false;
}

/* The next CR or LF, or the end. */
static size_t next_break(struct span s)
{
	size_t lf = s.len;
	size_t cr;

	(void)span_find(s, '\n', &lf);
	return span_find(span_first(s, lf), '\r', &cr) ? cr : lf;
}

bool header_unfold(struct span value, struct buffer *out)
{
	struct span rest = value;

	while (rest.len > 0 && is_blank(rest.ptr[0]))
		rest = span_skip(rest, 1);
	while (rest.len > 0 && strchr(" \t\r\n", rest.ptr[rest.len - 1]) != NULL && rest.ptr[rest.len - 1] != '\0')
		rest.len--;
	while (rest.len > 0) {
		size_t run = next_break(rest);

		buffer_append(out, rest.ptr, run);
		rest = span_skip(rest, run);
		if (rest.len == 0)
			break;
		if (rest.ptr[0] == '\r' && rest.len > 1 && rest.ptr[1] == '\n')
			rest = span_skip(rest, 1);
		/* A fold keeps its blank; a break that is none becomes one, so that the result is one line. */
		if (rest.ptr[0] == '\r' || !(rest.len > 1 && is_blank(rest.ptr[1])))
			buffer_append_char(out, ' ');
		rest = span_skip(rest, 1);
	}
	return !out->failed;
}
