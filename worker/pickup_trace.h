/* Traces of handed-over files: what a worker leaves in a pickup folder, to find out later what became of the files. All of it blocks:
 * for threads.
 *
 *   .NAME.TIME.follow   one for each group of hand-overs that shares a sync, written before them; removed when the broker has recorded
 *                       the fate of every file in it. Lines of text:
 *                           TPN-FOLLOW 1 INSTANCE-OF-THE-WORKER
 *                           LEASE PART PRODUCER REQUEST-ID NAME     for each file, at most TRACE_LINES_MAX
 *
 *   in the folder beside it                  fate of NAME
 *   .NAME.part, .NAME.back                   not handed over: none yet
 *   NAME.eml, NAME.tmp, NAME<time>.tmp       waits for its consumer; STALE when the trace is old
 *   NAME.bad, NAME<time>.bad                 BAD: the consumer could not use it (what Exchange does)
 *   nothing                                  TAKEN
 *
 * So all that a worker must know after a restart lies in the folder. A trace is not made durable by itself: after a power failure a
 * file may be followed no longer, and nothing else is lost. */
#ifndef TPN_PICKUP_TRACE_H
#define TPN_PICKUP_TRACE_H

#include "buf.h"
#include "deliver.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRACE_NAME_BYTES = 128,
    TRACE_FILE_BYTES = 200,
    TRACE_ID_BYTES = 129,
    TRACE_PRODUCER_BYTES = 65,
    TRACE_INSTANCE_BYTES = 40,
    TRACE_LINES_MAX = 64,
    TRACE_DECIDED_MAX = 20000, /* fates of one look */
    TRACE_NAMES_MAX = 200000,  /* names of one look: a folder with more is not followed */
    TRACE_FOLDERS_MAX = 64     /* found below the roots at the start */
};

/* Begin a trace, add its files, write it. A failure is only logged: the mails matter more.
 *  name  out: its file, for pickup_trace_remove; "" when nothing was written */
void pickup_trace_begin(struct buf *trace, const char *instance);
void pickup_trace_add(struct buf *trace, const struct delivery *delivery);
void pickup_trace_write(int folder_fd, const struct delivery *first, const struct buf *trace,
                        char name[TRACE_FILE_BYTES]);

/* Remove a trace; fine when there is none. */
void pickup_trace_remove(int folder_fd, const char *name);

/* A file whose fate is decided. */
struct pickup_fate {
    uint64_t lease;
    uint32_t part;
    int fate; /* PB_FATE(…) */
    char producer[TRACE_PRODUCER_BYTES];
    char request_id[TRACE_ID_BYTES];
    char name[TRACE_NAME_BYTES];
    char file[TRACE_FILE_BYTES]; /* NAME.bad as it is called; NAME.eml for the others */
};

/* A trace that a look has read. */
struct pickup_trace {
    char name[TRACE_FILE_BYTES];
    char instance[TRACE_INSTANCE_BYTES];
    int64_t age_ms; /* since it was written */
    size_t first;   /* its decided files: count of them, from first on in pickup_look.fates */
    size_t count;
    bool whole; /* that is all of its files */
};

/* What a look found; the arrays are owned. */
struct pickup_look {
    struct pickup_trace *traces;
    size_t trace_count;
    struct pickup_fate *fates; /* at most TRACE_DECIDED_MAX: the rest waits */
    size_t fate_count;
};

/* Look at all traces of a folder. A TAKEN may be the moment between two names of a rename: believe the second look in a row. A
 * trace that cannot be read is removed when it is a minute old: before that it may be being written. A .NAME.back goes after a day.
 *  stale_ms  age at which a file that still lies there is STALE */
void pickup_trace_look(int folder_fd, int64_t stale_ms, struct pickup_look *out);
void pickup_look_fini(struct pickup_look *look);

/* Folders at or below the roots (three levels deep, no links) that hold traces; their paths are the caller's.
 * Returns how many, at most TRACE_FOLDERS_MAX; looks into 1000 folders at most. */
size_t pickup_trace_find(const char *const *roots, char *out[TRACE_FOLDERS_MAX]);

#endif
