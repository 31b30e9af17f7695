/* Pauses. The whole list is one kept value of the store: it is short, and a change of it is one write. */
#include "pause.h"

#include "audit.h"
#include "broker.h"
#include "gate.h"
#include "keep.h"
#include "log.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool in_force(const PB(Hold) *pause, int64_t now_ms)
{
    return pause->until_ms == 0 || pause->until_ms > now_ms;
}

const PB(Hold) *pause_find(const struct pauses *pauses, const char *profile,
                           const char *producer, int64_t now_ms)
{
    for (size_t i = 0; i < pauses->list.count; i++) {
        const PB(Hold) *pause = &pauses->list.items[i];
        int scope = (int)pause->scope;
        bool hit = scope == PB_SCOPE(ALL) ||
                   (scope == PB_SCOPE(PROFILE) && strcmp(pause->name, profile) == 0) ||
                   (scope == PB_SCOPE(PRODUCER) && strcmp(pause->name, producer) == 0);
        if (hit && in_force(pause, now_ms)) {
            return pause;
        }
    }
    return NULL;
}

static const PB(Hold) *find_address(const struct pauses *pauses, const char *address,
                                    int64_t now_ms)
{
    const char *at = strrchr(address, '@');
    for (size_t i = 0; i < pauses->list.count && at != NULL; i++) {
        const PB(Hold) *pause = &pauses->list.items[i];
        if ((int)pause->scope == PB_SCOPE(DOMAIN) && strcasecmp(pause->name, at + 1) == 0 &&
            in_force(pause, now_ms)) {
            return pause;
        }
    }
    return NULL;
}

const PB(Hold) *pause_find_recipient(const struct pauses *pauses, const PB(RequestStatus) *list,
                                     int64_t now_ms)
{
    const PB(Hold) *pause = NULL;
    for (size_t i = 0; i < list->n_recipients && pause == NULL; i++) {
        if (request_outcome_open((int)list->recipients[i]->outcome)) {
            pause = find_address(pauses, list->recipients[i]->address, now_ms);
        }
    }
    return pause;
}

const PB(Hold) *pause_find_domain(const struct pauses *pauses, const struct request *request,
                                  int64_t now_ms)
{
    if (pauses->domains == 0) {
        return NULL; /* the list need not be unpacked */
    }
    PB(RequestStatus) *list = request_results(request);
    const PB(Hold) *pause = pause_find_recipient(pauses, list, now_ms);
    trackpro__notify__v1__request_status__free_unpacked(list, NULL);
    return pause;
}

void pause_fini(struct pauses *pauses)
{
    hold_fini(&pauses->list);
    pauses->domains = 0;
}

static void add(struct pauses *pauses, const PB(Hold) *pause)
{
    hold_add(&pauses->list, pause);
    pauses->domains += (int)pause->scope == PB_SCOPE(DOMAIN) ? 1 : 0;
}

/* The new list takes the old one's place; what stood aside because of it is looked at again. */
static void put_in_force(struct broker *broker, struct pauses *next)
{
    pause_fini(&broker->pauses);
    bool saving = broker->pauses.saving;
    broker->pauses = *next;
    broker->pauses.saving = saving;
    *next = (struct pauses){.domains = 0};
    schedule_recall(&broker->schedule);
    loop_again(broker->loop);
}

bool pause_load(struct broker *broker, const uint8_t *data, size_t len)
{
    struct pauses next = {.domains = 0};
    PB(Paused) *kept = PB_UNPACK(paused, len, data);
    if (kept == NULL) {
        return false;
    }
    for (size_t i = 0; i < kept->n_holds && i < PAUSE_MOST; i++) {
        add(&next, kept->holds[i]);
    }
    trackpro__notify__v1__paused__free_unpacked(kept, NULL);
    put_in_force(broker, &next);
    return true;
}

/* ---- the act ---- */

static bool same(const PB(Hold) *pause, const PB(Pause) *wish)
{
    return pause->scope == wish->scope && strcasecmp(pause->name, wish->name) == 0;
}

/* The list as the wish makes it. True when it differs. */
static bool change(const struct pauses *now, const PB(Pause) *wish, int64_t now_ms,
                   struct pauses *next)
{
    bool changed = !wish->resume;
    for (size_t i = 0; i < now->list.count; i++) {
        if (same(&now->list.items[i], wish)) {
            changed = true;
        } else if (in_force(&now->list.items[i], now_ms)) {
            add(next, &now->list.items[i]);
        }
    }
    if (!wish->resume) {
        PB(Hold) pause = PB_INIT(HOLD);
        pause.kind = PB_HOLD(PAUSE);
        pause.scope = wish->scope;
        pause.name = wish->name;
        pause.reason = wish->reason;
        pause.operator_ = wish->operator_;
        pause.since_ms = now_ms;
        pause.until_ms = wish->until_ms;
        add(next, &pause);
    }
    return changed;
}

struct pausing {
    struct broker *broker;
    struct bus *bus;
    struct wire_peer peer;
    struct pauses next;
    bool changed;
};

static void send_paused(const struct broker *broker, struct bus *bus,
                        const struct wire_peer *peer, bool changed)
{
    PB(Paused) reply = PB_INIT(PAUSED);
    struct hold_list copy = {.count = 0};
    for (size_t i = 0; i < broker->pauses.list.count; i++) {
        hold_add(&copy, &broker->pauses.list.items[i]);
    }
    reply.holds = hold_pointers(&copy);
    reply.n_holds = copy.count;
    reply.changed = changed;
    enum err err = bus_send(bus, peer, WIRE_PAUSED, &reply.base, NULL);
    (void)err; /* who asks and is gone gets no answer */
    hold_fini(&copy);
}

static void send_fault(struct bus *bus, const struct wire_peer *peer, const char *field,
                       const char *rule)
{
    struct wire_in in = {.peer = *peer, .verb = WIRE_PAUSE};
    (void)snprintf(in.fault.field, sizeof in.fault.field, "%s", field);
    (void)snprintf(in.fault.rule, sizeof in.fault.rule, "%s", rule);
    gate_send_error(bus, &in);
}

static void saved(void *arg, struct ledger_op *op)
{
    struct pausing *pausing = arg;
    struct broker *broker = pausing->broker;
    broker->pauses.saving = false;
    if (op->store.result == STORE_DONE) {
        put_in_force(broker, &pausing->next);
        send_paused(broker, pausing->bus, &pausing->peer, pausing->changed);
    } else {
        send_fault(pausing->bus, &pausing->peer, "",
                   "the store cannot be written now; try again");
    }
    pause_fini(&pausing->next);
    free(pausing);
}

static const char *fault_of(const struct broker *broker, const PB(Pause) *wish, int64_t now_ms,
                            const char **field)
{
    bool all = (int)wish->scope == PB_SCOPE(ALL);
    *field = "name";
    if (all != (wish->name[0] == '\0')) {
        return all ? "must be empty: all mail is meant" : "required";
    }
    if ((int)wish->scope == PB_SCOPE(PROFILE) && !wish->resume &&
        profiles_find(broker->profiles, wish->name) == NULL) {
        return "no such profile";
    }
    *field = "until_ms";
    if (wish->until_ms != 0 && wish->until_ms <= now_ms) {
        return "lies in the past";
    }
    *field = "";
    if (!wish->resume && broker->pauses.list.count >= PAUSE_MOST) {
        return "100 pauses are in force: resume some of them first";
    }
    return broker->pauses.saving ? "another change is on its way to the disk; try again" : NULL;
}

static void record(struct broker *broker, const PB(Pause) *wish, enum audit_outcome outcome,
                   const char *why)
{
    static const char *const words[] = {[PB_SCOPE(UNSPECIFIED)] = "",
                                        [PB_SCOPE(ALL)] = "all mail",
                                        [PB_SCOPE(PROFILE)] = "profile ",
                                        [PB_SCOPE(PRODUCER)] = "producer ",
                                        [PB_SCOPE(DOMAIN)] = "domain "};
    char *target = mem_format("%s%s", words[wish->scope], wish->name);
    audit_record(broker, wish->operator_, wish->resume ? "resume" : "pause", target, outcome,
                 why);
    free(target);
}

void pause_act(struct broker *broker, struct bus *bus, const struct wire_in *in)
{
    const PB(Pause) *wish = (const PB(Pause) *)in->body;
    int64_t now_ms = broker_now_ms(broker);
    const char *field = "";
    const char *fault = fault_of(broker, wish, now_ms, &field);
    if (fault != NULL) {
        record(broker, wish, AUDIT_REFUSED, fault);
        send_fault(bus, &in->peer, field, fault);
        return;
    }
    struct pausing *pausing = mem_zero(1, sizeof *pausing);
    pausing->broker = broker;
    pausing->bus = bus;
    pausing->peer = in->peer;
    pausing->changed = change(&broker->pauses, wish, now_ms, &pausing->next);
    if (wish->resume && (int)wish->scope == PB_SCOPE(PROFILE) &&
        brake_release(brakes_of(&broker->brakes, wish->name))) {
        pausing->changed = true;
    }
    record(broker, wish, AUDIT_DONE, wish->reason);
    PB(Paused) kept = PB_INIT(PAUSED);
    kept.holds = hold_pointers(&pausing->next.list);
    kept.n_holds = pausing->next.list.count;
    broker->pauses.saving = true;
    keep_value(broker, KEEP_PAUSES, &kept.base, saved, pausing);
}

void pause_tick(struct broker *broker)
{
    int64_t now_ms = broker_now_ms(broker);
    bool ended = false;
    for (size_t i = 0; i < broker->pauses.list.count; i++) {
        ended = ended || !in_force(&broker->pauses.list.items[i], now_ms);
    }
    if (!ended || broker->pauses.saving) {
        return;
    }
    struct pauses next = {.domains = 0}; /* the store forgets them with the next change */
    for (size_t i = 0; i < broker->pauses.list.count; i++) {
        const PB(Hold) *pause = &broker->pauses.list.items[i];
        if (in_force(pause, now_ms)) {
            add(&next, pause);
        } else {
            log_info("pause", "scope=%d name=%s result=ended", (int)pause->scope, pause->name);
        }
    }
    put_in_force(broker, &next);
}
