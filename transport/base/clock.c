/* Time, behind one pointer that tests may set. */
#include "clock.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>

static const struct clock_source *replaced;

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now); /* cannot fail for these two clocks */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return replaced != NULL ? replaced->mono_us : read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    return replaced != NULL ? replaced->wall_ms : read_us(CLOCK_REALTIME) / 1000;
}

void clock_replace(const struct clock_source *source)
{
    replaced = source;
}

const char *clock_text(int64_t wall_ms, char out[CLOCK_TEXT_BYTES])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    out[0] = '\0';
    if (gmtime_r(&seconds, &utc) != NULL) {
        size_t used = strftime(out, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
        (void)snprintf(out + used, CLOCK_TEXT_BYTES - used, ".%03dZ", (int)(wall_ms % 1000));
    }
    return out;
}
