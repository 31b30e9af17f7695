/* Requests from producers.
 *
 * Field rules were checked by the wire before anything was unpacked; here stands what needs more than one field or the
 * broker's knowledge: settings, profiles, times; what makes a message mail stands in message_rule.c, for the worker too. A
 * producer's name is the name of its key, never a field of the message (keeper.c); without keys all who connect are the one
 * producer that the configuration names. */
#include "gate.h"

#include "broker.h"
#include "check.h"
#include "chronicle.h"
#include "digest.h"
#include "early.h"
#include "gate_secret.h"
#include "inquiry.h"
#include "log.h"
#include "mem.h"
#include "message_rule.h"
#include "pack.h"
#include "probe_desk.h"
#include "seal.h"
#include "submits.h"
#include "supersede.h"
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_WAITING_BYTES = 128 * 1024 * 1024, /* of requests on their way to the disk */
    MAX_DEPTH_OPS =
        20000, /* ops that may wait for the disk before producers are told to wait */
    BUSY_MS = 1000,
    ID_FIELD = 1 /* NotificationRequest.id */
};

void gate_send_error(struct bus *bus, const struct wire_in *in)
{
    PB(Error) error = PB_INIT(ERROR);
    error.verb = (char *)(uintptr_t)wire_verb_name(in->verb);
    error.field = (char *)(uintptr_t)in->fault.field;
    error.reason = (char *)(uintptr_t)in->fault.rule;
    log_debug("answer", "verb=ERROR to=%s field=%s", error.verb, error.field);
    if (bus_send(bus, &in->peer, WIRE_ERROR, &error.base, NULL) != ERR_OK) {
        log_debug("send", "verb=ERROR result=dropped");
    }
}

/* One of the broker itself (gate_own): nobody waits for a receipt, and nobody is to be blamed. */
static bool is_own(const struct wire_peer *peer)
{
    return peer->len == 0;
}

static void send_receipt(struct broker *broker, const struct wire_peer *peer,
                         PB(Receipt) *receipt)
{
    if (is_own(peer)) {
        return;
    }
    if (peer->together) {
        receipt_tray_put(broker, peer, receipt);
        return;
    }
    receipt->takes_submits = !peer->delimiter;
    /* A producer that does not read its receipts asks again with the same id. */
    if (bus_send(broker->submit, peer, WIRE_RECEIPT, &receipt->base, NULL) != ERR_OK) {
        log_debug("send", "verb=RECEIPT request=%s result=dropped", receipt->id);
    }
}

static void reject(struct broker *broker, const struct wire_peer *peer, const char *id,
                   const struct wire_fault *fault)
{
    PB(Receipt) receipt = PB_INIT(RECEIPT);
    char quoted[LOG_QUOTE_BYTES];
    receipt.id = (char *)(uintptr_t)id;
    receipt.status = PB_RECEIPT(REJECTED);
    receipt.field = (char *)(uintptr_t)fault->field;
    receipt.reason = (char *)(uintptr_t)fault->rule;
    log_info("rejected", "request=%s field=%s rule=%s", id, fault->field,
             log_quote(fault->rule, quoted));
    send_receipt(broker, peer, &receipt);
}

static void busy_for(struct broker *broker, const struct wire_peer *peer, const char *id,
                     const char *reason, uint32_t wait_ms)
{
    PB(Receipt) receipt = PB_INIT(RECEIPT);
    receipt.id = (char *)(uintptr_t)id;
    receipt.status = PB_RECEIPT(BUSY);
    receipt.reason = (char *)(uintptr_t)reason;
    receipt.retry_after_ms = wait_ms;
    send_receipt(broker, peer, &receipt);
}

static void busy(struct broker *broker, const struct wire_peer *peer, const char *id,
                 const char *reason)
{
    busy_for(broker, peer, id, reason, BUSY_MS);
}

/* ---- rules of more than one field ---- */

bool gate_check_secrets(const PB(MailingSettings) *settings, enum gate_password password,
                        struct wire_fault *fault)
{
    bool sealed = password == GATE_SEALED_PASSWORD && seal_is_sealed(settings->password);
    if (settings->password[0] != '\0' && !sealed) {
        return wire_refuse(fault, "settings.password",
                           "no secret travels in a request: name a profile");
    }
    if (settings->authentication == PB_AUTH(OAUTH2)) {
        return wire_refuse(
            fault, "settings.authentication",
            "OAUTH2 needs a secret, which does not travel in a request: name a profile");
    }
    if (settings->ca_file[0] != '\0') {
        return wire_refuse(fault, "settings.ca_file",
                           "a request names no files of the workers: name a profile");
    }
    if (settings->dkim_key[0] != '\0' || settings->dkim_second_key[0] != '\0') {
        return wire_refuse(fault, "settings.dkim_key",
                           "no secret travels in a request: name a profile");
    }
    return true;
}

static bool good_settings(const PB(MailingSettings) *settings, struct wire_fault *fault)
{
    static const char pool_limit[] = "a limit of the whole pool belongs to a profile: name one";
    struct settings_plan plan;
    const char *field = "";
    struct err_text why;
    if (!gate_check_secrets(settings, GATE_SEALED_PASSWORD, fault)) {
        return false;
    }
    if (settings->max_messages_per_minute != 0) {
        return wire_refuse(fault, "settings.max_messages_per_minute", "%s", pool_limit);
    }
    if (settings->max_recipients_per_day != 0) {
        return wire_refuse(fault, "settings.max_recipients_per_day", "%s", pool_limit);
    }
    if (settings_plan(settings, &plan, &field, &why) != ERR_OK) {
        char path[sizeof fault->field];
        (void)snprintf(path, sizeof path, "settings.%s", field);
        return wire_refuse(fault, path, "%s", why.text);
    }
    return true;
}

static bool good_request(const PB(NotificationRequest) *request, struct wire_fault *fault)
{
    if (request->message == NULL) {
        return wire_refuse(fault, "message", "required");
    }
    if ((request->profile[0] == '\0') == (request->settings == NULL)) {
        return wire_refuse(fault, "profile", "either a profile or settings, not both");
    }
    if (request->settings != NULL && !good_settings(request->settings, fault)) {
        return false;
    }
    if (request->expire_at_ms != 0 && request->not_before_ms >= request->expire_at_ms) {
        return wire_refuse(fault, "not_before_ms", "must be before expire_at_ms");
    }
    return message_rule_check(request->message, fault) == ERR_OK;
}

/* What a good request may come to break while its producer waits for a receipt and sends it again. */
static bool fits_now(const struct broker *broker, const PB(NotificationRequest) *request,
                     int64_t now_ms, struct wire_fault *fault)
{
    if (request->profile[0] != '\0' &&
        profiles_find(broker->profiles, request->profile) == NULL) {
        return wire_refuse(fault, "profile", "no such profile");
    }
    if (request->expire_at_ms != 0 && request->expire_at_ms <= now_ms) {
        return wire_refuse(fault, "expire_at_ms", "lies in the past");
    }
    return true;
}

/* ---- accepting ---- */

struct submission {
    struct broker *broker;
    struct wire_peer peer;
    struct request *request;
    struct wire_fault fault; /* why it is not accepted, should it not be known already */
};

static void note(const struct submission *submission, enum refusal_kind kind, const char *rule)
{
    char who[STORE_PRODUCER_BYTES + 16];
    if (is_own(&submission->peer)) {
        return; /* after a restart it is made again, that is all */
    }
    (void)snprintf(who, sizeof who, "producer %s", submission->request->lane->key.producer);
    refusal_note(submission->broker, kind,
                 &(struct refusal_text){.who = who,
                                        .act = wire_verb_name(WIRE_SUBMIT),
                                        .target = submission->request->id,
                                        .why = rule});
}

static void answer(struct submission *submission, const struct ledger_op *op)
{
    PB(Receipt) receipt = PB_INIT(RECEIPT);
    const struct store_row *row = &op->store.accept.row;
    receipt.id = submission->request->id;
    receipt.accepted_at_ms = row->accepted_at_ms;
    receipt.state = (int)row->state;
    switch (op->store.result) {
    case STORE_DONE:
        receipt.status = PB_RECEIPT(ACCEPTED);
        break;
    case STORE_DUPLICATE:
        receipt.status = PB_RECEIPT(DUPLICATE);
        note(submission, REFUSAL_DUPLICATE, "the same request again");
        break;
    case STORE_NOT_FOUND:
        reject(submission->broker, &submission->peer, receipt.id, &submission->fault);
        return;
    case STORE_CONFLICT: {
        struct wire_fault fault = {"id", "is already used for a request with other content"};
        note(submission, REFUSAL_POLICY, fault.rule);
        reject(submission->broker, &submission->peer, receipt.id, &fault);
        return;
    }
    default:
        busy(submission->broker, &submission->peer, receipt.id, op->store.why.text);
        return;
    }
    send_receipt(submission->broker, &submission->peer, &receipt);
}

static void accepted(void *arg, struct ledger_op *op)
{
    struct submission *submission = arg;
    struct request *request = submission->request;
    submission->broker->accepting--;
    submission->broker->accepting_bytes -= wire_blob_len(request->body);
    answer(submission, op);
    if (op->store.result == STORE_DONE) {
        request->pk = op->store.accept.row.pk;
        tally_follow(request);
        if (!early_accepted(submission->broker, request)) {
            schedule_accepted(&submission->broker->schedule, request);
        }
    } else {
        early_end(submission->broker, request);
        request_free(&request);
    }
    free(submission);
}

/* Every recipient, pending: what the row holds until there is a result. */
static uint8_t *pending_list(const PB(Message) *message, size_t count, bool each, size_t *len)
{
    enum { ROOM = 1024 }; /* of the few recipients that most mails have */
    max_align_t room[ROOM / sizeof(max_align_t)];
    struct arena arena;
    arena_init(&arena, room, sizeof room);
    PB(RequestStatus) list = PB_INIT(REQUEST_STATUS);
    PB(RecipientResult) *items = arena_take(&arena, count * sizeof *items);
    PB(RecipientResult) **pointers = arena_take(&arena, count * sizeof *pointers);
    for (size_t i = 0; i < count; i++) {
        PB(RecipientResult) init = PB_INIT(RECIPIENT_RESULT);
        PB(Mailbox) *box = i < message->n_to ? message->to[i]
                           : i < message->n_to + message->n_cc
                               ? message->cc[i - message->n_to]
                               : message->bcc[i - message->n_to - message->n_cc];
        items[i] = init;
        items[i].address = box->address;
        pointers[i] = &items[i];
    }
    list.recipients = pointers;
    list.n_recipients = count;
    list.one_each = each;
    uint8_t *packed = pack_new(&list.base, len);
    arena_reset(&arena);
    return packed;
}

/* profile: of its lane; "" for one that is only looked up, since a lane stays. */
static struct request *new_request(struct broker *broker, struct wire_in *in,
                                   const char *producer, const char *profile, int64_t now_ms)
{
    const PB(NotificationRequest) *parsed = (const PB(NotificationRequest) *)in->body;
    const PB(Message) *message = parsed->message;
    struct store_lane key = {.priority = parsed->priority != 0 ? (int)parsed->priority
                                                               : (int)PB_PRIORITY(NORMAL)};
    mem_text_into(key.profile, sizeof key.profile, profile);
    mem_text_into(key.producer, sizeof key.producer, producer);
    struct request *request = mem_zero(1, sizeof *request);
    request->lane = schedule_lane(&broker->schedule, &key);
    request->id = mem_text(parsed->id);
    request->state = STATE_ACCEPTED;
    request->visible_at_ms = parsed->not_before_ms > now_ms ? parsed->not_before_ms : now_ms;
    request->expire_at_ms = parsed->expire_at_ms;
    request->accepted_at_ms = now_ms;
    request->route = -1;
    request->split = (int)parsed->split;
    request->open_count = -1;
    request->recipients = (uint32_t)(message->n_to + message->n_cc + message->n_bcc);
    request->results = pending_list(message, request->recipients,
                                    parsed->split == PB_SPLIT(ONE_EACH), &request->results_len);
    request->body = in->raw;
    in->raw = NULL; /* taken out of the message */
    return request;
}

static void fill_row(struct store_row *row, const struct request *request,
                     const PB(NotificationRequest) *parsed)
{
    mem_text_into(row->producer, sizeof row->producer, request->lane->key.producer);
    mem_text_into(row->id, sizeof row->id, request->id);
    mem_text_into(row->profile, sizeof row->profile, request->lane->key.profile);
    row->state = STATE_ACCEPTED;
    row->priority = request->lane->key.priority;
    row->visible_at_ms = request->visible_at_ms;
    row->expire_at_ms = request->expire_at_ms;
    row->accepted_at_ms = request->accepted_at_ms;
    row->changed_at_ms = request->accepted_at_ms;
    row->recipients = request->recipients;
    mem_text_into(row->supersede_key, sizeof row->supersede_key, parsed->supersede_key);
}

/* The labels as the store takes them: a line each. Their fields hold no control character. */
static char *label_lines(const PB(NotificationRequest) *parsed)
{
    struct buf lines;
    buf_init(&lines, (size_t)STORE_LABELS_MAX * STORE_LABEL_BYTES);
    for (size_t i = 0; i < parsed->n_labels; i++) {
        buf_add_format(&lines, "%s=%s\n", parsed->labels[i]->name, parsed->labels[i]->value);
    }
    char *text = parsed->n_labels > 0 ? mem_text(buf_text(&lines)) : NULL;
    buf_fini(&lines);
    return text;
}

/* "name=value" each: the history tells them, so that it can be searched when the request is forgotten. Null when there are
 * none. */
static char **split_labels(const PB(NotificationRequest) *parsed, size_t *count)
{
    char **labels = parsed->n_labels > 0 ? mem_zero(parsed->n_labels, sizeof *labels) : NULL;
    for (size_t i = 0; i < parsed->n_labels; i++) {
        labels[i] = mem_format("%s=%s", parsed->labels[i]->name, parsed->labels[i]->value);
    }
    *count = parsed->n_labels;
    return labels;
}

static void free_labels(char **labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(labels[i]);
    }
    free(labels);
}

static void accept(struct broker *broker, const char *producer, struct wire_in *in,
                   const struct gate_secret *secret)
{
    int64_t now_ms = broker_now_ms(broker);
    const PB(NotificationRequest) *parsed = (const PB(NotificationRequest) *)in->body;
    struct submission *submission = mem_resize(NULL, 1, sizeof *submission);
    submission->fault.field[0] = '\0';
    submission->fault.rule[0] = '\0';
    submission->broker = broker;
    submission->peer = in->peer;
    bool fits = fits_now(broker, parsed, now_ms, &submission->fault);
    struct request *request =
        new_request(broker, in, producer, fits ? parsed->profile : "", now_ms);
    submission->request = request;

    struct ledger_op *op = ledger_op_take(broker->ledger, STORE_ACCEPT, accepted, submission);
    fill_row(&op->store.accept.row, request, parsed);
    op->texts = label_lines(parsed); /* the ledger frees it */
    op->store.accept.labels = op->texts;
    op->store.accept.body = wire_blob_data(request->body);
    op->store.accept.body_len = wire_blob_len(request->body);
    broker->accepting++;
    broker->accepting_bytes += op->store.accept.body_len;
    const struct digest_part whole = {op->store.accept.body, op->store.accept.body_len};
    digest_maker_run(broker->digests, &whole, 1, op->store.accept.digest);
    if (secret->sealed_here) { /* another sealing gives other bytes */
        memcpy(op->store.accept.digest, secret->digest, sizeof secret->digest);
    }
    op->store.accept.known_only = !fits;
    op->store.accept.results = request->results;
    op->store.accept.results_len = request->results_len;

    PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
    char topic[WIRE_TOPIC_BYTES];
    event.request_id = request->id;
    event.producer = request->lane->key.producer;
    event.profile = request->lane->key.profile;
    event.state = PB_STATE(ACCEPTED);
    event.at_ms = now_ms;
    event.subject = parsed->message->subject;
    event.content_sha256 = (ProtobufCBinaryData){.data = op->store.accept.digest,
                                                 .len = sizeof op->store.accept.digest};
    char **labels = split_labels(parsed, &event.n_labels);
    event.labels = labels;
    ledger_op_event(op, &event.base,
                    wire_topic(event.producer, state_name(STATE_ACCEPTED), request->id, topic));
    free_labels(labels, event.n_labels);
    if (fits && parsed->supersede_key[0] != '\0') {
        supersede_accept(broker, op);
    } else {
        ledger_add(broker->ledger, op);
        if (fits && !is_own(&in->peer) && request->visible_at_ms <= now_ms) {
            early_note(broker, request);
        }
    }
}

/* Why nothing is accepted now; null = it is. */
static const char *why_busy(const struct broker *broker)
{
    const char *why = NULL;
    if (broker->draining) {
        return "the broker is going down";
    }
    if (broker->closed[0] != '\0') {
        return broker->closed;
    }
    if (!ledger_healthy(broker->ledger, &why)) {
        return why;
    }
    return ledger_depth(broker->ledger) > MAX_DEPTH_OPS ||
                   broker->accepting > MAX_DEPTH_OPS || /* of one key wait for each other */
                   broker->accepting_bytes > MAX_WAITING_BYTES
               ? "too many requests wait for the disk"
               : NULL;
}

static void submit(struct broker *broker, const struct access_entry *who, struct wire_in *in)
{
    const PB(NotificationRequest) *parsed = (const PB(NotificationRequest) *)in->body;
    struct gate_secret secret;
    uint32_t wait_ms = 0;
    broker->submitted++;
    if (!keeper_accepts(broker, who, in, &wait_ms)) {
        if (wait_ms == 0) {
            reject(broker, &in->peer, parsed->id, &in->fault);
        } else {
            busy_for(broker, &in->peer, parsed->id, in->fault.rule, wait_ms);
        }
        return;
    }
    if (!gate_secret_take(broker, who, in, &secret) || !good_request(parsed, &in->fault)) {
        reject(broker, &in->peer, parsed->id, &in->fault);
        return;
    }
    const char *why = why_busy(broker);
    if (why != NULL) {
        busy(broker, &in->peer, parsed->id, why);
    } else {
        accept(broker, who->name, in, &secret);
    }
}

bool gate_own(struct broker *broker, const char *producer,
              const PB(NotificationRequest) *request)
{
    const struct gate_secret secret = {.sealed_here = false};
    struct wire_in in = {.body = (ProtobufCMessage *)(uintptr_t)&request->base};
    if (why_busy(broker) != NULL) {
        return false;
    }
    if (!good_request(request, &in.fault)) {
        bug("our own request %s: %s %s", request->id, in.fault.field, in.fault.rule);
    }
    size_t len;
    uint8_t *packed = pack_new(&request->base, &len);
    in.raw = wire_blob_copy(packed, len);
    free(packed);
    accept(broker, producer, &in, &secret);
    return true;
}

/* Only its own: the producer's name is the name of its key. */
static void withdraw(struct broker *broker, const struct access_entry *who, struct bus *bus,
                     struct wire_in *in)
{
    const char *producer = keeper_producer(who);
    if (producer == NULL || producer[0] == '\0') {
        (void)snprintf(in->fault.rule, sizeof in->fault.rule,
                       "only a producer may withdraw, and only what is its own");
        gate_send_error(bus, in);
        return;
    }
    supersede_withdraw(broker, bus, producer, in);
}

static void reject_unread(struct broker *broker, const struct wire_in *in)
{
    char id[STORE_ID_BYTES];
    check_find_text(wire_blob_data(in->raw), wire_blob_len(in->raw), ID_FIELD, id, sizeof id);
    reject(broker, &in->peer, id, &in->fault);
}

void gate_message(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct broker *broker = arg;
    const struct access_entry *who = keeper_admit(broker, ACCESS_SUBMIT, in);
    if (who == NULL || (err == ERR_OK && !keeper_may(broker, who, in))) {
        gate_send_error(bus, in);
        return;
    }
    if (err != ERR_OK) {
        keeper_note_broken(broker, who, in);
        if (in->verb == WIRE_SUBMIT && in->raw != NULL && err != ERR_PROTO) {
            reject_unread(broker, in);
        } else {
            gate_send_error(bus, in);
        }
        return;
    }
    switch (in->verb) {
    case WIRE_SUBMIT:
        submit(broker, who, in);
        break;
    case WIRE_SUBMITS:
        submits_take(broker, bus, in);
        break;
    case WIRE_QUERY:
        inquiry_query(broker, bus, who, in);
        break;
    case WIRE_WITHDRAW:
        withdraw(broker, who, bus, in);
        break;
    case WIRE_REPLAY:
        chronicle_replay(broker, bus, keeper_producer(who), in);
        break;
    case WIRE_PROBE:
        probe_desk_ask(broker, bus, in);
        break;
    default:
        (void)snprintf(in->fault.rule, sizeof in->fault.rule,
                       "this verb is not for this socket");
        gate_send_error(bus, in);
        break;
    }
}
