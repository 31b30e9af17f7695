/* What the outcomes of all recipients make of a request. */
#include "request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 4 };

struct fold_row {
    const char *name;
    const char *
        outcomes; /* p ending, d elivered, r efused, l ater (deferred), u nknown, o n its way */
    bool handed_off;
    enum state wanted;
    bool partial;
};

static const struct fold_row rows[] = {
    {"all delivered", "ddd", false, STATE_SENT, false},
    {"all handed off", "dd", true, STATE_HANDED_OFF, false},
    {"all refused", "rr", false, STATE_FAILED, false},
    {"one refused is told", "dr", false, STATE_FAILED, true},
    {"a deferred one goes on", "drl", false, STATE_DEFERRED, true},
    {"one that was not tried goes on", "dp", false, STATE_DEFERRED, true},
    {"nobody knows", "u", false, STATE_UNKNOWN, false},
    {"unknown beside delivered", "du", false, STATE_UNKNOWN, true},
    {"deferred comes before unknown", "lu", false, STATE_DEFERRED, false},
    {"still on its way counts as unknown", "o", false, STATE_UNKNOWN, false},
};

static int outcome_of(char letter)
{
    switch (letter) {
    case 'd':
        return PB_OUTCOME(DELIVERED);
    case 'r':
        return PB_OUTCOME(REFUSED);
    case 'l':
        return PB_OUTCOME(DEFERRED);
    case 'u':
        return PB_OUTCOME(UNKNOWN);
    case 'o':
        return PB_OUTCOME(PERMITTED);
    default:
        return PB_OUTCOME(PENDING);
    }
}

static void outcomes_fold_into_a_state(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PB(RecipientResult) items[MOST];
        PB(RecipientResult) *pointers[MOST];
        size_t count = strlen(rows[i].outcomes);
        for (size_t k = 0; k < count; k++) {
            PB(RecipientResult) init = PB_INIT(RECIPIENT_RESULT);
            items[k] = init;
            items[k].outcome = outcome_of(rows[i].outcomes[k]);
            pointers[k] = &items[k];
        }
        bool partial = false;
        enum state got = request_fold(pointers, count, rows[i].handed_off, &partial);
        if (got != rows[i].wanted || partial != rows[i].partial) {
            fail_msg("%s: %s%s", rows[i].name, state_name(got), partial ? ", partial" : "");
        }
    }
}

/* A part that was permitted and given back keeps the mark of the attempt before. */
static void a_mark_outlives_a_permit(void **unused)
{
    (void)unused;
    static const struct {
        int outcome;
        int phase;
        int class;
        bool wanted;
    } marks[] = {
        {PB_OUTCOME(PENDING), PB_PHASE(UNSPECIFIED), PB_CLASS(NONE), false},
        {PB_OUTCOME(PENDING), PB_PHASE(BROKER), PB_CLASS(UNCERTAIN), true},
        {PB_OUTCOME(PENDING), PB_PHASE(RCPT), PB_CLASS(TRANSIENT), true},
        {PB_OUTCOME(DEFERRED), PB_PHASE(RCPT), PB_CLASS(TRANSIENT), false},
        {PB_OUTCOME(PERMITTED), PB_PHASE(RCPT), PB_CLASS(NONE), false},
        {PB_OUTCOME(PERMITTED), PB_PHASE(BROKER), PB_CLASS(UNCERTAIN), true},
        {PB_OUTCOME(UNKNOWN), PB_PHASE(BROKER), PB_CLASS(UNCERTAIN), true},
        {PB_OUTCOME(REFUSED), PB_PHASE(DATA), PB_CLASS(MESSAGE), false},
    };
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        PB(RecipientResult) one = PB_INIT(RECIPIENT_RESULT);
        one.outcome = marks[i].outcome;
        one.phase = marks[i].phase;
        one.failure_class = marks[i].class;
        assert_int_equal(request_is_marked(&one), marks[i].wanted);
        one.may_have_it = true; /* never taken back */
        assert_true(request_is_marked(&one));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_mark_outlives_a_permit),
                                       cmocka_unit_test(outcomes_fold_into_a_state)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
