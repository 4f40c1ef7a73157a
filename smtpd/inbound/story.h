/* smtpd/inbound/story.h — what smtpd tells `posthouse explain` (storage/events.h): one event for a message that came in and one for its
 * mailboxes, one for each entry in the queue, and what is worth knowing of recipients. Loop's thread. */
#ifndef SMTPD_INBOUND_STORY_H
#define SMTPD_INBOUND_STORY_H

#include "smtpd/inbound/accept.h"
#include "smtpd/inbound/received.h"

/* How a recipient was resolved, where that is not plain: an alias, another server, a catch-all, a bounce that came back. */
void story_recipient(
        struct event_log *log, struct span trace, const struct smtp_path *recipient, const struct routing *routing);
/* kind: EVENT_REFUSED or EVENT_LIMIT. */
void story_refused(struct event_log *log, enum event_kind kind, struct span trace, struct span sender,
        struct span recipient, struct span reply);

#endif
