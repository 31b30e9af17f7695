/* Leases and permits.
 *
 * Design notes: a LEASED request is not waited for on disk before its JOB leaves; if broker and worker both die, it was
 * not permitted, so nothing was sent. A permit is told only after its commit: from there on the mail may have been sent, and
 * the disk says so. A request under settlement stays in the table until its commit, so a repeated RESULT finds it. */
#include "lease.h"

#include "broker.h"
#include "clock.h"
#include "early.h"
#include "log.h"
#include "mem.h"
#include "parcel.h"
#include "poison.h"
#include "settle.h"
#include "share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lease_init(struct broker *broker)
{
    struct leases *leases = &broker->leases;
    *leases = (struct leases){.next = ledger_epoch(broker->ledger) << STORE_SEQUENCE_BITS};
    TAILQ_INIT(&leases->orphans);
}

static void free_request(void *arg, void *value)
{
    (void)arg;
    struct request *request = value;
    if (request->early != NULL) {
        early_drop(request); /* the op of its accept owns it */
        return;
    }
    request_free(&request);
}

void lease_fini(struct broker *broker)
{
    map_each(broker->leases.by_lease, free_request, NULL);
    map_clear(&broker->leases.by_lease);
    TAILQ_INIT(&broker->leases.orphans);
}

struct request *lease_find(const struct broker *broker, uint64_t lease)
{
    return map_get_u64(broker->leases.by_lease, lease);
}

/* ---- who holds what ---- */

/* Whose share of a worker's jobs it takes: the same from its begin to its end (lease_end). */
static const struct brake *payer(const struct request *request)
{
    return request->brake != NULL ? request->brake : request->lane->brake;
}

void lease_hold(struct request *request, struct worker *worker)
{
    share_take_job(worker, payer(request));
    TAILQ_INSERT_TAIL(&worker->leased, request, link);
    worker->leased_count++;
    worker->suspects += poison_suspect(request) ? 1 : 0;
    request->suspected = poison_suspect(request);
    request->worker = worker;
}

static void let_go(struct request *request)
{
    struct worker *worker = request->worker;
    if (worker == NULL) {
        return;
    }
    share_end_job(worker, payer(request));
    TAILQ_REMOVE(&worker->leased, request, link);
    worker->leased_count--;
    worker->suspects -= request->suspected ? 1 : 0;
    request->worker = NULL;
}

/* ---- giving ---- */

static enum err send_profile(struct broker *broker, PB(Profile) *wire, struct worker *worker)
{
    PB(Share) share = PB_INIT(SHARE);
    share.connections = share_of(worker, wire->version);
    wire->share = &share;
    enum err err = bus_send(broker->work, &worker->peer, WIRE_PROFILE, &wire->base, NULL);
    wire->share = NULL;
    return err;
}

enum err lease_give_profile(struct broker *broker, const struct profile *profile,
                            struct worker *worker)
{
    bool more = share_grant(broker, worker, profile);
    if (!more && map_get_u64(worker->profiles, profile->wire.version) != NULL) {
        return ERR_OK;
    }
    PB(Profile) wire = profile->wire;
    enum err err = send_profile(broker, &wire, worker);
    if (err == ERR_OK) {
        (void)map_put_u64(&worker->profiles, profile->wire.version, worker);
    }
    return err;
}

void lease_tell_share(struct broker *broker, struct worker *worker, uint64_t version)
{
    const struct profile *profile = profiles_version(broker->profiles, version);
    PB(Profile) wire = PB_INIT(PROFILE);
    PB(MailingSettings) none = PB_INIT(MAILING_SETTINGS);
    wire.name =
        (char
             *)(uintptr_t) "-"; /* of older settings: the worker has them, and looks at the share only */
    wire.version = version;
    wire.settings = &none;
    if (profile != NULL) {
        wire = profile->wire;
    }
    if (send_profile(broker, &wire, worker) != ERR_OK) {
        log_debug("send", "verb=PROFILE worker=%s result=dropped", worker->name);
    }
}

static void return_to_lane(struct broker *broker, struct request *request, const char *reason)
{
    struct request_change change = {.to = STATE_ACCEPTED, .reason = reason};
    request_move(request, broker->ledger, broker_now_ms(broker), &change);
    lease_end(broker, request);
    schedule_returned(&broker->schedule, request);
}

/* The lease counts against the limits of its profile. */
static void count_given(struct broker *broker, struct request *request,
                        const struct place *place)
{
    request->brake = place->profile != NULL
                         ? brakes_of(&broker->brakes, place->profile->wire.name)
                         : request->lane->brake;
    request->given = 0;
    request->portion = false;
    request->permitted = false;
    if (place->profile == NULL || request->look_only) {
        return;
    }
    request->given = place->brake.recipients;
    request->given_mails = brake_mails(request->given, place->per_mail);
    request->given_ms = broker_now_ms(broker);
    request->portion = request->given < request_open_count(request);
    brake_left(request->brake, &place->brake, request->lease, place->per_mail,
               request->given_ms);
}

/* A new lease in memory, held by the place's worker. */
static void begin(struct broker *broker, struct request *request, const struct place *place)
{
    struct worker *worker = place->worker;
    request->lease = ++broker->leases.next;
    request->lease_deadline_ms = clock_mono_ms() + (int64_t)broker->conf->lease_ms;
    request->attempt_counted = false;
    request->last_part_seen = false;
    (void)snprintf(request->worker_name, sizeof request->worker_name, "%s", worker->name);
    (void)map_put_u64(&broker->leases.by_lease, request->lease, request);
    count_given(broker, request, place);
    lease_hold(request, worker);
    worker->credit--;
}

static void unreachable(struct worker *worker)
{
    worker->gone = true;
    worker->leaving = true;
}

/* The job could not be sent. */
static void not_reached(struct broker *broker, struct worker *worker, struct request *request)
{
    unreachable(worker);
    if (request->state == STATE_LEASED) { /* the worker never saw it */
        return_to_lane(broker, request, "its worker could not be reached");
        loop_again(broker->loop);
    }
}

static void send_parcel(struct broker *broker, struct worker *worker)
{
    struct parcel *parcel = &worker->parcel;
    enum err err = parcel_send(broker, worker);
    parcel->bytes = 0;
    while (parcel->count > 0) { /* the last first: each goes back to the head of its lane */
        struct request *request = parcel->requests[--parcel->count];
        if (err != ERR_OK) {
            not_reached(broker, worker, request);
        } else {
            wire_blob_free(&request->body); /* the store has it, should it be needed again */
        }
    }
}

/* The settings of the place are with its worker, or on their way. */
static enum err hand_profile(struct broker *broker, struct request *request,
                             const struct place *place)
{
    request->profile_version = place->profile != NULL ? place->profile->wire.version : 0;
    return place->profile != NULL ? lease_give_profile(broker, place->profile, place->worker)
                                  : ERR_OK;
}

void lease_give(struct broker *broker, struct request *request, const struct place *place)
{
    struct worker *worker = place->worker;
    begin(broker, request, place);
    struct request_change change = {
        .to = request->look_only ? STATE_PERMITTED : STATE_LEASED,
        .reason = request->look_only ? "looking for an earlier attempt" : NULL,
    };
    char *by = NULL;
    if (place->failover) {
        by = mem_format("by its failover profile %s", place->profile->wire.name);
        change.reason = by;
    }
    request_move(request, broker->ledger, broker_now_ms(broker), &change);
    free(by);
    if (hand_profile(broker, request, place) != ERR_OK) {
        not_reached(broker, worker, request);
        return;
    }
    if (!parcel_takes(worker, request)) {
        send_parcel(broker, worker);
    }
    parcel_put(worker, request);
}

void lease_send(struct broker *broker)
{
    struct worker *worker = NULL;
    TAILQ_FOREACH(worker, &broker->roster.workers, link)
    {
        if (worker->parcel.count > 0) {
            send_parcel(broker, worker);
        }
    }
}

bool lease_give_early(struct broker *broker, struct request *request, const struct place *place)
{
    begin(broker, request, place);
    enum err err = hand_profile(broker, request, place);
    if (err == ERR_OK) { /* alone: whoever goes early must not wait for others */
        err = parcel_send_one(broker, place->worker, request);
    }
    if (err != ERR_OK) {
        unreachable(place->worker);
        lease_end(broker, request);
        return false;
    }
    return true;
}

void lease_record(struct broker *broker, struct request *request)
{
    struct request_change change = {.to = STATE_LEASED};
    request_move(request, broker->ledger, broker_now_ms(broker), &change);
    wire_blob_free(&request->body); /* as in lease_give */
}

void lease_end(struct broker *broker, struct request *request)
{
    (void)map_take_u64(&broker->leases.by_lease, request->lease);
    if (request->brake == NULL) { /* of an earlier start */
        request->brake = request->lane->brake;
    }
    brake_over(request->brake, request->lease, request->given_ms,
               request->permitted ? 0 : request->given, request->given_mails);
    request->given = 0;
    if (request->worker != NULL) {
        let_go(request);
    } else if (!request->settling) {
        TAILQ_REMOVE(&broker->leases.orphans, request, link);
    }
}

/* ---- not known ---- */

void lease_unknown(struct broker *broker, struct request *request)
{
    request->look_only = false;
    request->settling = true; /* stands in no list */
    settle_undecided(broker, request, PB_OUTCOME(UNKNOWN),
                     "the worker was lost after its permit: it may have been sent");
}

/* ---- permits ---- */

static void granted(void *arg, struct ledger_op *op)
{
    (void)arg;
    struct request *request = op->arg2;
    if (request->worker != NULL && request->lease == op->store.move.lease &&
        op->store.result == STORE_DONE) {
        part_list_add(&request->worker->granted, request->lease, (uint32_t)op->number);
    }
}

/* Mark which recipients of a split request may now be sent; the others of the lease were not permitted. */
static void permit_part(struct broker *broker, struct request *request, const PB(Part) *part,
                        struct request_change *change)
{
    PB(RequestStatus) *list = request_results(request);
    for (size_t i = 0; i < part->n_recipients; i++) {
        if (part->recipients[i] < request->recipients) {
            PB(RecipientResult) *one = list->recipients[part->recipients[i]];
            /* The job may be given back, or deferred: a mark must not be lost on the way. */
            one->failure_class = request_is_marked(one) ? PB_CLASS(UNCERTAIN) : PB_CLASS(NONE);
            one->outcome = PB_OUTCOME(PERMITTED);
        }
    }
    change->results = list->recipients;
    request_move(request, broker->ledger, broker_now_ms(broker), change);
    trackpro__notify__v1__request_status__free_unpacked(list, NULL);
}

/* All of the job, which is not all of the request. */
static void permit_portion(struct broker *broker, struct request *request,
                           struct request_change *change)
{
    PB(Part) part = PB_INIT(PART);
    bool duplicate = false;
    part.n_recipients = parcel_recipients(request, &part.recipients, &duplicate);
    permit_part(broker, request, &part, change);
    free(part.recipients);
}

static void ask_one(struct broker *broker, struct worker *worker, const PB(Part) *part)
{
    struct request *request = lease_find(broker, part->lease);
    if (request != NULL && request->worker == worker && early_hold(request, &part->base)) {
        return;
    }
    bool good = request != NULL && request->worker == worker && !request->settling &&
                !request->look_only &&
                (request->state == STATE_LEASED || request->state == STATE_PERMITTED);
    if (!good) {
        part_list_add(&worker->denied, part->lease, part->part);
        return;
    }
    if (!request->attempt_counted) {
        request->attempt++;
        request->attempt_counted = true;
    }
#ifdef TPN_MUTANT_PERMIT_FIRST
    /* Wrong on purpose: tests/fault builds it so, and the checker must notice. Nothing is on disk. */
    part_list_add(&worker->granted, part->lease, part->part);
    return;
#endif
    struct request_change change = {
        .to = STATE_PERMITTED, .done = granted, .arg = broker, .number = part->part};
    request->permitted = true;
    if (part->n_recipients > 0) {
        permit_part(broker, request, part, &change);
    } else if (request->portion) {
        permit_portion(broker, request, &change);
    } else {
        request_move(request, broker->ledger, broker_now_ms(broker), &change);
    }
}

void lease_ask(struct broker *broker, struct worker *worker, const PB(PermitAsk) *ask)
{
    for (size_t i = 0; i < ask->n_parts; i++) {
        ask_one(broker, worker, ask->parts[i]);
    }
}

void lease_extend(struct broker *broker, struct worker *worker, const uint64_t leases[],
                  size_t count)
{
    int64_t deadline_ms = clock_mono_ms() + (int64_t)broker->conf->lease_ms;
    for (size_t i = 0; i < count; i++) {
        struct request *request = lease_find(broker, leases[i]);
        if (request == NULL || request->settling ||
            (request->worker != NULL && request->worker != worker)) {
            continue;
        }
        if (request->worker == NULL) { /* an orphan whose worker came back */
            TAILQ_REMOVE(&broker->leases.orphans, request, link);
            lease_hold(request, worker);
        }
        request->lease_deadline_ms = deadline_ms;
    }
}

/* ---- losses ---- */

static void orphan(struct broker *broker, struct request *request)
{
    if (request->worker != NULL) {
        let_go(request);
    }
    request->lease_deadline_ms = clock_mono_ms() + broker->conf->permit_grace_ms;
    TAILQ_INSERT_TAIL(&broker->leases.orphans, request, link);
}

enum loss { LOSS_DEATH, LOSS_OTHER }; /* does it speak against the request? */

/* One of a worker's leases. */
static void lose(struct broker *broker, struct worker *worker, struct request *request,
                 enum loss loss, const char *reason)
{
    if (request->settling) { /* its result is known; only nobody hears the acknowledgement */
        let_go(request);
        return;
    }
    if (request->early != NULL) { /* too soon to speak against the request: it has no pk */
        early_end(broker, request);
        return;
    }
    if (loss == LOSS_DEATH) {
        poison_loss(request, worker);
    }
    if (request->state != STATE_LEASED) {
        orphan(broker, request);
    } else if (poison_proven(request)) {
        poison_aside(broker, request);
    } else {
        return_to_lane(broker, request, reason);
    }
}

void lease_lost_worker(struct broker *broker, struct worker *worker, const char *reason)
{
    bool left = worker->leased_count == 0 && worker->said_bye;
    log_write(left ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "worker",
              "name=%s result=%s reason=\"%s\" leases=%u", worker->name, left ? "left" : "lost",
              reason, worker->leased_count);
    struct request *request = NULL;
    while ((request = TAILQ_FIRST(&worker->leased)) != NULL) {
        lose(broker, worker, request, worker->said_bye ? LOSS_OTHER : LOSS_DEATH, reason);
    }
    roster_remove(&broker->roster, &worker);
}

void lease_probe(struct broker *broker, struct worker *worker)
{
    PB(Beat) beat = PB_INIT(BEAT);
    if (bus_send(broker->work, &worker->peer, WIRE_BEAT, &beat.base, NULL) == ERR_NOT_FOUND) {
        lease_lost_worker(broker, worker, "its connection is closed");
    }
}

void lease_bury(struct broker *broker)
{
    struct worker *next = NULL;
    for (struct worker *worker = TAILQ_FIRST(&broker->roster.workers); worker != NULL;
         worker = next) {
        next = TAILQ_NEXT(worker, link);
        if (worker->gone) {
            lease_lost_worker(broker, worker, "could not be reached");
        }
    }
}

/* The grace is over. A folder can be looked into; nothing else can. */
static void resolve(struct broker *broker, struct request *request)
{
    lease_end(broker, request);
    if (poison_proven(request)) {
        lease_unknown(broker, request); /* looking after it has killed workers, too */
        return;
    }
    request->earlier_lease = request->lease;
    request->look_only = true;
    log_warn("lease", "request=%s lease=%llu result=unresolved", request->id,
             (unsigned long long)request->lease);
    schedule_returned(&broker->schedule, request);
}

static void check_deadlines(struct broker *broker, struct worker *worker, int64_t now_ms)
{
    struct request *next = NULL;
    for (struct request *request = TAILQ_FIRST(&worker->leased); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, link);
        if (!request->settling && request->lease_deadline_ms <= now_ms) {
            lose(broker, worker, request, LOSS_OTHER, "the lease ran out");
        }
    }
}

void lease_tick(struct broker *broker)
{
    int64_t now_ms = clock_mono_ms();
    struct worker *worker = NULL;
    TAILQ_FOREACH(worker, &broker->roster.workers, link)
    {
        check_deadlines(broker, worker, now_ms);
    }
    struct request *next = NULL;
    for (struct request *request = TAILQ_FIRST(&broker->leases.orphans); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, link);
        if (request->lease_deadline_ms <= now_ms) {
            resolve(broker, request);
        }
    }
}

/* ---- after a start ---- */

static void recover_one(struct broker *broker, struct store_row *row)
{
    struct store_lane key = {.priority = row->priority};
    memcpy(key.profile, row->profile, sizeof key.profile);
    memcpy(key.producer, row->producer, sizeof key.producer);
    struct request *request = request_of_row(row, schedule_lane(&broker->schedule, &key));
    if (request->state == STATE_LEASED) {
        struct request_change change = {.to = STATE_ACCEPTED,
                                        .reason = "the broker started again"};
        request_move(request, broker->ledger, broker_now_ms(broker), &change);
        request_free(&request); /* read again with its lane */
        return;
    }
    request->attempt_counted = true;
    request_index_add(&broker->in_memory, request);
    (void)map_put_u64(&broker->leases.by_lease, request->lease, request);
    orphan(broker, request);
}

static void live_came(void *arg, struct ledger_op *op)
{
    struct broker *broker = arg;
    for (size_t i = 0; i < op->store.live.count; i++) {
        recover_one(broker, &op->store.live.rows[i]);
    }
    if (op->store.live.count > 0) {
        log_info("recover", "under-way=%zu", op->store.live.count);
    }
    schedule_read_lanes(&broker->schedule);
}

void lease_recover(struct broker *broker)
{
    ledger_add(broker->ledger, ledger_op_new(STORE_LIVE, live_came, broker));
}
