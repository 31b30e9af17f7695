/* One thread's event loop: file descriptors and timers call back. Linux epoll(7), level-triggered.
 *
 * Callbacks may add, change and remove any watch or timer, their own included. */
#ifndef TPN_LOOP_H
#define TPN_LOOP_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct loop_watch;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/* A descriptor is ready. events: LOOP_READ, LOOP_WRITE or both; an error or hang-up shows as both. */
typedef void loop_fd_fn(void *arg, int events);
/* A timer fired, or the hook before the wait is called. */
typedef void loop_fn(void *arg);

/* A timer lives inside its owner; init once, arm and disarm as often as wanted, disarm before it goes. */
struct loop_timer {
    struct loop *loop;
    loop_fn *fn;
    void *arg;
    int64_t due_us;
    size_t slot; /* place in the heap, 1-based; 0 = not armed */
};

/* A new loop; loop_free accepts null. Watches still there are freed, their descriptors left open. */
enum err loop_new(struct loop **out, struct err_text *why) NODISCARD;
/* Free a loop and null the pointer; accepts null. */
void loop_free(struct loop **loop);

/* Watch fd for events until loop_unwatch; the loop owns the watch, the caller the descriptor. */
enum err loop_watch(struct loop *loop, int fd, int events, loop_fd_fn *fn, void *arg,
                    struct loop_watch **out) NODISCARD;
/* Change what is watched for; 0 keeps the watch but hears only errors. */
void loop_rewatch(struct loop_watch *watch, int events);
/* End a watch and null the pointer; accepts null. Call before the descriptor is closed. */
void loop_unwatch(struct loop_watch **watch);

/* Make a timer of that loop, not armed. fn is called from the loop, with the timer disarmed. */
void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_fn *fn, void *arg);
/* Fire once, after_ms from now; an armed timer is moved. */
void loop_timer_arm(struct loop_timer *timer, int64_t after_ms);
/* It will not fire; fine when it is not armed. */
void loop_timer_disarm(struct loop_timer *timer);
/* It will fire. */
bool loop_timer_armed(const struct loop_timer *timer);

/* Called once a turn after all callbacks, before the loop waits: batches go out here. When it has made more
 * work that no descriptor will announce it calls loop_again. */
void loop_before_wait(struct loop *loop, loop_fn *fn, void *arg);

/* Do not wait in this turn: look at descriptors and timers, then come round again. */
void loop_again(struct loop *loop);

/* by: 1 = one more answer of a peer is due, which a descriptor will announce; -1 = it came, or never will. While many are
 * due and come thick and fast, the loop sleeps a moment before it waits: a few are there then for one wait, and the peer
 * need not wake a thread with each that it sends. */
void loop_due(struct loop *loop, int by);

/* Run until loop_stop. ERR_IO when epoll fails. */
enum err loop_run(struct loop *loop, struct err_text *why) NODISCARD;
/* Let loop_run return after this turn. */
void loop_stop(struct loop *loop);

/* One turn, waiting at most max_wait_ms (0 = do not wait, -1 = as long as it takes). */
enum err loop_turn(struct loop *loop, int max_wait_ms, struct err_text *why) NODISCARD;

#endif
