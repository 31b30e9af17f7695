/* The receipts that leave for one producer in one message.
 *
 * A commit answers many requests of a producer at once. Each receipt in a message of its own costs libzmq a run through its queue
 * and the producer a read; so those for a producer that sent its requests together (SUBMITS, peer.together) are collected here, packed,
 * and leave as RECEIPTS: when the loop has taken in a commit, and at the end of its turn. Nothing lies here while the loop waits. */
#ifndef TPN_RECEIPT_TRAY_H
#define TPN_RECEIPT_TRAY_H

#include "buf.h"
#include "pb.h"
#include "wire.h"

#include <stddef.h>

struct broker;

enum {
    RECEIPT_TRAY_PEERS = 32,          /* at a time; one more makes all that lie here leave */
    RECEIPT_TRAY_MOST = 256,          /* in one message */
    RECEIPT_TRAY_BYTES = 64 * 1024,   /* in one message, but for its last */
    RECEIPT_TRAY_LARGEST = 16 * 1024, /* of one: its texts have at most 1.5 KB */
};

struct receipt_tray {
    struct receipt_pile {
        struct wire_peer peer;
        struct buf bytes; /* a packed Receipts */
        size_t count;
        size_t head; /* bytes before the first receipt itself: its tag and length */
    } piles[RECEIPT_TRAY_PEERS];
    size_t used; /* piles that have one or more */
    size_t made; /* piles whose buf is set up */
};

/* Put a receipt in, for a peer that is told together. */
void receipt_tray_put(struct broker *broker, const struct wire_peer *peer,
                      const PB(Receipt) *receipt);

/* Send all of it, and empty it. What a peer has no room for is dropped, as a RECEIPT would be: it asks again with the same ids. */
void receipt_tray_send(struct broker *broker);

/* Forget what is in it and free it. Accepts a zeroed one. */
void receipt_tray_fini(struct receipt_tray *tray);

#endif
