/* Keys, roles and policies, applied.
 *
 * Holds the allow list and is the only one who replaces it. It sends nothing: who asked it sends the ERROR or the RECEIPT.
 *
 * Design notes: a change is looked for by the times of the files, once a tick; a watch (inotify(7)) would lose what happens
 * between its end and its next begin, and says nothing on network folders. */
#include "keeper.h"

#include "audit.h"
#include "broker.h"
#include "log.h"
#include "mem.h"
#include "pb.h"
#include "policy.h"
#include "zap.h"

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ERRORS_BYTES = 65536,
    ASKED_OF_ONE = 2000, /* requests under way in questions; one question has at most 1000 */
    ASKED_OF_ALL = 10000 /* below what makes producers wait with new requests (gate.c) */
};

/* ---- words ---- */

static bool refuse(struct broker *broker, enum refusal_kind kind, const char *who,
                   const char *target, struct wire_in *in, const char *rule)
{
    const struct refusal_text text = {.who = who,
                                      .act = in->verb != WIRE_NONE ? wire_verb_name(in->verb)
                                                                   : "no verb of ours",
                                      .target = target,
                                      .why = rule};
    if (in->fault.rule != rule) {
        in->fault.field[0] = '\0';
        (void)snprintf(in->fault.rule, sizeof in->fault.rule, "%s", rule);
    }
    refusal_note(broker, kind, &text);
    return false;
}

static bool refuse_entry(struct broker *broker, enum refusal_kind kind,
                         const struct access_entry *who, struct wire_in *in, const char *rule)
{
    char name[BUS_KEY_NAME_BYTES + 16];
    (void)snprintf(name, sizeof name, "%s %s",
                   who->open ? "keyless" : bus_key_role_name((enum bus_key_role)who->role),
                   who->name);
    return refuse(broker, kind, name, in->fault.field, in, rule);
}

/* ---- handshakes ---- */

static bool let_in(void *arg, const struct zap_ask *ask)
{
    struct broker *broker = arg;
    char who[ZAP_ADDRESS_BYTES + BUS_KEY_NAME_BYTES + 32];
    char act[ZAP_DOMAIN_BYTES + 16];
    const struct access_entry *entry = access_find(broker->keeper.list, ask->key);
    enum access_door door = access_door_parse(ask->domain);
    struct refusal_text text = {.who = who, .act = act, .target = ask->key};
    (void)snprintf(act, sizeof act, "connect %s", ask->domain);
    if (entry == NULL) {
        (void)snprintf(who, sizeof who, "stranger at %s", ask->address);
        text.why = "the key is not on the allow list";
        refusal_note(broker, REFUSAL_KEY, &text);
        return false;
    }
    if (door == ACCESS_DOORS || !access_role_enters((enum bus_key_role)entry->role, door)) {
        (void)snprintf(who, sizeof who, "%s %s at %s",
                       bus_key_role_name((enum bus_key_role)entry->role), entry->name,
                       ask->address);
        text.why = "the role of this key may not use this socket";
        refusal_note(broker, REFUSAL_ROLE, &text);
        return false;
    }
    log_debug("admit", "name=%s role=%s socket=%s address=%s", entry->name,
              bus_key_role_name((enum bus_key_role)entry->role), ask->domain, ask->address);
    return true;
}

/* ---- the list ---- */

static enum err read_list(struct broker *broker, struct access **list)
{
    struct keeper *keeper = &broker->keeper;
    const char *path = broker->conf->allow;
    struct buf errors;
    buf_init(&errors, ERRORS_BYTES);
    /* Before reading: what changes meanwhile is seen at the next look. */
    keeper->stamp = access_stamp(path);
    enum err err = access_read(path, list, &errors);
    keeper->fault[0] = '\0';
    if (err != ERR_OK) {
        (void)snprintf(keeper->fault, sizeof keeper->fault, "%.*s",
                       (int)strcspn(buf_text(&errors), "\n"), buf_text(&errors));
        for (char *at = keeper->fault; *at != '\0'; at++) {
            if (*at < ' ' || *at > '~') {
                *at =
                    '?'; /* it goes into Stats, and may have been cut in the middle of a character */
            }
        }
        log_error("keys", "result=refused errors=\"%s\"", buf_text(&errors));
    }
    buf_fini(&errors);
    return err;
}

enum err keeper_open(struct broker *broker, struct err_text *why)
{
    struct keeper *keeper = &broker->keeper;
    const struct broker_conf *conf = broker->conf;
    keeper->open =
        (struct access_entry){.name = conf->plain_producer,
                              .role = BUS_KEY_NOBODY,
                              .open = true,
                              .right_bits = ACCESS_READ | ACCESS_ACT | ACCESS_REVEAL};
    enum err err = bus_lock_server(&keeper->lock, conf->key, conf->insecure, why);
    if (err != ERR_OK || !keeper->lock.curve) {
        return err;
    }
    if (read_list(broker, &keeper->list) != ERR_OK) {
        return err_set(why, ERR_CONFIG, "the allow list is refused: %s", keeper->fault);
    }
    log_info("keys", "result=read count=%zu broker='%s'", access_keys(keeper->list),
             keeper->lock.own.public_text);
    return zap_open(&keeper->zap, broker->zmq_context, broker->loop, let_in, broker, why);
}

static void free_tab(void *arg, void *value)
{
    (void)arg;
    free(value);
}

void keeper_close(struct broker *broker)
{
    struct keeper *keeper = &broker->keeper;
    zap_close(&keeper->zap);
    access_free(&keeper->list);
    map_each(keeper->tabs, free_tab, NULL);
    map_clear(&keeper->tabs);
    map_clear(&keeper->listeners);
    bus_lock_fini(&keeper->lock);
}

/* ---- what a new list takes away ---- */

struct change {
    struct broker *broker;
    const struct access *now;
    bool listener_lost;
};

/* Is the owner of a key still who it was, as far as open connections are concerned? */
static bool same_owner(const struct access_entry *before, const struct access_entry *now)
{
    return now != NULL && now->role == before->role && strcmp(now->name, before->name) == 0;
}

static void compare(void *arg, const struct access_entry *before)
{
    struct change *change = arg;
    for (size_t i = 0; i < before->keys.count; i++) {
        const char *key = before->keys.items[i];
        if (same_owner(before, access_find(change->now, key))) {
            continue;
        }
        log_warn("keys", "name=%s role=%s key='%s' result=revoked", before->name,
                 bus_key_role_name((enum bus_key_role)before->role), key);
        audit_record(change->broker, "broker", "revoke key", before->name, AUDIT_DONE, key);
        change->listener_lost |= map_get_text(change->broker->keeper.listeners, key) != NULL;
    }
}

/* Workers whose key, or whose name under it, is not on the new list any more: their leases go back, or wait for a report. */
static void drop_workers(struct broker *broker)
{
    struct worker *next = NULL;
    for (struct worker *worker = TAILQ_FIRST(&broker->roster.workers); worker != NULL;
         worker = next) {
        next = TAILQ_NEXT(worker, link);
        const struct access_entry *who = access_find(broker->keeper.list, worker->user);
        if (who == NULL || who->role != BUS_KEY_WORKER ||
            !access_lists(&who->workers, worker->name)) {
            worker->said_bye = true; /* that speaks against no request of it */
            lease_lost_worker(broker, worker, "its key was taken off the allow list");
        }
    }
}

void keeper_reload(struct broker *broker)
{
    struct keeper *keeper = &broker->keeper;
    struct access *list = NULL;
    if (keeper->list == NULL) {
        return;
    }
    if (read_list(broker, &list) != ERR_OK) {
        audit_record(broker, "broker", "read allow list", broker->conf->allow, AUDIT_FAILED,
                     keeper->fault);
        return;
    }
    struct change change = {.broker = broker, .now = list};
    access_each(keeper->list, compare, &change);
    access_free(&keeper->list);
    keeper->list = list;
    log_info("keys", "result=read count=%zu", access_keys(list));
    audit_record(broker, "broker", "read allow list", broker->conf->allow, AUDIT_DONE, "");
    drop_workers(broker);
    if (change.listener_lost) {
        /* A subscription cannot be taken from a connection: all of them connect again, and are asked. */
        map_clear(&keeper->listeners);
        bus_drop_peers(broker->status);
    }
}

void keeper_look(struct broker *broker)
{
    const struct keeper *keeper = &broker->keeper;
    if (keeper->list != NULL && access_stamp(broker->conf->allow) != keeper->stamp) {
        keeper_reload(broker);
    }
}

/* ---- messages ---- */

const struct access_entry *keeper_admit(struct broker *broker, enum access_door door,
                                        struct wire_in *in)
{
    const struct keeper *keeper = &broker->keeper;
    if (keeper->list == NULL) {
        return &keeper->open;
    }
    const struct access_entry *who = access_find(keeper->list, in->user);
    if (who == NULL) {
        (void)refuse(broker, REFUSAL_REVOKED, "revoked key", in->user, in,
                     "this key was taken off the allow list");
        return NULL;
    }
    if (!access_role_enters((enum bus_key_role)who->role, door)) {
        (void)refuse_entry(broker, REFUSAL_ROLE, who, in,
                           "the role of this key may not use this socket");
        return NULL;
    }
    return who;
}

/* What an operator needs for a verb; what does not stand here needs ACT. */
static const enum access_right verb_rights[WIRE_VERB_COUNT] = {
    [WIRE_QUERY] = ACCESS_READ, [WIRE_QUEUE_LS] = ACCESS_READ, [WIRE_QUEUE_SHOW] = ACCESS_READ,
    [WIRE_STATS] = ACCESS_READ, [WIRE_PROFILES] = ACCESS_READ, [WIRE_TOP] = ACCESS_READ,
    [WIRE_DAYS] = ACCESS_READ,  [WIRE_EVIDENCE] = ACCESS_READ, [WIRE_REPLAY] = ACCESS_READ,
};

bool keeper_has_right(const struct access_entry *who, enum access_right right)
{
    return (who->right_bits & (unsigned)right) != 0;
}

static const char *const right_rules[] = {
    [ACCESS_READ] = "this operator may not read: rights (allow list)",
    [ACCESS_ACT] = "this operator may not act: rights (allow list)",
    [ACCESS_REVEAL] = "this operator may not see secrets: rights (allow list)",
};

static enum access_right wanted_right(const struct wire_in *in)
{
    if (in->verb == WIRE_PROFILES && ((const PB(ProfileAsk) *)in->body)->reveal) {
        return ACCESS_REVEAL;
    }
    return verb_rights[in->verb] != 0 ? verb_rights[in->verb] : ACCESS_ACT;
}

bool keeper_may(struct broker *broker, const struct access_entry *who, struct wire_in *in)
{
    if (who->role == BUS_KEY_PRODUCER && in->verb == WIRE_PROBE) {
        return policy_probe(who, (const PB(Probe) *)in->body, &in->fault) ||
               refuse_entry(broker, REFUSAL_POLICY, who, in, in->fault.rule);
    }
    if (who->open || who->role == BUS_KEY_PRODUCER) {
        return true; /* a request is held against the policy in keeper_accepts */
    }
    if (in->verb == WIRE_SUBMIT || in->verb == WIRE_SUBMITS) {
        return refuse_entry(broker, REFUSAL_ROLE, who, in,
                            "only the key of a producer may submit");
    }
    enum access_right wanted = wanted_right(in);
    return keeper_has_right(who, wanted) ||
           refuse_entry(broker, REFUSAL_POLICY, who, in, right_rules[wanted]);
}

void keeper_sign(const struct access_entry *who, struct wire_in *in)
{
    if (who->open) {
        return;
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(in->body->descriptor, "operator");
    if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING ||
        field->label == PROTOBUF_C_LABEL_REPEATED) {
        return;
    }
    wire_in_set_text(in, (char **)(void *)((char *)in->body + field->offset), who->name);
}

static struct keeper_tab *tab_of(struct keeper *keeper, const char *name)
{
    struct keeper_tab *tab = map_get_text(keeper->tabs, name);
    if (tab == NULL) { /* one a name of the list: bounded by it */
        tab = mem_zero(1, sizeof *tab);
        (void)map_put_text(&keeper->tabs, name, tab);
    }
    return tab;
}

struct keeper_tab *keeper_asks(struct broker *broker, const struct access_entry *who,
                               struct wire_in *in, size_t count)
{
    struct keeper *keeper = &broker->keeper;
    struct keeper_tab *tab = tab_of(keeper, who->name);
    if ((tab->asked > 0 && tab->asked + count > ASKED_OF_ONE) ||
        keeper->asked + count > ASKED_OF_ALL) {
        (void)refuse_entry(broker, REFUSAL_RATE, who, in,
                           "too many questions are under way: wait for their answers");
        return NULL;
    }
    tab->asked += count;
    keeper->asked += count;
    return tab;
}

void keeper_asked(struct broker *broker, struct keeper_tab *tab, size_t count)
{
    tab->asked -= count;
    broker->keeper.asked -= count;
}

bool keeper_accepts(struct broker *broker, const struct access_entry *who, struct wire_in *in,
                    uint32_t *wait_ms)
{
    const PB(NotificationRequest) *request = (const PB(NotificationRequest) *)in->body;
    *wait_ms = 0;
    if (who->open) {
        return true;
    }
    if (!policy_request(who, request, wire_blob_len(in->raw), &in->fault)) {
        return refuse_entry(broker, REFUSAL_POLICY, who, in, in->fault.rule);
    }
    *wait_ms = policy_take(&tab_of(&broker->keeper, who->name)->bucket, who->per_minute,
                           broker_now_ms(broker));
    return *wait_ms == 0 ||
           refuse_entry(broker, REFUSAL_RATE, who, in,
                        "more requests than this producer may send: per_minute "
                        "(allow list)");
}

bool keeper_names_worker(struct broker *broker, const struct access_entry *who,
                         struct wire_in *in, const char *name)
{
    return who->open || access_lists(&who->workers, name) ||
           refuse_entry(broker, REFUSAL_POLICY, who, in,
                        "this key may not be a worker of that name: workers (allow list)");
}

void keeper_note_broken(struct broker *broker, const struct access_entry *who,
                        struct wire_in *in)
{
    if (who != NULL) {
        (void)refuse_entry(broker, REFUSAL_MESSAGE, who, in, in->fault.rule);
    }
}

const char *keeper_producer(const struct access_entry *who)
{
    return who->role == BUS_KEY_OPERATOR ? NULL : who->name;
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

const char *keeper_subscription(void *arg, const char *user, const char *prefix, bool begins)
{
    struct broker *broker = arg;
    struct keeper *keeper = &broker->keeper;
    char name[BUS_KEY_NAME_BYTES + 16];
    struct refusal_text text = {.who = name, .act = "subscribe", .target = prefix};
    const struct access_entry *who = access_find(keeper->list, user);
    if (who == NULL || !access_role_enters((enum bus_key_role)who->role, ACCESS_STATUS)) {
        text.who = "revoked key";
        text.why = "this key may not use this socket";
        refusal_note(broker, REFUSAL_REVOKED, &text);
        return NULL;
    }
    (void)snprintf(keeper->topic, sizeof keeper->topic, "tpn1.%s.", who->name);
    if (who->role != BUS_KEY_PRODUCER || begins_with(prefix, keeper->topic)) {
        (void)snprintf(keeper->topic, sizeof keeper->topic, "%s", prefix);
    } else if (!begins_with(keeper->topic, prefix)) {
        (void)snprintf(name, sizeof name, "producer %s", who->name);
        text.why = "a producer hears its own requests only";
        if (begins) {
            refusal_note(broker, REFUSAL_POLICY, &text);
        }
        return NULL;
    }
    (void)map_put_text(&keeper->listeners, user, keeper);
    return keeper->topic;
}
