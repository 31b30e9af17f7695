/* The worker's loop.
 *
 * What goes to the broker is collected during a turn and sent at its end: one PERMIT?, one RESULT, one CREDIT for all jobs of
 * the turn. A message that cannot be sent is kept (results, permits asked for) or made anew (credit by READY).
 *
 * Design notes: ZeroMQ reconnects by itself and says nothing, so the broker's silence (liveness) is what tells a dead
 * connection: the socket is then closed and a new one opened, under the same identity. A broker that started again does not
 * know its workers and says so (ERROR "say READY first"). */
#include "worker.h"

#include "clock.h"
#include "digest.h"
#include "dkim_key.h"
#include "egress.h"
#include "log.h"
#include "mem.h"
#include "secret.h"
#include "share_report.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BUDGET = 256,     /* messages a turn */
    REPEAT_MS = 5000, /* until an unacknowledged result goes again */
    EXTEND_MS = 5000,
    READY_MS = 30000,      /* READY is said again that often */
    LEASES_AT_ONCE = 4096, /* of the wire's lists */
    ASKS_AT_ONCE = 1000,
    QUEUE_MESSAGES = 100000
};

/* Permits to be asked for at the end of the turn. */
struct ask {
    PB(Part) part;
    STAILQ_ENTRY(ask) link;
};
STAILQ_HEAD(ask_queue, ask);
struct ask_list {
    struct ask_queue queue;
};

/* ---- the job's host ---- */

static void host_ask(void *arg, uint64_t lease, uint32_t part, const uint32_t *recipients,
                     size_t count)
{
    struct worker *worker = arg;
    struct ask *ask = mem_zero(1, sizeof *ask);
    PB(Part) init = PB_INIT(PART);
    ask->part = init;
    ask->part.lease = lease;
    ask->part.part = part;
    ask->part.recipients = count > 0 ? mem_copy(recipients, count * sizeof *recipients) : NULL;
    ask->part.n_recipients = count;
    STAILQ_INSERT_TAIL(&worker->asks->queue, ask, link);
}

static void host_report(void *arg, const PB(JobResult) *result, uint32_t slot)
{
    struct worker *worker = arg;
    reports_add(&worker->reports, result, slot);
}

/* What became of a file in a pickup folder. */
static void host_note(void *arg, const PB(JobResult) *fate)
{
    struct worker *worker = arg;
    reports_add_note(&worker->reports, fate);
    loop_again(worker->loop); /* it leaves in the hook before the wait */
}

static bool host_is_over(void *arg, uint64_t lease)
{
    const struct worker *worker = arg;
    return map_get_u64(worker->jobs, lease) == NULL && !reports_have(&worker->reports, lease);
}

static void host_begun(void *arg, struct job *job)
{
    struct worker *worker = arg;
    (void)map_put_u64(&worker->jobs, job_lease(job), job);
}

static void host_over(void *arg, struct job *job)
{
    struct worker *worker = arg;
    (void)map_take_u64(&worker->jobs, job_lease(job));
    worker->credit_due++;
}

static void *host_backend(void *arg, enum settings_route route)
{
    struct worker *worker = arg;
    return worker->backends[route];
}

/* ---- to the broker ---- */

static void free_ask(struct ask *ask)
{
    free(ask->part.recipients);
    free(ask);
}

static void add_lease(void *arg, void *value)
{
    PB(Extend) *list = arg;
    if (list->n_leases < LEASES_AT_ONCE) {
        list->leases[list->n_leases++] = job_lease(value);
    }
}

/* All leases that the worker works on or holds a result of; the caller frees. */
static uint64_t *all_leases(struct worker *worker, size_t *count)
{
    PB(Extend) list = PB_INIT(EXTEND);
    list.leases = mem_zero(LEASES_AT_ONCE, sizeof *list.leases);
    map_each(worker->jobs, add_lease, &list);
    *count = list.n_leases;
    reports_leases(&worker->reports, list.leases, count, LEASES_AT_ONCE);
    return list.leases;
}

static void drop_asks(struct worker *worker)
{
    struct ask *ask = NULL;
    while ((ask = STAILQ_FIRST(&worker->asks->queue)) != NULL) {
        STAILQ_REMOVE_HEAD(&worker->asks->queue, link);
        free_ask(ask);
    }
}

static void ask_job_again(void *arg, void *value)
{
    job_ask_again(value, *(const int64_t *)arg);
}

static void ask_again(struct worker *worker, int64_t asked_before_ms)
{
    map_each(worker->jobs, ask_job_again, &asked_before_ms);
}

static bool send_ready(struct worker *worker)
{
    PB(Ready) ready = PB_INIT(READY);
    size_t roots = worker->conf->pickup_roots.count;
    char **capabilities = mem_zero(roots + 4, sizeof *capabilities);
    capabilities[ready.n_capabilities++] = mem_text("smtp");
    capabilities[ready.n_capabilities++] = mem_text("probe");
    capabilities[ready.n_capabilities++] = mem_text("edit");
    capabilities[ready.n_capabilities++] = mem_text("jobs");
    for (size_t i = 0; i < roots; i++) {
        capabilities[ready.n_capabilities++] =
            mem_format("pickup:%s", worker->conf->pickup_roots.items[i]);
    }
    size_t busy = map_count(worker->jobs);
    ready.worker = worker->name;
    ready.instance = worker->instance;
    ready.capabilities = capabilities;
    ready.credit = worker->draining || busy >= worker->conf->jobs
                       ? 0
                       : worker->conf->jobs - (uint32_t)busy;
    ready.leases = all_leases(worker, &ready.n_leases);
    ready.version = (char *)(uintptr_t)TPN_VERSION_TEXT;
    struct share_report report;
    share_report_fill(worker, &report);
    ready.shares = report.pointers;
    ready.n_shares = report.count;
    enum err err = bus_send(worker->bus, NULL, WIRE_READY, &ready.base, NULL);
    for (size_t i = 0; i < ready.n_capabilities; i++) {
        free(capabilities[i]);
    }
    free(capabilities);
    free(ready.leases);
    share_report_fini(&report);
    if (err == ERR_OK) {
        worker->ready_ms = clock_mono_ms();
        worker->credit_due = 0; /* the credit just told counts them */
        reports_repeat(&worker->reports, INT64_MAX);
        drop_asks(worker); /* asked again with all the others, behind the READY */
        ask_again(worker, INT64_MAX);
    }
    return err == ERR_OK;
}

static void send_credit(struct worker *worker)
{
    PB(Credit) credit = PB_INIT(CREDIT);
    credit.jobs = worker->credit_due;
    if (worker->draining || worker->credit_due == 0 ||
        bus_send(worker->bus, NULL, WIRE_CREDIT, &credit.base, NULL) != ERR_OK) {
        return;
    }
    worker->credit_due = 0;
}

static bool send_asks(struct worker *worker)
{
    PB(Part) *parts[ASKS_AT_ONCE];
    PB(PermitAsk) message = PB_INIT(PERMIT_ASK);
    struct ask *ask = NULL;
    STAILQ_FOREACH(ask, &worker->asks->queue, link)
    {
        if (message.n_parts == ASKS_AT_ONCE) {
            break;
        }
        parts[message.n_parts++] = &ask->part;
    }
    message.parts = parts;
    if (bus_send(worker->bus, NULL, WIRE_PERMIT_ASK, &message.base, NULL) != ERR_OK) {
        return false;
    }
    for (size_t i = 0; i < message.n_parts; i++) {
        ask = STAILQ_FIRST(&worker->asks->queue);
        STAILQ_REMOVE_HEAD(&worker->asks->queue, link);
        free_ask(ask);
    }
    return true;
}

static void finish_drain(struct worker *worker, const char *reason)
{
    PB(Bye) bye = PB_INIT(BYE);
    bye.reason = (char *)(uintptr_t)reason;
    enum err err = bus_send(worker->bus, NULL, WIRE_BYE, &bye.base, NULL);
    log_info("drain", "result=%s jobs=%zu unacknowledged=%zu bye=%s", reason,
             map_count(worker->jobs), worker->reports.count, err_name(err));
    loop_stop(worker->loop);
}

static void turn(void *arg)
{
    struct worker *worker = arg;
    bus_pump(worker->bus, BUDGET);
    if (!worker->ready) {
        worker->ready = send_ready(worker);
    }
    if (worker->ready) {
        while (!STAILQ_EMPTY(&worker->asks->queue) && send_asks(worker)) {
        }
        enum err err = reports_flush(&worker->reports, worker->bus);
        if (err != ERR_OK && err != ERR_AGAIN) {
            log_warn("report", "result=%s", err_name(err));
        }
        send_credit(worker);
    }
    bus_pump(worker->bus, 0); /* sending may have taken the edge that tells of what came in */
    if (worker->draining && map_count(worker->jobs) == 0 && worker->reports.count == 0) {
        finish_drain(worker, "drained");
    }
}

/* ---- from the broker ---- */

static void take_job(struct worker *worker, const PB(Job) *job, const uint8_t *request,
                     size_t len)
{
    const struct job_profile *profile = map_get_u64(worker->profiles, job->profile_version);
    if (worker->draining) {
        PB(JobResult) back = PB_INIT(JOB_RESULT);
        back.lease = job->lease;
        back.not_started = true;
        reports_add(&worker->reports, &back, 0);
        return;
    }
    if (map_get_u64(worker->jobs, job->lease) != NULL) {
        return; /* a repetition */
    }
    job_start(&worker->host, job, request, len, profile);
}

static void on_job(struct worker *worker, struct wire_in *in)
{
    take_job(worker, (const PB(Job) *)in->body, wire_blob_data(in->payload),
             wire_blob_len(in->payload));
}

/* wire_recv has checked that the lengths come out even. */
static void on_jobs(struct worker *worker, struct wire_in *in)
{
    const PB(Jobs) *list = (const PB(Jobs) *)in->body;
    const uint8_t *request = wire_blob_data(in->payload);
    for (size_t i = 0; i < list->n_jobs; i++) {
        take_job(worker, list->jobs[i], request, list->jobs[i]->request_bytes);
        request += list->jobs[i]->request_bytes;
    }
}

static void permit_all(struct worker *worker, PB(Part) *const parts[], size_t count,
                       enum deliver_permit permit)
{
    for (size_t i = 0; i < count; i++) {
        struct job *job = map_get_u64(worker->jobs, parts[i]->lease);
        if (job != NULL) {
            job_permit(job, parts[i]->part, permit);
        }
    }
}

static void on_permit(struct worker *worker, struct wire_in *in)
{
    const PB(Permit) *permit = (const PB(Permit) *)in->body;
    permit_all(worker, permit->granted, permit->n_granted, DELIVER_GRANTED);
    permit_all(worker, permit->denied, permit->n_denied, DELIVER_DENIED);
}

static void on_result_ok(struct worker *worker, struct wire_in *in)
{
    const PB(ResultOk) *ok = (const PB(ResultOk) *)in->body;
    void *pickup = worker->backends[SETTINGS_PICKUP];
    reports_acknowledge(&worker->reports, ok);
    for (size_t i = 0; i < ok->n_parts; i++) {
        deliver_pickup.acknowledged(pickup, ok->parts[i]->lease, ok->parts[i]->part);
    }
}

static void on_profile(struct worker *worker, struct wire_in *in)
{
    PB(Profile) *wire = (PB(Profile) *)in->body;
    if (wire->share != NULL) {
        deliver_smtp.limit(worker->backends[SETTINGS_SMTP], wire->version,
                           wire->share->connections);
    }
    if (wire->settings == NULL || map_get_u64(worker->profiles, wire->version) != NULL) {
        return;
    }
    wire = (PB(Profile) *)wire_in_take_body(in);
    struct job_profile *profile = mem_zero(1, sizeof *profile);
    const char *field = "";
    profile->wire = wire;
    profile->good =
        settings_plan(wire->settings, &profile->plan, &field, &profile->why) == ERR_OK;
    profile->plan.keys = worker->seal;
    (void)map_put_u64(&worker->profiles, wire->version, profile);
    log_info("profile", "name=%s version=%llx", wire->name, (unsigned long long)wire->version);
}

static void on_probe(struct worker *worker, struct wire_in *in)
{
    const PB(Probe) *asked = (const PB(Probe) *)in->body;
    const struct job_profile *profile = map_get_u64(worker->profiles, asked->profile_version);
    probes_start(worker->probes, (PB(Probe) *)wire_in_take_body(in),
                 profile != NULL ? profile->wire->settings : NULL);
}

/* Not repeated: who asked asks again when it was lost. */
static void probed(void *arg, const PB(ProbeReport) *report)
{
    struct worker *worker = arg;
    enum err err = bus_send(worker->bus, NULL, WIRE_PROBED, &report->base, NULL);
    log_info("probe", "profile=%s server=%s passed=%d sent=%s", report->profile, report->server,
             report->passed, err_name(err));
}

static void on_beat(struct worker *worker, struct wire_in *in)
{
    (void)worker;
    (void)in; /* that it was heard is all */
}

static void on_drain(struct worker *worker, struct wire_in *in)
{
    (void)in;
    worker_drain(worker);
}

static void on_error(struct worker *worker, struct wire_in *in)
{
    const PB(Error) *error = (const PB(Error) *)in->body;
    char quoted[LOG_QUOTE_BYTES];
    log_info("broker", "verb=%s error=%s", error->verb, log_quote(error->reason, quoted));
    /* A broker that started again wants to hear READY. One that refuses READY itself is asked again by and by (READY_MS). */
    if (strcmp(error->verb, wire_verb_name(WIRE_READY)) != 0) {
        worker->ready = false;
    }
}

typedef void broker_fn(struct worker *worker, struct wire_in *in);

static broker_fn *const broker_verbs[WIRE_VERB_COUNT] = {
    [WIRE_JOB] = on_job,         [WIRE_PERMIT] = on_permit, [WIRE_RESULT_OK] = on_result_ok,
    [WIRE_PROFILE] = on_profile, [WIRE_BEAT] = on_beat,     [WIRE_DRAIN] = on_drain,
    [WIRE_ERROR] = on_error,     [WIRE_PROBE] = on_probe,   [WIRE_JOBS] = on_jobs,
};

static void on_message(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct worker *worker = arg;
    (void)bus;
    if (err != ERR_OK || broker_verbs[in->verb] == NULL) {
        log_warn("broker", "verb=%s field=%s rule=\"%s\" result=ignored",
                 wire_verb_name(in->verb), in->fault.field, in->fault.rule);
        return;
    }
    worker->heard_ms = clock_mono_ms();
    broker_verbs[in->verb](worker, in);
}

/* ---- time ---- */

static enum err connect_broker(struct worker *worker, struct err_text *why)
{
    struct bus_options options = {.role = BUS_DEALER,
                                  .endpoint = worker->conf->broker,
                                  .identity = worker->instance,
                                  .lock = &worker->lock,
                                  .send_queue_messages = QUEUE_MESSAGES,
                                  .receive_queue_messages = QUEUE_MESSAGES,
                                  .bodies_borrowed = true};
    worker->ready = false;
    worker->heard_ms = clock_mono_ms();
    enum err err = bus_open(&worker->bus, worker->zmq_context, &options, why);
    if (err == ERR_OK && bus_attach(worker->bus, worker->loop, on_message, worker) != ERR_OK) {
        err = err_set(why, ERR_IO, "cannot watch the broker's socket");
    }
    return err;
}

static void extend(struct worker *worker, int64_t now_ms)
{
    if (now_ms - worker->extended_ms < EXTEND_MS) {
        return;
    }
    worker->extended_ms = now_ms;
    PB(Extend) message = PB_INIT(EXTEND);
    message.leases = all_leases(worker, &message.n_leases);
    if (message.n_leases > 0 &&
        bus_send(worker->bus, NULL, WIRE_EXTEND, &message.base, NULL) != ERR_OK) {
        worker->extended_ms = 0; /* again at the next tick */
    }
    free(message.leases);
}

static void tick(void *arg)
{
    struct worker *worker = arg;
    int64_t now_ms = clock_mono_ms();
    struct err_text why;
    PB(Beat) beat = PB_INIT(BEAT);
    loop_timer_arm(&worker->tick, worker->conf->beat_ms);
    if (now_ms - worker->heard_ms > worker->conf->liveness_ms) {
        char quoted[LOG_QUOTE_BYTES];
        log_warn("broker", "endpoint=%s result=silent text=%s", worker->conf->broker,
                 log_quote(bus_refusal(worker->bus), quoted));
        bus_close(&worker->bus);
        if (connect_broker(worker, &why) != ERR_OK) {
            bug("cannot connect again: %s",
                why.text); /* it could before: nothing of the network is needed for it */
        }
        return;
    }
    if (!worker->ready) {
        return; /* the turn that follows tries READY */
    }
    struct share_report report;
    share_report_fill(worker, &report);
    beat.sequence = ++worker->beat;
    beat.shares = report.pointers;
    beat.n_shares = report.count;
    enum err err = bus_send(worker->bus, NULL, WIRE_BEAT, &beat.base, NULL);
    share_report_fini(&report);
    if (err == ERR_OK) {
        extend(worker, now_ms);
        reports_repeat(&worker->reports, now_ms - REPEAT_MS);
        ask_again(worker, now_ms - REPEAT_MS);
        /* Credit or a permit may have been lost with a connection that came back by itself. */
        worker->ready = now_ms - worker->ready_ms < READY_MS;
    }
}

static void drain_over(void *arg)
{
    struct worker *worker = arg;
    finish_drain(worker, "drain deadline");
}

void worker_drain(struct worker *worker)
{
    if (worker->draining) {
        return;
    }
    log_info("drain", "jobs=%zu", map_count(worker->jobs));
    worker->draining = true;
    worker->ready = false; /* READY again, with no credit */
    loop_timer_arm(&worker->drain, worker->conf->drain_ms);
}

/* ---- start and stop ---- */

/* Without a diary the worker works as well; only a kill leaves more UNKNOWN. */
static void open_diary(struct worker *worker)
{
    struct err_text why;
    if (diary_open(&worker->diary, worker->conf->state_folder, worker->conf->broker,
                   worker->instance, &why) != ERR_OK) {
        log_warn("diary", "result=none text=\"%s\"", why.text);
    }
}

/* A worker that is gone had this lease and certainly sent nothing of it. Noted anew, should we be killed as well. */
static void give_back_former(void *arg, uint64_t lease)
{
    struct worker *worker = arg;
    PB(JobResult) back = PB_INIT(JOB_RESULT);
    back.lease = lease;
    back.not_started = true;
    reports_add(&worker->reports, &back, diary_note(worker->diary, lease, 0));
}

static enum err open_backends(struct worker *worker, struct err_text *why)
{
    char host[256] = "localhost";
    (void)gethostname(host, sizeof host - 1); /* the name it has then is fine */
    (void)snprintf(worker->name, sizeof worker->name, "%.100s",
                   worker->conf->name[0] != '\0' ? worker->conf->name : host);
    struct deliver_context context = {
        .loop = worker->loop,
        .helo_name = worker->conf->helo_name[0] != '\0' ? worker->conf->helo_name : host,
        .pickup_roots = (const char *const *)worker->conf->pickup_roots.items,
        .pickup_threads = worker->conf->pickup_threads,
        .follow = {.look_ms = worker->conf->pickup_look_ms,
                   .stale_ms = worker->conf->pickup_stale_ms,
                   .instance = worker->instance,
                   .note = host_note,
                   .is_over = host_is_over,
                   .arg = worker},
        .egress = worker->egress,
        .keeps_diary = worker->diary != NULL,
    };
    static const char *const no_roots[] = {NULL};
    if (context.pickup_roots == NULL) {
        context.pickup_roots = no_roots;
    }
    for (int i = 0; i < SETTINGS_ROUTE_COUNT; i++) {
        enum err err = deliver_backend_of((enum settings_route)i)
                           ->open(&context, &worker->backends[i], why);
        if (err != ERR_OK) {
            return err;
        }
    }
    const struct probe_context probes = {.loop = worker->loop,
                                         .helo_name = context.helo_name,
                                         .pickup_roots = context.pickup_roots,
                                         .egress = worker->egress,
                                         .done = probed,
                                         .arg = worker};
    return probes_new(&probes, &worker->probes, why);
}

enum err worker_start(struct worker *worker, const struct worker_conf *conf, struct loop *loop,
                      struct err_text *why)
{
    *worker = (struct worker){.conf = conf, .loop = loop};
    worker->zmq_context = bus_context_new();
    worker->asks = mem_zero(1, sizeof *worker->asks);
    STAILQ_INIT(&worker->asks->queue);
    (void)digest_uuid7(worker->instance);
    open_diary(worker);
    reports_init(&worker->reports, worker->diary);
    diary_former(worker->diary, give_back_former, worker);
    enum err err =
        secret_keys_read((const char *const *)conf->sealed_certificates.items,
                         (const char *const *)conf->sealed_keys.items, &worker->seal, why);
    worker->keys = dkim_keys_new(worker->seal);
    worker->digests = digest_maker_new();
    worker->host = (struct job_host){.arg = worker,
                                     .diary = worker->diary,
                                     .keys = worker->keys,
                                     .digests = worker->digests,
                                     .seal = worker->seal,
                                     .begun = host_begun,
                                     .ask = host_ask,
                                     .report = host_report,
                                     .over = host_over,
                                     .backend = host_backend};
    loop_timer_init(&worker->tick, loop, tick, worker);
    loop_timer_init(&worker->drain, loop, drain_over, worker);
    if (err == ERR_OK) {
        err = egress_new((const char *const *)conf->egress_allow.items,
                         (const char *const *)conf->egress_only.items, &worker->egress, why);
    }
    if (err == ERR_OK) {
        err = open_backends(worker, why);
    }
    if (err == ERR_OK) {
        err = bus_lock_client(&worker->lock, conf->key, conf->server_key, conf->insecure, why);
    }
    if (err == ERR_OK) {
        err = connect_broker(worker, why);
    }
    if (err != ERR_OK) {
        worker_stop(worker);
        return err;
    }
    loop_timer_arm(&worker->tick, conf->beat_ms);
    loop_before_wait(loop, turn, worker);
    loop_again(loop);
    log_info("start", "name=%s instance=%s broker=%s jobs=%u", worker->name, worker->instance,
             conf->broker, conf->jobs);
    return ERR_OK;
}

static void free_profile(void *arg, void *value)
{
    (void)arg;
    struct job_profile *profile = value;
    trackpro__notify__v1__profile__free_unpacked(profile->wire, NULL);
    free(profile);
}

static void abandon_job(void *arg, void *value)
{
    (void)arg;
    job_abandon(value);
}

void worker_stop(struct worker *worker)
{
    if (worker->loop == NULL) {
        return;
    }
    loop_before_wait(worker->loop, NULL, NULL);
    loop_timer_disarm(&worker->tick);
    loop_timer_disarm(&worker->drain);
    probes_free(&worker->probes);
    for (int i = 0; i < SETTINGS_ROUTE_COUNT; i++) {
        if (worker->backends[i] != NULL) {
            deliver_backend_of((enum settings_route)i)->close(&worker->backends[i]);
        }
    }
    egress_free(&worker->egress);
    bus_close(&worker->bus);
    bus_lock_fini(&worker->lock);
    bus_context_free(&worker->zmq_context);
    drop_asks(worker);
    free(worker->asks);
    if (map_count(worker->jobs) == 0 && worker->reports.count == 0) {
        diary_close(&worker->diary);
    }
    diary_leave(&worker->diary);
    reports_fini(&worker->reports);
    dkim_keys_free(&worker->keys);
    digest_maker_free(&worker->digests);
    seal_keys_free(&worker->seal);
    map_each(worker->jobs, abandon_job, NULL); /* cut off at the drain's deadline */
    map_clear(&worker->jobs);
    map_each(worker->profiles, free_profile, NULL);
    map_clear(&worker->profiles);
    worker->loop = NULL;
}
