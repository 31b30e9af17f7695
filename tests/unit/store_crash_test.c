/* kill -9 at a random moment, many times over the same store: whatever was acknowledged is
 * there after the next open, and a batch is there whole or not at all. Crashes at chosen
 * points, and power cuts, are in store_power_test.c. */
#include "clock.h"
#include "store_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 12, PER_BATCH = 5, ACKS_MAX = 60, BATCHES_A_CHILD = 100000 };

static const char *id_of(char out[32], int round, int batch, int item)
{
    (void)snprintf(out, 32, "%d-%d-%d", round, batch, item);
    return out;
}

/* Accept a batch of requests and lease those of the batch before; acknowledge each commit
 * into the pipe. */
static void run_child(struct fixture *fix, int round, int out)
{
    static uint8_t body[20000];
    uint64_t pks[PER_BATCH] = {0};
    for (int batch = 0; batch < BATCHES_A_CHILD; batch++) {
        struct store_op ops[2 * PER_BATCH];
        size_t count = 0;
        for (int i = 0; i < PER_BATCH; i++) {
            char id[32];
            ops[count] = op_accept(id_of(id, round, batch, i));
            ops[count].accept.body = body;
            ops[count++].accept.body_len = (size_t)batch * 331 % sizeof body;
        }
        for (int i = 0; i < PER_BATCH && batch > 0; i++) {
            ops[count++] = op_move(pks[i], STATE_ACCEPTED, STATE_LEASED);
        }
        if (fixture_call(fix, ops, count) != STORE_CALL_DONE ||
            write(out, &batch, sizeof batch) != (ssize_t)sizeof batch) {
            _exit(1);
        }
        for (int i = 0; i < PER_BATCH; i++) {
            pks[i] = ops[i].accept.row.pk;
        }
        if (batch % 7 == 0) {
            (void)fix->engine->idle(fix->store);
        }
    }
    _exit(0);
}

/* Read an acknowledgement; false at the end. */
static bool read_ack(int fd, int *batch)
{
    ssize_t got = -1;
    do {
        got = read(fd, batch, sizeof *batch);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *batch;
}

/* Let a child work until some acknowledgements came and kill it; the last batch that it
 * acknowledged. */
static int crash_round(struct fixture *fix, int round, struct dice *dice)
{
    int pipe_fds[2];
    int last = -1;
    int stop_at = (int)dice_roll(dice, ACKS_MAX);
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(pipe_fds[0]);
        fixture_open(fix);
        run_child(fix, round, pipe_fds[1]);
    }
    (void)close(pipe_fds[1]);
    int batch = -1;
    while (batch < stop_at && read_ack(pipe_fds[0], &batch)) {
        last = batch;
    }
    /* Somewhere in the next batch: how far is up to chance. */
    for (uint64_t spin = dice_roll(dice, 400000); spin > 0; spin--) {
        __asm__ volatile("");
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    while (read_ack(pipe_fds[0], &batch)) {
        last = batch;
    }
    (void)close(pipe_fds[0]);
    return last;
}

static size_t count_of_batch(struct fixture *fix, int round, int batch, enum state wanted)
{
    size_t count = 0;
    for (int i = 0; i < PER_BATCH; i++) {
        char id[32];
        count += state_of(fix, id_of(id, round, batch, i)) == wanted ? 1 : 0;
    }
    return count;
}

/* Returns how many batches of the round are there. */
static int check_round(struct fixture *fix, int round, int acknowledged)
{
    int there = 0;
    for (int batch = 0; batch <= acknowledged + 2; batch++) {
        size_t leased = count_of_batch(fix, round, batch, STATE_LEASED);
        size_t accepted = count_of_batch(fix, round, batch, STATE_ACCEPTED);
        /* Whole or not at all. */
        assert_true(leased == 0 || leased == PER_BATCH);
        assert_true(leased + accepted == 0 || leased + accepted == PER_BATCH);
        if (batch < acknowledged) {
            assert_int_equal(leased, PER_BATCH);
        } else if (batch == acknowledged) {
            assert_int_equal(leased + accepted, PER_BATCH);
        }
        there += leased + accepted == PER_BATCH ? 1 : 0;
    }
    /* One commit can have gone without its acknowledgement, never two. */
    assert_in_range(there, acknowledged + 1, acknowledged + 2);
    return there;
}

static void acknowledged_is_there_after_kill(void **state)
{
    (void)state;
    struct dice dice = dice_new((uint64_t)clock_mono_us());
    struct fixture *fix = fixture_new(&store_sqlite);
    uint64_t epoch = 0;
    uint64_t rows = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int acknowledged = crash_round(fix, round, &dice);
        struct err_text why = {0};
        fixture_open(fix);
        assert_int_equal(fix->engine->check(fix->store, &why), ERR_OK);
        assert_true(fix->store->epoch >= epoch + 1);
        epoch = fix->store->epoch;
        rows += (uint64_t)check_round(fix, round, acknowledged) * PER_BATCH;
        struct store_op counts = {.kind = STORE_COUNTS};
        assert_int_equal(fixture_run(fix, &counts), STORE_DONE);
        assert_int_equal(counts.counts.by_state[STATE_ACCEPTED] +
                             counts.counts.by_state[STATE_LEASED],
                         rows);
        fix->engine->close(&fix->store);
    }
    fixture_free(fix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_is_there_after_kill),
    };
    return cmocka_run_group_tests_name("store-crash", tests, NULL, NULL);
}
