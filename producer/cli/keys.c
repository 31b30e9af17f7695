/* tpn keys: make key pairs, and print the line of the allow list for one.
 *
 * Talks to no broker. The secret goes into a file and nowhere else: it is never printed. */
#include "bus_key.h"
#include "commands.h"
#include "json.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 65536 };

struct keys_options {
    struct common_options common;
    const char *role;
    const char *folder;
    struct option_texts profiles;
    struct option_texts from;
    struct option_texts recipients;
    struct option_texts rights;
};

#define AT(field) offsetof(struct keys_options, field)

static const struct option_row new_rows[] = {
    {OPTION_TEXT, "role", 0, AT(role), "ROLE",
     "broker, producer, worker, operator or monitor; needed"},
    {OPTION_TEXT, "out", 0, AT(folder), "DIR", "folder for NAME.key and NAME.pub (.)"},
    {OPTION_TEXTS, "profile", 0, AT(profiles), "NAME", "producer: profile for the line (*)"},
    {OPTION_TEXTS, "from", 0, AT(from), "PATTERN",
     "producer: sender for the line: an address, @domain, @*.domain (*)"},
    {OPTION_TEXTS, "to", 0, AT(recipients), "PATTERN", "producer: recipients for the line (*)"},
    {OPTION_TEXTS, "right", 0, AT(rights), "RIGHT",
     "operator: read, act or reveal, for the line (read, act)"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command new_command = {
    .name = "keys new",
    .arguments = "NAME",
    .summary = "Make a key pair and print its line for the broker's allow list",
    .more = "NAME.key holds the secret (mode 0600): it belongs to the program that uses it.\n"
            "NAME.pub is its public half. No file that is there is overwritten.\n",
    .rows = new_rows,
};

static const struct option_row show_rows[] = {{OPTION_END, NULL, 0, 0, NULL, NULL}};

static const struct command show_command = {
    .name = "keys show",
    .arguments = "FILE",
    .summary = "Print the public keys of a .pub or .key file",
    .rows = show_rows,
};

static int fail(const char *verb, enum err err, const struct err_text *why)
{
    (void)fprintf(stderr, "tpn keys %s: %s\n", verb, why->text);
    return err == ERR_CONFIG || err == ERR_CONFLICT || err == ERR_NOT_FOUND ? EXIT_USAGE
                                                                            : EXIT_SOME_FAILED;
}

/* ---- the line ---- */

/* ", key: ['a', 'b']"; in single quotes, with those inside doubled (YAML 1.2, 7.3.2). */
static void add_list(struct buf *out, const char *key, const struct option_texts *texts,
                     const char *otherwise)
{
    buf_add_format(out, ", %s: [", key);
    for (size_t i = 0; i < texts->count; i++) {
        buf_add_text(out, i > 0 ? ", '" : "'");
        for (const char *at = texts->items[i]; *at != '\0'; at++) {
            buf_add_text(out, *at == '\'' ? "'" : "");
            buf_add_char(out, *at);
        }
        buf_add_char(out, '\'');
    }
    buf_add_format(out, "%s]", texts->count == 0 ? otherwise : "");
}

static void add_line(struct buf *out, const struct bus_key *key,
                     const struct keys_options *options)
{
    static const struct option_texts none = {NULL, 0};
    buf_add_format(out, "  %s: {role: %s, keys: ['%s']", key->name,
                   bus_key_role_name(key->role), key->public_text);
    if (key->role == BUS_KEY_PRODUCER) {
        add_list(out, "profiles", &options->profiles, "'*'");
        add_list(out, "from", &options->from, "'*'");
        add_list(out, "recipients", &options->recipients, "'*'");
    } else if (key->role == BUS_KEY_OPERATOR) {
        add_list(out, "rights", &options->rights, "read, act");
    } else if (key->role == BUS_KEY_WORKER) {
        add_list(out, "workers", &none, "'*'");
    }
    buf_add_text(out, "}");
}

static void print_new(const struct bus_key *key, const struct keys_options *options)
{
    struct buf line;
    buf_init(&line, LINE_BYTES);
    if (key->role != BUS_KEY_BROKER) {
        add_line(&line, key, options);
    }
    if (options->common.json) {
        struct buf out;
        struct json j;
        buf_init(&out, LINE_BYTES);
        json_init(&j, &out);
        json_open(&j, NULL, '{');
        json_text(&j, "name", key->name);
        json_text(&j, "role", bus_key_role_name(key->role));
        json_text(&j, "public", key->public_text);
        json_text(&j, "line", buf_text(&line));
        json_close(&j);
        printf("%s\n", buf_text(&out));
        buf_fini(&out);
    } else if (key->role == BUS_KEY_BROKER) {
        (void)fprintf(stderr,
                      "%s/%s.key is for the broker (keys.own in broker.yaml), "
                      "%s/%s.pub for everybody else (--server-key, keys.server).\n",
                      options->folder, key->name, options->folder, key->name);
    } else {
        (void)fprintf(
            stderr,
            "%s/%s.key is made. This line goes below access: in the allow list; narrow "
            "what it allows:\n",
            options->folder, key->name);
        printf("%s\n", buf_text(&line));
    }
    buf_fini(&line);
}

/* ---- verbs ---- */

static int make(const struct keys_options *options, const char *name)
{
    struct bus_key key;
    struct err_text why = {0};
    enum bus_key_role role =
        options->role != NULL ? bus_key_role_parse(options->role) : BUS_KEY_NOBODY;
    if (role == BUS_KEY_NOBODY) {
        return options_fail(&new_command,
                            "--role: broker, producer, worker, operator or monitor");
    }
    if (!bus_key_name_good(name)) {
        return options_fail(
            &new_command,
            "NAME: 1 to %d of A-Z a-z 0-9 . _ @ + = : -, not beginning with a dot",
            BUS_KEY_NAME_BYTES - 1);
    }
    enum err err = bus_key_new(name, role, &key, &why);
    if (err == ERR_OK) {
        err = bus_key_write(&key, options->folder, &why);
    }
    bus_key_wipe(&key);
    if (err != ERR_OK) {
        return fail("new", err, &why);
    }
    print_new(&key, options);
    return EXIT_FINE;
}

static int run_new(int argc, char *argv[])
{
    struct keys_options options = {.folder = "."};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&new_command, argc, argv, &options, &first, &code) == OPTIONS_RUN) {
        code = argc - first == 1 ? make(&options, argv[first])
                                 : options_fail(&new_command, "one NAME is needed");
    }
    options_free(&new_command, &options);
    return code;
}

static int run_show(int argc, char *argv[])
{
    struct common_options options = {.json = false};
    struct bus_key_list list;
    struct err_text why = {0};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&show_command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (argc - first != 1) {
        return options_fail(&show_command, "one FILE is needed");
    }
    enum err err = bus_key_read_public(argv[first], &list, &why);
    if (err != ERR_OK) {
        return fail("show", err, &why);
    }
    for (size_t i = 0; i < list.count; i++) {
        printf("%s%s%s\n", options.json ? "{\"public\":\"" : "", list.texts[i],
               options.json ? "\"}" : "");
    }
    return EXIT_FINE;
}

int command_keys(int argc, char *argv[])
{
    if (argc > 1 && strcmp(argv[1], "new") == 0) {
        return run_new(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "show") == 0) {
        return run_show(argc - 1, argv + 1);
    }
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (!help && argc > 1) {
        (void)fprintf(stderr, "tpn keys: no verb \"%s\"\n", argv[1]);
    }
    (void)fputs("Usage: tpn keys VERB [options] NAME\n\nVerbs:\n"
                "  new      make a key pair, print its line for the allow list\n"
                "  show     print the public keys of a file\n\nEach has --help.\n",
                help ? stdout : stderr);
    return help ? EXIT_FINE : EXIT_USAGE;
}
