/* The pace of a pickup folder: no minute holds more than its number, and nobody waits longer than that takes. */
#include "pickup_pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void a_burst_goes_a_minute_later(void **state)
{
    struct pickup_paces *paces = pickup_paces_new();
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pickup_pace_take(paces, "/a", 100, 5000), 0);
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pickup_pace_take(paces, "/a", 100, 5001), 59999);
    }
    assert_int_equal(pickup_pace_take(paces, "/a", 100, 6000), 119000);
    assert_int_equal(pickup_pace_take(paces, "/b", 100, 6000), 0);
    pickup_paces_free(&paces);
    assert_null(paces);
}

/* Asked at odd times: in any minute at most N, and as soon as that allows. */
static void no_minute_holds_more(void **state)
{
    enum { N = 7, ASKED = 400 };
    int64_t at[ASKED];
    int64_t now_ms = 0;
    struct pickup_paces *paces = pickup_paces_new();
    (void)state;
    for (int i = 0; i < ASKED; i++) {
        now_ms += (int64_t)i * 7919 % 12000;
        at[i] = now_ms + pickup_pace_take(paces, "/a", N, now_ms);
        if (i >= N) {
            assert_true(at[i] - at[i - N] >= PICKUP_PACE_MINUTE_MS);
            assert_true(at[i] == now_ms || at[i] - at[i - N] == PICKUP_PACE_MINUTE_MS);
        }
    }
    pickup_paces_free(&paces);
}

static void another_number_begins_anew(void **state)
{
    struct pickup_paces *paces = pickup_paces_new();
    (void)state;
    assert_int_equal(pickup_pace_take(paces, "/a", 1, 0), 0);
    assert_int_equal(pickup_pace_take(paces, "/a", 1, 0), PICKUP_PACE_MINUTE_MS);
    assert_int_equal(pickup_pace_take(paces, "/a", 2, 0), 0);
    pickup_paces_free(&paces);
}

static void many_folders_are_bounded(void **state)
{
    char folder[32];
    struct pickup_paces *paces = pickup_paces_new();
    (void)state;
    for (int i = 0; i < 3 * PICKUP_PACE_FOLDERS; i++) {
        (void)snprintf(folder, sizeof folder, "/f%d", i);
        assert_int_equal(pickup_pace_take(paces, folder, 1, i), 0);
        assert_true(pickup_pace_take(paces, folder, 1, i) > 0);
    }
    assert_int_equal(pickup_pace_take(paces, "/f0", 1, 1000),
                     0); /* made room, so it begins anew */
    pickup_paces_free(&paces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_goes_a_minute_later),
        cmocka_unit_test(no_minute_holds_more),
        cmocka_unit_test(another_number_begins_anew),
        cmocka_unit_test(many_folders_are_bounded),
    };
    return cmocka_run_group_tests_name("pickup_pace", tests, NULL, NULL);
}
