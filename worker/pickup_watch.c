/* The loop's side of following: which folders, what was told, what may be removed.
 *
 * One look of a folder is under way at a time, and the next is further away the longer it took, so a folder with a hundred
 * thousand files does not keep a thread busy. All state here can be lost: a restart reads the traces again, and the broker knows
 * what it has recorded. */
#include "pickup_watch.h"

#include "clock.h"
#include "log.h"
#include "map.h"
#include "mem.h"
#include "pickup_folder.h"
#include "pickup_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

enum {
    FOLDERS_MAX = 256, /* further ones are not followed */
    BACK_OFF = 20,     /* a look that takes T is repeated after BACK_OFF * T at the earliest */
    OUTSTANDING_MAX = 500 /* told and not acknowledged */
};

/* A file whose fate is being told. */
struct told {
    char name[TRACE_NAME_BYTES];
    uint64_t lease;
    int seen;         /* fate at the last look */
    int64_t since_ms; /* of that fate, monotonic */
    int told;         /* fate that was told last; UNSPECIFIED = none */
    uint32_t as_part; /* the number it was told under */
    bool acknowledged;
    uint64_t look; /* number of the look that saw it last */
};

/* A folder that is looked at. */
struct watched {
    struct pickup_watch *watch;
    char *path;
    struct map *files; /* by name: struct told */
    bool looking;
    bool fresh;      /* a file came since the last look began */
    int64_t next_ms; /* monotonic; 0 = no need to look */
    uint64_t looks;
    /* the thread's while looking is set */
    struct pickup_look found;
    char (*remove)[TRACE_FILE_BYTES]; /* traces to remove first, owned */
    size_t remove_count;
    size_t remove_room;
    bool opened;
    int64_t took_ms;
};

struct pickup_watch {
    struct pickup *pickup;
    const char *const *roots;
    struct deliver_follow follow;
    struct watched *folders[FOLDERS_MAX];
    size_t folder_count;
    size_t outstanding;  /* told and not acknowledged */
    struct map *by_part; /* by lease and part: struct told */
    struct loop_timer timer;
    /* the search for traces at the start */
    char *search[TRACE_FOLDERS_MAX];
    size_t search_count;
};

struct part_key {
    uint64_t lease;
    uint64_t part;
};

/* ---- when ---- */

static void arm(struct pickup_watch *watch)
{
    int64_t first_ms = 0;
    for (size_t i = 0; i < watch->folder_count; i++) {
        const struct watched *folder = watch->folders[i];
        if (!folder->looking && folder->next_ms != 0 &&
            (first_ms == 0 || folder->next_ms < first_ms)) {
            first_ms = folder->next_ms;
        }
    }
    if (first_ms == 0) {
        loop_timer_disarm(&watch->timer);
        return;
    }
    int64_t wait_ms = first_ms - clock_mono_ms();
    loop_timer_arm(&watch->timer, wait_ms > 0 ? wait_ms : 0);
}

static struct watched *folder_of(struct pickup_watch *watch, const char *path)
{
    for (size_t i = 0; i < watch->folder_count; i++) {
        if (strcmp(watch->folders[i]->path, path) == 0) {
            return watch->folders[i];
        }
    }
    if (watch->folder_count == FOLDERS_MAX) {
        return NULL;
    }
    struct watched *folder = mem_zero(1, sizeof *folder);
    folder->watch = watch;
    folder->path = mem_text(path);
    watch->folders[watch->folder_count++] = folder;
    return folder;
}

void pickup_watch_folder(struct pickup_watch *watch, const char *path)
{
    struct watched *folder = folder_of(watch, path);
    if (folder == NULL) {
        return;
    }
    folder->fresh = true;
    if (folder->next_ms == 0 && !folder->looking) {
        folder->next_ms = clock_mono_ms() + watch->follow.look_ms;
        arm(watch);
    }
}

/* ---- a thread ---- */

static void look(void *arg)
{
    struct watched *folder = arg;
    struct pickup_result result;
    int64_t start_ms = clock_mono_ms();
    int fd = pickup_folder_open(folder->path, folder->watch->roots, &result);
    folder->opened = fd >= 0;
    folder->found = (struct pickup_look){.traces = NULL};
    if (fd >= 0) {
        for (size_t i = 0; i < folder->remove_count; i++) {
            pickup_trace_remove(fd, folder->remove[i]);
        }
        pickup_trace_look(fd, folder->watch->follow.stale_ms, &folder->found);
        (void)close(fd);
    }
    folder->took_ms = clock_mono_ms() - start_ms;
}

/* ---- telling ---- */

/* Only what is not under way: nothing else points to it. */
static void forget(struct watched *folder, struct told *told)
{
    (void)map_take_text(&folder->files, told->name);
    free(told);
}

static void tell(struct watched *folder, struct told *told, const struct pickup_fate *fate,
                 int64_t age_ms)
{
    /* A number of its own: a repeated acknowledgement of the hand-over, or of another fate, is none of this one. */
    told->as_part = fate->part | (uint32_t)fate->fate << PICKUP_WATCH_PART_BITS;
    const struct part_key key = {told->lease, told->as_part};
    struct pickup_watch *watch = folder->watch;
    PB(JobResult) result = PB_INIT(JOB_RESULT);
    result.lease = fate->lease;
    result.part = told->as_part;
    result.producer = (char *)(uintptr_t)fate->producer;
    result.request_id = (char *)(uintptr_t)fate->request_id;
    result.server = folder->path;
    result.queue_id = (char *)(uintptr_t)fate->file;
    result.duration_ms = age_ms < UINT32_MAX ? (uint32_t)age_ms : UINT32_MAX;
    result.pickup_fate = fate->fate;
    told->told = fate->fate;
    told->acknowledged = false;
    watch->outstanding++;
    (void)map_put(&watch->by_part, &key, sizeof key, told);
    watch->follow.note(watch->follow.arg, &result);
}

static bool is_under_way(const struct told *told)
{
    return told->told != PB_FATE(UNSPECIFIED) && !told->acknowledged;
}

static struct told *told_of(struct watched *folder, const struct pickup_fate *fate,
                            int64_t now_ms)
{
    struct told *told = map_get_text(folder->files, fate->name);
    if (told == NULL) {
        told = mem_zero(1, sizeof *told);
        (void)snprintf(told->name, sizeof told->name, "%s", fate->name);
        (void)map_put_text(&folder->files, told->name, told);
    }
    if (!is_under_way(told)) {
        told->lease = fate->lease; /* a later attempt may have its own trace */
    }
    if (told->seen != fate->fate) {
        told->seen = fate->fate;
        told->since_ms = now_ms;
    }
    told->look = folder->looks;
    return told;
}

static void weigh(struct watched *folder, const struct pickup_trace *trace,
                  const struct pickup_fate *fate, int64_t now_ms)
{
    struct pickup_watch *watch = folder->watch;
    const struct deliver_follow *follow = &watch->follow;
    struct told *told = told_of(folder, fate, now_ms);
    bool foreign = strcmp(trace->instance, follow->instance) != 0;
    if (told->told == fate->fate || is_under_way(told) ||
        watch->outstanding >= OUTSTANDING_MAX) {
        return;
    }
    if (foreign &&
        now_ms - told->since_ms < (int64_t)PICKUP_WATCH_FOREIGN_LOOKS * follow->look_ms) {
        return;
    }
    if (fate->fate == PB_FATE(TAKEN) && told->since_ms == now_ms) {
        return; /* seen once only */
    }
    /* The hand-over itself must be known first, or the history would tell it in the wrong order. */
    if (follow->is_over(follow->arg, fate->lease)) {
        tell(folder, told, fate, trace->age_ms);
    }
}

/* Recorded, and nothing else can follow. */
static bool is_finished(const struct watched *folder, const struct pickup_fate *fate)
{
    const struct told *told = map_get_text(folder->files, fate->name);
    return fate->fate != PB_FATE(STALE) && told != NULL && told->told == fate->fate &&
           told->acknowledged;
}

/* A trace all of whose files are finished goes with the next look. */
static void let_go(struct watched *folder, const struct pickup_trace *trace)
{
    bool finished = trace->whole;
    for (size_t i = 0; finished && i < trace->count; i++) {
        finished = is_finished(folder, &folder->found.fates[trace->first + i]);
    }
    if (!finished) {
        return;
    }
    if (folder->remove_count == folder->remove_room) {
        folder->remove_room = folder->remove_room * 2 + 16;
        folder->remove =
            mem_resize(folder->remove, folder->remove_room, sizeof *folder->remove);
    }
    (void)snprintf(folder->remove[folder->remove_count++], TRACE_FILE_BYTES, "%s", trace->name);
}

/* Not seen any more: its trace is gone, by us or by another worker. */
static void forget_unseen(void *arg, void *value)
{
    struct watched *folder = arg;
    struct told *told = value;
    if (!is_under_way(told) && told->look != folder->looks) {
        forget(folder, told);
    }
}

static void take_look(struct watched *folder, int64_t now_ms)
{
    const struct pickup_look *found = &folder->found;
    folder->remove_count = 0; /* they are gone */
    for (size_t i = 0; i < found->trace_count; i++) {
        const struct pickup_trace *trace = &found->traces[i];
        for (size_t k = 0; k < trace->count; k++) {
            weigh(folder, trace, &found->fates[trace->first + k], now_ms);
        }
        let_go(folder, trace);
    }
    map_each(folder->files, forget_unseen, folder);
}

static void looked(void *arg)
{
    struct watched *folder = arg;
    int64_t now_ms = clock_mono_ms();
    int64_t pause_ms = folder->took_ms * BACK_OFF;
    bool more = !folder->opened || folder->fresh || folder->found.trace_count > 0;
    folder->looking = false;
    if (folder->opened) {
        take_look(folder, now_ms);
    }
    pickup_look_fini(&folder->found);
    if (pause_ms < folder->watch->follow.look_ms) {
        pause_ms = folder->watch->follow.look_ms;
    }
    folder->next_ms = more ? now_ms + pause_ms : 0;
    arm(folder->watch);
}

static void on_timer(void *arg)
{
    struct pickup_watch *watch = arg;
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < watch->folder_count; i++) {
        struct watched *folder = watch->folders[i];
        if (folder->looking || folder->next_ms == 0 || folder->next_ms > now_ms) {
            continue;
        }
        folder->looking = true;
        folder->fresh = false;
        folder->looks++;
        pickup_call(watch->pickup, look, looked, folder);
    }
    arm(watch);
}

void pickup_watch_acknowledged(struct pickup_watch *watch, uint64_t lease, uint32_t part)
{
    const struct part_key key = {lease, part};
    struct told *told = map_take(&watch->by_part, &key, sizeof key);
    if (told != NULL) {
        told->acknowledged = true;
        watch->outstanding--;
    }
}

/* ---- start and stop ---- */

static void search(void *arg)
{
    struct pickup_watch *watch = arg;
    watch->search_count = pickup_trace_find(watch->roots, watch->search);
}

static void searched(void *arg)
{
    struct pickup_watch *watch = arg;
    for (size_t i = 0; i < watch->search_count; i++) {
        log_info("pickup", "folder=%s result=\"followed: earlier files\"", watch->search[i]);
        pickup_watch_folder(watch, watch->search[i]);
        free(watch->search[i]);
    }
    watch->search_count = 0;
}

struct pickup_watch *pickup_watch_new(struct pickup *pickup,
                                      const struct deliver_context *context,
                                      const char *const *roots)
{
    struct pickup_watch *watch = mem_zero(1, sizeof *watch);
    watch->pickup = pickup;
    watch->roots = roots;
    watch->follow = context->follow;
    loop_timer_init(&watch->timer, context->loop, on_timer, watch);
    pickup_call(pickup, search, searched, watch);
    return watch;
}

static void free_told(void *arg, void *value)
{
    (void)arg;
    free(value);
}

void pickup_watch_free(struct pickup_watch **watch_p)
{
    struct pickup_watch *watch = *watch_p;
    if (watch == NULL) {
        return;
    }
    loop_timer_disarm(&watch->timer);
    for (size_t i = 0; i < watch->folder_count; i++) {
        struct watched *folder = watch->folders[i];
        map_each(folder->files, free_told, NULL);
        map_clear(&folder->files);
        pickup_look_fini(&folder->found);
        free(folder->remove);
        free(folder->path);
        free(folder);
    }
    for (size_t i = 0; i < watch->search_count; i++) {
        free(watch->search[i]);
    }
    map_clear(&watch->by_part);
    free(watch);
    *watch_p = NULL;
}
