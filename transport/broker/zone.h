/* Time zones by their IANA names, each an object of its own: what the clocks of a place show at an instant, and when they show
 * a given time. A local time is counted in milliseconds as if it were UTC, so its day is local / 86,400,000. */
#ifndef TPN_ZONE_H
#define TPN_ZONE_H

#include "err.h"

#include <stdint.h>

struct zone;

/* name: as "Europe/Berlin" or "UTC"; "" = the machine's (TZ, else /etc/localtime, as it was at the start). Free it with
 * zone_free. ERR_CONFIG with the rule: no such zone in the machine's data base. */
enum err zone_open(const char *name, struct zone **out, struct err_text *why) NODISCARD;

/* Free and null; accepts null. */
void zone_free(struct zone **zone);

/* Local time at that instant (ms since 1970, UTC). zone null = UTC. */
int64_t zone_local_ms(const struct zone *zone, int64_t at_ms);

/* The first instant at which the clocks show local_ms, or have just passed it: of a time that comes twice (clocks are set
 * back) the first, and for one that does not come (clocks are set forward) the moment of the leap. zone null = UTC. */
int64_t zone_instant_ms(const struct zone *zone, int64_t local_ms);

#endif
