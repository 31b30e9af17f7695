/* The request and its one setter.
 *
 * Design notes: the state in memory changes at once, the store follows in the order of the moves (ledger.h). So a next
 * move can be decided before the last one is on disk, while nothing is told to anybody (receipt, permit, RESULT_OK,
 * event) before its own commit. The one thing that leaves earlier is a JOB (early.h: even before the
 * accept): a lease that is lost in a crash is no harm. */
#include "request.h"

#include "log.h"
#include "mem.h"
#include "pack.h"
#include "schedule.h"
#include "store_rules.h"
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request *request_of_row(struct store_row *row, struct lane *lane)
{
    struct request *request = mem_zero(1, sizeof *request);
    request->pk = row->pk;
    request->lane = lane;
    request->id = mem_text(row->id);
    request->state = row->state;
    request->visible_at_ms = row->visible_at_ms;
    request->expire_at_ms = row->expire_at_ms;
    request->accepted_at_ms = row->accepted_at_ms;
    request->attempt = row->attempt;
    request->losses = row->losses;
    request->lease = row->lease;
    (void)snprintf(request->worker_name, sizeof request->worker_name, "%s", row->worker);
    request->partial = row->partial;
    request->recipients = row->recipients;
    request->results = row->results;
    request->results_len = row->results_len;
    request->touched = row->attempt > 0;
    request->held = row->held;
    request->route = -1;
    tally_adopt(request);
    row->results = NULL;
    return request;
}

void request_free(struct request **request_p)
{
    struct request *request = *request_p;
    if (request != NULL) {
        if (request->index != NULL) {
            (void)map_take_u64(&request->index->by_pk, request->pk);
        }
        wire_blob_free(&request->body);
        free(request->results);
        free(request->edit);
        free(request->folder);
        free(request->lost_instance);
        free(request->id);
        free(request);
        *request_p = NULL;
    }
}

void request_index_add(struct request_index *index, struct request *request)
{
    if (map_put_u64(&index->by_pk, request->pk, request) != NULL) {
        bug("request %s: twice in memory", request->id);
    }
    request->index = index;
}

struct request *request_index_find(const struct request_index *index, uint64_t pk)
{
    return map_get_u64(index->by_pk, pk);
}

static void free_listed(void *arg, void *value)
{
    (void)arg;
    struct request *request = value;
    request_free(&request);
}

void request_index_fini(struct request_index *index)
{
    map_each(index->by_pk, free_listed, NULL);
    map_clear(&index->by_pk);
}

static uint8_t *pack_results(const struct request *request, PB(RecipientResult) **results,
                             size_t *len)
{
    PB(RequestStatus) list = PB_INIT(REQUEST_STATUS);
    list.recipients = results;
    list.n_recipients = request->recipients;
    list.one_each = request->split == (int)PB_SPLIT(ONE_EACH);
    return pack_new(&list.base, len);
}

/* protobuf-c's structs take char *, and pack only reads them. */
static char *lent(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static void add_event(struct ledger_op *op, const struct request *request, enum state from,
                      int64_t now_ms, const struct request_change *change)
{
    PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
    event.request_id = request->id;
    event.producer = request->lane->key.producer;
    event.profile = request->lane->key.profile;
    event.state = (int)request->state;
    event.previous = (int)from;
    event.attempt = request->attempt;
    event.partial = request->partial;
    event.recipients = change->changed;
    event.n_recipients = change->changed_count;
    event.reason = lent(change->reason);
    event.worker = lent(request->worker_name);
    event.at_ms = now_ms;
    event.lease = request->lease;
    if (request->state == STATE_DEFERRED) {
        event.next_attempt_ms = request->visible_at_ms;
    }
    if (change->result != NULL) {
        event.server = change->result->server;
        event.tls_version = change->result->tls_version;
        event.queue_id = change->result->queue_id;
        event.message_id = change->result->message_id;
    }
    char topic[WIRE_TOPIC_BYTES];
    ledger_op_event(op, &event.base,
                    wire_topic(request->lane->key.producer, state_name(request->state),
                               request->id, topic));
}

static void keep_results(struct request *request, struct ledger_op *op,
                         const struct request_change *change)
{
    request->touched = true;
    request->open_count = (int)request_count_open(change->results, request->recipients);
    free(request->results);
    request->results = pack_results(request, change->results, &request->results_len);
    op->store.move.results = arena_copy(&op->arena, request->results, request->results_len);
    op->store.move.results_len = request->results_len;
}

/* A move that hangs on another op: until it is done, the request waits as before. */
static void moved_after(void *arg, struct ledger_op *op)
{
    struct request *request = op->arg2;
    if (op->store.result == STORE_DONE) {
        tally_move(request, op->store.move.changed_at_ms);
    }
    request->moved(arg, op);
}

void request_move(struct request *request, struct ledger *ledger, int64_t now_ms,
                  const struct request_change *change)
{
    enum state from = request->state;
    if (!state_may_move(from, change->to)) {
        bug("request %s: %s to %s is not allowed", request->id, state_name(from),
            state_name(change->to));
    }
    log_debug("state", "request=%s from=%s to=%s lease=%llu", request->id, state_name(from),
              state_name(change->to), (unsigned long long)request->lease);
    bool surely = change->only_if == NULL;
    struct ledger_op *op =
        ledger_op_take(ledger, STORE_MOVE, surely ? change->done : moved_after, change->arg);
    op->arg2 = request;
    op->number = change->number;
    op->patient =
        change->to ==
        STATE_LEASED; /* lost in a crash, it is no harm: the JOB left before it anyway */
    request->state = change->to;
    request->held = false;
    if (change->visible_at_ms != 0) {
        request->visible_at_ms = change->visible_at_ms;
    }
    if (change->results != NULL) {
        keep_results(request, op, change);
    }
    if (surely) {
        tally_move(request, now_ms);
    } else {
        request->moved = change->done;
    }
    op->store.only_if = change->only_if;
    op->store.move.pk = request->pk;
    op->store.move.expect_lease =
        UINT64_MAX; /* this broker is the only one, and holds the lease in memory */
    op->store.move.from = from;
    op->store.move.to = change->to;
    op->store.move.visible_at_ms = request->visible_at_ms;
    op->store.move.changed_at_ms = now_ms;
    op->store.move.attempt = request->attempt - (change->spared ? 1 : 0);
    op->store.move.losses = request->losses;
    op->store.move.lease = request->lease;
    op->store.move.partial = request->partial;
    add_event(op, request, from, now_ms, change);
    request->attempt = op->store.move.attempt;
    op->store.move.worker = ledger_op_text(op, request->worker_name);
    op->store.move.reason = ledger_op_text(op, change->reason);
    ledger_add(ledger, op);
}

PB(RequestStatus) *request_results_in(const struct request *request, struct arena *arena)
{
    PB(RequestStatus) *list = (PB(RequestStatus) *)wire_unpack(
        PB_DESCRIPTOR(request_status), arena, request->results_len, request->results);
    if (list == NULL || list->n_recipients != request->recipients) {
        bug("request %s: its row holds no list of %u recipients", request->id,
            request->recipients);
    }
    return list;
}

PB(RequestStatus) *request_results(const struct request *request)
{
    return request_results_in(request, NULL);
}

bool request_is_marked(const PB(RecipientResult) *one)
{
    /* Before there was the field, PENDING with a phase said so: such rows may still be in a store. */
    return one->may_have_it != 0 || one->outcome == PB_OUTCOME(UNKNOWN) ||
           (one->outcome == PB_OUTCOME(PENDING) && one->phase != PB_PHASE(UNSPECIFIED)) ||
           (one->outcome == PB_OUTCOME(PERMITTED) && one->failure_class == PB_CLASS(UNCERTAIN));
}

bool request_outcome_open(int outcome)
{
    return outcome == PB_OUTCOME(PENDING) || outcome == PB_OUTCOME(DEFERRED) ||
           outcome == PB_OUTCOME(PERMITTED);
}

uint32_t request_count_open(PB(RecipientResult) *const results[], size_t count)
{
    uint32_t open = 0;
    for (size_t i = 0; i < count; i++) {
        open += request_outcome_open((int)results[i]->outcome) ? 1 : 0;
    }
    return open;
}

uint32_t request_open_count(struct request *request)
{
    if (!request->touched) {
        return request->recipients;
    }
    if (request->open_count < 0) {
        PB(RequestStatus) *list = request_results(request);
        request->open_count = (int)request_count_open(list->recipients, list->n_recipients);
        trackpro__notify__v1__request_status__free_unpacked(list, NULL);
    }
    return (uint32_t)request->open_count;
}

enum state request_fold(PB(RecipientResult) *const results[], size_t count, bool handed_off,
                        bool *partial)
{
    size_t seen[PB_OUTCOME(PERMITTED) + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        seen[results[i]->outcome]++;
    }
    size_t delivered = seen[PB_OUTCOME(DELIVERED)];
    *partial = delivered > 0 && delivered < count;
    if (seen[PB_OUTCOME(PENDING)] + seen[PB_OUTCOME(DEFERRED)] > 0) {
        return STATE_DEFERRED;
    }
    if (seen[PB_OUTCOME(UNKNOWN)] + seen[PB_OUTCOME(PERMITTED)] > 0) {
        return STATE_UNKNOWN;
    }
    if (delivered < count) {
        return STATE_FAILED;
    }
    return handed_off ? STATE_HANDED_OFF : STATE_SENT;
}

/* The labels live in *unpacked, which the caller frees. */
static void add_labels(const struct store_row *row, PB(RequestStatus) *out,
                       PB(RequestStatus) **unpacked)
{
    const char *cursor = row->labels;
    char label[STORE_LABEL_BYTES];
    if (cursor == NULL) {
        return;
    }
    if (*unpacked == NULL) {
        PB(RequestStatus) init = PB_INIT(REQUEST_STATUS);
        *unpacked = mem_copy(&init, sizeof init);
    }
    (*unpacked)->labels = mem_zero(STORE_LABELS_MAX, sizeof *(*unpacked)->labels);
    while ((*unpacked)->n_labels < STORE_LABELS_MAX && store_label_next(&cursor, label)) {
        (*unpacked)->labels[(*unpacked)->n_labels++] = mem_text(label);
    }
    out->labels = (*unpacked)->labels;
    out->n_labels = (*unpacked)->n_labels;
}

void request_status_of_row(const struct store_row *row, PB(RequestStatus) *out,
                           PB(RequestStatus) **unpacked)
{
    PB(RequestStatus) init = PB_INIT(REQUEST_STATUS);
    *out = init;
    out->id = lent(row->id);
    out->state = (int)row->state;
    out->producer = lent(row->producer);
    out->profile = lent(row->profile);
    out->attempt = row->attempt;
    out->partial = row->partial;
    out->reason = lent(row->reason);
    out->accepted_at_ms = row->accepted_at_ms;
    out->changed_at_ms = row->changed_at_ms;
    out->next_attempt_ms = row->state == STATE_DEFERRED ? row->visible_at_ms : 0;
    out->held = row->held;
    out->supersede_key = lent(row->supersede_key);
    out->expire_at_ms = row->expire_at_ms;
    if (row->state == STATE_ACCEPTED || row->state == STATE_DEFERRED) {
        out->due_ms = row->visible_at_ms;
    }
    out->worker = lent(row->worker);
    out->lease = row->lease;
    *unpacked =
        row->results_len > 0 ? PB_UNPACK(request_status, row->results_len, row->results) : NULL;
    add_labels(row, out, unpacked);
    if (*unpacked != NULL) {
        out->one_each = (*unpacked)->one_each;
        out->recipients = (*unpacked)->recipients;
        out->n_recipients = (*unpacked)->n_recipients;
    }
}
