/* imapd/index.h — what a mailbox is now: its rows in memory, one index for each mailbox and process, shared by all views of it.
 *
 *   mailbox_snapshot() -> index_load     account_changes() -> index_patch, again and again
 *
 * Pure: no store, no session; imapd/watch.h keeps them, reads and patches them. Rows stand in the order of UIDs in one
 * array: a delivery is added at its end, an expunge moves what is behind it. What a patch did is also written into a list of events,
 * so that a view finds its news without looking at all rows; the list is bounded, and a view that has fallen behind it
 * compares rows instead (imapd/news.h). Thread: the loop's. */
#ifndef IMAPD_INDEX_H
#define IMAPD_INDEX_H

#include "imapd/known.h"
#include "storage/changes.h"

#define INDEX_EVENTS_MAX 32768 /* kept; 16 octets each */

struct watch_account; /* imapd/watch.h */
struct view;          /* imapd/view.h */

struct index_event {
	uint32_t uid;
	bool gone;       /* else its flags changed */
	uint64_t modseq; /* then: a row with a higher one has a later event */
};

struct index {
	int64_t mailbox_id;
	struct mailbox_info info; /* goes with the rows */
	uint64_t modseq;          /* the account's: all changes up to it are in the rows; 0: nothing is loaded yet */
	struct message_row *rows; /* rising UIDs */
	uint32_t count, capacity;
	uint64_t epoch; /* grows with every expunge: in one epoch, places of rows do not change */
	bool deleted;   /* the mailbox is gone; the rows are its last */
	bool behind; /* what was read last could not be had, or not be put in: not before the next refresh is it as new as it should be */
	/* What happened, for the views: event number events_first + n. Kept only while there are views. */
	struct index_event *events;
	uint64_t events_first;
	uint32_t event_count, event_capacity;
	uint32_t unseen_from; /* all messages with smaller UIDs are \Seen */
	/* The UIDs as views of this epoch share them: a view that is told of an expunge by now takes this list. */
	struct known latest;
	uint64_t latest_epoch;
	struct view *views;

	/* the watch's */
	struct watch_account *account;
	struct index *next, **link;           /* of the account */
	struct index *kept_next, **kept_link; /* without users, most recently used first */
	unsigned users;                       /* views, and those that wait to be opened */
	struct index_load *load;              /* is under way */
	struct view *waiting;                 /* for the load */
	int64_t checked_at;                   /* clock_mono_ms() before it was last read or brought up to date */
	size_t counted;                       /* octets in the watch's sum */
};

void index_free(struct index **index); /* no views; from calloc */
/* Takes the rows of the snapshot. Into a loaded index (its modseq was too old for the change feed) too: views compare rows then. */
void index_load(struct index *index, struct mailbox_snapshot *snapshot);
/* Changes after `since` up to `modseq`; NULL: none in this mailbox. What is in it already is left out, so feeds may overlap. False: out of memory, or
 * the index does not reach up to `since`; it is as it was. */
bool index_patch(struct index *index, uint64_t since, uint64_t modseq, const struct mailbox_changes *changes);

/* The place of the first row whose UID is at least uid; count: none. */
uint32_t index_find(const struct index *index, uint32_t uid);
const struct message_row *index_row(const struct index *index, uint32_t uid); /* NULL: not there */
/* The place of the first message without \Seen; false: there is none. Cheap when asked again. */
bool index_first_unseen(struct index *index, uint32_t *place);
size_t index_memory(const struct index *index);
uint64_t index_events_end(const struct index *index);
/* Events before this number are in nobody's way any more. */
void index_drop_events(struct index *index, uint64_t before);

#endif
