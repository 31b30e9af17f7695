/* The reference engine: arrays and linear walks, as plain as can be, so that it is right at a
 * glance.
 *
 * The model-based test runs the same ops on it and on the real engines and compares all
 * answers; unit tests of the broker use it for speed. It forgets everything at close and
 * never fails. Not for use: its memory grows. */
#include "clock.h"
#include "mem.h"
#include "store_rules.h"

#include <stdlib.h>
#include <string.h>

struct item {
    struct store_row row;
    uint8_t digest[STORE_DIGEST_BYTES];
    uint8_t *body; /* null = gone */
    size_t body_len;
};

struct memory_store {
    struct store base;
    struct item *items; /* by rising pk */
    size_t count;
    size_t room;
    struct store_event *events; /* by rising number */
    size_t event_count;
    uint64_t last_pk;
    uint64_t sequence;
};

static struct memory_store *of(struct store *store)
{
    return (struct memory_store *)store;
}

static enum err engine_open(const struct store_options *options, struct store **out,
                            struct err_text *why)
{
    (void)options;
    (void)why;
    struct memory_store *store = mem_zero(1, sizeof *store);
    store->base.engine = &store_memory;
    store->base.epoch = 1;
    *out = &store->base;
    return ERR_OK;
}

static void free_item(struct item *item)
{
    store_row_fini(&item->row);
    free(item->body);
}

static void engine_close(struct store **base)
{
    if (*base == NULL) {
        return;
    }
    struct memory_store *store = of(*base);
    for (size_t i = 0; i < store->count; i++) {
        free_item(&store->items[i]);
    }
    for (size_t i = 0; i < store->event_count; i++) {
        free(store->events[i].data);
    }
    free(store->items);
    free(store->events);
    free(store);
    *base = NULL;
}

static void copy_row(struct store_row *to, const struct store_row *from)
{
    *to = *from;
    to->results = from->results_len > 0 ? mem_copy(from->results, from->results_len) : NULL;
}

static struct item *find(struct memory_store *store, uint64_t pk)
{
    for (size_t i = 0; i < store->count; i++) {
        if (store->items[i].row.pk == pk) {
            return &store->items[i];
        }
    }
    return NULL;
}

/* The newest row of that id; producer null = any. */
static struct item *find_key(struct memory_store *store, const char *producer, const char *id)
{
    for (size_t i = store->count; i > 0; i--) {
        struct item *item = &store->items[i - 1];
        if (strcmp(item->row.id, id) == 0 &&
            (producer == NULL || strcmp(item->row.producer, producer) == 0)) {
            return item;
        }
    }
    return NULL;
}

static void add_event(struct memory_store *store, struct store_op *op, struct store_row *row,
                      int64_t at_ms)
{
    op->event_number = 0;
    if (op->event == NULL) {
        return;
    }
    store->sequence++;
    struct store_event *event = store_events_add(&store->events, &store->event_count);
    event->number = store->base.epoch << STORE_SEQUENCE_BITS | store->sequence;
    event->pk = row->pk;
    event->at_ms = at_ms;
    event->data = mem_copy(op->event, op->event_len);
    event->len = op->event_len;
    row->last_event = event->number;
    op->event_number = event->number;
}

static void op_accept(struct memory_store *store, struct store_op *op)
{
    struct store_row *row = &op->accept.row;
    const struct item *known = find_key(store, row->producer, row->id);
    if (known != NULL) {
        bool same = memcmp(known->digest, op->accept.digest, STORE_DIGEST_BYTES) == 0;
        op->result = same ? STORE_DUPLICATE : STORE_CONFLICT;
        if (same) {
            copy_row(row, &known->row);
        }
        return;
    }
    if (op->accept.known_only) {
        op->result = STORE_NOT_FOUND;
        return;
    }
    if (store->count == store->room) {
        store->room = store->room > 0 ? store->room * 2 : 64;
        store->items = mem_resize(store->items, store->room, sizeof *store->items);
    }
    struct item *item = &store->items[store->count++];
    row->pk = ++store->last_pk;
    row->last_event = 0;
    add_event(store, op, row, row->accepted_at_ms);
    *item = (struct item){.row = *row, .body_len = op->accept.body_len};
    item->row.results_len = op->accept.results_len;
    item->row.results = op->accept.results_len > 0
                            ? mem_copy(op->accept.results, op->accept.results_len)
                            : NULL;
    memcpy(item->digest, op->accept.digest, STORE_DIGEST_BYTES);
    item->body = mem_copy(op->accept.body, op->accept.body_len);
    op->result = STORE_DONE;
}

/* Lengths were checked by store_op_check. */
static void set_text(char *out, const char *text)
{
    const char *from = text != NULL ? text : "";
    memcpy(out, from, strlen(from) + 1);
}

static void write_move(struct item *item, const struct store_op *op)
{
    struct store_row *row = &item->row;
    row->state = op->move.to;
    row->visible_at_ms = op->move.visible_at_ms;
    row->changed_at_ms = op->move.changed_at_ms;
    row->attempt = op->move.attempt;
    row->losses = op->move.losses;
    row->lease = op->move.lease;
    row->partial = op->move.partial;
    set_text(row->worker, op->move.worker);
    set_text(row->reason, op->move.reason);
    if (op->move.results != NULL) {
        store_row_fini(row);
        row->results_len = op->move.results_len;
        row->results =
            row->results_len > 0 ? mem_copy(op->move.results, row->results_len) : NULL;
    }
    if (!store_keeps_body(row->state)) {
        free(item->body);
        item->body = NULL;
    }
}

static void op_move(struct memory_store *store, struct store_op *op)
{
    struct item *item = find(store, op->move.pk);
    if (item == NULL) {
        op->result = STORE_NOT_FOUND;
    } else if (item->row.state != op->move.from || (op->move.expect_lease != UINT64_MAX &&
                                                    op->move.expect_lease != item->row.lease)) {
        op->result = STORE_STALE;
    } else if (state_is_final(item->row.state) && item->body == NULL) {
        store_op_refuse(op, "the body is gone");
    } else {
        write_move(item, op);
        add_event(store, op, &item->row, op->move.changed_at_ms);
        op->result = STORE_DONE;
    }
}

static void op_note(struct memory_store *store, struct store_op *op)
{
    struct item *item = find(store, op->note.pk);
    op->result = item != NULL ? STORE_DONE : STORE_NOT_FOUND;
    if (item != NULL) {
        add_event(store, op, &item->row, clock_wall_ms());
    }
}

static void op_get(struct memory_store *store, struct store_op *op)
{
    const struct item *item = find_key(store, op->get.producer, op->get.id);
    op->result = item != NULL ? STORE_DONE : STORE_NOT_FOUND;
    if (item != NULL) {
        copy_row(&op->get.row, &item->row);
    }
}

static bool in_lane(const struct store_row *row, const struct store_lane *lane)
{
    return row->priority == lane->priority && strcmp(row->profile, lane->profile) == 0 &&
           strcmp(row->producer, lane->producer) == 0;
}

static bool place_before(int64_t a_ms, uint64_t a_pk, const struct store_row *b)
{
    return a_ms < b->visible_at_ms || (a_ms == b->visible_at_ms && a_pk < b->pk);
}

/* The first due row behind the place, or null. */
static const struct store_row *next_due(const struct memory_store *store,
                                        const struct store_lane *lane, int64_t after_ms,
                                        uint64_t after_pk)
{
    const struct store_row *best = NULL;
    for (size_t i = 0; i < store->count; i++) {
        const struct store_row *row = &store->items[i].row;
        if (store_is_due_state(row->state) && in_lane(row, lane) &&
            place_before(after_ms, after_pk, row) &&
            (best == NULL || place_before(row->visible_at_ms, row->pk, best))) {
            best = row;
        }
    }
    return best;
}

static void op_due(struct memory_store *store, struct store_op *op)
{
    const struct store_row *row =
        next_due(store, &op->due.lane, op->due.after_ms, op->due.after_pk);
    while (row != NULL && row->visible_at_ms <= op->due.now_ms &&
           op->due.count < op->due.limit) {
        copy_row(store_rows_add(&op->due.rows, &op->due.count), row);
        row = next_due(store, &op->due.lane, row->visible_at_ms, row->pk);
    }
    row = next_due(store, &op->due.lane, op->due.now_ms, UINT64_MAX);
    op->due.next_due_ms = row != NULL ? row->visible_at_ms : 0;
    op->result = STORE_DONE;
}

static int compare_lanes(const void *a_p, const void *b_p)
{
    const struct store_lane *a = a_p;
    const struct store_lane *b = b_p;
    int order = strcmp(a->profile, b->profile);
    order = order != 0 ? order : strcmp(a->producer, b->producer);
    return order != 0 ? order : (a->priority > b->priority) - (a->priority < b->priority);
}

static void op_lanes(struct memory_store *store, struct store_op *op)
{
    for (size_t i = 0; i < store->count; i++) {
        const struct store_row *row = &store->items[i].row;
        bool known = store_phase_of(row->state) != STORE_PHASE_LIVE;
        for (size_t k = 0; k < op->lanes.count && !known; k++) {
            known = in_lane(row, &op->lanes.lanes[k]);
        }
        if (!known) {
            struct store_lane *lane = store_lanes_add(&op->lanes.lanes, &op->lanes.count);
            set_text(lane->profile, row->profile);
            set_text(lane->producer, row->producer);
            lane->priority = row->priority;
        }
    }
    if (op->lanes.count > 0) {
        qsort(op->lanes.lanes, op->lanes.count, sizeof *op->lanes.lanes, compare_lanes);
    }
    op->result = STORE_DONE;
}

static void op_live(struct memory_store *store, struct store_op *op)
{
    for (size_t i = 0; i < store->count; i++) {
        const struct store_row *row = &store->items[i].row;
        if (row->state == STATE_LEASED || row->state == STATE_PERMITTED) {
            copy_row(store_rows_add(&op->live.rows, &op->live.count), row);
        }
    }
    op->result = STORE_DONE;
}

static void op_body(struct memory_store *store, struct store_op *op)
{
    const struct item *item = find(store, op->body.pk);
    if (item == NULL || item->body == NULL) {
        op->result = STORE_NOT_FOUND;
        return;
    }
    op->body.data = mem_copy(item->body, item->body_len);
    op->body.len = item->body_len;
    op->result = STORE_DONE;
}

static void op_list(struct memory_store *store, struct store_op *op)
{
    size_t looked = 0;
    op->list.next = 0;
    op->result = STORE_DONE;
    for (size_t i = 0; i < store->count; i++) {
        const struct store_row *row = &store->items[i].row;
        if (row->pk <= op->list.after) {
            continue;
        }
        if (op->list.count == op->list.limit || looked == STORE_LIST_LOOK_ROWS) {
            return;
        }
        looked++;
        op->list.next = row->pk;
        if (store_list_match(op, row)) {
            copy_row(store_rows_add(&op->list.rows, &op->list.count), row);
        }
    }
    op->list.next = 0;
}

static void op_history(struct memory_store *store, struct store_op *op)
{
    uint64_t pk = op->history.pk;
    if (pk != 0 && find(store, pk) == NULL) {
        op->result = STORE_NOT_FOUND;
        return;
    }
    for (size_t i = 0; i < store->event_count && op->history.count < op->history.limit; i++) {
        const struct store_event *event = &store->events[i];
        if (event->number > op->history.after && (pk == 0 || event->pk == pk)) {
            struct store_event *copy =
                store_events_add(&op->history.events, &op->history.count);
            *copy = *event;
            copy->data = mem_copy(event->data, event->len);
        }
    }
    op->result = STORE_DONE;
}

static void op_counts(struct memory_store *store, struct store_op *op)
{
    memset(op->counts.by_state, 0, sizeof op->counts.by_state);
    for (size_t i = 0; i < store->count; i++) {
        op->counts.by_state[store->items[i].row.state]++;
    }
    op->result = STORE_DONE;
}

static void forget_events(struct memory_store *store, uint64_t pk)
{
    /* The array may only grow through store_events_add, so it is built again. */
    struct store_event *kept = NULL;
    size_t count = 0;
    for (size_t i = 0; i < store->event_count; i++) {
        if (store->events[i].pk == pk) {
            free(store->events[i].data);
        } else {
            *store_events_add(&kept, &count) = store->events[i];
        }
    }
    free(store->events);
    store->events = kept;
    store->event_count = count;
}

/* The index of the row that became final first, before that time; count when there is none. */
static size_t find_oldest(const struct memory_store *store, int64_t before_ms)
{
    size_t best = store->count;
    for (size_t i = 0; i < store->count; i++) {
        const struct store_row *row = &store->items[i].row;
        if (state_is_final(row->state) && row->changed_at_ms < before_ms &&
            (best == store->count ||
             row->changed_at_ms < store->items[best].row.changed_at_ms)) {
            best = i;
        }
    }
    return best;
}

static void op_sweep(struct memory_store *store, struct store_op *op)
{
    op->sweep.swept = 0;
    op->result = STORE_DONE;
    while (op->sweep.swept < op->sweep.limit) {
        size_t at = find_oldest(store, op->sweep.before_ms);
        if (at == store->count) {
            return;
        }
        forget_events(store, store->items[at].row.pk);
        free_item(&store->items[at]);
        store->count--;
        memmove(&store->items[at], &store->items[at + 1],
                (store->count - at) * sizeof *store->items);
        op->sweep.swept++;
    }
}

typedef void op_fn(struct memory_store *store, struct store_op *op);

static op_fn *const op_fns[STORE_KIND_COUNT] = {
    [STORE_ACCEPT] = op_accept,   [STORE_MOVE] = op_move,     [STORE_NOTE] = op_note,
    [STORE_GET] = op_get,         [STORE_DUE] = op_due,       [STORE_LANES] = op_lanes,
    [STORE_LIVE] = op_live,       [STORE_BODY] = op_body,     [STORE_LIST] = op_list,
    [STORE_HISTORY] = op_history, [STORE_COUNTS] = op_counts, [STORE_SWEEP] = op_sweep,
};

static enum store_call engine_exec(struct store *base, struct store_op *const ops[],
                                   size_t count, struct err_text *why)
{
    (void)why;
    for (size_t i = 0; i < count; i++) {
        ops[i]->result = STORE_PENDING;
        ops[i]->event_number = 0;
        if (store_op_check(ops[i])) {
            op_fns[ops[i]->kind](of(base), ops[i]);
        }
    }
    return STORE_CALL_DONE;
}

static bool engine_idle(struct store *base)
{
    (void)base;
    return false;
}

static enum err engine_check(struct store *base, struct err_text *why)
{
    (void)base;
    (void)why;
    return ERR_OK;
}

const struct store_engine store_memory = {
    .name = "memory",
    .open = engine_open,
    .exec = engine_exec,
    .idle = engine_idle,
    .check = engine_check,
    .close = engine_close,
};
