/* The retry schedule: steps, jitter within its bound, deadlines. */
#include "retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t now_ms = 1800000000000;

static void the_default_schedule_is_the_documented_one(void **unused)
{
    (void)unused;
    static const int64_t minutes[] = {1, 2, 5, 10, 20, 30, 60, 60, 60};
    struct broker_conf conf;
    struct buf errors;
    buf_init(&errors, 1000);
    assert_int_equal(broker_conf_read(NULL, &conf, &errors), ERR_OK);
    struct retry_plan plan = retry_plan_of(&conf, NULL);
    for (uint32_t attempt = 1; attempt <= 9; attempt++) {
        int64_t wanted = minutes[attempt - 1] * 60000;
        for (int round = 0; round < 100; round++) {
            int64_t delay = retry_next_ms(&plan, attempt, now_ms, 0) - now_ms;
            assert_in_range(delay, wanted * 8 / 10, wanted * 12 / 10 + 1);
        }
    }
    broker_conf_free(&conf);
    buf_fini(&errors);
}

static void nothing_is_tried_after_its_expiry(void **unused)
{
    (void)unused;
    struct retry_plan plan = {.delays_ms = {60000}, .steps = 1};
    assert_int_equal(retry_next_ms(&plan, 1, now_ms, now_ms + 5000), now_ms + 5000);
}

static void a_request_is_given_up_at_its_age(void **unused)
{
    (void)unused;
    struct retry_plan plan = {.max_age_ms = 1000};
    assert_false(retry_is_over(&plan, now_ms, now_ms + 999));
    assert_true(retry_is_over(&plan, now_ms, now_ms + 1000));
}

static void a_profile_has_its_own_schedule(void **unused)
{
    (void)unused;
    struct broker_conf conf = {.retry_ms = {60000}, .retry_steps = 1, .retry_max_age_ms = 1000};
    char *delays[] = {(char *)(uintptr_t) "10s", (char *)(uintptr_t) "20s"};
    struct profile profile = {.retry_delays = {.items = delays, .count = 2}};
    struct retry_plan plan = retry_plan_of(&conf, &profile);
    assert_in_range(retry_next_ms(&plan, 1, now_ms, 0) - now_ms, 8000, 12000);
    assert_in_range(retry_next_ms(&plan, 7, now_ms, 0) - now_ms, 16000, 24000);
    assert_true(retry_is_over(&plan, now_ms, now_ms + 1000));
    profile.max_age_ms = 5000;
    plan = retry_plan_of(&conf, &profile);
    assert_false(retry_is_over(&plan, now_ms, now_ms + 4999));
    assert_true(retry_is_over(&plan, now_ms, now_ms + 5000));
}

static void a_bad_delay_is_told_with_its_place(void **unused)
{
    (void)unused;
    struct broker_conf conf = {.retry = {.count = 0}};
    struct buf errors;
    buf_init(&errors, 1000);
    assert_int_equal(broker_conf_read("/no/such/file.yaml", &conf, &errors), ERR_CONFIG);
    assert_true(errors.len > 0);
    broker_conf_free(&conf);
    buf_fini(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_schedule_is_the_documented_one),
        cmocka_unit_test(nothing_is_tried_after_its_expiry),
        cmocka_unit_test(a_request_is_given_up_at_its_age),
        cmocka_unit_test(a_profile_has_its_own_schedule),
        cmocka_unit_test(a_bad_delay_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
