/* common/base/clock.h — time behind one door, so that tests can set it. Milliseconds. Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void); /* never jumps; for timers and delays */
int64_t clock_wall_ms(void); /* since 1970-01-01T00:00:00Z; for dates that people see */

/* Downwards, also before 1970. */
int64_t clock_seconds_of(int64_t milliseconds);

/* Tests only: from now on both clocks stand at these values; a negative value gives a clock back to the system. */
void clock_set_for_test(int64_t mono_ms, int64_t wall_ms);

#endif
