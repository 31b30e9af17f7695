/* Command line of one sub-command: a table of options, read by getopt_long(3), shown by --help.
 */
#ifndef TPN_OPTIONS_H
#define TPN_OPTIONS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

/* Exit codes of every sub-command; documented in --help and in the manual. */
enum exit_code {
    EXIT_FINE = 0, /* all is as it should be */
    EXIT_SOME_FAILED =
        1, /* some requests were refused, failed, expired, were cancelled, or are unknown */
    EXIT_USAGE = 2,       /* wrong options, or bad input; nothing was sent */
    EXIT_UNREACHABLE = 3, /* no broker answers, or it knows no such request */
    EXIT_TIMED_OUT = 4    /* --wait-timeout is over and not all are final */
};

enum option_kind {
    OPTION_END,   /* of a table */
    OPTION_FLAG,  /* bool */
    OPTION_TEXT,  /* const char * */
    OPTION_TEXTS, /* struct option_texts: may be given several times */
    OPTION_NUMBER /* long, 0 to 1000000000 */
};

struct option_texts {
    const char **items;
    size_t count;
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order in which tables are read
struct option_row {
    enum option_kind kind;
    const char *name;
    char letter;          /* 0 = none */
    size_t offset;        /* in the options of the command */
    const char *argument; /* its name in --help; null for a flag */
    const char *doc;
};

/* What every sub-command has, as the first member of its options. */
struct common_options {
    const char *submit;
    const char *status;
    const char *admin;
    const char *key;        /* key file, or "" */
    const char *server_key; /* file with the broker's public key, or "" */
    bool insecure;
    long timeout_s;
    bool json;
    bool help;
};

struct command {
    const char *name;      /* "send", "queue ls" */
    const char *arguments; /* behind the options in the usage line */
    const char *summary;   /* one line */
    const char *more;      /* further help, or null */
    const struct option_row *rows;
};

enum options_result { OPTIONS_RUN, OPTIONS_STOP };

/* Read argv into options, whose first member is struct common_options and which holds the
 * defaults of the command.
 *  first  out: index of the first argument that is no option
 *  exit   out, with OPTIONS_STOP: what to exit with; help or the mistake has been printed
 * The texts stay those of argv. A command with OPTION_TEXTS ends with options_free, also after
 * OPTIONS_STOP. */
enum options_result options_read(const struct command *command, int argc, char *argv[],
                                 void *options, int *first, int *exit) NODISCARD;

/* Free the lists that options_read made. */
void options_free(const struct command *command, void *options);

/* Say on standard error what is wrong with the arguments; returns EXIT_USAGE. */
int options_fail(const struct command *command, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "Name <address>" or a bare address: name and address are the caller's. */
void options_split_mailbox(const char *text, char **name, char **address);

#endif
