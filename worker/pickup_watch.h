/* Following handed-over files: the folders are looked at from time to time, and what is decided is told to the broker.
 *
 *   hand-over ─► trace in the folder ─► look, every look_ms ─► told (JobResult with pickup_fate) ─► acknowledged ─► trace removed
 *
 * A look in intervals, not inotify(7): the consumer is often on another machine, and inotify does not see what others do on a network
 * file system. A trace of another worker is told only when it is decided for FOREIGN_LOOKS * look_ms: its own worker may be gone. */
#ifndef TPN_PICKUP_WATCH_H
#define TPN_PICKUP_WATCH_H

#include "deliver.h"
#include "pickup.h"

#include <stdint.h>

enum {
    PICKUP_WATCH_FOREIGN_LOOKS = 6, /* time of so many looks */
    PICKUP_WATCH_PART_BITS =
        24 /* the fate stands above the part, see JobResult in proto/README.md */
};

struct pickup_watch;

/* Begin: the folders below the roots that hold traces are found by themselves.
 *  context  its follow_… members; roots and context->follow are borrowed for the watch's life */
struct pickup_watch *pickup_watch_new(struct pickup *pickup,
                                      const struct deliver_context *context,
                                      const char *const *roots);
/* After the threads have ended. Nulls; accepts null. */
void pickup_watch_free(struct pickup_watch **watch);

/* A file was handed over into this folder: look at it from now on. */
void pickup_watch_folder(struct pickup_watch *watch, const char *folder);

/* The broker has recorded what was told under this number. */
void pickup_watch_acknowledged(struct pickup_watch *watch, uint64_t lease, uint32_t part);

#endif
