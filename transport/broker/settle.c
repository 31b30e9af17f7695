/* From outcomes to states.
 *
 * A worker's result names recipients by index; it is merged into the request's list, and the list is folded into a state
 * (request_fold). Nothing is acknowledged before the commit. A result of a lease that is long over is not lost either: when
 * the request became UNKNOWN under that very lease, the late report decides it. */
#include "settle.h"

#include "broker.h"
#include "fate.h"
#include "log.h"
#include "mem.h"
#include "pb_text.h"
#include "poison.h"
#include "retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The list of a request while it is being changed. */
struct merge {
    PB(RequestStatus) *list;   /* the old one, owned */
    PB(RecipientResult) **all; /* each the old entry or a new one, borrowed */
    PB(RecipientResult) **changed;
    size_t changed_count;
};

static void merge_init(struct merge *merge, const struct request *request)
{
    merge->list = request_results(request);
    merge->all = mem_copy(merge->list->recipients, request->recipients * sizeof merge->all[0]);
    merge->changed = mem_zero(request->recipients, sizeof merge->changed[0]);
    merge->changed_count = 0;
}

static void merge_fini(struct merge *merge)
{
    free(merge->all);
    free(merge->changed);
    trackpro__notify__v1__request_status__free_unpacked(merge->list, NULL);
}

static void merge_set(struct merge *merge, size_t index, PB(RecipientResult) *result)
{
    /* Once an attempt ended unknown, that is never forgotten: not by a permit, nor by a refusal. */
    result->may_have_it =
        result->outcome == PB_OUTCOME(UNKNOWN) || request_is_marked(merge->all[index]);
    merge->all[index] = result;
    merge->changed[merge->changed_count++] = result;
}

static char *lent(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* ---- after the commit ---- */

static void acknowledge(struct request *request, const struct ledger_op *op)
{
    if (request->worker != NULL) {
        part_list_add(&request->worker->settled, op->store.move.lease, (uint32_t)op->number);
    }
}

static void part_settled(void *arg, struct ledger_op *op)
{
    (void)arg;
    acknowledge(op->arg2, op);
}

static void settled(void *arg, struct ledger_op *op)
{
    struct broker *broker = arg;
    struct request *request = op->arg2;
    if (op->store.result != STORE_DONE) {
        /* Only one broker writes, and it knows every state: the disk says something else than we did. */
        bug("request %s: its result was refused by the store: %s", request->id,
            op->store.why.text);
    }
    acknowledge(request, op);
    lease_end(broker, request);
    if (request->state == STATE_DEFERRED) {
        schedule_back(&broker->schedule, request);
    } else {
        request_free(&request);
    }
}

/* ---- from outcomes to a state ---- */

static void log_delivery(struct broker *broker, const struct request *request,
                         const PB(JobResult) *result)
{
    for (size_t i = 0; i < result->n_results && log_enabled(LOG_LEVEL_INFO); i++) {
        const PB(RecipientResult) *one = result->results[i];
        const ProtobufCEnumValue *outcome =
            protobuf_c_enum_descriptor_get_value(PB_DESCRIPTOR(outcome), (int)one->outcome);
        char quoted[LOG_QUOTE_BYTES];
        log_add(&broker->deliveries, LOG_LEVEL_INFO, "delivery",
                "request=%s to-domain=%s server=%s attempt=%u code=%u enhanced=%s delay_ms=%u "
                "outcome=%s class=%s text=%s",
                request->id,
                strrchr(one->address, '@') != NULL ? strrchr(one->address, '@') + 1 : "",
                result->server, request->attempt, one->smtp_code, one->enhanced_code,
                result->duration_ms, outcome != NULL ? outcome->name : "?",
                pb_class_word((int)one->failure_class), log_quote(one->text, quoted));
    }
}

/* Too old to go on: what is deferred is refused, with the last reply kept; who may have it already is unknown again.
 * made: room for the new entries. */
static void give_up(const struct request *request, struct merge *merge,
                    PB(RecipientResult) *made, const char *why)
{
    for (size_t i = 0; i < request->recipients; i++) {
        PB(RecipientResult) *one = merge->all[i];
        if (one->outcome != PB_OUTCOME(DEFERRED) && one->outcome != PB_OUTCOME(PENDING)) {
            continue;
        }
        made[i] = *one;
        made[i].outcome = request_is_marked(one) ? PB_OUTCOME(UNKNOWN) : PB_OUTCOME(REFUSED);
        merge->all[i] = &made[i];
        bool told = false;
        for (size_t k = 0; k < merge->changed_count; k++) {
            if (merge->changed[k] == one) {
                merge->changed[k] = &made[i];
                told = true;
            }
        }
        if (!told) {
            merge->changed[merge->changed_count++] = &made[i];
        }
    }
    log_info("give-up", "request=%s reason=\"%s\"", request->id, why);
}

static struct retry_plan retries_of(const struct broker *broker, const struct request *request)
{
    return retry_plan_of(broker->conf,
                         profiles_find(broker->profiles, request->lane->key.profile));
}

static const struct settings_plan *plan_of(const struct broker *broker,
                                           const struct request *request)
{
    const struct profile *profile = profiles_find(broker->profiles, request->lane->key.profile);
    return profile != NULL ? &profile->plan : NULL;
}

/* Of what is to be tried again. */
struct leftover {
    bool deferred; /* somebody was tried, and deferred */
    bool
        spared; /* all of them because of their profile (brake_spares): it costs neither attempt nor age */
};

static struct leftover look_at_leftover(const struct request *request,
                                        const struct merge *merge)
{
    struct leftover left = {.spared = request->lane->key.profile[0] != '\0'};
    for (size_t i = 0; i < request->recipients; i++) {
        const PB(RecipientResult) *one = merge->all[i];
        bool settled = !request_outcome_open((int)one->outcome);
        bool marked = !settled && request_is_marked(one);
        left.deferred = left.deferred || marked || one->outcome == PB_OUTCOME(DEFERRED);
        left.spared = left.spared &&
                      (brake_spares(one) || (one->outcome == PB_OUTCOME(PENDING) && !marked) ||
                       (settled && request->attempt > 1));
    }
    left.spared = left.spared && left.deferred;
    return left;
}

/* DEFERRED: when again, or not at all. made: room for new entries. */
static void choose_retry(struct broker *broker, struct request *request, struct merge *merge,
                         struct request_change *change, PB(RecipientResult) *made)
{
    const struct retry_plan plan = retries_of(broker, request);
    int64_t now_ms = broker_now_ms(broker);
    struct leftover left = look_at_leftover(request, merge);
    if (left.spared) {
        change->spared = request->attempt > 0;
        change->reason = "because of its profile, not of the mail: costs no attempt";
    }
    int64_t outage_ms = brake_outage_ms(request->lane->brake, request->accepted_at_ms, now_ms);
    if (left.deferred && !left.spared &&
        retry_is_over(&plan, request->accepted_at_ms + outage_ms, now_ms)) {
        change->reason = "gave up: too old to be tried again";
        give_up(request, merge, made, change->reason);
        bool handed_off = change->result != NULL && change->result->handed_off;
        change->to =
            request_fold(merge->all, request->recipients, handed_off, &request->partial);
        return;
    }
    if (change->visible_at_ms != 0) {
        return;
    }
    if (!left.deferred) {
        change->reason =
            "the limits of its profile let only some of its recipients go at a time";
        change->visible_at_ms = schedule_due_now(&broker->schedule, request->lane);
        return;
    }
    change->visible_at_ms = retry_next_ms(&plan, request->attempt - (change->spared ? 1 : 0),
                                          now_ms, request->expire_at_ms);
}

/* UNKNOWN, and what the profile wants done about it: hold, or the next move at once. */
static void apply_policy(struct broker *broker, struct request *request, struct merge *merge,
                         struct request_change *change, PB(RecipientResult) *made)
{
    const struct retry_plan retries = retries_of(broker, request);
    const struct settings_plan *plan = plan_of(broker, request);
    int policy = plan != NULL ? plan->unknown_policy : (int)PB_POLICY(HOLD);
    if (policy != (int)PB_POLICY(ASSUME_SENT) && policy != (int)PB_POLICY(RESEND_MARKED)) {
        return;
    }
    if (policy == (int)PB_POLICY(RESEND_MARKED) &&
        retry_is_over(&retries, request->accepted_at_ms, broker_now_ms(broker))) {
        return; /* a server that takes every mail and never says so must not be fed for ever */
    }
    bool assume = policy == (int)PB_POLICY(ASSUME_SENT);
    if (!assume && poison_proven(request)) {
        change->reason = "poison: its worker died twice while it held this request";
        return; /* not a third time */
    }
    ledger_fn *done = change->done;
    change->done = NULL;
    request_move(request, broker->ledger, broker_now_ms(broker), change);
    merge->changed_count = 0;
    for (size_t i = 0; i < request->recipients; i++) {
        if (merge->all[i]->outcome == PB_OUTCOME(UNKNOWN)) {
            made[i] = *merge->all[i];
            made[i].outcome = assume ? PB_OUTCOME(DELIVERED) : PB_OUTCOME(PENDING);
            made[i].failure_class = assume ? PB_CLASS(NONE) : made[i].failure_class;
            merge_set(merge, i, &made[i]);
        }
    }
    int64_t now_ms = broker_now_ms(broker);
    change->done = done;
    change->changed_count = merge->changed_count;
    change->to = request_fold(merge->all, request->recipients, false, &request->partial);
    change->reason =
        assume ? "assumed sent (unknown_policy)" : "sent again, marked (unknown_policy)";
    change->visible_at_ms =
        change->to == STATE_DEFERRED
            ? retry_next_ms(&retries, request->attempt, now_ms, request->expire_at_ms)
            : 0;
}

static void conclude(struct broker *broker, struct request *request, struct merge *merge,
                     struct request_change *change)
{
    int64_t now_ms = broker_now_ms(broker);
    bool handed_off = change->result != NULL && change->result->handed_off;
    PB(RecipientResult) *made = mem_zero(request->recipients, sizeof *made);
    if (request->look_only) {
        /* Certainly not delivered: again at once, behind the lane's cursor; or it is too late (lease_place). */
        bool over = request->expire_at_ms != 0 && request->expire_at_ms <= now_ms;
        change->visible_at_ms = over ? request->expire_at_ms : now_ms + 1;
    }
    change->to = request_fold(merge->all, request->recipients, handed_off, &request->partial);
    if (change->to == STATE_DEFERRED) {
        choose_retry(broker, request, merge, change, made);
    }
    change->results = merge->all;
    change->changed = merge->changed;
    change->changed_count = merge->changed_count;
    change->done = settled;
    change->arg = broker;
    request->settling = true;
    if (change->to == STATE_UNKNOWN) {
        PB(RecipientResult) *again = mem_zero(request->recipients, sizeof *again);
        apply_policy(broker, request, merge, change, again);
        request_move(request, broker->ledger, now_ms, change);
        free(again);
    } else {
        request_move(request, broker->ledger, now_ms, change);
    }
    free(made);
}

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

/* Parts of a split request may come in any order, after a reconnection: the request is settled when the last one was
 * seen and none is on its way any more. */
static void take_result(struct broker *broker, struct request *request, PB(JobResult) *result)
{
    struct merge merge;
    merge_init(&merge, request);
    for (size_t i = 0; i < result->n_results; i++) {
        size_t index = result->recipients[i];
        if (result->results[i]->address[0] ==
            '\0') { /* "": protobuf-c's own, not to be freed */
            result->results[i]->address = mem_text(merge.all[index]->address);
        }
        merge_set(&merge, index, result->results[i]);
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
        request_index_add(&broker->in_memory, request);
        if (worker != NULL) {
            lease_hold(request, worker);
        }
        (void)map_put_u64(&broker->leases.by_lease, request->lease, request);
        request->attempt_counted = true;
        if (fault_of(request, late->result) == NULL) {
            take_result(broker, request, late->result);
        } else {
            lease_end(broker, request);
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
    take_result(broker, request, result);
}

void settle_result(struct broker *broker, struct worker *worker, PB(Result) *result)
{
    for (size_t i = 0; i < result->n_results; i++) {
        result_one(broker, worker, result->results[i]);
    }
}
