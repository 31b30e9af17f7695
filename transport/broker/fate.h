/* What became of a file in a pickup folder after it was handed over: an event of its request, and no change of state.
 *
 * A worker tells it until it is acknowledged, after a restart perhaps again, and perhaps another worker of the same folder tells it
 * too. So it is looked for in the request's history first: each (part, fate) is recorded once. */
#ifndef TPN_FATE_H
#define TPN_FATE_H

#include "pb.h"
#include "roster.h"

struct broker;

/* A JobResult with a pickup_fate, borrowed. Acknowledged after its commit, or when it is known already or the request
 * is forgotten. One that cannot be recorded now is not acknowledged: the worker tells it again. */
void fate_take(struct broker *broker, struct worker *worker, const PB(JobResult) *result);

#endif
