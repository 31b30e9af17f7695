/* Early leases and what is held of them.
 *
 * Design notes: the request's state does not move before its ACCEPT is done; so the store, the index of requests and everybody
 * who looks at them never see an early lease. Only the leases know it (by number, and in its worker's list), which is why the
 * two messages that act on a lease ask early_hold first. What was held is heard through the usual functions when the
 * lease has become a usual one, or has ended. */
#include "early.h"

#include "broker.h"
#include "log.h"
#include "mem.h"
#include "settle.h"

#include <stdlib.h>

struct held {
    ProtobufCMessage *message; /* owned */
    STAILQ_ENTRY(held) link;
};

STAILQ_HEAD(held_list, held);

struct early {
    struct early_desk *desk; /* which counts it */
    struct held_list held;
    size_t held_count;
};

void early_init(struct broker *broker)
{
    TAILQ_INIT(&broker->early.fresh);
}

/* ---- who goes early ---- */

/* FNV-1a, 32 bits: draft-eastlake-fnv. A clash only makes somebody go the usual way. */
static uint32_t mark_text(uint32_t mark, const char *text)
{
    enum { FNV_PRIME = 16777619 };
    for (const char *c = text; *c != '\0'; c++) {
        mark = (mark ^ (uint8_t)*c) * FNV_PRIME;
    }
    return (mark ^ 0xff) * FNV_PRIME; /* no byte of UTF-8: "a","bc" differs from "ab","c" */
}

/* Was this id here before, as far as that is remembered? From now on it was. */
static bool seen_lately(struct early_desk *desk, const struct request *request)
{
    static const uint32_t fnv_begin = 2166136261U;
    uint32_t mark =
        mark_text(mark_text(fnv_begin, request->lane->key.producer), request->id) | 1;
    uint32_t *slot = &desk->recent[(mark >> 1) % EARLY_RECENT];
    bool seen = *slot == mark;
    *slot = mark;
    return seen;
}

void early_note(struct broker *broker, struct request *request)
{
    if (!seen_lately(&broker->early, request)) {
        TAILQ_INSERT_TAIL(&broker->early.fresh, request, link);
    }
}

/* A place where nothing but the lease itself begins with the JOB. */
static bool is_plain(const struct place *place, const struct request *request)
{
    return place->way == PLACE_TO_WORKER && place->profile != NULL &&
           place->profile->plan.route == SETTINGS_SMTP && !place->failover &&
           !place->brake.counted && place->brake.probes == 0 &&
           place->brake.recipients == request->recipients;
}

static void give(struct broker *broker, struct request *request)
{
    struct early_desk *desk = &broker->early;
    struct place place = {.way = PLACE_WAIT};
    if (desk->count < EARLY_MOST && schedule_is_next(&broker->schedule, request->lane)) {
        place = place_find(broker, request);
    }
    if (!is_plain(&place, request) || !lease_give_early(broker, request, &place)) {
        return;
    }
    request->early = mem_zero(1, sizeof *request->early);
    request->early->desk = desk;
    STAILQ_INIT(&request->early->held);
    desk->count++;
}

void early_pump(struct broker *broker)
{
    struct request_list *fresh = &broker->early.fresh;
    const char *why = NULL;
    bool may = !broker->draining && ledger_healthy(broker->ledger, &why);
    struct request *request = NULL;
    while ((request = TAILQ_FIRST(fresh)) != NULL) {
        TAILQ_REMOVE(fresh, request, link);
        if (may) {
            give(broker, request);
        }
    }
}

/* ---- what its worker says ---- */

bool early_hold(struct request *request, const ProtobufCMessage *message)
{
    struct early *early = request->early;
    if (early == NULL) {
        return false;
    }
    /* What is too many is said again by the worker, seconds later. */
    if (early->held_count < EARLY_HELD) {
        struct held *held = mem_zero(1, sizeof *held);
        held->message = wire_body_copy(message);
        STAILQ_INSERT_TAIL(&early->held, held, link);
        early->held_count++;
    }
    return true;
}

static void hear(struct broker *broker, struct worker *worker, ProtobufCMessage *message)
{
    if (message->descriptor == PB_DESCRIPTOR(part)) {
        PB(Part) *parts[] = {(PB(Part) *)message};
        PB(PermitAsk) ask = PB_INIT(PERMIT_ASK);
        ask.parts = parts;
        ask.n_parts = 1;
        lease_ask(broker, worker, &ask);
    } else {
        PB(JobResult) *results[] = {(PB(JobResult) *)message};
        PB(Result) result = PB_INIT(RESULT);
        result.results = results;
        result.n_results = 1;
        settle_result(broker, worker, &result);
    }
}

static void free_held(struct held_list *list, struct held *held)
{
    STAILQ_REMOVE_HEAD(list, link);
    protobuf_c_message_free_unpacked(held->message, NULL);
    free(held);
}

/* It is no early lease any more; what was held is the caller's. */
static struct held_list end_early(struct request *request)
{
    struct held_list held = STAILQ_HEAD_INITIALIZER(held);
    STAILQ_CONCAT(&held, &request->early->held);
    request->early->desk->count--;
    free(request->early);
    request->early = NULL;
    return held;
}

static void hear_all(struct broker *broker, struct worker *worker, struct held_list *list)
{
    struct held *held = NULL;
    while ((held = STAILQ_FIRST(list)) != NULL) {
        hear(broker, worker, held->message);
        free_held(list, held);
    }
}

/* ---- how it ends ---- */

bool early_accepted(struct broker *broker, struct request *request)
{
    if (request->early == NULL) {
        return false;
    }
    struct worker *worker = request->worker;
    struct held_list held = end_early(request);
    request_index_add(&broker->in_memory, request);
    lease_record(broker, request);
    hear_all(broker, worker, &held); /* the request may be gone behind it */
    return true;
}

void early_end(struct broker *broker, struct request *request)
{
    if (request->early == NULL) {
        return;
    }
    struct worker *worker = request->worker;
    log_debug("early", "request=%s lease=%llu result=ended", request->id,
              (unsigned long long)request->lease);
    struct held_list held = end_early(request);
    lease_end(broker, request);
    hear_all(broker, worker, &held);
}

void early_drop(struct request *request)
{
    struct held_list list = end_early(request);
    struct held *held = NULL;
    while ((held = STAILQ_FIRST(&list)) != NULL) {
        free_held(&list, held);
    }
    request->worker = NULL;
}
