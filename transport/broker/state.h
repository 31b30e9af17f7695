/* The states of a request, and which may follow which. design: ARCHITECTURE.md "Life of a request".
 *
 *            ┌────────── lease lost, given back ─────────┐
 *            ▼                                            │
 *   accept ► ACCEPTED ──lease──► LEASED ──permit──► PERMITTED ──result──► SENT · HANDED_OFF · FAILED
 *            ▲  │  ▲               │                  │    │
 *            │  │  └── due ── DEFERRED ◄──────────────┘    └─ worker lost ─► UNKNOWN
 *            │  └─ too late, cancelled ─► EXPIRED · CANCELLED            (policy or a person moves it on)
 *            └──── redrive of FAILED, EXPIRED, CANCELLED, UNKNOWN
 *
 * The numbers are those of the protobuf enum State. */
#ifndef TPN_STATE_H
#define TPN_STATE_H

#include <stdbool.h>

enum state {
    STATE_NONE = 0, /* before it is accepted */
    STATE_ACCEPTED = 1,
    STATE_LEASED = 2,
    STATE_PERMITTED = 3,
    STATE_DEFERRED = 4,
    STATE_SENT = 5,
    STATE_HANDED_OFF = 6,
    STATE_FAILED = 7,
    STATE_EXPIRED = 8,
    STATE_CANCELLED = 9,
    STATE_UNKNOWN = 10,
    STATE_COUNT
};

/* Name as in topics and for people, "ACCEPTED"; borrowed. */
const char *state_name(enum state state);

/* State by its name; STATE_NONE when there is none. */
enum state state_parse(const char *name);

/* Nothing happens to it any more by itself: its body may go. UNKNOWN waits for a policy or a person and is not final. */
bool state_is_final(enum state state);

/* May a request in `from` become `to`? The one table of allowed moves. */
bool state_may_move(enum state from, enum state to);

#endif
