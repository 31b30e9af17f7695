/* Seats of workers. They are few (workers times profiles in use), so lists do; the sum of a profile stands in its brake. Loads are
 * looked up for each lease, so they lie in a map: one for each profile that the worker has a job of at this time. */
#include "share.h"

#include "broker.h"
#include "lease.h"
#include "log.h"
#include "mem.h"

#include <stdlib.h>

static uint32_t counts(const struct share_seat *seat)
{
    return seat->granted > seat->told ? seat->granted : seat->told;
}

static struct share_seat *find(const struct worker *worker, uint64_t version)
{
    struct share_seat *seat = worker->seats;
    while (seat != NULL && seat->version != version) {
        seat = seat->next;
    }
    return seat;
}

static struct share_seat *find_or_make(struct broker *broker, struct worker *worker,
                                       const struct profile *profile)
{
    struct share_seat *seat = find(worker, profile->wire.version);
    if (seat == NULL) {
        seat = mem_zero(1, sizeof *seat);
        seat->version = profile->wire.version;
        seat->brake = brakes_of(&broker->brakes, profile->wire.name);
        seat->next = worker->seats;
        worker->seats = seat;
    }
    return seat;
}

/* The one way to change a seat: the profile's sum follows. */
static void set(struct share_seat *seat, uint32_t granted, uint32_t told)
{
    seat->brake->connections -= counts(seat);
    seat->granted = granted;
    seat->told = told;
    seat->brake->connections += counts(seat);
}

static bool is_limited(const struct profile *profile)
{
    return profile->plan.route == SETTINGS_SMTP;
}

/* What each worker that can serve the profile may have. */
static uint32_t right_of(const struct broker *broker, const struct profile *profile)
{
    uint32_t workers = 0;
    const struct worker *worker = NULL;
    TAILQ_FOREACH(worker, &broker->roster.workers, link)
    {
        workers += !worker->leaving && roster_can(worker, SETTINGS_SMTP, "") ? 1 : 0;
    }
    uint32_t right = profile->plan.max_connections / (workers > 0 ? workers : 1);
    return right > 0 ? right : 1;
}

/* What is not taken by anybody. */
static uint32_t room_of(const struct broker *broker, const struct profile *profile)
{
    const struct brake *brake = map_get_text(broker->brakes.by_name, profile->wire.name);
    uint32_t taken = brake != NULL ? brake->connections : 0;
    uint32_t most = profile->plan.max_connections;
    return taken < most ? most - taken : 0;
}

bool share_fits(const struct broker *broker, const struct worker *worker,
                const struct profile *profile)
{
    if (!is_limited(profile) || share_of(worker, profile->wire.version) > 0) {
        return true;
    }
    if (room_of(broker, profile) > 0) {
        return true;
    }
    struct brake *brake = map_get_text(broker->brakes.by_name, profile->wire.name);
    if (brake != NULL) {
        brake->starved = true;
    }
    return false;
}

bool share_grant(struct broker *broker, struct worker *worker, const struct profile *profile)
{
    if (!is_limited(profile)) {
        return false;
    }
    struct share_seat *seat = find_or_make(broker, worker, profile);
    uint32_t right = right_of(broker, profile);
    if (seat->granted >= right) {
        return false;
    }
    uint32_t room = room_of(broker, profile) + counts(seat);
    uint32_t granted = right < room ? right : room;
    if (granted <= seat->granted) {
        return false;
    }
    set(seat, granted, seat->told);
    return true;
}

uint32_t share_of(const struct worker *worker, uint64_t version)
{
    const struct share_seat *seat = find(worker, version);
    return seat != NULL ? seat->granted : 0;
}

/* ---- jobs ---- */

static struct share_load *find_load(const struct worker *worker, const struct brake *brake)
{
    return map_get(worker->loads, &brake, sizeof brake);
}

void share_take_job(struct worker *worker, const struct brake *brake)
{
    struct share_load *load = find_load(worker, brake);
    if (load == NULL) {
        load = mem_zero(1, sizeof *load);
        (void)map_put(&worker->loads, &brake, sizeof brake, load);
    }
    load->jobs++;
}

void share_end_job(struct worker *worker, const struct brake *brake)
{
    struct share_load *load = find_load(worker, brake);
    if (load == NULL) {
        bug("worker %s: a job ends that it did not have", worker->name);
    }
    if (--load->jobs == 0) {
        free(map_take(&worker->loads, &brake, sizeof brake));
    }
}

bool share_leaves_room(const struct worker *worker, const struct brake *brake)
{
    const struct share_load *load = find_load(worker, brake);
    return load == NULL || load->jobs < (uint64_t)SHARE_OF_FREE * worker->credit;
}

/* ---- what workers say ---- */

static uint32_t said(PB(ShareHeld) *const shares[], size_t count, uint64_t version)
{
    for (size_t i = 0; i < count; i++) {
        if (shares[i]->profile_version == version) {
            return shares[i]->connections;
        }
    }
    return 0;
}

/* What the worker says is not what was granted: it has not heard of it yet, closes connections at this moment, or the
 * PROFILE was lost with a connection. A share is a state, so it is told once more. */
static void tell_again(struct broker *broker, struct worker *worker, struct share_seat *seat)
{
    if (seat->told == 0 && profiles_version(broker->profiles, seat->version) == NULL) {
        set(seat, 0, 0); /* of older settings that the worker has no more */
        return;
    }
    lease_tell_share(broker, worker, seat->version);
}

void share_heard(struct broker *broker, struct worker *worker, PB(ShareHeld) *const shares[],
                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct profile *profile =
            profiles_version(broker->profiles, shares[i]->profile_version);
        if (profile != NULL && find(worker, shares[i]->profile_version) == NULL) {
            /* Granted before the broker started again. */
            set(find_or_make(broker, worker, profile), shares[i]->connections,
                shares[i]->connections);
        }
    }
    struct share_seat *next = NULL;
    for (struct share_seat **at = &worker->seats; *at != NULL;) {
        struct share_seat *seat = *at;
        next = seat->next;
        set(seat, seat->granted, said(shares, count, seat->version));
        if (seat->told != seat->granted) {
            tell_again(broker, worker, seat);
        }
        if (counts(seat) == 0) {
            *at = next;
            free(seat);
        } else {
            at = &seat->next;
        }
    }
}

static void free_load(void *arg, void *value)
{
    (void)arg;
    free(value);
}

void share_forget(struct worker *worker)
{
    struct share_seat *seat = NULL;
    while ((seat = worker->seats) != NULL) {
        set(seat, 0, 0);
        worker->seats = seat->next;
        free(seat);
    }
    map_each(worker->loads, free_load, NULL);
    map_clear(&worker->loads);
}

/* ---- cutting ---- */

static bool has_lease_of(const struct worker *worker, const struct brake *brake)
{
    const struct request *request = NULL;
    TAILQ_FOREACH(request, &worker->leased, link)
    {
        if (request->lane->brake == brake) {
            return true;
        }
    }
    return false;
}

/* What the seat may keep. */
static uint32_t keeps(const struct broker *broker, const struct worker *worker,
                      const struct share_seat *seat)
{
    const struct profile *profile = profiles_version(broker->profiles, seat->version);
    if (profile == NULL) {
        return has_lease_of(worker, seat->brake) ? seat->granted : 0; /* of older settings */
    }
    if (seat->brake->starved && !has_lease_of(worker, seat->brake)) {
        return 0;
    }
    uint32_t right = right_of(broker, profile);
    return seat->granted < right ? seat->granted : right;
}

static void cut(struct broker *broker, struct worker *worker)
{
    for (struct share_seat *seat = worker->seats; seat != NULL; seat = seat->next) {
        uint32_t granted = keeps(broker, worker, seat);
        if (granted < seat->granted) {
            set(seat, granted, seat->told);
            lease_tell_share(broker, worker, seat->version);
        }
    }
}

static void forget_starved(void *arg, void *value)
{
    (void)arg;
    struct brake *brake = value;
    brake->starved = false;
}

void share_tick(struct broker *broker)
{
    struct worker *worker = NULL;
    TAILQ_FOREACH(worker, &broker->roster.workers, link)
    {
        if (worker->seats != NULL) {
            cut(broker, worker);
        }
    }
    map_each(broker->brakes.by_name, forget_starved, NULL);
}
