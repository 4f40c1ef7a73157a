/* Reports about mail in a real queue: what they say of the original, also when the disk no longer has it. */
#include "fixture.h"

#include "base/log.h"
#include "smtpd/outbound/bounce.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW INT64_C(1800000000000)

struct world {
	struct fixture *fixture;
	struct relay_settings settings;
	struct relay relay;
	struct parcel *parcel;
	struct bounce *bounce;
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct error err;

	assert_int_equal(fixture_setup(state), 0);
	log_set_level(LOG_ERROR);
	world->fixture = *state;
	world->settings.hostname = "relay.test";
	world->settings.schedule.give_up_after_ms = 1000;
	world->relay.settings = &world->settings;
	world->relay.store = world->fixture->store;
	assert_true(queue_open(world->fixture->dir, &world->relay.queue, &err));
	assert_true(directory_open(world->fixture->dir, &world->relay.directory, &err));
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	void *fixture = world->fixture;

	bounce_free(&world->bounce);
	parcel_free(&world->parcel);
	queue_close(&world->relay.queue);
	directory_close(&world->relay.directory);
	free(world);
	return fixture_teardown(&fixture);
}

/* A message whose one recipient has failed, with `size` octets of body behind the header. */
static void take_failed(struct world *world, const char *header, size_t size, enum queue_return ret)
{
	const struct queue_rcpt_new rcpt = {
		.kind = QUEUE_REMOTE, .address = SPAN("r@far.test"), .domain = SPAN("far.test")
	};
	struct queue_entry entry = { .trace = SPAN("trace"),
		.sender = SPAN("s@elsewhere.test"),
		.ret = ret,
		.priority = -3,
		.created_ms = NOW,
		.expires_ms = NOW,
		.deliver_by_ms = NOW + 60000,
		.future_release = SPAN("for;60"),
		.recipients = &rcpt,
		.recipient_count = 1 };
	struct queue_entry *entries[] = { &entry };
	struct queue_message *message;
	struct error err;
	size_t count;

	assert_true(spool_new(world->fixture->store, size + 1000, &entry.body, &err));
	assert_true(spool_append(entry.body, span_of(header), &err));
	for (size_t i = 0; i < size; i += 10)
		assert_true(spool_append(entry.body, SPAN("12345678\r\n"), &err));
	assert_true(queue_add(world->relay.queue, entries, 1, &err));
	spool_free(&entry.body);
	assert_true(queue_take(world->relay.queue, "far.test", NOW, NULL, NULL, &message, 1, SIZE_MAX, &count, &err));
	assert_int_equal(count, 1);
	world->parcel = parcel_new(&world->relay, message);
	world->parcel->fates[0] = (struct fate) { .report = true, .action = REPORT_FAILED };
}

static const struct queue_entry *make(struct world *world)
{
	struct error err;

	assert_true(bounce_make(&world->relay, &world->parcel, 1, &world->bounce, &err));
	assert_non_null(world->bounce);
	return bounce_entry(world->bounce);
}

static bool says(const struct queue_entry *entry, const char *what)
{
	static char text[MIB];
	struct error err;
	size_t got;

	assert_true(spool_read(entry->body, 0, text, sizeof(text) - 1, &got, &err));
	text[got] = '\0';
	return strstr(text, what) != NULL;
}

/* A subject in UTF-8 is told to people: then the report has 8 bits, whatever the original had. */
static void eight_bits(void **state)
{
	const struct queue_entry *entry;

	take_failed(*state, "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n", 100, RETURN_HEADERS);
	entry = make(*state);
	assert_int_equal(entry->flags, QUEUE_REPORT | QUEUE_8BIT);
	assert_true(says(entry, "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"));
}

/* RFC 2852 §4.1.3, §5, RFC 4865 §5.1.2, RFC 6710 §4.6: over the queue and into the report. */
static void times_asked_for(void **state)
{
	struct world *world = *state;
	const struct queue_entry *entry;

	take_failed(world, "Subject: x\r\n\r\n", 100, RETURN_HEADERS);
	world->parcel->fates[0] = (struct fate) { .report = true, .action = REPORT_DELAYED, .time_is_over = true };
	entry = make(world);
	assert_int_equal(entry->priority, -3);
	assert_true(says(
	        entry, "\r\nDeliver-By-Date: Fri, 15 Jan 2027 08:01:00 +0000\r\nFuture-Release-Request: for;60\r\n"));
	assert_true(says(entry, "Action: delayed\r\nStatus: 4.4.7\r\n"));
}

static void seven_bits(void **state)
{
	const struct queue_entry *entry;

	take_failed(*state, "Subject: x\r\n\r\n", 100, RETURN_FULL);
	entry = make(*state);
	assert_int_equal(entry->flags, QUEUE_REPORT);
	assert_true(says(entry, "12345678\r\n12345678\r\n"));
}

static int remove_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_F && strstr(path, "/blobs/") != NULL ? unlink(path) : 0;
}

/* What the disk has lost must not keep the sender, and all who come after him, without an answer. */
static void lost_original(void **state)
{
	struct world *world = *state;
	const struct queue_entry *entry;
	char path[128];

	take_failed(world, "Subject: x\r\n\r\n", 200000, RETURN_FULL);
	(void)snprintf(path, sizeof(path), "%s/queue", world->fixture->dir);
	assert_int_equal(nftw(path, remove_file, 8, FTW_PHYS), 0);
	entry = make(world);
	assert_int_equal(entry->recipient_count, 1);
	assert_true(says(entry, "Final-Recipient: rfc822;r@far.test\r\nAction: failed\r\n"));
	assert_false(says(entry, "12345678"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(eight_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(times_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(seven_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_original, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
