/* Several mails over SMTP: riders, rounds, reuse, steps down of pipelining, and what becomes of the others when one goes wrong. */
#include "smtp_world.h"

#include "clock.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void the_next_envelope_rides_behind_the_dot(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    world_start_many(&w, 3);
    world_turn_until(&w, &w.done, 3);
    world_assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 1);
    assert_true(
        world_saw(&w, "body 0\r\n.\r\nMAIL FROM:<boss@here.example>\r\nRCPT TO:<a@x.test>\r\n"
                      "DATA\r\nSubject: mail 1"));
    world_close(&w);
}

/* Recipients beyond the server's limit: the same content again, under the one permit, until everybody has it. */
static const struct round_row {
    const char *name;
    struct manner manner;
    unsigned taken; /* mails */
    unsigned connections;
} round_rows[] = {
    {"452 pipelined", {.rcpt_limit = 1}, 4, 1},
    {"452 one at a time", {.rcpt_limit = 1, .no_pipelining = true}, 4, 1},
    {"452 after three", {.rcpt_limit = 3}, 2, 1},
    {"RCPTMAX", {.offer = "250-LIMITS MAILMAX=50 RCPTMAX=3\r\n"}, 2, 1},
    {"RCPTMAX one at a time",
     {.offer = "250-LIMITS RCPTMAX=1\r\n", .no_pipelining = true},
     4,
     1},
    {"RCPTMAX, and less", {.offer = "250-LIMITS RCPTMAX=3\r\n", .rcpt_limit = 2}, 2, 1},
    {"421 at the second round", {.rcpt_limit = 1, .goodbye_at_mail = 2}, 4, 4},
    {"MAILMAX", {.offer = "250-LIMITS MAILMAX=1\r\n", .rcpt_limit = 2}, 2, 2},
};

static void recipients_beyond_the_limit_go_in_further_mails(void **state)
{
    static const char *const four[] = {"a@x.test", "b@x.test", "c@x.test", "d@x.test", NULL};
    (void)state;
    for (size_t i = 0; i < sizeof round_rows / sizeof round_rows[0]; i++) {
        const struct round_row *row = &round_rows[i];
        struct world w;
        print_message("  %s\n", row->name);
        world_open(&w, &row->manner);
        const struct delivery *delivery = world_start(&w, 0, four);
        world_turn_until(&w, &w.done, 1);
        for (size_t r = 0; r < 4; r++) {
            assert_int_equal(delivery->recipients[r].outcome, PB_OUTCOME(DELIVERED));
            assert_int_equal(delivery->recipients[r].code, 250);
        }
        assert_int_equal(w.fake.taken, row->taken);
        assert_int_equal(w.fake.connections, row->connections);
        assert_int_equal(w.asks, 1);
        assert_true(strncmp(delivery->queue_id, "4F2A,4F2A", 9) == 0);
        world_close(&w);
    }
}

static void mails_behind_one_of_several_rounds_are_not_held_up(void **state)
{
    static const struct manner manner = {.rcpt_limit = 1};
    static const char *const two[] = {"a@x.test", "b@x.test", NULL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    for (size_t i = 0; i < 4; i++) {
        (void)world_start(&w, i, two);
    }
    world_turn_until(&w, &w.done, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(w.mails[i].recipients[0].outcome, PB_OUTCOME(DELIVERED));
        assert_int_equal(w.mails[i].recipients[1].outcome, PB_OUTCOME(DELIVERED));
    }
    assert_int_equal(w.fake.taken, 8);
    assert_int_equal(w.asks, 4);
    world_close(&w);
}

static void mode_envelope_waits_for_the_answer(void **state)
{
    static const struct manner manner = {.swallow_behind_dot = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.pipelining = PB_PIPELINING(ENVELOPE);
    world_start_many(&w, 3);
    world_turn_until(&w, &w.done, 3);
    world_assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 1);
    world_close(&w);
}

/* The rider's silence is found by its time-out, a short one here. */
static void a_server_that_swallows_the_rider_is_stepped_down(void **state)
{
    static const struct manner manner = {.swallow_behind_dot = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.reply_timeout_ms = 50;
    world_start_many(&w, 3);
    world_turn_until(&w, &w.done, 3);
    world_assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.taken, 3);
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

/* The first mail is in doubt, but the server is not put to the same test again. */
static void a_server_that_chokes_on_the_rider_is_stepped_down(void **state)
{
    static const struct manner manner = {.choke_on_rider = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.content_timeout_ms = 50;
    world_start_many(&w, 4);
    world_turn_until(&w, &w.done, 4);
    assert_int_equal(w.mails[0].recipients[0].outcome, PB_OUTCOME(UNKNOWN));
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(w.mails[i].recipients[0].outcome, PB_OUTCOME(DELIVERED));
    }
    assert_int_equal(w.fake.taken, 3);
    world_close(&w);
}

/* What was learnt about a server outlives the pool: here the profile changes, and nothing is swallowed again. */
static void a_stumble_is_remembered_for_the_server(void **state)
{
    static const struct manner manner = {.swallow_behind_dot = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.reply_timeout_ms = 50;
    world_start_many(&w, 3);
    world_turn_until(&w, &w.done, 3);
    assert_int_equal(w.fake.connections, 2);
    struct settings_plan changed = w.plan;
    changed.idle_timeout_ms++;
    for (size_t i = 3; i < 6; i++) {
        (void)world_start_as(&w, i, world_to_a, &changed, 8);
    }
    world_turn_until(&w, &w.done, 6);
    world_assert_all(&w, 6, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 3);
    assert_int_equal(w.fake.taken, 6);
    world_close(&w);
}

/* A mail that comes while another awaits its answer need not wait for it. */
static void a_late_mail_rides_too(void **state)
{
    static const struct manner manner = {.dot_action = DOT_STALL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_BY_HAND;
    struct delivery *delivery = world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.asks, 1);
    deliver_smtp.permit(w.backend, delivery, DELIVER_GRANTED);
    world_turn_until(&w, &w.fake.gos, 1);
    world_settle(&w);
    assert_true(world_saw(&w, "body 0\r\n.\r\n"));
    (void)world_start(&w, 1, world_to_a);
    world_settle(&w);
    assert_int_equal(w.asks, 2);
    assert_true(world_saw(&w, "body 0\r\n.\r\nMAIL FROM"));
    world_close(&w);
}

static void a_421_at_the_nth_mail_costs_no_mail(void **state)
{
    static const struct manner manner = {.goodbye_at_mail = 3};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    world_start_many(&w, 6);
    world_turn_until(&w, &w.done, 6);
    world_assert_all(&w, 6, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.taken, 6);
    assert_int_equal(w.fake.connections, 3);
    assert_int_equal(w.asks, 6);
    world_close(&w);
}

static void a_silent_close_after_each_mail_costs_no_mail(void **state)
{
    static const struct manner manner = {.close_when_idle = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    world_start_many(&w, 3);
    world_turn_until(&w, &w.done, 3);
    world_assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.taken, 3);
    assert_int_equal(w.fake.connections, 3);
    world_close(&w);
}

/* The server closes a kept connection and the next mail starts before anybody has looked. */
static void a_stale_connection_costs_no_mail(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    (void)world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.done, 1);
    fake_leave(w.fake.visitors);
    (void)world_start(&w, 1, world_to_a);
    world_turn_until(&w, &w.done, 2);
    world_assert_all(&w, 2, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

static void a_connection_is_kept_for_the_next_mail(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    (void)world_start(&w, 0, world_to_no);
    world_turn_until(&w, &w.done, 1);
    (void)world_start(&w, 1, world_to_a);
    world_turn_until(&w, &w.done, 2);
    assert_int_equal(w.mails[0].recipients[0].outcome, PB_OUTCOME(REFUSED));
    assert_int_equal(w.mails[1].recipients[0].outcome, PB_OUTCOME(DELIVERED));
    assert_true(world_saw(&w, "RSET\r\nMAIL FROM"));
    assert_int_equal(w.fake.connections, 1);
    world_close(&w);
}

static void a_lost_answer_is_unknown_and_its_rider_is_sent_once(void **state)
{
    static const struct manner manner = {.dot_action = DOT_DROP, .once = 1};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    world_start_many(&w, 2);
    world_turn_until(&w, &w.done, 2);
    assert_int_equal(w.mails[0].recipients[0].outcome, PB_OUTCOME(UNKNOWN));
    assert_int_equal(w.mails[1].recipients[0].outcome, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.taken, 1);
    world_close(&w);
}

/* The server loses patience while the permit is on its way: nothing was sent, so it is begun
 * again. */
static void a_permit_that_comes_after_the_connection_is_used_on_the_next(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_BY_HAND;
    struct delivery *delivery = world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.fake.gos, 1);
    world_settle(&w);
    fake_leave(w.fake.visitors);
    world_settle(&w);
    assert_int_equal(w.done, 0);
    deliver_smtp.permit(w.backend, delivery, DELIVER_GRANTED);
    world_turn_until(&w, &w.done, 1);
    world_assert_all(&w, 1, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.asks, 1);
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

static void drain_closes_with_quit(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    world_start_many(&w, 2);
    deliver_smtp.drain(w.backend);
    world_turn_until(&w, &w.done, 2);
    world_settle(&w);
    world_assert_all(&w, 2, PB_OUTCOME(DELIVERED));
    assert_true(world_saw(&w, "QUIT\r\n"));
    world_close(&w);
}

static void close_gives_up_in_every_state(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_NEVER;
    world_start_many(&w, 4);
    world_turn_until(&w, &w.fake.gos, 1);
    world_settle(&w);
    assert_int_equal(w.done, 0);
    world_close(&w);
}

static void other_settings_never_share_a_connection(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    (void)world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.done, 1);
    w.plan.reply_timeout_ms += 1; /* the same version number, another plan */
    (void)world_start(&w, 1, world_to_a);
    world_turn_until(&w, &w.done, 2);
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

static void a_connection_ends_at_its_number_of_mails(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.max_messages_per_connection = 2;
    world_start_many(&w, 6);
    world_turn_until(&w, &w.done, 6);
    world_assert_all(&w, 6, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 3);
    world_close(&w);
}

static void a_connection_ends_at_its_age(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.max_connection_age_ms = 1;
    for (size_t i = 0; i < 3; i++) {
        (void)world_start(&w, i, world_to_a);
        world_turn_until(&w, &w.done, (unsigned)i + 1);
        int64_t old_ms = clock_mono_ms() + 2; /* the connection is older than that then */
        while (clock_mono_ms() < old_ms) {
            world_settle(&w);
        }
    }
    world_assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 3);
    world_close(&w);
}

/* Said goodbye to, not just left. */
static void an_idle_connection_ends_with_quit(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.idle_timeout_ms = 20;
    (void)world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.done, 1);
    for (int i = 0; i < 100 && !world_saw(&w, "QUIT\r\n"); i++) {
        world_settle(&w);
    }
    assert_true(world_saw(&w, "QUIT\r\n"));
    (void)world_start(&w, 1, world_to_a);
    world_turn_until(&w, &w.done, 2);
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

/* FULL in so many words is not stepped down: the person knows the server. */
static void mode_full_is_not_stepped_down(void **state)
{
    static const struct manner manner = {.swallow_behind_dot = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.pipelining = PB_PIPELINING(FULL);
    w.plan.reply_timeout_ms = 30;
    world_start_many(&w, 3);
    world_turn_until(&w, &w.done, 3);
    world_assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 3);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_envelope_rides_behind_the_dot),
        cmocka_unit_test(recipients_beyond_the_limit_go_in_further_mails),
        cmocka_unit_test(mails_behind_one_of_several_rounds_are_not_held_up),
        cmocka_unit_test(mode_envelope_waits_for_the_answer),
        cmocka_unit_test(a_server_that_swallows_the_rider_is_stepped_down),
        cmocka_unit_test(a_server_that_chokes_on_the_rider_is_stepped_down),
        cmocka_unit_test(a_stumble_is_remembered_for_the_server),
        cmocka_unit_test(a_late_mail_rides_too),
        cmocka_unit_test(a_421_at_the_nth_mail_costs_no_mail),
        cmocka_unit_test(a_silent_close_after_each_mail_costs_no_mail),
        cmocka_unit_test(a_stale_connection_costs_no_mail),
        cmocka_unit_test(a_connection_is_kept_for_the_next_mail),
        cmocka_unit_test(a_lost_answer_is_unknown_and_its_rider_is_sent_once),
        cmocka_unit_test(a_permit_that_comes_after_the_connection_is_used_on_the_next),
        cmocka_unit_test(drain_closes_with_quit),
        cmocka_unit_test(close_gives_up_in_every_state),
        cmocka_unit_test(other_settings_never_share_a_connection),
        cmocka_unit_test(a_connection_ends_at_its_number_of_mails),
        cmocka_unit_test(a_connection_ends_at_its_age),
        cmocka_unit_test(an_idle_connection_ends_with_quit),
        cmocka_unit_test(mode_full_is_not_stepped_down),
    };
    return cmocka_run_group_tests_name("smtp_pool", tests, NULL, NULL);
}
