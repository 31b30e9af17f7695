/* Fates of pickup files: GET the row, look through its HISTORY, then NOTE.
 *
 * A split request has up to 3,000 files, and a worker tells of many of them at once: so the history is read once for all that came
 * before its row did (struct reading), not for each.
 *
 * Two tellings of one thing do not overlap: what is on its way to the store stands in broker->fates, and a second telling is dropped
 * until then. Which state the request is in does not matter: the event says what was seen, and whoever reads the history
 * can weigh it. */
#include "fate.h"

#include "broker.h"
#include "log.h"
#include "map.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { PAGE_EVENTS = 500, REASON_BYTES = 400, PART_BITS = 24 };

struct reading;

struct fate {
    struct broker *broker;
    struct wire_peer peer;
    char worker[STORE_WORKER_BYTES];
    PB(JobResult) *result;   /* owned */
    char *key;               /* in broker->fates, owned */
    struct reading *reading; /* that looks for it; null = it is being recorded */
    TAILQ_ENTRY(fate) link;  /* of the reading */
};

TAILQ_HEAD(fate_list, fate);

/* One look through the history of a request. */
struct reading {
    struct broker *broker;
    char *key;              /* in broker->fate_readings until the row came, owned */
    struct store_row row;   /* its texts and numbers; results are not kept */
    struct fate_list fates; /* those that were not found yet */
    size_t count;
};

static void fate_free(struct fate *fate)
{
    (void)map_take_text(&fate->broker->fates, fate->key);
    trackpro__notify__v1__job_result__free_unpacked(fate->result, NULL);
    free(fate->key);
    free(fate);
}

static void acknowledge(const struct fate *fate)
{
    struct worker *worker = roster_find(&fate->broker->roster, &fate->peer);
    if (worker != NULL) {
        part_list_add(&worker->settled, fate->result->lease, fate->result->part);
    }
}

static void reading_free(struct reading *reading)
{
    struct fate *fate = NULL;
    while ((fate = TAILQ_FIRST(&reading->fates)) != NULL) {
        TAILQ_REMOVE(&reading->fates, fate, link);
        fate_free(fate);
    }
    free(reading->key);
    free(reading);
}

/* All of them need not be told any more. */
static void acknowledge_all(const struct reading *reading)
{
    const struct fate *fate = NULL;
    TAILQ_FOREACH(fate, &reading->fates, link)
    {
        acknowledge(fate);
    }
}

/* Above it stands the fate (proto/README.md, JobResult). */
static uint32_t part_of(const PB(JobResult) *result)
{
    return result->part & ((UINT32_C(1) << PART_BITS) - 1);
}

/* What people read in the history. */
static const char *reason_of(const PB(JobResult) *result, char out[REASON_BYTES])
{
    unsigned seconds = result->duration_ms / 1000;
    switch ((int)result->pickup_fate) {
    case PB_FATE(TAKEN):
        (void)snprintf(out, REASON_BYTES, "taken from the pickup folder by its consumer");
        break;
    case PB_FATE(BAD):
        (void)snprintf(
            out, REASON_BYTES,
            "the consumer of the pickup folder put the mail aside as %.160s: it was not "
            "sent",
            result->queue_id);
        break;
    default:
        (void)snprintf(out, REASON_BYTES,
                       "still in the pickup folder after %u s: does its consumer run?",
                       seconds);
        break;
    }
    return out;
}

static void noted(void *arg, struct ledger_op *op)
{
    struct fate *fate = arg;
    if (op->store.result == STORE_DONE || op->store.result == STORE_NOT_FOUND) {
        acknowledge(fate);
    }
    fate_free(fate);
}

static void record(struct fate *fate, const struct store_row *row)
{
    const PB(JobResult) *result = fate->result;
    char reason[REASON_BYTES];
    char topic[WIRE_TOPIC_BYTES];
    PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
    event.request_id = result->request_id;
    event.producer = result->producer;
    event.profile = (char *)(uintptr_t)row->profile;
    event.state = (int)row->state;
    event.previous = (int)row->state;
    event.attempt = row->attempt;
    event.partial = row->partial;
    event.reason = (char *)(uintptr_t)reason_of(result, reason);
    event.server = result->server;
    event.queue_id = result->queue_id;
    event.message_id = result->message_id;
    event.worker = fate->worker;
    event.at_ms = broker_now_ms(fate->broker);
    event.lease = result->lease;
    event.pickup_fate = result->pickup_fate;
    event.part = part_of(result);
    struct ledger_op *op = ledger_op_new(STORE_NOTE, noted, fate);
    op->store.note.pk = row->pk;
    ledger_op_event(
        op, &event.base,
        wire_topic(result->producer, state_name(row->state), result->request_id, topic));
    if (result->pickup_fate == PB_FATE(BAD)) {
        char quoted[LOG_QUOTE_BYTES];
        log_warn("pickup", "request=%s fate=bad folder=%s file=%s", result->request_id,
                 log_quote(result->server, quoted), result->queue_id);
    }
    ledger_add(fate->broker->ledger, op);
}

static char *key_of(const char *producer, const char *id, uint32_t part, int fate)
{
    return mem_format("%s/%s/%u/%d", producer, id, part, fate);
}

/* What the event tells, should it be one of those that are looked for. */
static struct fate *find_told(const struct reading *reading, const struct store_event *stored)
{
    PB(StatusEvent) *event = PB_UNPACK(status_event, stored->len, stored->data);
    struct fate *fate = NULL;
    if (event != NULL && event->pickup_fate != PB_FATE(UNSPECIFIED)) {
        char *key = key_of(reading->row.producer, reading->row.id, event->part,
                           (int)event->pickup_fate);
        fate = map_get_text(reading->broker->fates, key);
        free(key);
    }
    if (event != NULL) {
        trackpro__notify__v1__status_event__free_unpacked(event, NULL);
    }
    return fate != NULL && fate->reading == reading ? fate : NULL;
}

static void look_through(struct reading *reading, uint64_t after);

static void record_all(struct reading *reading)
{
    struct fate *fate = NULL;
    while ((fate = TAILQ_FIRST(&reading->fates)) != NULL) {
        TAILQ_REMOVE(&reading->fates, fate, link);
        fate->reading = NULL;
        record(fate, &reading->row);
    }
}

static void page_came(void *arg, struct ledger_op *op)
{
    struct reading *reading = arg;
    size_t count = op->store.history.count;
    const struct store_event *events = op->store.history.events;
    if (op->store.result != STORE_DONE) {
        reading_free(reading); /* told again later */
        return;
    }
    for (size_t i = 0; i < count && !TAILQ_EMPTY(&reading->fates); i++) {
        struct fate *fate = find_told(reading, &events[i]);
        if (fate != NULL) {
            acknowledge(fate);
            TAILQ_REMOVE(&reading->fates, fate, link);
            fate_free(fate);
        }
    }
    if (count == PAGE_EVENTS && !TAILQ_EMPTY(&reading->fates)) {
        look_through(reading, events[count - 1].number);
        return;
    }
    record_all(reading);
    reading_free(reading);
}

static void look_through(struct reading *reading, uint64_t after)
{
    struct ledger_op *op = ledger_op_new(STORE_HISTORY, page_came, reading);
    op->store.history.pk = reading->row.pk;
    op->store.history.after = after;
    op->store.history.limit = PAGE_EVENTS;
    ledger_add(reading->broker->ledger, op);
}

static void row_came(void *arg, struct ledger_op *op)
{
    struct reading *reading = arg;
    (void)map_take_text(&reading->broker->fate_readings,
                        reading->key); /* who comes now is too late for it */
    log_debug("fates", "request=%s fates=%zu result=%s", op->store.get.id, reading->count,
              op->store.result == STORE_DONE ? "read" : "no-row");
    if (op->store.result == STORE_DONE) {
        reading->row = op->store.get.row;
        reading->row.results = NULL; /* the op's, as the labels */
        reading->row.results_len = 0;
        reading->row.labels = NULL;
        look_through(reading, 0);
        return;
    }
    if (op->store.result == STORE_NOT_FOUND) {
        acknowledge_all(reading); /* its retention has ended: nobody asks any more */
    }
    reading_free(reading);
}

/* The reading of that request that may still be joined: found or begun. */
static struct reading *join(struct broker *broker, const PB(JobResult) *result)
{
    char *key = mem_format("%s/%s", result->producer, result->request_id);
    struct reading *reading = map_get_text(broker->fate_readings, key);
    if (reading != NULL) {
        free(key);
        return reading;
    }
    reading = mem_zero(1, sizeof *reading);
    reading->broker = broker;
    reading->key = key;
    TAILQ_INIT(&reading->fates);
    (void)map_put_text(&broker->fate_readings, key, reading);
    struct ledger_op *op = ledger_op_new(STORE_GET, row_came, reading);
    op->store.get.producer = ledger_op_text(op, result->producer);
    op->store.get.id = ledger_op_text(op, result->request_id);
    ledger_add(broker->ledger, op);
    return reading;
}

void fate_take(struct broker *broker, struct worker *worker, const PB(JobResult) *result)
{
    if (result->producer[0] == '\0' || result->request_id[0] == '\0') {
        log_warn("result", "worker=%s lease=%llu refused=\"a fate of no request\"",
                 worker->name, (unsigned long long)result->lease);
        part_list_add(&worker->settled, result->lease, result->part);
        return;
    }
    char *key =
        key_of(result->producer, result->request_id, part_of(result), (int)result->pickup_fate);
    if (map_get_text(broker->fates, key) != NULL) {
        free(key);
        return;
    }
    struct fate *fate = mem_zero(1, sizeof *fate);
    fate->broker = broker;
    fate->peer = worker->peer;
    (void)snprintf(fate->worker, sizeof fate->worker, "%s", worker->name);
    fate->result = (PB(JobResult) *)wire_body_copy(&result->base);
    fate->key = key;
    (void)map_put_text(&broker->fates, key, fate);
    fate->reading = join(broker, result);
    fate->reading->count++;
    TAILQ_INSERT_TAIL(&fate->reading->fates, fate, link);
}
