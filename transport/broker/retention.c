/* The timer and the steps of forgetting.
 *
 * The rule of what is old stands in the store (STORE_SWEEP); here stands only when to ask. While the store cannot commit, the
 * op comes back refused and the next look is a minute later, like any other. A wall clock that was set back keeps more, never
 * less; one that was set forward forgets early, so a host's clock should be kept right (NTP). */
#include "retention.h"

#include "clock.h"
#include "log.h"

#include <inttypes.h>

static void ask(struct retention *retention);

static void answered(void *arg, struct ledger_op *op)
{
    struct retention *retention = arg;
    retention->asking = false;
    if (op->store.result == STORE_DONE) {
        retention->forgotten += op->store.sweep.swept;
        retention->forgotten_entries += op->store.sweep.history_swept;
        bool full = op->store.sweep.swept == RETENTION_STEP_ROWS ||
                    op->store.sweep.history_swept == RETENTION_STEP_ROWS;
        if ((full || op->store.sweep.more) && !retention->stopped) {
            ask(retention);
            return;
        }
    }
    if (retention->forgotten > 0 || retention->forgotten_entries > 0) {
        log_info("retention", "forgotten=%" PRIu64 " entries=%" PRIu64, retention->forgotten,
                 retention->forgotten_entries);
        retention->forgotten = 0;
        retention->forgotten_entries = 0;
    }
    if (!retention->stopped) {
        loop_timer_arm(&retention->timer, RETENTION_PERIOD_MS);
    }
}

static void ask(struct retention *retention)
{
    struct ledger_op *op = ledger_op_new(STORE_SWEEP, answered, retention);
    op->store.sweep.before_ms = clock_wall_ms() - (int64_t)retention->keep_ms;
    op->store.sweep.history_before_ms = clock_wall_ms() - (int64_t)retention->keep_history_ms;
    op->store.sweep.limit = RETENTION_STEP_ROWS;
    retention->asking = true;
    ledger_add(retention->ledger, op);
}

static void look(void *arg)
{
    struct retention *retention = arg;
    if (!retention->asking) {
        ask(retention);
    }
}

void retention_init(struct retention *retention, struct loop *loop, struct ledger *ledger,
                    uint64_t keep_ms, uint64_t keep_history_ms)
{
    *retention = (struct retention){.ledger = ledger,
                                    .keep_ms = keep_ms,
                                    .keep_history_ms =
                                        keep_history_ms > keep_ms ? keep_history_ms : keep_ms};
    loop_timer_init(&retention->timer, loop, look, retention);
    loop_timer_arm(&retention->timer, RETENTION_PERIOD_MS);
}

void retention_fini(struct retention *retention)
{
    retention->stopped = true;
    if (retention->timer.loop != NULL) {
        loop_timer_disarm(&retention->timer);
    }
}
