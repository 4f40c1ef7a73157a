/* common/message/fold.h — text made comparable: what differs only in case, in accents or in the way it was encoded becomes the same.
 *
 * Both functions map one character at a time, never looking at its neighbours: the fold of two texts put together is their two folds put
 * together, so a text may be folded in pieces (cut between characters) and a substring of a text folds to a substring of its fold.
 * No canonical reordering, and nothing is composed: a precomposed and a decomposed spelling end up the same, save that several marks on one
 * letter keep the order in which they came. Any thread. */
#ifndef MESSAGE_FOLD_H
#define MESSAGE_FOLD_H

#include "base/buffer.h"

#define FOLD_GROWTH_MAX 12 /* octets out for one octet in, at most */

/* For searching: Unicode full case folding (so "ß" is "ss"), compatibility decomposition (full-width letters, ligatures, "²", no-break
 * space), then without the accents and points of Latin, Greek, Cyrillic, Hebrew and Arabic (nonspacing marks below U+0700 and in the
 * blocks of combining marks) and without what is invisible (soft hyphen, joiners, variation selectors). Marks that make another
 * letter stay (kana's voicing, vowels of Indic scripts), as do letters with a stroke (ø, ł). U+0000 becomes a blank, so the result has
 * no NUL. Octets that are not UTF-8 become U+FFFD. Appends; false when out is full. */
bool fold_text(struct span utf8, struct buffer *out);

/* For sorting: i;unicode-casemap (RFC 5051 §2), the collation of RFC 5256: simple title case, then compatibility decomposition; to
 * be compared octet by octet. Accents stay. */
bool fold_collate(struct span utf8, struct buffer *out);

/* The front of `in` up to its first octet that is not ASCII, folded as fold_text() does. Returns how many octets were taken; 0 also when
 * out is full, and then out->failed is set. */
size_t fold_ascii(struct span in, struct buffer *out);

#endif
