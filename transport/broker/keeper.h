/* The keeper of the broker's doors: who is let in, who is still allowed to speak, and what each may ask for.
 *
 *   handshake ─► zap ─► keeper: is the key on the list, may its role use this socket?
 *   message   ─► wire_in.user ─► keeper_admit: is it still? ─► keeper_may, policy_request: may its owner do this?
 *
 * A connection has no rights of its own: each message is held against the list as it is now, so that a key that was taken off
 * it is worth nothing from that moment. Without keys (listeners on loopback) everybody is the one open entry. */
#ifndef TPN_KEEPER_H
#define TPN_KEEPER_H

#include "access.h"
#include "bus_lock.h"
#include "err.h"
#include "policy.h"
#include "wire.h"

#include <stdbool.h>
#include <stdint.h>

struct broker;
struct bus;
struct map;
struct zap;

enum { KEEPER_FAULT_BYTES = 512 };

/* What one owner has used up, over all its connections. */
struct keeper_tab {
    struct policy_bucket bucket;
    size_t asked;
};

struct keeper {
    struct bus_lock lock;
    struct access *list;            /* null without keys */
    struct access_entry open;       /* everybody, without keys */
    uint64_t stamp;                 /* access_stamp of what was read last, good or not */
    char fault[KEEPER_FAULT_BYTES]; /* why the last reading was refused; "" = it was not */
    struct zap *zap;
    struct map *tabs;             /* owner's name -> struct keeper_tab */
    size_t asked;                 /* requests that were asked for and not answered yet */
    struct map *listeners;        /* keys that subscribed; the values are not null */
    char topic[WIRE_TOPIC_BYTES]; /* of keeper_subscription's last answer */
};

/* Read the broker's key and the allow list, and answer handshakes. Before the sockets are opened, with the keeper's lock.
 * ERR_CONFIG, ERR_NOT_FOUND, ERR_IO. */
enum err keeper_open(struct broker *broker, struct err_text *why) NODISCARD;

/* After the sockets were closed; accepts a zeroed one. */
void keeper_close(struct broker *broker);

/* Look whether the allow list changed, and if so read it; call it about once a second. A list with an error leaves the old
 * one in force, and says so (log, Stats). */
void keeper_look(struct broker *broker);

/* Read the allow list now. */
void keeper_reload(struct broker *broker);

/* Who sent this message, when that key may still use this socket. Null: not any more; then it was counted and in->fault says
 * the rule, for an ERROR. Borrowed until the loop turns. */
const struct access_entry *keeper_admit(struct broker *broker, enum access_door door,
                                        struct wire_in *in) NODISCARD;

/* May who use this verb at the admin socket, or at the submit socket? False: as keeper_admit. */
bool keeper_may(struct broker *broker, const struct access_entry *who,
                struct wire_in *in) NODISCARD;

/* Has who this right? For what needs one of its own, as showing a secret. */
bool keeper_has_right(const struct access_entry *who, enum access_right right);

/* Write the name of a key's owner over the field `operator` of a message, if it has one: what a peer says of itself counts
 * only where there are no keys. */
void keeper_sign(const struct access_entry *who, struct wire_in *in);

/* May who submit this request now? True, or false with in->fault; *wait_ms is then 0 (refused for good) or the time after
 * which it may be sent again. Counted. */
bool keeper_accepts(struct broker *broker, const struct access_entry *who, struct wire_in *in,
                    uint32_t *wait_ms) NODISCARD;

/* May this worker's key have that name? False: as keeper_admit. */
bool keeper_names_worker(struct broker *broker, const struct access_entry *who,
                         struct wire_in *in, const char *name) NODISCARD;

/* May who ask for so many requests more? A question costs a read of the store for each, so what is under way has a limit, for
 * one name and for all together. Null: not now, counted, in->fault says so. Else keeper_asked gives it back. */
struct keeper_tab *keeper_asks(struct broker *broker, const struct access_entry *who,
                               struct wire_in *in, size_t count) NODISCARD;
void keeper_asked(struct broker *broker, struct keeper_tab *tab, size_t count);

/* A message of who (null = nobody any more: already told) had frames or fields that break a rule: count and log it. */
void keeper_note_broken(struct broker *broker, const struct access_entry *who,
                        struct wire_in *in);

/* The producer whose requests who may ask for: a name, or null = anybody's (operators). */
const char *keeper_producer(const struct access_entry *who);

/* bus_subscription_fn of the status socket; arg is the broker. A producer hears its own topics only, also when it asks for all. */
const char *keeper_subscription(void *arg, const char *user, const char *prefix, bool begins);

#endif
