/* The end of an attempt: the list of recipients as it is now becomes the next state of the request (request_fold), with the time of
 * the next attempt or what the profile does about what is unknown. */
#ifndef TPN_CONCLUDE_H
#define TPN_CONCLUDE_H

#include "arena.h"
#include "ledger.h"
#include "pb.h"
#include "request.h"

#include <stddef.h>

struct broker;

/* The list of a request while it is being changed. */
struct merge {
    PB(RequestStatus) *list;   /* the old one, in the arena as what follows */
    PB(RecipientResult) **all; /* each the old entry or a new one, borrowed */
    PB(RecipientResult) **changed;
    size_t changed_count;
    struct arena arena;
    max_align_t room[1024 / sizeof(max_align_t)]; /* of the arena */
};

/* The list as the request has it. A merge cannot be copied. */
void merge_init(struct merge *merge, const struct request *request);
void merge_fini(struct merge *merge);

/* Another result in that place; borrowed until merge_fini. Who may have the mail from an earlier attempt stays marked. */
void merge_set(struct merge *merge, size_t index, PB(RecipientResult) *result);

/* Move the request to what the list comes to. It is settling from here on, and leaves lease and memory, or goes back to the
 * schedule, with the commit.
 *  change  out; in: reason, result and number, as for request_move */
void conclude(struct broker *broker, struct request *request, struct merge *merge,
              struct request_change *change);

/* A result is on disk: its worker need not repeat it. */
void conclude_acknowledge(struct request *request, const struct ledger_op *op);

#endif
