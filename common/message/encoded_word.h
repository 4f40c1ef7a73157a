/* common/message/encoded_word.h — RFC 2047 encoded words to UTF-8. Any thread. */
#ifndef MESSAGE_ENCODED_WORD_H
#define MESSAGE_ENCODED_WORD_H

#include "base/buffer.h"

/* Appends an unstructured value or a display name as UTF-8: unfolded, encoded words decoded wherever they stand, blanks
 * between adjacent ones dropped (§6.2), a character split over two words of one charset joined, what is not valid left as
 * it is, octets that are not UTF-8 replaced by U+FFFD. Linear. False when out is full. */
bool encoded_word_decode(struct span value, struct buffer *out);

#endif
