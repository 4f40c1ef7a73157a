/* common/message/message_text.h — a message as the text that people search in: decoded, as UTF-8, folded (message/fold.h).
 *
 * Feed the stored message in pieces of any size; folded text comes out in pieces of at most MESSAGE_TEXT_PIECE_MAX octets, in the order of the
 * message, each of one place. Texts that do not belong together (header fields, parts) are separated by NUL, which no text contains:
 * what looks for a string without NUL never finds one that spans two of them. How the message is cut changes the pieces, never the text.
 *
 *   TEXT_HEADER  each field of each header (the message's own, those of its parts and of contained messages: RFC 9051 §6.4.4 TEXT)
 *                as "name: value", unfolded, encoded words decoded.
 *   TEXT_BODY    the body of each leaf of type text/ or message/ (RFC 3464 reports ...), transfer encoding and charset undone. Contained messages
 *                are walked, so their text parts are here and their fields in TEXT_HEADER. HTML is text as it was sent, tags and
 *                entities included, as in Dovecot: a link's target can be found, and nothing is lost to guessing what a browser shows.
 *
 * Not looked at: other attachments, preambles and epilogues, what is beyond a limit of mime.h. The line end before a part's boundary counts as
 * the part's. Linear, no recursion, flat memory. Owner: the caller of message_text_new(), until message_text_free(). Any thread, one at a time. */
#ifndef MESSAGE_MESSAGE_TEXT_H
#define MESSAGE_MESSAGE_TEXT_H

#include "message/mime.h"

#define MESSAGE_TEXT_PIECE_MAX (160 * KIB)

enum message_text_place { TEXT_HEADER, TEXT_BODY };

struct message_text_hooks {
	void *context;
	bool headers, bodies; /* which places are wanted */
	/* False: no more is wanted of this message. */
	bool (*on_text)(void *context, enum message_text_place place, struct span folded);
};

struct message_text;
struct message_text *message_text_new(const struct message_text_hooks *hooks); /* NULL: out of memory */
void message_text_free(struct message_text **text);
/* False: no more is wanted, or out of memory; the rest need not be fed. */
bool message_text_feed(struct message_text *text, struct span octets);
/* The last pieces come; then it is ready for the next message. False: it ran out of memory, so text may be missing. */
bool message_text_finish(struct message_text *text);

/* One field's value as it is searched: unfolded, decoded, folded. scratch is working memory. False when out is full or out of memory. */
bool message_text_value(struct span value, struct buffer *scratch, struct buffer *out);

#endif
