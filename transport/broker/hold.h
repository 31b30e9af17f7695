/* What is held up at this moment, by what, until when; and how each profile's mail flows: for people who ask (STATS). */
#ifndef TPN_HOLD_H
#define TPN_HOLD_H

#include "pb.h"

#include <stddef.h>
#include <stdint.h>

struct broker;

/* Bound of the rule in proto/README.md; what is more is left out. */
enum { HOLD_MOST = 10000 };

struct hold_list {
    PB(Hold) *items;
    PB(Hold) **pointers;
    size_t count;
    size_t room;
};

/* One more, with its texts copied. */
void hold_add(struct hold_list *list, const PB(Hold) *hold);
/* Pointers to the items, as protobuf-c wants them; valid until the next hold_add. */
PB(Hold) **hold_pointers(struct hold_list *list);
/* Accepts a zeroed one. */
void hold_fini(struct hold_list *list);

/* Everything that holds mail up now. */
void hold_collect(struct broker *broker, struct hold_list *list);

struct flow_list {
    PB(ProfileFlow) *items;
    PB(ProfileFlow) **pointers;
    size_t count;
};

/* The flow of each profile; names are borrowed from the profiles. */
void flow_collect(struct broker *broker, struct flow_list *list);
void flow_fini(struct flow_list *list);

#endif
