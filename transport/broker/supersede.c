/* Superseding.
 *
 * Design notes: the rows are looked up in the store, and what is in memory counts, as with the acts of operators (operate.c);
 * one that is being settled at this moment is asked for again, behind its commit. A leased request is given back first,
 * in the same batch, so that it waits as before should the new request not be accepted after all (its id was taken by
 * another one in between). Then its object goes and its lane is read again. */
#include "supersede.h"

#include "broker.h"
#include "gate.h"
#include "log.h"
#include "mem.h"
#include "operate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct withdrawal {
    struct broker *broker;
    char producer[STORE_PRODUCER_BYTES];
    char key[STORE_SUPERSEDE_BYTES];
    char *reason;
    struct ledger_op *accept; /* owned until it is added; null = a withdrawal alone */
    struct bus *bus;          /* a withdrawal alone: who asked */
    struct wire_peer peer;
    size_t pending;
    uint32_t withdrawn;
    uint32_t left; /* may be on their way */
    TAILQ_HEAD(withdrawal_list, withdrawal) behind;
    TAILQ_ENTRY(withdrawal) link;
};

/* Producer and key as bytes of the map: neither holds a line end. */
static char *map_key(const char *producer, const char *key)
{
    return mem_format("%s\n%s", producer, key);
}

static void look_up(struct withdrawal *withdrawal);
static void ask_rows(struct withdrawal *withdrawal);

static void begin(struct withdrawal *withdrawal)
{
    struct superseding *all = &withdrawal->broker->superseding;
    char *key = map_key(withdrawal->producer, withdrawal->key);
    struct withdrawal *first = map_get_text(all->by_key, key);
    if (first != NULL) {
        TAILQ_INSERT_TAIL(&first->behind, withdrawal, link);
    } else {
        (void)map_put_text(&all->by_key, key, withdrawal);
        look_up(withdrawal);
    }
    free(key);
}

static void withdrawal_free(struct withdrawal *withdrawal)
{
    ledger_op_free(&withdrawal->accept);
    free(withdrawal->reason);
    free(withdrawal);
}

static void send_withdrawn(const struct withdrawal *withdrawal)
{
    PB(Withdrawn) reply = PB_INIT(WITHDRAWN);
    reply.supersede_key = (char *)(uintptr_t)withdrawal->key;
    reply.withdrawn = withdrawal->withdrawn;
    reply.left = withdrawal->left;
    enum err err =
        bus_send(withdrawal->bus, &withdrawal->peer, WIRE_WITHDRAWN, &reply.base, NULL);
    (void)err; /* who asks and is gone gets no answer; the history has it */
}

/* The next one of the same key goes. */
static void let_next_go(struct withdrawal *withdrawal)
{
    struct superseding *all = &withdrawal->broker->superseding;
    char *key = map_key(withdrawal->producer, withdrawal->key);
    struct withdrawal *next = TAILQ_FIRST(&withdrawal->behind);
    (void)map_take_text(&all->by_key, key);
    if (next == NULL) {
        free(key);
        return;
    }
    TAILQ_REMOVE(&withdrawal->behind, next, link);
    TAILQ_CONCAT(&next->behind, &withdrawal->behind, link);
    (void)map_put_text(&all->by_key, key, next);
    free(key);
    look_up(next);
}

static void end(struct withdrawal *withdrawal)
{
    let_next_go(withdrawal);
    if (withdrawal->bus != NULL) {
        send_withdrawn(withdrawal);
    }
    withdrawal_free(withdrawal);
}

static void one_less(struct withdrawal *withdrawal)
{
    if (--withdrawal->pending == 0) {
        end(withdrawal);
    }
}

/* The store cannot be asked: nothing is changed, who asked is told to come again. */
static void give_up(struct withdrawal *withdrawal)
{
    static const char words[] = "the store cannot be read now; try again";
    if (withdrawal->accept != NULL) {
        struct ledger_op *op = withdrawal->accept;
        withdrawal->accept = NULL;
        op->store.result = STORE_REFUSED;
        (void)err_set(&op->store.why, ERR_AGAIN, "%s", words);
        op->done(op->arg, op);
        ledger_op_free(&op);
    }
    if (withdrawal->bus != NULL) {
        struct wire_in in = {.peer = withdrawal->peer, .verb = WIRE_WITHDRAW};
        (void)snprintf(in.fault.rule, sizeof in.fault.rule, "%s", words);
        gate_send_error(withdrawal->bus, &in);
        withdrawal->bus = NULL;
    }
    end(withdrawal);
}

/* ---- the moves ---- */

static void moved(void *arg, struct ledger_op *op)
{
    struct withdrawal *withdrawal = arg;
    struct request *request = op->arg2;
    if (op->store.result == STORE_DONE) {
        withdrawal->withdrawn++;
    } else {
        schedule_read_again(&withdrawal->broker->schedule, request->lane);
    }
    request_free(&request);
    one_less(withdrawal);
}

static void cancel(struct withdrawal *withdrawal, struct request *request,
                   const struct store_op *only_if)
{
    struct broker *broker = withdrawal->broker;
    size_t count = request->recipients;
    PB(RequestStatus) *list = request_results(request);
    PB(RecipientResult) **changed = mem_zero(count, sizeof(PB(RecipientResult) *));
    struct request_change change = {.to = STATE_CANCELLED,
                                    .reason = withdrawal->reason,
                                    .results = list->recipients,
                                    .changed = changed,
                                    .only_if = only_if,
                                    .done = moved,
                                    .arg = withdrawal};
    PB(RecipientResult) *made = mem_zero(count, sizeof *made);
    PB(RecipientResult) **all = mem_zero(count, sizeof(PB(RecipientResult) *));
    for (size_t i = 0; i < count; i++) {
        made[i] = *list->recipients[i];
        all[i] = &made[i];
        if (operate_recipient((int)PB_OPERATION(CANCEL), request->state, &made[i],
                              withdrawal->reason)) {
            changed[change.changed_count++] = &made[i];
        }
    }
    change.results = all;
    (void)request_fold(all, count, false, &request->partial);
    withdrawal->pending++;
    request_move(request, broker->ledger, broker_now_ms(broker), &change);
    free(all);
    free(made);
    free(changed);
    trackpro__notify__v1__request_status__free_unpacked(list, NULL);
}

/* The object of a row, ours from here: settling, in no list. */
static struct request *take(struct broker *broker, struct store_row *row)
{
    struct request *request = request_index_find(&broker->in_memory, row->pk);
    if (request == NULL) {
        struct store_lane key = {.priority = row->priority};
        memcpy(key.profile, row->profile, sizeof key.profile);
        memcpy(key.producer, row->producer, sizeof key.producer);
        request = request_of_row(row, schedule_lane(&broker->schedule, &key));
        request_index_add(&broker->in_memory, request);
    } else if (request->state == STATE_LEASED) {
        struct request_change back = {.to = STATE_ACCEPTED, .reason = "taken back: superseded"};
        lease_end(broker, request); /* from here on its permit is denied */
        request_move(request, broker->ledger, broker_now_ms(broker), &back);
    } else {
        schedule_take(&broker->schedule, request);
    }
    request->settling = true;
    return request;
}

static enum state state_of(const struct broker *broker, const struct store_row *row)
{
    const struct request *request = request_index_find(&broker->in_memory, row->pk);
    return request != NULL ? request->state : row->state;
}

static bool waits(enum state state)
{
    return state == STATE_ACCEPTED || state == STATE_DEFERRED || state == STATE_LEASED;
}

/* Some row is on its way to the disk, or was leased before the broker started: what it comes to is not known yet. */
static bool is_in_motion(const struct broker *broker, const struct store_row *row)
{
    const struct request *request = request_index_find(&broker->in_memory, row->pk);
    return request != NULL ? request->settling : row->state == STATE_LEASED;
}

static void rows_came(void *arg, struct ledger_op *op)
{
    struct withdrawal *withdrawal = arg;
    struct broker *broker = withdrawal->broker;
    struct store_row *rows = op->store.list.rows;
    size_t count = op->store.list.count;
    struct request *taken[SUPERSEDE_MOST];
    size_t takes = 0;
    if (op->store.result != STORE_DONE) {
        give_up(withdrawal);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_in_motion(broker, &rows[i])) {
            ask_rows(withdrawal);
            return;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (waits(state_of(broker, &rows[i]))) {
            taken[takes++] = take(broker, &rows[i]);
        } else {
            withdrawal->left++;
        }
    }
    struct ledger_op *accept = withdrawal->accept;
    withdrawal->accept = NULL;
    withdrawal->pending = 1;
    if (accept != NULL) {
        accept->group = takes;
        ledger_add(broker->ledger, accept);
    }
    for (size_t i = 0; i < takes; i++) {
        cancel(withdrawal, taken[i], accept != NULL ? &accept->store : NULL);
    }
    one_less(withdrawal);
}

static void ask_rows(struct withdrawal *withdrawal)
{
    struct ledger_op *op = ledger_op_new(STORE_LIST, rows_came, withdrawal);
    op->store.list.producer = withdrawal->producer;
    op->store.list.supersede_key = withdrawal->key;
    op->store.list.limit = SUPERSEDE_MOST;
    ledger_add(withdrawal->broker->ledger, op);
}

/* ---- is it new? ---- */

static void id_came(void *arg, struct ledger_op *op)
{
    struct withdrawal *withdrawal = arg;
    if (op->store.result == STORE_NOT_FOUND) {
        ask_rows(withdrawal);
    } else if (op->store.result == STORE_DONE) {
        /* Said once more: what came after it stays, the answer is "duplicate" or "conflict". */
        struct ledger_op *accept = withdrawal->accept;
        withdrawal->accept = NULL;
        ledger_add(withdrawal->broker->ledger, accept);
        end(withdrawal);
    } else {
        give_up(withdrawal);
    }
}

static void look_up(struct withdrawal *withdrawal)
{
    if (withdrawal->accept == NULL) {
        ask_rows(withdrawal);
        return;
    }
    struct ledger_op *op = ledger_op_new(STORE_GET, id_came, withdrawal);
    op->store.get.producer = withdrawal->producer;
    op->store.get.id = withdrawal->accept->store.accept.row.id;
    ledger_add(withdrawal->broker->ledger, op);
}

static struct withdrawal *withdrawal_new(struct broker *broker, const char *producer,
                                         const char *key)
{
    struct withdrawal *withdrawal = mem_zero(1, sizeof *withdrawal);
    withdrawal->broker = broker;
    (void)snprintf(withdrawal->producer, sizeof withdrawal->producer, "%s", producer);
    (void)snprintf(withdrawal->key, sizeof withdrawal->key, "%s", key);
    TAILQ_INIT(&withdrawal->behind);
    return withdrawal;
}

void supersede_accept(struct broker *broker, struct ledger_op *accept)
{
    const struct store_row *row = &accept->store.accept.row;
    struct withdrawal *withdrawal = withdrawal_new(broker, row->producer, row->supersede_key);
    withdrawal->accept = accept;
    withdrawal->reason = mem_format("superseded by %s", row->id);
    begin(withdrawal);
}

void supersede_withdraw(struct broker *broker, struct bus *bus, const char *producer,
                        const struct wire_in *in)
{
    const PB(Withdraw) *wish = (const PB(Withdraw) *)in->body;
    struct withdrawal *withdrawal = withdrawal_new(broker, producer, wish->supersede_key);
    withdrawal->bus = bus;
    withdrawal->peer = in->peer;
    withdrawal->reason = mem_format("withdrawn by its producer%s%s",
                                    wish->reason[0] != '\0' ? ": " : "", wish->reason);
    begin(withdrawal);
}

bool supersede_goes_on(const struct broker *broker, const char *producer, const char *key)
{
    char *name = map_key(producer, key);
    bool goes_on = map_get_text(broker->superseding.by_key, name) != NULL;
    free(name);
    return goes_on;
}

static void free_chain(void *arg, void *value)
{
    (void)arg;
    struct withdrawal *first = value;
    struct withdrawal *withdrawal = NULL;
    while ((withdrawal = TAILQ_FIRST(&first->behind)) != NULL) {
        TAILQ_REMOVE(&first->behind, withdrawal, link);
        withdrawal_free(withdrawal);
    }
    withdrawal_free(first);
}

void supersede_fini(struct broker *broker)
{
    map_each(broker->superseding.by_key, free_chain, NULL);
    map_clear(&broker->superseding.by_key);
}
