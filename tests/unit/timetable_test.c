/* Timetables: words for days, deadlines around summer time and midnight, silence in working hours. */
#include "timetable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MON = 1, TUE = 2, SAT = 1 << 5, SUN = 1 << 6, EVERY_DAY = 0x7f, HOUR_MS = 3600000 };

/* Of all rows. */
static struct zone *berlin(void)
{
    static struct zone *zone;
    struct err_text why;
    if (zone == NULL) {
        assert_int_equal(zone_open("Europe/Berlin", &zone, &why), ERR_OK);
    }
    return zone;
}

/* "2026-03-29T02:30" in UTC; null = 0. */
static int64_t read_ms(const char *text)
{
    struct tm tm = {0};
    if (text == NULL) {
        return 0;
    }
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M", &tm));
    return (int64_t)timegm(&tm) * 1000;
}

static void days_have_words(void **unused)
{
    (void)unused;
    static const struct {
        const char *word;
        unsigned days; /* 0 = refused */
    } rows[] = {{"mon", MON},
                {"mon-tue", MON | TUE},
                {"sat-mon", SAT | SUN | MON},
                {"daily", 0x7f},
                {"mon-fri", 0x1f},
                {"sun-sun", SUN},
                {"Mon", 0},
                {"monday", 0},
                {"mon-", 0},
                {"mon-xyz", 0},
                {"", 0},
                {"mon-fri-sat", 0},
                {"mon,tue", 0},
                {"daily ", 0},
                {"mon-f", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *items[] = {(char *)(uintptr_t)rows[i].word};
        struct conf_texts words = {.items = items, .count = 1};
        struct err_text why;
        unsigned days = 0;
        enum err err = timetable_days(&words, &days, &why);
        if (err != (rows[i].days != 0 ? ERR_OK : ERR_CONFIG) ||
            (err == ERR_OK && days != rows[i].days)) {
            fail_msg("\"%s\": %d, %x", rows[i].word, (int)err, days);
        }
    }
    struct conf_texts none = {.count = 0};
    struct err_text why;
    unsigned days = 0;
    assert_int_equal(timetable_days(&none, &days, &why), ERR_OK);
    assert_int_equal(days, TIMETABLE_WORKDAYS);
}

struct point {
    unsigned days;
    int at_min;
    const char *now;
    const char *before;
    const char *after;
};

static void points_follow_the_clocks_of_the_zone(void **unused)
{
    (void)unused;
    static const struct point rows[] = {
        /* Wednesday, winter: 09:00 is 08:00Z. */
        {0x1f, 540, "2026-11-25T07:59", "2026-11-24T08:00", "2026-11-25T08:00"},
        {0x1f, 540, "2026-11-25T08:00", "2026-11-25T08:00", "2026-11-26T08:00"},
        /* Over the weekend. */
        {0x1f, 540, "2026-11-28T12:00", "2026-11-27T08:00", "2026-11-30T08:00"},
        {SUN, 540, "2026-11-25T12:00", "2026-11-22T08:00", "2026-11-29T08:00"},
        /* From winter into summer: 23 hours. */
        {EVERY_DAY, 540, "2026-03-28T12:00", "2026-03-28T08:00", "2026-03-29T07:00"},
        /* 02:30 does not come on that day: at the leap, 01:00Z. */
        {EVERY_DAY, 150, "2026-03-29T00:59", "2026-03-28T01:30", "2026-03-29T01:00"},
        {EVERY_DAY, 150, "2026-03-29T01:00", "2026-03-29T01:00", "2026-03-30T00:30"},
        /* It comes twice: the first time counts, and only that. */
        {EVERY_DAY, 150, "2026-10-25T00:29", "2026-10-24T00:30", "2026-10-25T00:30"},
        {EVERY_DAY, 150, "2026-10-25T01:45", "2026-10-25T00:30", "2026-10-26T01:30"},
        /* Both ends of a day. */
        {MON, 0, "2026-11-30T12:00", "2026-11-29T23:00", "2026-12-06T23:00"},
        {MON, 1440, "2026-11-30T12:00", "2026-11-23T23:00", "2026-11-30T23:00"},
        {MON, 1440, "2026-11-30T23:00", "2026-11-30T23:00", "2026-12-07T23:00"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct timetable table = {
            .zone = berlin(), .days = rows[i].days, .at_min = rows[i].at_min};
        int64_t now_ms = read_ms(rows[i].now);
        int64_t before_ms = timetable_before(&table, now_ms);
        int64_t after_ms = timetable_after(&table, now_ms);
        if (before_ms != read_ms(rows[i].before) || after_ms != read_ms(rows[i].after)) {
            fail_msg("row %zu: off by %lld and %lld minutes", i,
                     (long long)(before_ms - read_ms(rows[i].before)) / 60000,
                     (long long)(after_ms - read_ms(rows[i].after)) / 60000);
        }
    }
}

static void points_come_every_so_often(void **unused)
{
    (void)unused;
    char *items[] = {(char *)(uintptr_t) "22:00-06:00"};
    const struct conf_texts night = {.items = items, .count = 1};
    struct timetable table = {.zone = berlin(),
                              .days = TIMETABLE_WORKDAYS,
                              .at_min = TIMETABLE_NO_TIME,
                              .every_ms = HOUR_MS,
                              .to_min = TIMETABLE_DAY_MIN,
                              .quiet = &night};
    static const struct point rows[] = {
        {0, 0, "2026-11-25T10:20", "2026-11-25T10:00", "2026-11-25T11:00"},
        {0, 0, "2026-11-25T10:00", "2026-11-25T10:00", "2026-11-25T11:00"},
        {0, 0, "2026-11-25T23:30", "2026-11-25T20:00", "2026-11-26T05:00"},
        {0, 0, "2026-11-28T12:00", "2026-11-27T20:00", "2026-11-30T05:00"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(timetable_before(&table, read_ms(rows[i].now)),
                         read_ms(rows[i].before));
        assert_int_equal(timetable_after(&table, read_ms(rows[i].now)), read_ms(rows[i].after));
    }
}

static void a_minute_is_found_before_its_deadline(void **unused)
{
    (void)unused;
    const struct timetable table = {.zone = berlin(), .days = EVERY_DAY};
    static const struct {
        const char *deadline;
        int minute;
        const char *found;
    } rows[] = {
        {"2026-11-25T08:00", 0, "2026-11-24T23:00"},    /* 09:00 from 00:00 */
        {"2026-11-25T08:00", 360, "2026-11-25T05:00"},  /* from 06:00 */
        {"2026-11-25T01:00", 1320, "2026-11-24T21:00"}, /* 02:00 from 22:00 */
        {"2026-11-25T23:00", 0, "2026-11-24T23:00"},    /* 24:00 from 00:00 */
        {"2026-11-25T08:00", 540, "2026-11-24T08:00"},  /* 09:00 from 09:00 */
        {"2026-03-29T07:00", 0, "2026-03-28T23:00"},    /* a short day */
        {"2026-10-25T08:00", 0, "2026-10-24T22:00"},    /* a long one */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t found_ms =
            timetable_last_minute(&table, read_ms(rows[i].deadline), rows[i].minute);
        if (found_ms != read_ms(rows[i].found)) {
            fail_msg("row %zu: off by %lld minutes", i,
                     (long long)(found_ms - read_ms(rows[i].found)) / 60000);
        }
    }
}

struct silence {
    unsigned days;
    int from_min;
    int to_min;
    int hours; /* every */
    const char *since;
    const char *ends; /* null = never */
};

static void silence_counts_in_its_hours_only(void **unused)
{
    (void)unused;
    static const struct silence rows[] = {
        {0x1f, 0, 1440, 2, "2026-11-25T10:00", "2026-11-25T12:00"},
        /* Whole days that touch are one stretch; the weekend breaks it. */
        {0x1f, 0, 1440, 2, "2026-11-25T22:30", "2026-11-26T00:30"},
        {0x1f, 0, 1440, 2, "2026-11-27T22:30", "2026-11-30T01:00"},
        {0x1f, 0, 1440, 48, "2026-11-25T10:00", "2026-11-27T10:00"},
        {0x1f, 0, 1440, 72, "2026-11-25T10:00", "2026-12-02T23:00"},
        /* 07:00 to 18:00. */
        {0x1f, 420, 1080, 2, "2026-11-25T10:00", "2026-11-25T12:00"},
        {0x1f, 420, 1080, 2, "2026-11-25T15:00", "2026-11-25T17:00"},
        {0x1f, 420, 1080, 2, "2026-11-25T15:01", "2026-11-26T08:00"},
        {0x1f, 420, 1080, 2, "2026-11-27T20:00", "2026-11-30T08:00"},
        {0x1f, 420, 1080, 12, "2026-11-25T10:00", NULL},
        /* 22:00 to 02:00 of the next day. */
        {MON, 1320, 1560, 3, "2026-11-30T22:30", "2026-12-08T00:00"},
        {MON, 1320, 1560, 1, "2026-11-30T23:30", "2026-12-01T00:30"},
        /* The short day has 23 hours. */
        {SUN, 0, 1440, 23, "2026-03-25T10:00", "2026-03-29T22:00"},
        {SUN, 0, 1440, 24, "2026-03-25T10:00", "2026-04-05T22:00"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct timetable table = {.zone = berlin(),
                                  .days = rows[i].days,
                                  .at_min = TIMETABLE_NO_TIME,
                                  .every_ms = (int64_t)rows[i].hours * HOUR_MS,
                                  .from_min = rows[i].from_min,
                                  .to_min = rows[i].to_min};
        int64_t ends_ms = timetable_silence_ends(&table, read_ms(rows[i].since));
        if (ends_ms != read_ms(rows[i].ends)) {
            fail_msg("row %zu: off by %lld minutes", i,
                     (long long)(ends_ms - read_ms(rows[i].ends)) / 60000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_have_words),
        cmocka_unit_test(points_follow_the_clocks_of_the_zone),
        cmocka_unit_test(points_come_every_so_often),
        cmocka_unit_test(a_minute_is_found_before_its_deadline),
        cmocka_unit_test(silence_counts_in_its_hours_only),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    struct zone *zone = berlin();
    zone_free(&zone);
    return failed;
}
