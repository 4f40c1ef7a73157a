#include "smtpd/syntax/reply.h"

#include "base/check.h"

static void append_printable(struct buffer *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		buffer_append_char(out, c >= 32 && c <= 126 ? (char)c : '?');
	}
}

static void append_line(struct buffer *out, struct smtp_reply reply, char separator, struct span text)
{
	size_t start = out->len, room;

	buffer_printf(out, "%03u%c", reply.code, separator);
	if (reply.enhanced != NULL)
		buffer_printf(out, "%s ", reply.enhanced);
	if (out->failed)
		return;
	room = REPLY_LINE_MAX - 2 - (out->len - start);
	append_printable(out, span_first(text, room));
	buffer_append_text(out, "\r\n");
}

bool reply_format(struct buffer *out, struct smtp_reply reply, struct span text)
{
	struct span line;

	CHECK(reply.code >= 200 && reply.code <= 599);
	while (span_take_until(&text, '\n', &line))
		append_line(out, reply, '-', line);
	append_line(out, reply, ' ', text);
	return !out->failed;
}
