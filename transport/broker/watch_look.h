/* One look through the requests of the store: how many of those that are expected came in a span of time. */
#ifndef TPN_WATCH_LOOK_H
#define TPN_WATCH_LOOK_H

#include "sieve.h"
#include "state.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct expectation;

/* Texts are owned; the caller fills the first part, and watch_look_start copies what it needs of the expectation. */
struct watch_look {
    struct broker *broker;
    uint64_t generation;
    int64_t deadline_ms; /* it decides about that one; 0 = whether a silence is over */
    int64_t from_ms;     /* both included */
    int64_t until_ms;
    bool all; /* find the newest, too; else it ends when it has seen enough */
    uint64_t
        after; /* in: begin behind this request; out: the next look may begin here, if it counts from no earlier */

    char *name;
    struct sieve sieve; /* profile, producer and label of what is expected */
    bool delivered;
    uint64_t at_least;

    bool failed; /* the store could not be read */
    uint64_t seen;
    uint64_t accepted;
    int64_t newest_ms;     /* of those seen */
    int64_t began_us;      /* monotonic */
    enum state last_state; /* of the last one that was accepted in that time */
    char last_reason[STORE_REASON_BYTES];
    bool passing; /* every request so far can be passed over for good */
};

/* Read page by page, between the store's other work; then watches_judge is called. Takes the look over. */
void watch_look_start(struct watch_look *look, const char *name,
                      const struct expectation *what);

#endif
