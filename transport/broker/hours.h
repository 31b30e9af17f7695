/* Hours of the day, as "22:00-06:00", in the time zone of a profile. */
#ifndef TPN_HOURS_H
#define TPN_HOURS_H

#include "conf.h"
#include "err.h"
#include "zone.h"

#include <stdint.h>

/* Is text a span of hours, HH:MM-HH:MM, from 00:00 to 24:00? It may go over midnight. ERR_CONFIG with the rule: a
 * conf_text_fn. */
enum err hours_check(const char *text, struct err_text *why) NODISCARD;

/* "HH:MM" as minutes of the day, 00:00 to 24:00. ERR_CONFIG with the rule. */
enum err hours_read_time(const char *text, int *minutes, struct err_text *why) NODISCARD;

/* Is now_ms (wall clock) within one of the spans, which were checked? When that one ends, by the clocks of the zone; 0 = within
 * none. Another one may begin there: ask again then. */
int64_t hours_until_ms(const struct conf_texts *spans, const struct zone *zone, int64_t now_ms);

#endif
