/* When a deferred request is tried again. */
#ifndef TPN_RETRY_H
#define TPN_RETRY_H

#include "broker_conf.h"

#include <stdbool.h>
#include <stdint.h>

/* Wall clock in ms of the attempt after `attempt` (1 and up) that ended at now_ms: the configured delay, ±20 % by
 * chance, so that what failed together does not come back together. Not after expire_at_ms (0 = never). */
int64_t retry_next_ms(const struct broker_conf *conf, uint32_t attempt, int64_t now_ms,
                      int64_t expire_at_ms);

/* Too old to be tried again. */
bool retry_is_over(const struct broker_conf *conf, int64_t accepted_at_ms, int64_t now_ms);

#endif
