#include "posthouse/csv.h"

#include "base/secret.h"

#include <string.h>

void csv_init(struct csv_record *record)
{
	memset(record, 0, sizeof(*record));
	buffer_init(&record->text, CSV_RECORD_MAX);
	record->next_line = 1;
}

void csv_free(struct csv_record *record)
{
	secret_buffer_free(&record->text);
}

/* RFC 4180 §2.5 to §2.7: an escaped field; the opening quote is taken already. False: its end is missing. */
static bool take_quoted(struct span *in, struct csv_record *record)
{
	while (in->len > 0) {
		char c = in->ptr[0];
		*in = span_skip(*in, 1);
		if (c == '"' && !span_take_char(in, '"'))
			return true;
		record->next_line += c == '\n';
		(void)buffer_append_char(&record->text, c);
	}
	return false;
}

static void take_plain(struct span *in, struct csv_record *record)
{
	while (in->len > 0 && in->ptr[0] != ',' && in->ptr[0] != '\n' && in->ptr[0] != '\r') {
		(void)buffer_append_char(&record->text, in->ptr[0]);
		*in = span_skip(*in, 1);
	}
}

static bool skip_line_end(struct span *in, struct csv_record *record)
{
	(void)span_take_char(in, '\r');
	if (in->len > 0 && !span_take_char(in, '\n'))
		return false;
	record->next_line++;
	return true;
}

static void skip_rest_of_line(struct span *in, struct csv_record *record)
{
	struct span ignored;

	if (!span_take_until(in, '\n', &ignored))
		*in = SPAN_EMPTY;
	record->next_line++;
}

static bool take_fields(struct span *in, struct csv_record *record, size_t *ends, struct error *err)
{
	do {
		if (record->count == CSV_FIELDS_MAX)
			return error_set(err, ERR_TOO_LONG, "more than %d fields", CSV_FIELDS_MAX);
		if (span_take_char(in, '"')) {
			if (!take_quoted(in, record))
				return error_set(err, ERR_SYNTAX, "a quote is not closed");
		} else {
			take_plain(in, record);
		}
		ends[record->count++] = record->text.len;
	} while (span_take_char(in, ','));
	return record->text.failed ? error_set(err, ERR_TOO_LONG, "the line is too long") : true;
}

bool csv_take(struct span *in, struct csv_record *record, struct error *err)
{
	size_t ends[CSV_FIELDS_MAX], start = 0;

	secret_buffer_free(&record->text);
	buffer_clear(&record->text);
	record->count = 0;
	error_clear(err);
	while (in->len > 0 && (in->ptr[0] == '\r' || in->ptr[0] == '\n') && skip_line_end(in, record))
		;
	record->line = record->next_line;
	if (in->len == 0)
		return false;
	if (!take_fields(in, record, ends, err)) {
		skip_rest_of_line(in, record);
		return false;
	}
	if (!skip_line_end(in, record)) {
		skip_rest_of_line(in, record);
		return error_set(err, ERR_SYNTAX, "something follows a closing quote");
	}
	for (size_t i = 0; i < record->count; i++) {
		record->fields[i] = span_make(buffer_text(&record->text) + start, ends[i] - start);
		start = ends[i];
	}
	return true;
}
