/* The pickup back end in folders of its own: what is on disk at each step, and what is told. */
#include "pickup_world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static void touch(const struct world *w, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", w->folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void a_file_appears_whole_and_only_after_the_permit(void **state)
{
    struct world w;
    char path[256];
    char content[64] = "";
    (void)state;
    world_open(&w);
    w.permit_now = false;
    struct delivery *delivery = make(&w, 0);
    deliver_pickup.start(w.backend, delivery);
    turn_until(&w, &w.asks, 1);
    assert_true(has(&w, ".mail-0.part"));
    assert_false(has(&w, "mail-0.eml"));
    deliver_pickup.permit(w.backend, delivery, DELIVER_GRANTED);
    turn_until(&w, &w.done, 1);
    assert_false(has(&w, ".mail-0.part"));
    (void)snprintf(path, sizeof path, "%s/mail-0.eml", w.folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(content, 1, sizeof content - 1, file) > 0);
    (void)fclose(file);
    assert_string_equal(content, "Subject: 0\r\n\r\nbody\r\n");
    assert_int_equal(delivery->recipients[0].outcome, PB_OUTCOME(DELIVERED));
    assert_int_equal(delivery->recipients[0].phase, PB_PHASE(PICKUP));
    assert_true(delivery->handed_off);
    assert_string_equal(delivery->server, w.folder);
    world_close(&w);
}

static void many_files_at_once_all_arrive(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    for (size_t i = 0; i < MAILS; i++) {
        deliver_pickup.start(w.backend, make(&w, i));
    }
    turn_until(&w, &w.done, MAILS);
    assert_int_equal(w.asks, MAILS);
    for (size_t i = 0; i < MAILS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "mail-%zu.eml", i);
        assert_int_equal(w.mails[i].recipients[0].outcome, PB_OUTCOME(DELIVERED));
        assert_true(has(&w, name));
    }
    world_close(&w);
}

/* Somebody else has the .part open, as a virus scanner on a Windows share: rename says EBUSY. Here it is a mount point. */
static void a_sharing_violation_is_waited_out(void **state)
{
    char part[256];
    struct world w;
    (void)state;
    for (int lasts = 0; lasts < 2; lasts++) {
        if (unshare(CLONE_NEWNS) != 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
            print_message("  mounting needs root: skipped\n");
            skip();
        }
        world_open(&w);
        w.permit_now = false;
        struct delivery *delivery = make(&w, 0);
        deliver_pickup.start(w.backend, delivery);
        turn_until(&w, &w.asks, 1);
        (void)snprintf(part, sizeof part, "%s/.mail-0.part", w.folder);
        assert_int_equal(mount(part, part, NULL, MS_BIND, NULL), 0);
        deliver_pickup.permit(w.backend, delivery, DELIVER_GRANTED);
        if (lasts == 0) {
            struct err_text why = {.code = ERR_OK};
            for (int i = 0; i < 20; i++) {
                assert_int_equal(loop_turn(w.loop, 10, &why), ERR_OK);
            }
            assert_int_equal(w.done, 0);
            assert_int_equal(umount(part), 0);
        }
        turn_until(&w, &w.done, 1);
        const struct deliver_recipient *recipient = &delivery->recipients[0];
        if (lasts == 0) {
            assert_int_equal(recipient->outcome, PB_OUTCOME(DELIVERED));
            assert_true(has(&w, "mail-0.eml"));
        } else {
            assert_int_equal(recipient->outcome, PB_OUTCOME(DEFERRED));
            assert_int_equal(recipient->phase, PB_PHASE(PICKUP));
            assert_non_null(strstr(recipient->text, "busy"));
            assert_int_equal(umount(part), 0);
        }
        world_close(&w);
    }
}

static void a_file_that_waits_is_given_up_with_the_worker(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    w.plan.dialect = PB_DIALECT(EXCHANGE);
    w.plan.max_messages_per_minute = 100;
    for (unsigned i = 0; i < 100; i++) {
        (void)make(&w, i % MAILS);
        assert_int_equal(run(&w, i % MAILS)->outcome, PB_OUTCOME(DELIVERED));
        delivery_fini(&w.mails[i % MAILS]);
        remove_all(w.folder);
        assert_int_equal(mkdir(w.folder, 0700), 0);
    }
    deliver_pickup.start(w.backend, make(&w, 0)); /* the 101st of this minute */
    struct err_text why = {.code = ERR_OK};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(loop_turn(w.loop, 10, &why), ERR_OK);
    }
    assert_int_equal(w.done, 100);
    assert_false(has(&w, ".mail-0.part"));
    world_close(&w);
}

static void a_denied_permit_hands_nothing_over(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    w.permit = DELIVER_DENIED;
    (void)make(&w, 0);
    const struct deliver_recipient *recipient = run(&w, 0);
    assert_int_equal(recipient->outcome, PB_OUTCOME(DEFERRED));
    assert_int_equal(recipient->phase, PB_PHASE(BROKER));
    assert_false(w.mails[0].handed_off);
    assert_false(has(&w, ".mail-0.part"));
    assert_true(
        has(&w, ".mail-0.back")); /* who looks for it must see that it came to nothing */
    assert_false(has(&w, "mail-0.eml"));
    world_close(&w);
}

/* A worker was stopped behind its permit. Somebody looks, the mail is tried again; then the first one goes on. */
static void who_was_looked_for_comes_too_late(void **state)
{
    enum { FIRST, LOOK, LOOK_AGAIN, NEXT, COUNT };
    struct world w;
    (void)state;
    world_open(&w);
    w.permit_now = false;
    for (size_t i = 0; i < COUNT; i++) {
        struct delivery *delivery = make(&w, i);
        (void)snprintf(delivery->file_name, sizeof delivery->file_name, "mail");
        delivery->look_only = i == LOOK || i == LOOK_AGAIN;
    }
    deliver_pickup.start(w.backend, &w.mails[FIRST]);
    turn_until(&w, &w.asks, 1);
    assert_int_equal(run(&w, LOOK)->outcome, PB_OUTCOME(DEFERRED));
    assert_int_equal(run(&w, LOOK_AGAIN)->outcome, PB_OUTCOME(DEFERRED));
    deliver_pickup.start(w.backend, &w.mails[NEXT]);
    turn_until(&w, &w.asks, 2);
    assert_false(has(&w, ".mail.back"));
    deliver_pickup.permit(w.backend, &w.mails[FIRST], DELIVER_GRANTED);
    turn_until(&w, &w.done, 3);
    assert_int_equal(w.mails[FIRST].recipients[0].outcome, PB_OUTCOME(DEFERRED));
    assert_false(has(&w, "mail.eml"));
    deliver_pickup.permit(w.backend, &w.mails[NEXT], DELIVER_GRANTED);
    turn_until(&w, &w.done, 4);
    assert_int_equal(w.mails[NEXT].recipients[0].outcome, PB_OUTCOME(DELIVERED));
    assert_true(has(&w, "mail.eml"));
    world_close(&w);
}

/* The folder before, the kind of start, and what is told. */
static const struct row {
    const char *name;
    const char *before;
    bool look_only;
    int outcome;
    const char *text;
    unsigned asks;
} rows[] = {
    {"earlier_attempt_did_it", "mail-0.eml", false, PB_OUTCOME(DELIVERED),
     "already in the folder", 0},
    {"part_of_earlier_attempt", ".mail-0.part", false, PB_OUTCOME(DELIVERED), "in the folder",
     1},
    {"look_there", "mail-0.eml", true, PB_OUTCOME(DELIVERED), "already in the folder", 0},
    {"look_part", ".mail-0.part", true, PB_OUTCOME(DEFERRED), "was not handed over", 0},
    {"look_back", ".mail-0.back", true, PB_OUTCOME(DEFERRED), "was not handed over", 0},
    {"look_gone", "other.eml", true, PB_OUTCOME(UNKNOWN),
     "no longer in the folder: taken by the consumer, or removed", 0},
};

static void an_earlier_attempt_is_recognised(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        print_message("  %s\n", rows[i].name);
        world_open(&w);
        touch(&w, rows[i].before);
        make(&w, 0)->look_only = rows[i].look_only;
        const struct deliver_recipient *recipient = run(&w, 0);
        assert_int_equal(recipient->outcome, rows[i].outcome);
        assert_string_equal(recipient->text, rows[i].text);
        assert_int_equal(w.asks, rows[i].asks);
        world_close(&w);
    }
}

/* folder: %s becomes the root. */
static const struct place {
    const char *name;
    const char *folder;
    int outcome;
    const char *text;
} places[] = {
    {"the_root_itself", "%s", PB_OUTCOME(DELIVERED), "in the folder"},
    {"slashes", "%s//in/", PB_OUTCOME(DELIVERED), "in the folder"},
    {"outside", "/tmp", PB_OUTCOME(REFUSED), "not below"},
    {"same_prefix", "%sx", PB_OUTCOME(REFUSED), "not below"},
    {"dot_dot", "%s/in/../../elsewhere", PB_OUTCOME(REFUSED), "not below"},
    {"dot_dot_that_comes_back", "%s/in/../in", PB_OUTCOME(REFUSED), "not below"},
    {"dot", "%s/./in", PB_OUTCOME(DELIVERED), "in the folder"},
    {"link", "%s/link", PB_OUTCOME(REFUSED), "symbolic link"},
    {"link_on_the_way", "%s/out/tmp", PB_OUTCOME(REFUSED), "symbolic link"},
    {"link_to_the_outside", "%s/out", PB_OUTCOME(REFUSED), "symbolic link"},
    {"missing", "%s/nowhere", PB_OUTCOME(DEFERRED), "is missing"},
    {"a_file", "%s/in/file", PB_OUTCOME(DEFERRED), "cannot be opened"},
};

static void only_folders_below_a_root_are_written_to(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct world w;
        char link[128];
        char folder[128];
        const char *form = strstr(places[i].folder, "%s");
        print_message("  %s\n", places[i].name);
        world_open(&w);
        touch(&w, "file");
        (void)snprintf(link, sizeof link, "%s/link", w.root);
        assert_int_equal(symlink("in", link), 0);
        (void)snprintf(link, sizeof link, "%s/out", w.root);
        assert_int_equal(symlink("/", link), 0);
        (void)snprintf(folder, sizeof folder, "%s%s", form != NULL ? w.root : places[i].folder,
                       form != NULL ? form + 2 : "");
        w.plan.folder = folder;
        (void)make(&w, 0);
        const struct deliver_recipient *recipient = run(&w, 0);
        assert_int_equal(recipient->outcome, places[i].outcome);
        assert_non_null(strstr(recipient->text, places[i].text));
        world_close(&w);
    }
}

/* Another folder of that name is written to from the next file on: none is kept open from one to the next. */
static void a_folder_that_was_replaced_is_opened_anew(void **state)
{
    struct world w;
    char aside[128];
    (void)state;
    world_open(&w);
    (void)make(&w, 0);
    assert_int_equal(run(&w, 0)->outcome, PB_OUTCOME(DELIVERED));
    (void)snprintf(aside, sizeof aside, "%s/aside", w.root);
    assert_int_equal(rename(w.folder, aside), 0);
    assert_int_equal(mkdir(w.folder, 0700), 0);
    (void)make(&w, 1);
    assert_int_equal(run(&w, 1)->outcome, PB_OUTCOME(DELIVERED));
    assert_false(has(&w, "mail-0.eml"));
    assert_true(has(&w, "mail-1.eml"));
    remove_all(w.folder);
    assert_int_equal(symlink("aside", w.folder), 0);
    (void)make(&w, 2);
    const struct deliver_recipient *recipient = run(&w, 2);
    assert_int_equal(recipient->outcome, PB_OUTCOME(REFUSED));
    assert_non_null(strstr(recipient->text, "symbolic link"));
    world_close(&w);
}

/* A kernel before 5.6, or a sandbox that does not know the call: openat2 is not there. The filter stays for the rest of
 * the program, so this test is the last one. */
static void the_way_without_openat2_is_as_strict(void **state)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof steps / sizeof steps[0], .filter = steps};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
    assert_int_equal(syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0), -1);
    assert_int_equal(errno, ENOSYS);
    only_folders_below_a_root_are_written_to(state);
}

static void a_name_cannot_leave_the_folder(void **state)
{
    static const char *const names[] = {"../mail", "", ".hidden", "a/b"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct world w;
        world_open(&w);
        struct delivery *delivery = make(&w, 0);
        (void)snprintf(delivery->file_name, sizeof delivery->file_name, "%s", names[i]);
        assert_int_equal(run(&w, 0)->outcome, PB_OUTCOME(REFUSED));
        assert_int_equal(w.asks, 0);
        world_close(&w);
    }
}

static void a_part_that_vanished_is_put_off(void **state)
{
    struct world w;
    char path[256];
    (void)state;
    world_open(&w);
    w.permit_now = false;
    struct delivery *delivery = make(&w, 0);
    deliver_pickup.start(w.backend, delivery);
    turn_until(&w, &w.asks, 1);
    (void)snprintf(path, sizeof path, "%s/.mail-0.part", w.folder);
    assert_int_equal(unlink(path), 0);
    deliver_pickup.permit(w.backend, delivery, DELIVER_GRANTED);
    turn_until(&w, &w.done, 1);
    assert_int_equal(delivery->recipients[0].outcome, PB_OUTCOME(DEFERRED));
    world_close(&w);
}

static void close_gives_up_in_every_state(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    w.permit_now = false;
    for (size_t i = 0; i < MAILS; i++) {
        deliver_pickup.start(w.backend, make(&w, i));
    }
    turn_until(&w, &w.asks, 1);
    assert_int_equal(w.done, 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_appears_whole_and_only_after_the_permit),
        cmocka_unit_test(many_files_at_once_all_arrive),
        cmocka_unit_test(a_sharing_violation_is_waited_out),
        cmocka_unit_test(a_file_that_waits_is_given_up_with_the_worker),
        cmocka_unit_test(a_denied_permit_hands_nothing_over),
        cmocka_unit_test(who_was_looked_for_comes_too_late),
        cmocka_unit_test(an_earlier_attempt_is_recognised),
        cmocka_unit_test(only_folders_below_a_root_are_written_to),
        cmocka_unit_test(a_folder_that_was_replaced_is_opened_anew),
        cmocka_unit_test(a_name_cannot_leave_the_folder),
        cmocka_unit_test(a_part_that_vanished_is_put_off),
        cmocka_unit_test(close_gives_up_in_every_state),
        cmocka_unit_test(the_way_without_openat2_is_as_strict),
    };
    return cmocka_run_group_tests_name("pickup", tests, NULL, NULL);
}
