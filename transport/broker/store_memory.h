/* Inside of the reference engine: its two chained logs and its kept values. No other code includes this. */
#ifndef TPN_STORE_MEMORY_H
#define TPN_STORE_MEMORY_H

#include "store.h"

/* One log: all its entries, and the days that are over. Zeroed = empty. */
struct memory_log {
    struct store_event *events; /* by rising number */
    size_t count;
    struct store_segment *segments; /* closed ones */
    size_t segment_count;
    struct chain open;
};

/* Append an entry; returns it. data is copied. */
struct store_event *memory_log_add(struct memory_log *log, struct digest_maker *digests,
                                   const struct chain_entry *entry);

/* Copies of the entries behind `after`, of that request or of all (0), at most limit. */
void memory_log_read(const struct memory_log *log, struct store_op *op);

/* Answer a SEGMENTS. */
void memory_log_segments(const struct memory_log *log, struct store_op *op);

/* Forget the days that ended before that time, up to limit entries; returns how many went. */
size_t memory_log_sweep(struct memory_log *log, int64_t before_ms, size_t limit);

/* Is the entry of that number still there? */
bool memory_log_has(const struct memory_log *log, uint64_t number);

void memory_log_fini(struct memory_log *log);

/* Kept values, by name. Zeroed = empty. */
struct memory_kept {
    struct store_value *values;
    size_t count;
};

void memory_kept_set(struct memory_kept *kept, struct store_op *op);
void memory_kept_read(const struct memory_kept *kept, struct store_op *op);
void memory_kept_fini(struct memory_kept *kept);

#endif
