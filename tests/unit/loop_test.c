/* The event loop: timers in order, descriptors while they are ready, the hook once a turn.
 * Time is the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "loop.h"

enum { TIMERS = 50 };

static int naps;

/* In front of the C library's: how often the loop slept. */
int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)left;
    assert_int_equal(wanted->tv_sec, 0);
    naps++;
    return 0;
}

struct bench {
    struct loop *loop;
    struct loop_timer timers[TIMERS];
    struct loop_watch *watch;
    int fired[2 * TIMERS];
    int count;
    int turns;
    int fd;
};

struct shot {
    struct bench *bench;
    int number;
};

static void fire(void *arg)
{
    struct shot *shot = arg;
    shot->bench->fired[shot->bench->count++] = shot->number;
}

static void turn(struct bench *b)
{
    struct err_text why = {0};
    assert_int_equal(loop_turn(b->loop, 0, &why), ERR_OK);
}

static void timers_fire_in_the_order_of_their_time(void **state)
{
    (void)state;
    struct bench b = {0};
    struct shot shots[TIMERS];
    assert_int_equal(loop_new(&b.loop, NULL), ERR_OK);
    clock_replace(&(struct clock_source){.mono_us = 1000000});
    for (int i = 0; i < TIMERS; i++) {
        shots[i] = (struct shot){&b, i};
        loop_timer_init(&b.timers[i], b.loop, fire, &shots[i]);
        loop_timer_arm(&b.timers[i],
                       1 + (int64_t)i * 37 %
                               TIMERS); /* 37 and 50 share no divisor: 1..50, each once */
    }
    loop_timer_disarm(&b.timers[7]);
    assert_false(loop_timer_armed(&b.timers[7]));
    turn(&b);
    assert_int_equal(b.count, 0);
    clock_replace(&(struct clock_source){.mono_us = 1000000 + (TIMERS + 1) * 1000});
    turn(&b);
    assert_int_equal(b.count, TIMERS - 1);
    for (int i = 1; i < b.count; i++) {
        assert_true(b.fired[i - 1] * 37 % TIMERS < b.fired[i] * 37 % TIMERS);
        assert_int_not_equal(b.fired[i], 7);
    }
    turn(&b);
    assert_int_equal(b.count, TIMERS - 1); /* once */
    clock_replace(NULL);
    loop_free(&b.loop);
}

static void on_read(void *arg, int events)
{
    struct bench *b = arg;
    char byte;
    assert_true((events & LOOP_READ) != 0);
    assert_int_equal(read(b->fd, &byte, 1), 1);
    b->count++;
    if (b->count == 2) {
        loop_unwatch(&b->watch); /* its own */
    }
}

static void a_descriptor_calls_while_it_is_ready(void **state)
{
    (void)state;
    struct bench b = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(loop_new(&b.loop, NULL), ERR_OK);
    b.fd = ends[0];
    assert_int_equal(loop_watch(b.loop, ends[0], LOOP_READ, on_read, &b, &b.watch), ERR_OK);
    turn(&b);
    assert_int_equal(b.count, 0);
    assert_int_equal(write(ends[1], "abc", 3), 3);
    turn(&b);
    turn(&b);
    assert_int_equal(b.count, 2);
    assert_null(b.watch);
    turn(&b);
    assert_int_equal(b.count, 2);
    loop_free(&b.loop);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void count_turns(void *arg)
{
    struct bench *b = arg;
    if (++b->turns < 3) {
        loop_again(b->loop);
    } else {
        loop_stop(b->loop);
    }
}

static void the_hook_runs_once_a_turn_and_can_ask_for_another(void **state)
{
    (void)state;
    struct bench b = {0};
    assert_int_equal(loop_new(&b.loop, NULL), ERR_OK);
    loop_before_wait(b.loop, count_turns, &b);
    loop_again(b.loop); /* nothing else would end the first wait */
    assert_int_equal(loop_run(b.loop, NULL), ERR_OK);
    assert_int_equal(b.turns, 3);
    loop_free(&b.loop);
    assert_null(b.loop);
    loop_free(&b.loop);
}

static int naps_in_two_turns(struct loop *loop, int max_wait_ms)
{
    struct err_text why = {0};
    naps = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(loop_turn(loop, max_wait_ms, &why), ERR_OK);
    }
    return naps;
}

static void answers_gather_only_where_many_come_fast(void **state)
{
    (void)state;
    struct bench b = {.count = 10}; /* never 2 */
    struct loop_watch *watch = NULL;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    b.fd = ends[0];
    assert_int_equal(loop_new(&b.loop, NULL), ERR_OK);
    assert_int_equal(loop_watch(b.loop, ends[0], LOOP_READ, on_read, &b, &watch), ERR_OK);
    clock_replace(&(struct clock_source){.mono_us = 1000000}); /* no wait takes any time */
    loop_due(b.loop, 7);
    assert_int_equal(naps_in_two_turns(b.loop, 1), 0);
    loop_due(b.loop, 1);
    assert_int_equal(naps_in_two_turns(b.loop, 1), 1); /* behind the first, which was quick */
    assert_int_equal(write(ends[1], "abcd", 4), 4);
    assert_int_equal(naps_in_two_turns(b.loop, -1), 0); /* answers are there */
    assert_int_equal(b.count, 12);
    assert_int_equal(naps_in_two_turns(b.loop, 0), 0); /* it need not wait */
    loop_unwatch(&watch);
    clock_replace(NULL);
    assert_int_equal(naps_in_two_turns(b.loop, 1), 0); /* a whole millisecond: no answer came */
    loop_due(b.loop, -8);
    loop_free(&b.loop);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_the_order_of_their_time),
        cmocka_unit_test(a_descriptor_calls_while_it_is_ready),
        cmocka_unit_test(the_hook_runs_once_a_turn_and_can_ask_for_another),
        cmocka_unit_test(answers_gather_only_where_many_come_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
