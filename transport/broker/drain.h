/* Draining on request of an operator: workers, or the broker itself.
 *
 * A worker that is drained gets no more jobs, finishes what it has, gives the rest back, says BYE and ends; whoever started it (systemd,
 * a person) decides whether it starts again. A broker that is drained accepts nothing new (producers hear BUSY, with a time) and
 * goes on sending, as beanstalkd's drain mode does, until an operator ends it or it is started again. To stop the mail of one profile
 * there is the pause. */
#ifndef TPN_DRAIN_H
#define TPN_DRAIN_H

#include "bus.h"

struct broker;

/* DRAIN_ACT, answered by DRAINING. */
void drain_act(struct broker *broker, struct bus *bus, const struct wire_in *in);

#endif
