/* The pickup back end: files for a consumer that polls a folder (IIS SMTP, Exchange, or the
 * like).
 *
 *   start ─► its turn ─► WRITE ─► NAME ─► ask ─► permit ─► HAND_OVER ─► done
 *                                          └──► DROP ─► done            LOOK ─► done          (steps in capitals: by a thread)
 *
 * fsync blocks, so files are written by a few threads with one queue: this and store_thread
 * are the only places where threads share memory. Everything shared is in struct pickup
 * below its mutex; a task belongs to whoever took it off a list, and a delivery is only read
 * while a thread has it. The loop hears of results through an eventfd, once for many.
 *
 * Both names of a file, .part before the permit and .eml behind it, become durable by an fsync of the folder. Whoever is to sync a
 * folder takes along all others that wait for that, and no two sync one folder at once: so what comes while a folder is being
 * synced shares the next fsync, without any timer.
 *
 * When more files wait to be written than there are threads, a thread takes a few of one folder: that is opened once for them, and
 * all are on their way to the disk before the first is waited for, so that most find their fsync done. A folder is opened anew for
 * each such group and never kept for a later one: what its path leads to may have changed. */
#include "pickup.h"

#include "clock.h"
#include "deliver.h"
#include "log.h"
#include "mem.h"
#include "pickup_folder.h"
#include "pickup_pace.h"
#include "pickup_trace.h"
#include "pickup_watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    THREADS_DEFAULT = 8,
    THREADS_MAX = 64,
    GROUP_MAX = TRACE_LINES_MAX,
    WRITES_MAX = 8,     /* files that one thread writes together */
    TRIES = 6,          /* of a step that a sharing violation or a full disk stopped … */
    FIRST_WAIT_MS = 100 /* … with waits of 0.1, 0.2, 0.4, 0.8 and 1.6 s between them */
};

enum pickup_step {
    STEP_WRITE,     /* the .part, its bytes durable */
    STEP_NAME,      /* the name of the .part durable */
    STEP_HAND_OVER, /* renamed, the new name durable */
    STEP_DROP,
    STEP_LOOK,
    STEP_CALL,
    STEP_COUNT
};

/* An open folder, of the files that were opened together. Made by a thread before anybody else has one of them; then the loop's. */
struct open_folder {
    int fd;
    dev_t dev;
    ino_t inode; /* of what is open: behind its path another folder may lie meanwhile */
    size_t users;
};

/* One delivery (or a call for another file of this back end); belongs to the loop, the queue, a thread or the list of results, one at a
 * time. */
struct pickup_task {
    struct delivery *delivery;
    struct pickup *pickup;
    struct pickup_task *next;
    struct pickup_task *all_prev; /* the loop's list of all */
    struct pickup_task *all_next;
    enum pickup_step step;
    unsigned tries;             /* of this step */
    bool given_up;              /* the .part is being taken back; result stands */
    int64_t due_ms;             /* while it waits, monotonic */
    struct open_folder *folder; /* null until opened */
    int part_fd;                /* while its thread writes it; else -1 */
    struct pickup_result result;
    ino_t inode; /* of the .part */
    /* STEP_CALL; the delivery is null */
    pickup_call_fn *run;
    pickup_call_fn *done;
    void *arg;
};

struct task_list {
    struct pickup_task *first;
    struct pickup_task *last;
};

struct pickup {
    /* the loop's own */
    struct loop *loop;
    struct loop_watch *watch;
    int event_fd;
    struct pickup_task *all;
    struct task_list waiting; /* for their turn or another try, by due_ms */
    struct loop_timer timer;  /* of the first of them */
    struct pickup_paces *paces;
    struct pickup_watch *follow; /* null = files are not followed */
    char instance[TRACE_INSTANCE_BYTES];
    char **roots;
    unsigned thread_count;
    pthread_t threads[THREADS_MAX];
    /* shared, below mutex */
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct task_list queue;
    size_t writes; /* files in it that are to be written */
    struct task_list results;
    /* Of each thread: a task whose folder it is syncing; null = none. */
    const struct pickup_task *syncing[THREADS_MAX];
    bool stopping;
};

static void list_add(struct task_list *list, struct pickup_task *task)
{
    task->next = NULL;
    if (list->last != NULL) {
        list->last->next = task;
    } else {
        list->first = task;
    }
    list->last = task;
}

/* Take the task that follows `before` (null: the first). */
static struct pickup_task *list_take_after(struct task_list *list, struct pickup_task *before)
{
    struct pickup_task *task = before != NULL ? before->next : list->first;
    if (before != NULL) {
        before->next = task->next;
    } else {
        list->first = task->next;
    }
    if (list->last == task) {
        list->last = before;
    }
    task->next = NULL;
    return task;
}

static const char *folder_of(const struct pickup_task *task)
{
    return task->delivery->plan->folder;
}

/* Threads. */

/* Open the folder of a group of tasks for those that have it not yet: with it, or with the result that says why not. */
static void open_folder(const struct pickup *pickup, struct pickup_task *group)
{
    const char *const *roots = (const char *const *)pickup->roots;
    struct open_folder *folder = mem_zero(1, sizeof *folder);
    struct pickup_result result;
    struct stat info = {0};
    folder->fd = pickup_folder_open(folder_of(group), roots, &result);
    if (folder->fd >= 0 && fstat(folder->fd, &info) == 0) {
        folder->dev = info.st_dev;
        folder->inode = info.st_ino;
    }
    for (struct pickup_task *task = group; task != NULL; task = task->next) {
        if (task->folder == NULL && folder->fd >= 0) {
            task->folder = folder;
            folder->users++;
        } else if (task->folder == NULL) {
            task->result = result;
        }
    }
    if (folder->fd < 0) {
        free(folder);
    }
}

static bool same_folder(const struct pickup_task *task, const struct pickup_task *other)
{
    return task->folder->inode == other->folder->inode &&
           task->folder->dev == other->folder->dev;
}

/* A group with one path; those that are tried again have their folder already. */
static void run_write(struct pickup *pickup, struct pickup_task *group)
{
    bool opened = true;
    for (const struct pickup_task *task = group; task != NULL; task = task->next) {
        opened = opened && task->folder != NULL;
    }
    if (!opened) {
        open_folder(pickup, group);
    }
    for (struct pickup_task *task = group; task != NULL; task = task->next) {
        if (task->folder != NULL) {
            task->part_fd =
                pickup_folder_begin(task->folder->fd, task->delivery, &task->result);
        }
        if (task->part_fd >= 0 && group->next != NULL) {
            pickup_folder_start_flush(task->part_fd);
        }
    }
    for (struct pickup_task *task = group; task != NULL; task = task->next) {
        if (task->folder != NULL && task->part_fd >= 0) {
            pickup_folder_end(task->folder->fd, task->part_fd, task->delivery->file_name,
                              &task->result);
            task->part_fd = -1;
            task->inode = task->result.inode;
        }
    }
}

static void run_look(struct pickup *pickup, struct pickup_task *task)
{
    open_folder(pickup, task);
    if (task->folder != NULL) {
        pickup_folder_look(task->folder->fd, task->delivery->file_name, &task->result);
    }
}

static void run_drop(struct pickup *pickup, struct pickup_task *task)
{
    (void)pickup;
    pickup_folder_take_back(task->folder->fd, task->delivery->file_name, task->inode);
}

/* Leave the trace of those of a group, up to `end`, that are, or are about to be, in the folder; without them none. */
static void leave_trace(const struct pickup *pickup, const struct pickup_task *group,
                        const struct pickup_task *end, char name[TRACE_FILE_BYTES])
{
    struct buf trace;
    size_t count = 0;
    pickup_trace_begin(&trace, pickup->instance);
    for (const struct pickup_task *task = group; task != end; task = task->next) {
        if (task->result.outcome == PB_OUTCOME(PENDING)) {
            pickup_trace_add(&trace, task->delivery);
            count++;
        }
    }
    name[0] = '\0';
    if (count > 0) {
        pickup_trace_write(group->folder->fd, group->delivery, &trace, name);
    }
    buf_fini(&trace);
}

/* Rename the files of a group that are handed over. With followed files: the trace first, so that none is taken unseen; and when one could not be
 * renamed, a trace without it, for it would look like one that was taken when its .part goes. */
static void rename_group(const struct pickup *pickup, struct pickup_task *group,
                         const struct pickup_task *names)
{
    char before[TRACE_FILE_BYTES] = "";
    char after[TRACE_FILE_BYTES] = "";
    bool failed = false;
    for (struct pickup_task *task = group; task != names; task = task->next) {
        task->result = (struct pickup_result){.outcome = PB_OUTCOME(PENDING)};
    }
    if (pickup->instance[0] != '\0') {
        leave_trace(pickup, group, names, before);
    }
    for (struct pickup_task *task = group; task != names; task = task->next) {
        pickup_folder_hand_over(task->folder->fd, task->delivery->file_name, task->inode,
                                &task->result);
        failed = failed || task->result.outcome != PB_OUTCOME(PENDING);
    }
    if (failed && before[0] != '\0') {
        leave_trace(pickup, group, names, after);
        pickup_trace_remove(group->folder->fd, before);
    }
}

/* A group of one folder: rename those that are handed over, which come first, then one fsync for all. */
static void run_group(struct pickup *pickup, struct pickup_task *group)
{
    int folder_fd = group->folder->fd;
    struct pickup_task *names = group;
    while (names != NULL && names->step == STEP_HAND_OVER) {
        names = names->next;
    }
    if (names != group) {
        rename_group(pickup, group, names);
    }
    int number = pickup_folder_sync(folder_fd);
    for (struct pickup_task *task = group; task != names; task = task->next) {
        if (task->result.outcome == PB_OUTCOME(PENDING)) {
            pickup_folder_say_handed_over(number, &task->result);
        }
    }
    for (struct pickup_task *task = names; task != NULL; task = task->next) {
        pickup_folder_say_written(task->folder->fd, task->delivery->file_name, task->inode,
                                  number, &task->result);
    }
}

static void run_call(struct pickup *pickup, struct pickup_task *task)
{
    (void)pickup;
    task->run(task->arg);
}

typedef void step_fn(struct pickup *pickup, struct pickup_task *task);

static step_fn *const step_fns[STEP_COUNT] = {
    [STEP_WRITE] = run_write, [STEP_NAME] = run_group, [STEP_HAND_OVER] = run_group,
    [STEP_DROP] = run_drop,   [STEP_LOOK] = run_look,  [STEP_CALL] = run_call,
};

static bool is_being_synced(const struct pickup *pickup, const struct pickup_task *task)
{
    for (size_t i = 0; i < pickup->thread_count; i++) {
        if (pickup->syncing[i] != NULL && same_folder(pickup->syncing[i], task)) {
            return true;
        }
    }
    return false;
}

static bool needs_sync(const struct pickup_task *task)
{
    return task->step == STEP_NAME || task->step == STEP_HAND_OVER;
}

/* All that waits in the queue for a sync of the folder of `first`, with it: hand-overs, then names. Returns the first of them. */
static struct pickup_task *take_group(struct pickup *pickup, struct pickup_task *first)
{
    struct task_list groups[STEP_COUNT] = {{NULL, NULL}};
    struct pickup_task *before = NULL;
    struct pickup_task *at = pickup->queue.first;
    size_t count = 1;
    list_add(&groups[first->step], first);
    while (at != NULL && count < GROUP_MAX) {
        struct pickup_task *next = at->next;
        if (needs_sync(at) && same_folder(at, first)) {
            list_add(&groups[at->step], list_take_after(&pickup->queue, before));
            count++;
        } else {
            before = at;
        }
        at = next;
    }
    if (groups[STEP_HAND_OVER].first == NULL) {
        return groups[STEP_NAME].first;
    }
    groups[STEP_HAND_OVER].last->next = groups[STEP_NAME].first;
    return groups[STEP_HAND_OVER].first;
}

/* With a file to be written others of the same path, where more wait than there are threads: each gets its share. */
static struct pickup_task *take_writes(struct pickup *pickup, struct pickup_task *first)
{
    struct task_list group = {NULL, NULL};
    struct pickup_task *before = NULL;
    struct pickup_task *at = pickup->queue.first;
    size_t share = (pickup->writes + pickup->thread_count - 1) / pickup->thread_count;
    size_t room = share < WRITES_MAX ? share : WRITES_MAX;
    list_add(&group, first);
    for (size_t count = 1; at != NULL && count < room;) {
        struct pickup_task *next = at->next;
        if (at->step == STEP_WRITE && strcmp(folder_of(at), folder_of(first)) == 0) {
            list_add(&group, list_take_after(&pickup->queue, before));
            count++;
            pickup->writes--;
        } else {
            before = at;
        }
        at = next;
    }
    pickup->writes--;
    return first;
}

/* The first task that may run now, with its group; null when there is none. Mutex held. */
static struct pickup_task *take_task(struct pickup *pickup, size_t self)
{
    struct pickup_task *before = NULL;
    for (struct pickup_task *at = pickup->queue.first; at != NULL; before = at, at = at->next) {
        if (needs_sync(at) && is_being_synced(pickup, at)) {
            continue;
        }
        struct pickup_task *task = list_take_after(&pickup->queue, before);
        if (needs_sync(task)) {
            pickup->syncing[self] = task;
            return take_group(pickup, task);
        }
        return task->step == STEP_WRITE ? take_writes(pickup, task) : task;
    }
    return NULL;
}

/* Written files go on by themselves, everything else back to the loop. Mutex held. */
static void give_results(struct pickup *pickup, struct pickup_task *task, size_t self)
{
    bool synced = pickup->syncing[self] != NULL;
    bool wake = pickup->results.first == NULL;
    bool others = pickup->queue.first != NULL;
    bool written = false;
    pickup->syncing[self] = NULL;
    while (task != NULL) {
        struct pickup_task *next = task->next;
        if (task->step == STEP_WRITE && task->result.outcome == PB_OUTCOME(PENDING)) {
            written = true;
            task->step = STEP_NAME;
            list_add(&pickup->queue, task);
        } else {
            list_add(&pickup->results, task);
        }
        task = next;
    }
    if (wake && pickup->results.first != NULL) {
        (void)eventfd_write(pickup->event_fd, 1);
    }
    if (synced ||
        (written &&
         others)) { /* this thread takes one of them, and more may wait for that folder */
        (void)pthread_cond_signal(&pickup->work);
    }
}

struct thread_arg {
    struct pickup *pickup;
    size_t self;
};

static void *run_thread(void *arg)
{
    struct pickup *pickup = ((struct thread_arg *)arg)->pickup;
    size_t self = ((struct thread_arg *)arg)->self;
    free(arg);
    (void)pthread_mutex_lock(&pickup->mutex);
    while (!pickup->stopping) {
        struct pickup_task *task = take_task(pickup, self);
        if (task == NULL) {
            (void)pthread_cond_wait(&pickup->work, &pickup->mutex);
            continue;
        }
        (void)pthread_mutex_unlock(&pickup->mutex);
        step_fns[task->step](pickup, task);
        (void)pthread_mutex_lock(&pickup->mutex);
        give_results(pickup, task, self);
    }
    (void)pthread_mutex_unlock(&pickup->mutex);
    return NULL;
}

/* The loop. */

static void submit(struct pickup *pickup, struct pickup_task *task, enum pickup_step step)
{
    (void)pthread_mutex_lock(&pickup->mutex);
    task->step = step;
    pickup->writes += step == STEP_WRITE ? 1 : 0;
    list_add(&pickup->queue, task);
    (void)pthread_cond_signal(&pickup->work);
    (void)pthread_mutex_unlock(&pickup->mutex);
}

static void arm(struct pickup *pickup)
{
    const struct pickup_task *first = pickup->waiting.first;
    if (first != NULL) {
        int64_t wait_ms = first->due_ms - clock_mono_ms();
        loop_timer_arm(&pickup->timer, wait_ms > 0 ? wait_ms : 0);
    }
}

/* Let a task wait; its step is set. Most have the latest time of all, so the search begins at the end of that. */
static void wait_for(struct pickup *pickup, struct pickup_task *task, int64_t wait_ms)
{
    struct task_list *list = &pickup->waiting;
    task->due_ms = clock_mono_ms() + wait_ms;
    if (list->last != NULL && list->last->due_ms > task->due_ms) {
        struct pickup_task **at = &list->first;
        while ((*at)->due_ms <= task->due_ms) {
            at = &(*at)->next;
        }
        task->next = *at;
        *at = task;
    } else {
        list_add(list, task);
    }
    arm(pickup);
}

static void on_timer(void *arg)
{
    struct pickup *pickup = arg;
    int64_t now_ms = clock_mono_ms();
    while (pickup->waiting.first != NULL && pickup->waiting.first->due_ms <= now_ms) {
        struct pickup_task *task = list_take_after(&pickup->waiting, NULL);
        submit(pickup, task, task->step);
    }
    arm(pickup);
}

static void free_task(struct pickup_task *task)
{
    if (task->folder != NULL && --task->folder->users == 0) {
        (void)close(task->folder->fd);
        free(task->folder);
    }
    if (task->all_prev != NULL) {
        task->all_prev->all_next = task->all_next;
    } else {
        task->pickup->all = task->all_next;
    }
    if (task->all_next != NULL) {
        task->all_next->all_prev = task->all_prev;
    }
    if (task->delivery != NULL) {
        task->delivery->backend_state = NULL;
    }
    free(task);
}

static void finish(struct pickup_task *task)
{
    struct delivery *delivery = task->delivery;
    bool denied = task->step == STEP_DROP && !task->given_up;
    int phase = denied ? PB_PHASE(BROKER) : PB_PHASE(PICKUP);
    (void)snprintf(delivery->server, sizeof delivery->server, "%s", folder_of(task));
    delivery->handed_off = task->result.outcome == PB_OUTCOME(DELIVERED);
    if (delivery->handed_off && task->pickup->follow != NULL) {
        pickup_watch_folder(task->pickup->follow, folder_of(task));
    }
    deliver_set_rest(delivery, outcome_plain(task->result.outcome), phase, 0, "",
                     task->result.text);
    free_task(task);
    delivery->owner->done(delivery->owner_arg, delivery);
}

/* A sharing violation or a full disk: again in a moment, a few times. */
static bool try_again(struct pickup_task *task)
{
    if (!task->result.again || ++task->tries >= TRIES) {
        return false;
    }
    if (task->step == STEP_NAME) {
        task->step = STEP_WRITE; /* its .part is gone */
    }
    log_debug("pickup", "file=%s try=%u text=\"%s\"", task->delivery->file_name, task->tries,
              task->result.text);
    wait_for(task->pickup, task, (int64_t)FIRST_WAIT_MS << (task->tries - 1));
    return true;
}

static void take_result(struct pickup_task *task)
{
    if (task->step == STEP_CALL) {
        pickup_call_fn *done = task->done;
        void *arg = task->arg;
        free_task(task);
        done(arg);
        return;
    }
    if (try_again(task)) {
        return;
    }
    if (task->step == STEP_HAND_OVER && task->result.again) {
        task->given_up = true; /* the .part would look like one that waits for its permit */
        submit(task->pickup, task, STEP_DROP);
        return;
    }
    if (task->step == STEP_DROP && !task->given_up) {
        task->result =
            (struct pickup_result){.outcome = PB_OUTCOME(DEFERRED), .text = "permit denied"};
    }
    if (task->step == STEP_NAME && task->result.outcome == PB_OUTCOME(PENDING)) {
        task->tries = 0;
        task->delivery->owner->ask(task->delivery->owner_arg, task->delivery);
        return;
    }
    finish(task);
}

static void on_results(void *arg, int events)
{
    struct pickup *pickup = arg;
    eventfd_t count = 0;
    (void)events;
    (void)eventfd_read(pickup->event_fd, &count);
    (void)pthread_mutex_lock(&pickup->mutex);
    struct pickup_task *task = pickup->results.first;
    pickup->results = (struct task_list){NULL, NULL};
    (void)pthread_mutex_unlock(&pickup->mutex);
    while (task != NULL) {
        struct pickup_task *next = task->next;
        take_result(task);
        task = next;
    }
}

static char **copy_roots(const char *const *roots)
{
    size_t count = 0;
    while (roots != NULL && roots[count] != NULL) {
        count++;
    }
    char **copy = mem_zero(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = mem_text(roots[i]);
    }
    return copy;
}

/* Threads hear no signals: those are the loop's. */
static enum err start_threads(struct pickup *pickup, unsigned wanted, struct err_text *why)
{
    sigset_t all;
    sigset_t before;
    enum err err = ERR_OK;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < wanted && err == ERR_OK; i++) {
        struct thread_arg *arg = mem_zero(1, sizeof *arg);
        arg->pickup = pickup;
        arg->self = i;
        int number = pthread_create(&pickup->threads[i], NULL, run_thread, arg);
        if (number != 0) {
            free(arg);
            err = err_set_errno(why, ERR_CONFIG, number, "pickup: cannot start a thread");
        } else {
            (void)pthread_mutex_lock(&pickup->mutex);
            pickup->thread_count++;
            (void)pthread_mutex_unlock(&pickup->mutex);
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static void pickup_close(void **self);

static enum err pickup_open(const struct deliver_context *context, void **self,
                            struct err_text *why)
{
    struct pickup *pickup = mem_zero(1, sizeof *pickup);
    void *handle = pickup;
    unsigned wanted = context->pickup_threads > 0 ? context->pickup_threads : THREADS_DEFAULT;
    pickup->loop = context->loop;
    pickup->roots = copy_roots(context->pickup_roots);
    pickup->paces = pickup_paces_new();
    loop_timer_init(&pickup->timer, pickup->loop, on_timer, pickup);
    (void)pthread_mutex_init(&pickup->mutex, NULL);
    (void)pthread_cond_init(&pickup->work, NULL);
    pickup->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pickup->event_fd < 0 || loop_watch(pickup->loop, pickup->event_fd, LOOP_READ,
                                           on_results, pickup, &pickup->watch) != ERR_OK) {
        enum err err = err_set_errno(why, ERR_CONFIG, errno, "pickup: eventfd");
        pickup_close(&handle);
        return err;
    }
    enum err err = start_threads(pickup, wanted < THREADS_MAX ? wanted : THREADS_MAX, why);
    if (err != ERR_OK) {
        pickup_close(&handle);
        return err;
    }
    if (context->follow.look_ms > 0) {
        (void)snprintf(pickup->instance, sizeof pickup->instance, "%s",
                       context->follow.instance);
        pickup->follow = pickup_watch_new(pickup, context, (const char *const *)pickup->roots);
    }
    *self = pickup;
    return ERR_OK;
}

/* How long a file waits for its turn, in ms. Only Exchange counts files. */
static int64_t turn_of(struct pickup *pickup, const struct delivery *delivery)
{
    uint32_t per_minute = delivery->plan->max_messages_per_minute;
    if (delivery->plan->dialect != PB_DIALECT(EXCHANGE) || per_minute == 0) {
        return 0;
    }
    return pickup_pace_take(pickup->paces, delivery->plan->folder, per_minute, clock_mono_ms());
}

static struct pickup_task *new_task(struct pickup *pickup)
{
    struct pickup_task *task = mem_zero(1, sizeof *task);
    task->part_fd = -1;
    task->pickup = pickup;
    task->all_next = pickup->all;
    if (pickup->all != NULL) {
        pickup->all->all_prev = task;
    }
    pickup->all = task;
    return task;
}

void pickup_call(struct pickup *pickup, pickup_call_fn *run, pickup_call_fn *done, void *arg)
{
    struct pickup_task *task = new_task(pickup);
    task->run = run;
    task->done = done;
    task->arg = arg;
    submit(pickup, task, STEP_CALL);
}

static void pickup_acknowledged(void *self, uint64_t lease, uint32_t part)
{
    struct pickup *pickup = self;
    if (pickup->follow != NULL) {
        pickup_watch_acknowledged(pickup->follow, lease, part);
    }
}

static void pickup_start(void *self, struct delivery *delivery)
{
    struct pickup *pickup = self;
    struct pickup_task *task = new_task(pickup);
    task->delivery = delivery;
    delivery->backend_state = task;
    if (delivery->look_only) {
        submit(pickup, task, STEP_LOOK);
        return;
    }
    int64_t wait_ms = turn_of(pickup, delivery);
    task->step = STEP_WRITE;
    if (wait_ms > 0) {
        wait_for(pickup, task, wait_ms);
    } else {
        submit(pickup, task, STEP_WRITE);
    }
}

static void pickup_permit(void *self, struct delivery *delivery, enum deliver_permit permit)
{
    if (delivery->backend_state != NULL) {
        if (permit == DELIVER_GRANTED && delivery->owner->begin != NULL) {
            delivery->owner->begin(delivery->owner_arg, delivery);
        }
        submit(self, delivery->backend_state,
               permit == DELIVER_GRANTED ? STEP_HAND_OVER : STEP_DROP);
    }
}

static void pickup_drain(void *self)
{
    (void)self; /* nothing is kept open between deliveries */
}

static void pickup_close(void **self)
{
    struct pickup *pickup = *self;
    if (pickup == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&pickup->mutex);
    pickup->stopping = true;
    (void)pthread_cond_broadcast(&pickup->work);
    (void)pthread_mutex_unlock(&pickup->mutex);
    for (unsigned i = 0; i < pickup->thread_count; i++) {
        (void)pthread_join(pickup->threads[i], NULL);
    }
    for (struct pickup_task *task = pickup->all, *next = NULL; task != NULL; task = next) {
        next = task->all_next;
        free_task(task);
    }
    pickup_watch_free(&pickup->follow);
    loop_timer_disarm(&pickup->timer);
    pickup_paces_free(&pickup->paces);
    loop_unwatch(&pickup->watch);
    if (pickup->event_fd >= 0) {
        (void)close(pickup->event_fd);
    }
    (void)pthread_cond_destroy(&pickup->work);
    (void)pthread_mutex_destroy(&pickup->mutex);
    for (size_t i = 0; pickup->roots[i] != NULL; i++) {
        free(pickup->roots[i]);
    }
    free(pickup->roots);
    free(pickup);
    *self = NULL;
}

const struct deliver_backend deliver_pickup = {
    .name = "pickup",
    .open = pickup_open,
    .start = pickup_start,
    .permit = pickup_permit,
    .drain = pickup_drain,
    .acknowledged = pickup_acknowledged,
    .close = pickup_close,
};
