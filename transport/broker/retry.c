/* The retry schedule. RFC 5321 4.5.4.1 asks relays for 30 minutes; a submission client to its own server may go faster. */
#include "retry.h"

#include <stdlib.h>
#include <sys/random.h>

enum { JITTER_PERCENT = 20 };

/* -JITTER_PERCENT … +JITTER_PERCENT of delay. */
static int64_t jitter(int64_t delay_ms)
{
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != (ssize_t)sizeof chance) {
        return 0;
    }
    int64_t width = delay_ms * 2 * JITTER_PERCENT / 100;
    return width > 0 ? (int64_t)(chance % (uint64_t)(width + 1)) - width / 2 : 0;
}

int64_t retry_next_ms(const struct broker_conf *conf, uint32_t attempt, int64_t now_ms,
                      int64_t expire_at_ms)
{
    uint32_t step = attempt > 0 ? attempt - 1 : 0;
    if (step >= conf->retry_steps) {
        step = conf->retry_steps - 1;
    }
    int64_t delay_ms = conf->retry_ms[step];
    int64_t next_ms = now_ms + delay_ms + jitter(delay_ms);
    return expire_at_ms != 0 && next_ms > expire_at_ms ? expire_at_ms : next_ms;
}

bool retry_is_over(const struct broker_conf *conf, int64_t accepted_at_ms, int64_t now_ms)
{
    return now_ms - accepted_at_ms >= conf->retry_max_age_ms;
}
