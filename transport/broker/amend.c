/* Hold, release, edit, purge: each is one op of the store with its event.
 *
 * Unlike a move such an op is refused, not repeated, when the store cannot write: nothing has happened that would have to
 * be remembered, so the request goes back to where it was and the operator is told.
 *
 * An edit never touches the bytes that the producer sent. It stands beside them as a list of places and addresses, is put
 * together with earlier edits of the same request here, and goes to the worker with the job. */
#include "amend.h"

#include "address.h"
#include "broker.h"
#include "mem.h"
#include "pack.h"
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MARKED_MAX = 100 }; /* addresses of one place that may have the mail (check_rules.c) */

static const char no_store[] = "the store cannot write now; try again";

static char *lent(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* The event of an act that changes no state. */
static void add_event(struct ledger_op *op, const struct act *act, bool held,
                      PB(RecipientResult) **changed, size_t count)
{
    const struct request *request = act->request;
    const PB(RequestEdit) *edit = act->operation->edit;
    PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
    char topic[WIRE_TOPIC_BYTES];
    event.request_id = request->id;
    event.producer = request->lane->key.producer;
    bool moved = edit != NULL && edit->profile[0] != '\0';
    event.profile = moved ? edit->profile : request->lane->key.profile;
    event.state = (int)request->state;
    event.previous = (int)request->state;
    event.attempt = request->attempt;
    event.partial = request->partial;
    event.reason = act->operation->reason;
    event.operator_ = act->operation->operator;
    event.at_ms = broker_now_ms(act->operation->broker);
    event.lease = request->lease;
    event.held = held;
    event.recipients = changed;
    event.n_recipients = count;
    ledger_op_event(op, &event.base,
                    wire_topic(event.producer, state_name(request->state), request->id, topic));
}

/* The request goes on as its state says: into the schedule, or out of memory. */
static void let_go(struct act *act, bool held)
{
    struct request *request = act->request;
    act->request = NULL;
    if (!held && (request->state == STATE_ACCEPTED || request->state == STATE_DEFERRED)) {
        schedule_back(&act->operation->broker->schedule, request);
    } else {
        request_free(&request);
    }
}

static void succeed(struct act *act, const char *reason)
{
    act->done = true;
    act->after = act->before;
    act->reason = reason;
    act_finish(act);
}

/* What the store said, for people. */
static const char *refusal_of(const struct ledger_op *op)
{
    return op->store.result == STORE_NOT_FOUND ? "it was forgotten meanwhile"
           : op->store.result == STORE_STALE   ? "it has changed meanwhile; try again"
                                               : no_store;
}

/* ---- hold, release ---- */

static void held_came(void *arg, struct ledger_op *op)
{
    struct act *act = arg;
    bool held = op->store.result == STORE_DONE ? op->store.hold.held : act->held;
    act->request->held = held;
    tally_follow(act->request);
    let_go(act, held);
    if (op->store.result == STORE_DONE) {
        succeed(act, act->operation->reason);
    } else {
        act_refuse(act, act->before, refusal_of(op));
    }
}

static void set_hold(struct act *act, bool held)
{
    struct broker *broker = act->operation->broker;
    struct request *request = act->request;
    if (act->held == held) {
        let_go(act, act->held);
        act_refuse(act, act->before, held ? "it is held already" : "it is not held");
        return;
    }
    int64_t now_ms = broker_now_ms(broker);
    if (!held && request->visible_at_ms <= now_ms) {
        request->visible_at_ms = schedule_due_now(&broker->schedule, request->lane);
    }
    struct ledger_op *op = ledger_op_new(STORE_HOLD, held_came, act);
    op->store.hold.pk = request->pk;
    op->store.hold.from = request->state;
    op->store.hold.held = held;
    op->store.hold.visible_at_ms = request->visible_at_ms;
    op->store.hold.changed_at_ms = now_ms;
    op->store.hold.reason = act->operation->reason;
    add_event(op, act, held, NULL, 0);
    ledger_add(broker->ledger, op);
}

void amend_hold(struct act *act)
{
    set_hold(act, true);
}

void amend_release(struct act *act)
{
    set_hold(act, false);
}

/* ---- purge ---- */

static void purged(void *arg, struct ledger_op *op)
{
    struct act *act = arg;
    request_free(&act->request);
    if (op->store.result == STORE_DONE) {
        act->done = true;
        act->after = STATE_NONE;
        act->reason = act->operation->reason;
        act_finish(act);
    } else {
        act_refuse(act, act->before, refusal_of(op));
    }
}

void amend_purge(struct act *act)
{
    struct ledger_op *op = ledger_op_new(STORE_FORGET, purged, act);
    op->store.forget.pk = act->request->pk;
    op->store.forget.from = act->request->state;
    op->store.forget.at_ms = broker_now_ms(act->operation->broker);
    add_event(op, act, false, NULL, 0);
    ledger_add(act->operation->broker->ledger, op);
}

/* ---- edit ---- */

static void refuse_edit(struct act *act, const char *reason)
{
    let_go(act, act->held);
    act_refuse(act, act->before, reason);
}

/* What is wrong with the edit itself, or null. */
static const char *find_fault(const struct act *act)
{
    const PB(RequestEdit) *edit = act->operation->edit;
    struct err_text why;
    if (edit->profile[0] == '\0' && edit->n_recipients == 0) {
        return "the edit changes nothing";
    }
    if (edit->profile[0] != '\0' &&
        profiles_find(act->operation->broker->profiles, edit->profile) == NULL) {
        return "no such profile";
    }
    for (size_t i = 0; i < edit->n_recipients; i++) {
        if (edit->recipients[i]->index >= act->request->recipients) {
            return "it has no recipient at that place";
        }
        if (address_check(edit->recipients[i]->address, &why) != ERR_OK) {
            return "an address of the edit cannot be one";
        }
    }
    return NULL;
}

/* What one edit makes of the recipients: its changes, each with the addresses of its place that may have the mail. */
struct changes {
    PB(AddressChange) *items; /* owned, as the lists in them; the new addresses are borrowed */
    PB(AddressChange) **pointers;
    size_t count;
};

static void changes_fini(struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        PB(AddressChange) *change = &changes->items[i];
        while (change->n_may_have_it > 0) {
            free(change->may_have_it[--change->n_may_have_it]);
        }
        free(change->may_have_it);
    }
    free(changes->items);
    free(changes->pointers);
}

static bool is_listed(const PB(AddressChange) *change, const char *address)
{
    for (size_t i = 0; i < change->n_may_have_it; i++) {
        if (strcasecmp(change->may_have_it[i], address) == 0) {
            return true;
        }
    }
    return false;
}

static const PB(AddressChange) *change_at(const PB(RequestEdit) *edit, uint32_t index)
{
    for (size_t i = 0; edit != NULL && i < edit->n_recipients; i++) {
        if (edit->recipients[i]->index == index) {
            return edit->recipients[i];
        }
    }
    return NULL;
}

/* False when there are too many of them to be kept. */
static bool note_marked(PB(AddressChange) *change, const PB(AddressChange) *before,
                        const PB(RecipientResult) *now)
{
    size_t count = before != NULL ? before->n_may_have_it : 0;
    change->may_have_it = mem_zero(count + 1, sizeof(char *));
    for (; change->n_may_have_it < count; change->n_may_have_it++) {
        change->may_have_it[change->n_may_have_it] =
            mem_text(before->may_have_it[change->n_may_have_it]);
    }
    if (request_is_marked(now) && !is_listed(change, now->address)) {
        change->may_have_it[change->n_may_have_it++] = mem_text(now->address);
    }
    return change->n_may_have_it <= MARKED_MAX;
}

/* Why not, or null. */
static const char *changes_init(struct changes *changes, const PB(RequestEdit) *edit,
                                const PB(RequestEdit) *old, const PB(RequestStatus) *list)
{
    const char *fault = NULL;
    changes->count = edit->n_recipients;
    changes->items = mem_zero(changes->count + 1, sizeof *changes->items);
    changes->pointers = mem_zero(changes->count + 1, sizeof(PB(AddressChange) *));
    for (size_t i = 0; i < changes->count; i++) {
        PB(AddressChange) init = PB_INIT(ADDRESS_CHANGE);
        const PB(AddressChange) *wish = edit->recipients[i];
        changes->pointers[i] = &changes->items[i];
        changes->items[i] = init;
        changes->items[i].index = wish->index;
        changes->items[i].address = wish->address;
        if (!note_marked(&changes->items[i], change_at(old, wish->index),
                         list->recipients[wish->index])) {
            fault = "too many addresses of that recipient may have the mail";
        }
    }
    return fault;
}

/* The edit as it stands after this one, packed: the newest address of each place. */
static uint8_t *merge(const PB(RequestEdit) *old, const PB(RequestEdit) *edit,
                      const struct changes *changes, size_t *len)
{
    PB(RequestEdit) with_notes = *edit;
    const PB(RequestEdit) *fresh = &with_notes;
    with_notes.recipients = changes->pointers;
    size_t room = fresh->n_recipients + (old != NULL ? old->n_recipients : 0);
    PB(RequestEdit) all = PB_INIT(REQUEST_EDIT);
    all.profile = fresh->profile[0] != '\0' ? fresh->profile
                  : old != NULL             ? old->profile
                                            : lent("");
    all.recipients = mem_zero(room + 1, sizeof(PB(AddressChange) *));
    const PB(RequestEdit) *const both[] = {fresh, old};
    for (size_t from = 0; from < 2; from++) {
        for (size_t i = 0; both[from] != NULL && i < both[from]->n_recipients; i++) {
            bool known = false;
            for (size_t k = 0; k < all.n_recipients && !known; k++) {
                known = all.recipients[k]->index == both[from]->recipients[i]->index;
            }
            if (!known) {
                all.recipients[all.n_recipients++] = both[from]->recipients[i];
            }
        }
    }
    uint8_t *packed = pack_new(&all.base, len);
    free(all.recipients);
    return packed;
}

/* A new address is a new recipient: whatever the old one came to, this one is still to be tried. But who was here before and
 * may have the mail still may. In a request that is final nobody is to be tried, so it says that: a retry puts it in
 * like all the others that were not delivered to. */
static void begin_anew(PB(RecipientResult) *one, const PB(AddressChange) *change,
                       enum state state)
{
    PB(RecipientResult) fresh = PB_INIT(RECIPIENT_RESULT);
    free(one->address);
    if (one->text != fresh.text) {
        free(one->text);
    }
    if (one->enhanced_code != fresh.enhanced_code) {
        free(one->enhanced_code);
    }
    ProtobufCMessage base = one->base;
    *one = fresh;
    one->base = base;
    one->address = mem_text(change->address);
    one->may_have_it = is_listed(change, change->address);
    if (state_is_final(state)) {
        one->outcome = one->may_have_it ? PB_OUTCOME(UNKNOWN) : PB_OUTCOME(REFUSED);
        one->phase = PB_PHASE(BROKER);
        one->text = mem_text("put in by an edit and not tried: retry the request");
    }
}

/* Nobody who has the mail becomes somebody else, and nobody becomes themselves. */
static const char *find_clash(const PB(RequestEdit) *edit, const PB(RequestStatus) *list)
{
    for (size_t i = 0; i < edit->n_recipients; i++) {
        const PB(RecipientResult) *one = list->recipients[edit->recipients[i]->index];
        if (one->outcome == PB_OUTCOME(DELIVERED)) {
            return "that recipient has the mail";
        }
        if (strcasecmp(one->address, edit->recipients[i]->address) == 0) {
            return "that recipient has this address already";
        }
    }
    return NULL;
}

/* The list of recipients with the new addresses, packed; changed points into *list. */
static uint8_t *readdress(const struct act *act, const struct changes *changes,
                          PB(RequestStatus) *list, PB(RecipientResult) **changed, size_t *len)
{
    for (size_t i = 0; i < changes->count; i++) {
        PB(RecipientResult) *one = list->recipients[changes->items[i].index];
        begin_anew(one, &changes->items[i], act->before);
        changed[i] = one;
    }
    return pack_new(&list->base, len);
}

/* The request in memory as the edit leaves it. Its bytes are read again, with the edit, before it is leased. */
static void change_request(struct act *act, const uint8_t *results, size_t len)
{
    struct request *request = act->request;
    const PB(RequestEdit) *edit = act->operation->edit;
    wire_blob_free(&request->body);
    free(request->results);
    request->results = mem_copy(results, len);
    request->results_len = len;
    request->touched = true;
    request->open_count = -1;
    tally_leave(request);
    if (edit->profile[0] != '\0') {
        struct store_lane key = request->lane->key;
        (void)snprintf(key.profile, sizeof key.profile, "%s", edit->profile);
        request->lane = schedule_lane(&act->operation->broker->schedule, &key);
        request->route = -1;
    }
    tally_follow(request);
}

/* An edit sends nothing by itself where nobody else does: who asked for it is told. */
static const char *what_is_left(enum state state)
{
    return state_is_final(state)    ? "; it is not sent before it is retried"
           : state == STATE_UNKNOWN ? "; it is not sent before it is resolved"
                                    : "";
}

static void edited(void *arg, struct ledger_op *op)
{
    struct act *act = arg;
    if (op->store.result != STORE_DONE) {
        bool gone = op->store.result == STORE_REFUSED &&
                    strstr(op->store.why.text, "body is gone") != NULL;
        let_go(act, act->held);
        act_refuse(act, act->before, gone ? "its content is gone" : refusal_of(op));
        return;
    }
    change_request(act, op->store.edit.results, op->store.edit.results_len);
    let_go(act, act->held);
    act->told = mem_format("%s%s", act->operation->reason, what_is_left(act->before));
    succeed(act, act->told);
}

static void carry_out(struct act *act, const PB(RequestEdit) *old, PB(RequestStatus) *list,
                      const struct changes *changes)
{
    struct request *request = act->request;
    const PB(RequestEdit) *edit = act->operation->edit;
    PB(RecipientResult) **changed = mem_zero(changes->count + 1, sizeof *changed);
    struct ledger_op *next = ledger_op_new(STORE_EDIT, edited, act);
    next->texts =
        (char *)merge(old, edit, changes, &next->store.edit.len); /* the ledger frees it */
    next->store.edit.data = (const uint8_t *)next->texts;
    uint8_t *results = readdress(act, changes, list, changed, &next->store.edit.results_len);
    next->store.edit.results = arena_copy(&next->arena, results, next->store.edit.results_len);
    next->store.edit.pk = request->pk;
    next->store.edit.from = request->state;
    next->store.edit.changed_at_ms = broker_now_ms(act->operation->broker);
    if (edit->profile[0] != '\0') {
        next->store.edit.profile = edit->profile;
    }
    add_event(next, act, act->held, changed, changes->count);
    ledger_add(act->operation->broker->ledger, next);
    free(results);
    free(changed);
}

static void body_came(void *arg, struct ledger_op *op)
{
    struct act *act = arg;
    struct request *request = act->request;
    const PB(RequestEdit) *edit = act->operation->edit;
    if (op->store.result != STORE_DONE) {
        refuse_edit(act,
                    op->store.result == STORE_NOT_FOUND ? "its content is gone" : no_store);
        return;
    }
    PB(RequestEdit) *old =
        op->store.body.edit_len > 0
            ? PB_UNPACK(request_edit, op->store.body.edit_len, op->store.body.edit)
            : NULL;
    PB(RequestStatus) *list = request_results(request);
    struct changes changes;
    const char *clash = changes_init(&changes, edit, old, list);
    clash = clash != NULL ? clash : find_clash(edit, list);
    if (clash != NULL) {
        refuse_edit(act, clash);
    } else {
        carry_out(act, old, list, &changes);
    }
    changes_fini(&changes);
    trackpro__notify__v1__request_status__free_unpacked(list, NULL);
    if (old != NULL) {
        trackpro__notify__v1__request_edit__free_unpacked(old, NULL);
    }
}

void amend_edit(struct act *act)
{
    const char *fault = find_fault(act);
    if (fault != NULL) {
        refuse_edit(act, fault);
        return;
    }
    struct ledger_op *op = ledger_op_new(STORE_BODY, body_came, act);
    op->store.body.pk = act->request->pk;
    ledger_add(act->operation->broker->ledger, op);
}
