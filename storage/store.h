/* storage/store.h — the data directory of a site, and the open accounts of this process.
 *
 * A process opens one store. It keeps at most `accounts_max` account files open (least recently used go first; 249 KiB and
 * 3 descriptors each). An account is borrowed with account_open() and given back with account_release(); one thread has
 * it at a time, others wait and get it in the order in which they came: who gives it back and wants it again stands behind them.
 * Thread: any worker thread; never the event loop: every call may wait for the disk. */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

#define STORE_ACCOUNTS_DEFAULT 100
#define STORE_LOCK_WAIT_MS     10000      /* for another process's transaction; then ERR_BUSY */
#define STORE_INLINE_BODY_MAX  (64 * KIB) /* a body up to this lives in a row, a larger one in a file */

struct store;
struct account;

struct store_settings {
	const char *data_dir;        /* copied */
	unsigned accounts_max;       /* 0: STORE_ACCOUNTS_DEFAULT */
	unsigned keep_expunged_days; /* bodies of expunged messages are freed after so many days */
};

bool store_open(const struct store_settings *settings, struct store **out, struct error *err);
void store_close(struct store **store); /* nobody may hold an account */
const char *store_data_dir(const struct store *store);

/* Makes accounts/<id>/ and mail.db with INBOX, Drafts, Sent, Archive, Junk and Trash (special use, RFC 6154), subscribed.
 * Durable on return. Does nothing when it is there already. */
bool store_create_account(struct store *store, int64_t account_id, struct error *err);
/* Removes accounts/<id>/ with all mail; not before the account is gone from the directory. */
bool store_remove_account(struct store *store, int64_t account_id, struct error *err);

/* ERR_NO_SUCH_ACCOUNT: no such directory; ERR_DAMAGED: its file is not what it should be (named in detail; only this account
 * is refused); ERR_BUSY: another thread or process holds it too long; ERR_IO, ERR_NO_MEMORY. */
bool account_open(struct store *store, int64_t account_id, struct account **out, struct error *err);
void account_release(struct account **account);
int64_t account_id(const struct account *account);
/* Closes the account files that nobody has used for so long; before that, what is due to be freed goes, also in accounts in use that have more of it
 * than one transaction should free, as long as nobody waits for them. A daemon calls it every minute or so. */
void store_close_idle(struct store *store, int64_t idle_ms);

/* A number that is another one after a commit to the account, whoever made it; 0 when there is no such account, or when the last commit is so
 * young that the file system's clock might not tell the next one from it. Costs two look-ups of a file, no open account. */
uint64_t store_account_stamp(const struct store *store, int64_t account_id);

/* The exclusive maildrop of POP3 (RFC 1939 §4), across all processes; given back by the kernel when the process dies.
 * ERR_BUSY at once when another session has it. */
struct maildrop_lock;
bool store_lock_maildrop(struct store *store, int64_t account_id, struct maildrop_lock **out, struct error *err);
void store_unlock_maildrop(struct maildrop_lock **lock); /* closes a descriptor, no more: also on the event loop */

#endif
