/* How requests are shown.
 *
 * Text of servers and producers is quoted with its control bytes escaped. Times are UTC. */
#include "show.h"

#include "buf.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "options.h"
#include "pb_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_BYTES = 64 * 1024 * 1024 };

static void print_line(struct buf *line)
{
    printf("%s\n", buf_text(line));
    buf_reset(line);
}

void show_json(const ProtobufCMessage *message)
{
    struct buf out;
    struct json j;
    buf_init(&out, LINE_MAX_BYTES);
    json_init(&j, &out);
    pb_json(&j, NULL, message);
    print_line(&out);
    buf_fini(&out);
}

static void add_time(struct buf *out, const char *key, int64_t wall_ms)
{
    char when[CLOCK_TEXT_BYTES];
    if (wall_ms != 0) {
        buf_add_format(out, "%s %s", key, clock_text(wall_ms, when));
    }
}

static void print_recipients(struct buf *line, PB(RecipientResult) *const recipients[],
                             size_t count, const char *indent)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_text(line, indent);
        pb_text_recipient(line, recipients[i]);
        print_line(line);
    }
}

void show_request(const PB(RequestStatus) *request)
{
    char quoted[LOG_QUOTE_BYTES];
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    if (request->state == PB_STATE(UNSPECIFIED)) {
        buf_add_format(
            &line,
            "%s not known: it never came, or was forgotten (store.retention, purge); "
            "what it was told stays in tpn evidence export",
            request->id);
        print_line(&line);
        buf_fini(&line);
        return;
    }
    buf_add_format(&line, "%s %s%s", request->id, pb_state_word((int)request->state),
                   request->partial ? " (partly delivered)" : "");
    if (request->profile[0] != '\0') {
        buf_add_format(&line, " profile %s", request->profile);
    }
    buf_add_format(&line, "%s attempt %" PRIu32, request->held ? " held" : "",
                   request->attempt);
    add_time(&line, " accepted", request->accepted_at_ms);
    add_time(&line, " changed", request->changed_at_ms);
    add_time(&line, " next attempt", request->next_attempt_ms);
    if (request->supersede_key[0] != '\0') {
        buf_add_format(&line, " supersedes %s", log_quote(request->supersede_key, quoted));
    }
    if (request->reason[0] != '\0') {
        buf_add_format(&line, " reason %s", log_quote(request->reason, quoted));
    }
    print_line(&line);
    if (request->waits_for[0] != '\0') {
        buf_add_format(&line, "  waits: %s", log_quote(request->waits_for, quoted));
        print_line(&line);
    }
    print_recipients(&line, request->recipients, request->n_recipients, "  ");
    buf_fini(&line);
}

static void add_detail(struct buf *line, const char *key, const char *value)
{
    char quoted[LOG_QUOTE_BYTES];
    if (value[0] != '\0') {
        buf_add_format(line, ", %s %s", key, log_quote(value, quoted));
    }
}

/* How long it took since an earlier step. */
static void add_span(struct buf *line, const char *words, const PB(StatusEvent) *from,
                     const PB(StatusEvent) *to)
{
    if (from != NULL && to->at_ms >= from->at_ms) {
        buf_add_format(line, ", %s %" PRId64 " ms", words, to->at_ms - from->at_ms);
    }
}

static void add_origin(struct buf *line, const PB(StatusEvent) *event)
{
    add_detail(line, "from", event->producer);
    add_detail(line, "subject", event->subject);
    for (size_t i = 0; i < event->n_labels; i++) {
        add_detail(line, "label", event->labels[i]);
    }
}

/* before: the step before; first: the first of all. Both null for the first. */
static void print_step(struct buf *line, const PB(StatusEvent) *event,
                       const PB(StatusEvent) *before, const PB(StatusEvent) *first)
{
    char when[CLOCK_TEXT_BYTES];
    buf_add_format(line, "%s  %-10s attempt %" PRIu32, clock_text(event->at_ms, when),
                   pb_state_word((int)event->state), event->attempt);
    if (before == NULL) {
        add_origin(line, event);
    }
    if (before != NULL && strcmp(before->profile, event->profile) != 0) {
        add_detail(line, "profile", event->profile);
    }
    if (event->state == PB_STATE(LEASED)) {
        add_span(line, "waited", before, event);
    }
    bool ends = pb_state_final((int)event->state) || event->state == PB_STATE(UNKNOWN);
    if (ends && event->operator_[0] == '\0') { /* an act on what is over ends nothing */
        add_span(line, "in all", first, event);
    }
    if (event->held) {
        buf_add_text(line, ", held");
    }
    add_detail(line, "worker", event->worker);
    add_detail(line, "server", event->server);
    add_detail(line, "TLS", event->tls_version);
    add_detail(line, "the server calls it", event->queue_id);
    add_detail(line, "reason", event->reason);
    add_time(line, ", next attempt", event->next_attempt_ms);
    print_line(line);
    print_recipients(line, event->recipients, event->n_recipients,
                     "                            ");
}

void show_history(const PB(RequestStatus) *request)
{
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    for (size_t i = 0; i < request->n_history; i++) {
        print_step(&line, request->history[i], i > 0 ? request->history[i - 1] : NULL,
                   i > 0 ? request->history[0] : NULL);
    }
    buf_fini(&line);
    show_request(request);
}

int show_exit_code(int state)
{
    if (state == PB_STATE(UNSPECIFIED)) {
        return EXIT_UNREACHABLE;
    }
    bool bad = state == PB_STATE(FAILED) || state == PB_STATE(EXPIRED) ||
               state == PB_STATE(CANCELLED) || state == PB_STATE(UNKNOWN);
    return bad ? EXIT_SOME_FAILED : EXIT_FINE;
}
