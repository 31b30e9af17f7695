/* Forgetting: requests that have been final for longer than the retention time go, with their key and their history.
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
    uint64_t forgotten; /* rows, in this round of steps */
    bool asking; /* an op is on its way; it comes back here, so this must outlive the ledger */
    bool stopped;
};

/* Start: the first look is a minute from now. ledger and loop are borrowed. */
void retention_init(struct retention *retention, struct loop *loop, struct ledger *ledger,
                    uint64_t keep_ms);

/* Ask for nothing more; an op on its way is let through. Accepts a zeroed one. */
void retention_fini(struct retention *retention);

#endif
