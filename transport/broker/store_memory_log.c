/* The reference engine's logs and kept values: arrays, walked from end to end. The arithmetic of the chain is that of
 * chain.c, which has a test of its own against a second reckoning (tests/unit/chain_test.c). */
#include "store_memory.h"

#include "mem.h"
#include "store_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store_event *memory_log_add(struct memory_log *log, struct digest_maker *digests,
                                   const struct chain_entry *entry)
{
    if (chain_turns(&log->open, entry->at_ms)) {
        if (log->open.count > 0) {
            *store_segments_add(&log->segments, &log->segment_count) =
                (struct store_segment){.chain = log->open, .chained = true};
        }
        chain_turn(&log->open, digests, chain_day_of(entry->at_ms));
    }
    chain_add(&log->open, digests, entry);
    struct store_event *event = store_events_add(&log->events, &log->count);
    *event = (struct store_event){.number = entry->number,
                                  .pk = entry->request,
                                  .at_ms = entry->at_ms,
                                  .data = mem_copy(entry->data, entry->len),
                                  .len = entry->len,
                                  .chained = true,
                                  .matches = true};
    memcpy(event->chain, log->open.head, DIGEST_BYTES);
    return event;
}

void memory_log_read(const struct memory_log *log, struct store_op *op)
{
    uint64_t pk = op->history.pk;
    for (size_t i = 0; i < log->count && op->history.count < op->history.limit; i++) {
        const struct store_event *event = &log->events[i];
        if (event->number > op->history.after && (pk == 0 || event->pk == pk)) {
            struct store_event *copy =
                store_events_add(&op->history.events, &op->history.count);
            *copy = *event;
            copy->data = mem_copy(event->data, event->len);
        }
    }
    op->result = STORE_DONE;
}

void memory_log_segments(const struct memory_log *log, struct store_op *op)
{
    for (size_t i = 0; i < log->segment_count && op->segments.count < op->segments.limit; i++) {
        if (log->segments[i].chain.first > op->segments.after) {
            *store_segments_add(&op->segments.segments, &op->segments.count) = log->segments[i];
        }
    }
    if (op->segments.count < op->segments.limit && log->open.count > 0 &&
        log->open.first > op->segments.after) {
        *store_segments_add(&op->segments.segments, &op->segments.count) =
            (struct store_segment){.chain = log->open, .open = true, .chained = true};
    }
    op->result = STORE_DONE;
}

/* Drop the entries from first to last, up to limit. */
static size_t drop_range(struct memory_log *log, const struct chain *day, size_t limit)
{
    /* The array may only grow through store_events_add, so it is built again. */
    struct store_event *kept = NULL;
    size_t count = 0;
    size_t dropped = 0;
    for (size_t i = 0; i < log->count; i++) {
        struct store_event *event = &log->events[i];
        if (event->number >= day->first && event->number <= day->last && dropped < limit) {
            free(event->data);
            dropped++;
        } else {
            *store_events_add(&kept, &count) = *event;
        }
    }
    free(log->events);
    log->events = kept;
    log->count = count;
    return dropped;
}

size_t memory_log_sweep(struct memory_log *log, int64_t before_ms, size_t limit)
{
    size_t dropped = 0;
    for (size_t i = 0; i < log->segment_count && dropped < limit; i++) {
        struct store_segment *segment = &log->segments[i];
        if (!segment->swept && segment->chain.day >= chain_day_of(before_ms)) {
            break;
        }
        dropped += drop_range(log, &segment->chain, limit - dropped);
        segment->swept = true;
    }
    return dropped;
}

bool memory_log_has(const struct memory_log *log, uint64_t number)
{
    for (size_t i = 0; i < log->count; i++) {
        if (log->events[i].number == number) {
            return true;
        }
    }
    return false;
}

void memory_log_fini(struct memory_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        free(log->events[i].data);
    }
    free(log->events);
    free(log->segments);
}

/* ---- kept values ---- */

static size_t find_value(const struct memory_kept *kept, const char *name)
{
    size_t at = 0;
    while (at < kept->count && strcmp(kept->values[at].name, name) < 0) {
        at++;
    }
    return at;
}

static void insert_value(struct memory_kept *kept, size_t at, const char *name)
{
    (void)store_values_add(&kept->values, &kept->count);
    memmove(&kept->values[at + 1], &kept->values[at],
            (kept->count - 1 - at) * sizeof *kept->values);
    memset(&kept->values[at], 0, sizeof kept->values[at]);
    (void)snprintf(kept->values[at].name, STORE_NAME_BYTES, "%s", name);
}

static void remove_value(struct memory_kept *kept, size_t at)
{
    struct store_value *values = NULL;
    size_t count = 0;
    free(kept->values[at].data);
    for (size_t i = 0; i < kept->count; i++) {
        if (i != at) {
            *store_values_add(&values, &count) = kept->values[i];
        }
    }
    free(kept->values);
    kept->values = values;
    kept->count = count;
}

void memory_kept_set(struct memory_kept *kept, struct store_op *op)
{
    size_t at = find_value(kept, op->keep.name);
    bool there = at < kept->count && strcmp(kept->values[at].name, op->keep.name) == 0;
    op->result = STORE_DONE;
    if (op->keep.data == NULL) {
        if (there) {
            remove_value(kept, at);
        }
        return;
    }
    if (!there) {
        insert_value(kept, at, op->keep.name);
    }
    free(kept->values[at].data);
    kept->values[at].data = mem_copy(op->keep.data, op->keep.len);
    kept->values[at].len = op->keep.len;
}

void memory_kept_read(const struct memory_kept *kept, struct store_op *op)
{
    const char *prefix = op->kept.prefix != NULL ? op->kept.prefix : "";
    const char *after = op->kept.after != NULL ? op->kept.after : "";
    for (size_t i = 0; i < kept->count && op->kept.count < op->kept.limit; i++) {
        const struct store_value *value = &kept->values[i];
        if (strcmp(value->name, after) > 0 &&
            strncmp(value->name, prefix, strlen(prefix)) == 0) {
            struct store_value *copy = store_values_add(&op->kept.values, &op->kept.count);
            *copy = *value;
            copy->data = mem_copy(value->data, value->len);
        }
    }
    op->result = STORE_DONE;
}

void memory_kept_fini(struct memory_kept *kept)
{
    for (size_t i = 0; i < kept->count; i++) {
        free(kept->values[i].data);
    }
    free(kept->values);
}
