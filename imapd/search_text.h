/* imapd/search_text.h — strings that are looked for in folded text (message/fold.h), in one piece or in a stream of pieces.
 *
 * A needle is folded once. text_find() compares two of its rarest octets with sixteen places at once and looks closer only where both stand; when that
 * happens so often that it would cost more than linear time, a linear search (memmem) does the rest. A stream is a text cut anywhere:
 * of each needle the last octets that may begin a match are kept.
 * Owner: whoever called text_needle_init(), until text_needle_free(). Any thread; a stream by one at a time. */
#ifndef IMAPD_SEARCH_TEXT_H
#define IMAPD_SEARCH_TEXT_H

#include "base/buffer.h"

#define NEEDLE_MAX (256 * KIB) /* octets before folding: as much as a command holds */

struct text_needle {
	struct buffer folded; /* may be empty: found in every text */
	size_t rare, rarer;   /* where in `folded` its rarest octets stand; the same for a needle of one octet */
};

/* False: out of memory, or the text is too long; the needle can be freed all the same. */
bool text_needle_init(struct text_needle *needle, struct span utf8);
void text_needle_free(struct text_needle *needle);
bool text_find(const struct text_needle *needle, struct span folded);

struct text_stream {
	const struct text_needle *needle;
	bool found;
	struct buffer tail; /* the last octets of what was fed: a match may begin there */
};

void text_stream_init(struct text_stream *stream, const struct text_needle *needle);
void text_stream_free(struct text_stream *stream);
void text_stream_reset(struct text_stream *stream); /* for the next text */
/* False: out of memory. */
bool text_stream_feed(struct text_stream *stream, struct span folded);

#endif
