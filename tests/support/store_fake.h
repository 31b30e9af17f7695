/* An engine that keeps nothing: it answers as it is told, notes its calls, and waits in each while its gate is shut. For tests of what
 * stands in front of an engine. */
#ifndef TPN_STORE_FAKE_H
#define TPN_STORE_FAKE_H

#include "store_fixture.h"

#include <pthread.h>

enum { FAKE_CALLS_NOTED = 16, FAKE_KINDS_NOTED = 16 };

struct fake {
    struct store base;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    bool shut;
    bool inside;                    /* a call is at the gate */
    size_t calls[FAKE_CALLS_NOTED]; /* ops in the first calls */
    size_t call_count;
    enum store_kind kinds[FAKE_KINDS_NOTED]; /* the first of those that were done */
    size_t kind_count;
    size_t failures; /* that many first calls are UNAVAILABLE */
    enum store_call answer;
    bool closed;
    int idle_rounds; /* idle says "more" that often */
    int idled;
    bool untidy; /* tidy does not return until this is taken back */
};

static inline enum store_call fake_exec(struct store *base, struct store_op *const ops[],
                                        size_t count, struct err_text *why)
{
    struct fake *fake = (struct fake *)base;
    (void)pthread_mutex_lock(&fake->mutex);
    fake->inside = true;
    (void)pthread_cond_broadcast(&fake->moved);
    while (fake->shut) {
        (void)pthread_cond_wait(&fake->moved, &fake->mutex);
    }
    fake->inside = false;
    if (fake->call_count < FAKE_CALLS_NOTED) {
        fake->calls[fake->call_count] = count;
    }
    enum store_call answer =
        fake->call_count < fake->failures ? STORE_CALL_UNAVAILABLE : fake->answer;
    fake->call_count++;
    for (size_t i = 0; i < count && answer == STORE_CALL_DONE; i++) {
        ops[i]->result = STORE_DONE;
        if (fake->kind_count < FAKE_KINDS_NOTED) {
            fake->kinds[fake->kind_count] = ops[i]->kind;
        }
        fake->kind_count++;
    }
    (void)pthread_mutex_unlock(&fake->mutex);
    if (answer != STORE_CALL_DONE) {
        (void)err_set(why, ERR_STORAGE, "disk full");
    }
    return answer;
}

static inline void fake_tidy(struct store *base)
{
    struct fake *fake = (struct fake *)base;
    (void)pthread_mutex_lock(&fake->mutex);
    while (fake->untidy) {
        (void)pthread_cond_wait(&fake->moved, &fake->mutex);
    }
    (void)pthread_mutex_unlock(&fake->mutex);
}

static inline bool fake_idle(struct store *base)
{
    struct fake *fake = (struct fake *)base;
    (void)pthread_mutex_lock(&fake->mutex);
    fake->idled++;
    bool more = fake->idled < fake->idle_rounds;
    (void)pthread_cond_broadcast(&fake->moved);
    (void)pthread_mutex_unlock(&fake->mutex);
    return more;
}

static inline void fake_close(struct store **base)
{
    struct fake *fake = (struct fake *)*base;
    fake->closed = true;
    *base = NULL;
}

static const struct store_engine fake_engine = {.name = "fake",
                                                .exec = fake_exec,
                                                .tidy = fake_tidy,
                                                .idle = fake_idle,
                                                .close = fake_close};

/* A zeroed fake as an open store. */
static inline struct store *fake_init(struct fake *fake)
{
    fake->base.engine = &fake_engine;
    fake->answer = STORE_CALL_DONE;
    assert_int_equal(pthread_mutex_init(&fake->mutex, NULL), 0);
    assert_int_equal(pthread_cond_init(&fake->moved, NULL), 0);
    return &fake->base;
}

static inline void fake_fini(struct fake *fake)
{
    (void)pthread_mutex_destroy(&fake->mutex);
    (void)pthread_cond_destroy(&fake->moved);
}

#endif
