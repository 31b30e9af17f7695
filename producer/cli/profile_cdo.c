/* tpn profile import-cdo: a profile of CDO configuration fields, on standard output; what was not taken over on
 * standard error. With a refused field nothing is printed: half a profile would send in another way than before. */
#include "profile_verbs.h"

#include "cdo.h"
#include "options.h"
#include "path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { INPUT_MAX_BYTES = 1024 * 1024 };

struct import_options {
    struct common_options common; /* first */
    const char *name;
};

static const struct option_row rows[] = {
    {OPTION_TEXT, "name", 0, offsetof(struct import_options, name), "NAME",
     "of the profile (smtpaccountname, else imported)"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "profile import-cdo",
    .arguments = "[FILE]",
    .summary = "Make a profile of CDO configuration fields, one a line, as smtpserver = "
               "mail.example.org, or of the script that sets them. Asks no broker",
    .more =
        "Without FILE standard input is read. The password is never taken over: its place is "
        "the\n"
        "file that the profile names. Exit code 1 when a field was refused: no profile then.\n",
    .rows = rows,
};

static enum err read_input(const char *file, struct buf *out, struct err_text *why)
{
    if (file != NULL) {
        return path_read(file, out, why);
    }
    char block[4096];
    ssize_t got = 0;
    while ((got = read(STDIN_FILENO, block, sizeof block)) != 0) {
        if (got < 0 && errno != EINTR) {
            return err_set_errno(why, ERR_IO, errno, "standard input");
        }
        buf_add(out, block, got > 0 ? (size_t)got : 0);
    }
    return buf_status(out) == ERR_OK ? ERR_OK
                                     : err_set(why, ERR_LIMIT, "standard input: too large");
}

static const char *name_of(const struct cdo_import *import, const char *wanted)
{
    static const char good[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-";
    if (wanted != NULL) {
        return wanted[0] != '\0' && wanted[strspn(wanted, good)] == '\0' ? wanted : NULL;
    }
    return import->name[0] != '\0' && import->name[strspn(import->name, good)] == '\0'
               ? import->name
               : "imported";
}

static int import_fields(const struct buf *input, const char *wanted)
{
    struct cdo_import import = {.count = 0};
    struct buf out;
    buf_init(&out, INPUT_MAX_BYTES);
    cdo_read(&import, buf_text(input), input->len);
    const char *name = name_of(&import, wanted);
    bool good = import.refused == 0 && cdo_check(&import) && name != NULL;
    (void)fputs(buf_text(&import.notes), stderr);
    if (name == NULL) {
        (void)fprintf(stderr, "--name: letters, digits and . _ @ + - only\n");
    }
    if (good) {
        cdo_write(&import, name, &out);
        (void)fputs(buf_text(&out), stdout);
    }
    if (good && import.has_password) {
        (void)fprintf(stderr,
                      "sendpassword: not taken over: write it into "
                      "/etc/trackpro-notify/%s.password on the workers (mode 0600)\n",
                      name);
    }
    buf_fini(&out);
    cdo_fini(&import);
    return good ? EXIT_FINE : EXIT_SOME_FAILED;
}

int profile_import_cdo(int argc, char *argv[])
{
    struct import_options options = {.name = NULL};
    struct err_text why = {0};
    struct buf input;
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (argc - first > 1) {
        return options_fail(&command, "one FILE at most");
    }
    buf_init(&input, INPUT_MAX_BYTES);
    if (read_input(first < argc ? argv[first] : NULL, &input, &why) == ERR_OK) {
        code = import_fields(&input, options.name);
    } else {
        (void)fprintf(stderr, "tpn profile import-cdo: %s\n", why.text);
        code = EXIT_USAGE;
    }
    buf_fini(&input);
    return code;
}
