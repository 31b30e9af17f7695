/* Places. The questions are asked in a fixed order: is it too late, is it held, is there a worker; the limits last, so that
 * nothing is counted for a job that cannot leave. */
#include "place.h"

#include "broker.h"
#include "hours.h"
#include "mem.h"
#include "poison.h"
#include "share.h"

/* What only the request itself tells, read once: how it is split, and route and folder of inline settings. */
static void read_content(struct request *request)
{
    request->route = SETTINGS_ROUTE_COUNT;
    request->split = (int)PB_SPLIT(ONE_FOR_ALL);
    PB(NotificationRequest) *parsed = PB_UNPACK(
        notification_request, wire_blob_len(request->body), wire_blob_data(request->body));
    struct settings_plan plan;
    const char *field = NULL;
    if (parsed == NULL) {
        return;
    }
    request->split = (int)parsed->split;
    if (parsed->settings != NULL &&
        settings_plan(parsed->settings, &plan, &field, NULL) == ERR_OK) {
        request->route = (int)plan.route;
        request->folder = mem_text(plan.folder);
    }
    trackpro__notify__v1__notification_request__free_unpacked(parsed, NULL);
}

struct wants {
    const struct broker *broker;
    const struct brake *brake;     /* of the profile, or of all inline settings */
    const struct profile *profile; /* null = settings of the request */
    bool alone;                    /* a suspect wants a worker without another one */
};

static bool fits(void *arg, const struct worker *worker)
{
    const struct wants *wants = arg;
    if ((wants->alone && worker->suspects > 0) || !share_leaves_room(worker, wants->brake)) {
        return false;
    }
    return wants->profile == NULL || share_fits(wants->broker, worker, wants->profile);
}

/* What was made due again after its end (operate.c) is tried once: a retry is never set later than the end. */
bool place_too_late(const struct request *request, int64_t now_ms)
{
    return !request->look_only && request->expire_at_ms != 0 &&
           request->visible_at_ms <= request->expire_at_ms && now_ms >= request->expire_at_ms;
}

static uint32_t per_mail(struct request *request, const struct settings_plan *plan)
{
    /* A content is read only where it matters: most profiles have no such limit. */
    if (plan->max_messages_per_minute != 0 || plan->max_recipients_per_day != 0) {
        if (request->split < 0) {
            read_content(request);
        }
        if (request->split == (int)PB_SPLIT(ONE_EACH)) {
            return 1;
        }
    }
    return plan->max_recipients_per_message;
}

/* May it leave with this profile, as far as that one's brakes go? */
static bool brakes_let_go(struct broker *broker, struct request *request,
                          const struct profile *profile, struct place *place)
{
    struct brake_load load = {.recipients = request_open_count(request),
                              .per_mail = per_mail(request, &profile->plan)};
    load.mails = brake_mails(load.recipients, load.per_mail);
    place->profile = profile;
    place->per_mail = load.per_mail;
    place->brake = brake_ask(brakes_of(&broker->brakes, profile->wire.name), profile, &load,
                             broker_now_ms(broker));
    if (place->brake.hold != PB_HOLD(UNSPECIFIED) && place->brake.until_ms != 0) {
        schedule_wake(&broker->schedule, place->brake.until_ms);
    }
    return place->brake.hold == PB_HOLD(UNSPECIFIED);
}

/* Another profile may take it while login, server or quota of its own fail; never what an earlier attempt may have
 * delivered. */
static bool may_fail_over(const struct request *request, int hold)
{
    bool marked = false;
    if (hold != PB_HOLD(LOGIN) && hold != PB_HOLD(SERVER) && hold != PB_HOLD(QUOTA)) {
        return false;
    }
    if (request->touched) {
        PB(RequestStatus) *list = request_results(request);
        for (size_t i = 0; i < list->n_recipients; i++) {
            marked = marked || request_is_marked(list->recipients[i]) ||
                     list->recipients[i]->outcome == PB_OUTCOME(UNKNOWN);
        }
        trackpro__notify__v1__request_status__free_unpacked(list, NULL);
    }
    return !marked;
}

/* The first of its failover profiles that may take it now; false = none. */
static bool fail_over(struct broker *broker, struct request *request, const struct profile *own,
                      struct place *place)
{
    if (own->failover.count == 0 || !may_fail_over(request, place->brake.hold)) {
        return false;
    }
    for (size_t i = 0; i < own->failover.count; i++) {
        const struct profile *other = profiles_find(broker->profiles, own->failover.items[i]);
        if (other == NULL || !brakes_let_go(broker, request, other, place)) {
            continue;
        }
        struct wants wants = {.broker = broker,
                              .brake = brakes_of(&broker->brakes, other->wire.name),
                              .profile = other,
                              .alone = poison_suspect(request)};
        const struct roster_wish wish = {.route = other->plan.route,
                                         .folder = other->plan.folder,
                                         .edited = request->edit_len > 0,
                                         .fits = fits,
                                         .arg = &wants};
        place->worker = roster_pick(&broker->roster, &wish);
        if (place->worker != NULL) {
            place->failover = true;
            return true;
        }
    }
    return false;
}

static bool is_paused(struct broker *broker, const struct request *request, int64_t now_ms)
{
    const struct store_lane *key = &request->lane->key;
    const PB(Hold) *pause = pause_find(&broker->pauses, key->profile, key->producer, now_ms);
    if (pause != NULL && pause->until_ms != 0) {
        schedule_wake(&broker->schedule, pause->until_ms);
    }
    return pause != NULL;
}

int64_t place_quiet_until_ms(const struct profile *profile, int priority, int64_t now_ms)
{
    if (priority == (int)PB_PRIORITY(URGENT) && !profile->quiet_urgent) {
        return 0;
    }
    return hours_until_ms(&profile->quiet_hours, profile->zone, now_ms);
}

static bool is_quiet(struct broker *broker, const struct request *request,
                     const struct profile *profile, int64_t now_ms)
{
    int64_t until_ms = place_quiet_until_ms(profile, request->lane->key.priority, now_ms);
    if (until_ms != 0) {
        schedule_wake(&broker->schedule, until_ms);
    }
    return until_ms != 0;
}

struct place place_find(struct broker *broker, struct request *request)
{
    struct place place = {.way = PLACE_WAIT};
    struct wants wants = {
        .broker = broker, .brake = request->lane->brake, .alone = poison_suspect(request)};
    struct roster_wish wish = {.route = SETTINGS_ROUTE_COUNT,
                               .folder = "",
                               .edited = request->edit_len > 0,
                               .fits = fits,
                               .arg = &wants};
    int64_t now_ms = broker_now_ms(broker);
    bool named = request->lane->key.profile[0] != '\0';
    if (place_too_late(request, now_ms)) {
        place.way = PLACE_TOO_LATE;
        return place;
    }
    if (!request->look_only && is_paused(broker, request, now_ms)) {
        return place;
    }
    if (named) {
        place.profile = profiles_find(broker->profiles, request->lane->key.profile);
        if (place.profile == NULL) {
            return place; /* taken out of the file: its mail waits for it to come back */
        }
        if (!request->look_only && is_quiet(broker, request, place.profile, now_ms)) {
            return place;
        }
        wants.profile = place.profile;
        wish.route = place.profile->plan.route;
        wish.folder = place.profile->plan.folder;
    } else {
        if (request->route < 0) {
            read_content(request);
        }
        wish.route = (enum settings_route)request->route;
        wish.folder = request->folder != NULL ? request->folder : "";
    }
    if (request->look_only && wish.route != SETTINGS_PICKUP) {
        place.way = PLACE_NO_LOOKING;
        return place;
    }
    place.worker = roster_pick(&broker->roster, &wish);
    if (place.worker == NULL) {
        return place;
    }
    if (!request->look_only && pause_find_domain(&broker->pauses, request, now_ms) != NULL) {
        place.way = PLACE_ASIDE;
        return place;
    }
    if (named && !request->look_only) {
        const struct profile *own = place.profile;
        if (!brakes_let_go(broker, request, own, &place) &&
            !fail_over(broker, request, own, &place)) {
            return place;
        }
    }
    place.way = PLACE_TO_WORKER;
    return place;
}
