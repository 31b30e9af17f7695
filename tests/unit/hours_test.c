/* Hours of the day: which texts are spans, what lies within, when it ends. */
#include "hours.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

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
        int64_t end_ms = hours_until_ms(&spans, midnight_ms + rows[i].now);
        assert_int_equal(end_ms, rows[i].end != 0 ? midnight_ms + rows[i].end : 0);
    }
    struct conf_texts none = {.count = 0};
    assert_int_equal(hours_until_ms(&none, midnight_ms), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_spans_are_spans),
        cmocka_unit_test(the_end_of_the_span_is_told),
    };
    if (setenv("TZ", "UTC0", 1) != 0) { // NOLINT(concurrency-mt-unsafe): the only thread
        return 1;
    }
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
