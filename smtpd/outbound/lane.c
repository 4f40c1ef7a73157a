#include "smtpd/outbound/lane.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "smtpd/outbound/finish.h"
#include "smtpd/outbound/scheduler.h"
#include "smtpd/outbound/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNDONE_SPREAD_MS 10000 /* what waited for a destination does not come back at one moment */

unsigned lane_flags(const struct queue_message *message)
{
	unsigned flags = 0;

	if ((message->flags & QUEUE_REQUIRETLS) &&
	        message->sender[0] != '\0') /* RFC 8689 §5: a bounce goes all the same */
		flags |= ROUTE_REQUIRETLS;
	if (message->flags & QUEUE_TLS_NO)
		flags |= ROUTE_TLS_NO;
	return flags;
}

struct lane *lane_new(struct destination *destination, const struct queue_message *message, const char *sender_domain)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (lane == NULL)
		return NULL;
	lane->destination = destination;
	lane->flags = lane_flags(message);
	(void)snprintf(lane->sender_domain, sizeof(lane->sender_domain), "%s", sender_domain);
	lane->limit = RELAY_START_LIMIT;
	return lane;
}

void lane_free(struct lane **lane)
{
	struct lane *it = *lane;

	CHECK(it->connecting == 0 && it->busy == 0 && it->waiting.first == NULL);
	scheduler_unwant(it->destination->relay->scheduler, it);
	if (it->query != NULL)
		it->destination->relay->scheduler->routes--;
	route_cancel(&it->query);
	held_route_release(&it->route);
	free(it);
	*lane = NULL;
}

bool lane_is_idle(const struct lane *lane)
{
	return lane->connecting == 0 && lane->busy == 0 && lane->waiting.first == NULL && lane->query == NULL;
}

bool lane_fits(const struct lane *lane, const struct queue_message *message, const char *sender_domain)
{
	return lane->flags == lane_flags(message) && strcmp(lane->sender_domain, sender_domain) == 0;
}

/* --- down -------------------------------------------------------------------------------------------------------- */

static void share_failure(struct lane *lane, struct parcel *parcel)
{
	parcel->peer = lane->failed_peer;
	settle_all(parcel, &lane->failure);
	finisher_add(lane->destination->relay->finisher, parcel);
}

static void go_down(struct lane *lane, const struct outcome *outcome, const struct peer *peer)
{
	struct relay *relay = lane->destination->relay;
	int64_t wait = schedule_wait(&relay->settings->schedule, ++lane->failures);
	struct parcel *parcel;

	held_route_release(&lane->route); /* DNS may know better by the next time; and it is memory */
	lane->works = false;
	lane->strikes = 0;
	lane->failure = *outcome;
	lane->failed_peer = *peer;
	lane->down = outcome->kind == OUTCOME_AGAIN; /* what is refused for good is asked anew for each message */
	lane->failed_at_ms = relay_clock_due(&relay->clock);
	lane->hold_ms = clock_mono_ms() + RELAY_DOWN_HOLD_MS;
	lane->retry_at_ms = clock_mono_ms() + (wait < RELAY_BACKOFF_MAX_MS ? wait : RELAY_BACKOFF_MAX_MS);
	while ((parcel = parcel_list_take(&lane->waiting)) != NULL)
		share_failure(lane, parcel);
	destination_take(lane->destination); /* the rest of what was due */
}

static bool was_due(const struct lane *lane, const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		if (parcel->part.recipients[i].next_attempt_ms > lane->failed_at_ms)
			return false;
	return true;
}

/* Never tried, and not due because somebody asked for another try. */
static bool is_new(const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		if (parcel->part.recipients[i].attempts > 0 ||
		        parcel->part.recipients[i].next_attempt_ms > parcel->part.created_ms)
			return false;
	return true;
}

static void put_off(struct lane *lane, struct parcel *parcel)
{
	struct relay *relay = lane->destination->relay;
	int64_t wait = lane->retry_at_ms - clock_mono_ms() + random_below(UNDONE_SPREAD_MS);

	settle_undone(parcel, &lane->failure, relay_clock_now(&relay->clock) + wait);
	finisher_add(relay->finisher, parcel);
}

bool lane_strike(struct lane *lane, struct parcel *parcel, const struct outcome *outcome)
{
	struct outcome copy = *outcome;
	struct peer peer = parcel->peer;

	if (++lane->strikes < LANE_STRIKES_MAX)
		return false;
	parcel_list_add_first(&lane->waiting, parcel);
	go_down(lane, &copy, &peer);
	return true;
}

void lane_link_failed(struct lane *lane, struct link *link)
{
	struct peer peer = { .dsn = false };

	if (lane->busy > 0 || lane->connecting > 1) { /* others work, or still try */
		lane_effect(lane, EFFECT_SHRINK);
		return;
	}
	if (link->to != NULL)
		(void)snprintf(peer.host, sizeof(peer.host), "%s", link->to->name);
	else if (link->route->result->host_count > 0)
		(void)snprintf(peer.host, sizeof(peer.host), "%s",
		        link->route->result->hosts[link->route->result->host_count - 1].name);
	(void)snprintf(peer.address, sizeof(peer.address), "%s", link->address_text);
	go_down(lane, &link->outcome, &peer);
}

/* --- the limit --------------------------------------------------------------------------------------------------- */

void lane_link_ready(struct lane *lane)
{
	lane->down = false;
	lane->failures = 0;
}

void lane_answered(struct lane *lane, int64_t took_ms)
{
	if (!lane->works) {
		lane->limit = RELAY_START_LIMIT;
		lane->successes = 0;
	}
	lane->works = true;
	lane->down = false;
	lane->strikes = 0;
	lane->slow = took_ms >= RELAY_STALL_MS;
}

void lane_effect(struct lane *lane, enum outcome_effect effect)
{
	unsigned most = lane->destination->relay->settings->connections_per_destination;

	if (effect == EFFECT_SHRINK) {
		lane->limit = lane->limit > 1 ? lane->limit / 2 : 1;
		lane->successes = 0;
		lane->destination->take_size = RELAY_TAKE_MIN;
	} else if (effect == EFFECT_GROW && ++lane->successes >= lane->limit) {
		lane->limit++;
		lane->successes = 0;
	}
	if (lane->limit > most)
		lane->limit = most;
}

/* --- how much a session takes ------------------------------------------------------------------------------------ */

void lane_closed_after(struct lane *lane, unsigned messages)
{
	CHECK(messages > 0);
	if (lane->session_max == 0 || messages < lane->session_max)
		lane->session_max = messages;
	lane->session_ends = 0;
}

bool lane_session_is_full(const struct lane *lane, unsigned messages)
{
	return lane->session_max > 0 && messages >= lane->session_max;
}

void lane_session_done(struct lane *lane)
{
	if (++lane->session_ends < RELAY_SESSIONS_TRUSTED)
		return;
	lane->session_ends = 0;
	lane->session_max = 2 * lane->session_max < RELAY_LINK_MESSAGES ? 2 * lane->session_max : 0;
}

/* --- the route --------------------------------------------------------------------------------------------------- */

static void on_route(void *arg, const struct route_result *result)
{
	struct lane *lane = arg;
	struct relay *relay = lane->destination->relay;
	struct outcome outcome;

	lane->query = NULL;
	relay->scheduler->routes--;
	scheduler_kick(relay->scheduler);
	held_route_release(&lane->route);
	if (result->code == ERR_NONE)
		lane->route = held_route_new(result);
	if (lane->route != NULL) {
		lane->route_until_ms = clock_mono_ms() + RELAY_ROUTE_KEEP_MS;
		lane_pump(lane);
		return;
	}
	if (result->code == ERR_NONE)
		outcome_set(&outcome, OUTCOME_AGAIN, "4.3.0", "out of memory");
	else
		outcome_of_route(result, &outcome);
	if (outcome.kind == OUTCOME_AGAIN && (lane->busy > 0 || lane->connecting > 0))
		return; /* the links that are there go on */
	go_down(lane, &outcome, &(struct peer) { .dsn = false });
}

/* False: not yet. */
static bool has_route(struct lane *lane)
{
	struct relay *relay = lane->destination->relay;
	unsigned most = lane->works ? RELAY_ROUTES_AT_ONCE : RELAY_ROUTES_AT_ONCE - RELAY_ROUTES_SPARE;

	if (lane->route != NULL && clock_mono_ms() < lane->route_until_ms)
		return true;
	if (lane->query != NULL)
		return false;
	if (relay->scheduler->routes >= most) {
		scheduler_want(relay->scheduler, lane);
		return false;
	}
	lane->query =
	        route_find(relay->router, lane->destination->domain, lane->sender_domain, lane->flags, on_route, lane);
	if (lane->query != NULL)
		relay->scheduler->routes++;
	else
		scheduler_want(relay->scheduler, lane); /* no memory now */
	return false;
}

/* --- work -------------------------------------------------------------------------------------------------------- */

void lane_add(struct lane *lane, struct parcel *parcel)
{
	bool down = lane->down && clock_mono_ms() < lane->retry_at_ms;

	if (down && was_due(lane, parcel)) {
		share_failure(lane, parcel);
	} else if (down && is_new(parcel)) {
		put_off(lane, parcel);
	} else {
		parcel_list_add(&lane->waiting, parcel);
	}
}

struct parcel *lane_take(struct lane *lane)
{
	struct parcel *parcel;

	if (lane->destination->relay->scheduler->draining || finisher_in_trouble(lane->destination->relay->finisher))
		return NULL;
	parcel = parcel_list_take(&lane->waiting);
	destination_take(lane->destination);
	return parcel;
}

void lane_return(struct lane *lane, struct parcel *parcel)
{
	if (lane->destination->relay->scheduler->draining)
		scheduler_parcel_back(lane->destination->relay->scheduler, parcel);
	else
		parcel_list_add_first(&lane->waiting, parcel);
}

void lane_drop_waiting(struct lane *lane)
{
	struct parcel *parcel;

	while ((parcel = parcel_list_take(&lane->waiting)) != NULL)
		scheduler_parcel_back(lane->destination->relay->scheduler, parcel);
}

static bool wants_link(const struct lane *lane)
{
	unsigned most = lane->works ? lane->limit : 1;

	return lane->connecting < lane->waiting.count && lane->connecting + lane->busy < most;
}

void lane_pump(struct lane *lane)
{
	struct scheduler *scheduler = lane->destination->relay->scheduler;
	struct link *link;

	if (scheduler->draining || finisher_in_trouble(lane->destination->relay->finisher) ||
	        (lane->down && clock_mono_ms() < lane->hold_ms)) /* the sweep comes back */
		return;
	while (lane->waiting.first != NULL && wants_link(lane) && has_route(lane)) {
		if (!scheduler_may_open(scheduler, lane)) {
			scheduler_want(scheduler, lane);
			return;
		}
		link = link_reuse(scheduler, lane, lane->route);
		if (link != NULL) {
			lane_link_ready(lane);
			link_feed(link);
		} else if (!link_open(lane, lane->route)) {
			scheduler_want(scheduler, lane);
			return;
		}
	}
}
