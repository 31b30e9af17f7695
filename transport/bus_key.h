/* Key pairs of CURVE (RFC 26/CurveZMQ) and the files that hold them.
 *
 *   NAME.key   name, role, public, secret   mode 0600: for the program that owns the key
 *   NAME.pub   name, role, public           for the other side; a list of two while a broker's key is exchanged
 *
 * Keys stand in files and in the allow list as Z85 (RFC 32/Z85), 40 characters. Some of them mean something in YAML, so a key
 * stands in single quotes there; Z85 has no quotes. */
#ifndef TPN_BUS_KEY_H
#define TPN_BUS_KEY_H

#include "conf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    BUS_KEY_TEXT_BYTES = 41, /* Z85 and its NUL */
    BUS_KEY_NAME_BYTES = 65,
    BUS_KEY_SERVERS = 4 /* keys that a server may have, in one file */
};

/* What the owner of a key is. */
enum bus_key_role {
    BUS_KEY_NOBODY,
    BUS_KEY_BROKER,
    BUS_KEY_PRODUCER,
    BUS_KEY_WORKER,
    BUS_KEY_OPERATOR,
    BUS_KEY_MONITOR,
    BUS_KEY_ROLE_COUNT
};

/* The words of a role, for rows of kind CONF_ENUM; without the broker's. */
extern const struct conf_name bus_key_client_roles[];

/* "producer", …; borrowed, never null. */
const char *bus_key_role_name(enum bus_key_role role);

/* The role of that name; BUS_KEY_NOBODY when there is none. */
enum bus_key_role bus_key_role_parse(const char *name);

struct bus_key {
    char name[BUS_KEY_NAME_BYTES];
    enum bus_key_role role;
    char public_text[BUS_KEY_TEXT_BYTES];
    char secret_text[BUS_KEY_TEXT_BYTES];
};

/* Public halves, of which the other side has one. */
struct bus_key_list {
    char texts[BUS_KEY_SERVERS][BUS_KEY_TEXT_BYTES];
    size_t count;
};

/* 1 to 64 of A-Z a-z 0-9 . _ @ + = : - ; the same as an id on the wire, for it stands in topics, logs and file names. */
bool bus_key_name_good(const char *name);

/* True when text is the Z85 of 32 bytes. */
bool bus_key_text_good(const char *text);

/* A new pair. ERR_IO: this libzmq was built without CURVE. */
enum err bus_key_new(const char *name, enum bus_key_role role, struct bus_key *out,
                     struct err_text *why) NODISCARD;

/* Write folder/NAME.key (0600) and folder/NAME.pub (0644): each is there whole or not at all, and none that is there is
 * touched. ERR_CONFLICT one of them exists; ERR_IO, ERR_STORAGE. */
enum err bus_key_write(const struct bus_key *key, const char *folder,
                       struct err_text *why) NODISCARD;

/* Read NAME.key. Others may not read it, its group may not write it; the public half must belong to the secret one.
 * ERR_CONFIG with the rule, ERR_NOT_FOUND, ERR_IO. The caller wipes it. */
enum err bus_key_read(const char *path, struct bus_key *out, struct err_text *why) NODISCARD;

/* Read NAME.pub (or the public half of NAME.key). The same errors. */
enum err bus_key_read_public(const char *path, struct bus_key_list *out,
                             struct err_text *why) NODISCARD;

/* Overwrite the secret. */
void bus_key_wipe(struct bus_key *key);

#endif
