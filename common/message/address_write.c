#include "message/address.h"

#include "base/check.h"

#include <string.h>

/* RFC 5322 §3.2.3: what may stand without quotes; in a phrase also blanks between words. A local part that looks like the
 * beginning of an encoded word is quoted, so that no reader takes it for one. */
static bool needs_quotes(struct span s, bool phrase)
{
	if (s.len == 0 || s.ptr[0] == '.' || s.ptr[s.len - 1] == '.')
		return true;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		bool dot = c == '.' && !phrase && s.ptr[i - 1] != '.';
		bool blank = c == ' ' && phrase && i > 0 && i + 1 < s.len && s.ptr[i - 1] != ' ';

		if (c == '=' && !phrase && i + 1 < s.len && s.ptr[i + 1] == '?')
			return true;
		if (!ascii_is_alnum(c) && c < 0x80 && !dot && !blank &&
		        (c == 0 || strchr("!#$%&'*+-/=?^_`{|}~", c) == NULL))
			return true;
	}
	return false;
}

static void write_quotable(struct buffer *out, struct span s, bool phrase)
{
	bool quotes = needs_quotes(s, phrase);

	if (quotes)
		buffer_append_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (quotes && (s.ptr[i] == '"' || s.ptr[i] == '\\'))
			buffer_append_char(out, '\\');
		if ((unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f)
			buffer_append_char(out, s.ptr[i]);
	}
	if (quotes)
		buffer_append_char(out, '"');
}

static void write_printable(struct buffer *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 0x20 && s.ptr[i] != 0x7f)
			buffer_append_char(out, s.ptr[i]);
}

bool address_write(struct buffer *out, const struct address *address)
{
	CHECK(address->kind == ADDRESS_MAILBOX);
	if (address->name.len > 0) {
		write_quotable(out, address->name, true);
		buffer_append_text(out, " <");
	}
	write_quotable(out, address->mailbox, false);
	buffer_append_char(out, '@');
	write_printable(out, address->host);
	if (address->name.len > 0)
		buffer_append_char(out, '>');
	return !out->failed;
}
