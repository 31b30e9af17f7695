/* The workers of the pool.
 *
 * Knows peers, capabilities and credit; knows nothing of states. A message that cannot be sent to a worker is dropped here:
 * the worker repeats a result until it hears RESULT_OK, and a lost permit ends with its lease. */
#include "roster.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void roster_init(struct roster *roster)
{
    *roster = (struct roster){0};
    TAILQ_INIT(&roster->workers);
}

struct worker *roster_find(const struct roster *roster, const struct wire_peer *peer)
{
    return map_get(roster->by_peer, peer->id, peer->len);
}

static void forget_capabilities(struct worker *worker)
{
    for (size_t i = 0; i < worker->capability_count; i++) {
        free(worker->capabilities[i]);
    }
    worker->capability_count = 0;
}

static bool has(const struct worker *worker, const char *capability)
{
    for (size_t i = 0; i < worker->capability_count; i++) {
        if (strcmp(worker->capabilities[i], capability) == 0) {
            return true;
        }
    }
    return false;
}

struct worker *roster_ready(struct roster *roster, const struct wire_peer *peer,
                            const PB(Ready) *ready)
{
    struct worker *worker = roster_find(roster, peer);
    if (worker == NULL) {
        if (roster->count >= ROSTER_MAX_WORKERS) {
            return NULL;
        }
        worker = mem_zero(1, sizeof *worker);
        worker->peer = *peer;
        TAILQ_INIT(&worker->leased);
        TAILQ_INSERT_TAIL(&roster->workers, worker, link);
        (void)map_put(&roster->by_peer, peer->id, peer->len, worker);
        roster->count++;
    }
    (void)snprintf(worker->name, sizeof worker->name, "%s", ready->worker);
    (void)snprintf(worker->instance, sizeof worker->instance, "%s", ready->instance);
    forget_capabilities(worker);
    for (size_t i = 0; i < ready->n_capabilities && i < ROSTER_CAPABILITIES; i++) {
        worker->capabilities[worker->capability_count++] = mem_text(ready->capabilities[i]);
    }
    worker->knows_jobs = has(worker, "jobs");
    worker->credit = ready->credit < ROSTER_MAX_CREDIT ? ready->credit : ROSTER_MAX_CREDIT;
    worker->heard_ms = clock_mono_ms();
    worker->heard_wall_ms = clock_wall_ms();
    worker->leaving = false;
    map_clear(&worker->profiles); /* a worker that started again has none */
    return worker;
}

static void part_list_free(struct part_list *list)
{
    free(list->items);
    *list = (struct part_list){0};
}

void roster_remove(struct roster *roster, struct worker **worker_p)
{
    struct worker *worker = *worker_p;
    *worker_p = NULL;
    if (!TAILQ_EMPTY(&worker->leased)) {
        bug("worker %s is removed with leases", worker->name);
    }
    TAILQ_REMOVE(&roster->workers, worker, link);
    (void)map_take(&roster->by_peer, worker->peer.id, worker->peer.len);
    roster->count--;
    share_forget(worker);
    forget_capabilities(worker);
    map_clear(&worker->profiles);
    part_list_free(&worker->granted);
    part_list_free(&worker->denied);
    part_list_free(&worker->settled);
    free(worker);
}

void roster_fini(struct roster *roster)
{
    struct worker *worker = NULL;
    while ((worker = TAILQ_FIRST(&roster->workers)) != NULL) {
        TAILQ_INIT(&worker->leased);
        roster_remove(roster, &worker);
    }
}

/* "pickup:/srv/drop" serves /srv/drop and everything below it. */
static bool has_root_of(const struct worker *worker, const char *folder)
{
    static const char prefix[] = "pickup:";
    for (size_t i = 0; i < worker->capability_count; i++) {
        const char *root = worker->capabilities[i];
        if (strncmp(root, prefix, sizeof prefix - 1) != 0) {
            continue;
        }
        root += sizeof prefix - 1;
        size_t len = strlen(root);
        if (strncmp(folder, root, len) == 0 && (folder[len] == '/' || folder[len] == '\0')) {
            return true;
        }
    }
    return false;
}

bool roster_can(const struct worker *worker, enum settings_route route, const char *folder)
{
    switch (route) {
    case SETTINGS_PICKUP:
        return has_root_of(worker, folder);
    case SETTINGS_CLIENT:
        return has(worker, "client");
    case SETTINGS_SMTP:
    case SETTINGS_ROUTE_COUNT:
        break;
    }
    return has(worker, "smtp");
}

struct worker *roster_pick(const struct roster *roster, const struct roster_wish *wish)
{
    struct worker *best = NULL;
    struct worker *any = NULL;
    bool capable = false;
    struct worker *worker = NULL;
    TAILQ_FOREACH(worker, &roster->workers, link)
    {
        bool serves = roster_can(worker, wish->route, wish->folder);
        capable = capable || serves;
        if (worker->credit == 0 || worker->leaving || (wish->edited && !has(worker, "edit")) ||
            (wish->fits != NULL && !wish->fits(wish->arg, worker))) {
            continue;
        }
        struct worker **place = serves ? &best : &any;
        if (*place == NULL || worker->credit > (*place)->credit) {
            *place = worker;
        }
    }
    return capable ? best : any;
}

struct worker *roster_prober(const struct roster *roster, enum settings_route route,
                             const char *folder)
{
    struct worker *any = NULL;
    struct worker *worker = NULL;
    TAILQ_FOREACH(worker, &roster->workers, link)
    {
        if (worker->leaving || worker->gone || !has(worker, "probe")) {
            continue;
        }
        if (roster_can(worker, route, folder)) {
            return worker;
        }
        any = worker;
    }
    return any;
}

void part_list_add(struct part_list *list, uint64_t lease, uint32_t part)
{
    if (list->count == list->room) {
        list->room = list->room > 0 ? list->room * 2 : 32;
        list->items = mem_resize(list->items, list->room, sizeof(PB(Part)));
    }
    PB(Part) item = PB_INIT(PART);
    item.lease = lease;
    item.part = part;
    list->items[list->count++] = item;
}

/* Pointers to the items, as protobuf-c wants a repeated message. */
static PB(Part) **pointers(const struct part_list *list)
{
    PB(Part) **out = mem_zero(list->count, sizeof(PB(Part) *));
    for (size_t i = 0; i < list->count; i++) {
        out[i] = &list->items[i];
    }
    return out;
}

/* What is not heard is asked again. */
static void send_or_drop(const struct worker *worker, struct bus *work, enum wire_verb verb,
                         const ProtobufCMessage *body)
{
    if (bus_send(work, &worker->peer, verb, body, NULL) != ERR_OK) {
        log_debug("send", "verb=%s worker=%s result=dropped", wire_verb_name(verb),
                  worker->name);
    }
}

static void send_lists(struct worker *worker, struct bus *work)
{
    if (worker->granted.count + worker->denied.count > 0) {
        PB(Permit) permit = PB_INIT(PERMIT);
        permit.granted = pointers(&worker->granted);
        permit.n_granted = worker->granted.count;
        permit.denied = pointers(&worker->denied);
        permit.n_denied = worker->denied.count;
        send_or_drop(worker, work, WIRE_PERMIT, &permit.base);
        free(permit.granted);
        free(permit.denied);
    }
    if (worker->settled.count > 0) {
        PB(ResultOk) ok = PB_INIT(RESULT_OK);
        ok.parts = pointers(&worker->settled);
        ok.n_parts = worker->settled.count;
        send_or_drop(worker, work, WIRE_RESULT_OK, &ok.base);
        free(ok.parts);
    }
    worker->granted.count = 0;
    worker->denied.count = 0;
    worker->settled.count = 0;
}

void roster_flush(struct roster *roster, struct bus *work)
{
    struct worker *worker = NULL;
    TAILQ_FOREACH(worker, &roster->workers, link)
    {
        send_lists(worker, work);
    }
}
