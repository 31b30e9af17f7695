/* Breakers. A failure or a success of a lease that was given before it opened is no verdict of the probe: only the probe
 * decides while it is not CLOSED, so late news of a worker neither lengthen the wait nor let a crowd through. */
#include "breaker.h"

#include <stdio.h>

enum breaker_say breaker_ask(struct breaker *breaker, int64_t now_ms, int64_t *until_ms)
{
    *until_ms = 0;
    if (breaker->state == BREAKER_CLOSED) {
        return BREAKER_GOES;
    }
    if (breaker->state == BREAKER_OPEN && breaker->until_ms != 0 &&
        breaker->until_ms <= now_ms) {
        breaker->state = BREAKER_HALF_OPEN;
        breaker->probe = 0;
    }
    if (breaker->state == BREAKER_HALF_OPEN && breaker->probe == 0) {
        return BREAKER_GOES_PROBE;
    }
    *until_ms = breaker->state == BREAKER_OPEN ? breaker->until_ms : 0;
    return BREAKER_WAITS;
}

void breaker_probe(struct breaker *breaker, uint64_t lease)
{
    breaker->probe = lease;
}

static void open_it(struct breaker *breaker, const struct breaker_plan *plan, int64_t now_ms)
{
    if (breaker->since_ms == 0) {
        breaker->since_ms = now_ms;
        breaker->wait_ms = plan->first_ms;
    } else if (breaker->wait_ms == 0) { /* of an earlier start: only its end was kept */
        breaker->wait_ms = plan->first_ms;
    } else if (breaker->wait_ms < plan->most_ms) {
        breaker->wait_ms =
            breaker->wait_ms * 2 < plan->most_ms ? breaker->wait_ms * 2 : plan->most_ms;
    }
    breaker->state = BREAKER_OPEN;
    breaker->until_ms = plan->first_ms != 0 ? now_ms + breaker->wait_ms : 0;
    breaker->probe = 0;
}

bool breaker_fail(struct breaker *breaker, const struct breaker_plan *plan, uint64_t lease,
                  int64_t now_ms, const char *why)
{
    bool probe = breaker->state == BREAKER_HALF_OPEN && breaker->probe == lease;
    if (breaker->state != BREAKER_CLOSED && !probe) {
        return false;
    }
    if (!probe && breaker->failures > 0 && now_ms - breaker->failed_ms < plan->gap_ms) {
        return false;
    }
    (void)snprintf(breaker->why, sizeof breaker->why, "%s", why);
    breaker->failed_ms = now_ms;
    breaker->failures++;
    if (!probe && breaker->failures < plan->failures) {
        return false;
    }
    open_it(breaker, plan, now_ms);
    return true;
}

bool breaker_good(struct breaker *breaker, uint64_t lease)
{
    if (breaker->state == BREAKER_CLOSED) {
        breaker->failures = 0;
        return false;
    }
    if (breaker->state != BREAKER_HALF_OPEN || breaker->probe != lease) {
        return false;
    }
    *breaker = (struct breaker){.state = BREAKER_CLOSED};
    return true;
}

void breaker_over(struct breaker *breaker, uint64_t lease)
{
    if (breaker->probe == lease) {
        breaker->probe = 0;
    }
}

bool breaker_release(struct breaker *breaker)
{
    if (breaker->state != BREAKER_OPEN) {
        return false;
    }
    breaker->state = BREAKER_HALF_OPEN;
    breaker->probe = 0;
    return true;
}
