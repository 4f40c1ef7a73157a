/* imapd/resync.h — what SELECT with QRESYNC tells a client that has been there before (RFC 7162 §3.2.5): which of the UIDs it knows
 * are gone, and whose flags have changed since its mod-sequence. Thread: the loop's, but for vanished_read(). */
#ifndef IMAPD_RESYNC_H
#define IMAPD_RESYNC_H

#include "imapd/fetch_vanished.h"

struct resync {
	struct select_args *args;
	struct vanished vanished; /* read by a job after the view was opened: see cmd_select.c */
	uint32_t from;            /* the changes of smaller UIDs are told */
};

/* "* VANISHED (EARLIER)", or nothing. First; false: out of memory, or out is full. */
bool resync_put_vanished(struct resync *resync, const struct view *view, struct arena *arena, struct buffer *out);
/* FETCH of changes, until there are about `most` octets in out. *all: it is done. What changes meanwhile is told twice at worst. */
bool resync_put_changes(struct resync *resync, const struct view *view, size_t most, struct buffer *out, bool *all);
void resync_free(struct resync *resync); /* also of a zeroed one */

#endif
