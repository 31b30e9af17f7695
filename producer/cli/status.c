/* tpn status: how one request stands, how many stand how, or what happens right now.
 *
 * Following is asking too: the topic can lose events, so `-f ID` asks for the state again
 * whenever the topic is quiet, and ends with the request. */
#include "commands.h"

#include "ask.h"
#include "clock.h"
#include "log.h"
#include "options.h"
#include "pb_text.h"
#include "show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { QUIET_MS = 3000, LINE_MAX_BYTES = 4 * 1024 * 1024, EVENT_QUEUE = 100000 };

struct status_options {
    struct common_options common; /* first */
    bool follow;
};

static const struct option_row rows[] = {
    {OPTION_FLAG, "follow", 'f', offsetof(struct status_options, follow), NULL,
     "print each step as it happens; with an ID until it is final"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "status",
    .arguments = "[ID]",
    .summary = "How a request stands; without an ID how many stand how (for operators)",
    .rows = rows,
};

static int fail(enum err err, const struct err_text *why)
{
    (void)fprintf(stderr, "tpn status: %s\n", why->text);
    return err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
}

/* ---- counts ---- */

struct hold_words {
    const char *by;
    const char *hint;
};

static const struct hold_words hold_words[] = {
    [PB_HOLD(UNSPECIFIED)] = {"something that this tpn does not know", ""},
    [PB_HOLD(PAUSE)] = {"a pause", "tpn queue resume ends it"},
    [PB_HOLD(
        LOGIN)] = {"a refused login",
                   "mend the login, then tpn queue resume --profile, or SIGHUP to the broker"},
    [PB_HOLD(SERVER)] = {"a server that is down", ""},
    [PB_HOLD(QUOTA)] = {"a used-up quota of its server", ""},
    [PB_HOLD(MINUTE)] = {"its limit", ""},
    [PB_HOLD(DAY)] = {"its limit", ""},
    [PB_HOLD(QUIET)] = {"its quiet hours", ""},
    [PB_HOLD(REMOVED)] = {"its absence", "put it back into the file of profiles, then SIGHUP"},
};

static void print_hold(const PB(Hold) *hold)
{
    char quoted[LOG_QUOTE_BYTES];
    char when[CLOCK_TEXT_BYTES];
    size_t known = sizeof hold_words / sizeof hold_words[0];
    const struct hold_words *words =
        &hold_words[(size_t)hold->kind < known ? (size_t)hold->kind : 0];
    printf("%s%s is held by %s", pb_scope_words((int)hold->scope), hold->name, words->by);
    if (hold->since_ms != 0) {
        printf(" since %s", clock_text(hold->since_ms, when));
    }
    if (hold->probing) {
        printf(", one try may go");
    } else if (hold->until_ms != 0) {
        printf(" until %s", clock_text(hold->until_ms, when));
    }
    if (hold->operator_[0] != '\0') {
        printf(", by %s", hold->operator_);
    }
    printf("%s%s\n", hold->reason[0] != '\0' ? ": " : "",
           hold->reason[0] != '\0' ? log_quote(hold->reason, quoted) : "");
    if (words->hint[0] != '\0') {
        printf("  %s\n", words->hint);
    }
}

/* "30 of 60 mails a minute"; nothing without a limit. */
static void print_limit(const char *what, uint64_t used, uint64_t most)
{
    if (most > 0) {
        printf(", %" PRIu64 " of %" PRIu64 " %s", used, most, what);
    }
}

static void print_flow(const PB(ProfileFlow) *flow)
{
    char when[CLOCK_TEXT_BYTES];
    printf("profile %s: %" PRIu64 " waiting", flow->profile, flow->waiting);
    if (flow->waiting_mails > 0) {
        printf(" (%" PRIu64 " mails to %" PRIu64 " recipients)", flow->waiting_mails,
               flow->waiting_recipients);
    }
    if (flow->held > 0) {
        printf(", %" PRIu64 " of them held", flow->held);
    }
    print_limit("mails in a minute", flow->messages_in_minute, flow->max_messages_per_minute);
    print_limit("recipients in a day", flow->recipients_in_day, flow->max_recipients_per_day);
    if (flow->connections > 0) {
        print_limit("connections", flow->connections, flow->max_connections);
    }
    if (flow->empty_at_ms != 0) {
        printf(", empty about %s", clock_text(flow->empty_at_ms, when));
    }
    printf("\n");
}

/* What did not come, and what is expected next. */
static void print_watch(const PB(Watch) *watch)
{
    char when[CLOCK_TEXT_BYTES];
    printf("expected %s: ", watch->name);
    if (watch->silent_since_ms != 0) {
        printf("SILENT since %s, %" PRIu64 " of %" PRIu64 " %s; ",
               clock_text(watch->silent_since_ms, when), watch->seen, watch->at_least,
               watch->delivered ? "delivered" : "accepted");
    }
    printf("next deadline %s\n",
           watch->deadline_ms != 0 ? clock_text(watch->deadline_ms, when) : "none");
}

/* What was refused, in one line, when anything was. */
static void print_refused(const PB(Stats) *stats)
{
    const struct {
        uint64_t count;
        const char *what;
    } counts[] = {{stats->refused_keys, "unknown keys"},
                  {stats->refused_roles, "keys at a wrong socket or verb"},
                  {stats->refused_revoked, "messages of revoked keys"},
                  {stats->refused_by_policy, "against a policy"},
                  {stats->refused_by_rate, "too many a minute"},
                  {stats->refused_messages, "messages that break a rule"},
                  {stats->handshakes_failed, "handshakes that ended early"}};
    const char *before = "refused since then: ";
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (counts[i].count > 0) {
            printf("%s%" PRIu64 " %s", before, counts[i].count, counts[i].what);
            before = ", ";
        }
    }
    if (strcmp(before, ", ") == 0) {
        printf("\n");
    }
    if (stats->keys_fault[0] != '\0') {
        printf("the allow list has an error, the one before it holds: %s\n", stats->keys_fault);
    }
}

static void print_stats(const PB(Stats) *stats)
{
    char quoted[LOG_QUOTE_BYTES];
    char when[CLOCK_TEXT_BYTES];
    printf(
        "broker %s since %s, %s%s%s\n", stats->version, clock_text(stats->started_at_ms, when),
        stats->accepting ? "accepting" : "not accepting",
        stats->not_accepting_reason[0] != '\0' ? ": " : "",
        stats->not_accepting_reason[0] != '\0' ? log_quote(stats->not_accepting_reason, quoted)
                                               : "");
    if (stats->drained) {
        printf("  tpn queue drain --end ends it\n");
    }
    for (size_t i = 0; i < stats->n_states; i++) {
        printf("%-12s %" PRIu64 "\n", pb_state_word((int)stats->states[i]->state),
               stats->states[i]->count);
    }
    if (stats->poisoned > 0) {
        printf("%" PRIu64 " set aside as poison since then: tpn queue ls --state FAILED\n",
               stats->poisoned);
    }
    print_refused(stats);
    printf("%zu worker%s\n", stats->n_workers, stats->n_workers == 1 ? "" : "s");
    for (size_t i = 0; i < stats->n_workers; i++) {
        const PB(WorkerInfo) *worker = stats->workers[i];
        printf("  %s: %" PRIu32 " jobs, room for %" PRIu32 " more, heard %s\n", worker->name,
               worker->leased, worker->credit, clock_text(worker->last_heard_ms, when));
    }
    for (size_t i = 0; i < stats->n_holds; i++) {
        print_hold(stats->holds[i]);
    }
    for (size_t i = 0; i < stats->n_flows; i++) {
        print_flow(stats->flows[i]);
    }
    for (size_t i = 0; i < stats->n_watches; i++) {
        print_watch(stats->watches[i]);
    }
}

static int show_counts(const struct status_options *options)
{
    PB(StatsAsk) body = PB_INIT(STATS_ASK);
    struct err_text why = {0};
    struct ask ask = {0};
    ProtobufCMessage *answer = NULL;
    enum err err = ask_open(&ask, &options->common, options->common.admin, &why);
    if (err == ERR_OK) {
        err = ask_for(&ask, WIRE_STATS, &body.base, WIRE_STATS_OK, &answer, &why);
    }
    ask_close(&ask);
    if (err != ERR_OK) {
        return fail(err, &why);
    }
    if (options->common.json) {
        show_json(answer);
    } else {
        print_stats((const PB(Stats) *)answer);
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return EXIT_FINE;
}

/* ---- one request ---- */

/* Ask and print; state: out. A state that was printed before is not printed again. */
static enum err ask_and_show(struct ask *ask, const struct status_options *options,
                             const char *id, int *state, struct err_text *why)
{
    PB(QueryReply) *reply = NULL;
    enum err err = ask_status(ask, id, false, &reply, why);
    if (err != ERR_OK) {
        return err;
    }
    bool again = *state == (int)reply->requests[0]->state;
    *state = (int)reply->requests[0]->state;
    if (again) {
        /* nothing new */
    } else if (options->common.json) {
        show_json(&reply->requests[0]->base);
    } else {
        show_request(reply->requests[0]);
    }
    (void)fflush(stdout);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return ERR_OK;
}

static int show_one(const struct status_options *options, const char *id)
{
    struct err_text why = {0};
    struct ask ask = {0};
    int state = -1;
    enum err err = ask_open(&ask, &options->common, options->common.submit, &why);
    if (err == ERR_OK) {
        err = ask_and_show(&ask, options, id, &state, &why);
    }
    ask_close(&ask);
    return err == ERR_OK ? show_exit_code(state) : fail(err, &why);
}

/* ---- following ---- */

struct follower {
    const struct status_options *options;
    const char *id; /* null = all */
    struct ask ask;
    struct bus *topic;
    struct loop *loop;
    int state; /* last known, of id */
};

static enum err open_follower(struct follower *follower, struct err_text *why)
{
    struct bus_options options = {.role = BUS_SUB,
                                  .endpoint = follower->options->common.status,
                                  .receive_queue_messages = EVENT_QUEUE};
    enum err err = ask_open(&follower->ask, &follower->options->common,
                            follower->options->common.submit, why);
    if (err == ERR_OK) {
        err = loop_new(&follower->loop, why);
    }
    options.lock = &follower->ask.lock;
    if (err == ERR_OK) {
        err = bus_open(&follower->topic, follower->ask.context, &options, why);
    }
    if (err == ERR_OK) {
        err = bus_subscribe(follower->topic, "tpn1.");
    }
    return err == ERR_OK ? bus_attach(follower->topic, follower->loop, NULL, NULL) : err;
}

static void close_follower(struct follower *follower)
{
    bus_close(&follower->topic);
    loop_free(&follower->loop);
    ask_close(&follower->ask);
}

static void print_event(struct follower *follower, const PB(StatusEvent) *event)
{
    if (follower->id != NULL) {
        if (strcmp(event->request_id, follower->id) != 0) {
            return;
        }
        follower->state = (int)event->state;
    }
    if (follower->options->common.json) {
        show_json(&event->base);
    } else {
        struct buf line;
        buf_init(&line, LINE_MAX_BYTES);
        pb_text_event(&line, event);
        printf("%s\n", buf_text(&line));
        buf_fini(&line);
    }
    (void)fflush(stdout);
}

/* Print what is there. True when something was. */
static bool drain(struct follower *follower)
{
    char topic[WIRE_TOPIC_BYTES];
    ProtobufCMessage *event = NULL;
    bool any = false;
    for (enum err err = wire_recv_event(bus_socket(follower->topic), NULL, topic, &event);
         err != ERR_AGAIN && err != ERR_IO;
         err = wire_recv_event(bus_socket(follower->topic), NULL, topic, &event)) {
        if (err == ERR_OK) {
            any = true;
            print_event(follower, (const PB(StatusEvent) *)event);
            protobuf_c_message_free_unpacked(event, NULL);
        }
    }
    return any;
}

static enum err follow(struct follower *follower, struct err_text *why)
{
    enum err err = ERR_OK;
    int64_t ask_ms = 0;
    follower->state = -1;
    while (err == ERR_OK && !pb_state_final(follower->state) &&
           follower->state != PB_STATE(UNSPECIFIED)) {
        if (bus_refusal(follower->topic)[0] != '\0') {
            return err_set(why, ERR_AGAIN, "%s", bus_refusal(follower->topic));
        }
        if (drain(follower)) {
            ask_ms = clock_mono_ms() + QUIET_MS;
            continue;
        }
        if (follower->id != NULL && clock_mono_ms() >= ask_ms) {
            err = ask_and_show(&follower->ask, follower->options, follower->id,
                               &follower->state, why);
            ask_ms = clock_mono_ms() + QUIET_MS;
        } else {
            err = loop_turn(follower->loop, QUIET_MS, why);
        }
    }
    return err;
}

static int follow_topic(const struct status_options *options, const char *id)
{
    struct err_text why = {0};
    struct follower follower = {.options = options, .id = id};
    enum err err = open_follower(&follower, &why);
    if (err == ERR_OK) {
        err = follow(&follower, &why);
    }
    close_follower(&follower);
    return err == ERR_OK ? show_exit_code(follower.state) : fail(err, &why);
}

int command_status(int argc, char *argv[])
{
    struct status_options options = {0};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (argc - first > 1) {
        return options_fail(&command, "at most one ID");
    }
    const char *id = first < argc ? argv[first] : NULL;
    if (options.follow) {
        return follow_topic(&options, id);
    }
    return id != NULL ? show_one(&options, id) : show_counts(&options);
}
