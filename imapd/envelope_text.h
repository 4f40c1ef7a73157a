/* imapd/envelope_text.h — reading back what message/envelope.h wrote: the fields of a stored ENVELOPE. Nothing is copied until asked for.
 *
 * Any thread. What is not an envelope (a damaged row) reads as one whose fields are all NIL. */
#ifndef IMAPD_ENVELOPE_TEXT_H
#define IMAPD_ENVELOPE_TEXT_H

#include "base/buffer.h"

enum envelope_field {
	ENVELOPE_DATE,
	ENVELOPE_SUBJECT,
	ENVELOPE_FROM,
	ENVELOPE_SENDER,
	ENVELOPE_REPLY_TO,
	ENVELOPE_TO,
	ENVELOPE_CC,
	ENVELOPE_BCC,
	ENVELOPE_IN_REPLY_TO,
	ENVELOPE_MESSAGE_ID,
	ENVELOPE_FIELDS
};

/* Each field in IMAP syntax as stored: "NIL", a string, or for addresses "(" 1*address ")". */
struct envelope_view {
	struct span fields[ENVELOPE_FIELDS];
};
/* Looks for the fields up to `last`; those behind it read as NIL. */
void envelope_view(struct span envelope, enum envelope_field last, struct envelope_view *out);

/* The field is not NIL. */
bool envelope_has(const struct envelope_view *view, enum envelope_field field);
/* Appends the value of a string field as it stood in the header (unfolded, encoded words not decoded); nothing when NIL. False when out is full. */
bool envelope_string(const struct envelope_view *view, enum envelope_field field, struct buffer *out);
/* Appends the addresses decoded, as people read them: "Name <local@host>, group: local@host". scratch: working memory. */
bool envelope_addresses(
        const struct envelope_view *view, enum envelope_field field, struct buffer *scratch, struct buffer *out);
/* Appends the local part of the first address (a group's name, when that is first): RFC 5256 §3 addr-mailbox. */
bool envelope_first_mailbox(const struct envelope_view *view, enum envelope_field field, struct buffer *out);

#endif
