/* Time zones: names, what clocks show, and when they show it, around the changes of summer time. */
#include "zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static struct zone *open_zone(const char *name)
{
    struct zone *zone = NULL;
    struct err_text why;
    if (zone_open(name, &zone, &why) != ERR_OK) {
        fail_msg("%s: %s", name, why.text);
    }
    return zone;
}

/* "2026-03-29T02:30:00" as milliseconds, as if it were UTC. */
static int64_t read_ms(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &tm));
    return (int64_t)timegm(&tm) * 1000;
}

static void slips_of_the_pen_are_no_zones(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"Europe/Berln",
                                      "europe/berlin/",
                                      "+01:00",
                                      "CET-1CEST,M3.5.0,M10.5.0/3",
                                      "/etc/localtime",
                                      "../etc/passwd",
                                      ":UTC",
                                      "UTC+1",
                                      "X",
                                      "Berlin",
                                      "Europe/",
                                      "Europe/../Europe/Berlin",
                                      " UTC",
                                      "Europe/Berlin ",
                                      "Europe Berlin"};
    static const char *const good[] = {"UTC",
                                       "CET",
                                       "Europe/Berlin",
                                       "America/Port-au-Prince",
                                       "Etc/GMT+5",
                                       "America/Argentina/Buenos_Aires",
                                       ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct zone *zone = NULL;
        struct err_text why;
        if (zone_open(bad[i], &zone, &why) != ERR_CONFIG) {
            fail_msg("\"%s\" is taken for a zone", bad[i]);
        }
        assert_null(zone);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct zone *zone = open_zone(good[i]);
        zone_free(&zone);
        assert_null(zone);
    }
}

struct row {
    const char *zone;
    const char *local;
    const char *utc;   /* the instant that it means */
    const char *shown; /* what the clocks show then; null = local */
};

static void local_times_have_one_instant(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {"Europe/Berlin", "2026-01-15T09:00:00", "2026-01-15T08:00:00", NULL},
        {"Europe/Berlin", "2026-07-15T09:00:00", "2026-07-15T07:00:00", NULL},
        /* Forward at 02:00: 02:30 does not come. */
        {"Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59", NULL},
        {"Europe/Berlin", "2026-03-29T02:00:00", "2026-03-29T01:00:00", "2026-03-29T03:00:00"},
        {"Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:00:00", "2026-03-29T03:00:00"},
        {"Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00", NULL},
        /* Back at 03:00: 02:30 comes twice. */
        {"Europe/Berlin", "2026-10-25T02:00:00", "2026-10-25T00:00:00", NULL},
        {"Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00", NULL},
        {"Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00", NULL},
        {"America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00", NULL},
        /* Half an hour. */
        {"Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:30:00",
         "2026-10-04T02:30:00"},
        {"Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00", NULL},
        /* A whole day did not come. */
        {"Pacific/Apia", "2011-12-30T09:00:00", "2011-12-30T10:00:00", "2011-12-31T00:00:00"},
        {"Asia/Kathmandu", "2026-05-05T05:45:00", "2026-05-05T00:00:00", NULL},
        /* Beyond the table, by its rule. */
        {"Europe/Berlin", "2058-07-15T09:00:00", "2058-07-15T07:00:00", NULL},
        {"UTC", "2026-03-29T02:30:00", "2026-03-29T02:30:00", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zone *zone = open_zone(rows[i].zone);
        int64_t at_ms = zone_instant_ms(zone, read_ms(rows[i].local));
        if (at_ms != read_ms(rows[i].utc)) {
            fail_msg("%s %s: %lld s from %s", rows[i].zone, rows[i].local,
                     (long long)(at_ms - read_ms(rows[i].utc)) / 1000, rows[i].utc);
        }
        const char *shown = rows[i].shown != NULL ? rows[i].shown : rows[i].local;
        assert_int_equal(zone_local_ms(zone, at_ms), read_ms(shown));
        zone_free(&zone);
    }
}

static void the_machines_own_zone_is_the_default(void **unused)
{
    (void)unused;
    struct zone *zone = open_zone("");
    assert_int_equal(zone_local_ms(zone, 0), INT64_C(5) * 3600000 + 45 * 60000);
    assert_int_equal(zone_local_ms(NULL, 1234), 1234);
    assert_int_equal(zone_instant_ms(NULL, 1234), 1234);
    zone_free(&zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips_of_the_pen_are_no_zones),
        cmocka_unit_test(local_times_have_one_instant),
        cmocka_unit_test(the_machines_own_zone_is_the_default),
    };
    if (setenv("TZ", "<+0545>-5:45", 1) !=
        0) { // NOLINT(concurrency-mt-unsafe): the only thread
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
