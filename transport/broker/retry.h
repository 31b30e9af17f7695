/* When a deferred request is tried again. */
#ifndef TPN_RETRY_H
#define TPN_RETRY_H

#include "broker_conf.h"
#include "profile.h"

#include <stdbool.h>
#include <stdint.h>

/* The schedule of one request: its profile's, and what the profile does not say, the broker's. */
struct retry_plan {
    uint32_t delays_ms[BROKER_RETRY_STEPS]; /* the last one repeats */
    uint32_t steps;                         /* 1 and up */
    uint64_t max_age_ms;
};

/* profile null = the broker's schedule. */
struct retry_plan retry_plan_of(const struct broker_conf *conf, const struct profile *profile);

/* Wall clock in ms of the attempt after `attempt` (1 and up) that ended at now_ms: the planned delay, ±20 % by
 * chance, so that what failed together does not come back together. Not after expire_at_ms (0 = never). */
int64_t retry_next_ms(const struct retry_plan *plan, uint32_t attempt, int64_t now_ms,
                      int64_t expire_at_ms);

/* Too old to be tried again. */
bool retry_is_over(const struct retry_plan *plan, int64_t accepted_at_ms, int64_t now_ms);

#endif
