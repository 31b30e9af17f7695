/* How the broker stands: states, workers, holds, flows, what was refused, what is expected. */
#ifndef TPN_STATS_H
#define TPN_STATS_H

#include "bus.h"

struct broker;

/* STATS at the admin socket: answered by STATS_OK, or by ERROR. */
void stats_answer(struct broker *broker, const struct wire_in *in);

#endif
