/* JOBS: several requests in one frame, and what is said when their lengths do not come out even. */
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

static void blobs_are_joined_in_their_order(void **state)
{
    (void)state;
    struct wire_blob *parts[] = {wire_blob_copy("ab", 2), wire_blob_copy("", 0),
                                 wire_blob_copy("cde", 3)};
    struct wire_blob *all = wire_blob_join(parts, 3);
    assert_int_equal(wire_blob_len(all), 5);
    assert_memory_equal(wire_blob_data(all), "abcde", 5);
    wire_blob_free(&all);
    for (size_t i = 0; i < 3; i++) {
        wire_blob_free(&parts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_that_do_not_come_out_even_are_told_by_field),
        cmocka_unit_test(blobs_are_joined_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
