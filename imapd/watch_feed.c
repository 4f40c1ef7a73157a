/* Loading and refreshing the indexes of an account: jobs, and the views that wait for them (imapd/watch.h). */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "imapd/news.h"
#include "imapd/watch_private.h"

#include <stdlib.h>
#include <string.h>

/* --- who waits --- */

void wait_add(struct view **list, struct view *view)
{
	CHECK(view->wait_link == NULL);
	while (*list != NULL)
		list = &(*list)->wait_next;
	view->wait_next = NULL;
	view->wait_link = list;
	*list = view;
}

void wait_remove(struct view *view)
{
	if (view->wait_link == NULL)
		return;
	*view->wait_link = view->wait_next;
	if (view->wait_next != NULL)
		view->wait_next->wait_link = view->wait_link;
	view->wait_link = NULL;
	view->wait_next = NULL;
}

/* The view begins with what the index has now. */
static bool attach(struct view *view, struct error *err)
{
	struct index *index = view->index;

	if (index->deleted)
		return error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	if (!news_begin(view))
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	view->next = index->views;
	view->link = &index->views;
	if (view->next != NULL)
		view->next->link = &view->next;
	index->views = view;
	return true;
}

static void end_opening(struct view *view, const struct error *err)
{
	void (*opened)(struct imap_session *, struct view *, const struct error *) = view->on_opened;
	struct imap_session *s = view->session;
	struct error own;

	view->on_opened = NULL;
	if (err == NULL && !attach(view, &own))
		err = &own;
	if (err != NULL || s->closing || s->ended)
		view_close(&view);
	if (!s->closing && !s->ended)
		opened(s, view, err);
	session_release(s);
}

void wait_end(struct view *view, const struct error *err)
{
	void (*refreshed)(struct imap_session *, const struct error *) = view->on_refreshed;
	struct error own;

	if (err == NULL && view->index->behind && !view->index->deleted) {
		error_set(&own, ERR_TEMPORARY, "the mailbox cannot be read now");
		err = &own;
	}
	wait_remove(view);
	if (view->on_opened != NULL) {
		end_opening(view, err);
		return;
	}
	view->on_refreshed = NULL;
	refreshed(view->session, err);
}

static void end_all(struct view **list, const struct error *err)
{
	while (*list != NULL)
		wait_end(*list, err);
}

/* --- applying --- */

uint64_t account_known(const struct watch_account *account)
{
	uint64_t known = UINT64_MAX;

	for (const struct index *index = account->indexes; index != NULL; index = index->next)
		if (index->users > 0 && index->modseq > 0 && index->modseq < known)
			known = index->modseq;
	return known;
}

/* A bit that has another name now is told anew. */
static void forget_told_names(struct watch_account *account, const struct keyword_list *fresh)
{
	uint64_t other = 0;

	for (unsigned i = 0; i < FLAG_KEYWORD_COUNT; i++)
		if (!span_equal(account->keywords.names[i], fresh->names[i]))
			other |= (uint64_t)1 << (FLAG_KEYWORD_FIRST + i);
	for (struct index *index = account->indexes; index != NULL; index = index->next)
		for (struct view *view = index->views; view != NULL; view = view->next)
			view->told_keywords &= ~other;
}

/* Takes the list when it is newer. */
static void take_keywords(struct watch_account *account, struct keyword_list *fresh)
{
	if (fresh->version <= account->keywords.version)
		return;
	forget_told_names(account, fresh);
	keyword_list_free(&account->keywords);
	account->keywords = *fresh;
	memset(fresh, 0, sizeof(*fresh));
}

static const struct mailbox_changes *changes_of(const struct account_changes *changes, int64_t mailbox_id)
{
	for (size_t i = 0; i < changes->count; i++)
		if (changes->mailboxes[i].mailbox_id == mailbox_id)
			return &changes->mailboxes[i];
	return NULL;
}

/* Nobody is behind the slowest view. */
static void drop_old_events(struct index *index)
{
	uint64_t least = index_events_end(index);

	for (const struct view *view = index->views; view != NULL; view = view->next) {
		least = view->gone.event < least ? view->gone.event : least;
		least = view->flags.event < least ? view->flags.event : least;
	}
	index_drop_events(index, least);
}

void feed_apply(struct watch_account *account, uint64_t since, struct account_changes *changes, int64_t started)
{
	struct index *next;

	/* an index that stays behind has bits that the new list has other names for: it is not used before it is read */
	if (account->hinted < changes->modseq)
		account->hinted = changes->modseq;
	take_keywords(account, &changes->keywords);
	for (struct index *index = account->indexes; index != NULL; index = next) {
		next = index->next;
		if (!index_patch(index, since, changes->modseq, changes_of(changes, index->mailbox_id))) {
			account->stamp = 0; /* the next look finds that it is not known */
			continue;
		}
		if (index->checked_at < started)
			index->checked_at = started;
		drop_old_events(index);
		watch_recount(account->watch, index);
		if (index->deleted && index->users == 0)
			index_forget(index);
	}
	watch_evict(account->watch);
}

void feed_tell_idle(struct watch_account *account)
{
	if (account->idle == 0)
		return;
	for (struct index *index = account->indexes; index != NULL; index = index->next) {
		struct view *next;

		for (struct view *view = index->views; view != NULL; view = next) {
			next = view->next;
			if (view->on_news != NULL && view_has_news(view))
				view->on_news(view->session);
		}
	}
}

/* --- feeds --- */

static void run_feed(struct worker_job *job)
{
	struct watch_account *feed = container_of(job, struct watch_account, feed_job);
	struct store *store = feed->watch->server->store;
	struct account *account;

	feed->feed_stamp = store_account_stamp(store, feed->id);
	if (!account_open(store, feed->id, &account, &feed->feed_error))
		return;
	(void)account_changes(account, feed->feed_since, 0, &feed->changes, &feed->feed_error);
	account_release(&account);
}

/* Too long ago for the change feed: what is in use is read anew, what is kept is dropped. True: there is something to wait for. */
static bool reload(struct watch_account *account)
{
	struct index *next;
	bool loads = false;

	for (struct index *index = account->indexes; index != NULL; index = next) {
		next = index->next;
		if (index->load != NULL)
			loads = loads || index->users > 0;
		else if (index->modseq > account->feed_since)
			continue;
		else if (index->users == 0)
			index_forget(index);
		else if (load_start(index))
			loads = true;
		else
			index->behind = true;
	}
	return loads;
}

static void end_feed(struct watch_account *account, const struct error *err)
{
	struct view *waiting = account->now;

	account->now = account->later;
	if (account->now != NULL)
		account->now->wait_link = &account->now;
	account->later = NULL;
	if (waiting != NULL)
		waiting->wait_link = &waiting;
	if (account->now != NULL)
		feed_start(account);
	end_all(&waiting, err);
	feed_tell_idle(account);
}

static void on_fed(struct worker_job *job)
{
	struct watch_account *account = container_of(job, struct watch_account, feed_job);
	const struct error *err = account->feed_error.code == ERR_NONE ? NULL : &account->feed_error;

	account->feeding = false;
	if (err == NULL) {
		account->stamp = account->feed_stamp;
		feed_apply(account, account->feed_since, &account->changes, account->feed_started);
		account_changes_free(&account->changes);
		end_feed(account, NULL);
		if (account->hinted > account->feed_hinted) /* a hint that came meanwhile started no feed */
			feed_if_idle(account);
	} else if (err->code != ERR_CONFLICT || !reload(account)) {
		struct error copy = *err;

		LOG(LOG_WARNING, "imap.refresh_failed", LOG_NUMBER("account", account->id), LOG_FAILURE(err));
		end_feed(account, &copy);
	}
	account->busy--;
	account_release_if_unused(account);
}

void feed_start(struct watch_account *account)
{
	CHECK(!account->feeding);
	account->feed_since = account_known(account);
	account->feed_hinted = account->hinted;
	account->feed_started = clock_mono_ms();
	account->feeding = true;
	account->busy++;
	error_clear(&account->feed_error);
	account->feed_job = (struct worker_job) { .run = run_feed, .done = on_fed, .lane = WORKER_READ };
	worker_submit(account->watch->server->pool, &account->feed_job);
}

/* --- loads --- */

static void run_load(struct worker_job *job)
{
	struct index_load *load = container_of(job, struct index_load, job);
	const struct watch_account *owner = load->index->account;
	struct store *store = owner->watch->server->store;
	struct account *account;

	load->stamp = store_account_stamp(store, owner->id);
	if (!account_open(store, owner->id, &account, &load->error))
		return;
	(void)mailbox_snapshot(account, load->index->mailbox_id, &load->snapshot, &load->error);
	account_release(&account);
}

static bool is_loading(const struct watch_account *account)
{
	for (const struct index *index = account->indexes; index != NULL; index = index->next)
		if (index->load != NULL)
			return true;
	return false;
}

static void take_snapshot(struct index *index, struct index_load *load)
{
	struct watch_account *account = index->account;

	index_load(index, &load->snapshot);
	index->checked_at = load->started;
	if (account->indexes == index && index->next == NULL)
		account->stamp = load->stamp;
	/* names newer than the other indexes' rows: these are brought up to date before they are used again */
	if (load->snapshot.keywords.version > account->keywords.version && load->snapshot.modseq > account->hinted)
		account->hinted = load->snapshot.modseq;
	take_keywords(account, &load->snapshot.keywords);
}

static void on_loaded(struct worker_job *job)
{
	struct index_load *load = container_of(job, struct index_load, job);
	struct index *index = load->index;
	struct watch_account *account = index->account;
	const struct error *err = load->error.code == ERR_NONE ? NULL : &load->error;
	struct view *waiting = index->waiting;

	index->load = NULL;
	index->waiting = NULL;
	if (waiting != NULL)
		waiting->wait_link = &waiting;
	if (err == NULL)
		take_snapshot(index, load);
	else if (err->code == ERR_NO_SUCH_MAILBOX)
		index->deleted = true;
	else
		index->behind = true;
	index->users++; /* it stays while the callbacks run */
	watch_recount(account->watch, index);
	end_all(&waiting, err);
	if (!account->feeding && !is_loading(account) && (account->now != NULL || account->later != NULL))
		/* a feed that found it too old waits: each of its views for its own index */
		end_feed(account, NULL);
	else
		feed_tell_idle(account);
	feed_if_idle(account); /* the snapshot may have told what its hint will not tell again */
	index_drop_user(index);
	mailbox_snapshot_free(&load->snapshot);
	free(load);
	account->busy--;
	account_release_if_unused(account);
}

bool load_start(struct index *index)
{
	struct index_load *load = calloc(1, sizeof(*load));

	if (load == NULL)
		return false;
	load->index = index;
	load->started = clock_mono_ms();
	load->job = (struct worker_job) {
		.run = run_load,
		.done = on_loaded,
		.lane = WORKER_READ,
		.key = account_reading_key(index->account->id, (uint64_t)index->mailbox_id),
	};
	index->load = load;
	index->account->busy++;
	worker_submit(index->account->watch->server->pool, &load->job);
	return true;
}
