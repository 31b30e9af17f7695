/* tpn queue pause and resume. One message for both; what is in force afterwards is printed. */
#include "queue_pause.h"

#include "act.h"
#include "ask.h"
#include "clock.h"
#include "conf.h"
#include "filter.h"
#include "log.h"
#include "options.h"
#include "pb_text.h"
#include "show.h"

#include <stdint.h>
#include <stdio.h>

struct pause_options {
    struct common_options common; /* first */
    const char *profile;
    const char *producer;
    const char *domain;
    const char *span;
    const char *reason;
    bool all;
};

#define FIELD(name) offsetof(struct pause_options, name)

#define SCOPE_ROWS                                                                              \
    {OPTION_TEXT, "profile", 'p', FIELD(profile), "NAME", "mail of this profile"},              \
        {OPTION_TEXT, "producer", 0, FIELD(producer), "NAME", "mail of this producer"},         \
        {OPTION_TEXT, "domain", 0, FIELD(domain), "NAME", "mail to recipients at this domain"}, \
    {                                                                                           \
        OPTION_FLAG, "all", 0, FIELD(all), NULL, "all mail"                                     \
    }

static const struct option_row pause_rows[] = {
    SCOPE_ROWS,
    {OPTION_TEXT, "for", 0, FIELD(span), "TIME", "resume by itself after 30min, 2h, 3d …"},
    {OPTION_TEXT, "reason", 0, FIELD(reason), "TEXT", "why, for people"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct option_row resume_rows[] = {
    SCOPE_ROWS,
    {OPTION_TEXT, "reason", 0, FIELD(reason), "TEXT", "why, for people"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command pause_words = {
    .name = "queue pause",
    .arguments = "",
    .summary = "Hold mail back; what a worker has already goes on",
    .rows = pause_rows,
};

static const struct command resume_words = {
    .name = "queue resume",
    .arguments = "",
    .summary = "Let mail go again; of a profile also when its login or its server failed: one "
               "try decides",
    .rows = resume_rows,
};

/* Exactly one of the four. False when not. */
static bool choose_scope(const struct pause_options *options, PB(Pause) *wish)
{
    const struct {
        const char *name;
        int scope;
    } rows[] = {{options->profile, PB_SCOPE(PROFILE)},
                {options->producer, PB_SCOPE(PRODUCER)},
                {options->domain, PB_SCOPE(DOMAIN)}};
    int given = options->all ? 1 : 0;
    wish->scope = PB_SCOPE(ALL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].name != NULL) {
            given++;
            wish->scope = rows[i].scope;
            wish->name = filter_text(rows[i].name);
        }
    }
    return given == 1;
}

static void print_paused(const PB(Paused) *paused)
{
    char when[CLOCK_TEXT_BYTES];
    char quoted[LOG_QUOTE_BYTES];
    for (size_t i = 0; i < paused->n_holds; i++) {
        const PB(Hold) *hold = paused->holds[i];
        printf("%s%s is paused by %s %s%s%s%s\n", pb_scope_words((int)hold->scope), hold->name,
               hold->operator_, hold->until_ms != 0 ? "until " : "until it is resumed",
               hold->until_ms != 0 ? clock_text(hold->until_ms, when) : "",
               hold->reason[0] != '\0' ? ": " : "",
               hold->reason[0] != '\0' ? log_quote(hold->reason, quoted) : "");
    }
    if (paused->n_holds == 0) {
        printf("no pause is in force\n");
    }
}

static int run(const struct command *command, const struct pause_options *options,
               PB(Pause) *wish)
{
    struct err_text why = {0};
    struct ask ask = {0};
    ProtobufCMessage *answer = NULL;
    uint64_t span_ms = 0;
    if (!choose_scope(options, wish)) {
        return options_fail(command, "one of --profile, --producer, --domain and --all");
    }
    if (options->span != NULL) {
        if (conf_duration(options->span, &span_ms, &why) != ERR_OK || span_ms == 0) {
            return options_fail(command, "--for %s: a time like 30min, 2h or 3d",
                                options->span);
        }
        wish->until_ms = clock_wall_ms() + (int64_t)span_ms;
    }
    wish->reason = filter_text(options->reason);
    enum err err = ask_open(&ask, &options->common, options->common.admin, &why);
    ask.once = true;
    if (err == ERR_OK) {
        err = ask_for(&ask, WIRE_PAUSE, &wish->base, WIRE_PAUSED, &answer, &why);
    }
    ask_close(&ask);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn %s: %s\n", command->name, why.text);
        return err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
    }
    const PB(Paused) *paused = (const PB(Paused) *)answer;
    int code = paused->changed ? EXIT_FINE : EXIT_SOME_FAILED;
    if (options->common.json) {
        show_json(answer);
    } else {
        print_paused(paused);
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

static int start(const struct command *command, int argc, char *argv[], PB(Pause) *wish)
{
    struct pause_options options = {.all = false};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (first < argc) {
        return options_fail(command, "%s: takes no arguments", argv[first]);
    }
    return run(command, &options, wish);
}

int queue_pause(int argc, char *argv[])
{
    char operator[ACT_OPERATOR_BYTES];
    PB(Pause) wish = PB_INIT(PAUSE);
    (void)act_operator(operator);
    wish.operator_ = operator;
    return start(&pause_words, argc, argv, &wish);
}

int queue_resume(int argc, char *argv[])
{
    char operator[ACT_OPERATOR_BYTES];
    PB(Pause) wish = PB_INIT(PAUSE);
    (void)act_operator(operator);
    wish.operator_ = operator;
    wish.resume = true;
    return start(&resume_words, argc, argv, &wish);
}
