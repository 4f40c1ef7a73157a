/* common/sasl/saslprep.h — passwords and names as RFC 4013 prepares them, so that one typed on two systems is one password.
 *
 * ASCII passes as it is, but for control characters. Other text: mapped (RFC 3454 B.1, C.1.2), NFKC, prohibited characters and
 * mixed directions refused. Weaker than the letter: Unicode is the version of utf8proc, not 3.2, so a character unassigned in
 * 3.2 passes (RFC 3454 §7 allows that for queries; RFC 8265 asks for it). Any thread. */
#ifndef SASL_SASLPREP_H
#define SASL_SASLPREP_H

#include "base/buffer.h"
#include "base/error.h"

/* Appends the prepared text; out is a secret then (secret_buffer_free). ERR_BAD_VALUE: not UTF-8, or prohibited;
 * ERR_NO_MEMORY: also when it does not fit out. */
bool saslprep(struct span in, struct buffer *out, struct error *err);

#endif
