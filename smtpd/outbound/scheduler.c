#include "smtpd/outbound/scheduler.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "smtpd/outbound/finish.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SWEEP_MS           1000
#define DESTINATION_OLD_MS 60000 /* an idle one that works, or is forgotten anyway */
#define FORGET_BUCKETS     256
#define HINTS_MAX          1000 /* taken at once */

/* --- destinations ------------------------------------------------------------------------------------------------ */

static size_t bucket_of(const char *domain)
{
	uint64_t hash =
	        14695981039346656037u; /* FNV-1a; names come from our own queue, a flood of equal ones costs only them */

	for (; *domain != '\0'; domain++)
		hash = (hash ^ (unsigned char)*domain) * 1099511628211u;
	return (hash ^ hash >> 32) % SCHEDULER_BUCKETS;
}

/* Thousands of dead ones are remembered for long, and keep nobody out: the next that is idle goes. A few buckets each time; false: none. */
static bool forget_idle(struct scheduler *scheduler)
{
	for (unsigned i = 0; i < FORGET_BUCKETS; i++) {
		struct destination **at = &scheduler->buckets[scheduler->forget_next++ % SCHEDULER_BUCKETS];

		while (*at != NULL && !destination_is_idle(*at))
			at = &(*at)->next;
		if (*at != NULL) {
			struct destination *destination = *at;

			*at = destination->next;
			scheduler->destination_count--;
			destination_free(&destination);
			return true;
		}
	}
	return false;
}

static struct destination *find_destination(struct scheduler *scheduler, const char *domain)
{
	struct destination **bucket = &scheduler->buckets[bucket_of(domain)];
	struct destination *destination;

	for (destination = *bucket; destination != NULL; destination = destination->next)
		if (strcmp(destination->domain, domain) == 0)
			return destination;
	if (scheduler->destination_count >= RELAY_DESTINATIONS_MAX && !forget_idle(scheduler))
		return NULL;
	destination = destination_new(scheduler->relay, domain);
	if (destination == NULL)
		return NULL;
	destination->next = *bucket;
	*bucket = destination;
	scheduler->destination_count++;
	return destination;
}

static bool is_old(const struct destination *destination, int64_t now)
{
	if (!destination_is_idle(destination))
		return false;
	for (const struct lane *lane = destination->lanes; lane != NULL; lane = lane->next)
		if (lane->down && lane->retry_at_ms > now)
			return false;
	return now - destination->used_ms > DESTINATION_OLD_MS;
}

/* Each one is looked at: what is stuck (a route that found no memory, the finisher's trouble) goes on, what is old goes. */
static void sweep_destinations(struct scheduler *scheduler)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < SCHEDULER_BUCKETS; i++)
		for (struct destination **at = &scheduler->buckets[i]; *at != NULL;) {
			struct destination *destination = *at;

			if (is_old(destination, now)) {
				*at = destination->next;
				scheduler->destination_count--;
				destination_free(&destination);
				continue;
			}
			destination_take(destination);
			for (struct lane *lane = destination->lanes; lane != NULL; lane = lane->next)
				lane_pump(lane);
			at = &destination->next;
		}
}

/* --- looking ----------------------------------------------------------------------------------------------------- */

static void run_look(struct worker_job *job)
{
	struct scheduler *scheduler = container_of(job, struct scheduler, job);

	scheduler->due_count = 0;
	scheduler->next_due_ms = INT64_MAX;
	if (!queue_due(scheduler->relay->queue, scheduler->now_ms, scheduler->due, RELAY_LOOK_MAX,
	            &scheduler->due_count, &scheduler->next_due_ms, &scheduler->error))
		LOG(LOG_ERROR, "relay.look", LOG_FAILURE(&scheduler->error));
}

static void on_look_time(uv_timer_t *timer);

static void look_at(struct scheduler *scheduler, int64_t wait_ms)
{
	if (!scheduler->stopped && !scheduler->draining)
		(void)uv_timer_start(&scheduler->look_timer, on_look_time, (uint64_t)wait_ms, 0);
}

static void wake_due(struct scheduler *scheduler)
{
	for (size_t i = 0; i < scheduler->due_count; i++) {
		struct destination *destination = find_destination(scheduler, scheduler->due[i].domain);

		if (destination != NULL)
			destination_wake(destination);
	}
}

static void on_hint(uv_poll_t *poll, int status, int events);

static void listen_again(struct scheduler *scheduler)
{
	if (scheduler->started && !scheduler->stopped)
		(void)uv_poll_start(&scheduler->ear, UV_READABLE, on_hint);
}

static void on_looked(struct worker_job *job)
{
	struct scheduler *scheduler = container_of(job, struct scheduler, job);
	int64_t wait = scheduler->next_due_ms - relay_clock_due(&scheduler->relay->clock);

	scheduler->in_job = false;
	scheduler->looked_ms = clock_mono_ms();
	listen_again(scheduler);
	if (scheduler->draining) {
		scheduler_kick(scheduler);
		return;
	}
	wake_due(scheduler);
	if (scheduler->look_again || wait < RELAY_LOOK_MIN_MS)
		wait = RELAY_LOOK_MIN_MS;
	scheduler->look_again = false;
	scheduler_look_in(scheduler,
	        wait < RELAY_LOOK_MAX_MS ? wait : RELAY_LOOK_MAX_MS); /* a destination may have asked for it before */
}

static void look_at_clock(struct scheduler *scheduler)
{
	if (relay_clock_look(&scheduler->relay->clock))
		LOG(LOG_WARNING, "relay.clock", LOG_TEXT("reason", "the clock of this machine was set"),
		        LOG_NUMBER("jumps", scheduler->relay->clock.jump_count));
}

static void on_look_time(uv_timer_t *timer)
{
	struct scheduler *scheduler = container_of(timer, struct scheduler, look_timer);

	if (scheduler->in_job || scheduler->draining)
		return;
	look_at_clock(scheduler);
	scheduler->now_ms = relay_clock_due(&scheduler->relay->clock);
	scheduler->in_job = true;
	error_clear(&scheduler->error);
	scheduler->job = (struct worker_job) { .run = run_look, .done = on_looked, .lane = WORKER_READ };
	worker_submit(scheduler->relay->pool, &scheduler->job);
}

void scheduler_look(struct scheduler *scheduler)
{
	int64_t wait = scheduler->looked_ms + RELAY_LOOK_MIN_MS - clock_mono_ms();

	if (scheduler->in_job)
		scheduler->look_again = true;
	else
		look_at(scheduler, wait > 0 ? wait : 0);
}

void scheduler_look_in(struct scheduler *scheduler, int64_t ms)
{
	if (scheduler->in_job)
		scheduler->look_again = true;
	else if (!uv_is_active((uv_handle_t *)&scheduler->look_timer) ||
	         uv_timer_get_due_in(&scheduler->look_timer) > (uint64_t)ms)
		look_at(scheduler, ms);
}

/* An admin has held, dropped or rerouted something: of what is in memory, nothing that is not being sent goes on as it was. */
static void withdraw(struct scheduler *scheduler)
{
	for (size_t i = 0; i < SCHEDULER_BUCKETS; i++)
		for (struct destination *it = scheduler->buckets[i]; it != NULL; it = it->next)
			destination_withdraw(it);
}

static void on_hint(uv_poll_t *poll, int status, int events)
{
	struct scheduler *scheduler = container_of(poll, struct scheduler, ear);
	enum queue_hint hint = QUEUE_HINT_WORK;
	bool changed = false;

	(void)events;
	if (status < 0)
		return; /* the look each RELAY_LOOK_MAX_MS remains */
	for (unsigned count = 0; count < HINTS_MAX && hint != QUEUE_HINT_NONE; count++) {
		hint = queue_watch_next(scheduler->ear_fd);
		changed = changed || hint == QUEUE_HINT_CHANGED;
	}
	if (changed && !scheduler->draining)
		withdraw(scheduler);
	(void)uv_poll_stop(poll); /* the look that follows sees what further hints would tell */
	scheduler_look(scheduler);
}

/* --- places ------------------------------------------------------------------------------------------------------ */

unsigned *scheduler_counter(struct scheduler *scheduler, enum link_count which)
{
	switch (which) {
	case COUNT_UNPROVEN: return &scheduler->counts.unproven;
	case COUNT_ACTIVE: return &scheduler->counts.active;
	case COUNT_STALLED: return &scheduler->counts.stalled;
	case COUNT_IDLE: return &scheduler->counts.idle;
	case COUNT_CLOSING:
	case COUNT_NONE: break;
	}
	return &scheduler->counts.closing;
}

bool scheduler_may_open(const struct scheduler *scheduler, const struct lane *lane)
{
	unsigned connections = scheduler->relay->settings->connections;

	if (!lane->works)
		return scheduler->counts.unproven < RELAY_UNPROVEN_MAX;
	if (lane->slow)
		return scheduler->counts.stalled < RELAY_STALLED_MAX;
	if (lane->busy + lane->connecting == 0)
		return scheduler->counts.active < connections;
	return scheduler->bare == 0 && scheduler->counts.active < connections - connections / RELAY_SPARE_SHARE;
}

bool scheduler_needs_place(const struct scheduler *scheduler, const struct link *link)
{
	if (scheduler->bare == 0 || link->counted != COUNT_ACTIVE ||
	        scheduler->counts.active < scheduler->relay->settings->connections)
		return false;
	return link->lane->busy + link->lane->connecting > 1 || clock_mono_ms() - link->placed_ms >= RELAY_TURN_MS;
}

static void count_bare(struct scheduler *scheduler, struct lane *lane, bool bare)
{
	if (lane->bare != bare)
		scheduler->bare = bare ? scheduler->bare + 1 : scheduler->bare - 1;
	lane->bare = bare;
}

/* Who waits for something else than a place, as for a look-up, keeps nobody from one. */
static bool is_bare(const struct scheduler *scheduler, const struct lane *lane)
{
	return lane->works && !lane->slow && lane->busy + lane->connecting == 0 && !scheduler_may_open(scheduler, lane);
}

void scheduler_want(struct scheduler *scheduler, struct lane *lane)
{
	if (lane->wants)
		return;
	lane->wants = true;
	count_bare(scheduler, lane, is_bare(scheduler, lane));
	lane->want_next = NULL;
	if (scheduler->want_first == NULL)
		scheduler->want_first = lane;
	else
		*scheduler->want_end = lane;
	scheduler->want_end = &lane->want_next;
}

void scheduler_unwant(struct scheduler *scheduler, struct lane *lane)
{
	struct lane **at = &scheduler->want_first;

	if (!lane->wants)
		return;
	while (*at != lane)
		at = &(*at)->want_next;
	*at = lane->want_next;
	lane->wants = false;
	count_bare(scheduler, lane, false);
	for (scheduler->want_end = &scheduler->want_first; *scheduler->want_end != NULL;)
		scheduler->want_end = &(*scheduler->want_end)->want_next;
}

/* Each in the line once: who still finds no place stands behind the others again. */
static void serve_line(struct scheduler *scheduler)
{
	struct lane *line = scheduler->want_first;

	scheduler->want_first = NULL;
	while (line != NULL) {
		struct lane *lane = line;

		line = lane->want_next;
		lane->wants = false;
		count_bare(scheduler, lane, false);
		lane_pump(lane);
	}
}

void scheduler_add_link(struct scheduler *scheduler, struct link *link)
{
	link->previous = NULL;
	link->next = scheduler->links;
	if (link->next != NULL)
		link->next->previous = link;
	scheduler->links = link;
}

void scheduler_remove_link(struct scheduler *scheduler, struct link *link)
{
	if (link->previous != NULL)
		link->previous->next = link->next;
	else
		scheduler->links = link->next;
	if (link->next != NULL)
		link->next->previous = link->previous;
	scheduler_kick(scheduler);
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

size_t scheduler_room(struct scheduler *scheduler, const struct destination *destination)
{
	size_t used = scheduler->recipients + scheduler->asked;

	if (destination->domain[0] == '\0' || 2 * (used + RELAY_TAKE_RECIPIENTS) <= RELAY_RECIPIENTS_MAX)
		return RELAY_TAKE_RECIPIENTS;
	if (used + RELAY_TAKE_SCARCE <= RELAY_RECIPIENTS_MAX && destination->recipients < 2 * RELAY_TAKE_SCARCE)
		return RELAY_TAKE_SCARCE;
	scheduler->no_room = true;
	return 0;
}

static bool has_room_again(const struct scheduler *scheduler)
{
	return scheduler->no_room &&
	       2 * (scheduler->recipients + scheduler->asked + RELAY_TAKE_RECIPIENTS) <= RELAY_RECIPIENTS_MAX;
}

/* --- parcels ----------------------------------------------------------------------------------------------------- */

static void release_parcel(struct scheduler *scheduler, struct parcel *parcel)
{
	struct destination *destination = parcel->destination;

	CHECK(destination->parcels > 0 && scheduler->recipients >= parcel->part.recipient_count);
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		destination_row_gone(destination, parcel->part.recipients[i].id);
	scheduler->recipients -= parcel->part.recipient_count;
	destination->recipients -= parcel->part.recipient_count;
	destination->parcels--;
	destination->used_ms = clock_mono_ms();
	parcel_free(&parcel);
	destination_take(destination);
	if (has_room_again(scheduler))
		scheduler_kick(scheduler);
}

void scheduler_parcel_gone(struct scheduler *scheduler, struct parcel *parcel)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		if (parcel->fates[i].result != QUEUE_DONE && parcel->fates[i].next_ms < next)
			next = parcel->fates[i].next_ms;
	/* The clock was set back: what is to be tried later is due by the clock that is ahead. Not again at once, for hours, all the same. */
	if (next <= relay_clock_due(&scheduler->relay->clock))
		parcel->destination->take_after_ms = clock_mono_ms() + RELAY_SET_BACK_MS;
	/* It is due again before the next look would come by itself. */
	if (next - relay_clock_due(&scheduler->relay->clock) < RELAY_LOOK_MAX_MS)
		scheduler->look_again = true;
	release_parcel(scheduler, parcel);
}

void scheduler_parcel_back(struct scheduler *scheduler, struct parcel *parcel)
{
	release_parcel(scheduler, parcel);
}

/* --- what happens now and then ----------------------------------------------------------------------------------- */

static void sweep_links(struct scheduler *scheduler)
{
	int64_t now = clock_mono_ms();

	for (struct link *link = scheduler->links, *next; link != NULL; link = next) {
		next = link->next;
		if (link->state == LINK_IDLE && now - link->progress_ms >= RELAY_IDLE_MS)
			link_quit(link);
		else if (link->state == LINK_WRITING && now - link->progress_ms >= RELAY_WRITING_MS)
			link_abort(link);
		else if (link->state == LINK_BUSY && link->counted == COUNT_ACTIVE &&
		         now - link->progress_ms >= RELAY_STALL_MS) {
			link->lane->slow = true;
			link_count(link, COUNT_STALLED);
		} else if (link->state == LINK_CONNECTING && link->counted == COUNT_ACTIVE &&
		           now - link->opened_ms >= RELAY_STALL_MS)
			link_count(link, COUNT_UNPROVEN);
	}
}

static void run_events(struct worker_job *job)
{
	events_flush(container_of(job, struct scheduler, events_job)->relay->events);
}

static void on_events(struct worker_job *job)
{
	struct scheduler *scheduler = container_of(job, struct scheduler, events_job);

	scheduler->events_in_job = false;
	if (scheduler->draining)
		scheduler_kick(scheduler);
}

static void write_events(struct scheduler *scheduler)
{
	if (scheduler->events_in_job || !event_log_wants_flush(scheduler->relay->events))
		return;
	scheduler->events_in_job = true;
	scheduler->events_job = (struct worker_job) { .run = run_events, .done = on_events, .lane = WORKER_WRITE };
	worker_submit(scheduler->relay->pool, &scheduler->events_job);
}

static void on_sweep(uv_timer_t *timer)
{
	struct scheduler *scheduler = container_of(timer, struct scheduler, sweep_timer);

	look_at_clock(scheduler);
	sweep_links(scheduler);
	if (!scheduler->draining)
		sweep_destinations(scheduler);
	write_events(scheduler);
	if (scheduler->look_again && !scheduler->in_job) {
		scheduler->look_again = false;
		scheduler_look(scheduler);
	}
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static bool any_taking(const struct scheduler *scheduler)
{
	for (size_t i = 0; i < SCHEDULER_BUCKETS; i++)
		for (const struct destination *it = scheduler->buckets[i]; it != NULL; it = it->next)
			if (it->taking)
				return true;
	return false;
}

static void end_when_empty(struct scheduler *scheduler)
{
	if (scheduler->stopped || scheduler->in_job || scheduler->links != NULL || scheduler->local > 0 ||
	        !finisher_is_empty(scheduler->relay->finisher) || any_taking(scheduler))
		return;
	if (scheduler->on_empty != NULL)
		scheduler->on_empty(scheduler->arg);
	scheduler->on_empty = NULL;
}

static void on_kick(uv_timer_t *timer)
{
	struct scheduler *scheduler = container_of(timer, struct scheduler, kick_timer);

	if (scheduler->draining) {
		end_when_empty(scheduler);
		return;
	}
	serve_line(scheduler);
	if (has_room_again(scheduler)) {
		scheduler->no_room = false;
		sweep_destinations(scheduler);
	}
}

void scheduler_kick(struct scheduler *scheduler)
{
	if (!scheduler->stopped && (scheduler->draining || has_room_again(scheduler) || scheduler->want_first != NULL))
		(void)uv_timer_start(&scheduler->kick_timer, on_kick, 0, 0);
}

static void drop_waiting(struct scheduler *scheduler)
{
	for (size_t i = 0; i < SCHEDULER_BUCKETS; i++)
		for (struct destination *it = scheduler->buckets[i]; it != NULL; it = it->next)
			for (struct lane *lane = it->lanes; lane != NULL; lane = lane->next) {
				lane_drop_waiting(lane);
				if (lane->query != NULL)
					scheduler->routes--;
				route_cancel(&lane->query);
			}
}

/* Nothing is lost by that: what was not sent is in the queue as it was. */
void scheduler_drain(struct scheduler *scheduler, void (*on_empty)(void *arg), void *arg)
{
	scheduler->draining = true;
	scheduler->on_empty = on_empty;
	scheduler->arg = arg;
	(void)uv_timer_stop(&scheduler->look_timer);
	drop_waiting(scheduler);
	for (struct link *link = scheduler->links, *next; link != NULL; link = next) {
		next = link->next;
		if (link->state == LINK_IDLE)
			link_quit(link);
		else if (link->state == LINK_CONNECTING)
			link_abort(link);
	}
	scheduler_kick(scheduler);
}

void scheduler_close_all(struct scheduler *scheduler)
{
	for (struct link *link = scheduler->links, *next; link != NULL; link = next) {
		next = link->next;
		link_abort(link);
	}
	scheduler_kick(scheduler);
}

/* --- birth and death --------------------------------------------------------------------------------------------- */

bool scheduler_new(struct relay *relay, int ear_fd, struct scheduler **out, struct error *err)
{
	struct scheduler *scheduler = calloc(1, sizeof(*scheduler));

	if (scheduler != NULL)
		scheduler->due = calloc(RELAY_LOOK_MAX, sizeof(*scheduler->due));
	if (scheduler == NULL || scheduler->due == NULL) {
		free(scheduler);
		(void)close(ear_fd);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	scheduler->relay = relay;
	scheduler->ear_fd = ear_fd;
	(void)uv_timer_init(relay->loop, &scheduler->look_timer); /* these cannot fail */
	(void)uv_timer_init(relay->loop, &scheduler->kick_timer);
	(void)uv_timer_init(relay->loop, &scheduler->sweep_timer);
	if (uv_poll_init(relay->loop, &scheduler->ear, ear_fd) != 0)
		LOG(LOG_ERROR, "relay.ear", LOG_TEXT("reason", "hints cannot be heard"));
	else
		scheduler->started = true;
	*out = scheduler;
	return true;
}

void scheduler_start(struct scheduler *scheduler)
{
	if (scheduler->started)
		(void)uv_poll_start(&scheduler->ear, UV_READABLE, on_hint);
	(void)uv_timer_start(&scheduler->sweep_timer, on_sweep, SWEEP_MS, SWEEP_MS);
	scheduler_look(scheduler);
}

void scheduler_stop(struct scheduler *scheduler)
{
	if (scheduler == NULL || scheduler->stopped)
		return;
	if (!scheduler->draining)
		scheduler_drain(scheduler, NULL, NULL);
	scheduler->stopped = true;
	uv_close((uv_handle_t *)&scheduler->look_timer, NULL);
	uv_close((uv_handle_t *)&scheduler->kick_timer, NULL);
	uv_close((uv_handle_t *)&scheduler->sweep_timer, NULL);
	if (scheduler->started)
		uv_close((uv_handle_t *)&scheduler->ear, NULL);
}

void scheduler_free(struct scheduler **scheduler)
{
	struct scheduler *it = *scheduler;

	if (it == NULL)
		return;
	for (size_t i = 0; i < SCHEDULER_BUCKETS; i++)
		while (it->buckets[i] != NULL) {
			struct destination *destination = it->buckets[i];

			it->buckets[i] = destination->next;
			destination->parcels = 0; /* the finisher's, which frees them */
			destination_free(&destination);
		}
	(void)close(it->ear_fd);
	free(it->due);
	free(it);
	*scheduler = NULL;
}
