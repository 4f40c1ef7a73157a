#include "message/subject.h"

#include "message/encoded_word.h"

/* Step 1: UTF-8, and one blank for each run of blanks. */
static void squeeze(struct span text, struct buffer *out)
{
	bool blank = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			blank = true;
			continue;
		}
		if (blank)
			buffer_append_char(out, ' ');
		blank = false;
		buffer_append_char(out, c);
	}
}

static void skip_blanks(struct span *s)
{
	while (span_take_char(s, ' '))
		;
}

/* subj-trailer = "(fwd)" / WSP */
static void strip_trailers(struct span *s, bool *is_reply)
{
	for (;;) {
		if (s->len > 0 && s->ptr[s->len - 1] == ' ') {
			s->len--;
		} else if (span_ends_nocase(*s, SPAN("(fwd)"))) {
			s->len -= 5;
			*is_reply = true;
		} else {
			return;
		}
	}
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP */
static bool take_blob(struct span *s)
{
	struct span rest = *s;

	if (!span_take_char(&rest, '['))
		return false;
	for (size_t i = 0; i < rest.len && rest.ptr[i] != '['; i++) {
		if (rest.ptr[i] == ']') {
			*s = span_skip(rest, i + 1);
			skip_blanks(s);
			return true;
		}
	}
	return false;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static bool take_mark(struct span *s)
{
	struct span rest = *s;

	if (!span_take_word(&rest, "re") && !span_take_word(&rest, "fwd") && !span_take_word(&rest, "fw"))
		return false;
	skip_blanks(&rest);
	(void)take_blob(&rest);
	if (!span_take_char(&rest, ':'))
		return false;
	*s = rest;
	return true;
}

/* Steps 3 to 5: leaders (blobs in front of a mark), then blobs that leave something behind them. When no mark follows the
 * blobs, none follows fewer of them either, so all can go in one pass and the whole stays linear. */
static void strip_leaders(struct span *s, bool *is_reply)
{
	for (;;) {
		struct span rest = *s;

		skip_blanks(&rest);
		*s = rest;
		while (take_blob(&rest))
			;
		if (!take_mark(&rest))
			break;
		*is_reply = true;
		*s = rest;
	}
	for (struct span rest = *s; take_blob(&rest) && rest.len > 0;)
		*s = rest;
}

/* Step 6: "[fwd:" ... "]" */
static bool strip_wrapper(struct span *s, bool *is_reply)
{
	struct span rest = *s;

	if (!span_take_word(&rest, "[fwd:") || rest.len == 0 || rest.ptr[rest.len - 1] != ']')
		return false;
	rest.len--;
	*s = rest;
	*is_reply = true;
	return true;
}

bool subject_base(struct span value, struct buffer *out, bool *is_reply)
{
	struct buffer decoded;
	struct buffer squeezed;
	struct span s;

	*is_reply = false;
	buffer_init(&decoded, SUBJECT_SOURCE_MAX * 4);
	buffer_init(&squeezed, SUBJECT_SOURCE_MAX * 4);
	encoded_word_decode(span_first(value, SUBJECT_SOURCE_MAX), &decoded);
	squeeze(buffer_span(&decoded), &squeezed);
	s = buffer_span(&squeezed);
	do {
		strip_trailers(&s, is_reply);
		strip_leaders(&s, is_reply);
	} while (strip_wrapper(&s, is_reply));
	buffer_append_span(out, s);
	buffer_free(&decoded);
	buffer_free(&squeezed);
	return !out->failed;
}
