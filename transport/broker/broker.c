/* The broker's parts, put together.
 *
 * One loop turn: read what came (budgets, so that no socket starves another), lease what is due, hand the batch to the store,
 * tell workers what was committed. The order in turn() is the order of the picture in broker.h. */
#include "broker.h"

#include "clock.h"
#include "digest.h"
#include "gate.h"
#include "inquiry.h"
#include "keep.h"
#include "log.h"
#include "mem.h"
#include "operate.h"
#include "path.h"
#include "poison.h"
#include "seal.h"
#include "settle.h"
#include "share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUBMIT_BUDGET = 256, /* requests a turn, and what the last messages bring beyond */
    SUBMIT_SLICE = 32,   /* messages until they are counted */
    WORK_BUDGET = 1024,
    ADMIN_BUDGET = 16,
    SUBMIT_QUEUE = 1000, /* messages ZeroMQ keeps of a peer */
    RECEIPT_QUEUE =
        20000, /* and for it: a commit may answer all that it has under way at once */
    WORK_QUEUE = 100000,
    STATUS_QUEUE = 100000,
    ADMIN_QUEUE = 64,
    /* What a peer may announce before it is cut off. Up to here what is larger than its verb allows gets an answer. */
    REQUEST_BYTES = 64 * 1024 * 1024,
    ADMIN_BYTES = 8 * 1024 * 1024,
    SUBSCRIPTION_BYTES = 4096,
    LOG_BATCH_BYTES = 65536
};

int64_t broker_now_ms(struct broker *broker)
{
    return steady_now_ms(&broker->steady);
}

/* ---- the work socket ---- */

static void on_ready(struct broker *broker, const struct access_entry *who, struct wire_in *in)
{
    const PB(Ready) *ready = (const PB(Ready) *)in->body;
    bool known = roster_find(&broker->roster, &in->peer) != NULL;
    if (!keeper_names_worker(broker, who, in, ready->worker)) {
        gate_send_error(broker->work, in);
        return;
    }
    struct worker *worker = roster_ready(&broker->roster, &in->peer, ready);
    if (worker == NULL) {
        (void)snprintf(in->fault.rule, sizeof in->fault.rule, "the pool is full");
        gate_send_error(broker->work, in);
        return;
    }
    (void)snprintf(worker->user, sizeof worker->user, "%s", in->user);
    if (!known) {
        log_info("worker", "name=%s instance=%s result=ready credit=%u", worker->name,
                 worker->instance, worker->credit);
        poison_back(broker, worker->instance);
    }
    share_heard(broker, worker, ready->shares, ready->n_shares);
    lease_extend(broker, worker, ready->leases, ready->n_leases);
}

static void on_credit(struct broker *broker, struct worker *worker, struct wire_in *in)
{
    (void)broker;
    const PB(Credit) *credit = (const PB(Credit) *)in->body;
    uint32_t room = ROSTER_MAX_CREDIT - worker->credit;
    worker->credit += credit->jobs < room ? credit->jobs : room;
}

static void on_ask(struct broker *broker, struct worker *worker, struct wire_in *in)
{
    lease_ask(broker, worker, (const PB(PermitAsk) *)in->body);
}

static void on_result(struct broker *broker, struct worker *worker, struct wire_in *in)
{
    settle_result(broker, worker, (PB(Result) *)in->body);
}

static void on_extend(struct broker *broker, struct worker *worker, struct wire_in *in)
{
    const PB(Extend) *extend = (const PB(Extend) *)in->body;
    lease_extend(broker, worker, extend->leases, extend->n_leases);
}

static void on_bye(struct broker *broker, struct worker *worker, struct wire_in *in)
{
    const PB(Bye) *bye = (const PB(Bye) *)in->body;
    worker->leaving = true;
    worker->said_bye = true;
    lease_lost_worker(broker, worker, bye->reason[0] != '\0' ? bye->reason : "said BYE");
}

static void on_probed(struct broker *broker, struct worker *worker, struct wire_in *in)
{
    probe_desk_answer(broker, worker, (PB(ProbeReport) *)in->body);
}

static void on_beat(struct broker *broker, struct worker *worker, struct wire_in *in)
{
    const PB(Beat) *said = (const PB(Beat) *)in->body;
    share_heard(broker, worker, said->shares, said->n_shares);
}

typedef void worker_fn(struct broker *broker, struct worker *worker, struct wire_in *in);

static worker_fn *const worker_verbs[WIRE_VERB_COUNT] = {
    [WIRE_CREDIT] = on_credit, [WIRE_PERMIT_ASK] = on_ask, [WIRE_RESULT] = on_result,
    [WIRE_EXTEND] = on_extend, [WIRE_BYE] = on_bye,        [WIRE_BEAT] = on_beat,
    [WIRE_PROBED] = on_probed,
};

static void work_message(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct broker *broker = arg;
    const struct access_entry *who = keeper_admit(broker, ACCESS_WORK, in);
    struct worker *worker = roster_find(&broker->roster, &in->peer);
    if (worker != NULL && strcmp(worker->user, in->user) != 0) {
        (void)snprintf(in->fault.rule, sizeof in->fault.rule,
                       "this routing id is that of a worker with another key");
        broker->refusals.counts[REFUSAL_ROLE]++;
        who = NULL;
    }
    if (err != ERR_OK) {
        keeper_note_broken(broker, who, in);
    }
    if (who == NULL || err != ERR_OK) {
        gate_send_error(bus, in);
        return;
    }
    if (in->verb == WIRE_READY) {
        on_ready(broker, who, in);
        return;
    }
    worker_fn *fn = worker_verbs[in->verb];
    if (fn == NULL || worker == NULL) {
        /* A worker that is not known (any more) says READY again when it hears this. */
        (void)snprintf(in->fault.rule, sizeof in->fault.rule, "%s",
                       fn == NULL ? "this verb is not for this socket" : "say READY first");
        gate_send_error(bus, in);
        return;
    }
    worker->heard_ms = clock_mono_ms();
    worker->heard_wall_ms = clock_wall_ms();
    fn(broker, worker, in);
}

/* ---- time ---- */

static void beat(struct broker *broker)
{
    int64_t silent_since_ms = clock_mono_ms() - (int64_t)broker->conf->liveness_ms;
    struct worker *next = NULL;
    for (struct worker *worker = TAILQ_FIRST(&broker->roster.workers); worker != NULL;
         worker = next) {
        next = TAILQ_NEXT(worker, link);
        if (worker->heard_ms < silent_since_ms) {
            lease_lost_worker(broker, worker, "silent for too long");
        } else {
            lease_probe(broker, worker);
        }
    }
}

static void tick(void *arg)
{
    struct broker *broker = arg;
    keeper_look(broker);
    refusal_tick(broker);
    beat(broker);
    lease_tick(broker);
    pause_tick(broker);
    schedule_expire(&broker->schedule);
    share_tick(broker);
    probe_desk_tick(broker);
    watches_tick(broker);
    keep_tick(broker);
    loop_timer_arm(&broker->tick, broker->conf->beat_ms);
}

/* A message may bring one request or many. */
static void pump_submit(struct broker *broker)
{
    broker->submitted = 0;
    for (int i = 0; i < SUBMIT_BUDGET / SUBMIT_SLICE && broker->submitted < SUBMIT_BUDGET;
         i++) {
        bus_pump(broker->submit, SUBMIT_SLICE);
    }
}

static void turn(void *arg)
{
    struct broker *broker = arg;
    ledger_pump(broker->ledger);
    receipt_tray_send(broker);
    bus_pump(broker->work, WORK_BUDGET);
    pump_submit(broker);
    bus_pump(broker->admin, ADMIN_BUDGET);
    bus_pump(broker->status, 0);
    schedule_pump(&broker->schedule);
    lease_bury(broker);
    keep_flush(broker);
    ledger_pump(broker->ledger);
    receipt_tray_send(broker);
    early_pump(broker);
    roster_flush(&broker->roster, broker->work);
    log_flush(&broker->deliveries);
}

/* ---- start and stop ---- */

struct socket_row {
    const char *name;
    size_t conf; /* offset of the endpoint in struct broker_conf */
    size_t bus;  /* offset in struct broker */
    enum bus_role role;
    int send_queue;
    int receive_queue;
    size_t max_bytes; /* of a frame from a peer */
    bus_message_fn *fn;
};

static const struct socket_row sockets[] = {
    {"submit", offsetof(struct broker_conf, submit), offsetof(struct broker, submit),
     BUS_ROUTER, RECEIPT_QUEUE, SUBMIT_QUEUE, REQUEST_BYTES, gate_message},
    {"work", offsetof(struct broker_conf, work), offsetof(struct broker, work),
     BUS_ROUTER_HANDOVER, WORK_QUEUE, WORK_QUEUE, REQUEST_BYTES, work_message},
    {"status", offsetof(struct broker_conf, status), offsetof(struct broker, status), BUS_XPUB,
     STATUS_QUEUE, STATUS_QUEUE, SUBSCRIPTION_BYTES, NULL},
    {"admin", offsetof(struct broker_conf, admin), offsetof(struct broker, admin), BUS_ROUTER,
     ADMIN_QUEUE, ADMIN_QUEUE, ADMIN_BYTES, inquiry_admin},
};
enum { SOCKETS = sizeof sockets / sizeof sockets[0] };

static struct bus **bus_at(const struct broker *broker, size_t i)
{
    return (struct bus **)((uintptr_t)broker + sockets[i].bus);
}

static enum err open_sockets(struct broker *broker, struct err_text *why)
{
    for (size_t i = 0; i < SOCKETS; i++) {
        const char *endpoint = *(char *const *)((const char *)broker->conf + sockets[i].conf);
        struct bus_options options = {.role = sockets[i].role,
                                      .endpoint = endpoint,
                                      .send_queue_messages = sockets[i].send_queue,
                                      .receive_queue_messages = sockets[i].receive_queue,
                                      .lock = &broker->keeper.lock,
                                      .domain = sockets[i].name,
                                      .max_message_bytes = sockets[i].max_bytes};
        struct bus **bus = bus_at(broker, i);
        enum err err = bus_open(bus, broker->zmq_context, &options, why);
        if (err == ERR_OK && bus_attach(*bus, broker->loop, sockets[i].fn, broker) != ERR_OK) {
            err = err_set(why, ERR_IO, "cannot watch the %s socket", sockets[i].name);
        }
        if (err != ERR_OK) {
            return err;
        }
        bool plain = !broker->keeper.lock.curve && !bus_lock_is_local(bus_endpoint(*bus));
        log_write(plain ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "listen",
                  "socket=%s endpoint=%s keys=%s", sockets[i].name, bus_endpoint(*bus),
                  broker->keeper.lock.curve ? "yes"
                  : plain ? "no text=\"INSECURE: whoever reaches this port is let in\""
                          : "no");
    }
    bus_allow_subscriptions(broker->status, keeper_subscription, broker);
    return ERR_OK;
}

static enum err open_store(struct broker *broker, struct err_text *why)
{
    struct store_options options = {.folder = broker->conf->data_folder,
                                    .reserve_bytes = broker->conf->reserve_bytes,
                                    .log_bytes = STORE_LOG_BYTES};
    struct store *store = NULL;
    enum err err = store_sqlite.open(&options, &store, why);
    if (err != ERR_OK) {
        return err;
    }
    steady_begin(&broker->steady, store->newest_ms);
    err = ledger_new(&broker->ledger, broker->loop, &store, broker->status, why);
    if (store != NULL) {
        store->engine->close(&store);
    }
    return err;
}

static enum err read_profiles(struct broker *broker)
{
    struct buf errors;
    buf_init(&errors, 65536);
    enum err err = profiles_read(broker->conf->profiles_file, &broker->profiles, &errors);
    if (err != ERR_OK) {
        log_error("profiles", "result=refused errors=\"%s\"", buf_text(&errors));
    } else {
        log_info("profiles", "result=read count=%zu", profiles_count(broker->profiles));
    }
    buf_fini(&errors);
    return err;
}

static void release(void *arg, const struct profile *profile)
{
    struct broker *broker = arg;
    (void)brake_release(brakes_of(&broker->brakes, profile->wire.name));
}

/* The certificates that passwords inside requests are sealed to. On an error the old ones stay. */
static enum err read_certificates(struct broker *broker, struct err_text *why)
{
    const struct conf_texts *paths = &broker->conf->sealed_certificates;
    struct seal_certificates *read = NULL;
    struct err_text inner = {.code = ERR_OK};
    if (paths->count == 0) {
        return ERR_OK;
    }
    if (seal_certificates_read((const char *const *)paths->items, &read, &inner) != ERR_OK) {
        return err_set(why, ERR_CONFIG, "sealed.certificate: %s", inner.text);
    }
    seal_certificates_free(&broker->seal);
    broker->seal = read;
    return ERR_OK;
}

void broker_reload(struct broker *broker)
{
    struct err_text why = {.code = ERR_OK};
    if (read_certificates(broker, &why) != ERR_OK) {
        log_error("certificates", "result=kept text=\"%s\"", why.text);
    }
    /* A refused file leaves the old profiles in force; read_profiles has said so. */
    if (read_profiles(broker) == ERR_OK) {
        profiles_each(broker->profiles, release, broker);
        watches_renew(broker);
        loop_again(broker->loop);
    }
    keeper_reload(broker);
}

enum err broker_start(struct broker *broker, const struct broker_conf *conf, struct loop *loop,
                      struct err_text *why)
{
    *broker = (struct broker){.conf = conf, .loop = loop};
    broker->started_at_ms = broker_now_ms(broker);
    broker->zmq_context = bus_context_new();
    buf_init(&broker->deliveries, LOG_BATCH_BYTES);
    broker->digests = digest_maker_new();
    roster_init(&broker->roster);
    enum err err = ERR_OK;
    if (read_profiles(broker) != ERR_OK) {
        err = err_set(why, ERR_CONFIG, "the profiles are refused");
        goto out;
    }
    err = read_certificates(broker, why);
    if (err != ERR_OK) {
        goto out;
    }
    err = keeper_open(broker, why);
    if (err != ERR_OK) {
        goto out;
    }
    err = open_sockets(broker, why);
    if (err != ERR_OK) {
        goto out;
    }
    err = open_store(broker, why);
    if (err != ERR_OK) {
        goto out;
    }
    schedule_init(&broker->schedule, broker);
    act_pace_init(&broker->act_pace, loop, operate_start);
    lease_init(broker);
    early_init(broker);
    keep_load(broker);
    lease_recover(broker);
    retention_init(&broker->retention, loop, broker->ledger, conf->retention_ms,
                   conf->evidence_ms);
    loop_timer_init(&broker->tick, loop, tick, broker);
    loop_timer_arm(&broker->tick, conf->beat_ms);
    loop_before_wait(loop, turn, broker);
    loop_again(loop);
out:
    if (err != ERR_OK) {
        broker_stop(broker);
    }
    return err;
}

void broker_stop(struct broker *broker)
{
    if (broker->loop == NULL) {
        return;
    }
    broker->draining = true;
    loop_before_wait(broker->loop, NULL, NULL);
    if (broker->ledger != NULL) {
        refusal_flush(broker);
        keep_tick(broker);
        keep_flush(broker);
    }
    retention_fini(&broker->retention);
    operate_stop(broker);
    if (broker->tick.loop != NULL) {
        loop_timer_disarm(&broker->tick);
    }
    while (broker->ledger != NULL && !ledger_idle(broker->ledger) &&
           !ledger_lost(broker->ledger)) {
        struct err_text why;
        const char *reason = NULL;
        ledger_pump(broker->ledger);
        if (!ledger_healthy(broker->ledger, &reason) ||
            loop_turn(broker->loop, 100, &why) != ERR_OK) {
            break; /* what is not on disk was not acknowledged */
        }
    }
    if (broker->ledger != NULL) {
        roster_flush(&broker->roster, broker->work);
        lease_fini(broker);
    }
    ledger_free(&broker->ledger);
    receipt_tray_send(broker);
    receipt_tray_fini(&broker->receipt_tray);
    supersede_fini(broker);
    log_flush(&broker->deliveries);
    buf_fini(&broker->deliveries);
    digest_maker_free(&broker->digests);
    schedule_fini(&broker->schedule);
    request_index_fini(&broker->in_memory);
    map_clear(&broker->fates);
    map_clear(&broker->fate_readings);
    roster_fini(&broker->roster);
    for (size_t i = 0; i < SOCKETS; i++) {
        bus_close(bus_at(broker, i));
    }
    seal_certificates_free(&broker->seal);
    keeper_close(broker);
    refusal_fini(broker);
    brakes_free(&broker->brakes);
    pause_fini(&broker->pauses);
    watches_fini(broker);
    profiles_free(&broker->profiles);
    bus_context_free(&broker->zmq_context);
    broker->loop = NULL;
}

enum err broker_write_endpoints(const struct broker *broker, const char *path,
                                struct err_text *why)
{
    struct buf text;
    buf_init(&text, 4096);
    for (size_t i = 0; i < SOCKETS; i++) {
        buf_add_format(&text, "%s %s\n", sockets[i].name, bus_endpoint(*bus_at(broker, i)));
    }
    enum err err = path_write(path, buf_text(&text), text.len, 0644, why);
    buf_fini(&text);
    return err;
}
