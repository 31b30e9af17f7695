/* A clock between the system's two.
 *
 * The monotonic clock says how far the wall clock should have come since the last look; what it lacks was taken from it.
 * Both are cut to milliseconds, so a millisecond may seem to be missing now and then: it is given back like the others. */
#include "steady.h"

#include "clock.h"

enum { US_A_MS = 1000, SPEED_DIVISOR = 2 };

void steady_begin(struct steady *steady, int64_t newest_ms)
{
    int64_t ahead_ms = newest_ms - clock_wall_ms();
    *steady = (struct steady){.now_ms = 0};
    if (ahead_ms > 0 && ahead_ms <= STEADY_MOST_AHEAD_MS) {
        steady->ahead_us = ahead_ms * US_A_MS;
    }
}

int64_t steady_now_ms(struct steady *steady)
{
    int64_t wall_ms = clock_wall_ms();
    int64_t mono_us = clock_mono_us();
    if (steady->now_ms != 0) {
        int64_t passed_us = mono_us - steady->mono_us;
        int64_t missing_us = passed_us - (wall_ms - steady->wall_ms) * US_A_MS;
        steady->ahead_us += missing_us - passed_us / SPEED_DIVISOR;
        if (steady->ahead_us < 0) {
            steady->ahead_us = 0;
        }
    }
    steady->wall_ms = wall_ms;
    steady->mono_us = mono_us;
    int64_t now_ms = wall_ms + steady->ahead_us / US_A_MS;
    if (now_ms > steady->now_ms) {
        steady->now_ms = now_ms;
    }
    return steady->now_ms;
}
