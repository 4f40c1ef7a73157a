/* smtpd/outbound/schedule.h — when a recipient is tried again, when its sender is warned, when it is given up. Pure, but for the clock.
 *
 * The wall clock is what is stored; it may jump. So: a jump forward, which `relay_clock` sees as wall time that did not pass on the
 * monotonic clock, is taken off the age of what was in the queue before it; nothing is given up before a second attempt, whatever
 * the clock says; and what is due is asked with whichever of the two clocks is ahead, so that a clock set back holds nothing up.
 * Thread: the loop's. Milliseconds. */
#ifndef SMTPD_OUTBOUND_SCHEDULE_H
#define SMTPD_OUTBOUND_SCHEDULE_H

#include "storage/queue.h"

#define SCHEDULE_STEPS_MAX    16
#define SCHEDULE_JITTER       10    /* per cent, both ways: a thousand deferred together do not come back together */
#define SCHEDULE_ATTEMPTS_MIN 2     /* before anything is given up for its age */
#define CLOCK_JUMP_MIN_MS     60000 /* smaller steps are the clock's daily life */
#define CLOCK_JUMPS_MAX       8     /* the latest are remembered */

struct relay_clock {
	int64_t wall_ms, mono_ms; /* when last looked */
	int64_t steady_ms;        /* wall time at the start, and what has passed since */
	struct {
		int64_t until_ms; /* what was created before this moment ... */
		int64_t by_ms;    /* ... is younger by so much than the wall clock says */
	} jumps[CLOCK_JUMPS_MAX];
	size_t jump_count;
};

void relay_clock_start(struct relay_clock *clock);
bool relay_clock_look(struct relay_clock *clock);         /* at least each minute; true: it has jumped */
int64_t relay_clock_due(const struct relay_clock *clock); /* what is due by now */
int64_t relay_clock_now(const struct relay_clock *clock); /* the wall clock, as last looked */
/* How much of the time since created_ms was a jump. */
int64_t relay_clock_jumped(const struct relay_clock *clock, int64_t created_ms);

struct schedule {
	int64_t retry_ms[SCHEDULE_STEPS_MAX]; /* the last one repeats */
	size_t retry_count;                   /* at least 1 */
	int64_t warn_after_ms;                /* 0: never */
	int64_t give_up_after_ms;
};

/* The wait after attempt number `attempts` (from 1), with jitter. */
int64_t schedule_wait(const struct schedule *schedule, unsigned attempts);

struct schedule_decision {
	bool give_up;
	bool warn;
	int64_t next_ms;
};
/* After an attempt that may be repeated. */
void schedule_decide(const struct schedule *schedule, const struct relay_clock *clock,
        const struct queue_message *message, const struct queue_rcpt *rcpt, struct schedule_decision *out);
/* RFC 2852 §4.1.3: the time that the sender gave has run out. */
bool schedule_by_is_over(const struct relay_clock *clock, const struct queue_message *message);

#endif
