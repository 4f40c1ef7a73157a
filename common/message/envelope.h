/* common/message/envelope.h — a header block as an IMAP ENVELOPE (RFC 9051 §7.5.2). Any thread.
 *
 * Fields that may stand once but stand twice: of Date, Subject, In-Reply-To and Message-ID the last counts (as in Dovecot and
 * Cyrus); of address fields all addresses are given, so that no author stays hidden. */
#ifndef MESSAGE_ENVELOPE_H
#define MESSAGE_ENVELOPE_H

#include "message/address.h"

#define ENVELOPE_EMPTY "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

/* What the summary needs besides: raw values, ptr NULL when absent. */
struct envelope_fields {
	struct span date, subject, in_reply_to, message_id, references;
};

/* Appends the envelope. `addresses` is working memory; `fields` may be NULL. False when out is full or out of memory. */
bool envelope_write(
        struct span block, struct address_list *addresses, struct envelope_fields *fields, struct buffer *out);

#endif
