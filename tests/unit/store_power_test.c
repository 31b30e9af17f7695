/* Crash points: a scripted run through every move of the state table ends at each of its writes and each of its syncs in
 * turn. Then the store is opened again and compared with the reference engine: every batch that was answered DONE is there,
 * and of the one under way all or nothing.
 *
 * A crash is either a kill of the process (what was written stays, the last write perhaps by half) or a power cut: what was
 * not synced is lost, or a part of it by chance, in units of a sector. The disk is a shim below the engine's own VFS, so what
 * that one gathers in memory is lost with the process. Temporary files are left out: no commit rests on them. */
#include "clock.h"
#include "disk_shim.h"
#include "store_fixture.h"

enum {
    BATCHES_MAX = 200,
    BATCH_OPS = 6,
    GROUP = 4, /* requests that walk side by side */
    PATH_MAX_LEN = 8,
    PKS_MAX = 200,
    IDLE_EVERY = 5, /* batches until a checkpoint */
    SECTOR = 512,
    FILES_MAX = 4,
    BIG_BODY = 300000, /* more than the engine gathers into one write */
    GO_ON_EVERY = 7    /* crashes until one is followed to the script's end */
};

enum crash {
    CRASH_KILL,     /* before the write or sync */
    CRASH_TORN,     /* half of the write was done */
    CRASH_CUT,      /* nothing that was not synced is there */
    CRASH_CUT_SOME, /* of what was not synced, some sectors are there */
    CRASH_COUNT
};

/* ---- the disk ---- */

struct change {
    sqlite3_int64 at;
    int len; /* -1: cut the file off at `at` */
    uint8_t *data;
};

/* A file as it would stand after a power cut, and what was done to it since. */
struct medium {
    char name[512];
    uint8_t *bytes;
    size_t len;
    struct change *changes;
    size_t count;
};

static struct {
    struct medium files[FILES_MAX];
    size_t file_count;
    int step;     /* writes and syncs so far */
    int crash_at; /* 0 = never */
    enum crash how;
    bool dead;
    struct dice dice;
} disk;

static struct medium *medium_of(const char *name)
{
    for (size_t i = 0; i < disk.file_count; i++) {
        if (strcmp(disk.files[i].name, name) == 0) {
            return &disk.files[i];
        }
    }
    assert_true(disk.file_count < FILES_MAX);
    struct medium *medium = &disk.files[disk.file_count++];
    (void)snprintf(medium->name, sizeof medium->name, "%s", name);
    return medium;
}

static void forget_changes(struct medium *medium)
{
    for (size_t i = 0; i < medium->count; i++) {
        free(medium->changes[i].data);
    }
    free(medium->changes);
    medium->changes = NULL;
    medium->count = 0;
}

static void disk_clear(void)
{
    for (size_t i = 0; i < disk.file_count; i++) {
        forget_changes(&disk.files[i]);
        free(disk.files[i].bytes);
    }
    memset(disk.files, 0, sizeof disk.files);
    disk.file_count = 0;
    disk.step = 0;
    disk.crash_at = 0;
    disk.dead = false;
}

static void make_room(struct medium *medium, size_t len)
{
    if (len > medium->len) {
        medium->bytes = mem_resize(medium->bytes, len, 1);
        memset(medium->bytes + medium->len, 0, len - medium->len);
        medium->len = len;
    }
}

static void apply(struct medium *medium, const struct change *change, int from, int to)
{
    if (change->len < 0) {
        medium->len = (size_t)change->at < medium->len ? (size_t)change->at : medium->len;
    } else if (to > from) {
        make_room(medium, (size_t)change->at + (size_t)to);
        memcpy(medium->bytes + change->at + from, change->data + from, (size_t)(to - from));
    }
}

static void add_change(struct medium *medium, const void *data, int len, sqlite3_int64 at)
{
    medium->changes = mem_resize(medium->changes, medium->count + 1, sizeof *medium->changes);
    medium->changes[medium->count++] = (struct change){
        .at = at, .len = len, .data = len > 0 ? mem_copy(data, (size_t)len) : NULL};
}

/* True when this write or sync is the one at which everything ends. */
static bool ends_here(void)
{
    if (disk.crash_at != 0 && ++disk.step == disk.crash_at) {
        disk.dead = true;
    } else if (disk.crash_at == 0) {
        disk.step++;
    }
    return disk.dead;
}

static int on_write(struct disk_file *file, const void *data, int len, sqlite3_int64 at)
{
    if (disk.dead) {
        return SQLITE_IOERR_WRITE;
    }
    if (file->name == NULL) {
        return SQLITE_OK;
    }
    bool last = ends_here();
    add_change(medium_of(file->name), data, len, at);
    if (!last) {
        return SQLITE_OK;
    }
    if (disk.how == CRASH_TORN) {
        (void)file->real->pMethods->xWrite(file->real, data, len / 2, at);
    }
    return SQLITE_IOERR_WRITE;
}

static int on_truncate(struct disk_file *file, sqlite3_int64 size)
{
    if (disk.dead) {
        return SQLITE_IOERR_TRUNCATE;
    }
    if (file->name != NULL) {
        add_change(medium_of(file->name), NULL, -1, size);
    }
    return SQLITE_OK;
}

static int on_sync(struct disk_file *file)
{
    if (disk.dead || (file->name != NULL && ends_here())) {
        return SQLITE_IOERR_FSYNC;
    }
    if (file->name != NULL) {
        struct medium *medium = medium_of(file->name);
        for (size_t i = 0; i < medium->count; i++) {
            apply(medium, &medium->changes[i], 0, medium->changes[i].len);
        }
        forget_changes(medium);
    }
    return DISK_SKIP; /* the real disk is not what is tested */
}

static int on_open(const char *name)
{
    (void)name;
    return disk.dead ? SQLITE_CANTOPEN : SQLITE_OK;
}

static int on_remove(const char *name)
{
    if (disk.dead) {
        return SQLITE_IOERR_DELETE;
    }
    struct medium *medium = medium_of(name);
    forget_changes(medium);
    medium->len = 0;
    return SQLITE_OK;
}

/* Each sector of each change is there or not. */
static void keep_some(struct medium *medium)
{
    for (size_t i = 0; i < medium->count; i++) {
        const struct change *change = &medium->changes[i];
        if (change->len < 0) {
            apply(medium, change, 0, 0);
            continue;
        }
        for (int from = 0; from < change->len; from += SECTOR) {
            int to = from + SECTOR < change->len ? from + SECTOR : change->len;
            if (dice_roll(&disk.dice, 2) == 0) {
                apply(medium, change, from, to);
            }
        }
    }
}

/* The machine is on again. */
static void disk_revive(void)
{
    bool cut = disk.how == CRASH_CUT || disk.how == CRASH_CUT_SOME;
    for (size_t i = 0; i < disk.file_count && cut; i++) {
        struct medium *medium = &disk.files[i];
        if (disk.how == CRASH_CUT_SOME) {
            keep_some(medium);
        }
        FILE *file = fopen(medium->name, "wb");
        assert_non_null(file);
        if (medium->len > 0) { /* an empty one has no bytes to point to */
            assert_int_equal(fwrite(medium->bytes, 1, medium->len, file), medium->len);
        }
        assert_int_equal(fclose(file), 0);
    }
    disk.dead = false;
    disk.crash_at = 0;
}

/* ---- the script ---- */

struct batch {
    struct store_op ops[BATCH_OPS];
    size_t count;
};

static struct {
    struct batch batches[BATCHES_MAX];
    size_t count;
    size_t moves;
} script;

static uint8_t big_body[BIG_BODY];

/* The states on the shortest way from ACCEPTED to a state, both included; 0 = there is none. */
static size_t path_to(enum state wanted, enum state path[PATH_MAX_LEN])
{
    enum state before[STATE_COUNT] = {STATE_NONE};
    enum state queue[STATE_COUNT] = {STATE_ACCEPTED};
    bool seen[STATE_COUNT] = {[STATE_ACCEPTED] = true};
    size_t last = 1;
    for (size_t first = 0; first < last; first++) {
        for (int to = STATE_ACCEPTED; to < STATE_COUNT; to++) {
            if (!seen[to] && state_may_move(queue[first], (enum state)to)) {
                seen[to] = true;
                before[to] = queue[first];
                queue[last++] = (enum state)to;
            }
        }
    }
    size_t len = 0;
    for (enum state at = wanted; at != STATE_NONE && seen[wanted]; at = before[at]) {
        len++;
    }
    assert_in_range(len, 1, PATH_MAX_LEN - 1);
    for (size_t i = len; i > 0; i--) {
        path[i - 1] = wanted;
        wanted = before[wanted];
    }
    return len;
}

static struct store_op *script_op(size_t batch)
{
    assert_true(batch < BATCHES_MAX && script.batches[batch].count < BATCH_OPS);
    script.count = batch + 1 > script.count ? batch + 1 : script.count;
    return &script.batches[batch].ops[script.batches[batch].count++];
}

/* One request that goes through from and to; its walk begins with the batch. Returns the number of batches. */
static size_t script_walk(size_t batch, uint64_t pk, enum state from, enum state to)
{
    enum state path[PATH_MAX_LEN];
    char id[32];
    size_t len = path_to(from, path);
    path[len++] = to;
    (void)snprintf(id, sizeof id, "%s-%s", state_name(from), state_name(to));
    struct store_op *accept = script_op(batch);
    *accept = op_accept(id);
    if (pk % 9 == 0) {
        accept->accept.body = big_body;
        accept->accept.body_len = sizeof big_body;
    }
    for (size_t i = 1; i < len; i++) {
        struct store_op *op = script_op(batch + i);
        *op = op_move(pk, path[i - 1], path[i]);
        op->move.lease = pk << 8 | i;
        op->move.attempt = (uint32_t)i;
        op->move.visible_at_ms = 1000 + (int64_t)i;
        op->move.changed_at_ms = (int64_t)(2000 + 10 * pk + i);
        op->move.worker = "w1";
        op->move.reason = state_name(path[i]);
        op->move.results = (const uint8_t *)"results";
        op->move.results_len = i;
    }
    return len;
}

/* What is no walk: held and released, edited, forgotten, audited, kept. */
static void script_acts(uint64_t pk)
{
    size_t batch = script.count;
    struct store_op edit = {.kind = STORE_EDIT, .event = fixture_event, .event_len = 5};
    edit.edit.pk = pk + 1;
    edit.edit.from = STATE_ACCEPTED;
    edit.edit.profile = "other";
    edit.edit.data = (const uint8_t *)"edited";
    edit.edit.len = 6;
    struct store_op hold = {.kind = STORE_HOLD, .event = fixture_event, .event_len = 5};
    hold.hold.pk = pk;
    hold.hold.from = STATE_ACCEPTED;
    hold.hold.held = true;
    struct store_op audit = {
        .kind = STORE_AUDIT,
        .audit = {.at_ms = 3000, .data = (const uint8_t *)"who", .len = 3}};
    struct store_op keep = {.kind = STORE_KEEP,
                            .keep = {.name = "pause", .data = (const uint8_t *)"on", .len = 2}};
    struct store_op forget = {.kind = STORE_FORGET, .event = fixture_event, .event_len = 5};
    forget.forget.pk = pk + 1;
    forget.forget.from = STATE_CANCELLED;
    forget.forget.at_ms = 4000;
    *script_op(batch) = op_accept("held");
    *script_op(batch) = op_accept("edited");
    *script_op(batch++) = audit;
    *script_op(batch) = hold;
    *script_op(batch) = edit;
    *script_op(batch++) = keep;
    hold.hold.held = false;
    *script_op(batch) = hold;
    *script_op(batch++) = op_move(pk + 1, STATE_ACCEPTED, STATE_CANCELLED);
    keep.keep.data = NULL;
    *script_op(batch) = forget;
    *script_op(batch) = audit;
    *script_op(batch) = keep;
}

static void script_make(void)
{
    uint64_t pk = 0;
    size_t batch = 0;
    size_t longest = 0;
    for (int from = STATE_ACCEPTED; from < STATE_COUNT; from++) {
        for (int to = STATE_ACCEPTED; to < STATE_COUNT; to++) {
            if (!state_may_move((enum state)from, (enum state)to)) {
                continue;
            }
            size_t len = script_walk(batch, ++pk, (enum state)from, (enum state)to);
            longest = len > longest ? len : longest;
            script.moves++;
            if (pk % GROUP == 0) {
                *script_op(batch) = op_accept("ACCEPTED-LEASED"); /* known: a duplicate */
                struct store_op *note = script_op(batch + 1);
                *note = (struct store_op){.kind = STORE_NOTE,
                                          .note = {.pk = pk},
                                          .event = fixture_event,
                                          .event_len = 5};
                batch += longest;
                longest = 0;
            }
        }
    }
    script_acts(pk + 1);
    assert_true(pk + 2 < PKS_MAX);
    *script_op(script.count) = (struct store_op){
        .kind = STORE_SWEEP, .sweep = {.before_ms = 2000 + 10 * 5, .limit = 100}};
}

/* ---- pictures ---- */

/* All that a store shows. */
struct view {
    struct store_op list;
    struct store_op history;
    struct store_op audit;
    struct store_op kept;
    enum store_result bodies[PKS_MAX];
};

static void view_take(struct fixture *fix, struct view *view)
{
    view->list = (struct store_op){.kind = STORE_LIST, .list = {.limit = 1000}};
    view->history = (struct store_op){.kind = STORE_HISTORY, .history = {.limit = 5000}};
    assert_int_equal(fixture_run(fix, &view->list), STORE_DONE);
    assert_int_equal(fixture_run(fix, &view->history), STORE_DONE);
    view->audit = (struct store_op){.kind = STORE_HISTORY,
                                    .history = {.log = STORE_LOG_AUDIT, .limit = 100}};
    view->kept = (struct store_op){.kind = STORE_KEPT, .kept = {.limit = 100}};
    assert_int_equal(fixture_run(fix, &view->audit), STORE_DONE);
    assert_int_equal(fixture_run(fix, &view->kept), STORE_DONE);
    for (uint64_t pk = 0; pk < PKS_MAX; pk++) {
        struct store_op body = {.kind = STORE_BODY, .body = {.pk = pk}};
        view->bodies[pk] = fixture_run(fix, &body);
        store_op_fini(&body);
    }
}

static void view_free(struct view *view)
{
    store_op_fini(&view->list);
    store_op_fini(&view->history);
    store_op_fini(&view->audit);
    store_op_fini(&view->kept);
}

/* Two stores begin with different epochs, by chance: numbers are compared without. */
static bool same_rows(const struct view *a, const struct view *b)
{
    for (size_t i = 0; i < a->list.list.count; i++) {
        const struct store_row *x = &a->list.list.rows[i];
        const struct store_row *y = &b->list.list.rows[i];
        if (x->pk != y->pk || strcmp(x->id, y->id) != 0 || x->state != y->state ||
            x->visible_at_ms != y->visible_at_ms || x->changed_at_ms != y->changed_at_ms ||
            x->attempt != y->attempt || x->lease != y->lease || x->held != y->held ||
            strcmp(x->profile, y->profile) != 0 || strcmp(x->worker, y->worker) != 0 ||
            strcmp(x->reason, y->reason) != 0 || x->results_len != y->results_len ||
            (x->results_len > 0 && memcmp(x->results, y->results, x->results_len) != 0) ||
            sequence_of(x->last_event) != sequence_of(y->last_event)) {
            return false;
        }
    }
    return true;
}

static bool same_view(const struct view *a, const struct view *b)
{
    size_t events = a->history.history.count;
    if (a->audit.history.count != b->audit.history.count ||
        a->kept.kept.count != b->kept.kept.count || a->list.list.count != b->list.list.count ||
        events != b->history.history.count ||
        memcmp(a->bodies, b->bodies, sizeof a->bodies) != 0 || !same_rows(a, b)) {
        return false;
    }
    for (size_t i = 0; i < events; i++) {
        const struct store_event *x = &a->history.history.events[i];
        const struct store_event *y = &b->history.history.events[i];
        if (sequence_of(x->number) != sequence_of(y->number) || x->pk != y->pk ||
            x->len != y->len || memcmp(x->data, y->data, x->len) != 0) {
            return false;
        }
    }
    return true;
}

/* ---- running ---- */

/* A copy of a scripted batch, since an op holds its answer. */
static enum store_call run_batch(struct fixture *fix, size_t number, enum store_result *results)
{
    struct batch batch = script.batches[number];
    enum store_call call = fixture_call(fix, batch.ops, batch.count);
    for (size_t i = 0; i < batch.count; i++) {
        if (call == STORE_CALL_DONE && results != NULL) {
            results[i] = batch.ops[i].result;
        }
        store_op_fini(&batch.ops[i]);
    }
    return call;
}

/* What each batch leaves, by the reference engine: views[n] after n batches. */
static struct view *views;

static void reference_make(void)
{
    struct fixture *model = fixture_new(&store_memory);
    views = mem_zero(script.count + 1, sizeof *views);
    fixture_open(model);
    view_take(model, &views[0]);
    for (size_t i = 0; i < script.count; i++) {
        enum store_result results[BATCH_OPS];
        assert_int_equal(run_batch(model, i, results), STORE_CALL_DONE);
        for (size_t k = 0; k < script.batches[i].count; k++) {
            assert_true(results[k] == STORE_DONE || results[k] == STORE_DUPLICATE);
        }
        view_take(model, &views[i + 1]);
    }
    fixture_free(model);
}

/* Open (when it can be) and run until the end or the crash; how many batches were answered DONE. */
static size_t run_script(struct fixture *fix)
{
    const struct store_options options = {.folder = fix->folder,
                                          .log_bytes = FIXTURE_LOG_BYTES};
    struct err_text why = {0};
    if (fix->engine->open(&options, &fix->store, &why) != ERR_OK) {
        assert_true(disk.dead);
        return 0;
    }
    size_t done = 0;
    while (done < script.count && !disk.dead) {
        if (run_batch(fix, done, NULL) != STORE_CALL_DONE) {
            assert_true(disk.dead);
            break;
        }
        done++;
        while (done % IDLE_EVERY == 0 && !disk.dead && fix->engine->idle(fix->store)) {
        }
    }
    return done;
}

/* After the crash: what was answered is there, and one more batch at most; then it goes on. */
static void check_after(struct fixture *fix, size_t done, const char *what)
{
    struct view found;
    struct err_text why = {0};
    fixture_open(fix);
    view_take(fix, &found);
    size_t there = done;
    if (!same_view(&found, &views[done])) {
        there = done + 1;
        if (there > script.count || !same_view(&found, &views[there])) {
            fail_msg("%s: after %zu batches were answered the store shows neither %zu nor %zu",
                     what, done, done, done + 1);
        }
    }
    view_free(&found);
    if (fix->engine->check(fix->store, &why) != ERR_OK) {
        fail_msg("%s: check: %s", what, why.text);
    }
    if (disk.step % GO_ON_EVERY == 0) {
        for (size_t i = there; i < script.count; i++) {
            assert_int_equal(run_batch(fix, i, NULL), STORE_CALL_DONE);
        }
        view_take(fix, &found);
        assert_int_equal(found.list.list.count, views[script.count].list.list.count);
        assert_int_equal(found.history.history.count,
                         views[script.count].history.history.count);
        assert_memory_equal(found.bodies, views[script.count].bodies, sizeof found.bodies);
        view_free(&found);
    }
}

/* Crash at that step. False when the script ended before. */
static bool crash_at(int step, enum crash how)
{
    static const char *const names[] = {"kill", "torn", "cut", "cut-some"};
    char what[64];
    (void)snprintf(what, sizeof what, "%s at step %d", names[how], step);
    struct fixture *fix = fixture_new(&store_sqlite);
    disk_clear();
    disk.how = how;
    disk.crash_at = step;
    size_t done = run_script(fix);
    bool met = disk.dead;
    if (fix->store != NULL) {
        fix->engine->close(&fix->store);
    }
    if (met) {
        disk_revive();
        disk.step = step;
        check_after(fix, done, what);
    }
    fixture_free(fix);
    return met;
}

static void every_write_and_sync_may_be_the_last(void **state)
{
    (void)state;
    disk.dice = dice_new((uint64_t)clock_mono_us());
    for (int how = 0; how < CRASH_COUNT; how++) {
        int step = 1;
        while (crash_at(step, (enum crash)how)) {
            step++;
        }
        print_message("%zu moves in %zu batches, crash %d: %d steps\n", script.moves,
                      script.count, how, step - 1);
        assert_true(step > (int)script.count); /* each batch has its sync */
    }
    disk_clear();
}

int main(void)
{
    sqlite3_vfs shim;
    disk_hooks = (struct disk_hooks){.open = on_open,
                                     .write = on_write,
                                     .truncate = on_truncate,
                                     .sync = on_sync,
                                     .remove = on_remove};
    if (disk_shim_register(&shim, "tpn-power") != SQLITE_OK) {
        return 1;
    }
    script_make();
    reference_make();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_write_and_sync_may_be_the_last),
    };
    int failed = cmocka_run_group_tests_name("store-power", tests, NULL, NULL);
    for (size_t i = 0; i <= script.count; i++) {
        view_free(&views[i]);
    }
    free(views);
    (void)sqlite3_vfs_unregister(&shim);
    return failed;
}
