/* imapd/parse_internal.h — what the files of the parser share; for imapd/parse*.c only. Contracts as in imapd/parse.h. */
#ifndef IMAPD_PARSE_INTERNAL_H
#define IMAPD_PARSE_INTERNAL_H

#include "imapd/parse.h"

#define NUMBER64_MAX ((uint64_t)INT64_MAX) /* number64, mod-sequence-value: 63 bits (RFC 9051 §9, RFC 7162 §7) */

/* "expected ..." as ERR_SYNTAX; always false. */
bool parse_expected(struct parser *p, const char *what);

void *parse_alloc(struct parser *p, size_t size); /* NULL: *err is set */
/* Room for one more behind `count` items; the array moves within the arena. NULL: *err is set, also beyond PARSE_ITEMS_MAX.
 * *capacity starts at 0. */
void *parse_grow(struct parser *p, void *items, size_t count, size_t *capacity, size_t item_size);

/* Is this the item that comes again? Finds candidates by hash, so that 1000 items of one command stay cheap. */
struct repeats {
	uint32_t hashes[PARSE_ITEMS_MAX];
	size_t count;
};
uint32_t hash_nocase(uint32_t hash, struct span s); /* start with 0 */
/* The next index from *at on with this hash. */
bool repeats_find(const struct repeats *repeats, uint32_t hash, size_t *at);

bool parse_at_end(const struct parser *p);                   /* but for blanks; consumes nothing */
bool parse_char(struct parser *p, char c, const char *what); /* exactly c */
bool parse_set(struct parser *p, struct sequence_set *out);  /* "$" allowed */
bool parse_number64(struct parser *p, uint64_t *out);
/* The run of letters, digits, "." and "-" (names of items, options, search keys), or its beginning when it is too long for any. May be empty;
 * consumes nothing. */
struct span parse_peek_word(const struct parser *p);
bool parse_take_word(
        struct parser *p, const char *word); /* that run is exactly `word`, in any case; false without an error */

/* Strings whose quoted form may hold 8-bit octets, whatever has been enabled. */
bool parse_string_8bit(struct parser *p, struct span *out);
bool parse_astring_8bit(struct parser *p, struct span *out);

/* "7-Feb-1994", in quotes or not (§9 date): days since 1970-01-01. */
bool parse_date(struct parser *p, int64_t *days);
/* " 7-Feb-1994 21:52:25 -0800" in quotes (§9 date-time). */
bool parse_date_time(struct parser *p, int64_t *unix_seconds);

/* A mailbox name or pattern out of its octets. */
bool parse_decoded_name(struct parser *p, struct span octets, struct span *out);
/* "(MESSAGES UNSEEN ...)": enum status_item. */
bool parse_status_items(struct parser *p, unsigned *items);
/* [section] behind BODY or BINARY. */
bool parse_section(struct parser *p, bool binary, struct section *out);
/* [RETURN (...)] of SEARCH, SORT, THREAD, with its leading SP when it is there. */
bool parse_search_return(struct parser *p, struct search_args *out);
/* search keys up to the end, each with its leading SP; out->charset is known. */
bool parse_search_keys(struct parser *p, struct search_args *out);
/* Sets out->charset, or refuses it. */
bool parse_charset(struct parser *p, struct search_args *out);

#endif
