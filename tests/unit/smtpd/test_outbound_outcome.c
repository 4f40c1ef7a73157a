/* What an answer or a silence means, when a recipient is tried again, and what its sender is told. */
#include "base/clock.h"
#include "base/random.h"
#include "smtpd/outbound/settle.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW    1795000000000
#define MINUTE 60000
#define HOUR   3600000
#define DAY    (24 * (int64_t)HOUR)

/* --- one recipient's reply ---------------------------------------------------------------------------------------- */

static const struct {
	unsigned code;
	const char *enhanced;
	bool with_auth;
	enum outcome_kind kind;
	const char *status;
	enum outcome_effect effect;
	bool many, stale;
} replies[] = {
	{ 250, "2.1.5", false, OUTCOME_DONE, "2.1.5", EFFECT_GROW, false, false },
	{ 250, "", false, OUTCOME_DONE, "2.0.0", EFFECT_GROW, false, false },
	{ 251, "", false, OUTCOME_DONE, "2.0.0", EFFECT_GROW, false, false },
	{ 550, "5.1.1", false, OUTCOME_FAILED, "5.1.1", EFFECT_GROW, false, false },
	{ 550, "", false, OUTCOME_FAILED, "5.1.1", EFFECT_GROW, false, false },
	{ 550, "4.1.1", false, OUTCOME_FAILED, "5.1.1", EFFECT_GROW, false, false }, /* the code decides */
	{ 450, "5.1.1", false, OUTCOME_AGAIN, "4.2.0", EFFECT_NONE, false, false },
	{ 450, "4.7.1", false, OUTCOME_AGAIN, "4.7.1", EFFECT_NONE, false, false }, /* greylisting */
	{ 451, "", false, OUTCOME_AGAIN, "4.3.0", EFFECT_NONE, false, false },
	{ 452, "", false, OUTCOME_AGAIN, "4.3.1", EFFECT_NONE, true, false }, /* RFC 5321 §4.5.3.1.10 */
	{ 452, "4.5.3", false, OUTCOME_AGAIN, "4.5.3", EFFECT_NONE, true, false },
	{ 452, "4.2.2", false, OUTCOME_AGAIN, "4.2.2", EFFECT_NONE, false, false }, /* the mailbox is full */
	{ 552, "5.5.3", false, OUTCOME_AGAIN, "4.0.0", EFFECT_NONE, true, false },
	{ 552, "5.2.2", false, OUTCOME_FAILED, "5.2.2", EFFECT_GROW, false, false },
	{ 552, "", false, OUTCOME_FAILED, "5.2.2", EFFECT_GROW, false, false },
	{ 421, "4.3.2", false, OUTCOME_AGAIN, "4.3.2", EFFECT_SHRINK, false, true },
	{ 554, "5.7.1", false, OUTCOME_FAILED, "5.7.1", EFFECT_GROW, false, false },
	{ 556, "", false, OUTCOME_FAILED, "5.1.10", EFFECT_GROW, false, false },
	{ 530, "5.7.0", false, OUTCOME_FAILED, "5.7.0", EFFECT_GROW, false, false },
	{ 530, "5.7.0", true, OUTCOME_AGAIN, "4.0.0", EFFECT_NONE, false, false }, /* our login: the admin's to mend */
	{ 354, "", false, OUTCOME_AGAIN, "4.0.0", EFFECT_NONE, false, false },     /* not an answer to this */
	{ 0, "", false, OUTCOME_AGAIN, "4.4.2", EFFECT_SHRINK, false, true },
};

static void one_reply(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		struct client_reply reply = { .code = replies[i].code };
		struct outcome out;

		(void)snprintf(reply.enhanced, sizeof(reply.enhanced), "%s", replies[i].enhanced);
		(void)snprintf(reply.text, sizeof(reply.text), "words");
		outcome_of_reply(&reply, replies[i].with_auth, &out);
		if (out.kind != replies[i].kind || out.effect != replies[i].effect || out.many != replies[i].many ||
		        out.stale != replies[i].stale || strcmp(out.status, replies[i].status) != 0)
			fail_msg("row %zu (%u): kind %d, effect %d, many %d, stale %d, status %s", i, replies[i].code,
			        out.kind, out.effect, out.many, out.stale, out.status);
		assert_true(out.ours == (replies[i].code == 0));
	}
}

/* --- a session that was never ready -------------------------------------------------------------------------------- */

static const struct {
	unsigned code;
	const char *enhanced;
	bool tls_failed, must_tls, with_auth;
	enum outcome_kind kind;
	const char *status;
} ends[] = {
	{ 421, "", false, false, false, OUTCOME_AGAIN, "4.3.2" },
	{ 554, "", false, false, false, OUTCOME_AGAIN, "4.0.0" }, /* about us or the host: elsewhere, or later */
	{ 554, "5.7.1", false, false, false, OUTCOME_AGAIN, "4.0.0" },
	{ 521, "", false, false, false, OUTCOME_FAILED, "5.3.2" }, /* RFC 7504 */
	{ 0, "", false, false, false, OUTCOME_AGAIN, "4.4.2" },
	{ 0, "", true, true, false, OUTCOME_AGAIN, "4.7.5" },
	{ 454, "4.7.0", true, false, false, OUTCOME_AGAIN, "4.7.0" },
	{ 535, "5.7.8", false, false, true, OUTCOME_AGAIN, "4.7.8" },
};

static void early_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct client_reply why = { .code = ends[i].code };
		struct outcome out;

		(void)snprintf(why.enhanced, sizeof(why.enhanced), "%s", ends[i].enhanced);
		outcome_of_end(&why, ends[i].tls_failed, ends[i].must_tls, ends[i].with_auth, &out);
		if (out.kind != ends[i].kind || strcmp(out.status, ends[i].status) != 0)
			fail_msg("row %zu: kind %d, status %s", i, out.kind, out.status);
	}
}

static void several_hosts(void **state)
{
	struct outcome again, failed;

	(void)state;
	outcome_set(&again, OUTCOME_AGAIN, "4.4.1", "no answer");
	outcome_set(&failed, OUTCOME_FAILED, "5.3.2", "no mail here");
	assert_ptr_equal(outcome_worse(&again, &failed), &again); /* a host that is down may take it later */
	assert_ptr_equal(outcome_worse(&failed, &again), &again);
	assert_ptr_equal(outcome_worse(&failed, &failed), &failed);
}

static const struct {
	enum error_code code;
	const char *status;
	enum outcome_kind kind;
	const char *told;
} routes[] = {
	{ ERR_TEMPORARY, "4.4.3", OUTCOME_AGAIN, "4.4.3" },
	{ ERR_TIMEOUT, NULL, OUTCOME_AGAIN, "4.4.3" },
	{ ERR_NO_SUCH_DOMAIN, "5.1.2", OUTCOME_FAILED, "5.1.2" },
	{ ERR_NO_SUCH_DOMAIN, "5.1.10", OUTCOME_FAILED, "5.1.10" },
	{ ERR_BAD_VALUE, "5.4.6", OUTCOME_FAILED, "5.4.6" },
	{ ERR_CLOSED, NULL, OUTCOME_FAILED, "5.4.4" },
};

static void no_route(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		struct route_result result = { .code = routes[i].code, .status = routes[i].status, .why = "because" };
		struct outcome out;

		outcome_of_route(&result, &out);
		assert_int_equal(out.kind, routes[i].kind);
		assert_string_equal(out.status, routes[i].told);
		assert_string_equal(out.text, "because");
	}
}

/* --- time ---------------------------------------------------------------------------------------------------------- */

static const struct schedule schedule = {
	.retry_ms = { 1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, 2 * HOUR },
	.retry_count = 5,
	.warn_after_ms = 4 * HOUR,
	.give_up_after_ms = 5 * DAY,
};

static void waits(void **state)
{
	static const int64_t want[] = { 1 * MINUTE, 1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, 2 * HOUR,
		2 * HOUR };
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	random_seed_for_test(7);
	for (unsigned n = 0; n < ARRAY_LEN(want); n++)
		for (int i = 0; i < 100; i++) {
			int64_t wait = schedule_wait(&schedule, n);

			assert_in_range(wait, want[n] * 9 / 10, want[n] * 11 / 10);
		}
	for (int i = 0; i < 200; i++) {
		int64_t wait = schedule_wait(&schedule, 5);

		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
	}
	assert_true(most - least > HOUR / 10); /* they spread */
	assert_true(schedule_wait(&schedule, 1000000) <= 3 * HOUR);
	random_seed_for_test(0);
}

struct moment {
	struct relay_clock clock;
	int64_t wall, mono;
};

static void set_time(struct moment *at, int64_t wall, int64_t mono)
{
	at->wall = wall;
	at->mono = mono;
	clock_set_for_test(mono, wall);
}

static void pass(struct moment *at, int64_t ms)
{
	set_time(at, at->wall + ms, at->mono + ms);
	assert_false(relay_clock_look(&at->clock));
}

static void begin(struct moment *at)
{
	set_time(at, NOW, 1000);
	relay_clock_start(&at->clock);
}

/* RFC 4865: what was held back for a day is not late when a server puts it off for the first time. */
static void held_back(void **state)
{
	struct queue_message message = { .created_ms = NOW - DAY, .expires_ms = NOW + 5 * DAY };
	const struct queue_rcpt rcpt = { .attempts = 0 };
	struct schedule_decision out;
	struct moment at;

	(void)state;
	begin(&at);
	schedule_decide(&schedule, &at.clock, &message, &rcpt, &out);
	assert_true(out.warn);
	(void)snprintf(message.future_release, sizeof(message.future_release), "for;86400");
	schedule_decide(&schedule, &at.clock, &message, &rcpt, &out);
	assert_false(out.warn);
	message.created_ms -= 4 * HOUR;
	message.expires_ms -= 4 * HOUR;
	schedule_decide(&schedule, &at.clock, &message, &rcpt, &out);
	assert_true(out.warn);
	message.expires_ms = message.created_ms; /* the admin has made the time shorter meanwhile */
	message.created_ms = NOW;
	schedule_decide(&schedule, &at.clock, &message, &rcpt, &out);
	assert_false(out.warn);
	clock_set_for_test(-1, -1);
}

static struct schedule_decision decide(const struct moment *at, int64_t created, unsigned attempts, bool warned)
{
	const struct queue_message message = { .created_ms = created, .expires_ms = created + 5 * DAY };
	const struct queue_rcpt rcpt = { .attempts = attempts, .warned = warned };
	struct schedule_decision out;

	schedule_decide(&schedule, &at->clock, &message, &rcpt, &out);
	return out;
}

static void age(void **state)
{
	struct moment at;
	struct schedule_decision out;

	(void)state;
	begin(&at);
	out = decide(&at, NOW, 0, false);
	assert_false(out.give_up || out.warn);
	assert_in_range(out.next_ms - NOW, 54000, 66000);
	out = decide(&at, NOW - 4 * HOUR, 8, false);
	assert_true(out.warn && !out.give_up);
	assert_false(decide(&at, NOW - 4 * HOUR, 8, true).warn);
	out = decide(&at, NOW - 5 * DAY + HOUR, 60, true);
	assert_false(out.give_up);
	assert_int_equal(out.next_ms, NOW + HOUR); /* once more at the end, not after it */
	assert_true(decide(&at, NOW - 5 * DAY, 60, true).give_up);
	assert_false(decide(&at, NOW - 5 * DAY, 0, true).give_up); /* never after one attempt only */
	assert_true(decide(&at, NOW - 5 * DAY, 1, true).give_up);
	clock_set_for_test(-1, -1);
}

/* promises.md, "clock jumps": no early bounce, and nothing is held up. */
static void jump_forward(void **state)
{
	struct moment at;

	(void)state;
	begin(&at);
	pass(&at, 20000);
	set_time(&at, at.wall + 10 * DAY, at.mono + 30000);
	assert_true(relay_clock_look(&at.clock));
	assert_false(decide(&at, NOW, 5, true).give_up); /* 50 seconds old, whatever the clock says */
	assert_false(decide(&at, NOW, 5, false).warn);
	pass(&at, 5 * DAY);
	assert_true(decide(&at, NOW, 60, true).give_up); /* and 5 days later it is old */
	assert_false(decide(&at, at.wall - HOUR, 5, true).give_up);
	assert_true(decide(&at, at.wall - 5 * DAY, 60, true).give_up); /* what came after the jump has its own age */
	clock_set_for_test(-1, -1);
}

static void many_jumps(void **state)
{
	struct moment at;

	(void)state;
	begin(&at);
	for (int i = 0; i < 3 * CLOCK_JUMPS_MAX; i++) {
		set_time(&at, at.wall + DAY, at.mono + 1000);
		assert_true(relay_clock_look(&at.clock));
	}
	assert_int_equal(at.clock.jump_count, CLOCK_JUMPS_MAX);
	assert_false(decide(&at, NOW, 5, true).give_up);
	clock_set_for_test(-1, -1);
}

static void jump_back(void **state)
{
	struct moment at;

	(void)state;
	begin(&at);
	set_time(&at, at.wall - 10 * DAY, at.mono + 1000);
	assert_true(relay_clock_look(&at.clock));
	assert_int_equal(relay_clock_due(&at.clock), NOW + 1000); /* what is due is still found */
	assert_false(decide(&at, NOW, 5, true).give_up);
	clock_set_for_test(-1, -1);
}

/* --- what the sender is told ---------------------------------------------------------------------------------------- */

static const struct {
	const char *sender;
	unsigned flags, notify;
	enum queue_kind kind;
	enum outcome_kind outcome;
	int64_t age;
	unsigned attempts;
	bool dsn;
	enum queue_result result;
	int report; /* -1: none */
} told[] = {
	{ "a@b", 0, 0, QUEUE_REMOTE, OUTCOME_FAILED, 0, 0, false, QUEUE_DONE, REPORT_FAILED },
	{ "a@b", 0, NOTIFY_FAILURE, QUEUE_REMOTE, OUTCOME_FAILED, 0, 0, false, QUEUE_DONE, REPORT_FAILED },
	{ "a@b", 0, NOTIFY_SUCCESS, QUEUE_REMOTE, OUTCOME_FAILED, 0, 0, false, QUEUE_DONE, -1 },
	{ "a@b", 0, NOTIFY_NEVER, QUEUE_REMOTE, OUTCOME_FAILED, 0, 0, false, QUEUE_DONE, -1 },
	{ "", 0, 0, QUEUE_REMOTE, OUTCOME_FAILED, 0, 0, false, QUEUE_DONE, -1 },
	{ "a@b", QUEUE_REPORT, 0, QUEUE_REMOTE, OUTCOME_FAILED, 0, 0, false, QUEUE_DONE, -1 },
	{ "a@b", 0, 0, QUEUE_SENT, OUTCOME_FAILED, 0, 0, false, QUEUE_DONE, -1 },
	{ "a@b", 0, 0, QUEUE_REMOTE, OUTCOME_DONE, 0, 0, false, QUEUE_DONE, -1 },
	{ "a@b", 0, NOTIFY_SUCCESS, QUEUE_REMOTE, OUTCOME_DONE, 0, 0, false, QUEUE_DONE, REPORT_RELAYED },
	{ "a@b", 0, NOTIFY_SUCCESS, QUEUE_REMOTE, OUTCOME_DONE, 0, 0, true, QUEUE_DONE, -1 },
	{ "a@b", 0, NOTIFY_SUCCESS, QUEUE_LOCAL, OUTCOME_DONE, 0, 0, false, QUEUE_DONE, REPORT_DELIVERED },
	{ "a@b", 0, 0, QUEUE_REMOTE, OUTCOME_AGAIN, 0, 0, false, QUEUE_AGAIN, -1 },
	{ "a@b", 0, 0, QUEUE_REMOTE, OUTCOME_AGAIN, 5 * HOUR, 9, false, QUEUE_AGAIN, REPORT_DELAYED },
	{ "a@b", 0, NOTIFY_FAILURE, QUEUE_REMOTE, OUTCOME_AGAIN, 5 * HOUR, 9, false, QUEUE_AGAIN, -1 },
	{ "a@b", 0, NOTIFY_DELAY, QUEUE_REMOTE, OUTCOME_AGAIN, 5 * HOUR, 9, false, QUEUE_AGAIN, REPORT_DELAYED },
	{ "", 0, 0, QUEUE_REMOTE, OUTCOME_AGAIN, 5 * HOUR, 9, false, QUEUE_AGAIN, -1 },
	{ "a@b", 0, 0, QUEUE_REMOTE, OUTCOME_AGAIN, 6 * DAY, 60, false, QUEUE_DONE, REPORT_FAILED },
	{ "", 0, 0, QUEUE_REMOTE, OUTCOME_AGAIN, 6 * DAY, 60, false, QUEUE_DONE, -1 },
};

static struct parcel *parcel_of(struct relay *relay, const char *sender, unsigned flags, int64_t created)
{
	struct queue_message *message = calloc(1, sizeof(*message));
	struct parcel *parcel;

	assert_non_null(message);
	(void)snprintf(message->sender, sizeof(message->sender), "%s", sender);
	message->flags = flags;
	message->created_ms = created;
	message->expires_ms = created + 5 * DAY;
	message->recipients = calloc(4, sizeof(*message->recipients));
	message->recipient_count = 4;
	message->message_id = calloc(1, 1);
	parcel = parcel_new(relay, message);
	assert_non_null(parcel);
	return parcel;
}

static void tellings(void **state)
{
	const struct relay_settings settings = { .schedule = schedule };
	struct relay relay = { .settings = &settings };
	struct moment at;

	(void)state;
	begin(&at);
	relay.clock = at.clock;
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		struct parcel *parcel = parcel_of(&relay, told[i].sender, told[i].flags, NOW - told[i].age);
		struct outcome outcome;
		const struct fate *fate = &parcel->fates[0];

		outcome_set(&outcome, told[i].outcome, "4.4.1", "words");
		parcel->part.recipients[0].kind = told[i].kind;
		parcel->part.recipients[0].notify = told[i].notify;
		parcel->part.recipients[0].attempts = told[i].attempts;
		parcel->peer.dsn = told[i].dsn;
		settle(parcel, 0, &outcome);
		if (fate->result != told[i].result || (fate->report ? (int)fate->action : -1) != told[i].report)
			fail_msg("row %zu: result %d, report %d %d", i, fate->result, fate->report, fate->action);
		parcel_free(&parcel);
	}
	clock_set_for_test(-1, -1);
}

/* RFC 2852: by-mode R ends it, N tells once. */
static void by_time(void **state)
{
	const struct relay_settings settings = { .schedule = schedule };
	struct relay relay = { .settings = &settings };
	struct moment at;
	struct outcome outcome;
	struct parcel *parcel;

	(void)state;
	begin(&at);
	relay.clock = at.clock;
	outcome_set(&outcome, OUTCOME_AGAIN, "4.4.1", "no answer");
	parcel = parcel_of(&relay, "a@b", QUEUE_BY_RETURN, NOW - 60000);
	parcel->part.deliver_by_ms = NOW + 5000;
	settle(parcel, 0, &outcome);
	assert_int_equal(parcel->fates[0].result, QUEUE_AGAIN);
	assert_int_equal(parcel->fates[0].next_ms, NOW + 5000); /* the last try is when the time is over */
	parcel->part.deliver_by_ms = NOW;
	settle(parcel, 0, &outcome);
	assert_int_equal(parcel->fates[0].result, QUEUE_DONE);
	assert_string_equal(parcel->fates[0].outcome.status, "5.4.7");
	assert_int_equal(parcel->fates[0].action, REPORT_FAILED);
	parcel->part.flags = 0;
	settle(parcel, 0, &outcome);
	assert_int_equal(parcel->fates[0].result, QUEUE_AGAIN);
	assert_true(parcel->fates[0].report && parcel->fates[0].warned);
	assert_int_equal(parcel->fates[0].action, REPORT_DELAYED);
	assert_true(parcel->fates[0].time_is_over); /* §4.1.3: told as 4.4.7 */
	assert_string_equal(parcel->fates[0].outcome.status, "4.4.1");
	parcel->part.recipients[0].warned = true;
	settle(parcel, 0, &outcome);
	assert_false(parcel->fates[0].report || parcel->fates[0].time_is_over);
	/* In notify mode the usual warning does not take the place of the one at the time that the sender gave; there is a try then. */
	parcel->part.recipients[0].warned = false;
	parcel->part.created_ms = NOW - 5 * HOUR;
	parcel->part.deliver_by_ms = NOW + 5000;
	settle(parcel, 0, &outcome);
	assert_false(parcel->fates[0].report || parcel->fates[0].warned);
	assert_int_equal(parcel->fates[0].next_ms, NOW + 5000);
	parcel->part.deliver_by_ms = parcel->part.expires_ms; /* it is given up before: then it is as ever */
	settle(parcel, 0, &outcome);
	assert_true(parcel->fates[0].report && parcel->fates[0].warned && !parcel->fates[0].time_is_over);
	/* handed on to a server that does not keep the time: the sender hears of it, unless it wants to hear nothing */
	outcome_set(&outcome, OUTCOME_DONE, "2.0.0", "ok");
	settle(parcel, 0, &outcome);
	assert_true(parcel->fates[0].report);
	assert_int_equal(parcel->fates[0].action, REPORT_RELAYED);
	parcel->part.recipients[0].notify = NOTIFY_NEVER;
	settle(parcel, 0, &outcome);
	assert_false(parcel->fates[0].report);
	parcel->part.recipients[0].notify = 0;
	parcel->peer.deliver_by = true;
	settle(parcel, 0, &outcome);
	assert_false(parcel->fates[0].report);
	parcel->part.flags = QUEUE_BY_TRACE; /* §4.1.4: the way is to be seen */
	settle(parcel, 0, &outcome);
	assert_true(parcel->fates[0].report);
	assert_int_equal(parcel->fates[0].action, REPORT_RELAYED);
	parcel_free(&parcel);
	clock_set_for_test(-1, -1);
}

/* --- parcels -------------------------------------------------------------------------------------------------------- */

static bool is_many(const struct fate *fate)
{
	return fate->outcome.many;
}

static void split(void **state)
{
	struct relay relay = { .settings = NULL };
	struct parcel *parcel = parcel_of(&relay, "a@b", 0, NOW), *rest;

	(void)state;
	for (int i = 0; i < 4; i++)
		parcel->part.recipients[i].id = i + 1;
	parcel->fates[0].outcome.many = parcel->fates[2].outcome.many = true;
	assert_int_equal(parcel_sort(parcel, is_many), 2);
	assert_int_equal(parcel->part.recipients[0].id, 2);
	assert_int_equal(parcel->part.recipients[1].id, 4);
	rest = parcel_split(parcel, 2);
	assert_non_null(rest);
	assert_int_equal(parcel->part.recipient_count, 2);
	assert_int_equal(rest->part.recipient_count, 2);
	assert_int_equal(rest->part.recipients[0].id + rest->part.recipients[1].id, 4); /* 1 and 3 */
	assert_true(rest->fates[0].outcome.many && rest->fates[1].outcome.many);
	parcel_free(&parcel); /* the letter stays for the other */
	assert_int_equal(rest->part.recipient_count, 2);
	parcel_free(&rest);
}

static void lists(void **state)
{
	struct relay relay = { .settings = NULL };
	struct parcel_list list = { NULL, NULL, 0 };
	struct parcel *a = parcel_of(&relay, "a", 0, NOW), *b = parcel_of(&relay, "b", 0, NOW),
	              *c = parcel_of(&relay, "c", 0, NOW);

	(void)state;
	parcel_list_add_first(&list, b);
	parcel_list_add(&list, c);
	parcel_list_add_first(&list, a);
	assert_int_equal(list.count, 3);
	assert_ptr_equal(parcel_list_take(&list), a);
	assert_ptr_equal(parcel_list_take(&list), b);
	assert_ptr_equal(parcel_list_take(&list), c);
	assert_null(parcel_list_take(&list));
	parcel_list_add(&list, b);
	assert_ptr_equal(parcel_list_take(&list), b);
	parcel_free(&a);
	parcel_free(&b);
	parcel_free(&c);
}

/* --- the set -------------------------------------------------------------------------------------------------------- */

#define IDS 5000

static void ids(void **state)
{
	struct id_set set;

	(void)state;
	id_set_init(&set);
	assert_false(id_set_has(&set, 7));
	id_set_remove(&set, 7);
	for (int64_t i = 1; i <= IDS; i++)
		assert_true(id_set_add(&set, i * 4096));
	assert_true(id_set_add(&set, 4096)); /* again: once */
	assert_int_equal(set.count, IDS);
	for (int64_t i = 1; i <= IDS; i += 2)
		id_set_remove(&set, i * 4096);
	for (int64_t i = 1; i <= IDS; i++)
		assert_true(id_set_has(&set, i * 4096) == (i % 2 == 0));
	assert_int_equal(set.count, IDS / 2);
	id_set_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_reply),
		cmocka_unit_test(early_end),
		cmocka_unit_test(several_hosts),
		cmocka_unit_test(no_route),
		cmocka_unit_test(waits),
		cmocka_unit_test(age),
		cmocka_unit_test(jump_forward),
		cmocka_unit_test(many_jumps),
		cmocka_unit_test(jump_back),
		cmocka_unit_test(tellings),
		cmocka_unit_test(by_time),
		cmocka_unit_test(held_back),
		cmocka_unit_test(split),
		cmocka_unit_test(lists),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
