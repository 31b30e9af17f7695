/* What an operator's act is for, and what it makes of each recipient. */
#include "operate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OPERATION(name) PB_OPERATION(name)

static const char who[] = "cancelled by ann";

/* c ancel, r etry, s ent, a gain (resend): those that are allowed. */
struct state_row {
    const char *state;
    const char *allowed;
};

static const struct state_row state_rows[] = {
    {"ACCEPTED", "c"},  {"LEASED", "c"},    {"PERMITTED", ""}, {"DEFERRED", "cr"},
    {"SENT", ""},       {"HANDED_OFF", ""}, {"FAILED", "r"},   {"EXPIRED", "r"},
    {"CANCELLED", "r"}, {"UNKNOWN", "csa"},
};

static void check_allowed(const struct state_row *row, int operation, char letter)
{
    bool wanted = strchr(row->allowed, letter) != NULL;
    if (operate_allowed(operation, state_parse(row->state)) != wanted) {
        fail_msg("%s, operation %c: wanted %d", row->state, letter, wanted);
    }
}

static void each_operation_has_its_states(void **unused)
{
    (void)unused;
    assert_int_equal(sizeof state_rows / sizeof state_rows[0], STATE_COUNT - 1);
    for (size_t i = 0; i < sizeof state_rows / sizeof state_rows[0]; i++) {
        check_allowed(&state_rows[i], OPERATION(CANCEL), 'c');
        check_allowed(&state_rows[i], OPERATION(RETRY), 'r');
        check_allowed(&state_rows[i], OPERATION(RESOLVE_SENT), 's');
        check_allowed(&state_rows[i], OPERATION(RESOLVE_RESEND), 'a');
    }
}

static void check_moves(int operation, enum state to)
{
    for (int from = STATE_ACCEPTED; from < STATE_COUNT; from++) {
        if (operate_allowed(operation, (enum state)from) &&
            !state_may_move((enum state)from, to)) {
            fail_msg("operation %d: no move from %s to %s", operation,
                     state_name((enum state)from), state_name(to));
        }
    }
}

static void what_an_operation_makes_is_an_allowed_move(void **unused)
{
    (void)unused;
    check_moves(OPERATION(CANCEL), STATE_CANCELLED);
    check_moves(OPERATION(RETRY), STATE_ACCEPTED);
    check_moves(OPERATION(RESOLVE_RESEND), STATE_ACCEPTED);
    check_moves(OPERATION(RESOLVE_SENT), STATE_SENT);
    check_moves(OPERATION(RESOLVE_SENT), STATE_FAILED); /* some were refused */
}

struct recipient_row {
    const char *name;
    int operation;
    enum state state;
    int outcome, phase;               /* before */
    int wanted_outcome, wanted_phase; /* after; as before: nothing changed */
    const char *wanted_text;
};

#define O(name) PB_OUTCOME(name)
#define P(name) PB_PHASE(name)

static const struct recipient_row recipient_rows[] = {
    {"cancel: not tried yet", OPERATION(CANCEL), STATE_ACCEPTED, O(PENDING), P(UNSPECIFIED),
     O(REFUSED), P(BROKER), who},
    {"cancel: the last reply stays", OPERATION(CANCEL), STATE_DEFERRED, O(DEFERRED), P(RCPT),
     O(REFUSED), P(RCPT), "450 later"},
    {"cancel: marked stays unknown", OPERATION(CANCEL), STATE_ACCEPTED, O(PENDING),
     P(FINAL_DOT), O(UNKNOWN), P(FINAL_DOT), ""},
    {"cancel: unknown stays", OPERATION(CANCEL), STATE_UNKNOWN, O(UNKNOWN), P(FINAL_DOT),
     O(UNKNOWN), P(FINAL_DOT), ""},
    {"cancel: delivered stays", OPERATION(CANCEL), STATE_DEFERRED, O(DELIVERED), P(FINAL_DOT),
     O(DELIVERED), P(FINAL_DOT), "250 ok"},
    {"retry: refused, forgotten", OPERATION(RETRY), STATE_FAILED, O(REFUSED), P(RCPT),
     O(PENDING), P(UNSPECIFIED), ""},
    {"retry: delivered stays", OPERATION(RETRY), STATE_FAILED, O(DELIVERED), P(FINAL_DOT),
     O(DELIVERED), P(FINAL_DOT), "250 ok"},
    {"retry: unknown is marked", OPERATION(RETRY), STATE_CANCELLED, O(UNKNOWN), P(FINAL_DOT),
     O(PENDING), P(FINAL_DOT), ""},
    {"retry of a deferred one: refused stays", OPERATION(RETRY), STATE_DEFERRED, O(REFUSED),
     P(RCPT), O(REFUSED), P(RCPT), "550 no"},
    {"retry of a deferred one: deferred stays", OPERATION(RETRY), STATE_DEFERRED, O(DEFERRED),
     P(RCPT), O(DEFERRED), P(RCPT), "450 later"},
    {"sent", OPERATION(RESOLVE_SENT), STATE_UNKNOWN, O(UNKNOWN), P(FINAL_DOT), O(DELIVERED),
     P(BROKER), who},
    {"sent: refused stays", OPERATION(RESOLVE_SENT), STATE_UNKNOWN, O(REFUSED), P(RCPT),
     O(REFUSED), P(RCPT), "550 no"},
    {"resend: marked by its phase", OPERATION(RESOLVE_RESEND), STATE_UNKNOWN, O(UNKNOWN),
     P(FINAL_DOT), O(PENDING), P(FINAL_DOT), ""},
    {"resend: a mark is made", OPERATION(RESOLVE_RESEND), STATE_UNKNOWN, O(UNKNOWN),
     P(UNSPECIFIED), O(PENDING), P(BROKER), ""},
    {"resend: delivered stays", OPERATION(RESOLVE_RESEND), STATE_UNKNOWN, O(DELIVERED),
     P(FINAL_DOT), O(DELIVERED), P(FINAL_DOT), "250 ok"},
};

static const char *text_of(int outcome)
{
    switch (outcome) {
    case O(DELIVERED):
        return "250 ok";
    case O(REFUSED):
        return "550 no";
    case O(DEFERRED):
        return "450 later";
    default:
        return "";
    }
}

static void check_recipient(const struct recipient_row *row)
{
    PB(RecipientResult) one = PB_INIT(RECIPIENT_RESULT);
    one.outcome = (Trackpro__Notify__V1__Outcome)row->outcome;
    one.phase = (Trackpro__Notify__V1__Phase)row->phase;
    one.text = (char *)(uintptr_t)text_of(row->outcome);
    bool changed = operate_recipient(row->operation, row->state, &one, who);
    if ((int)one.outcome != row->wanted_outcome || (int)one.phase != row->wanted_phase ||
        strcmp(one.text, row->wanted_text) != 0) {
        fail_msg("%s: outcome %d phase %d text \"%s\"", row->name, (int)one.outcome,
                 (int)one.phase, one.text);
    }
    if (changed != (row->outcome != row->wanted_outcome)) {
        fail_msg("%s: changed %d", row->name, changed);
    }
}

static void each_recipient_gets_its_outcome(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof recipient_rows / sizeof recipient_rows[0]; i++) {
        check_recipient(&recipient_rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_has_its_states),
        cmocka_unit_test(what_an_operation_makes_is_an_allowed_move),
        cmocka_unit_test(each_recipient_gets_its_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
