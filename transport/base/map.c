/* Hash map: a thin coat over uthash, whose macros would else unfold in every file. */
#include "map.h"

#include "err.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define uthash_fatal(msg) bug("uthash: %s", msg)
#include <uthash.h>

/* One entry; an empty map is null, and uthash keeps its table in the entries themselves. */
struct map {
    UT_hash_handle hh;
    void *value;
    unsigned char key[];
};

// NOLINTBEGIN(readability-function-size): the nesting is that of uthash's macros
static struct map *find(const struct map *map, const void *key, size_t len)
{
    struct map *entry = NULL;
    HASH_FIND(hh, map, key, (unsigned)len, entry);
    return entry;
}

void *map_get(const struct map *map, const void *key, size_t len)
{
    const struct map *entry = find(map, key, len);
    return entry != NULL ? entry->value : NULL;
}

void *map_put(struct map **map, const void *key, size_t len, void *value)
{
    struct map *entry = find(*map, key, len);
    if (entry != NULL) {
        void *old = entry->value;
        entry->value = value;
        return old;
    }
    entry = mem_zero(1, sizeof *entry + len);
    memcpy(entry->key, key, len);
    entry->value = value;
    struct map *head = *map;
    HASH_ADD_KEYPTR(hh, head, entry->key, (unsigned)len, entry);
    *map = head;
    return NULL;
}

void *map_take(struct map **map, const void *key, size_t len)
{
    struct map *entry = find(*map, key, len);
    if (entry == NULL) {
        return NULL;
    }
    void *value = entry->value;
    struct map *head = *map;
    HASH_DEL(head, entry);
    *map = head;
    free(entry);
    return value;
}

size_t map_count(const struct map *map)
{
    return HASH_COUNT(map);
}

void map_each(struct map *map, void (*fn)(void *arg, void *value), void *arg)
{
    struct map *entry = NULL;
    struct map *next = NULL;
    HASH_ITER (hh, map, entry, next) {
        fn(arg, entry->value);
    }
}

void map_clear(struct map **map)
{
    struct map *head = *map;
    struct map *entry = NULL;
    struct map *next = NULL;
    HASH_ITER (hh, head, entry, next) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer takes next, read before, for entry
        HASH_DEL(head, entry);
        free(entry);
    }
    *map = NULL;
}
// NOLINTEND(readability-function-size)

void *map_get_u64(const struct map *map, uint64_t key)
{
    return map_get(map, &key, sizeof key);
}

void *map_put_u64(struct map **map, uint64_t key, void *value)
{
    return map_put(map, &key, sizeof key, value);
}

void *map_take_u64(struct map **map, uint64_t key)
{
    return map_take(map, &key, sizeof key);
}

void *map_get_text(const struct map *map, const char *key)
{
    return map_get(map, key, strlen(key));
}

void *map_put_text(struct map **map, const char *key, void *value)
{
    return map_put(map, key, strlen(key), value);
}

void *map_take_text(struct map **map, const char *key)
{
    return map_take(map, key, strlen(key));
}
