/* Hours of the day, as "22:00-06:00": in the local time of the broker's machine (TZ of its service). */
#ifndef TPN_HOURS_H
#define TPN_HOURS_H

#include "conf.h"
#include "err.h"

#include <stdint.h>

/* Is text a span of hours, HH:MM-HH:MM, from 00:00 to 24:00? It may go over midnight. ERR_CONFIG with the rule: a
 * conf_text_fn. */
enum err hours_check(const char *text, struct err_text *why) NODISCARD;

/* Is now_ms (wall clock) within one of the spans, which were checked? When that one ends; 0 = within none. Another one may
 * begin there, and a change of summer time may lie before it: ask again then. */
int64_t hours_until_ms(const struct conf_texts *spans, int64_t now_ms);

#endif
