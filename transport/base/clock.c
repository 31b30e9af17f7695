/* Time, behind one pointer that tests may set. */
#include "clock.h"

#include "digits.h"

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

/* A part of a time, and the byte that stands before it. */
static char *put_part(char *out, char before, int number, int digits)
{
    *out = before;
    return digits_put(out + 1, (uint64_t)number, digits);
}

/* Every line of the log begins with it: strftime and printf would be half of what a line costs. */
const char *clock_text(int64_t wall_ms, char out[CLOCK_TEXT_BYTES])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char *end = out;
    if (wall_ms >= 0 && gmtime_r(&seconds, &utc) != NULL) {
        int year = utc.tm_year + 1900;
        end = digits_put(end, (uint64_t)year, 4);
        end = put_part(end, '-', utc.tm_mon + 1, 2);
        end = put_part(end, '-', utc.tm_mday, 2);
        end = put_part(end, 'T', utc.tm_hour, 2);
        end = put_part(end, ':', utc.tm_min, 2);
        end = put_part(end, ':', utc.tm_sec, 2);
        end = put_part(end, '.', (int)(wall_ms % 1000), 3);
        *end++ = 'Z';
    }
    *end = '\0';
    return out;
}
