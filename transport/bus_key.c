/* Key pairs and their files.
 *
 * A file is made under another name and then linked to its own: link(2) is atomic and refuses a name that is there, so a key
 * is never half written and never overwritten. The texts of a secret are wiped as soon as they were copied. */
#include "bus_key.h"

#include "buf.h"
#include "mem.h"
#include "path.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { KEY_BYTES = 32, FILE_BYTES = 4096, SECRET_MODE = 0600, PUBLIC_MODE = 0644 };

/* Others read it, or its group writes it: S_IWGRP | S_IXGRP | S_IRWXO. */
enum { FORBIDDEN_MODE = 037 };

static const char *const role_names[BUS_KEY_ROLE_COUNT] = {
    [BUS_KEY_NOBODY] = "nobody",     [BUS_KEY_BROKER] = "broker",
    [BUS_KEY_PRODUCER] = "producer", [BUS_KEY_WORKER] = "worker",
    [BUS_KEY_OPERATOR] = "operator", [BUS_KEY_MONITOR] = "monitor",
};

const struct conf_name bus_key_client_roles[] = {{"producer", BUS_KEY_PRODUCER},
                                                 {"worker", BUS_KEY_WORKER},
                                                 {"operator", BUS_KEY_OPERATOR},
                                                 {"monitor", BUS_KEY_MONITOR},
                                                 {NULL, 0}};
static const struct conf_name all_roles[] = {
    {"broker", BUS_KEY_BROKER},     {"producer", BUS_KEY_PRODUCER}, {"worker", BUS_KEY_WORKER},
    {"operator", BUS_KEY_OPERATOR}, {"monitor", BUS_KEY_MONITOR},   {NULL, 0}};

const char *bus_key_role_name(enum bus_key_role role)
{
    return role_names[role];
}

enum bus_key_role bus_key_role_parse(const char *name)
{
    for (const struct conf_name *row = all_roles; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return (enum bus_key_role)row->value;
        }
    }
    return BUS_KEY_NOBODY;
}

bool bus_key_name_good(const char *name)
{
    size_t len =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+=:-");
    return len > 0 && len < BUS_KEY_NAME_BYTES && name[len] == '\0' && name[0] != '.';
}

bool bus_key_text_good(const char *text)
{
    uint8_t bytes[KEY_BYTES];
    bool good = strlen(text) == BUS_KEY_TEXT_BYTES - 1 && zmq_z85_decode(bytes, text) != NULL;
    OPENSSL_cleanse(bytes, sizeof bytes);
    return good;
}

enum err bus_key_new(const char *name, enum bus_key_role role, struct bus_key *out,
                     struct err_text *why)
{
    *out = (struct bus_key){.role = role};
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    if (zmq_curve_keypair(out->public_text, out->secret_text) != 0) {
        return err_set(why, ERR_IO, "no key pair can be made: %s", zmq_strerror(errno));
    }
    return ERR_OK;
}

void bus_key_wipe(struct bus_key *key)
{
    OPENSSL_cleanse(key->secret_text, sizeof key->secret_text);
}

/* ---- writing ---- */

static enum err write_new(const char *path, const struct buf *text, mode_t mode,
                          struct err_text *why)
{
    char *temporary = mem_format("%s.%ld.new", path, (long)getpid());
    enum err err = path_write(temporary, buf_text(text), text->len, mode, why);
    if (err == ERR_OK && link(temporary, path) != 0) {
        err = errno == EEXIST ? err_set(why, ERR_CONFLICT,
                                        "%s is there already: no key is overwritten", path)
                              : err_set_errno(why, ERR_IO, errno, "link %s", path);
    }
    (void)unlink(temporary);
    free(temporary);
    return err;
}

static void add_public(struct buf *out, const struct bus_key *key)
{
    buf_add_format(out, "name: %s\nrole: %s\npublic: '%s'\n", key->name,
                   bus_key_role_name(key->role), key->public_text);
}

static enum err refuse_existing(const char *path, struct err_text *why)
{
    return access(path, F_OK) == 0
               ? err_set(why, ERR_CONFLICT, "%s is there already: no key is overwritten", path)
               : ERR_OK;
}

enum err bus_key_write(const struct bus_key *key, const char *folder, struct err_text *why)
{
    char *secret_name = mem_format("%s.key", key->name);
    char *public_name = mem_format("%s.pub", key->name);
    char *secret_path = path_join(folder, secret_name);
    char *public_path = path_join(folder, public_name);
    struct buf text;
    buf_init(&text, FILE_BYTES);
    enum err err = refuse_existing(public_path, why);
    if (err != ERR_OK) {
        goto out;
    }
    buf_add_format(&text,
                   "# TrackPro Notify: the key of %s. Who reads the secret is %s: "
                   "keep mode 0600, copy it only over a safe way.\n",
                   key->name, key->name);
    add_public(&text, key);
    buf_add_format(&text, "secret: '%s'\n", key->secret_text);
    err = write_new(secret_path, &text, SECRET_MODE, why);
    OPENSSL_cleanse(text.data, text.cap);
    if (err != ERR_OK) {
        goto out;
    }
    buf_reset(&text);
    buf_add_text(&text, "# TrackPro Notify: the public half of a key. No secret.\n");
    add_public(&text, key);
    err = write_new(public_path, &text, PUBLIC_MODE, why);
    if (err == ERR_OK) {
        err = path_sync_folder(folder, why);
    }
out:
    buf_fini(&text);
    free(public_path);
    free(secret_path);
    free(public_name);
    free(secret_name);
    return err;
}

/* ---- reading ---- */

struct key_file {
    char *name;
    int role;
    struct conf_texts publics;
    char *secret;
};

#define AT(field) offsetof(struct key_file, field)

static enum err check_text(const char *text, struct err_text *why)
{
    return bus_key_text_good(text)
               ? ERR_OK
               : err_set(why, ERR_CONFIG,
                         "must be a key of 40 characters, as tpn keys makes it");
}

static const struct conf_row rows[] = {
    {.key = "name",
     .kind = CONF_TEXT,
     .offset = AT(name),
     .default_text = "",
     .max = BUS_KEY_NAME_BYTES - 1,
     .doc = "whose key it is"},
    {.key = "role",
     .kind = CONF_ENUM,
     .offset = AT(role),
     .names = all_roles,
     .doc = "what the owner is"},
    {.key = "public",
     .kind = CONF_TEXTS,
     .offset = AT(publics),
     .check = check_text,
     .doc = "public half"},
    {.key = "secret",
     .kind = CONF_TEXT,
     .offset = AT(secret),
     .default_text = "",
     .max = BUS_KEY_TEXT_BYTES - 1,
     .doc = "secret half"},
    {.key = NULL},
};

static void file_fini(struct key_file *file)
{
    if (file->secret != NULL) {
        OPENSSL_cleanse(file->secret, strlen(file->secret));
    }
    conf_free(rows, file);
}

/* The complaints name line and key; they never repeat a value that could be the secret (base/conf.c tells the rule). */
static enum err read_file(const char *path, struct key_file *file, struct err_text *why)
{
    struct buf text;
    struct buf errors;
    buf_init(&text, FILE_BYTES);
    buf_init(&errors, FILE_BYTES);
    *file = (struct key_file){0};
    conf_defaults(rows, file);
    enum err err = path_read(path, &text, why);
    if (err == ERR_OK &&
        conf_read_text(path, buf_text(&text), text.len, rows, file, &errors) != ERR_OK) {
        err = err_set(why, ERR_CONFIG, "%.*s", (int)strcspn(buf_text(&errors), "\n"),
                      buf_text(&errors));
    }
    if (text.data != NULL) {
        OPENSSL_cleanse(text.data, text.cap);
    }
    buf_fini(&errors);
    buf_fini(&text);
    return err;
}

static enum err check_mode(const char *path, struct err_text *why)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        enum err code = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        return err_set_errno(why, code, errno, "%s", path);
    }
    if ((info.st_mode & FORBIDDEN_MODE) != 0) {
        return err_set(why, ERR_CONFIG,
                       "%s: mode %04o lets others at the secret: make it 0600 (chmod 600)",
                       path, (unsigned)(info.st_mode & 07777));
    }
    return ERR_OK;
}

static enum err take_pair(const char *path, const struct key_file *file, struct bus_key *out,
                          struct err_text *why)
{
    char derived[BUS_KEY_TEXT_BYTES] = "";
    if (file->secret == NULL || !bus_key_text_good(file->secret)) {
        return err_set(why, ERR_CONFIG,
                       "%s: secret: must be a key of 40 characters: is this the .key file?",
                       path);
    }
    if (zmq_curve_public(derived, file->secret) != 0) {
        return err_set(why, ERR_IO, "%s: %s", path, zmq_strerror(errno));
    }
    if (file->publics.count != 1 || strcmp(derived, file->publics.items[0]) != 0) {
        return err_set(why, ERR_CONFIG, "%s: public: is not the public half of secret", path);
    }
    *out = (struct bus_key){.role = (enum bus_key_role)file->role};
    (void)snprintf(out->name, sizeof out->name, "%s", file->name);
    memcpy(out->public_text, derived, sizeof derived);
    memcpy(out->secret_text, file->secret, sizeof out->secret_text);
    return ERR_OK;
}

enum err bus_key_read(const char *path, struct bus_key *out, struct err_text *why)
{
    struct key_file file = {0};
    *out = (struct bus_key){0};
    enum err err = check_mode(path, why);
    if (err == ERR_OK) {
        err = read_file(path, &file, why);
    }
    if (err == ERR_OK) {
        err = take_pair(path, &file, out, why);
    }
    file_fini(&file);
    return err;
}

enum err bus_key_read_public(const char *path, struct bus_key_list *out, struct err_text *why)
{
    struct key_file file = {0};
    *out = (struct bus_key_list){0};
    enum err err = read_file(path, &file, why);
    if (err == ERR_OK && (file.publics.count == 0 || file.publics.count > BUS_KEY_SERVERS)) {
        err =
            err_set(why, ERR_CONFIG, "%s: public: must be 1 to %d keys", path, BUS_KEY_SERVERS);
    }
    for (size_t i = 0; err == ERR_OK && i < file.publics.count; i++) {
        memcpy(out->texts[out->count++], file.publics.items[i], BUS_KEY_TEXT_BYTES);
    }
    file_fini(&file);
    return err;
}
