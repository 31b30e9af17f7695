/* Configuration files: YAML read against a table of rows; every error of a file in one run.
 *
 * A row names a key, where its value goes and what may stand there. Nested mappings are spelt with dots
 * ("store.folder"). A map of named things (profiles) is a row of kind CONF_MAP: each entry is read against its own
 * table into a new item. An unknown key, a key twice, a wrong type and a value out of range are errors, each with
 * file:line:column: key: reason. */
#ifndef TPN_CONF_H
#define TPN_CONF_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_kind {
    CONF_TEXT,     /* char *, owned by the target */
    CONF_BOOL,     /* bool (int when row.wide) */
    CONF_UINT,     /* uint32_t, min..max */
    CONF_DURATION, /* uint32_t milliseconds (uint64_t when row.wide): "250ms", "30s", "5min", "2h", "90d"; min..max in ms */
    CONF_SIZE,     /* uint64_t bytes: "64KiB", "25MiB", "1GiB", plain bytes */
    CONF_ENUM,     /* int, one of row.names */
    CONF_TEXTS,    /* struct conf_texts: a sequence of texts, or one text */
    CONF_MAP       /* named items, see conf_map */
};

struct conf_texts {
    char **items; /* count texts and a null */
    size_t count;
};

/* One word of an enum and its number; a table ends with a null name. */
struct conf_name {
    const char *name;
    int value;
};

/* The words of a log level, for rows of kind CONF_ENUM. */
extern const struct conf_name conf_log_levels[];

struct conf_row;

/* A rule of one text. ERR_OK, or any error with the rule in why. */
typedef enum err conf_text_fn(const char *text, struct err_text *why);

/* The rules of several keys: asked once for a target whose values are good one by one. On an error field is set to the
 * key at fault, as its row spells it, and why to the rule; the complaint stands at that key's value, or where the
 * target begins when the file does not give the key. */
typedef enum err conf_whole_fn(void *target, const char **field, struct err_text *why);

/* A mapping of names to items that are read with their own rows. */
struct conf_map {
    const struct conf_row *rows;
    /* Make (or find) the item of that name, with its defaults set (conf_defaults); null with why set = refused. */
    void *(*item)(void *target, const char *name, struct err_text *why);
    /* A key that stands for values of other keys (a preset): fill is called with its text before any key of the item is
     * read, so that the item's own keys win wherever they stand. Both null = there is none. */
    const char *fill_key;
    void (*fill)(void *item, const char *text);
};

struct conf_row {
    const char *key; /* null ends the table */
    enum conf_kind kind;
    bool wide;     /* BOOL: the target is a protobuf_c_boolean (int); DURATION: uint64_t */
    size_t offset; /* of the value in the target */
    /* As it would stand in the file; null = leave the target as it is. */
    const char *default_text;
    uint64_t min, max; /* UINT, DURATION (ms), SIZE (bytes), TEXT (length); 0, 0 = any */
    const struct conf_name *names;
    const struct conf_map *map;
    conf_text_fn *check;  /* TEXT, and each entry of TEXTS; null = none */
    conf_whole_fn *whole; /* in the row that ends the table; null = none */
    /* One line: unit and meaning; the man page and the samples are checked against it. */
    const char *doc;
};

/* Set every row's default, in a target whose texts are not ours yet (zeroed, or fresh from a protobuf-c INIT). A default of
 * null leaves the field as it is; in rows over a protobuf-c struct it is the one for texts, whose "" is a constant. */
void conf_defaults(const struct conf_row *rows, void *target);

/* Read a file over the defaults, which the caller has set (conf_defaults). What the defaults come to is not checked.
 *  errors  gets a line for each error, "file:line:column: key: reason\n"
 * Returns ERR_OK; ERR_CONFIG when there was any error; ERR_NOT_FOUND when there is no such file (one line in errors). */
enum err conf_read(const char *path, const struct conf_row *rows, void *target,
                   struct buf *errors) NODISCARD;

/* As conf_read, from memory; name stands for the file in errors. */
enum err conf_read_text(const char *name, const char *text, size_t len,
                        const struct conf_row *rows, void *target,
                        struct buf *errors) NODISCARD;

/* Set one key of a target as if it stood in a file. ERR_CONFIG with the rule in why: no such key, or no such value. */
enum err conf_set(const struct conf_row *rows, void *target, const char *key, const char *text,
                  struct err_text *why) NODISCARD;

/* "30s", "5min", "90d" in milliseconds, as CONF_DURATION reads it. ERR_CONFIG with the rule in why. */
enum err conf_duration(const char *text, uint64_t *out_ms, struct err_text *why) NODISCARD;

/* Free every CONF_TEXT and CONF_TEXTS of the target and null them. */
void conf_free(const struct conf_row *rows, void *target);

#endif
