/* storage/account.h — inside of an open account; for storage/ only. */
#ifndef STORAGE_ACCOUNT_H
#define STORAGE_ACCOUNT_H

#include "storage/mail_sql.h"
#include "storage/store.h"

#include <pthread.h>

#define THREAD_KEY_LEN  16
#define ACCOUNT_TIDY_MS (3600 * 1000) /* how often a handle looks for what has grown old */

struct notifier;
struct reserve;

/* A thread that waits for an account, in account_open(). */
struct waiter {
	struct waiter *next;
	pthread_cond_t turn;
	bool has_it;
};

struct account {
	struct store *store;
	struct account *next; /* most recently used first */
	int64_t id;
	char path[DATABASE_PATH_MAX]; /* accounts/<id> */
	struct database *database;
	bool in_use;
	struct waiter *waiting; /* for it to be given back; the first is the next to have it */
	int64_t used_at;        /* clock_mono_ms() */
	int64_t tidied_at;
	uint64_t all_used_at; /* modseq at which every keyword's number had a message; 0: not known */
	bool has_rest;        /* there is more to free than was freed: store_close_idle() goes on */
	uint8_t thread_key[THREAD_KEY_LEN];
};

struct store {
	char data_dir[DATABASE_PATH_MAX / 2];
	unsigned accounts_max;
	unsigned keep_expunged_days;
	pthread_mutex_t mutex; /* of the list, in_use, waiting and count */
	pthread_condattr_t monotonic;
	struct account *accounts;
	unsigned count;
	struct notifier *notifier;
	struct reserve *reserve;
};

/* storage/commit.c: a transaction that frees what is old, a bounded number of messages; says has_rest. */
void account_tidy(struct account *account);
/* Is there anything that account_tidy() would free? */
bool account_has_due(struct account *account);

/* Reads what never changes and sees that the file is this account's. */
bool account_check_constant(struct account *account, struct error *err);

#endif
