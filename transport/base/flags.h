/* The command line of a daemon: long flags from a table, --help and --version made from it. */
#ifndef TPN_FLAGS_H
#define TPN_FLAGS_H

#include <stddef.h>

#include "buf.h"
#include "err.h"

enum flag_exit {
    FLAG_GO_ON = -1, /* not an exit code: the flags are read */
    FLAG_EXIT_OK = 0,
    FLAG_EXIT_FAILED = 1,
    FLAG_EXIT_USAGE = 2
};

enum flag_kind {
    FLAG_SWITCH, /* bool */
    FLAG_TEXT,   /* char * */
    FLAG_LIST    /* struct flag_list: may be given several times */
};

/* One flag; a table ends with a null name. */
struct flag_row {
    const char *name; /* without -- */
    enum flag_kind kind;
    const char *value; /* what stands for the value in --help; null for a switch */
    size_t offset;     /* in the target */
    const char *doc;
};

struct flag_list {
    char **items; /* count texts and a null; null while empty */
    size_t count;
};

struct flag_program {
    const char *name;
    const char *summary;
    const struct flag_row *rows;
    const char *notes; /* exit codes and the like; may be null */
};

/* Read argv into a zeroed target. Texts are owned by the target (flag_free).
 * Returns FLAG_GO_ON, or the exit code: FLAG_EXIT_OK after --help and --version, FLAG_EXIT_USAGE after a message. */
int flag_read(const struct flag_program *program, int argc, char **argv, void *target);

/* Free every text that flag_read put into the target, and null it. */
void flag_free(const struct flag_program *program, void *target);

/* A flag goes over what a file said: *target is freed and becomes a copy of value. Null = the flag was not given. */
void flag_over_text(char **target, const char *value);

/* The same for a log level (enum log_level). ERR_CONFIG with a line in errors when there is none of that name. */
enum err flag_over_level(int *target, const char *value, struct buf *errors) NODISCARD;

#endif
