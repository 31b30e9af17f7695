/* The contract of the store: every test of the table runs on every engine. What only a store
 * on disk can promise (reopen, lock, schema) is in the second table. The model-based test is
 * store_model_test.c. */
#include "pb.h"
#include "store_contract.h"

#include <sqlite3.h>

/* ---- accept ---- */

static void accept_then_duplicate_then_conflict(void **state)
{
    struct fixture *fix = *state;
    struct store_op first = op_accept("a");
    assert_int_equal(fixture_run(fix, &first), STORE_DONE);
    assert_int_equal(first.accept.row.pk, 1);
    assert_int_equal(sequence_of(first.event_number), 1);
    put_move(fix, 1, STATE_ACCEPTED, STATE_LEASED);

    struct store_op again = op_accept("a");
    assert_int_equal(fixture_run(fix, &again), STORE_DUPLICATE);
    assert_int_equal(again.accept.row.pk, 1);
    assert_int_equal(again.accept.row.state, STATE_LEASED);
    assert_int_equal(again.event_number, 0);
    store_op_fini(&again);

    struct store_op known = op_accept("a");
    known.accept.known_only = true;
    assert_int_equal(fixture_run(fix, &known), STORE_DUPLICATE);
    assert_int_equal(known.accept.row.state, STATE_LEASED);
    store_op_fini(&known);
    struct store_op unknown = op_accept("b");
    unknown.accept.known_only = true;
    assert_int_equal(fixture_run(fix, &unknown), STORE_NOT_FOUND);
    assert_int_equal(unknown.event_number, 0);
    assert_int_equal(state_of(fix, "b"), STATE_NONE);

    struct store_op other = op_accept("a");
    other.accept.digest[31] = 9;
    assert_int_equal(fixture_run(fix, &other), STORE_CONFLICT);

    struct store_op elsewhere = op_accept("a");
    (void)snprintf(elsewhere.accept.row.producer, STORE_PRODUCER_BYTES, "script");
    assert_int_equal(fixture_run(fix, &elsewhere), STORE_DONE);
    assert_int_equal(elsewhere.accept.row.pk, 2);
}

static void duplicate_within_one_batch(void **state)
{
    struct fixture *fix = *state;
    struct store_op ops[2] = {op_accept("a"), op_accept("a")};
    assert_int_equal(fixture_call(fix, ops, 2), STORE_CALL_DONE);
    assert_int_equal(ops[0].result, STORE_DONE);
    assert_int_equal(ops[1].result, STORE_DUPLICATE);
    assert_int_equal(ops[1].accept.row.pk, ops[0].accept.row.pk);
}

static void row_comes_back_as_given(void **state)
{
    struct fixture *fix = *state;
    struct store_op op = op_accept("a");
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    struct store_op move = op_move(1, STATE_ACCEPTED, STATE_LEASED);
    move.move.lease = UINT64_MAX - 1;
    move.move.worker = "host:w1";
    move.move.attempt = 4;
    move.move.losses = 1;
    assert_int_equal(fixture_run(fix, &move), STORE_DONE);
    move = op_move(1, STATE_LEASED, STATE_DEFERRED);
    move.move.expect_lease = UINT64_MAX - 1;
    move.move.lease = UINT64_MAX - 1;
    move.move.visible_at_ms = 7000;
    move.move.attempt = 5;
    move.move.partial = true;
    move.move.reason = "451 4.7.1 \"later\"";
    move.move.results = (const uint8_t *)"r\0s";
    move.move.results_len = 3;
    assert_int_equal(fixture_run(fix, &move), STORE_DONE);

    struct store_row wanted = op.accept.row;
    wanted.state = STATE_DEFERRED;
    wanted.visible_at_ms = 7000;
    wanted.changed_at_ms = 2000;
    wanted.attempt = 5;
    wanted.lease = UINT64_MAX - 1;
    wanted.partial = true;
    (void)snprintf(wanted.reason, sizeof wanted.reason, "451 4.7.1 \"later\"");
    uint8_t results[3] = {'r', '\0', 's'};
    wanted.results = results;
    wanted.results_len = 3;
    wanted.last_event = move.event_number;

    const char *const producers[] = {"trackpro", NULL};
    for (size_t i = 0; i < 2; i++) {
        struct store_op get = {.kind = STORE_GET, .get = {.producer = producers[i], .id = "a"}};
        assert_int_equal(fixture_run(fix, &get), STORE_DONE);
        assert_rows_equal(&get.get.row, &wanted);
        store_op_fini(&get);
    }
    struct store_op none = {.kind = STORE_GET, .get = {.producer = "script", .id = "a"}};
    assert_int_equal(fixture_run(fix, &none), STORE_NOT_FOUND);
}

static void get_without_producer_finds_the_newest(void **state)
{
    struct fixture *fix = *state;
    struct store_op op = op_accept("a");
    (void)snprintf(op.accept.row.producer, STORE_PRODUCER_BYTES, "zeta");
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    uint64_t newest = put_request(fix, "a");
    struct store_op get = {.kind = STORE_GET, .get = {.id = "a"}};
    assert_int_equal(fixture_run(fix, &get), STORE_DONE);
    assert_int_equal(get.get.row.pk, newest);
}

/* ---- moves ---- */

static void wrong_lease_or_state_is_stale_and_changes_nothing(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "a");
    struct store_op lease = op_move(pk, STATE_ACCEPTED, STATE_LEASED);
    lease.move.lease = 7;
    assert_int_equal(fixture_run(fix, &lease), STORE_DONE);
    const struct {
        const char *name; /* for the reader */
        uint64_t expect_lease;
        enum state from;
        enum store_result wanted;
    } rows[] = {
        {"older lease", 6, STATE_LEASED, STORE_STALE},
        {"no lease", 0, STATE_LEASED, STORE_STALE},
        {"other state", 7, STATE_PERMITTED, STORE_STALE},
        {"both wrong", 6, STATE_PERMITTED, STORE_STALE},
        {"right", 7, STATE_LEASED, STORE_DONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_op move = op_move(pk, rows[i].from, STATE_DEFERRED);
        move.move.expect_lease = rows[i].expect_lease;
        move.move.lease = 99;
        move.move.reason = "changed";
        assert_int_equal(fixture_run(fix, &move), rows[i].wanted);
        struct store_op get = {.kind = STORE_GET, .get = {.id = "a"}};
        assert_int_equal(fixture_run(fix, &get), STORE_DONE);
        bool done = rows[i].wanted == STORE_DONE;
        assert_int_equal(get.get.row.state, done ? STATE_DEFERRED : STATE_LEASED);
        assert_int_equal(get.get.row.lease, done ? 99 : 7);
        assert_string_equal(get.get.row.reason, done ? "changed" : "");
        assert_int_equal(get.get.row.last_event, done ? move.event_number : lease.event_number);
    }
}

static void illegal_moves_are_refused(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "a");
    for (int from = -1; from <= STATE_COUNT; from++) {
        for (int to = -1; to <= STATE_COUNT; to++) {
            bool known = from > 0 && from < STATE_COUNT && to > 0 && to < STATE_COUNT;
            if (known && state_may_move((enum state)from, (enum state)to)) {
                continue;
            }
            struct store_op move = op_move(pk, (enum state)from, (enum state)to);
            assert_int_equal(fixture_run(fix, &move), STORE_REFUSED);
            assert_true(strlen(move.why.text) > 0);
        }
    }
    assert_int_equal(state_of(fix, "a"), STATE_ACCEPTED);
}

static void unknown_row_is_not_found(void **state)
{
    struct fixture *fix = *state;
    struct store_op ops[] = {
        op_move(5, STATE_ACCEPTED, STATE_LEASED),
        {.kind = STORE_NOTE, .note = {.pk = 5}, .event = fixture_event, .event_len = 1},
        {.kind = STORE_BODY, .body = {.pk = 5}},
        {.kind = STORE_HISTORY, .history = {.pk = 5, .limit = 1}},
        {.kind = STORE_GET, .get = {.id = "nobody"}},
    };
    enum { COUNT = sizeof ops / sizeof ops[0] };
    assert_int_equal(fixture_call(fix, ops, COUNT), STORE_CALL_DONE);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(ops[i].result, STORE_NOT_FOUND);
        assert_int_equal(ops[i].event_number, 0);
    }
}

static void bad_op_does_not_fail_its_neighbours(void **state)
{
    struct fixture *fix = *state;
    struct store_op ops[] = {
        op_accept("a"),
        op_accept(""),
        {.kind = STORE_KIND_COUNT},
        op_move(1, STATE_SENT, STATE_ACCEPTED),
        {.kind = STORE_NOTE, .note = {.pk = 1}},
        {.kind = STORE_LIST, .list = {.limit = 0}},
        op_accept("b"),
        op_accept("c"),
    };
    ops[6].accept.row.state = STATE_SENT;
    enum { COUNT = sizeof ops / sizeof ops[0] };
    assert_int_equal(fixture_call(fix, ops, COUNT), STORE_CALL_DONE);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(ops[i].result, i == 0 || i == COUNT - 1 ? STORE_DONE : STORE_REFUSED);
    }
    assert_int_equal(state_of(fix, "a"), STATE_ACCEPTED);
    assert_int_equal(state_of(fix, "b"), STATE_NONE);
    assert_int_equal(state_of(fix, "c"), STATE_ACCEPTED);
    /* No number was lost to a refused op. */
    assert_int_equal(sequence_of(ops[COUNT - 1].event_number), 2);
}

static void body_lives_as_long_as_it_may_be_needed(void **state)
{
    struct fixture *fix = *state;
    static const struct {
        enum state final;
        enum store_result wanted;
    } rows[] = {
        {STATE_SENT, STORE_NOT_FOUND}, {STATE_HANDED_OFF, STORE_NOT_FOUND},
        {STATE_FAILED, STORE_DONE},    {STATE_CANCELLED, STORE_DONE},
        {STATE_UNKNOWN, STORE_DONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t pk = put_request(fix, state_name(rows[i].final));
        put_move(fix, pk, STATE_ACCEPTED, STATE_LEASED);
        assert_int_equal(body_of(fix, pk), STORE_DONE);
        put_move(fix, pk, STATE_LEASED, rows[i].final);
        assert_int_equal(body_of(fix, pk), rows[i].wanted);
        if (rows[i].wanted == STORE_DONE) {
            put_move(fix, pk, rows[i].final, STATE_ACCEPTED);
            assert_int_equal(body_of(fix, pk), STORE_DONE);
        }
    }
}

static void empty_body_is_a_body(void **state)
{
    struct fixture *fix = *state;
    struct store_op op = op_accept("a");
    op.accept.body = NULL;
    op.accept.body_len = 0;
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    struct store_op body = {.kind = STORE_BODY, .body = {.pk = 1}};
    assert_int_equal(fixture_run(fix, &body), STORE_DONE);
    assert_int_equal(body.body.len, 0);
    store_op_fini(&body);
}

/* A newer request and the end of the older one: both, or neither. */
static void a_move_goes_only_with_what_it_depends_on(void **state)
{
    struct fixture *fix = *state;
    put_request(fix, "old");
    struct store_op ops[] = {op_accept("old"), op_move(1, STATE_ACCEPTED, STATE_CANCELLED),
                             op_accept("new"), op_move(1, STATE_ACCEPTED, STATE_CANCELLED)};
    ops[1].only_if = &ops[0];
    ops[3].only_if = &ops[2];
    assert_int_equal(fixture_call(fix, ops, 4), STORE_CALL_DONE);
    assert_int_equal(ops[0].result, STORE_DUPLICATE);
    assert_int_equal(ops[1].result, STORE_STALE);
    assert_int_equal(ops[2].result, STORE_DONE);
    assert_int_equal(ops[3].result, STORE_DONE);
    struct store_op counts = {.kind = STORE_COUNTS};
    assert_int_equal(fixture_run(fix, &counts), STORE_DONE);
    assert_int_equal(counts.counts.by_state[STATE_ACCEPTED], 1);
    assert_int_equal(counts.counts.by_state[STATE_CANCELLED], 1);
    for (size_t i = 0; i < 4; i++) {
        store_op_fini(&ops[i]);
    }
}

/* ---- due, lanes, live ---- */

static void put_due(struct fixture *fix, const char *id, int64_t visible_at_ms)
{
    struct store_op op = op_accept(id);
    op.accept.row.visible_at_ms = visible_at_ms;
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
}

static struct store_op op_due(int64_t now_ms, size_t limit)
{
    struct store_op op = {.kind = STORE_DUE, .due = {.now_ms = now_ms, .limit = limit}};
    (void)snprintf(op.due.lane.profile, STORE_PROFILE_BYTES, "office");
    (void)snprintf(op.due.lane.producer, STORE_PRODUCER_BYTES, "trackpro");
    op.due.lane.priority = 2;
    return op;
}

static void due_rows_come_in_order_and_by_cursor(void **state)
{
    struct fixture *fix = *state;
    put_due(fix, "late", 3000);
    put_due(fix, "mid-1", 2000);
    put_due(fix, "early", 1000);
    put_due(fix, "mid-2", 2000);
    put_due(fix, "future", 9000);
    put_due(fix, "far", 12000);
    static const char *const wanted[] = {"early", "mid-1", "mid-2", "late"};
    int64_t after_ms = 0;
    uint64_t after_pk = 0;
    for (size_t i = 0; i < 4; i++) {
        struct store_op due = op_due(3000, 1);
        due.due.after_ms = after_ms;
        due.due.after_pk = after_pk;
        assert_int_equal(fixture_run(fix, &due), STORE_DONE);
        assert_int_equal(due.due.count, 1);
        assert_string_equal(due.due.rows[0].id, wanted[i]);
        assert_int_equal(due.due.next_due_ms, 9000);
        after_ms = due.due.rows[0].visible_at_ms;
        after_pk = due.due.rows[0].pk;
        store_op_fini(&due);
    }
    struct store_op due = op_due(3000, 10);
    due.due.after_ms = after_ms;
    due.due.after_pk = after_pk;
    assert_int_equal(fixture_run(fix, &due), STORE_DONE);
    assert_int_equal(due.due.count, 0);
    due = op_due(20000, 100);
    assert_int_equal(fixture_run(fix, &due), STORE_DONE);
    assert_int_equal(due.due.count, 6);
    assert_int_equal(due.due.next_due_ms, 0);
    store_op_fini(&due);
}

static void due_gives_only_what_may_be_leased(void **state)
{
    struct fixture *fix = *state;
    put_request(fix, "leased");
    put_request(fix, "deferred");
    put_request(fix, "sent");
    put_request(fix, "unknown");
    struct store_op other = op_accept("urgent");
    other.accept.row.priority = 3;
    assert_int_equal(fixture_run(fix, &other), STORE_DONE);
    for (uint64_t pk = 1; pk <= 4; pk++) {
        put_move(fix, pk, STATE_ACCEPTED, STATE_LEASED);
    }
    put_move(fix, 2, STATE_LEASED, STATE_DEFERRED);
    put_move(fix, 3, STATE_LEASED, STATE_SENT);
    put_move(fix, 4, STATE_LEASED, STATE_UNKNOWN);
    struct store_op due = op_due(5000, 100);
    assert_int_equal(fixture_run(fix, &due), STORE_DONE);
    assert_int_equal(due.due.count, 1);
    assert_string_equal(due.due.rows[0].id, "deferred");
    store_op_fini(&due);
    /* A person says: send it again. */
    put_move(fix, 4, STATE_UNKNOWN, STATE_ACCEPTED);
    due = op_due(5000, 100);
    assert_int_equal(fixture_run(fix, &due), STORE_DONE);
    assert_int_equal(due.due.count, 2);
    store_op_fini(&due);
}

static void lanes_are_those_with_live_rows(void **state)
{
    struct fixture *fix = *state;
    static const struct store_lane lanes[] = {
        {"", "script", 2},
        {"lab", "script", 1},
        {"office", "script", 1},
        {"office", "trackpro", 2},
    };
    for (int round = 0; round < 3; round++) {
        for (size_t i = 4; i > 0; i--) {
            char id[32];
            (void)snprintf(id, sizeof id, "%d-%zu", round, i);
            struct store_op op = op_accept(id);
            memcpy(op.accept.row.profile, lanes[i - 1].profile, STORE_PROFILE_BYTES);
            memcpy(op.accept.row.producer, lanes[i - 1].producer, STORE_PRODUCER_BYTES);
            op.accept.row.priority = lanes[i - 1].priority;
            assert_int_equal(fixture_run(fix, &op), STORE_DONE);
        }
    }
    struct store_op gone = op_accept("gone");
    gone.accept.row.priority = 3;
    assert_int_equal(fixture_run(fix, &gone), STORE_DONE);
    put_move(fix, gone.accept.row.pk, STATE_ACCEPTED, STATE_CANCELLED);
    struct store_op op = {.kind = STORE_LANES};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    assert_int_equal(op.lanes.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(op.lanes.lanes[i].profile, lanes[i].profile);
        assert_string_equal(op.lanes.lanes[i].producer, lanes[i].producer);
        assert_int_equal(op.lanes.lanes[i].priority, lanes[i].priority);
    }
    store_op_fini(&op);
}

/* The results of a row: outcomes of so many recipients, as the broker packs them. */
static size_t pack_outcomes(uint8_t out[256], const int *outcomes, size_t count, bool each)
{
    PB(RequestStatus) list = PB_INIT(REQUEST_STATUS);
    PB(RecipientResult) items[8];
    PB(RecipientResult) *pointers[8];
    for (size_t i = 0; i < count; i++) {
        PB(RecipientResult) init = PB_INIT(RECIPIENT_RESULT);
        items[i] = init;
        items[i].outcome = outcomes[i];
        pointers[i] = &items[i];
    }
    list.recipients = pointers;
    list.n_recipients = count;
    list.one_each = each;
    return protobuf_c_message_pack(&list.base, out);
}

static void the_backlog_is_what_waits_in_requests_recipients_and_mails(void **state)
{
    struct fixture *fix = *state;
    static const int two_left[] = {PB_OUTCOME(DELIVERED), PB_OUTCOME(PENDING),
                                   PB_OUTCOME(DEFERRED)};
    static const struct {
        const char *id;
        const char *profile;
        bool each;
        enum state moves[3];
        bool held;
    } rows[] = {
        {"a", "p", false, {STATE_NONE}, false},
        {"b", "p", true, {STATE_LEASED, STATE_PERMITTED, STATE_NONE}, false},
        {"c", "p", true, {STATE_NONE}, true},
        {"d", "q", false, {STATE_LEASED, STATE_DEFERRED, STATE_NONE}, false},
        {"e", "q", false, {STATE_LEASED, STATE_PERMITTED, STATE_UNKNOWN}, false},
        {"f", "r", false, {STATE_CANCELLED, STATE_NONE}, false},
    };
    uint8_t packed[256];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_op op = op_accept(rows[i].id);
        mem_text_into(op.accept.row.profile, STORE_PROFILE_BYTES, rows[i].profile);
        op.accept.row.recipients = 3;
        op.accept.results_len = pack_outcomes(packed, two_left, 3, rows[i].each);
        op.accept.results = packed;
        assert_int_equal(fixture_run(fix, &op), STORE_DONE);
        enum state from = STATE_ACCEPTED;
        for (size_t k = 0; k < 3 && rows[i].moves[k] != STATE_NONE; k++) {
            put_move(fix, op.accept.row.pk, from, rows[i].moves[k]);
            from = rows[i].moves[k];
        }
        struct store_op hold = {.kind = STORE_HOLD,
                                .hold = {.pk = op.accept.row.pk, .from = from, .held = true}};
        if (rows[i].held) {
            assert_int_equal(fixture_run(fix, &hold), STORE_DONE);
        }
    }
    struct store_op op = {.kind = STORE_BACKLOG};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    assert_int_equal(op.backlog.count, 2);
    const struct store_backlog wanted[] = {
        {.profile = "p", .waiting = {2, 4, 1, 2}, .held = {1, 2, 1, 2}},
        {.profile = "q", .waiting = {1, 2, 0, 0}}};
    assert_memory_equal(op.backlog.items, wanted, sizeof wanted);
    store_op_fini(&op);
}

static void live_rows_are_leased_and_permitted(void **state)
{
    struct fixture *fix = *state;
    for (int i = 0; i < 4; i++) {
        put_request(fix, (const char *[]){"a", "b", "c", "d"}[i]);
    }
    put_move(fix, 2, STATE_ACCEPTED, STATE_LEASED);
    put_move(fix, 3, STATE_ACCEPTED, STATE_LEASED);
    put_move(fix, 3, STATE_LEASED, STATE_PERMITTED);
    put_move(fix, 4, STATE_ACCEPTED, STATE_EXPIRED);
    struct store_op op = {.kind = STORE_LIVE};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    assert_int_equal(op.live.count, 2);
    assert_int_equal(op.live.rows[0].pk, 2);
    assert_int_equal(op.live.rows[1].pk, 3);
    store_op_fini(&op);
}

/* ---- history ---- */

static void history_is_numbered_without_gaps_and_chained(void **state)
{
    struct fixture *fix = *state;
    put_request(fix, "a");
    put_request(fix, "b");
    put_move(fix, 1, STATE_ACCEPTED, STATE_LEASED);
    struct store_op note = {.kind = STORE_NOTE,
                            .note = {.pk = 2},
                            .event = (const uint8_t *)"note",
                            .event_len = 4};
    assert_int_equal(fixture_run(fix, &note), STORE_DONE);
    struct store_op silent = op_move(1, STATE_LEASED, STATE_PERMITTED);
    silent.event = NULL;
    assert_int_equal(fixture_run(fix, &silent), STORE_DONE);
    assert_int_equal(silent.event_number, 0);
    put_move(fix, 1, STATE_PERMITTED, STATE_SENT);

    static const uint64_t owner[] = {1, 2, 1, 2, 1};
    struct store_op all = {.kind = STORE_HISTORY, .history = {.limit = 100}};
    assert_int_equal(fixture_run(fix, &all), STORE_DONE);
    assert_int_equal(all.history.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(all.history.events[i].pk, owner[i]);
        assert_int_equal(all.history.events[i].number,
                         fix->store->epoch << STORE_SEQUENCE_BITS | (i + 1));
    }
    assert_int_equal(all.history.events[3].len, 4);
    assert_memory_equal(all.history.events[3].data, "note", 4);

    struct store_op one = {.kind = STORE_HISTORY, .history = {.pk = 1, .limit = 100}};
    assert_int_equal(fixture_run(fix, &one), STORE_DONE);
    assert_int_equal(one.history.count, 3);
    assert_int_equal(sequence_of(one.history.events[0].number), 1);
    assert_int_equal(sequence_of(one.history.events[1].number), 3);
    assert_int_equal(sequence_of(one.history.events[2].number), 5);
    store_op_fini(&one);

    struct store_op page = {
        .kind = STORE_HISTORY,
        .history = {.pk = 1, .limit = 1, .after = all.history.events[0].number}};
    assert_int_equal(fixture_run(fix, &page), STORE_DONE);
    assert_int_equal(page.history.count, 1);
    assert_int_equal(sequence_of(page.history.events[0].number), 3);
    store_op_fini(&page);
    store_op_fini(&all);
}

/* ---- list, counts, sweep ---- */

static void list_pages_by_filter(void **state)
{
    struct fixture *fix = *state;
    for (int i = 0; i < 25; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "%s-%d", i % 2 == 0 ? "even" : "odd", i);
        put_request(fix, id);
    }
    put_move(fix, 1, STATE_ACCEPTED, STATE_CANCELLED);
    const struct {
        const char *name;
        uint32_t states;
        const char *profile;
        const char *producer;
        const char *prefix;
        size_t wanted;
    } rows[] = {
        {"all", 0, NULL, NULL, NULL, 25},
        {"even", 0, NULL, NULL, "even-", 13},
        {"accepted even", 1u << STATE_ACCEPTED, "office", "trackpro", "even-", 12},
        {"cancelled", 1u << STATE_CANCELLED, NULL, NULL, NULL, 1},
        {"two states", 1u << STATE_CANCELLED | 1u << STATE_ACCEPTED, NULL, NULL, NULL, 25},
        {"other profile", 0, "lab", NULL, NULL, 0},
        {"other producer", 0, NULL, "script", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t got = 0;
        uint64_t after = 0;
        uint64_t last = 0;
        do {
            struct store_op op = {.kind = STORE_LIST,
                                  .list = {.states = rows[i].states,
                                           .profile = rows[i].profile,
                                           .producer = rows[i].producer,
                                           .id_prefix = rows[i].prefix,
                                           .after = after,
                                           .limit = 4}};
            assert_int_equal(fixture_run(fix, &op), STORE_DONE);
            assert_true(op.list.count <= 4);
            for (size_t k = 0; k < op.list.count; k++) {
                assert_true(op.list.rows[k].pk > last);
                last = op.list.rows[k].pk;
            }
            got += op.list.count;
            after = op.list.next;
            store_op_fini(&op);
        } while (after != 0);
        if (got != rows[i].wanted) {
            fail_msg("%s: %zu rows", rows[i].name, got);
        }
    }
}

static void counts_follow_every_change(void **state)
{
    struct fixture *fix = *state;
    for (int i = 0; i < 4; i++) {
        put_request(fix, (const char *[]){"a", "b", "c", "d"}[i]);
    }
    put_move(fix, 1, STATE_ACCEPTED, STATE_LEASED);
    put_move(fix, 2, STATE_ACCEPTED, STATE_CANCELLED);
    struct store_op counts = {.kind = STORE_COUNTS};
    assert_int_equal(fixture_run(fix, &counts), STORE_DONE);
    assert_int_equal(counts.counts.by_state[STATE_ACCEPTED], 2);
    assert_int_equal(counts.counts.by_state[STATE_LEASED], 1);
    assert_int_equal(counts.counts.by_state[STATE_CANCELLED], 1);
    struct store_op sweep = {.kind = STORE_SWEEP, .sweep = {.before_ms = 5000, .limit = 10}};
    assert_int_equal(fixture_run(fix, &sweep), STORE_DONE);
    assert_int_equal(sweep.sweep.swept, 1);
    assert_int_equal(fixture_run(fix, &counts), STORE_DONE);
    assert_int_equal(counts.counts.by_state[STATE_CANCELLED], 0);
}

static void sweep_forgets_old_finals_in_steps(void **state)
{
    struct fixture *fix = *state;
    static const char *const ids[] = {"a", "b", "c", "held", "live"};
    for (uint64_t i = 0; i < 5; i++) {
        put_request(fix, ids[i]);
        put_move(fix, i + 1, STATE_ACCEPTED, STATE_LEASED);
    }
    for (uint64_t pk = 1; pk <= 3; pk++) {
        struct store_op move = op_move(pk, STATE_LEASED, STATE_FAILED);
        move.move.changed_at_ms = 1000 * (int64_t)pk;
        assert_int_equal(fixture_run(fix, &move), STORE_DONE);
    }
    put_move(fix, 4, STATE_LEASED, STATE_UNKNOWN);
    struct store_op sweep = {.kind = STORE_SWEEP, .sweep = {.before_ms = 3000, .limit = 1}};
    for (size_t wanted = 1; wanted <= 3; wanted++) {
        assert_int_equal(fixture_run(fix, &sweep), STORE_DONE);
        assert_int_equal(sweep.sweep.swept, wanted <= 2 ? 1 : 0);
    }
    assert_int_equal(state_of(fix, "a"), STATE_NONE);
    assert_int_equal(state_of(fix, "b"), STATE_NONE);
    assert_int_equal(state_of(fix, "c"), STATE_FAILED);
    assert_int_equal(state_of(fix, "held"), STATE_UNKNOWN);
    assert_int_equal(state_of(fix, "live"), STATE_LEASED);
    assert_int_equal(body_of(fix, 1), STORE_NOT_FOUND);
    struct store_op history = {.kind = STORE_HISTORY, .history = {.limit = 100}};
    assert_int_equal(fixture_run(fix, &history), STORE_DONE);
    assert_int_equal(history.history.count, 5 + 5 + 4); /* it has a retention of its own */
    store_op_fini(&history);
    /* The key went too: the id may be used again, and gets a number never used before. */
    assert_int_equal(put_request(fix, "a"), 6);
    struct err_text why = {0};
    assert_int_equal(fix->engine->check(fix->store, &why), ERR_OK);
}

/* ---- on disk only ---- */

static void reopen_keeps_everything_and_raises_the_epoch(void **state)
{
    struct fixture *fix = *state;
    put_request(fix, "a");
    put_request(fix, "b");
    struct store_op lease = op_move(1, STATE_ACCEPTED, STATE_LEASED);
    lease.move.lease = 42;
    lease.move.worker = "w";
    assert_int_equal(fixture_run(fix, &lease), STORE_DONE);
    uint64_t epoch = fix->store->epoch;
    assert_true(epoch >= 1);
    fixture_reopen(fix);
    assert_int_equal(fix->store->epoch, epoch + 1);
    struct store_op ops[] = {{.kind = STORE_LIVE},
                             {.kind = STORE_COUNTS},
                             {.kind = STORE_LANES},
                             op_accept("b"),
                             op_accept("c")};
    assert_int_equal(fixture_call(fix, ops, 5), STORE_CALL_DONE);
    assert_int_equal(ops[0].live.count, 1);
    assert_int_equal(ops[0].live.rows[0].lease, 42);
    assert_string_equal(ops[0].live.rows[0].worker, "w");
    assert_int_equal(ops[1].counts.by_state[STATE_ACCEPTED], 1);
    assert_int_equal(ops[1].counts.by_state[STATE_LEASED], 1);
    assert_int_equal(ops[2].lanes.count, 1);
    assert_int_equal(ops[3].result, STORE_DUPLICATE);
    assert_int_equal(ops[4].accept.row.pk, 3);
    assert_int_equal(ops[4].event_number, (epoch + 1) << STORE_SEQUENCE_BITS | 1);
    for (size_t i = 0; i < 5; i++) {
        store_op_fini(&ops[i]);
    }
    assert_int_equal(body_of(fix, 1), STORE_DONE);
    struct err_text why = {0};
    assert_int_equal(fix->engine->check(fix->store, &why), ERR_OK);
}

static void numbers_of_swept_rows_are_not_given_again(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "a");
    put_move(fix, pk, STATE_ACCEPTED, STATE_CANCELLED);
    struct store_op sweep = {.kind = STORE_SWEEP, .sweep = {.before_ms = 5000, .limit = 10}};
    assert_int_equal(fixture_run(fix, &sweep), STORE_DONE);
    assert_int_equal(sweep.sweep.swept, 1);
    fixture_reopen(fix);
    assert_int_equal(put_request(fix, "a"), pk + 1);
}

/* More rows than one call looks at. */
static void put_many(struct fixture *fix)
{
    enum { PER_BATCH = 64, BATCHES = 80 };
    for (int batch = 0; batch < BATCHES; batch++) {
        struct store_op ops[PER_BATCH];
        for (int i = 0; i < PER_BATCH; i++) {
            char id[32];
            (void)snprintf(id, sizeof id, "stays-%d-%d", batch, i);
            ops[i] = op_accept(id);
        }
        assert_int_equal(fixture_call(fix, ops, PER_BATCH), STORE_CALL_DONE);
    }
}

/* Rows in the states, page by page. */
static size_t count_in(struct fixture *fix, uint32_t states)
{
    struct store_op list = {.kind = STORE_LIST, .list = {.states = states, .limit = 2}};
    size_t count = 0;
    do {
        assert_int_equal(fixture_run(fix, &list), STORE_DONE);
        count += list.list.count;
        list.list.after = list.list.next;
        store_op_fini(&list);
    } while (list.list.next != 0);
    return count;
}

static void states_that_nobody_is_in_are_listed_without_a_walk(void **state)
{
    struct fixture *fix = *state;
    const uint32_t states = 1u << STATE_FAILED | 1u << STATE_UNKNOWN;
    struct store_op list = {.kind = STORE_LIST, .list = {.states = states, .limit = 10}};
    put_many(fix);
    assert_int_equal(fixture_run(fix, &list), STORE_DONE);
    assert_int_equal(list.list.next, 0);
    put_move(fix, put_request(fix, "last"), STATE_ACCEPTED, STATE_FAILED);
    assert_int_equal(count_in(fix, states), 1);
}

/* The engine knows where the rows of a state lie; it must not be taken in by rows that come and go. */
static void states_are_found_wherever_they_lie(void **state)
{
    struct fixture *fix = *state;
    const uint32_t failed = 1u << STATE_FAILED;
    put_many(fix);
    put_move(fix, 3000, STATE_ACCEPTED, STATE_FAILED);
    assert_int_equal(count_in(fix, failed), 1);
    put_move(fix, 5000, STATE_ACCEPTED, STATE_FAILED);
    put_move(fix, 7, STATE_ACCEPTED, STATE_FAILED);
    assert_int_equal(count_in(fix, failed), 3);
    put_move(fix, 7, STATE_FAILED, STATE_ACCEPTED);
    put_move(fix, 4, STATE_ACCEPTED, STATE_CANCELLED);
    assert_int_equal(count_in(fix, failed | 1u << STATE_CANCELLED), 3);
    assert_int_equal(count_in(fix, failed), 2);
    if (fix->engine->name[0] == 's') {
        fixture_reopen(fix);
        struct store_op list = {.kind = STORE_LIST, .list = {.states = failed, .limit = 10}};
        assert_int_equal(fixture_run(fix, &list), STORE_DONE);
        assert_int_equal(list.list.count, 2); /* in one call, since it looks at few rows */
        assert_int_equal(list.list.next, 0);
        store_op_fini(&list);
    }
}

/* A sweep looks at a bounded number of rows a call and goes on where it stopped. */
static void sweep_walks_on_behind_rows_that_stay(void **state)
{
    struct fixture *fix = *state;
    put_many(fix);
    put_move(fix, put_request(fix, "old"), STATE_ACCEPTED, STATE_CANCELLED);
    struct store_op sweep = {.kind = STORE_SWEEP, .sweep = {.before_ms = 5000, .limit = 10}};
    assert_int_equal(fixture_run(fix, &sweep), STORE_DONE);
    assert_int_equal(sweep.sweep.swept, 0);
    assert_true(sweep.sweep.more);
    assert_int_equal(fixture_run(fix, &sweep), STORE_DONE);
    assert_int_equal(sweep.sweep.swept, 1);
    assert_false(sweep.sweep.more);
    assert_int_equal(state_of(fix, "old"), STATE_NONE);
    /* The next walk starts at the first row again. */
    put_move(fix, 1, STATE_ACCEPTED, STATE_CANCELLED);
    assert_int_equal(fixture_run(fix, &sweep), STORE_DONE);
    assert_int_equal(sweep.sweep.swept, 1);
    assert_int_equal(state_of(fix, "stays-0-0"), STATE_NONE);
}

static void second_opener_is_refused(void **state)
{
    struct fixture *fix = *state;
    const struct store_options options = {.folder = fix->folder};
    struct store *second = NULL;
    struct err_text why = {0};
    assert_int_equal(fix->engine->open(&options, &second, &why), ERR_CONFLICT);
    assert_null(second);
    assert_non_null(strstr(why.text, "another broker"));
    assert_int_equal(state_of(fix, "a"), STATE_NONE);
}

/* Change the closed store by hand. */
static void run_sql(struct fixture *fix, const char *sql)
{
    char *path = path_join(fix->folder, "store.db");
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    free(path);
}

static void wrong_files_are_refused(void **state)
{
    struct fixture *fix = *state;
    static const struct {
        const char *name;
        const char *sql;
        const char *said;
    } rows[] = {
        {"newer schema", "update meta set value = 3 where key = 'schema'", "newer"},
        {"older schema", "update meta set value = 0 where key = 'schema'", "brought up"},
        {"not a store", "drop table meta", "not a store"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct store_options options = {.folder = fix->folder};
        struct err_text why = {0};
        fix->engine->close(&fix->store);
        run_sql(fix, rows[i].sql);
        assert_int_equal(fix->engine->open(&options, &fix->store, &why), ERR_CONFIG);
        assert_non_null(strstr(why.text, rows[i].said));
        if (i < 2) {
            run_sql(fix, "update meta set value = 2 where key = 'schema'");
            fixture_open(fix);
        }
    }
}

static void garbage_is_refused(void **state)
{
    struct fixture *fix = *state;
    const struct store_options options = {.folder = fix->folder};
    struct err_text why = {0};
    fix->engine->close(&fix->store);
    char *path = path_join(fix->folder, "store.db");
    char text[4096];
    memset(text, 'x', sizeof text);
    assert_int_equal(path_write(path, text, sizeof text, 0600, NULL), ERR_OK);
    assert_int_equal(fix->engine->open(&options, &fix->store, &why), ERR_CONFIG);
    free(path);
}

static void redrive_without_a_body_is_refused(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "a");
    put_move(fix, pk, STATE_ACCEPTED, STATE_FAILED);
    fix->engine->close(&fix->store);
    run_sql(fix, "delete from body");
    fixture_open(fix);
    struct store_op move = op_move(pk, STATE_FAILED, STATE_ACCEPTED);
    assert_int_equal(fixture_run(fix, &move), STORE_REFUSED);
    assert_string_equal(move.why.text, "the body is gone");
    assert_int_equal(state_of(fix, "a"), STATE_FAILED);
}

static void check_finds_damage(void **state)
{
    struct fixture *fix = *state;
    static const struct {
        const char *sql;
        const char *said;
    } rows[] = {
        {"delete from body where pk = 1", "no body"},
        {"delete from key where pk = 2", "no key"},
        {"delete from history where request = 3", "newest event"},
        {"insert into body values (77, x'00')", "body of no request 77"},
        {"insert into edit values (77, x'00')", "edit of no body 77"},
        {"insert into label values ('a=b', 77, 0)", "label of no request 77"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *own = fixture_new(fix->engine);
        struct err_text why = {0};
        fixture_open(own);
        put_request(own, "a");
        put_request(own, "b");
        put_request(own, "c");
        assert_int_equal(own->engine->check(own->store, &why), ERR_OK);
        own->engine->close(&own->store);
        run_sql(own, rows[i].sql);
        fixture_open(own);
        assert_int_equal(own->engine->check(own->store, &why), ERR_STORAGE);
        assert_non_null(strstr(why.text, rows[i].said));
        fixture_free(own);
    }
}

static void low_disk_refuses_accepts_only(void **state)
{
    struct fixture *fix = *state;
    uint64_t pk = put_request(fix, "old");
    fix->engine->close(&fix->store);
    const struct store_options options = {.folder = fix->folder, .reserve_bytes = UINT64_MAX};
    struct err_text why = {0};
    assert_int_equal(fix->engine->open(&options, &fix->store, &why), ERR_OK);
    struct store_op ops[] = {op_accept("new"), op_accept("old"),
                             op_move(pk, STATE_ACCEPTED, STATE_LEASED)};
    assert_int_equal(fixture_call(fix, ops, 3), STORE_CALL_DONE);
    assert_int_equal(ops[0].result, STORE_REFUSED);
    assert_non_null(strstr(ops[0].why.text, "disk: less than"));
    assert_int_equal(ops[1].result, STORE_DUPLICATE);
    assert_int_equal(ops[2].result, STORE_DONE);
    assert_int_equal(state_of(fix, "new"), STATE_NONE);
}

static void idle_checkpoints_a_long_log(void **state)
{
    struct fixture *fix = *state;
    static uint8_t body[1048576];
    const struct store_options options = {.folder = fix->folder}; /* no room to be full */
    fix->engine->close(&fix->store);
    assert_int_equal(fix->engine->open(&options, &fix->store, NULL), ERR_OK);
    for (int i = 0; i < 6; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%d", i);
        struct store_op op = op_accept(id);
        op.accept.body = body;
        op.accept.body_len = sizeof body;
        assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    }
    char *path = path_join(fix->folder, "store.db");
    struct buf file;
    buf_init(&file, (size_t)64 << 20);
    assert_int_equal(path_read(path, &file, NULL), ERR_OK);
    assert_true(file.len < sizeof body);
    buf_reset(&file);
    assert_false(fix->engine->idle(fix->store));
    assert_int_equal(path_read(path, &file, NULL), ERR_OK);
    assert_true(file.len > (size_t)6 * sizeof body);
    buf_fini(&file);
    free(path);
}

/* ---- the tables ---- */

static const struct contract_row rows[] = {
    ROW(accept_then_duplicate_then_conflict),
    ROW(duplicate_within_one_batch),
    ROW(row_comes_back_as_given),
    ROW(get_without_producer_finds_the_newest),
    ROW(wrong_lease_or_state_is_stale_and_changes_nothing),
    ROW(illegal_moves_are_refused),
    ROW(unknown_row_is_not_found),
    ROW(bad_op_does_not_fail_its_neighbours),
    ROW(body_lives_as_long_as_it_may_be_needed),
    ROW(empty_body_is_a_body),
    ROW(due_rows_come_in_order_and_by_cursor),
    ROW(due_gives_only_what_may_be_leased),
    ROW(a_move_goes_only_with_what_it_depends_on),
    ROW(lanes_are_those_with_live_rows),
    ROW(the_backlog_is_what_waits_in_requests_recipients_and_mails),
    ROW(live_rows_are_leased_and_permitted),
    ROW(history_is_numbered_without_gaps_and_chained),
    ROW(list_pages_by_filter),
    ROW(counts_follow_every_change),
    ROW(sweep_forgets_old_finals_in_steps),
};

static const struct contract_row on_disk[] = {
    ROW(reopen_keeps_everything_and_raises_the_epoch),
    ROW(numbers_of_swept_rows_are_not_given_again),
    ROW(sweep_walks_on_behind_rows_that_stay),
    ROW(states_that_nobody_is_in_are_listed_without_a_walk),
    ROW(states_are_found_wherever_they_lie),
    ROW(second_opener_is_refused),
    ROW(wrong_files_are_refused),
    ROW(garbage_is_refused),
    ROW(redrive_without_a_body_is_refused),
    ROW(check_finds_damage),
    ROW(low_disk_refuses_accepts_only),
    ROW(idle_checkpoints_a_long_log),
};

int main(void)
{
    static const struct contract contract = {.name = "store",
                                             .rows = rows,
                                             .count = sizeof rows / sizeof rows[0],
                                             .on_disk = on_disk,
                                             .on_disk_count =
                                                 sizeof on_disk / sizeof on_disk[0]};
    return contract_run(&contract);
}
