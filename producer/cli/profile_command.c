/* tpn profile: the mailing profiles of the broker.
 *
 * Only finds the verb. To add one: a file, a line in profile.h, a row in the table below. */
#include "profile_verbs.h"

#include "commands.h"
#include "options.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct profile_row {
    const char *name;
    int (*run)(int argc, char *argv[]);
    const char *summary;
};

/* Keep sorted by name. */
static const struct profile_row verbs[] = {
    {"check", profile_check, "would the broker take its file as it is now?"},
    {"import-cdo", profile_import_cdo, "make a profile of CDO configuration fields"},
    {"login", profile_login, "get an OAuth 2 refresh token: a person confirms it in a browser"},
    {"ls", profile_ls, "list the profiles that are in force"},
    {"seal", profile_seal, "encrypt a secret for the workers"},
    {"show", profile_show, "show the settings of one"},
    {"test", profile_test, "walk the way to its server, send no mail, say what to change"},
};

enum { VERBS = sizeof verbs / sizeof verbs[0] };

static void print_usage(FILE *to)
{
    (void)fprintf(to, "Usage: tpn profile VERB [options] [arguments]\n\nVerbs:\n");
    for (size_t i = 0; i < VERBS; i++) {
        (void)fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
    }
    (void)fprintf(to, "\nEach has --help.\n");
}

int command_profile(int argc, char *argv[])
{
    for (size_t i = 0; argc > 1 && i < VERBS; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (!help && argc > 1) {
        (void)fprintf(stderr, "tpn profile: no verb \"%s\"\n", argv[1]);
    }
    print_usage(help ? stdout : stderr);
    return help ? EXIT_FINE : EXIT_USAGE;
}
