/* Answers to questions.
 *
 * Each question becomes ops of the store, asked in the same batches as everything else, so an answer is never older than
 * what was committed before it. Reading changes nothing. */
#include "inquiry.h"

#include "backup_desk.h"
#include "broker.h"
#include "chronicle.h"
#include "clock.h"
#include "delay.h"
#include "drain.h"
#include "gate.h"
#include "mem.h"
#include "operate.h"
#include "probe_desk.h"
#include "profile_list.h"
#include "sieve.h"
#include "stats.h"
#include "top.h"
#include "trespass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_LIMIT = 1000, LIST_DEFAULT = 100, LIST_MAX = 1000 };

/* One question on its way: its answer is complete when nothing is pending. */
struct inquiry {
    struct broker *broker;
    struct bus *bus;
    struct wire_peer peer;
    bool with_history;
    bool failed; /* the store could not be asked */
    size_t pending;
    size_t count;
    struct store_row *rows;   /* count, zeroed where nothing was found */
    struct store_op *history; /* count, zeroed where nothing was asked */
    char **ids;               /* count, owned: as asked for */
    char *producer;           /* owned; null = any */
    struct keeper_tab *tab;   /* of a QUERY: gets count back at the end; else null */
};

static struct inquiry *inquiry_new(struct broker *broker, struct bus *bus,
                                   const struct wire_in *in, size_t count)
{
    struct inquiry *inquiry = mem_zero(1, sizeof *inquiry);
    inquiry->broker = broker;
    inquiry->bus = bus;
    inquiry->peer = in->peer;
    inquiry->count = count;
    inquiry->rows = mem_zero(count, sizeof *inquiry->rows);
    inquiry->history = mem_zero(count, sizeof *inquiry->history);
    inquiry->ids = mem_zero(count, sizeof *inquiry->ids);
    return inquiry;
}

static void inquiry_free(struct inquiry *inquiry)
{
    for (size_t i = 0; i < inquiry->count; i++) {
        store_row_fini(&inquiry->rows[i]);
        store_op_fini(&inquiry->history[i]);
        free(inquiry->ids[i]);
    }
    free(inquiry->rows);
    free(inquiry->history);
    free(inquiry->ids);
    if (inquiry->tab != NULL) {
        keeper_asked(inquiry->broker, inquiry->tab, inquiry->count);
    }
    free(inquiry->producer);
    free(inquiry);
}

/* Unpacked events of a history, numbers filled in. */
static PB(StatusEvent) **events_of(const struct store_op *op, size_t *count)
{
    PB(StatusEvent) **events = mem_zero(op->history.count, sizeof *events);
    *count = 0;
    for (size_t i = 0; i < op->history.count; i++) {
        const struct store_event *stored = &op->history.events[i];
        PB(StatusEvent) *event = PB_UNPACK(status_event, stored->len, stored->data);
        if (event != NULL) {
            event->epoch = stored->number >> STORE_SEQUENCE_BITS;
            event->sequence = stored->number & ((UINT64_C(1) << STORE_SEQUENCE_BITS) - 1);
            events[(*count)++] = event;
        }
    }
    return events;
}

static void free_events(PB(StatusEvent) **events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        trackpro__notify__v1__status_event__free_unpacked(events[i], NULL);
    }
    free(events);
}

static void send_state(struct inquiry *inquiry)
{
    PB(QueryReply) reply = PB_INIT(QUERY_REPLY);
    size_t count = inquiry->count;
    PB(RequestStatus) *items = mem_zero(count, sizeof *items);
    PB(RequestStatus) **pointers = mem_zero(count, sizeof *pointers);
    PB(RequestStatus) **unpacked = mem_zero(count, sizeof *unpacked);
    char(*delays)[DELAY_BYTES] = mem_zero(count, sizeof *delays);
    for (size_t i = 0; i < count; i++) {
        request_status_of_row(&inquiry->rows[i], &items[i], &unpacked[i]);
        items[i].id = inquiry->ids[i];
        if (inquiry->rows[i].pk != 0) {
            items[i].waits_for =
                delay_of(inquiry->broker, &inquiry->rows[i], &items[i], delays[i]);
        }
        if (inquiry->history[i].result == STORE_DONE) {
            items[i].history = events_of(&inquiry->history[i], &items[i].n_history);
        }
        pointers[i] = &items[i];
    }
    reply.requests = pointers;
    reply.n_requests = count;
    enum err err = bus_send(inquiry->bus, &inquiry->peer, WIRE_STATE, &reply.base, NULL);
    (void)err; /* who asks and is gone gets no answer */
    for (size_t i = 0; i < count; i++) {
        free_events(items[i].history, items[i].n_history);
        if (unpacked[i] != NULL) {
            trackpro__notify__v1__request_status__free_unpacked(unpacked[i], NULL);
        }
    }
    free(delays);
    free(unpacked);
    free(pointers);
    free(items);
}

void inquiry_failed(struct bus *bus, const struct wire_peer *peer)
{
    struct wire_in in = {.peer = *peer,
                         .fault = {.rule = "the store cannot be read now; try again"}};
    gate_send_error(bus, &in);
}

static void one_less(struct inquiry *inquiry)
{
    if (--inquiry->pending > 0) {
        return;
    }
    if (inquiry->failed) {
        inquiry_failed(inquiry->bus, &inquiry->peer);
    } else {
        send_state(inquiry);
    }
    inquiry_free(inquiry);
}

static void history_came(void *arg, struct ledger_op *op)
{
    struct inquiry *inquiry = arg;
    inquiry->failed = inquiry->failed || op->store.result == STORE_REFUSED;
    inquiry->history[op->number] = op->store;
    memset(&op->store, 0, sizeof op->store); /* its events moved */
    one_less(inquiry);
}

static void row_came(void *arg, struct ledger_op *op)
{
    struct inquiry *inquiry = arg;
    size_t index = op->number;
    inquiry->failed = inquiry->failed || op->store.result == STORE_REFUSED;
    if (op->store.result == STORE_DONE) {
        inquiry->rows[index] = op->store.get.row;
        op->store.get.row = (struct store_row){0}; /* moved */
        if (inquiry->with_history) {
            struct ledger_op *next = ledger_op_new(STORE_HISTORY, history_came, inquiry);
            next->number = index;
            next->question = true;
            next->store.history.pk = inquiry->rows[index].pk;
            next->store.history.limit = HISTORY_LIMIT;
            inquiry->pending++;
            ledger_add(inquiry->broker->ledger, next);
        }
    } else if (op->store.result == STORE_NOT_FOUND && inquiry->tab != NULL &&
               inquiry->producer != NULL) {
        trespass_look(inquiry->broker, inquiry->producer, inquiry->ids[index]);
    }
    one_less(inquiry);
}

static void ask_row(struct inquiry *inquiry, size_t index, const char *id)
{
    inquiry->ids[index] = mem_text(id);
    struct ledger_op *op = ledger_op_new(STORE_GET, row_came, inquiry);
    op->question = true;
    op->number = index;
    op->store.get.producer = inquiry->producer;
    op->store.get.id = inquiry->ids[index];
    inquiry->pending++;
    ledger_add(inquiry->broker->ledger, op);
}

void inquiry_query(struct broker *broker, struct bus *bus, const struct access_entry *who,
                   struct wire_in *in)
{
    const PB(Query) *query = (const PB(Query) *)in->body;
    const char *producer = keeper_producer(who);
    struct keeper_tab *tab = keeper_asks(broker, who, in, query->n_ids);
    if (tab == NULL) {
        gate_send_error(bus, in);
        return;
    }
    struct inquiry *inquiry = inquiry_new(broker, bus, in, query->n_ids);
    inquiry->tab = tab;
    inquiry->with_history = query->with_history;
    inquiry->producer = producer != NULL ? mem_text(producer) : NULL;
    inquiry->pending = 1; /* ours, so that it cannot end before all are asked */
    for (size_t i = 0; i < query->n_ids; i++) {
        ask_row(inquiry, i, query->ids[i]);
    }
    one_less(inquiry);
}

/* ---- operators ---- */

static void show(struct broker *broker, struct bus *bus, const struct wire_in *in)
{
    const PB(QueueShow) *wish = (const PB(QueueShow) *)in->body;
    struct inquiry *inquiry = inquiry_new(broker, bus, in, 1);
    inquiry->with_history = true;
    inquiry->pending = 1;
    /* A producer named by an operator only narrows the search. */
    inquiry->producer = wish->producer[0] != '\0' ? mem_text(wish->producer) : NULL;
    ask_row(inquiry, 0, wish->id);
    one_less(inquiry);
}

/* A page on its way, with the texts that its op borrows. */
struct page {
    struct broker *broker;
    struct bus *bus;
    struct wire_peer peer;
    struct sieve sieve;
};

static void send_page(const struct page *page, const struct store_op *op)
{
    PB(QueuePage) reply = PB_INIT(QUEUE_PAGE);
    size_t count = op->list.count;
    PB(RequestStatus) *items = mem_zero(count, sizeof *items);
    PB(RequestStatus) **pointers = mem_zero(count, sizeof *pointers);
    PB(RequestStatus) **unpacked = mem_zero(count, sizeof *unpacked);
    for (size_t i = 0; i < count; i++) {
        request_status_of_row(&op->list.rows[i], &items[i], &unpacked[i]);
        pointers[i] = &items[i];
    }
    reply.requests = pointers;
    reply.n_requests = count;
    reply.next = op->list.next;
    enum err err = bus_send(page->bus, &page->peer, WIRE_QUEUE_PAGE, &reply.base, NULL);
    (void)err; /* who asks and is gone gets no answer */
    for (size_t i = 0; i < count; i++) {
        if (unpacked[i] != NULL) {
            trackpro__notify__v1__request_status__free_unpacked(unpacked[i], NULL);
        }
    }
    free(unpacked);
    free(pointers);
    free(items);
}

static void page_came(void *arg, struct ledger_op *op)
{
    struct page *page = arg;
    if (op->store.result == STORE_DONE) {
        send_page(page, &op->store);
    } else {
        inquiry_failed(page->bus, &page->peer);
    }
    sieve_fini(&page->sieve);
    free(page);
}

static void list(struct broker *broker, struct bus *bus, const struct wire_in *in)
{
    const PB(QueueList) *wish = (const PB(QueueList) *)in->body;
    struct page *page = mem_zero(1, sizeof *page);
    page->broker = broker;
    page->bus = bus;
    page->peer = in->peer;
    struct ledger_op *op = ledger_op_new(STORE_LIST, page_came, page);
    op->question = true;
    sieve_init(&page->sieve, wish->filter);
    sieve_fill(&page->sieve, &op->store);
    op->store.list.after = wish->after;
    op->store.list.limit = wish->limit == 0         ? LIST_DEFAULT
                           : wish->limit > LIST_MAX ? LIST_MAX
                                                    : wish->limit;
    ledger_add(broker->ledger, op);
}

void inquiry_admin(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct broker *broker = arg;
    const struct access_entry *who = keeper_admit(broker, ACCESS_ADMIN, in);
    if (err != ERR_OK) {
        keeper_note_broken(broker, who, in);
    }
    if (who == NULL || err != ERR_OK || !keeper_may(broker, who, in)) {
        gate_send_error(bus, in);
        return;
    }
    keeper_sign(who, in);
    switch (in->verb) {
    case WIRE_QUEUE_LS:
        list(broker, bus, in);
        break;
    case WIRE_QUEUE_SHOW:
        show(broker, bus, in);
        break;
    case WIRE_TOP:
        top_answer(broker, bus, in);
        break;
    case WIRE_DRAIN_ACT:
        drain_act(broker, bus, in);
        break;
    case WIRE_BACKUP:
        backup_desk(broker, bus, in);
        break;
    case WIRE_REPLAY:
        chronicle_replay(broker, bus, NULL, in);
        break;
    case WIRE_DAYS:
        chronicle_days(broker, bus, in);
        break;
    case WIRE_EVIDENCE:
        chronicle_evidence(broker, bus, in);
        break;
    case WIRE_QUEUE_ACT:
        operate_act(broker, bus, in);
        break;
    case WIRE_PROFILES:
        profile_list_answer(broker, bus, who->name, in);
        break;
    case WIRE_PAUSE:
        pause_act(broker, bus, in);
        break;
    case WIRE_STATS:
        stats_answer(broker, in);
        break;
    case WIRE_PROBE:
        probe_desk_ask(broker, bus, in);
        break;
    default:
        (void)snprintf(in->fault.rule, sizeof in->fault.rule,
                       "this verb is not for this socket");
        gate_send_error(bus, in);
        break;
    }
}
