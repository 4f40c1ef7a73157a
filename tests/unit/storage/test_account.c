/* The interface of an account as design 7 has it: store, batch, mailbox, changes. Written against the public headers; only the page count is
 * looked at from inside. */
#include "fixture.h"

#include "base/clock.h"
#include "storage/account.h"
#include "storage/changes.h"
#include "storage/check.h"
#include "storage/notify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void count_mailbox(void *arg, struct span name, const struct mailbox_info *info)
{
	unsigned *count = arg;

	(void)name;
	assert_true(info->subscribed);
	assert_int_equal(info->uid_next, 1);
	(*count)++;
}

static void test_new_account(void **state)
{
	static const struct {
		const char *name;
		enum special_use use;
	} rows[] = { { "inbox", USE_INBOX }, { "Drafts", USE_DRAFTS }, { "Sent", USE_SENT }, { "Archive", USE_ARCHIVE },
		{ "Junk", USE_JUNK }, { "Trash", USE_TRASH } };
	struct fixture *fixture = *state;
	struct account *account = borrow(fixture);
	struct mailbox_info info;
	unsigned count = 0;
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(mailbox_find(account, span_of(rows[i].name), &info, &err));
		assert_int_equal(info.use, rows[i].use);
		assert_true(mailbox_find_use(account, rows[i].use, &info, &err));
	}
	assert_false(mailbox_find_use(account, USE_NONE, &info, &err));
	assert_true(mailbox_list(account, count_mailbox, &count, &err));
	assert_int_equal(count, ARRAY_LEN(rows));
	account_release(&account);
	assert_true(store_create_account(fixture->store, ACCOUNT, &err)); /* there already: nothing happens */
	assert_clean(fixture);
}

static void test_unknown_account(void **state)
{
	struct fixture *fixture = *state;
	struct account *account;
	struct error err;

	assert_false(account_open(fixture->store, ACCOUNT + 1, &account, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
	assert_false(account_open(fixture->store, 0, &account, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
	assert_true(store_remove_account(fixture->store, ACCOUNT, &err));
	assert_false(account_open(fixture->store, ACCOUNT, &account, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
	assert_false(store_remove_account(fixture->store, ACCOUNT, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
}

static void read_back(struct fixture *fixture, int64_t id, struct span prefix, size_t size, char fill)
{
	struct account *account = borrow(fixture);
	struct buffer out;
	struct error err;
	uint32_t header;

	buffer_init(&out, 1 << 26);
	assert_true(message_read(account, id, 0, 1 << 25, &out, &err));
	assert_int_equal(out.len, size + prefix.len);
	assert_memory_equal(out.data, prefix.ptr, prefix.len);
	assert_memory_equal(out.data + prefix.len, "Subject: hello\r\n", 16);
	assert_int_equal(out.data[out.len - 1], fill);
	assert_true(message_header_length(account, id, &header, &err));
	assert_memory_equal(out.data + header - 4, "\r\n\r\n", 4);
	/* pieces of any size at any place are the same octets */
	for (size_t at = 0; at < out.len; at += out.len / 13 + 1) {
		struct buffer piece;
		size_t want = out.len / 7 + 1;

		buffer_init(&piece, 1 << 26);
		assert_true(message_read(account, id, at, want, &piece, &err));
		assert_int_equal(piece.len, want < out.len - at ? want : out.len - at);
		assert_memory_equal(piece.data, out.data + at, piece.len);
		buffer_free(&piece);
	}
	buffer_free(&out);
	account_release(&account);
}

static void test_append_and_read(void **state)
{
	static const size_t sizes[] = { 60, 61, 4096, 65535, 65536, 65537, 70000, 1000000 };
	struct span prefix = SPAN("Return-Path: <a@example.test>\r\n");
	struct fixture *fixture = *state;
	struct message_row *rows;
	size_t count;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct batch *batch = batch_new(NULL);
		struct message message;

		message_make(fixture, &message, sizes[i], (char)('a' + i));
		message.new.prefix = prefix;
		message.summary.header_len += prefix.len;
		assert_true(batch_append_to_use(batch, USE_INBOX, &message.new));
		assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
		message_free(&message);
	}
	rows = rows_of(fixture, "INBOX", &count);
	assert_int_equal(count, ARRAY_LEN(sizes));
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(rows[i].uid, i + 1);
		assert_int_equal(rows[i].size, sizes[i] + prefix.len);
		read_back(fixture, rows[i].message_id, prefix, sizes[i], (char)('a' + i));
	}
	free(rows);
	assert_clean(fixture);
	fixture_reopen(fixture, 0);
	rows = rows_of(fixture, "INBOX", &count);
	assert_int_equal(count, ARRAY_LEN(sizes));
	read_back(fixture, rows[count - 1].message_id, prefix, 1000000, 'h');
	free(rows);
}

static void test_read_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct account *account = borrow(fixture);
	struct buffer out;
	struct error err;
	uint32_t length;

	buffer_init(&out, 1000);
	assert_false(message_read(account, 12345, 0, 10, &out, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_MESSAGE);
	assert_false(message_header_length(account, 12345, &length, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_MESSAGE);
	account_release(&account);
}

static const struct span label[] = { { "$Label", 6 } };

static void test_counters(void **state)
{
	static const struct step {
		enum flag_change change;
		struct message_flags flags;
		uint32_t from, to;
		uint32_t unseen, deleted;
	} steps[] = {
		{ FLAGS_ADD, { FLAG_SEEN }, 1, 5, 5, 0 },
		{ FLAGS_ADD, { FLAG_SEEN }, 1, 5, 5, 0 }, /* again: no change */
		{ FLAGS_ADD, { FLAG_DELETED | FLAG_FLAGGED }, 4, 8, 5, 5 },
		{ FLAGS_REMOVE, { FLAG_SEEN }, 5, 20, 6, 5 },
		{ FLAGS_SET, { FLAG_SEEN }, 1, 10, 0, 0 },
		{ FLAGS_SET, { 0 }, 3, 3, 1, 0 },
		{ FLAGS_ADD, { 0, label, 1 }, 1, 10, 1, 0 },
	};
	struct fixture *fixture = *state;
	uint64_t modseq = 0;

	for (int i = 0; i < 10; i++)
		append(fixture, "INBOX", 100, 'x');
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct batch *batch = batch_new(NULL);
		struct mailbox_info info = info_of(fixture, "INBOX");
		uint32_t uids[20], count = 0;

		modseq = info.modseq;
		for (uint32_t uid = steps[i].from; uid <= steps[i].to; uid++)
			uids[count++] = uid;
		assert_true(batch_flags(batch, info.id, uids, count, steps[i].change, &steps[i].flags, UINT64_MAX));
		assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
		info = info_of(fixture, "INBOX");
		assert_int_equal(info.messages, 10);
		assert_int_equal(info.unseen, steps[i].unseen);
		assert_int_equal(info.deleted, steps[i].deleted);
		if (i == 1)
			assert_int_equal(info.modseq, modseq);
		else
			assert_true(info.modseq > modseq);
	}
	assert_clean(fixture);
}

static void test_copy_move_expunge(void **state)
{
	struct fixture *fixture = *state;
	struct mailbox_info inbox = info_of(fixture, "INBOX"), trash = info_of(fixture, "Trash");
	const uint32_t two[] = { 1, 2, 9, 4000000000u };
	const uint32_t all[] = { 1, 2, 3 };
	struct batch *batch = batch_new(NULL);
	struct message_row *rows;
	struct account *account;
	struct error err;
	size_t count;

	for (int i = 0; i < 3; i++)
		append(fixture, "INBOX", 100, 'x');
	assert_true(batch_copy(batch, inbox.id, two, ARRAY_LEN(two), trash.id));
	account = borrow(fixture);
	assert_true(account_commit(account, &batch, 1, &err));
	account_release(&account);
	assert_int_equal(batch_result(batch)->uid_count, 2);
	assert_int_equal(batch_result(batch)->uids[1], 2);
	assert_int_equal(batch_result(batch)->source_uids[1], 2);
	batch_free(&batch);
	assert_int_equal(info_of(fixture, "Trash").messages, 2);
	assert_int_equal(usage_of(fixture).messages, 3);
	assert_int_equal(usage_of(fixture).bytes, 300);
	assert_clean(fixture);

	batch = batch_new(NULL);
	assert_true(batch_move(batch, inbox.id, all, 3, trash.id));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	assert_int_equal(info_of(fixture, "INBOX").messages, 0);
	assert_int_equal(info_of(fixture, "Trash").messages, 5);
	assert_int_equal(info_of(fixture, "INBOX").uid_next, 4);
	rows = rows_of(fixture, "Trash", &count);
	assert_int_equal(rows[0].message_id, rows[2].message_id); /* the copy and the moved one */
	free(rows);
	assert_clean(fixture);

	batch = batch_new(NULL);
	assert_true(batch_expunge(batch, trash.id, all, 2));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	assert_int_equal(usage_of(fixture).messages, 3); /* each is still there once */
	batch = batch_new(NULL);
	assert_true(batch_expunge(batch, trash.id, (const uint32_t[]) { 3, 4, 5 }, 3));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	assert_int_equal(usage_of(fixture).messages, 0);
	assert_int_equal(usage_of(fixture).bytes, 0);
	assert_int_equal(info_of(fixture, "Trash").size, 0);
	assert_int_equal(info_of(fixture, "Trash").uid_next, 6);
	assert_clean(fixture);
}

static unsigned body_files(const struct fixture *fixture)
{
	char command[128];
	unsigned count = 0;

	for (unsigned i = 0; i < 256; i++) {
		struct stat st;

		snprintf(command, sizeof(command), "%s/accounts/%d/blobs/%02x", fixture->dir, ACCOUNT, i);
		if (stat(command, &st) != 0)
			continue;
		/* a directory has 2 links; entries are counted by its listing elsewhere, so look by removing: empty or not */
		count += rmdir(command) != 0;
	}
	return count;
}

static void test_large_bodies_come_and_go(void **state)
{
	struct fixture *fixture = *state;
	struct mailbox_info inbox = info_of(fixture, "INBOX");
	struct batch *batch = batch_new(NULL);
	const uint32_t first = 1;

	append(fixture, "INBOX", 100000, 'x');
	assert_int_equal(body_files(fixture), 1);
	assert_true(batch_expunge(batch, inbox.id, &first, 1));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	assert_int_equal(body_files(fixture), 0);
	/* a refused message leaves nothing */
	batch = batch_new(NULL);
	batch_limit_usage(batch, 1000, 0);
	struct message message;
	message_make(fixture, &message, 100000, 'y');
	assert_true(batch_append(batch, inbox.id, &message.new));
	assert_int_equal(commit_one(fixture, &batch), ERR_OVER_QUOTA);
	message_free(&message);
	assert_int_equal(body_files(fixture), 0);
	assert_clean(fixture);
}

static void test_kept_after_expunge(void **state)
{
	struct fixture *fixture = *state;
	struct mailbox_info inbox = info_of(fixture, "INBOX");
	struct batch *batch = batch_new(NULL);
	const uint32_t first = 1;
	struct message_row *rows;
	size_t count;

	fixture_reopen(fixture, 3);
	append(fixture, "INBOX", 100000, 'x');
	rows = rows_of(fixture, "INBOX", &count);
	assert_true(batch_expunge(batch, inbox.id, &first, 1));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	assert_int_equal(usage_of(fixture).messages, 0);
	read_back(fixture, rows[0].message_id, SPAN_EMPTY, 100000, 'x');
	assert_clean(fixture);
	free(rows);
}

static void test_quota(void **state)
{
	static const struct {
		uint64_t bytes, messages;
		enum error_code want;
	} rows[] = {
		{ 0, 0, ERR_NONE },
		{ 200, 0, ERR_NONE },
		{ 299, 0, ERR_OVER_QUOTA },
		{ 300, 0, ERR_NONE },
		{ 0, 3, ERR_OVER_QUOTA },
		{ 0, 4, ERR_NONE },
	};
	struct fixture *fixture = *state;
	struct mailbox_info inbox = info_of(fixture, "INBOX");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct batch *batch = batch_new(NULL);
		struct message message;

		message_make(fixture, &message, 100, 'q');
		batch_limit_usage(batch, rows[i].bytes, rows[i].messages);
		assert_true(batch_append(batch, inbox.id, &message.new));
		assert_int_equal(commit_one(fixture, &batch), rows[i].want);
		message_free(&message);
	}
	assert_int_equal(usage_of(fixture).messages, 4);
	assert_clean(fixture);
}

/* One batch of a group fails alone; the others are done. */
static void test_group(void **state)
{
	struct fixture *fixture = *state;
	struct mailbox_info inbox = info_of(fixture, "INBOX");
	struct account *account = borrow(fixture);
	struct message messages[4];
	struct batch *batches[4];
	struct error err;

	for (int i = 0; i < 4; i++) {
		message_make(fixture, &messages[i], i == 3 ? 100000 : 100, (char)('a' + i));
		batches[i] = batch_new(NULL);
		assert_true(batch_append(batches[i], inbox.id, &messages[i].new));
	}
	batch_limit_usage(batches[1], 150, 0);                           /* over, because the first is in already */
	assert_true(batch_append(batches[2], 424242, &messages[2].new)); /* half of it cannot be done */
	assert_true(account_commit(account, batches, 4, &err));
	account_release(&account);
	assert_int_equal(batch_result(batches[0])->error.code, ERR_NONE);
	assert_int_equal(batch_result(batches[1])->error.code, ERR_OVER_QUOTA);
	assert_int_equal(batch_result(batches[2])->error.code, ERR_NO_SUCH_MAILBOX);
	assert_int_equal(batch_result(batches[2])->uid_count, 0);
	assert_int_equal(batch_result(batches[3])->error.code, ERR_NONE);
	assert_int_equal(batch_result(batches[3])->uids[0], 2);
	for (int i = 0; i < 4; i++) {
		batch_free(&batches[i]);
		message_free(&messages[i]);
	}
	assert_int_equal(info_of(fixture, "INBOX").messages, 2);
	assert_int_equal(usage_of(fixture).bytes, 100100);
	assert_clean(fixture);
}

static bool append_with_op(struct fixture *fixture, const char *op, bool record)
{
	struct mailbox_info inbox = info_of(fixture, "INBOX");
	struct account *account = borrow(fixture);
	struct batch *batch = batch_new((const uint8_t *)op);
	struct message message;
	struct error err;
	bool already;

	message_make(fixture, &message, 100, 'o');
	if (record)
		batch_record_op(batch);
	assert_true(batch_append(batch, inbox.id, &message.new));
	assert_true(account_commit(account, &batch, 1, &err));
	assert_int_equal(batch_result(batch)->error.code, ERR_NONE);
	already = batch_result(batch)->already_done;
	account_release(&account);
	batch_free(&batch);
	message_free(&message);
	return already;
}

static void test_operation_ids(void **state)
{
	struct fixture *fixture = *state;
	struct batch *batch;

	assert_false(append_with_op(fixture, "sixteen octets.1", false)); /* only looked for */
	assert_false(append_with_op(fixture, "sixteen octets.1", true));
	assert_true(append_with_op(fixture, "sixteen octets.1", true));
	assert_true(append_with_op(fixture, "sixteen octets.1", false));
	assert_false(append_with_op(fixture, "sixteen octets.2", true));
	assert_int_equal(info_of(fixture, "INBOX").messages, 3);
	fixture_reopen(fixture, 0);
	assert_true(append_with_op(fixture, "sixteen octets.2", false));
	batch = batch_new((const uint8_t *)"sixteen octets.2");
	batch_forget_op(batch);
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	assert_false(append_with_op(fixture, "sixteen octets.2", false));
	assert_true(append_with_op(fixture, "sixteen octets.1", false));
	assert_clean(fixture);
}

/* RFC 4865: what may be held for 28 days is still known then, also when others were noted meanwhile; and nothing for ever. */
static void test_operation_ids_are_kept(void **state)
{
	struct fixture *fixture = *state;
	int64_t mono = clock_mono_ms(), wall = clock_wall_ms(), day = 86400000;

	clock_set_for_test(mono, wall);
	assert_false(append_with_op(fixture, "sixteen octets.1", true));
	clock_set_for_test(mono, wall + 28 * day);
	assert_false(append_with_op(fixture, "sixteen octets.2", true));
	assert_true(append_with_op(fixture, "sixteen octets.1", false));
	clock_set_for_test(mono, wall + (OP_ID_KEEP_DAYS + 1) * day);
	assert_false(append_with_op(fixture, "sixteen octets.3", true));
	assert_false(append_with_op(fixture, "sixteen octets.1", false));
	clock_set_for_test(-1, -1);
}

static void test_expect(void **state)
{
	struct fixture *fixture = *state;
	struct mailbox_info inbox = info_of(fixture, "INBOX");

	for (uint32_t off = 0; off < 2; off++) {
		struct batch *batch = batch_new(NULL);
		struct message message;

		message_make(fixture, &message, 100, 'e');
		batch_expect_uid_validity(batch, inbox.id, inbox.uid_validity + off);
		assert_true(batch_append(batch, inbox.id, &message.new));
		assert_int_equal(commit_one(fixture, &batch), off == 0 ? ERR_NONE : ERR_CONFLICT);
		message_free(&message);
	}
}

static enum error_code mailbox_op(struct fixture *fixture, char what, const char *name, const char *to)
{
	struct batch *batch = batch_new(NULL);
	struct account *account = borrow(fixture);
	struct mailbox_info info = { 0 };
	struct error err;

	(void)mailbox_find(account, span_of(name), &info, &err);
	account_release(&account);
	switch (what) {
	case 'c': batch_mailbox_create(batch, span_of(name), USE_NONE); break;
	case 'r': batch_mailbox_rename(batch, info.id, span_of(to)); break;
	case 'd': batch_mailbox_delete(batch, info.id); break;
	case 's': batch_mailbox_subscribe(batch, span_of(name), true); break;
	case 'u': batch_mailbox_subscribe(batch, span_of(name), false); break;
	}
	return commit_one(fixture, &batch);
}

static bool exists(struct fixture *fixture, const char *name)
{
	struct account *account = borrow(fixture);
	struct mailbox_info info;
	struct error err;
	bool found = mailbox_find(account, span_of(name), &info, &err);

	account_release(&account);
	return found;
}

/* Names out of addresses have no case: the exact one first, then the first in order of octets; ASCII only. */
static void test_any_case(void **state)
{
	static const struct {
		const char *name, *want; /* NULL: none */
	} rows[] = {
		{ "lists", "LISTS" },
		{ "Lists", "Lists" },
		{ "liSts", "LISTS" },
		{ "lists/c", "Lists/C" },
		{ "inbox", "INBOX" },
		{ "b\xc3\xbc"
		  "cher",
		        "B\xc3\xbc"
		        "cher" },
		{ "\xc3\xbc"
		  "ber",
		        NULL },
		{ "list", NULL },
		{ "lists%", NULL },
		{ "", NULL },
		{ "a\nb", NULL },
	};
	static const char *const names[] = { "Lists", "LISTS", "Lists/C",
		"B\xc3\xbc"
		"cher",
		"\xc3\x9c"
		"ber" };
	struct fixture *fixture = *state;
	struct account *account;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(mailbox_op(fixture, 'c', names[i], NULL), ERR_NONE);
	account = borrow(fixture);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char stored[MAILBOX_NAME_MAX + 1];
		struct mailbox_info info, exact;
		struct error err;
		bool found = mailbox_find_any_case(account, span_of(rows[i].name), stored, &info, &err);

		if (found != (rows[i].want != NULL) || (found && strcmp(stored, rows[i].want) != 0))
			fail_msg("%s: %s", rows[i].name, found ? stored : err.reason);
		if (!found)
			assert_int_equal(err.code, ERR_NO_SUCH_MAILBOX);
		else
			assert_true(mailbox_find(account, span_of(stored), &exact, &err) && exact.id == info.id);
	}
	account_release(&account);
}

static void test_mailboxes(void **state)
{
	static const struct {
		char what;
		const char *name, *to;
		enum error_code want;
		const char *there, *gone;
	} rows[] = {
		{ 'c', "a", NULL, ERR_NONE, "a", "a/b" },
		{ 'c', "a", NULL, ERR_EXISTS, "a", NULL },
		{ 'c', "INBOX", NULL, ERR_EXISTS, NULL, NULL },
		{ 'c', "a/b/c", NULL, ERR_NONE, "a/b", NULL }, /* with its parents */
		{ 'c', "a0", NULL, ERR_NONE, "a0", NULL },
		{ 'c', "inbox/x", NULL, ERR_NONE, "INBOX/x", NULL },
		{ 'r', "a", "z/y", ERR_NONE, "z/y/b/c", "a/b" },
		{ 'r', "z", "z/q", ERR_BAD_VALUE, "z", NULL },
		{ 'r', "z", "a0", ERR_EXISTS, "z", NULL },
		{ 'r', "nothing", "n", ERR_NO_SUCH_MAILBOX, NULL, NULL },
		{ 'c', "", NULL, ERR_BAD_VALUE, NULL, NULL },
		{ 'c', "/x", NULL, ERR_BAD_VALUE, NULL, NULL },
		{ 'c', "x//y", NULL, ERR_BAD_VALUE, NULL, NULL },
		{ 'c', "x/", NULL, ERR_NONE, "x", NULL }, /* the separator at the end is a hint only */
		{ 'c', "x", NULL, ERR_EXISTS, "x", NULL },
		{ 'c', "/", NULL, ERR_BAD_VALUE, NULL, NULL },
		{ 'c', "y//", NULL, ERR_BAD_VALUE, NULL, "y" },
		{ 'c', "x\ny", NULL, ERR_BAD_VALUE, NULL, NULL },
		{ 'c', "x\xff", NULL, ERR_BAD_VALUE, NULL, NULL },
		{ 'c', "caf\x65\xcc\x81", NULL, ERR_NONE, "caf\xc3\xa9", NULL }, /* NFC */
		{ 'c', "caf\xc3\xa9", NULL, ERR_EXISTS, NULL, NULL },
		{ 'd', "z/y", NULL, ERR_NONE, "z/y/b", "z/y" },
		{ 'd', "INBOX", NULL, ERR_DENIED, "INBOX", NULL },
		{ 'd', "Trash", NULL, ERR_NONE, NULL, "Trash" },
		{ 's', "not/there", NULL, ERR_NONE, NULL, "not/there" },
		{ 'u', "not/there", NULL, ERR_NONE, NULL, NULL },
		{ 'u', "Sent", NULL, ERR_NONE, "Sent", NULL },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum error_code got = mailbox_op(fixture, rows[i].what, rows[i].name, rows[i].to);

		if (got != rows[i].want)
			fail_msg("%c %s: %s", rows[i].what, rows[i].name, error_name(got));
		assert_true(rows[i].there == NULL || exists(fixture, rows[i].there));
		assert_true(rows[i].gone == NULL || !exists(fixture, rows[i].gone));
	}
	assert_false(info_of(fixture, "Sent").subscribed);
	assert_clean(fixture);
}

/* RFC 6154 §3: CREATE with a use; one mailbox for each. The use goes with the mailbox when it is renamed, and is free when it is deleted. */
static void test_special_use(void **state)
{
	static const struct {
		char what;
		const char *name, *to;
		enum special_use use;
		enum error_code want;
		const char *has; /* who has the use then */
	} rows[] = {
		{ 'c', "Bin", NULL, USE_TRASH, ERR_UNSUPPORTED, "Trash" },
		{ 'c', "Trash", NULL, USE_TRASH, ERR_EXISTS, "Trash" }, /* the name first */
		{ 'c', "a/b/Bin", NULL, USE_TRASH, ERR_UNSUPPORTED, "Trash" },
		{ 'r', "Trash", "Mail/Papierkorb", USE_TRASH, ERR_NONE, "Mail/Papierkorb" },
		{ 'd', "Mail/Papierkorb", NULL, USE_TRASH, ERR_NONE, NULL },
		{ 'c', "Deleted Items/", NULL, USE_TRASH, ERR_NONE, "Deleted Items" },
		{ 'c', "second", NULL, USE_INBOX, ERR_UNSUPPORTED, "INBOX" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mailbox_info by_use;
		struct account *account;
		struct error err;

		if (rows[i].what == 'c') {
			struct batch *batch = batch_new(NULL);

			assert_true(batch_mailbox_create(batch, span_of(rows[i].name), rows[i].use));
			assert_int_equal(commit_one(fixture, &batch), rows[i].want);
		} else {
			assert_int_equal(mailbox_op(fixture, rows[i].what, rows[i].name, rows[i].to), rows[i].want);
		}
		account = borrow(fixture);
		assert_int_equal(mailbox_find_use(account, rows[i].use, &by_use, &err), rows[i].has != NULL);
		account_release(&account);
		if (rows[i].has != NULL)
			assert_int_equal(by_use.id, info_of(fixture, rows[i].has).id);
	}
	assert_false(exists(fixture, "a")); /* nothing is left of what failed */
	assert_clean(fixture);
}

/* RENAME of a tree: ids, UIDVALIDITY, UIDs, modseqs of the messages stay (RFC 9051 §6.3.6, RFC 8474 §4.1); all or nothing. */
static void test_rename_tree(void **state)
{
	static const char *const before[] = { "t", "t/a", "t/a/1", "t/b" }, *const after[] = { "n/u", "n/u/a",
		"n/u/a/1", "n/u/b" };
	struct fixture *fixture = *state;
	struct mailbox_info infos[ARRAY_LEN(before)];
	uint64_t modseq;

	assert_int_equal(mailbox_op(fixture, 'c', "t/a/1", NULL), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 'c', "t/b", NULL), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 'c', "tt", NULL), ERR_NONE); /* begins alike, is not below */
	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		append(fixture, before[i], 100 + i, 't');
		infos[i] = info_of(fixture, before[i]);
	}
	modseq = usage_of(fixture).modseq;
	assert_int_equal(mailbox_op(fixture, 'r', "t", "n/u"), ERR_NONE);
	assert_int_equal(usage_of(fixture).modseq, modseq + 1); /* one change */
	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		struct mailbox_info info = info_of(fixture, after[i]), by_id;
		struct account *account = borrow(fixture);
		struct message_row *rows;
		struct error err;
		size_t count;

		assert_false(mailbox_find(account, span_of(before[i]), &by_id, &err));
		assert_true(mailbox_find_id(account, infos[i].id, &by_id, &err));
		account_release(&account);
		assert_int_equal(info.id, infos[i].id);
		assert_int_equal(by_id.id, infos[i].id);
		assert_int_equal(info.uid_validity, infos[i].uid_validity);
		assert_int_equal(info.uid_next, 2);
		rows = rows_of(fixture, after[i], &count);
		assert_int_equal(count, 1);
		assert_int_equal(rows[0].size, 100 + i);
		assert_true(rows[0].modseq <= modseq);
		free(rows);
	}
	assert_true(exists(fixture, "tt"));
	assert_true(exists(fixture, "n"));
	/* one name below is taken: nothing moves */
	assert_int_equal(mailbox_op(fixture, 'c', "v/a/1", NULL), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 'd', "v", NULL), ERR_NONE); /* v/a stays, without its parent */
	assert_int_equal(mailbox_op(fixture, 'r', "n/u", "v"), ERR_EXISTS);
	assert_true(exists(fixture, "n/u/b"));
	assert_false(exists(fixture, "v"));
	assert_int_equal(mailbox_op(fixture, 'r', "v/a", "w"), ERR_NONE);
	assert_true(exists(fixture, "w/1"));
	assert_clean(fixture);
}

struct names {
	char text[200];
};

static void add_name(void *arg, struct span name)
{
	struct names *names = arg;
	size_t len = strlen(names->text);

	snprintf(names->text + len, sizeof(names->text) - len, "%.*s,", SPAN_FMT(name));
}

/* RFC 9051 §6.3.7: names, not mailboxes: they stay when one is renamed or deleted. */
static void test_subscriptions(void **state)
{
	struct fixture *fixture = *state;
	struct account *account;
	struct names names = { "" };
	uint64_t modseq = usage_of(fixture).modseq;
	struct error err;

	assert_int_equal(mailbox_op(fixture, 's', "no/such", NULL), ERR_NONE);
	assert_int_equal(usage_of(fixture).modseq, modseq + 1);
	assert_int_equal(mailbox_op(fixture, 's', "no/such", NULL), ERR_NONE);
	assert_int_equal(usage_of(fixture).modseq, modseq + 1);
	assert_int_equal(mailbox_op(fixture, 'u', "Junk", NULL), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 'd', "Sent", NULL), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 'r', "Drafts", "Entwurf"), ERR_NONE);
	account = borrow(fixture);
	assert_true(subscription_list(account, add_name, &names, &err));
	account_release(&account);
	assert_string_equal(names.text, "Archive,Drafts,INBOX,Sent,Trash,no/such,");
	assert_false(info_of(fixture, "Entwurf").subscribed);
}

static void test_count_limits(void **state)
{
	struct fixture *fixture = *state;
	struct batch *batch = batch_new(NULL);
	char name[32];

	for (int i = 0; i < SUBSCRIPTION_COUNT_MAX - 6; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		assert_true(batch_mailbox_subscribe(batch, span_of(name), true));
	}
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 's', "more", NULL), ERR_LIMIT);
	assert_int_equal(mailbox_op(fixture, 's', "s1", NULL), ERR_NONE); /* is already */
	assert_int_equal(mailbox_op(fixture, 'u', "s1", NULL), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 's', "more", NULL), ERR_NONE);
	batch = batch_new(NULL);
	for (int i = 0; i < MAILBOX_COUNT_MAX - 6; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		assert_true(batch_mailbox_create(batch, span_of(name), USE_NONE));
	}
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 'c', "more", NULL), ERR_LIMIT);
	assert_int_equal(mailbox_op(fixture, 'r', "m1", "x/y"), ERR_LIMIT); /* it would make a parent */
	assert_true(exists(fixture, "m1"));
	assert_int_equal(mailbox_op(fixture, 'd', "m1", NULL), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 'c', "more", NULL), ERR_NONE);
}

static void test_name_limits(void **state)
{
	struct fixture *fixture = *state;
	char deep[200], longest[1100];
	uint32_t before;

	memset(longest, 'n', sizeof(longest));
	longest[1000] = '\0';
	assert_int_equal(mailbox_op(fixture, 'c', longest, NULL), ERR_NONE);
	longest[1000] = 'n';
	longest[1001] = '\0';
	assert_int_equal(mailbox_op(fixture, 'c', longest, NULL), ERR_TOO_LONG);
	for (int i = 0; i < 33; i++)
		memcpy(deep + 2 * i, "d/", 2);
	deep[63] = '\0';
	assert_int_equal(mailbox_op(fixture, 'c', deep, NULL), ERR_NONE); /* 32 levels */
	deep[63] = '/';
	deep[65] = '\0';
	assert_int_equal(mailbox_op(fixture, 'c', deep, NULL), ERR_TOO_LONG);
	/* renaming a tree one level down would make its leaf too deep: nothing is renamed */
	assert_int_equal(mailbox_op(fixture, 'r', "d", "e/f"), ERR_TOO_LONG);
	assert_true(exists(fixture, "d/d"));
	assert_false(exists(fixture, "e"));
	/* UIDVALIDITY is never the same again */
	assert_int_equal(mailbox_op(fixture, 'c', "v", NULL), ERR_NONE);
	before = info_of(fixture, "v").uid_validity;
	assert_int_equal(mailbox_op(fixture, 'd', "v", NULL), ERR_NONE);
	assert_int_equal(mailbox_op(fixture, 'c', "v", NULL), ERR_NONE);
	assert_true(info_of(fixture, "v").uid_validity > before);
	assert_clean(fixture);
}

static void test_rename_inbox(void **state)
{
	struct fixture *fixture = *state;
	uint32_t validity = info_of(fixture, "INBOX").uid_validity;

	append(fixture, "INBOX", 100, 'i');
	append(fixture, "INBOX", 100, 'j');
	assert_int_equal(mailbox_op(fixture, 'r', "INBOX", "old/mail"), ERR_NONE);
	assert_int_equal(info_of(fixture, "old/mail").messages, 2);
	assert_int_equal(info_of(fixture, "INBOX").messages, 0);
	assert_int_equal(info_of(fixture, "INBOX").uid_validity, validity);
	assert_int_equal(append(fixture, "INBOX", 100, 'k'), 3);
	assert_int_equal(mailbox_op(fixture, 'd', "old/mail", NULL), ERR_NONE);
	assert_int_equal(usage_of(fixture).messages, 1);
	assert_clean(fixture);
}

static const struct mailbox_changes *changes_of(const struct account_changes *changes, int64_t id)
{
	for (size_t i = 0; i < changes->count; i++) {
		if (changes->mailboxes[i].mailbox_id == id)
			return &changes->mailboxes[i];
	}
	return NULL;
}

static void test_changes(void **state)
{
	struct fixture *fixture = *state;
	struct mailbox_info inbox, trash = info_of(fixture, "Trash");
	const struct mailbox_changes *mailbox;
	struct account_changes changes;
	struct account *account;
	struct batch *batch;
	struct error err;
	uint64_t since;

	for (int i = 0; i < 5; i++)
		append(fixture, "INBOX", 100, 'c');
	since = usage_of(fixture).modseq;
	append(fixture, "INBOX", 100, 'c'); /* 6 */
	inbox = info_of(fixture, "INBOX");
	batch = batch_new(NULL);
	batch_flags(batch, inbox.id, (const uint32_t[]) { 2, 4, 6 }, 3, FLAGS_ADD,
	        &(struct message_flags) { .system = FLAG_SEEN }, UINT64_MAX);
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	batch = batch_new(NULL);
	batch_move(batch, inbox.id, (const uint32_t[]) { 1, 4 }, 2, trash.id);
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);

	account = borrow(fixture);
	assert_true(account_changes(account, since, 0, &changes, &err));
	assert_int_equal(changes.count, 2);
	mailbox = changes_of(&changes, inbox.id);
	assert_int_equal(mailbox->vanished_count, 2);
	assert_int_equal(mailbox->vanished[0], 1);
	assert_int_equal(mailbox->vanished[1], 4);
	assert_int_equal(mailbox->row_count, 2);
	assert_int_equal(mailbox->rows[0].uid, 2);
	assert_int_equal(mailbox->rows[0].flags, FLAG_SEEN);
	assert_int_equal(mailbox->rows[1].uid, 6);
	mailbox = changes_of(&changes, trash.id);
	assert_int_equal(mailbox->row_count, 2);
	since = changes.modseq;
	account_changes_free(&changes);
	assert_true(account_changes(account, since, 0, &changes, &err));
	assert_int_equal(changes.count, 0);
	account_changes_free(&changes);
	account_release(&account);

	assert_int_equal(mailbox_op(fixture, 'd', "Trash", NULL), ERR_NONE);
	account = borrow(fixture);
	assert_true(account_changes(account, since, 0, &changes, &err));
	assert_int_equal(changes.count, 1);
	assert_true(changes.mailboxes[0].deleted);
	assert_int_equal(changes.mailboxes[0].mailbox_id, trash.id);
	account_changes_free(&changes);
	account_release(&account);
}

static void test_notice(void **state)
{
	struct fixture *fixture = *state;
	int64_t account_id = 0;
	struct error err;
	uint64_t modseq;
	int fd = notify_listen(fixture->dir, SPAN("test"), &err);

	assert_true(fd >= 0);
	assert_false(notify_next(fd, &account_id, &modseq));
	append(fixture, "INBOX", 100, 'n');
	assert_true(notify_next(fd, &account_id, &modseq));
	assert_int_equal(account_id, ACCOUNT);
	assert_int_equal(modseq, usage_of(fixture).modseq);
	close(fd);
	append(fixture, "INBOX", 100, 'n'); /* nobody listens any more: no harm */
	notify_forget(fixture->dir, SPAN("test"));
}

static void test_maildrop(void **state)
{
	struct fixture *fixture = *state;
	struct maildrop_lock *first, *second;
	struct error err;

	assert_true(store_lock_maildrop(fixture->store, ACCOUNT, &first, &err));
	assert_false(store_lock_maildrop(fixture->store, ACCOUNT, &second, &err));
	assert_int_equal(err.code, ERR_BUSY);
	append(fixture, "INBOX", 100, 'm'); /* delivery goes on */
	store_unlock_maildrop(&first);
	assert_true(store_lock_maildrop(fixture->store, ACCOUNT, &second, &err));
	store_unlock_maildrop(&second);
	assert_false(store_lock_maildrop(fixture->store, 999, &second, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
}

static int64_t pages_of(struct fixture *fixture)
{
	struct account *account = borrow(fixture);
	sqlite3_stmt *rows;
	struct error err;
	int64_t pages;

	assert_true(database_query(account->database, MAIL_FREE_PAGES, NULL, 0, &rows, &err));
	assert_int_equal(database_step(account->database, rows, &err), STEP_ROW);
	pages = sqlite3_column_int64(rows, 1);
	database_done(rows);
	account_release(&account);
	return pages;
}

/* An hour later the next commit frees what has been kept long enough, forgets old tombstones and shortens the file. */
static void test_tidy(void **state)
{
	struct fixture *fixture = *state;
	struct mailbox_info inbox = info_of(fixture, "INBOX"), quiet = info_of(fixture, "Trash");
	int64_t mono = clock_mono_ms(), wall = clock_wall_ms(), day = 86400000, pages;
	struct account_changes changes;
	struct account *account;
	struct error err;
	uint32_t uids[120];
	uint64_t modseq;

	fixture_reopen(fixture, 2);
	for (int i = 0; i < 120; i++)
		uids[i] = append(fixture, "INBOX", 60000, 'x');
	struct batch *batch = batch_new(NULL);
	assert_true(batch_expunge(batch, inbox.id, uids, 120));
	assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
	pages = pages_of(fixture);
	for (int hour = 2; hour < 6; hour++) { /* a day later: nothing is due */
		clock_set_for_test(mono + hour * 3600000, wall + day);
		append(fixture, "INBOX", 100, 'y');
	}
	assert_true(pages_of(fixture) >= pages);
	for (int hour = 6; hour < 10; hour++) {
		clock_set_for_test(mono + hour * 3600000, wall + 40 * day);
		append(fixture, "INBOX", 100, 'y');
	}
	clock_set_for_test(-1, -1);
	assert_true(pages_of(fixture) < pages - 900);
	modseq = usage_of(fixture).modseq;
	account = borrow(fixture);
	assert_false(account_changes(account, 1, 0, &changes, &err)); /* below the floor: too old */
	assert_int_equal(err.code, ERR_CONFLICT);
	assert_false(account_changes(account, 1, inbox.id, &changes, &err));
	assert_int_equal(err.code, ERR_CONFLICT);
	assert_true(account_changes(account, quiet.modseq, quiet.id, &changes, &err)); /* nothing has happened there */
	assert_int_equal(changes.count, 0);
	account_changes_free(&changes);
	assert_true(account_changes(account, modseq, 0, &changes, &err));
	account_changes_free(&changes);
	account_release(&account);
	assert_clean(fixture);
}

/* Nobody waits while what a large EXPUNGE leaves is freed: that comes afterwards, in pieces. */
static void test_large_expunge(void **state)
{
	struct fixture *fixture = *state;
	struct mailbox_info inbox = info_of(fixture, "INBOX");
	struct account *account;
	uint32_t uids[1200];
	struct batch *batch;

	fixture_reopen(fixture, 0);
	for (size_t few = 50; few <= ARRAY_LEN(uids); few += ARRAY_LEN(uids) - 50) {
		bool is_large = few > 50;

		for (size_t i = 0; i < few; i++)
			uids[i] = append(fixture, "INBOX", 100, 'x');
		batch = batch_new(NULL);
		assert_true(batch_expunge(batch, inbox.id, uids, few));
		assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
		account = borrow(fixture);
		assert_int_equal(account_has_due(account), is_large);
		assert_int_equal(account->has_rest, is_large);
		account_release(&account);
	}
	assert_int_equal(usage_of(fixture).messages, 0);
	assert_clean(fixture);
	store_close_idle(fixture->store, 3600000); /* in use, as it were */
	account = borrow(fixture);
	assert_false(account_has_due(account) || account->has_rest);
	account_release(&account);
	assert_clean(fixture);
}

static void overwrite(const struct fixture *fixture, const char *file, off_t at, size_t len)
{
	char path[128], junk[4096];
	int fd;

	memset(junk, 0xa5, sizeof(junk));
	snprintf(path, sizeof(path), "%s/accounts/%d/%s", fixture->dir, ACCOUNT, file);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, len, at), (ssize_t)len);
	close(fd);
}

/* One damaged account is refused plainly; the others work. */
static void test_damaged_account(void **state)
{
	struct fixture *fixture = *state;
	struct account *account;
	struct error err;

	assert_true(store_create_account(fixture->store, 8, &err));
	store_close_idle(fixture->store, 0);
	overwrite(fixture, "mail.db", 0, 100);
	assert_false(account_open(fixture->store, ACCOUNT, &account, &err));
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_null(account);
	assert_true(account_open(fixture->store, 8, &account, &err));
	account_release(&account);
}

static void test_least_recently_used(void **state)
{
	struct fixture *fixture = *state;
	struct store_settings settings = { .data_dir = fixture->dir, .accounts_max = 2 };
	struct account *account;
	struct error err;

	store_close(&fixture->store);
	assert_true(store_open(&settings, &fixture->store, &err));
	for (int64_t id = 10; id < 15; id++)
		assert_true(store_create_account(fixture->store, id, &err));
	for (int round = 0; round < 3; round++) {
		for (int64_t id = 10; id < 15; id++) {
			assert_true(account_open(fixture->store, id, &account, &err));
			assert_int_equal(account_id(account), id);
			account_release(&account);
		}
	}
}

/* Octets are written when all batches are applied, or before a message of the same transaction is freed; what a refused batch
 * caused to be written is undone with it, and written again. */
static void test_append_and_free_in_one(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t first = 1;
	struct message messages[3];
	struct batch *batches[4];
	struct mailbox_info inbox;
	struct account *account;
	struct buffer text;
	size_t count;
	struct message_row *rows;
	struct error err;

	fixture_reopen(fixture, 0);
	inbox = info_of(fixture, "INBOX");
	for (size_t i = 0; i < 3; i++)
		message_make(fixture, &messages[i], 200, (char)('a' + i));
	for (size_t i = 0; i < 4; i++)
		batches[i] = batch_new(NULL);
	assert_true(batch_append(batches[0], inbox.id, &messages[0].new));
	assert_true(batch_append(batches[0], inbox.id, &messages[1].new));
	assert_true(batch_expunge(batches[1], inbox.id, &first, 1));
	batch_expect_uid_validity(batches[1], inbox.id, inbox.uid_validity + 1); /* refused, behind the expunge */
	assert_true(batch_append(batches[2], inbox.id, &messages[2].new));
	assert_true(batch_expunge(batches[3], inbox.id, &first, 1));
	account = borrow(fixture);
	assert_true(account_commit(account, batches, 4, &err));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(batch_result(batches[i])->error.code, i == 1 ? ERR_CONFLICT : ERR_NONE);
	account_release(&account);
	rows = rows_of(fixture, "INBOX", &count);
	assert_int_equal(count, 2);
	account = borrow(fixture);
	for (size_t i = 0; i < count; i++) {
		buffer_init(&text, 4096);
		assert_true(message_read(account, rows[i].message_id, 0, 4096, &text, &err));
		assert_int_equal(text.len, 200);
		assert_int_equal(text.data[199], 'b' + (int)i);
		buffer_free(&text);
	}
	account_release(&account);
	free(rows);
	assert_clean(fixture);
	for (size_t i = 0; i < 4; i++)
		batch_free(&batches[i]);
	for (size_t i = 0; i < 3; i++)
		message_free(&messages[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_new_account),
		TEST(test_unknown_account),
		TEST(test_append_and_read),
		TEST(test_read_nothing),
		TEST(test_counters),
		TEST(test_copy_move_expunge),
		TEST(test_large_bodies_come_and_go),
		TEST(test_kept_after_expunge),
		TEST(test_quota),
		TEST(test_group),
		TEST(test_operation_ids),
		TEST(test_operation_ids_are_kept),
		TEST(test_expect),
		TEST(test_mailboxes),
		TEST(test_any_case),
		TEST(test_special_use),
		TEST(test_rename_tree),
		TEST(test_subscriptions),
		TEST(test_count_limits),
		TEST(test_name_limits),
		TEST(test_rename_inbox),
		TEST(test_changes),
		TEST(test_notice),
		TEST(test_maildrop),
		TEST(test_tidy),
		TEST(test_large_expunge),
		TEST(test_append_and_free_in_one),
		TEST(test_damaged_account),
		TEST(test_least_recently_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
