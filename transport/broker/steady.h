/* The broker's idea of the wall clock: it follows the system's, but never goes back and never stands still.
 *
 * Retry times and leases' histories are compared with it, so a clock that somebody sets back (or NTP does) must not make
 * what is due wait for as long again. When the system's clock falls back, this one is ahead of it, and goes at half speed
 * until the other has caught up. When the system's clock leaps forward, this one leaps too. */
#ifndef TPN_STEADY_H
#define TPN_STEADY_H

#include <stdint.h>

/* Zeroed = new. */
struct steady {
    int64_t wall_ms; /* the system's, at the last look */
    int64_t mono_us;
    int64_t ahead_us; /* of the system's */
    int64_t now_ms;   /* the last answer */
};

/* Milliseconds since 1970-01-01 UTC; never less than the answer before. */
int64_t steady_now_ms(struct steady *steady);

#endif
