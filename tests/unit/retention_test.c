/* Forgetting, through the ledger: old final requests go with their key, old days with their history, step by step; whatever else stays. Test time. */
#include "clock.h"
#include "ledger.h"
#include "retention.h"
#include "store_fixture.h"

enum { OLD = RETENTION_STEP_ROWS + 1, BATCH = 64, TURNS = 1000 };

static const uint64_t keep_ms = UINT64_C(90) * 24 * 3600000;
static const int64_t start_ms = INT64_C(20000) * 24 * 3600000;

struct rig {
    struct clock_source clock;
    struct loop *loop;
    struct ledger *ledger;
    struct retention retention;
};

static void pump(void *arg)
{
    struct rig *rig = arg;
    ledger_pump(rig->ledger);
}

/* OLD requests that failed long ago, one that failed keep_ms ago to the millisecond, one leased, one nobody knows of. */
static void fill(struct store *store)
{
    struct fixture fix = {.engine = &store_memory, .store = store};
    struct store_op ops[BATCH];
    char id[32];
    for (size_t done = 0; done < OLD; done += BATCH) {
        size_t count = OLD - done < BATCH ? OLD - done : BATCH;
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(id, sizeof id, "old-%zu", done + i);
            ops[i] = op_accept(id);
        }
        assert_int_equal(fixture_call(&fix, ops, count), STORE_CALL_DONE);
        for (size_t i = 0; i < count; i++) {
            uint64_t pk = ops[i].accept.row.pk;
            store_op_fini(&ops[i]);
            put_move(&fix, pk, STATE_ACCEPTED, STATE_LEASED);
            put_move(&fix, pk, STATE_LEASED, STATE_FAILED);
        }
    }
    uint64_t fresh = put_request(&fix, "fresh");
    put_move(&fix, fresh, STATE_ACCEPTED, STATE_LEASED);
    struct store_op move = op_move(fresh, STATE_LEASED, STATE_FAILED);
    move.move.changed_at_ms = start_ms - (int64_t)keep_ms;
    assert_int_equal(fixture_run(&fix, &move), STORE_DONE);
    put_move(&fix, put_request(&fix, "leased"), STATE_ACCEPTED, STATE_LEASED);
    uint64_t unknown = put_request(&fix, "unknown");
    put_move(&fix, unknown, STATE_ACCEPTED, STATE_LEASED);
    put_move(&fix, unknown, STATE_LEASED, STATE_UNKNOWN);
}

static int setup(void **state)
{
    struct rig *rig = mem_zero(1, sizeof *rig);
    struct store *store = NULL;
    rig->clock = (struct clock_source){.mono_us = 1000000, .wall_ms = start_ms};
    clock_replace(&rig->clock);
    assert_int_equal(store_memory.open(&(struct store_options){0}, &store, NULL), ERR_OK);
    fill(store);
    assert_int_equal(loop_new(&rig->loop, NULL), ERR_OK);
    assert_int_equal(ledger_new(&rig->ledger, rig->loop, &store, NULL, NULL), ERR_OK);
    loop_before_wait(rig->loop, pump, rig);
    retention_init(&rig->retention, rig->loop, rig->ledger, keep_ms, 2 * keep_ms);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    retention_fini(&rig->retention);
    ledger_free(&rig->ledger);
    loop_free(&rig->loop);
    clock_replace(NULL);
    free(rig);
    return 0;
}

/* Turn until everything that was asked is answered. */
static void settle(struct rig *rig)
{
    assert_int_equal(loop_turn(rig->loop, 0, NULL), ERR_OK);
    for (int i = 0; i < TURNS && !ledger_idle(rig->ledger); i++) {
        assert_int_equal(loop_turn(rig->loop, 1000, NULL), ERR_OK);
    }
    assert_true(ledger_idle(rig->ledger));
}

static void later(struct rig *rig, int64_t ms)
{
    rig->clock.mono_us += ms * 1000;
    rig->clock.wall_ms += ms;
    settle(rig);
}

struct seen {
    uint64_t by_state[STATE_COUNT];
    size_t events;
    enum store_result result;
};

static void take_answer(void *arg, struct ledger_op *op)
{
    struct seen *seen = arg;
    seen->result = op->store.result;
    if (op->store.kind == STORE_COUNTS) {
        memcpy(seen->by_state, op->store.counts.by_state, sizeof seen->by_state);
    } else if (op->store.kind == STORE_HISTORY) {
        seen->events = op->store.history.count;
    }
}

static struct seen ask_counts(struct rig *rig)
{
    struct seen seen = {.result = STORE_PENDING};
    ledger_add(rig->ledger, ledger_op_new(STORE_COUNTS, take_answer, &seen));
    settle(rig);
    assert_int_equal(seen.result, STORE_DONE);
    return seen;
}

static enum store_result ask_key(struct rig *rig, const char *id)
{
    struct seen seen = {.result = STORE_PENDING};
    struct ledger_op *op = ledger_op_new(STORE_GET, take_answer, &seen);
    op->store.get.producer = "trackpro";
    op->store.get.id = id;
    ledger_add(rig->ledger, op);
    settle(rig);
    return seen.result;
}

static size_t ask_events(struct rig *rig)
{
    struct seen seen = {.result = STORE_PENDING};
    struct ledger_op *op = ledger_op_new(STORE_HISTORY, take_answer, &seen);
    op->store.history.limit = SIZE_MAX;
    ledger_add(rig->ledger, op);
    settle(rig);
    assert_int_equal(seen.result, STORE_DONE);
    return seen.events;
}

static void old_finals_go_and_the_rest_stays(void **state)
{
    struct rig *rig = *state;
    later(rig, 0);
    assert_int_equal(ask_counts(rig).by_state[STATE_FAILED], OLD + 1); /* it is not time yet */
    assert_int_equal(ask_key(rig, "old-0"), STORE_DONE);
    assert_int_equal(ask_events(rig), 3 * OLD + 3 + 2 + 3);

    /* Two steps, the second at once: no turn of the clock between them. The wall clock stood still, so the fresh one
     * is kept. */
    rig->clock.mono_us += INT64_C(1000) * RETENTION_PERIOD_MS;
    settle(rig);
    struct seen seen = ask_counts(rig);
    assert_int_equal(seen.by_state[STATE_FAILED], 1);
    assert_int_equal(seen.by_state[STATE_LEASED], 1);
    assert_int_equal(seen.by_state[STATE_UNKNOWN], 1);
    assert_int_equal(ask_key(rig, "old-0"), STORE_NOT_FOUND);
    assert_int_equal(ask_key(rig, "old-500"), STORE_NOT_FOUND);
    assert_int_equal(ask_key(rig, "fresh"), STORE_DONE);
    /* All days before that of the fresh one are older than twice the time, too; of its day and behind it stay the rest. */
    assert_int_equal(ask_events(rig), 1 + 2 + 3);
}

static void it_looks_again_every_minute(void **state)
{
    struct rig *rig = *state;
    later(rig, RETENTION_PERIOD_MS);
    assert_int_equal(ask_key(rig, "fresh"), STORE_NOT_FOUND); /* a minute past its time */
    later(rig, (int64_t)keep_ms);
    struct seen seen = ask_counts(rig);
    assert_int_equal(seen.by_state[STATE_FAILED], 0);
    assert_int_equal(seen.by_state[STATE_LEASED], 1);
    assert_int_equal(seen.by_state[STATE_UNKNOWN], 1);
    assert_true(loop_timer_armed(&rig->retention.timer));
}

static void nothing_is_asked_after_the_end(void **state)
{
    struct rig *rig = *state;
    retention_fini(&rig->retention);
    later(rig, 2 * RETENTION_PERIOD_MS);
    assert_int_equal(ask_counts(rig).by_state[STATE_FAILED], OLD + 1);
}

/* The end comes while a full step is on its way: it is not followed by another. */
static void the_end_lets_a_step_through(void **state)
{
    struct rig *rig = *state;
    rig->clock.mono_us += INT64_C(1000) * RETENTION_PERIOD_MS;
    assert_int_equal(loop_turn(rig->loop, 0, NULL), ERR_OK);
    assert_true(rig->retention.asking);
    retention_fini(&rig->retention);
    settle(rig);
    assert_false(rig->retention.asking);
    assert_false(loop_timer_armed(&rig->retention.timer));
    assert_int_equal(ask_counts(rig).by_state[STATE_FAILED], OLD + 1 - RETENTION_STEP_ROWS);
}

static void the_end_of_nothing_is_fine(void **state)
{
    (void)state;
    struct retention retention = {0};
    retention_fini(&retention);
    assert_true(retention.stopped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_finals_go_and_the_rest_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(it_looks_again_every_minute, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_asked_after_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_lets_a_step_through, setup, teardown),
        cmocka_unit_test(the_end_of_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
