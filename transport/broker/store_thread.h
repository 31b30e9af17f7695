/* The thread that owns the store. The loop hands it batches and gets them back executed.
 *
 * Group commit without a timer: the thread takes all batches that wait (up to STORE_THREAD_MAX_OPS ops), runs them as one
 * transaction and gives each back. Batches come back in the order they were given. While nothing waits the thread lets
 * the engine do its housekeeping. Nothing else is shared: an op belongs to the thread from give to take. */
#ifndef TPN_STORE_THREAD_H
#define TPN_STORE_THREAD_H

#include "loop.h"
#include "store.h"

#include <sys/queue.h>

struct store_thread;

enum { STORE_THREAD_MAX_OPS = 4096, STORE_BATCH_ROOM = 1024 };

/* A batch of ops on its way. */
struct store_batch {
    struct store_op *ops[STORE_BATCH_ROOM];
    size_t count;
    enum store_call call;          /* out */
    struct err_text why;           /* out, when call is not DONE */
    TAILQ_ENTRY(store_batch) link; /* the thread's, from give to take */
};

/* A batch came back; the callee owns it again. */
typedef void store_batch_fn(void *arg, struct store_batch *batch);

/* Start the thread on an open store (it takes the store over and closes it at the end). */
enum err store_thread_start(struct store_thread **out, struct store **store,
                            struct err_text *why) NODISCARD;

/* Results arrive in the loop; fn is called from store_thread_pump. */
enum err store_thread_attach(struct store_thread *thread, struct loop *loop, store_batch_fn *fn,
                             void *arg) NODISCARD;

/* Hand a batch over; it must have at least one op. */
void store_thread_give(struct store_thread *thread, struct store_batch *batch);

/* Take back what is finished: for the owner's before-wait hook. */
void store_thread_pump(struct store_thread *thread);

/* Finish what was given (calling fn), close the store, end the thread. Accepts null. */
void store_thread_stop(struct store_thread **thread);

#endif
