/* Configuration files over libyaml's document API.
 *
 * A file is read in two passes: the first (events) refuses what we do not want to
 * understand, aliases, tags, deep nesting and a second document, so the second (nodes) walks
 * a plain tree. The walk keeps its own stack of mappings and goes on after an error, so one
 * run tells all of them in the order of the file. A rule of several keys (row.whole) is asked
 * when its mapping has been walked, and its complaint looks up where the key stands. Knows no
 * key: those are the caller's rows; what a value is says conf_value.c. Sizes come from the
 * file, which is at most CONF_MAX_BYTES long, so mem_* may be used for its texts. */
#include "conf.h"

#include "conf_value.h"
#include "mem.h"
#include "path.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

enum {
    CONF_MAX_BYTES = 1024 * 1024,
    CONF_MAX_DEPTH = 8,
    CONF_MAX_ENTRIES = 4096, /* of one mapping or sequence */
    CONF_KEY_MAX_BYTES = 128,
    CONF_SUGGEST_DISTANCE = 2
};

/* One mapping that is being read. */
struct frame {
    const yaml_node_t *node;
    yaml_node_pair_t *pair; /* the next one */
    const struct conf_row *rows;
    const struct conf_map *map; /* its keys are names of items; null = its keys are rows */
    void *target;
    size_t base; /* where the part of the path begins that rows are named by */
    size_t len;  /* of the path of this mapping, with the dot behind it */
    conf_whole_fn
        *whole;       /* asked when it was read; null in a group, whose target is not its own */
    yaml_mark_t mark; /* where the target begins */
    size_t errors;    /* that there were before */
};

struct reader {
    const char *name;
    struct buf *errors;
    size_t failures;
    yaml_document_t doc;
    struct frame frames[CONF_MAX_DEPTH];
    unsigned depth;
    char path[CONF_MAX_DEPTH * (CONF_KEY_MAX_BYTES + 1) + 1]; /* "profiles.acme.smtp_port" */
};

PRINTF_LIKE(4, 5)
static void complain(struct reader *r, yaml_mark_t mark, const char *key, const char *fmt, ...)
{
    char reason[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    r->failures++;
    buf_add_format(r->errors, "%s:%zu:%zu: %s: %s\n", r->name, mark.line + 1, mark.column + 1,
                   key, reason);
}

static void *slot_of(const struct conf_row *row, void *target)
{
    return (char *)target + row->offset;
}

/* ---- keys ---- */

/* True when the row is prefix, one component, and perhaps more; the component is out. */
static bool next_component(const struct conf_row *row, const char *prefix, size_t prefix_len,
                           const char **out, size_t *out_len)
{
    if (strncmp(row->key, prefix, prefix_len) != 0) {
        return false;
    }
    *out = row->key + prefix_len;
    *out_len = strcspn(*out, ".");
    return *out_len > 0;
}

/* Levenshtein distance; 99 when one of the texts is too long for the table. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t line[CONF_KEY_MAX_BYTES + 1];
    if (a_len > CONF_KEY_MAX_BYTES || b_len > CONF_KEY_MAX_BYTES) {
        return 99;
    }
    for (size_t j = 0; j <= b_len; j++) {
        line[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t corner = line[0];
        line[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = corner + (a[i - 1] != b[j - 1]);
            corner = line[j];
            best = line[j] + 1 < best ? line[j] + 1 : best;
            best = line[j - 1] + 1 < best ? line[j - 1] + 1 : best;
            line[j] = best;
        }
    }
    return line[b_len];
}

static void complain_unknown(struct reader *r, const struct frame *frame,
                             const yaml_node_t *key)
{
    const char *word = r->path + frame->len;
    const char *best = NULL;
    size_t best_len = 0;
    size_t best_distance = CONF_SUGGEST_DISTANCE + 1;
    for (const struct conf_row *row = frame->rows; row->key != NULL; row++) {
        const char *part;
        size_t len;
        if (!next_component(row, r->path + frame->base, frame->len - frame->base, &part,
                            &len)) {
            continue;
        }
        size_t distance = edit_distance(word, strlen(word), part, len);
        if (distance < best_distance) {
            best = part;
            best_len = len;
            best_distance = distance;
        }
    }
    if (best != NULL) {
        complain(r, key->start_mark, r->path, "unknown key; did you mean %.*s?", (int)best_len,
                 best);
    } else {
        complain(r, key->start_mark, r->path, "unknown key");
    }
}

static const char *scalar_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* True for a scalar that is text for us: without control characters but tab and line ends. */
static bool is_text(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE) {
        return false;
    }
    for (size_t i = 0; i < node->data.scalar.length; i++) {
        unsigned char c = node->data.scalar.value[i];
        if (c == 0x7f || (c < 0x20 && c != '\t' && c != '\n')) {
            return false;
        }
    }
    return true;
}

/* The key of a pair, put behind the path of its mapping; false with a complaint when it
 * cannot be one. */
static bool take_key(struct reader *r, const struct frame *frame, const yaml_node_t *key)
{
    r->path[frame->len] = '\0';
    const char *where = frame->len > 0 ? r->path : "file";
    if (!is_text(key) || strpbrk(scalar_text(key), "\t\n") != NULL) {
        complain(r, key->start_mark, where, "a key must be one line of text");
        return false;
    }
    size_t len = key->data.scalar.length;
    if (len == 0 || len > CONF_KEY_MAX_BYTES) {
        complain(r, key->start_mark, where, "a key has 1 to %d bytes", CONF_KEY_MAX_BYTES);
        return false;
    }
    memcpy(r->path + frame->len, scalar_text(key), len + 1);
    return true;
}

/* Did the key stand in this mapping before? */
static bool is_repeated(struct reader *r, const struct frame *frame, const yaml_node_t *key)
{
    const yaml_node_pair_t *pair = frame->node->data.mapping.pairs.start;
    for (; pair < frame->pair - 1; pair++) {
        const yaml_node_t *other = yaml_document_get_node(&r->doc, pair->key);
        if (other->type == YAML_SCALAR_NODE &&
            other->data.scalar.length == key->data.scalar.length &&
            strcmp(scalar_text(other), scalar_text(key)) == 0) {
            complain(r, key->start_mark, r->path, "is given twice, first in line %zu",
                     other->start_mark.line + 1);
            return true;
        }
    }
    return false;
}

/* ---- the walk ---- */

static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    const char *text = scalar_text(node);
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

/* Read the mapping next, under the path as it stands; the frame says how. An empty value is
 * an empty mapping. */
static void enter(struct reader *r, const yaml_node_t *node, struct frame frame)
{
    if (is_null(node)) {
        return;
    }
    if (node->type != YAML_MAPPING_NODE) {
        complain(r, node->start_mark, r->path[0] != '\0' ? r->path : "file",
                 "must hold keys and values");
        return;
    }
    if (node->data.mapping.pairs.top - node->data.mapping.pairs.start > CONF_MAX_ENTRIES) {
        complain(r, node->start_mark, r->path, "at most %d entries", CONF_MAX_ENTRIES);
        return;
    }
    if (r->depth == CONF_MAX_DEPTH) {
        complain(r, node->start_mark, r->path, "is nested too deep");
        return;
    }
    frame.node = node;
    frame.errors = r->failures;
    frame.pair = node->data.mapping.pairs.start;
    frame.len = strlen(r->path);
    if (frame.len > 0) {
        r->path[frame.len++] = '.';
        r->path[frame.len] = '\0';
    }
    r->frames[r->depth++] = frame;
}

static void read_sequence(struct reader *r, const struct conf_row *row,
                          struct conf_texts *texts, const yaml_node_t *node)
{
    conf_value_free_texts(texts);
    if (node->data.sequence.items.top - node->data.sequence.items.start > CONF_MAX_ENTRIES) {
        complain(r, node->start_mark, r->path, "at most %d entries", CONF_MAX_ENTRIES);
        return;
    }
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const yaml_node_t *entry = yaml_document_get_node(&r->doc, *item);
        struct err_text why = {0};
        if (!is_text(entry) || is_null(entry)) {
            complain(r, entry->start_mark, r->path, "each entry must be a text");
        } else if (conf_value_add(row, texts, scalar_text(entry), &why) != ERR_OK) {
            complain(r, entry->start_mark, r->path, "%s", why.text);
        }
    }
}

static void read_value(struct reader *r, const struct frame *frame, const struct conf_row *row,
                       const yaml_node_t *node)
{
    void *slot = slot_of(row, frame->target);
    if (row->kind == CONF_MAP) {
        enter(r, node, (struct frame){.map = row->map, .target = slot});
        return;
    }
    if (row->kind == CONF_TEXTS && node->type == YAML_SEQUENCE_NODE) {
        read_sequence(r, row, slot, node);
        return;
    }
    if (node->type != YAML_SCALAR_NODE) {
        complain(r, node->start_mark, r->path, "must be one value%s",
                 row->kind == CONF_TEXTS ? " or a list of values" : "");
        return;
    }
    if (is_null(node)) {
        complain(r, node->start_mark, r->path, "has no value");
        return;
    }
    if (!is_text(node)) {
        complain(r, node->start_mark, r->path, "must not contain control characters");
        return;
    }
    struct err_text why = {0};
    if (conf_value_set(row, scalar_text(node), slot, &why) != ERR_OK) {
        complain(r, node->start_mark, r->path, "%s", why.text);
    }
}

/* A key of a mapping whose keys are rows: a value, or a group of further rows. */
static void read_row(struct reader *r, const struct frame *frame, const yaml_node_t *key,
                     const yaml_node_t *node)
{
    const char *name = r->path + frame->base;
    size_t len = strlen(name);
    bool dotted =
        strchr(r->path + frame->len, '.') != NULL; /* rows are spelt with dots, files are not */
    for (const struct conf_row *row = frame->rows; row->key != NULL && !dotted; row++) {
        if (strncmp(row->key, name, len) != 0) {
            continue;
        }
        if (row->key[len] == '\0') {
            read_value(r, frame, row, node);
            return;
        }
        if (row->key[len] == '.') {
            enter(r, node,
                  (struct frame){
                      .rows = frame->rows, .target = frame->target, .base = frame->base});
            return;
        }
    }
    complain_unknown(r, frame, key);
}

static const struct conf_row *end_row(const struct conf_row *rows)
{
    while (rows->key != NULL) {
        rows++;
    }
    return rows;
}

/* The value of a key spelt with dots below a mapping; null when the file does not give it. */
static const yaml_node_t *find_value(struct reader *r, const yaml_node_t *node, const char *key)
{
    while (node != NULL && *key != '\0') {
        const yaml_node_t *found = NULL;
        size_t len = strcspn(key, ".");
        const yaml_node_pair_t *pair = NULL;
        const yaml_node_pair_t *end = NULL;
        if (node->type == YAML_MAPPING_NODE) {
            pair = node->data.mapping.pairs.start;
            end = node->data.mapping.pairs.top;
        }
        for (; pair != end && found == NULL; pair++) {
            const yaml_node_t *word = yaml_document_get_node(&r->doc, pair->key);
            if (word->type == YAML_SCALAR_NODE && word->data.scalar.length == len &&
                memcmp(word->data.scalar.value, key, len) == 0) {
                found = yaml_document_get_node(&r->doc, pair->value);
            }
        }
        node = found;
        key += len + (key[len] == '.');
    }
    return node;
}

/* Everything of a target was read and is good by itself; len is of its path. */
static void check_whole(struct reader *r, const struct frame *frame, size_t len)
{
    const char *field = "";
    struct err_text why = {0};
    if (frame->whole == NULL || frame->whole(frame->target, &field, &why) == ERR_OK) {
        return;
    }
    const yaml_node_t *value = field[0] != '\0' ? find_value(r, frame->node, field) : NULL;
    if (field[0] != '\0') {
        (void)snprintf(r->path + len, sizeof r->path - len, "%s%s", len > 0 ? "." : "", field);
    } else {
        r->path[len] = '\0';
    }
    complain(r, value != NULL ? value->start_mark : frame->mark,
             r->path[0] != '\0' ? r->path : "file", "%s", why.text);
}

/* A key of a mapping whose keys are names of items. */
static void read_item(struct reader *r, const struct frame *frame, const yaml_node_t *key,
                      const yaml_node_t *node)
{
    struct err_text why = {0};
    void *item = frame->map->item(frame->target, r->path + frame->len, &why);
    if (item == NULL) {
        complain(r, key->start_mark, r->path, "%s", why.text);
        return;
    }
    const char *fill_key = frame->map->fill_key;
    const yaml_node_t *fill = fill_key != NULL ? find_value(r, node, fill_key) : NULL;
    if (fill != NULL && is_text(fill)) {
        frame->map->fill(item, scalar_text(fill));
    }
    struct frame next = {.rows = frame->map->rows,
                         .target = item,
                         .base = strlen(r->path) + 1,
                         .whole = end_row(frame->map->rows)->whole,
                         .mark = key->start_mark};
    if (is_null(node)) {
        check_whole(r, &next, strlen(r->path));
    } else {
        enter(r, node, next);
    }
}

static void walk(struct reader *r, const struct conf_row *rows, void *target)
{
    const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    if (root == NULL) {
        return; /* an empty file: all defaults */
    }
    enter(r, root,
          (struct frame){.rows = rows, .target = target, .whole = end_row(rows)->whole});
    while (r->depth > 0) {
        struct frame *frame = &r->frames[r->depth - 1];
        if (frame->pair == frame->node->data.mapping.pairs.top) {
            if (frame->errors == r->failures) {
                check_whole(r, frame, frame->len > 0 ? frame->len - 1 : 0);
            }
            r->depth--;
            continue;
        }
        const yaml_node_t *key = yaml_document_get_node(&r->doc, frame->pair->key);
        const yaml_node_t *node = yaml_document_get_node(&r->doc, frame->pair->value);
        frame->pair++;
        if (!take_key(r, frame, key) || is_repeated(r, frame, key)) {
            continue;
        }
        if (frame->map != NULL) {
            read_item(r, frame, key, node);
        } else {
            read_row(r, frame, key, node);
        }
    }
}

/* ---- syntax ---- */

static void complain_syntax(struct reader *r, const yaml_parser_t *parser, const char *text,
                            size_t len)
{
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR) { /* has an offset only */
        mark = (yaml_mark_t){0};
        for (size_t i = 0; i < parser->problem_offset && i < len; i++) {
            mark.line += text[i] == '\n';
            mark.column = text[i] == '\n' ? 0 : mark.column + 1;
        }
    }
    complain(
        r, mark, "yaml", "%s%s%s", parser->problem != NULL ? parser->problem : "not readable",
        parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

static const yaml_char_t *event_tag(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.tag;
    default:
        return NULL;
    }
}

/* How far the event goes down (1), up (-1) or neither. */
static int event_depth(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return 1;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return -1;
    default:
        return 0;
    }
}

struct scan {
    int depth;
    int documents;
};

static void look_at_event(struct reader *r, struct scan *scan, const yaml_event_t *event)
{
    scan->depth += event_depth(event);
    if (scan->depth == 2 * CONF_MAX_DEPTH + 1 && event_depth(event) > 0) {
        complain(r, event->start_mark, "yaml", "is nested too deep");
    }
    if (event->type == YAML_DOCUMENT_START_EVENT && ++scan->documents == 2) {
        complain(r, event->start_mark, "yaml", "only one document in a file");
    }
    if (event->type == YAML_ALIAS_EVENT) {
        complain(r, event->start_mark, "yaml", "aliases (*name) are not supported");
    }
    if (event_tag(event) != NULL) {
        complain(r, event->start_mark, "yaml", "tags (!name) are not supported");
    }
}

/* The first pass. */
static void scan_events(struct reader *r, const char *text, size_t len)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        bug("out of memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    struct scan scan = {0};
    bool more = true;
    while (more) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            complain_syntax(r, &parser, text, len);
            break;
        }
        look_at_event(r, &scan, &event);
        more = event.type != YAML_STREAM_END_EVENT && scan.depth <= 2 * CONF_MAX_DEPTH;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
}

enum err conf_read_text(const char *name, const char *text, size_t len,
                        const struct conf_row *rows, void *target, struct buf *errors)
{
    struct reader *r = mem_zero(1, sizeof *r);
    *r = (struct reader){.name = name, .errors = errors};
    if (len > CONF_MAX_BYTES) {
        complain(r, (yaml_mark_t){0}, "file", "at most %d bytes", CONF_MAX_BYTES);
    } else {
        scan_events(r, text, len);
    }
    if (r->failures == 0) {
        yaml_parser_t parser;
        if (yaml_parser_initialize(&parser) == 0) {
            bug("out of memory");
        }
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
        if (yaml_parser_load(&parser, &r->doc) == 0) {
            complain_syntax(r, &parser, text, len);
        } else {
            walk(r, rows, target);
            yaml_document_delete(&r->doc);
        }
        yaml_parser_delete(&parser);
    }
    enum err err = r->failures > 0 ? ERR_CONFIG : ERR_OK;
    free(r);
    return err;
}

enum err conf_read(const char *path, const struct conf_row *rows, void *target,
                   struct buf *errors)
{
    struct buf text;
    buf_init(&text, CONF_MAX_BYTES);
    struct err_text why = {0};
    enum err err = path_read(path, &text, &why);
    if (err == ERR_OK) {
        err = conf_read_text(path, buf_text(&text), text.len, rows, target, errors);
    } else {
        buf_add_format(errors, "%s\n", why.text);
        err = err == ERR_NOT_FOUND ? ERR_NOT_FOUND : ERR_CONFIG;
    }
    buf_fini(&text);
    return err;
}

enum err conf_set(const struct conf_row *rows, void *target, const char *key, const char *text,
                  struct err_text *why)
{
    for (const struct conf_row *row = rows; row->key != NULL; row++) {
        if (strcmp(row->key, key) == 0 && row->kind != CONF_MAP) {
            return conf_value_set(row, text, slot_of(row, target), why);
        }
    }
    return err_set(why, ERR_CONFIG, "unknown key");
}

void conf_defaults(const struct conf_row *rows, void *target)
{
    for (const struct conf_row *row = rows; row->key != NULL; row++) {
        if (row->default_text == NULL) {
            continue;
        }
        void *slot = slot_of(row, target);
        struct err_text why = {0};
        if (row->kind == CONF_TEXT) {
            *(char **)slot = mem_text(row->default_text);
        } else if (conf_value_set(row, row->default_text, slot, &why) != ERR_OK) {
            bug("default of %s: %s", row->key, why.text);
        }
    }
}

void conf_free(const struct conf_row *rows, void *target)
{
    for (const struct conf_row *row = rows; row->key != NULL; row++) {
        void *slot = slot_of(row, target);
        if (row->kind == CONF_TEXT) {
            char **text = slot;
            if (conf_value_owns(row, *text)) {
                free(*text);
            }
            *text = NULL;
        } else if (row->kind == CONF_TEXTS) {
            conf_value_free_texts(slot);
        }
    }
}
