/* The ledger over an engine that fails when it is told to: what stays for the next try, and in which order; when the next
 * batch begins. */
#include "ledger.h"
#include "mem.h"
#include "store_fake.h"

#include <time.h>

enum {
    MANY = 64, /* ops that wait: the ledger's own limit */
    PATIENCE_S = 30
};

struct rig {
    struct loop *loop;
    struct fake fake;
    struct ledger *ledger;
    size_t done;    /* ops that ended as STORE_DONE */
    size_t refused; /* and otherwise */
    size_t wanted;  /* of both, until the loop stops */
};

static void note_end(void *arg, struct ledger_op *op)
{
    struct rig *rig = arg;
    bool done = op->store.result == STORE_DONE;
    rig->done += done ? 1 : 0;
    rig->refused += done ? 0 : 1;
}

static void pump(void *arg)
{
    struct rig *rig = arg;
    ledger_pump(rig->ledger);
    if (rig->done + rig->refused >= rig->wanted) {
        loop_stop(rig->loop);
    }
}

static int setup(void **state)
{
    struct rig *rig = mem_zero(1, sizeof *rig);
    struct store *store = fake_init(&rig->fake);
    assert_int_equal(loop_new(&rig->loop, NULL), ERR_OK);
    assert_int_equal(ledger_new(&rig->ledger, rig->loop, &store, NULL, NULL), ERR_OK);
    loop_before_wait(rig->loop, pump, rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    ledger_free(&rig->ledger);
    loop_free(&rig->loop);
    fake_fini(&rig->fake);
    free(rig);
    return 0;
}

static void add(struct rig *rig, enum store_kind kind)
{
    ledger_add(rig->ledger, ledger_op_new(kind, note_end, rig));
}

static void run_until(struct rig *rig, size_t ended)
{
    rig->wanted = ended;
    loop_again(rig->loop); /* the hook comes before the first wait */
    assert_int_equal(loop_run(rig->loop, NULL), ERR_OK);
}

/* What a start reads must be read before the first request that comes: else that one is counted twice, for example. */
static void what_a_start_reads_stays_in_front(void **state)
{
    static const enum store_kind reads[] = {STORE_BACKLOG, STORE_KEPT, STORE_LIVE, STORE_LANES};
    enum { COUNT = sizeof reads / sizeof reads[0] };
    struct rig *rig = *state;
    rig->fake.failures = 1;
    for (size_t i = 0; i < COUNT; i++) {
        add(rig, reads[i]);
    }
    ledger_pump(rig->ledger); /* on their way, and will fail */
    add(rig, STORE_ACCEPT);
    run_until(rig, COUNT + 1);
    assert_int_equal(rig->refused, 0);
    assert_int_equal(rig->fake.kind_count, COUNT + 1);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(rig->fake.kinds[i], reads[i]);
    }
    assert_int_equal(rig->fake.kinds[COUNT], STORE_ACCEPT);
}

/* What happened is tried again in its order; what somebody waits for an answer to is refused at once. */
static void a_failed_commit_keeps_what_happened(void **state)
{
    static const enum store_kind happened[] = {STORE_MOVE, STORE_NOTE, STORE_AUDIT};
    enum { COUNT = sizeof happened / sizeof happened[0] };
    struct rig *rig = *state;
    rig->fake.failures = 1;
    for (size_t i = 0; i < COUNT; i++) {
        add(rig, happened[i]);
    }
    add(rig, STORE_ACCEPT);
    run_until(rig, 1 + COUNT);
    assert_int_equal(rig->refused, 1);
    assert_int_equal(rig->fake.kind_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(rig->fake.kinds[i], happened[i]);
    }
}

/* A question that was alone in its batch, and fails there, is refused: it must not wait for the disk. Beside others it is
 * answered with them. */
static void a_question_beside_others_stays(void **state)
{
    struct rig *rig = *state;
    rig->fake.failures = 1;
    struct ledger_op *question = ledger_op_new(STORE_COUNTS, note_end, rig);
    question->question = true;
    ledger_add(rig->ledger, question);
    add(rig, STORE_ACCEPT);
    run_until(rig, 2);
    assert_int_equal(rig->refused, 1);
    assert_int_equal(rig->fake.kind_count, 1);
    assert_int_equal(rig->fake.kinds[0], STORE_COUNTS);
}

/* For done: the engine has the next batch already, before this op is finished. */
static void wait_for_the_next_call(void *arg, struct ledger_op *op)
{
    struct rig *rig = arg;
    struct fake *fake = &rig->fake;
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    int rc = 0;
    (void)pthread_mutex_lock(&fake->mutex);
    while (fake->call_count < 2 && rc == 0) {
        rc = pthread_cond_timedwait(&fake->moved, &fake->mutex, &until);
    }
    (void)pthread_mutex_unlock(&fake->mutex);
    assert_int_equal(rc, 0);
    assert_int_equal(rig->done, 0); /* in order all the same: the next batch's ops end later */
    note_end(arg, op);
}

static void with_much_to_do_the_store_does_not_rest(void **state)
{
    struct rig *rig = *state;
    ledger_add(rig->ledger, ledger_op_new(STORE_MOVE, wait_for_the_next_call, rig));
    ledger_pump(rig->ledger);
    for (int i = 0; i < MANY; i++) {
        add(rig, STORE_MOVE);
    }
    run_until(rig, 1 + MANY);
    assert_int_equal(rig->done, 1 + MANY);
    assert_int_equal(rig->fake.call_count, 2);
}

/* With little to do the next batch waits for what the last one's ops add: one commit instead of two. */
static void add_one_more(void *arg, struct ledger_op *op)
{
    struct rig *rig = arg;
    add(rig, STORE_MOVE);
    note_end(arg, op);
}

static void with_little_to_do_it_waits_for_more(void **state)
{
    struct rig *rig = *state;
    ledger_add(rig->ledger, ledger_op_new(STORE_MOVE, add_one_more, rig));
    ledger_pump(rig->ledger);
    for (int i = 0; i < MANY - 1; i++) {
        add(rig, STORE_MOVE);
    }
    run_until(rig, 1 + MANY);
    assert_int_equal(rig->fake.call_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_start_reads_stays_in_front, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_commit_keeps_what_happened, setup, teardown),
        cmocka_unit_test_setup_teardown(a_question_beside_others_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(with_much_to_do_the_store_does_not_rest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(with_little_to_do_it_waits_for_more, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
