/* Traces of handed-over files: the fate that each state of a folder means, and what a broken trace does. */
#include "pickup_trace.h"

#include "mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { STALE_MS = 60000, FILES_MAX = 4, PATH_BYTES = 256 };

#define NAME "tpn-0123-1"
#define WAITS "tpn-4567-0"

struct box {
    char path[64];
    int fd;
};

static void box_open(struct box *box)
{
    (void)snprintf(box->path, sizeof box->path, "/tmp/tpn-trace-XXXXXX");
    assert_non_null(mkdtemp(box->path));
    box->fd = open(box->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(box->fd >= 0);
}

static void put(const struct box *box, const char *name, const char *text)
{
    int fd = openat(box->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static void box_close(struct box *box, const char *const files[])
{
    for (size_t i = 0; files[i] != NULL; i++) {
        (void)unlinkat(box->fd, files[i], 0);
    }
    (void)close(box->fd);
    assert_int_equal(rmdir(box->path), 0);
}

/* A trace of two files, the second of which waits. */
static void write_trace(const struct box *box, char name[TRACE_FILE_BYTES])
{
    const struct delivery first = {
        .lease = 77, .part = 1, .producer = "lab", .request_id = "id-1", .file_name = NAME};
    const struct delivery second = {
        .lease = 78, .part = 0, .producer = "lab", .request_id = "id-2", .file_name = WAITS};
    struct buf trace;
    pickup_trace_begin(&trace, "instance-1");
    pickup_trace_add(&trace, &first);
    pickup_trace_add(&trace, &second);
    pickup_trace_write(box->fd, &first, &trace, name);
    buf_fini(&trace);
    put(box, "." WAITS ".part", "");
}

static void make_old(const struct box *box, const char *name)
{
    const struct timespec times[2] = {{1, 0}, {1, 0}};
    assert_int_equal(utimensat(box->fd, name, times, 0), 0);
}

static const struct row {
    const char *name;
    const char *files[FILES_MAX];
    bool old;
    int fate;
    const char *file;
} rows[] = {
    {"gone", {NULL}, false, PB_FATE(TAKEN), NAME ".eml"},
    {"gone long ago", {NULL}, true, PB_FATE(TAKEN), NAME ".eml"},
    {"there", {NAME ".eml"}, false, PB_FATE(UNSPECIFIED), NULL},
    {"there for long", {NAME ".eml"}, true, PB_FATE(STALE), NAME ".eml"},
    {"claimed", {NAME ".tmp"}, false, PB_FATE(UNSPECIFIED), NULL},
    {"claimed for long", {NAME "20261125101112.tmp"}, true, PB_FATE(STALE), NAME ".eml"},
    {"put aside", {NAME ".bad"}, false, PB_FATE(BAD), NAME ".bad"},
    {"put aside with a time",
     {NAME "20261125101112.bad"},
     false,
     PB_FATE(BAD),
     NAME "20261125101112.bad"},
    {"another part's", {NAME "2.bad", NAME "2.tmp"}, false, PB_FATE(TAKEN), NAME ".eml"},
    {"not handed over", {"." NAME ".part"}, true, PB_FATE(UNSPECIFIED), NULL},
    {"taken back", {"." NAME ".back"}, true, PB_FATE(UNSPECIFIED), NULL},
    {"a new attempt", {"." NAME ".part", NAME ".bad"}, false, PB_FATE(UNSPECIFIED), NULL},
};

static void each_state_has_its_fate(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static const char *const second[] = {"." WAITS ".part", NULL};
        char name[TRACE_FILE_BYTES];
        struct box box;
        struct pickup_look look;
        print_message("  %s\n", rows[i].name);
        box_open(&box);
        write_trace(&box, name);
        for (size_t file = 0; rows[i].files[file] != NULL; file++) {
            put(&box, rows[i].files[file], "x");
        }
        if (rows[i].old) {
            make_old(&box, name);
        }
        pickup_trace_look(box.fd, STALE_MS, &look);
        assert_int_equal(look.trace_count, 1);
        assert_string_equal(look.traces[0].name, name);
        assert_string_equal(look.traces[0].instance, "instance-1");
        assert_false(look.traces[0].whole);
        assert_int_equal(look.traces[0].age_ms > STALE_MS, rows[i].old);
        assert_int_equal(look.traces[0].count, rows[i].fate == PB_FATE(UNSPECIFIED) ? 0 : 1);
        assert_int_equal(look.fate_count, look.traces[0].count);
        if (look.fate_count == 1) {
            const struct pickup_fate *fate = &look.fates[0];
            assert_int_equal(fate->fate, rows[i].fate);
            assert_string_equal(fate->file, rows[i].file);
            assert_string_equal(fate->name, NAME);
            assert_int_equal(fate->lease, 77);
            assert_int_equal(fate->part, 1);
            assert_string_equal(fate->producer, "lab");
            assert_string_equal(fate->request_id, "id-1");
        }
        pickup_look_fini(&look);
        pickup_trace_remove(box.fd, name);
        for (size_t file = 0; rows[i].files[file] != NULL; file++) {
            (void)unlinkat(box.fd, rows[i].files[file], 0);
        }
        box_close(&box, second);
    }
}

static void a_trace_of_decided_files_is_whole(void **state)
{
    static const char *const none[] = {NULL};
    char name[TRACE_FILE_BYTES];
    struct box box;
    struct pickup_look look;
    (void)state;
    box_open(&box);
    write_trace(&box, name);
    assert_int_equal(unlinkat(box.fd, "." WAITS ".part", 0), 0);
    pickup_trace_look(box.fd, STALE_MS, &look);
    assert_true(look.traces[0].whole);
    assert_int_equal(look.fate_count, 2);
    pickup_look_fini(&look);
    pickup_trace_remove(box.fd, name);
    box_close(&box, none);
}

static void what_was_taken_back_goes_after_a_day(void **state)
{
    static const char *const none[] = {NULL};
    struct box box;
    (void)state;
    box_open(&box);
    for (int hours = 23; hours <= 25; hours += 2) {
        struct pickup_look look;
        const struct timespec then = {.tv_sec = time(NULL) - (time_t)hours * 3600};
        const struct timespec times[] = {then, then};
        put(&box, "." NAME ".back", "x");
        assert_int_equal(utimensat(box.fd, "." NAME ".back", times, 0), 0);
        pickup_trace_look(box.fd, STALE_MS, &look);
        pickup_look_fini(&look);
        assert_int_equal(faccessat(box.fd, "." NAME ".back", F_OK, 0) == 0, hours < 24);
    }
    box_close(&box, none);
}

static void a_broken_trace_is_removed_when_it_is_old(void **state)
{
    static const char *const texts[] = {
        "",
        "TPN-FOLLOW 2 i\n1 0 lab id name\n",
        "TPN-FOLLOW 1 ",
        "TPN-FOLLOW 1 i\n1 0 lab id\n",
        "TPN-FOLLOW 1 i\n1 0 lab id name",
        "TPN-FOLLOW 1 i\n0 0 lab id name\n",
        "TPN-FOLLOW 1 i\n-1 0 lab id name\n",
        "TPN-FOLLOW 1 i\n1 0 lab id ../name\n",
        "TPN-FOLLOW 1 i\n1 0 lab id .name\n",
        "TPN-FOLLOW 1 i\n99999999999999999999999 0 lab id name\n",
        "TPN-FOLLOW 1 i\n1 4294967296 lab id name\n",
        "TPN-FOLLOW 1 i\n1 0 lab id good\n1 0 lab id na me\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        static const char *const none[] = {NULL};
        struct box box;
        struct pickup_look look;
        struct stat st;
        box_open(&box);
        put(&box, ".x.follow", texts[i]);
        for (int old = 0; old < 2; old++) {
            pickup_trace_look(box.fd, STALE_MS, &look);
            assert_int_equal(look.trace_count, 0);
            assert_int_equal(look.fate_count, 0);
            assert_int_equal(fstatat(box.fd, ".x.follow", &st, 0), old == 0 ? 0 : -1);
            pickup_look_fini(&look);
            if (old == 0) {
                make_old(&box, ".x.follow");
            }
        }
        box_close(&box, none);
    }
}

/* Three levels below a root, and through no link. */
static void folders_with_traces_are_found(void **state)
{
    static const char *const folders[] = {"a", "a/b", "a/b/c", "a/b/c/d", "e"};
    char *found[TRACE_FOLDERS_MAX];
    char path[PATH_BYTES];
    struct box box;
    (void)state;
    box_open(&box);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        assert_int_equal(mkdirat(box.fd, folders[i], 0700), 0);
    }
    put(&box, "a/b/c/.x.follow", "");
    put(&box, "a/b/c/d/.x.follow", "");
    put(&box, "e/x.eml", "");
    assert_int_equal(symlinkat("a/b", box.fd, "link"), 0);
    const char *const roots[] = {box.path, "/nowhere", NULL};
    assert_int_equal(pickup_trace_find(roots, found), 1);
    (void)snprintf(path, sizeof path, "%s/a/b/c", box.path);
    assert_string_equal(found[0], path);
    free(found[0]);
    static const char *const files[] = {"a/b/c/d/.x.follow", "a/b/c/.x.follow", "e/x.eml",
                                        "link", NULL};
    for (size_t i = 0; files[i] != NULL; i++) {
        assert_int_equal(unlinkat(box.fd, files[i], 0), 0);
    }
    for (size_t i = sizeof folders / sizeof folders[0]; i > 0; i--) {
        assert_int_equal(unlinkat(box.fd, folders[i - 1], AT_REMOVEDIR), 0);
    }
    box_close(&box, files + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_has_its_fate),
        cmocka_unit_test(a_trace_of_decided_files_is_whole),
        cmocka_unit_test(what_was_taken_back_goes_after_a_day),
        cmocka_unit_test(a_broken_trace_is_removed_when_it_is_old),
        cmocka_unit_test(folders_with_traces_are_found),
    };
    return cmocka_run_group_tests_name("pickup_trace", tests, NULL, NULL);
}
