#include "base/clock.h"

#include <time.h>

static _Atomic int64_t test_mono = -1; /* a test may move it while threads look */
static _Atomic int64_t test_wall = -1;

static int64_t read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void)
{
	int64_t set = test_mono;

	return set >= 0 ? set : read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
	int64_t set = test_wall;

	return set >= 0 ? set : read_clock(CLOCK_REALTIME);
}

int64_t clock_seconds_of(int64_t milliseconds)
{
	return milliseconds / 1000 - (milliseconds % 1000 < 0 ? 1 : 0);
}

void clock_set_for_test(int64_t mono_ms, int64_t wall_ms)
{
	test_mono = mono_ms;
	test_wall = wall_ms;
}
