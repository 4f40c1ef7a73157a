/* Recipients of the queue whose mailbox is here, in a real store and a real queue: which folder, what stands in front of the message, once only.
 * Faked: the finisher, the scheduler, the worker pool (jobs run when the test says so, those of one account together). */
#include "fixture.h"

#include "base/clock.h"
#include "base/log.h"
#include "smtpd/outbound/finish.h"
#include "smtpd/outbound/local.h"
#include "smtpd/outbound/scheduler.h"
#include "storage/messages.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW    INT64_C(1800000000000)
#define TEXT   "Subject: x\r\n\r\nhello\r\n"
#define NOBODY 999
#define LARGE  200000
#define WORDS  400

/* --- the fakes ------------------------------------------------------------------------------------------------------- */

static struct worker_job *jobs, **jobs_end = &jobs;
static struct parcel *finished;
static unsigned runs;

void worker_submit(struct worker_pool *pool, struct worker_job *job)
{
	(void)pool;
	assert_non_null(job->run_batch);
	assert_true(job->key != 0 && job->lane == WORKER_WRITE);
	job->next = NULL;
	*jobs_end = job;
	jobs_end = &job->next;
}

/* All jobs of the first one's account. */
static size_t take_jobs(struct worker_job *out[WORKER_BATCH_MAX])
{
	uint64_t key = jobs->key;
	size_t count = 0;

	for (struct worker_job **at = &jobs; *at != NULL;) {
		struct worker_job *job = *at;

		if (job->key != key) {
			at = &job->next;
			continue;
		}
		*at = job->next;
		out[count++] = job;
	}
	for (jobs_end = &jobs; *jobs_end != NULL;)
		jobs_end = &(*jobs_end)->next;
	return count;
}

static void run_jobs(void)
{
	struct worker_job *some[WORKER_BATCH_MAX];

	while (jobs != NULL) {
		size_t count = take_jobs(some);

		some[0]->run_batch(some, count);
		runs++;
		for (size_t i = 0; i < count; i++)
			some[i]->done(some[i]);
	}
}

void finisher_add(struct finisher *finisher, struct parcel *parcel)
{
	(void)finisher;
	assert_null(finished);
	finished = parcel;
}

void scheduler_parcel_back(struct scheduler *scheduler, struct parcel *parcel)
{
	(void)scheduler;
	fail_msg("there was memory enough");
	parcel_free(&parcel);
}

/* --- a site ---------------------------------------------------------------------------------------------------------- */

struct world {
	struct fixture *fixture;
	struct relay_settings settings;
	struct scheduler scheduler;
	struct relay relay;
	int64_t alice, bob; /* accounts */
	struct parcel *parcel;
};

static int64_t add_user(struct world *world, const char *address)
{
	struct error err;
	int64_t id;

	assert_true(directory_add_account(world->relay.directory, span_of(address), SPAN_EMPTY, 0, 0, &id, &err));
	assert_true(store_create_account(world->fixture->store, id, &err));
	return id;
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct error err;

	assert_int_equal(fixture_setup(state), 0);
	log_set_level(LOG_ERROR);
	clock_set_for_test(1000, NOW);
	finished = NULL;
	runs = 0;
	world->fixture = *state;
	world->settings.schedule =
	        (struct schedule) { .retry_ms = { 60000 }, .retry_count = 1, .give_up_after_ms = 3600000 };
	world->relay = (struct relay) {
		.settings = &world->settings, .store = world->fixture->store, .scheduler = &world->scheduler
	};
	relay_clock_start(&world->relay.clock);
	assert_true(queue_open(world->fixture->dir, &world->relay.queue, &err));
	assert_true(directory_open(world->fixture->dir, &world->relay.directory, &err));
	assert_true(directory_add_domain(world->relay.directory, SPAN("here.test"), &err));
	world->alice = add_user(world, "alice@here.test");
	world->bob = add_user(world, "bob@here.test");
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	void *fixture = world->fixture;

	parcel_free(&world->parcel);
	queue_close(&world->relay.queue);
	directory_close(&world->relay.directory);
	clock_set_for_test(-1, -1);
	free(world);
	return fixture_teardown(&fixture);
}

/* A message in the queue, and the parcel of its local recipients. */
static void queue_for(struct world *world, const struct queue_rcpt_new *rcpts, size_t count, size_t size)
{
	struct queue_entry entry = { .trace = SPAN("trace"),
		.sender = SPAN("s@far.test"),
		.created_ms = NOW,
		.expires_ms = NOW + 3600000,
		.recipients = rcpts,
		.recipient_count = count };
	struct queue_entry *entries[] = { &entry };
	struct queue_message *message;
	struct error err;
	size_t got;

	assert_true(spool_new(world->fixture->store, UINT64_MAX, &entry.body, &err));
	assert_true(spool_append(entry.body, SPAN(TEXT), &err));
	for (size_t i = 0; i < size; i += 10)
		assert_true(spool_append(entry.body, SPAN("12345678\r\n"), &err));
	assert_true(queue_add(world->relay.queue, entries, 1, &err));
	spool_free(&entry.body);
	assert_true(queue_take(world->relay.queue, "", NOW, NULL, NULL, &message, 1, SIZE_MAX, &got, &err));
	assert_int_equal(got, 1);
	world->parcel = parcel_new(&world->relay, message);
	assert_non_null(world->parcel);
}

static void deliver(struct world *world)
{
	finished = NULL;
	local_deliver(world->parcel);
	assert_int_equal(world->scheduler.local, 1);
	assert_null(finished);
	run_jobs();
	assert_ptr_equal(finished, world->parcel);
	assert_int_equal(world->scheduler.local, 0);
	for (size_t i = 0; i < world->parcel->part.recipient_count; i++)
		assert_true(world->parcel->fates[i].settled);
}

/* "done 2.0.0 delivered to INBOX, UID 1" of the recipient with this address. */
static const char *fate_of(struct world *world, const char *address)
{
	static const char *const kinds[] = {
		[OUTCOME_DONE] = "done", [OUTCOME_FAILED] = "failed", [OUTCOME_AGAIN] = "again"
	};
	static char out[WORDS];

	for (size_t i = 0; i < world->parcel->part.recipient_count; i++) {
		const struct outcome *outcome = &world->parcel->fates[i].outcome;

		if (strcmp(world->parcel->part.recipients[i].address, address) != 0)
			continue;
		(void)snprintf(out, sizeof(out), "%s %s %.300s", kinds[outcome->kind], outcome->status, outcome->text);
		return out;
	}
	fail_msg("no recipient %s", address);
	return NULL;
}

static bool put_octets(void *arg, size_t i, const struct stored_message *message)
{
	char *out = arg;

	(void)i;
	(void)snprintf(out, WORDS, "%.*s%.*s", SPAN_FMT(message->header), SPAN_FMT(message->rest));
	return true;
}

/* How many messages are there; flags and octets of the last one. */
static size_t look(struct world *world, int64_t id, const char *mailbox, uint64_t *flags, char octets[WORDS])
{
	struct account *account;
	struct mailbox_info info;
	struct message_row *rows;
	struct error err;
	size_t count;

	assert_true(account_open(world->fixture->store, id, &account, &err));
	assert_true(mailbox_find(account, span_of(mailbox), &info, &err));
	assert_true(mailbox_rows(account, info.id, &rows, &count, &err));
	octets[0] = '\0';
	*flags = count > 0 ? rows[count - 1].flags : 0;
	if (count > 0)
		assert_true(
		        messages_read(account, &rows[count - 1].message_id, 1, WANT_BYTES, put_octets, octets, &err));
	free(rows);
	account_release(&account);
	return count;
}

static void add_folder(struct world *world, int64_t id, const char *name)
{
	struct batch *batch = batch_new(NULL);
	struct account *account;
	struct error err;

	assert_true(account_open(world->fixture->store, id, &account, &err));
	assert_true(batch_mailbox_create(batch, span_of(name), USE_NONE));
	assert_true(account_commit(account, &batch, 1, &err));
	account_release(&account);
	batch_free(&batch);
}

/* One message that is there already. */
static void fill(struct world *world, int64_t id)
{
	struct batch *batch = batch_new(NULL);
	struct account *account;
	struct message message;
	struct error err;

	message_make(world->fixture, &message, 100, 'x');
	assert_true(account_open(world->fixture->store, id, &account, &err));
	assert_true(batch_append_to_use(batch, USE_INBOX, &message.new));
	assert_true(account_commit(account, &batch, 1, &err));
	account_release(&account);
	batch_free(&batch);
	message_free(&message);
}

/* --- the tests --------------------------------------------------------------------------------------------------------- */

/* Each where it belongs; those of one account in one transaction; the second time, as after a crash before the queue knew, nothing. */
static void delivered_once(void **state)
{
	struct world *world = *state;
	const struct queue_rcpt_new rcpts[] = {
		{ .kind = QUEUE_LOCAL, .account_id = world->alice, .address = SPAN("alice@here.test") },
		{ .kind = QUEUE_SENT, .account_id = world->alice, .address = SPAN("sent") },
		{ .kind = QUEUE_LOCAL,
		        .account_id = world->bob,
		        .address = SPAN("bob+lists@here.test"),
		        .folder = SPAN("lists") },
	};
	char octets[WORDS];
	uint64_t flags;

	add_folder(world, world->bob, "lists");
	queue_for(world, rcpts, ARRAY_LEN(rcpts), 0);
	deliver(world);
	assert_int_equal(runs, 2);
	assert_string_equal(fate_of(world, "alice@here.test"), "done 2.0.0 delivered to INBOX, UID 1");
	assert_string_equal(fate_of(world, "sent"), "done 2.0.0 delivered to Sent, UID 1");
	assert_string_equal(fate_of(world, "bob+lists@here.test"), "done 2.0.0 delivered to lists, UID 1");
	assert_int_equal(look(world, world->alice, "INBOX", &flags, octets), 1);
	assert_string_equal(octets, "Return-Path: <s@far.test>\r\nDelivered-To: alice@here.test\r\n" TEXT);
	assert_true((flags & FLAG_SEEN) == 0);
	assert_int_equal(look(world, world->alice, "Sent", &flags, octets), 1);
	assert_string_equal(octets, TEXT); /* one's own copy is as it was sent */
	assert_true((flags & FLAG_SEEN) != 0);
	deliver(world);
	assert_string_equal(fate_of(world, "alice@here.test"), "done 2.0.0 delivered before");
	assert_string_equal(fate_of(world, "bob+lists@here.test"), "done 2.0.0 delivered before");
	assert_int_equal(look(world, world->alice, "INBOX", &flags, octets), 1);
	assert_int_equal(look(world, world->alice, "Sent", &flags, octets), 1);
	assert_int_equal(look(world, world->bob, "lists", &flags, octets), 1);
	assert_int_equal(look(world, world->bob, "INBOX", &flags, octets), 0);
}

/* One's trouble is not the others'. */
static void one_of_several(void **state)
{
	struct world *world = *state;
	const struct queue_rcpt_new rcpts[] = {
		{ .kind = QUEUE_LOCAL, .account_id = NOBODY, .address = SPAN("gone@here.test") },
		{ .kind = QUEUE_LOCAL, .account_id = world->alice, .address = SPAN("alice@here.test") },
		{ .kind = QUEUE_LOCAL,
		        .account_id = world->bob,
		        .address = SPAN("bob+none@here.test"),
		        .folder = SPAN("none") },
	};
	char octets[WORDS];
	struct error err;
	uint64_t flags;

	assert_true(directory_set_quota(world->relay.directory, world->alice, 10, 0, &err));
	queue_for(world, rcpts, ARRAY_LEN(rcpts), 0);
	deliver(world);
	assert_string_equal(fate_of(world, "gone@here.test"), "failed 5.1.1 the mailbox does not exist any more");
	assert_string_equal(
	        fate_of(world, "bob+none@here.test"), "done 2.0.0 delivered to INBOX, UID 1"); /* no such folder */
	assert_int_equal(look(world, world->alice, "INBOX", &flags, octets), 0);
	assert_string_equal(fate_of(world, "alice@here.test"), "again 4.2.2 the mailbox is full");
}

/* A second message to a mailbox that holds one: again later, in time; delivered when there is room. */
static void full_for_now(void **state)
{
	struct world *world = *state;
	const struct queue_rcpt_new rcpt = {
		.kind = QUEUE_LOCAL, .account_id = world->alice, .address = SPAN("alice@here.test")
	};
	char octets[WORDS];
	struct error err;
	uint64_t flags;

	assert_true(directory_set_quota(world->relay.directory, world->alice, 0, 1, &err));
	fill(world, world->alice);
	queue_for(world, &rcpt, 1, 0);
	deliver(world);
	assert_string_equal(fate_of(world, "alice@here.test"), "again 4.2.2 the mailbox is full");
	assert_int_equal(world->parcel->fates[0].result, QUEUE_AGAIN);
	assert_true(world->parcel->fates[0].next_ms > NOW);
	assert_true(directory_set_quota(world->relay.directory, world->alice, 0, 2, &err));
	deliver(world);
	assert_string_equal(fate_of(world, "alice@here.test"), "done 2.0.0 delivered to INBOX, UID 2");
	assert_int_equal(look(world, world->alice, "INBOX", &flags, octets), 2);
}

static int remove_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_F && strstr(path, "/blobs/") != NULL ? unlink(path) : 0;
}

/* A large message is read once for all; what cannot be read is tried again for each. */
static void large_and_lost(void **state)
{
	struct world *world = *state;
	const struct queue_rcpt_new rcpts[] = {
		{ .kind = QUEUE_LOCAL, .account_id = world->alice, .address = SPAN("alice@here.test") },
		{ .kind = QUEUE_LOCAL, .account_id = world->bob, .address = SPAN("bob@here.test") },
	};
	char octets[WORDS], path[128];
	uint64_t flags;

	queue_for(world, rcpts, ARRAY_LEN(rcpts), LARGE);
	(void)snprintf(path, sizeof(path), "%s/queue", world->fixture->dir);
	assert_int_equal(nftw(path, remove_file, 16, FTW_PHYS), 0);
	deliver(world);
	for (size_t i = 0; i < ARRAY_LEN(rcpts); i++)
		assert_true(strncmp(fate_of(world, rcpts[i].address.ptr), "again 4.3.0 ", 12) == 0);
	assert_int_equal(look(world, world->bob, "INBOX", &flags, octets), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(delivered_once, setup, teardown),
		cmocka_unit_test_setup_teardown(one_of_several, setup, teardown),
		cmocka_unit_test_setup_teardown(full_for_now, setup, teardown),
		cmocka_unit_test_setup_teardown(large_and_lost, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
