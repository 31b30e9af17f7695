/* What the broker keeps in the store beside the requests: pauses, and of each profile its breakers and what its limits
 * counted; what was looked at of what is expected (watch.h). So a refused login, a pause and a day's count hold over a restart. */
#ifndef TPN_KEEP_H
#define TPN_KEEP_H

#include "ledger.h"

struct broker;

/* Names of the kept values. A brake's is KEEP_BRAKE and the profile's name. */
#define KEEP_PAUSES "pauses"
#define KEEP_BRAKE "brake/"

/* Set one; done may be null. */
void keep_value(struct broker *broker, const char *name, const ProtobufCMessage *value,
                ledger_fn *done, void *arg);

/* Read everything back: the first ops of a start, so that nothing is leased before. */
void keep_load(struct broker *broker);

/* Once a heartbeat, and before the end: what ended lately is to be kept, too (keep_flush). A broker that is killed forgets what was
 * settled since the last time, which only the forecast asks for. */
void keep_tick(struct broker *broker);

/* For the before-wait hook: what changed goes to the store, in the order of the moves that changed it: before a permit
 * of a lease is on disk, the lease is counted. */
void keep_flush(struct broker *broker);

#endif
