/* JOBs that leave while their request's ACCEPT is on its way to the disk: a single alert does not wait for that commit twice.
 *
 *   accept ─► fresh ─► given early ─┬─► the ACCEPT is on disk: LEASED, then what its worker said meanwhile is heard
 *                │                  ├─► it is not (duplicate, conflict, disk full): the lease is over, its permit is denied
 *                │                  └─► its worker is lost, or the lease ran out: as if it had not been given
 *                └─► no place, or somebody waits for a turn: the usual way
 *
 * Nothing is told to anybody before the commit but the JOB: what a worker asks or reports under an early lease is held back
 * until then. So a permit never leaves before its ACCEPT is durable, and a broker that is killed in between leaves a worker
 * with a lease that the next one does not know: denied.
 *
 * Only what touches nothing outside before its permit goes early (SMTP; a pickup file has one name for every attempt), and
 * only while nothing ready waits for its turn. A server sees an envelope without content when an early one is denied, so
 * an id that was seen lately does not go early, and there are few at a time. */
#ifndef TPN_EARLY_H
#define TPN_EARLY_H

#include "pb.h"
#include "request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;

enum {
    EARLY_MOST = 16,    /* early leases at a time */
    EARLY_HELD = 64,    /* messages held of one lease: more than a worker has to say */
    EARLY_RECENT = 4096 /* marks of ids that were seen lately */
};

struct early_desk {
    struct request_list fresh; /* accepted in this turn: their ops own them */
    size_t count;              /* early leases */
    uint32_t recent[EARLY_RECENT];
};

/* What is held back of an early lease, in the order it came. */
struct early;

void early_init(struct broker *broker);

/* A request whose ACCEPT was handed to the ledger in this turn, and which is due: it may go early. */
void early_note(struct broker *broker, struct request *request);

/* Once a turn, behind the ledger's pump, so that the commit is on its way first: give what was noted, or forget it. */
void early_pump(struct broker *broker);

/* PERMIT? for a part, or a result: false when the lease is no early one, else it is held until the commit.
 *  message  Part or JobResult; borrowed for the call */
bool early_hold(struct request *request, const ProtobufCMessage *message);

/* The ACCEPT is on disk and has its pk: the lease is a usual one from here, and the leases own the request. False: it is no
 * early one (any more). */
bool early_accepted(struct broker *broker, struct request *request);

/* It ends before its ACCEPT does, or the ACCEPT was refused: what is held of it is answered as of a lease that is over. Accepts a
 * request without an early lease. The caller, or the op of its ACCEPT, owns the request as before. */
void early_end(struct broker *broker, struct request *request);

/* For the end of the broker: let go without a word. */
void early_drop(struct request *request);

#endif
