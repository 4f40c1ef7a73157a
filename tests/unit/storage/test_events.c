/* storage/events.h */
#include "fixture.h"

#include "base/clock.h"
#include "storage/database.h"
#include "storage/events.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define NOW  INT64_C(1800000000000)
#define HOUR INT64_C(3600000)

#define BLOCKS (1024 * 1024) /* of 4 KiB */
static fsblkcnt_t blocks_free = BLOCKS;

/* The file system's, for all of this program */
int statvfs(const char *path, struct statvfs *out)
{
	(void)path;
	*out = (struct statvfs) { .f_frsize = 4096, .f_blocks = BLOCKS, .f_bavail = blocks_free };
	return 0;
}

struct site {
	char dir[64];
	struct event_log *log;
};

static int setup(void **state)
{
	struct site *site = calloc(1, sizeof(*site));
	struct error err;

	clock_set_for_test(-1, NOW);
	make_dir(site->dir, sizeof(site->dir));
	assert_true(event_log_open(site->dir, true, 30, &site->log, &err));
	*state = site;
	return 0;
}

static int teardown(void **state)
{
	struct site *site = *state;

	event_log_close(&site->log);
	remove_dir(site->dir);
	clock_set_for_test(-1, -1);
	free(site);
	return 0;
}

static void add(struct site *site, int64_t at, const char *trace, const char *message_id, const char *sender,
        const char *recipient, const char *text)
{
	const struct event event = { .at_ms = at,
		.kind = EVENT_ATTEMPT,
		.trace = span_of(trace),
		.message_id = span_of(message_id),
		.sender = span_of(sender),
		.recipient = span_of(recipient),
		.text = span_of(text),
		.detail = SPAN("k=v") };

	event_note(site->log, &event);
}

struct told {
	char text[500];
	size_t stop_after, count;
};

static bool note(void *arg, const struct event *event)
{
	struct told *told = arg;
	size_t len = strlen(told->text);

	assert_int_equal(event->kind, EVENT_ATTEMPT);
	assert_true(span_equal(event->detail, SPAN("k=v")));
	assert_true(snprintf(told->text + len, sizeof(told->text) - len, "%s%.*s", len == 0 ? "" : " ",
	                    SPAN_FMT(event->text)) < (int)(sizeof(told->text) - len));
	return ++told->count != told->stop_after;
}

static void told_is(struct event_log *log, const struct event_query *query, const char *expected)
{
	struct told told = { .text = "" };
	struct error err;

	assert_true(event_log_read(log, query, note, &told, &err));
	if (strcmp(told.text, expected) != 0)
		fail_msg("trace %.*s, id %.*s, address %.*s, limit %d: %s", SPAN_FMT(query->trace),
		        SPAN_FMT(query->message_id), SPAN_FMT(query->address), (int)query->limit, told.text);
}

static void test_stories(void **state)
{
	const struct {
		struct event_query query;
		const char *told;
	} rows[] = {
		{ { .limit = 10 }, "1 2 9 7 8 3 4 5" },
		{ { .limit = 1 }, "3 4 5" },
		{ { .limit = 2 }, "7 8 3 4 5" },
		{ { .limit = 0 }, "" },
		{ { .trace = SPAN("t1"), .limit = 10 }, "1 2" },
		{ { .trace = SPAN("t"), .limit = 10 }, "" },
		{ { .message_id = SPAN("m2@x.test"), .limit = 10 }, "3 4 5" },
		{ { .message_id = SPAN("same@x.test"), .limit = 10 }, "1 2 7 8" },
		{ { .address = SPAN("bob@b.test"), .limit = 10 }, "1 2 3 4 5" },
		{ { .address = SPAN("BOB@B.test"), .limit = 10 }, "1 2 3 4 5" },
		{ { .address = SPAN("alone@b.test"), .limit = 10 }, "9" },
		{ { .address = SPAN("bob@b.test"), .limit = 1 }, "3 4 5" },
		{ { .address = SPAN("bob@b.test"), .since_ms = NOW - 60 * HOUR, .limit = 10 }, "3 4 5" },
		{ { .address = SPAN("bob@b.test"), .since_ms = NOW - 5 * HOUR, .limit = 10 }, "" },
		{ { .address = SPAN("eve@b.test"), .since_ms = NOW, .limit = 10 }, "3 4 5" },
		{ { .since_ms = NOW - 5 * HOUR, .limit = 10 }, "7 8 3 4 5" },
		{ { .since_ms = NOW + 1, .limit = 10 }, "" },
		{ { .message_id = SPAN("same@x.test"), .address = SPAN("bob@b.test"), .limit = 10 }, "1 2" },
		{ { .trace = SPAN("t1"), .address = SPAN("eve@b.test"), .limit = 10 }, "" },
	};
	struct site *site = *state;
	struct event_log *reader;
	struct error err;

	add(site, NOW - 100 * HOUR, "t1", "same@x.test", "al@a.test", "", "1");
	add(site, NOW - 99 * HOUR, "t1", "", "", "Bob@b.test", "2");
	add(site, NOW - 80 * HOUR, "", "", "", "alone@b.test", "9");
	add(site, NOW - 2 * HOUR, "t3", "same@x.test", "", "", "7");
	add(site, NOW - 50 * HOUR, "t2", "m2@x.test", "bob@b.test", "", "3");
	add(site, NOW - HOUR, "t3", "", "", "eve@b.test", "8");
	events_flush(site->log);
	add(site, NOW, "t2", "", "", "eve@b.test", "5");
	add(site, NOW - 1, "t2", "", "", "eve@b.test", "4");
	assert_true(event_log_wants_flush(site->log));
	events_flush(site->log);
	assert_false(event_log_wants_flush(site->log));
	assert_true(event_log_open(site->dir, false, 30, &reader, &err));
	add(&(struct site) { .log = reader }, NOW, "t2", "", "", "", "not written by who reads");
	assert_false(event_log_wants_flush(reader));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		told_is(reader, &rows[i].query, rows[i].told);
	event_log_close(&reader);
}

static bool note_text(void *arg, const struct event *event)
{
	struct told *told = arg;
	size_t len = strlen(told->text);

	(void)snprintf(told->text + len, sizeof(told->text) - len, "%.*s", SPAN_FMT(event->text));
	return true;
}

/* From the end of a story to its beginning, and no further: hours before that are not looked through. */
static void test_long_stories(void **state)
{
	const struct {
		enum event_kind kind;
		int64_t at;
		const char *trace, *text;
	} events[] = {
		{ EVENT_ATTEMPT, -200, "t1", "too early to be true " },
		{ EVENT_RECIPIENT, -122, "t1", "recipient " },
		{ EVENT_RECEIVED, -120, "t1", "received " },
		{ EVENT_QUEUED, -120, "t1", "queued " },
		{ EVENT_RECEIVED, -100, "t2", "other " },
		{ EVENT_DEFERRED, -90, "t1", "deferred " },
		{ EVENT_ATTEMPT, -60, "t1", "attempt " },
		{ EVENT_RELAYED, -1, "t1", "relayed" },
	};
	const struct event_query queries[] = { { .trace = SPAN("t1"), .limit = 1 }, { .limit = 1 },
		{ .address = SPAN("al@a.test"), .limit = 1 } };
	struct site *site = *state;
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		event_note(site->log, &(struct event) { .kind = events[i].kind,
		                              .at_ms = NOW + events[i].at * HOUR,
		                              .trace = span_of(events[i].trace),
		                              .sender = events[i].trace[1] == '1' ? SPAN("al@a.test") : SPAN_EMPTY,
		                              .text = span_of(events[i].text) });
	events_flush(site->log);
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		struct told told = { .text = "" };

		assert_true(event_log_read(site->log, &queries[i], note_text, &told, &err));
		assert_string_equal(told.text, "recipient received queued deferred attempt relayed");
	}
}

static void test_stops(void **state)
{
	struct told told = { .text = "", .stop_after = 2 };
	const struct event_query all = { .limit = 10 };
	struct site *site = *state;
	struct error err;

	for (int i = 0; i < 5; i++)
		add(site, 0, i < 3 ? "t1" : "t2", "", "", "", "x");
	events_flush(site->log);
	assert_true(event_log_read(site->log, &all, note, &told, &err));
	assert_int_equal(told.count, 2);
}

/* Too long texts are cut, and nothing but the list is bounded. */
static void test_bounds(void **state)
{
	const struct event_query one = { .trace = SPAN("t1"), .limit = 1 };
	struct told told = { .text = "" };
	struct site *site = *state;
	struct error err;
	char *text = malloc(100001);

	memset(text, 'x', 100000);
	text[100000] = '\0';
	add(site, 0, "t1", text, text, text, "fits");
	for (int i = 0; i < EVENTS_PENDING_MAX + 10; i++)
		add(site, 0, "t2", "", "", "", "many");
	add(site, 0, "t1", "", "", "", "dropped");
	events_flush(site->log);
	add(site, 0, "t1", "", "", "", "again");
	events_flush(site->log);
	assert_true(event_log_read(site->log, &one, note, &told, &err));
	assert_string_equal(told.text, "fits again");
	event_note(NULL, &(struct event) { .kind = EVENT_QUEUED });
	free(text);
}

static int64_t rows_in(struct site *site, const char *sql)
{
	char path[100];
	sqlite3_stmt *rows;
	sqlite3 *handle;
	int64_t count;

	(void)snprintf(path, sizeof(path), "%s/events.db", site->dir);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(handle, sql, -1, &rows, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
	count = sqlite3_column_int64(rows, 0);
	sqlite3_finalize(rows);
	sqlite3_close(handle);
	return count;
}

static void test_pruning(void **state)
{
	struct site *site = *state;
	int64_t mono = clock_mono_ms();

	for (int i = 0; i < 4000; i++)
		add(site, NOW - 31 * 24 * HOUR - HOUR, "old", "", "", "b@b.test", "old");
	add(site, NOW - 29 * 24 * HOUR, "t1", "", "", "", "young");
	events_flush(site->log); /* 4001 are written, and as many may go with them */
	assert_int_equal(rows_in(site, "SELECT count(*) FROM event"), 1);
	assert_int_equal(rows_in(site, "SELECT count(*) FROM event_key"), 1);
	/* then only now and then, in pieces */
	clock_set_for_test(mono, NOW + 3 * 24 * HOUR);
	for (int i = 0; i < 1500; i++)
		add(site, NOW - 30 * 24 * HOUR, "old", "", "", "", "old");
	events_flush(site->log);
	assert_int_equal(rows_in(site, "SELECT count(*) FROM event"), 1501);
	clock_set_for_test(mono + 61 * 1000, NOW + 3 * 24 * HOUR);
	add(site, 0, "t2", "", "", "", "new");
	events_flush(site->log);
	assert_true(rows_in(site, "SELECT count(*) FROM event") > 100);
	add(site, 0, "t2", "", "", "", "new");
	events_flush(site->log); /* the piece before was a full one */
	assert_int_equal(rows_in(site, "SELECT count(*) FROM event"), 2);
}

/* A disk that takes no more: the events go, nobody is held up; when it does again, the next ones stay. */
static void test_full_disk(void **state)
{
	const struct event_query all = { .limit = 10 };
	struct site *site = *state;
	struct rlimit before, none = { 0 };

	add(site, NOW - 3, "t1", "", "", "", "before");
	events_flush(site->log);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	add(site, NOW - 2, "t1", "", "", "", "lost");
	events_flush(site->log);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_false(event_log_wants_flush(site->log)); /* not kept for later either */
	add(site, NOW - 1, "t1", "", "", "", "after");
	events_flush(site->log);
	told_is(site->log, &all, "before after");
}

/* What strangers make us write never takes the room that mail needs; and what is old goes all the same. */
static void test_room_is_for_mail(void **state)
{
	const struct event_query all = { .limit = 10 };
	struct site *site = *state;

	add(site, NOW - 29 * 24 * HOUR, "t0", "", "", "", "old");
	events_flush(site->log);
	told_is(site->log, &all, "old");
	clock_set_for_test(clock_mono_ms() + 61 * 1000, NOW + 2 * 24 * HOUR);
	blocks_free = 256 * 256; /* 256 MiB */
	add(site, NOW - 3, "t1", "", "", "", "lost");
	events_flush(site->log);
	told_is(site->log, &all, "");
	blocks_free++;
	add(site, NOW - 2, "t1", "", "", "", "kept");
	events_flush(site->log);
	told_is(site->log, &all, "kept");
	blocks_free = BLOCKS;
}

/* Another process may have the file: then events wait their turn or are dropped; who adds them never knows. */
static void test_two_writers(void **state)
{
	const struct event_query all = { .limit = 10 };
	struct site *site = *state;
	struct event_log *other;
	struct error err;

	assert_true(event_log_open(site->dir, true, 30, &other, &err));
	add(site, NOW - 2, "t1", "", "", "", "1");
	add(&(struct site) { .log = other }, NOW - 1, "t1", "", "", "", "2");
	events_flush(site->log);
	event_log_close(&other); /* writes what waits */
	told_is(site->log, &all, "1 2");
}

static void *run_flusher(void *arg)
{
	struct site *site = arg;

	for (int i = 0; i < 20; i++)
		events_flush(site->log);
	return NULL;
}

/* Added on the loop, written on a worker. */
static void test_threads(void **state)
{
	struct site *site = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run_flusher, site), 0);
	for (int i = 0; i < 2000; i++)
		add(site, 0, "t1", "", "", "", "x");
	pthread_join(thread, NULL);
	events_flush(site->log);
	assert_int_equal(rows_in(site, "SELECT count(*) FROM event"), 2000);
}

static void test_names(void **state)
{
	(void)state;
	for (enum event_kind kind = EVENT_RECEIVED; kind <= EVENT_LIMIT; kind++)
		assert_true((strcmp(event_kind_name(kind), "unknown") == 0) == (kind == 6)); /* a hole */
	assert_string_equal(event_kind_name(0), "unknown");
	assert_string_equal(event_kind_name(EVENT_LIMIT + 1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stories, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_stories, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pruning, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_is_for_mail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_writers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
