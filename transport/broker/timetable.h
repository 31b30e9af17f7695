/* Points of time that come again: a time of the day, or every so often, on some days of the week, by the clocks of a zone.
 *
 * Nothing is remembered: a point is worked out from the calendar, so it is the same after a restart, and however often and in
 * whichever direction the clock was set. */
#ifndef TPN_TIMETABLE_H
#define TPN_TIMETABLE_H

#include "conf.h"
#include "err.h"
#include "zone.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TIMETABLE_NO_TIME = -1,     /* no time of the day */
    TIMETABLE_WORKDAYS = 0x1f,  /* Monday to Friday */
    TIMETABLE_DAY_MIN = 24 * 60 /* minutes of a day */
};

struct timetable {
    const struct zone *zone; /* borrowed; null = UTC */
    unsigned days;           /* mask, 1 = Monday, 1 << 6 = Sunday; not 0 */
    int at_min;       /* the points: this minute of the day, 0 to 1440, or TIMETABLE_NO_TIME */
    int64_t every_ms; /* with TIMETABLE_NO_TIME: its multiples since 1970 UTC, on these days */
    int from_min; /* with TIMETABLE_NO_TIME: only in these hours of the day; to is behind from, at most */
    int to_min; /* a day long */
    const struct conf_texts
        *quiet; /* with TIMETABLE_NO_TIME: and not in these hours; null = always */
};

/* Days of the week as mon, tue, wed, thu, fri, sat, sun, or a span of them as mon-fri, or daily: into a mask. ERR_CONFIG with
 * the rule. None = TIMETABLE_WORKDAYS. */
enum err timetable_days(const struct conf_texts *words, unsigned *days,
                        struct err_text *why) NODISCARD;

/* Is text one of these words? A conf_text_fn. */
enum err timetable_check_days(const char *text, struct err_text *why) NODISCARD;

/* The last point at or before at_ms, or the first after it; 0 = there is none within two weeks. */
int64_t timetable_before(const struct timetable *table, int64_t at_ms);
int64_t timetable_after(const struct timetable *table, int64_t at_ms);

/* The last time before deadline_ms at which the clocks showed that minute of the day, of any day. */
int64_t timetable_last_minute(const struct timetable *table, int64_t deadline_ms, int minute);

/* With TIMETABLE_NO_TIME: when has it been quiet for every_ms without a break, if nothing comes after since_ms? Only the hours
 * and days of the table count, and what stands between two stretches of them breaks the silence; days that touch are one
 * stretch. 0 = no stretch of the next two weeks is long enough. */
int64_t timetable_silence_ends(const struct timetable *table, int64_t since_ms);

#endif
