#include "authd/attempt_internal.h"
#include "base/clock.h"

#include <string.h>

void attempt_unpark(struct attempt *attempt)
{
	attempt->shared->parked_count--;
	TAILQ_REMOVE(&attempt->shared->parked, attempt, parked_link);
	uv_timer_stop(&attempt->timer);
}

static void on_wake(uv_timer_t *timer)
{
	struct attempt *attempt = timer->data;

	if (attempt->refused) {
		attempt_refuse(attempt, AUTH_THROTTLED, "too many tries from the address");
		return;
	}
	attempt_unpark(attempt);
	attempt_route(attempt);
}

static void wake_at(struct attempt *attempt, int64_t wait_ms)
{
	if (!attempt->has_timer) {
		uv_timer_init(attempt->shared->loop, &attempt->timer);
		attempt->timer.data = attempt;
		attempt->has_timer = true;
		attempt->holds++;
	}
	uv_timer_start(&attempt->timer, on_wake, (uint64_t)wait_ms, 0);
}

static bool too_many_wait(const struct attempt *attempt)
{
	const struct attempt *other;
	unsigned count = 0;

	if (attempt->shared->parked_count >= ATTEMPT_PARKED_MAX)
		return true;
	TAILQ_FOREACH (other, &attempt->shared->parked, parked_link)
		if (!other->refused &&
		        memcmp(&other->address_key, &attempt->address_key, sizeof(attempt->address_key)) == 0)
			count++;
	return count >= ATTEMPT_PARKED_EACH;
}

static void park(struct attempt *attempt, int64_t now, int64_t wait_ms)
{
	bool is_new = attempt->parked_until_ms == 0;

	if (is_new)
		attempt->parked_until_ms = now + ATTEMPT_PARKED_MS;
	if (is_new ? too_many_wait(attempt) : now >= attempt->parked_until_ms) {
		attempt->refused = true;
		wait_ms = is_new ? ATTEMPT_THROTTLED_MS : 0;
	} else if (now + wait_ms > attempt->parked_until_ms) {
		wait_ms = attempt->parked_until_ms - now;
	}
	attempt->state = PARKED;
	attempt->shared->parked_count++;
	TAILQ_INSERT_TAIL(&attempt->shared->parked, attempt, parked_link);
	wake_at(attempt, wait_ms);
}

void attempt_admit(struct attempt *attempt)
{
	int64_t now = clock_mono_ms(), wait_ms;

	if (failures_admit(attempt->shared->failures, &attempt->ticket, now, &wait_ms))
		attempt_look_up(attempt);
	else
		park(attempt, now, wait_ms);
}

/* A password was right: what was charged for it is free again, and its twins need no check of their own any more. */
void attempt_wake_neighbours(struct attempts *shared, const struct table_key *address)
{
	struct attempt *attempt;

	TAILQ_FOREACH (attempt, &shared->parked, parked_link)
		if (!attempt->refused && memcmp(&attempt->address_key, address, sizeof(*address)) == 0)
			uv_timer_start(&attempt->timer, on_wake, 0, 0);
}
