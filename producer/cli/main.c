/* tpn: publish notifications and ask what became of them.
 *
 * Only finds the sub-command. To add one: a file, a line in commands.h, a row in the table
 * below. */
#include "commands.h"
#include "options.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

struct command_row {
    const char *name;
    int (*run)(int argc, char *argv[]);
    const char *summary;
};

/* Keep sorted by name. */
static const struct command_row commands[] = {
    {"alert", command_alert, "tell custodians which items are due, from a table"},
    {"evidence", command_evidence, "export, verify, days: who was told what, and the proof"},
    {"explain", command_explain, "tell the whole story of one request"},
    {"keys", command_keys, "new, show: key pairs for brokers, producers, workers, operators"},
    {"profile", command_profile,
     "ls, show, check, test, seal, import-cdo: the mailing profiles"},
    {"queue", command_queue,
     "ls, show, cancel, retry, resolve: what is in the broker (for operators)"},
    {"send", command_send, "send one notification"},
    {"status", command_status, "how requests stand; -f follows them"},
    {"withdraw", command_withdraw, "cancel what waits under a supersede key"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *to)
{
    (void)fprintf(to, "Usage: tpn COMMAND [options] [arguments]\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    (void)fprintf(to, "\ntpn --version prints the version. Each command has --help, --json, "
                      "and the exit codes that its help lists.\n");
}

int main(int argc, char *argv[])
{
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return EXIT_FINE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("tpn %s\n", TPN_VERSION_TEXT);
        return EXIT_FINE;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "tpn: no command \"%s\"\n", argv[1]);
    print_usage(stderr);
    return EXIT_USAGE;
}
