/* imapd/view.h — the selected mailbox as one client knows it: its sequence numbers, and what it has still to be told.
 *
 * Two things: the index (imapd/index.h) is what the mailbox is now, one per mailbox and process, shared by all views and patched from
 * the change feed (imapd/watch.h); the view is which UIDs this client was told of, in order (imapd/known.h), and how far it has been told of
 * what happened (imapd/news.h). A thousand idle sessions on a mailbox share index and UIDs, so they cost little.
 * Only view_tell() changes what the client knows, and only where the command allows it:
 * EXPUNGE or VANISHED never inside FETCH, STORE, SEARCH by sequence number (RFC 9051 §7.5.1); EXISTS and FETCH always.
 * A mailbox that another session deletes: the sessions that have it selected get BYE when they are next told something; who deletes his own
 * is told [CLOSED] and has none selected. A renamed one stays what it is.
 * Thread: the loop's. Jobs get copies (view_collect). */
#ifndef IMAPD_VIEW_H
#define IMAPD_VIEW_H

#include "imapd/known.h"
#include "imapd/sequence_set.h"
#include "imapd/session.h"
#include "storage/mailbox.h"

#define VIEW_OWN_MAX 8 /* modseqs of own changes in one command; one too many, and its changes are told twice */

/* UIDs in rising order: "$" (RFC 5182). Messages that are gone leave it by themselves: view_collect() does not find them. */
struct uid_list {
	unsigned refs;
	uint32_t count, capacity;
	uint32_t uids[];
};

struct index; /* imapd/index.h */

/* How far one kind of news is told: all events before `event`; while `comparing`, events were missed and rows are compared from UID `from` on. */
struct news_place {
	uint64_t event;
	bool comparing;
	uint32_t from;
};

struct view {
	struct imap_session *session;
	struct view *next, **link; /* all views of the index */
	struct index *index;
	bool read_only; /* EXAMINE */

	/* what the client knows */
	struct known known;
	uint64_t epoch; /* while it is the index's, the n-th known is the n-th row */
	uint32_t told_uid_next;
	struct news_place gone, flags;
	uint64_t told_modseq;      /* flags up to here are told */
	uint64_t told_gone_modseq; /* expunges up to here are told */
	uint64_t told_keywords;    /* bits whose names it has seen in FLAGS */
	uint64_t
	        own[VIEW_OWN_MAX]; /* modseqs of this session's own changes, which its commands have answered already */
	unsigned own_count;
	uint64_t own_last; /* the highest of them ever */
	bool lowered; /* was told a HIGHESTMODSEQ below what it has seen (RFC 7162 §3.2) */

	/* waits for the index to be loaded or refreshed (imapd/watch.h) */
	struct view *wait_next, **wait_link;
	void (*on_refreshed)(struct imap_session *s, const struct error *failed);
	void (*on_opened)(struct imap_session *s, struct view *view, const struct error *err);

	void (*on_news)(struct imap_session *s); /* IDLE: called when there is something to tell */
};

/* One message for a job: all that the index knows. */
struct view_message {
	uint32_t sequence;      /* this client's */
	struct message_row row; /* uid, size, message_id, flags, modseq: as the index has it now */
};

/* Opens asynchronously, perhaps at once (reads the index when it is not in memory, refreshes it when it is); done gets the view or an error. When
 * the session ends meanwhile done is not called. */
void view_open(struct imap_session *s, int64_t mailbox_id, bool read_only,
        void (*done)(struct imap_session *s, struct view *view, const struct error *err));
void view_close(struct view **view);

uint32_t view_count(const struct view *view);                  /* sequence numbers go from 1 to this */
uint32_t view_uid(const struct view *view, uint32_t sequence); /* CHECKs the range */
bool view_sequence(const struct view *view, uint32_t uid, uint32_t *sequence);
const struct mailbox_info *view_info(
        const struct view *view); /* id, uid_validity, uid_next, modseq: as the index has them now */

/* The messages of a set as the client wrote it. By sequence: numbers beyond the view are BAD for the caller (`beyond`). By UID: what is not known is left out.
 * "*" is the largest known. Messages that the client knows but that are gone meanwhile are left out, and counted in `gone`.
 * The array is malloc'd, in rising order, the caller's. False: out of memory. */
bool view_collect(const struct view *view, struct sequence_set *set, bool uid, struct view_message **out, size_t *count,
        bool *beyond, size_t *gone);

/* Puts the removal of all that has \Deleted into the batch, as far as the index knows: after view_refresh(). False: out of memory. */
bool view_expunge_deleted(const struct view *view, struct batch *batch);

/* Makes sure that the index has every change that anybody was told of before this call, then done(), perhaps at once. Cheap when nothing
 * happened: no job (imapd/watch.h). failed: NULL, or why changes may be missing (disk, memory); the index is then as it was at an earlier
 * moment, and the next refresh tries again. */
void view_refresh(struct view *view, void (*done)(struct imap_session *s, const struct error *failed));
/* After a refresh that failed: is the index what the mailbox was at one moment, names of keywords too, and after all that this session has
 * done itself? */
bool view_is_whole(const struct view *view);
void view_forget_refresh(struct view *view); /* done() is not called */
/* Tells the client the news: [EXPUNGE or VANISHED,] FETCH of changed flags (with UID, and MODSEQ where enabled), EXISTS, FLAGS when keywords are new. What
 * does not fit into the output queue now is told the next time. The view may be gone afterwards (its mailbox was deleted). */
void view_tell(struct view *view, bool expunges_allowed);
/* Is there anything to tell? */
bool view_has_news(struct view *view);
/* IDLE: on_news() comes from the loop whenever there may be something to tell; NULL: no more. */
void view_listen(struct view *view, void (*on_news)(struct imap_session *s));
/* modseq: that of rows which this session has changed itself and has answered (STORE), or answers below: not told again. Only of a batch that
 * changed something: take it from a flags_row that is `changed`. */
void view_own_change(struct view *view, uint64_t modseq);

/* Flags as text: "(\Seen $label1)"; \Recent never. False when out is full. */
bool view_write_flags(const struct view *view, uint64_t flags, struct buffer *out);
/* "* FLAGS (...)" and "* OK [PERMANENTFLAGS (...)]" */
void view_write_flag_lists(struct view *view);
/* The same, if the client has not seen the names of all these bits yet. */
void view_tell_keywords(struct view *view, uint64_t flags);
/* The bit of a keyword, by name without regard to case; false: no message of the account has it. */
bool view_keyword_bit(const struct view *view, struct span name, uint64_t *bit);

/* What the client may be told as HIGHESTMODSEQ now, news not yet told left aside. */
uint64_t view_highest_modseq(const struct view *view);
/* A CONDSTORE enabling command (RFC 7162 §3.1): the first one tells HIGHESTMODSEQ when a mailbox is selected. */
void session_enable_condstore(struct imap_session *s);

#endif
