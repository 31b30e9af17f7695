/* Hash map: a thin coat over uthash, whose macros would else unfold in every file. */
#include "map.h"

#include "err.h"
#include "mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Eight bytes a step, where uthash's own takes twelve in some forty instructions. No more of a defence against keys chosen
 * to collide than that one. */
static unsigned hash_of(const void *key, size_t len)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio */
    const unsigned char *p = key;
    uint64_t hash = len * odd;
    uint64_t word;
    for (; len >= sizeof word; len -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        hash = (hash ^ word) * odd;
        hash ^= hash >> 32;
    }
    if (len > 0) {
        word = 0;
        memcpy(&word, p, len);
        hash = (hash ^ word) * odd;
        hash ^= hash >> 32;
    }
    hash *= odd;
    return (unsigned)(hash >> 32);
}

#define uthash_fatal(msg) bug("uthash: %s", msg)
#include <uthash.h>

/* One entry; an empty map is null, and uthash keeps its table in the entries themselves. */
struct map {
    UT_hash_handle hh;
    void *value;
    unsigned char key[];
};

/* More buckets when one has `most` entries, not only at ten: each entry on the way is a miss of the processor's cache. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH most
enum { MOST_USUALLY = 5, MOST_WHEN_FULL = 2 };

/* In a table with as many entries as buckets two in one are a reason to grow; in an emptier one they are chance. */
static unsigned most_of(const struct map *map)
{
    bool full = map != NULL && map->hh.tbl->num_items >= map->hh.tbl->num_buckets;
    return full ? MOST_WHEN_FULL : MOST_USUALLY;
}

/* Numbers are mostly given one after the other, and looked up so: neighbours in the table are neighbours in the cache. */
static unsigned hash_number(uint64_t key)
{
    return (unsigned)(key ^ key >> 32);
}

// NOLINTBEGIN(readability-function-size): the nesting is that of uthash's macros
static struct map *find(const struct map *map, const void *key, size_t len, unsigned hash)
{
    struct map *entry = NULL;
    HASH_FIND_BYHASHVALUE(hh, map, key, (unsigned)len, hash, entry);
    return entry;
}

static void *get(const struct map *map, const void *key, size_t len, unsigned hash)
{
    const struct map *entry = find(map, key, len, hash);
    return entry != NULL ? entry->value : NULL;
}

static void *put(struct map **map, const void *key, size_t len, unsigned hash, void *value)
{
    struct map *entry = find(*map, key, len, hash);
    if (entry != NULL) {
        void *old = entry->value;
        entry->value = value;
        return old;
    }
    entry = mem_zero(1, sizeof *entry + len);
    memcpy(entry->key, key, len);
    entry->value = value;
    struct map *head = *map;
    unsigned most = most_of(head);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, head, entry->key, (unsigned)len, hash, entry);
    *map = head;
    return NULL;
}

static void *take(struct map **map, const void *key, size_t len, unsigned hash)
{
    struct map *entry = find(*map, key, len, hash);
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

void *map_get(const struct map *map, const void *key, size_t len)
{
    return map != NULL ? get(map, key, len, hash_of(key, len)) : NULL;
}

void *map_put(struct map **map, const void *key, size_t len, void *value)
{
    return put(map, key, len, hash_of(key, len), value);
}

void *map_take(struct map **map, const void *key, size_t len)
{
    return *map != NULL ? take(map, key, len, hash_of(key, len)) : NULL;
}

void *map_get_u64(const struct map *map, uint64_t key)
{
    return get(map, &key, sizeof key, hash_number(key));
}

void *map_put_u64(struct map **map, uint64_t key, void *value)
{
    return put(map, &key, sizeof key, hash_number(key), value);
}

void *map_take_u64(struct map **map, uint64_t key)
{
    return take(map, &key, sizeof key, hash_number(key));
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
