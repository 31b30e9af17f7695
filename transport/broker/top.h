/* What waits, by name and age, as Postfix's qshape shows it: TOP, answered by TOPS.
 *
 * One answer looks at TOP_LOOK requests at most and says where to go on; the client adds the pages up. So a long queue is
 * counted in many short steps, and nothing is kept here between them. */
#ifndef TPN_TOP_H
#define TPN_TOP_H

#include "bus.h"

struct broker;

enum { TOP_LOOK = 8000, TOP_AGES = 10 };

void top_answer(struct broker *broker, struct bus *bus, const struct wire_in *in);

#endif
