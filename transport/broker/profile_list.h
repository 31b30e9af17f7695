/* PROFILES: what the profiles say, and whether the file could be taken as it is now. */
#ifndef TPN_PROFILE_LIST_H
#define TPN_PROFILE_LIST_H

#include "bus.h"

struct broker;

/* Answered at once by PROFILES_OK, or by ERROR. Changes nothing; that who reveals a secret is recorded.
 *  who  the operator's name, for the record */
void profile_list_answer(struct broker *broker, struct bus *bus, const char *who,
                         struct wire_in *in);

#endif
