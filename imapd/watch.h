/* imapd/watch.h — what this process knows of the accounts that its sessions have mailboxes selected of, and how it learns of changes.
 *
 *   other process: commit -> hint into our socket (storage/notify.h) --\
 *   this process:  session_commit() -> changes read by the same job ----+--> patch the account's indexes -> IDLE is told
 *   every 10 s, for accounts with IDLE: are their files as they were? --/
 *
 * Why a command sees all that was durable before it: a process tells its client of a commit only after it has put the hint into our
 * socket (account_commit() returns after notifier_tell()). So whatever a client can know of, our socket has, and
 * watch_refresh() empties the socket before it decides that nothing has happened. Hints may be lost: when the socket's queue was full (seen: as many were
 * read at once as it holds), or when a process was killed between commit and hint. So without a hint the account is asked all the same when it
 * has not been for WATCH_TRUST_MS, and the files of idle ones are looked at every WATCH_LOOK_MS.
 *
 * An index without views is kept for the next SELECT, as long as all indexes together stay below settings.index_memory; those used
 * longest ago go first. Accounts are in the table while they have indexes or jobs. Thread: the loop's. */
#ifndef IMAPD_WATCH_H
#define IMAPD_WATCH_H

#include "imapd/index.h"
#include "imapd/view.h"

#define WATCH_TRUST_MS 1000
#define WATCH_LOOK_MS  10000
#define WATCH_LOST_MS  100 /* after hints may have been lost, the files of idle accounts are looked at so soon */

struct watch;
struct watch_account;

/* Listens for hints under a name of this process. *out is the server's; settings, loop, pool and store are set. */
bool watch_new(struct imap_server *server, struct watch **out, struct error *err);
/* No session has a view and the pool is idle or freed. The memory goes in a later turn of the loop. */
void watch_free(struct watch **watch);

/* For view.c. The view's on_opened or on_refreshed is called, perhaps at once. */
void watch_open(struct view *view, int64_t mailbox_id);
void watch_refresh(struct view *view);
void watch_forget(struct view *view); /* it waits no more */
void watch_close(struct view *view);
void watch_listen(struct view *view, bool listens); /* its on_news came or went */
const struct keyword_list *watch_keywords(const struct index *index);

/* For a job that commits: changes since this modseq are wanted; false: nobody has a mailbox of the account. */
bool watch_wants_changes(struct watch *watch, int64_t account_id, uint64_t *since);
/* What came of it. */
struct watch_changes {
	uint64_t modseq;                 /* of the commit */
	uint64_t since;                  /* changes after this were read, */
	int64_t started;                 /* after this time (clock_mono_ms()) */
	struct account_changes *changes; /* NULL: could not be read, and are asked for when they are needed */
};
void watch_take_changes(struct watch *watch, int64_t account_id, const struct watch_changes *news);

#endif
