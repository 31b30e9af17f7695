/* Sums of what waits: adding, taking out, and how many mails they make. */
#include "backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void what_is_taken_out_leaves_no_trace(void **unused)
{
    (void)unused;
    struct backlog sum = {.requests = 0};
    const struct backlog none = {.requests = 0};
    const struct backlog items[] = {backlog_of(false, 7), backlog_of(true, 3),
                                    backlog_of(true, 0)};
    for (size_t i = 0; i < 3; i++) {
        backlog_add(&sum, &items[i]);
    }
    assert_int_equal(sum.requests, 3);
    assert_int_equal(sum.recipients, 10);
    assert_int_equal(sum.each_recipients, 3);
    for (size_t i = 3; i > 0; i--) {
        assert_true(backlog_take_out(&sum, &items[i - 1]));
    }
    assert_memory_equal(&sum, &none, sizeof sum);
}

/* Less than nothing would be an enormous number of mails, and no forecast. */
static void sums_that_drifted_stop_at_nothing(void **unused)
{
    (void)unused;
    struct backlog sum = backlog_of(false, 3);
    const struct backlog more = backlog_of(true, 5);
    assert_false(backlog_take_out(&sum, &more));
    assert_int_equal(sum.requests, 0);
    assert_int_equal(sum.recipients, 0);
    assert_int_equal(sum.each_requests, 0);
    assert_int_equal(sum.each_recipients, 0);
    const struct backlog odd = {.recipients = 2, .each_requests = 1, .each_recipients = 3};
    assert_int_equal(backlog_mails(&odd, 100), 3);
}

static void mails_are_counted_as_limits_count_them(void **unused)
{
    (void)unused;
    static const struct {
        const char *what;
        struct backlog backlog;
        uint32_t per_mail;
        uint64_t mails;
    } rows[] = {
        {"nothing", {0, 0, 0, 0}, 100, 0},
        {"a mail for each request", {5, 9, 0, 0}, 100, 5},
        {"a mail for each recipient", {2, 30, 2, 30}, 100, 30},
        {"both", {3, 32, 2, 30}, 100, 31},
        {"a list longer than a mail takes", {1, 250, 0, 0}, 100, 3},
        {"one recipient a mail", {2, 12, 0, 0}, 1, 12},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (backlog_mails(&rows[i].backlog, rows[i].per_mail) != rows[i].mails) {
            fail_msg("%s", rows[i].what);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_out_leaves_no_trace),
        cmocka_unit_test(sums_that_drifted_stop_at_nothing),
        cmocka_unit_test(mails_are_counted_as_limits_count_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
