/* imapd/list_match.h — the patterns of LIST and LSUB (RFC 9051 §6.3.9): "*" any characters, "%" any but "/". Pure, any thread.
 *
 * All patterns of a command are compiled once and asked of each name. A name costs time in proportion to its length and to the
 * octets of all patterns with wildcards over 64 (a bit for each place in the pattern where the match may stand), whatever the
 * wildcards are. INBOX is found in any case (RFC 9051 §5.1). Patterns are put into NFC, as names are in the store. */
#ifndef IMAPD_LIST_MATCH_H
#define IMAPD_LIST_MATCH_H

#include "base/error.h"
#include "message/arena.h"

#define LIST_PATTERN_WORDS_MAX                                                                                         \
	64 /* of 64 places each, in all patterns with wildcards of one command; one has at least one */
#define LIST_MATCH_ARENA_MAX (2 * MIB)

enum list_match {
	LIST_NO_MATCH = 0,
	LIST_MATCHES = 1 << 0,
	LIST_MATCHES_LEVEL = 1 << 1, /* by a pattern with "%" at its end: levels that are no mailboxes are wanted too */
};

struct list_pattern;
struct list_patterns {
	struct list_pattern *items;
	size_t count;
	size_t words;
	struct arena arena; /* what they are made of */
};

/* patterns: UTF-8, with reference in front of each. Empty ones and those that no name can match are left out. ERR_LIMIT:
 * LIST_PATTERN_WORDS_MAX; ERR_NO_MEMORY. Also after a failure list_patterns_free() is right. */
bool list_patterns_compile(
        struct list_patterns *out, struct span reference, const struct span *patterns, size_t count, struct error *err);
void list_patterns_free(struct list_patterns *patterns);
/* enum list_match, of all of them together. */
unsigned list_patterns_match(const struct list_patterns *patterns, struct span name);

#endif
