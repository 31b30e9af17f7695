/* The pace of acts. It counts requests, not messages, and knows nothing of what an act does. */
#include "act_pace.h"

#include "clock.h"

#include <string.h>

enum { SECOND_US = 1000000 };

static void arm(struct act_pace *pace)
{
    int64_t wait_us = pace->free_us - clock_mono_us();
    loop_timer_arm(&pace->timer, wait_us > 0 ? (wait_us + 999) / 1000 : 0);
}

static void next(void *arg)
{
    struct act_pace *pace = arg;
    if (pace->count == 0) {
        return;
    }
    if (clock_mono_us() < pace->free_us) {
        arm(pace);
        return;
    }
    struct operation *operation = pace->waiting[0];
    memmove(pace->waiting, pace->waiting + 1, --pace->count * sizeof(struct operation *));
    pace->start(operation);
    if (pace->count > 0) {
        arm(pace);
    }
}

void act_pace_init(struct act_pace *pace, struct loop *loop,
                   void (*start)(struct operation *operation))
{
    *pace = (struct act_pace){.start = start};
    loop_timer_init(&pace->timer, loop, next, pace);
}

enum act_pace_turn act_pace_take(struct act_pace *pace, struct operation *operation)
{
    if (pace->count == 0 && clock_mono_us() >= pace->free_us) {
        return ACT_PACE_NOW;
    }
    if (pace->count == ACT_PACE_WAITING) {
        return ACT_PACE_FULL;
    }
    pace->waiting[pace->count++] = operation;
    if (!loop_timer_armed(&pace->timer)) {
        arm(pace);
    }
    return ACT_PACE_LATER;
}

void act_pace_charge(struct act_pace *pace, size_t requests)
{
    int64_t now_us = clock_mono_us();
    int64_t from_us = pace->free_us > now_us ? pace->free_us : now_us;
    pace->free_us = from_us + (int64_t)requests * SECOND_US / ACT_PACE_A_SECOND;
}

struct operation *act_pace_stop(struct act_pace *pace)
{
    if (pace->timer.loop != NULL) {
        loop_timer_disarm(&pace->timer);
    }
    return pace->count > 0 ? pace->waiting[--pace->count] : NULL;
}
