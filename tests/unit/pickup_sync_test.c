/* What the pickup back end has on disk before it asks, and before it tells: this program's fsync(2) notes what each call made
 * durable, can be held, and can fail. */
#include "pickup_world.h"

#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { NAMES_MAX = 4 * MAILS };

/* One name of the folder, and its file. */
struct entry {
    char name[256];
    ino_t inode;
};

/* What a power failure would leave, as fsync(2) promises it: bytes by the file's, names by the folder's. */
static struct disk {
    pthread_mutex_t mutex;
    pthread_cond_t change;
    struct entry names[NAMES_MAX];
    size_t name_count;
    ino_t bytes[NAMES_MAX];
    size_t bytes_count;
    unsigned files;   /* calls that came back */
    unsigned folders; /* calls */
    unsigned
        under_way; /* files whose bytes were sent off before the first of their group was waited for */
    unsigned bad_file; /* EIO for the one after so many; 0 = for none */
    int fail_with;     /* errno of the next of a folder; 0 = it works */
    bool held;         /* those of a folder wait */
    bool files_held;   /* those of files, too */
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

static size_t read_names(int fd, struct entry names[NAMES_MAX])
{
    size_t count = 0;
    DIR *folder = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    /* A folder of this thread's own. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    for (const struct dirent *each = readdir(folder); each != NULL; each = readdir(folder)) {
        if (count == NAMES_MAX) {
            abort(); /* no assertion here: a thread of the back end calls this */
        }
        (void)snprintf(names[count].name, sizeof names[count].name, "%s", each->d_name);
        names[count++].inode = each->d_ino;
    }
    (void)closedir(folder);
    return count;
}

static int sync_folder(int fd)
{
    struct entry names[NAMES_MAX];
    (void)pthread_mutex_lock(&disk.mutex);
    disk.folders++;
    int number = disk.fail_with;
    disk.fail_with = 0;
    size_t count = read_names(fd, names); /* what comes while it works need not be in it */
    (void)pthread_cond_broadcast(&disk.change);
    while (disk.held) {
        (void)pthread_cond_wait(&disk.change, &disk.mutex);
    }
    if (number == 0) {
        memcpy(disk.names, names, count * sizeof *names);
        disk.name_count = count;
    }
    (void)pthread_mutex_unlock(&disk.mutex);
    errno = number;
    return number == 0 ? 0 : -1;
}

/* Instead of the C library's, for all of this program. */
int fsync(int fd)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return -1;
    }
    if (S_ISDIR(info.st_mode)) {
        return sync_folder(fd);
    }
    (void)pthread_mutex_lock(&disk.mutex);
    while (disk.files_held) {
        (void)pthread_cond_wait(&disk.change, &disk.mutex);
    }
    if (disk.bytes_count == NAMES_MAX) {
        abort();
    }
    if (disk.bad_file > 0 && disk.files == disk.bad_file) {
        disk.bad_file = 0;
        (void)pthread_mutex_unlock(&disk.mutex);
        errno = EIO;
        return -1;
    }
    disk.bytes[disk.bytes_count++] = info.st_ino;
    disk.files++;
    (void)pthread_cond_broadcast(&disk.change);
    (void)pthread_mutex_unlock(&disk.mutex);
    return 0;
}

/* Only noted: it makes nothing durable. */
int sync_file_range(int fd, off64_t from, off64_t count, unsigned flags)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || from != 0 || count != 0 || flags != SYNC_FILE_RANGE_WRITE) {
        abort();
    }
    (void)pthread_mutex_lock(&disk.mutex);
    disk.under_way++;
    (void)pthread_mutex_unlock(&disk.mutex);
    return 0;
}

/* Name and bytes. */
static bool is_durable(const char *name)
{
    bool found = false;
    (void)pthread_mutex_lock(&disk.mutex);
    for (size_t i = 0; i < disk.name_count; i++) {
        for (size_t j = 0; strcmp(disk.names[i].name, name) == 0 && j < disk.bytes_count; j++) {
            found = found || disk.bytes[j] == disk.names[i].inode;
        }
    }
    (void)pthread_mutex_unlock(&disk.mutex);
    return found;
}

static void hold_files(bool held)
{
    (void)pthread_mutex_lock(&disk.mutex);
    disk.files_held = held;
    (void)pthread_cond_broadcast(&disk.change);
    (void)pthread_mutex_unlock(&disk.mutex);
}

static void hold(bool held)
{
    (void)pthread_mutex_lock(&disk.mutex);
    disk.held = held;
    (void)pthread_cond_broadcast(&disk.change);
    (void)pthread_mutex_unlock(&disk.mutex);
}

/* Until so many files were written and a folder's sync is held. */
static void wait_for_files(unsigned files)
{
    (void)pthread_mutex_lock(&disk.mutex);
    while (disk.files < files || disk.folders == 0) {
        (void)pthread_cond_wait(&disk.change, &disk.mutex);
    }
    (void)pthread_mutex_unlock(&disk.mutex);
}

/* Asked for, or told, before the disk had it. */
static unsigned too_early;

static void see_ask(const struct delivery *delivery)
{
    char *part = mem_format(".%s.part", delivery->file_name);
    too_early += is_durable(part) ? 0 : 1;
    free(part);
}

static void see_done(const struct delivery *delivery)
{
    char *name = mem_format("%s.eml", delivery->file_name);
    bool told = delivery->recipients[0].outcome == PB_OUTCOME(DELIVERED);
    too_early += told && !is_durable(name) ? 1 : 0;
    free(name);
}

static void open_on_disk(struct world *w)
{
    world_open(w);
    w->permit_now = false;
    w->see_ask = see_ask;
    w->see_done = see_done;
    disk.name_count = 0;
    disk.bytes_count = 0;
    disk.files = 0;
    disk.folders = 0;
    disk.under_way = 0;
    too_early = 0;
}

static void start(struct world *w, size_t i)
{
    deliver_pickup.start(w->backend, make(w, i));
}

static void grant(struct world *w, size_t i)
{
    deliver_pickup.permit(w->backend, &w->mails[i], DELIVER_GRANTED);
}

static void nothing_is_asked_or_told_before_the_disk_has_it(void **state)
{
    struct world w;
    (void)state;
    open_on_disk(&w);
    for (size_t i = 0; i < MAILS; i++) {
        start(&w, i);
    }
    turn_until(&w, &w.asks, MAILS);
    for (size_t i = 0; i < MAILS; i++) {
        grant(&w, i);
    }
    turn_until(&w, &w.done, MAILS);
    assert_int_equal(too_early, 0);
    for (size_t i = 0; i < MAILS; i++) {
        assert_int_equal(w.mails[i].recipients[0].outcome, PB_OUTCOME(DELIVERED));
    }
    world_close(&w);
}

static void files_that_come_during_a_sync_share_the_next(void **state)
{
    struct world w;
    (void)state;
    open_on_disk(&w);
    hold(true);
    for (size_t i = 0; i < MAILS; i++) {
        start(&w, i);
    }
    wait_for_files(MAILS);
    hold(false);
    turn_until(&w, &w.asks, MAILS);
    hold(true);
    for (size_t i = 0; i < MAILS; i++) {
        grant(&w, i);
    }
    hold(false);
    turn_until(&w, &w.done, MAILS);
    assert_int_equal(too_early, 0);
    /* Two for the names, two for the hand-overs; more where a thread was late. A sync for each would be 80. */
    assert_in_range(disk.folders, 2, 12);
    world_close(&w);
}

/* More than a thread has at once: they go to the disk in groups. One of them fails there, and no other. */
static void a_file_that_fails_harms_none_of_its_group(void **state)
{
    struct world w;
    unsigned failed = 0;
    (void)state;
    open_on_disk(&w);
    hold_files(true);
    for (size_t i = 0; i < MAILS; i++) {
        start(&w, i);
    }
    disk.bad_file = MAILS / 2;
    hold_files(false);
    turn_until(&w, &w.asks, MAILS - 1);
    turn_until(&w, &w.done, 1);
    assert_int_equal(w.asks, MAILS - 1);
    assert_in_range(disk.under_way, MAILS / 2, MAILS);
    for (size_t i = 0; i < MAILS; i++) {
        char part[32];
        bool put_off = w.mails[i].recipients[0].outcome == PB_OUTCOME(DEFERRED);
        (void)snprintf(part, sizeof part, ".mail-%zu.part", i);
        assert_int_equal(has(&w, part), !put_off);
        failed += put_off ? 1 : 0;
        if (!put_off) {
            grant(&w, i);
        }
    }
    assert_int_equal(failed, 1);
    turn_until(&w, &w.done, MAILS);
    assert_int_equal(too_early, 0);
    world_close(&w);
}

static void a_name_that_cannot_be_kept_gets_no_permit(void **state)
{
    struct world w;
    (void)state;
    open_on_disk(&w);
    disk.fail_with = EIO;
    start(&w, 0);
    turn_until(&w, &w.done, 1);
    assert_int_equal(w.asks, 0);
    assert_int_equal(w.mails[0].recipients[0].outcome, PB_OUTCOME(DEFERRED));
    assert_non_null(strstr(w.mails[0].recipients[0].text, "cannot write the file"));
    assert_false(has(&w, ".mail-0.part"));
    world_close(&w);
}

static void a_name_that_finds_no_room_is_written_again(void **state)
{
    struct world w;
    (void)state;
    open_on_disk(&w);
    disk.fail_with = ENOSPC;
    start(&w, 0);
    turn_until(&w, &w.asks, 1);
    assert_int_equal(disk.files, 2);
    grant(&w, 0);
    turn_until(&w, &w.done, 1);
    assert_int_equal(w.mails[0].recipients[0].outcome, PB_OUTCOME(DELIVERED));
    assert_int_equal(too_early, 0);
    world_close(&w);
}

static void a_hand_over_that_cannot_be_kept_is_unknown(void **state)
{
    struct world w;
    (void)state;
    open_on_disk(&w);
    start(&w, 0);
    turn_until(&w, &w.asks, 1);
    disk.fail_with = EIO;
    grant(&w, 0);
    turn_until(&w, &w.done, 1);
    assert_int_equal(w.mails[0].recipients[0].outcome, PB_OUTCOME(UNKNOWN));
    world_close(&w);
}

/* Handed over by somebody who died before the folder's sync. */
static void put_eml(const struct world *w)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/mail-0.eml", w->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    (void)close(fd);
}

static void what_is_there_already_is_made_durable(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct world w;
        bool broken = i % 2 == 1;
        open_on_disk(&w);
        put_eml(&w);
        disk.fail_with = broken ? EIO : 0;
        w.mails[0].look_only = i >= 2;
        start(&w, 0);
        turn_until(&w, &w.done, 1);
        assert_int_equal(w.mails[0].recipients[0].outcome,
                         broken ? PB_OUTCOME(UNKNOWN) : PB_OUTCOME(DELIVERED));
        assert_int_equal(too_early, 0);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked_or_told_before_the_disk_has_it),
        cmocka_unit_test(files_that_come_during_a_sync_share_the_next),
        cmocka_unit_test(a_file_that_fails_harms_none_of_its_group),
        cmocka_unit_test(a_name_that_cannot_be_kept_gets_no_permit),
        cmocka_unit_test(a_name_that_finds_no_room_is_written_again),
        cmocka_unit_test(a_hand_over_that_cannot_be_kept_is_unknown),
        cmocka_unit_test(what_is_there_already_is_made_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
