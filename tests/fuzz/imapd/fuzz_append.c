/* An APPEND as the reader hands it over: at each announcement of a literal, is this a message? The first octet: bit 0, UTF-8 is enabled.
 *
 * The input is a stream of lines and literals. It is collected as the reader does, cut at every place where a line may end in "{n}". Judged:
 * where the parser takes the message of an APPEND, the reader was told so, and the mailbox's name is never taken for a message; the
 * same command without its last octets is no message before its announcement is whole; a whole command is no message if it is no APPEND. */
#include "base/check.h"
#include "imapd/parse.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct literal {
	size_t size;
	bool valid;
};

/* As imapd/reader.c: the end of the line is exactly "{n}" or "{n+}". */
static struct literal find_literal(struct span line)
{
	struct literal found = { 0 };
	struct span number;
	uint64_t octets;
	size_t at;

	if (line.len < 3 || line.ptr[line.len - 1] != '}' || !span_find_last(line, '{', &at))
		return found;
	number = span_skip(span_first(line, line.len - 1), at + 1);
	if (number.len > 0 && number.ptr[number.len - 1] == '+')
		number.len--;
	if (span_number(number, 64 * KIB, &octets))
		found = (struct literal) { (size_t)octets, true };
	return found;
}

/* What cmd_append makes of it; false: the command is wrong, or another one, or ends here. */
static bool handler_takes_message(
        struct span command, const struct append_message *previous, bool utf8, struct append_message *out)
{
	struct error err = { 0 };
	struct arena arena;
	struct parser p = { .in = command, .arena = &arena, .err = &err, .utf8 = utf8 };
	struct command_head head;
	struct span mailbox;
	bool taken, more = true;

	arena_init(&arena, PARSE_ARENA_MAX);
	if (previous == NULL)
		taken = parse_head(&p, &head) && !head.uid && span_equal_nocase(head.name, SPAN("APPEND")) &&
		        parse_append_mailbox(&p, &mailbox) && parse_append_message(&p, out);
	else
		taken = parse_append_next(&p, previous, &more) && more && parse_append_message(&p, out);
	CHECK(!taken || p.in.len == 0);
	arena_free(&arena);
	return taken;
}

/* No proper prefix of the last line may be taken: the reader asks only at its end, but a handler must not find a message before it. */
static void check_prefixes(struct span command, size_t line_start, const struct append_message *previous, bool utf8)
{
	for (size_t len = line_start; len < command.len; len++) {
		struct append_message message;

		CHECK(!handler_takes_message(span_first(command, len), previous, utf8, &message) ||
		        find_literal(span_skip(span_first(command, len), line_start)).valid || message.size > 64 * KIB);
	}
}

static bool is_append(struct span command)
{
	struct error err;
	struct arena none = { 0 };
	struct parser p = { .in = command, .arena = &none, .err = &err };
	struct command_head head;

	return parse_head(&p, &head) && span_equal_nocase(head.name, SPAN("APPEND"));
}

static void feed(struct span in, bool utf8)
{
	struct append_message messages[MESSAGES_MAX];
	unsigned count = 0;
	struct span line;
	struct buffer text;
	size_t line_start = 0;

	buffer_init(&text, 1 * MIB);
	while (count < MESSAGES_MAX && span_take_until(&in, '\n', &line)) {
		const struct append_message *previous = count > 0 ? &messages[count - 1] : NULL;
		struct literal literal = find_literal(line);
		struct span command;
		bool announced, taken;

		buffer_append_span(&text, line);
		command = buffer_span(&text);
		announced = append_announces_message(command, count, utf8);
		taken = handler_takes_message(command, previous, utf8, &messages[count]);
		CHECK(!taken || announced);
		CHECK(count > 0 || !announced || is_append(command));
		if (text.len - line_start < 200)
			check_prefixes(command, line_start, previous, utf8);
		if (!literal.valid || (announced && !taken))
			break;
		CHECK(!taken || messages[count].size == literal.size);
		if (taken) {
			count++;
			buffer_clear(&text);
		} else {
			buffer_append_text(&text, "\r\n");
			buffer_append_span(&text, span_first(in, literal.size));
		}
		in = span_skip(in, literal.size);
		line_start = text.len;
	}
	buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > 64 * KIB)
		return 0;
	feed(span_make(data + 1, size - 1), data[0] & 1);
	return 0;
}
