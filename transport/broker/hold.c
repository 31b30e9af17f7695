/* Lists for people, made anew for each question. */
#include "hold.h"

#include "broker.h"
#include "hours.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>

void hold_add(struct hold_list *list, const PB(Hold) *hold)
{
    if (list->count >= HOLD_MOST) {
        return;
    }
    if (list->count == list->room) {
        list->room = list->room > 0 ? list->room * 2 : 16;
        list->items = mem_resize(list->items, list->room, sizeof *list->items);
    }
    PB(Hold) *item = &list->items[list->count++];
    *item = *hold;
    item->name = mem_text(hold->name);
    item->reason = mem_text(hold->reason);
    item->operator_ = mem_text(hold->operator_);
}

PB(Hold) **hold_pointers(struct hold_list *list)
{
    free(list->pointers);
    list->pointers = mem_zero(list->count, sizeof(PB(Hold) *));
    for (size_t i = 0; i < list->count; i++) {
        list->pointers[i] = &list->items[i];
    }
    return list->pointers;
}

void hold_fini(struct hold_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free(list->items[i].reason);
        free(list->items[i].operator_);
    }
    free(list->items);
    free(list->pointers);
    *list = (struct hold_list){0};
}

/* protobuf-c's structs take char *, and only read them. */
static char *lent(const char *text)
{
    return (char *)(uintptr_t)text;
}

struct question {
    struct broker *broker;
    struct hold_list *holds;
    struct flow_list *flows;
    int64_t now_ms;
};

static void add_breakers(struct question *question, const struct brake *brake)
{
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        const struct breaker *breaker = &brake->breakers[kind];
        if (breaker->state == BREAKER_CLOSED) {
            continue;
        }
        PB(Hold) hold = PB_INIT(HOLD);
        hold.kind = brake_kind_hold((enum brake_kind)kind);
        hold.scope = PB_SCOPE(PROFILE);
        hold.name = lent(brake->name);
        hold.reason = lent(breaker->why);
        hold.since_ms = breaker->since_ms;
        hold.until_ms = breaker->state == BREAKER_OPEN ? breaker->until_ms : 0;
        hold.probing = breaker->state == BREAKER_HALF_OPEN;
        hold_add(question->holds, &hold);
    }
}

static void add_limits(struct question *question, struct brake *brake,
                       const struct profile *profile)
{
    struct brake_limit limits[BRAKE_LIMITS];
    char reason[64];
    brake_limits(brake, profile, limits);
    for (size_t i = 0; i < BRAKE_LIMITS && brake->waiting.requests > 0; i++) {
        int64_t until_ms = brake_limit_until_ms(&limits[i], question->now_ms);
        if (until_ms <= question->now_ms) {
            continue;
        }
        (void)snprintf(reason, sizeof reason, "%s is used up", limits[i].name);
        PB(Hold) hold = PB_INIT(HOLD);
        hold.kind = limits[i].hold;
        hold.scope = PB_SCOPE(PROFILE);
        hold.name = lent(brake->name);
        hold.reason = reason;
        hold.since_ms = question->now_ms;
        hold.until_ms = until_ms;
        hold_add(question->holds, &hold);
    }
}

static void add_quiet(struct question *question, const struct brake *brake,
                      const struct profile *profile)
{
    int64_t until_ms = hours_until_ms(&profile->quiet_hours, profile->zone, question->now_ms);
    if (until_ms == 0 || brake->waiting.requests == 0) {
        return;
    }
    PB(Hold) hold = PB_INIT(HOLD);
    hold.kind = PB_HOLD(QUIET);
    hold.scope = PB_SCOPE(PROFILE);
    hold.name = lent(brake->name);
    hold.reason = lent(profile->quiet_urgent ? "" : "urgent mail goes");
    hold.until_ms = until_ms;
    hold_add(question->holds, &hold);
}

static void add_profile(void *arg, const struct profile *profile)
{
    struct question *question = arg;
    struct brake *brake = brakes_of(&question->broker->brakes, profile->wire.name);
    add_breakers(question, brake);
    add_quiet(question, brake, profile);
    add_limits(question, brake, profile);
}

/* Mail of a profile that is not in the file (any more). */
static void add_removed(void *arg, void *value)
{
    struct question *question = arg;
    const struct brake *brake = value;
    if (brake->waiting.requests + brake->held.requests == 0 || brake->name[0] == '\0' ||
        profiles_find(question->broker->profiles, brake->name) != NULL) {
        return;
    }
    PB(Hold) hold = PB_INIT(HOLD);
    hold.kind = PB_HOLD(REMOVED);
    hold.scope = PB_SCOPE(PROFILE);
    hold.name = lent(brake->name);
    hold.reason = lent("no such profile in the file any more");
    hold_add(question->holds, &hold);
}

void hold_collect(struct broker *broker, struct hold_list *list)
{
    struct question question = {
        .broker = broker, .holds = list, .now_ms = broker_now_ms(broker)};
    for (size_t i = 0; i < broker->pauses.list.count; i++) {
        hold_add(list, &broker->pauses.list.items[i]);
    }
    profiles_each(broker->profiles, add_profile, &question);
    map_each(broker->brakes.by_name, add_removed, &question);
}

/* Until when nothing of the profile goes, for pauses or quiet hours; 0 = nobody knows. What holds up a part of its mail only, a
 * pause of a producer or a domain, is not looked at. */
static int64_t flows_from_ms(struct broker *broker, const struct profile *profile,
                             int64_t now_ms)
{
    const PB(Hold) *pause = pause_find(&broker->pauses, profile->wire.name, "", now_ms);
    int64_t quiet_ms = hours_until_ms(&profile->quiet_hours, profile->zone, now_ms);
    int64_t from_ms = quiet_ms > now_ms ? quiet_ms : now_ms;
    if (pause == NULL) {
        return from_ms;
    }
    return pause->until_ms == 0 || pause->until_ms > from_ms ? pause->until_ms : from_ms;
}

static void add_flow(void *arg, const struct profile *profile)
{
    struct question *question = arg;
    struct brake *brake = brakes_of(&question->broker->brakes, profile->wire.name);
    int64_t now_ms = question->now_ms;
    PB(ProfileFlow) init = PB_INIT(PROFILE_FLOW);
    PB(ProfileFlow) *flow = &question->flows->items[question->flows->count];
    *flow = init;
    flow->profile = profile->wire.name;
    flow->waiting = brake->waiting.requests + brake->held.requests;
    flow->held = brake->held.requests;
    flow->waiting_recipients = brake->waiting.recipients;
    flow->waiting_mails =
        backlog_mails(&brake->waiting, profile->plan.max_recipients_per_message);
    flow->connections = brake->connections;
    flow->max_connections = profile->plan.max_connections;
    flow->messages_in_minute = window_sum(&brake->minute, now_ms);
    flow->max_messages_per_minute = profile->plan.max_messages_per_minute;
    flow->recipients_in_day = window_sum(&brake->day, now_ms);
    flow->max_recipients_per_day = profile->plan.max_recipients_per_day;
    flow->settled_in_ten_minutes = window_sum(&brake->settled, now_ms);
    flow->recipients_in_ten_minutes = window_sum(&brake->decided, now_ms);
    int64_t from_ms = flows_from_ms(question->broker, profile, now_ms);
    flow->empty_at_ms = from_ms != 0 ? brake_forecast_ms(brake, profile, from_ms, now_ms) : 0;
    question->flows->pointers[question->flows->count++] = flow;
}

void flow_collect(struct broker *broker, struct flow_list *list)
{
    struct question question = {
        .broker = broker, .flows = list, .now_ms = broker_now_ms(broker)};
    size_t count = profiles_count(broker->profiles);
    list->items = mem_zero(count, sizeof *list->items);
    list->pointers = mem_zero(count, sizeof(PB(ProfileFlow) *));
    profiles_each(broker->profiles, add_flow, &question);
}

void flow_fini(struct flow_list *list)
{
    free(list->items);
    free(list->pointers);
}
