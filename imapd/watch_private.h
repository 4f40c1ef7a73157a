/* imapd/watch_private.h — what watch.c (the table, what is kept), watch_hint.c (hints, looks) and watch_feed.c (jobs that load and refresh) share. */
#ifndef IMAPD_WATCH_PRIVATE_H
#define IMAPD_WATCH_PRIVATE_H

#include "imapd/watch.h"

#define WATCH_BUCKETS 4096 /* a power of two */

struct watch_account {
	struct watch *watch;
	struct watch_account *next, **link; /* in its bucket */
	int64_t id;
	struct index *indexes;
	struct keyword_list keywords; /* as new as the newest rows of the indexes */
	uint64_t hinted;              /* the highest modseq that was heard of */
	unsigned idle;                /* views with on_news */
	unsigned busy;                /* jobs and callbacks that need it */
	uint64_t stamp; /* of its file, before all its indexes were last brought up to date; 0: not known */

	/* the one feed under way, and who waits for it, or for the next */
	bool feeding;
	struct worker_job feed_job;
	uint64_t feed_since, feed_hinted;
	int64_t feed_started;
	struct account_changes changes;
	struct error feed_error;
	uint64_t feed_stamp;
	struct view *now, *later;
};

struct index_load {
	struct worker_job job;
	struct index *index;
	struct mailbox_snapshot snapshot;
	struct error error;
	int64_t started;
	uint64_t stamp;
};

struct look;

struct watch {
	struct imap_server *server;
	struct watch_account *buckets[WATCH_BUCKETS];
	struct index *kept, **kept_last; /* indexes without users */
	size_t memory, memory_max;       /* of all indexes */
	unsigned idle;                   /* views with on_news */
	int socket;                      /* -1: no hints */
	unsigned queue;                  /* hints that it holds at least */
	char name[32];
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles;
	int64_t lost_at; /* hints may have been lost before this; 0: never */
	bool looks_soon;
	struct look *look; /* is under way */
};

/* watch.c */
void account_release_if_unused(struct watch_account *account);
void watch_recount(struct watch *watch, struct index *index);
void watch_evict(struct watch *watch);
void index_forget(struct index *index);    /* no users: out of the account, freed */
void index_drop_user(struct index *index); /* the last one: it is kept, or forgotten */

/* watch_hint.c */
bool hints_open(struct watch *watch, struct error *err);
void hints_close(struct watch *watch);
void hints_drain(struct watch *watch);
/* Reads what was heard of and is not known yet, when somebody idles and no feed is under way. */
void feed_if_idle(struct watch_account *account);
/* A look at the files, every WATCH_LOOK_MS while there are idle views. */
void hints_look_or_not(struct watch *watch);

/* watch_feed.c */
void feed_start(struct watch_account *account);
void feed_apply(struct watch_account *account, uint64_t since, struct account_changes *changes, int64_t started);
void feed_tell_idle(struct watch_account *account);
bool load_start(struct index *index);
uint64_t account_known(const struct watch_account *account); /* of indexes in use; UINT64_MAX: none */
void wait_add(struct view **list, struct view *view);
void wait_remove(struct view *view);
/* Calls back. err NULL: all is well, unless the view's own index is behind. */
void wait_end(struct view *view, const struct error *err);

#endif
