/* Tests of settings (PROBE): handed to a worker, answered to who asked. Nothing of it is durable, no mail is sent.
 *
 *   PROBE (submit, admin) ─► check ─► a worker that can probe ─► PROBED ─► PROBED
 *                                        └─ gone, or silent for too long ─► PROBED with the step WORKER failed
 *
 * One test of a profile at a time: each may be a login, and too many of them lock an account. */
#ifndef TPN_PROBE_DESK_H
#define TPN_PROBE_DESK_H

#include "bus.h"
#include "pb.h"

#include "store.h"

#include <stdint.h>

struct broker;
struct worker;

enum { PROBE_DESK_ASKS = 32 };

/* A test under way. */
struct probe_ask {
    uint64_t number; /* 0 = this place is free */
    struct bus *bus; /* where the client is */
    struct wire_peer client;
    struct wire_peer worker;
    char profile[STORE_PROFILE_BYTES]; /* "" = settings of its own */
    int64_t until_ms;                  /* monotonic */
};

/* Zeroed = nothing is under way. */
struct probe_desk {
    struct probe_ask asks[PROBE_DESK_ASKS];
    uint64_t last; /* number of the newest */
};

/* PROBE of a client: answered at once by ERROR (bad input, too many), else by one PROBED. */
void probe_desk_ask(struct broker *broker, struct bus *bus, struct wire_in *in);

/* PROBED of a worker. One that nobody waits for (any more) is left alone. */
void probe_desk_answer(struct broker *broker, const struct worker *worker,
                       PB(ProbeReport) *report);

/* Once a heartbeat: those whose worker is gone or silent. */
void probe_desk_tick(struct broker *broker);

#endif
