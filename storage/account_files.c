/* Making and removing the directory of an account, and the lock of its maildrop. */
#include "storage/account.h"
#include "storage/batch.h"

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "storage/account_files.h"
#include "storage/write_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UID_VALIDITY_TOP (1u << 30) /* where a new account's counter may start; leaves 3 * 2^30 to count */

/* RFC 6154; in this order they get their ids, and INBOX the first UIDVALIDITY. */
static const struct {
	const char *name;
	enum special_use use;
} first_mailboxes[] = {
	{ "INBOX", USE_INBOX },
	{ "Drafts", USE_DRAFTS },
	{ "Sent", USE_SENT },
	{ "Archive", USE_ARCHIVE },
	{ "Junk", USE_JUNK },
	{ "Trash", USE_TRASH },
};

static void account_dir(const struct store *store, int64_t id, char *out, size_t size)
{
	snprintf(out, size, "%s/accounts/%" PRId64, store->data_dir, id);
}

/* An account that was removed and made again under one address must not meet the old UIDs in a client's cache, so
 * the counter of UIDVALIDITY starts anywhere. */
static bool write_first_rows(struct database *database, int64_t id, struct error *err)
{
	uint8_t key[THREAD_KEY_LEN];

	random_bytes(key, sizeof(key));
	return DATABASE_RUN(database, MAIL_ACCOUNT_NEW, err, V_INT(1 + random_below(UID_VALIDITY_TOP))) &&
	       DATABASE_RUN(database, MAIL_CONSTANT_NEW, err, V_INT(id), V_BLOB(span_make(key, sizeof(key))));
}

static bool make_first_mailboxes(struct account *account, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = batch != NULL;

	for (size_t i = 0; ok && i < ARRAY_LEN(first_mailboxes); i++) {
		struct span name = span_of(first_mailboxes[i].name);

		ok = batch_mailbox_create(batch, name, first_mailboxes[i].use) &&
		     batch_mailbox_subscribe(batch, name, true);
	}
	if (!ok)
		error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = ok && account_commit(account, &batch, 1, err);
	if (ok && batch_result(batch)->error.code != ERR_NONE) {
		*err = batch_result(batch)->error;
		ok = false;
	}
	batch_free(&batch);
	return ok;
}

/* There from the beginning, so that a login needs no inode when there is none left. */
static bool make_maildrop_lock(struct account *account, struct error *err)
{
	char path[DATABASE_PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/maildrop-lock", account->path);
	fd = write_lock_open(path, err);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool fill_account(struct account *account, struct error *err)
{
	char path[DATABASE_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/blobs", account->path);
	if (!file_make_dir(path, 0700, err) || !make_maildrop_lock(account, err))
		return false;
	snprintf(path, sizeof(path), "%s/mail.db", account->path);
	if (!database_open(path, &mail_kind, true, &account->database, err) || !database_begin(account->database, err))
		return false;
	if (!write_first_rows(account->database, account->id, err)) {
		database_rollback(account->database);
		return false;
	}
	if (!database_commit(account->database, err) || !make_first_mailboxes(account, err) ||
	        !database_checkpoint(account->database, err))
		return false;
	return file_sync_dir(account->path, err);
}

/* The account is made under another name and gets its own by one rename: it is there wholly or not at all. */
static bool build_account(struct store *store, int64_t id, const char *final, struct error *err)
{
	struct account account = { .store = store, .id = id };
	char parent[DATABASE_PATH_MAX];
	bool ok;

	snprintf(parent, sizeof(parent), "%s/accounts", store->data_dir);
	snprintf(account.path, sizeof(account.path), "%s/accounts/.new-%016" PRIx64, store->data_dir, random_u64());
	ok = file_make_dir(account.path, 0700, err) && fill_account(&account, err);
	database_close(&account.database);
	if (ok && rename(account.path, final) != 0) {
		ok = errno == ENOTEMPTY || errno == EEXIST; /* somebody else has made it meanwhile */
		if (!ok)
			error_errno(err, errno, "rename of a new account");
		remove_tree(account.path);
	} else if (!ok) {
		remove_tree(account.path);
	} else if (!file_sync_dir(parent, err)) {
		ok = false;
		if (rename(final, account.path) == 0)
			remove_tree(account.path);
	}
	return ok;
}

bool store_create_account(struct store *store, int64_t account_id, struct error *err)
{
	char path[DATABASE_PATH_MAX];

	if (account_id <= 0)
		return error_set(err, ERR_BAD_VALUE, "not an account number");
	account_dir(store, account_id, path, sizeof(path));
	if (access(path, F_OK) == 0)
		return true;
	return build_account(store, account_id, path, err);
}

static void remove_entries(DIR *dir)
{
	struct dirent *entry;

	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		unlinkat(dirfd(dir), entry->d_name, 0);
	}
}

/* accounts/<id>/blobs/xx/file is as deep as it gets. */
static void remove_level(int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (depth > 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			remove_level(dirfd(dir), entry->d_name, depth - 1);
	}
	rewinddir(dir);
	remove_entries(dir);
	closedir(dir);
	unlinkat(parent, name, AT_REMOVEDIR);
}

void remove_tree(const char *path)
{
	remove_level(AT_FDCWD, path, 2);
}

bool store_remove_account(struct store *store, int64_t account_id, struct error *err)
{
	char path[DATABASE_PATH_MAX], parent[DATABASE_PATH_MAX], gone[DATABASE_PATH_MAX + 64];

	account_dir(store, account_id, path, sizeof(path));
	snprintf(parent, sizeof(parent), "%s/accounts", store->data_dir);
	snprintf(gone, sizeof(gone), "%s/.gone-%016" PRIx64, parent, random_u64());
	if (rename(path, gone) != 0)
		return errno == ENOENT ? error_detail(err, ERR_NO_SUCH_ACCOUNT, "%.200s", path)
		                       : error_errno(err, errno, "rename of a removed account");
	store_close_idle(store, 0);
	if (!file_sync_dir(parent, err))
		return false;
	remove_tree(gone);
	return true;
}

struct maildrop_lock {
	int fd;
};

bool store_lock_maildrop(struct store *store, int64_t account_id, struct maildrop_lock **out, struct error *err)
{
	char dir[DATABASE_PATH_MAX], path[DATABASE_PATH_MAX + 16];
	struct maildrop_lock *lock;

	*out = NULL;
	account_dir(store, account_id, dir, sizeof(dir));
	if (access(dir, F_OK) != 0)
		return error_detail(err, ERR_NO_SUCH_ACCOUNT, "%.200s is not there", dir);
	lock = calloc(1, sizeof(*lock));
	if (lock == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	snprintf(path, sizeof(path), "%s/maildrop-lock", dir);
	lock->fd = write_lock_open(path, err);
	if (lock->fd >= 0 && write_lock_take(lock->fd, 0, err)) {
		*out = lock;
		return true;
	}
	store_unlock_maildrop(&lock);
	return false;
}

void store_unlock_maildrop(struct maildrop_lock **lock)
{
	if (*lock == NULL)
		return;
	if ((*lock)->fd >= 0)
		close((*lock)->fd);
	free(*lock);
	*lock = NULL;
}
