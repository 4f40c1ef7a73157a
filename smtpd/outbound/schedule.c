#include "smtpd/outbound/schedule.h"

#include "base/clock.h"
#include "base/random.h"

#include <string.h>

void relay_clock_start(struct relay_clock *clock)
{
	*clock = (struct relay_clock) { .wall_ms = clock_wall_ms(), .mono_ms = clock_mono_ms() };
	clock->steady_ms = clock->wall_ms;
}

static void remember_jump(struct relay_clock *clock, int64_t until_ms, int64_t by_ms)
{
	if (clock->jump_count == CLOCK_JUMPS_MAX) {
		/* the two oldest become one: all that was there before either keeps what is taken off */
		clock->jumps[1].by_ms += clock->jumps[0].by_ms;
		memmove(clock->jumps, clock->jumps + 1, (CLOCK_JUMPS_MAX - 1) * sizeof(clock->jumps[0]));
		clock->jump_count--;
	}
	clock->jumps[clock->jump_count].until_ms = until_ms;
	clock->jumps[clock->jump_count++].by_ms = by_ms;
}

bool relay_clock_look(struct relay_clock *clock)
{
	int64_t wall = clock_wall_ms(), mono = clock_mono_ms();
	int64_t passed = mono - clock->mono_ms;
	int64_t jump = wall - clock->wall_ms - passed;
	bool jumped = jump >= CLOCK_JUMP_MIN_MS || jump <= -CLOCK_JUMP_MIN_MS;

	clock->wall_ms = wall;
	clock->mono_ms = mono;
	clock->steady_ms += passed;
	if (jump >= CLOCK_JUMP_MIN_MS)
		remember_jump(clock, wall, jump);
	return jumped;
}

int64_t relay_clock_due(const struct relay_clock *clock)
{
	return clock->steady_ms > clock->wall_ms ? clock->steady_ms : clock->wall_ms;
}

int64_t relay_clock_now(const struct relay_clock *clock)
{
	return clock->wall_ms;
}

int64_t relay_clock_jumped(const struct relay_clock *clock, int64_t created_ms)
{
	int64_t sum = 0;

	for (size_t i = 0; i < clock->jump_count; i++)
		if (created_ms < clock->jumps[i].until_ms - clock->jumps[i].by_ms)
			sum += clock->jumps[i].by_ms;
	return sum;
}

int64_t schedule_wait(const struct schedule *schedule, unsigned attempts)
{
	size_t step = attempts == 0 ? 0 : attempts - 1;
	int64_t wait = schedule->retry_ms[step < schedule->retry_count ? step : schedule->retry_count - 1];
	int64_t spread = wait * SCHEDULE_JITTER / 100;

	if (spread > 0)
		wait += (int64_t)random_below((uint32_t)(2 * spread < UINT32_MAX ? 2 * spread : UINT32_MAX)) - spread;
	return wait;
}

/* What its sender held back (RFC 4865) is not late before it was released; giving up counts from there too. */
static int64_t begins_ms(const struct schedule *schedule, const struct queue_message *message)
{
	int64_t released_ms = message->expires_ms - schedule->give_up_after_ms;

	return message->future_release[0] != '\0' && released_ms > message->created_ms ? released_ms
	                                                                               : message->created_ms;
}

void schedule_decide(const struct schedule *schedule, const struct relay_clock *clock,
        const struct queue_message *message, const struct queue_rcpt *rcpt, struct schedule_decision *out)
{
	unsigned attempts = rcpt->attempts + 1;
	int64_t now = relay_clock_now(clock);
	int64_t then = now - relay_clock_jumped(clock, message->created_ms); /* as if the clock had not jumped */

	*out = (struct schedule_decision) { .next_ms = now + schedule_wait(schedule, attempts) };
	if (then >= message->expires_ms) {
		out->give_up = attempts >= SCHEDULE_ATTEMPTS_MIN;
		return;
	}
	/* One more attempt just before the end is worth more than one that never comes after it. */
	if (out->next_ms > message->expires_ms + (now - then))
		out->next_ms = message->expires_ms + (now - then);
	out->warn = !rcpt->warned && schedule->warn_after_ms > 0 &&
	            then - begins_ms(schedule, message) >= schedule->warn_after_ms;
}

bool schedule_by_is_over(const struct relay_clock *clock, const struct queue_message *message)
{
	return message->deliver_by_ms != 0 &&
	       relay_clock_now(clock) - relay_clock_jumped(clock, message->created_ms) >= message->deliver_by_ms;
}
