/* Memory that is given back all at once. */
#include "arena.h"

#include "err.h"
#include "mem.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGN = alignof(max_align_t),
    BLOCK_BYTES = 16 * 1024 /* smallest block of its own */
};

struct arena_block {
    alignas(max_align_t) struct arena_block *older;
    size_t room;
    alignas(max_align_t) uint8_t bytes[];
};

void arena_init(struct arena *arena, void *first, size_t room)
{
    *arena = (struct arena){.first = first, .room = room};
}

static void add_block(struct arena *arena, size_t len)
{
    size_t room = len > BLOCK_BYTES ? len : BLOCK_BYTES;
    struct arena_block *block = mem_resize(NULL, 1, sizeof *block + room);
    block->older = arena->block;
    block->room = room;
    arena->block = block;
    arena->used = 0;
}

void *arena_take(struct arena *arena, size_t len)
{
    if (len > SIZE_MAX / 2) {
        bug("size overflow");
    }
    size_t step = (len + ALIGN - 1) / ALIGN * ALIGN;
    size_t room = arena->block != NULL ? arena->block->room : arena->room;
    if (step > room - arena->used) {
        add_block(arena, step);
    }
    uint8_t *bytes = arena->block != NULL ? arena->block->bytes : arena->first;
    bytes += arena->used;
    arena->used += step;
    return bytes;
}

void *arena_copy(struct arena *arena, const void *data, size_t len)
{
    void *copy = arena_take(arena, len);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

void arena_reset(struct arena *arena)
{
    while (arena->block != NULL) {
        struct arena_block *older = arena->block->older;
        free(arena->block);
        arena->block = older;
    }
    arena->used = 0;
}
