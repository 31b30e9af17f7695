/* Shares of max_connections: how many connections to a profile's server each worker may have, so that the pool as a whole has
 * no more than the profile says.
 *
 * A worker gets its share with the PROFILE, and says with every BEAT how many connections it may have at that time: the
 * greater of its share and of those that are open. What counts against the limit is the greater of what was granted and
 * of what the worker said last, so a share that was cut is given to another worker only when the first one is known to
 * have let go. A worker that is gone has closed its connections.
 *
 * Jobs are shared, too: a worker keeps room for other profiles' (share_leaves_room).
 *
 * All that can serve the profile have the same right: limit / workers, 1 at the least while there are enough. */
#ifndef TPN_SHARE_H
#define TPN_SHARE_H

#include "pb.h"
#include "profile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct brake;
struct worker;

enum { SHARE_OF_FREE = 3 };

/* What one worker has of one version of a profile. */
struct share_seat {
    uint64_t version;
    struct brake *brake; /* of the profile's name */
    uint32_t granted;
    uint32_t told; /* by the worker, last */
    struct share_seat *next;
};

/* Jobs of one profile (or of all inline settings) that a worker holds, by its brake: 1 and up. */
struct share_load {
    uint32_t jobs;
};

/* A job of that brake's profile goes to the worker, or has left it. */
void share_take_job(struct worker *worker, const struct brake *brake);
void share_end_job(struct worker *worker, const struct brake *brake);

/* May the worker have one more job of that profile? As long as it holds less than SHARE_OF_FREE times what the worker has still
 * free: so mail for a server that stalls never takes all of a worker, however much there is of it, and one profile alone
 * has three quarters. Source: A. Choudhury, E. Hahne, "Dynamic queue length thresholds", 1998. */
bool share_leaves_room(const struct worker *worker, const struct brake *brake);

/* Has the worker a share of the profile, or is there one for it? Profiles that make no connections: always. */
bool share_fits(const struct broker *broker, const struct worker *worker,
                const struct profile *profile);

/* Before a job goes to the worker: its share, as far as there is room. True when the worker is to be told (PROFILE again). */
bool share_grant(struct broker *broker, struct worker *worker, const struct profile *profile);

/* Its present share; 0 = none. */
uint32_t share_of(const struct worker *worker, uint64_t version);

/* READY or BEAT: what the worker may have open. */
void share_heard(struct broker *broker, struct worker *worker, PB(ShareHeld) *const shares[],
                 size_t count);

/* Once a heartbeat: cut what is more than a worker's right, and what is not used while others wait for it. */
void share_tick(struct broker *broker);

/* The worker is gone, and holds nothing. */
void share_forget(struct worker *worker);

#endif
