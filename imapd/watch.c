#include "imapd/watch.h"

#include "base/check.h"
#include "base/clock.h"
#include "imapd/watch_private.h"

#include <stdlib.h>

/* --- the table --- */

static struct watch_account **bucket_of(struct watch *watch, int64_t id)
{
	return &watch->buckets[(uint64_t)id % WATCH_BUCKETS];
}

static struct watch_account *find(struct watch *watch, int64_t id)
{
	struct watch_account *account = *bucket_of(watch, id);

	while (account != NULL && account->id != id)
		account = account->next;
	return account;
}

static struct watch_account *find_or_make(struct watch *watch, int64_t id)
{
	struct watch_account **bucket = bucket_of(watch, id), *account = find(watch, id);

	if (account != NULL)
		return account;
	account = calloc(1, sizeof(*account));
	if (account == NULL)
		return NULL;
	account->watch = watch;
	account->id = id;
	account->next = *bucket;
	account->link = bucket;
	if (account->next != NULL)
		account->next->link = &account->next;
	*bucket = account;
	return account;
}

void account_release_if_unused(struct watch_account *account)
{
	if (account->indexes != NULL || account->busy > 0)
		return;
	CHECK(account->now == NULL && account->later == NULL);
	*account->link = account->next;
	if (account->next != NULL)
		account->next->link = account->link;
	keyword_list_free(&account->keywords);
	free(account);
}

/* --- indexes --- */

static struct index *index_of(struct watch_account *account, int64_t mailbox_id)
{
	struct index *index = account->indexes;

	while (index != NULL && (index->mailbox_id != mailbox_id || index->deleted))
		index = index->next;
	return index;
}

static struct index *index_make(struct watch_account *account, int64_t mailbox_id)
{
	struct index *index = calloc(1, sizeof(*index));

	if (index == NULL)
		return NULL;
	index->mailbox_id = mailbox_id;
	index->account = account;
	index->latest_epoch = UINT64_MAX;
	index->next = account->indexes;
	index->link = &account->indexes;
	if (index->next != NULL)
		index->next->link = &index->next;
	account->indexes = index;
	return index;
}

static void unkeep(struct index *index)
{
	struct watch *watch = index->account->watch;

	if (index->kept_link == NULL)
		return;
	*index->kept_link = index->kept_next;
	if (index->kept_next != NULL)
		index->kept_next->kept_link = index->kept_link;
	else
		watch->kept_last = index->kept_link;
	index->kept_link = NULL;
	index->kept_next = NULL;
}

/* The one used last stands last. */
static void keep(struct index *index)
{
	struct watch *watch = index->account->watch;

	index->kept_next = NULL;
	index->kept_link = watch->kept_last;
	*watch->kept_last = index;
	watch->kept_last = &index->kept_next;
}

void index_forget(struct index *index)
{
	struct watch *watch = index->account->watch;

	CHECK(index->users == 0 && index->load == NULL && index->waiting == NULL);
	unkeep(index);
	*index->link = index->next;
	if (index->next != NULL)
		index->next->link = index->link;
	watch->memory -= index->counted;
	index_free(&index);
}

void watch_recount(struct watch *watch, struct index *index)
{
	watch->memory -= index->counted;
	index->counted = index_memory(index);
	watch->memory += index->counted;
}

void watch_evict(struct watch *watch)
{
	while (watch->memory > watch->memory_max && watch->kept != NULL) {
		struct watch_account *account = watch->kept->account;

		index_forget(watch->kept);
		account_release_if_unused(account);
	}
}

void index_drop_user(struct index *index)
{
	struct watch *watch = index->account->watch;

	CHECK(index->users > 0);
	if (--index->users > 0 || index->load != NULL)
		return;
	if (index->modseq == 0 || index->deleted) {
		index_forget(index);
		return;
	}
	index_drop_events(index, index_events_end(index));
	watch_recount(watch, index);
	keep(index);
}

/* --- views --- */

static bool was_asked_lately(const struct watch *watch, int64_t asked_at)
{
	return asked_at > watch->lost_at && clock_mono_ms() - asked_at < WATCH_TRUST_MS;
}

static bool is_current(const struct index *index)
{
	return index->account->hinted <= index->modseq && was_asked_lately(index->account->watch, index->checked_at);
}

/* The feed under way began after all that was heard of until now. */
static bool feed_will_do(const struct watch_account *account)
{
	return account->feed_hinted >= account->hinted && was_asked_lately(account->watch, account->feed_started);
}

void watch_refresh(struct view *view)
{
	struct watch_account *account = view->index->account;

	hints_drain(account->watch);
	if (view->index->deleted || is_current(view->index)) {
		wait_end(view, NULL);
		return;
	}
	if (!account->feeding && account->now == NULL)
		feed_start(account);
	wait_add(feed_will_do(account) ? &account->now : &account->later, view);
}

/* An index that was kept may stand before what the feed under way began with. */
static void refresh_kept(struct view *view)
{
	struct watch_account *account = view->index->account;

	if (account->feeding && account->feed_since > view->index->modseq)
		wait_add(&account->later, view);
	else
		watch_refresh(view);
}

static void fail_open(struct view *view)
{
	struct error err;

	error_set(&err, ERR_NO_MEMORY, "out of memory");
	wait_end(view, &err);
}

void watch_open(struct view *view, int64_t mailbox_id)
{
	struct watch *watch = view->session->server->watch;
	struct watch_account *account = find_or_make(watch, view->session->account_id);
	struct index *index = account == NULL ? NULL : index_of(account, mailbox_id);

	if (account != NULL && index == NULL)
		index = index_make(account, mailbox_id);
	if (index == NULL) {
		if (account != NULL)
			account_release_if_unused(account);
		fail_open(view);
		return;
	}
	view->index = index;
	unkeep(index);
	index->users++;
	if (index->modseq > 0 && index->load == NULL) {
		refresh_kept(view);
	} else if (index->load != NULL || load_start(index)) {
		wait_add(&index->waiting, view);
	} else {
		fail_open(view);
	}
}

void watch_forget(struct view *view)
{
	wait_remove(view);
}

void watch_close(struct view *view)
{
	struct index *index = view->index;
	struct watch_account *account;

	wait_remove(view);
	if (index == NULL)
		return;
	account = index->account;
	if (view->link != NULL) {
		*view->link = view->next;
		if (view->next != NULL)
			view->next->link = view->link;
	}
	view->index = NULL;
	account->busy++;
	index_drop_user(index);
	watch_evict(account->watch);
	account->busy--;
	account_release_if_unused(account);
}

void watch_listen(struct view *view, bool listens)
{
	struct watch_account *account = view->index->account;
	struct watch *watch = account->watch;

	account->idle = listens ? account->idle + 1 : account->idle - 1;
	watch->idle = listens ? watch->idle + 1 : watch->idle - 1;
	hints_look_or_not(watch);
}

const struct keyword_list *watch_keywords(const struct index *index)
{
	return &index->account->keywords;
}

/* --- commits --- */

bool watch_wants_changes(struct watch *watch, int64_t account_id, uint64_t *since)
{
	struct watch_account *account = find(watch, account_id);

	*since = account == NULL ? UINT64_MAX : account_known(account);
	return *since != UINT64_MAX;
}

void watch_take_changes(struct watch *watch, int64_t account_id, const struct watch_changes *news)
{
	struct watch_account *account = find(watch, account_id);

	if (account == NULL)
		return;
	if (account->hinted < news->modseq)
		account->hinted = news->modseq;
	account->busy++;
	if (news->changes != NULL) {
		feed_apply(account, news->since, news->changes, news->started);
		feed_tell_idle(account);
	}
	feed_if_idle(account); /* what could not be read with the commit, or not be applied */
	account->busy--;
	account_release_if_unused(account);
}

/* --- begin and end --- */

bool watch_new(struct imap_server *server, struct watch **out, struct error *err)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	watch->server = server;
	watch->kept_last = &watch->kept;
	watch->memory_max = (size_t)server->settings.index_memory * MIB;
	if (!hints_open(watch, err)) {
		free(watch);
		return false;
	}
	*out = watch;
	return true;
}

void watch_free(struct watch **watch_ptr)
{
	struct watch *watch = *watch_ptr;

	if (watch == NULL)
		return;
	watch->memory_max = 0;
	watch_evict(watch);
	CHECK(watch->look == NULL && watch->memory == 0);
	hints_close(watch);
	*watch_ptr = NULL;
}
