/* PROFILES: what the profiles say, and whether the file could be taken as it is now. */
#ifndef TPN_PROFILE_LIST_H
#define TPN_PROFILE_LIST_H

#include "bus.h"

struct broker;

/* Answered at once by PROFILES_OK. Changes nothing. */
void profile_list_answer(struct broker *broker, struct bus *bus, const struct wire_in *in);

#endif
