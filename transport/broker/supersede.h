/* Superseding: a new request takes the place of those of the same producer and key that still wait.
 *
 *   accept ─► is its id known? ─► which rows have the key? ─► one batch: ACCEPT, and a MOVE to CANCELLED for each of
 *                                                              them that is only done when the ACCEPT was
 *
 * So there is no moment on disk with both or with neither. What is PERMITTED, or is UNKNOWN, is not touched: it may have
 * been sent. A withdrawal is the same without a new request. For one producer and key one goes at a time, the others wait
 * for it in their order, and so does an operator's act that would make a finished request of that key wait again: the
 * rows that were looked up would not have it. */
#ifndef TPN_SUPERSEDE_H
#define TPN_SUPERSEDE_H

#include "bus.h"
#include "ledger.h"

#include <stdbool.h>

struct broker;
struct map;

enum {
    SUPERSEDE_MOST = 100 /* requests that one takes the place of; the next one takes the rest */
};

struct superseding {
    struct map *by_key; /* producer, key -> the one that goes now */
};

/* Add an ACCEPT of a request with a supersede_key (row.supersede_key) to the ledger, in time with the withdrawal of what it
 * takes the place of. The op is owned from here; its done is called in any case. */
void supersede_accept(struct broker *broker, struct ledger_op *accept);

/* WITHDRAW of a producer: answered by WITHDRAWN after the commit, or by ERROR.
 *  producer  who asks, as its key says; borrowed for the call */
void supersede_withdraw(struct broker *broker, struct bus *bus, const char *producer,
                        const struct wire_in *in);

/* A new request or a withdrawal of that producer and key is on its way. */
bool supersede_goes_on(const struct broker *broker, const char *producer, const char *key);

void supersede_fini(struct broker *broker);

#endif
