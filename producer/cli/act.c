/* tpn queue cancel, retry, resolve.
 *
 * The broker decides what may be done and says why not; here stand only the options and the paging. A question that acts is
 * sent once: asked again it would be refused ("it is cancelled"), or a filter would take the next requests. When no
 * answer comes, `tpn queue show` tells what was done: the history names the operator. */
#include "act.h"

#include "ask.h"
#include "filter.h"
#include "mem.h"
#include "pb_text.h"
#include "show.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 1000, LIMIT_DEFAULT = 100, LIMIT_UNSET = -1 };

struct act_options {
    struct common_options common; /* first */
    struct filter_options filter;
    bool all;
    long limit;
    const char *reason;
    const char *as;
    bool yes;
    const char *to_profile; /* edit */
    struct option_texts recipients;
    bool retry;
};

#define FIELD(name) offsetof(struct act_options, name)

#define ACT_ROWS                                                                               \
    {OPTION_TEXT, "reason", 'r', FIELD(reason), "TEXT", "why, for the history"},               \
        FILTER_ROWS(FIELD(filter)),                                                            \
        {OPTION_NUMBER, "limit", 'n',                                                          \
         FIELD(limit),  "N",     "with a filter: at most N, 0 = all (100)"},                   \
    {                                                                                          \
        OPTION_FLAG, "all", 0, FIELD(all), NULL,                                               \
            "all that match; without a filter: all that it can be done to"                     \
    }

static const struct option_row act_rows[] = {ACT_ROWS, {OPTION_END, NULL, 0, 0, NULL, NULL}};

static const struct option_row resolve_rows[] = {
    {OPTION_TEXT, "as", 0, FIELD(as), "sent|resend",
     "sent: it was delivered; resend: send it again"},
    ACT_ROWS,
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const char more[] =
    "Either IDs or a filter (--state, --profile, --producer, --prefix, --all). Without --state "
    "a\n"
    "filter takes all states that it can be done in, but cancel leaves out UNKNOWN, and retry\n"
    "CANCELLED. The history of each request tells who ($USER) did it and why. With --json "
    "each\n"
    "request is one line.\n";

static const struct command cancel_command = {
    .name = "queue cancel",
    .arguments = "[ID...]",
    .summary = "End requests that are not on their way: ACCEPTED, DEFERRED, UNKNOWN, LEASED",
    .more = more,
    .rows = act_rows,
};

static const struct command retry_command = {
    .name = "queue retry",
    .arguments = "[ID...]",
    .summary =
        "Try DEFERRED requests now; try FAILED, EXPIRED and CANCELLED ones again, for those "
        "recipients\nthat were not delivered to",
    .more = more,
    .rows = act_rows,
};

static const struct command resolve_command = {
    .name = "queue resolve",
    .arguments = "--as sent|resend [ID...]",
    .summary =
        "Decide what became of UNKNOWN requests. A mail that is sent again is marked as a "
        "possible\nduplicate (header X-TrackPro-Possible-Duplicate)",
    .more = more,
    .rows = resolve_rows,
};

static const struct command hold_command = {
    .name = "queue hold",
    .arguments = "[ID...]",
    .summary =
        "Let ACCEPTED and DEFERRED requests wait until they are released, over restarts "
        "too. A request\nthat is held does not expire; released too late, it expires then",
    .more = more,
    .rows = act_rows,
};

static const struct command release_command = {
    .name = "queue release",
    .arguments = "[ID...]",
    .summary = "Let held requests go on",
    .more = more,
    .rows = act_rows,
};

static const struct command redrive_command = {
    .name = "queue redrive",
    .arguments = "[ID...]",
    .summary = "Send FAILED and EXPIRED requests again, for those recipients that were not "
               "delivered to;\nCANCELLED ones when an ID or --state names them",
    .more = more,
    .rows = act_rows,
};

static const struct option_row purge_rows[] = {
    {OPTION_FLAG, "yes", 'y', FIELD(yes), NULL, "do not ask"},
    ACT_ROWS,
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command purge_command = {
    .name = "queue purge",
    .arguments = "[ID...]",
    .summary =
        "Forget requests that are final before their time. What was told to whom stays "
        "in the evidence;\nwhat is gone is the request itself: it cannot be redriven, and "
        "its ID counts as new",
    .more = more,
    .rows = purge_rows,
};

static const struct option_row edit_rows[] = {
    {OPTION_TEXTS, "recipient", 0, FIELD(recipients), "OLD=NEW", "NEW in the place of OLD"},
    {OPTION_TEXT, "to-profile", 0, FIELD(to_profile), "NAME", "send it with these settings"},
    {OPTION_FLAG, "retry", 0, FIELD(retry), NULL, "then try it again"},
    {OPTION_TEXT, "reason", 'r', FIELD(reason), "TEXT", "why, for the history"},
    {OPTION_TEXT, "producer", 0, FIELD(filter.producer), "NAME",
     "of this producer, when several have the id"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command edit_command = {
    .name = "queue edit",
    .arguments = "ID",
    .summary =
        "Change recipients or the profile of a request that nobody has and that was not sent",
    .more =
        "What the producer sent stays as it is; the change stands beside it, in the history\n"
        "and with the worker. A new address loses the name that stood beside the old one.\n"
        "What is FAILED, EXPIRED or CANCELLED stays so, and is sent when it is retried: with\n"
        "--retry at once. What is UNKNOWN is sent when it is resolved.\n",
    .rows = edit_rows,
};

/* What was answered so far. */
struct tally {
    size_t done;
    size_t refused;
    size_t not_known;
};

static void print_result(const PB(ActResult) *result, bool json)
{
    if (json) {
        show_json(&result->base);
    } else if (result->done && result->after == PB_STATE(UNSPECIFIED)) {
        printf("%s forgotten, was %s\n", result->id, pb_state_word((int)result->before));
    } else if (result->done && result->after == result->before) {
        printf("%s %s, %s\n", result->id, pb_state_word((int)result->after), result->reason);
    } else if (result->done) {
        printf("%s %s, was %s\n", result->id, pb_state_word((int)result->after),
               pb_state_word((int)result->before));
    } else if (result->before == PB_STATE(UNSPECIFIED)) {
        printf("%s refused: %s\n", result->id, result->reason);
    } else {
        printf("%s %s, refused: %s\n", result->id, pb_state_word((int)result->before),
               result->reason);
    }
}

static void take_answer(const PB(QueueActed) *answer, bool json, struct tally *tally)
{
    for (size_t i = 0; i < answer->n_results; i++) {
        const PB(ActResult) *result = answer->results[i];
        print_result(result, json);
        tally->done += result->done ? 1 : 0;
        tally->refused += result->done ? 0 : 1;
        tally->not_known += result->before == PB_STATE(UNSPECIFIED) ? 1 : 0;
    }
}

static enum err act_on_ids(struct ask *ask, PB(QueueAct) *act, char *ids[], bool json,
                           struct tally *tally, struct err_text *why)
{
    while (*ids != NULL) {
        ProtobufCMessage *answer = NULL;
        act->ids = ids;
        for (act->n_ids = 0; act->n_ids < AT_ONCE && *ids != NULL; ids++) {
            act->n_ids++;
        }
        enum err err = ask_for(ask, WIRE_QUEUE_ACT, &act->base, WIRE_QUEUE_ACTED, &answer, why);
        if (err != ERR_OK) {
            return err;
        }
        take_answer((const PB(QueueActed) *)answer, json, tally);
        protobuf_c_message_free_unpacked(answer, NULL);
    }
    return ERR_OK;
}

static enum err act_on_filter(struct ask *ask, PB(QueueAct) *act, size_t left, bool json,
                              struct tally *tally, struct err_text *why)
{
    while (left > 0) {
        ProtobufCMessage *answer = NULL;
        act->limit = left < AT_ONCE ? (uint32_t)left : AT_ONCE;
        enum err err = ask_for(ask, WIRE_QUEUE_ACT, &act->base, WIRE_QUEUE_ACTED, &answer, why);
        if (err != ERR_OK) {
            return err;
        }
        const PB(QueueActed) *acted = (const PB(QueueActed) *)answer;
        take_answer(acted, json, tally);
        left -= acted->n_results < left ? acted->n_results : left;
        /* A cursor that does not rise would make this endless. */
        bool goes_on = acted->next > act->after;
        act->after = acted->next;
        protobuf_c_message_free_unpacked(answer, NULL);
        if (!goes_on) {
            break;
        }
    }
    return ERR_OK;
}

static bool has_filter(const struct act_options *options)
{
    return filter_given(&options->filter) || options->all;
}

static size_t limit_of(const struct act_options *options)
{
    long limit = options->limit;
    if (limit == LIMIT_UNSET) {
        limit = options->all ? 0 : LIMIT_DEFAULT;
    }
    return limit == 0 ? SIZE_MAX : (size_t)limit;
}

char *act_operator(char out[ACT_OPERATOR_BYTES])
{
    const char *name = getenv("USER"); // NOLINT(concurrency-mt-unsafe): no thread has started
    if (name != NULL && name[0] != '\0') {
        (void)snprintf(out, ACT_OPERATOR_BYTES, "%s", name);
    } else {
        (void)snprintf(out, ACT_OPERATOR_BYTES, "uid-%u", (unsigned)getuid());
    }
    return out;
}

static int tell(const struct tally *tally, const struct act_options *options)
{
    size_t count = tally->done + tally->refused;
    if (!options->common.json && count != 1) {
        printf("%zu done, %zu refused\n", tally->done, tally->refused);
    }
    if (count > 0 && tally->not_known == count) {
        return EXIT_UNREACHABLE;
    }
    return tally->refused > 0 ? EXIT_SOME_FAILED : EXIT_FINE;
}

static int act(const struct command *command, int operation, char *ids[],
               const struct act_options *options)
{
    char operator[ACT_OPERATOR_BYTES];
    struct err_text why = {0};
    struct ask ask = {0};
    struct tally tally = {0};
    PB(QueueFilter) filter = PB_INIT(QUEUE_FILTER);
    PB(QueueAct) body = PB_INIT(QUEUE_ACT);
    (void)act_operator(operator);
    body.operation = (Trackpro__Notify__V1__Operation)operation;
    body.operator_ = operator;
    body.reason = filter_text(options->reason);
    enum err err = filter_fill(&options->filter, &filter, &why);
    if (err == ERR_OK) {
        err = ask_open(&ask, &options->common, options->common.admin, &why);
    }
    if (err == ERR_OK) {
        ask.once = true;
        if (ids[0] != NULL) {
            body.producer = filter_text(options->filter.producer);
            err = act_on_ids(&ask, &body, ids, options->common.json, &tally, &why);
        } else {
            body.filter = &filter;
            err = act_on_filter(&ask, &body, limit_of(options), options->common.json, &tally,
                                &why);
        }
    }
    free(filter.states);
    ask_close(&ask);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn %s: %s\n", command->name, why.text);
        return err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
    }
    return tell(&tally, options);
}

/* What is forgotten does not come back: a person says yes, a script --yes. */
static bool confirm(char *ids[])
{
    char answer[16] = "";
    if (isatty(STDIN_FILENO) == 0) {
        return false;
    }
    (void)fprintf(stderr, "Forget %s for good? Type yes: ",
                  ids[0] == NULL   ? "all that match"
                  : ids[1] == NULL ? ids[0]
                                   : "these requests");
    return fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

static int resolution(const struct act_options *options)
{
    static const struct {
        const char *word;
        int operation;
    } rows[] = {
        {"sent", PB_OPERATION(RESOLVE_SENT)},
        {"resend", PB_OPERATION(RESOLVE_RESEND)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && options->as != NULL; i++) {
        if (strcmp(options->as, rows[i].word) == 0) {
            return rows[i].operation;
        }
    }
    return PB_OPERATION(UNSPECIFIED);
}

/* operation: UNSPECIFIED = the one that --as names. */
static int run(const struct command *command, int operation, int argc, char *argv[])
{
    struct act_options options = {.limit = LIMIT_UNSET};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        goto out;
    }
    if (operation == PB_OPERATION(UNSPECIFIED)) {
        operation = resolution(&options);
    }
    bool filtered = has_filter(&options);
    if (operation == PB_OPERATION(UNSPECIFIED)) {
        code = options_fail(command, "--as sent or --as resend is needed");
    } else if (first < argc && (filtered || options.limit != LIMIT_UNSET)) {
        code = options_fail(command, "either IDs or a filter, not both");
    } else if (first == argc && !filtered && options.filter.producer == NULL) {
        code = options_fail(command, "IDs are needed, or a filter, or --all");
    } else if (operation == PB_OPERATION(PURGE) && !options.yes && !confirm(argv + first)) {
        code = options_fail(command, "nothing was done: answer yes, or give --yes");
    } else {
        code = act(command, operation, argv + first, &options); /* argv ends with null */
    }
out:
    options_free(command, &options);
    return code;
}

int act_cancel(int argc, char *argv[])
{
    return run(&cancel_command, PB_OPERATION(CANCEL), argc, argv);
}

int act_retry(int argc, char *argv[])
{
    return run(&retry_command, PB_OPERATION(RETRY), argc, argv);
}

int act_resolve(int argc, char *argv[])
{
    return run(&resolve_command, PB_OPERATION(UNSPECIFIED), argc, argv);
}

int act_hold(int argc, char *argv[])
{
    return run(&hold_command, PB_OPERATION(HOLD), argc, argv);
}

int act_release(int argc, char *argv[])
{
    return run(&release_command, PB_OPERATION(RELEASE), argc, argv);
}

int act_redrive(int argc, char *argv[])
{
    return run(&redrive_command, PB_OPERATION(REDRIVE), argc, argv);
}

int act_purge(int argc, char *argv[])
{
    return run(&purge_command, PB_OPERATION(PURGE), argc, argv);
}

/* ---- edit ---- */

/* The changes as the broker takes them: by the place of the old address in the list of recipients. */
static enum err find_places(const struct act_options *options, const PB(RequestStatus) *request,
                            PB(RequestEdit) *edit, PB(AddressChange) *changes,
                            struct err_text *why)
{
    for (size_t i = 0; i < options->recipients.count; i++) {
        const char *text = options->recipients.items[i];
        const char *equals = strrchr(text, '=');
        PB(AddressChange) init = PB_INIT(ADDRESS_CHANGE);
        bool found = false;
        changes[i] = init;
        for (size_t k = 0; equals != NULL && k < request->n_recipients && !found; k++) {
            const char *address = request->recipients[k]->address;
            found = strlen(address) == (size_t)(equals - text) &&
                    strncmp(address, text, strlen(address)) == 0;
            changes[i].index = (uint32_t)k;
        }
        if (!found || equals[1] == '\0') {
            return err_set(why, ERR_INVALID, "--recipient %s: %s", text,
                           equals == NULL || equals[1] == '\0' ? "write OLD=NEW"
                                                               : "it has no such recipient");
        }
        changes[i].address = filter_text(equals + 1);
        edit->recipients[edit->n_recipients++] = &changes[i];
    }
    return ERR_OK;
}

/* Look at the request, then act on it by its own producer's name. */
static enum err edit_one(struct ask *ask, PB(QueueAct) *act, const struct act_options *options,
                         char *ids[], struct tally *tally, struct err_text *why)
{
    PB(QueueShow) show = PB_INIT(QUEUE_SHOW);
    PB(RequestEdit) edit = PB_INIT(REQUEST_EDIT);
    size_t count = options->recipients.count;
    PB(AddressChange) *changes = mem_zero(count + 1, sizeof *changes);
    ProtobufCMessage *answer = NULL;
    edit.recipients = mem_zero(count + 1, sizeof *edit.recipients);
    edit.profile = filter_text(options->to_profile);
    show.id = ids[0];
    show.producer = filter_text(options->filter.producer);
    enum err err = ask_for(ask, WIRE_QUEUE_SHOW, &show.base, WIRE_STATE, &answer, why);
    const PB(QueryReply) *reply = (const PB(QueryReply) *)answer;
    if (err == ERR_OK && reply->n_requests == 1) {
        err = find_places(options, reply->requests[0], &edit, changes, why);
        act->producer = reply->requests[0]->producer;
    }
    ask->once = true;
    if (err == ERR_OK) {
        act->edit = &edit;
        err = act_on_ids(ask, act, ids, options->common.json, tally, why);
    }
    if (err == ERR_OK && options->retry && tally->refused == 0) {
        act->operation = PB_OPERATION(RETRY);
        act->edit = NULL;
        err = act_on_ids(ask, act, ids, options->common.json, tally, why);
    }
    act->edit = NULL;
    free(edit.recipients);
    free(changes);
    if (answer != NULL) {
        protobuf_c_message_free_unpacked(answer, NULL);
    }
    return err;
}

int act_edit(int argc, char *argv[])
{
    struct act_options options = {.limit = LIMIT_UNSET};
    char operator[ACT_OPERATOR_BYTES];
    struct err_text why = {0};
    struct ask ask = {0};
    struct tally tally = {0};
    PB(QueueAct) body = PB_INIT(QUEUE_ACT);
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&edit_command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        goto out;
    }
    if (argc - first != 1 || (options.recipients.count == 0 && options.to_profile == NULL)) {
        code = options_fail(&edit_command, "one ID is needed, and --recipient or --to-profile");
        goto out;
    }
    body.operation = PB_OPERATION(EDIT);
    body.operator_ = act_operator(operator);
    body.reason = filter_text(options.reason);
    enum err err = ask_open(&ask, &options.common, options.common.admin, &why);
    if (err == ERR_OK) {
        err = edit_one(&ask, &body, &options, argv + first, &tally, &why);
    }
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn queue edit: %s\n", why.text);
        code = err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
        goto out;
    }
    code = tally.not_known > 0 ? EXIT_UNREACHABLE
           : tally.refused > 0 ? EXIT_SOME_FAILED
                               : EXIT_FINE;
out:
    ask_close(&ask);
    options_free(&edit_command, &options);
    return code;
}
