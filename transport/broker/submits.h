/* Several requests in one message.
 *
 * SUBMITS is a way to travel, nothing more: each of its requests goes through the gate as if it had come in a SUBMIT of its own,
 * with its own rules, its own receipt, its own duplicates. Only a message whose frames cannot be used is refused as a whole. */
#ifndef TPN_SUBMITS_H
#define TPN_SUBMITS_H

#include "bus.h"

struct broker;

/* A good SUBMITS came; its frames were checked. */
void submits_take(struct broker *broker, struct bus *bus, struct wire_in *in);

#endif
