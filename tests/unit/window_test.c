/* Sliding counts: nothing is forgotten before its span is over, and the time of the next room is right. */
#include "window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SECOND = 1000, MINUTE_SLOTS = 61 };
static const int64_t start_ms = 1800000000500;

static void a_count_lives_for_its_span_and_a_slot(void **unused)
{
    (void)unused;
    struct window window;
    window_init(&window, MINUTE_SLOTS, SECOND);
    window_add(&window, start_ms, 3);
    assert_int_equal(window_sum(&window, start_ms), 3);
    assert_int_equal(window_sum(&window, start_ms + 60 * SECOND), 3);
    assert_int_equal(window_sum(&window, start_ms + 61 * SECOND), 0);
    window_add(&window, start_ms + 61 * SECOND, 2);
    assert_int_equal(window_sum(&window, start_ms + INT64_C(1000) * 61 * SECOND), 0);
}

static void room_comes_when_the_oldest_go(void **unused)
{
    (void)unused;
    struct window window;
    window_init(&window, MINUTE_SLOTS, SECOND);
    assert_int_equal(window_room_at(&window, start_ms, 10, 10), start_ms);
    window_add(&window, start_ms, 6);
    window_add(&window, start_ms + 10 * SECOND, 4);
    int64_t now_ms = start_ms + 20 * SECOND;
    int64_t at_ms = window_room_at(&window, now_ms, 1, 10);
    assert_int_equal(at_ms, start_ms - 500 + 61 * SECOND);
    assert_int_equal(window_sum(&window, at_ms - 1), 10);
    assert_int_equal(window_sum(&window, at_ms), 4);
    assert_int_equal(window_room_at(&window, at_ms, 7, 10), start_ms - 500 + 71 * SECOND);
    assert_int_equal(window_room_at(&window, at_ms, 6, 10), at_ms);
}

/* The rule that counts: in no span of real time more than the limit. */
static void no_span_ever_holds_more_than_the_limit(void **unused)
{
    (void)unused;
    enum { LIMIT = 7, STEPS = 20000 };
    struct window window;
    int64_t sent_ms[STEPS];
    int sent = 0;
    unsigned seed = 4711;
    int64_t now_ms = start_ms;
    window_init(&window, MINUTE_SLOTS, SECOND);
    for (int i = 0; i < STEPS; i++) {
        seed = seed * 1103515245 + 12345;
        now_ms += seed / 65536 % 3000;
        if (window_room_at(&window, now_ms, 1, LIMIT) <= now_ms) {
            window_add(&window, now_ms, 1);
            sent_ms[sent++] = now_ms;
        }
    }
    assert_true(sent > STEPS / 10);
    for (int i = LIMIT; i < sent; i++) {
        assert_true(sent_ms[i] - sent_ms[i - LIMIT] >= 60 * SECOND);
    }
}

static void what_did_not_happen_is_taken_back(void **unused)
{
    (void)unused;
    struct window window;
    window_init(&window, MINUTE_SLOTS, SECOND);
    window_add(&window, start_ms, 5);
    window_add(&window, start_ms + 2 * SECOND, 5);
    window_take_back(&window, start_ms, 3);
    assert_int_equal(window_sum(&window, start_ms + 2 * SECOND), 7);
    window_take_back(&window, start_ms, 30);
    assert_int_equal(window_sum(&window, start_ms + 2 * SECOND), 5);
    window_take_back(&window, start_ms - 100 * SECOND, 1);
    assert_int_equal(window_sum(&window, start_ms + 2 * SECOND), 5);
}

static void a_clock_that_was_set_back_keeps_the_counts(void **unused)
{
    (void)unused;
    struct window window;
    window_init(&window, MINUTE_SLOTS, SECOND);
    window_add(&window, start_ms, 5);
    window_add(&window, start_ms + 10 * SECOND, 1);
    window_settle(&window, start_ms - 3600 * SECOND);
    int64_t now_ms = start_ms - 3600 * SECOND;
    assert_int_equal(window_sum(&window, now_ms), 6);
    assert_int_equal(window_sum(&window, now_ms + 50 * SECOND), 6);
    assert_int_equal(window_sum(&window, now_ms + 51 * SECOND), 1);
    assert_int_equal(window_sum(&window, now_ms + 61 * SECOND), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_lives_for_its_span_and_a_slot),
        cmocka_unit_test(room_comes_when_the_oldest_go),
        cmocka_unit_test(no_span_ever_holds_more_than_the_limit),
        cmocka_unit_test(what_did_not_happen_is_taken_back),
        cmocka_unit_test(a_clock_that_was_set_back_keeps_the_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
