/* Hash map from bytes to a pointer, on uthash. The map owns copies of its keys, not what they point to. */
#ifndef TPN_MAP_H
#define TPN_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map; /* zero-initialise a `struct map *` to null: an empty map */

/* The value of a key, or null. */
void *map_get(const struct map *map, const void *key, size_t len);

/* Set a key's value (not null); returns the value it had, or null. */
void *map_put(struct map **map, const void *key, size_t len, void *value);

/* Remove a key; returns the value it had, or null. */
void *map_take(struct map **map, const void *key, size_t len);

/* How many keys there are. */
size_t map_count(const struct map *map);

/* Call fn for each value; fn may take the key it was called with out of the map, no other. */
void map_each(struct map *map, void (*fn)(void *arg, void *value), void *arg);

/* Forget all keys; the values are the caller's. */
void map_clear(struct map **map);

/* The same with a number as the key. */
void *map_get_u64(const struct map *map, uint64_t key);
void *map_put_u64(struct map **map, uint64_t key, void *value);
void *map_take_u64(struct map **map, uint64_t key);

/* The same with a text as the key. */
void *map_get_text(const struct map *map, const char *key);
void *map_put_text(struct map **map, const char *key, void *value);
void *map_take_text(struct map **map, const char *key);

#endif
