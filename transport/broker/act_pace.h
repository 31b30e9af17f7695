/* How fast operators act: a thousand requests at once are as many moves of the store, and producers and workers have to get
 * their turns between them. An act on many requests is followed by a pause in proportion; what comes meanwhile waits in its
 * order, and beyond ACT_PACE_WAITING it is refused. One act on one request costs a fifth of a millisecond. */
#ifndef TPN_ACT_PACE_H
#define TPN_ACT_PACE_H

#include "loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACT_PACE_A_SECOND = 5000, ACT_PACE_WAITING = 32 };

struct operation;

struct act_pace {
    struct loop_timer timer;
    int64_t free_us; /* monotonic: from then on the next may start */
    struct operation *waiting[ACT_PACE_WAITING]; /* in their order */
    size_t count;
    void (*start)(struct operation *operation);
};

enum act_pace_turn { ACT_PACE_NOW, ACT_PACE_LATER, ACT_PACE_FULL };

/* start is called for what had to wait. */
void act_pace_init(struct act_pace *pace, struct loop *loop,
                   void (*start)(struct operation *operation));

/* May it start? LATER: it was taken over, and will be started. FULL: it was not. */
enum act_pace_turn act_pace_take(struct act_pace *pace, struct operation *operation);

/* An operation acts on so many requests. */
void act_pace_charge(struct act_pace *pace, size_t requests);

/* Give back what still waits, one by one; null at the end. Then nothing is started any more. */
struct operation *act_pace_stop(struct act_pace *pace);

#endif
