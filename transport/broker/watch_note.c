/* Events of no request. The store numbers and chains them like all others, and sets the kept value in the same transaction. */
#include "watch_note.h"

#include "broker.h"
#include "clock.h"
#include "keep.h"
#include "log.h"
#include "mem.h"
#include "pb_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { REASON_BYTES = 1000, WORDS_BYTES = STORE_REASON_BYTES + 64 };

static char *lent(const char *text)
{
    return (char *)(uintptr_t)text;
}

PB(Watch) watch_line(const struct watch *watch)
{
    PB(Watch) line = PB_INIT(WATCH);
    const struct expectation *what = watch->what;
    line.name = watch->name;
    line.seen = watch->seen;
    line.accepted = watch->accepted;
    line.silent_since_ms = watch->silent_since_ms;
    line.since_ms = watch->window_ms;
    line.deadline_ms = watch->missed_ms;
    if (what != NULL) {
        line.profile = what->profile;
        line.producer = what->producer;
        line.label = what->label;
        line.delivered = what->count == EXPECTATION_DELIVERED;
        line.at_least = what->at_least;
    }
    return line;
}

static PB(KeptWatch) kept_of(const struct watch *watch)
{
    PB(KeptWatch) kept = PB_INIT(KEPT_WATCH);
    kept.judged_ms = watch->judged_ms;
    kept.since_ms = watch->since_ms;
    kept.silent_since_ms = watch->silent_since_ms;
    kept.window_ms = watch->window_ms;
    kept.missed_ms = watch->missed_ms;
    kept.after = watch->after;
    return kept;
}

void watch_save(struct broker *broker, const struct watch *watch)
{
    PB(KeptWatch) kept = kept_of(watch);
    char *name = mem_format("%s%s", WATCH_KEEP, watch->name);
    keep_value(broker, name, &kept.base, NULL, NULL);
    free(name);
}

void watch_forget(struct broker *broker, const char *name)
{
    struct ledger_op *op = ledger_op_new(STORE_KEEP, NULL, NULL);
    op->texts = mem_format("%s%s", WATCH_KEEP, name);
    op->store.keep.name = op->texts;
    ledger_add(broker->ledger, op);
}

/* What stands between the words "expected" and the times. */
static void say_state(const struct watch *watch, const struct watch_look *look,
                      char words[WORDS_BYTES])
{
    words[0] = '\0';
    if (watch->what->canary == NULL) {
        if (watch->what->count == EXPECTATION_DELIVERED) {
            (void)snprintf(words, WORDS_BYTES, "; %" PRIu64 " accepted", look->accepted);
        }
    } else if (look->accepted == 0) {
        (void)snprintf(words, WORDS_BYTES, "; it was not sent: did the broker run?");
    } else {
        (void)snprintf(words, WORDS_BYTES, "; it is %s%s%s", state_name(look->last_state),
                       look->last_reason[0] != '\0' ? ": " : "", look->last_reason);
    }
}

static void say_silent(const struct watch *watch, const PB(Watch) *line,
                       const struct watch_look *look, char reason[REASON_BYTES])
{
    char since[CLOCK_TEXT_BYTES];
    char deadline[CLOCK_TEXT_BYTES];
    char words[WORDS_BYTES];
    say_state(watch, look, words);
    (void)clock_text(line->since_ms, since);
    (void)clock_text(line->deadline_ms, deadline);
    if (watch->what->canary != NULL) {
        (void)snprintf(reason, REASON_BYTES,
                       "the canary of profile %s, due %s, was not delivered by %s%s",
                       line->profile, since, deadline, words);
    } else {
        (void)snprintf(reason, REASON_BYTES,
                       "expected at least %" PRIu64 " %s from %s to %s: %" PRIu64 " came%s",
                       line->at_least, line->delivered ? "delivered" : "accepted", since,
                       deadline, look->seen, words);
    }
}

static void say(const struct watch *watch, const PB(Watch) *line, const struct watch_look *look,
                char reason[REASON_BYTES])
{
    char when[CLOCK_TEXT_BYTES];
    (void)clock_text(line->silent_since_ms, when);
    switch ((int)line->kind) {
    case PB_WATCH(SILENT):
        say_silent(watch, line, look, reason);
        break;
    case PB_WATCH(RECOVERED):
        (void)snprintf(reason, REASON_BYTES, "what was missing since %s has come", when);
        break;
    default:
        (void)snprintf(reason, REASON_BYTES, "silent since %s, and expected no longer", when);
        break;
    }
}

static void log_line(const PB(Watch) *line, const char *reason)
{
    char quoted[LOG_QUOTE_BYTES];
    bool silent = (int)line->kind == PB_WATCH(SILENT);
    log_write(silent ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "expectation",
              "name=%s result=%s text=%s", line->name,
              silent                                   ? "silent"
              : (int)line->kind == PB_WATCH(RECOVERED) ? "recovered"
                                                       : "dropped",
              log_quote(reason, quoted));
}

void watch_tell(struct broker *broker, const struct watch *watch, const PB(Watch) *line,
                const struct watch_look *look)
{
    PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
    PB(KeptWatch) kept = kept_of(watch);
    PB(Watch) told = *line;
    char reason[REASON_BYTES];
    char topic[WIRE_TOPIC_BYTES];
    say(watch, line, look, reason);
    event.producer = lent(EXPECTATION_BROKER);
    event.profile = told.profile;
    event.reason = reason;
    event.at_ms = broker_now_ms(broker);
    event.watch = &told;
    struct ledger_op *op = ledger_op_new(STORE_NOTE, NULL, NULL);
    op->texts = mem_format("%s%s", WATCH_KEEP, watch->name);
    op->store.note.keep = op->texts;
    if (look != NULL) {
        size_t len = protobuf_c_message_get_packed_size(&kept.base);
        uint8_t *data = arena_take(&op->arena, len + 1);
        op->store.note.data = data;
        op->store.note.len = protobuf_c_message_pack(&kept.base, data);
    }
    ledger_op_event(
        op, &event.base,
        wire_topic(EXPECTATION_BROKER, pb_watch_word((int)line->kind), watch->name, topic));
    log_line(line, reason);
    ledger_add(broker->ledger, op);
}
