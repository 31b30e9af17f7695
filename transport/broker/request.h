/* A live request in the broker's memory, and the one function that changes its state.
 *
 * In memory are only the requests that are about to be leased (the scheduler's window) and those that are under way. All
 * others are rows of the store and nothing else. ARCHITECTURE.md "Life of a request" has the table. */
#ifndef TPN_REQUEST_H
#define TPN_REQUEST_H

#include "arena.h"
#include "ledger.h"
#include "map.h"
#include "pb.h"
#include "state.h"
#include "wire.h"

#include <stdbool.h>
#include <sys/queue.h>

struct brake;
struct lane;
struct worker;

/* The requests in memory, by pk. What is not in it is a row of the store and nothing else. Zeroed = empty. */
struct request_index {
    struct map *by_pk;
};

struct request {
    uint64_t pk;                 /* 0 until its accept is committed */
    struct request_index *index; /* it is listed there; null = nowhere */
    struct lane *lane;
    char *id;
    enum state state;
    int64_t visible_at_ms;
    int64_t expire_at_ms; /* 0 = never */
    int64_t accepted_at_ms;
    uint32_t attempt;
    uint32_t losses; /* workers that died while they held it (poison.h) */
    char *
        lost_instance; /* owned: of the worker that died last; null = none since it is in memory */
    uint64_t lease;
    int64_t lease_deadline_ms; /* monotonic clock */
    struct worker *worker; /* who holds the lease; null = nobody, or a worker that is gone */
    char worker_name[STORE_WORKER_BYTES];
    bool suspected;           /* counts among its worker's suspects */
    bool attempt_counted;     /* this lease came to a permit or a result */
    bool look_only;           /* the lease is to find out, not to deliver */
    uint64_t profile_version; /* of the job; 0 = the request carries its settings */
    uint64_t earlier_lease;   /* of the attempt that is looked after */
    bool last_part_seen;      /* the worker has no further parts of this lease */
    bool settling; /* its end in memory is on the way to the disk: it stands in no lane */
    bool aside;    /* held by a pause of a recipient's domain: it stands aside from its lane */
    bool reading;  /* its body is on the way from the disk: it counts in its lane, in no list */
    bool touched;  /* results differ from "every recipient pending" */
    int split;     /* PB_SPLIT(…); -1 = not looked at yet */
    int open_count;      /* recipients still to be decided; -1 = not counted yet */
    struct brake *brake; /* of this lease: of the profile that it uses */
    uint32_t given; /* of this lease, counted against the limits of its profile: recipients, */
    uint32_t given_mails; /* mails, */
    int64_t given_ms;     /* and when */
    bool portion;         /* of this lease: the limits let only the first `given` go */
    bool permitted;       /* this lease came to a permit */
    struct early *
        early; /* owned: its lease began before its accept was committed (early.h); null = usual */
    int route;    /* of inline settings: enum settings_route, -1 = not looked at yet */
    char *folder; /* of inline settings with route pickup; null otherwise */
    bool partial;
    bool held; /* an operator holds it: its row says so, and any move ends it */
    struct {
        bool waits; /* among what its profile has waiting */
        bool held;
        bool each;
        uint32_t open;
    } tallied;        /* what it counts for at present; only tally.c changes it */
    ledger_fn *moved; /* of a move that may end as STALE: what is called then (request_move) */
    uint32_t recipients;
    uint8_t *
        results; /* owned: packed PB(RequestStatus), field recipients: every recipient in order */
    size_t results_len;
    uint8_t *edit; /* owned: packed PB(RequestEdit) that came with the body; null = none */
    size_t edit_len;
    struct wire_blob *body;    /* null when it has to be read from the store */
    TAILQ_ENTRY(request) link; /* in its lane, or among the leased */
};

TAILQ_HEAD(request_list, request);

/* From a row of the store; takes the row's results over. */
struct request *request_of_row(struct store_row *row, struct lane *lane);

/* Takes it out of its index. Accepts null. */
void request_free(struct request **request);

/* Put a request that has its pk into the index; two of one pk are a bug of ours. */
void request_index_add(struct request_index *index, struct request *request);
/* Null when no request of that pk is in memory. */
struct request *request_index_find(const struct request_index *index, uint64_t pk);
/* Free what is still listed: at the end, when its owners have freed theirs. */
void request_index_fini(struct request_index *index);

/* What goes with a change of state. */
struct request_change {
    enum state to;
    const char *reason;    /* for people; null = none */
    int64_t visible_at_ms; /* wall clock; 0 = as it is */
    const PB(JobResult)
        *result; /* server, TLS, queue id, message id of the attempt; null = none */
    PB(RecipientResult) *
        *results; /* every recipient, in order, as they stand now; null = as they were */
    PB(RecipientResult) **changed; /* those that the event tells; null = none */
    size_t changed_count;
    bool
        spared; /* the attempt that ends here does not count: the event still tells its number */
    const struct store_op *only_if; /* as in store_op; the move may end as STORE_STALE */
    ledger_fn *done;                /* called once the change is on disk; may be null */
    void *arg;                      /* its first argument; op->arg2 is the request */
    uint64_t number;                /* op->number */
};

/* The one function that changes a request's state: checks the move against the table, changes the row in memory, queues
 * the change with its event for the store. The event goes out, and done is called, after the commit. A move that the
 * table does not allow is a bug of ours. */
void request_move(struct request *request, struct ledger *ledger, int64_t now_ms,
                  const struct request_change *change);

/* PENDING, DEFERRED or PERMITTED: still to be decided. */
bool request_outcome_open(int outcome);

/* How many of a list are still to be decided. */
uint32_t request_count_open(PB(RecipientResult) *const results[], size_t count);

/* How many recipients are still to be decided. */
uint32_t request_open_count(struct request *request);

/* Unpack the results; free with protobuf_c_message_free_unpacked. Never null. */
PB(RequestStatus) *request_results(const struct request *request);
/* The same in an arena, which frees it; null = as above. */
PB(RequestStatus) *request_results_in(const struct request *request, struct arena *arena);

/* A recipient that an earlier attempt may have reached: each further attempt is marked, whatever came between. Rows of an
 * older store say it by PENDING with a phase, or PERMITTED with the class UNCERTAIN (lease.c). When
 * nobody tries any more, such a one is UNKNOWN, not refused. */
bool request_is_marked(const PB(RecipientResult) *one);

/* What the outcomes of all recipients come to, when nothing of the request is under way any more:
 *   any PENDING or DEFERRED -> DEFERRED; else any UNKNOWN (or PERMITTED) -> UNKNOWN;
 *   else all delivered -> SENT, or HANDED_OFF; else FAILED.
 *  partial  out: some were delivered, others not */
enum state request_fold(PB(RecipientResult) *const results[], size_t count, bool handed_off,
                        bool *partial);

/* A row as the wire shows it, without history. out borrows from row and unpacked, the caller frees *unpacked. */
void request_status_of_row(const struct store_row *row, PB(RequestStatus) *out,
                           PB(RequestStatus) **unpacked);

#endif
