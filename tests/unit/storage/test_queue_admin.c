/* storage/queue.h: lists, changes by hand, limits; what check says of damage. */
#include "queue_fixture.h"

#include "base/clock.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY (INT64_C(24) * 60 * MINUTE)

struct listing {
	char text[4000];
	size_t count, stop_after;
};

static bool note_row(void *arg, const struct queue_row *row)
{
	struct listing *listing = arg;

	put_text(listing->text, sizeof(listing->text), "%s%s%s%s", listing->count == 0 ? "" : " ",
	        row->recipient->address, row->recipient->held ? "!" : "",
	        row->recipient->next_attempt_ms > NOW ? "+" : "");
	assert_true(row->message->trace[0] == 't' && row->message->recipients == NULL);
	return ++listing->count != listing->stop_after;
}

/* "a@one.test! b@two.test+": held, tried later */
static void list_is(
        struct site *site, const struct queue_filter *filter, uint64_t skip, uint64_t limit, const char *expected)
{
	struct listing listing = { .text = "" };
	struct error err;

	assert_true(queue_list(site->queue, filter, skip, limit, note_row, &listing, &err));
	assert_string_equal(listing.text, expected);
}

static void all_is(struct site *site, const char *expected)
{
	const struct queue_filter all = { .held = -1 };

	list_is(site, &all, 0, UINT64_MAX, expected);
}

/* t1: a@one.test b@two.test, from s@here.test; t2: A2@One.test here, from <>; t3: c@two.test held, old */
static void fill(struct site *site)
{
	const struct spec specs[] = {
		{ "t1", "a@one.test b@two.test", .created_ms = NOW },
		{ "t2", "A2@one.test here", .created_ms = NOW, .sender = "" },
		{ "t3", "c@two.test", .created_ms = NOW - DAY, .sender = "X@There.test", .held = true },
	};

	for (size_t i = 0; i < ARRAY_LEN(specs); i++)
		assert_int_equal(add_spec(site, &specs[i]), ERR_NONE);
	finish(site, "b@two.test", QUEUE_AGAIN, NOW + MINUTE, "450 no");
}

static void test_filters(void **state)
{
	const struct {
		struct queue_filter filter;
		const char *found;
	} rows[] = {
		{ { .held = -1 }, "a@one.test b@two.test+ A2@one.test here c@two.test!" },
		{ { .held = 0 }, "a@one.test b@two.test+ A2@one.test here" },
		{ { .held = 1 }, "c@two.test!" },
		{ { .held = -1, .trace = SPAN("t2") }, "A2@one.test here" },
		{ { .held = -1, .trace = SPAN("t") }, "" },
		{ { .held = -1, .sender = SPAN("S@here.test") }, "a@one.test b@two.test+" },
		{ { .held = -1, .sender = SPAN("@there.TEST") }, "c@two.test!" },
		{ { .held = -1, .sender = SPAN("@ere.test") }, "" },
		{ { .held = -1, .sender = SPAN("<>") }, "A2@one.test here" },
		{ { .held = -1, .recipient = SPAN("a2@ONE.test") }, "A2@one.test" },
		{ { .held = -1, .recipient = SPAN("@one.test") }, "a@one.test A2@one.test" },
		{ { .held = -1, .recipient = SPAN("@ONE.test.") }, "a@one.test A2@one.test" },
		{ { .held = -1, .recipient = SPAN(".test") }, "a@one.test b@two.test+ A2@one.test c@two.test!" },
		{ { .held = -1, .recipient = SPAN(".TEST.") }, "a@one.test b@two.test+ A2@one.test c@two.test!" },
		{ { .held = -1, .recipient = SPAN(".one.test") }, "" },
		{ { .held = -1, .recipient = SPAN(".ne.test") }, "" },
		{ { .held = -1, .recipient = SPAN(".") }, "" },
		{ { .held = -1, .sender = SPAN(".test") }, "a@one.test b@two.test+ c@two.test!" },
		{ { .held = -1, .recipient = SPAN("@") }, "" },
		{ { .held = -1, .recipient = SPAN("%") }, "" },
		{ { .held = -1, .older_than_ms = NOW }, "c@two.test!" },
		{ { .held = -1, .tried = true }, "b@two.test+" }, /* see also test_waits_for_another() */
		{ { .held = 0, .trace = SPAN("t1"), .sender = SPAN("@here.test"), .recipient = SPAN("@two.test") },
		        "b@two.test+" },
		{ { .held = 1, .trace = SPAN("t1") }, "" },
	};
	const struct queue_filter all = { .held = -1 };
	struct listing listing = { .stop_after = 2 };
	struct site *site = *state;
	struct error err;

	fill(site);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		list_is(site, &rows[i].filter, 0, UINT64_MAX, rows[i].found);
	list_is(site, &all, 1, 2, "b@two.test+ A2@one.test");
	list_is(site, &all, 4, 10, "c@two.test!");
	list_is(site, &all, 5, 10, "");
	list_is(site, &all, UINT64_MAX, 10, "");
	list_is(site, &all, 0, 0, "");
	assert_true(queue_list(site->queue, &all, 0, 10, note_row, &listing, &err));
	assert_int_equal(listing.count, 2);
}

/* What an alias sends on of t1 is t1-1, t1-2; they go with it, and what lies between or is named alike does not. */
static void test_parts(void **state)
{
	const struct spec specs[] = {
		{ "t1-1", "a@one.test", .created_ms = NOW },
		{ "t10", "b@one.test", .created_ms = NOW },
		{ "t1", "c@one.test d@two.test", .created_ms = NOW },
		{ "t2-1", "e@one.test", .created_ms = NOW },
		{ "t1-2", "f@two.test", .created_ms = NOW },
	};
	const struct queue_filter whole = { .held = -1, .trace = SPAN("t1") };
	const struct queue_filter part = { .held = -1, .trace = SPAN("t1-1") };
	const struct queue_filter at_two = { .held = -1, .trace = SPAN("t1"), .recipient = SPAN("@two.test") };
	struct site *site = *state;
	struct error err;
	uint64_t changed;

	for (size_t i = 0; i < ARRAY_LEN(specs); i++)
		assert_int_equal(add_spec(site, &specs[i]), ERR_NONE);
	list_is(site, &whole, 0, UINT64_MAX, "a@one.test c@one.test d@two.test f@two.test");
	list_is(site, &whole, 1, 2, "c@one.test d@two.test");
	list_is(site, &part, 0, UINT64_MAX, "a@one.test");
	list_is(site, &at_two, 0, UINT64_MAX, "d@two.test f@two.test");
	assert_true(queue_drop(site->queue, &whole, &changed, &err));
	assert_int_equal(changed, 4);
	all_is(site, "b@one.test e@one.test");
}

/* Who came while a server was known to be down was never tried, and is not in an undo time: ETRN and reroute mean it too. */
static void test_waits_for_another(void **state)
{
	const struct queue_filter tried = { .held = -1, .tried = true };
	struct site *site = *state;

	fill(site);
	finish(site, "a@one.test", QUEUE_UNDONE, NOW + MINUTE, "no answer from mx.one.test");
	list_is(site, &tried, 0, UINT64_MAX, "a@one.test+ b@two.test+");
}

static void test_counts(void **state)
{
	struct site *site = *state;
	struct queue_counts counts;
	struct error err;

	assert_true(queue_count(site->queue, NOW, &counts, &err));
	assert_int_equal(counts.messages + counts.recipients + counts.held + counts.due, 0);
	fill(site);
	assert_true(queue_count(site->queue, NOW, &counts, &err));
	assert_int_equal(counts.messages, 3);
	assert_int_equal(counts.recipients, 5);
	assert_int_equal(counts.held, 1);
	assert_int_equal(counts.due, 3);
}

static void test_changes(void **state)
{
	const struct queue_filter one = { .held = -1, .recipient = SPAN("@one.test") },
	                          two = { .held = -1, .recipient = SPAN("@two.test") }, all = { .held = -1 },
	                          nothing = { .held = -1, .trace = SPAN("?") };
	struct site *site = *state;
	struct error err;
	uint64_t changed;

	fill(site);
	assert_true(queue_hold(site->queue, &one, &changed, &err));
	assert_int_equal(changed, 2);
	due_is(site, NOW, ":0", NOW + MINUTE);
	take_is(site, "one.test", NOW, 10, "");
	assert_true(queue_hold(site->queue, &all, &changed, &err));
	assert_int_equal(changed, 2); /* the others are held already */
	due_is(site, INT64_MAX - 1, "", INT64_MAX);
	assert_true(queue_retry(site->queue, &all, NOW, &changed, &err));
	assert_int_equal(changed, 0); /* held stays held */
	assert_true(queue_release(site->queue, &two, NOW, &changed, &err));
	assert_int_equal(changed, 2);
	all_is(site, "a@one.test! b@two.test A2@one.test! here! c@two.test");
	due_is(site, NOW, "two.test:0", INT64_MAX);
	finish(site, "b@two.test", QUEUE_AGAIN, NOW + MINUTE, "");
	assert_true(queue_retry(site->queue, &two, NOW, &changed, &err));
	assert_int_equal(changed, 2);
	take_is(site, "two.test", NOW, 10, "t3(c@two.test) t1(b@two.test)");
	check_is(site, false, "");
	assert_true(queue_drop(site->queue, &nothing, &changed, &err));
	assert_int_equal(changed, 0);
	assert_true(queue_drop(site->queue, &two, &changed, &err));
	assert_int_equal(changed, 2);
	all_is(site, "a@one.test! A2@one.test! here!");
	check_is(site, false, "");
	assert_true(queue_drop(site->queue, &all, &changed, &err));
	all_is(site, "");
	check_is(site, false, "");
}

static void holding_the_lock(struct site *site, const char *sql, sqlite3 **handle)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/queue.db", site->fixture->dir);
	if (*handle == NULL)
		assert_int_equal(sqlite3_open(path, handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(*handle, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* Anybody may say ETRN: what finds nothing neither waits for a writer nor keeps one waiting. */
static void test_nothing_found(void **state)
{
	const struct queue_filter nobody = { .recipient = SPAN("@three.test"), .held = -1, .tried = true };
	struct site *site = *state;
	sqlite3 *other = NULL;
	struct error err;
	uint64_t changed = 1;

	fill(site);
	holding_the_lock(site, "BEGIN IMMEDIATE", &other);
	assert_true(queue_retry(site->queue, &nobody, NOW, &changed, &err));
	assert_int_equal(changed, 0);
	holding_the_lock(site, "ROLLBACK", &other);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static void test_reroute(void **state)
{
	const struct queue_filter one = { .held = -1, .recipient = SPAN("@one.test") },
	                          all = { .held = -1, .trace = SPAN("t2") },
	                          other = { .held = -1, .recipient = SPAN("@mx.other.test") };
	struct site *site = *state;
	struct error err;
	uint64_t changed;

	fill(site);
	assert_true(queue_reroute(site->queue, &one, SPAN("mx.other.test"), &changed, &err));
	assert_int_equal(changed, 2);
	take_is(site, "one.test", NOW, 10, "");
	take_is(site, "mx.other.test", NOW, 10, "t1(a@one.test) t2(A2@one.test)");
	due_is(site, NOW, ":0 mx.other.test:0", NOW + MINUTE);
	list_is(site, &other, 0, 10, "a@one.test A2@one.test");
	assert_true(queue_reroute(site->queue, &all, SPAN("third.test"), &changed, &err));
	assert_int_equal(changed, 1); /* not what is delivered here */
	take_is(site, "", NOW, 10, "t2(here)");
	assert_true(queue_reroute(site->queue, &all, SPAN("third.test"), &changed, &err)); /* there already */
	take_is(site, "third.test", NOW, 10, "t2(A2@one.test)");
	assert_false(queue_reroute(site->queue, &all, SPAN(""), &changed, &err));
	check_is(site, false, "");
}

/* More than is read at once. */
static void test_long_list(void **state)
{
	const struct queue_filter all = { .held = -1 };
	struct listing listing = { .stop_after = 0 };
	struct site *site = *state;
	char trace[16], addresses[300 * 12] = "";
	struct error err;

	for (int i = 0; i < 250; i++)
		put_text(addresses, sizeof(addresses), "%su%d@t.test", i == 0 ? "" : " ", i);
	for (int i = 0; i < 5; i++) {
		(void)snprintf(trace, sizeof(trace), "t%d", i);
		add(site, trace, addresses);
	}
	assert_true(queue_list(site->queue, &all, 1000, UINT64_MAX, note_row, &listing, &err));
	assert_int_equal(listing.count, 250);
}

static enum error_code may(struct site *site, const char *addresses, int64_t now)
{
	const struct sending_limits limits = { .recipients_a_day = 10, .new_recipients_a_day = 3 };
	struct span list[20], rest = span_of(addresses);
	struct error err;
	size_t count = 0;

	while (span_take_until(&rest, ' ', &list[count]))
		count++;
	list[count++] = rest;
	if (queue_may_send(site->queue, ACCOUNT, &limits, list, count, now, &err))
		return ERR_NONE;
	assert_true(strstr(err.reason, "tomorrow") != NULL);
	return err.code;
}

static void test_limits(void **state)
{
	const struct spec first = { "t1", "a@one.test b@one.test here", .created_ms = NOW, .account_id = ACCOUNT },
	                  second = { "t2", "A@one.test a@one.test a@one.test", .created_ms = NOW,
		                  .account_id = ACCOUNT },
	                  others = { "t3", "x@one.test y@one.test z@one.test", .created_ms = NOW };
	struct site *site = *state;

	assert_int_equal(may(site, "a@one.test b@one.test c@one.test", NOW), ERR_NONE);
	assert_int_equal(may(site, "a@one.test b@one.test c@one.test d@one.test", NOW), ERR_LIMIT);
	assert_int_equal(may(site, "a@one.test b@one.test c@one.test C@one.test", NOW), ERR_NONE);
	assert_int_equal(add_spec(site, &first), ERR_NONE);
	assert_int_equal(may(site, "a@one.test b@one.test c@one.test", NOW), ERR_NONE);
	assert_int_equal(may(site, "c@one.test d@one.test", NOW), ERR_LIMIT);
	assert_int_equal(may(site, "a@one.test", NOW), ERR_NONE);
	assert_int_equal(add_spec(site, &others), ERR_NONE); /* not this account's */
	assert_int_equal(may(site, "c@one.test", NOW), ERR_NONE);
	assert_int_equal(add_spec(site, &second), ERR_NONE);
	open_again(site);
	/* 2 + 3 so far, the one delivered here not counted */
	assert_int_equal(may(site, "a@one.test a@one.test a@one.test a@one.test a@one.test", NOW), ERR_NONE);
	assert_int_equal(
	        may(site, "a@one.test a@one.test a@one.test a@one.test a@one.test a@one.test", NOW), ERR_LIMIT);
	/* the next day: numbers begin anew, who was known stays known */
	assert_int_equal(may(site, "a@one.test b@one.test c@one.test d@one.test e@one.test", NOW + DAY), ERR_NONE);
	assert_int_equal(may(site, "c@one.test d@one.test e@one.test f@one.test", NOW + DAY), ERR_LIMIT);
	check_is(site, false, "");
}

/* Who asked in time, as all sessions of an account may at once, is still held to the limits when it comes to it. */
static void test_limits_when_added(void **state)
{
	static const struct {
		const char *trace, *addresses;
		enum error_code want;
	} rows[] = {
		{ "t1", "a@one.test b@one.test here", ERR_NONE },
		{ "t2", "c@one.test", ERR_LIMIT },            /* the third new one */
		{ "t3", "a@one.test b@one.test", ERR_LIMIT }, /* the fourth */
		{ "t4", "A@one.test here", ERR_NONE },
		{ "t5", "b@one.test", ERR_LIMIT },
		{ "t6", "here", ERR_NONE },
	};
	struct spec spec = { .created_ms = NOW, .account_id = ACCOUNT, .limits = { 3, 2 } };
	struct site *site = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		spec.trace = rows[i].trace;
		spec.addresses = rows[i].addresses;
		if (add_spec(site, &spec) != rows[i].want)
			fail_msg("%s", rows[i].trace);
	}
	take_is(site, "one.test", NOW, 10, "t1(a@one.test b@one.test) t4(A@one.test)");
	spec.limits = (struct sending_limits) { 0, 0 };
	spec.trace = "t7";
	spec.addresses = "c@one.test d@one.test e@one.test";
	assert_int_equal(add_spec(site, &spec), ERR_NONE);
	check_is(site, false, "");
}

static int64_t known_rows(struct site *site)
{
	char path[100];
	sqlite3_stmt *rows;
	sqlite3 *handle;
	int64_t count;

	(void)snprintf(path, sizeof(path), "%s/queue.db", site->fixture->dir);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(
	        sqlite3_prepare_v2(handle, "SELECT count(*) FROM known_recipient", -1, &rows, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
	count = sqlite3_column_int64(rows, 0);
	sqlite3_finalize(rows);
	sqlite3_close(handle);
	return count;
}

/* However many somebody has written to, a bounded number of them is remembered: the latest. */
static void test_known_is_bounded(void **state)
{
	struct spec spec = { .account_id = ACCOUNT };
	struct site *site = *state;
	char trace[16], addresses[300 * 16];
	struct error err;

	for (int i = 0; i < 70; i++) {
		addresses[0] = '\0';
		for (int n = 0; n < 300; n++)
			put_text(addresses, sizeof(addresses), "%su%d@t.test", n == 0 ? "" : " ", i * 300 + n);
		(void)snprintf(trace, sizeof(trace), "t%d", i);
		spec.trace = trace;
		spec.addresses = addresses;
		spec.created_ms = NOW + i * DAY;
		assert_int_equal(add_spec(site, &spec), ERR_NONE);
	}
	assert_true(known_rows(site) <= 20000 && known_rows(site) > 19000);
	check_is(site, false, "");
	assert_int_equal(
	        may(site, "u20999@t.test u20998@t.test u20997@t.test u20996@t.test", spec.created_ms + DAY), ERR_NONE);
	assert_int_equal(may(site, "u0@t.test u1@t.test u2@t.test u3@t.test", spec.created_ms + DAY), ERR_LIMIT);
	assert_true(queue_forget_account(site->queue, ACCOUNT, &err));
	assert_int_equal(known_rows(site), 0);
	assert_int_equal(may(site, "u20999@t.test u1@t.test u2@t.test u3@t.test", spec.created_ms + DAY), ERR_LIMIT);
	check_is(site, false, "");
}

static void run_sql(struct site *site, const char *sql)
{
	char path[100];
	sqlite3 *handle;

	(void)snprintf(path, sizeof(path), "%s/queue.db", site->fixture->dir);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(handle);
}

static void test_damages(void **state)
{
	static const struct {
		const char *sql, *found;
		bool repairable;
	} rows[] = {
		{ "UPDATE lane SET next_due = 5 WHERE domain = 'one.test'",
		        "1 destination \"one.test\": due at 5, its recipients at 1800000000000\n", true },
		{ "UPDATE recipient SET held = 1 WHERE address = 'a@one.test'",
		        "1 destination \"one.test\": due at 1800000000000, its recipients at 0\n", true },
		{ "INSERT INTO lane VALUES (900, 'no.test', 0, NULL)", "0 destination \"no.test\" has no recipients\n",
		        true },
		{ "INSERT INTO recipient SELECT 99 << 14, lane_id, 0, next_attempt, 0, 'q@one.test', 0, '', '', 0, op_id, "
		  "0, 0, '' FROM recipient WHERE address = 'b@two.test'",
		        "2 recipient 1622016 belongs to no message\n", true },
		{ "INSERT INTO message SELECT 77, 'lost', '', '', '', 0, 0, 0, 0, 0, 0, 0, 3, ''; "
		  "INSERT INTO body VALUES (77, x'414243', x'', NULL, 0)",
		        "0 message lost has no recipients\n", true },
		{ "UPDATE body SET length = length + 1 WHERE message_id = 1",
		        "2 message t1: body has not the recorded length\n", false },
		{ "UPDATE body SET length = length - 1 WHERE message_id = 1; DELETE FROM body WHERE message_id = 2",
		        "2 message t2 has no body\n", false },
	};
	struct site *site = *state;

	add(site, "t1", "a@one.test b@two.test");
	add(site, "t2", "c@two.test");
	queue_close(&site->queue);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		run_sql(site, rows[i].sql);
		check_is(site, false, rows[i].found);
		check_is(site, true, rows[i].found);
		if (i == 1)
			run_sql(site, "UPDATE recipient SET held = 0; "
			              "UPDATE lane SET next_due = 1800000000000 WHERE domain = 'one.test'");
		else
			check_is(site, false, rows[i].repairable ? "" : rows[i].found);
	}
}

static bool first_file(struct site *site, char *out, size_t size)
{
	char name[64] = "";
	sqlite3_stmt *rows;
	sqlite3 *handle;

	(void)snprintf(out, size, "%s/queue.db", site->fixture->dir);
	assert_int_equal(sqlite3_open(out, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(handle, "SELECT file FROM body", -1, &rows, NULL), SQLITE_OK);
	if (sqlite3_step(rows) == SQLITE_ROW)
		(void)snprintf(name, sizeof(name), "%s", (const char *)sqlite3_column_text(rows, 0));
	sqlite3_finalize(rows);
	sqlite3_close(handle);
	(void)snprintf(out, size, "%s/queue/blobs/%.2s/%s", site->fixture->dir, name, name);
	return name[0] != '\0';
}

/* Files without rows go when they are old; rows without files are damage. */
static void test_files(void **state)
{
	const struct spec large = { "t1", "a@one.test", .created_ms = NOW, .size = 100000 };
	struct site *site = *state;
	int64_t far = clock_wall_ms() + 10 * DAY;
	char path[200], other[250];
	struct error err;
	size_t got;

	assert_int_equal(add_spec(site, &large), ERR_NONE);
	assert_true(first_file(site, path, sizeof(path)));
	(void)snprintf(other, sizeof(other), "%s", path);
	memcpy(strrchr(other, '/') + 3, "0123456789", 10);
	assert_int_equal(link(path, other), 0);
	assert_true(queue_tidy(site->queue, clock_wall_ms(), &err)); /* too young */
	assert_int_equal(files_in(site), 2);
	assert_true(queue_tidy(site->queue, far, &err));
	assert_int_equal(files_in(site), 1);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(truncate(path, 5), 0);
	assert_false(queue_read(site->queue, 1, 50, other, 10, &got, &err));
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_int_equal(unlink(path), 0);
	assert_false(queue_read(site->queue, 1, 50, other, 10, &got, &err));
	assert_int_equal(err.code, ERR_DAMAGED);
	(void)snprintf(other, sizeof(other), "2 message 1: %s is missing\n", path);
	check_is(site, false, other);
	finish(site, "a@one.test", QUEUE_DONE, 0, ""); /* what cannot be sent can still be failed */
	check_is(site, false, "");
}

static int version_of(sqlite3 *handle)
{
	sqlite3_stmt *rows;
	int version;

	assert_int_equal(sqlite3_prepare_v2(handle, "PRAGMA data_version", -1, &rows, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
	version = sqlite3_column_int(rows, 0);
	sqlite3_finalize(rows);
	return version;
}

/* Whoever may say ETRN says it as often as he likes: what is due already is counted and not written again. */
static void test_retry_of_what_is_due(void **state)
{
	const struct queue_filter all = { .held = -1 };
	struct site *site = *state;
	char path[128];
	struct error err;
	uint64_t changed;
	sqlite3 *other;
	int version;

	snprintf(path, sizeof(path), "%s/queue.db", site->fixture->dir);
	add(site, "t1", "a@one.test b@two.test");
	assert_int_equal(sqlite3_open_v2(path, &other, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	version = version_of(other);
	assert_true(queue_retry(site->queue, &all, NOW + 1, &changed, &err));
	assert_int_equal(changed, 2);
	assert_int_equal(version_of(other), version);
	finish(site, "a@one.test", QUEUE_AGAIN, NOW + 60 * MINUTE, "later");
	version = version_of(other);
	assert_true(queue_retry(site->queue, &all, NOW + 1, &changed, &err));
	assert_int_equal(changed, 2);
	assert_int_not_equal(version_of(other), version);
	due_is(site, NOW + 1, "two.test:0 one.test:0", INT64_MAX);
	sqlite3_close(other);
}

static void note_progress(void *arg, uint64_t changed)
{
	*(uint64_t *)arg = changed;
}

static void test_progress(void **state)
{
	const struct queue_filter all = { .held = -1 };
	struct site *site = *state;
	uint64_t changed, told = 0;
	struct error err;

	fill(site);
	queue_show_progress(site->queue, note_progress, &told);
	assert_true(queue_hold(site->queue, &all, &changed, &err));
	assert_int_equal(told, changed);
	queue_show_progress(site->queue, NULL, NULL);
	told = 0;
	assert_true(queue_release(site->queue, &all, NOW, &changed, &err));
	assert_int_equal(told, 0);
}

struct pieces {
	unsigned count;
	uint64_t last;
};

static void note_piece(void *arg, uint64_t changed)
{
	struct pieces *pieces = arg;

	assert_true(changed > pieces->last);
	pieces->last = changed;
	pieces->count++;
}

static void many_are(struct site *site, uint64_t recipients, uint64_t held)
{
	struct queue_counts counts;
	struct error err;

	assert_true(queue_count(site->queue, NOW, &counts, &err));
	assert_int_equal(counts.recipients, recipients);
	assert_int_equal(counts.held, held);
	assert_int_equal(counts.due, recipients - held);
	check_is(site, false, "");
}

/* More than a transaction takes: each once, messages that lie across two of them too. */
static void test_pieces(void **state)
{
	enum { MESSAGES = 21, EACH = 300, ALL = MESSAGES * EACH, PIECES = 4 };
	const struct queue_filter all = { .held = -1 };
	struct site *site = *state;
	static char addresses[EACH * 16];
	struct pieces pieces = { 0, 0 };
	uint64_t changed;
	struct error err;
	char trace[16];

	for (int i = 0; i < EACH; i++)
		put_text(addresses, sizeof(addresses), "%su%d@%d.test", i == 0 ? "" : " ", i, i % 7);
	for (int i = 0; i < MESSAGES; i++) {
		snprintf(trace, sizeof(trace), "t%d", i);
		add(site, trace, addresses);
	}
	queue_show_progress(site->queue, note_piece, &pieces);
	assert_true(queue_hold(site->queue, &all, &changed, &err));
	assert_int_equal(changed, ALL);
	assert_int_equal(pieces.last, ALL);
	assert_int_equal(pieces.count, PIECES);
	queue_show_progress(site->queue, NULL, NULL);
	many_are(site, ALL, ALL);
	assert_true(queue_release(site->queue, &all, NOW, &changed, &err));
	assert_int_equal(changed, ALL);
	many_are(site, ALL, 0);
	assert_true(queue_drop(
	        site->queue, &(struct queue_filter) { .held = -1, .recipient = SPAN("@3.test") }, &changed, &err));
	assert_int_equal(changed, MESSAGES * (EACH / 7 + (EACH % 7 > 3)));
	many_are(site, ALL - changed, 0);
	assert_true(queue_drop(site->queue, &all, &changed, &err));
	many_are(site, 0, 0);
}

/* Nobody waits long for the lock while large messages are deleted. */
static void test_pieces_of_large_ones(void **state)
{
	enum { MESSAGES = 150, SIZE = 60000, EACH = 4 * MIB / SIZE + 1 };
	const struct queue_filter all = { .held = -1 };
	struct pieces pieces = { 0, 0 };
	struct site *site = *state;
	uint64_t changed;
	struct error err;
	char trace[16];

	for (int i = 0; i < MESSAGES; i++) {
		snprintf(trace, sizeof(trace), "t%d", i);
		assert_int_equal(add_spec(site, &(struct spec) { .trace = trace,
		                                        .addresses = "a@1.test b@1.test",
		                                        .created_ms = NOW,
		                                        .size = SIZE }),
		        ERR_NONE);
	}
	queue_show_progress(site->queue, note_piece, &pieces);
	assert_true(queue_hold(site->queue, &all, &changed, &err));
	assert_int_equal(pieces.count, 1);
	pieces = (struct pieces) { 0, 0 };
	assert_true(queue_drop(site->queue, &all, &changed, &err));
	assert_int_equal(changed, 2 * MESSAGES);
	assert_int_equal(pieces.count, (MESSAGES + EACH - 1) / EACH);
	many_are(site, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_filters, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_parts, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_another, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_counts, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_changes, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_nothing_found, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_reroute, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_long_list, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_limits, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_limits_when_added, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_known_is_bounded, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_damages, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_files, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_retry_of_what_is_due, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_pieces, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_pieces_of_large_ones, queue_setup, queue_teardown),
		cmocka_unit_test_setup_teardown(test_progress, queue_setup, queue_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
