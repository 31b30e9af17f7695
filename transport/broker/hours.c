/* Spans are read anew for every question: it is asked when mail of the profile has its turn, and there are few. Nothing is
 * remembered, so a clock that is set takes effect at once. */
#include "hours.h"

#include <stdbool.h>

enum { DAY_MIN = 24 * 60, MINUTE_MS = 60000 };

struct span {
    int from; /* minutes of the day */
    int to;
};

static bool read_two(const char *text, int *out)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') {
        return false;
    }
    *out = (text[0] - '0') * 10 + text[1] - '0';
    return true;
}

static bool read_time(const char *text, int *minutes)
{
    int hour = 0;
    int minute = 0;
    if (!read_two(text, &hour) || text[2] != ':' || !read_two(text + 3, &minute)) {
        return false;
    }
    *minutes = hour * 60 + minute;
    return minute < 60 && *minutes <= DAY_MIN;
}

static bool read_span(const char *text, struct span *span)
{
    return read_time(text, &span->from) && text[5] == '-' && read_time(text + 6, &span->to) &&
           text[11] == '\0' && span->from != span->to && span->from < DAY_MIN;
}

enum err hours_check(const char *text, struct err_text *why)
{
    struct span span;
    return read_span(text, &span)
               ? ERR_OK
               : err_set(why, ERR_CONFIG, "must be hours of the day, as 22:00-06:00");
}

static bool is_within(const struct span *span, int minute)
{
    return span->from < span->to ? minute >= span->from && minute < span->to
                                 : minute >= span->from || minute < span->to;
}

enum err hours_read_time(const char *text, int *minutes, struct err_text *why)
{
    return read_time(text, minutes) && text[5] == '\0'
               ? ERR_OK
               : err_set(why, ERR_CONFIG, "must be a time of the day, as 09:00");
}

int64_t hours_until_ms(const struct conf_texts *spans, const struct zone *zone, int64_t now_ms)
{
    if (spans->count == 0) {
        return 0;
    }
    int64_t local_min = zone_local_ms(zone, now_ms) / MINUTE_MS;
    int minute = (int)(local_min % DAY_MIN);
    for (size_t i = 0; i < spans->count; i++) {
        struct span span;
        if (read_span(spans->items[i], &span) && is_within(&span, minute)) {
            int left = (span.to - minute + DAY_MIN) % DAY_MIN;
            left = left > 0 ? left : DAY_MIN;
            int64_t end_ms = zone_instant_ms(zone, (local_min + left) * MINUTE_MS);
            /* The hour that comes twice: its first end is over, the second one is meant. */
            return end_ms > now_ms ? end_ms
                                   : now_ms - now_ms % MINUTE_MS + (int64_t)left * MINUTE_MS;
        }
    }
    return 0;
}
