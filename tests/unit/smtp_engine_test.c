/* One mail over SMTP: a row is one mail and one server that misbehaves to order. smtp_pool_test.c has several mails. */
#include "smtp_world.h"

#include "clock.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One mail, one server. */

struct want {
    int outcome;
    int phase;
    unsigned code;
};

struct row {
    const char *name;
    struct manner manner;
    const char *recipients[RECIPIENTS + 1];
    struct want want[RECIPIENTS];
    bool content_is_sent;
    unsigned connections;
};

#define GOOD                                                                                   \
    {                                                                                          \
        PB_OUTCOME(DELIVERED), PB_PHASE(FINAL_DOT), 250                                        \
    }
#define WANT(outcome, phase, code)                                                             \
    {                                                                                          \
        PB_OUTCOME(outcome), PB_PHASE(phase), code                                             \
    }

static const struct row rows[] = {
    {"plain", {0}, {"a@x.test"}, {GOOD}, true, 1},
    {"three_recipients",
     {0},
     {"a@x.test", "b@x.test", "c@x.test"},
     {GOOD, GOOD, GOOD},
     true,
     1},
    {"no_pipelining", {.no_pipelining = true}, {"a@x.test", "b@x.test"}, {GOOD, GOOD}, true, 1},
    {"some_refused",
     {0},
     {"a@x.test", "no@x.test", "grey@x.test", "many@x.test"},
     {GOOD, WANT(REFUSED, RCPT, 550), WANT(DEFERRED, RCPT, 450), WANT(DEFERRED, RCPT, 552)},
     true,
     1},
    {"some_refused_one_at_a_time",
     {.no_pipelining = true},
     {"no@x.test", "a@x.test", "full@x.test"},
     {WANT(REFUSED, RCPT, 550), GOOD, WANT(DEFERRED, RCPT, 552)},
     true,
     1},
    {"all_refused",
     {0},
     {"no@x.test", "grey@x.test"},
     {WANT(REFUSED, RCPT, 550), WANT(DEFERRED, RCPT, 450)},
     false,
     1},
    {"all_refused_one_at_a_time",
     {.no_pipelining = true},
     {"no@x.test"},
     {WANT(REFUSED, RCPT, 550)},
     false,
     1},
    {"all_refused_but_go",
     {.go_without_recipients = true},
     {"no@x.test"},
     {WANT(REFUSED, RCPT, 550)},
     false,
     1},
    {"split_replies",
     {.split = true},
     {"a@x.test", "no@x.test"},
     {GOOD, WANT(REFUSED, RCPT, 550)},
     true,
     1},
    {"sender_refused",
     {.mail_reply = "550 5.7.1 Not from you\r\n"},
     {"a@x.test"},
     {WANT(REFUSED, MAIL, 550)},
     false,
     1},
    {"sender_put_off_one_at_a_time",
     {.mail_reply = "451 4.3.0 Later\r\n", .no_pipelining = true},
     {"a@x.test"},
     {WANT(DEFERRED, MAIL, 451)},
     false,
     1},
    {"data_put_off",
     {.data_reply = "451 4.3.0 Later\r\n"},
     {"a@x.test", "no@x.test"},
     {WANT(DEFERRED, DATA, 451), WANT(REFUSED, RCPT, 550)},
     false,
     1},
    {"greeting_421",
     {.greeting = "421 4.3.2 Too busy\r\n"},
     {"a@x.test"},
     {WANT(DEFERRED, CONNECT, 421)},
     false,
     1},
    {"greeting_554",
     {.greeting = "554 5.3.2 No service\r\n"},
     {"a@x.test"},
     {WANT(DEFERRED, CONNECT, 554)},
     false,
     1},
    {"first_mail_421",
     {.goodbye_at_mail = 1},
     {"a@x.test"},
     {WANT(DEFERRED, MAIL, 421)},
     false,
     1},
    {"recipient_421",
     {0},
     {"bye@x.test", "a@x.test"},
     {WANT(DEFERRED, RCPT, 421), WANT(DEFERRED, RCPT, 421)},
     false,
     1},
    {"drop_at_data", {.drop_at_data = true}, {"a@x.test"}, {WANT(DEFERRED, DATA, 0)}, false, 1},
    {"drop_after_dot",
     {.dot_action = DOT_DROP},
     {"a@x.test", "no@x.test"},
     {WANT(UNKNOWN, FINAL_DOT, 0), WANT(REFUSED, RCPT, 550)},
     true,
     1},
    {"451_after_dot",
     {.dot_reply = "451 4.3.0 Queue full\r\n"},
     {"a@x.test"},
     {WANT(DEFERRED, FINAL_DOT, 451)},
     true,
     1},
    {"554_after_dot",
     {.dot_reply = "554-5.7.1 Spam\r\n554 5.7.1 they say\r\n"},
     {"a@x.test"},
     {WANT(REFUSED, FINAL_DOT, 554)},
     true,
     1},
    {"251_after_dot",
     {.dot_reply = "251 2.0.0 Forwarded\r\n"},
     {"a@x.test"},
     {WANT(DELIVERED, FINAL_DOT, 251)},
     true,
     1},
    {"421_after_dot",
     {.dot_reply = "421 4.3.0 Down\r\n"},
     {"a@x.test"},
     {WANT(DEFERRED, FINAL_DOT, 421)},
     true,
     1},
    {"garbage_after_dot",
     {.dot_reply = "HTTP/1.1 200 OK\r\n"},
     {"a@x.test"},
     {WANT(UNKNOWN, FINAL_DOT, 0)},
     true,
     1},
    {"too_large",
     {.offer = "250-SIZE 10\r\n"},
     {"a@x.test"},
     {WANT(REFUSED, MAIL, 0)},
     false,
     1},
    {"size_fits", {.offer = "250-SIZE 100000\r\n"}, {"a@x.test"}, {GOOD}, true, 1},
    {"utf8_not_offered",
     {0},
     {"a@x.test", "j\xc3\xb6rg@x.test"},
     {GOOD, WANT(REFUSED, RCPT, 0)},
     true,
     1},
    {"all_refused_of_the_first_round",
     {.offer = "250-LIMITS RCPTMAX=1\r\n"},
     {"no@x.test", "a@x.test"},
     {WANT(REFUSED, RCPT, 550), GOOD},
     true,
     1},
    {"a_lone_dot_before_the_second_round",
     {.offer = "250-LIMITS RCPTMAX=1\r\n", .go_without_recipients = true},
     {"no@x.test", "a@x.test"},
     {WANT(REFUSED, RCPT, 550), GOOD},
     true,
     1},
    {"content_refused_for_all_rounds",
     {.offer = "250-LIMITS RCPTMAX=1\r\n", .dot_reply = "554 5.7.1 Spam\r\n"},
     {"a@x.test", "b@x.test"},
     {WANT(REFUSED, FINAL_DOT, 554), WANT(REFUSED, FINAL_DOT, 554)},
     true,
     1},
    {"lost_in_the_first_round",
     {.offer = "250-LIMITS RCPTMAX=1\r\n", .dot_action = DOT_DROP},
     {"a@x.test", "b@x.test"},
     {WANT(UNKNOWN, FINAL_DOT, 0), WANT(DEFERRED, RCPT, 0)},
     true,
     1},
    {"limits_that_make_no_sense",
     {.offer = "250-LIMITS RCPTMAX=0 MAILMAX=x\r\n"},
     {"a@x.test", "b@x.test"},
     {GOOD, GOOD},
     true,
     1},
    {"utf8_offered", {.offer = "250-SMTPUTF8\r\n"}, {"j\xc3\xb6rg@x.test"}, {GOOD}, true, 1},
};

static void test_row(const struct row *row)
{
    struct world w;
    print_message("  %s\n", row->name);
    world_open(&w, &row->manner);
    const struct delivery *delivery = world_start(&w, 0, row->recipients);
    world_turn_until(&w, &w.done, 1);
    for (size_t r = 0; r < delivery->recipient_count; r++) {
        assert_int_equal(delivery->recipients[r].outcome, row->want[r].outcome);
        assert_int_equal(delivery->recipients[r].phase, row->want[r].phase);
        assert_int_equal(delivery->recipients[r].code, row->want[r].code);
    }
    assert_int_equal(world_saw(&w, "Subject: mail 0"), row->content_is_sent);
    assert_int_equal(w.fake.connections, row->connections);
    world_close(&w);
}

static void one_mail_has_the_outcome_of_its_server(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_row(&rows[i]);
    }
}

static void the_reply_is_kept_with_its_recipient(void **state)
{
    static const struct manner manner = {0};
    static const char *const recipients[] = {"a@x.test", "no@x.test", NULL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    const struct delivery *delivery = world_start(&w, 0, recipients);
    world_turn_until(&w, &w.done, 1);
    assert_string_equal(delivery->recipients[0].text, "Ok: queued as 4F2A");
    assert_string_equal(delivery->recipients[0].enhanced, "2.0.0");
    assert_string_equal(delivery->recipients[1].text, "No such person here");
    assert_string_equal(delivery->recipients[1].enhanced, "5.1.1");
    assert_string_equal(delivery->queue_id, "4F2A");
    assert_string_equal(delivery->tls_version, "");
    assert_true(strncmp(delivery->server, "127.0.0.1:", 10) == 0);
    world_close(&w);
}

/* A reply too many or too few: nobody is blamed for another's refusal, and no content goes out. */
static void replies_out_of_step_count_for_nobody(void **state)
{
    static const char twice[] = "250 2.1.0 Ok\r\n250 2.1.0 Ok\r\n";
    static const struct {
        struct manner manner;
        const char *to[3];
    } steps[] = {
        {{.mail_reply = twice}, {"a@x.test", "b@x.test"}},
        {{.mail_reply = twice, .no_pipelining = true}, {"a@x.test", "no@x.test"}},
        {{.mail_reply = "250 2.1.0 Ok\r\n354 Go\r\n"}, {"a@x.test", "no@x.test"}},
        {{.mail_reply = "354 Go\r\n"}, {"a@x.test", "no@x.test"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct world w;
        world_open(&w, &steps[i].manner);
        const struct delivery *delivery = world_start(&w, 0, steps[i].to);
        world_turn_until(&w, &w.done, 1);
        for (size_t r = 0; r < 2; r++) {
            assert_int_equal(delivery->recipients[r].outcome, PB_OUTCOME(DEFERRED));
            assert_int_equal(delivery->recipients[r].code, 0);
        }
        assert_false(world_saw(&w, "Subject"));
        world_close(&w);
    }
}

/* A byte now and then is no answer: the time for a reply runs on. */
static void a_server_that_drips_does_not_hold_us(void **state)
{
    static const struct manner manner = {.drip_at_mail = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.reply_timeout_ms = 60;
    (void)world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.done, 1);
    world_assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_string_equal(w.mails[0].recipients[0].text, "no reply in time");
    world_close(&w);
}

/* The server's SIZE, DSN and SMTPUTF8 are used, and only when the mail wants them. */
static void commands_say_what_the_mail_needs(void **state)
{
    static const struct manner manner = {.offer = "250-DSN\r\n250-SMTPUTF8\r\n250-SIZE\r\n"};
    static const char *const to[] = {"a+b=c@x.test", "j\xc3\xb6rg@x.test", NULL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.mails[0].want_delivery_receipt = true;
    w.mails[0].needs_utf8 = true;
    (void)snprintf(w.mails[0].file_name, sizeof w.mails[0].file_name, "tpn-7=1");
    (void)world_start(&w, 0, to);
    world_turn_until(&w, &w.done, 1);
    assert_true(world_saw(&w, "MAIL FROM:<boss@here.example> SIZE=27 BODY=8BITMIME SMTPUTF8 "
                              "RET=HDRS ENVID=tpn-7+3D1\r\n"));
    assert_true(world_saw(
        &w, "RCPT TO:<a+b=c@x.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb+3Dc@x.test\r\n"));
    assert_true(world_saw(&w, "RCPT TO:<j\xc3\xb6rg@x.test> NOTIFY=SUCCESS,FAILURE\r\n"));
    (void)world_start(&w, 1, world_to_a);
    world_turn_until(&w, &w.done, 2);
    assert_true(world_saw(
        &w, "MAIL FROM:<boss@here.example> SIZE=27\r\nRCPT TO:<a@x.test>\r\nDATA\r\n"));
    world_close(&w);
}

static void a_stall_after_the_dot_is_unknown(void **state)
{
    static const struct manner manner = {.dot_action = DOT_STALL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.content_timeout_ms = 30;
    (void)world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.done, 1);
    world_assert_all(&w, 1, PB_OUTCOME(UNKNOWN));
    assert_string_equal(w.mails[0].recipients[0].text, "no reply in time");
    world_close(&w);
}

static void a_denied_permit_sends_no_content(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_DENIED;
    (void)world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.done, 1);
    world_settle(&w);
    world_assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.mails[0].recipients[0].phase, PB_PHASE(BROKER));
    assert_string_equal(w.mails[0].recipients[0].text, "permit denied");
    assert_false(world_saw(&w, "Subject"));
    world_close(&w);
}

static void content_waits_for_a_late_permit(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_BY_HAND;
    struct delivery *delivery = world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.fake.gos, 1);
    world_settle(&w);
    assert_false(world_saw(&w, "Subject"));
    assert_int_equal(w.done, 0);
    deliver_smtp.permit(w.backend, delivery, DELIVER_GRANTED);
    world_turn_until(&w, &w.done, 1);
    world_assert_all(&w, 1, PB_OUTCOME(DELIVERED));
    world_close(&w);
}

static void a_refused_connection_fails_all_that_wait(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.port = 1; /* tcpmux: nobody listens */
    w.plan.max_connections = 4;
    world_start_many(&w, 3);
    world_turn_until(&w, &w.done, 3);
    world_assert_all(&w, 3, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.mails[0].recipients[0].phase, PB_PHASE(CONNECT));
    assert_int_equal(w.asks, 0);
    world_close(&w);
}

static void a_login_that_is_not_offered_fails_closed(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    assert_int_equal(setenv("ENGINE_TEST_SECRET", "open sesame", 1), 0);
    w.plan.authentication = PB_AUTH(BASIC);
    w.plan.allow_cleartext_auth = true;
    w.plan.user_name = "user";
    w.plan.password = "env:ENGINE_TEST_SECRET";
    (void)world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.done, 1);
    world_assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.mails[0].recipients[0].phase, PB_PHASE(AUTH));
    assert_string_equal(w.mails[0].recipients[0].text,
                        "the server offered no AUTH of a kind that is known, nothing was sent");
    assert_false(world_saw(&w, "MAIL"));
    world_close(&w);
}

static void a_login_without_tls_needs_leave(void **state)
{
    static const struct manner manner = {.offer = "250-AUTH PLAIN\r\n"};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.authentication = PB_AUTH(BASIC);
    w.plan.user_name = "user";
    w.plan.password = "env:ENGINE_TEST_SECRET";
    (void)world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.done, 1);
    world_assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.fake.connections, 0);
    world_close(&w);
}

static void starttls_is_never_skipped(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.tls = SETTINGS_TLS_STARTTLS;
    (void)world_start(&w, 0, world_to_a);
    world_turn_until(&w, &w.done, 1);
    world_assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.mails[0].recipients[0].phase, PB_PHASE(TLS));
    assert_false(world_saw(&w, "MAIL"));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_mail_has_the_outcome_of_its_server),
        cmocka_unit_test(the_reply_is_kept_with_its_recipient),
        cmocka_unit_test(replies_out_of_step_count_for_nobody),
        cmocka_unit_test(a_server_that_drips_does_not_hold_us),
        cmocka_unit_test(commands_say_what_the_mail_needs),
        cmocka_unit_test(a_stall_after_the_dot_is_unknown),
        cmocka_unit_test(a_denied_permit_sends_no_content),
        cmocka_unit_test(content_waits_for_a_late_permit),
        cmocka_unit_test(a_refused_connection_fails_all_that_wait),
        cmocka_unit_test(a_login_that_is_not_offered_fails_closed),
        cmocka_unit_test(a_login_without_tls_needs_leave),
        cmocka_unit_test(starttls_is_never_skipped),
    };
    return cmocka_run_group_tests_name("smtp_engine", tests, NULL, NULL);
}
