/* tpn queue drain: let workers, or the broker, come to an end in good order. */
#include "queue_verbs.h"

#include "act.h"
#include "ask.h"
#include "filter.h"
#include "options.h"
#include "show.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct drain_options {
    struct common_options common; /* first */
    const char *reason;
    bool end;
    bool wait;
    long deadline_s;
    long patience_s;
};

#define FIELD(name) offsetof(struct drain_options, name)

static const struct option_row rows[] = {
    {OPTION_FLAG, "end", 0, FIELD(end), NULL, "the broker accepts requests again"},
    {OPTION_FLAG, "wait", 'w', FIELD(wait), NULL, "until it is drained"},
    {OPTION_NUMBER, "wait-timeout", 0, FIELD(patience_s), "SECONDS", "with --wait (300)"},
    {OPTION_NUMBER, "deadline", 0, FIELD(deadline_s), "SECONDS", "of a worker (its own)"},
    {OPTION_TEXT, "reason", 'r', FIELD(reason), "TEXT", "why, for the audit log"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "queue drain",
    .arguments = "[WORKER...]",
    .summary =
        "Drain workers: each takes no more, finishes what it has, gives the rest back and "
        "ends.\nWithout a name the broker: it accepts nothing new (producers are told to try "
        "later) and\ngoes on sending, until --end or its next start",
    .more =
        "--wait: until the workers are gone, or nothing of the broker waits or is under way\n"
        "(UNKNOWN and what is held stays); exit code 4 when --wait-timeout is over. To stop "
        "the mail of one\nprofile there is the pause.\n",
    .rows = rows,
};

static bool is_settled(const PB(Stats) *stats, char *workers[])
{
    bool idle = true;
    for (size_t i = 0; i < stats->n_states && workers[0] == NULL; i++) {
        int state = (int)stats->states[i]->state;
        bool waits = state == PB_STATE(ACCEPTED) || state == PB_STATE(LEASED) ||
                     state == PB_STATE(PERMITTED) || state == PB_STATE(DEFERRED);
        idle = idle && (!waits || stats->states[i]->count == 0);
    }
    for (size_t i = 0; i < stats->n_workers; i++) {
        for (size_t k = 0; workers[k] != NULL; k++) {
            idle = idle && strcmp(workers[k], stats->workers[i]->name) != 0;
        }
    }
    return idle;
}

/* 0 done, 1 not within the time; an error in why. */
static enum err wait_until_drained(struct ask *ask, const struct drain_options *options,
                                   char *workers[], bool *drained, struct err_text *why)
{
    PB(StatsAsk) question = PB_INIT(STATS_ASK);
    const struct timespec pause = {.tv_nsec = 200000000};
    *drained = false;
    for (long turn = 0; turn <= options->patience_s * 5 && !*drained; turn++) {
        ProtobufCMessage *answer = NULL;
        enum err err = ask_for(ask, WIRE_STATS, &question.base, WIRE_STATS_OK, &answer, why);
        if (err != ERR_OK) {
            return err;
        }
        *drained = is_settled((const PB(Stats) *)answer, workers);
        protobuf_c_message_free_unpacked(answer, NULL);
        if (!*drained) {
            (void)nanosleep(&pause, NULL);
        }
    }
    return ERR_OK;
}

static void tell(const PB(Draining) *answer, const struct drain_options *options)
{
    if (options->common.json) {
        show_json(&answer->base);
        return;
    }
    for (size_t i = 0; i < answer->n_workers; i++) {
        printf("%s drains\n", answer->workers[i]);
    }
    printf("the broker %s\n", answer->broker
                                  ? "accepts nothing new until tpn queue drain --end, or its "
                                    "next start"
                                  : "accepts requests");
}

static enum err drain(const struct drain_options *options, char *workers[], int count,
                      int *code, struct err_text *why)
{
    char operator[ACT_OPERATOR_BYTES];
    struct ask ask = {0};
    ProtobufCMessage *answer = NULL;
    PB(DrainAct) body = PB_INIT(DRAIN_ACT);
    bool drained = true;
    body.operator_ = act_operator(operator);
    body.reason = filter_text(options->reason);
    body.workers = workers;
    body.n_workers = (size_t)count;
    body.resume = options->end;
    body.deadline_ms = (uint32_t)(options->deadline_s * 1000);
    enum err err = ask_open(&ask, &options->common, options->common.admin, why);
    if (err == ERR_OK) {
        ask.once = true;
        err = ask_for(&ask, WIRE_DRAIN_ACT, &body.base, WIRE_DRAINING, &answer, why);
        ask.once = false;
    }
    if (err == ERR_OK) {
        const PB(Draining) *told = (const PB(Draining) *)answer;
        tell(told, options);
        *code = told->n_workers >= (size_t)count ? EXIT_FINE : EXIT_UNREACHABLE;
        if (*code == EXIT_UNREACHABLE) {
            (void)fprintf(stderr, "tpn queue drain: no such worker\n");
        } else if (options->wait && !options->end) {
            err = wait_until_drained(&ask, options, workers, &drained, why);
            *code = drained ? EXIT_FINE : EXIT_TIMED_OUT;
        }
        protobuf_c_message_free_unpacked(answer, NULL);
    }
    ask_close(&ask);
    return err;
}

int queue_drain(int argc, char *argv[])
{
    struct drain_options options = {.patience_s = 300};
    struct err_text why = {0};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (options.end && first < argc) {
        return options_fail(&command, "--end is for the broker: a worker is started again");
    }
    enum err err = drain(&options, argv + first, argc - first, &code, &why);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn queue drain: %s\n", why.text);
        code = err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
    }
    return code;
}
