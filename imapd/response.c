#include "imapd/response.h"

#include "base/utf8.h"

#include <stdio.h>
#include <time.h>

/* RFC 9051 §9 ASTRING-CHAR: no atom-specials but "]". */
static bool is_astring_char(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '(' && c != ')' && c != '{' && c != '%' && c != '*' && c != '"' &&
	       c != '\\';
}

static bool is_atom(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!is_astring_char((unsigned char)s.ptr[i]))
			return false;
	}
	return s.len > 0 && !span_equal_nocase(s, SPAN("NIL"));
}

bool response_put_astring(struct buffer *out, struct span s)
{
	return is_atom(s) ? buffer_append_span(out, s) : response_put_string(out, s, false);
}

/* What quoted strings may not hold (RFC 9051 §9 QUOTED-CHAR): CR, LF, NUL, and 8-bit unless it is UTF-8 that was asked for. */
static bool may_be_quoted(struct span s, bool utf8)
{
	bool ascii = true;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '\r' || c == '\n' || c == '\0')
			return false;
		ascii = ascii && c < 0x80;
	}
	return ascii || (utf8 && utf8_valid(s));
}

static bool put_quoted(struct buffer *out, struct span s)
{
	bool ok = buffer_append_char(out, '"');

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			ok = buffer_append_char(out, '\\');
		ok = buffer_append_char(out, s.ptr[i]);
	}
	return ok && buffer_append_char(out, '"');
}

/* CHAR8 has no NUL (RFC 9051 §9). */
static bool put_literal(struct buffer *out, struct span s)
{
	bool ok = response_put_literal_head(out, s.len);

	for (size_t i = 0; i < s.len; i++)
		ok = buffer_append_char(out, s.ptr[i] == '\0' ? '\x80' : s.ptr[i]);
	return ok;
}

bool response_put_string(struct buffer *out, struct span s, bool utf8)
{
	return may_be_quoted(s, utf8) ? put_quoted(out, s) : put_literal(out, s);
}

bool response_put_date_time(struct buffer *out, int64_t unix_seconds)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
		"Dec" };
	time_t t = (time_t)unix_seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
		return buffer_append_text(
		        out, "\" 1-Jan-1970 00:00:00 +0000\""); /* what the grammar has no four digits for */
	return buffer_printf(out, "\"%2d-%s-%04d %02d:%02d:%02d +0000\"", tm.tm_mday, months[tm.tm_mon],
	        tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

bool response_put_literal_head(struct buffer *out, uint64_t size)
{
	return buffer_printf(out, "{%llu}\r\n", (unsigned long long)size);
}
