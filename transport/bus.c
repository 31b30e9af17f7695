/* Sockets and their place in a loop.
 *
 * One thread owns each socket. Receive and send never wait: a full queue is an answer (ERR_AGAIN), not a pause.
 * Options are set in one table, so a reader sees at once how each role behaves. Reference: zmq_setsockopt(3).
 *
 * Design notes: after a handshake that was refused libzmq gives a connection up for good (session_base.cpp, engine_error,
 * protocol_error). A socket that connects is therefore opened anew, with the next of the keys that its server may have; so a
 * key that is put on the allow list later, and a broker whose key was exchanged, are found without a restart. */
#include "bus.h"

#include "bus_handshake.h"
#include "clock.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
    DEFAULT_QUEUE_MESSAGES = 1000,
    LINGER_MS = 2000,
    BACKLOG =
        1024, /* a whole site may reconnect at once; the default of 100 makes SYNs wait for their retry */
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 5000,
    HANDSHAKE_MS = 5000,
    ENDPOINT_BYTES = 256,
    REFUSAL_BYTES = 512,
    REFUSED_MS = 1000, /* until a refused client tries again */
    NEXT_KEY_MS = 20,
    FAST_MS = 2000, /* a handshake that ends later was not refused: nobody answered it */
    BREAKS =
        2, /* handshakes that end without a word before it is called a refusal: one may be a restart */
    REBIND_MS = 10,   /* until the port is looked at again that our own socket is giving up */
    REBIND_SAY = 500, /* tries between two complaints */
    ARENA_BYTES = 16 * 1024 /* a message of usual size fits, unpacked */
};

/* Above this a peer is cut off without an answer; between a verb's maximum and this it gets one. */
static const int64_t max_message_bytes = INT64_C(64) * 1024 * 1024;

/* libzmq looks at what happened to its connections when it has handed out this many frames without a pause
 * (config.hpp, inbound_poll_rate; not reachable by an option). */
enum { FRAMES_BETWEEN_LOOKS = 100, FRAMES_OF_A_MESSAGE = 5 };

struct bus {
    void *context;
    void *socket;
    void *monitor; /* of handshakes; null on inproc */
    enum bus_role role;
    struct loop *loop;
    struct loop_watch *watch;
    bus_message_fn *fn;
    void *arg;
    bool
        look; /* something may have come in since the last look: the descriptor said so, or we sent */
    size_t frames; /* received since the socket was last found empty */
    char endpoint[ENDPOINT_BYTES];
    struct bus_options options; /* as opened; endpoint and identity are ours */
    struct loop_watch *monitor_watch;
    struct loop_timer again; /* open or bind anew */
    struct conf_texts subscriptions;
    bus_subscription_fn *may_subscribe;
    void *may_arg;
    char refusal[REFUSAL_BYTES];
    uint64_t handshakes_failed;
    int64_t news_ms;     /* when this socket was opened, or its last handshake ended */
    uint32_t breaks;     /* handshakes that ended without a word, with this key of the server */
    uint32_t keys_tried; /* of the server, without success */
    size_t server_key;   /* the one in use */
    uint32_t rebinds;    /* tries */
    struct arena
        arena; /* of the message that is being handled; without memory where bodies may be taken out */
};

struct role_row {
    int type;
    bool bind;
    bool router;
};

static const struct role_row roles[] = {
    [BUS_ROUTER] = {ZMQ_ROUTER, true, true},   [BUS_ROUTER_HANDOVER] = {ZMQ_ROUTER, true, true},
    [BUS_DEALER] = {ZMQ_DEALER, false, false}, [BUS_XPUB] = {ZMQ_XPUB, true, false},
    [BUS_SUB] = {ZMQ_SUB, false, false},
};

void *bus_context_new(void)
{
    void *context = zmq_ctx_new();
    if (context == NULL) {
        bug("zmq_ctx_new failed");
    }
    return context;
}

void bus_context_free(void **context)
{
    if (*context != NULL) {
        while (zmq_ctx_term(*context) != 0 && errno == EINTR) {
        }
        *context = NULL;
    }
}

static void set_int(void *socket, int option, int value)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0) {
        bug("zmq_setsockopt %d: errno %d", option, errno);
    }
}

static void set_text(void *socket, int option, const char *text)
{
    if (zmq_setsockopt(socket, option, text, strlen(text)) != 0) {
        bug("zmq_setsockopt %d: errno %d", option,
            errno); /* keys were checked when they were read */
    }
}

static void set_lock(const struct bus *bus)
{
    const struct bus_lock *lock = bus->options.lock;
    if (lock == NULL || !lock->curve) {
        return;
    }
    set_text(bus->socket, ZMQ_CURVE_SECRETKEY, lock->own.secret_text);
    if (roles[bus->role].bind) {
        /* Without a domain libzmq asks no ZAP handler, and every key would do. */
        set_int(bus->socket, ZMQ_CURVE_SERVER, 1);
        set_text(bus->socket, ZMQ_ZAP_DOMAIN, bus->options.domain);
    } else {
        set_text(bus->socket, ZMQ_CURVE_PUBLICKEY, lock->own.public_text);
        set_text(bus->socket, ZMQ_CURVE_SERVERKEY, lock->servers.texts[bus->server_key]);
    }
    if (bus->role == BUS_XPUB) {
        set_int(bus->socket, ZMQ_XPUB_MANUAL, 1); /* see take_subscriptions */
    }
}

static void set_options(const struct bus *bus)
{
    void *socket = bus->socket;
    const struct bus_options *options = &bus->options;
    int send = options->send_queue_messages;
    int receive = options->receive_queue_messages;
    int64_t largest = options->max_message_bytes > 0 ? (int64_t)options->max_message_bytes
                                                     : max_message_bytes;
    set_int(socket, ZMQ_LINGER, LINGER_MS);
    set_int(socket, ZMQ_SNDHWM, send > 0 ? send : DEFAULT_QUEUE_MESSAGES);
    set_int(socket, ZMQ_RCVHWM, receive > 0 ? receive : DEFAULT_QUEUE_MESSAGES);
    set_int(socket, ZMQ_BACKLOG, BACKLOG);
    set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    set_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest) != 0) {
        bug("ZMQ_MAXMSGSIZE: errno %d", errno);
    }
    if (roles[bus->role].router) {
        set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
        set_int(socket, ZMQ_ROUTER_HANDOVER, bus->role == BUS_ROUTER_HANDOVER);
    }
    if (bus->role == BUS_DEALER) {
        /* Without it messages queue for a peer that is not there, and look as if they were sent. */
        set_int(socket, ZMQ_IMMEDIATE, 1);
    }
    if (options->identity != NULL) {
        (void)zmq_setsockopt(socket, ZMQ_ROUTING_ID, options->identity,
                             strlen(options->identity));
    }
    set_lock(bus);
}

/* A socket with its options and its monitor, not bound or connected yet. */
static enum err new_socket(struct bus *bus, struct err_text *why)
{
    bool server = roles[bus->role].bind;
    bus->socket = zmq_socket(bus->context, roles[bus->role].type);
    if (bus->socket == NULL) {
        return err_set(why, ERR_IO, "zmq_socket: %s", zmq_strerror(errno));
    }
    bus->news_ms = clock_mono_ms();
    set_options(bus);
    if (strncmp(bus->options.endpoint, "inproc://", 9) == 0) {
        return ERR_OK; /* no handshakes there */
    }
    return bus_handshake_begin(bus->context, bus->socket,
                               server ? BUS_HANDSHAKE_SERVER : BUS_HANDSHAKE_CLIENT,
                               &bus->monitor, why);
}

static enum err join(struct bus *bus, struct err_text *why)
{
    bool bind = roles[bus->role].bind;
    const char *endpoint = bus->options.endpoint;
    if ((bind ? zmq_bind(bus->socket, endpoint) : zmq_connect(bus->socket, endpoint)) != 0) {
        return err_set(why, ERR_CONFIG, "%s %s: %s", bind ? "bind" : "connect", endpoint,
                       zmq_strerror(errno));
    }
    size_t len = sizeof bus->endpoint;
    if (zmq_getsockopt(bus->socket, ZMQ_LAST_ENDPOINT, bus->endpoint, &len) != 0) {
        bus->endpoint[0] = '\0';
    }
    return ERR_OK;
}

static void drop_socket(struct bus *bus)
{
    loop_unwatch(&bus->watch);
    loop_unwatch(&bus->monitor_watch);
    if (bus->socket != NULL) {
        bus_handshake_end(bus->socket, &bus->monitor);
        (void)zmq_close(bus->socket);
        bus->socket = NULL;
    }
}

enum err bus_open(struct bus **out, void *context, const struct bus_options *options,
                  struct err_text *why)
{
    enum err err = bus_lock_allows(options->lock, options->endpoint, why);
    if (err != ERR_OK) {
        return err;
    }
    struct bus *bus = mem_zero(1, sizeof *bus);
    bus->context = context;
    bus->role = options->role;
    if (roles[bus->role].router || options->bodies_borrowed) {
        /* What a broker hears it has answered or copied when its function returns. */
        arena_init(&bus->arena, mem_resize(NULL, 1, ARENA_BYTES), ARENA_BYTES);
    }
    bus->options = *options;
    bus->options.endpoint = mem_text(options->endpoint);
    bus->options.identity = options->identity != NULL ? mem_text(options->identity) : NULL;
    err = new_socket(bus, why);
    if (err == ERR_OK) {
        err = join(bus, why);
    }
    if (err != ERR_OK) {
        bus_close(&bus);
        return err;
    }
    *out = bus;
    return ERR_OK;
}

void bus_close(struct bus **bus_p)
{
    struct bus *bus = *bus_p;
    if (bus == NULL) {
        return;
    }
    if (bus->again.loop != NULL) {
        loop_timer_disarm(&bus->again);
    }
    drop_socket(bus);
    for (size_t i = 0; i < bus->subscriptions.count; i++) {
        free(bus->subscriptions.items[i]);
    }
    free(bus->subscriptions.items);
    free((void *)(uintptr_t)bus->options.endpoint);
    free((void *)(uintptr_t)bus->options.identity);
    free(bus->arena.first);
    free(bus);
    *bus_p = NULL;
}

enum err bus_subscribe(struct bus *bus, const char *prefix)
{
    if (zmq_setsockopt(bus->socket, ZMQ_SUBSCRIBE, prefix, strlen(prefix)) != 0) {
        return ERR_IO;
    }
    struct conf_texts *all = &bus->subscriptions; /* for a socket that is opened anew */
    all->items = mem_resize(all->items, all->count + 1, sizeof(char *));
    all->items[all->count++] = mem_text(prefix);
    return ERR_OK;
}

void bus_allow_subscriptions(struct bus *bus, bus_subscription_fn *fn, void *arg)
{
    bus->may_subscribe = fn;
    bus->may_arg = arg;
}

const char *bus_refusal(const struct bus *bus)
{
    return bus->refusal;
}

uint64_t bus_handshakes_failed(const struct bus *bus)
{
    return bus->handshakes_failed;
}

const char *bus_endpoint(const struct bus *bus)
{
    return bus->endpoint;
}

void *bus_socket(struct bus *bus)
{
    bus->look = true;
    return bus->socket;
}

/* The descriptor only ends the loop's wait and tells which socket to look at; bus_pump reads. */
static void wake(void *arg, int events)
{
    struct bus *bus = arg;
    (void)events;
    bus->look = true;
}

static void hear_handshakes(void *arg, int events);

/* Let the socket and its monitor wake the loop. */
static enum err watch(struct bus *bus)
{
    int fd = -1;
    size_t len = sizeof fd;
    if (zmq_getsockopt(bus->socket, ZMQ_FD, &fd, &len) != 0) {
        return ERR_IO;
    }
    bus->look = true;
    enum err err = loop_watch(bus->loop, fd, LOOP_READ, wake, bus, &bus->watch);
    if (err == ERR_OK && bus->monitor != NULL) {
        err = loop_watch(bus->loop, bus_handshake_fd(bus->monitor), LOOP_READ, hear_handshakes,
                         bus, &bus->monitor_watch);
    }
    if (err == ERR_OK && bus->monitor != NULL) {
        hear_handshakes(bus, 0); /* a pipe wakes only a reader that has found it empty */
    }
    return err;
}

/* ---- opening anew ---- */

static void reopen(struct bus *bus)
{
    struct err_text why;
    drop_socket(bus);
    if (new_socket(bus, &why) != ERR_OK || join(bus, &why) != ERR_OK || watch(bus) != ERR_OK) {
        bug("cannot open %s again: %s", bus->options.endpoint, why.text); /* it could before */
    }
    for (size_t i = 0; i < bus->subscriptions.count; i++) {
        const char *prefix = bus->subscriptions.items[i];
        (void)zmq_setsockopt(bus->socket, ZMQ_SUBSCRIBE, prefix, strlen(prefix));
    }
}

/* The port is ours, but the socket that had it closes in its own time. */
static void rebind(struct bus *bus)
{
    struct err_text why;
    if (join(bus, &why) == ERR_OK) {
        bus->rebinds = 0;
        return;
    }
    if (++bus->rebinds % REBIND_SAY == 0) {
        log_warn("listen", "endpoint=%s result=\"%s\"", bus->options.endpoint, why.text);
    }
    loop_timer_arm(&bus->again, REBIND_MS);
}

static void again(void *arg)
{
    struct bus *bus = arg;
    if (roles[bus->role].bind) {
        rebind(bus);
    } else {
        reopen(bus);
    }
    loop_again(bus->loop);
}

void bus_drop_peers(struct bus *bus)
{
    struct err_text why;
    char *bound = mem_text(bus->endpoint); /* with the port that the kernel chose */
    free((void *)(uintptr_t)bus->options.endpoint);
    bus->options.endpoint = bound;
    set_int(bus->socket, ZMQ_LINGER, 0);
    drop_socket(bus);
    if (new_socket(bus, &why) != ERR_OK || watch(bus) != ERR_OK) {
        bug("cannot open %s again: %s", bound, why.text);
    }
    rebind(bus);
}

/* ---- handshakes ---- */

static void refuse(struct bus *bus, const char *text)
{
    (void)snprintf(bus->refusal, sizeof bus->refusal, "%s: %s", bus->options.endpoint, text);
}

/* The connection ended in the middle of the handshake: what a broker does that cannot read what our key of it sealed. */
static void broken_off(struct bus *bus)
{
    const struct bus_lock *lock = bus->options.lock;
    int64_t now_ms = clock_mono_ms();
    bool fast = now_ms - bus->news_ms < FAST_MS;
    bus->news_ms = now_ms;
    bus->breaks += fast;
    if (!fast || bus->breaks < BREAKS) {
        return;
    }
    if (lock == NULL || !lock->curve) {
        refuse(bus,
               "the connection is closed at once: it wants keys, or no broker listens there");
        return;
    }
    bus->breaks = 0;
    bus->keys_tried++;
    if (bus->keys_tried >= lock->servers.count) {
        refuse(bus, "the connection is closed in the handshake: the server key is not this "
                    "broker's, there "
                    "are keys on our side only, or no broker listens there");
    }
    if (lock->servers.count > 1) {
        bus->server_key = (bus->server_key + 1) % lock->servers.count;
        bool all = bus->keys_tried % lock->servers.count == 0;
        loop_timer_arm(&bus->again, all ? REFUSED_MS : NEXT_KEY_MS);
    }
}

static void hear_client(struct bus *bus, enum bus_handshake_news news)
{
    const struct bus_lock *lock = bus->options.lock;
    switch (news) {
    case BUS_HANDSHAKE_GOOD:
        bus->refusal[0] = '\0';
        bus->news_ms = clock_mono_ms();
        bus->breaks = 0;
        bus->keys_tried = 0;
        break;
    case BUS_HANDSHAKE_CLOSED:
        broken_off(bus);
        break;
    case BUS_HANDSHAKE_DENIED:
        refuse(bus, "the broker refuses this key: it is not on its allow list, or its role may "
                    "not use this socket");
        loop_timer_arm(&bus->again, REFUSED_MS);
        break;
    default:
        refuse(bus,
               lock != NULL && lock->curve
                   ? "there are keys on our side only: the broker there has none, or it is "
                     "no broker"
                   : "the broker wants keys: a key and its server key are needed");
        loop_timer_arm(&bus->again, REFUSED_MS);
        break;
    }
}

static void hear_handshakes(void *arg, int events)
{
    struct bus *bus = arg;
    enum bus_handshake_news news = BUS_HANDSHAKE_NONE;
    (void)events;
    while ((news = bus_handshake_next(bus->monitor)) != BUS_HANDSHAKE_NONE) {
        if (!roles[bus->role].bind) {
            hear_client(bus, news);
        } else if (news == BUS_HANDSHAKE_CLOSED || news == BUS_HANDSHAKE_DIFFERS) {
            bus->handshakes_failed++;
        }
    }
}

enum err bus_attach(struct bus *bus, struct loop *loop, bus_message_fn *fn, void *arg)
{
    bus->loop = loop;
    bus->fn = fn;
    bus->arg = arg;
    loop_timer_init(&bus->again, loop, again, bus);
    return watch(bus);
}

/* ---- receiving ---- */

static bool has_event(struct bus *bus, int event)
{
    int events = 0;
    size_t len = sizeof events;
    bus->look = true; /* asking may take the one edge that the descriptor shows */
    return zmq_getsockopt(bus->socket, ZMQ_EVENTS, &events, &len) == 0 && (events & event) != 0;
}

bool bus_writable(struct bus *bus)
{
    return has_event(bus, ZMQ_POLLOUT);
}

/* Without keys libzmq keeps the subscriptions by itself, and they only have to be read. With keys (ZMQ_XPUB_MANUAL) each
 * counts only when it is set here: the option goes to whose subscription was received last. */
static void take_subscriptions(struct bus *bus)
{
    bool manual = bus->options.lock != NULL && bus->options.lock->curve;
    for (;;) {
        bool begins = false;
        char prefix[WIRE_TOPIC_BYTES];
        char user[WIRE_USER_BYTES];
        enum err err = wire_recv_subscription(bus->socket, &begins, prefix, user);
        if (err == ERR_AGAIN || err == ERR_IO) {
            return;
        }
        const char *hears = err == ERR_OK && manual ? prefix : NULL;
        if (hears != NULL && bus->may_subscribe != NULL) {
            hears = bus->may_subscribe(bus->may_arg, user, prefix, begins);
        }
        if (hears != NULL) {
            (void)zmq_setsockopt(bus->socket, begins ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, hears,
                                 strlen(hears));
        }
    }
}

/* libzmq 4.3.4 ends the process ("Assertion failed: !_more (src/fq.cpp)") when a socket with ZMQ_IMMEDIATE hears, between
 * two frames of one message, that its connection broke: it drops the pipe that it is reading from (session_base.cpp,
 * reconnect; socket_base.cpp, hiccuped; its issues 3485 and 3663 show the same of zmq_disconnect). Inside a message it
 * listens only at every hundredth frame. So it is made to listen here, before the first frame of a message which that
 * frame may be part of: what broke until now is then dropped between messages. */
static void look_before_message(struct bus *bus)
{
    size_t frames = bus->frames % FRAMES_BETWEEN_LOOKS;
    if (bus->role == BUS_DEALER && frames + FRAMES_OF_A_MESSAGE >= FRAMES_BETWEEN_LOOKS) {
        (void)has_event(bus, ZMQ_POLLIN);
    }
}

void bus_pump(struct bus *bus, int budget)
{
    if (!bus->look) {
        return; /* a look costs system calls; most sockets are quiet in most turns */
    }
    bus->look = false;
    if (bus->role == BUS_XPUB) {
        take_subscriptions(bus);
        return;
    }
    struct arena *arena = bus->arena.first != NULL ? &bus->arena : NULL;
    for (int i = 0; i < budget; i++) {
        struct wire_in in;
        look_before_message(bus);
        enum err err = wire_recv(bus->socket, roles[bus->role].router, arena, &in);
        if (err == ERR_AGAIN || err == ERR_IO) {
            bus->look = false;
            bus->frames = 0;
            return;
        }
        bus->frames += in.frames;
        bus->fn(bus->arg, bus, err, &in);
        wire_in_fini(&in);
    }
    if (has_event(bus, ZMQ_POLLIN)) {
        loop_again(bus->loop);
    }
}

enum err bus_send(struct bus *bus, const struct wire_peer *peer, enum wire_verb verb,
                  const ProtobufCMessage *body, struct wire_blob *payload)
{
    bus->look = true; /* a send may take the one edge that the descriptor shows */
    return wire_send(bus->socket, peer, verb, body, payload);
}
