/* tpn queue: what is in the broker, for operators.
 *
 * Looks, over the admin socket; what acts stands in act.c. Its sub-commands are rows of the table at the end, and the order of
 * the pages is the broker's: oldest first. */
#include "commands.h"

#include "act.h"
#include "ask.h"
#include "filter.h"
#include "options.h"
#include "queue_pause.h"
#include "queue_verbs.h"
#include "show.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_ENTRIES = 100, LIMIT_DEFAULT = 100 };

struct queue_options {
    struct common_options common; /* first */
    struct filter_options filter;
    long limit;
};

#define FIELD(name) offsetof(struct queue_options, name)

static const struct option_row ls_rows[] = {
    FILTER_ROWS(FIELD(filter)),
    {OPTION_NUMBER, "limit", 'n', FIELD(limit), "N", "at most N, 0 = all (100)"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct option_row show_rows[] = {
    {OPTION_TEXT, "producer", 0, FIELD(filter.producer), "NAME",
     "of this producer, when several have the id"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static int fail(const char *name, enum err err, const struct err_text *why)
{
    (void)fprintf(stderr, "tpn queue %s: %s\n", name, why->text);
    return err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
}

/* ---- ls ---- */

static const struct command ls_command = {
    .name = "queue ls",
    .arguments = "",
    .summary = "List requests, oldest first",
    .more = "With --json each request is one line.\n",
    .rows = ls_rows,
};

static void print_page(const PB(QueuePage) *page, const struct queue_options *options)
{
    for (size_t i = 0; i < page->n_requests; i++) {
        if (options->common.json) {
            show_json(&page->requests[i]->base);
        } else {
            show_request(page->requests[i]);
        }
    }
}

/* Page by page, so that neither side holds a long queue in memory. */
static enum err list_pages(struct ask *ask, PB(QueueList) *list,
                           const struct queue_options *options, struct err_text *why)
{
    size_t left = options->limit > 0 ? (size_t)options->limit : SIZE_MAX;
    while (left > 0) {
        ProtobufCMessage *answer = NULL;
        list->limit = left < PAGE_ENTRIES ? (uint32_t)left : PAGE_ENTRIES;
        enum err err = ask_for(ask, WIRE_QUEUE_LS, &list->base, WIRE_QUEUE_PAGE, &answer, why);
        if (err != ERR_OK) {
            return err;
        }
        const PB(QueuePage) *page = (const PB(QueuePage) *)answer;
        print_page(page, options);
        left -= page->n_requests < left ? page->n_requests : left;
        /* A cursor that does not rise would make this endless. */
        bool more = page->next > list->after;
        list->after = page->next;
        protobuf_c_message_free_unpacked(answer, NULL);
        if (!more) {
            break;
        }
    }
    return ERR_OK;
}

static int list_requests(const struct queue_options *options)
{
    struct err_text why = {0};
    struct ask ask = {0};
    PB(QueueFilter) filter = PB_INIT(QUEUE_FILTER);
    PB(QueueList) list = PB_INIT(QUEUE_LIST);
    list.filter = &filter;
    enum err err = filter_fill(&options->filter, &filter, &why);
    if (err == ERR_OK) {
        err = ask_open(&ask, &options->common, options->common.admin, &why);
    }
    if (err == ERR_OK) {
        err = list_pages(&ask, &list, options, &why);
    }
    free(filter.states);
    ask_close(&ask);
    return err == ERR_OK ? EXIT_FINE : fail("ls", err, &why);
}

static int run_ls(int argc, char *argv[])
{
    struct queue_options options = {.limit = LIMIT_DEFAULT};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&ls_command, argc, argv, &options, &first, &code) == OPTIONS_RUN) {
        code = first < argc ? options_fail(&ls_command, "%s: takes no arguments", argv[first])
                            : list_requests(&options);
    }
    options_free(&ls_command, &options);
    return code;
}

/* ---- show ---- */

static const struct command show_command = {
    .name = "queue show",
    .arguments = "ID",
    .summary = "Show one request of any producer with its history",
    .rows = show_rows,
};

static int print_answer(const PB(QueryReply) *reply, const struct queue_options *options)
{
    int code = reply->n_requests == 0 ? EXIT_UNREACHABLE : EXIT_FINE;
    for (size_t i = 0; i < reply->n_requests; i++) {
        if (reply->requests[i]->state == PB_STATE(UNSPECIFIED)) {
            code = EXIT_UNREACHABLE;
        }
        if (options->common.json) {
            show_json(&reply->requests[i]->base);
        } else {
            show_history(reply->requests[i]);
        }
    }
    return code;
}

static int run_show(int argc, char *argv[])
{
    struct queue_options options = {0};
    struct err_text why = {0};
    struct ask ask = {0};
    PB(QueueShow) body = PB_INIT(QUEUE_SHOW);
    ProtobufCMessage *answer = NULL;
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&show_command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (argc - first != 1) {
        return options_fail(&show_command, "one ID is needed");
    }
    body.producer = filter_text(options.filter.producer);
    body.id = argv[first];
    enum err err = ask_open(&ask, &options.common, options.common.admin, &why);
    if (err == ERR_OK) {
        err = ask_for(&ask, WIRE_QUEUE_SHOW, &body.base, WIRE_STATE, &answer, &why);
    }
    ask_close(&ask);
    if (err != ERR_OK) {
        return fail("show", err, &why);
    }
    code = print_answer((const PB(QueryReply) *)answer, &options);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

/* ---- the table ---- */

struct queue_row {
    const char *name;
    int (*run)(int argc, char *argv[]);
    const char *summary;
};

/* Keep sorted by name. */
static const struct queue_row verbs[] = {
    {"backup", queue_backup, "copy the store while it is in use"},
    {"cancel", act_cancel, "end requests that are not on their way"},
    {"drain", queue_drain, "let workers or the broker come to an end"},
    {"edit", act_edit, "change recipients or profile"},
    {"hold", act_hold, "let requests wait until they are released"},
    {"ls", run_ls, "list requests"},
    {"pause", queue_pause, "hold mail back"},
    {"purge", act_purge, "forget final requests before their time"},
    {"redrive", act_redrive, "send what failed or expired again"},
    {"release", act_release, "let held requests go on"},
    {"resolve", act_resolve, "decide what became of UNKNOWN requests"},
    {"resume", queue_resume, "let it go again"},
    {"retry", act_retry, "try requests again, or now"},
    {"show", run_show, "show one request with its history"},
    {"top", queue_top, "count what waits, by name and age"},
};

enum { VERBS = sizeof verbs / sizeof verbs[0] };

static void print_usage(FILE *to)
{
    (void)fprintf(to, "Usage: tpn queue VERB [options] [ID]\n\nVerbs:\n");
    for (size_t i = 0; i < VERBS; i++) {
        (void)fprintf(to, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
    }
    (void)fprintf(to, "\nEach has --help.\n");
}

int command_queue(int argc, char *argv[])
{
    for (size_t i = 0; argc > 1 && i < VERBS; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (!help && argc > 1) {
        (void)fprintf(stderr, "tpn queue: no verb \"%s\"\n", argv[1]);
    }
    print_usage(help ? stdout : stderr);
    return help ? EXIT_FINE : EXIT_USAGE;
}
