/* The broker's side of the store: collects ops, hands them over a batch at a time, publishes what was committed.
 *
 *   add … add ──flush──► store thread ──► each op: publish its event, then done(op)
 *
 * One batch is out at a time, and the next one collects while it is being committed: commits grow with the load and
 * need no timer. Ops complete in the order they were added. When the store cannot commit (disk full, I/O error) accepts
 * and reads complete with STORE_REFUSED; moves, notes, audit records and what a start reads wait and are tried again in their order:
 * nothing that happened is forgotten, nothing new is acknowledged. */
#ifndef TPN_LEDGER_H
#define TPN_LEDGER_H

#include "arena.h"
#include "bus.h"
#include "loop.h"
#include "store.h"
#include "store_thread.h"

#include <sys/queue.h>

struct ledger;
struct ledger_op;

enum {
    LEDGER_PATIENCE_MS = 50,
    LEDGER_OP_ROOM = 1024 /* of a usual op's texts, event and results */
};

/* An op is finished: op->store says how. The ledger frees it afterwards. */
typedef void ledger_fn(void *arg, struct ledger_op *op);

struct ledger_op {
    struct store_op store;
    ledger_fn *done;
    void *arg;  /* for done */
    void *arg2; /* for done */
    bool
        patient; /* need not be committed by itself: rides with the next op, or goes after LEDGER_PATIENCE_MS */
    bool
        question; /* only shown to somebody: may overtake the moves that a full disk holds up */
    uint64_t number; /* for done */
    size_t
        group; /* so many ops behind this one are only_if it was done: they go in its batch, fewer than a batch has room for */
    uint8_t *event; /* what store.event points to, with room for the numbers behind it */
    char *topic;    /* of the event */
    char *texts;    /* owned: what the op's input points to, when it is long */
    TAILQ_ENTRY(ledger_op) link;
    struct arena
        arena; /* what lives as long as the op: event, topic, the input's short texts */
    max_align_t room[LEDGER_OP_ROOM / sizeof(max_align_t)]; /* of the arena; not zeroed */
};

/* A zeroed op of that kind. */
struct ledger_op *ledger_op_new(enum store_kind kind, ledger_fn *done, void *arg);
/* The same from the ledger's spare ones: for what every request goes through. */
struct ledger_op *ledger_op_take(struct ledger *ledger, enum store_kind kind, ledger_fn *done,
                                 void *arg);
/* A copy of a text that lives as long as the op; null is "". */
const char *ledger_op_text(struct ledger_op *op, const char *text);
/* Free an op that was not added. Accepts null. */
void ledger_op_free(struct ledger_op **op);

/* Give the op its event (packed here, without epoch and sequence) and the topic it will be published under. */
void ledger_op_event(struct ledger_op *op, const ProtobufCMessage *event, const char *topic);

/* Takes over an open store. status: the XPUB socket that events go out on, borrowed. */
enum err ledger_new(struct ledger **out, struct loop *loop, struct store **store,
                    struct bus *status, struct err_text *why) NODISCARD;
/* Commit everything that was added (calling done), close the store. Accepts null. */
void ledger_free(struct ledger **ledger);

/* Queue an op; the ledger owns it from here. */
void ledger_add(struct ledger *ledger, struct ledger_op *op);

/* For the before-wait hook: take back what is finished, hand over what was added. */
void ledger_pump(struct ledger *ledger);

/* Nothing is waiting or on its way. */
bool ledger_idle(const struct ledger *ledger);

/* Ops that wait or are on their way. */
size_t ledger_depth(const struct ledger *ledger);

/* The store commits. When it does not, why (borrowed) says so. */
bool ledger_healthy(const struct ledger *ledger, const char **why);

/* A commit ended so that nobody knows whether it happened; the loop has been stopped. The program ends, and a new start
 * reads from the disk what is true. */
bool ledger_lost(const struct ledger *ledger);

/* Epoch of this open of the store: that of every event published now. */
uint64_t ledger_epoch(const struct ledger *ledger);
/* Sequence of the newest published event. */
uint64_t ledger_sequence(const struct ledger *ledger);

#endif
