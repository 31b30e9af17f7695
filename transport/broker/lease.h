/* Leases: a request goes to a worker, its permit is granted once, its result settles it.
 *
 *   give ─► LEASED ─► ask ─► PERMITTED ─► result ─► settled
 *             │                  │
 *        worker lost        worker lost: wait for it (grace), then
 *             ▼                  ├─ pickup: another worker looks into the folder
 *          ACCEPTED              └─ else: UNKNOWN
 *
 * The lease number rises with every lease, also over restarts (store epoch << 40 | counter): it fences off a worker that
 * lost its lease without knowing. */
#ifndef TPN_LEASE_H
#define TPN_LEASE_H

#include "map.h"
#include "pb.h"
#include "place.h"
#include "profile.h"
#include "request.h"
#include "roster.h"

#include <stddef.h>

struct broker;

struct leases {
    struct map *by_lease;
    struct request_list orphans; /* PERMITTED, worker gone; lease_deadline_ms = end of grace */
    uint64_t next;
};

/* Start counting behind the store's epoch; no leases yet. */
void lease_init(struct broker *broker);
/* Forget every lease; the disk keeps what matters. */
void lease_fini(struct broker *broker);

/* The worker needs the profile's settings before the first message that names its version. ERR_OK: it has them, or they are on
 * their way. */
enum err lease_give_profile(struct broker *broker, const struct profile *profile,
                            struct worker *worker) NODISCARD;

/* The worker's share of a profile that it has has changed. */
void lease_tell_share(struct broker *broker, struct worker *worker, uint64_t version);

/* Lease it to the place that was found for it (place.way TO_WORKER). Its JOB leaves now or with lease_send. The leases own
 * the request from here. */
void lease_give(struct broker *broker, struct request *request, const struct place *place);

/* Send the jobs that lease_give has collected. At the end of each round of giving, before anything else can happen to them. */
void lease_send(struct broker *broker);

/* The same before its ACCEPT is on disk (early.h): the JOB leaves, nothing is written, the op of the ACCEPT goes on owning the
 * request. False: the worker could not be reached, and nothing is leased. */
bool lease_give_early(struct broker *broker, struct request *request,
                      const struct place *place) NODISCARD;

/* Now the ACCEPT is on disk: LEASED is written behind it, and the leases own the request. */
void lease_record(struct broker *broker, struct request *request);

/* What became of its earlier attempt cannot be found out: its permitted recipients are UNKNOWN. */
void lease_unknown(struct broker *broker, struct request *request);

/* PERMIT? of a worker: each part is granted after its commit, or denied at once. */
void lease_ask(struct broker *broker, struct worker *worker, const PB(PermitAsk) *ask);

/* The worker has the request from here: it stands in its list of leases. */
void lease_hold(struct request *request, struct worker *worker);

/* The lease is over: out of the table and out of its worker's list. */
void lease_end(struct broker *broker, struct request *request);

/* EXTEND, and the leases that a READY lists: the worker still has them. */
void lease_extend(struct broker *broker, struct worker *worker, const uint64_t leases[],
                  size_t count);

/* A worker is gone: what it held goes back or waits for it. It leaves the roster. */
void lease_lost_worker(struct broker *broker, struct worker *worker, const char *reason);

/* Find out whether a worker's connection is still there; if not, it is lost now. */
void lease_probe(struct broker *broker, struct worker *worker);

/* At the end of a loop turn: workers that could not be reached during it. */
void lease_bury(struct broker *broker);

/* Once a heartbeat: leases that ran out, orphans whose grace is over. */
void lease_tick(struct broker *broker);

/* Leased or permitted under that number; null = no such lease (any more). */
struct request *lease_find(const struct broker *broker, uint64_t lease);

/* After the store was opened: take up what was LEASED or PERMITTED. */
void lease_recover(struct broker *broker);

#endif
