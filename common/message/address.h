/* common/message/address.h — RFC 5322 §3.4 address lists of header fields: read forgivingly, written correctly.
 *
 * Reads groups, comments, the obsolete forms of §4.4 (routes, blanks around dots and @, empty list members) and raw UTF-8
 * (RFC 6532 §3.2). Encoded words (RFC 2047) in names stay as they came: ENVELOPE hands them out raw; use encoded_word.h
 * to show them. Linear in the input, no recursion, at most ADDRESS_COUNT_MAX addresses (groups' marks included); what is
 * beyond is left out and `truncated` says so. Broken input never fails: what can be recognised is given, with
 * `well_formed` false. Owner: whoever called address_list_init(), until address_list_free(). Any thread. */
#ifndef MESSAGE_ADDRESS_H
#define MESSAGE_ADDRESS_H

#include "base/buffer.h"

#define ADDRESS_COUNT_MAX 10000

enum address_kind { ADDRESS_MAILBOX, ADDRESS_GROUP_START, ADDRESS_GROUP_END };

/* A span with ptr NULL is absent (NIL in ENVELOPE), one of length 0 with a ptr is there and empty. */
struct address {
	enum address_kind kind;
	bool well_formed;  /* as RFC 5322 §3.4 or §4.4 has it; a group mark is always well formed */
	struct span name;  /* display name, or failing that the last comment; unquoted. GROUP_START: the group's name */
	struct span route; /* "@a,@b" (RFC 5322 §4.4 obs-route), without the colon */
	struct span mailbox; /* local part, unquoted, without comments; absent when missing */
	struct span host;    /* domain or "[literal]"; absent when missing */
};

struct address_list {
	struct address *items;
	size_t count;
	size_t capacity;
	bool truncated;     /* there were more than ADDRESS_COUNT_MAX */
	struct buffer text; /* what the spans of items point into */
};

void address_list_init(struct address_list *list);
void address_list_free(struct address_list *list);

/* Replaces what is in the list by the addresses of one field's value (raw, folds and all; the memory is used again).
 * False only when out of memory. The spans are valid until the next call with this list. */
bool address_list_parse(struct address_list *list, struct span value);

/* Appends  Name <mailbox@host>  or  mailbox@host,  quoting where RFC 5322 §3.2.4 asks for it. ADDRESS_MAILBOX only.
 * Control characters are left out, so the result is always one line. False when out is full. */
bool address_write(struct buffer *out, const struct address *address);

#endif
