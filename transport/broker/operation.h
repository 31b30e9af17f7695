/* A QUEUE_ACT on its way, and its acts: one for each request. It is answered, and its record stands in the audit log, when the
 * last of its acts is over. */
#ifndef TPN_OPERATION_H
#define TPN_OPERATION_H

#include "bus.h"
#include "pb.h"
#include "sieve.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    int kind;              /* PB_OPERATION(…) */
    const char *name;      /* of it, for the log; borrowed for ever */
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

/* Nothing of it may be under way any more. */
void operation_free(struct operation *operation);

/* One thing less is pending; with the last one it is answered and freed. */
void operation_one_less(struct operation *operation);

/* ERROR for a QUEUE_ACT of that peer. field: "" = the message itself. */
void operation_fault(struct bus *bus, const struct wire_peer *peer, const char *field,
                     const char *rule);

/* The act is over: done, reason, before and after say how. */
void act_finish(struct act *act);
/* Nothing was changed. reason: borrowed for ever, or from the operation. */
void act_refuse(struct act *act, enum state state, const char *reason);

#endif
