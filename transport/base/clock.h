/* Time: monotonic for waits, wall for records. Replaceable, so that tests decide what time it is. */
#ifndef TPN_CLOCK_H
#define TPN_CLOCK_H

#include <stdint.h>

/* Milliseconds or microseconds since an arbitrary start; never goes back. */
int64_t clock_mono_ms(void);
/* The same in microseconds. */
int64_t clock_mono_us(void);

/* Milliseconds since 1970-01-01 UTC; may jump when somebody sets the clock. */
int64_t clock_wall_ms(void);

/* For tests: serve these times instead of the system's; null = the system's again. Not while threads run. */
struct clock_source {
    int64_t mono_us;
    int64_t wall_ms;
};
void clock_replace(const struct clock_source *source);

enum { CLOCK_TEXT_BYTES = 32 };

/* Wall time as RFC 3339 in UTC with milliseconds, "2026-11-23T08:00:00.000Z"; "" before 1970;
 * returns out. */
const char *clock_text(int64_t wall_ms, char out[CLOCK_TEXT_BYTES]);

#endif
