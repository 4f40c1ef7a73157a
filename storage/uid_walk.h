/* storage/uid_walk.h — the rows of a mailbox whose UIDs are in a set, some at a time, so that rows may be written between. For storage/ only.
 *
 * UIDs that stand near each other are read by one cursor: a set of a whole mailbox costs a scan of it, a set of few a lookup each. */
#ifndef STORAGE_UID_WALK_H
#define STORAGE_UID_WALK_H

#include "storage/database.h"
#include "storage/mailbox.h"

#define UID_WALK_ROWS 256

struct uid_walk {
	int64_t mailbox_id;
	const uint32_t *uids; /* rising */
	size_t uid_count, at;
	uint32_t next, end; /* what is still to be read of all UIDs: [next, end) */
	bool all;           /* every UID, whatever the set */
	bool only_deleted;  /* of those what has \Deleted */
	/* the piece that uid_walk_next() has read */
	struct message_row rows[UID_WALK_ROWS];
	bool follows[UID_WALK_ROWS]; /* no row of the mailbox is between this one and the one before it in `rows` */
	size_t count;                /* 0: that was all */
};

/* end: the mailbox's uid_next; what is added to it meanwhile is not walked. The set must outlive the walk. */
void uid_walk_begin(struct uid_walk *walk, int64_t mailbox_id, const uint32_t *uids, size_t count, uint32_t end);
bool uid_walk_next(struct database *database, struct uid_walk *walk, struct error *err);

#endif
