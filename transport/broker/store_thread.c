/* The store's thread and the pair of inproc sockets between it and the loop. zmq_inproc(7):
 * messages are pointers.
 *
 * Design notes. The pair has no high-water mark: what may be under way is bounded by the
 * batches that the owner has, and a give must never block the loop. The owner counts what is
 * outstanding, so stop can give back everything before it sends the null that ends the thread.
 * A batch that no longer fits into the room of a call is carried into the next one, so batches
 * are never split and never overtake each other.
 *
 * ZMQ_FD is edge-triggered and any call on the socket may use the edge up
 * (zmq_getsockopt(3)): hence the look at ZMQ_EVENTS after each send. */
#include "store_thread.h"

#include "mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

/* libzmq hands pointers over with atomics that an uninstrumented build hides from
 * ThreadSanitizer. */
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#define HAND_OVER(thing) __tsan_release(thing)
#define TAKE_OVER(thing) __tsan_acquire(thing)
#else
#define HAND_OVER(thing) ((void)(thing))
#define TAKE_OVER(thing) ((void)(thing))
#endif

enum {
    POINTER_BYTES = sizeof(void *), /* a message */
    IDLE_AFTER_MS = 200,
    GROUP_BATCHES = 1024 /* batches in one call */
};

struct store_thread {
    /* The loop's side. */
    pthread_t thread;
    void *pair;
    struct loop *loop;
    struct loop_watch *watch;
    store_batch_fn *fn;
    void *arg;
    size_t outstanding; /* given and not yet taken back */
    /* The thread's side, after start. */
    void *thread_pair;
    struct store *store;
    struct store_batch *carried; /* taken from the pair, not yet executed */
    struct store_batch *group[GROUP_BATCHES];
    size_t group_count;
    struct store_op *ops[STORE_THREAD_MAX_OPS];
    size_t op_count;
    bool ending; /* the null came */
};

_Static_assert((int)STORE_THREAD_MAX_OPS >= (int)STORE_BATCH_ROOM,
               "any batch fits into a call");

static void send_pointer(void *pair, struct store_batch *batch)
{
    if (batch != NULL) {
        HAND_OVER(batch);
    }
    int sent = -1;
    do {
        sent = zmq_send(pair, &batch, POINTER_BYTES, 0);
    } while (sent < 0 && errno == EINTR);
    if (sent != POINTER_BYTES) {
        bug("inproc send: %s", zmq_strerror(errno));
    }
}

/* True when one came. flags: ZMQ_DONTWAIT or 0 to wait. */
static bool receive_pointer(void *pair, struct store_batch **out, int flags)
{
    int got = -1;
    do {
        got = zmq_recv(pair, out, POINTER_BYTES, flags);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        return false;
    }
    if (got != POINTER_BYTES) {
        bug("inproc receive: %s", zmq_strerror(errno));
    }
    if (*out != NULL) {
        TAKE_OVER(*out);
    }
    return true;
}

/* ---- the thread's side ---- */

/* Does something wait? Waits for it up to that long; -1 = as long as it takes. */
static bool wait_for_work(struct store_thread *thread, long timeout_ms)
{
    zmq_pollitem_t item = {.socket = thread->thread_pair, .events = ZMQ_POLLIN};
    int rc = 0;
    do {
        rc = zmq_poll(&item, 1, timeout_ms);
    } while (rc < 0 && errno == EINTR);
    return rc > 0;
}

static void keep_house(struct store_thread *thread)
{
    bool more = !wait_for_work(thread, IDLE_AFTER_MS);
    while (more) {
        more = thread->store->engine->idle(thread->store) && !wait_for_work(thread, 0);
    }
}

/* Put a batch into the next call, or keep it for the one after. False: the call is full. */
static bool group_add(struct store_thread *thread, struct store_batch *batch)
{
    if (thread->group_count == GROUP_BATCHES ||
        thread->op_count + batch->count > STORE_THREAD_MAX_OPS) {
        thread->carried = batch;
        return false;
    }
    thread->group[thread->group_count++] = batch;
    for (size_t i = 0; i < batch->count; i++) {
        thread->ops[thread->op_count++] = batch->ops[i];
    }
    return true;
}

/* Take all that waits; waits itself for the first one. */
static void collect(struct store_thread *thread)
{
    struct store_batch *batch = thread->carried;
    thread->carried = NULL;
    thread->group_count = 0;
    thread->op_count = 0;
    if (batch == NULL && !receive_pointer(thread->thread_pair, &batch, ZMQ_DONTWAIT)) {
        keep_house(thread);
        (void)receive_pointer(thread->thread_pair, &batch, 0);
    }
    while (batch != NULL && group_add(thread, batch)) {
        if (!receive_pointer(thread->thread_pair, &batch, ZMQ_DONTWAIT)) {
            return;
        }
    }
    thread->ending = batch == NULL;
}

static void execute(struct store_thread *thread)
{
    struct err_text why = {0};
    enum store_call call =
        thread->store->engine->exec(thread->store, thread->ops, thread->op_count, &why);
    for (size_t i = 0; i < thread->group_count; i++) {
        struct store_batch *batch = thread->group[i];
        batch->call = call;
        if (call != STORE_CALL_DONE) {
            batch->why = why;
        }
        send_pointer(thread->thread_pair, batch);
    }
}

static void *run(void *arg)
{
    struct store_thread *thread = arg;
    sigset_t all;
    /* Signals are the loop's. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    (void)pthread_setname_np(pthread_self(), "tpn-store");
    while (!thread->ending) {
        collect(thread);
        if (thread->group_count > 0) {
            execute(thread);
        }
    }
    thread->store->engine->close(&thread->store);
    return NULL;
}

/* ---- the loop's side ---- */

static enum err open_pair(void *context, struct store_thread *thread, struct err_text *why)
{
    char endpoint[64];
    const int none = 0;
    (void)snprintf(endpoint, sizeof endpoint, "inproc://store-%p", (void *)thread);
    thread->pair = zmq_socket(context, ZMQ_PAIR);
    thread->thread_pair = zmq_socket(context, ZMQ_PAIR);
    if (thread->pair == NULL || thread->thread_pair == NULL) {
        return err_set(why, ERR_IO, "zmq_socket: %s", zmq_strerror(errno));
    }
    void *const pairs[] = {thread->pair, thread->thread_pair};
    for (size_t i = 0; i < 2; i++) {
        if (zmq_setsockopt(pairs[i], ZMQ_SNDHWM, &none, sizeof none) != 0 ||
            zmq_setsockopt(pairs[i], ZMQ_RCVHWM, &none, sizeof none) != 0 ||
            zmq_setsockopt(pairs[i], ZMQ_LINGER, &none, sizeof none) != 0) {
            return err_set(why, ERR_IO, "zmq_setsockopt: %s", zmq_strerror(errno));
        }
    }
    if (zmq_bind(thread->pair, endpoint) != 0 ||
        zmq_connect(thread->thread_pair, endpoint) != 0) {
        return err_set(why, ERR_IO, "%s: %s", endpoint, zmq_strerror(errno));
    }
    return ERR_OK;
}

static void close_pair(void **pair)
{
    if (*pair != NULL) {
        (void)zmq_close(*pair);
        *pair = NULL;
    }
}

static void free_thread(struct store_thread *thread)
{
    loop_unwatch(&thread->watch);
    close_pair(&thread->pair);
    close_pair(&thread->thread_pair);
    free(thread);
}

enum err store_thread_start(struct store_thread **out, void *zmq_context, struct store **store,
                            struct err_text *why)
{
    struct store_thread *thread = mem_zero(1, sizeof *thread);
    thread->store = *store;
    *store = NULL;
    enum err err = open_pair(zmq_context, thread, why);
    if (err == ERR_OK) {
        /* A socket may move to another thread behind a full fence (zmq_socket(3)):
         * pthread_create is one. */
        int rc = pthread_create(&thread->thread, NULL, run, thread);
        err = rc == 0 ? ERR_OK : err_set_errno(why, ERR_IO, rc, "pthread_create");
    }
    if (err != ERR_OK) {
        thread->store->engine->close(&thread->store);
        free_thread(thread);
        return err;
    }
    *out = thread;
    return ERR_OK;
}

/* The descriptor only wakes the loop; reading is the pump's. */
static void wake(void *arg, int events)
{
    (void)arg;
    (void)events;
}

enum err store_thread_attach(struct store_thread *thread, struct loop *loop, store_batch_fn *fn,
                             void *arg)
{
    int fd = -1;
    size_t len = sizeof fd;
    if (zmq_getsockopt(thread->pair, ZMQ_FD, &fd, &len) != 0) {
        return ERR_IO;
    }
    thread->loop = loop;
    thread->fn = fn;
    thread->arg = arg;
    return loop_watch(loop, fd, LOOP_READ, wake, thread, &thread->watch);
}

void store_thread_give(struct store_thread *thread, struct store_batch *batch)
{
    if (batch->count == 0 || batch->count > STORE_BATCH_ROOM || thread->fn == NULL) {
        bug("batch of %zu ops given to the store", batch->count);
    }
    batch->call = STORE_CALL_UNKNOWN;
    thread->outstanding++;
    send_pointer(thread->pair, batch);
    int events = 0;
    size_t len = sizeof events;
    if (zmq_getsockopt(thread->pair, ZMQ_EVENTS, &events, &len) == 0 &&
        (events & ZMQ_POLLIN) != 0) {
        loop_again(thread->loop);
    }
}

static void take_back(struct store_thread *thread, struct store_batch *batch)
{
    thread->outstanding--;
    thread->fn(thread->arg, batch);
}

void store_thread_pump(struct store_thread *thread)
{
    struct store_batch *batch = NULL;
    while (receive_pointer(thread->pair, &batch, ZMQ_DONTWAIT)) {
        take_back(thread, batch);
    }
}

void store_thread_stop(struct store_thread **thread_p)
{
    struct store_thread *thread = *thread_p;
    if (thread == NULL) {
        return;
    }
    while (thread->outstanding > 0) {
        struct store_batch *batch = NULL;
        (void)receive_pointer(thread->pair, &batch, 0);
        take_back(thread, batch);
    }
    send_pointer(thread->pair, NULL);
    (void)pthread_join(thread->thread, NULL);
    free_thread(thread);
    *thread_p = NULL;
}
