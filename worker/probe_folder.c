/* The way into a pickup folder: open it below a root, write a file and make it durable, rename it, remove it. The file's
 * name begins with a dot and never ends in .eml, so no consumer takes it.
 *
 * All of it blocks (the folder may lie on a network), so a thread does it. The thread has the walk for itself until it
 * writes the eventfd; whoever stops a probe early waits for it. */
#include "probe.h"

#include "clock.h"
#include "mem.h"
#include "pickup_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FOLDER_STEPS = 3, NAME_BYTES = 64 };

/* One step as the thread made it. */
struct folder_step {
    bool made;
    bool good;
    int64_t duration_us;
    char detail[DELIVER_TEXT_BYTES];
    char text[DELIVER_TEXT_BYTES];
};

struct folder_walk {
    struct probe *probe;
    const char *folder;
    const char *const *roots;
    char part[NAME_BYTES];
    char done[NAME_BYTES];
    pthread_t thread;
    bool running;
    int event_fd;
    struct loop_watch *watch;
    struct folder_step steps[FOLDER_STEPS];
};

static const int step_names[FOLDER_STEPS] = {PB_PROBE(FOLDER), PB_PROBE(WRITE),
                                             PB_PROBE(RENAME)};

/* ---- in the thread ---- */

/* File systems that behave otherwise than a local disk. Source: statfs(2). */
static const char *disk_kind(int fd)
{
    static const struct {
        unsigned long type;
        const char *name;
    } kinds[] = {{0x6969, "NFS"},      {0xff534d42, "CIFS"},
                 {0xfe534d42, "SMB2"}, {0x517b, "SMB"},
                 {0x65735546, "FUSE"}, {0x01021994, "tmpfs: a restart empties it"}};
    struct statfs about;
    if (fstatfs(fd, &about) != 0) {
        return "a disk";
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].type == ((unsigned long)about.f_type & 0xffffffffUL)) {
            return kinds[i].name;
        }
    }
    return "a local disk";
}

static void fail_errno(struct folder_step *step, const char *what)
{
    (void)snprintf(step->text, sizeof step->text, "%s: %s", what,
                   strerrordesc_np(errno) != NULL ? strerrordesc_np(errno) : "unknown error");
}

static int open_folder(struct folder_walk *walk, struct folder_step *step)
{
    struct pickup_result result = {.outcome = PB_OUTCOME(PENDING)};
    struct statvfs room;
    int fd = pickup_folder_open(walk->folder, walk->roots, &result);
    step->good = fd >= 0;
    if (fd < 0) {
        (void)snprintf(step->text, sizeof step->text, "%s", result.text);
    } else if (fstatvfs(fd, &room) == 0) {
        (void)snprintf(step->detail, sizeof step->detail, "on %s, %llu MiB free", disk_kind(fd),
                       (unsigned long long)room.f_bavail * room.f_frsize >> 20);
    }
    return fd;
}

static void write_file(const struct folder_walk *walk, int folder_fd, struct folder_step *step)
{
    static const char text[] = "A test of TrackPro Notify; may be removed.\r\n";
    int fd = openat(folder_fd, walk->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    0640);
    if (fd < 0) {
        fail_errno(step, "cannot create a file");
        return;
    }
    step->good = write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1 && fsync(fd) == 0;
    if (!step->good) {
        fail_errno(step, "cannot write a file");
    }
    (void)close(fd);
}

static void rename_file(const struct folder_walk *walk, int folder_fd, struct folder_step *step)
{
    step->good = renameat(folder_fd, walk->part, folder_fd, walk->done) == 0 &&
                 fsync(folder_fd) == 0 && unlinkat(folder_fd, walk->done, 0) == 0;
    if (!step->good) {
        fail_errno(step, "cannot rename and remove a file");
    }
}

static void make_step(struct folder_walk *walk, int at, int *folder_fd)
{
    struct folder_step *step = &walk->steps[at];
    int64_t began_us = clock_mono_us();
    step->made = true;
    if (step_names[at] == PB_PROBE(FOLDER)) {
        *folder_fd = open_folder(walk, step);
    } else if (step_names[at] == PB_PROBE(WRITE)) {
        write_file(walk, *folder_fd, step);
    } else {
        rename_file(walk, *folder_fd, step);
    }
    step->duration_us = clock_mono_us() - began_us;
}

static void *walk_folder(void *arg)
{
    struct folder_walk *walk = arg;
    int folder_fd = -1;
    bool good = true;
    for (int i = 0; i < FOLDER_STEPS && good; i++) {
        make_step(walk, i, &folder_fd);
        good = walk->steps[i].good;
    }
    if (folder_fd >= 0) {
        (void)unlinkat(folder_fd, walk->part, 0); /* left by a step that failed */
        (void)unlinkat(folder_fd, walk->done, 0);
        (void)close(folder_fd);
    }
    const uint64_t one = 1;
    ssize_t written = write(walk->event_fd, &one, sizeof one);
    (void)written; /* 8 bytes fit: eventfd(2) */
    return NULL;
}

/* ---- in the loop ---- */

static void tell(struct probe *probe, const struct folder_walk *walk)
{
    for (int i = 0; i < FOLDER_STEPS; i++) {
        const struct folder_step *made = &walk->steps[i];
        int verdict = made->made ? PB_VERDICT(FAILED) : PB_VERDICT(SKIPPED);
        struct probe_step *step = probe_add(
            probe, step_names[i], made->good ? PB_VERDICT(PASSED) : verdict, made->duration_us);
        (void)snprintf(step->detail, sizeof step->detail, "%s", made->detail);
        (void)snprintf(step->text, sizeof step->text, "%s", made->text);
        if (step->verdict == PB_VERDICT(FAILED)) {
            const struct remedy_case what = {.phase = PB_PHASE(PICKUP),
                                             .enhanced = "",
                                             .text = step->text,
                                             .plan = probe->plan};
            (void)remedy_for(&what, step->remedy);
        }
    }
    probe_finish(probe);
}

static void on_made(void *arg, int events)
{
    struct folder_walk *walk = arg;
    (void)events;
    loop_unwatch(&walk->watch);
    (void)pthread_join(walk->thread, NULL);
    walk->running = false;
    tell(walk->probe, walk);
}

static void start(struct probe *probe)
{
    struct folder_walk *walk = mem_zero(1, sizeof *walk);
    probe->walk = walk;
    walk->probe = probe;
    walk->folder = probe->plan->folder;
    walk->roots = probe->context.pickup_roots;
    (void)snprintf(probe->server, sizeof probe->server, "%s", walk->folder);
    (void)snprintf(walk->part, sizeof walk->part, ".tpn-test-%lld.part",
                   (long long)clock_wall_ms());
    (void)snprintf(walk->done, sizeof walk->done, ".tpn-test-%lld.done",
                   (long long)clock_wall_ms());
    walk->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (walk->event_fd < 0 || loop_watch(probe->context.loop, walk->event_fd, LOOP_READ,
                                         on_made, walk, &walk->watch) != ERR_OK) {
        tell(probe, walk);
        return;
    }
    walk->running = pthread_create(&walk->thread, NULL, walk_folder, walk) == 0;
    if (!walk->running) {
        tell(probe, walk);
    }
}

static void stop(struct probe *probe)
{
    struct folder_walk *walk = probe->walk;
    if (walk == NULL) {
        return;
    }
    if (walk->running) {
        (void)pthread_join(walk->thread, NULL);
    }
    loop_unwatch(&walk->watch);
    if (walk->event_fd >= 0) {
        (void)close(walk->event_fd);
    }
    free(walk);
    probe->walk = NULL;
}

const struct probe_route probe_folder = {.start = start, .stop = stop};
