/* Counting rows of the store into groups. */
#include "top.h"

#include "address.h"
#include "broker.h"
#include "gate.h"
#include "map.h"
#include "mem.h"
#include "sieve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_ROWS = 1000, MINUTE_MS = 60000, ROWS_MAX = 10000 };

/* Minutes: 5, 10, 20 … as qshape. */
static size_t age_class(int64_t age_ms)
{
    int64_t limit_ms = (int64_t)5 * MINUTE_MS;
    size_t class = 0;
    while (class < TOP_AGES - 1 && age_ms >= limit_ms) {
        limit_ms *= 2;
        class ++;
    }
    return class;
}

struct group {
    char *name;
    uint64_t ages[TOP_AGES];
    int64_t oldest_ms;
};

struct top {
    struct broker *broker;
    struct bus *bus;
    struct wire_peer peer;
    int by;
    struct sieve sieve;
    struct map *groups; /* by name */
    size_t count;
    size_t looked;
    size_t matched;
};

static void free_group(void *arg, void *value)
{
    struct group *group = value;
    (void)arg;
    free(group->name);
    free(group);
}

static void top_free(struct top *top)
{
    map_each(top->groups, free_group, NULL);
    map_clear(&top->groups);
    sieve_fini(&top->sieve);
    free(top);
}

static void count_one(struct top *top, const char *name, const struct store_row *row)
{
    struct group *group = map_get_text(top->groups, name);
    if (group == NULL) {
        if (top->count == ROWS_MAX) { /* the page is cut; the client's sum lacks these names */
            return;
        }
        group = mem_zero(1, sizeof *group);
        group->name = mem_text(name);
        group->oldest_ms = row->accepted_at_ms;
        (void)map_put_text(&top->groups, name, group);
        top->count++;
    }
    group->ages[age_class(broker_now_ms(top->broker) - row->accepted_at_ms)]++;
    if (row->accepted_at_ms < group->oldest_ms) {
        group->oldest_ms = row->accepted_at_ms;
    }
}

/* Each domain of a request once, of those recipients that are not settled; of a request that is final, of all. */
static void count_domains(struct top *top, const struct store_row *row)
{
    PB(RequestStatus) *list =
        row->results_len > 0 ? PB_UNPACK(request_status, row->results_len, row->results) : NULL;
    for (size_t i = 0; list != NULL && i < list->n_recipients; i++) {
        int outcome = (int)list->recipients[i]->outcome;
        bool settled =
            outcome == (int)PB_OUTCOME(DELIVERED) || outcome == (int)PB_OUTCOME(REFUSED);
        const char *domain = address_domain(list->recipients[i]->address);
        bool seen = settled && !state_is_final(row->state);
        for (size_t k = 0; k < i && !seen; k++) {
            seen = strcmp(address_domain(list->recipients[k]->address), domain) == 0;
        }
        if (!seen) {
            count_one(top, domain, row);
        }
    }
    if (list != NULL) {
        trackpro__notify__v1__request_status__free_unpacked(list, NULL);
    }
}

static void count_row(struct top *top, const struct store_row *row)
{
    top->matched++;
    if (top->by == (int)TRACKPRO__NOTIFY__V1__TOP_BY__TOP_BY_DOMAIN) {
        count_domains(top, row);
    } else {
        count_one(top,
                  top->by == (int)TRACKPRO__NOTIFY__V1__TOP_BY__TOP_BY_PRODUCER ? row->producer
                                                                                : row->profile,
                  row);
    }
}

struct top_list {
    PB(TopRow) *items;
    PB(TopRow) **pointers;
    size_t count;
};

static void add_group(void *arg, void *value)
{
    struct top_list *list = arg;
    struct group *group = value;
    PB(TopRow) init = PB_INIT(TOP_ROW);
    PB(TopRow) *row = &list->items[list->count];
    *row = init;
    row->name = group->name;
    row->ages = group->ages;
    row->n_ages = TOP_AGES;
    row->oldest_ms = group->oldest_ms;
    list->pointers[list->count++] = row;
}

static void send_tops(struct top *top, uint64_t next)
{
    PB(Tops) reply = PB_INIT(TOPS);
    struct top_list list = {.count = 0};
    list.items = mem_zero(top->count + 1, sizeof *list.items);
    list.pointers = mem_zero(top->count + 1, sizeof *list.pointers);
    map_each(top->groups, add_group, &list);
    reply.rows = list.pointers;
    reply.n_rows = list.count;
    reply.next = next;
    reply.looked = top->matched;
    enum err err = bus_send(top->bus, &top->peer, WIRE_TOPS, &reply.base, NULL);
    (void)err; /* who asks and is gone gets no answer */
    free(list.pointers);
    free(list.items);
}

static void ask_rows(struct top *top, uint64_t after);

static void rows_came(void *arg, struct ledger_op *op)
{
    struct top *top = arg;
    if (op->store.result != STORE_DONE) {
        struct wire_in in = {.peer = top->peer,
                             .fault = {.rule = "the store cannot be read now; try again"}};
        gate_send_error(top->bus, &in);
        top_free(top);
        return;
    }
    for (size_t i = 0; i < op->store.list.count; i++) {
        count_row(top, &op->store.list.rows[i]);
    }
    /* A page without a match still looked at a bounded number of rows. */
    top->looked += op->store.list.count > 0 ? op->store.list.count : PAGE_ROWS;
    if (op->store.list.next != 0 && top->looked < TOP_LOOK) {
        ask_rows(top, op->store.list.next);
    } else {
        send_tops(top, op->store.list.next);
        top_free(top);
    }
}

static void ask_rows(struct top *top, uint64_t after)
{
    struct ledger_op *op = ledger_op_new(STORE_LIST, rows_came, top);
    op->question = true;
    sieve_fill(&top->sieve, &op->store);
    op->store.list.after = after;
    op->store.list.limit = PAGE_ROWS;
    ledger_add(top->broker->ledger, op);
}

void top_answer(struct broker *broker, struct bus *bus, const struct wire_in *in)
{
    const PB(Top) *wish = (const PB(Top) *)in->body;
    struct top *top = mem_zero(1, sizeof *top);
    top->broker = broker;
    top->bus = bus;
    top->peer = in->peer;
    top->by = (int)wish->by;
    sieve_init(&top->sieve, wish->filter);
    bool all = top->sieve.states == 0;
    for (int state = STATE_ACCEPTED; all && state < STATE_COUNT; state++) {
        top->sieve.states |= state_is_final((enum state)state) ? 0 : 1u << state;
    }
    ask_rows(top, wish->after);
}
