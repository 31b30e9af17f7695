/* The broker's clock when the system's is moved. */
#include "clock.h"
#include "steady.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { START_MS = 1000000, HOUR_MS = 3600000 };

static struct clock_source now;

static void pass_ms(int64_t ms)
{
    now.mono_us += ms * 1000;
    now.wall_ms += ms;
}

static struct steady begin(void)
{
    struct steady steady = {0};
    now = (struct clock_source){.mono_us = 5, .wall_ms = START_MS};
    clock_replace(&now);
    assert_int_equal(steady_now_ms(&steady), START_MS);
    return steady;
}

static void begins_behind_what_was_written(void **state)
{
    static const struct {
        int64_t newest_ms;
        int64_t wanted_ms;
    } rows[] = {
        {0, START_MS},
        {START_MS - HOUR_MS, START_MS},
        {START_MS + HOUR_MS, START_MS + HOUR_MS},
        {START_MS + 24LL * HOUR_MS, START_MS + 24LL * HOUR_MS},
        {START_MS + 24LL * HOUR_MS + 1, START_MS}, /* that clock was wrong */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct steady steady = begin();
        steady_begin(&steady, rows[i].newest_ms);
        assert_int_equal(steady_now_ms(&steady), rows[i].wanted_ms);
        pass_ms(1000); /* at half speed, while it is ahead */
        int64_t more_ms = rows[i].wanted_ms == START_MS ? 1000 : 500;
        assert_int_equal(steady_now_ms(&steady), rows[i].wanted_ms + more_ms);
        now.wall_ms += 48LL * HOUR_MS; /* somebody sets it right */
        assert_int_equal(steady_now_ms(&steady), now.wall_ms);
    }
}

static void follows_the_clock(void **state)
{
    (void)state;
    struct steady steady = begin();
    for (int i = 0; i < 1000; i++) {
        pass_ms(i % 7);
        assert_int_equal(steady_now_ms(&steady), now.wall_ms);
    }
}

static void leaps_forward_with_it(void **state)
{
    (void)state;
    struct steady steady = begin();
    now.wall_ms += HOUR_MS;
    assert_int_equal(steady_now_ms(&steady), START_MS + HOUR_MS);
}

static void goes_on_at_half_speed_when_it_falls_back(void **state)
{
    (void)state;
    struct steady steady = begin();
    now.wall_ms -= HOUR_MS;
    assert_int_equal(steady_now_ms(&steady), START_MS);
    pass_ms(1000);
    assert_in_range(steady_now_ms(&steady), START_MS + 499, START_MS + 501);
    /* Asked often or seldom, it goes as fast. */
    for (int i = 0; i < 1000; i++) {
        pass_ms(1);
        (void)steady_now_ms(&steady);
    }
    assert_in_range(steady_now_ms(&steady), START_MS + 998, START_MS + 1002);
}

static void meets_the_clock_again(void **state)
{
    (void)state;
    struct steady steady = begin();
    now.wall_ms -= 10000;
    (void)steady_now_ms(&steady);
    pass_ms(19000);
    assert_true(steady_now_ms(&steady) > now.wall_ms);
    pass_ms(1001);
    assert_int_equal(steady_now_ms(&steady), now.wall_ms);
    pass_ms(5000);
    assert_int_equal(steady_now_ms(&steady), now.wall_ms);
}

static void a_mistake_that_is_mended_leaves_nothing(void **state)
{
    (void)state;
    struct steady steady = begin();
    now.wall_ms -= HOUR_MS;
    (void)steady_now_ms(&steady);
    pass_ms(10);
    now.wall_ms += HOUR_MS;
    assert_int_equal(steady_now_ms(&steady), now.wall_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_behind_what_was_written),
        cmocka_unit_test(follows_the_clock),
        cmocka_unit_test(leaps_forward_with_it),
        cmocka_unit_test(goes_on_at_half_speed_when_it_falls_back),
        cmocka_unit_test(meets_the_clock_again),
        cmocka_unit_test(a_mistake_that_is_mended_leaves_nothing),
    };
    return cmocka_run_group_tests_name("steady", tests, NULL, NULL);
}
