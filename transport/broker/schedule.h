/* What is due, and whose turn it is.
 *
 * A lane is what takes turns: one profile, one producer, one priority. Each lane keeps a bounded window of due requests in
 * memory, in the order in which they became due; what does not fit stays on disk and is read when the window runs low
 * (`spilled`). So memory does not grow with the queue, and one lane's backlog stands in nobody's way.
 *
 * Turns: classes by weight (urgent 16, normal 4, bulk 1: none starves), inside a class one request a lane in turn. A lane
 * whose next request no worker can take is passed over. */
#ifndef TPN_SCHEDULE_H
#define TPN_SCHEDULE_H

#include "map.h"
#include "request.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

struct broker;

enum { SCHEDULE_ASIDE = 10000 };
enum { SCHEDULE_CLASSES = 4 }; /* by priority 1 … 3; 0 stays empty */

struct lane {
    struct store_lane key;
    struct brake *brake;       /* of its profile */
    struct request_list ready; /* due, body in memory */
    struct request_list bare;  /* due, body still to be read */
    size_t count;              /* of both and of bodies on their way */
    bool listed;               /* stands in its class's turns */
    bool spilled;              /* due rows on disk behind the cursor */
    bool reading;              /* a DUE op is on its way */
    int64_t after_ms; /* cursor: everything up to (after_ms, after_pk) was taken into memory */
    uint64_t after_pk;
    bool
        again; /* something came to lie before the cursor while that DUE op was on its way: then */
    int64_t again_ms; /* it goes back to here */
    uint64_t again_pk;
    int64_t
        next_due_ms; /* wall clock: when the first row on disk becomes due; 0 = none known */
    TAILQ_ENTRY(lane) turn;
};

TAILQ_HEAD(lane_list, lane);

struct schedule {
    struct broker *broker;
    struct map *lanes; /* by key */
    struct lane_list classes[SCHEDULE_CLASSES];
    int64_t weight_now[SCHEDULE_CLASSES];
    uint64_t window_bytes; /* bodies in memory */
    unsigned bodies_coming;
    bool
        lanes_known; /* what the store holds from before the start was listed: only then rows are read */
    struct request_list
        aside; /* held by the pause of a domain, without bodies; they count in no lane */
    size_t aside_count; /* up to SCHEDULE_ASIDE: what is more stays in its lane */
    struct loop_timer due;
};

/* Empty; reads nothing yet. */
void schedule_init(struct schedule *schedule, struct broker *broker);
/* Free every lane with the requests in it. Accepts a zeroed one. */
void schedule_fini(struct schedule *schedule);

/* Find or make the lane of a key. */
struct lane *schedule_lane(struct schedule *schedule, const struct store_lane *key);

/* Some row of the lane that memory had taken was put back on disk: the lane is read from its start. */
void schedule_read_again(struct schedule *schedule, struct lane *lane);

/* What stands aside goes back to its lane: the pauses have changed. */
void schedule_recall(struct schedule *schedule);

/* Once a heartbeat: what waits in memory and is too late by now is EXPIRED, also behind something that is held. */
void schedule_expire(struct schedule *schedule);

/* Something that holds mail up ends then: look again. */
void schedule_wake(struct schedule *schedule, int64_t at_ms);

/* Everything on disk is to be looked at: once after the store was opened. */
void schedule_read_lanes(struct schedule *schedule);

/* A request was accepted (its commit is done). The schedule owns it: it stays in the window or is left on disk. */
void schedule_accepted(struct schedule *schedule, struct request *request);

/* A request comes back from a lease: it is due at once, ahead of its lane. The schedule owns it. */
void schedule_returned(struct schedule *schedule, struct request *request);

/* A request waits until its visible_at_ms, and that is on disk. The schedule owns it: it is left on disk, or kept when the
 * lane's cursor has passed it (its time was over before it was written). */
void schedule_back(struct schedule *schedule, struct request *request);

/* A visible_at_ms that is due now and lies behind the lane's cursor, for a request that goes to the disk with it. */
int64_t schedule_due_now(const struct schedule *schedule, const struct lane *lane);

/* Take a request out of its lane's window; the caller owns it. Its body may still be on the way from the disk: it must not be
 * freed before an op that was added later is done. */
void schedule_take(struct schedule *schedule, struct request *request);

/* A request of that lane that became due now would be the next: nothing ready waits for its turn, and nothing of the lane lies
 * unread on disk or without its body. */
bool schedule_is_next(const struct schedule *schedule, const struct lane *lane);

/* For the before-wait hook: lease what is due to whoever has credit, read what is missing. */
void schedule_pump(struct schedule *schedule);

#endif
