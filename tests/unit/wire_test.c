/* JOBS and SUBMITS: several requests in one frame, and what is said when their lengths do not come out even. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "pb.h"
#include "wire.h"

enum { MOST = 4 };

struct pair {
    void *context;
    void *near;
    void *far;
};

static void pair_open(struct pair *pair)
{
    pair->context = zmq_ctx_new();
    pair->near = zmq_socket(pair->context, ZMQ_PAIR);
    pair->far = zmq_socket(pair->context, ZMQ_PAIR);
    assert_int_equal(zmq_bind(pair->near, "inproc://wire"), 0);
    assert_int_equal(zmq_connect(pair->far, "inproc://wire"), 0);
}

static void pair_close(struct pair *pair)
{
    (void)zmq_close(pair->near);
    (void)zmq_close(pair->far);
    (void)zmq_ctx_term(pair->context);
}

/* Jobs with these lengths over so many bytes of requests; in is what comes out. */
static enum err pass(struct pair *pair, const uint32_t lengths[], size_t bytes,
                     struct arena *arena, struct wire_in *in)
{
    PB(Job) items[MOST];
    PB(Job) *pointers[MOST];
    PB(Jobs) jobs = PB_INIT(JOBS);
    while (jobs.n_jobs < MOST && lengths[jobs.n_jobs] != UINT32_MAX) {
        size_t i = jobs.n_jobs++;
        PB(Job) init = PB_INIT(JOB);
        items[i] = init;
        items[i].lease = i + 1;
        items[i].request_bytes = lengths[i];
        pointers[i] = &items[i];
    }
    jobs.jobs = pointers;
    static const char requests[] = "abcdefghij";
    struct wire_blob *payload = wire_blob_copy(requests, bytes);
    assert_int_equal(wire_send(pair->near, NULL, WIRE_JOBS, &jobs.base, payload), ERR_OK);
    wire_blob_free(&payload);
    return wire_recv(pair->far, false, arena, in);
}

static void lengths_that_do_not_come_out_even_are_told_by_field(void **state)
{
    static const struct {
        uint32_t lengths[MOST + 1];
        size_t bytes;
        const char *field; /* null = good */
        const char *rule;
    } rows[] = {
        {{2, 3, 5, UINT32_MAX}, 10, NULL, NULL},
        {{10, UINT32_MAX}, 10, NULL, NULL},
        {{2, 3, 6, UINT32_MAX},
         10,
         "jobs[2].request_bytes",
         "is 6, but frame 2 has 5 bytes for this request, the last"},
        {{2, 3, 4, UINT32_MAX},
         10,
         "jobs[2].request_bytes",
         "is 4, but frame 2 has 5 bytes for this request, the last"},
        {{2, 0, 8, UINT32_MAX},
         10,
         "jobs[1].request_bytes",
         "is 0, but frame 2 has 8 bytes for this request and those behind it"},
        {{2, 8, 1, UINT32_MAX},
         10,
         "jobs[1].request_bytes",
         "is 8, but frame 2 has 8 bytes for this request and those behind it"},
        {{4000000000U, 1, UINT32_MAX},
         10,
         "jobs[0].request_bytes",
         "is 4000000000, but frame 2 has 10 bytes for this request and those behind it"},
        {{1, UINT32_MAX},
         0,
         "jobs[0].request_bytes",
         "is 1, but frame 2 has 0 bytes for this request, the last"},
        {{UINT32_MAX}, 0, "jobs", "required"},
    };
    (void)state;
    struct pair pair;
    struct arena arena;
    pair_open(&pair);
    arena_init(&arena, NULL, 0);
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        size_t row = i / 2;
        struct wire_in in;
        enum err err =
            pass(&pair, rows[row].lengths, rows[row].bytes, i % 2 == 0 ? NULL : &arena, &in);
        if (rows[row].field == NULL) {
            assert_int_equal(err, ERR_OK);
            assert_int_equal(wire_blob_len(in.payload), rows[row].bytes);
        } else {
            assert_int_equal(err, ERR_INVALID);
            assert_null(in.body);
            assert_string_equal(in.fault.field, rows[row].field);
            assert_string_equal(in.fault.rule, rows[row].rule);
        }
        wire_in_fini(&in);
    }
    pair_close(&pair);
}

/* SUBMITS with these lengths over so many bytes; in is what comes out. */
static enum err pass_submits(struct pair *pair, uint32_t *lengths, size_t count,
                             const void *data, size_t bytes, struct arena *arena,
                             struct wire_in *in)
{
    PB(Submits) submits = PB_INIT(SUBMITS);
    submits.request_bytes = lengths;
    submits.n_request_bytes = count;
    struct wire_blob *payload = wire_blob_copy(data, bytes);
    assert_int_equal(wire_send(pair->near, NULL, WIRE_SUBMITS, &submits.base, payload), ERR_OK);
    wire_blob_free(&payload);
    return wire_recv(pair->far, false, arena, in);
}

static void submits_are_refused_by_field_and_rule(void **state)
{
    static const struct {
        uint32_t first, second; /* second 0 = there is one request */
        size_t bytes;
        enum err err;
        const char *field;
        const char *rule;
    } rows[] = {
        {4, 6, 10, ERR_OK, "", ""},
        {1, 65535, 65536, ERR_OK, "", ""},
        {4, 5, 10, ERR_INVALID, "request_bytes[1]",
         "is 5, but frame 2 has 6 bytes for this request, the last"},
        {10, 1, 10, ERR_INVALID, "request_bytes[0]",
         "is 10, but frame 2 has 10 bytes for this request and those behind it"},
        {0, 10, 10, ERR_INVALID, "request_bytes[0]",
         "is 0, but frame 2 has 10 bytes for this request and those behind it"},
        {65537, 0, 65537, ERR_LIMIT, "", "frame 2 has 65537 bytes, at most 65536 are allowed"},
    };
    static uint8_t bytes[WIRE_SUBMITS_MAX_BYTES + 1];
    static uint32_t many[WIRE_SUBMITS_MAX + 1];
    (void)state;
    struct pair pair;
    struct wire_in in;
    pair_open(&pair);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t lengths[] = {rows[i].first, rows[i].second};
        enum err err = pass_submits(&pair, lengths, rows[i].second > 0 ? 2 : 1, bytes,
                                    rows[i].bytes, NULL, &in);
        assert_int_equal(err, rows[i].err);
        assert_string_equal(in.fault.field, rows[i].field);
        assert_string_equal(in.fault.rule, rows[i].rule);
        wire_in_fini(&in);
    }
    for (size_t i = 0; i < WIRE_SUBMITS_MAX + 1; i++) {
        many[i] = 1;
    }
    assert_int_equal(
        pass_submits(&pair, many, WIRE_SUBMITS_MAX, bytes, WIRE_SUBMITS_MAX, NULL, &in),
        ERR_OK);
    wire_in_fini(&in);
    assert_int_equal(
        pass_submits(&pair, many, WIRE_SUBMITS_MAX + 1, bytes, WIRE_SUBMITS_MAX + 1, NULL, &in),
        ERR_LIMIT);
    assert_string_equal(in.fault.field, "request_bytes");
    wire_in_fini(&in);
    pair_close(&pair);
}

/* A good one, one that breaks a rule, one that is no protobuf, a good one: each as in a SUBMIT of its own. */
static void parts_of_submits_are_told_apart(void **state)
{
    static const char bytes[] = "\x0a\x01z"    /* id z */
                                "\x0a\x01 "    /* id is a space */
                                "\x0a\x7f\x01" /* cut */
                                "\x0a\x02yy";  /* id yy */
    static const size_t lens[] = {3, 3, 3, 4};
    uint32_t lengths[] = {3, 3, 3, 4};
    (void)state;
    struct pair pair;
    struct arena arena;
    pair_open(&pair);
    arena_init(&arena, NULL, 0);
    for (int turn = 0; turn < 2; turn++) {
        struct wire_in in;
        assert_int_equal(pass_submits(&pair, lengths, 4, bytes, sizeof bytes - 1,
                                      turn == 0 ? NULL : &arena, &in),
                         ERR_OK);
        if (in.arena != NULL) {
            in.body = NULL;
            arena_reset(in.arena);
        }
        struct wire_piece piece = {.data = wire_blob_data(in.payload)};
        for (size_t i = 0; i < 4; i++) {
            struct wire_in part;
            piece.len = lens[i];
            enum err err = wire_recv_part(&in, piece, &part);
            assert_int_equal(part.verb, WIRE_SUBMIT);
            assert_true(part.peer.together);
            assert_int_equal(wire_blob_len(part.raw), lens[i]);
            assert_memory_equal(wire_blob_data(part.raw), piece.data, lens[i]);
            if (i == 2) {
                assert_int_equal(err, ERR_PROTO);
            } else { /* a request needs more than an id: it says so, of the first that is missing */
                assert_int_equal(err, ERR_INVALID);
                assert_string_equal(part.fault.field, i == 1 ? "id" : "message");
            }
            assert_null(part.body);
            wire_in_fini(&part);
            piece.data += piece.len;
        }
        wire_in_fini(&in);
    }
    pair_close(&pair);
}

static void blobs_are_joined_in_their_order(void **state)
{
    (void)state;
    const struct wire_piece pieces[] = {
        {(const uint8_t *)"ab", 2}, {NULL, 0}, {(const uint8_t *)"cde", 3}};
    struct wire_blob *all = wire_blob_join(pieces, 3);
    assert_int_equal(wire_blob_len(all), 5);
    assert_memory_equal(wire_blob_data(all), "abcde", 5);
    wire_blob_free(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_that_do_not_come_out_even_are_told_by_field),
        cmocka_unit_test(submits_are_refused_by_field_and_rule),
        cmocka_unit_test(parts_of_submits_are_told_apart),
        cmocka_unit_test(blobs_are_joined_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
