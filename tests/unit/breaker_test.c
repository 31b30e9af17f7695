/* Breakers: when they open, who may probe, who decides. */
#include "breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SECOND = 1000 };
static const struct breaker_plan server = {
    .failures = 3, .gap_ms = SECOND, .first_ms = 30 * SECOND, .most_ms = 100 * SECOND};
static const struct breaker_plan login = {.failures = 1};

static enum breaker_say ask(struct breaker *breaker, int64_t now_ms)
{
    int64_t until_ms = 0;
    return breaker_ask(breaker, now_ms, &until_ms);
}

static void it_opens_after_failures_in_a_row(void **unused)
{
    (void)unused;
    struct breaker breaker = {0};
    assert_false(breaker_fail(&breaker, &server, 1, 1 * SECOND, "refused"));
    assert_false(breaker_fail(&breaker, &server, 2, 1 * SECOND + 5, "the same connection"));
    assert_false(breaker_fail(&breaker, &server, 3, 2 * SECOND, "refused"));
    assert_false(breaker_good(&breaker, 4));
    assert_false(breaker_fail(&breaker, &server, 5, 3 * SECOND, "refused"));
    assert_false(breaker_fail(&breaker, &server, 6, 4 * SECOND, "refused"));
    assert_int_equal(ask(&breaker, 4 * SECOND), BREAKER_GOES);
    assert_true(breaker_fail(&breaker, &server, 7, 5 * SECOND, "refused"));
    int64_t until_ms = 0;
    assert_int_equal(breaker_ask(&breaker, 6 * SECOND, &until_ms), BREAKER_WAITS);
    assert_int_equal(until_ms, 35 * SECOND);
}

static void one_probe_at_a_time_and_it_decides(void **unused)
{
    (void)unused;
    struct breaker breaker = {0};
    assert_true(breaker_fail(&breaker, &login, 1, SECOND, "535"));
    assert_false(breaker_fail(&breaker, &login, 2, SECOND, "535 of another worker"));
    assert_false(
        breaker_good(&breaker, 3)); /* logged in before: says nothing of the next login */
    assert_int_equal(ask(&breaker, INT64_MAX), BREAKER_WAITS);
    assert_true(breaker_release(&breaker));
    assert_false(breaker_release(&breaker));
    assert_int_equal(ask(&breaker, 2 * SECOND), BREAKER_GOES_PROBE);
    breaker_probe(&breaker, 10);
    assert_int_equal(ask(&breaker, 2 * SECOND), BREAKER_WAITS);
    breaker_over(&breaker, 10); /* given back: nothing was found out */
    assert_int_equal(ask(&breaker, 2 * SECOND), BREAKER_GOES_PROBE);
    breaker_probe(&breaker, 11);
    assert_false(breaker_fail(&breaker, &login, 9, 2 * SECOND, "late news"));
    assert_true(breaker_fail(&breaker, &login, 11, 3 * SECOND, "535 again"));
    assert_int_equal(ask(&breaker, INT64_MAX), BREAKER_WAITS);
    assert_int_equal(breaker.since_ms, SECOND);
    assert_true(breaker_release(&breaker));
    breaker_probe(&breaker, 12);
    assert_false(breaker_good(&breaker, 9));
    assert_true(breaker_good(&breaker, 12));
    assert_int_equal(ask(&breaker, 3 * SECOND), BREAKER_GOES);
    assert_int_equal(breaker.since_ms, 0);
}

static void the_wait_doubles_up_to_its_bound(void **unused)
{
    (void)unused;
    struct breaker breaker = {0};
    static const struct breaker_plan plan = {
        .failures = 1, .first_ms = 30 * SECOND, .most_ms = 100 * SECOND};
    static const int64_t waits[] = {30, 60, 100, 100};
    int64_t now_ms = SECOND;
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        uint64_t lease = i + 1;
        assert_int_equal(ask(&breaker, now_ms), i == 0 ? BREAKER_GOES : BREAKER_GOES_PROBE);
        breaker_probe(&breaker, lease);
        assert_true(breaker_fail(&breaker, &plan, lease, now_ms, "down"));
        assert_int_equal(breaker.until_ms - now_ms, waits[i] * SECOND);
        assert_int_equal(ask(&breaker, breaker.until_ms - 1), BREAKER_WAITS);
        now_ms = breaker.until_ms;
    }
}

/* What a restart keeps is since when and until when (brake_restore): the wait must not become none. */
static void it_waits_again_after_a_restart(void **unused)
{
    (void)unused;
    struct breaker breaker = {
        .state = BREAKER_OPEN, .since_ms = SECOND, .until_ms = 31 * SECOND};
    assert_int_equal(ask(&breaker, 31 * SECOND), BREAKER_GOES_PROBE);
    breaker_probe(&breaker, 1);
    assert_true(breaker_fail(&breaker, &server, 1, 31 * SECOND, "down"));
    assert_int_equal(breaker.until_ms, 61 * SECOND);
    assert_int_equal(breaker.since_ms, SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_after_failures_in_a_row),
        cmocka_unit_test(one_probe_at_a_time_and_it_decides),
        cmocka_unit_test(the_wait_doubles_up_to_its_bound),
        cmocka_unit_test(it_waits_again_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
