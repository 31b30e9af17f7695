/* Pages of the logs. An entry that was not asked for is left out of a replay, and stands in a page of evidence as its
 * digest: so the chain can be worked out over it without its content. */
#include "chronicle.h"

#include "broker.h"
#include "gate.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    REPLAY_DEFAULT = 100,
    PAGE_DEFAULT = 1000,
    PAGE_BYTES = 8 * 1024 * 1024 /* more would hold up the loop, and the frame has a limit */
};

/* One question on its way. */
struct chronicle {
    struct broker *broker;
    struct bus *bus;
    struct wire_peer peer;
    char *producer; /* REPLAY: null = any */
    char *label;    /* EVIDENCE: null = any */
    uint64_t until; /* number; UINT64_MAX = the newest */
    int64_t from_ms;
    int64_t to_ms; /* 0 = all */
    size_t limit;
    uint64_t first; /* REPLAY: the first that is kept; 0 = there is none */
};

static struct chronicle *chronicle_new(struct broker *broker, struct bus *bus,
                                       const struct wire_in *in)
{
    struct chronicle *chronicle = mem_zero(1, sizeof *chronicle);
    chronicle->broker = broker;
    chronicle->bus = bus;
    chronicle->peer = in->peer;
    chronicle->until = UINT64_MAX;
    return chronicle;
}

static void chronicle_free(struct chronicle *chronicle)
{
    free(chronicle->producer);
    free(chronicle->label);
    free(chronicle);
}

static void fail(struct chronicle *chronicle)
{
    struct wire_in in = {.peer = chronicle->peer,
                         .fault = {.rule = "the store cannot be read now; try again"}};
    gate_send_error(chronicle->bus, &in);
}

static void answer(const struct chronicle *chronicle, enum wire_verb verb,
                   const ProtobufCMessage *body)
{
    enum err err = bus_send(chronicle->bus, &chronicle->peer, verb, body, NULL);
    (void)err; /* who asks and is gone gets no answer */
}

/* ---- replay ---- */

static uint64_t number_of(const PB(EventPlace) *place)
{
    const uint64_t sequence_max = (UINT64_C(1) << STORE_SEQUENCE_BITS) - 1;
    uint64_t sequence = place->sequence < sequence_max ? place->sequence : sequence_max;
    return place->epoch << STORE_SEQUENCE_BITS | sequence;
}

static void fill_place(PB(EventPlace) *place, uint64_t number)
{
    PB(EventPlace) init = PB_INIT(EVENT_PLACE);
    *place = init;
    place->epoch = number >> STORE_SEQUENCE_BITS;
    place->sequence = number & ((UINT64_C(1) << STORE_SEQUENCE_BITS) - 1);
}

/* Fills events with what is for this peer. *next: go on behind it; 0 = that was all. */
static size_t pick_events(const struct chronicle *chronicle, const struct store_op *op,
                          PB(StatusEvent) **events, uint64_t *next)
{
    size_t count = 0;
    size_t bytes = 0;
    *next = 0;
    for (size_t i = 0; i < op->history.count; i++) {
        const struct store_event *stored = &op->history.events[i];
        if (stored->number > chronicle->until) {
            return count;
        }
        if (bytes > PAGE_BYTES) {
            *next = op->history.events[i - 1].number;
            return count;
        }
        PB(StatusEvent) *event = PB_UNPACK(status_event, stored->len, stored->data);
        bool wanted = event != NULL && (chronicle->producer == NULL ||
                                        strcmp(chronicle->producer, event->producer) == 0);
        if (wanted) {
            event->epoch = stored->number >> STORE_SEQUENCE_BITS;
            event->sequence = stored->number & ((UINT64_C(1) << STORE_SEQUENCE_BITS) - 1);
            events[count++] = event;
            bytes += stored->len;
        } else if (event != NULL) {
            trackpro__notify__v1__status_event__free_unpacked(event, NULL);
        }
    }
    if (op->history.count == op->history.limit && op->history.count > 0 &&
        op->history.events[op->history.count - 1].number < chronicle->until) {
        *next = op->history.events[op->history.count - 1].number;
    }
    return count;
}

static void send_replayed(const struct chronicle *chronicle, const struct store_op *op)
{
    PB(Replayed) reply = PB_INIT(REPLAYED);
    PB(EventPlace) first;
    PB(EventPlace) next;
    uint64_t next_number = 0;
    reply.events = mem_zero(op->history.count + 1, sizeof(PB(StatusEvent) *));
    reply.n_events = pick_events(chronicle, op, reply.events, &next_number);
    if (chronicle->first != 0) {
        fill_place(&first, chronicle->first);
        reply.first = &first;
    }
    if (next_number != 0) {
        fill_place(&next, next_number);
        reply.next = &next;
    }
    answer(chronicle, WIRE_REPLAYED, &reply.base);
    for (size_t i = 0; i < reply.n_events; i++) {
        trackpro__notify__v1__status_event__free_unpacked(reply.events[i], NULL);
    }
    free(reply.events);
}

static void events_came(void *arg, struct ledger_op *op)
{
    struct chronicle *chronicle = arg;
    if (op->store.result == STORE_DONE) {
        send_replayed(chronicle, &op->store);
    } else {
        fail(chronicle);
    }
    chronicle_free(chronicle);
}

static void first_came(void *arg, struct ledger_op *op)
{
    struct chronicle *chronicle = arg;
    if (op->store.result == STORE_DONE && op->store.history.count > 0) {
        chronicle->first = op->store.history.events[0].number;
    }
}

void chronicle_replay(struct broker *broker, struct bus *bus, const char *producer,
                      const struct wire_in *in)
{
    const PB(Replay) *wish = (const PB(Replay) *)in->body;
    struct chronicle *chronicle = chronicle_new(broker, bus, in);
    chronicle->producer = producer != NULL ? mem_text(producer) : NULL;
    if (wish->until != NULL) {
        chronicle->until = number_of(wish->until);
    }
    struct ledger_op *first = ledger_op_new(STORE_HISTORY, first_came, chronicle);
    first->question = true;
    first->store.history.limit = 1;
    struct ledger_op *op = ledger_op_new(STORE_HISTORY, events_came, chronicle);
    op->question = true;
    op->store.history.after = wish->after != NULL ? number_of(wish->after) : 0;
    op->store.history.limit = wish->limit != 0 ? wish->limit : REPLAY_DEFAULT;
    ledger_add(broker->ledger, first); /* ops end in the order in which they were added */
    ledger_add(broker->ledger, op);
}

/* ---- days ---- */

static void fill_day(const struct store_segment *segment, PB(EvidenceDay) *day)
{
    PB(EvidenceDay) init = PB_INIT(EVIDENCE_DAY);
    const struct chain *chain = &segment->chain;
    *day = init;
    day->day = chain->day;
    day->first = chain->first;
    day->last = chain->last;
    day->count = chain->count;
    day->open = segment->open;
    day->swept = segment->swept;
    day->chained = segment->chained;
    if (segment->chained) {
        day->start = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)chain->start,
                                           .len = DIGEST_BYTES};
        day->head = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)chain->head,
                                          .len = DIGEST_BYTES};
    }
}

static void days_came(void *arg, struct ledger_op *op)
{
    struct chronicle *chronicle = arg;
    if (op->store.result != STORE_DONE) {
        fail(chronicle);
        chronicle_free(chronicle);
        return;
    }
    size_t count = op->store.segments.count;
    PB(Days) reply = PB_INIT(DAYS);
    PB(EvidenceDay) *items = mem_zero(count + 1, sizeof *items);
    reply.days = mem_zero(count + 1, sizeof *reply.days);
    for (size_t i = 0; i < count; i++) {
        fill_day(&op->store.segments.segments[i], &items[i]);
        reply.days[i] = &items[i];
    }
    reply.n_days = count;
    reply.more = count == chronicle->limit;
    answer(chronicle, WIRE_DAYS_OK, &reply.base);
    free(reply.days);
    free(items);
    chronicle_free(chronicle);
}

void chronicle_days(struct broker *broker, struct bus *bus, const struct wire_in *in)
{
    const PB(DaysAsk) *wish = (const PB(DaysAsk) *)in->body;
    struct chronicle *chronicle = chronicle_new(broker, bus, in);
    chronicle->limit = wish->limit != 0 ? wish->limit : PAGE_DEFAULT;
    struct ledger_op *op = ledger_op_new(STORE_SEGMENTS, days_came, chronicle);
    op->question = true;
    op->store.segments.log = (enum store_log)wish->log;
    op->store.segments.after = wish->after;
    op->store.segments.limit = chronicle->limit;
    ledger_add(broker->ledger, op);
}

_Static_assert((int)STORE_LOG_AUDIT ==
                   (int)TRACKPRO__NOTIFY__V1__EVIDENCE_LOG__EVIDENCE_LOG_AUDIT,
               "numbers are those of the wire");

/* ---- evidence ---- */

static bool is_wanted(const struct chronicle *chronicle, const struct store_event *stored)
{
    return stored->matches && stored->at_ms >= chronicle->from_ms &&
           (chronicle->to_ms == 0 || stored->at_ms < chronicle->to_ms);
}

struct evidence_page {
    PB(Evidence) reply;
    PB(EvidenceEntry) *items;
    uint8_t (*digests)[DIGEST_BYTES];
};

static void fill_entry(const struct chronicle *chronicle, const struct store_event *stored,
                       struct digest_maker *maker, struct evidence_page *page)
{
    size_t at = page->reply.n_entries++;
    PB(EvidenceEntry) init = PB_INIT(EVIDENCE_ENTRY);
    PB(EvidenceEntry) *entry = &page->items[at];
    *entry = init;
    entry->number = stored->number;
    if (stored->chained) {
        entry->chain = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)stored->chain,
                                             .len = DIGEST_BYTES};
    }
    if (is_wanted(chronicle, stored)) {
        entry->request = stored->pk;
        entry->at_ms = stored->at_ms;
        entry->data = (ProtobufCBinaryData){.data = stored->data, .len = stored->len};
    } else {
        const struct chain_entry content = {.number = stored->number,
                                            .request = stored->pk,
                                            .at_ms = stored->at_ms,
                                            .data = stored->data,
                                            .len = stored->len};
        chain_digest(maker, &content, page->digests[at]);
        entry->digest = (ProtobufCBinaryData){.data = page->digests[at], .len = DIGEST_BYTES};
    }
    page->reply.entries[at] = entry;
}

static void send_evidence(struct chronicle *chronicle, const struct store_op *op)
{
    PB(Evidence) init = PB_INIT(EVIDENCE);
    size_t count = op->history.count;
    struct digest_maker *maker = digest_maker_new();
    struct evidence_page page = {.reply = init};
    size_t bytes = 0;
    size_t i = 0;
    page.items = mem_zero(count + 1, sizeof *page.items);
    page.digests = mem_zero(count + 1, sizeof *page.digests);
    page.reply.entries = mem_zero(count + 1, sizeof *page.reply.entries);
    for (; i < count && bytes <= PAGE_BYTES; i++) {
        const struct store_event *stored = &op->history.events[i];
        if (stored->number > chronicle->until) {
            break;
        }
        fill_entry(chronicle, stored, maker, &page);
        bytes += stored->len;
    }
    bool over = i < count && op->history.events[i].number > chronicle->until;
    if (!over && i > 0 && (i < count || count == op->history.limit)) {
        page.reply.next = op->history.events[i - 1].number;
    }
    answer(chronicle, WIRE_EVIDENCE_OK, &page.reply.base);
    free(page.reply.entries);
    free(page.digests);
    free(page.items);
    digest_maker_free(&maker);
}

static void evidence_came(void *arg, struct ledger_op *op)
{
    struct chronicle *chronicle = arg;
    if (op->store.result == STORE_DONE) {
        send_evidence(chronicle, &op->store);
    } else {
        fail(chronicle);
    }
    chronicle_free(chronicle);
}

void chronicle_evidence(struct broker *broker, struct bus *bus, const struct wire_in *in)
{
    const PB(EvidenceAsk) *wish = (const PB(EvidenceAsk) *)in->body;
    struct chronicle *chronicle = chronicle_new(broker, bus, in);
    chronicle->label = wish->label[0] != '\0' ? mem_text(wish->label) : NULL;
    chronicle->until = wish->until != 0 ? wish->until : UINT64_MAX;
    chronicle->from_ms = wish->from_ms;
    chronicle->to_ms = wish->to_ms;
    struct ledger_op *op = ledger_op_new(STORE_HISTORY, evidence_came, chronicle);
    op->question = true;
    op->store.history.log = (enum store_log)wish->log;
    op->store.history.label =
        op->store.history.log == STORE_LOG_EVENTS ? chronicle->label : NULL;
    op->store.history.after = wish->after;
    op->store.history.limit = wish->limit != 0 ? wish->limit : PAGE_DEFAULT;
    ledger_add(broker->ledger, op);
}
