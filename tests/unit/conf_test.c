/* Configuration files: what each kind of value takes, and every error with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf.h"
#include "mem.h"

enum colour { COLOUR_RED = 3, COLOUR_BLUE = 7 };

struct item {
    char name[32];
    char *server;
    uint32_t port;
    int tls; /* wide */
};

struct target {
    char *name;
    char *plain; /* no default */
    bool on;
    uint32_t count;
    uint32_t wait_ms;
    uint64_t room;
    int colour;
    struct conf_texts list;
    struct conf_texts paths;
    uint64_t long_ms;
    struct {
        char *folder;
        uint32_t keep_ms;
    } store;
    struct {
        size_t count;
        struct item items[4];
    } things;
};

/* Rules of several keys. */
static enum err check_item(void *target, const char **field, struct err_text *why)
{
    const struct item *item = target;
    if (item->port == 465 && !item->tls) {
        *field = "use_tls";
        return err_set(why, ERR_CONFIG, "465 needs it");
    }
    if (item->server != NULL && strcmp(item->server, "nowhere") == 0) {
        return err_set(why, ERR_CONFIG, "goes nowhere");
    }
    return ERR_OK;
}

static enum err check_target(void *target, const char **field, struct err_text *why)
{
    const struct target *t = target;
    if (t->store.keep_ms < t->wait_ms) {
        *field = "store.keep";
        return err_set(why, ERR_CONFIG, "must be at least wait");
    }
    return ERR_OK;
}

static enum err check_path(const char *text, struct err_text *why)
{
    return text[0] == '/' ? ERR_OK : err_set(why, ERR_CONFIG, "must begin with /");
}

static const struct conf_row item_rows[] = {
    {.key = "server", .kind = CONF_TEXT, .offset = offsetof(struct item, server), .max = 20},
    {.key = "port",
     .kind = CONF_UINT,
     .offset = offsetof(struct item, port),
     .min = 1,
     .max = 65535},
    {.key = "use_tls", .kind = CONF_BOOL, .offset = offsetof(struct item, tls), .wide = true},
    {.whole = check_item},
};

static void *make_item(void *target, const char *name, struct err_text *why)
{
    struct target *t =
        (struct target *)(void *)((char *)target - offsetof(struct target, things));
    if (strcmp(name, "bad") == 0) {
        (void)err_set(why, ERR_CONFIG, "no such name, please");
        return NULL;
    }
    struct item *item = &t->things.items[t->things.count++];
    (void)snprintf(item->name, sizeof item->name, "%s", name);
    conf_defaults(item_rows, item);
    return item;
}

static const struct conf_map things = {.rows = item_rows, .item = make_item};
static const struct conf_name colours[] = {{"red", COLOUR_RED}, {"blue", COLOUR_BLUE}, {0}};

#define AT(field) .offset = offsetof(struct target, field)
static const struct conf_row rows[] = {
    {.key = "name", .kind = CONF_TEXT, AT(name), .default_text = "tpn", .min = 1, .max = 8},
    {.key = "plain", .kind = CONF_TEXT, AT(plain)},
    {.key = "on", .kind = CONF_BOOL, AT(on), .default_text = "true"},
    {.key = "count", .kind = CONF_UINT, AT(count), .default_text = "5", .min = 1, .max = 100},
    {.key = "wait",
     .kind = CONF_DURATION,
     AT(wait_ms),
     .default_text = "30s",
     .min = 100,
     .max = 3600000},
    {.key = "room", .kind = CONF_SIZE, AT(room), .default_text = "64KiB", .max = 1U << 30},
    {.key = "colour", .kind = CONF_ENUM, AT(colour), .default_text = "red", .names = colours},
    {.key = "list", .kind = CONF_TEXTS, AT(list)},
    {.key = "paths", .kind = CONF_TEXTS, AT(paths), .check = check_path},
    {.key = "long",
     .kind = CONF_DURATION,
     AT(long_ms),
     .wide = true,
     .default_text = "90d",
     .max = UINT64_C(1000) * 86400000},
    {.key = "store.folder",
     .kind = CONF_TEXT,
     AT(store.folder),
     .default_text = "/var/lib/tpn"},
    {.key = "store.keep", .kind = CONF_DURATION, AT(store.keep_ms), .default_text = "1d"},
    {.key = "things", .kind = CONF_MAP, AT(things), .map = &things},
    {.whole = check_target},
};

static void target_fini(struct target *t)
{
    for (size_t i = 0; i < t->things.count; i++) {
        conf_free(item_rows, &t->things.items[i]);
    }
    conf_free(rows, t);
}

static enum err read(const char *text, struct target *t, struct buf *errors)
{
    *t = (struct target){0};
    buf_init(errors, 65536);
    conf_defaults(rows, t);
    return conf_read_text("f", text, strlen(text), rows, t, errors);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "---\n", "store:\nthings:\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct target t;
        struct buf errors;
        assert_int_equal(read(texts[i], &t, &errors), ERR_OK);
        assert_string_equal(buf_text(&errors), "");
        assert_string_equal(t.name, "tpn");
        assert_null(t.plain);
        assert_true(t.on);
        assert_int_equal(t.count, 5);
        assert_int_equal(t.wait_ms, 30000);
        assert_int_equal(t.room, 65536);
        assert_int_equal(t.colour, COLOUR_RED);
        assert_int_equal(t.list.count, 0);
        assert_string_equal(t.store.folder, "/var/lib/tpn");
        assert_int_equal(t.store.keep_ms, 86400000);
        assert_int_equal(t.long_ms, UINT64_C(90) * 86400000);
        target_fini(&t);
        buf_fini(&errors);
    }
}

static void every_kind_is_read(void **state)
{
    (void)state;
    struct target t;
    struct buf errors;
    static const char text[] = "name: \"a b\"\n"
                               "plain: 12\n"
                               "on: off\n"
                               "count: 100\n"
                               "wait: 5 min\n"
                               "room: 25MiB\n"
                               "colour: blue\n"
                               "list: [one, \"two 2\"]\n"
                               "paths: [/a, /b]\n"
                               "long: 1000d\n"
                               "store: {folder: /x, keep: 2h}\n"
                               "things:\n"
                               "  a.b:\n"
                               "    server: mail.test\n"
                               "    port: 25\n"
                               "    use_tls: yes\n"
                               "  second:\n";
    enum err err = read(text, &t, &errors);
    assert_string_equal(buf_text(&errors), "");
    assert_int_equal(err, ERR_OK);
    assert_string_equal(t.name, "a b");
    assert_string_equal(t.plain, "12");
    assert_false(t.on);
    assert_int_equal(t.count, 100);
    assert_int_equal(t.wait_ms, 300000);
    assert_int_equal(t.room, 25 * 1024 * 1024);
    assert_int_equal(t.colour, COLOUR_BLUE);
    assert_int_equal(t.list.count, 2);
    assert_string_equal(t.list.items[1], "two 2");
    assert_null(t.list.items[2]);
    assert_int_equal(t.paths.count, 2);
    assert_int_equal(t.long_ms, UINT64_C(1000) * 86400000);
    assert_string_equal(t.store.folder, "/x");
    assert_int_equal(t.store.keep_ms, 7200000);
    assert_int_equal(t.things.count, 2);
    assert_string_equal(t.things.items[0].name, "a.b");
    assert_string_equal(t.things.items[0].server, "mail.test");
    assert_int_equal(t.things.items[0].port, 25);
    assert_int_equal(t.things.items[0].tls, 1);
    assert_string_equal(t.things.items[1].name, "second");
    assert_null(t.things.items[1].server);
    target_fini(&t);
    assert_null(t.name);
    assert_null(t.list.items);
    buf_fini(&errors);
}

struct error_row {
    const char *name;
    const char *text;
    const char *wanted; /* all of the errors */
};

static const struct error_row error_rows[] = {
    {"unknown key", "zebra: 1\n", "f:1:1: zebra: unknown key\n"},
    {"key with a slip", "colur: red\n", "f:1:1: colur: unknown key; did you mean colour?\n"},
    {"group with a slip", "stor: {}\n", "f:1:1: stor: unknown key; did you mean store?\n"},
    {"slip in a group", "store:\n  foldr: /x\n",
     "f:2:3: store.foldr: unknown key; did you mean folder?\n"},
    {"slip in an item", "things:\n  x:\n    prt: 1\n",
     "f:3:5: things.x.prt: unknown key; did you mean port?\n"},
    {"key spelt with a dot", "store.folder: /x\n", "f:1:1: store.folder: unknown key\n"},
    {"key twice", "count: 1\non: no\ncount: 2\n",
     "f:3:1: count: is given twice, first in line 1\n"},
    {"item twice", "things: {x: {}, x: {}}\n",
     "f:1:17: things.x: is given twice, first in line 1\n"},
    {"no value", "count:\n", "f:1:7: count: has no value\n"},
    {"null value", "name: ~\n", "f:1:7: name: has no value\n"},
    {"no number", "count: many\n", "f:1:8: count: must be a whole number\n"},
    {"negative number", "count: -1\n", "f:1:8: count: must be a whole number\n"},
    {"number too small", "count: 0\n", "f:1:8: count: must be from 1 to 100\n"},
    {"number too large", "count: 101\n", "f:1:8: count: must be from 1 to 100\n"},
    {"number past 64 bits", "count: 99999999999999999999\n",
     "f:1:8: count: must be a whole number\n"},
    {"port 0", "things: {x: {port: 0}}\n", "f:1:20: things.x.port: must be from 1 to 65535\n"},
    {"port 65536", "things: {x: {port: 65536}}\n",
     "f:1:20: things.x.port: must be from 1 to 65535\n"},
    {"time without a unit", "wait: 30\n",
     "f:1:7: wait: must be a time with its unit: 250ms, 30s, 5min, 2h or 1d\n"},
    {"time too long", "wait: 2h\n", "f:1:7: wait: must be from 100ms to 1h\n"},
    {"time past 32 bits", "store: {keep: 100d}\n",
     "f:1:15: store.keep: must be from 0ms to 4294967295ms\n"},
    {"unknown unit", "room: 3MB\n",
     "f:1:7: room: must be a size: bytes, or with KiB, MiB or GiB\n"},
    {"size too large", "room: 2GiB\n", "f:1:7: room: must be from 0 to 1GiB\n"},
    {"size past 64 bits", "room: 18446744073709551615GiB\n",
     "f:1:7: room: must be a size: bytes, or with KiB, MiB or GiB\n"},
    {"no bool", "on: 1\n", "f:1:5: on: must be true or false (or yes, no, on, off)\n"},
    {"no word of the enum", "colour: green\n", "f:1:9: colour: must be one of: red, blue\n"},
    {"text too long", "name: 123456789\n", "f:1:7: name: at most 8 bytes\n"},
    {"text too short", "name: \"\"\n", "f:1:7: name: at least 1 bytes\n"},
    {"NUL in a text", "name: \"a\\0b\"\n",
     "f:1:7: name: must not contain control characters\n"},
    {"list for one value", "count: [1]\n", "f:1:8: count: must be one value\n"},
    {"mapping for one value", "count: {a: 1}\n", "f:1:8: count: must be one value\n"},
    {"mapping for a list", "list: {a: 1}\n",
     "f:1:7: list: must be one value or a list of values\n"},
    {"list in a list", "list: [[a]]\n", "f:1:8: list: each entry must be a text\n"},
    {"value for a group", "store: 1\n", "f:1:8: store: must hold keys and values\n"},
    {"value for a map", "things: 1\n", "f:1:9: things: must hold keys and values\n"},
    {"value for an item", "things: {x: 1}\n", "f:1:13: things.x: must hold keys and values\n"},
    {"refused item", "things: {bad: {}}\n", "f:1:10: things.bad: no such name, please\n"},
    {"list for a file", "- a\n", "f:1:1: file: must hold keys and values\n"},
    {"alias", "name: &a x\nplain: *a\n", "f:2:8: yaml: aliases (*name) are not supported\n"},
    {"tag", "name: !!str x\n", "f:1:7: yaml: tags (!name) are not supported\n"},
    {"two documents", "name: a\n---\nname: b\n", "f:2:1: yaml: only one document in a file\n"},
    {"key that is a list", "[a]: b\n", "f:1:1: file: a key must be one line of text\n"},
    {"key with a line end", "\"a\\nb\": c\n", "f:1:1: file: a key must be one line of text\n"},
    {"broken", "name: \"a\n",
     "f:2:1: yaml: found unexpected end of stream while scanning a quoted scalar\n"},
    {"bad UTF-8", "on: no\nname: a\xff\n", "f:2:8: yaml: invalid leading UTF-8 octet\n"},
    {"wide time too long", "long: 1001d\n", "f:1:7: long: must be from 0ms to 1000d\n"},
    {"second entry breaks its rule", "paths:\n  - /a\n  - b\n",
     "f:3:5: paths: must begin with /\n"},
    {"one text breaks its rule", "paths: a\n", "f:1:8: paths: must begin with /\n"},
    {"item breaks a rule of several keys, key given",
     "things:\n  x:\n    use_tls: no\n    port: 465\n",
     "f:3:14: things.x.use_tls: 465 needs it\n"},
    {"item breaks a rule of several keys, key not given",
     "things:\n  y: {}\n  x:\n    port: 465\n", "f:3:3: things.x.use_tls: 465 needs it\n"},
    {"item breaks a rule of no key", "things: {x: {server: nowhere}}\n",
     "f:1:10: things.x: goes nowhere\n"},
    {"each item is asked for itself",
     "things:\n  x: {port: 465}\n  y: {port: 0}\n  z: {port: 465}\n",
     "f:2:3: things.x.use_tls: 465 needs it\n"
     "f:3:13: things.y.port: must be from 1 to 65535\n"
     "f:4:3: things.z.use_tls: 465 needs it\n"},
    {"an item with an error is not asked", "things: {x: {port: 465, tls: 1}}\n",
     "f:1:25: things.x.tls: unknown key\n"},
    {"file breaks a rule of several keys", "wait: 1min\nstore:\n  folder: /x\n  keep: 1s\n",
     "f:4:9: store.keep: must be at least wait\n"},
    {"a file with an error is not asked", "store: {keep: 1s}\ncount: 0\n",
     "f:2:8: count: must be from 1 to 100\n"},
    {"all in one run", "count: 0\nzebra: 1\nstore:\n  keep: x\non: maybe\n",
     "f:1:8: count: must be from 1 to 100\n"
     "f:2:1: zebra: unknown key\n"
     "f:4:9: store.keep: must be a time with its unit: 250ms, 30s, 5min, 2h or 1d\n"
     "f:5:5: on: must be true or false (or yes, no, on, off)\n"},
};

static void every_error_is_told_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof error_rows / sizeof error_rows[0]; i++) {
        struct target t;
        struct buf errors;
        enum err err = read(error_rows[i].text, &t, &errors);
        if (err != ERR_CONFIG || strcmp(buf_text(&errors), error_rows[i].wanted) != 0) {
            fail_msg("%s: got %s\n%swanted\n%s", error_rows[i].name, err_name(err),
                     buf_text(&errors), error_rows[i].wanted);
        }
        target_fini(&t);
        buf_fini(&errors);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    char text[4096] = "list: ";
    memset(text + 6, '[', 2000);
    struct target t;
    struct buf errors;
    assert_int_equal(read(text, &t, &errors), ERR_CONFIG);
    assert_non_null(strstr(buf_text(&errors), "is nested too deep"));
    target_fini(&t);
    buf_fini(&errors);
}

static void a_large_file_is_refused(void **state)
{
    (void)state;
    size_t len = 1024 * 1024 + 1;
    char *text = mem_zero(len + 1, 1);
    memset(text, '#', len);
    struct target t;
    struct buf errors;
    assert_int_equal(read(text, &t, &errors), ERR_CONFIG);
    assert_string_equal(buf_text(&errors), "f:1:1: file: at most 1048576 bytes\n");
    target_fini(&t);
    buf_fini(&errors);
    free(text);
}

static void a_missing_file_is_not_found(void **state)
{
    (void)state;
    struct target t = {0};
    struct buf errors;
    buf_init(&errors, 4096);
    assert_int_equal(conf_read("/nonexistent/tpn.yaml", rows, &t, &errors), ERR_NOT_FOUND);
    assert_non_null(strstr(buf_text(&errors), "/nonexistent/tpn.yaml"));
    buf_fini(&errors);
}

/* A protobuf-c struct starts with texts that nobody may free. */
static void an_empty_text_without_a_default_is_left_alone(void **state)
{
    (void)state;
    static char constant[] = "";
    struct target t = {.plain = constant};
    struct buf errors;
    buf_init(&errors, 4096);
    assert_int_equal(conf_read_text("f", "plain: \"\"\n", 10, rows, &t, &errors), ERR_OK);
    assert_ptr_equal(t.plain, constant);
    assert_int_equal(conf_read_text("f", "plain: abc\n", 11, rows, &t, &errors), ERR_OK);
    assert_string_equal(t.plain, "abc");
    conf_free(rows, &t);
    assert_null(t.plain);
    buf_fini(&errors);
}

/* Whatever stands in a file, it is read or refused. Each cut of a good file, and each byte
 * changed. */
static void any_bytes_are_read_or_refused(void **state)
{
    (void)state;
    static const char good[] =
        "name: abc\nlist: [a, b]\nstore: {keep: 2h}\nthings: {x: {port: 1}}\n";
    for (size_t i = 0; i < sizeof good - 1; i++) {
        for (unsigned flip = 0; flip < 4; flip++) {
            char text[sizeof good];
            memcpy(text, good, sizeof good);
            static const char bytes[] = {'\0', ':', '[', '\n'};
            text[i] = bytes[flip];
            struct target t;
            struct buf errors;
            enum err err = read(text, &t, &errors);
            assert_true((err == ERR_OK) == (errors.len == 0));
            target_fini(&t);
            buf_fini(&errors);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(every_error_is_told_with_its_place),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_large_file_is_refused),
        cmocka_unit_test(a_missing_file_is_not_found),
        cmocka_unit_test(an_empty_text_without_a_default_is_left_alone),
        cmocka_unit_test(any_bytes_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
