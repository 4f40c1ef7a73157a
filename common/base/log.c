#include "base/log.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *process = "posthouse";
static enum log_level least_level = LOG_INFO;
static bool to_journal;

static const struct {
	const char *name;
	int syslog;
} levels[] = {
	[LOG_ERROR] = { "error", 3 },
	[LOG_WARNING] = { "warning", 4 },
	[LOG_INFO] = { "info", 6 },
	[LOG_DEBUG] = { "debug", 7 },
};

/* A line under construction: text past the end is dropped, so a long value never loses the line end. */
struct line {
	char *out;
	size_t len;
	size_t room;
};

static void put(struct line *line, const char *text, size_t len)
{
	if (len > line->room - line->len)
		len = line->room - line->len;
	memcpy(line->out + line->len, text, len);
	line->len += len;
}

static void put_text(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

static void put_quoted(struct line *line, struct span value)
{
	static const char hex[] = "0123456789abcdef";

	put(line, "\"", 1);
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];
		char escaped[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };

		if (c == ' ' || c == '=' || is_plain(c))
			put(line, (const char *)&value.ptr[i], 1);
		else
			put(line, escaped, 4);
	}
	put(line, "\"", 1);
}

static void put_value(struct line *line, struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (!is_plain((unsigned char)value.ptr[i])) {
			put_quoted(line, value);
			return;
		}
	if (value.len == 0)
		put(line, "\"\"", 2);
	else
		put(line, value.ptr, value.len);
}

static void put_time(struct line *line)
{
	int64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	char text[40];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	put_text(line, text);
	snprintf(text, sizeof(text), ".%03dZ ", (int)(now % 1000));
	put_text(line, text);
}

size_t log_format(
        char *out, size_t size, enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
	struct line line = { out, 0, size - 1 };
	char number[32];

	if (to_journal) {
		snprintf(number, sizeof(number), "<%d>", levels[level].syslog);
		put_text(&line, number);
	} else {
		put_time(&line);
	}
	put_text(&line, levels[level].name);
	put_text(&line, " ");
	put_text(&line, process);
	put_text(&line, " ");
	put_text(&line, event);
	for (size_t i = 0; i < count; i++) {
		put_text(&line, " ");
		put_text(&line, fields[i].key);
		put_text(&line, "=");
		if (fields[i].type == LOG_FIELD_TEXT) {
			put_value(&line, fields[i].text);
			continue;
		}
		snprintf(number, sizeof(number), "%lld", fields[i].number);
		put_text(&line, number);
	}
	line.out[line.len++] = '\n';
	return line.len;
}

void log_open(const char *process_name, enum log_level least)
{
	process = process_name;
	least_level = least;
	to_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level least)
{
	least_level = least;
}

enum log_level log_get_level(void)
{
	return least_level;
}

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[LOG_LINE_MAX];
	size_t len;

	if (level > least_level)
		return;
	len = log_format(line, sizeof(line), level, event, fields, count);
	/* A log that cannot be written must not stop the mail (fault table: "log not writable"). A pipe whose reader hangs
	 * counts as that: one that has room takes a whole line (at most PIPE_BUF) without waiting. */
	if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0)
		return;
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
