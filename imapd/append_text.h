/* imapd/append_text.h — the octets of an appended message on their way into the store: lines end with CRLF there. Pure, any thread.
 *
 * A message is text in the format of RFC 5322 (RFC 9051 §6.3.12), whose lines end with CRLF and nothing else; what we hand out by IMAP
 * and POP3 relies on it. A bare LF (scripts and importers of Unix mailboxes send them) becomes CRLF, as it does in Dovecot; RFC822.SIZE is
 * what is stored. A bare CR is kept: it is no line end anywhere, and octets of an 8-bit body may hold it. literal8 (RFC 3516) keeps
 * every octet: there may be a part of Content-Transfer-Encoding: binary in it. */
#ifndef IMAPD_APPEND_TEXT_H
#define IMAPD_APPEND_TEXT_H

#include "base/span.h"

struct append_text {
	bool binary;   /* literal8 */
	bool after_cr; /* the last octet was CR */
};

/* Cuts off the next run to store; false: *in is used up. Runs point into *in, or to a CR that was missing. */
bool append_text_next(struct append_text *text, struct span *in, struct span *run);
/* RFC 9051 §4.3: no NUL in a literal that is not literal8. */
bool append_text_allows(const struct append_text *text, struct span in);

#endif
