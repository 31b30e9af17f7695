/* tpn profile ls, show, check: what the broker's profiles say. For operators. */
#include "profile_verbs.h"

#include "confine.h"
#include "options.h"
#include "pb_text.h"
#include "profile_ask.h"
#include "secret.h"
#include "show.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { SHOW_MAX_BYTES = 1024 * 1024 };

static const struct option_row rows[] = {{OPTION_END, NULL, 0, 0, NULL, NULL}};

struct show_options {
    struct common_options common; /* first */
    bool reveal;
    const char *certificate;
    const char *key;
};

#define AT(field) offsetof(struct show_options, field)

static const struct option_row show_rows[] = {
    {OPTION_FLAG, "reveal-password", 0, AT(reveal), NULL, "show the password itself"},
    {OPTION_TEXT, "unseal-certificate", 0, AT(certificate), "FILE",
     "with it: certificate of this machine's worker, for a sealed: password"},
    {OPTION_TEXT, "unseal-key", 0, AT(key), "REFERENCE", "with it: its key, as file:PATH"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command ls_command = {
    .name = "profile ls",
    .arguments = "",
    .summary = "List the profiles that are in force: name, where they send to, version",
    .more = "With --json each profile is one line.\n",
    .rows = rows,
};

static const struct command show_command = {
    .name = "profile show",
    .arguments = "NAME",
    .summary =
        "Show the settings of a profile, but for defaults. Secrets are references, or sealed",
    .more =
        "--reveal-password shows the password itself, if it can be read on this machine (the "
        "broker\n"
        "never has it): it wants the right reveal, and leaves an audit record.\n",
    .rows = show_rows,
};

static const struct command check_command = {
    .name = "profile check",
    .arguments = "",
    .summary =
        "Let the broker read its profiles file, without putting it in force, and tell what is "
        "wrong with it",
    .more = "Exit code 1 when the file would be refused.\n",
    .rows = rows,
};

static int fail(const struct command *command, enum err err, const struct err_text *why)
{
    (void)fprintf(stderr, "tpn %s: %s\n", command->name, why->text);
    return err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
}

/* ---- how they are shown ---- */

static void print_line(const PB(Profile) *profile)
{
    const PB(MailingSettings) *settings = profile->settings;
    printf("%-24s %-14s %s", profile->name,
           settings->use_pickup_folder ? "pickup folder" : "smtp", settings->smtp_server);
    if (settings->smtp_port != 0) {
        printf(":%" PRIu32, settings->smtp_port);
    }
    printf("  version %" PRIx64 "\n", profile->version);
}

static void print_settings(const PB(Profile) *profile)
{
    struct buf out;
    buf_init(&out, SHOW_MAX_BYTES);
    buf_add_format(&out, "profile %s, version %" PRIx64 "\n", profile->name, profile->version);
    pb_text_fields(&out, &profile->settings->base, "  ");
    (void)fputs(buf_text(&out), stdout);
    buf_fini(&out);
}

/* ---- verbs ---- */

static int list(const struct common_options *common)
{
    struct err_text why = {0};
    ProtobufCMessage *answer = NULL;
    enum err err = profile_ask(common, NULL, PROFILE_IN_FORCE, &answer, &why);
    if (err != ERR_OK) {
        return fail(&ls_command, err, &why);
    }
    const PB(ProfileList) *found = (const PB(ProfileList) *)answer;
    for (size_t i = 0; i < found->n_profiles; i++) {
        if (common->json) {
            show_json(&found->profiles[i]->base);
        } else {
            print_line(found->profiles[i]);
        }
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return EXIT_FINE;
}

/* The secret that the password names, opened here: the broker never has it. */
static int print_secret(const struct show_options *options, const char *reference)
{
    struct err_text why = {0};
    struct seal_keys *keys = NULL;
    char *secret = NULL;
    const char *const certificates[] = {options->certificate, NULL};
    const char *const references[] = {options->key, NULL};
    enum err err =
        reference[0] != '\0' ? ERR_OK : err_set(&why, ERR_NOT_FOUND, "there is none");
    if (err == ERR_OK && options->certificate != NULL) {
        err = secret_keys_read(certificates, references, &keys, &why);
    }
    if (err == ERR_OK) {
        err = secret_open(keys, reference, &secret, &why);
    }
    if (err == ERR_OK) {
        printf("  password is: %s\n", secret);
    } else {
        (void)fprintf(stderr, "tpn profile show: password: %s\n", why.text);
    }
    secret_free(&secret);
    seal_keys_free(&keys);
    return err == ERR_OK ? EXIT_FINE : EXIT_SOME_FAILED;
}

static int print_profile(const struct show_options *options, const PB(Profile) *profile)
{
    if (options->common.json) {
        show_json(&profile->base);
        return EXIT_FINE;
    }
    print_settings(profile);
    return options->reveal ? print_secret(options, profile->settings->password) : EXIT_FINE;
}

static int show(const struct show_options *options, const char *name)
{
    struct err_text why = {0};
    ProtobufCMessage *answer = NULL;
    enum err err = options->reveal ? confine_memory(&why) : ERR_OK;
    if (err == ERR_OK) {
        err = profile_ask(&options->common, name,
                          options->reveal ? PROFILE_REVEAL : PROFILE_IN_FORCE, &answer, &why);
    }
    if (err != ERR_OK) {
        return fail(&show_command, err, &why);
    }
    const PB(ProfileList) *found = (const PB(ProfileList) *)answer;
    int code = EXIT_UNREACHABLE;
    if (found->n_profiles == 1) {
        code = print_profile(options, found->profiles[0]);
    } else {
        (void)fprintf(stderr, "tpn profile show: no profile %s\n", name);
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

static int check(const struct common_options *common)
{
    struct err_text why = {0};
    ProtobufCMessage *answer = NULL;
    enum err err = profile_ask(common, NULL, PROFILE_CHECK, &answer, &why);
    if (err != ERR_OK) {
        return fail(&check_command, err, &why);
    }
    const PB(ProfileList) *found = (const PB(ProfileList) *)answer;
    int code = found->n_errors > 0 ? EXIT_SOME_FAILED : EXIT_FINE;
    if (common->json) {
        show_json(answer);
    } else if (found->n_errors > 0) {
        for (size_t i = 0; i < found->n_errors; i++) {
            printf("%s\n", found->errors[i]);
        }
    } else {
        printf("%zu profiles, nothing wrong\n", found->n_profiles);
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

/* Read the options, and as many arguments as are wanted. True when the verb may run. */
static bool read_words(const struct command *command, int argc, char *argv[], int wanted,
                       struct common_options *common, int *first, int *code)
{
    if (options_read(command, argc, argv, common, first, code) == OPTIONS_STOP) {
        return false;
    }
    if (argc - *first != wanted) {
        *code = options_fail(command, "%s",
                             wanted == 1 ? "one NAME is needed" : "takes no arguments");
        return false;
    }
    return true;
}

int profile_ls(int argc, char *argv[])
{
    struct common_options common = {0};
    int first = 0;
    int code = EXIT_USAGE;
    return read_words(&ls_command, argc, argv, 0, &common, &first, &code) ? list(&common)
                                                                          : code;
}

int profile_show(int argc, char *argv[])
{
    struct show_options options = {.reveal = false};
    int first = 0;
    int code = EXIT_USAGE;
    if (!read_words(&show_command, argc, argv, 1, &options.common, &first, &code)) {
        return code;
    }
    if (options.reveal && options.common.json) {
        return options_fail(&show_command,
                            "--reveal-password: not with --json, which is kept in files");
    }
    if ((options.certificate == NULL) != (options.key == NULL)) {
        return options_fail(&show_command, "--unseal-certificate and --unseal-key go together");
    }
    return show(&options, argv[first]);
}

int profile_check(int argc, char *argv[])
{
    struct common_options common = {0};
    int first = 0;
    int code = EXIT_USAGE;
    return read_words(&check_command, argc, argv, 0, &common, &first, &code) ? check(&common)
                                                                             : code;
}
