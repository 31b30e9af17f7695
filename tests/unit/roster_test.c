/* Which worker gets a job. */
#include "roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct ready_row {
    const char *name;
    const char *capabilities[4];
    uint32_t credit;
};

static const struct ready_row pool[] = {
    {"mailer", {"smtp"}, 3},
    {"busy", {"smtp"}, 0},
    {"dropper", {"smtp", "pickup:/srv/drop"}, 1},
    {"other", {"pickup:/srv/dropped"}, 9},
};
enum { POOL = sizeof pool / sizeof pool[0] };

static void fill(struct roster *roster, size_t count)
{
    roster_init(roster);
    for (size_t i = 0; i < count; i++) {
        struct wire_peer peer = {.len = 1, .id = {(uint8_t)i}};
        char *capabilities[4];
        PB(Ready) ready = PB_INIT(READY);
        ready.worker = (char *)(uintptr_t)pool[i].name;
        ready.instance = ready.worker;
        ready.credit = pool[i].credit;
        ready.capabilities = capabilities;
        while (pool[i].capabilities[ready.n_capabilities] != NULL) {
            capabilities[ready.n_capabilities] =
                (char *)(uintptr_t)pool[i].capabilities[ready.n_capabilities];
            ready.n_capabilities++;
        }
        assert_non_null(roster_ready(roster, &peer, &ready));
    }
}

struct pick_row {
    const char *name;
    size_t workers; /* the first so many of the pool */
    enum settings_route route;
    const char *folder;
    const char *wanted; /* null = nobody */
};

static const struct pick_row picks[] = {
    {"an empty pool", 0, SETTINGS_SMTP, "", NULL},
    {"the one with the most credit", 3, SETTINGS_SMTP, "", "mailer"},
    {"the one with the folder's root", POOL, SETTINGS_PICKUP, "/srv/drop/in", "dropper"},
    {"the root itself", POOL, SETTINGS_PICKUP, "/srv/drop", "dropper"},
    {"a root is a folder, not a prefix", POOL, SETTINGS_PICKUP, "/srv/dropped/x", "other"},
    {"nobody has the root: whoever is there says so", 2, SETTINGS_PICKUP, "/else", "mailer"},
    {"nobody has a mail client: whoever is there says so", 2, SETTINGS_CLIENT, "", "mailer"},
};

static void the_right_worker_is_picked(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof picks / sizeof picks[0]; i++) {
        struct roster roster;
        fill(&roster, picks[i].workers);
        const struct roster_wish wish = {.route = picks[i].route, .folder = picks[i].folder};
        struct worker *worker = roster_pick(&roster, &wish);
        const char *got = worker != NULL ? worker->name : "nobody";
        if (strcmp(got, picks[i].wanted != NULL ? picks[i].wanted : "nobody") != 0) {
            fail_msg("%s: %s", picks[i].name, got);
        }
        roster_fini(&roster);
    }
}

static void a_capable_worker_is_waited_for(void **unused)
{
    (void)unused;
    struct roster roster;
    fill(&roster, 3);
    const struct roster_wish wish = {.route = SETTINGS_PICKUP, .folder = "/srv/drop"};
    struct worker *dropper = roster_pick(&roster, &wish);
    assert_string_equal(dropper->name, "dropper");
    dropper->credit = 0;
    assert_null(roster_pick(&roster, &wish));
    roster_fini(&roster);
}

static bool has_no_suspects(void *arg, const struct worker *worker)
{
    (void)arg;
    return worker->suspects == 0;
}

static void one_that_does_not_fit_is_passed_over(void **unused)
{
    (void)unused;
    struct roster roster;
    fill(&roster, 3);
    const struct roster_wish wish = {
        .route = SETTINGS_SMTP, .folder = "", .fits = has_no_suspects};
    struct worker *mailer = roster_pick(&roster, &wish);
    assert_string_equal(mailer->name, "mailer");
    mailer->suspects = 1;
    struct worker *dropper = roster_pick(&roster, &wish);
    assert_string_equal(dropper->name, "dropper");
    dropper->suspects = 1;
    assert_null(roster_pick(&roster, &wish));
    roster_fini(&roster);
}

static void ready_again_sets_the_credit(void **unused)
{
    (void)unused;
    struct roster roster;
    fill(&roster, 1);
    struct wire_peer peer = {.len = 1, .id = {0}};
    PB(Ready) ready = PB_INIT(READY);
    ready.credit = 7;
    struct worker *worker = roster_ready(&roster, &peer, &ready);
    assert_int_equal(worker->credit, 7);
    assert_int_equal(roster.count, 1);
    roster_fini(&roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_worker_is_picked),
        cmocka_unit_test(a_capable_worker_is_waited_for),
        cmocka_unit_test(one_that_does_not_fit_is_passed_over),
        cmocka_unit_test(ready_again_sets_the_credit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
