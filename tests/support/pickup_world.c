#include "pickup_world.h"

#include "clock.h"
#include "loop.h"
#include "mem.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

static void on_ask(void *arg, struct delivery *delivery)
{
    struct world *w = arg;
    w->asks++;
    if (w->see_ask != NULL) {
        w->see_ask(delivery);
    }
    if (w->permit_now) {
        deliver_pickup.permit(w->backend, delivery, w->permit);
    }
}

static void on_done(void *arg, struct delivery *delivery)
{
    struct world *w = arg;
    w->done++;
    if (w->see_done != NULL) {
        w->see_done(delivery);
    }
}

static const struct deliver_owner owner = {.ask = on_ask, .done = on_done};

void world_open(struct world *w)
{
    struct err_text why = {.code = ERR_OK};
    *w = (struct world){.root = "/tmp/tpn-pickup-XXXXXX", .permit = DELIVER_GRANTED};
    w->permit_now = true;
    assert_non_null(mkdtemp(w->root));
    (void)snprintf(w->folder, sizeof w->folder, "%s/in", w->root);
    assert_int_equal(mkdir(w->folder, 0700), 0);
    w->roots[0] = w->root;
    assert_int_equal(loop_new(&w->loop, &why), ERR_OK);
    const struct deliver_context context = {
        .loop = w->loop, .pickup_roots = w->roots, .pickup_threads = 4};
    assert_int_equal(deliver_pickup.open(&context, &w->backend, &why), ERR_OK);
    w->plan = (struct settings_plan){.route = SETTINGS_PICKUP, .folder = w->folder};
}

void remove_all(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        (void)unlink(path);
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            struct stat st;
            char *child = mem_format("%s/%s", path, entry->d_name);
            if (lstat(child, &st) == 0 && S_ISDIR(st.st_mode)) {
                remove_all(child);
            }
            (void)unlink(child);
            free(child);
        }
    }
    (void)closedir(folder);
    (void)rmdir(path);
}

void world_close(struct world *w)
{
    deliver_pickup.close(&w->backend);
    loop_free(&w->loop);
    for (size_t i = 0; i < MAILS; i++) {
        delivery_fini(&w->mails[i]);
    }
    remove_all(w->root);
}

struct delivery *make(struct world *w, size_t i)
{
    struct delivery *delivery = &w->mails[i];
    delivery->plan = &w->plan;
    delivery->owner = &owner;
    delivery->owner_arg = w;
    (void)snprintf(delivery->file_name, sizeof delivery->file_name, "mail-%zu", i);
    buf_init(&delivery->content, 4096);
    buf_add_format(&delivery->content, "Subject: %zu\r\n\r\nbody\r\n", i);
    delivery->recipient_count = 1;
    delivery->recipients = mem_zero(1, sizeof *delivery->recipients);
    return delivery;
}

void turn_until(struct world *w, const unsigned *counter, unsigned wanted)
{
    struct err_text why = {.code = ERR_OK};
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
    while (*counter < wanted) {
        assert_true(clock_mono_ms() < end_ms);
        assert_int_equal(loop_turn(w->loop, 1000, &why), ERR_OK);
    }
}

const struct deliver_recipient *run(struct world *w, size_t i)
{
    deliver_pickup.start(w->backend, &w->mails[i]);
    turn_until(w, &w->done, w->done + 1);
    return &w->mails[i].recipients[0];
}

bool has(const struct world *w, const char *name)
{
    struct stat st;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", w->folder, name);
    return stat(path, &st) == 0;
}
