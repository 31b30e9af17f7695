/* What operators may do to requests: cancel, retry, resolve what is UNKNOWN.
 *
 * Each act is one move of the request with a reason that names who decided and why: so the
 * history is the record of it, and the status topic tells it. It is answered after the commit. */
#ifndef TPN_OPERATE_H
#define TPN_OPERATE_H

#include "bus.h"
#include "pb.h"
#include "state.h"

#include <stdbool.h>

struct broker;
struct operation;

/* QUEUE_ACT at the admin socket: answered by QUEUE_ACTED, or by ERROR. */
void operate_act(struct broker *broker, struct bus *bus, struct wire_in *in);

/* Begin an act that had to wait for its turn (act_pace.h). */
void operate_start(struct operation *operation);

/* Forget the acts that still wait: at the end. Accepts a zeroed broker's. */
void operate_stop(struct broker *broker);

/* Is this operation (a number of the enum Operation) for requests in that state? */
bool operate_allowed(int operation, enum state state);

/* What the operation makes of one recipient of a request that is in `state`. True when it changed something.
 *  text  who decided; one->text may borrow it */
bool operate_recipient(int operation, enum state state, PB(RecipientResult) *one,
                       const char *text);

#endif
