/* smtpd/outbound/story.h — the relay's events (storage/events.h) and log lines, in one place. Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_STORY_H
#define SMTPD_OUTBOUND_STORY_H

#include "smtpd/outbound/parcel.h"

/* After it has been written down: one event for each recipient. */
void story_of_parcel(const struct parcel *parcel);
/* One host that was tried in vain before another one: told once, to the message that waits first. */
void story_of_attempt(
        const struct parcel *parcel, const char *host, const char *address, const struct outcome *outcome);
void story_of_report(struct relay *relay, struct span about, const struct queue_entry *report);

#endif
