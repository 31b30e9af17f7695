/* The allow list: which key is whose, and what its owner may do.
 *
 *   access:
 *     trackpro: {role: producer, keys: ['…'], profiles: [office], from: ['@example.org'], recipients: ['*']}
 *     ann: {role: operator, keys: ['…', '…'], rights: [read, act]}
 *
 * What a list does not name is not allowed: a producer without `profiles` may use none. '*' stands for all. Two keys of one
 * name are the same owner, for the time in which a key is exchanged. One key belongs to one name. */
#ifndef TPN_ACCESS_H
#define TPN_ACCESS_H

#include "bus_key.h"
#include "conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The broker's sockets, as the ZAP handler and the roles know them. */
enum access_door { ACCESS_SUBMIT, ACCESS_WORK, ACCESS_STATUS, ACCESS_ADMIN, ACCESS_DOORS };

/* What an operator may do; bits. */
enum access_right { ACCESS_READ = 1, ACCESS_ACT = 2, ACCESS_REVEAL = 4 };

/* One owner of keys. */
struct access_entry {
    char *name;
    int role; /* enum bus_key_role */
    struct conf_texts keys;
    /* producer */
    struct conf_texts profiles;   /* names, or '*' */
    struct conf_texts from;       /* address patterns (policy.h) */
    struct conf_texts recipients; /* address patterns */
    bool inline_settings;
    bool inline_password; /* in them, to be sealed at the gate (gate_secret.h) */
    uint64_t max_bytes;   /* of a request */
    uint32_t per_minute;  /* requests; 0 = no limit */
    int priority;         /* the highest, number of the wire's enum */
    /* operator */
    struct conf_texts rights;
    unsigned right_bits; /* of enum access_right */
    /* worker */
    struct conf_texts workers; /* names a worker may say it has, or '*' */
    bool open; /* who comes without a key where none is wanted: may do everything */
};

struct access;

/* Read a file, or every *.yaml of a folder in the order of their names. *out is replaced (freed) only when all is good.
 * ERR_CONFIG with a line for each error in errors. */
enum err access_read(const char *path, struct access **out, struct buf *errors) NODISCARD;

/* Free and null; accepts null. */
void access_free(struct access **access);

/* Whose key that is; null = nobody's. Borrowed until access_free. */
const struct access_entry *access_find(const struct access *access, const char *key);

/* How many keys there are. */
size_t access_keys(const struct access *access);

/* Call fn for each owner. */
void access_each(const struct access *access,
                 void (*fn)(void *arg, const struct access_entry *entry), void *arg);

/* May that role use that socket? */
bool access_role_enters(enum bus_key_role role, enum access_door door);

/* "submit", …; borrowed. */
const char *access_door_name(enum access_door door);

/* The door of that name; ACCESS_DOORS when there is none. */
enum access_door access_door_parse(const char *name);

/* Is word in the list, or '*', or a pattern that ends in '*' and begins as word does? */
bool access_lists(const struct conf_texts *list, const char *word);

/* A number that changes when the file, or what stands in the folder, changes: names, sizes, times, inodes. 0 = not there. */
uint64_t access_stamp(const char *path);

/* The rows of one owner, for the tests that hold the sample against them. */
extern const struct conf_row access_rows[];

#endif
