/* Mailbox names between the wire and the store: modified UTF-7 (RFC 3501 §5.1.3) and UTF-8. */
#include "imapd/parse.h"

#include "base/utf8.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* Code points that stand for themselves. */
static bool is_direct(uint32_t code_point)
{
	return code_point >= 0x20 && code_point <= 0x7e;
}

/* --- decoding --- */

struct utf16 {
	uint32_t high; /* a high surrogate that waits for its low one; or 0 */
	struct buffer *out;
};

/* False: no UTF-16; or NUL, or printable ASCII, which RFC 3501 §5.1.3 forbids here so that a name has one form. */
static bool add_unit(struct utf16 *text, uint32_t unit)
{
	uint32_t code_point = unit;

	if (text->high != 0) {
		if (unit < 0xdc00 || unit > 0xdfff)
			return false;
		code_point = 0x10000 + ((text->high - 0xd800) << 10) + (unit - 0xdc00);
		text->high = 0;
	} else if (unit >= 0xd800 && unit <= 0xdbff) {
		text->high = unit;
		return true;
	} else if ((unit >= 0xdc00 && unit <= 0xdfff) || is_direct(unit) || unit == 0) {
		return false;
	}
	return utf8_append(text->out, code_point);
}

/* Behind "&": base64 up to and with "-". */
static bool take_shifted(struct span *in, struct buffer *out)
{
	struct utf16 text = { .out = out };
	uint32_t bits = 0, bit_count = 0;
	struct span run;

	if (!span_take_until(in, '-', &run))
		return false;
	if (run.len == 0)
		return buffer_append_char(out, '&');
	for (size_t i = 0; i < run.len; i++) {
		const char *digit = run.ptr[i] == '\0' ? NULL : strchr(alphabet, run.ptr[i]);

		if (digit == NULL)
			return false;
		bits = (bits << 6 | (uint32_t)(digit - alphabet)) & 0x3fffff; /* 15 left over and 6, at most */
		bit_count += 6;
		if (bit_count >= 16) {
			bit_count -= 16;
			if (!add_unit(&text, bits >> bit_count & 0xffff))
				return false;
		}
	}
	return text.high == 0 && bit_count < 6 && (bits & ((1u << bit_count) - 1)) == 0;
}

static bool decode_utf7(struct span in, struct buffer *out)
{
	while (in.len > 0) {
		char c = in.ptr[0];

		if (!is_direct((unsigned char)c))
			return false;
		in = span_skip(in, 1);
		if (c == '&' ? !take_shifted(&in, out) : !buffer_append_char(out, c))
			return false;
	}
	return true;
}

static struct span canonical(struct span name)
{
	return span_equal_nocase(name, SPAN("INBOX")) ? SPAN("INBOX") : name; /* RFC 9051 §5.1 */
}

bool mailbox_name_decode(struct arena *arena, bool utf8, struct span in, struct span *out)
{
	struct buffer decoded;
	bool is_utf7;
	size_t at;

	if (utf8 || !span_find(in, '&', &at)) {
		*out = canonical(in);
		return utf8_valid(in);
	}
	/* Three octets for each unit of 16 bits, whose base64 has 2 2/3 digits. */
	buffer_init(&decoded, in.len + in.len / 8 + 4);
	is_utf7 = decode_utf7(in, &decoded);
	*out = is_utf7 ? canonical(arena_copy(arena, buffer_span(&decoded))) : canonical(in);
	buffer_free(&decoded);
	return out->ptr != NULL && (is_utf7 || utf8_valid(in));
}

/* --- encoding --- */

struct shifted {
	struct buffer *out;
	bool open; /* "&" is written, "-" not yet */
	uint32_t bits, bit_count;
};

static void put_unit(struct shifted *s, uint32_t unit)
{
	if (!s->open)
		buffer_append_char(s->out, '&');
	s->open = true;
	s->bits = s->bits << 16 | unit; /* 4 are left over at most */
	for (s->bit_count += 16; s->bit_count >= 6;) {
		s->bit_count -= 6;
		buffer_append_char(s->out, alphabet[s->bits >> s->bit_count & 0x3f]);
	}
	s->bits &= (1u << s->bit_count) - 1;
}

static void close_shifted(struct shifted *s)
{
	if (!s->open)
		return;
	if (s->bit_count > 0)
		buffer_append_char(s->out, alphabet[s->bits << (6 - s->bit_count) & 0x3f]);
	buffer_append_char(s->out, '-');
	*s = (struct shifted) { .out = s->out };
}

static void put_code_point(struct shifted *s, uint32_t code_point)
{
	if (is_direct(code_point)) {
		close_shifted(s);
		buffer_append_char(s->out, (char)code_point);
		if (code_point == '&')
			buffer_append_char(s->out, '-');
	} else if (code_point < 0x10000) {
		put_unit(s, code_point);
	} else {
		put_unit(s, 0xd800 + ((code_point - 0x10000) >> 10));
		put_unit(s, 0xdc00 + ((code_point - 0x10000) & 0x3ff));
	}
}

static bool encode_utf7(struct span name, struct buffer *out)
{
	struct shifted s = { .out = out };

	while (name.len > 0) {
		uint32_t code_point = 0xfffd; /* names in the store are valid; what is not must not end the listing */

		if (!utf8_take(&name, &code_point))
			name = span_skip(name, 1);
		put_code_point(&s, code_point);
	}
	close_shifted(&s);
	return !out->failed;
}

enum form { FORM_ATOM, FORM_QUOTED, FORM_LITERAL };

static enum form form_of(struct span text)
{
	enum form form = text.len == 0 || span_equal_nocase(text, SPAN("NIL")) ? FORM_QUOTED : FORM_ATOM;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '\0' || c == '\r' || c == '\n')
			return FORM_LITERAL;
		if (!is_direct(c) || strchr("(){ %*\"\\]", c) != NULL)
			form = FORM_QUOTED;
	}
	return form;
}

static bool put_quoted(struct span text, struct buffer *out)
{
	buffer_append_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			buffer_append_char(out, '\\');
		buffer_append_char(out, text.ptr[i]);
	}
	return buffer_append_char(out, '"');
}

static bool put_astring(struct span text, struct buffer *out)
{
	switch (form_of(text)) {
	case FORM_ATOM: return buffer_append_span(out, text);
	case FORM_QUOTED: return put_quoted(text, out);
	case FORM_LITERAL: break;
	}
	return buffer_printf(out, "{%zu}\r\n", text.len) && buffer_append_span(out, text);
}

bool mailbox_name_encode(struct buffer *out, bool utf8, struct span name)
{
	struct buffer encoded;
	bool done;

	if (utf8)
		return put_astring(name, out) && !out->failed;
	buffer_init(&encoded, 8 * name.len + 8); /* "&AAE-" for one octet is the worst */
	done = encode_utf7(name, &encoded) && put_astring(buffer_span(&encoded), out) && !out->failed;
	buffer_free(&encoded);
	return done;
}
