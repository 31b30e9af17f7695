/* The pace of acts, in test time: a large act makes the next one wait, the order stays, and the queue has an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "act_pace.h"
#include "clock.h"

struct operation {
    int number;
};

static int started[64];
static size_t started_count;

static void start(struct operation *operation)
{
    started[started_count++] = operation->number;
}

static void a_large_act_makes_the_next_wait(void **state)
{
    (void)state;
    struct clock_source clock = {.mono_us = 1000000, .wall_ms = 1};
    struct loop *loop = NULL;
    struct act_pace pace;
    struct operation items[ACT_PACE_WAITING + 2];
    clock_replace(&clock);
    started_count = 0;
    assert_int_equal(loop_new(&loop, NULL), ERR_OK);
    act_pace_init(&pace, loop, start);
    for (int i = 0; i < ACT_PACE_WAITING + 2; i++) {
        items[i].number = i;
    }
    assert_int_equal(act_pace_take(&pace, &items[0]), ACT_PACE_NOW);
    act_pace_charge(&pace, ACT_PACE_A_SECOND / 5); /* 200 ms */
    for (int i = 1; i <= ACT_PACE_WAITING; i++) {
        assert_int_equal(act_pace_take(&pace, &items[i]), ACT_PACE_LATER);
    }
    assert_int_equal(act_pace_take(&pace, &items[ACT_PACE_WAITING + 1]), ACT_PACE_FULL);
    clock.mono_us += 199000;
    assert_int_equal(loop_turn(loop, 0, NULL), ERR_OK);
    assert_int_equal(started_count, 0);
    clock.mono_us += 2000;
    for (int i = 0; i < 2 * ACT_PACE_WAITING; i++) {
        assert_int_equal(loop_turn(loop, 0, NULL), ERR_OK);
        clock.mono_us += 1000;
    }
    assert_int_equal(started_count, ACT_PACE_WAITING);
    for (int i = 0; i < ACT_PACE_WAITING; i++) {
        assert_int_equal(started[i], i + 1);
    }
    assert_int_equal(act_pace_take(&pace, &items[0]), ACT_PACE_NOW);
    act_pace_charge(&pace, 1000);
    assert_int_equal(act_pace_take(&pace, &items[1]), ACT_PACE_LATER);
    assert_ptr_equal(act_pace_stop(&pace), &items[1]);
    assert_null(act_pace_stop(&pace));
    loop_free(&loop);
    clock_replace(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_large_act_makes_the_next_wait)};
    return cmocka_run_group_tests_name("act-pace", tests, NULL, NULL);
}
