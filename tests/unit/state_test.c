/* The table of states: every state named, reachable and left; no move that the design does not have. */
#include "pb.h"
#include "state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_state_has_its_name_on_the_wire(void **unused)
{
    (void)unused;
    for (int i = STATE_ACCEPTED; i < STATE_COUNT; i++) {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(PB_DESCRIPTOR(state), i);
        assert_non_null(value);
        assert_string_equal(value->name + strlen("STATE_"), state_name((enum state)i));
        assert_int_equal(state_parse(state_name((enum state)i)), i);
    }
    assert_int_equal(state_parse("NO_SUCH"), STATE_NONE);
}

static void every_state_is_reachable_and_left(void **unused)
{
    (void)unused;
    bool reached[STATE_COUNT] = {[STATE_NONE] = true};
    for (int round = 0; round < STATE_COUNT; round++) {
        for (int from = 0; from < STATE_COUNT; from++) {
            for (int to = 0; to < STATE_COUNT; to++) {
                if (reached[from] && state_may_move((enum state)from, (enum state)to)) {
                    reached[to] = true;
                }
            }
        }
    }
    for (int i = 0; i < STATE_COUNT; i++) {
        bool left = false;
        for (int to = 0; to < STATE_COUNT; to++) {
            left = left || state_may_move((enum state)i, (enum state)to);
        }
        assert_true(reached[i]);
        assert_true(left || state_is_final((enum state)i));
    }
}

struct move_row {
    const char *name;
    enum state from, to;
    bool allowed;
};

static const struct move_row moves[] = {
    {"a request is accepted first", STATE_NONE, STATE_LEASED, false},
    {"nothing is sent without a lease", STATE_ACCEPTED, STATE_SENT, false},
    {"nothing is permitted without a lease", STATE_ACCEPTED, STATE_PERMITTED, false},
    {"a lost lease goes back", STATE_LEASED, STATE_ACCEPTED, true},
    {"what was sent stays sent", STATE_SENT, STATE_ACCEPTED, false},
    {"what was handed over stays so", STATE_HANDED_OFF, STATE_ACCEPTED, false},
    {"a permit may end unknown", STATE_PERMITTED, STATE_UNKNOWN, true},
    {"a permitted request does not expire", STATE_PERMITTED, STATE_EXPIRED, false},
    {"a permitted request is not cancelled", STATE_PERMITTED, STATE_CANCELLED, false},
    {"a late report decides what was unknown", STATE_UNKNOWN, STATE_SENT, true},
    {"a late report of one part leaves the others unknown", STATE_UNKNOWN, STATE_UNKNOWN, true},
    {"a failed request can be redriven", STATE_FAILED, STATE_ACCEPTED, true},
    {"a deferred request can expire", STATE_DEFERRED, STATE_EXPIRED, true},
};

static void moves_are_as_designed(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        if (state_may_move(moves[i].from, moves[i].to) != moves[i].allowed) {
            fail_msg("%s: %s to %s", moves[i].name, state_name(moves[i].from),
                     state_name(moves[i].to));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_has_its_name_on_the_wire),
        cmocka_unit_test(every_state_is_reachable_and_left),
        cmocka_unit_test(moves_are_as_designed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
