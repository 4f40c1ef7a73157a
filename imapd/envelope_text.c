#include "imapd/envelope_text.h"

#include "message/encoded_word.h"

#include <string.h>

#define STRING_MAX UINT32_MAX

/* "{n}" CRLF n octets */
static bool take_literal(struct span *in, struct span *out)
{
	struct span rest = *in;
	uint32_t len;

	if (!span_take_char(&rest, '{') || !span_take_number(&rest, STRING_MAX, &len) || !span_take_char(&rest, '}') ||
	        !span_take_char(&rest, '\r') || !span_take_char(&rest, '\n') || len > rest.len)
		return false;
	*out = span_first(rest, len);
	*in = span_skip(rest, len);
	return true;
}

/* Up to the closing quote; *out is what is between, escapes included. */
static bool take_quoted(struct span *in, struct span *out)
{
	struct span rest = *in;
	size_t len = 0;

	if (!span_take_char(&rest, '"'))
		return false;
	for (;;) {
		const char *quote = len < rest.len ? memchr(rest.ptr + len, '"', rest.len - len) : NULL;
		const char *escape;

		if (quote == NULL)
			return false;
		escape = memchr(rest.ptr + len, '\\', (size_t)(quote - rest.ptr) - len);
		if (escape == NULL) {
			*out = span_first(rest, (size_t)(quote - rest.ptr));
			*in = span_skip(rest, out->len + 1);
			return true;
		}
		len = (size_t)(escape - rest.ptr) + 2; /* what is escaped may be the quote */
	}
}

enum string_kind { STRING_NONE, STRING_NIL, STRING_QUOTED, STRING_LITERAL };

static enum string_kind take_string(struct span *in, struct span *out)
{
	if (take_quoted(in, out))
		return STRING_QUOTED;
	if (span_take_word(in, "NIL"))
		return STRING_NIL;
	return take_literal(in, out) ? STRING_LITERAL : STRING_NONE;
}

static bool append_string(enum string_kind kind, struct span raw, struct buffer *out)
{
	if (kind == STRING_LITERAL || (kind == STRING_QUOTED && memchr(raw.ptr, '\\', raw.len) == NULL))
		return buffer_append_span(out, raw);
	for (size_t i = 0; kind == STRING_QUOTED && i < raw.len; i++) {
		i += raw.ptr[i] == '\\' && i + 1 < raw.len;
		buffer_append_char(out, raw.ptr[i]);
	}
	return !out->failed;
}

/* An address as its four strings. */
struct raw_address {
	enum string_kind kind[4];
	struct span text[4];
};
enum { NAME, ROUTE, MAILBOX, HOST };

static bool take_address(struct span *in, struct raw_address *out)
{
	struct span rest = *in;

	if (!span_take_char(&rest, '('))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (i > 0 && !span_take_char(&rest, ' '))
			return false;
		out->text[i] = SPAN_EMPTY;
		out->kind[i] = take_string(&rest, &out->text[i]);
		if (out->kind[i] == STRING_NONE)
			return false;
	}
	if (!span_take_char(&rest, ')'))
		return false;
	*in = rest;
	return true;
}

static bool take_list(struct span *in)
{
	struct span rest = *in;
	struct raw_address address;

	if (span_take_word(in, "NIL"))
		return true;
	if (!span_take_char(&rest, '('))
		return false;
	while (take_address(&rest, &address))
		;
	if (!span_take_char(&rest, ')'))
		return false;
	*in = rest;
	return true;
}

void envelope_view(struct span envelope, enum envelope_field last, struct envelope_view *out)
{
	struct span rest = envelope;
	struct span text;

	for (unsigned i = 0; i < ENVELOPE_FIELDS; i++)
		out->fields[i] = SPAN("NIL");
	for (unsigned i = 0; i <= last; i++) {
		struct span front;
		bool taken;

		if (!span_take_char(&rest, i == 0 ? '(' : ' '))
			return;
		front = rest;
		taken = i >= ENVELOPE_FROM && i <= ENVELOPE_BCC ? take_list(&rest)
		                                                : take_string(&rest, &text) != STRING_NONE;
		if (!taken)
			return;
		out->fields[i] = span_first(front, front.len - rest.len);
	}
}

bool envelope_has(const struct envelope_view *view, enum envelope_field field)
{
	return !span_equal(view->fields[field], SPAN("NIL"));
}

bool envelope_string(const struct envelope_view *view, enum envelope_field field, struct buffer *out)
{
	struct span rest = view->fields[field];
	struct span raw = SPAN_EMPTY;
	enum string_kind kind = take_string(&rest, &raw);

	return append_string(kind, raw, out);
}

static bool is_nil(const struct raw_address *address, unsigned which)
{
	return address->kind[which] == STRING_NIL;
}

/* local@host, or what there is of it: message/envelope.c writes words for what is missing, which nobody wrote into the message. */
static void append_spec(const struct raw_address *address, struct buffer *out)
{
	if (!span_equal(address->text[MAILBOX], SPAN("MISSING_MAILBOX")))
		append_string(address->kind[MAILBOX], address->text[MAILBOX], out);
	if (is_nil(address, HOST) || span_equal(address->text[HOST], SPAN("MISSING_DOMAIN")))
		return;
	buffer_append_char(out, '@');
	append_string(address->kind[HOST], address->text[HOST], out);
}

static void append_address(const struct raw_address *address, struct buffer *scratch, struct buffer *out)
{
	if (is_nil(address, NAME)) {
		append_spec(address, out);
		return;
	}
	buffer_clear(scratch);
	append_string(address->kind[NAME], address->text[NAME], scratch);
	if (scratch->failed || !encoded_word_decode(buffer_span(scratch), out))
		out->failed = true;
	buffer_append_text(out, " <");
	append_spec(address, out);
	buffer_append_char(out, '>');
}

/* RFC 9051 §7.5.2: a group's start has no host, its end neither. */
static void append_member(const struct raw_address *address, bool *first, struct buffer *scratch, struct buffer *out)
{
	if (is_nil(address, HOST) && is_nil(address, MAILBOX)) {
		buffer_append_char(out, ';');
		return;
	}
	if (!*first)
		buffer_append_text(out, ", ");
	*first = false;
	if (!is_nil(address, HOST)) {
		append_address(address, scratch, out);
		return;
	}
	buffer_clear(scratch);
	append_string(address->kind[MAILBOX], address->text[MAILBOX], scratch);
	if (scratch->failed || !encoded_word_decode(buffer_span(scratch), out))
		out->failed = true;
	buffer_append_text(out, ": ");
	*first = true;
}

bool envelope_addresses(
        const struct envelope_view *view, enum envelope_field field, struct buffer *scratch, struct buffer *out)
{
	struct span rest = view->fields[field];
	struct raw_address address;
	bool first = true;

	(void)span_take_char(&rest, '(');
	while (take_address(&rest, &address))
		append_member(&address, &first, scratch, out);
	return !out->failed;
}

bool envelope_first_mailbox(const struct envelope_view *view, enum envelope_field field, struct buffer *out)
{
	struct span rest = view->fields[field];
	struct raw_address address;

	(void)span_take_char(&rest, '(');
	if (take_address(&rest, &address))
		append_string(address.kind[MAILBOX], address.text[MAILBOX], out);
	return !out->failed;
}
