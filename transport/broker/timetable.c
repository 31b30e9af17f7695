/* Calendar arithmetic on days since 1970-01-01, a Thursday. */
#include "timetable.h"

#include "hours.h"

#include <string.h>

enum { WEEK = 7, LOOK_DAYS = 2 * WEEK, THURSDAY = 3, MINUTE_MS = 60000 };

static const int64_t day_ms = INT64_C(86400000);

static const char *const day_words[WEEK] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

/* 0 = Monday; WEEK = none. */
static unsigned find_day(const char *text)
{
    unsigned day = 0;
    while (day < WEEK && strncmp(text, day_words[day], 3) != 0) {
        day++;
    }
    return day;
}

/* One word as a mask; 0 = none. */
static unsigned read_word(const char *text)
{
    unsigned first = find_day(text);
    unsigned last = first;
    unsigned days = 0;
    if (strcmp(text, "daily") == 0) {
        return (1u << WEEK) - 1;
    }
    if (first < WEEK && text[3] == '-') {
        last = find_day(text + 4);
        text += 4;
    }
    if (first == WEEK || last == WEEK || text[3] != '\0') {
        return 0;
    }
    for (unsigned day = first;; day = (day + 1) % WEEK) {
        days |= 1u << day;
        if (day == last) {
            return days;
        }
    }
}

enum err timetable_check_days(const char *text, struct err_text *why)
{
    return read_word(text) != 0
               ? ERR_OK
               : err_set(why, ERR_CONFIG, "must be days, as mon, mon-fri or daily");
}

enum err timetable_days(const struct conf_texts *words, unsigned *days, struct err_text *why)
{
    *days = words->count == 0 ? TIMETABLE_WORKDAYS : 0;
    for (size_t i = 0; i < words->count; i++) {
        if (timetable_check_days(words->items[i], why) != ERR_OK) {
            return ERR_CONFIG;
        }
        *days |= read_word(words->items[i]);
    }
    return ERR_OK;
}

static int64_t day_of(const struct timetable *table, int64_t at_ms)
{
    return zone_local_ms(table->zone, at_ms) / day_ms;
}

static bool has_day(const struct timetable *table, int64_t day)
{
    return (table->days >> ((day + THURSDAY) % WEEK) & 1) != 0;
}

/* When a minute of a day comes; the minute may lie beyond its end. */
static int64_t minute_ms(const struct timetable *table, int64_t day, int minute)
{
    return zone_instant_ms(table->zone, day * day_ms + (int64_t)minute * MINUTE_MS);
}

/* Points of the clock's own. */
static bool is_point(const struct timetable *table, int64_t at_ms)
{
    int64_t local_ms = zone_local_ms(table->zone, at_ms);
    int64_t day = local_ms / day_ms;
    int minute = (int)(local_ms % day_ms / MINUTE_MS);
    bool today = has_day(table, day) && minute >= table->from_min && minute < table->to_min;
    bool yesterday = has_day(table, day - 1) && minute + TIMETABLE_DAY_MIN < table->to_min;
    return (today || yesterday) &&
           (table->quiet == NULL || hours_until_ms(table->quiet, table->zone, at_ms) == 0);
}

static int64_t multiple_from(const struct timetable *table, int64_t at_ms, int64_t step_ms)
{
    int64_t point_ms = at_ms - at_ms % table->every_ms + (step_ms > 0 ? step_ms : 0);
    for (int64_t gone_ms = 0; gone_ms <= LOOK_DAYS * day_ms; gone_ms += table->every_ms) {
        if (is_point(table, point_ms)) {
            return point_ms;
        }
        point_ms += step_ms;
    }
    return 0;
}

int64_t timetable_before(const struct timetable *table, int64_t at_ms)
{
    if (table->at_min == TIMETABLE_NO_TIME) {
        return multiple_from(table, at_ms, -table->every_ms);
    }
    int64_t day = day_of(table, at_ms);
    for (int i = 0; i < LOOK_DAYS; i++, day--) {
        int64_t point_ms = has_day(table, day) ? minute_ms(table, day, table->at_min) : 0;
        if (point_ms != 0 && point_ms <= at_ms) {
            return point_ms;
        }
    }
    return 0;
}

int64_t timetable_after(const struct timetable *table, int64_t at_ms)
{
    if (table->at_min == TIMETABLE_NO_TIME) {
        return multiple_from(table, at_ms, table->every_ms);
    }
    int64_t day = day_of(table, at_ms) - 1; /* 24:00 belongs to the day before */
    for (int i = 0; i < LOOK_DAYS; i++, day++) {
        int64_t point_ms = has_day(table, day) ? minute_ms(table, day, table->at_min) : 0;
        if (point_ms > at_ms) {
            return point_ms;
        }
    }
    return 0;
}

int64_t timetable_last_minute(const struct timetable *table, int64_t deadline_ms, int minute)
{
    int64_t day = day_of(table, deadline_ms);
    int64_t point_ms = minute_ms(table, day, minute);
    while (point_ms >= deadline_ms) {
        point_ms = minute_ms(table, --day, minute);
    }
    return point_ms;
}

int64_t timetable_silence_ends(const struct timetable *table, int64_t since_ms)
{
    int64_t day = day_of(table, since_ms) - 1; /* its hours may reach over midnight */
    int64_t begin_ms = 0;                      /* of the present stretch */
    int64_t end_ms = 0;
    for (int i = 0; i < LOOK_DAYS + 1; i++, day++) {
        if (!has_day(table, day)) {
            continue;
        }
        int64_t from_ms = minute_ms(table, day, table->from_min);
        begin_ms = from_ms > end_ms ? from_ms : begin_ms; /* else it goes on */
        end_ms = minute_ms(table, day, table->to_min);
        int64_t quiet_ms = begin_ms > since_ms ? begin_ms : since_ms;
        if (end_ms - quiet_ms >= table->every_ms) {
            return quiet_ms + table->every_ms;
        }
    }
    return 0;
}
