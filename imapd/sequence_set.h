/* imapd/sequence_set.h — sets of message numbers or UIDs (RFC 9051 §9 sequence-set) as ranges.
 *
 * Parsed sets may be unordered, reversed and overlapping and may hold "*"; sequence_set_resolve() makes them rising, disjoint and
 * merged, in O(n log n) of the ranges as written, whatever numbers they span. Memory: an arena, or a buffer of the caller. Any thread. */
#ifndef IMAPD_SEQUENCE_SET_H
#define IMAPD_SEQUENCE_SET_H

#include "base/buffer.h"
#include "message/arena.h"

#define SEQUENCE_STAR 0 /* "*" in a parsed set: the largest number in use */

struct number_range {
	uint32_t first, last; /* both included */
};

struct sequence_set {
	struct number_range *ranges;
	size_t count;
	bool saved; /* "$": the result of the last SEARCH RETURN (SAVE) (RFC 5182 §2.1); no ranges then */
};

/* Consumes a set from *in; false: no set there (or the arena is full), *in untouched. `saved_allowed`: "$" may stand for it. */
bool sequence_set_parse(struct span *in, bool saved_allowed, struct arena *arena, struct sequence_set *out);
/* "*" becomes `largest` (0, an empty mailbox: "*" alone means nothing, and so does a range of which nothing is left); sorted, merged. In place. */
void sequence_set_resolve(struct sequence_set *set, uint32_t largest);
/* Of a resolved set. */
bool sequence_set_contains(const struct sequence_set *set, uint32_t number);
bool sequence_set_has_star(const struct sequence_set *set); /* of one that is not resolved */
/* Appends "1:3,5" for rising numbers. False when out is full. */
bool sequence_set_write(struct buffer *out, const uint32_t *numbers, size_t count);

#endif
