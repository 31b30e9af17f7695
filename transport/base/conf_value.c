/* Values of configuration files: a text becomes a number, a time, a size, a word, or stays a text.
 *
 * One setter a kind, in a table. A setter that refuses leaves the target as it was. Knows no YAML and no place in a file:
 * conf.c puts the place before the sentence. */
#include "conf_value.h"

#include "log.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits at the start of text; returns what follows them, null when there are none or too
 * many. */
static const char *read_number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = text;
    while (*p >= '0' && *p <= '9') {
        uint64_t digit = (uint64_t)(*p++ - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return p == text ? NULL : p;
}

struct unit {
    const char *name;
    uint64_t factor;
};

const struct conf_name conf_log_levels[] = {
    {"error", LOG_LEVEL_ERROR},
    {"warn", LOG_LEVEL_WARN},
    {"info", LOG_LEVEL_INFO},
    {"debug", LOG_LEVEL_DEBUG},
    {NULL, 0},
};

static const struct unit durations[] = {{"ms", 1},      {"s", 1000},     {"min", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {
    {"", 1}, {"KiB", 1U << 10}, {"MiB", 1U << 20}, {"GiB", 1U << 30}, {NULL, 0}};

/* A number and its unit, which may stand behind a blank; false when it is no such thing. 0
 * needs no unit. */
static bool read_quantity(const char *text, const struct unit *units, uint64_t *out)
{
    uint64_t number;
    const char *rest = read_number(text, &number);
    if (rest == NULL) {
        return false;
    }
    rest += *rest == ' ' && rest[1] != '\0';
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (strcmp(rest, unit->name) == 0) {
            if (number > UINT64_MAX / unit->factor) {
                return false;
            }
            *out = number * unit->factor;
            return true;
        }
    }
    *out = 0;
    return number == 0 && *rest == '\0';
}

/* A number with the largest unit that divides it. */
static const char *write_quantity(uint64_t number, const struct unit *units, char out[32])
{
    const struct unit *best = &units[0];
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (number != 0 && number % unit->factor == 0) {
            best = unit;
        }
    }
    (void)snprintf(out, 32, "%" PRIu64 "%s", number / best->factor, best->name);
    return out;
}

static enum err check_range(const struct conf_row *row, const struct unit *units,
                            uint64_t value, uint64_t type_max, struct err_text *why)
{
    uint64_t max = row->max != 0 && row->max < type_max ? row->max : type_max;
    if (value >= row->min && value <= max) {
        return ERR_OK;
    }
    char low[32];
    char high[32];
    return err_set(why, ERR_CONFIG, "must be from %s to %s",
                   write_quantity(row->min, units, low), write_quantity(max, units, high));
}

static enum err set_uint(const struct conf_row *row, const char *text, void *value,
                         struct err_text *why)
{
    static const struct unit plain[] = {{"", 1}, {NULL, 0}};
    uint64_t number;
    const char *rest = read_number(text, &number);
    if (rest == NULL || *rest != '\0') {
        return err_set(why, ERR_CONFIG, "must be a whole number");
    }
    enum err err = check_range(row, plain, number, UINT32_MAX, why);
    if (err == ERR_OK) {
        *(uint32_t *)value = (uint32_t)number;
    }
    return err;
}

enum err conf_duration(const char *text, uint64_t *out_ms, struct err_text *why)
{
    return read_quantity(text, durations, out_ms)
               ? ERR_OK
               : err_set(why, ERR_CONFIG,
                         "must be a time with its unit: 250ms, 30s, 5min, 2h or 1d");
}

static enum err set_duration(const struct conf_row *row, const char *text, void *value,
                             struct err_text *why)
{
    uint64_t number;
    enum err err = conf_duration(text, &number, why);
    if (err == ERR_OK) {
        err = check_range(row, durations, number, row->wide ? UINT64_MAX : UINT32_MAX, why);
    }
    if (err == ERR_OK && row->wide) {
        *(uint64_t *)value = number;
    } else if (err == ERR_OK) {
        *(uint32_t *)value = (uint32_t)number;
    }
    return err;
}

static enum err set_size(const struct conf_row *row, const char *text, void *value,
                         struct err_text *why)
{
    uint64_t number;
    if (!read_quantity(text, sizes, &number)) {
        return err_set(why, ERR_CONFIG, "must be a size: bytes, or with KiB, MiB or GiB");
    }
    enum err err = check_range(row, sizes, number, UINT64_MAX, why);
    if (err == ERR_OK) {
        *(uint64_t *)value = number;
    }
    return err;
}

static enum err set_bool(const struct conf_row *row, const char *text, void *value,
                         struct err_text *why)
{
    static const char *const words[] = {"false", "no", "off", "true", "yes", "on"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            bool on = i >= 3;
            if (row->wide) {
                *(int *)value = on;
            } else {
                *(bool *)value = on;
            }
            return ERR_OK;
        }
    }
    return err_set(why, ERR_CONFIG, "must be true or false (or yes, no, on, off)");
}

static enum err set_enum(const struct conf_row *row, const char *text, void *value,
                         struct err_text *why)
{
    char list[256] = "";
    size_t used = 0;
    for (const struct conf_name *name = row->names; name->name != NULL; name++) {
        if (strcmp(text, name->name) == 0) {
            *(int *)value = name->value;
            return ERR_OK;
        }
        int put =
            snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", name->name);
        used += put > 0 && (size_t)put < sizeof list - used ? (size_t)put : 0;
    }
    return err_set(why, ERR_CONFIG, "must be one of: %s", list);
}

static enum err check_text(const struct conf_row *row, const char *text, struct err_text *why)
{
    size_t len = strlen(text);
    if (row->max != 0 && len > row->max) {
        return err_set(why, ERR_CONFIG, "at most %" PRIu64 " bytes", row->max);
    }
    if (len < row->min) {
        return err_set(why, ERR_CONFIG, "at least %" PRIu64 " bytes", row->min);
    }
    return row->check != NULL ? row->check(text, why) : ERR_OK;
}

bool conf_value_owns(const struct conf_row *row, const char *text)
{
    return text != NULL && (row->default_text != NULL || text[0] != '\0');
}

static enum err set_text(const struct conf_row *row, const char *text, void *value,
                         struct err_text *why)
{
    char **slot = value;
    enum err err = check_text(row, text, why);
    if (err != ERR_OK) {
        return err;
    }
    if (conf_value_owns(row, *slot)) {
        if (text[0] == '\0') {
            (*slot)[0] = '\0';
            return ERR_OK;
        }
        free(*slot);
    } else if (text[0] == '\0') {
        return ERR_OK;
    }
    *slot = mem_text(text);
    return ERR_OK;
}

void conf_value_free_texts(struct conf_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        free(texts->items[i]);
    }
    free(texts->items);
    *texts = (struct conf_texts){0};
}

enum err conf_value_add(const struct conf_row *row, struct conf_texts *texts, const char *text,
                        struct err_text *why)
{
    enum err err = check_text(row, text, why);
    if (err != ERR_OK) {
        return err;
    }
    texts->items = mem_resize(texts->items, texts->count + 2, sizeof texts->items[0]);
    texts->items[texts->count++] = mem_text(text);
    texts->items[texts->count] = NULL;
    return ERR_OK;
}

static enum err set_texts(const struct conf_row *row, const char *text, void *value,
                          struct err_text *why)
{
    conf_value_free_texts(value);
    return conf_value_add(row, value, text, why);
}

static enum err set_map(const struct conf_row *row, const char *text, void *value,
                        struct err_text *why)
{
    (void)row;
    (void)text;
    (void)value;
    return err_set(why, ERR_CONFIG, "must hold keys and values");
}

typedef enum err set_fn(const struct conf_row *row, const char *text, void *value,
                        struct err_text *why);

static set_fn *const setters[] = {
    [CONF_TEXT] = set_text,         [CONF_BOOL] = set_bool, [CONF_UINT] = set_uint,
    [CONF_DURATION] = set_duration, [CONF_SIZE] = set_size, [CONF_ENUM] = set_enum,
    [CONF_TEXTS] = set_texts,       [CONF_MAP] = set_map,
};

enum err conf_value_set(const struct conf_row *row, const char *text, void *value,
                        struct err_text *why)
{
    return setters[row->kind](row, text, value, why);
}
