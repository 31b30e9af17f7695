/* Forgetting: requests that have been final for longer than the retention time go, with their key; whole days of history
 * and audit go when they are older than a retention time of their own.
 *
 * A timer looks once a minute; a backlog goes in bounded steps, one op a batch of the ledger, so that no commit waits long
 * for it. What is not final (UNKNOWN included) is never forgotten. */
#ifndef TPN_RETENTION_H
#define TPN_RETENTION_H

#include "ledger.h"
#include "loop.h"

#include <stdbool.h>
#include <stdint.h>

enum { RETENTION_STEP_ROWS = 500, RETENTION_PERIOD_MS = 60000 };

struct retention {
    struct ledger *ledger;
    struct loop_timer timer;
    uint64_t keep_ms;
    uint64_t keep_history_ms;
    uint64_t forgotten; /* rows, in this round of steps */
    uint64_t forgotten_entries;
    bool asking; /* an op is on its way; it comes back here, so this must outlive the ledger */
    bool stopped;
};

/* Start: the first look is a minute from now. ledger and loop are borrowed. What a request was told to do is kept at least as
 * long as the request: a shorter keep_history_ms counts as keep_ms. */
void retention_init(struct retention *retention, struct loop *loop, struct ledger *ledger,
                    uint64_t keep_ms, uint64_t keep_history_ms);

/* Ask for nothing more; an op on its way is let through. Accepts a zeroed one. */
void retention_fini(struct retention *retention);

#endif
