/* storage/queue.h: in, out, again; what is due. The admin's side: test_queue_admin.c. */
#include "queue_fixture.h"

#include "storage/schema.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_states(void **state)
{
	struct site *site = *state;

	add(site, "t1", "a@one.test b@one.test c@two.test here");
	due_is(site, NOW - 1, "", NOW);
	due_is(site, NOW, "one.test:0 two.test:0 :0", INT64_MAX);
	take_is(site, "one.test", NOW, 10, "t1(a@one.test b@one.test)");
	take_is(site, "one.test", NOW - 1, 10, "");
	take_is(site, "two.test", NOW, 10, "t1(c@two.test)");
	take_is(site, "", NOW, 10, "t1(here)");
	finish(site, "a@one.test", QUEUE_AGAIN, NOW + MINUTE, "450 later");
	due_is(site, NOW, "one.test:0 two.test:0 :0", INT64_MAX);
	finish(site, "b@one.test", QUEUE_UNDONE, NOW + 2 * MINUTE, "");
	due_is(site, NOW, "two.test:0 :0", NOW + MINUTE);
	open_again(site);
	take_is(site, "one.test", NOW + 5 * MINUTE, 10, "t1(a@one.test b@one.test)");
	finish(site, "a@one.test", QUEUE_DONE, 0, "");
	finish(site, "c@two.test", QUEUE_DONE, 0, "");
	finish(site, "here", QUEUE_DONE, 0, "");
	due_is(site, NOW, "", NOW + 2 * MINUTE);
	check_is(site, false, "");
	finish(site, "b@one.test", QUEUE_DONE, 0, "");
	due_is(site, INT64_MAX - 1, "", INT64_MAX);
	check_is(site, false, "");
}

static void test_fields(void **state)
{
	struct site *site = *state;
	uint8_t op_id[OP_ID_LEN] = { 1, 2, 3 };
	struct queue_rcpt_new rcpts[] = {
		{ .kind = QUEUE_REMOTE,
		        .address = SPAN("A@one.test"),
		        .domain = SPAN("one.test"),
		        .orcpt = SPAN("rfc822;x@y.test"),
		        .notify = NOTIFY_SUCCESS | NOTIFY_DELAY },
		{ .kind = QUEUE_LOCAL, .address = SPAN("b@here.test"), .account_id = 4, .folder = SPAN("lists") },
		{ .kind = QUEUE_SENT, .address = SPAN("s@here.test"), .account_id = 4 },
		{ .kind = QUEUE_LOCAL, .address = SPAN("c@here.test"), .account_id = 5 },
	};
	struct message message;
	struct queue_entry entry = { .trace = SPAN("t1"),
		.sender = SPAN("s@here.test"),
		.envid = SPAN("e+2Bx"),
		.message_id = SPAN("m@here.test"),
		.ret = RETURN_HEADERS,
		.flags = QUEUE_SMTPUTF8 | QUEUE_REQUIRETLS,
		.priority = 3,
		.account_id = 9,
		.created_ms = NOW,
		.expires_ms = NOW + 7,
		.deliver_by_ms = NOW + 8,
		.prefix = SPAN("X: y\r\n"),
		.recipients = rcpts,
		.recipient_count = ARRAY_LEN(rcpts) },
	                   *entries[] = { &entry };
	struct taken taken;
	struct error err;

	memcpy(rcpts[3].op_id, op_id, sizeof(op_id));
	message_make(site->fixture, &message, 200, 'x');
	entry.body = message.spool;
	assert_true(queue_add(site->queue, entries, 1, &err));
	message_free(&message);
	taken = take(site, "one.test", NOW, 1);
	assert_int_equal(taken.count, 1);
	assert_int_equal(taken.list[0]->id, entry.message_id_out);
	assert_string_equal(taken.list[0]->sender, "s@here.test");
	assert_string_equal(taken.list[0]->envid, "e+2Bx");
	assert_string_equal(taken.list[0]->message_id, "m@here.test");
	assert_int_equal(taken.list[0]->ret, RETURN_HEADERS);
	assert_int_equal(taken.list[0]->flags, QUEUE_SMTPUTF8 | QUEUE_REQUIRETLS);
	assert_int_equal(taken.list[0]->priority, 3);
	assert_int_equal(taken.list[0]->account_id, 9);
	assert_int_equal(taken.list[0]->created_ms, NOW);
	assert_int_equal(taken.list[0]->expires_ms, NOW + 7);
	assert_int_equal(taken.list[0]->deliver_by_ms, NOW + 8);
	assert_int_equal(taken.list[0]->size, 206);
	assert_string_equal(taken.list[0]->recipients[0].orcpt, "rfc822;x@y.test");
	assert_int_equal(taken.list[0]->recipients[0].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	give_back(&taken);
	taken = take(site, "", NOW, 1);
	assert_int_equal(taken.list[0]->recipient_count, 3);
	assert_string_equal(taken.list[0]->recipients[0].folder, "lists");
	assert_int_equal(taken.list[0]->recipients[1].kind, QUEUE_SENT);
	assert_memory_not_equal(taken.list[0]->recipients[0].op_id, taken.list[0]->recipients[1].op_id, OP_ID_LEN);
	assert_memory_equal(taken.list[0]->recipients[2].op_id, op_id, OP_ID_LEN);
	give_back(&taken);
}

static void test_again_keeps_words(void **state)
{
	struct site *site = *state;
	struct queue_outcome outcome = { .result = QUEUE_AGAIN, .next_attempt_ms = NOW + MINUTE, .warned = true };
	char words[2000];
	struct taken taken;
	struct error err;

	add(site, "t1", "a@one.test");
	memset(words, 'w', sizeof(words));
	outcome.recipient_id = recipient_id(site, "a@one.test");
	outcome.reply = span_make(words, sizeof(words));
	assert_true(queue_finish(site->queue, &outcome, 1, NULL, 0, &err));
	outcome.warned = false;
	outcome.reply = SPAN("421 no\0hidden");
	assert_true(queue_finish(site->queue, &outcome, 1, NULL, 0, &err));
	taken = take(site, "one.test", NOW + MINUTE, 1);
	assert_int_equal(taken.list[0]->recipients[0].attempts, 2);
	assert_true(taken.list[0]->recipients[0].warned); /* once said it stays said */
	assert_string_equal(taken.list[0]->recipients[0].reply, "421 no");
	give_back(&taken);
}

/* Later, and gone already: passed over. */
static void test_gone_recipients(void **state)
{
	struct site *site = *state;
	struct queue_outcome outcomes[] = { { .result = QUEUE_DONE },
		{ .recipient_id = 12345678, .result = QUEUE_AGAIN, .next_attempt_ms = 1 },
		{ .recipient_id = 12345678, .result = QUEUE_DONE } };
	struct error err;

	add(site, "t1", "a@one.test");
	outcomes[0].recipient_id = recipient_id(site, "a@one.test");
	assert_true(queue_finish(site->queue, outcomes, 3, NULL, 0, &err));
	assert_true(queue_finish(site->queue, outcomes, 3, NULL, 0, &err));
	due_is(site, INT64_MAX - 1, "", INT64_MAX);
	check_is(site, false, "");
}

static void test_priorities(void **state)
{
	static const struct spec specs[] = {
		{ "low", "a@one.test x@two.test", -4, NOW - 5, 0 },
		{ "none", "b@one.test", 0, NOW - 3, 0 },
		{ "high", "c@one.test", 9, NOW - 1, 0 },
		{ "older", "d@one.test", 0, NOW - 4, 0 },
		{ "later", "e@three.test", 9, NOW - 9, NOW + 5 },
	};
	struct queue_destination one;
	struct site *site = *state;
	struct error err;
	int64_t next;
	size_t count;

	for (size_t i = 0; i < ARRAY_LEN(specs); i++)
		assert_int_equal(add_spec(site, &specs[i]), ERR_NONE);
	due_is(site, NOW, "one.test:9 two.test:-4", NOW + 5);
	due_is(site, NOW + 5, "one.test:9 three.test:9 two.test:-4", INT64_MAX);
	take_is(site, "one.test", NOW, 10, "high(c@one.test) older(d@one.test) none(b@one.test) low(a@one.test)");
	take_is(site, "one.test", NOW, 2, "high(c@one.test) older(d@one.test)");
	/* room for one: it is told that there is more */
	assert_true(queue_due(site->queue, NOW, &one, 1, &count, &next, &err));
	assert_int_equal(count, 1);
	assert_string_equal(one.domain, "one.test");
	assert_int_equal(one.due_ms, NOW - 1);
	assert_true(next <= NOW);
}

static bool is_under_way(void *arg, int64_t recipient_id)
{
	return recipient_id == *(int64_t *)arg;
}

static void test_skip(void **state)
{
	struct site *site = *state;
	struct taken taken;
	struct error err;
	int64_t busy;

	add(site, "t1", "a@one.test b@one.test");
	add(site, "t2", "c@one.test");
	busy = recipient_id(site, "a@one.test");
	assert_true(queue_take(
	        site->queue, "one.test", NOW, is_under_way, &busy, taken.list, 1, SIZE_MAX, &taken.count, &err));
	assert_int_equal(taken.count, 1);
	assert_string_equal(taken.list[0]->trace, "t1");
	assert_int_equal(taken.list[0]->recipient_count, 1);
	assert_string_equal(taken.list[0]->recipients[0].address, "b@one.test");
	give_back(&taken);
}

/* RFC 5321 §4.5.3.1.8: a hundred at once; the rest is there for another connection. */
static void test_many_recipients(void **state)
{
	struct site *site = *state;
	char addresses[250 * 16] = "";
	struct taken taken;
	struct error err;

	for (int i = 0; i < 250; i++)
		put_text(addresses, sizeof(addresses), "%su%d@one.test", i == 0 ? "" : " ", i);
	add(site, "t1", addresses);
	add(site, "t2", "z@one.test");
	taken = take(site, "one.test", NOW, 10);
	assert_int_equal(taken.count, 4);
	assert_int_equal(taken.list[0]->recipient_count, QUEUE_TAKE_MAX);
	assert_int_equal(taken.list[2]->recipient_count, 50);
	assert_int_equal(taken.list[0]->id, taken.list[2]->id);
	assert_string_equal(taken.list[3]->trace, "t2");
	give_back(&taken);
	taken = take(site, "one.test", NOW, 2);
	assert_int_equal(taken.count, 2);
	assert_string_equal(taken.list[1]->recipients[99].address, "u199@one.test");
	give_back(&taken);
	assert_true(queue_take(site->queue, "one.test", NOW, NULL, NULL, taken.list, 10, 110, &taken.count, &err));
	assert_int_equal(taken.count, 2); /* who has little memory asks for fewer */
	assert_int_equal(taken.list[0]->recipient_count + taken.list[1]->recipient_count, 110);
	give_back(&taken);
}

static void read_is(struct site *site, int64_t id, uint64_t offset, size_t size, const char *expected)
{
	char out[400];
	struct error err;
	size_t got;

	assert_true(queue_read(site->queue, id, offset, out, size, &got, &err));
	assert_int_equal(got, strlen(expected));
	assert_memory_equal(out, expected, got);
}

/* Both in the row and in a file: the prefix, then the body, in any pieces. */
static void test_read(void **state)
{
	static const size_t sizes[] = { 100, 200000 };
	struct site *site = *state;
	struct error err;
	char byte;
	size_t got;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		const struct spec spec = {
			.trace = i == 0 ? "t0" : "t1", .addresses = "a@one.test", .created_ms = NOW, .size = sizes[i]
		};
		struct taken taken;
		int64_t id;

		assert_int_equal(add_spec(site, &spec), ERR_NONE);
		taken = take(site, "one.test", NOW, 1);
		id = taken.list[0]->id;
		assert_int_equal(taken.list[0]->size, sizes[i] + 21);
		give_back(&taken);
		read_is(site, id, 0, 34, "Received: from here\r\nSubject: hell");
		read_is(site, id, 19, 4, "\r\nSu");
		read_is(site, id, 21, 3, "Sub");
		read_is(site, id, 22, 3, "ubj");
		read_is(site, id, sizes[i] + 18, 100, "xxx");
		read_is(site, id, sizes[i] + 21, 100, "");
		read_is(site, id, UINT64_MAX, 100, "");
		assert_int_equal(files_in(site), i);
		check_is(site, false, "");
		finish(site, "a@one.test", QUEUE_DONE, 0, "");
		assert_int_equal(files_in(site), 0);
		assert_false(queue_read(site->queue, id, 0, &byte, 1, &got, &err));
		assert_int_equal(err.code, ERR_NO_SUCH_MESSAGE);
	}
}

/* Small ones come with their octets, until there are too many of them in memory. */
static void test_octets_in_memory(void **state)
{
	enum { EACH = 12000, COUNT = QUEUE_OCTETS_ALL / EACH + 20 };
	static struct queue_message *list[COUNT];
	struct site *site = *state;
	char trace[16], read[EACH + 1000];
	size_t count, got, with = 0;
	struct taken taken;
	struct error err;

	for (int i = 0; i < COUNT; i++) {
		snprintf(trace, sizeof(trace), "t%d", i);
		assert_int_equal(
		        add_spec(site,
		                &(struct spec) {
		                        .trace = trace, .addresses = "a@one.test", .created_ms = NOW, .size = EACH }),
		        ERR_NONE);
	}
	assert_true(queue_take(site->queue, "one.test", NOW, NULL, NULL, list, COUNT, SIZE_MAX, &count, &err));
	assert_int_equal(count, COUNT);
	for (size_t i = 0; i < count; i++) {
		if (list[i]->octets == NULL)
			continue;
		with++;
		assert_true(queue_read(site->queue, list[i]->id, 0, read, sizeof(read), &got, &err));
		assert_int_equal(got, list[i]->size);
		assert_memory_equal(read, list[i]->octets, got);
	}
	assert_int_equal(with, QUEUE_OCTETS_ALL / list[0]->size);
	for (size_t i = 0; i < count; i++)
		queue_message_free(&list[i]);
	assert_int_equal(add_spec(site, &(struct spec) { .trace = "large",
	                                        .addresses = "a@two.test",
	                                        .created_ms = NOW,
	                                        .size = QUEUE_OCTETS_EACH }),
	        ERR_NONE);
	taken = take(site, "two.test", NOW, 10);
	assert_null(taken.list[0]->octets);
	give_back(&taken);
	taken = take(site, "one.test", NOW, 10); /* the memory has been given back */
	assert_non_null(taken.list[9]->octets);
	give_back(&taken);
}

/* The file, as it is on the disk: what a sector that has gone bad leaves of the pages of one body. */
static void damage_body(struct site *site, char filler)
{
	static char file[1024 * 1024];
	char path[128], wanted[64];
	size_t size, damaged = 0;
	struct error err;
	sqlite3 *handle;
	FILE *stream;

	queue_close(&site->queue);
	snprintf(path, sizeof(path), "%s/queue.db", site->fixture->dir);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(handle);
	memset(wanted, filler, sizeof(wanted));
	stream = fopen(path, "r+");
	assert_non_null(stream);
	size = fread(file, 1, sizeof(file), stream);
	for (size_t page = 0; page + 4096 <= size; page += 4096)
		if (memcmp(file + page + 2000, wanted, sizeof(wanted)) == 0 &&
		        memcmp(file + page + 4, wanted, 4) == 0) {
			memset(file + page, 0xff, 4); /* which page comes next: none that there is */
			damaged++;
		}
	assert_true(damaged > 0);
	rewind(stream);
	assert_int_equal(fwrite(file, 1, size, stream), size);
	fclose(stream);
	assert_true(queue_open(site->fixture->dir, &site->queue, &err));
}

/* What cannot be read keeps back no other message. */
static void test_damaged_body(void **state)
{
	struct site *site = *state;
	struct taken taken;
	struct error err;
	char octets[64];
	size_t got;

	add(site, "t0", "a@one.test");
	assert_int_equal(
	        add_spec(site,
	                &(struct spec) { .trace = "t1", .addresses = "b@one.test", .created_ms = NOW, .size = 12000 }),
	        ERR_NONE);
	add(site, "t2", "c@one.test");
	damage_body(site, 'x');
	taken = take(site, "one.test", NOW, 10);
	assert_int_equal(taken.count, 3);
	assert_null(taken.list[1]->octets);
	assert_true(queue_read(site->queue, taken.list[0]->id, 0, octets, sizeof(octets), &got, &err));
	assert_false(queue_read(site->queue, taken.list[1]->id, 0, octets, sizeof(octets), &got, &err));
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_true(queue_read(site->queue, taken.list[2]->id, 0, octets, sizeof(octets), &got, &err));
	give_back(&taken);
}

/* A queue of version 1, with mail in it, goes on; what it was is kept. */
static void test_old_version(void **state)
{
	static const char mail[] =
	        "INSERT INTO message VALUES (5, 't1', 's@here.test', '', 'm', 0, 0, 0, 0, 1, 1900000000000, 0, 5);"
	        "INSERT INTO body VALUES (5, x'616263', x'6465', NULL, 2);"
	        "INSERT INTO lane VALUES (1, 'one.test', 0, 1);"
	        "INSERT INTO recipient VALUES (5 << 14, 1, 0, 1, 0, 'a@one.test', 0, '', '', 0, zeroblob(16), 0, 0, '');";
	struct site *site = *state;
	char path[128], kept[160];
	struct taken taken;
	struct error err;
	sqlite3 *handle;

	queue_close(&site->queue);
	snprintf(path, sizeof(path), "%s/queue.db", site->fixture->dir);
	for (int i = 0; i < 3; i++) {
		static const char *const ends[] = { "", "-wal", "-shm" };

		snprintf(kept, sizeof(kept), "%s%s", path, ends[i]);
		assert_int_equal(unlink(kept), 0);
	}
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, schema_queue_1, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, mail, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(handle);
	assert_true(queue_open(site->fixture->dir, &site->queue, &err));
	snprintf(kept, sizeof(kept), "%s.v1", path);
	assert_int_equal(access(kept, R_OK), 0);
	taken = take(site, "one.test", NOW, 10);
	assert_int_equal(taken.count, 1);
	assert_string_equal(taken.list[0]->future_release, "");
	assert_memory_equal(taken.list[0]->octets, "abcde", 5);
	give_back(&taken);
	add(site, "t2", "b@one.test");
	take_is(site, "one.test", NOW, 10, "t1(a@one.test) t2(b@one.test)");
	finish(site, "a@one.test", QUEUE_DONE, 0, "");
	check_is(site, false, "");
}

/* A file stays while one recipient does; several messages go in one transaction. */
static void test_reports(void **state)
{
	struct site *site = *state;
	struct queue_rcpt_new to = { .kind = QUEUE_REMOTE, .address = SPAN("s@far.test"), .domain = SPAN("far.test") };
	struct queue_entry report = { .trace = SPAN("r1"),
		.flags = QUEUE_REPORT,
		.created_ms = NOW,
		.expires_ms = NOW + 1,
		.recipients = &to,
		.recipient_count = 1 },
	                   *reports[] = { &report };
	const struct spec large = { "t1", "a@one.test b@one.test", .created_ms = NOW, .size = 100000 };
	struct queue_outcome outcome = { .result = QUEUE_DONE };
	struct message message;
	struct error err;

	assert_int_equal(add_spec(site, &large), ERR_NONE);
	message_make(site->fixture, &message, 70000, 'r');
	report.body = message.spool;
	outcome.recipient_id = recipient_id(site, "a@one.test");
	assert_true(queue_finish(site->queue, &outcome, 1, reports, 1, &err));
	take_is(site, "far.test", NOW, 10, "r1(s@far.test)");
	take_is(site, "one.test", NOW, 10, "t1(b@one.test)");
	assert_int_equal(files_in(site), 2);
	/* the report is there already: nothing of it happens, nothing is left */
	outcome.recipient_id = recipient_id(site, "b@one.test");
	assert_false(queue_finish(site->queue, &outcome, 1, reports, 1, &err));
	assert_int_equal(err.code, ERR_EXISTS);
	take_is(site, "one.test", NOW, 10, "t1(b@one.test)");
	assert_int_equal(files_in(site), 2);
	/* the same outcome again, after a commit that was unknown: its report, which has another name now, is not made twice */
	report.trace = SPAN("r2");
	assert_true(queue_finish(site->queue, &outcome, 1, reports, 1, &err));
	report.trace = SPAN("r3");
	assert_true(queue_finish(site->queue, &outcome, 1, reports, 1, &err));
	take_is(site, "far.test", NOW, 10, "r1(s@far.test) r2(s@far.test)");
	assert_int_equal(files_in(site), 2);
	message_free(&message);
	check_is(site, false, "");
}

static void test_refused(void **state)
{
	struct site *site = *state;
	char far[400];
	const struct {
		struct spec spec;
		enum error_code want;
	} rows[] = {
		{ { "t1", "a@one.test", .created_ms = NOW }, ERR_EXISTS },
		{ { "", "a@one.test", .created_ms = NOW }, ERR_BAD_VALUE },
		{ { "t2", "", .created_ms = NOW }, ERR_BAD_VALUE },
		{ { "t2", "a@", .created_ms = NOW }, ERR_BAD_ADDRESS },
		{ { "t2", far, .created_ms = NOW }, ERR_TOO_LONG },
		{ { "t2-that-is-far-too-long-for-it", "a@one.test", .created_ms = NOW }, ERR_TOO_LONG },
		{ { "t2", "a@one.test", .priority = 10, .created_ms = NOW }, ERR_BAD_VALUE },
		{ { "t2", "a@one.test", .sender = far, .created_ms = NOW }, ERR_TOO_LONG },
		{ { "t1", "a@one.test", .created_ms = NOW, .size = 100000 }, ERR_EXISTS },
	};

	memset(far, 'f', sizeof(far));
	memcpy(far + sizeof(far) - 6, "@x.de", 6);
	add(site, "t1", "first@one.test");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum error_code got = add_spec(site, &rows[i].spec);

		if (got != rows[i].want)
			fail_msg("row %zu: %s", i, error_name(got));
	}
	take_is(site, "one.test", NOW, 10, "t1(first@one.test)");
	assert_int_equal(files_in(site), 0);
	check_is(site, false, "");
}

static enum queue_hint what_is_told(int fd)
{
	enum queue_hint hint, told = QUEUE_HINT_NONE;

	while ((hint = queue_watch_next(fd)) != QUEUE_HINT_NONE)
		told = hint > told ? hint : told;
	return told;
}

static void test_watch(void **state)
{
	struct site *site = *state;
	const struct spec held = { "t2", "b@two.test", .created_ms = NOW, .held = true };
	struct queue_filter all = { .held = -1 };
	struct error err;
	uint64_t changed;
	int fd;

	add(site, "t0", "a@one.test"); /* nobody listens yet */
	fd = queue_watch(site->fixture->dir, &err);
	assert_true(fd >= 0);
	assert_int_equal(what_is_told(fd), QUEUE_HINT_NONE);
	add(site, "t1", "a@one.test");
	assert_int_equal(what_is_told(fd), QUEUE_HINT_WORK);
	assert_int_equal(add_spec(site, &held), ERR_NONE);
	(void)what_is_told(fd);
	assert_true(queue_release(site->queue, &all, NOW, &changed, &err));
	assert_int_equal(what_is_told(fd), QUEUE_HINT_WORK);
	assert_true(queue_hold(site->queue, &all, &changed, &err));
	assert_int_equal(what_is_told(fd), QUEUE_HINT_CHANGED);
	assert_true(queue_release(site->queue, &all, NOW, &changed, &err));
	assert_int_equal(what_is_told(fd), QUEUE_HINT_WORK);
	close(fd);
	fd = queue_watch(site->fixture->dir, &err); /* the relay was started again */
	assert_true(fd >= 0);
	for (int i = 0; i < 300; i++) { /* more than a socket takes: nobody is held up */
		assert_true(queue_retry(site->queue, &all, NOW, &changed, &err));
		assert_int_equal(changed, 3);
	}
	assert_int_equal(what_is_told(fd), QUEUE_HINT_WORK);
	assert_true(queue_reroute(site->queue, &all, SPAN("two.test"), &changed, &err));
	assert_int_equal(what_is_told(fd), QUEUE_HINT_CHANGED);
	assert_true(queue_drop(site->queue, &all, &changed, &err));
	assert_int_equal(what_is_told(fd), QUEUE_HINT_CHANGED);
	close(fd);
}

#define THREADS  4
#define MESSAGES 20

struct worker {
	struct site *site;
	unsigned number;
	unsigned finished;
	bool done; /* of the one who finishes: all that there is */
};

static void *run_adder(void *arg)
{
	struct worker *worker = arg;
	struct queue_rcpt_new rcpt = { .address = SPAN("a@one.test"), .domain = SPAN("one.test") };
	struct queue_entry entry = { .created_ms = NOW, .recipients = &rcpt, .recipient_count = 1, .expires_ms = NOW },
	                   *entries[] = { &entry };
	char trace[16];
	struct spool *body;
	struct error err;
	bool ok = spool_new(worker->site->fixture->store, 100, &body, &err);

	entry.body = body;
	for (unsigned i = 0; ok && i < MESSAGES; i++) {
		(void)snprintf(trace, sizeof(trace), "t%u-%u", worker->number, i);
		entry.trace = span_of(trace);
		ok = queue_add(worker->site->queue, entries, 1, &err);
	}
	spool_free(&body);
	worker->done = ok;
	return NULL;
}

static void *run_finisher(void *arg)
{
	struct worker *worker = arg;
	struct queue_message *list[10];
	struct queue_outcome outcome = { .result = QUEUE_DONE };
	struct error err;
	char octet;
	size_t count, got;
	bool ok = true;

	while (ok && worker->finished < (THREADS - 1) * MESSAGES) {
		ok = queue_take(worker->site->queue, "one.test", NOW, NULL, NULL, list, 10, SIZE_MAX, &count, &err);
		for (size_t i = 0; i < count; i++) {
			outcome.recipient_id = list[i]->recipients[0].id;
			ok = ok && queue_read(worker->site->queue, list[i]->id, 0, &octet, 1, &got, &err) &&
			     queue_finish(worker->site->queue, &outcome, 1, NULL, 0, &err);
			queue_message_free(&list[i]);
		}
		worker->finished += (unsigned)count;
	}
	worker->done = ok;
	return NULL;
}

/* One handle, several threads. */
static void test_threads(void **state)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker) { .site = *state, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, i == 0 ? run_finisher : run_adder, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(workers[i].done);
	}
	assert_int_equal(workers[0].finished, (THREADS - 1) * MESSAGES);
	check_is(*state, false, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_states, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_fields, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_again_keeps_words, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_gone_recipients, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_priorities, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_skip, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_many_recipients, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_read, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_octets_in_memory, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_body, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_old_version, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_reports, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_refused, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_watch, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_threads, queue_setup, queue_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
