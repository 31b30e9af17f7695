/* The watch over what is expected: looks when a deadline is over, tells of silence and of its end, has canaries sent.
 *
 *   deadline over ─► read the requests from the store ─► enough? ─┬─ yes: kept value
 *                                                                 └─ no:  event SILENT, with the kept value in one commit
 *   silent        ─► read again every few seconds ──► enough? ───── yes: event RECOVERED, in the same way
 *
 * What was looked at is a kept value of the store, so it is not looked at twice: not after a restart, nor when the clock is
 * set back. */
#ifndef TPN_WATCH_H
#define TPN_WATCH_H

#include "expectation.h"
#include "pb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct map;
struct watch_look;

/* Names of the kept values begin so. */
#define WATCH_KEEP "watch/"

struct watch {
    char *name;                     /* owned */
    const struct expectation *what; /* of the profiles; null = it is expected no longer */
    bool known;                     /* its kept value was read or written */
    bool looking;
    int64_t look_ms;   /* when to look next */
    int64_t canary_ms; /* when to have a canary sent; INT64_MAX = it is none */
    int64_t sent_ms;   /* point of the newest canary that went to the gate */
    uint64_t seen;     /* at the last look */
    uint64_t accepted;
    /* What is kept, as in KeptWatch. */
    int64_t judged_ms;
    int64_t since_ms;
    int64_t silent_since_ms;
    int64_t window_ms;
    int64_t missed_ms;
    uint64_t after;
};

struct watches {
    struct map *by_name;
    bool loaded;         /* the kept values came */
    uint64_t generation; /* rises with each reading of the profiles */
};

/* One kept value: name behind WATCH_KEEP. False when it is none of ours. */
bool watches_restore(struct broker *broker, const char *name, const uint8_t *data, size_t len);

/* All kept values came: begin. */
void watches_begin(struct broker *broker);

/* The profiles were read: hold the watches against them. At once, since they borrow from the profiles. */
void watches_renew(struct broker *broker);

/* Once a heartbeat. */
void watches_tick(struct broker *broker);

/* A look is over (watch_look.h). */
void watches_judge(struct broker *broker, const struct watch_look *look);

/* Lines for Stats, by name. The caller frees items and pointers; they borrow from the watches. */
struct watch_lines {
    PB(Watch) *items;
    PB(Watch) **pointers;
    size_t count;
};
void watches_collect(struct broker *broker, struct watch_lines *lines);

void watches_fini(struct broker *broker);

#endif
