/* ZeroMQ sockets, one for each role, and their place in a loop.
 *
 * The descriptor of a ZeroMQ socket (ZMQ_FD) is edge-triggered and tells little: it only wakes the loop. All
 * reading is done by bus_pump, which the owner calls in its loop_before_wait hook, after everything it sent. */
#ifndef TPN_BUS_H
#define TPN_BUS_H

#include "bus_lock.h"
#include "loop.h"
#include "wire.h"

struct bus;

enum bus_role {
    BUS_ROUTER, /* bind; mandatory routing; a second connection with an id that is in use is refused */
    BUS_ROUTER_HANDOVER, /* the same, but a reconnecting id takes over: for workers, whose ids are theirs for life */
    BUS_DEALER, /* connect; queues nothing while there is no connection */
    BUS_XPUB,   /* bind; see bus_allow_subscriptions */
    BUS_SUB     /* connect; see bus_subscribe */
};

struct bus_options {
    enum bus_role role;
    const char *
        endpoint; /* tcp://127.0.0.1:5551, ipc:///path, inproc://name; port * = chosen by the kernel */
    const char *identity;    /* routing id of a DEALER; null = ZeroMQ chooses */
    int send_queue_messages; /* high-water marks; 0 = 1000 */
    int receive_queue_messages;
    /* Keys; null = plain on loopback. Borrowed until bus_close. */
    const struct bus_lock *lock;
    /* Of a server with keys: which socket this is, as the ZAP handler hears it (zap.h); not null there. */
    const char *domain;
    bool
        bodies_borrowed; /* what is heard lives until the function returns; a ROUTER's does anyway */
    size_t max_message_bytes; /* a peer that announces more is cut off; 0 = 64 MiB */
};

/* A ZeroMQ context with one I/O thread. */
void *bus_context_new(void);
/* Wait until all its sockets are closed, end it, null the pointer; accepts null. */
void bus_context_free(void **context);

/* Open a socket. ERR_CONFIG: the endpoint is wrong or taken, or not on loopback and without keys. Closing waits at most 2 s for what is queued. */
enum err bus_open(struct bus **out, void *context, const struct bus_options *options,
                  struct err_text *why) NODISCARD;
/* Close and null; what is queued is sent for at most 2 s. */
void bus_close(struct bus **bus); /* accepts null */

/* Hear all topics that start with prefix; SUB only. */
enum err bus_subscribe(struct bus *bus, const char *prefix) NODISCARD;

/* The endpoint as bound, with the port that the kernel chose; borrowed until bus_close. */
const char *bus_endpoint(const struct bus *bus);

/* The ZeroMQ socket, for wire_*; borrowed. The next bus_pump looks at it, as after a send. */
void *bus_socket(struct bus *bus);

/* One message came. in is the callee's to read, not to keep; what it wants of blobs and body it takes out and nulls.
 * err is what wire_recv returned: ERR_OK, ERR_PROTO, ERR_INVALID or ERR_LIMIT. */
typedef void bus_message_fn(void *arg, struct bus *bus, enum err err, struct wire_in *in);

/* Let the socket wake the loop; bus_pump then hands messages to fn. */
enum err bus_attach(struct bus *bus, struct loop *loop, bus_message_fn *fn,
                    void *arg) NODISCARD;

/* What user (the ZAP user id, "" = none) hears that asks for topics beginning with prefix: the same, or a longer prefix, or
 * null for nothing. begins false: the subscription ends, and what was said at its begin is asked for once more. Borrowed until
 * the next call. */
typedef const char *bus_subscription_fn(void *arg, const char *user, const char *prefix,
                                        bool begins);

/* Ask fn for each subscription to an XPUB that has keys; without it, and without keys, all are allowed. Call it after
 * bus_open, before anybody can have subscribed: before the loop turns. */
void bus_allow_subscriptions(struct bus *bus, bus_subscription_fn *fn, void *arg);

/* Close every connection of a bound socket, and go on listening at the same endpoint: its peers connect again and are asked
 * for their keys anew. What is sent until then is dropped. Needs bus_attach. */
void bus_drop_peers(struct bus *bus);

/* Why there is no connection, as far as the other side's or our own keys are to blame; "" = they are not. Of sockets that
 * connect and are attached. Borrowed until the loop turns. */
const char *bus_refusal(const struct bus *bus);

/* Handshakes that broke off or were refused by the frames themselves, of a bound socket. A key that the ZAP handler refused
 * is not among them. */
uint64_t bus_handshakes_failed(const struct bus *bus);

/* When the socket woke the loop, or something was sent on it, since the last time: receive up to budget messages. When
 * more wait it calls loop_again. */
void bus_pump(struct bus *bus, int budget);

/* True while a message could be sent at once; on a DEALER: while there is a connection with room. */
bool bus_writable(struct bus *bus);

/* wire_send on this socket. */
enum err bus_send(struct bus *bus, const struct wire_peer *peer, enum wire_verb verb,
                  const ProtobufCMessage *body, struct wire_blob *payload) NODISCARD;

#endif
