/* smtpd/outbound/settle.h — from an outcome to a decision: gone, again at a time, and what the sender is told of it.
 *
 * Time over (give_up_after, RFC 2852 by-time) turns "again" into "for good". The sender is told by RFC 3461 §4.1, §5.2: of failure unless
 * NOTIFY says otherwise, of a delay once after warn_after, of success when asked for and nobody else will tell. Never when the sender is
 * empty, never about a report of ours (RFC 3464 §2), never about the sender's own copy. Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_SETTLE_H
#define SMTPD_OUTBOUND_SETTLE_H

#include "smtpd/outbound/parcel.h"

void settle(struct parcel *parcel, size_t recipient, const struct outcome *outcome);
void settle_all(struct parcel *parcel, const struct outcome *outcome);
/* Not tried because of `why`, the failure of another message's attempt: due at next_ms. */
void settle_undone(struct parcel *parcel, const struct outcome *why, int64_t next_ms);

#endif
