/* The broker's idea of the wall clock: it follows the system's, but never goes back and never stands still.
 *
 * Retry times and leases' histories are compared with it, so a clock that somebody sets back (or NTP does) must not make
 * what is due wait for as long again. When the system's clock falls back, this one is ahead of it, and goes at half speed
 * until the other has caught up. When the system's clock leaps forward, this one leaps too. */
#ifndef TPN_STEADY_H
#define TPN_STEADY_H

#include <stdint.h>

/* Zeroed = new, with nothing written before. */
struct steady {
    int64_t wall_ms; /* the system's, at the last look */
    int64_t mono_us;
    int64_t ahead_us; /* of the system's */
    int64_t now_ms;   /* the last answer */
};

enum { STEADY_MOST_AHEAD_MS = 24 * 3600 * 1000 };

/* Begin behind what was written before: a machine that started again with a clock that is behind must not let wait what is
 * stamped later. Only for a day at most: what lies further ahead was stamped by a clock that was wrong, and is not followed.
 *  newest_ms  time of the newest event; 0 = there is none */
void steady_begin(struct steady *steady, int64_t newest_ms);

/* Milliseconds since 1970-01-01 UTC; never less than the answer before. */
int64_t steady_now_ms(struct steady *steady);

#endif
