/* Canaries: a mail of a profile that the broker sends by itself, by a timetable, and that must be delivered by a time. */
#ifndef TPN_CANARY_H
#define TPN_CANARY_H

#include "conf.h"
#include "expectation.h"

#include <stdbool.h>
#include <stdint.h>

struct broker;
struct profile;

/* The keys canary.… of a profile. */
struct canary {
    char *to; /* "" = the profile has no canary */
    char *from;
    char *at; /* "" = every is set */
    uint64_t every_ms;
    struct conf_texts days;
    uint64_t deadline_ms;
    struct expectation expected; /* of a canary that is on; its texts are canary_fini's */
};

/* The rules of the keys together; fills expected. field: out, the key at fault. ERR_CONFIG. */
enum err canary_prepare(struct profile *profile, const char **field,
                        struct err_text *why) NODISCARD;

/* Free what canary_prepare made. */
void canary_fini(struct canary *canary);

/* Give the canary of that point of time to the gate, unless the broker takes nothing now: then false, try again. Its id is made
 * of profile and time, so that giving it twice makes one mail. */
bool canary_send(struct broker *broker, const struct canary *canary, int64_t point_ms);

#endif
