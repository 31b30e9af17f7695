/* The store's thread: batches come back in the order they were given, waiting batches share
 * a call, stop gives everything back. The engine is a fake that a test can hold closed, so
 * that "waiting" needs no sleep. */
#include "store_fake.h"
#include "store_thread.h"

enum { BATCHES_MAX = 2500 };

struct rig {
    struct loop *loop;
    struct fake fake;
    struct store_thread *thread;
    struct store_batch *back[BATCHES_MAX];
    size_t back_count;
    size_t wanted;
    struct store_batch *again; /* given once more when it comes back */
};

static void take(void *arg, struct store_batch *batch)
{
    struct rig *rig = arg;
    assert_true(rig->back_count < BATCHES_MAX);
    rig->back[rig->back_count++] = batch;
    if (batch == rig->again) {
        rig->again = NULL;
        store_thread_give(rig->thread, batch);
    }
}

static void pump(void *arg)
{
    struct rig *rig = arg;
    store_thread_pump(rig->thread);
    if (rig->back_count >= rig->wanted) {
        loop_stop(rig->loop);
    }
}

static int setup(void **state)
{
    struct rig *rig = mem_zero(1, sizeof *rig);
    struct store *store = fake_init(&rig->fake);
    assert_int_equal(loop_new(&rig->loop, NULL), ERR_OK);
    assert_int_equal(store_thread_start(&rig->thread, &store, NULL), ERR_OK);
    assert_null(store);
    assert_int_equal(store_thread_attach(rig->thread, rig->loop, take, rig), ERR_OK);
    loop_before_wait(rig->loop, pump, rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    store_thread_stop(&rig->thread);
    loop_free(&rig->loop);
    fake_fini(&rig->fake);
    free(rig);
    return 0;
}

static struct store_batch *new_batch(size_t ops)
{
    struct store_batch *batch = mem_zero(1, sizeof *batch);
    for (size_t i = 0; i < ops; i++) {
        batch->ops[i] = mem_zero(1, sizeof *batch->ops[i]);
        batch->ops[i]->kind = STORE_COUNTS;
    }
    batch->count = ops;
    return batch;
}

static void free_batch(struct store_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        free(batch->ops[i]);
    }
    free(batch);
}

static void run_until(struct rig *rig, size_t wanted)
{
    rig->wanted = wanted;
    assert_int_equal(loop_run(rig->loop, NULL), ERR_OK);
    assert_int_equal(rig->back_count, wanted);
}

/* Shut the gate and put one batch to stand at it; what is given after that waits. */
static void shut_gate(struct rig *rig, struct store_batch *first)
{
    (void)pthread_mutex_lock(&rig->fake.mutex);
    rig->fake.shut = true;
    (void)pthread_mutex_unlock(&rig->fake.mutex);
    store_thread_give(rig->thread, first);
    (void)pthread_mutex_lock(&rig->fake.mutex);
    while (!rig->fake.inside) {
        (void)pthread_cond_wait(&rig->fake.moved, &rig->fake.mutex);
    }
    (void)pthread_mutex_unlock(&rig->fake.mutex);
}

static void open_gate(struct rig *rig)
{
    (void)pthread_mutex_lock(&rig->fake.mutex);
    rig->fake.shut = false;
    (void)pthread_cond_broadcast(&rig->fake.moved);
    (void)pthread_mutex_unlock(&rig->fake.mutex);
}

static void batches_come_back_in_order(void **state)
{
    struct rig *rig = *state;
    static struct store_batch *given[BATCHES_MAX];
    for (size_t i = 0; i < BATCHES_MAX; i++) {
        given[i] = new_batch(1 + i % 3);
        store_thread_give(rig->thread, given[i]);
        if (i % 100 == 0) {
            assert_int_equal(loop_turn(rig->loop, 0, NULL), ERR_OK);
        }
    }
    run_until(rig, BATCHES_MAX);
    for (size_t i = 0; i < BATCHES_MAX; i++) {
        assert_ptr_equal(rig->back[i], given[i]);
        assert_int_equal(given[i]->call, STORE_CALL_DONE);
        for (size_t k = 0; k < given[i]->count; k++) {
            assert_int_equal(given[i]->ops[k]->result, STORE_DONE);
        }
        free_batch(given[i]);
    }
}

static void waiting_batches_share_a_call_up_to_its_room(void **state)
{
    struct rig *rig = *state;
    static const size_t sizes[] = {1, 1000, 1000, 1000, 1000, 96, 1, 1024};
    static const size_t calls[] = {1, 4096, 1025};
    enum { GIVEN = sizeof sizes / sizeof sizes[0] };
    shut_gate(rig, new_batch(sizes[0]));
    for (size_t i = 1; i < GIVEN; i++) {
        store_thread_give(rig->thread, new_batch(sizes[i]));
    }
    open_gate(rig);
    run_until(rig, GIVEN);
    assert_int_equal(rig->fake.call_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rig->fake.calls[i], calls[i]);
    }
    for (size_t i = 0; i < GIVEN; i++) {
        assert_int_equal(rig->back[i]->count, sizes[i]);
        free_batch(rig->back[i]);
    }
}

static void batch_that_does_not_fit_waits_for_the_next_call(void **state)
{
    struct rig *rig = *state;
    static const size_t sizes[] = {1, 1024, 1024, 1024, 1000, 100, 5};
    static const size_t calls[] = {1, 4072, 105};
    enum { GIVEN = sizeof sizes / sizeof sizes[0] };
    shut_gate(rig, new_batch(sizes[0]));
    for (size_t i = 1; i < GIVEN; i++) {
        store_thread_give(rig->thread, new_batch(sizes[i]));
    }
    open_gate(rig);
    run_until(rig, GIVEN);
    assert_int_equal(rig->fake.call_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rig->fake.calls[i], calls[i]);
    }
    for (size_t i = 0; i < GIVEN; i++) {
        assert_int_equal(rig->back[i]->count, sizes[i]);
        free_batch(rig->back[i]);
    }
}

static void failed_call_is_told_to_each_batch(void **state)
{
    struct rig *rig = *state;
    shut_gate(rig, new_batch(2));
    (void)pthread_mutex_lock(&rig->fake.mutex);
    rig->fake.answer = STORE_CALL_UNAVAILABLE;
    (void)pthread_mutex_unlock(&rig->fake.mutex);
    store_thread_give(rig->thread, new_batch(1));
    store_thread_give(rig->thread, new_batch(1));
    open_gate(rig);
    run_until(rig, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rig->back[i]->call, STORE_CALL_UNAVAILABLE);
        assert_string_equal(rig->back[i]->why.text, "disk full");
        assert_int_equal(rig->back[i]->ops[0]->result, STORE_PENDING);
        free_batch(rig->back[i]);
    }
}

static void stop_finishes_what_was_given(void **state)
{
    struct rig *rig = *state;
    struct store_batch *twice = new_batch(1);
    shut_gate(rig, new_batch(1));
    for (int i = 0; i < 20; i++) {
        store_thread_give(rig->thread, new_batch(2));
    }
    rig->again = twice; /* and what is given while stopping */
    store_thread_give(rig->thread, twice);
    open_gate(rig);
    store_thread_stop(&rig->thread);
    assert_null(rig->thread);
    assert_true(rig->fake.closed);
    assert_int_equal(rig->back_count, 23);
    assert_ptr_equal(rig->back[21], twice);
    assert_ptr_equal(rig->back[22], twice);
    for (size_t i = 0; i < 22; i++) {
        assert_int_equal(rig->back[i]->call, STORE_CALL_DONE);
        free_batch(rig->back[i]);
    }
}

static void house_is_kept_while_nothing_waits(void **state)
{
    struct rig *rig = *state;
    (void)pthread_mutex_lock(&rig->fake.mutex);
    rig->fake.idle_rounds = 3;
    while (rig->fake.idled < 3) {
        (void)pthread_cond_wait(&rig->fake.moved, &rig->fake.mutex);
    }
    (void)pthread_mutex_unlock(&rig->fake.mutex);
    store_thread_give(rig->thread, new_batch(1));
    run_until(rig, 1);
    free_batch(rig->back[0]);
}

static void answers_do_not_wait_for_the_tidying(void **state)
{
    struct rig *rig = *state;
    rig->fake.untidy = true;
    store_thread_give(rig->thread, new_batch(1));
    run_until(rig, 1);
    free_batch(rig->back[0]);
    (void)pthread_mutex_lock(&rig->fake.mutex);
    rig->fake.untidy = false;
    (void)pthread_cond_broadcast(&rig->fake.moved);
    (void)pthread_mutex_unlock(&rig->fake.mutex);
}

static void real_engine_behind_the_thread(void **state)
{
    struct rig *rig = *state;
    store_thread_stop(&rig->thread);
    struct fixture *fix = fixture_new(&store_sqlite);
    fixture_open(fix);
    assert_int_equal(store_thread_start(&rig->thread, &fix->store, NULL), ERR_OK);
    assert_int_equal(store_thread_attach(rig->thread, rig->loop, take, rig), ERR_OK);
    for (int i = 0; i < 50; i++) {
        char id[16];
        struct store_batch *batch = new_batch(1);
        (void)snprintf(id, sizeof id, "%d", i);
        *batch->ops[0] = op_accept(id);
        store_thread_give(rig->thread, batch);
    }
    run_until(rig, 50);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(rig->back[i]->ops[0]->result, STORE_DONE);
        assert_int_equal(rig->back[i]->ops[0]->accept.row.pk, i + 1);
        free_batch(rig->back[i]);
    }
    store_thread_stop(&rig->thread);
    fixture_open(fix); /* the thread closed it, so the lock is free */
    assert_int_equal(state_of(fix, "49"), STATE_ACCEPTED);
    fixture_free(fix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches_come_back_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(waiting_batches_share_a_call_up_to_its_room, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(batch_that_does_not_fit_waits_for_the_next_call, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(failed_call_is_told_to_each_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(stop_finishes_what_was_given, setup, teardown),
        cmocka_unit_test_setup_teardown(house_is_kept_while_nothing_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_do_not_wait_for_the_tidying, setup, teardown),
        cmocka_unit_test_setup_teardown(real_engine_behind_the_thread, setup, teardown),
    };
    return cmocka_run_group_tests_name("store-thread", tests, NULL, NULL);
}
