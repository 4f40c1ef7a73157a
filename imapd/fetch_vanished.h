/* imapd/fetch_vanished.h — UID FETCH ... (CHANGEDSINCE n VANISHED): which UIDs of a set are gone (RFC 7162 §3.2.6). */
#ifndef IMAPD_FETCH_VANISHED_H
#define IMAPD_FETCH_VANISHED_H

#include "imapd/view.h"
#include "storage/changes.h"

#define VANISHED_TEXT_MAX (32 * MIB)

/* What the store knows of a mailbox since a mod-sequence. Read by a job, then used on the loop. */
struct vanished {
	struct account_changes changes;
	bool too_old; /* the mod-sequence is below the floor: all that is not there is told (RFC 7162 §3.2.6) */
	struct mailbox_snapshot snapshot; /* then: what is there */
};
bool vanished_read(
        struct vanished *vanished, struct account *account, int64_t mailbox_id, uint64_t since, struct error *err);
void vanished_free(struct vanished *vanished); /* also of a zeroed one */

/* Appends "* VANISHED (EARLIER) 3:5,9" and CRLF, or nothing when no UID of the resolved set is gone. UIDs that the client still has a
 * sequence number for are left to view_tell(). False when out is full. Thread: the loop's. */
bool vanished_write(
        const struct vanished *vanished, const struct view *view, const struct sequence_set *set, struct buffer *out);

#endif
