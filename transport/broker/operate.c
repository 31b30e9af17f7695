/* Acts of operators.
 *
 * Each request is looked up in the store first. When it is in memory too, the memory is what
 * counts, and it is changed through its object; else an object is made of the row. Either way
 * the object leaves lane and lease, is marked as settling, and stays in the index of requests
 * until the commit: so nobody else takes up the row meanwhile (a DUE or a GET may have read it
 * before the change), and an act that meets such an object asks again, behind the commit that it
 * waits for. So does a retry of what is finished while a newer request of its key comes in
 * (supersede.h).
 *
 * No other op that points to the object can be under way after the commit: ops end in the order
 * in which they were added, and an object that belongs to an act gets no new ones.
 *
 * What may have been sent is never touched: PERMITTED waits for its outcome, UNKNOWN is sent
 * again only when it is resolved so. */
#include "operate.h"

#include "amend.h"
#include "broker.h"
#include "log.h"
#include "mem.h"
#include "operate_recipient.h"
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_DEFAULT = 100 };

#define IN(name) (1u << STATE_##name)

struct operation_row {
    const char *name; /* in the log */
    const char *past; /* in the history, before "by OPERATOR" */
    unsigned states;  /* mask of IN(…): those it is for */
    unsigned named;   /* of them: only when an id or a filter names them */
    enum state to;    /* STATE_NONE: what the outcomes come to */
    operate_recipient_fn *recipient;
    amend_fn *amend; /* an act that is no move; then `to` and `recipient` mean nothing */
};

enum { OPERATIONS = PB_OPERATION(PURGE) + 1 };

static const struct operation_row operations[OPERATIONS] = {
    [PB_OPERATION(CANCEL)] = {"cancel", "cancelled",
                              IN(ACCEPTED) | IN(DEFERRED) | IN(UNKNOWN) | IN(LEASED),
                              IN(UNKNOWN), STATE_CANCELLED, operate_recipient_cancel, NULL},
    [PB_OPERATION(RETRY)] = {"retry", "retried",
                             IN(DEFERRED) | IN(FAILED) | IN(EXPIRED) | IN(CANCELLED),
                             IN(CANCELLED), STATE_ACCEPTED, operate_recipient_retry, NULL},
    [PB_OPERATION(RESOLVE_SENT)] = {"resolve-sent", "resolved as sent", IN(UNKNOWN), 0,
                                    STATE_NONE, operate_recipient_sent, NULL},
    [PB_OPERATION(RESOLVE_RESEND)] = {"resolve-resend", "resolved to be sent again",
                                      IN(UNKNOWN), 0, STATE_ACCEPTED, operate_recipient_resend,
                                      NULL},
    [PB_OPERATION(HOLD)] = {"hold", "held", IN(ACCEPTED) | IN(DEFERRED), 0, STATE_NONE, NULL,
                            amend_hold},
    [PB_OPERATION(RELEASE)] = {"release", "released", IN(ACCEPTED) | IN(DEFERRED), 0,
                               STATE_NONE, NULL, amend_release},
    [PB_OPERATION(REDRIVE)] = {"redrive", "redriven", IN(FAILED) | IN(EXPIRED) | IN(CANCELLED),
                               IN(CANCELLED), STATE_ACCEPTED, operate_recipient_retry, NULL},
    [PB_OPERATION(EDIT)] = {"edit", "edited",
                            IN(ACCEPTED) | IN(DEFERRED) | IN(FAILED) | IN(EXPIRED) |
                                IN(CANCELLED) | IN(UNKNOWN),
                            0, STATE_NONE, NULL, amend_edit},
    [PB_OPERATION(PURGE)] = {"purge", "purged",
                             IN(SENT) | IN(HANDED_OFF) | IN(FAILED) | IN(EXPIRED) |
                                 IN(CANCELLED),
                             0, STATE_NONE, NULL, amend_purge},
};

/* Why nothing is done to a request in that state, when the operation is not for it. */
static const char *const refusals[STATE_COUNT] = {
    [STATE_NONE] = "no such request",
    [STATE_ACCEPTED] = "it waits for its turn",
    [STATE_LEASED] = "a worker is about to send it",
    [STATE_PERMITTED] = "it may be on its way",
    [STATE_DEFERRED] = "it waits for its next attempt",
    [STATE_SENT] = "it was sent",
    [STATE_HANDED_OFF] = "it was handed off",
    [STATE_FAILED] = "it has failed",
    [STATE_EXPIRED] = "it has expired",
    [STATE_CANCELLED] = "it is cancelled",
    [STATE_UNKNOWN] = "it may have been sent: resolve it",
};

bool operate_allowed(int operation, enum state state)
{
    return (operations[operation].states & (1u << state)) != 0;
}

bool operate_recipient(int operation, enum state state, PB(RecipientResult) *one,
                       const char *text)
{
    return operations[operation].recipient(state, one, text);
}

/* ---- the act ---- */

static void acted(void *arg, struct ledger_op *op)
{
    struct act *act = arg;
    struct broker *broker = act->operation->broker;
    struct request *request = act->request;
    act->request = NULL;
    if (op->store.result != STORE_DONE) {
        if (!state_is_final(act->before)) {
            /* Only what is final can be forgotten by the store, or have lost its body. */
            bug("request %s: the store refused an act: %s", act->id, op->store.why.text);
        }
        tally_leave(request);
        request_free(&request);
        act_refuse(act, act->before,
                   op->store.result == STORE_NOT_FOUND ? "it was forgotten meanwhile"
                                                       : "its content is gone");
        return;
    }
    /* DEFERRED: resolved as sent, but for a recipient that an edit put in. */
    if (request != NULL &&
        (request->state == STATE_ACCEPTED || request->state == STATE_DEFERRED)) {
        schedule_back(&broker->schedule, request);
    } else {
        request_free(&request);
    }
    act->done = true;
    act_finish(act);
}

/* The recipients as the operation leaves them. */
struct rework {
    PB(RequestStatus) *list;   /* the old ones, owned */
    PB(RecipientResult) *made; /* owned; all and changed point into it or into list */
    PB(RecipientResult) **all;
    PB(RecipientResult) **changed;
    size_t changed_count;
    bool open; /* somebody is left to send to */
};

static void rework_init(struct rework *rework, const struct act *act,
                        const struct request *request)
{
    size_t count = request->recipients;
    int kind = act->operation->kind;
    rework->list = request_results(request);
    rework->made = mem_zero(count, sizeof *rework->made);
    rework->all = mem_copy(rework->list->recipients, count * sizeof *rework->all);
    rework->changed = mem_zero(count, sizeof *rework->changed);
    rework->changed_count = 0;
    rework->open = false;
    for (size_t i = 0; i < count; i++) {
        PB(RecipientResult) *one = &rework->made[i];
        *one = *rework->all[i];
        if (operate_recipient(kind, request->state, one, act->operation->reason)) {
            rework->all[i] = one;
            rework->changed[rework->changed_count++] = one;
        }
        rework->open = rework->open || one->outcome == PB_OUTCOME(PENDING) ||
                       one->outcome == PB_OUTCOME(DEFERRED);
    }
}

static void rework_fini(struct rework *rework)
{
    free(rework->changed);
    free(rework->all);
    free(rework->made);
    trackpro__notify__v1__request_status__free_unpacked(rework->list, NULL);
}

/* Move a request that is ours: settling, in no list. */
static void move(struct act *act, struct request *request)
{
    struct broker *broker = act->operation->broker;
    const struct operation_row *row = &operations[act->operation->kind];
    struct rework rework;
    struct request_change change = {
        .to = row->to, .reason = act->operation->reason, .done = acted, .arg = act};
    rework_init(&rework, act, request);
    if (row->to == STATE_ACCEPTED && !rework.open) {
        request_free(&request);
        act_refuse(act, act->before, "nobody is left to send it to");
        goto out;
    }
    enum state folded = request_fold(rework.all, request->recipients, false, &request->partial);
    if (row->to == STATE_NONE) {
        change.to = folded;
    }
    if (change.to == STATE_DEFERRED) {
        change.visible_at_ms = schedule_due_now(&broker->schedule, request->lane);
    }
    if (row->to == STATE_ACCEPTED) {
        change.visible_at_ms = schedule_due_now(&broker->schedule, request->lane);
        request->losses = 0; /* whoever sends poison again has looked at it (poison.h) */
    }
    if (rework.changed_count > 0) {
        change.results = rework.all;
        change.changed = rework.changed;
        change.changed_count = rework.changed_count;
    }
    act->after = change.to;
    act->reason = act->operation->reason;
    act->request = request;
    request_move(request, broker->ledger, broker_now_ms(broker), &change);
out:
    rework_fini(&rework);
}

/* A deferred request that is due already and waits in the window stays where it is. */
static void hurry(struct act *act, struct request *request)
{
    struct broker *broker = act->operation->broker;
    struct request_change change = {
        .to = STATE_ACCEPTED, .reason = act->operation->reason, .done = acted, .arg = act};
    act->after = change.to;
    act->reason = change.reason;
    request_move(request, broker->ledger, broker_now_ms(broker), &change);
}

static struct request *make_request(struct broker *broker, struct store_row *row)
{
    struct store_lane key = {.priority = row->priority};
    memcpy(key.profile, row->profile, sizeof key.profile);
    memcpy(key.producer, row->producer, sizeof key.producer);
    struct request *request = request_of_row(row, schedule_lane(&broker->schedule, &key));
    request_index_add(&broker->in_memory, request);
    return request;
}

static void look_up(struct act *act);

/* The row is there; it may be older than what the memory holds. */
static void decide(struct act *act, struct store_row *row)
{
    struct broker *broker = act->operation->broker;
    struct request *request = request_index_find(&broker->in_memory, row->pk);
    memcpy(act->id, row->id, sizeof act->id);
    memcpy(act->producer, row->producer, sizeof act->producer);
    if (request != NULL && request->settling) {
        look_up(act); /* once more, when that is on disk */
        return;
    }
    enum state state = request != NULL ? request->state : row->state;
    act->before = state;
    if (!operate_allowed(act->operation->kind, state)) {
        act_refuse(act, state, refusals[state]);
        return;
    }
    if (request == NULL && state == STATE_LEASED) {
        act_refuse(act, state, "the broker has just started: try again");
        return;
    }
    const struct operation_row *operation = &operations[act->operation->kind];
    if (operation->to == STATE_ACCEPTED && state_is_final(state) &&
        row->supersede_key[0] != '\0' &&
        supersede_goes_on(broker, row->producer, row->supersede_key)) {
        look_up(act); /* once more, behind the newer one: whose list of rows lacks this one */
        return;
    }
    if (row->held && operation->amend == NULL && operation->to == STATE_ACCEPTED) {
        act_refuse(act, state, "it is held: release it");
        return;
    }
    if (request != NULL && operation->amend == NULL && operation->to == STATE_ACCEPTED) {
        hurry(act, request);
        return;
    }
    if (request == NULL) {
        request = make_request(broker, row);
    } else if (state == STATE_LEASED) {
        lease_end(broker, request); /* from here on its permit is denied */
    } else {
        schedule_take(&broker->schedule, request);
    }
    request->settling = true;
    if (operation->amend != NULL) {
        act->held = row->held;
        act->request = request;
        operation->amend(act);
    } else {
        move(act, request);
    }
}

static void row_came(void *arg, struct ledger_op *op)
{
    struct act *act = arg;
    if (op->store.result == STORE_DONE) {
        decide(act, &op->store.get.row);
    } else {
        act_refuse(act, STATE_NONE,
                   op->store.result == STORE_NOT_FOUND
                       ? refusals[STATE_NONE]
                       : "the store cannot be read now; try again");
    }
}

static void look_up(struct act *act)
{
    struct ledger_op *op = ledger_op_new(STORE_GET, row_came, act);
    op->store.get.producer = act->producer[0] != '\0' ? act->producer : NULL;
    op->store.get.id = act->id;
    ledger_add(act->operation->broker->ledger, op);
}

/* ---- the question ---- */

static void add_acts(struct operation *operation, size_t count)
{
    act_pace_charge(&operation->broker->act_pace, count);
    operation->acts = mem_zero(count, sizeof *operation->acts);
    operation->count = count;
    for (size_t i = 0; i < count; i++) {
        operation->acts[i].operation = operation;
        operation->acts[i].reason = "";
    }
    operation->pending = count + 1; /* one is ours, so that it cannot end before all began */
}

static void rows_came(void *arg, struct ledger_op *op)
{
    struct operation *operation = arg;
    if (op->store.result != STORE_DONE) {
        operation_fault(operation->bus, &operation->peer, "",
                        "the store cannot be read now; try again");
        operation_free(operation);
        return;
    }
    operation->next = op->store.list.next;
    add_acts(operation, op->store.list.count);
    for (size_t i = 0; i < op->store.list.count; i++) {
        decide(&operation->acts[i], &op->store.list.rows[i]);
    }
    operation_one_less(operation);
}

/* The filter in words, for the audit log. */
static char *describe(const PB(QueueFilter) *filter)
{
    struct buf text;
    buf_init(&text, 4096);
    for (size_t i = 0; i < filter->n_states; i++) {
        buf_add_format(&text, "%s%s", i == 0 ? "state " : ",",
                       state_name((enum state)filter->states[i]));
    }
    const char *const parts[][2] = {{"profile", filter->profile},
                                    {"producer", filter->producer},
                                    {"prefix", filter->id_prefix},
                                    {"label", filter->label}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i][1][0] != '\0') {
            buf_add_format(&text, "%s%s %s", text.len > 0 ? " " : "", parts[i][0], parts[i][1]);
        }
    }
    char *out = mem_text(text.len > 0 ? buf_text(&text) : "all");
    buf_fini(&text);
    return out;
}

static void ask_rows(struct operation *operation, const PB(QueueAct) *wish)
{
    const PB(QueueFilter) *filter = wish->filter;
    struct ledger_op *op = ledger_op_new(STORE_LIST, rows_came, operation);
    struct sieve *sieve = &operation->sieve;
    sieve_init(sieve, filter);
    operation->target = describe(filter);
    if (sieve->states == 0) {
        const struct operation_row *row = &operations[operation->kind];
        sieve->states = row->states & ~row->named;
    }
    sieve->held = sieve->held || operation->kind == (int)PB_OPERATION(RELEASE);
    sieve_fill(sieve, &op->store);
    op->store.list.after = wish->after;
    op->store.list.limit = wish->limit != 0 ? wish->limit : LIMIT_DEFAULT;
    ledger_add(operation->broker->ledger, op);
}

static void ask_ids(struct operation *operation, const PB(QueueAct) *wish)
{
    add_acts(operation, wish->n_ids);
    operation->target = mem_format("%zu requests", wish->n_ids);
    for (size_t i = 0; i < wish->n_ids; i++) {
        struct act *act = &operation->acts[i];
        (void)snprintf(act->id, sizeof act->id, "%s", wish->ids[i]);
        (void)snprintf(act->producer, sizeof act->producer, "%s", wish->producer);
        look_up(act);
    }
    operation_one_less(operation);
}

/* An edit names requests: one change is not right for whatever a filter finds. */
static const char *find_fault(const PB(QueueAct) *wish, const char **field)
{
    bool edit = wish->operation == PB_OPERATION(EDIT);
    *field = "ids";
    if ((wish->n_ids > 0) == (wish->filter != NULL)) {
        return "either ids or a filter";
    }
    *field = "edit";
    if (edit != (wish->edit != NULL)) {
        return edit ? "required" : "only with EDIT";
    }
    *field = "filter";
    return edit && wish->filter != NULL ? "an edit needs ids" : NULL;
}

void operate_act(struct broker *broker, struct bus *bus, struct wire_in *in)
{
    const char *field = NULL;
    const char *fault = find_fault((const PB(QueueAct) *)in->body, &field);
    if (fault != NULL) {
        operation_fault(bus, &in->peer, field, fault);
        return;
    }
    PB(QueueAct) *wish = (PB(QueueAct) *)wire_in_take_body(in);
    struct operation *operation = mem_zero(1, sizeof *operation);
    operation->broker = broker;
    operation->bus = bus;
    operation->peer = in->peer;
    operation->kind = (int)wish->operation;
    operation->name = operations[operation->kind].name;
    operation->operator= mem_text(wish->operator_);
    operation->reason =
        mem_format("%s by %s%s%s", operations[operation->kind].past, wish->operator_,
                   wish->reason[0] != '\0' ? ": " : "", wish->reason);
    operation->edit = wish->edit;
    wish->edit = NULL; /* moved */
    operation->wish = wish;
    switch (act_pace_take(&broker->act_pace, operation)) {
    case ACT_PACE_NOW:
        operate_start(operation);
        break;
    case ACT_PACE_LATER:
        break;
    case ACT_PACE_FULL:
        operation_fault(bus, &operation->peer, "", "too many acts wait; try again");
        operation_free(operation);
        break;
    }
}

void operate_start(struct operation *operation)
{
    if (operation->wish->filter != NULL) {
        ask_rows(operation, operation->wish);
    } else {
        ask_ids(operation, operation->wish);
    }
}

void operate_stop(struct broker *broker)
{
    struct operation *operation = NULL;
    while ((operation = act_pace_stop(&broker->act_pace)) != NULL) {
        operation_free(operation);
    }
}
