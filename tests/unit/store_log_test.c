/* The contract of the store, second part: what is kept beside the requests (labels, holds, edits, kept values), the two
 * chained logs, and how an older file is brought up to date. Every test of the first table runs on every engine. */
#include "store_contract.h"

#include <sqlite3.h>

static const int64_t day_ms = CHAIN_DAY_MS;

/* ---- labels, supersede keys ---- */

static struct store_op op_labelled(const char *id, const char *labels)
{
    struct store_op op = op_accept(id);
    op.accept.labels = labels;
    return op;
}

static size_t count_listed(struct fixture *fix, const struct store_op *wish)
{
    struct store_op op = *wish;
    size_t count = 0;
    op.kind = STORE_LIST;
    op.list.limit = 3;
    do {
        assert_int_equal(fixture_run(fix, &op), STORE_DONE);
        count += op.list.count;
        op.list.after = op.list.next;
        store_op_fini(&op);
    } while (op.list.next != 0);
    return count;
}

static void labels_come_back_and_find_their_requests(void **state)
{
    struct fixture *fix = *state;
    for (int i = 0; i < 20; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "id-%d", i);
        struct store_op op =
            op_labelled(id, i % 2 == 0 ? "asset=17\nroom=b 4\n" : "asset=18\n");
        assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    }
    struct store_op get = {.kind = STORE_GET, .get = {.id = "id-2"}};
    assert_int_equal(fixture_run(fix, &get), STORE_DONE);
    assert_string_equal(get.get.row.labels, "asset=17\nroom=b 4\n");
    store_op_fini(&get);
    assert_null(get.get.row.labels);
    const struct {
        struct store_op wish;
        size_t wanted;
    } rows[] = {
        {{.list = {.label = "asset=17"}}, 10},
        {{.list = {.label = "room=b 4"}}, 10},
        {{.list = {.label = "asset=1"}}, 0},
        {{.list = {.label = "asset=18", .id_prefix = "id-1"}}, 6},
        {{.list = {.label = "asset=18", .states = 1u << STATE_SENT}}, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(count_listed(fix, &rows[i].wish), rows[i].wanted);
    }
}

static void bad_labels_are_refused(void **state)
{
    struct fixture *fix = *state;
    char many[STORE_LABELS_MAX * 8 + 16] = "";
    char wide[STORE_LABEL_BYTES + 8];
    for (int i = 0; i <= STORE_LABELS_MAX; i++) {
        (void)snprintf(many + strlen(many), 8, "a=%d\n", i);
    }
    memset(wide, 'x', sizeof wide);
    wide[sizeof wide - 2] = '\n';
    wide[sizeof wide - 1] = '\0';
    const char *const rows[] = {"a=b", "\n", "a=b\n\n", many, wide};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_op op = op_labelled("a", rows[i]);
        assert_int_equal(fixture_run(fix, &op), STORE_REFUSED);
        assert_non_null(strstr(op.why.text, "labels:"));
    }
}

static void supersede_key_finds_what_is_not_final(void **state)
{
    struct fixture *fix = *state;
    for (int i = 0; i < 6; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "id-%d", i);
        struct store_op op = op_accept(id);
        (void)snprintf(op.accept.row.supersede_key, STORE_SUPERSEDE_BYTES, "item %d", i % 2);
        if (i == 5) {
            (void)snprintf(op.accept.row.producer, STORE_PRODUCER_BYTES, "script");
        }
        assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    }
    put_request(fix, "without");
    put_move(fix, 1, STATE_ACCEPTED, STATE_CANCELLED);
    const struct store_op wish = {.list = {.producer = "trackpro", .supersede_key = "item 0"}};
    assert_int_equal(count_listed(fix, &wish), 2);
    const struct store_op any = {.list = {.supersede_key = "item 1"}};
    assert_int_equal(count_listed(fix, &any), 3);
    const struct store_op none = {.list = {.producer = "trackpro", .supersede_key = ""}};
    assert_int_equal(count_listed(fix, &none), 0);
}

static void list_by_age(void **state)
{
    struct fixture *fix = *state;
    for (int i = 1; i <= 9; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "id-%d", i);
        struct store_op op = op_accept(id);
        op.accept.row.accepted_at_ms = 1000 * i;
        assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    }
    const struct store_op wish = {.list = {.since_ms = 3000, .before_ms = 6000}};
    assert_int_equal(count_listed(fix, &wish), 3);
}

/* ---- hold, edit ---- */

static size_t count_due(struct fixture *fix)
{
    struct store_op op = {
        .kind = STORE_DUE,
        .due = {.lane = {"office", "trackpro", 2}, .now_ms = 5000, .limit = 9}};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    size_t count = op.due.count;
    store_op_fini(&op);
    return count;
}

static uint64_t count_held(struct fixture *fix)
{
    struct store_op op = {.kind = STORE_COUNTS};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    return op.counts.held;
}

static void held_takes_no_turn_until_released(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "a");
    put_request(fix, "b");
    struct store_op hold = op_hold(pk, STATE_ACCEPTED, true);
    assert_int_equal(fixture_run(fix, &hold), STORE_DONE);
    assert_int_equal(sequence_of(hold.event_number), 3);
    assert_int_equal(count_due(fix), 1);
    assert_int_equal(count_held(fix), 1);
    struct store_op lease = op_move(pk, STATE_ACCEPTED, STATE_LEASED);
    assert_int_equal(fixture_run(fix, &lease), STORE_STALE);
    struct store_op again = op_hold(pk, STATE_ACCEPTED, true);
    assert_int_equal(fixture_run(fix, &again), STORE_REFUSED);
    assert_string_equal(again.why.text, "it is held already");
    struct store_op wish = {.list = {.held_only = true}};
    assert_int_equal(count_listed(fix, &wish), 1);
    if (fix->engine->name[0] == 's') {
        fixture_reopen(fix);
        assert_int_equal(count_due(fix), 1);
        assert_int_equal(count_held(fix), 1);
    }
    struct store_op release = op_hold(pk, STATE_ACCEPTED, false);
    assert_int_equal(fixture_run(fix, &release), STORE_DONE);
    assert_int_equal(count_due(fix), 2);
    assert_int_equal(count_held(fix), 0);
    put_move(fix, pk, STATE_ACCEPTED, STATE_LEASED);
}

static void a_move_ends_a_hold(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "a");
    struct store_op hold = op_hold(pk, STATE_ACCEPTED, true);
    assert_int_equal(fixture_run(fix, &hold), STORE_DONE);
    put_move(fix, pk, STATE_ACCEPTED, STATE_CANCELLED);
    assert_int_equal(count_held(fix), 0);
    put_move(fix, pk, STATE_CANCELLED, STATE_ACCEPTED);
    assert_int_equal(count_due(fix), 1);
}

static void holds_are_for_what_waits(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "a");
    struct store_op release = op_hold(pk, STATE_ACCEPTED, false);
    assert_int_equal(fixture_run(fix, &release), STORE_REFUSED);
    assert_string_equal(release.why.text, "it is not held");
    put_move(fix, pk, STATE_ACCEPTED, STATE_LEASED);
    struct store_op stale = op_hold(pk, STATE_ACCEPTED, true);
    assert_int_equal(fixture_run(fix, &stale), STORE_STALE);
    struct store_op leased = op_hold(pk, STATE_LEASED, true);
    assert_int_equal(fixture_run(fix, &leased), STORE_REFUSED);
    struct store_op nobody = op_hold(99, STATE_ACCEPTED, true);
    assert_int_equal(fixture_run(fix, &nobody), STORE_NOT_FOUND);
}

static struct store_op op_edit(uint64_t pk, enum state from, const char *data)
{
    struct store_op op = {.kind = STORE_EDIT, .event = fixture_event, .event_len = 5};
    op.edit.pk = pk;
    op.edit.from = from;
    op.edit.data = (const uint8_t *)data;
    op.edit.len = strlen(data);
    op.edit.changed_at_ms = 3000;
    return op;
}

static void edits_stand_beside_the_body(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "a");
    struct store_op op = op_edit(pk, STATE_ACCEPTED, "first");
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    op = op_edit(pk, STATE_ACCEPTED, "second");
    op.edit.profile = "lab";
    op.edit.results = (const uint8_t *)"r";
    op.edit.results_len = 1;
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    struct store_op body = {.kind = STORE_BODY, .body = {.pk = pk}};
    assert_int_equal(fixture_run(fix, &body), STORE_DONE);
    assert_memory_equal(body.body.data, "the body", 8);
    assert_int_equal(body.body.edit_len, 6);
    assert_memory_equal(body.body.edit, "second", 6);
    store_op_fini(&body);
    struct store_op get = {.kind = STORE_GET, .get = {.id = "a"}};
    assert_int_equal(fixture_run(fix, &get), STORE_DONE);
    assert_string_equal(get.get.row.profile, "lab");
    assert_int_equal(get.get.row.results_len, 1);
    assert_int_equal(get.get.row.last_event, op.event_number);
    store_op_fini(&get);
    assert_int_equal(count_due(fix), 0); /* it stands in the lane of the other profile */
}

static void what_somebody_has_is_not_edited(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "a");
    put_move(fix, pk, STATE_ACCEPTED, STATE_LEASED);
    struct store_op stale = op_edit(pk, STATE_ACCEPTED, "x");
    assert_int_equal(fixture_run(fix, &stale), STORE_STALE);
    const enum state never[] = {STATE_LEASED, STATE_PERMITTED, STATE_SENT, STATE_HANDED_OFF};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        struct store_op op = op_edit(pk, never[i], "x");
        assert_int_equal(fixture_run(fix, &op), STORE_REFUSED);
    }
    struct store_op nobody = op_edit(99, STATE_ACCEPTED, "x");
    assert_int_equal(fixture_run(fix, &nobody), STORE_NOT_FOUND);
}

static void what_is_forgotten_leaves_its_history(void **state)
{
    struct fixture *fix = *state;
    struct store_op op = op_labelled("a", "asset=17\n");
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    uint64_t pk = op.accept.row.pk;
    struct store_op forget = {.kind = STORE_FORGET, .event = fixture_event, .event_len = 5};
    forget.forget.pk = pk;
    forget.forget.from = STATE_ACCEPTED;
    assert_int_equal(fixture_run(fix, &forget), STORE_REFUSED);
    put_move(fix, pk, STATE_ACCEPTED, STATE_CANCELLED);
    forget.forget.from = STATE_FAILED;
    assert_int_equal(fixture_run(fix, &forget), STORE_STALE);
    forget.forget.from = STATE_CANCELLED;
    assert_int_equal(fixture_run(fix, &forget), STORE_DONE);
    assert_int_equal(fixture_run(fix, &forget), STORE_NOT_FOUND);
    assert_int_equal(state_of(fix, "a"), STATE_NONE);
    struct store_op history = {.kind = STORE_HISTORY,
                               .history = {.label = "asset=17", .limit = 100}};
    assert_int_equal(fixture_run(fix, &history), STORE_DONE);
    assert_int_equal(history.history.count, 3);
    assert_true(history.history.events[2].matches);
    store_op_fini(&history);
    struct err_text why = {0};
    assert_int_equal(fix->engine->check(fix->store, &why), ERR_OK);
    assert_int_equal(put_request(fix, "a"), pk + 1);
}

/* ---- kept values ---- */

static void put_value(struct fixture *fix, const char *name, const char *value)
{
    struct store_op op = {.kind = STORE_KEEP, .keep = {.name = name}};
    op.keep.data = (const uint8_t *)value;
    op.keep.len = value != NULL ? strlen(value) : 0;
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
}

static void kept_values_come_back_by_prefix(void **state)
{
    struct fixture *fix = *state;
    put_value(fix, "pause/b", "2");
    put_value(fix, "pause/a", "1");
    put_value(fix, "pauses", "x");
    put_value(fix, "pause/a", "one");
    put_value(fix, "other", "");
    put_value(fix, "gone", "y");
    put_value(fix, "gone", NULL);
    if (fix->engine->name[0] == 's') {
        fixture_reopen(fix);
    }
    struct store_op op = {.kind = STORE_KEPT, .kept = {.prefix = "pause/", .limit = 10}};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    assert_int_equal(op.kept.count, 2);
    assert_string_equal(op.kept.values[0].name, "pause/a");
    assert_memory_equal(op.kept.values[0].data, "one", 3);
    assert_string_equal(op.kept.values[1].name, "pause/b");
    store_op_fini(&op);
    op = (struct store_op){.kind = STORE_KEPT, .kept = {.prefix = "pauses", .limit = 10}};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    assert_int_equal(op.kept.count, 1); /* a whole name */
    store_op_fini(&op);
    op = (struct store_op){.kind = STORE_KEPT, .kept = {.after = "pause/a", .limit = 10}};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    assert_int_equal(op.kept.count, 2);
    store_op_fini(&op);
    op = (struct store_op){.kind = STORE_KEPT, .kept = {.limit = 3}};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    assert_int_equal(op.kept.count, 3);
    store_op_fini(&op);
}

/* ---- the logs ---- */

static struct store_op op_audit(int64_t at_ms, const char *text)
{
    struct store_op op = {.kind = STORE_AUDIT, .audit = {.at_ms = at_ms}};
    op.audit.data = (const uint8_t *)text;
    op.audit.len = strlen(text);
    return op;
}

/* Every entry of a log is what its chain value says, from the begin of each day to its head. */
static size_t verify_log(struct fixture *fix, enum store_log log)
{
    struct digest_maker *maker = digest_maker_new();
    struct store_op days = {.kind = STORE_SEGMENTS, .segments = {.log = log, .limit = 1000}};
    struct store_op all = {.kind = STORE_HISTORY, .history = {.log = log, .limit = 100000}};
    assert_int_equal(fixture_run(fix, &days), STORE_DONE);
    assert_int_equal(fixture_run(fix, &all), STORE_DONE);
    struct chain chain = {0};
    size_t at = 0;
    for (size_t i = 0; i < days.segments.count; i++) {
        const struct store_segment *day = &days.segments.segments[i];
        assert_memory_equal(day->chain.start, chain.head, DIGEST_BYTES);
        chain_turn(&chain, maker, day->chain.day);
        for (; !day->swept && at < all.history.count &&
               all.history.events[at].number <= day->chain.last;
             at++) {
            const struct store_event *event = &all.history.events[at];
            const struct chain_entry entry = {.number = event->number,
                                              .request = event->pk,
                                              .at_ms = event->at_ms,
                                              .data = event->data,
                                              .len = event->len};
            chain_add(&chain, maker, &entry);
            assert_true(event->chained);
            assert_memory_equal(event->chain, chain.head, DIGEST_BYTES);
        }
        if (!day->swept) {
            assert_int_equal(chain.count, day->chain.count);
            assert_memory_equal(chain.head, day->chain.head, DIGEST_BYTES);
        }
        memcpy(chain.head, day->chain.head, DIGEST_BYTES);
        assert_int_equal(day->open, i + 1 == days.segments.count);
    }
    assert_int_equal(at, all.history.count);
    store_op_fini(&days);
    store_op_fini(&all);
    digest_maker_free(&maker);
    return at;
}

/* Three requests, each accepted and cancelled on a day of its own: days 10, 11, 12. */
static void fill_days(struct fixture *fix)
{
    for (int i = 0; i < 3; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "day-%d", i);
        struct store_op op = op_labelled(id, "asset=17\n");
        op.accept.row.accepted_at_ms = (10 + i) * day_ms;
        assert_int_equal(fixture_run(fix, &op), STORE_DONE);
        struct store_op move = op_move(op.accept.row.pk, STATE_ACCEPTED, STATE_CANCELLED);
        move.move.changed_at_ms = (10 + i) * day_ms + 5;
        assert_int_equal(fixture_run(fix, &move), STORE_DONE);
        struct store_op audit = op_audit((10 + i) * day_ms, "ann cancelled it");
        assert_int_equal(fixture_run(fix, &audit), STORE_DONE);
        assert_int_equal(audit.audit.number, i + 1);
    }
}

static void logs_are_chained_by_day(void **state)
{
    struct fixture *fix = *state;
    fill_days(fix);
    assert_int_equal(verify_log(fix, STORE_LOG_EVENTS), 6);
    assert_int_equal(verify_log(fix, STORE_LOG_AUDIT), 3);
    struct store_op days = {.kind = STORE_SEGMENTS, .segments = {.limit = 2}};
    assert_int_equal(fixture_run(fix, &days), STORE_DONE);
    assert_int_equal(days.segments.count, 2);
    uint64_t after = days.segments.segments[1].chain.first;
    assert_int_equal(days.segments.segments[1].chain.day, 11);
    assert_false(days.segments.segments[1].open);
    store_op_fini(&days);
    days = (struct store_op){.kind = STORE_SEGMENTS, .segments = {.limit = 2, .after = after}};
    assert_int_equal(fixture_run(fix, &days), STORE_DONE);
    assert_int_equal(days.segments.count, 1);
    assert_true(days.segments.segments[0].open);
    store_op_fini(&days);
}

/* The retention of the rows and that of the logs are apart; labels find the history of rows that are gone. */
static void history_goes_by_whole_days_and_leaves_its_chain(void **state)
{
    struct fixture *fix = *state;
    fill_days(fix);
    struct store_op rows = {.kind = STORE_SWEEP,
                            .sweep = {.before_ms = 13 * day_ms, .limit = 100}};
    assert_int_equal(fixture_run(fix, &rows), STORE_DONE);
    assert_int_equal(rows.sweep.swept, 3);
    assert_int_equal(rows.sweep.history_swept, 0);
    struct store_op history = {.kind = STORE_HISTORY,
                               .history = {.label = "asset=17", .limit = 100}};
    assert_int_equal(fixture_run(fix, &history), STORE_DONE);
    assert_int_equal(history.history.count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_true(history.history.events[i].matches);
    }
    store_op_fini(&history);
    struct store_op wish = {.list = {.label = "asset=17"}};
    assert_int_equal(count_listed(fix, &wish), 0);

    struct store_op early = {.kind = STORE_SWEEP,
                             .sweep = {.history_before_ms = 11 * day_ms - 1, .limit = 100}};
    assert_int_equal(fixture_run(fix, &early), STORE_DONE);
    assert_int_equal(early.sweep.history_swept, 0); /* day 10 is not over by then */
    struct store_op step = {.kind = STORE_SWEEP,
                            .sweep = {.history_before_ms = 12 * day_ms, .limit = 1}};
    size_t swept = 0;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(fixture_run(fix, &step), STORE_DONE);
        assert_true(step.sweep.history_swept <= 1);
        swept += step.sweep.history_swept;
    }
    assert_int_equal(swept, 6); /* days 10 and 11 of both logs */
    assert_false(step.sweep.more);
    assert_int_equal(verify_log(fix, STORE_LOG_EVENTS), 2);
    assert_int_equal(verify_log(fix, STORE_LOG_AUDIT), 1);
    struct store_op days = {.kind = STORE_SEGMENTS, .segments = {.limit = 10}};
    assert_int_equal(fixture_run(fix, &days), STORE_DONE);
    assert_int_equal(days.segments.count, 3);
    assert_true(days.segments.segments[0].swept && days.segments.segments[1].swept);
    assert_false(days.segments.segments[2].swept);
    store_op_fini(&days);
    struct err_text why = {0};
    if (fix->engine->check(fix->store, &why) != ERR_OK) {
        fail_msg("check: %s", why.text);
    }
}

static void a_present_day_never_goes(void **state)
{
    struct fixture *fix = *state;
    fill_days(fix);
    struct store_op all = {.kind = STORE_SWEEP,
                           .sweep = {.history_before_ms = 1000 * day_ms, .limit = 100}};
    assert_int_equal(fixture_run(fix, &all), STORE_DONE);
    assert_int_equal(all.sweep.history_swept, 6);
    assert_int_equal(verify_log(fix, STORE_LOG_EVENTS), 2);
}

static void refused_ops_of_this_part(void **state)
{
    struct fixture *fix = *state;
    struct store_op ops[] = {
        {.kind = STORE_AUDIT},
        {.kind = STORE_SEGMENTS, .segments = {.limit = 0}},
        {.kind = STORE_SEGMENTS, .segments = {.log = STORE_LOG_COUNT, .limit = 1}},
        {.kind = STORE_HISTORY, .history = {.log = STORE_LOG_AUDIT, .pk = 1, .limit = 1}},
        {.kind = STORE_HISTORY, .history = {.log = STORE_LOG_COUNT, .limit = 1}},
        {.kind = STORE_KEEP, .keep = {.name = ""}},
        {.kind = STORE_KEPT},
        {.kind = STORE_EDIT, .edit = {.pk = 1, .from = STATE_ACCEPTED}},
    };
    enum { COUNT = sizeof ops / sizeof ops[0] };
    assert_int_equal(fixture_call(fix, ops, COUNT), STORE_CALL_DONE);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(ops[i].result, STORE_REFUSED);
        assert_true(ops[i].why.text[0] != '\0');
    }
}

/* ---- on disk only ---- */

static void chains_go_on_after_a_restart(void **state)
{
    struct fixture *fix = *state;
    fill_days(fix);
    fixture_reopen(fix);
    put_request(fix, "later");
    struct store_op audit = op_audit(12 * day_ms, "bob looked");
    assert_int_equal(fixture_run(fix, &audit), STORE_DONE);
    assert_int_equal(audit.audit.number, 4);
    assert_int_equal(verify_log(fix, STORE_LOG_EVENTS), 7);
    assert_int_equal(verify_log(fix, STORE_LOG_AUDIT), 4);
}

/* Change the closed store by hand. */
static void run_sql(struct fixture *fix, const char *sql)
{
    char *path = path_join(fix->folder, "store.db");
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        fail_msg("%s: %s", sql, why);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    free(path);
}

static void check_finds_what_was_done_to_the_logs(void **state)
{
    struct fixture *fix = *state;
    static const struct {
        const char *name;
        const char *sql;
        const char *said;
    } rows[] = {
        {"an event was changed",
         "update history set event = x'6576656e75' where request = 2 and prev = 0",
         "1970-01-12: it was changed"},
        {"its time was changed",
         "update history set at = at + 1 where request = 2 and prev = 0", "it was changed"},
        {"an event is missing",
         "update history set prev = 0; delete from history where request = 2 and number ="
         " (select min(number) from history where request = 2)",
         "one before it is missing"},
        {"the last event of a day is missing",
         "update request set last_event = 0 where pk = 2; delete from history where request = 2"
         " and prev <> 0",
         "does not end in it"},
        {"the newest event is missing",
         "update request set last_event = 0 where pk = 3; delete from history where request = 3"
         " and prev <> 0",
         "does not end in it"},
        {"two events changed places",
         "update history set event = x'00', at = at + 5 where request = 3 and prev = 0;"
         "update history set at = at - 5 where request = 3 and prev <> 0",
         "it was changed"},
        {"an event was added",
         "insert into history select max(number) + 1, 3, 0, at, event,"
         " chain from history",
         "in no day's chain"},
        {"a day is missing", "delete from segment where log = 0 and day = 11", "1970-01-1"},
        {"a day was called swept",
         "update segment set swept = 2, head = zeroblob(32)"
         " where log = 0 and day = 11",
         "does not begin where"},
        {"an audit record was changed", "update audit set record = x'00' where number = 2",
         "audit record 2 of 1970-01-12: it was changed"},
        {"an audit record is missing", "delete from audit where number = 1",
         "does not end in it"},
    };
    (void)fix;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *own = fixture_new(&store_sqlite);
        struct err_text why = {0};
        fixture_open(own);
        fill_days(own);
        assert_int_equal(own->engine->check(own->store, &why), ERR_OK);
        own->engine->close(&own->store);
        run_sql(own, rows[i].sql);
        fixture_open(own);
        if (own->engine->check(own->store, &why) != ERR_STORAGE ||
            strstr(why.text, rows[i].said) == NULL) {
            fail_msg("%s: %s", rows[i].name, why.text);
        }
        fixture_free(own);
    }
}

/* ---- migration ---- */

/* The text of a schema, one table or index a line, blanks and order of no account. */
static char *read_schema(const char *folder)
{
    char *path = path_join(folder, "store.db");
    struct buf out;
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    buf_init(&out, 65536);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "select m.name, p.name, p.type, p.\"notnull\","
                                        " coalesce(p.dflt_value, 'none'), p.pk"
                                        " from sqlite_schema m, pragma_table_info(m.name) p"
                                        " union all select name, tbl_name, case type when"
                                        " 'index' then sql end, 0, '', 0 from sqlite_schema"
                                        " order by 1, 2, 3",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        for (int i = 0; i < 6; i++) {
            const char *text = (const char *)sqlite3_column_text(statement, i);
            buf_add_text(&out, text != NULL ? text : "-");
            buf_add_char(&out, i < 5 ? ' ' : '\n');
        }
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    free(path);
    return buf_take(&out);
}

/* A store that the program of version 1 wrote: sent, partly and failed are final, deferred and waits are not. */
static struct fixture *old_store(void)
{
    struct fixture *fix = fixture_new(&store_sqlite);
    struct buf file;
    char *path = path_join(fix->folder, "store.db");
    buf_init(&file, 1 << 20);
    assert_int_equal(path_read(TPN_SOURCE_DIR "/tests/data/store-1.db", &file, NULL), ERR_OK);
    assert_int_equal(path_write(path, file.data, file.len, 0600, NULL), ERR_OK);
    buf_fini(&file);
    free(path);
    return fix;
}

static void an_older_store_is_brought_up_to_date(void **state)
{
    struct fixture *fresh = *state;
    struct fixture *fix = old_store();
    struct err_text why = {0};
    fixture_open(fix);
    if (fix->engine->check(fix->store, &why) != ERR_OK) {
        fail_msg("check: %s", why.text);
    }
    static const struct {
        const char *id;
        enum state state;
        size_t events;
        bool body;
    } rows[] = {{"sent", STATE_SENT, 4, false},
                {"partly", STATE_FAILED, 4, true},
                {"failed", STATE_FAILED, 4, true},
                {"deferred", STATE_DEFERRED, 4, true},
                {"waits", STATE_ACCEPTED, 1, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_op get = {.kind = STORE_GET, .get = {.id = rows[i].id}};
        assert_int_equal(fixture_run(fix, &get), STORE_DONE);
        assert_int_equal(get.get.row.state, rows[i].state);
        assert_string_equal(get.get.row.profile, "lab");
        assert_string_equal(get.get.row.supersede_key, "");
        assert_null(get.get.row.labels);
        struct store_op history = {.kind = STORE_HISTORY,
                                   .history = {.pk = get.get.row.pk, .limit = 100}};
        assert_int_equal(fixture_run(fix, &history), STORE_DONE);
        assert_int_equal(history.history.count, rows[i].events);
        assert_false(history.history.events[0].chained);
        struct store_op body = {.kind = STORE_BODY, .body = {.pk = get.get.row.pk}};
        assert_int_equal(fixture_run(fix, &body), rows[i].body ? STORE_DONE : STORE_NOT_FOUND);
        store_op_fini(&body);
        store_op_fini(&history);
        store_op_fini(&get);
    }
    /* What is written from here on is chained; what was there is a day without a chain, and goes in its time. */
    put_request(fix, "new");
    struct store_op days = {.kind = STORE_SEGMENTS, .segments = {.limit = 10}};
    assert_int_equal(fixture_run(fix, &days), STORE_DONE);
    assert_int_equal(days.segments.count, 2);
    assert_false(days.segments.segments[0].chained);
    assert_int_equal(days.segments.segments[0].chain.count, 17);
    assert_true(days.segments.segments[1].chained);
    store_op_fini(&days);
    fixture_reopen(fix);
    struct store_op sweep = {
        .kind = STORE_SWEEP,
        .sweep = {.history_before_ms = INT64_C(90000) * day_ms, .limit = 50}};
    assert_int_equal(fixture_run(fix, &sweep), STORE_DONE);
    assert_int_equal(sweep.sweep.history_swept, 17);
    if (fix->engine->check(fix->store, &why) != ERR_OK) {
        fail_msg("check: %s", why.text);
    }
    fix->engine->close(&fix->store);
    fresh->engine->close(&fresh->store);
    char *migrated = read_schema(fix->folder);
    char *made = read_schema(fresh->folder);
    assert_string_equal(migrated, made);
    free(migrated);
    free(made);
    fixture_free(fix);
}

/* A step that cannot be made leaves the file as it was: the older program still opens it. */
static void a_failed_migration_leaves_the_old_file(void **state)
{
    (void)state;
    struct fixture *fix = old_store();
    const struct store_options options = {.folder = fix->folder};
    struct err_text why = {0};
    run_sql(fix, "create table kept (other integer)"); /* the last table that is made */
    assert_int_equal(fix->engine->open(&options, &fix->store, &why), ERR_STORAGE);
    assert_null(fix->store);
    run_sql(fix, "select batch, last_pk from mark; drop table kept;"
                 "update meta set value = 1 where key = 'schema' and value = 1");
    fixture_open(fix);
    assert_int_equal(fix->engine->check(fix->store, &why), ERR_OK);
    fixture_free(fix);
}

/* ---- the tables ---- */

static const struct contract_row rows[] = {
    ROW(labels_come_back_and_find_their_requests),
    ROW(bad_labels_are_refused),
    ROW(supersede_key_finds_what_is_not_final),
    ROW(list_by_age),
    ROW(held_takes_no_turn_until_released),
    ROW(a_move_ends_a_hold),
    ROW(holds_are_for_what_waits),
    ROW(edits_stand_beside_the_body),
    ROW(what_somebody_has_is_not_edited),
    ROW(what_is_forgotten_leaves_its_history),
    ROW(kept_values_come_back_by_prefix),
    ROW(logs_are_chained_by_day),
    ROW(history_goes_by_whole_days_and_leaves_its_chain),
    ROW(a_present_day_never_goes),
    ROW(refused_ops_of_this_part),
};

static const struct contract_row on_disk[] = {
    ROW(chains_go_on_after_a_restart),
    ROW(check_finds_what_was_done_to_the_logs),
    ROW(an_older_store_is_brought_up_to_date),
    ROW(a_failed_migration_leaves_the_old_file),
};

int main(void)
{
    static const struct contract contract = {.name = "store-log",
                                             .rows = rows,
                                             .count = sizeof rows / sizeof rows[0],
                                             .on_disk = on_disk,
                                             .on_disk_count =
                                                 sizeof on_disk / sizeof on_disk[0]};
    return contract_run(&contract);
}
