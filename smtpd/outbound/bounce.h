/* smtpd/outbound/bounce.h — the report that tells a sender what became of recipients of one message, ready for the queue.
 *
 * To whom: the sender, by the same directory as all mail (accounts of ours get it without a detour; an SRS address of ours is turned back
 * into the address it stands for). Nobody there: no report. Its own envelope sender is <>, NOTIFY=NEVER (RFC 3461 §6.1), flags QUEUE_REPORT.
 * Thread: worker threads (it reads the message). */
#ifndef SMTPD_OUTBOUND_BOUNCE_H
#define SMTPD_OUTBOUND_BOUNCE_H

#include "smtpd/outbound/parcel.h"

#define BOUNCE_FULL_MAX                                                                                                \
	(64 * KIB) /* a message up to this is returned whole when RET was not given (RFC 3461 §4.3 leaves it to us) */

#define BOUNCE_TOLD_MAX 500 /* recipients of one report, whose text has REPORT_TEXT_MAX */

struct bounce;

/* About the recipients with fate.report in these parcels, all of one message, at most BOUNCE_TOLD_MAX. *out NULL (and true): nobody is to be told. False: not now. */
bool bounce_make(
        struct relay *relay, struct parcel *const *parcels, size_t count, struct bounce **out, struct error *err);
void bounce_free(struct bounce **bounce); /* also of NULL */
struct queue_entry *bounce_entry(struct bounce *bounce);

#endif
