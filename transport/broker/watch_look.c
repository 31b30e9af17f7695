/* The store is what counts, not what the broker remembers: so a look after a restart, or of what happened long before it, finds
 * the same. A page is a bounded number of rows (STORE_LIST), and the next one is asked for when it came. */
#include "watch_look.h"

#include "broker.h"
#include "clock.h"
#include "expectation.h"
#include "mem.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_ROWS = 500 };

static void look_free(struct watch_look *look)
{
    free(look->name);
    sieve_fini(&look->sieve);
    free(look);
}

static bool is_delivered(enum state state)
{
    return state == STATE_SENT || state == STATE_HANDED_OFF;
}

/* Nothing more becomes of it by itself. */
static bool is_settled(const struct watch_look *look, const struct store_row *row)
{
    return !look->delivered || state_is_final(row->state) || row->state == STATE_UNKNOWN;
}

static bool is_within(const struct watch_look *look, int64_t at_ms)
{
    return at_ms >= look->from_ms && at_ms <= look->until_ms;
}

static void take_row(struct watch_look *look, const struct store_row *row)
{
    int64_t came_ms = look->delivered ? row->changed_at_ms : row->accepted_at_ms;
    if (look->passing && is_settled(look, row) && came_ms < look->from_ms) {
        look->after = row->pk;
    } else {
        look->passing = false;
    }
    /* The broker's own do not stand in for those of others. */
    if (look->sieve.producer == NULL && strcmp(row->producer, EXPECTATION_BROKER) == 0) {
        return;
    }
    if (is_within(look, row->accepted_at_ms)) {
        look->accepted++;
        look->last_state = row->state;
        memcpy(look->last_reason, row->reason, sizeof look->last_reason);
    }
    if (is_within(look, came_ms) && (!look->delivered || is_delivered(row->state))) {
        look->seen++;
        look->newest_ms = came_ms > look->newest_ms ? came_ms : look->newest_ms;
    }
}

static void ask_page(struct watch_look *look, uint64_t after);

static void page_came(void *arg, struct ledger_op *op)
{
    struct watch_look *look = arg;
    uint64_t next = op->store.list.next;
    look->failed = op->store.result != STORE_DONE;
    for (size_t i = 0; i < op->store.list.count; i++) {
        take_row(look, &op->store.list.rows[i]);
    }
    bool enough = look->seen >= look->at_least && !look->all;
    if (!look->failed && next != 0 && !enough) {
        look->after = look->passing ? next : look->after;
        ask_page(look, next);
        return;
    }
    watches_judge(look->broker, look);
    look_free(look);
}

static void ask_page(struct watch_look *look, uint64_t after)
{
    struct ledger_op *op = ledger_op_new(STORE_LIST, page_came, look);
    op->question = true;
    sieve_fill(&look->sieve, &op->store);
    op->store.list.after = after;
    op->store.list.limit = PAGE_ROWS;
    ledger_add(look->broker->ledger, op);
}

void watch_look_start(struct watch_look *look, const char *name, const struct expectation *what)
{
    look->name = mem_text(name);
    PB(QueueFilter) filter = PB_INIT(QUEUE_FILTER);
    filter.profile = what->profile != NULL ? what->profile : filter.profile;
    filter.producer = what->producer != NULL ? what->producer : filter.producer;
    filter.label = what->label != NULL ? what->label : filter.label;
    sieve_init(&look->sieve, &filter);
    look->delivered = what->count == EXPECTATION_DELIVERED;
    look->at_least = what->at_least;
    look->began_us = clock_mono_us();
    look->passing = true;
    ask_page(look, look->after);
}
