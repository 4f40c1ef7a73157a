/* imapd/view.h — the selected mailbox as one client knows it: its sequence numbers, and what it has still to be told.
 *
 * Two things: the index (imapd/index.h) is what the mailbox is now, one per mailbox and process, shared by all views and patched from
 * the change feed (imapd/watch.h); the view is which UIDs this client was told of, in order (sequence number n is uids[n-1]), and up to which
 * mod-sequence it knows the flags. Views of one mailbox that know the same UIDs share one list (copy on write), so a thousand idle
 * sessions on a mailbox cost little. Only view_tell() changes what the client knows, and only where the command allows it:
 * EXPUNGE or VANISHED never inside FETCH, STORE, SEARCH by sequence number (RFC 9051 §7.5.1); EXISTS and FETCH always.
 * Thread: the loop's. Jobs get copies (view_collect). */
#ifndef IMAPD_VIEW_H
#define IMAPD_VIEW_H

#include "imapd/sequence_set.h"
#include "imapd/session.h"
#include "storage/mailbox.h"

/* UIDs in rising order; shared, never changed while refs > 1. */
struct uid_list {
	unsigned refs;
	uint32_t count, capacity;
	uint32_t uids[];
};

struct index; /* imapd/index.h */

struct view {
	struct imap_session *session;
	struct view *next, **link; /* all views of the index */
	struct index *index;
	struct uid_list *known;   /* what the client was told */
	uint64_t told_modseq;     /* flags up to here are told */
	bool read_only;           /* EXAMINE */
	uint32_t keywords_told;   /* how many of the account's keywords the client has seen in FLAGS */
};

/* One message for a job: all that the index knows. */
struct view_message {
	uint32_t sequence; /* this client's */
	struct message_row row; /* uid, size, message_id, flags, modseq: as the index has it now */
};

/* Opens asynchronously (reads the index when it is not in memory, refreshes it when it is); done gets the view or an error. */
void view_open(struct imap_session *s, int64_t mailbox_id, bool read_only, void (*done)(struct imap_session *s, struct view *view, const struct error *err));
void view_close(struct view **view);

uint32_t view_count(const struct view *view);                   /* sequence numbers go from 1 to this */
uint32_t view_uid(const struct view *view, uint32_t sequence);  /* CHECKs the range */
bool view_sequence(const struct view *view, uint32_t uid, uint32_t *sequence);
const struct mailbox_info *view_info(const struct view *view);  /* id, uid_validity, uid_next, modseq: as the index has them now */

/* The messages of a set as the client wrote it. By sequence: numbers beyond the view are BAD for the caller (`beyond`). By UID: what is not known is left out.
 * "*" is the largest known. Messages that the client knows but that are gone meanwhile are left out, and counted in `gone`.
 * The array is malloc'd, in rising order, the caller's. False: out of memory. */
bool view_collect(const struct view *view, struct sequence_set *set, bool uid, struct view_message **out, size_t *count, bool *beyond, size_t *gone);

/* Makes sure that the index has every change that was durable before this call, then done(). Cheap when nothing happened: no job (imapd/watch.h). */
void view_refresh(struct view *view, void (*done)(struct imap_session *s));
/* Tells the client the news: [EXPUNGE or VANISHED,] EXISTS, FETCH of changed flags (with UID and MODSEQ where enabled), FLAGS when keywords are new. */
void view_tell(struct view *view, bool expunges_allowed);
/* Is there anything to tell? */
bool view_has_news(const struct view *view);
/* Changes this session made itself and has answered already (STORE): not told again. Rows are patched into the index; told are the rising UIDs with their new flags. */
void view_own_change(struct view *view, uint64_t modseq);

/* Flags as text: "(\Seen $label1)"; \Recent never. False when out is full. */
bool view_write_flags(const struct view *view, uint64_t flags, struct buffer *out);
/* "* FLAGS (...)" and "* OK [PERMANENTFLAGS (...)]" */
void view_write_flag_lists(struct view *view);

#endif
