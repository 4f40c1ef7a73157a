#include "base/clock.h"

#include <time.h>

static int64_t test_mono = -1;
static int64_t test_wall = -1;

static int64_t read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void)
{
	return test_mono >= 0 ? test_mono : read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
	return test_wall >= 0 ? test_wall : read_clock(CLOCK_REALTIME);
}

void clock_set_for_test(int64_t mono_ms, int64_t wall_ms)
{
	test_mono = mono_ms;
	test_wall = wall_ms;
}
