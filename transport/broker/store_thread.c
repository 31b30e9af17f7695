/* The store's thread and the two queues between it and the loop.
 *
 * Design notes. The queues have no high-water mark: what may be under way is bounded by the
 * batches that the owner has, and a give must never block the loop. The owner counts what is
 * outstanding, so stop can wait for everything before it ends the thread. A batch that no
 * longer fits into the room of a call stays in the queue for the next one, so batches are
 * never split and never overtake each other.
 *
 * One lock guards both queues and is held for a few instructions. The thread sleeps on a
 * condition; the loop is woken by a descriptor, written only when it may have gone to sleep
 * since it last took something. */
#include "store_thread.h"

#include "mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    IDLE_AFTER_MS = 200,
    GROUP_BATCHES = 1024 /* batches in one call */
};

TAILQ_HEAD(batch_queue, store_batch);

struct store_thread {
    /* The loop's side. */
    pthread_t thread;
    struct loop *loop;
    struct loop_watch *watch;
    store_batch_fn *fn;
    void *arg;
    size_t outstanding; /* given and not yet taken back */
    /* Between the two, under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t given_or_ending;
    pthread_cond_t finished_one; /* for stop, which has no loop any more */
    struct batch_queue given;
    struct batch_queue finished;
    bool ending;
    int event_fd; /* readable: something is finished */
    /* The thread's side, after start. */
    struct store *store;
    struct batch_queue group;
    size_t group_count;
    struct store_op *ops[STORE_THREAD_MAX_OPS];
    size_t op_count;
};

_Static_assert((int)STORE_THREAD_MAX_OPS >= (int)STORE_BATCH_ROOM,
               "any batch fits into a call");

/* ---- the thread's side ---- */

/* Does something wait, or shall the thread end? Waits for it up to that long. */
static bool wait_for_work(struct store_thread *thread, int64_t timeout_ms)
{
    struct timespec until = {0};
    int rc = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&thread->lock);
    while (TAILQ_EMPTY(&thread->given) && !thread->ending && rc == 0) {
        rc = pthread_cond_timedwait(&thread->given_or_ending, &thread->lock, &until);
    }
    bool work = !TAILQ_EMPTY(&thread->given) || thread->ending;
    (void)pthread_mutex_unlock(&thread->lock);
    return work;
}

static void keep_house(struct store_thread *thread)
{
    bool more = !wait_for_work(thread, IDLE_AFTER_MS);
    while (more) {
        more = thread->store->engine->idle(thread->store) && !wait_for_work(thread, 0);
    }
}

/* Move what waits into the next call, as far as it fits. Called with the lock. */
static void group_all(struct store_thread *thread)
{
    struct store_batch *batch = NULL;
    while ((batch = TAILQ_FIRST(&thread->given)) != NULL &&
           thread->group_count < GROUP_BATCHES &&
           thread->op_count + batch->count <= STORE_THREAD_MAX_OPS) {
        TAILQ_REMOVE(&thread->given, batch, link);
        TAILQ_INSERT_TAIL(&thread->group, batch, link);
        thread->group_count++;
        for (size_t i = 0; i < batch->count; i++) {
            thread->ops[thread->op_count++] = batch->ops[i];
        }
    }
}

/* Take all that waits; waits itself for the first one. False: the thread shall end. */
static bool collect(struct store_thread *thread)
{
    thread->group_count = 0;
    thread->op_count = 0;
    (void)pthread_mutex_lock(&thread->lock);
    if (TAILQ_EMPTY(&thread->given) && !thread->ending) {
        (void)pthread_mutex_unlock(&thread->lock);
        keep_house(thread);
        (void)pthread_mutex_lock(&thread->lock);
    }
    while (TAILQ_EMPTY(&thread->given) && !thread->ending) {
        (void)pthread_cond_wait(&thread->given_or_ending, &thread->lock);
    }
    group_all(thread);
    (void)pthread_mutex_unlock(&thread->lock);
    return thread->group_count > 0;
}

static void execute(struct store_thread *thread)
{
    struct err_text why = {0};
    enum store_call call =
        thread->store->engine->exec(thread->store, thread->ops, thread->op_count, &why);
    struct store_batch *batch = NULL;
    TAILQ_FOREACH(batch, &thread->group, link)
    {
        batch->call = call;
        if (call != STORE_CALL_DONE) {
            batch->why = why;
        }
    }
    (void)pthread_mutex_lock(&thread->lock);
    bool first = TAILQ_EMPTY(&thread->finished);
    TAILQ_CONCAT(&thread->finished, &thread->group, link);
    (void)pthread_cond_signal(&thread->finished_one);
    (void)pthread_mutex_unlock(&thread->lock);
    if (first) {
        (void)eventfd_write(thread->event_fd, 1);
    }
    thread->store->engine->tidy(thread->store);
}

static void *run(void *arg)
{
    struct store_thread *thread = arg;
    sigset_t all;
    /* Signals are the loop's. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    (void)pthread_setname_np(pthread_self(), "tpn-store");
    while (collect(thread)) {
        execute(thread);
    }
    thread->store->engine->close(&thread->store);
    return NULL;
}

/* ---- the loop's side ---- */

static void free_thread(struct store_thread *thread)
{
    loop_unwatch(&thread->watch);
    (void)pthread_cond_destroy(&thread->given_or_ending);
    (void)pthread_cond_destroy(&thread->finished_one);
    (void)pthread_mutex_destroy(&thread->lock);
    if (thread->event_fd >= 0) {
        (void)close(thread->event_fd);
    }
    free(thread);
}

static struct store_thread *make_thread(void)
{
    struct store_thread *thread = mem_zero(1, sizeof *thread);
    pthread_condattr_t monotonic;
    TAILQ_INIT(&thread->given);
    TAILQ_INIT(&thread->finished);
    TAILQ_INIT(&thread->group);
    thread->event_fd = -1;
    if (pthread_condattr_init(&monotonic) != 0 ||
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) != 0 ||
        pthread_mutex_init(&thread->lock, NULL) != 0 ||
        pthread_cond_init(&thread->given_or_ending, &monotonic) != 0 ||
        pthread_cond_init(&thread->finished_one, NULL) != 0) {
        bug("no lock for the store's thread"); /* Linux needs nothing for them */
    }
    (void)pthread_condattr_destroy(&monotonic);
    return thread;
}

enum err store_thread_start(struct store_thread **out, struct store **store,
                            struct err_text *why)
{
    struct store_thread *thread = make_thread();
    enum err err = ERR_OK;
    thread->store = *store;
    *store = NULL;
    thread->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (thread->event_fd < 0) {
        err = err_set_errno(why, ERR_IO, errno, "eventfd");
    } else {
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

/* The descriptor only wakes the loop; taking is the pump's. */
static void wake(void *arg, int events)
{
    struct store_thread *thread = arg;
    eventfd_t count = 0;
    (void)events;
    (void)eventfd_read(thread->event_fd, &count);
}

enum err store_thread_attach(struct store_thread *thread, struct loop *loop, store_batch_fn *fn,
                             void *arg)
{
    thread->loop = loop;
    thread->fn = fn;
    thread->arg = arg;
    return loop_watch(loop, thread->event_fd, LOOP_READ, wake, thread, &thread->watch);
}

void store_thread_give(struct store_thread *thread, struct store_batch *batch)
{
    if (batch->count == 0 || batch->count > STORE_BATCH_ROOM || thread->fn == NULL) {
        bug("batch of %zu ops given to the store", batch->count);
    }
    batch->call = STORE_CALL_UNKNOWN;
    thread->outstanding++;
    (void)pthread_mutex_lock(&thread->lock);
    TAILQ_INSERT_TAIL(&thread->given, batch, link);
    (void)pthread_mutex_unlock(&thread->lock);
    (void)pthread_cond_signal(&thread->given_or_ending);
}

/* Take all that is finished; fn may give again meanwhile. */
static void take_back(struct store_thread *thread, bool wait)
{
    struct batch_queue taken = TAILQ_HEAD_INITIALIZER(taken);
    struct store_batch *batch = NULL;
    (void)pthread_mutex_lock(&thread->lock);
    while (wait && TAILQ_EMPTY(&thread->finished)) {
        (void)pthread_cond_wait(&thread->finished_one, &thread->lock);
    }
    TAILQ_CONCAT(&taken, &thread->finished, link);
    (void)pthread_mutex_unlock(&thread->lock);
    while ((batch = TAILQ_FIRST(&taken)) != NULL) {
        TAILQ_REMOVE(&taken, batch, link);
        thread->outstanding--;
        thread->fn(thread->arg, batch);
    }
}

void store_thread_pump(struct store_thread *thread)
{
    if (thread->outstanding > 0) {
        take_back(thread, false);
    }
}

void store_thread_stop(struct store_thread **thread_p)
{
    struct store_thread *thread = *thread_p;
    if (thread == NULL) {
        return;
    }
    while (thread->outstanding > 0) {
        take_back(thread, true);
    }
    (void)pthread_mutex_lock(&thread->lock);
    thread->ending = true;
    (void)pthread_mutex_unlock(&thread->lock);
    (void)pthread_cond_signal(&thread->given_or_ending);
    (void)pthread_join(thread->thread, NULL);
    free_thread(thread);
    *thread_p = NULL;
}
