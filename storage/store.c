#include "storage/store.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "storage/account.h"
#include "storage/notify.h"
#include "storage/reserve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STAMP_SETTLES_MS 100 /* ten ticks of the slowest clock */

static const char *const site_dirs[] = { "", "/accounts", "/spool", "/run", "/run/notify" };

static bool make_site_dirs(const char *data_dir, struct error *err)
{
	char path[DATABASE_PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(site_dirs); i++) {
		snprintf(path, sizeof(path), "%s%s", data_dir, site_dirs[i]);
		if (!file_make_dir(path, 0700, err))
			return false;
	}
	return file_sync_dir(data_dir, err);
}

static bool store_init(struct store *store, const struct store_settings *settings, struct error *err)
{
	snprintf(store->data_dir, sizeof(store->data_dir), "%s", settings->data_dir);
	store->accounts_max = settings->accounts_max > 0 ? settings->accounts_max : STORE_ACCOUNTS_DEFAULT;
	store->keep_expunged_days = settings->keep_expunged_days;
	pthread_mutex_init(&store->mutex, NULL);
	pthread_condattr_init(&store->monotonic);
	pthread_condattr_setclock(&store->monotonic, CLOCK_MONOTONIC);
	if (!make_site_dirs(store->data_dir, err))
		return false;
	store->notifier = notifier_new(store->data_dir);
	store->reserve = reserve_new(store->data_dir);
	if (store->notifier == NULL || store->reserve == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return true;
}

bool store_open(const struct store_settings *settings, struct store **out, struct error *err)
{
	struct store *store;

	*out = NULL;
	if (strlen(settings->data_dir) >= sizeof(store->data_dir))
		return error_detail(err, ERR_TOO_LONG, "data directory: %.200s", settings->data_dir);
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (!store_init(store, settings, err)) {
		store_close(&store);
		return false;
	}
	*out = store;
	return true;
}

static void account_free(struct account *account)
{
	database_close(&account->database);
	free(account);
}

void store_close(struct store **store)
{
	struct store *gone = *store;

	if (gone == NULL)
		return;
	while (gone->accounts != NULL) {
		struct account *account = gone->accounts;

		CHECK(!account->in_use);
		gone->accounts = account->next;
		account_free(account);
	}
	notifier_free(&gone->notifier);
	reserve_free(&gone->reserve);
	pthread_condattr_destroy(&gone->monotonic);
	pthread_mutex_destroy(&gone->mutex);
	free(gone);
	*store = NULL;
}

const char *store_data_dir(const struct store *store)
{
	return store->data_dir;
}

/* Files carry the time of the last tick, so two commits in one tick look the same. Of a file from the future nobody knows. */
static bool is_young(const struct timespec *written)
{
	int64_t at = (int64_t)written->tv_sec * 1000 + written->tv_nsec / 1000000;

	return clock_wall_ms() - at < STAMP_SETTLES_MS;
}

static bool stamp_of(const struct store *store, int64_t account_id, const char *file, uint64_t *stamp)
{
	char path[DATABASE_PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/accounts/%" PRId64 "/%s", store->data_dir, account_id, file);
	if (stat(path, &st) != 0 || st.st_size == 0)
		return false;
	if (is_young(&st.st_mtim))
		return true; /* 0 */
	*stamp = ((uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec) * 31 + (uint64_t)st.st_size;
	return true;
}

/* Commits go into the write-ahead log, which stays beside the file: the file itself changes at checkpoints. */
uint64_t store_account_stamp(const struct store *store, int64_t account_id)
{
	uint64_t stamp = 0;

	if (!stamp_of(store, account_id, "mail.db-wal", &stamp))
		(void)stamp_of(store, account_id, "mail.db", &stamp);
	return stamp;
}

/* The list functions are called with the mutex held. */
static struct account *list_find(struct store *store, int64_t id)
{
	struct account *account = store->accounts;

	while (account != NULL && account->id != id)
		account = account->next;
	return account;
}

static void list_remove(struct store *store, struct account *account)
{
	struct account **at = &store->accounts;

	while (*at != account)
		at = &(*at)->next;
	*at = account->next;
	store->count--;
}

static void list_add_first(struct store *store, struct account *account)
{
	account->next = store->accounts;
	store->accounts = account;
	store->count++;
}

/* Takes the least recently used account that nobody has and that was last used before `since` off the list. */
static struct account *list_take_idle(struct store *store, int64_t since)
{
	struct account *idle = NULL;

	for (struct account *account = store->accounts; account != NULL; account = account->next) {
		if (!account->in_use && account->used_at < since)
			idle = account;
	}
	if (idle != NULL)
		list_remove(store, idle);
	return idle;
}

/* --- who waits for an account: first come, first served. The one who gives it back hands it to the next, so nobody who comes
 * later, or takes it again and again, gets in between. With the mutex held. --- */

static void line_add(struct account *account, struct waiter *waiter)
{
	struct waiter **link = &account->waiting;

	while (*link != NULL)
		link = &(*link)->next;
	*link = waiter;
}

static void line_leave(struct account *account, const struct waiter *waiter)
{
	struct waiter **link = &account->waiting;

	while (*link != waiter)
		link = &(*link)->next;
	*link = waiter->next;
}

static void hand_over(struct account *account)
{
	struct waiter *next = account->waiting;

	account->waiting = next->next;
	next->has_it = true;
	pthread_cond_signal(&next->turn); /* before the mutex is given back: then it may be gone */
}

/* An account that somebody waits for stays where it is. */
static bool wait_for_turn(struct store *store, struct account *account, struct error *err)
{
	struct waiter self = { .has_it = false };
	struct timespec deadline;
	int result = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += STORE_LOCK_WAIT_MS / 1000;
	pthread_cond_init(&self.turn, &store->monotonic);
	line_add(account, &self);
	while (!self.has_it && result != ETIMEDOUT)
		result = pthread_cond_timedwait(&self.turn, &store->mutex, &deadline);
	if (!self.has_it)
		line_leave(account, &self);
	pthread_cond_destroy(&self.turn);
	return self.has_it || error_detail(err, ERR_BUSY, "another thread holds the account");
}

static struct account *account_alloc(struct store *store, int64_t id, struct error *err)
{
	struct account *account = calloc(1, sizeof(*account));

	if (account == NULL) {
		error_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	account->store = store;
	account->id = id;
	account->tidied_at = clock_mono_ms();
	snprintf(account->path, sizeof(account->path), "%s/accounts/%" PRId64, store->data_dir, id);
	return account;
}

/* With the mutex held: the account's place in the list, ours from now on; *evicted is to be closed without the mutex. */
static struct account *take_place(struct store *store, int64_t id, struct account **evicted, struct error *err)
{
	struct account *account = list_find(store, id);

	if (account != NULL && account->in_use && !wait_for_turn(store, account, err))
		return NULL;
	if (account != NULL)
		list_remove(store, account);
	else if ((account = account_alloc(store, id, err)) == NULL)
		return NULL;
	else if (store->count >= store->accounts_max)
		*evicted = list_take_idle(store, INT64_MAX);
	account->in_use = true;
	list_add_first(store, account);
	return account;
}

bool account_check_constant(struct account *account, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	int64_t id;

	if (!database_query(account->database, MAIL_CONSTANT, NULL, 0, &rows, err))
		return false;
	step = database_step(account->database, rows, err);
	id = step == STEP_ROW ? sqlite3_column_int64(rows, 0) : 0;
	if (step == STEP_ROW && database_text(rows, 1).len == THREAD_KEY_LEN)
		memcpy(account->thread_key, database_text(rows, 1).ptr, THREAD_KEY_LEN);
	database_done(rows);
	if (step == STEP_FAILED)
		return false;
	if (step == STEP_DONE || id != account->id)
		return error_detail(err, ERR_DAMAGED, "%.200s is the file of another account", account->path);
	return true;
}

static bool connect_account(struct account *account, struct error *err)
{
	char path[DATABASE_PATH_MAX + 16];
	bool ok;

	if (account->database != NULL)
		return true;
	snprintf(path, sizeof(path), "%s/mail.db", account->path);
	if (access(account->path, F_OK) != 0 && errno == ENOENT)
		return error_detail(err, ERR_NO_SUCH_ACCOUNT, "%.200s is not there", account->path);
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return error_detail(err, ERR_DAMAGED, "%.200s is not there", path);
	ok = database_open(path, &mail_kind, false, &account->database, err);
	if (!ok && err->code == ERR_NO_SPACE && reserve_release(account->store->reserve))
		ok = database_open(path, &mail_kind, false, &account->database, err);
	if (!ok)
		return false;
	if (account_check_constant(account, err))
		return true;
	database_close(&account->database);
	return false;
}

bool account_open(struct store *store, int64_t account_id, struct account **out, struct error *err)
{
	struct account *evicted = NULL, *account;

	*out = NULL;
	if (account_id <= 0)
		return error_detail(err, ERR_NO_SUCH_ACCOUNT, "account %" PRId64, account_id);
	pthread_mutex_lock(&store->mutex);
	account = take_place(store, account_id, &evicted, err);
	pthread_mutex_unlock(&store->mutex);
	if (evicted != NULL)
		account_free(evicted);
	if (account == NULL)
		return false;
	*out = account;
	if (connect_account(account, err))
		return true;
	account_release(out);
	return false;
}

/* With the mutex held: nobody waits for it. Returns what is to be closed without the mutex, or NULL. */
static struct account *put_back(struct store *store, struct account *account)
{
	account->in_use = false;
	account->used_at = clock_mono_ms();
	if (account->database == NULL) {
		list_remove(store, account);
		return account;
	}
	return store->count > store->accounts_max ? list_take_idle(store, INT64_MAX) : NULL;
}

void account_release(struct account **account)
{
	struct account *given = *account, *gone = NULL;
	struct store *store;

	if (given == NULL)
		return;
	store = given->store;
	pthread_mutex_lock(&store->mutex);
	CHECK(given->in_use);
	if (given->waiting != NULL)
		hand_over(given);
	else
		gone = put_back(store, given);
	pthread_mutex_unlock(&store->mutex);
	if (gone != NULL)
		account_free(gone);
	*account = NULL;
}

int64_t account_id(const struct account *account)
{
	return account->id;
}

/* --- what grows old, while nobody wants the account --- */

static bool is_wanted(struct account *account)
{
	bool wanted;

	pthread_mutex_lock(&account->store->mutex);
	wanted = account->waiting != NULL;
	pthread_mutex_unlock(&account->store->mutex);
	return wanted;
}

static void tidy_while_unwanted(struct account *account)
{
	do {
		account_tidy(account);
	} while (account->has_rest && !is_wanted(account));
}

/* An account that nobody has, with more to free; each once since `started`. It is ours until account_release(). */
static struct account *take_unfinished(struct store *store, int64_t started)
{
	struct account *account;

	pthread_mutex_lock(&store->mutex);
	account = store->accounts;
	while (account != NULL && (account->in_use || !account->has_rest || account->tidied_at > started))
		account = account->next;
	if (account != NULL)
		account->in_use = true;
	pthread_mutex_unlock(&store->mutex);
	return account;
}

static void tidy_unfinished(struct store *store)
{
	int64_t started = clock_mono_ms();
	struct account *account;

	while ((account = take_unfinished(store, started)) != NULL) {
		tidy_while_unwanted(account);
		account_release(&account);
	}
}

void store_close_idle(struct store *store, int64_t idle_ms)
{
	int64_t since = clock_mono_ms() - idle_ms + 1;
	struct account *idle;

	tidy_unfinished(store);
	do {
		pthread_mutex_lock(&store->mutex);
		idle = list_take_idle(store, since);
		pthread_mutex_unlock(&store->mutex);
		if (idle != NULL && account_has_due(idle))
			tidy_while_unwanted(idle);
		if (idle != NULL)
			account_free(idle);
	} while (idle != NULL);
}
