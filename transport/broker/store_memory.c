/* The reference engine: arrays and linear walks, as plain as can be, so that it is right at a
 * glance.
 *
 * The model-based test runs the same ops on it and on the real engines and compares all
 * answers; unit tests of the broker use it for speed. It forgets everything at close and
 * never fails. Not for use: its memory grows. */
#include "store_memory.h"
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
    uint8_t *edit; /* null = none */
    size_t edit_len;
};

/* A label of a row that is gone: kept as long as its history. */
struct old_label {
    char text[STORE_LABEL_BYTES];
    uint64_t pk;
    uint64_t until; /* number of the row's last event */
};

struct memory_store {
    struct store base;
    struct item *items; /* by rising pk */
    size_t count;
    size_t room;
    struct memory_log logs[STORE_LOG_COUNT];
    struct digest_maker *digests;
    struct old_label *labels;
    size_t label_count;
    struct memory_kept kept;
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
    store->digests = digest_maker_new();
    *out = &store->base;
    return ERR_OK;
}

static void free_item(struct item *item)
{
    store_row_fini(&item->row);
    free(item->body);
    free(item->edit);
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
    for (int i = 0; i < STORE_LOG_COUNT; i++) {
        memory_log_fini(&store->logs[i]);
    }
    memory_kept_fini(&store->kept);
    digest_maker_free(&store->digests);
    free(store->labels);
    free(store->items);
    free(store);
    *base = NULL;
}

static void copy_row(struct store_row *to, const struct store_row *from)
{
    *to = *from;
    to->results = from->results_len > 0 ? mem_copy(from->results, from->results_len) : NULL;
    to->labels = from->labels != NULL ? mem_text(from->labels) : NULL;
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
    const struct chain_entry entry = {.number = store->base.epoch << STORE_SEQUENCE_BITS |
                                                store->sequence,
                                      .request = row->pk,
                                      .at_ms = at_ms,
                                      .data = op->event,
                                      .len = op->event_len};
    (void)memory_log_add(&store->logs[STORE_LOG_EVENTS], store->digests, &entry);
    row->last_event = entry.number;
    op->event_number = entry.number;
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
    item->row.labels = op->accept.labels != NULL && op->accept.labels[0] != '\0'
                           ? mem_text(op->accept.labels)
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
    row->held = false;
    set_text(row->worker, op->move.worker);
    set_text(row->reason, op->move.reason);
    if (op->move.results != NULL) {
        free(row->results);
        row->results_len = op->move.results_len;
        row->results =
            row->results_len > 0 ? mem_copy(op->move.results, row->results_len) : NULL;
    }
    if (!store_keeps_body(row->state)) {
        free(item->body);
        item->body = NULL;
        free(item->edit);
        item->edit = NULL;
    }
}

static void op_move(struct memory_store *store, struct store_op *op)
{
    struct item *item = find(store, op->move.pk);
    if (item == NULL) {
        op->result = STORE_NOT_FOUND;
    } else if (item->row.state != op->move.from ||
               (op->move.expect_lease != UINT64_MAX &&
                op->move.expect_lease != item->row.lease) ||
               (item->row.held && op->move.to == STATE_LEASED)) {
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
    struct store_row nobody = {.pk = 0};
    struct item *item = op->note.pk != 0 ? find(store, op->note.pk) : NULL;
    if (op->note.pk != 0 && item == NULL) {
        op->result = STORE_NOT_FOUND;
        return;
    }
    add_event(store, op, item != NULL ? &item->row : &nobody, clock_wall_ms());
    if (op->note.keep != NULL) {
        struct store_op keep = store_note_keep(op);
        memory_kept_set(&store->kept, &keep);
    }
    op->result = STORE_DONE;
}

static void op_hold(struct memory_store *store, struct store_op *op)
{
    struct item *item = find(store, op->hold.pk);
    if (item == NULL) {
        op->result = STORE_NOT_FOUND;
    } else if (item->row.state != op->hold.from) {
        op->result = STORE_STALE;
    } else if (item->row.held == op->hold.held) {
        store_op_refuse(op, item->row.held ? "it is held already" : "it is not held");
    } else {
        item->row.held = op->hold.held;
        item->row.visible_at_ms = op->hold.visible_at_ms;
        item->row.changed_at_ms = op->hold.changed_at_ms;
        set_text(item->row.reason, op->hold.reason);
        add_event(store, op, &item->row, op->hold.changed_at_ms);
        op->result = STORE_DONE;
    }
}

static void write_edit(struct item *item, const struct store_op *op)
{
    struct store_row *row = &item->row;
    if (op->edit.profile != NULL) {
        set_text(row->profile, op->edit.profile);
    }
    if (op->edit.results != NULL) {
        free(row->results);
        row->results_len = op->edit.results_len;
        row->results =
            row->results_len > 0 ? mem_copy(op->edit.results, row->results_len) : NULL;
    }
    row->changed_at_ms = op->edit.changed_at_ms;
    free(item->edit);
    item->edit = mem_copy(op->edit.data, op->edit.len);
    item->edit_len = op->edit.len;
}

static void op_edit(struct memory_store *store, struct store_op *op)
{
    struct item *item = find(store, op->edit.pk);
    if (item == NULL) {
        op->result = STORE_NOT_FOUND;
    } else if (item->row.state != op->edit.from) {
        op->result = STORE_STALE;
    } else if (item->body == NULL) {
        store_op_refuse(op, "the body is gone");
    } else {
        write_edit(item, op);
        add_event(store, op, &item->row, op->edit.changed_at_ms);
        op->result = STORE_DONE;
    }
}

static void op_audit(struct memory_store *store, struct store_op *op)
{
    struct memory_log *log = &store->logs[STORE_LOG_AUDIT];
    const struct chain_entry entry = {.number = log->open.last + 1,
                                      .at_ms = op->audit.at_ms,
                                      .data = op->audit.data,
                                      .len = op->audit.len};
    (void)memory_log_add(log, store->digests, &entry);
    op->audit.number = entry.number;
    op->result = STORE_DONE;
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
        if (store_is_due_state(row->state) && !row->held && in_lane(row, lane) &&
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

static void op_backlog(struct memory_store *store, struct store_op *op)
{
    for (size_t i = 0; i < store->count; i++) {
        const struct store_row *row = &store->items[i].row;
        if (row->held || store_phase_of(row->state) == STORE_PHASE_LIVE) {
            store_backlog_count(op, row);
        }
    }
    op->result = STORE_DONE;
}

static void op_lanes(struct memory_store *store, struct store_op *op)
{
    for (size_t i = 0; i < store->count; i++) {
        const struct store_row *row = &store->items[i].row;
        bool known = store_phase_of_row(row->state, row->held) != STORE_PHASE_LIVE;
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
    op->body.edit = item->edit != NULL ? mem_copy(item->edit, item->edit_len) : NULL;
    op->body.edit_len = item->edit != NULL ? item->edit_len : 0;
    op->result = STORE_DONE;
}

static bool any_in(const struct memory_store *store, uint32_t states)
{
    for (size_t i = 0; i < store->count; i++) {
        if ((states >> store->items[i].row.state & 1) != 0) {
            return true;
        }
    }
    return states == 0;
}

/* Looks at every row. An engine with an index looks at fewer, so its cursor may differ, but not the rows. */
static void op_list(struct memory_store *store, struct store_op *op)
{
    size_t looked = 0;
    bool any = any_in(store, op->list.states);
    op->list.next = 0;
    op->result = STORE_DONE;
    for (size_t i = 0; i < store->count && any; i++) {
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

static bool label_matches(const struct memory_store *store, const char *label, uint64_t pk)
{
    for (size_t i = 0; i < store->label_count; i++) {
        if (store->labels[i].pk == pk && strcmp(store->labels[i].text, label) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < store->count; i++) {
        const char *cursor = store->items[i].row.labels;
        char text[STORE_LABEL_BYTES];
        while (store->items[i].row.pk == pk && store_label_next(&cursor, text)) {
            if (strcmp(text, label) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void op_history(struct memory_store *store, struct store_op *op)
{
    if (op->history.pk != 0 && find(store, op->history.pk) == NULL) {
        op->result = STORE_NOT_FOUND;
        return;
    }
    memory_log_read(&store->logs[op->history.log], op);
    for (size_t i = 0; i < op->history.count && op->history.label != NULL; i++) {
        struct store_event *event = &op->history.events[i];
        event->matches =
            op->history.pk != 0 || label_matches(store, op->history.label, event->pk);
    }
}

static void op_segments(struct memory_store *store, struct store_op *op)
{
    memory_log_segments(&store->logs[op->segments.log], op);
}

static void op_keep(struct memory_store *store, struct store_op *op)
{
    memory_kept_set(&store->kept, op);
}

static void op_kept(struct memory_store *store, struct store_op *op)
{
    memory_kept_read(&store->kept, op);
}

static void op_counts(struct memory_store *store, struct store_op *op)
{
    memset(op->counts.by_state, 0, sizeof op->counts.by_state);
    op->counts.held = 0;
    for (size_t i = 0; i < store->count; i++) {
        op->counts.by_state[store->items[i].row.state]++;
        op->counts.held += store->items[i].row.held ? 1 : 0;
    }
    op->result = STORE_DONE;
}

static void end_labels(struct memory_store *store, const struct store_row *row)
{
    const char *cursor = row->labels;
    struct old_label label = {.pk = row->pk, .until = row->last_event};
    while (store_label_next(&cursor, label.text)) {
        store->labels =
            mem_resize(store->labels, store->label_count + 1, sizeof *store->labels);
        store->labels[store->label_count++] = label;
    }
}

static void sweep_labels(struct memory_store *store)
{
    size_t kept = 0;
    for (size_t i = 0; i < store->label_count; i++) {
        if (memory_log_has(&store->logs[STORE_LOG_EVENTS], store->labels[i].until)) {
            store->labels[kept++] = store->labels[i];
        }
    }
    store->label_count = kept;
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

static void drop_item(struct memory_store *store, size_t at)
{
    end_labels(store, &store->items[at].row);
    free_item(&store->items[at]);
    store->count--;
    memmove(&store->items[at], &store->items[at + 1],
            (store->count - at) * sizeof *store->items);
}

static void op_forget(struct memory_store *store, struct store_op *op)
{
    struct item *item = find(store, op->forget.pk);
    if (item == NULL) {
        op->result = STORE_NOT_FOUND;
    } else if (item->row.state != op->forget.from) {
        op->result = STORE_STALE;
    } else {
        add_event(store, op, &item->row, op->forget.at_ms);
        drop_item(store, (size_t)(item - store->items));
        op->result = STORE_DONE;
    }
}

static void sweep_rows(struct memory_store *store, struct store_op *op)
{
    while (op->sweep.swept < op->sweep.limit) {
        size_t at = find_oldest(store, op->sweep.before_ms);
        if (at == store->count) {
            return;
        }
        drop_item(store, at);
        op->sweep.swept++;
    }
}

static void op_sweep(struct memory_store *store, struct store_op *op)
{
    size_t limit = op->sweep.limit;
    op->sweep.swept = 0;
    op->sweep.history_swept = 0;
    op->result = STORE_DONE;
    sweep_rows(store, op);
    for (int i = 0; i < STORE_LOG_COUNT && op->sweep.history_swept < limit; i++) {
        op->sweep.history_swept += memory_log_sweep(
            &store->logs[i], op->sweep.history_before_ms, limit - op->sweep.history_swept);
    }
    sweep_labels(store);
}

static void op_backup(struct memory_store *store, struct store_op *op)
{
    (void)store;
    store_op_refuse(op, "this engine keeps nothing on disk");
}

typedef void op_fn(struct memory_store *store, struct store_op *op);

static op_fn *const op_fns[STORE_KIND_COUNT] = {
    [STORE_ACCEPT] = op_accept,     [STORE_MOVE] = op_move,       [STORE_NOTE] = op_note,
    [STORE_GET] = op_get,           [STORE_DUE] = op_due,         [STORE_LANES] = op_lanes,
    [STORE_BACKLOG] = op_backlog,   [STORE_LIVE] = op_live,       [STORE_BODY] = op_body,
    [STORE_LIST] = op_list,         [STORE_HISTORY] = op_history, [STORE_COUNTS] = op_counts,
    [STORE_SWEEP] = op_sweep,       [STORE_HOLD] = op_hold,       [STORE_FORGET] = op_forget,
    [STORE_BACKUP] = op_backup,     [STORE_EDIT] = op_edit,       [STORE_AUDIT] = op_audit,
    [STORE_SEGMENTS] = op_segments, [STORE_KEEP] = op_keep,       [STORE_KEPT] = op_kept,
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

static void engine_tidy(struct store *base)
{
    (void)base;
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
    .tidy = engine_tidy,
    .idle = engine_idle,
    .check = engine_check,
    .close = engine_close,
};
