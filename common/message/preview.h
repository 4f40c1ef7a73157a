/* common/message/preview.h — the first words of a text part, for people (RFC 8970 §3). A stream that stops when it has
 * enough; HTML is stripped simply (tags, comments, script and style; entities decoded). Any thread, one at a time. */
#ifndef MESSAGE_PREVIEW_H
#define MESSAGE_PREVIEW_H

#include "message/charset.h"
#include "message/transfer.h"

#define PREVIEW_CHARS      200        /* RFC 8970 §3.2 */
#define PREVIEW_SOURCE_MAX (32 * KIB) /* encoded octets that are looked at */
#define PREVIEW_NAME_MAX   12         /* of a tag or entity */

struct preview {
	bool active; /* a part is being fed */
	bool html;
	bool blank;  /* blanks since the last character */
	bool failed; /* out of memory */
	size_t fed;
	size_t chars;
	struct transfer_decoder transfer;
	struct charset_converter *charset;
	struct buffer octets, utf8; /* between the stages */
	struct buffer text;         /* the result: UTF-8, one line */
	enum { HTML_TEXT, HTML_TAG, HTML_QUOTE, HTML_COMMENT, HTML_ENTITY } html_state;
	char quote;
	char name[PREVIEW_NAME_MAX + 1];
	size_t name_len;
	bool name_done;
	const char *skip_until; /* inside <style>, <script>, <title>: the name that ends it */
};

void preview_init(struct preview *preview);
void preview_free(struct preview *preview);
void preview_reset(struct preview *preview); /* for the next message */
/* Begins a text part, when there is no text yet. */
void preview_begin(struct preview *preview, bool html, enum transfer_encoding encoding, struct span charset);
/* Octets of the part as sent; false when no more are wanted. */
bool preview_feed(struct preview *preview, struct span bytes);
void preview_end(struct preview *preview);

#endif
