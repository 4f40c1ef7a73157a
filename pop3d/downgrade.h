/* pop3d/downgrade.h — one header block rewritten in ASCII by the rules of RFC 6858; pop3d/surrogate.h says what and why.
 *
 * Any thread. */
#ifndef POP3D_DOWNGRADE_H
#define POP3D_DOWNGRADE_H

#include "base/buffer.h"

/* Appends the block with each field that holds UTF-8 rewritten or left out; the rest byte for byte. False when out is full. */
bool downgrade_header(struct span block, struct buffer *out);

#endif
