/* tests/unit/storage/fixture.h — a store in a directory of its own, with one account, and messages to put into it. */
#ifndef TEST_STORAGE_FIXTURE_H
#define TEST_STORAGE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include "message/summary.h"
#include "storage/batch.h"
#include "storage/mailbox.h"
#include "storage/spool.h"
#include "storage/store.h"

#define ACCOUNT 7

struct fixture {
	char dir[64];
	struct store *store;
};

int fixture_setup(void **state); /* cmocka: *state is a struct fixture */
int fixture_teardown(void **state);
void fixture_reopen(struct fixture *fixture, unsigned keep_expunged_days);

void make_dir(char *out, size_t size);
void remove_dir(const char *path);

struct message {
	struct spool *spool;
	struct message_summary summary;
	struct new_message new;
	char id[32];
};
/* A message of `size` octets in all (header, then the letter `fill`); freed by message_free(). */
void message_make(struct fixture *fixture, struct message *out, size_t size, char fill);
void message_free(struct message *message);

struct account *borrow(struct fixture *fixture);
struct mailbox_info info_of(struct fixture *fixture, const char *name);
struct account_usage usage_of(struct fixture *fixture);
/* Commits one batch, frees it, and returns what its result said. */
enum error_code commit_one(struct fixture *fixture, struct batch **batch);
/* Appends one message and returns its UID. */
uint32_t append(struct fixture *fixture, const char *mailbox, size_t size, char fill);
/* The rows of a mailbox; free() them. */
struct message_row *rows_of(struct fixture *fixture, const char *mailbox, size_t *count);
void assert_clean(struct fixture *fixture); /* posthouse check finds nothing */

#endif
