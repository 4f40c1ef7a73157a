#include "fixture.h"

#include "storage/check.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER "Subject: hello\r\nMessage-ID: <m@example.test>\r\n\r\n"

void make_dir(char *out, size_t size)
{
	snprintf(out, size, "/tmp/storage-test-XXXXXX");
	assert_non_null(mkdtemp(out));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void remove_dir(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void fixture_reopen(struct fixture *fixture, unsigned keep_expunged_days)
{
	struct store_settings settings = { .data_dir = fixture->dir, .keep_expunged_days = keep_expunged_days };
	struct error err;

	store_close(&fixture->store);
	assert_true(store_open(&settings, &fixture->store, &err));
}

int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err;

	make_dir(fixture->dir, sizeof(fixture->dir));
	fixture_reopen(fixture, 0);
	if (!store_create_account(fixture->store, ACCOUNT, &err))
		fail_msg("%s: %s", err.reason, err.detail);
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	store_close(&fixture->store);
	remove_dir(fixture->dir);
	free(fixture);
	return 0;
}

void message_make(struct fixture *fixture, struct message *out, size_t size, char fill)
{
	static _Atomic unsigned number;
	struct error err;
	char piece[4096];
	size_t left = size - strlen(HEADER);

	memset(out, 0, sizeof(*out));
	memset(piece, fill, sizeof(piece));
	assert_true(spool_new(fixture->store, UINT64_MAX, &out->spool, &err));
	assert_true(spool_append(out->spool, SPAN(HEADER), &err));
	for (; left > 0; left -= left < sizeof(piece) ? left : sizeof(piece))
		assert_true(
		        spool_append(out->spool, span_make(piece, left < sizeof(piece) ? left : sizeof(piece)), &err));
	snprintf(out->id, sizeof(out->id), "m%u@example.test", ++number);
	out->summary = (struct message_summary) {
		.envelope = SPAN("(NIL \"hello\" NIL NIL NIL NIL NIL NIL NIL NIL)"),
		.body_structure = SPAN("(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 10 1 NIL NIL NIL NIL)"),
		.body = SPAN("(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 10 1)"),
		.parts = SPAN("\001\001"),
		.preview = SPAN("hello"),
		.base_subject = SPAN("hello"),
		.message_id = span_of(out->id),
		.size = size,
		.header_len = strlen(HEADER),
	};
	out->new = (struct new_message) { .body = out->spool, .summary = &out->summary, .internal_date_ms = 1000 };
}

void message_free(struct message *message)
{
	spool_free(&message->spool);
}

struct account *borrow(struct fixture *fixture)
{
	struct account *account;
	struct error err;

	if (!account_open(fixture->store, ACCOUNT, &account, &err))
		fail_msg("account_open: %s: %s", err.reason, err.detail);
	return account;
}

struct mailbox_info info_of(struct fixture *fixture, const char *name)
{
	struct account *account = borrow(fixture);
	struct mailbox_info info;
	struct error err;

	if (!mailbox_find(account, span_of(name), &info, &err))
		fail_msg("%s: %s: %s", name, err.reason, err.detail);
	account_release(&account);
	return info;
}

struct account_usage usage_of(struct fixture *fixture)
{
	struct account *account = borrow(fixture);
	struct account_usage usage;
	struct error err;

	assert_true(account_usage(account, &usage, &err));
	account_release(&account);
	return usage;
}

enum error_code commit_one(struct fixture *fixture, struct batch **batch)
{
	struct account *account = borrow(fixture);
	enum error_code code;
	struct error err;

	if (account_commit(account, batch, 1, &err))
		code = batch_result(*batch)->error.code;
	else
		code = err.code;
	account_release(&account);
	batch_free(batch);
	return code;
}

uint32_t append(struct fixture *fixture, const char *mailbox, size_t size, char fill)
{
	struct mailbox_info info = info_of(fixture, mailbox);
	struct batch *batch = batch_new(NULL);
	struct message message;

	message_make(fixture, &message, size, fill);
	assert_true(batch_append(batch, info.id, &message.new));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	message_free(&message);
	return info.uid_next;
}

struct message_row *rows_of(struct fixture *fixture, const char *mailbox, size_t *count)
{
	struct mailbox_info info = info_of(fixture, mailbox);
	struct account *account = borrow(fixture);
	struct message_row *rows;
	struct error err;

	assert_true(mailbox_rows(account, info.id, &rows, count, &err));
	account_release(&account);
	return rows;
}

static void print_finding(void *arg, const struct finding *finding)
{
	unsigned *count = arg;

	print_error("finding: %s: %s\n", finding->file, finding->what);
	(*count)++;
}

void assert_clean(struct fixture *fixture)
{
	unsigned count = 0;
	struct error err;

	assert_true(check_site(fixture->dir, false, print_finding, &count, &err));
	assert_int_equal(count, 0);
}
