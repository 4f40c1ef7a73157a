#include "imapd/append_text.h"

#include <string.h>

bool append_text_allows(const struct append_text *text, struct span in)
{
	return text->binary || in.len == 0 || memchr(in.ptr, '\0', in.len) == NULL;
}

/* The place of the first LF without a CR before it; the length when there is none. */
static size_t find_bare_lf(const struct append_text *text, struct span in)
{
	size_t from = 0, at;

	while (span_find(span_skip(in, from), '\n', &at)) {
		size_t lf = from + at;

		if (lf == 0 ? !text->after_cr : in.ptr[lf - 1] != '\r')
			return lf;
		from = lf + 1;
	}
	return in.len;
}

bool append_text_next(struct append_text *text, struct span *in, struct span *run)
{
	size_t len;

	if (in->len == 0)
		return false;
	len = text->binary ? in->len : find_bare_lf(text, *in);
	if (len == 0) { /* the LF itself follows in the next run */
		*run = SPAN("\r");
		text->after_cr = true;
		return true;
	}
	*run = span_first(*in, len);
	*in = span_skip(*in, len);
	text->after_cr = run->ptr[len - 1] == '\r';
	return true;
}
