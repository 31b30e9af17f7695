/* Traffic that somebody expects, as profiles.yaml says it: what, how many, by when. A canary is one, too. */
#ifndef TPN_EXPECTATION_H
#define TPN_EXPECTATION_H

#include "conf.h"
#include "timetable.h"
#include "zone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The broker's own name as a producer: of its canaries, and of events that are of no request. Nobody else may have it. */
#define EXPECTATION_BROKER "tpn-broker"

enum expectation_count { EXPECTATION_DELIVERED = 0, EXPECTATION_ACCEPTED = 1 };

struct expectation {
    char *name;
    char *profile; /* "" = any, as the next two */
    char *producer;
    char *label;
    uint32_t at_least;
    int count; /* enum expectation_count */
    char *by;  /* "" = every is set */
    char *since;
    uint64_t every_ms;
    char *hours;
    struct conf_texts days;
    char *time_zone;

    /* What that comes to. */
    struct zone *zone;      /* owned; null = it is the profile's, or there was an error */
    struct timetable table; /* the deadlines; of a canary when it is sent */
    int since_min;          /* minute of the day; TIMETABLE_NO_TIME = the deadline before */
    int64_t lag_ms;         /* of a canary: from sending to its deadline */
    const struct canary *canary; /* null = it is none */
};

/* Zeroed: empty. */
struct expectation_list {
    struct expectation **items; /* owned */
    size_t count;
};

/* The map of a conf_row of kind CONF_MAP whose value is a struct expectation_list. */
extern const struct conf_map expectation_map;

/* The rows of one, for the test that holds the sample against them. */
extern const struct conf_row expectation_rows[];

/* Free all and leave it empty. */
void expectation_list_fini(struct expectation_list *list);

/* Is it a silence without a fixed deadline (every)? */
bool expectation_is_rolling(const struct expectation *what);

/* The newest deadline at or before now_ms, and the next one. Not for one that is rolling. 0 = none. */
int64_t expectation_deadline_before(const struct expectation *what, int64_t now_ms);
int64_t expectation_deadline_after(const struct expectation *what, int64_t now_ms);

/* From when it counts towards that deadline. */
int64_t expectation_since(const struct expectation *what, int64_t deadline_ms);

#endif
