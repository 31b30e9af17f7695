/* Event loop over epoll with a binary heap of timers.
 *
 * Design notes: a watch that ends while its own turn still holds events of it is only marked dead and freed
 * at the end of the turn, so a stale event never reaches freed memory. Waits are rounded up to whole
 * milliseconds, so a timer never fires early. */
#include "loop.h"

#include "clock.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_A_TURN = 256,
    GATHER_FROM = 8, /* answers due: fewer keep no peer busy while we sleep */
    GATHER_US = 20,  /* and up to the thread's timer slack more, 50 us (prctl(2)) */
    QUICK_US = 100   /* a wait that was longer says that answers are rare */
};

struct loop_watch {
    struct loop *loop;
    int fd;
    loop_fd_fn *fn; /* null = dead, to be freed */
    void *arg;
    struct loop_watch *prev;
    struct loop_watch *next;
};

struct loop {
    int epoll_fd;
    struct loop_watch *watches;
    struct loop_watch *dead;
    struct loop_timer **heap; /* 1-based */
    size_t timers;
    size_t heap_room;
    loop_fn *before_wait;
    void *before_wait_arg;
    int due;    /* answers of peers */
    bool quick; /* the last wait was short */
    bool again;
    bool stopped;
};

enum err loop_new(struct loop **out, struct err_text *why)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(why, ERR_IO, errno, "epoll_create1");
    }
    struct loop *loop = mem_zero(1, sizeof *loop);
    loop->epoll_fd = fd;
    *out = loop;
    return ERR_OK;
}

static void free_list(struct loop_watch *watch)
{
    while (watch != NULL) {
        struct loop_watch *next = watch->next;
        free(watch);
        watch = next;
    }
}

void loop_free(struct loop **loop_p)
{
    struct loop *loop = *loop_p;
    if (loop == NULL) {
        return;
    }
    free_list(loop->watches);
    free_list(loop->dead);
    free(loop->heap);
    (void)close(loop->epoll_fd);
    free(loop);
    *loop_p = NULL;
}

static uint32_t to_epoll(int events)
{
    uint32_t out = 0;
    if ((events & LOOP_READ) != 0) {
        out |= EPOLLIN;
    }
    if ((events & LOOP_WRITE) != 0) {
        out |= EPOLLOUT;
    }
    return out;
}

static int from_epoll(uint32_t events)
{
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        return LOOP_READ | LOOP_WRITE;
    }
    int out = 0;
    if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
        out |= LOOP_READ;
    }
    if ((events & EPOLLOUT) != 0) {
        out |= LOOP_WRITE;
    }
    return out;
}

enum err loop_watch(struct loop *loop, int fd, int events, loop_fd_fn *fn, void *arg,
                    struct loop_watch **out)
{
    struct loop_watch *watch = mem_zero(1, sizeof *watch);
    struct epoll_event event = {.events = to_epoll(events), .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(watch);
        return ERR_IO;
    }
    watch->loop = loop;
    watch->fd = fd;
    watch->fn = fn;
    watch->arg = arg;
    watch->next = loop->watches;
    if (loop->watches != NULL) {
        loop->watches->prev = watch;
    }
    loop->watches = watch;
    *out = watch;
    return ERR_OK;
}

void loop_rewatch(struct loop_watch *watch, int events)
{
    struct epoll_event event = {.events = to_epoll(events), .data.ptr = watch};
    if (epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) != 0) {
        bug("epoll_ctl MOD of a watched descriptor %d failed: errno %d", watch->fd, errno);
    }
}

void loop_unwatch(struct loop_watch **watch_p)
{
    struct loop_watch *watch = *watch_p;
    if (watch == NULL) {
        return;
    }
    struct loop *loop = watch->loop;
    /* A descriptor that was closed before has left epoll by itself. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    if (watch->prev != NULL) {
        watch->prev->next = watch->next;
    } else {
        loop->watches = watch->next;
    }
    if (watch->next != NULL) {
        watch->next->prev = watch->prev;
    }
    watch->fn = NULL;
    watch->next = loop->dead;
    loop->dead = watch;
    *watch_p = NULL;
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_fn *fn, void *arg)
{
    *timer = (struct loop_timer){.loop = loop, .fn = fn, .arg = arg};
}

static void heap_put(struct loop *loop, size_t slot, struct loop_timer *timer)
{
    loop->heap[slot] = timer;
    timer->slot = slot;
}

static void heap_up(struct loop *loop, size_t slot)
{
    struct loop_timer *timer = loop->heap[slot];
    while (slot > 1 && loop->heap[slot / 2]->due_us > timer->due_us) {
        heap_put(loop, slot, loop->heap[slot / 2]);
        slot /= 2;
    }
    heap_put(loop, slot, timer);
}

static void heap_down(struct loop *loop, size_t slot)
{
    struct loop_timer *timer = loop->heap[slot];
    for (size_t child = slot * 2; child <= loop->timers; child = slot * 2) {
        if (child < loop->timers && loop->heap[child + 1]->due_us < loop->heap[child]->due_us) {
            child++;
        }
        if (loop->heap[child]->due_us >= timer->due_us) {
            break;
        }
        heap_put(loop, slot, loop->heap[child]);
        slot = child;
    }
    heap_put(loop, slot, timer);
}

void loop_timer_arm(struct loop_timer *timer, int64_t after_ms)
{
    struct loop *loop = timer->loop;
    int64_t due_us = clock_mono_us() + after_ms * 1000;
    if (timer->slot == 0) {
        if (loop->timers + 1 >= loop->heap_room) {
            loop->heap_room = loop->heap_room > 0 ? loop->heap_room * 2 : 64;
            loop->heap = mem_resize(loop->heap, loop->heap_room, sizeof(struct loop_timer *));
        }
        timer->due_us = due_us;
        loop->timers++;
        heap_put(loop, loop->timers, timer);
        heap_up(loop, loop->timers);
        return;
    }
    timer->due_us = due_us;
    heap_up(loop, timer->slot);
    heap_down(loop, timer->slot);
}

void loop_timer_disarm(struct loop_timer *timer)
{
    if (timer->slot == 0) {
        return;
    }
    struct loop *loop = timer->loop;
    size_t slot = timer->slot;
    struct loop_timer *last = loop->heap[loop->timers];
    timer->slot = 0;
    loop->timers--;
    if (last != timer) {
        heap_put(loop, slot, last);
        heap_up(loop, slot);
        heap_down(loop, last->slot);
    }
}

bool loop_timer_armed(const struct loop_timer *timer)
{
    return timer->slot != 0;
}

void loop_before_wait(struct loop *loop, loop_fn *fn, void *arg)
{
    loop->before_wait = fn;
    loop->before_wait_arg = arg;
}

void loop_again(struct loop *loop)
{
    loop->again = true;
}

void loop_due(struct loop *loop, int by)
{
    loop->due += by;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

static int wait_ms(const struct loop *loop, int max_wait_ms)
{
    if (loop->again) {
        return 0;
    }
    if (loop->timers == 0) {
        return max_wait_ms;
    }
    int64_t left_us = loop->heap[1]->due_us - clock_mono_us();
    int64_t left_ms = left_us > 0 ? (left_us + 999) / 1000 : 0;
    if (left_ms > 60000) {
        left_ms = 60000;
    }
    return max_wait_ms >= 0 && max_wait_ms < left_ms ? max_wait_ms : (int)left_ms;
}

static void fire_timers(struct loop *loop)
{
    int64_t now_us = clock_mono_us();
    while (loop->timers > 0 && loop->heap[1]->due_us <= now_us) {
        struct loop_timer *timer = loop->heap[1];
        loop_timer_disarm(timer);
        timer->fn(timer->arg);
    }
}

/* epoll_wait(2), after a moment for answers to gather. A peer on this machine pays for waking this thread with each answer
 * that it sends while we wait; smtp-sink takes a sixth more mails when we sleep instead. What is there already is not kept
 * waiting: a peer that is faster than we are never meets a sleep. */
static int wait_for_events(struct loop *loop, struct epoll_event *events, int wait)
{
    if (loop->due < GATHER_FROM || wait == 0) {
        loop->quick = false;
        return epoll_wait(loop->epoll_fd, events, EVENTS_A_TURN, wait);
    }
    if (loop->quick) {
        const struct timespec moment = {.tv_nsec = GATHER_US * 1000L};
        int there = epoll_wait(loop->epoll_fd, events, EVENTS_A_TURN, 0);
        if (there != 0) {
            return there;
        }
        (void)nanosleep(&moment, NULL); /* a signal ends it early, and that is fine */
    }
    int64_t before_us = clock_mono_us();
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_A_TURN, wait);
    loop->quick = clock_mono_us() - before_us < QUICK_US;
    return count;
}

enum err loop_turn(struct loop *loop, int max_wait_ms, struct err_text *why)
{
    struct epoll_event events[EVENTS_A_TURN];
    int wait = wait_ms(loop, max_wait_ms);
    loop->again = false;
    int count = wait_for_events(loop, events, wait);
    if (count < 0) {
        return errno == EINTR ? ERR_OK : err_set_errno(why, ERR_IO, errno, "epoll_wait");
    }
    for (int i = 0; i < count; i++) {
        struct loop_watch *watch = events[i].data.ptr;
        if (watch->fn != NULL) {
            watch->fn(watch->arg, from_epoll(events[i].events));
        }
    }
    fire_timers(loop);
    if (loop->before_wait != NULL) {
        loop->before_wait(loop->before_wait_arg);
    }
    free_list(loop->dead);
    loop->dead = NULL;
    return ERR_OK;
}

enum err loop_run(struct loop *loop, struct err_text *why)
{
    loop->stopped = false;
    while (!loop->stopped) {
        enum err err = loop_turn(loop, -1, why);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}
