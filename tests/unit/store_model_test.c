/* Model-based test: the same random ops in the same random batches on the SQLite engine and
 * on the reference engine; every answer must be equal. TPN_SEED repeats a run. */
#include "clock.h"
#include "store_fixture.h"

/* A step of the clock of events: days pass during a run. */
static const int64_t hour_ms = 3600000;

enum { BATCHES = 500, BATCH_MAX = 12, ROWS_MANY = 100000, IDS = 150, PK_MAX = 400 };

/* What the generator remembers, so that most moves are legal. Both engines gave the same
 * answers to it. */
struct known {
    enum state state[PK_MAX];
    uint64_t lease[PK_MAX];
    uint64_t pks;
    uint64_t epoch;
};

static const char *const profiles[] = {"", "office", "lab"};
static const char *const producers[] = {"trackpro", "script"};
static const char *const texts[] = {NULL, "", "250 2.0.0 Ok", "4.7.1 \xc3\xa4 later"};

static const char *const keys[] = {"item 17", "item 18"};
static const char *const labels[] = {NULL, "", "asset=17\n", "asset=17\nroom=b 4\n"};
static const char *const wanted_labels[] = {NULL, NULL, "asset=17", "room=b 4", "room=b"};

static uint64_t any_pk(const struct known *known, struct dice *dice)
{
    return 1 + dice_roll(dice, known->pks + 2);
}

static void random_accept(struct dice *dice, struct store_op *op)
{
    struct store_row *row = &op->accept.row;
    (void)snprintf(row->id, sizeof row->id, "id-%d", (int)dice_roll(dice, IDS));
    (void)snprintf(row->producer, sizeof row->producer, "%s", producers[dice_roll(dice, 2)]);
    (void)snprintf(row->profile, sizeof row->profile, "%s", profiles[dice_roll(dice, 3)]);
    row->state = dice_roll(dice, 20) == 0 ? STATE_DEFERRED : STATE_ACCEPTED;
    row->priority = 1 + (int)dice_roll(dice, 3);
    row->visible_at_ms = (int64_t)dice_roll(dice, 50);
    row->expire_at_ms = (int64_t)dice_roll(dice, 1000);
    row->accepted_at_ms = (int64_t)dice_roll(dice, 50);
    row->changed_at_ms = row->accepted_at_ms;
    row->recipients = (uint32_t)dice_roll(dice, 9);
    row->accepted_at_ms *= hour_ms;
    if (dice_roll(dice, 3) == 0) {
        (void)snprintf(row->supersede_key, sizeof row->supersede_key, "%s",
                       keys[dice_roll(dice, 2)]);
    }
    op->accept.labels = labels[dice_roll(dice, 4)];
    op->accept.digest[3] = (uint8_t)dice_roll(dice, 2);
    op->accept.known_only = dice_roll(dice, 10) == 0;
    op->accept.body = (const uint8_t *)"0123456789";
    op->accept.body_len = (size_t)dice_roll(dice, 11);
}

static void random_move(const struct known *known, struct dice *dice, struct store_op *op,
                        int64_t unique_ms)
{
    uint64_t pk = any_pk(known, dice);
    enum state from = pk < PK_MAX ? known->state[pk] : STATE_ACCEPTED;
    enum state to = (enum state)dice_roll(dice, STATE_COUNT);
    if (from == STATE_NONE || dice_roll(dice, 12) == 0) {
        from = (enum state)dice_roll(dice, STATE_COUNT);
    }
    for (int i = 0; i < 30 && !state_may_move(from, to); i++) {
        to = (enum state)dice_roll(dice, STATE_COUNT);
    }
    op->move.pk = pk;
    op->move.expect_lease =
        dice_roll(dice, 3) == 0 || pk >= PK_MAX ? UINT64_MAX : known->lease[pk];
    if (dice_roll(dice, 12) == 0) {
        op->move.expect_lease = dice_roll(dice, 5);
    }
    op->move.from = from;
    op->move.to = to;
    op->move.visible_at_ms = (int64_t)dice_roll(dice, 50);
    op->move.changed_at_ms = unique_ms;
    op->move.attempt = (uint32_t)dice_roll(dice, 5);
    op->move.losses = (uint32_t)dice_roll(dice, 3);
    op->move.lease = dice_roll(dice, 5);
    op->move.partial = dice_roll(dice, 2) != 0;
    op->move.worker = texts[dice_roll(dice, 4)];
    op->move.reason = texts[dice_roll(dice, 4)];
    op->move.results = (const uint8_t *)texts[dice_roll(dice, 4)];
    op->move.results_len =
        op->move.results != NULL ? strlen((const char *)op->move.results) : 0;
}

static void random_due(struct dice *dice, struct store_op *op)
{
    (void)snprintf(op->due.lane.profile, STORE_PROFILE_BYTES, "%s",
                   profiles[dice_roll(dice, 3)]);
    (void)snprintf(op->due.lane.producer, STORE_PRODUCER_BYTES, "%s",
                   producers[dice_roll(dice, 2)]);
    op->due.lane.priority = 1 + (int)dice_roll(dice, 3);
    op->due.now_ms = (int64_t)dice_roll(dice, 60);
    op->due.after_ms = (int64_t)dice_roll(dice, 3) * 10;
    op->due.after_pk = dice_roll(dice, 20);
    op->due.limit = (size_t)dice_roll(dice, 10);
}

static void random_list(const struct known *known, struct dice *dice, struct store_op *op)
{
    op->list.states = (uint32_t)(dice_roll(dice, 2) * dice_roll(dice, 1u << STATE_COUNT));
    op->list.profile = dice_roll(dice, 2) != 0 ? profiles[dice_roll(dice, 3)] : NULL;
    op->list.producer = dice_roll(dice, 2) != 0 ? producers[dice_roll(dice, 2)] : NULL;
    op->list.id_prefix = dice_roll(dice, 2) != 0 ? "id-1" : NULL;
    op->list.label = wanted_labels[dice_roll(dice, 5)];
    op->list.supersede_key = dice_roll(dice, 4) == 0 ? keys[dice_roll(dice, 2)] : NULL;
    op->list.since_ms = dice_roll(dice, 4) == 0 ? hour_ms * (int64_t)dice_roll(dice, 50) : 0;
    op->list.before_ms = dice_roll(dice, 4) == 0 ? hour_ms * (int64_t)dice_roll(dice, 50) : 0;
    op->list.held_only = dice_roll(dice, 8) == 0;
    op->list.after = dice_roll(dice, known->pks + 1);
    op->list.limit = (size_t)dice_roll(dice, 20);
}

/* Half of the walks over a history are over the audit log, or ask for a label. */
static void random_log(struct dice *dice, struct store_op *op)
{
    if (dice_roll(dice, 2) == 0) {
        op->history.log = STORE_LOG_AUDIT;
        op->history.after = dice_roll(dice, 20);
        op->history.pk *= dice_roll(dice, 8) == 0 ? 1 : 0;
    } else if (op->history.pk == 0) {
        op->history.label = wanted_labels[dice_roll(dice, 5)];
    }
}

/* What operators do, and the kept values. */
static void random_act(const struct known *known, struct dice *dice, struct store_op *op,
                       int64_t unique_ms)
{
    static const char *const names[] = {"pause/lab", "pause/office", "pauses", "quota/lab", ""};
    uint64_t pk = any_pk(known, dice);
    enum state from = pk < PK_MAX ? known->state[pk] : STATE_ACCEPTED;
    switch (op->kind) {
    case STORE_HOLD:
        op->hold.pk = pk;
        op->hold.from = from;
        op->hold.held = dice_roll(dice, 3) != 0;
        op->hold.visible_at_ms = (int64_t)dice_roll(dice, 50);
        op->hold.changed_at_ms = unique_ms;
        op->hold.reason = texts[dice_roll(dice, 4)];
        break;
    case STORE_FORGET:
        op->forget.pk = pk;
        op->forget.from = from;
        op->forget.at_ms = unique_ms;
        break;
    case STORE_EDIT:
        op->edit.pk = pk;
        op->edit.from = from;
        op->edit.profile = dice_roll(dice, 2) != 0 ? profiles[dice_roll(dice, 3)] : NULL;
        op->edit.data = (const uint8_t *)"edited";
        op->edit.len = (size_t)dice_roll(dice, 7);
        op->edit.results = (const uint8_t *)texts[dice_roll(dice, 4)];
        op->edit.results_len =
            op->edit.results != NULL ? strlen((const char *)op->edit.results) : 0;
        op->edit.changed_at_ms = unique_ms;
        break;
    case STORE_AUDIT:
        op->audit.at_ms = unique_ms;
        op->audit.data = (const uint8_t *)"who did what";
        op->audit.len = (size_t)dice_roll(dice, 13);
        break;
    case STORE_SEGMENTS:
        op->segments.log = (enum store_log)dice_roll(dice, STORE_LOG_COUNT);
        op->segments.after = dice_roll(dice, 2) * known->epoch << STORE_SEQUENCE_BITS;
        op->segments.limit = 1 + (size_t)dice_roll(dice, 100);
        break;
    case STORE_KEEP:
        op->keep.name = names[dice_roll(dice, 5)];
        op->keep.data = (const uint8_t *)texts[dice_roll(dice, 4)];
        op->keep.len = op->keep.data != NULL ? strlen((const char *)op->keep.data) : 0;
        break;
    default:
        op->kept.prefix = (const char *[]){NULL, "pause", "pause/", "zoo"}[dice_roll(dice, 4)];
        op->kept.after = (const char *[]){NULL, "pause/lab", "a"}[dice_roll(dice, 3)];
        op->kept.limit = (size_t)dice_roll(dice, 5);
        break;
    }
}

/* Any op; ids are static texts or lie in `id`. */
static void random_op(const struct known *known, struct dice *dice, struct store_op *op,
                      int64_t unique_ms)
{
    static const char *const ids[] = {"id-1", "id-7", "id-77", "id-100", "none", ""};
    static const enum store_kind kinds[] = {
        STORE_ACCEPT, STORE_ACCEPT, STORE_ACCEPT, STORE_MOVE,    STORE_MOVE,  STORE_MOVE,
        STORE_MOVE,   STORE_MOVE,   STORE_MOVE,   STORE_NOTE,    STORE_GET,   STORE_DUE,
        STORE_DUE,    STORE_LANES,  STORE_LIVE,   STORE_BODY,    STORE_LIST,  STORE_HISTORY,
        STORE_COUNTS, STORE_SWEEP,  STORE_HOLD,   STORE_EDIT,    STORE_AUDIT, STORE_SEGMENTS,
        STORE_KEEP,   STORE_FORGET, STORE_KEPT,   STORE_BACKLOG,
    };
    *op = (struct store_op){.kind = kinds[dice_roll(dice, sizeof kinds / sizeof kinds[0])]};
    if (op->kind == STORE_ACCEPT && known->pks + BATCH_MAX >= PK_MAX) {
        op->kind = STORE_MOVE;
    }
    if (dice_roll(dice, 8) != 0) {
        op->event = (const uint8_t *)"event data";
        op->event_len = (size_t)dice_roll(dice, 11);
    }
    switch (op->kind) {
    case STORE_ACCEPT:
        random_accept(dice, op);
        break;
    case STORE_MOVE:
        random_move(known, dice, op, unique_ms);
        break;
    case STORE_NOTE:
        op->note.pk = dice_roll(dice, 4) != 0 ? any_pk(known, dice) : 0;
        op->note.keep = dice_roll(dice, 2) != 0 ? "kept/of-a-note" : NULL;
        op->note.data = dice_roll(dice, 3) != 0 ? (const uint8_t *)"value" : NULL;
        op->note.len = (size_t)dice_roll(dice, 6);
        break;
    case STORE_GET:
        op->get.producer = dice_roll(dice, 2) != 0 ? producers[dice_roll(dice, 2)] : NULL;
        op->get.id = ids[dice_roll(dice, 6)];
        break;
    case STORE_DUE:
        random_due(dice, op);
        break;
    case STORE_BODY:
        op->body.pk = any_pk(known, dice);
        break;
    case STORE_LIST:
        random_list(known, dice, op);
        break;
    case STORE_HISTORY:
        op->history.pk = dice_roll(dice, 2) * any_pk(known, dice);
        op->history.after = known->epoch << STORE_SEQUENCE_BITS | dice_roll(dice, 300);
        op->history.limit = (size_t)dice_roll(dice, 30);
        random_log(dice, op);
        break;
    case STORE_SWEEP:
        op->sweep.before_ms = unique_ms - hour_ms * (int64_t)dice_roll(dice, 3000);
        op->sweep.history_before_ms = unique_ms - hour_ms * (int64_t)dice_roll(dice, 6000);
        /* None, or all: which rows a smaller step takes is each engine's own affair. */
        op->sweep.limit = (size_t)dice_roll(dice, 2) * ROWS_MANY;
        break;
    case STORE_HOLD:
    case STORE_EDIT:
    case STORE_FORGET:
    case STORE_AUDIT:
    case STORE_SEGMENTS:
    case STORE_KEEP:
    case STORE_KEPT:
        random_act(known, dice, op, unique_ms);
        break;
    case STORE_LANES:
    case STORE_BACKLOG:
    case STORE_LIVE:
    case STORE_COUNTS:
    case STORE_BACKUP:
    case STORE_KIND_COUNT:
        break;
    }
}

static void compare_row_lists(const struct store_row *a, size_t a_count,
                              const struct store_row *b, size_t b_count)
{
    assert_int_equal(a_count, b_count);
    for (size_t i = 0; i < a_count; i++) {
        assert_rows_equal(&a[i], &b[i]);
    }
}

static void compare_history(const struct store_op *a, const struct store_op *b)
{
    assert_int_equal(a->history.count, b->history.count);
    for (size_t i = 0; i < a->history.count; i++) {
        const struct store_event *x = &a->history.events[i];
        const struct store_event *y = &b->history.events[i];
        assert_int_equal(x->number, y->number);
        assert_int_equal(x->pk, y->pk);
        assert_int_equal(x->at_ms, y->at_ms);
        assert_int_equal(x->len, y->len);
        assert_memory_equal(x->data, y->data, x->len);
        assert_int_equal(x->chained, y->chained);
        assert_memory_equal(x->chain, y->chain, DIGEST_BYTES);
        assert_int_equal(x->matches, y->matches);
    }
}

static void compare_segments(const struct store_op *a, const struct store_op *b)
{
    assert_int_equal(a->segments.count, b->segments.count);
    for (size_t i = 0; i < a->segments.count; i++) {
        const struct store_segment *x = &a->segments.segments[i];
        const struct store_segment *y = &b->segments.segments[i];
        assert_memory_equal(&x->chain, &y->chain, sizeof x->chain);
        assert_int_equal(x->open, y->open);
        assert_int_equal(x->swept, y->swept);
        assert_int_equal(x->chained, y->chained);
    }
}

static void compare_kept(const struct store_op *a, const struct store_op *b)
{
    assert_int_equal(a->kept.count, b->kept.count);
    for (size_t i = 0; i < a->kept.count; i++) {
        assert_string_equal(a->kept.values[i].name, b->kept.values[i].name);
        assert_int_equal(a->kept.values[i].len, b->kept.values[i].len);
        assert_memory_equal(a->kept.values[i].data, b->kept.values[i].data,
                            a->kept.values[i].len);
    }
}

static void compare_lanes(const struct store_op *a, const struct store_op *b)
{
    assert_int_equal(a->lanes.count, b->lanes.count);
    for (size_t i = 0; i < a->lanes.count; i++) {
        assert_string_equal(a->lanes.lanes[i].profile, b->lanes.lanes[i].profile);
        assert_string_equal(a->lanes.lanes[i].producer, b->lanes.lanes[i].producer);
        assert_int_equal(a->lanes.lanes[i].priority, b->lanes.lanes[i].priority);
    }
}

static void compare_ops(const struct store_op *a, const struct store_op *b)
{
    assert_int_equal(a->result, b->result);
    assert_int_equal(a->event_number, b->event_number);
    assert_string_equal(a->why.text, b->why.text);
    switch (a->kind) {
    case STORE_ACCEPT:
        assert_rows_equal(&a->accept.row, &b->accept.row);
        break;
    case STORE_GET:
        assert_rows_equal(&a->get.row, &b->get.row);
        break;
    case STORE_DUE:
        assert_int_equal(a->due.next_due_ms, b->due.next_due_ms);
        compare_row_lists(a->due.rows, a->due.count, b->due.rows, b->due.count);
        break;
    case STORE_LANES:
        compare_lanes(a, b);
        break;
    case STORE_BACKLOG:
        assert_int_equal(a->backlog.count, b->backlog.count);
        if (a->backlog.count > 0) {
            assert_memory_equal(a->backlog.items, b->backlog.items,
                                a->backlog.count * sizeof *a->backlog.items);
        }
        break;
    case STORE_LIVE:
        compare_row_lists(a->live.rows, a->live.count, b->live.rows, b->live.count);
        break;
    case STORE_BODY:
        assert_int_equal(a->body.len, b->body.len);
        assert_int_equal(a->body.edit_len, b->body.edit_len);
        assert_memory_equal(a->body.edit, b->body.edit, a->body.edit_len);
        break;
    case STORE_LIST:
        compare_row_lists(a->list.rows, a->list.count, b->list.rows, b->list.count);
        /* Whether the last page knows that it is the last is the engine's own affair. */
        break;
    case STORE_HISTORY:
        compare_history(a, b);
        break;
    case STORE_COUNTS:
        assert_memory_equal(a->counts.by_state, b->counts.by_state, sizeof a->counts.by_state);
        assert_int_equal(a->counts.held, b->counts.held);
        break;
    case STORE_SWEEP:
        assert_int_equal(a->sweep.swept, b->sweep.swept);
        assert_int_equal(a->sweep.history_swept, b->sweep.history_swept);
        break;
    case STORE_AUDIT:
        assert_int_equal(a->audit.number, b->audit.number);
        break;
    case STORE_SEGMENTS:
        compare_segments(a, b);
        break;
    case STORE_KEPT:
        compare_kept(a, b);
        break;
    case STORE_MOVE:
    case STORE_NOTE:
    case STORE_HOLD:
    case STORE_EDIT:
    case STORE_FORGET:
    case STORE_BACKUP:
    case STORE_KEEP:
    case STORE_KIND_COUNT:
        break;
    }
}

static void learn(struct known *known, const struct store_op *op)
{
    if (op->result != STORE_DONE) {
        return;
    }
    if (op->kind == STORE_ACCEPT) {
        known->pks = op->accept.row.pk;
        known->state[known->pks] = op->accept.row.state;
        known->lease[known->pks] = 0;
    } else if (op->kind == STORE_MOVE) {
        known->state[op->move.pk] = op->move.to;
        known->lease[op->move.pk] = op->move.lease;
    }
}

static void same_answers_as_the_reference(void **state)
{
    (void)state;
    struct dice dice = dice_new((uint64_t)clock_mono_us());
    const struct clock_source frozen = {.mono_us = 1, .wall_ms = 123456};
    struct fixture *disk = fixture_new(&store_sqlite);
    struct fixture *model = fixture_new(&store_memory);
    struct known *known = mem_zero(1, sizeof *known);
    struct store_op *ops = mem_zero((size_t)2 * BATCH_MAX, sizeof *ops);
    size_t results[STORE_REFUSED + 1] = {0};
    size_t done[STORE_KIND_COUNT] = {0};
    clock_replace(&frozen);
    fixture_open(disk);
    fixture_open(model);
    model->store->epoch = disk->store->epoch; /* a store on disk begins at one by chance */
    known->epoch = disk->store->epoch;
    for (int batch = 0; batch < BATCHES; batch++) {
        size_t count = 1 + dice_roll(&dice, BATCH_MAX);
        for (size_t i = 0; i < count; i++) {
            random_op(known, &dice, &ops[i],
                      hour_ms * ((int64_t)batch * BATCH_MAX + (int64_t)i));
            ops[BATCH_MAX + i] = ops[i];
        }
        assert_int_equal(fixture_call(disk, ops, count), STORE_CALL_DONE);
        assert_int_equal(fixture_call(model, &ops[BATCH_MAX], count), STORE_CALL_DONE);
        for (size_t i = 0; i < count; i++) {
            compare_ops(&ops[i], &ops[BATCH_MAX + i]);
            learn(known, &ops[i]);
            results[ops[i].result]++;
            done[ops[i].kind] += ops[i].result == STORE_DONE ? 1 : 0;
            store_op_fini(&ops[i]);
            store_op_fini(&ops[BATCH_MAX + i]);
        }
    }
    struct err_text why = {0};
    if (disk->engine->check(disk->store, &why) != ERR_OK) {
        fail_msg("check: %s", why.text);
    }
    /* The walk must have met every kind of answer, or it proves little. */
    for (int i = STORE_DONE; i <= STORE_REFUSED; i++) {
        assert_true(results[i] > 0);
    }
    for (int i = 0; i < STORE_KIND_COUNT; i++) {
        assert_true(done[i] > 0 || i == STORE_BACKUP); /* copies a file: one engine has one */
    }
    clock_replace(NULL);
    free(ops);
    free(known);
    fixture_free(disk);
    fixture_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_answers_as_the_reference),
    };
    return cmocka_run_group_tests_name("store-model", tests, NULL, NULL);
}
