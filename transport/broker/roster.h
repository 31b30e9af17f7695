/* The workers of the pool: who is there, what each can do, how many jobs it takes, what it is to be told.
 *
 * A worker is known from its READY until it says BYE, cannot be reached, or is silent for too long; what it held then goes
 * to lease_lost_worker. Permits and acknowledgements are collected and go out once a loop turn. */
#ifndef TPN_ROSTER_H
#define TPN_ROSTER_H

#include "broker_conf.h"
#include "bus.h"
#include "map.h"
#include "parcel.h"
#include "pb.h"
#include "request.h"
#include "settings.h"

#include <stdbool.h>
#include <stddef.h>

enum { ROSTER_CAPABILITIES = 32, ROSTER_MAX_WORKERS = 10000, ROSTER_MAX_CREDIT = 100000 };

/* Lease and part numbers waiting to be told. */
struct part_list {
    PB(Part) *items;
    size_t count;
    size_t room;
};

struct worker {
    struct wire_peer peer;
    char name[STORE_WORKER_BYTES];
    char instance[STORE_WORKER_BYTES];
    char user[WIRE_USER_BYTES]; /* its key; "" without keys */
    char *capabilities[ROSTER_CAPABILITIES];
    size_t capability_count;
    bool knows_jobs; /* JOBS, so that several leave in one message */
    uint32_t credit;
    struct request_list leased;
    uint32_t leased_count;
    uint32_t suspects; /* of its leases: requests that lost a worker before (poison.h) */
    int64_t heard_ms;  /* monotonic */
    int64_t heard_wall_ms;
    bool leaving;             /* gets no more jobs */
    bool said_bye;            /* it leaves in good order: its loss speaks against no request */
    bool gone;                /* could not be reached: buried at the end of the turn */
    struct map *profiles;     /* versions it was given, as keys */
    struct share_seat *seats; /* what it has of profiles' connections (share.h); a list */
    struct map *loads;        /* its jobs: struct share_load by brake (share.h) */
    struct parcel parcel;     /* jobs that leave for it in this turn */
    struct part_list granted;
    struct part_list denied;
    struct part_list settled;
    TAILQ_ENTRY(worker) link;
};

TAILQ_HEAD(worker_list, worker);

struct roster {
    struct worker_list workers;
    struct map *by_peer;
    size_t count;
};

/* Empty. */
void roster_init(struct roster *roster);
/* Forget all workers; whatever they hold is somebody else's business. */
void roster_fini(struct roster *roster);

/* The worker behind a routing id; null when it has not said READY. */
struct worker *roster_find(const struct roster *roster, const struct wire_peer *peer);

/* READY: a new worker, or a known one again (its credit is set, not added). Null when there are too many. */
struct worker *roster_ready(struct roster *roster, const struct wire_peer *peer,
                            const PB(Ready) *ready);

/* Forget a worker; it must hold no leases any more. */
void roster_remove(struct roster *roster, struct worker **worker);

/* What a job asks of its worker. */
struct roster_wish {
    enum settings_route route;
    const char *folder; /* for pickup, "" for others */
    bool
        edited; /* only a worker that knows of edits (capability edit): an older one would send it as it was */
    /* May this worker have it, as far as others than the roster know? Null = any. */
    bool (*fits)(void *arg, const struct worker *worker);
    void *arg;
};

/* A worker with credit that can serve the route and that fits, the one with the most credit.
 * When no worker of the whole pool has the capability, any worker with credit: its refusal is a clear outcome, where
 * waiting for ever would be none. Null when nobody has credit. */
struct worker *roster_pick(const struct roster *roster, const struct roster_wish *wish);

/* Can this worker serve the route? */
bool roster_can(const struct worker *worker, enum settings_route route, const char *folder);

/* A worker that makes tests of settings (capability probe): one that can serve the route, else any. Credit does not matter.
 * Null when there is none. */
struct worker *roster_prober(const struct roster *roster, enum settings_route route,
                             const char *folder);

/* Add a lease and a part to a list. */
void part_list_add(struct part_list *list, uint64_t lease, uint32_t part);

/* Send what was collected for every worker. */
void roster_flush(struct roster *roster, struct bus *work);

#endif
