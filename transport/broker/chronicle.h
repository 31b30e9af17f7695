/* What happened, in its order: answers from the two chained logs of the store.
 *
 *   REPLAY    what a subscriber of the status topic missed
 *   DAYS      the days of a log, with what ties them together
 *   EVIDENCE  entries of a log, with what proves them
 *
 * An answer is one page: at most so many entries, and so many bytes. Reading changes nothing. */
#ifndef TPN_CHRONICLE_H
#define TPN_CHRONICLE_H

#include "bus.h"

struct broker;

/* producer: only events of its requests; null = all; copied. */
void chronicle_replay(struct broker *broker, struct bus *bus, const char *producer,
                      const struct wire_in *in);
void chronicle_days(struct broker *broker, struct bus *bus, const struct wire_in *in);
void chronicle_evidence(struct broker *broker, struct bus *bus, const struct wire_in *in);

#endif
