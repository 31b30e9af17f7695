/* Questions about requests, answered from the store: QUERY of a producer, QUEUE_LS, QUEUE_SHOW and STATS of an operator. */
#ifndef TPN_INQUIRY_H
#define TPN_INQUIRY_H

#include "bus.h"

struct access_entry;
struct broker;

/* QUERY: the requests of who (an operator: anybody's), in the order asked for, unknown ones with STATE_UNSPECIFIED; answered by STATE. */
void inquiry_query(struct broker *broker, struct bus *bus, const struct access_entry *who,
                   struct wire_in *in);

/* bus_message_fn of the admin socket; arg is the broker. */
void inquiry_admin(void *arg, struct bus *bus, enum err err, struct wire_in *in);

/* ERROR: the store cannot be read now. */
void inquiry_failed(struct bus *bus, const struct wire_peer *peer);

#endif
