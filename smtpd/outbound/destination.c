#include "smtpd/outbound/destination.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "smtpd/outbound/finish.h"
#include "smtpd/outbound/local.h"
#include "smtpd/outbound/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct destination *destination_new(struct relay *relay, const char *domain)
{
	struct destination *destination = calloc(1, sizeof(*destination));

	if (destination == NULL)
		return NULL;
	destination->relay = relay;
	destination->take_size = RELAY_TAKE_MIN;
	(void)snprintf(destination->domain, sizeof(destination->domain), "%s", domain);
	destination->used_ms = clock_mono_ms();
	return destination;
}

void destination_free(struct destination **destination)
{
	struct destination *it = *destination;

	CHECK(it->parcels == 0 && !it->taking);
	while (it->lanes != NULL) {
		struct lane *lane = it->lanes;

		it->lanes = lane->next;
		lane_free(&lane);
	}
	free(it->gone);
	free(it);
	*destination = NULL;
}

bool destination_is_idle(const struct destination *destination)
{
	if (destination->parcels > 0 || destination->taking)
		return false;
	for (const struct lane *lane = destination->lanes; lane != NULL; lane = lane->next)
		if (!lane_is_idle(lane))
			return false;
	return true;
}

size_t destination_waiting(const struct destination *destination)
{
	size_t count = 0;

	for (const struct lane *lane = destination->lanes; lane != NULL; lane = lane->next)
		count += lane->waiting.count;
	return count;
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

void destination_row_gone(struct destination *destination, int64_t recipient_id)
{
	struct id_set *set = &destination->relay->under_way;

	if (!destination->taking) {
		id_set_remove(set, recipient_id);
		return;
	}
	if (destination->gone_count == destination->gone_capacity) {
		size_t capacity = destination->gone_capacity == 0 ? QUEUE_TAKE_MAX : 2 * destination->gone_capacity;
		int64_t *grown = realloc(destination->gone, capacity * sizeof(*grown));

		if (grown == NULL)
			return; /* stays under way: not tried again before a restart, but never twice */
		destination->gone = grown;
		destination->gone_capacity = capacity;
	}
	destination->gone[destination->gone_count++] = recipient_id;
}

static void forget_gone(struct destination *destination)
{
	for (size_t i = 0; i < destination->gone_count; i++)
		id_set_remove(&destination->relay->under_way, destination->gone[i]);
	destination->gone_count = 0;
}

/* --- taking, on a worker ----------------------------------------------------------------------------------------- */

static bool skip(void *arg, int64_t recipient_id)
{
	struct relay *relay = arg;

	return id_set_has(&relay->under_way, recipient_id);
}

static struct span domain_of(const char *address)
{
	struct span in = span_of(address);
	size_t at;

	return span_find_last(in, '@', &at) ? span_skip(in, at + 1) : SPAN_EMPTY;
}

/* A route "from:..." makes a lane of its own; others hold for all senders. */
static void find_sender_route(struct destination *destination, size_t at)
{
	const struct queue_message *message = destination->taken[at];
	char sender[QUEUE_DOMAIN_MAX + 1];
	struct route route;
	struct error err;
	bool found = false;

	destination->sender_domains[at][0] = '\0';
	if (!span_copy(domain_of(message->sender), sender, sizeof(sender)) || sender[0] == '\0')
		return;
	for (char *c = sender; *c != '\0'; c++)
		*c = ascii_lower(*c);
	for (size_t i = 0; i < at; i++) /* of the messages before it many have the same sender */
		if (span_equal_nocase(domain_of(destination->taken[i]->sender), span_of(sender))) {
			memcpy(destination->sender_domains[at], destination->sender_domains[i], QUEUE_DOMAIN_MAX + 1);
			return;
		}
	if (relay_store_find_route(
	            destination->relay->routes, span_of(destination->domain), span_of(sender), &route, &found, &err) &&
	        found && span_starts(span_of(route.match), SPAN("from:")))
		memcpy(destination->sender_domains[at], sender, sizeof(sender));
	secret_wipe(&route, sizeof(route));
}

static void run_take(struct worker_job *job)
{
	struct destination *destination = container_of(job, struct destination, job);
	struct relay *relay = destination->relay;

	destination->taken_count = 0;
	if (!queue_take(relay->queue, destination->domain, destination->now_ms, skip, relay, destination->taken,
	            destination->asked, destination->asked_recipients, &destination->taken_count, &destination->error))
		return;
	if (destination->domain[0] != '\0')
		for (size_t i = 0; i < destination->taken_count; i++)
			find_sender_route(destination, i);
}

/* --- on the loop ------------------------------------------------------------------------------------------------- */

static struct lane *find_lane(
        struct destination *destination, const struct queue_message *message, const char *sender_domain)
{
	struct lane *lane;

	for (lane = destination->lanes; lane != NULL; lane = lane->next)
		if (lane_fits(lane, message, sender_domain))
			return lane;
	lane = lane_new(destination, message, sender_domain);
	if (lane != NULL) {
		lane->next = destination->lanes;
		destination->lanes = lane;
	}
	return lane;
}

static void take_back_ids(struct destination *destination, const struct queue_message *message, size_t count)
{
	for (size_t i = 0; i < count; i++)
		id_set_remove(&destination->relay->under_way, message->recipients[i].id);
}

/* False: no memory, or a recipient is under way after all: the message stays in the queue. */
static bool take_ids(struct destination *destination, const struct queue_message *message)
{
	struct id_set *set = &destination->relay->under_way;

	for (size_t i = 0; i < message->recipient_count; i++)
		if (id_set_has(set, message->recipients[i].id))
			return false;
	for (size_t i = 0; i < message->recipient_count; i++)
		if (!id_set_add(set, message->recipients[i].id)) {
			take_back_ids(destination, message, i);
			return false;
		}
	return true;
}

/* What cannot be taken in now stays in the queue. */
static void take_in(struct destination *destination, struct queue_message *message, const char *sender_domain)
{
	struct scheduler *scheduler = destination->relay->scheduler;
	bool local = destination->domain[0] == '\0';
	struct lane *lane = local ? NULL : find_lane(destination, message, sender_domain);
	struct parcel *parcel = parcel_new(destination->relay, message);

	if (parcel == NULL)
		return;
	if (scheduler->draining || (!local && lane == NULL) || !take_ids(destination, &parcel->part)) {
		parcel_free(&parcel);
		return;
	}
	scheduler->recipients += parcel->part.recipient_count;
	destination->recipients += parcel->part.recipient_count;
	destination->parcels++;
	parcel->destination = destination;
	parcel->started_ms = clock_mono_ms();
	if (local)
		local_deliver(parcel);
	else
		lane_add(lane, parcel);
}

/* As much came as was asked for: there may be more. */
static bool was_full(const struct destination *destination)
{
	size_t recipients = 0;

	for (size_t i = 0; i < destination->taken_count; i++)
		recipients += destination->taken[i]->recipient_count;
	return destination->taken_count == destination->asked || recipients == destination->asked_recipients;
}

static void on_taken(struct worker_job *job)
{
	struct destination *destination = container_of(job, struct destination, job);
	bool full = was_full(destination);

	destination->relay->scheduler->asked -= destination->asked_recipients;
	destination->used_ms = clock_mono_ms();
	destination->more = destination->more || full; /* woken meanwhile: this take may have come too early */
	if (destination->error.code != ERR_NONE)
		LOG(LOG_ERROR, "relay.take", LOG_TEXT("domain", destination->domain), LOG_FAILURE(&destination->error));
	if ((!full || destination->error.code != ERR_NONE) &&
	        destination->take_after_ms < destination->used_ms + RELAY_TAKE_AGAIN_MS)
		destination->take_after_ms = destination->used_ms + RELAY_TAKE_AGAIN_MS;
	destination->more = destination->more || destination->stale;
	for (size_t i = 0; i < destination->taken_count; i++)
		if (destination->stale)
			queue_message_free(&destination->taken[i]);
		else
			take_in(destination, destination->taken[i], destination->sender_domains[i]);
	destination->stale = false;
	forget_gone(destination);
	free(destination->taken);
	free(destination->sender_domains);
	destination->taken = NULL;
	destination->sender_domains = NULL;
	destination->taking = false; /* not before: one that comes straight back would begin the next take */
	for (struct lane *lane = destination->lanes; lane != NULL; lane = lane->next)
		lane_pump(lane);
	destination_take(destination);
	scheduler_kick(destination->relay->scheduler); /* a drain may have waited for this */
}

/* What waits in memory is half of what one take brings, or less: time for the next. */
static bool has_room(const struct destination *destination)
{
	const struct scheduler *scheduler = destination->relay->scheduler;

	if (destination->domain[0] == '\0')
		return scheduler->local < RELAY_TAKE_MAX && destination->recipients < RELAY_RECIPIENTS_MAX / 2;
	return 2 * destination_waiting(destination) <= destination->take_size;
}

void destination_take(struct destination *destination)
{
	struct relay *relay = destination->relay;

	if (!destination->more || destination->taking || relay->scheduler->draining ||
	        finisher_in_trouble(relay->finisher) || !has_room(destination))
		return;
	if (clock_mono_ms() < destination->take_after_ms) {
		scheduler_look_in(relay->scheduler, destination->take_after_ms - clock_mono_ms());
		return;
	}
	destination->asked_recipients = scheduler_room(relay->scheduler, destination);
	if (destination->asked_recipients == 0)
		return;
	/* It had more, and what it had is used up: it keeps up. */
	if (destination->parcels > 0 && 2 * destination->take_size <= RELAY_TAKE_MAX)
		destination->take_size *= 2;
	destination->asked = destination->take_size;
	destination->taken = calloc(destination->asked, sizeof(*destination->taken));
	destination->sender_domains = calloc(destination->asked, sizeof(*destination->sender_domains));
	if (destination->taken == NULL || destination->sender_domains == NULL) {
		free(destination->taken);
		free(destination->sender_domains);
		return;
	}
	destination->taking = true;
	relay->scheduler->asked += destination->asked_recipients;
	destination->more = false;
	destination->now_ms = relay_clock_due(&relay->clock);
	error_clear(&destination->error);
	destination->job = (struct worker_job) { .run = run_take, .done = on_taken, .lane = WORKER_READ };
	worker_submit(relay->pool, &destination->job);
}

void destination_wake(struct destination *destination)
{
	destination->more = true;
	destination_take(destination);
}

void destination_withdraw(struct destination *destination)
{
	bool any = destination->taking;

	destination->stale = destination->taking;
	for (struct lane *lane = destination->lanes; lane != NULL; lane = lane->next) {
		any = any || lane->waiting.first != NULL;
		lane_drop_waiting(lane);
	}
	if (any)
		destination_wake(destination);
}
