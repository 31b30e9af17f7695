/* Command line of one sub-command.
 *
 * One table gives getopt_long its options and --help its text, so that the two cannot differ.
 * Endpoints come from the option, else from the environment, else from the defaults. */
#include "options.h"

#include "mem.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 40, VALUE_BASE = 256, TIMEOUT_DEFAULT_S = 30 };

static const struct option_row common_rows[] = {
    {OPTION_TEXT, "submit", 0, offsetof(struct common_options, submit), "ENDPOINT",
     "where requests go (TPN_SUBMIT; tcp://127.0.0.1:5551)"},
    {OPTION_TEXT, "status", 0, offsetof(struct common_options, status), "ENDPOINT",
     "status topic (TPN_STATUS; tcp://127.0.0.1:5553)"},
    {OPTION_TEXT, "admin", 0, offsetof(struct common_options, admin), "ENDPOINT",
     "for operators (TPN_ADMIN; tcp://127.0.0.1:5554)"},
    {OPTION_TEXT, "key", 0, offsetof(struct common_options, key), "FILE",
     "your key, as tpn keys new made it (TPN_KEY)"},
    {OPTION_TEXT, "server-key", 0, offsetof(struct common_options, server_key), "FILE",
     "the broker's public key (TPN_SERVER_KEY)"},
    {OPTION_FLAG, "insecure", 0, offsetof(struct common_options, insecure), NULL,
     "connect without keys beyond loopback too (TPN_INSECURE=1)"},
    {OPTION_NUMBER, "timeout", 0, offsetof(struct common_options, timeout_s), "SECONDS",
     "how long to wait for an answer (30; profile test: 120)"},
    {OPTION_FLAG, "json", 0, offsetof(struct common_options, json), NULL, "print JSON"},
    {OPTION_FLAG, "help", 'h', offsetof(struct common_options, help), NULL, "print this"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const char exit_codes[] =
    "Exit codes:\n"
    "  0  all is as it should be\n"
    "  1  some requests were refused, failed, expired, were cancelled, or are unknown\n"
    "  2  wrong options or bad input; nothing was sent\n"
    "  3  no broker answers, or it knows no such request\n"
    "  4  --wait-timeout is over and not all are final\n";

/* ---- help ---- */

static void print_rows(const struct option_row *rows)
{
    for (; rows->kind != OPTION_END; rows++) {
        char left[64];
        char letter[8] = "    ";
        if (rows->letter != 0) {
            (void)snprintf(letter, sizeof letter, "-%c, ", rows->letter);
        }
        (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, rows->name,
                       rows->argument != NULL ? " " : "",
                       rows->argument != NULL ? rows->argument : "");
        printf("  %-30s %s%s\n", left, rows->doc,
               rows->kind == OPTION_TEXTS ? " (may be repeated)" : "");
    }
}

static void print_help(const struct command *command)
{
    printf("Usage: tpn %s [options]%s%s\n\n%s.\n\nOptions:\n", command->name,
           command->arguments[0] != '\0' ? " " : "", command->arguments, command->summary);
    print_rows(command->rows);
    print_rows(common_rows);
    if (command->more != NULL) {
        printf("\n%s", command->more);
    }
    printf("\n%s", exit_codes);
}

int options_fail(const struct command *command, const char *fmt, ...)
{
    va_list args;
    (void)fprintf(stderr, "tpn %s: ", command->name);
    va_start(args, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is above
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "\nTry: tpn %s --help\n", command->name);
    return EXIT_USAGE;
}

/* ---- reading ---- */

static bool read_number(const char *text, long *number)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > 1000000000L) {
        return false;
    }
    *number = value;
    return true;
}

static bool store(const struct option_row *row, void *options, const char *value)
{
    void *place = (char *)options + row->offset;
    struct option_texts *texts = place;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)place = true;
        return true;
    case OPTION_TEXT:
        *(const char **)place = value;
        return true;
    case OPTION_TEXTS:
        texts->items = mem_resize(texts->items, texts->count + 1, sizeof *texts->items);
        texts->items[texts->count++] = value;
        return true;
    case OPTION_NUMBER:
        return read_number(value, place);
    default:
        return false;
    }
}

/* The rows of the command and the common ones, as one list and as getopt_long wants them. */
struct option_set {
    const struct option_row *rows[MAX_OPTIONS];
    struct option list[MAX_OPTIONS + 1];
    char letters[2 * MAX_OPTIONS + 1];
    int count;
};

static void add_rows(struct option_set *set, const struct option_row *rows)
{
    size_t used = strlen(set->letters);
    for (; rows->kind != OPTION_END; rows++) {
        if (set->count == MAX_OPTIONS) {
            bug("more than %d options", MAX_OPTIONS);
        }
        int argument = rows->kind == OPTION_FLAG ? no_argument : required_argument;
        set->rows[set->count] = rows;
        set->list[set->count] =
            (struct option){rows->name, argument, NULL, VALUE_BASE + set->count};
        if (rows->letter != 0) {
            set->letters[used++] = rows->letter;
            if (argument == required_argument) {
                set->letters[used++] = ':';
            }
        }
        set->count++;
    }
}

static const struct option_row *find_row(const struct option_set *set, int value)
{
    for (int i = 0; i < set->count; i++) {
        if (value == VALUE_BASE + i || (value == set->rows[i]->letter && value != 0)) {
            return set->rows[i];
        }
    }
    return NULL;
}

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe): no thread has started
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

enum options_result options_read(const struct command *command, int argc, char *argv[],
                                 void *options, int *first, int *exit)
{
    struct option_set set = {.letters = ""};
    struct common_options *common = options;
    common->submit = from_environment("TPN_SUBMIT", "tcp://127.0.0.1:5551");
    common->status = from_environment("TPN_STATUS", "tcp://127.0.0.1:5553");
    common->admin = from_environment("TPN_ADMIN", "tcp://127.0.0.1:5554");
    common->key = from_environment("TPN_KEY", "");
    common->server_key = from_environment("TPN_SERVER_KEY", "");
    common->insecure = strcmp(from_environment("TPN_INSECURE", ""), "1") == 0;
    common->timeout_s = common->timeout_s > 0 ? common->timeout_s : TIMEOUT_DEFAULT_S;
    add_rows(&set, command->rows);
    add_rows(&set, common_rows);
    *exit = EXIT_USAGE;
    optind =
        0; /* getopt_long(3): 0 starts it anew, also after the main program's own options */
    opterr = 0;
    int value = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread has started
    while ((value = getopt_long(argc, argv, set.letters, set.list, NULL)) != -1) {
        const struct option_row *row = value == '?' ? NULL : find_row(&set, value);
        if (row == NULL) {
            (void)options_fail(command, "%s: no such option, or its value is missing",
                               argv[optind - 1]);
            return OPTIONS_STOP;
        }
        if (!store(row, options, optarg)) {
            (void)options_fail(command, "--%s: a whole number from 0 to 1000000000", row->name);
            return OPTIONS_STOP;
        }
    }
    if (common->help) {
        print_help(command);
        *exit = EXIT_FINE;
        return OPTIONS_STOP;
    }
    *first = optind;
    return OPTIONS_RUN;
}

void options_free(const struct command *command, void *options)
{
    for (const struct option_row *row = command->rows; row->kind != OPTION_END; row++) {
        if (row->kind == OPTION_TEXTS) {
            struct option_texts *texts = (void *)((char *)options + row->offset);
            free(texts->items);
            *texts = (struct option_texts){NULL, 0};
        }
    }
}

void options_split_mailbox(const char *text, char **name, char **address)
{
    const char *open = strrchr(text, '<');
    size_t len = strlen(text);
    if (open == NULL || len == 0 || text[len - 1] != '>') {
        *name = mem_text("");
        *address = mem_text(text);
        return;
    }
    *address = mem_format("%.*s", (int)(len - (size_t)(open - text) - 2), open + 1);
    const char *end = open;
    while (end > text && end[-1] == ' ') {
        end--;
    }
    if (end - text >= 2 && *text == '"' && end[-1] == '"') {
        text++;
        end--;
    }
    *name = mem_format("%.*s", (int)(end - text), text);
}
