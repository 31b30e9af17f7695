/* Fates of pickup files: GET the row, look through its HISTORY, then NOTE.
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

enum { PAGE_EVENTS = 500, REASON_BYTES = 400, PART_BITS = 24 };

struct fate {
    struct broker *broker;
    struct wire_peer peer;
    char worker[STORE_WORKER_BYTES];
    PB(JobResult) *result; /* owned */
    char *key;             /* in broker->fates, owned */
    struct store_row row;  /* its texts and numbers; results are not kept */
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

static void record(struct fate *fate)
{
    const struct store_row *row = &fate->row;
    const PB(JobResult) *result = fate->result;
    char reason[REASON_BYTES];
    char topic[WIRE_TOPIC_BYTES];
    PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
    event.request_id = result->request_id;
    event.producer = result->producer;
    event.profile = fate->row.profile;
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

static bool tells_it(const struct store_event *stored, const PB(JobResult) *result)
{
    PB(StatusEvent) *event = PB_UNPACK(status_event, stored->len, stored->data);
    bool same = event != NULL && event->pickup_fate == result->pickup_fate &&
                event->part == part_of(result);
    if (event != NULL) {
        trackpro__notify__v1__status_event__free_unpacked(event, NULL);
    }
    return same;
}

static void look_through(struct fate *fate, uint64_t after);

static void page_came(void *arg, struct ledger_op *op)
{
    struct fate *fate = arg;
    size_t count = op->store.history.count;
    const struct store_event *events = op->store.history.events;
    if (op->store.result != STORE_DONE) {
        fate_free(fate); /* told again later */
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (tells_it(&events[i], fate->result)) {
            acknowledge(fate);
            fate_free(fate);
            return;
        }
    }
    if (count == PAGE_EVENTS) {
        look_through(fate, events[count - 1].number);
    } else {
        record(fate);
    }
}

static void look_through(struct fate *fate, uint64_t after)
{
    struct ledger_op *op = ledger_op_new(STORE_HISTORY, page_came, fate);
    op->store.history.pk = fate->row.pk;
    op->store.history.after = after;
    op->store.history.limit = PAGE_EVENTS;
    ledger_add(fate->broker->ledger, op);
}

static void row_came(void *arg, struct ledger_op *op)
{
    struct fate *fate = arg;
    if (op->store.result == STORE_DONE) {
        fate->row = op->store.get.row;
        fate->row.results = NULL; /* the op's */
        fate->row.results_len = 0;
        look_through(fate, 0);
        return;
    }
    if (op->store.result == STORE_NOT_FOUND) {
        acknowledge(fate); /* its retention has ended: nobody asks any more */
    }
    fate_free(fate);
}

void fate_take(struct broker *broker, struct worker *worker, const PB(JobResult) *result)
{
    if (result->producer[0] == '\0' || result->request_id[0] == '\0') {
        log_warn("result", "worker=%s lease=%llu refused=\"a fate of no request\"",
                 worker->name, (unsigned long long)result->lease);
        part_list_add(&worker->settled, result->lease, result->part);
        return;
    }
    char *key = mem_format("%s/%s/%u/%d", result->producer, result->request_id, result->part,
                           (int)result->pickup_fate);
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
    struct ledger_op *op = ledger_op_new(STORE_GET, row_came, fate);
    op->store.get.producer = fate->result->producer;
    op->store.get.id = fate->result->request_id;
    ledger_add(broker->ledger, op);
}
