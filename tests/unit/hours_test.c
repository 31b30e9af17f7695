/* Hours of the day: which texts are spans, what lies within, when it ends. */
#include "hours.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MINUTE = 60000, HOUR = 60 * MINUTE };
static const int64_t midnight_ms =
    INT64_C(1800000000000) - INT64_C(1800000000000) % (24 * HOUR);

static void only_spans_are_spans(void **unused)
{
    (void)unused;
    static const char *const good[] = {"22:00-06:00", "00:00-24:00", "09:30-09:31",
                                       "23:59-00:00"};
    static const char *const bad[] = {
        "",      "22-6",        "22:00",        "22:00-06:0",  "22:00-22:00",
        "24:00", "25:00-06:00", "22:60-06:00",  "22:00-24:01", "24:00-06:00",
        "a",     "22:00 06:00", "22:00-06:00 ", "22:00-06:00x"};
    struct err_text why;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(hours_check(good[i], &why), ERR_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(hours_check(bad[i], &why), ERR_CONFIG);
    }
}

struct row {
    const char *span;
    int64_t now; /* after midnight */
    int64_t end; /* after midnight, 0 = not within */
};

static void the_end_of_the_span_is_told(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {"22:00-06:00", 21 * HOUR + 59 * MINUTE, 0},
        {"22:00-06:00", 22 * HOUR, 30 * HOUR},
        {"22:00-06:00", 23 * HOUR + 59 * MINUTE + 12345, 30 * HOUR},
        {"22:00-06:00", 0, 6 * HOUR},
        {"22:00-06:00", 6 * HOUR - 1, 6 * HOUR},
        {"22:00-06:00", 6 * HOUR, 0},
        {"12:00-13:30", 12 * HOUR + 5 * MINUTE, 13 * HOUR + 30 * MINUTE},
        {"12:00-13:30", 14 * HOUR, 0},
        {"00:00-24:00", 5 * HOUR, 24 * HOUR},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *items[] = {(char *)(uintptr_t)rows[i].span};
        struct conf_texts spans = {.items = items, .count = 1};
        int64_t end_ms = hours_until_ms(&spans, NULL, midnight_ms + rows[i].now);
        assert_int_equal(end_ms, rows[i].end != 0 ? midnight_ms + rows[i].end : 0);
    }
    struct conf_texts none = {.count = 0};
    assert_int_equal(hours_until_ms(&none, NULL, midnight_ms), 0);
}

struct night {
    int64_t now_ms;
    int64_t end_ms;
};

/* Both nights are of Europe/Berlin: in the first 02:00 to 03:00 does not come, in the other it comes twice. */
static void the_clocks_of_the_zone_count(void **unused)
{
    (void)unused;
    static const struct night nights[] = {
        {INT64_C(1774738800000), INT64_C(1774756800000)}, /* 2026-03-28 23:00Z to 04:00Z */
        {INT64_C(1792879200000), INT64_C(1792904400000)}, /* 2026-10-24 22:00Z to 05:00Z */
    };
    struct zone *zone = NULL;
    struct err_text why;
    assert_int_equal(zone_open("Europe/Berlin", &zone, &why), ERR_OK);
    char *items[] = {(char *)(uintptr_t) "23:30-06:00"};
    struct conf_texts spans = {.items = items, .count = 1};
    for (size_t i = 0; i < sizeof nights / sizeof nights[0]; i++) {
        assert_int_equal(hours_until_ms(&spans, zone, nights[i].now_ms), nights[i].end_ms);
        assert_int_equal(hours_until_ms(&spans, zone, nights[i].end_ms), 0);
    }
    items[0] = (char *)(uintptr_t) "02:10-02:40";
    const int64_t second_ms = INT64_C(1792891200000); /* 01:20Z: 02:20 again */
    assert_int_equal(hours_until_ms(&spans, zone, second_ms), second_ms + 20 * MINUTE);
    zone_free(&zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_spans_are_spans),
        cmocka_unit_test(the_end_of_the_span_is_told),
        cmocka_unit_test(the_clocks_of_the_zone_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
