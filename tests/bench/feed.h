/* Feeds one back end of the worker with equal mails, as fast as it takes them, and tells how fast that was. Permits are granted at
 * once; there is no broker. */
#ifndef TPN_FEED_H
#define TPN_FEED_H

#include "deliver.h"

#include <stddef.h>

/* What is to be done, and how far it is. */
struct feed {
    const struct deliver_backend *backend;
    struct deliver_context context; /* without its loop */
    struct settings_plan plan;
    size_t messages; /* that are timed, 1 and up */
    size_t
        untimed; /* so many before the clock starts; then `ahead` more behind the timed ones */
    size_t size; /* of a mail, bytes, header and all */
    size_t recipients; /* of a mail, 1 and up */
    size_t ahead;      /* mails that the back end has at a time, 1 and up */
    /* out; the feed's own */
    void *self;
    size_t started;
    size_t done;
    size_t delivered;
    bool told;
    struct buf content;
    int64_t from_us; /* clock, when the first timed mail could begin */
    int64_t to_us;
    int64_t cpu_from_us;
    int64_t cpu_to_us;
};

/* Deliver them all; print "messages=… delivered=… seconds=… per_second=… cpu_us=…": of the timed ones, but for delivered, which is all. Every
 * mail has a Message-ID of its own, <NUMBER@bench.example>.
 * Returns the exit status of the program: 0 when every mail was delivered. */
int feed_run(struct feed *feed);

#endif
