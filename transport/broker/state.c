/* The table of states. A move that is not in it is a bug of ours, and the caller stops there. */
#include "state.h"

#include "pb.h"

#include <string.h>

#define TO(name) (1u << STATE_##name)

struct state_row {
    const char *name;
    bool final;
    unsigned next; /* mask of TO(…) */
};

static const struct state_row rows[STATE_COUNT] = {
    [STATE_NONE] = {"NONE", false, TO(ACCEPTED)},
    [STATE_ACCEPTED] = {"ACCEPTED", false,
                        TO(LEASED) | TO(EXPIRED) | TO(CANCELLED) | TO(FAILED)},
    /* A result without a permit: refused before any content (550 to every RCPT, no such folder). */
    [STATE_LEASED] = {"LEASED", false,
                      TO(ACCEPTED) | TO(PERMITTED) | TO(DEFERRED) | TO(FAILED) | TO(SENT) |
                          TO(HANDED_OFF) | TO(UNKNOWN) | TO(CANCELLED)},
    /* To itself: one part of a split request was reported, others are under way.
     * To ACCEPTED: only when the worker says that nothing was sent. */
    [STATE_PERMITTED] = {"PERMITTED", false,
                         TO(PERMITTED) | TO(ACCEPTED) | TO(SENT) | TO(HANDED_OFF) | TO(FAILED) |
                             TO(DEFERRED) | TO(UNKNOWN)},
    [STATE_DEFERRED] = {"DEFERRED", false,
                        TO(LEASED) | TO(EXPIRED) | TO(CANCELLED) | TO(FAILED) | TO(ACCEPTED) |
                            TO(UNKNOWN)},
    [STATE_SENT] = {"SENT", true, 0},
    [STATE_HANDED_OFF] = {"HANDED_OFF", true, 0},
    [STATE_FAILED] = {"FAILED", true, TO(ACCEPTED)},
    [STATE_EXPIRED] = {"EXPIRED", true, TO(ACCEPTED)},
    [STATE_CANCELLED] = {"CANCELLED", true, TO(ACCEPTED)},
    /* A late report of the worker, a policy or a person settles it. To itself: one part of a
     * split request was reported late, the others are still unknown. */
    [STATE_UNKNOWN] = {"UNKNOWN", false,
                       TO(UNKNOWN) | TO(SENT) | TO(HANDED_OFF) | TO(FAILED) | TO(ACCEPTED) |
                           TO(CANCELLED) | TO(DEFERRED)},
};

_Static_assert((int)STATE_UNKNOWN == (int)PB_STATE(UNKNOWN), "numbers are those of the wire");
_Static_assert((int)STATE_SENT == (int)PB_STATE(SENT), "numbers are those of the wire");

const char *state_name(enum state state)
{
    return (unsigned)state < STATE_COUNT ? rows[state].name : "?";
}

enum state state_parse(const char *name)
{
    for (int i = STATE_ACCEPTED; i < STATE_COUNT; i++) {
        if (strcmp(name, rows[i].name) == 0) {
            return (enum state)i;
        }
    }
    return STATE_NONE;
}

bool state_is_final(enum state state)
{
    return rows[state].final;
}

bool state_may_move(enum state from, enum state to)
{
    return (rows[from].next & (1u << to)) != 0;
}
