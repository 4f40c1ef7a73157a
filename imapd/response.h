/* imapd/response.h — what is written to clients: strings in IMAP syntax, and errors as response codes (lesson 12). Any thread. */
#ifndef IMAPD_RESPONSE_H
#define IMAPD_RESPONSE_H

#include "base/buffer.h"
#include "base/error.h"

/* The response code (RFC 5530, RFC 9051 §7.1) for an error, without brackets; NULL: none. `is_bad`: it is a syntax error: BAD instead of NO. */
const char *response_code_for_error(enum error_code code, bool *is_bad);
/* A failure of the server, not of the client: it is logged, and the client is told no more than error_meaning(). */
bool response_is_our_trouble(enum error_code code);

/* An astring, or a quoted string or literal, as RFC 9051 §9 has them. utf8: quoted strings may hold UTF-8. What is stored with a message (ENVELOPE,
 * BODYSTRUCTURE) was written at delivery, by message/imap_text.h. False when out is full. */
bool response_put_astring(struct buffer *out, struct span s);
bool response_put_string(struct buffer *out, struct span s, bool utf8);
/* " 7-Feb-2026 21:52:25 +0000" in quotes (RFC 9051 §9 date-time) */
bool response_put_date_time(struct buffer *out, int64_t unix_seconds);
/* For the announcement "{n}" CRLF of what follows. */
bool response_put_literal_head(struct buffer *out, uint64_t size);

#endif
