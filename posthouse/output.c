/* posthouse/output.c — lists that line up, or JSON. */
#include "posthouse/cli.h"

#include "config/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MAX 16
#define CELL_MAX    400
#define LABEL_WIDTH 18

enum exit_code output_text(const char *text)
{
	if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
		return CLI_OK;
	(void)fprintf(stderr, "posthouse: standard output: %s\n", strerror(errno));
	return CLI_FAILED;
}

/* Terminals obey control characters; nothing that is stored shall move somebody's cursor. Never half a UTF-8 character at the end. */
void output_printable(struct span text, char *out, size_t size)
{
	size_t length = 0;

	for (size_t i = 0; i < text.len && length + 1 < size; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		out[length++] = c < 0x20 || c == 0x7f ? '?' : text.ptr[i];
	}
	if (length < text.len) {
		while (length > 0 && ((unsigned char)text.ptr[length] & 0xc0) == 0x80)
			length--;
	}
	out[length] = '\0';
}

void output_duration(int64_t ms, char *out, size_t size)
{
	long long seconds = (long long)(ms / 1000);

	if (seconds >= 86400)
		(void)snprintf(out, size, "%lldd %lldh", seconds / 86400, seconds / 3600 % 24);
	else if (seconds >= 3600)
		(void)snprintf(out, size, "%lldh %lldm", seconds / 3600, seconds / 60 % 60);
	else if (seconds >= 60)
		(void)snprintf(out, size, "%lldm %llds", seconds / 60, seconds % 60);
	else
		(void)snprintf(out, size, "%llds", seconds);
}

void output_date(int64_t ms, char *out, size_t size)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm parts;

	if (gmtime_r(&seconds, &parts) == NULL || strftime(out, size, "%Y-%m-%d %H:%M:%SZ", &parts) == 0)
		(void)snprintf(out, size, "?");
}

/* Sizes for people: exact below 10 K, else with one digit after the point. */
void output_size(uint64_t bytes, char *out, size_t size)
{
	static const char units[] = "KMGTP";
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 10240) {
		(void)snprintf(out, size, "%llu", (unsigned long long)bytes);
		return;
	}
	for (; value >= 1024 && units[unit + 1] != '\0'; unit++)
		value /= 1024;
	(void)snprintf(out, size, "%.1f%c", value, units[unit]);
}

void output_number(uint64_t number, char *out, size_t size)
{
	char digits[24];
	int count = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
	size_t at = 0;

	for (int i = 0; i < count && at + 2 < size; i++) {
		if (i > 0 && (count - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
}

static void cell(const json_t *row, const struct column *column, char *out, size_t size)
{
	const json_t *value = json_object_get(row, column->key);
	json_int_t number = json_integer_value(value);

	out[0] = '\0';
	if (value == NULL || json_is_null(value))
		(void)snprintf(out, size, "-");
	else if (json_is_string(value) && json_string_length(value) == 0)
		(void)snprintf(out, size, "-");
	else if (json_is_string(value))
		output_printable(span_make(json_string_value(value), json_string_length(value)), out, size);
	else if (json_is_boolean(value))
		(void)snprintf(out, size, "%s", json_is_true(value) ? "yes" : "no");
	else if (column->kind == COLUMN_SIZE)
		output_size((uint64_t)number, out, size);
	else if (column->kind == COLUMN_DURATION)
		output_duration(number, out, size);
	else if (column->kind == COLUMN_DATE)
		output_date(number, out, size);
	else
		(void)snprintf(out, size, "%lld", (long long)number);
}

/* Columns that a terminal gives to the text: code points, which is right for all but wide and combining ones. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static bool right_aligned(enum column_kind kind)
{
	return kind == COLUMN_NUMBER || kind == COLUMN_SIZE;
}

static void put(struct buffer *out, const char *text, size_t width, bool right, bool last)
{
	size_t own = width_of(text), blanks = width > own ? width - own : 0;

	if (right)
		(void)buffer_printf(out, "%*s%s", (int)blanks, "", text);
	else
		(void)buffer_printf(out, "%s%*s", text, last ? 0 : (int)blanks, "");
	(void)buffer_append_text(out, last ? "\n" : "  ");
}

static void table_text(const json_t *rows, const struct column *columns, size_t count, struct buffer *out)
{
	size_t widths[COLUMNS_MAX], at;
	char text[CELL_MAX];
	json_t *row;

	for (size_t c = 0; c < count; c++) {
		widths[c] = width_of(columns[c].title);
		json_array_foreach(rows, at, row)
		{
			cell(row, &columns[c], text, sizeof(text));
			if (width_of(text) > widths[c])
				widths[c] = width_of(text);
		}
	}
	for (size_t c = 0; c < count; c++)
		put(out, columns[c].title, widths[c], right_aligned(columns[c].kind), c + 1 == count);
	json_array_foreach(rows, at, row)
	{
		for (size_t c = 0; c < count; c++) {
			cell(row, &columns[c], text, sizeof(text));
			put(out, text, widths[c], right_aligned(columns[c].kind), c + 1 == count);
		}
	}
}

enum exit_code output_json(json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	enum exit_code code = CLI_FAILED;

	if (text != NULL && output_text(text) == CLI_OK)
		code = output_text("\n");
	free(text);
	json_decref(value);
	return code;
}

enum exit_code output_list(json_t *rows, const struct column *columns, size_t count, bool as_json)
{
	struct buffer text;
	enum exit_code code;

	if (as_json)
		return output_json(rows);
	buffer_init(&text, 256 * MIB);
	table_text(rows, columns, count < COLUMNS_MAX ? count : COLUMNS_MAX, &text);
	code = output_text(buffer_text(&text));
	buffer_free(&text);
	json_decref(rows);
	return code;
}

enum exit_code output_object(json_t *object, const struct column *columns, size_t count, bool as_json)
{
	struct buffer text;
	char value[CELL_MAX];
	enum exit_code code;

	if (as_json)
		return output_json(object);
	buffer_init(&text, MIB);
	for (size_t c = 0; c < count; c++) {
		cell(object, &columns[c], value, sizeof(value));
		(void)buffer_printf(&text, "%s:%*s%s\n", columns[c].title,
		        LABEL_WIDTH - (int)width_of(columns[c].title), "", value);
	}
	code = output_text(buffer_text(&text));
	buffer_free(&text);
	json_decref(object);
	return code;
}
