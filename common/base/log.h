/* common/base/log.h — one event is one line: "time level process event key=value key=value".
 *
 * Values that peers sent are escaped: bytes outside printable ASCII, quotes, backslashes and blanks can never make a
 * second line or a second field. Never message text, never a secret (no caller passes one). A line is cut at
 * LOG_LINE_MAX. Written to standard error with one write(2); when that fails the line is dropped and service goes on.
 * With JOURNAL_STREAM set (systemd) the line starts with the journal's <level> and leaves out the time. Any thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"
#include "base/span.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

#define LOG_LINE_MAX 2048

struct log_field {
	const char *key;
	enum { LOG_FIELD_TEXT, LOG_FIELD_NUMBER } type;
	struct span text;
	long long number;
};

#define LOG_SPAN(key_, span_) ((struct log_field) { .key = (key_), .type = LOG_FIELD_TEXT, .text = (span_) })
#define LOG_TEXT(key_, text_) LOG_SPAN(key_, span_of(text_))
#define LOG_NUMBER(key_, number_)                                                                                      \
	((struct log_field) { .key = (key_), .type = LOG_FIELD_NUMBER, .number = (long long)(number_) })
/* Three fields of a struct error *: error=ERR_IO reason="..." detail="..." */
#define LOG_FAILURE(err_)                                                                                              \
	LOG_TEXT("error", error_name((err_)->code)), LOG_TEXT("reason", (err_)->reason),                               \
	        LOG_TEXT("detail", (err_)->detail)

/* LOG(LOG_INFO, "smtp.accepted", LOG_NUMBER("session", id), LOG_SPAN("from", sender)); at least one field. */
#define LOG(level, event, ...)                                                                                         \
	log_event(level, event, (const struct log_field[]) { __VA_ARGS__ },                                            \
	        sizeof((const struct log_field[]) { __VA_ARGS__ }) / sizeof(struct log_field))

void log_open(const char *process_name, enum log_level least); /* once, at start; the name is kept, not copied */
void log_set_level(enum log_level least);
enum log_level log_get_level(void);
void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t count);
/* The line without writing it; for tests. Returns its length, without a NUL. */
size_t log_format(
        char *out, size_t size, enum log_level level, const char *event, const struct log_field *fields, size_t count);

#endif
