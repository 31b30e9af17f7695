/* The SQLite engine on a disk that fails: every write, sync and open of a batch fails in
 * turn, for once or for good. After each the answer must be true: DONE is on disk,
 * UNAVAILABLE left no trace, UNKNOWN is found out later; no event number is lost, counts are
 * right, and the store works again when the disk does. The faults come from a VFS in front
 * of SQLite's own (sqlite.org/vfs.html). */
#include "disk_shim.h"
#include "store_fixture.h"

enum fault_mode { FAULT_NONE, FAULT_ONCE, FAULT_FOR_GOOD, FAULT_UNTIL_OPEN };

/* SQLite's VFS interface has no argument of ours on its way, so these are the file's own. */
static struct {
    enum fault_mode mode;
    int countdown; /* steps to the first failure */
    int code;      /* what fails: FULL writes, IOERR_FSYNC syncs, CANTOPEN opens */
    int fired;
} fault;

static bool fails(int code)
{
    if (fault.mode == FAULT_NONE || fault.code != code || --fault.countdown > 0) {
        return false;
    }
    if (fault.mode == FAULT_ONCE) {
        fault.mode = FAULT_NONE;
    }
    fault.fired++;
    return true;
}

static int failing_write(struct disk_file *file, const void *data, int len, sqlite3_int64 at)
{
    (void)file;
    (void)data;
    (void)len;
    (void)at;
    return fails(SQLITE_FULL) ? SQLITE_FULL : SQLITE_OK;
}

static int failing_sync(struct disk_file *file)
{
    (void)file;
    return fails(SQLITE_IOERR_FSYNC) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int failing_open(const char *name)
{
    (void)name;
    if (fault.mode == FAULT_UNTIL_OPEN && fault.fired > 0) {
        fault.mode = FAULT_NONE;
    }
    return fails(SQLITE_CANTOPEN) ? SQLITE_CANTOPEN : SQLITE_OK;
}

/* The state of a store as others see it. */
struct picture {
    size_t rows;
    uint64_t leased;
    uint64_t sequence;
};

static struct picture look(struct fixture *fix)
{
    struct picture picture = {0};
    struct store_op ops[] = {
        {.kind = STORE_LIST, .list = {.limit = 1000}},
        {.kind = STORE_COUNTS},
        {.kind = STORE_HISTORY, .history = {.limit = 1000}},
    };
    uint64_t by_state[STATE_COUNT] = {0};
    assert_int_equal(fixture_call(fix, ops, 3), STORE_CALL_DONE);
    for (size_t i = 0; i < ops[0].list.count; i++) {
        by_state[ops[0].list.rows[i].state]++;
    }
    assert_memory_equal(by_state, ops[1].counts.by_state, sizeof by_state);
    for (size_t i = 0; i < ops[2].history.count; i++) {
        assert_int_equal(sequence_of(ops[2].history.events[i].number), i + 1);
    }
    picture.rows = ops[0].list.count;
    picture.leased = by_state[STATE_LEASED];
    picture.sequence = ops[2].history.count;
    store_op_fini(&ops[0]);
    store_op_fini(&ops[2]);
    return picture;
}

/* More than the engine gathers into one write, and more than its page cache holds. */
enum { BODY_BYTES = 400000, HUGE_BODY_BYTES = 12 * 1024 * 1024 };

/* One move, one duplicate and one accept. */
static void make_batch(struct store_op ops[3], const uint8_t *body, size_t body_len)
{
    ops[0] = op_move(1, STATE_ACCEPTED, STATE_LEASED);
    ops[1] = op_accept("old");
    ops[2] = op_accept("new");
    ops[2].accept.body = body;
    ops[2].accept.body_len = body_len;
}

static void assert_done(struct store_op ops[3])
{
    assert_int_equal(ops[0].result, STORE_DONE);
    assert_int_equal(ops[1].result, STORE_DUPLICATE);
    assert_int_equal(ops[2].result, STORE_DONE);
}

static void assert_untouched(struct store_op ops[3])
{
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ops[i].result, STORE_PENDING);
        assert_int_equal(ops[i].event_number, 0);
    }
    assert_string_equal(ops[1].accept.row.id, "old");
    assert_int_equal(ops[1].accept.row.pk, 0);
    assert_int_equal(ops[2].accept.row.pk, 0);
}

struct fault_case {
    const char *name;
    enum fault_mode mode;
    int code;
    enum store_call must_see;
    size_t body_len;
};

/* Run the batch with the fault at step n. Returns whether the fault was met. */
static bool run_with_fault(const struct fault_case *row, int n, size_t seen[4])
{
    uint8_t *body = mem_zero(1, row->body_len);
    struct fixture *fix = fixture_new(&store_sqlite);
    fixture_open(fix);
    put_request(fix, "old");
    struct store_op ops[3];
    make_batch(ops, body, row->body_len);
    fault.mode = row->mode;
    fault.code = row->code;
    fault.countdown = n;
    fault.fired = 0;
    enum store_call call = fixture_call(fix, ops, 3);
    seen[call]++;
    bool met = fault.fired > 0;
    if (call == STORE_CALL_DONE) {
        assert_done(ops);
    } else {
        assert_untouched(ops);
        if (fault.mode == FAULT_FOR_GOOD) {
            struct store_op more = op_accept("more");
            assert_int_equal(fixture_call(fix, &more, 1), STORE_CALL_UNAVAILABLE);
        }
    }
    fault.mode = FAULT_NONE;
    struct picture picture = look(fix);
    if (call != STORE_CALL_UNKNOWN) {
        size_t done = call == STORE_CALL_DONE ? 1 : 0;
        assert_int_equal(picture.rows, 1 + done);
        assert_int_equal(picture.leased, done);
        assert_int_equal(picture.sequence, 1 + 2 * done);
    }
    /* The same batch again brings it to its end whatever happened. */
    make_batch(ops, body, row->body_len);
    assert_int_equal(fixture_call(fix, ops, 3), STORE_CALL_DONE);
    fixture_reopen(fix);
    picture = look(fix);
    assert_int_equal(picture.rows, 2);
    assert_int_equal(picture.leased, 1);
    assert_int_equal(picture.sequence, 3);
    struct err_text why = {0};
    assert_int_equal(fix->engine->check(fix->store, &why), ERR_OK);
    fixture_free(fix);
    free(body);
    return met;
}

static void every_fault_is_answered_truly(void **state)
{
    (void)state;
    static const struct fault_case rows[] = {
        {"one write fails", FAULT_ONCE, SQLITE_FULL, STORE_CALL_UNAVAILABLE, BODY_BYTES},
        {"disk full", FAULT_FOR_GOOD, SQLITE_FULL, STORE_CALL_UNAVAILABLE, BODY_BYTES},
        {"one sync fails", FAULT_ONCE, SQLITE_IOERR_FSYNC, STORE_CALL_UNAVAILABLE, BODY_BYTES},
        {"no sync works", FAULT_FOR_GOOD, SQLITE_IOERR_FSYNC, STORE_CALL_UNKNOWN, BODY_BYTES},
        /* The log keeps the commit, and the next opening finds it. */
        {"no sync until reopened", FAULT_UNTIL_OPEN, SQLITE_IOERR_FSYNC, STORE_CALL_DONE,
         BODY_BYTES},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t seen[4] = {0};
        int n = 1;
        while (run_with_fault(&rows[i], n, seen)) {
            n++;
        }
        /* The last run met no fault and was done. */
        size_t wanted = rows[i].must_see == STORE_CALL_DONE ? 2 : 1;
        print_message("%s: %d steps, done %zu, unavailable %zu, unknown %zu\n", rows[i].name,
                      n - 1, seen[0], seen[1], seen[2]);
        assert_true(n > 1);
        assert_true(seen[rows[i].must_see] >= wanted);
        assert_int_equal(seen[STORE_CALL_FATAL], 0);
    }
}

/* A body larger than the page cache is written to the log before the commit, so the accept
 * itself fails. */
static void fault_inside_the_batch_rolls_back(void **state)
{
    (void)state;
    static const struct fault_case row = {"huge", FAULT_ONCE, SQLITE_FULL,
                                          STORE_CALL_UNAVAILABLE, HUGE_BODY_BYTES};
    size_t seen[4] = {0};
    for (int n = 1; n <= 100; n *= 10) {
        assert_true(run_with_fault(&row, n, seen));
    }
    assert_int_equal(seen[STORE_CALL_UNAVAILABLE], 3);
}

int main(void)
{
    sqlite3_vfs shim;
    disk_hooks =
        (struct disk_hooks){.open = failing_open, .write = failing_write, .sync = failing_sync};
    if (disk_shim_register(&shim, "tpn-faults") != SQLITE_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_is_answered_truly),
        cmocka_unit_test(fault_inside_the_batch_rolls_back),
    };
    int failed = cmocka_run_group_tests_name("store-fault", tests, NULL, NULL);
    (void)sqlite3_vfs_unregister(&shim);
    return failed;
}
