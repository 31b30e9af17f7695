/* Where a request can go now: what the pauses, the brakes of its profile, its times and the pool say. */
#ifndef TPN_PLACE_H
#define TPN_PLACE_H

#include "brake.h"
#include "request.h"
#include "roster.h"

#include <stdbool.h>
#include <stdint.h>

struct broker;

enum place_way {
    PLACE_WAIT,  /* nowhere now */
    PLACE_ASIDE, /* nowhere now, and others of its lane may go: a recipient's domain is paused */
    PLACE_TO_WORKER,
    PLACE_TOO_LATE,  /* its expire_at_ms has passed */
    PLACE_NO_LOOKING /* nobody can find out what became of its earlier attempt */
};

struct place {
    enum place_way way;
    struct worker *worker;         /* TO_WORKER */
    const struct profile *profile; /* TO_WORKER: null = settings of the request */
    bool failover;                 /* profile is not the request's own, which fails */
    struct brake_answer
        brake;         /* TO_WORKER with a profile: for how many recipients, as whose probe */
    uint32_t per_mail; /* most recipients of one mail */
};

/* With PLACE_WAIT the schedule is told when to ask again, as far as that is a matter of time. */
struct place place_find(struct broker *broker, struct request *request);

/* Until when the profile's quiet hours hold a request of that priority; 0 = they do not. */
int64_t place_quiet_until_ms(const struct profile *profile, int priority, int64_t now_ms);

/* Has its expire_at_ms passed before it could be sent? */
bool place_too_late(const struct request *request, int64_t now_ms);

#endif
