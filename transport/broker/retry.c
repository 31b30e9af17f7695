/* The retry schedule. RFC 5321 4.5.4.1 asks relays for 30 minutes; a submission client to its own server may go faster. */
#include "retry.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>
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

struct retry_plan retry_plan_of(const struct broker_conf *conf, const struct profile *profile)
{
    struct retry_plan plan = {.steps = conf->retry_steps, .max_age_ms = conf->retry_max_age_ms};
    memcpy(plan.delays_ms, conf->retry_ms, sizeof plan.delays_ms);
    if (profile != NULL && profile->retry_delays.count > 0) {
        plan.steps = 0;
        for (size_t i = 0; i < profile->retry_delays.count && i < BROKER_RETRY_STEPS; i++) {
            uint64_t ms = 0;
            struct err_text why;
            if (conf_duration(profile->retry_delays.items[i], &ms, &why) != ERR_OK) {
                bug("retry_delays[%zu] was not checked", i);
            }
            plan.delays_ms[plan.steps++] = (uint32_t)ms;
        }
    }
    if (profile != NULL && profile->max_age_ms != 0) {
        plan.max_age_ms = profile->max_age_ms;
    }
    return plan;
}

int64_t retry_next_ms(const struct retry_plan *plan, uint32_t attempt, int64_t now_ms,
                      int64_t expire_at_ms)
{
    uint32_t step = attempt > 0 ? attempt - 1 : 0;
    if (step >= plan->steps) {
        step = plan->steps - 1;
    }
    int64_t delay_ms = plan->delays_ms[step];
    int64_t next_ms = now_ms + delay_ms + jitter(delay_ms);
    return expire_at_ms != 0 && next_ms > expire_at_ms ? expire_at_ms : next_ms;
}

bool retry_is_over(const struct retry_plan *plan, int64_t accepted_at_ms, int64_t now_ms)
{
    return now_ms - accepted_at_ms >= (int64_t)plan->max_age_ms;
}
