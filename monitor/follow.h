/* The status topic as lines: events, and the gaps between them.
 *
 * Every publisher numbers its events 1, 2, 3 … in each epoch, over all producers and states. So
 * gaps can only be told when everything is heard: follow subscribes to all and filters what it
 * prints. A PUB socket drops what a slow or absent subscriber does not take, and says nothing;
 * the numbers do. With `replay` what is missing is fetched from the broker's history and printed
 * in its place; a line GAP tells only what could not be had. */
#ifndef TPN_FOLLOW_H
#define TPN_FOLLOW_H

#include "buf.h"
#include "bus.h"
#include "loop.h"
#include "pb.h"
#include "refill.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum follow_form { FOLLOW_TEXT, FOLLOW_JSON };

struct follow {
    const char *producer; /* print only this one's events; null = all */
    int state;            /* print only events of this state; -1 = all */
    enum follow_form form;
    FILE *out;
    const struct bus_lock *lock; /* keys; null = none */
    struct loop *loop;
    struct bus *bus;
    bool told;      /* that there is no connection, and why */
    uint64_t epoch; /* 0 = nothing heard yet */
    uint64_t sequence;
    const char *replay; /* endpoint where what was missed is asked for; null = it is not */
    struct refill refill;
    ProtobufCMessage **held; /* events that came while a gap is being filled */
    size_t held_count;
    bool filled; /* the gap before the first of them was asked for */
    bool gone;   /* out cannot be written any more: the reader has left */
};

/* Hear the topic at an endpoint; lines are printed while the loop runs. The caller has set the
 * fields before loop. loop is stopped when the reader of out has left. Survives that the
 * publisher goes and comes back. */
enum err follow_start(struct follow *follow, struct loop *loop, void *context,
                      const char *endpoint, struct err_text *why) NODISCARD;
void follow_stop(struct follow *follow);

/* As follow_event, but what is missing before it is fetched first, if there is a way; takes the event over. Lines go into out,
 * now or when the gap is filled. */
void follow_take(struct follow *follow, ProtobufCMessage *event, struct buf *out);

/* One event: append a line for what is missing before it, if anything is, and a line for
 * itself, if it is wanted. */
void follow_event(struct follow *follow, const PB(StatusEvent) *event, struct buf *out);

#endif
