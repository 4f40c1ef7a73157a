/* imapd/sort.h — the order of SORT (RFC 5256 §3): pure.
 *
 * Texts are compared octet by octet: the caller has made them i;unicode-casemap (fold_collate). Ties go by the order of the array, which is that of
 * the mailbox, also under REVERSE. O(n log n), no recursion of ours. Any thread. */
#ifndef IMAPD_SORT_H
#define IMAPD_SORT_H

#include "imapd/parse.h"

struct sort_message {
	uint32_t number;                    /* what is answered: sequence number or UID */
	uint32_t size;                      /* RFC822.SIZE */
	int64_t arrival, sent;              /* unix seconds; sent: of Date:, else the internal date (§2.2) */
	struct span texts[SORT_TEXT_COUNT]; /* where they are asked for */
};

/* Writes their numbers in order. False: out of memory. Takes SORT_COST octets a message meanwhile. */
#define SORT_COST 32 /* an entry, and the one that qsort_r() merges with */
bool sort_messages(const struct sort_message *messages, size_t count, const struct sort_criterion *criteria,
        size_t criterion_count, uint32_t *numbers);
bool sort_key_is_text(enum sort_key_kind kind);

#endif
