#include "message/encoded_word.h"

#include "message/charset.h"
#include "message/header.h"
#include "message/transfer.h"

#include "base/utf8.h"

#define WORD_CHARSET_MAX 64

struct encoded_word {
	struct span charset; /* without RFC 2231 language */
	enum transfer_encoding encoding;
	struct span text;
};

/* The decoded octets of a run of words in one charset, which are converted together: a character may be split. */
struct run {
	struct buffer octets;
	struct span charset;
	bool open;
};

static bool is_charset_char(unsigned char c)
{
	return c > ' ' && c != '?' && c != '=' && c != 0x7f;
}

/* "=?charset?encoding?text?=" (RFC 2047 §2) at the front. Blanks in the text are allowed (many senders do), but a text
 * cannot hold "?" (§2), which also keeps the whole scan linear. */
static bool take_word(struct span *in, struct encoded_word *word)
{
	struct span rest = *in;
	size_t question;
	size_t star;
	char encoding;

	if (!span_take_char(&rest, '=') || !span_take_char(&rest, '?'))
		return false;
	if (!span_take_run(&rest, is_charset_char, &word->charset) || word->charset.len > WORD_CHARSET_MAX ||
	        !span_take_char(&rest, '?') || rest.len < 2)
		return false;
	if (span_find(word->charset, '*', &star)) /* RFC 2231 §5 */
		word->charset = span_first(word->charset, star);
	encoding = ascii_lower(rest.ptr[0]);
	if ((encoding != 'q' && encoding != 'b') || rest.ptr[1] != '?')
		return false;
	rest = span_skip(rest, 2);
	if (!span_find(rest, '?', &question) || question + 1 >= rest.len || rest.ptr[question + 1] != '=')
		return false;
	word->encoding = encoding == 'q' ? TRANSFER_QUOTED_PRINTABLE : TRANSFER_BASE64;
	word->text = span_first(rest, question);
	*in = span_skip(rest, question + 2);
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 2047 §4.2 */
static void decode_q(struct span text, struct buffer *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '=' && i + 2 < text.len && hex_value(text.ptr[i + 1]) >= 0 &&
		        hex_value(text.ptr[i + 2]) >= 0) {
			c = (char)(hex_value(text.ptr[i + 1]) << 4 | hex_value(text.ptr[i + 2]));
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		buffer_append_char(out, c);
	}
}

static void decode_text(const struct encoded_word *word, struct buffer *out)
{
	struct transfer_decoder decoder;

	if (word->encoding == TRANSFER_QUOTED_PRINTABLE) {
		decode_q(word->text, out);
		return;
	}
	transfer_init(&decoder, TRANSFER_BASE64);
	transfer_feed(&decoder, word->text, out);
	transfer_finish(&decoder, out);
}

/* A decoded word may hold line ends or NUL; what is shown stays one line. */
static void append_one_line(struct span text, struct buffer *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		buffer_append_char(out, c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
	}
}

static void end_run(struct run *run, struct buffer *out)
{
	struct buffer text;

	if (!run->open)
		return;
	run->open = false;
	buffer_init(&text, out->limit);
	charset_to_utf8(run->charset, buffer_span(&run->octets), &text);
	append_one_line(buffer_span(&text), out);
	if (text.failed || run->octets.failed)
		out->failed = true;
	buffer_free(&text);
	buffer_clear(&run->octets);
}

static void add_to_run(struct run *run, const struct encoded_word *word, struct buffer *out)
{
	if (run->open && !span_equal_nocase(run->charset, word->charset))
		end_run(run, out);
	run->open = true;
	run->charset = word->charset;
	decode_text(word, &run->octets);
}

static bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Text up to the next "=?", which may be a word; at least one octet. */
static struct span take_plain(struct span *in)
{
	size_t len = 1;
	struct span plain;

	while (len < in->len && !(in->ptr[len] == '=' && len + 1 < in->len && in->ptr[len + 1] == '?'))
		len++;
	plain = span_first(*in, len);
	*in = span_skip(*in, len);
	return plain;
}

static void decode(struct span in, struct run *run, struct buffer *out)
{
	struct encoded_word word;
	struct span blanks = SPAN_EMPTY;

	while (in.len > 0) {
		if (take_word(&in, &word)) {
			if (!run->open)
				utf8_append_repaired(out, blanks);
			blanks = SPAN_EMPTY;
			add_to_run(run, &word, out);
			continue;
		}
		if (run->open && blanks.len == 0 && span_take_run(&in, is_blank, &blanks))
			continue; /* RFC 2047 §6.2: dropped if another word follows */
		end_run(run, out);
		utf8_append_repaired(out, blanks);
		blanks = SPAN_EMPTY;
		utf8_append_repaired(out, take_plain(&in));
	}
	end_run(run, out);
	utf8_append_repaired(out, blanks);
}

static bool has_word(struct span s)
{
	size_t at;

	for (; span_find(s, '=', &at); s = span_skip(s, at + 1))
		if (at + 1 < s.len && s.ptr[at + 1] == '?')
			return true;
	return false;
}

bool encoded_word_decode(struct span value, struct buffer *out)
{
	struct buffer unfolded;
	struct run run = { 0 };

	buffer_init(&unfolded, value.len + 1);
	buffer_init(&run.octets, value.len + 1);
	if (!header_unfold(value, &unfolded))
		out->failed = true;
	else if (has_word(buffer_span(&unfolded)))
		decode(buffer_span(&unfolded), &run, out);
	else
		utf8_append_repaired(out, buffer_span(&unfolded));
	buffer_free(&unfolded);
	buffer_free(&run.octets);
	return !out->failed;
}
