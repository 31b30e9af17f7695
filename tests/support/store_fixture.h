/* What the tests of the store share: a store in a folder of its own, ops in one line,
 * comparing of answers. */
#ifndef TPN_STORE_FIXTURE_H
#define TPN_STORE_FIXTURE_H

#include "mem.h"
#include "path.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Two writes of the engine, and less than most tests put into the log: it ends in the middle of theirs. */
enum { FIXTURE_LOG_BYTES = 200000 };

struct fixture {
    const struct store_engine *engine;
    struct store *store;
    char folder[64];
};

static inline void fixture_open(struct fixture *fix)
{
    const struct store_options options = {.folder = fix->folder,
                                          .log_bytes = FIXTURE_LOG_BYTES};
    struct err_text why = {0};
    if (fix->engine->open(&options, &fix->store, &why) != ERR_OK) {
        fail_msg("open: %s", why.text);
    }
}

static inline void fixture_reopen(struct fixture *fix)
{
    fix->engine->close(&fix->store);
    fixture_open(fix);
}

static inline struct fixture *fixture_new(const struct store_engine *engine)
{
    struct fixture *fix = mem_zero(1, sizeof *fix);
    fix->engine = engine;
    (void)snprintf(fix->folder, sizeof fix->folder, "/tmp/tpn-store-XXXXXX");
    assert_non_null(mkdtemp(fix->folder));
    return fix;
}

static inline void fixture_free(struct fixture *fix)
{
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-journal", "lock"};
    if (fix->store != NULL) {
        fix->engine->close(&fix->store);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = path_join(fix->folder, names[i]);
        (void)unlink(path);
        free(path);
    }
    (void)rmdir(fix->folder);
    free(fix);
}

/* cmocka's setup: *state is the engine, and becomes an open fixture. */
static inline int fixture_setup(void **state)
{
    struct fixture *fix = fixture_new(*state);
    fixture_open(fix);
    *state = fix;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

/* Run ops as one batch. */
static inline enum store_call fixture_call(struct fixture *fix, struct store_op *ops,
                                           size_t count)
{
    struct store_op *list[64];
    struct err_text why = {0};
    assert_in_range(count, 1, 64);
    for (size_t i = 0; i < count; i++) {
        list[i] = &ops[i];
    }
    enum store_call call = fix->engine->exec(fix->store, list, count, &why);
    fix->engine->tidy(fix->store);
    return call;
}

/* Run one op that must be committed; its result. */
static inline enum store_result fixture_run(struct fixture *fix, struct store_op *op)
{
    assert_int_equal(fixture_call(fix, op, 1), STORE_CALL_DONE);
    return op->result;
}

static const uint8_t fixture_event[] = "event";

/* A request that is due at once in lane office/trackpro/2, with an event. */
static inline struct store_op op_accept(const char *id)
{
    struct store_op op = {.kind = STORE_ACCEPT, .event = fixture_event, .event_len = 5};
    struct store_row *row = &op.accept.row;
    (void)snprintf(row->producer, sizeof row->producer, "trackpro");
    (void)snprintf(row->profile, sizeof row->profile, "office");
    (void)snprintf(row->id, sizeof row->id, "%s", id);
    row->state = STATE_ACCEPTED;
    row->priority = 2;
    row->visible_at_ms = 1000;
    row->expire_at_ms = 99000;
    row->accepted_at_ms = 1000;
    row->changed_at_ms = 1000;
    row->recipients = 3;
    op.accept.digest[0] = 1;
    op.accept.body = (const uint8_t *)"the body";
    op.accept.body_len = 8;
    return op;
}

/* A move under any lease, keeping the place in the lane, with an event. */
static inline struct store_op op_move(uint64_t pk, enum state from, enum state to)
{
    struct store_op op = {.kind = STORE_MOVE, .event = fixture_event, .event_len = 5};
    op.move.pk = pk;
    op.move.expect_lease = UINT64_MAX;
    op.move.from = from;
    op.move.to = to;
    op.move.visible_at_ms = 1000;
    op.move.changed_at_ms = 2000;
    return op;
}

/* Accept one request; its pk. */
static inline uint64_t put_request(struct fixture *fix, const char *id)
{
    struct store_op op = op_accept(id);
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    return op.accept.row.pk;
}

static inline void put_move(struct fixture *fix, uint64_t pk, enum state from, enum state to)
{
    struct store_op op = op_move(pk, from, to);
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
}

/* The state of the request with that id, STATE_NONE when it is not there. */
static inline enum state state_of(struct fixture *fix, const char *id)
{
    struct store_op op = {.kind = STORE_GET, .get = {.producer = "trackpro", .id = id}};
    enum state state = fixture_run(fix, &op) == STORE_DONE ? op.get.row.state : STATE_NONE;
    store_op_fini(&op);
    return state;
}

/* Hold a request, or let it go. */
static inline struct store_op op_hold(uint64_t pk, enum state from, bool held)
{
    struct store_op op = {.kind = STORE_HOLD, .event = fixture_event, .event_len = 5};
    op.hold.pk = pk;
    op.hold.from = from;
    op.hold.held = held;
    op.hold.visible_at_ms = 1000;
    op.hold.changed_at_ms = 2000;
    op.hold.reason = held ? "held" : "released";
    return op;
}

static inline enum store_result body_of(struct fixture *fix, uint64_t pk)
{
    struct store_op op = {.kind = STORE_BODY, .body = {.pk = pk}};
    enum store_result result = fixture_run(fix, &op);
    if (result == STORE_DONE) {
        assert_int_equal(op.body.len, 8);
        assert_memory_equal(op.body.data, "the body", 8);
    }
    store_op_fini(&op);
    return result;
}

/* Sequence of a number. */
static inline uint64_t sequence_of(uint64_t number)
{
    return number & ((UINT64_C(1) << STORE_SEQUENCE_BITS) - 1);
}

static inline void assert_rows_equal(const struct store_row *a, const struct store_row *b)
{
    assert_int_equal(a->pk, b->pk);
    assert_string_equal(a->producer, b->producer);
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->profile, b->profile);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->visible_at_ms, b->visible_at_ms);
    assert_int_equal(a->expire_at_ms, b->expire_at_ms);
    assert_int_equal(a->accepted_at_ms, b->accepted_at_ms);
    assert_int_equal(a->changed_at_ms, b->changed_at_ms);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->losses, b->losses);
    assert_int_equal(a->lease, b->lease);
    assert_string_equal(a->worker, b->worker);
    assert_int_equal(a->partial, b->partial);
    assert_string_equal(a->reason, b->reason);
    assert_int_equal(a->recipients, b->recipients);
    assert_int_equal(a->last_event, b->last_event);
    assert_int_equal(a->results_len, b->results_len);
    if (a->results_len > 0) {
        assert_memory_equal(a->results, b->results, a->results_len);
    }
    assert_string_equal(a->supersede_key, b->supersede_key);
    assert_string_equal(a->labels != NULL ? a->labels : "", b->labels != NULL ? b->labels : "");
    assert_int_equal(a->held, b->held);
}

/* A small generator whose numbers depend on the seed alone (xorshift64*). */
struct dice {
    uint64_t state;
};

/* The seed of this run: TPN_SEED, or the given one; printed, so that a failure can be
 * repeated. */
static inline struct dice dice_new(uint64_t seed)
{
    const char *wanted = getenv("TPN_SEED");
    if (wanted != NULL) {
        seed = strtoull(wanted, NULL, 10);
    }
    print_message("TPN_SEED=%llu\n", (unsigned long long)seed);
    return (struct dice){seed * 2654435761u + 88172645463325252u};
}

/* 0 … below - 1 */
static inline uint64_t dice_roll(struct dice *dice, uint64_t below)
{
    dice->state ^= dice->state >> 12;
    dice->state ^= dice->state << 25;
    dice->state ^= dice->state >> 27;
    return (dice->state * 2685821657736338717u >> 33) % below;
}

#endif
