/* Pauses: mail that a person holds back, of a profile, of a producer, to a recipient domain, or all of it.
 *
 * A pause keeps what is not leased yet where it is, nothing is written for a request; it ends at its time or by a resume, and is
 * kept in the store, so it holds over restarts. The list changes in memory when the change is on disk. */
#ifndef TPN_PAUSE_H
#define TPN_PAUSE_H

#include "bus.h"
#include "hold.h"
#include "pb.h"
#include "request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;

enum { PAUSE_MOST = 100 };

struct pauses {
    struct hold_list list; /* kind PAUSE */
    size_t domains;        /* of them: scope DOMAIN */
    bool saving;           /* a change is on its way to the disk */
};

/* The pause that holds all mail, or that of the profile or producer; null = none. Borrowed until the pauses change. */
const PB(Hold) *pause_find(const struct pauses *pauses, const char *profile,
                           const char *producer, int64_t now_ms);

/* The pause of the domain of a recipient that is still to be decided; null = none. Of a list of recipients, or of a request. */
const PB(Hold) *pause_find_recipient(const struct pauses *pauses, const PB(RequestStatus) *list,
                                     int64_t now_ms);
const PB(Hold) *pause_find_domain(const struct pauses *pauses, const struct request *request,
                                  int64_t now_ms);

/* PAUSE at the admin socket: answered by PAUSED after the commit, or by ERROR. */
void pause_act(struct broker *broker, struct bus *bus, const struct wire_in *in);

/* What the store has kept: packed PB(Paused). False when it is none of ours. */
bool pause_load(struct broker *broker, const uint8_t *data, size_t len);

/* Once a heartbeat: forget what has ended. */
void pause_tick(struct broker *broker);

void pause_fini(struct pauses *pauses);

#endif
