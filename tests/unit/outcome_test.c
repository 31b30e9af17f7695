/* The table from replies to outcomes, by the cases that matter to a person. */
#include "outcome.h"
#include "pb.h"
#include "pb_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define ROW(phase, code, enhanced, outcome, class)                                             \
    {                                                                                          \
        PB_PHASE(phase), code, enhanced, PB_OUTCOME(outcome), PB_CLASS(class)                  \
    }

static const struct row {
    int phase;
    unsigned code;
    const char *enhanced;
    int outcome;
    int class;
} rows[] = {
    /* no reply */
    ROW(CONNECT, 0, "", DEFERRED, HOST_DOWN),
    ROW(TLS, 0, "", DEFERRED, CONFIGURATION),
    ROW(AUTH, 0, "", DEFERRED, CONFIGURATION),
    ROW(MAIL, 0, "", DEFERRED, TRANSIENT),
    ROW(CONTENT, 0, "", DEFERRED, TRANSIENT),
    ROW(FINAL_DOT, 0, "", UNKNOWN, UNCERTAIN),
    /* yes, and what is neither yes nor no */
    ROW(FINAL_DOT, 250, "2.0.0", DELIVERED, NONE),
    ROW(FINAL_DOT, 251, "", DELIVERED, NONE),
    ROW(FINAL_DOT, 354, "", UNKNOWN, UNCERTAIN),
    ROW(CONTENT, 250, "", DEFERRED, TRANSIENT),
    ROW(DATA, 250, "", DEFERRED, TRANSIENT),
    /* server */
    ROW(CONNECT, 554, "5.3.2", DEFERRED, HOST_DOWN),
    ROW(RCPT, 421, "4.7.0", DEFERRED, HOST_DOWN),
    ROW(FINAL_DOT, 421, "", DEFERRED, HOST_DOWN),
    ROW(MAIL, 451, "4.3.0", DEFERRED, HOST_DOWN),
    ROW(FINAL_DOT, 452, "4.3.1", DEFERRED, HOST_DOWN),
    /* login */
    ROW(AUTH, 535, "5.7.8", DEFERRED, LOGIN),
    ROW(AUTH, 535, "5.7.139", DEFERRED, LOGIN),
    ROW(AUTH, 432, "", DEFERRED, LOGIN),
    ROW(AUTH, 454, "4.7.0", DEFERRED, TRANSIENT),
    ROW(MAIL, 530, "5.7.0", DEFERRED, LOGIN),
    ROW(MAIL, 550, "5.7.57", DEFERRED, LOGIN),
    ROW(FINAL_DOT, 554, "5.7.0", REFUSED, MESSAGE), /* a spam filter, not a login */
    ROW(FINAL_DOT, 554, "5.7.9", REFUSED, MESSAGE),
    /* sender */
    ROW(MAIL, 550, "5.1.8", DEFERRED, CONFIGURATION),
    ROW(FINAL_DOT, 550, "5.7.60", DEFERRED, CONFIGURATION),
    ROW(MAIL, 554, "5.2.252", DEFERRED, CONFIGURATION),
    /* recipients */
    ROW(RCPT, 550, "", REFUSED, RECIPIENT),
    ROW(RCPT, 550, "5.1.1", REFUSED, RECIPIENT),
    ROW(RCPT, 550, "5.2.1", REFUSED, RECIPIENT),
    ROW(RCPT, 550, "5.4.1", REFUSED, RECIPIENT),
    ROW(RCPT, 550, "5.7.1", REFUSED, RECIPIENT),
    ROW(RCPT, 450, "4.2.0", DEFERRED, TRANSIENT),
    ROW(RCPT, 451, "4.7.1", DEFERRED, TRANSIENT),
    ROW(RCPT, 452, "4.5.3", DEFERRED, TRANSIENT),
    ROW(RCPT, 552, "", DEFERRED, TRANSIENT), /* RFC 5321: counts as 452 */
    ROW(RCPT, 552, "5.2.2", DEFERRED, TRANSIENT),
    ROW(RCPT, 552, "5.3.4", REFUSED, MESSAGE),
    ROW(RCPT, 554, "5.4.4", DEFERRED, HOST_DOWN),
    /* message */
    ROW(MAIL, 552, "", REFUSED, MESSAGE),
    ROW(MAIL, 552, "5.3.4", REFUSED, MESSAGE),
    ROW(FINAL_DOT, 552, "5.2.3", REFUSED, MESSAGE),
    ROW(FINAL_DOT, 554, "5.6.0", REFUSED, MESSAGE),
    ROW(FINAL_DOT, 550, "5.7.1", REFUSED, MESSAGE),
    ROW(FINAL_DOT, 550, "5.7.26", REFUSED, MESSAGE),
    /* quota */
    ROW(MAIL, 550, "5.4.5", DEFERRED, QUOTA),
    ROW(RCPT, 450, "4.4.5", DEFERRED, QUOTA),
    ROW(FINAL_DOT, 432, "4.3.2", DEFERRED, QUOTA),
};

static void each_reply_has_its_outcome(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct outcome got = outcome_of(rows[i].phase, rows[i].code, rows[i].enhanced);
        if (got.outcome != rows[i].outcome || got.class != rows[i].class) {
            fail_msg("phase %d code %u %s: outcome %d class %s", rows[i].phase, rows[i].code,
                     rows[i].enhanced, got.outcome, pb_class_word(got.class));
        }
    }
}

/* The promises of the design, over every code and phase. */
static void no_reply_breaks_a_promise(void **state)
{
    (void)state;
    for (int phase = PB_PHASE(PREPARE); phase <= PB_PHASE(BROKER); phase++) {
        for (unsigned code = 0; code < 600; code++) {
            int outcome = outcome_of(phase, code, "").outcome;
            bool dot = phase == PB_PHASE(FINAL_DOT);
            if (code >= 400 && code < 500) {
                assert_int_equal(outcome, PB_OUTCOME(DEFERRED)); /* a 4xx is never final */
            }
            if (code >= 400 || !dot) {
                assert_int_not_equal(outcome, PB_OUTCOME(UNKNOWN)); /* an answer is an answer */
            }
            if (dot && code < 200) {
                assert_int_equal(outcome, PB_OUTCOME(UNKNOWN));
            }
            if (code < 200 || code > 299) {
                assert_int_not_equal(outcome, PB_OUTCOME(DELIVERED));
            }
        }
    }
}

static void an_outcome_alone_has_a_class(void **state)
{
    (void)state;
    assert_int_equal(outcome_plain(PB_OUTCOME(DELIVERED)).class, PB_CLASS(NONE));
    assert_int_equal(outcome_plain(PB_OUTCOME(REFUSED)).class, PB_CLASS(CONFIGURATION));
    assert_int_equal(outcome_plain(PB_OUTCOME(DEFERRED)).class, PB_CLASS(TRANSIENT));
    assert_int_equal(outcome_plain(PB_OUTCOME(UNKNOWN)).class, PB_CLASS(UNCERTAIN));
    assert_int_equal(outcome_plain(PB_OUTCOME(PERMITTED)).class, PB_CLASS(NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reply_has_its_outcome),
        cmocka_unit_test(no_reply_breaks_a_promise),
        cmocka_unit_test(an_outcome_alone_has_a_class),
    };
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
