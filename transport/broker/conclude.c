/* From the outcomes of the recipients to the state of their request, and what its profile wants done about it. Takes no message of
 * anybody: who was told something, or has waited for too long, comes with the list as it is then (settle.c). */
#include "conclude.h"

#include "broker.h"
#include "log.h"
#include "poison.h"
#include "retry.h"
#include "settle.h"

/* ---- the list ---- */

void merge_init(struct merge *merge, const struct request *request)
{
    size_t bytes = request->recipients * sizeof merge->all[0];
    arena_init(&merge->arena, merge->room, sizeof merge->room);
    merge->list = request_results_in(request, &merge->arena);
    merge->all = arena_copy(&merge->arena, merge->list->recipients, bytes);
    merge->changed = arena_take(&merge->arena, bytes);
    merge->changed_count = 0;
}

void merge_fini(struct merge *merge)
{
    arena_reset(&merge->arena);
}

void merge_set(struct merge *merge, size_t index, PB(RecipientResult) *result)
{
    /* Once an attempt ended unknown, that is never forgotten: not by a permit, nor by a refusal. */
    result->may_have_it =
        result->outcome == PB_OUTCOME(UNKNOWN) || request_is_marked(merge->all[index]);
    merge->all[index] = result;
    merge->changed[merge->changed_count++] = result;
}

/* ---- after the commit ---- */

void conclude_acknowledge(struct request *request, const struct ledger_op *op)
{
    if (request->worker != NULL) {
        part_list_add(&request->worker->settled, op->store.move.lease, (uint32_t)op->number);
    }
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
    conclude_acknowledge(request, op);
    lease_end(broker, request);
    if (request->state == STATE_DEFERRED) {
        schedule_back(&broker->schedule, request);
    } else {
        request_free(&request);
    }
}

/* ---- from outcomes to a state ---- */

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

void conclude(struct broker *broker, struct request *request, struct merge *merge,
              struct request_change *change)
{
    int64_t now_ms = broker_now_ms(broker);
    bool handed_off = change->result != NULL && change->result->handed_off;
    PB(RecipientResult) *made = arena_take(&merge->arena, request->recipients * sizeof *made);
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
        PB(RecipientResult) *again =
            arena_take(&merge->arena, request->recipients * sizeof *again);
        apply_policy(broker, request, merge, change, again);
        request_move(request, broker->ledger, now_ms, change);
    } else {
        request_move(request, broker->ledger, now_ms, change);
    }
}
