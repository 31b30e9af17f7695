/* Memory that is given back all at once.
 *
 * Taking is a step of a pointer; there is no free of a single piece. The first block is the owner's own bytes, so what is
 * small costs no allocation at all; what does not fit lies in blocks of its own until the next reset. One thread at a time. */
#ifndef TPN_ARENA_H
#define TPN_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
    uint8_t *first; /* borrowed, `room` bytes, aligned as malloc aligns */
    size_t room;
    size_t used;               /* of first, or of the newest block */
    struct arena_block *block; /* the newest; null while first has been enough */
};

/* No allocation. first may be null when room is 0. */
void arena_init(struct arena *arena, void *first, size_t room);

/* len bytes, not zeroed, aligned as malloc aligns; never null. They live until the next reset. */
void *arena_take(struct arena *arena, size_t len) __attribute__((returns_nonnull));

/* A copy of len bytes. */
void *arena_copy(struct arena *arena, const void *data, size_t len)
    __attribute__((returns_nonnull));

/* Give everything back. The arena is as after arena_init. */
void arena_reset(struct arena *arena);

#endif
