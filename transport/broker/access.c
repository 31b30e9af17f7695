/* The allow list from YAML.
 *
 * Reading makes a new list; who holds the old one compares and frees it (keeper.c). No secret stands in it: public keys only. */
#include "access.h"

#include "digest.h"
#include "expectation.h"
#include "map.h"
#include "mem.h"
#include "path.h"
#include "pb.h"
#include "policy.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ENTRIES_MAX = 10000, FILES_MAX = 10000 };

struct access {
    struct access_entry **items;
    size_t count;
    struct map *by_key;  /* Z85 text -> entry */
    struct map *by_name; /* name -> entry */
};

#define DOOR(door) (1u << (door))

/* Which sockets a role may use. An operator asks at the submit socket what became of a request; it submits nothing. */
static const unsigned role_doors[BUS_KEY_ROLE_COUNT] = {
    [BUS_KEY_PRODUCER] = DOOR(ACCESS_SUBMIT) | DOOR(ACCESS_STATUS),
    [BUS_KEY_WORKER] = DOOR(ACCESS_WORK),
    [BUS_KEY_OPERATOR] = DOOR(ACCESS_SUBMIT) | DOOR(ACCESS_STATUS) | DOOR(ACCESS_ADMIN),
    [BUS_KEY_MONITOR] = DOOR(ACCESS_STATUS),
};

static const char *const door_names[ACCESS_DOORS] = {
    [ACCESS_SUBMIT] = "submit",
    [ACCESS_WORK] = "work",
    [ACCESS_STATUS] = "status",
    [ACCESS_ADMIN] = "admin",
};

bool access_role_enters(enum bus_key_role role, enum access_door door)
{
    return (role_doors[role] & DOOR(door)) != 0;
}

const char *access_door_name(enum access_door door)
{
    return door_names[door];
}

enum access_door access_door_parse(const char *name)
{
    int door = 0;
    while (door < ACCESS_DOORS && strcmp(door_names[door], name) != 0) {
        door++;
    }
    return (enum access_door)door;
}

/* ---- rows ---- */

struct right_row {
    const char *word;
    unsigned bit;
};

static const struct right_row right_words[] = {
    {"read", ACCESS_READ}, {"act", ACCESS_ACT}, {"reveal", ACCESS_REVEAL}};
enum { RIGHTS = sizeof right_words / sizeof right_words[0] };

static unsigned right_bit(const char *word)
{
    for (size_t i = 0; i < RIGHTS; i++) {
        if (strcmp(right_words[i].word, word) == 0) {
            return right_words[i].bit;
        }
    }
    return 0;
}

static enum err check_right(const char *text, struct err_text *why)
{
    return right_bit(text) != 0 ? ERR_OK
                                : err_set(why, ERR_CONFIG, "must be read, act or reveal");
}

static enum err check_key(const char *text, struct err_text *why)
{
    return bus_key_text_good(text)
               ? ERR_OK
               : err_set(why, ERR_CONFIG,
                         "must be a public key of 40 characters, in single quotes");
}

/* A name, or a beginning and '*'. */
static enum err check_name_pattern(const char *text, struct err_text *why)
{
    char name[BUS_KEY_NAME_BYTES];
    size_t len = strlen(text);
    if (strcmp(text, "*") == 0) {
        return ERR_OK;
    }
    (void)snprintf(name, sizeof name, "%s", text);
    if (len < sizeof name && text[len - (len > 0)] == '*') {
        name[len - 1] = '\0';
    }
    return len < sizeof name && bus_key_name_good(name)
               ? ERR_OK
               : err_set(why, ERR_CONFIG,
                         "must be a name, a beginning of names and '*', or '*'");
}

static const struct conf_name priorities[] = {{"bulk", PB_PRIORITY(BULK)},
                                              {"normal", PB_PRIORITY(NORMAL)},
                                              {"urgent", PB_PRIORITY(URGENT)},
                                              {NULL, 0}};

static enum err check_entry(void *target, const char **field, struct err_text *why)
{
    struct access_entry *entry = target;
    if (entry->role == BUS_KEY_NOBODY) {
        *field = "role";
        return err_set(why, ERR_CONFIG, "required: producer, worker, operator or monitor");
    }
    if (entry->keys.count == 0) {
        *field = "keys";
        return err_set(why, ERR_CONFIG, "required: at least one public key");
    }
    for (size_t i = 0; i < entry->rights.count; i++) {
        entry->right_bits |= right_bit(entry->rights.items[i]);
    }
    return ERR_OK;
}

#define AT(field) offsetof(struct access_entry, field)

const struct conf_row access_rows[] = {
    {.key = "role",
     .kind = CONF_ENUM,
     .offset = AT(role),
     .names = bus_key_client_roles,
     .doc = "producer, worker, operator or monitor: which sockets the keys open"},
    {.key = "keys",
     .kind = CONF_TEXTS,
     .offset = AT(keys),
     .check = check_key,
     .doc = "public keys, as tpn keys prints them; two while a key is exchanged"},
    {.key = "profiles",
     .kind = CONF_TEXTS,
     .offset = AT(profiles),
     .check = check_name_pattern,
     .doc = "producer: profiles it may use; none without it"},
    {.key = "from",
     .kind = CONF_TEXTS,
     .offset = AT(from),
     .check = policy_check_pattern,
     .doc = "producer: addresses it may send from; none without it"},
    {.key = "recipients",
     .kind = CONF_TEXTS,
     .offset = AT(recipients),
     .check = policy_check_pattern,
     .doc = "producer: addresses it may send to; none without it"},
    {.key = "inline_settings",
     .kind = CONF_BOOL,
     .offset = AT(inline_settings),
     .default_text = "false",
     .doc = "producer: its requests may bring settings of their own"},
    {.key = "inline_password",
     .kind = CONF_BOOL,
     .offset = AT(inline_password),
     .default_text = "false",
     .doc = "producer: and a password in them, which the broker seals for the workers"},
    {.key = "max_bytes",
     .kind = CONF_SIZE,
     .offset = AT(max_bytes),
     .default_text = "25MiB",
     .min = 1,
     .max = WIRE_REQUEST_MAX_BYTES,
     .doc = "producer: largest request"},
    {.key = "per_minute",
     .kind = CONF_UINT,
     .offset = AT(per_minute),
     .default_text = "0",
     .max = 1000000,
     .doc = "producer: requests a minute, all its connections together; 0 = no limit"},
    {.key = "priority",
     .kind = CONF_ENUM,
     .offset = AT(priority),
     .names = priorities,
     .default_text = "normal",
     .doc = "producer: highest priority: bulk, normal or urgent"},
    {.key = "rights",
     .kind = CONF_TEXTS,
     .offset = AT(rights),
     .check = check_right,
     .doc = "operator: read, act, reveal; none without it"},
    {.key = "workers",
     .kind = CONF_TEXTS,
     .offset = AT(workers),
     .check = check_name_pattern,
     .doc = "worker: names it may have; none without it"},
    {.key = NULL, .whole = check_entry},
};

static void entry_free(struct access_entry *entry)
{
    conf_free(access_rows, entry);
    free(entry->name);
    free(entry);
}

static void *new_entry(void *target, const char *name, struct err_text *why)
{
    struct access *access = target;
    if (!bus_key_name_good(name)) {
        (void)err_set(why, ERR_INVALID, "a name is 1 to %d of A-Z a-z 0-9 . _ @ + = : -",
                      BUS_KEY_NAME_BYTES - 1);
        return NULL;
    }
    if (strcmp(name, EXPECTATION_BROKER) == 0) {
        (void)err_set(why, ERR_CONFLICT, "is the broker's own name");
        return NULL;
    }
    if (map_get_text(access->by_name, name) != NULL) {
        (void)err_set(why, ERR_CONFLICT,
                      "stands in another file too: all keys of a name in one place");
        return NULL;
    }
    if (access->count >= ENTRIES_MAX) {
        (void)err_set(why, ERR_LIMIT, "at most %d names", ENTRIES_MAX);
        return NULL;
    }
    struct access_entry *entry = mem_zero(1, sizeof *entry);
    conf_defaults(access_rows, entry);
    entry->name = mem_text(name);
    access->items = mem_resize(access->items, access->count + 1, sizeof(struct access_entry *));
    access->items[access->count++] = entry;
    (void)map_put_text(&access->by_name, name, entry);
    return entry;
}

static const struct conf_map entry_map = {.rows = access_rows, .item = new_entry};
static const struct conf_row file_rows[] = {
    {.key = "access", .kind = CONF_MAP, .map = &entry_map, .doc = "owners of keys by name"},
    {.key = NULL},
};

/* ---- reading ---- */

static int is_yaml(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

/* Names of a folder's files in order; the caller frees each and the list. -1 = cannot be read. */
static int list_files(const char *folder, struct dirent ***names)
{
    return scandir(folder, names, is_yaml, alphasort);
}

static void free_files(struct dirent **names, int count)
{
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

static enum err read_folder(const char *folder, struct access *access, struct buf *errors)
{
    struct dirent **names = NULL;
    enum err err = ERR_OK;
    int count = list_files(folder, &names);
    if (count < 0 || count > FILES_MAX) {
        buf_add_format(errors, "%s: %s\n", folder,
                       count < 0 ? "cannot be read" : "more than 10000 files");
        err = ERR_CONFIG;
    }
    for (int i = 0; i < count && count <= FILES_MAX; i++) {
        char *path = path_join(folder, names[i]->d_name);
        if (conf_read(path, file_rows, access, errors) != ERR_OK) {
            err = ERR_CONFIG;
        }
        free(path);
    }
    free_files(names, count);
    return err;
}

/* One key, one owner: else the order of a file would decide who somebody is. */
static enum err index_keys(struct access *access, const char *path, struct buf *errors)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < access->count; i++) {
        struct access_entry *entry = access->items[i];
        for (size_t k = 0; k < entry->keys.count; k++) {
            const struct access_entry *other =
                map_put_text(&access->by_key, entry->keys.items[k], entry);
            if (other != NULL) {
                buf_add_format(
                    errors,
                    "%s: access.%s.keys: the key '%s' stands there twice, or is %s's too\n",
                    path, entry->name, entry->keys.items[k], other->name);
                err = ERR_CONFIG;
            }
        }
    }
    return err;
}

enum err access_read(const char *path, struct access **out, struct buf *errors)
{
    struct stat info;
    struct access *access = mem_zero(1, sizeof *access);
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    enum err err =
        folder ? read_folder(path, access, errors) : conf_read(path, file_rows, access, errors);
    if (err == ERR_OK) {
        err = index_keys(access, path, errors);
    }
    if (err != ERR_OK) {
        access_free(&access);
        return ERR_CONFIG;
    }
    access_free(out);
    *out = access;
    return ERR_OK;
}

void access_free(struct access **access_p)
{
    struct access *access = *access_p;
    if (access == NULL) {
        return;
    }
    map_clear(&access->by_key);
    map_clear(&access->by_name);
    for (size_t i = 0; i < access->count; i++) {
        entry_free(access->items[i]);
    }
    free(access->items);
    free(access);
    *access_p = NULL;
}

const struct access_entry *access_find(const struct access *access, const char *key)
{
    return access != NULL ? map_get_text(access->by_key, key) : NULL;
}

size_t access_keys(const struct access *access)
{
    return access != NULL ? map_count(access->by_key) : 0;
}

void access_each(const struct access *access,
                 void (*fn)(void *arg, const struct access_entry *entry), void *arg)
{
    for (size_t i = 0; access != NULL && i < access->count; i++) {
        fn(arg, access->items[i]);
    }
}

bool access_lists(const struct conf_texts *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->items[i];
        size_t len = strlen(item);
        bool beginning = len > 0 && item[len - 1] == '*';
        if (beginning ? strncmp(item, word, len - 1) == 0 : strcmp(item, word) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- change ---- */

static void add_stamp(struct buf *out, const char *name, const struct stat *info)
{
    buf_add_format(out, "%s %lld %lld %lld.%ld %lld.%ld\n", name, (long long)info->st_ino,
                   (long long)info->st_size, (long long)info->st_mtim.tv_sec,
                   info->st_mtim.tv_nsec, (long long)info->st_ctim.tv_sec,
                   info->st_ctim.tv_nsec);
}

static void add_folder_stamps(struct buf *out, const char *folder)
{
    struct dirent **names = NULL;
    struct stat info;
    int count = list_files(folder, &names);
    for (int i = 0; i < count; i++) {
        char *path = path_join(folder, names[i]->d_name);
        if (stat(path, &info) == 0) {
            add_stamp(out, names[i]->d_name, &info);
        }
        free(path);
    }
    free_files(names, count);
}

uint64_t access_stamp(const char *path)
{
    enum { STAMPS_BYTES = 8 * 1024 * 1024 };
    struct stat info;
    struct buf text;
    uint8_t digest[DIGEST_BYTES];
    uint64_t stamp = 0;
    if (stat(path, &info) != 0) {
        return 0;
    }
    buf_init(&text, STAMPS_BYTES);
    add_stamp(&text, path, &info);
    if (S_ISDIR(info.st_mode)) {
        add_folder_stamps(&text, path);
    }
    digest_sha256(buf_text(&text), text.len, digest);
    buf_fini(&text);
    memcpy(&stamp, digest, sizeof stamp);
    return stamp | 1;
}
