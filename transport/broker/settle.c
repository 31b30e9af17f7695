/* Results of workers, and what ends without one.
 *
 * A worker's result names recipients by index; it is merged into the request's list, and the list becomes a state
 * (conclude.c). Nothing is acknowledged before the commit. A result of a lease that is long over is not lost either: when
 * the request became UNKNOWN under that very lease, the late report decides it. */
#include "settle.h"

#include "broker.h"
#include "conclude.h"
#include "digits.h"
#include "early.h"
#include "fate.h"
#include "log.h"
#include "mem.h"
#include "pb_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *lent(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* ---- without a result ---- */

void settle_undecided(struct broker *broker, struct request *request, int outcome,
                      const char *text)
{
    struct merge merge;
    merge_init(&merge, request);
    bool marked = false;
    for (size_t i = 0; i < request->recipients; i++) {
        marked = marked || merge.all[i]->outcome == PB_OUTCOME(PERMITTED);
    }
    PB(RecipientResult) *made = mem_zero(request->recipients, sizeof *made);
    for (size_t i = 0; i < request->recipients; i++) {
        int old = (int)merge.all[i]->outcome;
        if (marked ? old != PB_OUTCOME(PERMITTED) : !request_outcome_open(old)) {
            continue;
        }
        PB(RecipientResult) init = PB_INIT(RECIPIENT_RESULT);
        made[i] = init;
        made[i].address = merge.all[i]->address;
        /* Who may have the mail from an earlier attempt was not refused. */
        made[i].outcome = request_is_marked(merge.all[i]) ? PB_OUTCOME(UNKNOWN) : outcome;
        made[i].failure_class =
            made[i].outcome == PB_OUTCOME(UNKNOWN) ? PB_CLASS(UNCERTAIN) : PB_CLASS(NONE);
        made[i].phase = PB_PHASE(BROKER);
        made[i].text = lent(text);
        merge_set(&merge, i, &made[i]);
    }
    struct request_change change = {.reason = text};
    conclude(broker, request, &merge, &change);
    free(made);
    merge_fini(&merge);
}

static void forget(void *arg, struct ledger_op *op)
{
    (void)arg;
    struct request *request = op->arg2;
    request_free(&request);
}

void settle_expired(struct broker *broker, struct request *request)
{
    static const char text[] = "expire_at_ms has passed";
    struct merge merge;
    merge_init(&merge, request);
    PB(RecipientResult) *made = mem_zero(request->recipients, sizeof *made);
    for (size_t i = 0; i < request->recipients; i++) {
        if (request_outcome_open((int)merge.all[i]->outcome)) {
            made[i] = *merge.all[i]; /* the last reply stays readable */
            made[i].outcome =
                request_is_marked(merge.all[i]) ? PB_OUTCOME(UNKNOWN) : PB_OUTCOME(REFUSED);
            if (made[i].text[0] == '\0') {
                made[i].phase = PB_PHASE(BROKER);
                made[i].text = lent(text);
            }
            merge_set(&merge, i, &made[i]);
        }
    }
    (void)request_fold(merge.all, request->recipients, false, &request->partial);
    struct request_change change = {.to = STATE_EXPIRED,
                                    .reason = text,
                                    .results = merge.all,
                                    .changed = merge.changed,
                                    .changed_count = merge.changed_count,
                                    .done = forget};
    request->settling = true;
    request_move(request, broker->ledger, broker_now_ms(broker), &change);
    free(made);
    merge_fini(&merge);
}

/* ---- a worker's result ---- */

static const char *number(char out[DIGITS_MAX + 1], uint64_t value)
{
    *digits_put(out, value, 1) = '\0';
    return out;
}

static void log_one_delivery(struct broker *broker, const struct request *request,
                             const PB(JobResult) *result, const PB(RecipientResult) *one)
{
    const ProtobufCEnumValue *outcome =
        protobuf_c_enum_descriptor_get_value(PB_DESCRIPTOR(outcome), (int)one->outcome);
    const char *at = strrchr(one->address, '@');
    char quoted[LOG_QUOTE_BYTES];
    char attempt[DIGITS_MAX + 1];
    char code[DIGITS_MAX + 1];
    char delay[DIGITS_MAX + 1];
    const char *const words[] = {"request=",    request->id,
                                 " to-domain=", at != NULL ? at + 1 : "",
                                 " server=",    result->server,
                                 " attempt=",   number(attempt, request->attempt),
                                 " code=",      number(code, one->smtp_code),
                                 " enhanced=",  one->enhanced_code,
                                 " delay_ms=",  number(delay, result->duration_ms),
                                 " outcome=",   outcome != NULL ? outcome->name : "?",
                                 " class=",     pb_class_word((int)one->failure_class),
                                 " text=",      log_quote(one->text, quoted)};
    log_add_words(&broker->deliveries, LOG_LEVEL_INFO, "delivery", words,
                  sizeof words / sizeof words[0]);
}

static void log_delivery(struct broker *broker, const struct request *request,
                         const PB(JobResult) *result)
{
    for (size_t i = 0; i < result->n_results && log_enabled(LOG_LEVEL_INFO); i++) {
        log_one_delivery(broker, request, result, result->results[i]);
    }
}

static void part_settled(void *arg, struct ledger_op *op)
{
    (void)arg;
    conclude_acknowledge(op->arg2, op);
}

static const char *fault_of(const struct request *request, const PB(JobResult) *result)
{
    if (result->n_recipients != result->n_results) {
        return "recipients and results differ in number";
    }
    for (size_t i = 0; i < result->n_results; i++) {
        if (result->recipients[i] >= request->recipients) {
            return "no such recipient";
        }
        if (i > 0 && result->recipients[i] <= result->recipients[i - 1]) {
            return "recipients must rise"; /* none twice: the lists here have a place for each */
        }
        if (result->results[i]->outcome < PB_OUTCOME(DELIVERED) ||
            result->results[i]->outcome > PB_OUTCOME(UNKNOWN)) {
            return "no outcome of an attempt";
        }
    }
    return NULL;
}

static void give_back(struct broker *broker, struct request *request, const char *reason)
{
    struct request_change change = {.to = STATE_ACCEPTED, .reason = reason};
    request_move(request, broker->ledger, broker_now_ms(broker), &change);
    lease_end(broker, request);
    schedule_returned(&broker->schedule, request);
}

static bool any_permitted(const struct merge *merge, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (merge->all[i]->outcome == PB_OUTCOME(PERMITTED)) {
            return true;
        }
    }
    return false;
}

/* What the result says about the profile. */
static void judge_brakes(struct broker *broker, const struct request *request,
                         const PB(JobResult) *result)
{
    const struct profile *profile =
        request->brake != NULL ? profiles_find(broker->profiles, request->brake->name) : NULL;
    if (profile != NULL) {
        brake_result(request->brake, profile, request->lease, result, broker_now_ms(broker));
    }
}

/* A result without an address gets that of its place, lent: once more gives it back. Who owns a result frees its own texts. */
static void swap_addresses(const struct merge *merge, PB(JobResult) *result)
{
    for (size_t i = 0; i < result->n_results; i++) {
        char **told = &result->results[i]->address;
        char **listed = &merge->list->recipients[result->recipients[i]]->address;
        if ((**told == '\0') != (**listed == '\0')) {
            char *kept = *told;
            *told = *listed;
            *listed = kept;
        }
    }
}

/* Parts of a split request may come in any order, after a reconnection: the request is settled when the last one was
 * seen and none is on its way any more. */
static void take_result(struct broker *broker, struct request *request, PB(JobResult) *result)
{
    struct merge merge;
    merge_init(&merge, request);
    swap_addresses(&merge, result);
    for (size_t i = 0; i < result->n_results; i++) {
        merge_set(&merge, result->recipients[i], result->results[i]);
    }
    if (!request->attempt_counted) {
        request->attempt++;
        request->attempt_counted = true;
    }
    log_delivery(broker, request, result);
    judge_brakes(broker, request, result);
    struct request_change change = {.result = result, .number = result->part};
    request->last_part_seen = request->last_part_seen || !result->more;
    /* A late report of one part: the others stay unknown until theirs come. */
    bool late = request->state == STATE_UNKNOWN;
    if (!late && (!request->last_part_seen || any_permitted(&merge, request->recipients))) {
        change.to = STATE_PERMITTED;
        change.results = merge.all;
        change.changed = merge.changed;
        change.changed_count = merge.changed_count;
        change.done = part_settled;
        change.arg = broker;
        request_move(request, broker->ledger, broker_now_ms(broker), &change);
    } else {
        conclude(broker, request, &merge, &change);
    }
    swap_addresses(&merge, result);
    merge_fini(&merge);
}

/* ---- a result of a lease that is over ---- */

struct late {
    struct broker *broker;
    struct wire_peer peer;
    PB(JobResult) *result; /* owned */
};

static void late_row_came(void *arg, struct ledger_op *op)
{
    struct late *late = arg;
    struct broker *broker = late->broker;
    struct store_row *row = &op->store.get.row;
    struct worker *worker = roster_find(&broker->roster, &late->peer);
    bool undecided = op->store.result == STORE_DONE && row->state == STATE_UNKNOWN &&
                     row->lease == late->result->lease && !late->result->not_started;
    if (undecided && request_index_find(&broker->in_memory, row->pk) != NULL) {
        /* Somebody decides it at this moment. Not acknowledged, so the worker tells it again. */
    } else if (undecided) {
        struct store_lane key = {.priority = row->priority};
        memcpy(key.profile, row->profile, sizeof key.profile);
        memcpy(key.producer, row->producer, sizeof key.producer);
        struct request *request = request_of_row(row, schedule_lane(&broker->schedule, &key));
        if (fault_of(request, late->result) == NULL) {
            request_index_add(&broker->in_memory, request);
            if (worker != NULL) {
                lease_hold(request, worker);
            }
            (void)map_put_u64(&broker->leases.by_lease, request->lease, request);
            request->attempt_counted = true;
            take_result(broker, request, late->result);
        } else {
            request_free(&request);
        }
    } else if (op->store.result != STORE_REFUSED && worker != NULL) {
        part_list_add(&worker->settled, late->result->lease, late->result->part);
    }
    trackpro__notify__v1__job_result__free_unpacked(late->result, NULL);
    free(late);
}

static void look_for_late(struct broker *broker, struct worker *worker,
                          const PB(JobResult) *result)
{
    struct late *late = mem_zero(1, sizeof *late);
    late->broker = broker;
    late->peer = worker->peer;
    late->result = (PB(JobResult) *)wire_body_copy(&result->base);
    struct ledger_op *op = ledger_op_new(STORE_GET, late_row_came, late);
    op->store.get.producer = late->result->producer;
    op->store.get.id = late->result->request_id;
    ledger_add(broker->ledger, op);
}

static void result_one(struct broker *broker, struct worker *worker, PB(JobResult) *result)
{
    if (result->pickup_fate != PB_FATE(UNSPECIFIED)) {
        fate_take(broker, worker, result);
        return;
    }
    struct request *request = lease_find(broker, result->lease);
    if (request != NULL && request->worker != NULL && request->worker != worker &&
        result->not_started) {
        /* The next worker on that machine speaks for one that was killed: is it gone? */
        lease_probe(broker, request->worker);
        request = lease_find(broker, result->lease);
    }
    if (request == NULL && result->not_started) {
        part_list_add(&worker->settled, result->lease, result->part); /* nobody waits for it */
        return;
    }
    if (request == NULL) {
        look_for_late(broker, worker, result);
        return;
    }
    if (request->settling) {
        return; /* a repetition: the acknowledgement follows the commit */
    }
    if (request->worker == NULL) {
        lease_extend(broker, worker, &result->lease, 1); /* an orphan's worker came back */
    }
    if (request->worker == worker && early_hold(request, &result->base)) {
        return;
    }
    const char *fault = request->worker != worker ? "another worker holds the lease"
                                                  : fault_of(request, result);
    if (fault != NULL) {
        log_warn("result", "worker=%s lease=%llu refused=\"%s\"", worker->name,
                 (unsigned long long)result->lease, fault);
        return;
    }
    if (result->not_started) {
        part_list_add(&worker->settled, result->lease, result->part);
        give_back(broker, request, "given back by its worker");
        return;
    }
    if (result->n_results == 0) {
        /* Not even how many recipients there are: given out again, it would come back the same way. */
        settle_undecided(broker, request, PB_OUTCOME(REFUSED),
                         "its worker cannot read the request");
        return;
    }
    take_result(broker, request, result);
}

void settle_result(struct broker *broker, struct worker *worker, PB(Result) *result)
{
    for (size_t i = 0; i < result->n_results; i++) {
        result_one(broker, worker, result->results[i]);
    }
}
