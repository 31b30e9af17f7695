/* Acts of operators that are no move: hold, release, edit, purge. The parts that they share with the moves (operate.c) stand
 * here too: one act on one request, and the operation it belongs to.
 *
 * When an act begins, its request is the act's: settling, in no lane and under no lease, in the index of requests. It gives
 * it back to the schedule or frees it, and then answers with act_finish or act_refuse. */
#ifndef TPN_AMEND_H
#define TPN_AMEND_H

#include "bus.h"
#include "pb.h"
#include "sieve.h"
#include "store.h"

#include <stdbool.h>

struct broker;
struct request;
struct operation;

/* One request of an operation. */
struct act {
    struct operation *operation;
    char id[STORE_ID_BYTES];
    char producer[STORE_PRODUCER_BYTES]; /* "" = any */
    enum state before;
    enum state after;
    bool done;
    bool held;               /* the row was held when it was looked up */
    const char *reason;      /* borrowed from the operation, from told, or for ever */
    char *told;              /* owned: a reason of its own; null = none */
    struct request *request; /* ours until the commit; null when it stays where it is */
};

/* One QUEUE_ACT on its way: its answer is complete when nothing is pending. */
struct operation {
    struct broker *broker;
    struct bus *bus;
    struct wire_peer peer;
    int kind;
    char *reason;          /* "cancelled by ann: wrong address" */
    char *operator;        /* for the audit log */
    char *target;          /* of it, in words */
    struct sieve sieve;    /* of the filter */
    PB(RequestEdit) *edit; /* EDIT; owned */
    PB(QueueAct) *wish;    /* what was asked for; owned */
    size_t pending;
    struct act *acts;
    size_t count;
    size_t done;
    uint64_t next;
};

/* Begin the act on act->request. */
typedef void amend_fn(struct act *act);
amend_fn amend_hold;
amend_fn amend_release;
amend_fn amend_edit;
amend_fn amend_purge;

/* ---- operate.c ---- */

/* The act is over: done, reason, before and after say how. */
void act_finish(struct act *act);
/* Nothing was changed. reason: borrowed for ever, or from the operation. */
void act_refuse(struct act *act, enum state state, const char *reason);

#endif
