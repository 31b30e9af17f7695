/* Events of no request, and the kept value that changes with a note: on both engines. */
#include "store_fixture.h"

static struct store_op op_note(uint64_t pk, const char *keep, const char *value)
{
    return (struct store_op){.kind = STORE_NOTE,
                             .note = {.pk = pk,
                                      .keep = keep,
                                      .data = (const uint8_t *)value,
                                      .len = value != NULL ? strlen(value) : 0},
                             .event = (const uint8_t *)"nobody",
                             .event_len = 6};
}

/* The kept value; "" = none. */
static const char *kept(struct fixture *fix, char out[64])
{
    struct store_op op = {.kind = STORE_KEPT, .kept = {.prefix = "watch/", .limit = 10}};
    assert_int_equal(fixture_run(fix, &op), STORE_DONE);
    assert_true(op.kept.count <= 1);
    out[0] = '\0';
    if (op.kept.count == 1) {
        assert_true(op.kept.values[0].len < 64);
        memcpy(out, op.kept.values[0].data, op.kept.values[0].len);
        out[op.kept.values[0].len] = '\0';
    }
    store_op_fini(&op);
    return out;
}

static void an_event_of_no_request_is_numbered_with_the_others(void **state)
{
    struct fixture *fix = *state;
    put_request(fix, "a");
    struct store_op note = op_note(0, NULL, NULL);
    assert_int_equal(fixture_run(fix, &note), STORE_DONE);
    put_move(fix, 1, STATE_ACCEPTED, STATE_LEASED);
    struct store_op all = {.kind = STORE_HISTORY, .history = {.limit = 10}};
    assert_int_equal(fixture_run(fix, &all), STORE_DONE);
    assert_int_equal(all.history.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(all.history.events[i].pk, i == 1 ? 0 : 1);
        assert_int_equal(all.history.events[i].number,
                         fix->store->epoch << STORE_SEQUENCE_BITS | (i + 1));
        assert_true(all.history.events[i].chained);
    }
    assert_int_equal(all.history.events[1].number, note.event_number);
    assert_int_equal(all.history.events[1].len, 6);
    store_op_fini(&all);
    struct store_op one = {.kind = STORE_HISTORY, .history = {.pk = 1, .limit = 10}};
    assert_int_equal(fixture_run(fix, &one), STORE_DONE);
    assert_int_equal(one.history.count, 2);
    store_op_fini(&one);
    struct err_text why = {0};
    assert_int_equal(fix->engine->check(fix->store, &why), ERR_OK);
}

static void the_kept_value_changes_with_the_note(void **state)
{
    struct fixture *fix = *state;
    char text[64];
    put_request(fix, "a");
    struct store_op set = op_note(0, "watch/a", "one");
    assert_int_equal(fixture_run(fix, &set), STORE_DONE);
    assert_string_equal(kept(fix, text), "one");
    struct store_op other = op_note(1, "watch/a", "two");
    assert_int_equal(fixture_run(fix, &other), STORE_DONE);
    assert_string_equal(kept(fix, text), "two");
    struct store_op forget = op_note(0, "watch/a", NULL);
    assert_int_equal(fixture_run(fix, &forget), STORE_DONE);
    assert_string_equal(kept(fix, text), "");
}

static void a_note_that_is_not_done_keeps_nothing(void **state)
{
    struct fixture *fix = *state;
    char text[64];
    struct store_op unknown = op_note(7, "watch/a", "one");
    assert_int_equal(fixture_run(fix, &unknown), STORE_NOT_FOUND);
    struct store_op silent = op_note(0, "watch/a", "one");
    silent.event = NULL;
    assert_int_equal(fixture_run(fix, &silent), STORE_REFUSED);
    struct store_op nameless = op_note(0, "", "one");
    assert_int_equal(fixture_run(fix, &nameless), STORE_REFUSED);
    assert_int_equal(nameless.event_number, 0);
    assert_string_equal(kept(fix, text), "");
}

#define ROW(fn, engine)                                                                        \
    {                                                                                          \
#fn, fn, fixture_setup, fixture_teardown, &(engine)                                    \
    }

int main(void)
{
    struct store_engine sqlite = store_sqlite;
    struct store_engine memory = store_memory;
    const struct CMUnitTest tests[] = {
        ROW(an_event_of_no_request_is_numbered_with_the_others, sqlite),
        ROW(an_event_of_no_request_is_numbered_with_the_others, memory),
        ROW(the_kept_value_changes_with_the_note, sqlite),
        ROW(the_kept_value_changes_with_the_note, memory),
        ROW(a_note_that_is_not_done_keeps_nothing, sqlite),
        ROW(a_note_that_is_not_done_keeps_nothing, memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
