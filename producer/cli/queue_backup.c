/* tpn queue backup: a copy of the broker's store, made while it is in use, brought here.
 *
 * The broker makes the copy beside its store and gives it out piece by piece, so the operator needs no way to the broker's
 * disk, and the broker writes nowhere that a message names. */
#include "queue_verbs.h"

#include "act.h"
#include "ask.h"
#include "mem.h"
#include "options.h"
#include "path.h"
#include "progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct backup_options {
    struct common_options common; /* first */
};

static const struct option_row rows[] = {{OPTION_END, NULL, 0, 0, NULL, NULL}};

static const struct command command = {
    .name = "queue backup",
    .arguments = "FILE",
    .summary = "Copy the broker's store into FILE while it is in use",
    .more =
        "To use it: stop the broker, put FILE as store.db into its empty data folder, run\n"
        "tpn-broker --check-store, start. What was not final when the copy was made may have "
        "been sent\nsince; so it is held there, and nothing of it goes out before a person "
        "says so: tpn queue "
        "ls --held,\ntpn queue release, cancel. What was accepted after the copy is not in "
        "it.\n",
    .rows = rows,
};

/* *answer is there when ERR_OK is returned. */
static enum err ask_step(struct ask *ask, PB(BackupAct) *act, int step, PB(BackedUp) **answer,
                         struct err_text *why)
{
    ProtobufCMessage *message = NULL;
    act->step = (Trackpro__Notify__V1__BackupStep)step;
    *answer = NULL;
    enum err err = ask_for(ask, WIRE_BACKUP, &act->base, WIRE_BACKED_UP, &message, why);
    PB(BackedUp) *got = (PB(BackedUp) *)message;
    if (err == ERR_OK && (got == NULL || got->reason[0] != '\0')) {
        err = err_set(why, ERR_INVALID, "%s", got != NULL ? got->reason : "no answer");
        protobuf_c_message_free_unpacked(message, NULL);
        return err;
    }
    *answer = got;
    return err;
}

enum { STEP_BEGIN = 1, STEP_READ = 2, STEP_END = 3 }; /* the numbers of enum BackupStep */

static enum err wait_ready(struct ask *ask, PB(BackupAct) *act, struct err_text *why)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    struct progress bar;
    bool ready = false;
    enum err err = ERR_OK;
    progress_init(&bar, "percent copied", 100);
    while (!ready) {
        PB(BackedUp) *answer = NULL;
        err = ask_step(ask, act, STEP_READ, &answer, why);
        if (err != ERR_OK || answer == NULL) {
            break;
        }
        ready = answer->ready;
        progress_show(
            &bar, answer->pages > 0 ? (size_t)(answer->pages_done * 100 / answer->pages) : 0);
        trackpro__notify__v1__backed_up__free_unpacked(answer, NULL);
        if (!ready) {
            (void)nanosleep(&pause, NULL);
        }
    }
    progress_end(&bar);
    return err;
}

static enum err fetch(struct ask *ask, PB(BackupAct) *act, FILE *file, uint64_t *size,
                      struct err_text *why)
{
    act->offset = 0;
    while (true) {
        PB(BackedUp) *answer = NULL;
        enum err err = ask_step(ask, act, STEP_READ, &answer, why);
        if (err != ERR_OK || answer == NULL) {
            return err;
        }
        size_t len = answer->data.len;
        *size = answer->size;
        if (len > 0 && fwrite(answer->data.data, 1, len, file) != len) {
            err = err_set_errno(why, ERR_IO, errno, "write");
        }
        trackpro__notify__v1__backed_up__free_unpacked(answer, NULL);
        act->offset += len;
        if (err != ERR_OK || len == 0) {
            return err != ERR_OK || act->offset == *size
                       ? err
                       : err_set(why, ERR_INVALID, "the copy ended early");
        }
    }
}

/* Into FILE.part, synced, then in its place: FILE is whole or it is not there. */
static enum err save(struct ask *ask, PB(BackupAct) *act, const char *name, uint64_t *size,
                     struct err_text *why)
{
    char *part = mem_format("%s.part", name);
    FILE *file = fopen(part, "wxe");
    enum err err = ERR_OK;
    if (file == NULL) {
        err = err_set_errno(why, ERR_IO, errno, "%s", part);
        free(part);
        return err;
    }
    err = fetch(ask, act, file, size, why);
    if (err == ERR_OK && (fflush(file) != 0 || fsync(fileno(file)) != 0)) {
        err = err_set_errno(why, ERR_IO, errno, "%s", part);
    }
    if (fclose(file) != 0 && err == ERR_OK) {
        err = err_set_errno(why, ERR_IO, errno, "%s", part);
    }
    if (err == ERR_OK && rename(part, name) != 0) {
        err = err_set_errno(why, ERR_IO, errno, "%s", name);
    }
    if (err != ERR_OK) {
        (void)unlink(part);
    }
    free(part);
    return err;
}

static enum err back_up(const struct backup_options *options, const char *name, uint64_t *size,
                        struct err_text *why)
{
    char operator[ACT_OPERATOR_BYTES];
    struct ask ask = {0};
    PB(BackupAct) act = PB_INIT(BACKUP_ACT);
    PB(BackedUp) *answer = NULL;
    act.operator_ = act_operator(operator);
    enum err err = ask_open(&ask, &options->common, options->common.admin, why);
    if (err == ERR_OK) {
        ask.once = true;
        err = ask_step(&ask, &act, STEP_BEGIN, &answer, why);
        ask.once = false;
    }
    if (err == ERR_OK) {
        trackpro__notify__v1__backed_up__free_unpacked(answer, NULL);
        err = wait_ready(&ask, &act, why);
        if (err == ERR_OK) {
            err = save(&ask, &act, name, size, why);
        }
        struct err_text ignored;
        if (ask_step(&ask, &act, STEP_END, &answer, &ignored) == ERR_OK) {
            trackpro__notify__v1__backed_up__free_unpacked(answer, NULL);
        }
    }
    ask_close(&ask);
    return err;
}

int queue_backup(int argc, char *argv[])
{
    struct backup_options options = {0};
    struct err_text why = {0};
    uint64_t size = 0;
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (argc - first != 1) {
        return options_fail(&command, "one FILE is needed");
    }
    enum err err = back_up(&options, argv[first], &size, &why);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn queue backup: %s\n", why.text);
        return err == ERR_AGAIN ? EXIT_UNREACHABLE
               : err == ERR_IO  ? EXIT_USAGE
                                : EXIT_SOME_FAILED;
    }
    if (options.common.json) {
        printf("{\"file\":\"written\",\"bytes\":%" PRIu64 "}\n", size);
    } else {
        printf("%s: %" PRIu64 " bytes\n", argv[first], size);
    }
    return EXIT_FINE;
}
