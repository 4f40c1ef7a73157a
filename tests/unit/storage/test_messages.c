/* messages_read(): each column when it is wanted, ids in any order, what is missing, damaged, too large for a row. */
#include "fixture.h"

#include "storage/account.h"
#include "storage/checksum.h"
#include "storage/content.h"
#include "storage/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_WANTS ((WANT_BYTES << 1) - 1)
#define MANY      40

struct seen {
	size_t count, stop_after;
	size_t places[2 * MANY];
	int64_t ids[2 * MANY];
	unsigned filled; /* enum message_want: columns of the last that are not empty */
	struct stored_message last;
	struct buffer header, rest;
};

static unsigned bit_if(bool filled, unsigned want)
{
	return filled ? want : 0;
}

static bool note(void *arg, size_t i, const struct stored_message *m)
{
	struct seen *seen = arg;

	assert_true(seen->count < ARRAY_LEN(seen->ids));
	seen->places[seen->count] = i;
	seen->ids[seen->count++] = m->message_id;
	seen->filled = bit_if(m->envelope.len > 0, WANT_ENVELOPE) | bit_if(m->body.len > 0, WANT_BODY) |
	               bit_if(m->body_structure.len > 0, WANT_BODY_STRUCTURE) | bit_if(m->parts.len > 0, WANT_PARTS) |
	               bit_if(m->preview.len > 0, WANT_PREVIEW) | bit_if(m->base_subject.len > 0, WANT_THREADING) |
	               bit_if(m->header.len > 0, WANT_HEADER) | bit_if(m->rest.len > 0, WANT_BYTES);
	seen->last = *m;
	buffer_clear(&seen->header);
	buffer_clear(&seen->rest);
	assert_true(buffer_append_span(&seen->header, m->header) && buffer_append_span(&seen->rest, m->rest));
	return seen->count != seen->stop_after;
}

static void read_into(struct fixture *fixture, const int64_t *ids, size_t count, unsigned wants, struct seen *seen)
{
	struct account *account = borrow(fixture);
	struct error err;

	memset(seen, 0, offsetof(struct seen, header));
	assert_true(messages_read(account, ids, count, wants, note, seen, &err));
	account_release(&account);
}

static struct seen *seen_new(void)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	buffer_init(&seen->header, 1 << 20);
	buffer_init(&seen->rest, 1 << 20);
	return seen;
}

static void seen_free(struct seen *seen)
{
	buffer_free(&seen->header);
	buffer_free(&seen->rest);
	free(seen);
}

static int64_t first_id(struct fixture *fixture)
{
	struct message_row *rows;
	size_t count;
	int64_t id;

	rows = rows_of(fixture, "INBOX", &count);
	id = rows[0].message_id;
	free(rows);
	return id;
}

static void test_wants(void **state)
{
	static const unsigned wants[] = { WANT_META, WANT_ENVELOPE, WANT_BODY, WANT_BODY_STRUCTURE, WANT_PARTS,
		WANT_PREVIEW, WANT_THREADING, WANT_HEADER, WANT_HEADER | WANT_BYTES, ALL_WANTS,
		WANT_ENVELOPE | WANT_HEADER };
	struct fixture *fixture = *state;
	struct seen *seen = seen_new();
	int64_t id;

	append(fixture, "INBOX", 500, 'w');
	id = first_id(fixture);
	for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
		read_into(fixture, &id, 1, wants[i], seen);
		assert_int_equal(seen->count, 1);
		assert_int_equal(seen->filled, wants[i] & ~(unsigned)WANT_META);
	}
	read_into(fixture, &id, 1, ALL_WANTS, seen);
	assert_int_equal(seen->last.internal_date_ms, 1000);
	assert_int_equal(seen->last.size, 500);
	assert_int_equal(seen->last.thread_id, id);
	assert_false(seen->last.has_sent_date);
	assert_true(seen->last.header_is_whole);
	assert_false(seen->last.in_file || seen->last.damaged);
	assert_int_equal(seen->header.len, seen->last.header_length);
	assert_memory_equal(seen->header.data, "Subject: hello\r\n", 16);
	assert_int_equal(seen->header.len + seen->rest.len, 500);
	assert_int_equal(seen->rest.data[0], 'w');
	seen_free(seen);
}

/* Rising, falling, with holes small and large, twice the same, unknown ones: always in the order asked for. */
static void test_orders(void **state)
{
	static const struct {
		const char *name;
		int first, step, count;
	} rows[] = { { "all", 0, 1, MANY }, { "falling", MANY - 1, -1, MANY }, { "every 2nd", 0, 2, MANY / 2 },
		{ "every 3rd", 1, 3, MANY / 3 }, { "every 9th", 0, 9, MANY / 9 }, { "the same", 5, 0, 6 },
		{ "beyond both ends", -3, 1, MANY + 6 }, { "three", 7, 1, 3 }, { "back and forth", 0, 17, MANY } };
	static const unsigned wants[] = { WANT_ENVELOPE, WANT_HEADER, WANT_ENVELOPE | WANT_BYTES, WANT_BODY,
		WANT_BODY_STRUCTURE, WANT_PREVIEW, WANT_PARTS };
	struct fixture *fixture = *state;
	struct seen *seen = seen_new();
	int64_t ids[2 * MANY], asked[2 * MANY];
	struct message_row *stored;
	size_t count;

	for (int i = 0; i < MANY; i++)
		append(fixture, i % 5 == 4 ? "Sent" : "INBOX", 100, 'o');
	stored = rows_of(fixture, "INBOX", &count);
	for (int i = 0; i < MANY; i++) /* they were given one after the other, so those in Sent are between */
		ids[i] = stored[0].message_id + i;
	free(stored);
	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(wants); i++) {
		size_t r = i / ARRAY_LEN(wants), want = 0;

		for (int n = 0; n < rows[r].count; n++) {
			int at = rows[r].first + n * rows[r].step;

			if (rows[r].step == 17)
				at %= MANY;
			asked[n] = ids[0] + at;
		}
		read_into(fixture, asked, (size_t)rows[r].count, wants[i % ARRAY_LEN(wants)], seen);
		for (int n = 0; n < rows[r].count; n++) {
			if (asked[n] < ids[0] || asked[n] > ids[MANY - 1])
				continue;
			assert_true(want < seen->count);
			assert_int_equal(seen->places[want], n);
			assert_int_equal(seen->ids[want++], asked[n]);
		}
		assert_int_equal(want, seen->count);
	}
	seen_free(seen);
}

static bool stop_at(void *arg, size_t i, const struct stored_message *m)
{
	size_t *last = arg;

	(void)m;
	*last = i;
	return i < 3;
}

static void test_stop(void **state)
{
	struct fixture *fixture = *state;
	struct account *account;
	struct error err;
	int64_t ids[10];
	size_t last = 0;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		append(fixture, "INBOX", 100, 's');
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ids[i] = first_id(fixture) + (int64_t)i;
	account = borrow(fixture);
	assert_true(messages_read(account, ids, ARRAY_LEN(ids), WANT_META, stop_at, &last, &err));
	assert_int_equal(last, 3);
	assert_true(messages_read(account, ids, 0, WANT_META, stop_at, &last, &err));
	account_release(&account); /* nothing is left open */
	append(fixture, "INBOX", 100, 's');
}

/* The header block is in a row up to CONTENT_HEAD_MAX, the rest in a row or a file. */
static void test_sizes(void **state)
{
	static const struct {
		size_t header, size;
		bool whole, in_file;
	} rows[] = {
		{ 100, 100, true, false },
		{ 100, STORE_INLINE_BODY_MAX, true, false },
		{ 100, STORE_INLINE_BODY_MAX + 1, true, true },
		{ 60000, STORE_INLINE_BODY_MAX, true, false },
		{ CONTENT_HEAD_MAX - 1, CONTENT_HEAD_MAX + 10, true, true },
		{ CONTENT_HEAD_MAX + 1, CONTENT_HEAD_MAX + 10, false, true },
		{ 2 * CONTENT_HEAD_MAX, 3 * CONTENT_HEAD_MAX, false, true },
	};
	struct fixture *fixture = *state;
	struct seen *seen = seen_new();
	int64_t ids[ARRAY_LEN(rows)], inbox = info_of(fixture, "INBOX").id;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct batch *batch = batch_new(NULL);
		struct message message;

		message_make(fixture, &message, rows[i].size, 'z');
		message.summary.header_len = rows[i].header;
		assert_true(batch_append(batch, inbox, &message.new));
		assert_int_equal(commit_one(fixture, &batch), ERR_NONE);
		message_free(&message);
		ids[i] = first_id(fixture) + (int64_t)i;
		read_into(fixture, &ids[i], 1, WANT_META | WANT_BYTES, seen);
		assert_int_equal(seen->last.size, rows[i].size);
		assert_int_equal(seen->last.header_is_whole, rows[i].whole);
		assert_int_equal(seen->last.in_file, rows[i].in_file);
		assert_int_equal(seen->header.len, rows[i].whole ? rows[i].header : CONTENT_HEAD_MAX);
		assert_int_equal(seen->rest.len, rows[i].in_file ? 0 : rows[i].size - rows[i].header);
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) { /* read as one all the same */
		struct account *account = borrow(fixture);
		struct buffer out;
		struct error err;

		buffer_init(&out, 1 << 24);
		assert_true(message_read(account, ids[i], 0, 1 << 20, &out, &err));
		assert_int_equal(out.len, rows[i].size);
		assert_memory_equal(out.data, "Subject: hello\r\n", 16);
		buffer_free(&out);
		account_release(&account);
	}
	seen_free(seen);
	assert_clean(fixture);
}

static void run_sql(struct fixture *fixture, const char *sql)
{
	char path[128];
	sqlite3 *handle;

	store_close_idle(fixture->store, 0);
	snprintf(path, sizeof(path), "%s/accounts/%d/mail.db", fixture->dir, ACCOUNT);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(handle);
}

/* One damaged message is told as such; the others are read. */
static void test_damage(void **state)
{
	static const struct {
		const char *sql;
		unsigned wants;
		bool damaged;
	} rows[] = {
		{ "SELECT 1", WANT_META | WANT_BYTES, false },
		{ "UPDATE content SET bytes = zeroblob(length(bytes))", WANT_META | WANT_HEADER,
		        false }, /* not looked at */
		{ "SELECT 1", WANT_META | WANT_BYTES, true },
		{ "UPDATE content SET checksum = NULL", WANT_META | WANT_BYTES, false }, /* not known */
		{ "UPDATE content SET length = length + 1", WANT_META | WANT_BYTES, true },
		{ "UPDATE content SET format = 7", WANT_META | WANT_BYTES, true },
		{ "DELETE FROM content", WANT_META | WANT_HEADER, false },
		{ "SELECT 1", WANT_META | WANT_BYTES, true },
		{ "UPDATE header SET format = 7", WANT_META | WANT_HEADER, true },
		{ "DELETE FROM header", WANT_META | WANT_HEADER, true },
		{ "SELECT 1", WANT_META, false },
	};
	struct fixture *fixture = *state;
	struct seen *seen = seen_new();
	int64_t id;

	append(fixture, "INBOX", 300, 'd');
	id = first_id(fixture);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		run_sql(fixture, rows[i].sql);
		read_into(fixture, &id, 1, rows[i].wants, seen);
		assert_int_equal(seen->count, 1);
		assert_int_equal(seen->last.damaged, rows[i].damaged);
		assert_true(!rows[i].damaged || (seen->header.len == 0 && seen->rest.len == 0));
		assert_int_equal(seen->last.size, 300);
	}
	seen_free(seen);
}

/* The values are those of the reference program xxhsum -H1. */
static void test_checksum(void **state)
{
	static const struct {
		size_t length;
		uint64_t sum;
	} rows[] = { { 0, 0xef46db3751d8e999 }, { 31, 0xa2aa5f33cc4a6119 }, { 32, 0x23c3c17ef790fd97 },
		{ 101, 0xbad4d3bf033bda4c } };
	char bytes[101];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + 3);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(checksum_xxh64(0, span_make(bytes, rows[i].length)), rows[i].sum);
	assert_int_equal(checksum_xxh64(0, SPAN("abc")), 0x44bc2cf5ad770999);
	for (size_t i = 0; i < sizeof(bytes); i++) { /* where the head ends is part of it */
		struct span all = span_make(bytes, sizeof(bytes));

		assert_int_not_equal(
		        content_checksum(span_first(all, i), span_skip(all, i)), content_checksum(all, SPAN_EMPTY));
	}
}

#define LONG_WALK 200
#define LONG_SIZE 6000

struct walk {
	struct fixture *fixture;
	struct store *other; /* NULL: nobody disturbs */
	size_t count;
};

/* Another connection frees half of what is still to come, fills the pages again, and moves as much of the WAL into the file as it may. */
static void disturb(struct walk *walk)
{
	uint32_t uids[LONG_WALK / 2];
	struct fixture there = { .store = walk->other };
	struct mailbox_info inbox = info_of(&there, "INBOX");
	struct batch *batch = batch_new(NULL);
	struct account *account;
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(uids); i++)
		uids[i] = (uint32_t)(LONG_WALK / 2 + 1 + i);
	assert_true(batch_expunge(batch, inbox.id, uids, ARRAY_LEN(uids)));
	assert_int_equal(commit_one(&there, &batch), ERR_NONE);
	for (size_t i = 0; i < 20; i++)
		append(&there, "INBOX", LONG_SIZE, '!');
	account = borrow(&there);
	assert_true(database_checkpoint(account->database, &err));
	account_release(&account);
}

static bool check_walked(void *arg, size_t i, const struct stored_message *m)
{
	struct walk *walk = arg;

	assert_int_equal(i, walk->count);
	assert_false(m->damaged);
	assert_int_equal(m->header.len + m->rest.len, LONG_SIZE);
	assert_int_equal(m->rest.ptr[m->rest.len - 1], 'a' + (int)(i % 26));
	assert_true(m->body_structure.len > 0);
	if (++walk->count == 20 && walk->other != NULL)
		disturb(walk);
	return true;
}

static unsigned long reads_so_far(void)
{
	FILE *io = fopen("/proc/self/io", "r");
	unsigned long calls = 0;
	char line[80];

	assert_non_null(io);
	while (fgets(line, sizeof(line), io) != NULL) {
		if (strncmp(line, "syscr: ", 7) == 0)
			calls = strtoul(line + 7, NULL, 10);
	}
	fclose(io);
	return calls;
}

/* A walk reads pages many at a time, and sees what was there when it began, whatever others do to the file meanwhile. */
static void test_walk(void **state)
{
	struct fixture *fixture = *state;
	struct store_settings settings = { .data_dir = fixture->dir };
	struct walk walk = { .fixture = fixture };
	int64_t ids[LONG_WALK];
	struct message_row *rows;
	struct account *account;
	unsigned long calls;
	struct error err;
	size_t count;

	for (size_t i = 0; i < LONG_WALK; i++)
		append(fixture, "INBOX", LONG_SIZE, (char)('a' + i % 26));
	rows = rows_of(fixture, "INBOX", &count);
	for (size_t i = 0; i < LONG_WALK; i++)
		ids[i] = rows[i].message_id;
	free(rows);
	account = borrow(fixture);
	assert_true(database_checkpoint(account->database, &err));
	calls = reads_so_far();
	assert_true(
	        messages_read(account, ids, LONG_WALK, WANT_BODY_STRUCTURE | WANT_BYTES, check_walked, &walk, &err));
	assert_int_equal(walk.count, LONG_WALK);
	assert_in_range(reads_so_far() - calls, 1, LONG_WALK); /* of two pages and more each */
	walk.count = 0;
	assert_true(store_open(&settings, &walk.other, &err));
	assert_true(
	        messages_read(account, ids, LONG_WALK, WANT_BODY_STRUCTURE | WANT_BYTES, check_walked, &walk, &err));
	assert_int_equal(walk.count, LONG_WALK);
	account_release(&account);
	store_close(&walk.other);
	rows = rows_of(fixture, "INBOX", &count);
	assert_int_equal(count, LONG_WALK / 2 + 20);
	free(rows);
	assert_clean(fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_wants),
		TEST(test_orders),
		TEST(test_stop),
		TEST(test_sizes),
		TEST(test_damage),
		TEST(test_walk),
		TEST(test_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
