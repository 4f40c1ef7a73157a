/* imapd/fetch_ranges.h — a set as the client wrote it, as ranges of its sequence numbers: small, however many messages it names, and taken
 * a slice at a time. During a FETCH the view does not change, so the numbers stay true. Thread: the loop's. */
#ifndef IMAPD_FETCH_RANGES_H
#define IMAPD_FETCH_RANGES_H

#include "imapd/view.h"

struct fetch_ranges {
	struct number_range *ranges; /* rising, disjoint; malloc'd */
	size_t count;
	size_t at; /* range that the next slice begins in */
};

/* Resolves the set in place. *beyond: a sequence number is larger than the mailbox is (RFC 9051 §6.4.5: BAD). False: out of memory. */
bool fetch_ranges_init(
        struct fetch_ranges *ranges, const struct view *view, struct sequence_set *set, bool uid, bool *beyond);
void fetch_ranges_free(struct fetch_ranges *ranges);
/* The next at most `most` messages (view_collect(): those that are gone are counted in *gone); *count is 0 when all are taken, and
 * may be 0 before that. *done: nothing is left behind them. False: out of memory. */
bool fetch_ranges_next(struct fetch_ranges *ranges, const struct view *view, size_t most,
        struct view_message **messages, size_t *count, size_t *gone, bool *done);

#endif
