/* The pickup back end with a folder of its own, below the root that it may write to, and the job's side of a few mails. */
#ifndef TPN_PICKUP_WORLD_H
#define TPN_PICKUP_WORLD_H

#include "deliver.h"

#include <stdbool.h>
#include <stddef.h>

enum { MAILS = 40 };

struct world {
    char root[64];
    char folder[128]; /* root/in */
    const char *roots[2];
    struct loop *loop;
    void *backend;
    struct settings_plan plan;
    struct delivery mails[MAILS];
    unsigned asks;
    unsigned done;
    enum deliver_permit permit; /* what is answered … */
    bool permit_now;            /* … at once; else nothing */
    /* Called where a mail asks, and where it is done; may be null. */
    void (*see_ask)(const struct delivery *delivery);
    void (*see_done)(const struct delivery *delivery);
};

/* Four threads; permits are granted at once. */
void world_open(struct world *w);
/* Everything goes, the root with all that is in it, too. */
void world_close(struct world *w);

/* Fill in mail i: file name "mail-I", "Subject: I" and a body, one recipient. It is not started. */
struct delivery *make(struct world *w, size_t i);
/* Start mail i, which was made, and wait until one is done. Returns its recipient. */
const struct deliver_recipient *run(struct world *w, size_t i);
/* Turn the loop until the counter (asks, done) is there; fails when it takes too long. */
void turn_until(struct world *w, const unsigned *counter, unsigned wanted);
/* Is there such a file in the folder? */
bool has(const struct world *w, const char *name);
/* Remove a file, or a folder with all that is in it. */
void remove_all(const char *path);

#endif
