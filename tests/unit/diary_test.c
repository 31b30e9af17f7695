/* What a killed worker's diary tells the next one. */
#include "diary.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 16 };

struct heard {
    uint64_t leases[MOST];
    size_t count;
};

static void hear(void *arg, uint64_t lease)
{
    struct heard *heard = arg;
    assert_in_range(heard->count, 0, MOST - 1);
    heard->leases[heard->count++] = lease;
}

static int make_folder(void **state)
{
    char folder[] = "/tmp/diary-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    *state = strdup(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)rmdir(*state); /* empty unless a test failed */
    free(*state);
    return 0;
}

/* Run a worker that writes its diary and is killed. */
static void killed_worker(const char *folder, void (*live)(struct diary *diary))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct diary *diary = NULL;
        if (diary_open(&diary, folder, "broker", "former", NULL) == ERR_OK) {
            live(diary);
        }
        (void)kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static struct heard worker_of(const char *broker, const char *folder)
{
    struct heard heard = {.count = 0};
    struct diary *diary = NULL;
    assert_int_equal(diary_open(&diary, folder, broker, "next", NULL), ERR_OK);
    diary_former(diary, hear, &heard);
    diary_close(&diary);
    return heard;
}

static struct heard next_worker(const char *folder)
{
    return worker_of("broker", folder);
}

static void live_a_life(struct diary *diary)
{
    (void)diary_note(diary, 10, 0);                /* asked only: given back */
    diary_begun(diary, diary_note(diary, 11, 0));  /* on its way: not told */
    diary_forget(diary, diary_note(diary, 12, 0)); /* over: not told */
    (void)diary_note(diary, 13, 0);                /* two parts, one on its way: not told */
    diary_begun(diary, diary_note(diary, 13, 1));
    (void)diary_note(diary, 14, 0); /* two parts, both only asked: once */
    (void)diary_note(diary, 14, 1);
}

static void what_did_not_begin_is_given_back(void **state)
{
    killed_worker(*state, live_a_life);
    struct heard heard = next_worker(*state);
    assert_int_equal(heard.count, 2);
    assert_true((heard.leases[0] == 10 && heard.leases[1] == 14) ||
                (heard.leases[0] == 14 && heard.leases[1] == 10));
    assert_int_equal(next_worker(*state).count, 0); /* told once */
}

static void a_living_worker_is_left_alone(void **state)
{
    struct diary *living = NULL;
    assert_int_equal(diary_open(&living, *state, "broker", "living", NULL), ERR_OK);
    (void)diary_note(living, 20, 0);
    assert_int_equal(next_worker(*state).count, 0);
    diary_close(&living);
}

static int is_diary(const struct dirent *entry)
{
    return strncmp(entry->d_name, "diary-", 6) == 0;
}

static void another_broker_s_diary_is_left_alone(void **state)
{
    killed_worker(*state, live_a_life);
    assert_int_equal(worker_of("another", *state).count, 0);
    assert_int_equal(next_worker(*state).count, 2);
}

static void another_boot_is_not_believed(void **state)
{
    killed_worker(*state, live_a_life);
    char path[512];
    struct dirent **names = NULL;
    assert_int_equal(scandir(*state, &names, is_diary, NULL), 1);
    (void)snprintf(path, sizeof path, "%s/%s", (const char *)*state, names[0]->d_name);
    free(names[0]);
    free(names);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 8, SEEK_SET), 0); /* the boot id stands behind two numbers */
    assert_int_equal(fputc('#', file), '#');
    assert_int_equal(fclose(file), 0);
    assert_int_equal(next_worker(*state).count, 0);
}

static void a_full_diary_goes_on_without_notes(void **state)
{
    struct diary *diary = NULL;
    assert_int_equal(diary_open(&diary, *state, "broker", "full", NULL), ERR_OK);
    for (uint64_t i = 1; i <= DIARY_SLOTS; i++) {
        assert_int_not_equal(diary_note(diary, i, 0), 0);
    }
    assert_int_equal(diary_note(diary, 1, 1), 0);
    diary_begun(diary, 0);
    diary_forget(diary, 0);
    diary_forget(diary, 7);
    assert_int_equal(diary_note(diary, 2, 1), 7);
    diary_close(&diary);
}

static void a_folder_that_others_may_write_is_refused(void **state)
{
    struct diary *diary = NULL;
    struct err_text why;
    assert_int_equal(chmod(*state, 0777), 0);
    assert_int_equal(diary_open(&diary, *state, "broker", "x", &why), ERR_INVALID);
    assert_null(diary);
    assert_int_equal(chmod(*state, 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_did_not_begin_is_given_back, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_living_worker_is_left_alone, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(another_broker_s_diary_is_left_alone, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(another_boot_is_not_believed, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_full_diary_goes_on_without_notes, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_that_others_may_write_is_refused, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
