#include "message/fold.h"

#include "base/utf8.h"

#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

#define TABLE_FIRST    0x80
#define TABLE_END      0x2200 /* Latin to Arabic, the Indic scripts, Greek extended, punctuation */
#define ENTRY_TEXT_MAX 7
#define ENTRY_LONG     0xff /* the fold has no room in the table */
#define POINTS_MAX     32   /* of one character's decomposition; Unicode's longest has 18 */
#define REPLACEMENT    "\xef\xbf\xbd"

/* Octets are folded so many at once; the compiler makes one instruction of each operator where the machine has it. */
#define BLOCK 16
typedef signed char block __attribute__((vector_size(BLOCK)));

struct entry {
	uint8_t len;
	char text[ENTRY_TEXT_MAX];
};

/* Filled when first used: 68 KiB that a process which never searches does not touch. */
static struct entry table[TABLE_END - TABLE_FIRST];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

/* Accents and points that people leave out when they search. */
static bool is_dropped_mark(utf8proc_int32_t c)
{
	utf8proc_category_t category = utf8proc_category(c);

	if (category != UTF8PROC_CATEGORY_MN && category != UTF8PROC_CATEGORY_ME)
		return false;
	return c < 0x700 || (c >= 0x1ab0 && c < 0x1b00) || (c >= 0x1dc0 && c < 0x1e00) || (c >= 0x20d0 && c < 0x2100) ||
	       (c >= 0xfe20 && c < 0xfe30);
}

static bool append_points(const utf8proc_int32_t *points, utf8proc_ssize_t count, bool drop_marks, struct buffer *out)
{
	for (utf8proc_ssize_t i = 0; i < count && !out->failed; i++) {
		if (drop_marks && is_dropped_mark(points[i]))
			continue;
		utf8_append(out, (uint32_t)points[i]);
	}
	return !out->failed;
}

static bool fold_point(uint32_t c, struct buffer *out)
{
	utf8proc_int32_t points[POINTS_MAX];
	utf8proc_option_t how = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;
	utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)c, points, POINTS_MAX, how, NULL);

	if (count < 0 || count > POINTS_MAX)
		return utf8_append(out, c);
	return append_points(points, count, true, out);
}

static void fill_table(void)
{
	struct buffer text;

	for (uint32_t c = TABLE_FIRST; c < TABLE_END; c++) {
		struct entry *entry = &table[c - TABLE_FIRST];

		buffer_init(&text, POINTS_MAX * 4);
		entry->len = ENTRY_LONG;
		if (fold_point(c, &text) && text.len <= ENTRY_TEXT_MAX) {
			entry->len = (uint8_t)text.len;
			if (text.len > 0)
				memcpy(entry->text, text.data, text.len);
		}
		buffer_free(&text);
	}
}

static char fold_octet(char c)
{
	return c == '\0' ? ' ' : ascii_lower(c);
}

static size_t fold_blocks(const char *from, size_t len, char *to)
{
	size_t at = 0;

	for (; at + BLOCK <= len; at += BLOCK) {
		block in;
		uint64_t halves[2];

		memcpy(halves, from + at, sizeof(halves));
		if ((halves[0] | halves[1]) & 0x8080808080808080u)
			break;
		memcpy(&in, halves, sizeof(in));
		in |= ((in >= 'A') & (in <= 'Z')) & 0x20;
		in |= (in == 0) & ' ';
		memcpy(to + at, &in, sizeof(in));
	}
	return at;
}

size_t fold_ascii(struct span in, struct buffer *out)
{
	size_t at;
	char *to;

	if (in.len == 0 || (in.ptr[0] & 0x80) || !buffer_reserve(out, in.len))
		return 0;
	to = out->data + out->len;
	at = fold_blocks(in.ptr, in.len, to);
	for (; at < in.len && !(in.ptr[at] & 0x80); at++)
		to[at] = fold_octet(in.ptr[at]);
	to[at] = '\0';
	out->len += at;
	return at;
}

/* Han characters have neither case nor marks; those that stand for another one lie elsewhere. */
static bool is_plain_han(uint32_t c)
{
	return (c >= 0x4e00 && c < 0xa000) || (c >= 0x3400 && c < 0x4dc0);
}

static bool fold_character(uint32_t c, struct span as_sent, struct buffer *out)
{
	if (c >= TABLE_FIRST && c < TABLE_END && table[c - TABLE_FIRST].len != ENTRY_LONG)
		return buffer_append(out, table[c - TABLE_FIRST].text, table[c - TABLE_FIRST].len);
	return is_plain_han(c) ? buffer_append_span(out, as_sent) : fold_point(c, out);
}

bool fold_text(struct span utf8, struct buffer *out)
{
	bool ready = false;

	while (utf8.len > 0 && !out->failed) {
		struct span rest = span_skip(utf8, fold_ascii(utf8, out));
		struct span front;
		uint32_t c;

		if (rest.len == 0 || out->failed)
			break;
		if (!ready)
			pthread_once(&table_once, fill_table);
		ready = true;
		front = rest;
		if (utf8_take(&rest, &c)) {
			fold_character(c, span_first(front, front.len - rest.len), out);
		} else {
			buffer_append_text(out, REPLACEMENT);
			rest = span_skip(rest, 1);
		}
		utf8 = rest;
	}
	return !out->failed;
}

static bool collate_point(uint32_t c, struct buffer *out)
{
	utf8proc_int32_t points[POINTS_MAX];
	utf8proc_int32_t title = utf8proc_totitle((utf8proc_int32_t)c);
	utf8proc_ssize_t count =
	        utf8proc_decompose_char(title, points, POINTS_MAX, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, NULL);

	if (count < 0 || count > POINTS_MAX)
		return utf8_append(out, c);
	return append_points(points, count, false, out);
}

/* The ASCII at the front, in capitals; most subjects are nothing else. */
static size_t collate_ascii(struct span in, struct buffer *out)
{
	size_t len = 0;

	if (!buffer_reserve(out, in.len))
		return 0;
	for (; len < in.len && !(in.ptr[len] & 0x80); len++) {
		bool lower = in.ptr[len] >= 'a' && in.ptr[len] <= 'z';

		out->data[out->len + len] = (char)(in.ptr[len] - (lower ? 0x20 : 0));
	}
	out->len += len;
	out->data[out->len] = '\0';
	return len;
}

bool fold_collate(struct span utf8, struct buffer *out)
{
	while (utf8.len > 0 && !out->failed) {
		uint32_t c;

		utf8 = span_skip(utf8, collate_ascii(utf8, out));
		if (utf8.len == 0 || out->failed)
			break;
		if (utf8_take(&utf8, &c)) {
			collate_point(c, out);
		} else {
			buffer_append_text(out, REPLACEMENT);
			utf8 = span_skip(utf8, 1);
		}
	}
	return !out->failed;
}
