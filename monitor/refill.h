/* Fetching what the status topic did not bring: the events between two places, asked for with REPLAY, page by page.
 *
 * One gap at a time. It gives up when the broker is silent for REFILL_PATIENCE_MS; then whoever asked goes on without. */
#ifndef TPN_REFILL_H
#define TPN_REFILL_H

#include "bus.h"
#include "loop.h"
#include "pb.h"

#include <stdbool.h>
#include <stdint.h>

enum { REFILL_PATIENCE_MS = 5000, REFILL_PAGE = 500 };

/* A place in the stream of events. */
struct place {
    uint64_t epoch;
    uint64_t sequence;
};

struct refill {
    struct bus *bus;
    struct loop_timer patience;
    bool busy;
    bool sent; /* the question of this page */
    struct place after;
    struct place until;
    void (*event)(void *arg, const PB(StatusEvent) *event); /* in order */
    void (*over)(void *arg); /* all that is kept of the gap was given, or none will be */
    void *arg;
};

/* endpoint: admin or submit socket of the broker. The callbacks are set by the caller before. */
enum err refill_start(struct refill *refill, struct loop *loop, void *context,
                      const char *endpoint, const struct bus_lock *lock,
                      struct err_text *why) NODISCARD;
/* Accepts one that was never started. */
void refill_stop(struct refill *refill);

/* Ask for what lies behind after, up to until (it included). Not while busy. */
void refill_ask(struct refill *refill, struct place after, struct place until);

/* Forget the question; `over` is not called. */
void refill_give_up(struct refill *refill);

/* For the before-wait hook. */
void refill_pump(struct refill *refill);

#endif
