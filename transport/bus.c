/* Sockets and their place in a loop.
 *
 * One thread owns each socket. Receive and send never wait: a full queue is an answer (ERR_AGAIN), not a pause.
 * Options are set in one table, so a reader sees at once how each role behaves. Reference: zmq_setsockopt(3). */
#include "bus.h"

#include "mem.h"

#include <errno.h>
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
    ENDPOINT_BYTES = 256
};

/* Above this a peer is cut off without an answer; between a verb's maximum and this it gets one. */
static const int64_t max_message_bytes = INT64_C(64) * 1024 * 1024;

/* libzmq looks at what happened to its connections when it has handed out this many frames without a pause
 * (config.hpp, inbound_poll_rate; not reachable by an option). */
enum { FRAMES_BETWEEN_LOOKS = 100, FRAMES_OF_A_MESSAGE = 5 };

struct bus {
    void *socket;
    enum bus_role role;
    struct loop *loop;
    struct loop_watch *watch;
    bus_message_fn *fn;
    void *arg;
    bool
        look; /* something may have come in since the last look: the descriptor said so, or we sent */
    size_t frames; /* received since the socket was last found empty */
    char endpoint[ENDPOINT_BYTES];
};

struct role_row {
    int type;
    bool bind;
};

static const struct role_row roles[] = {
    [BUS_ROUTER] = {ZMQ_ROUTER, true},
    [BUS_DEALER] = {ZMQ_DEALER, false},
    [BUS_XPUB] = {ZMQ_XPUB, true},
    [BUS_SUB] = {ZMQ_SUB, false},
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

static void set_options(void *socket, const struct bus_options *options)
{
    int send = options->send_queue_messages;
    int receive = options->receive_queue_messages;
    set_int(socket, ZMQ_LINGER, LINGER_MS);
    set_int(socket, ZMQ_SNDHWM, send > 0 ? send : DEFAULT_QUEUE_MESSAGES);
    set_int(socket, ZMQ_RCVHWM, receive > 0 ? receive : DEFAULT_QUEUE_MESSAGES);
    set_int(socket, ZMQ_BACKLOG, BACKLOG);
    set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    set_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_message_bytes, sizeof max_message_bytes) !=
        0) {
        bug("ZMQ_MAXMSGSIZE: errno %d", errno);
    }
    if (options->role == BUS_ROUTER) {
        set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
        set_int(socket, ZMQ_ROUTER_HANDOVER, 1);
    }
    if (options->role == BUS_DEALER) {
        /* Without it messages queue for a peer that is not there, and look as if they were sent. */
        set_int(socket, ZMQ_IMMEDIATE, 1);
    }
    if (options->identity != NULL) {
        (void)zmq_setsockopt(socket, ZMQ_ROUTING_ID, options->identity,
                             strlen(options->identity));
    }
}

enum err bus_open(struct bus **out, void *context, const struct bus_options *options,
                  struct err_text *why)
{
    const struct role_row *row = &roles[options->role];
    struct bus *bus = mem_zero(1, sizeof *bus);
    bus->role = options->role;
    bus->socket = zmq_socket(context, row->type);
    if (bus->socket == NULL) {
        free(bus);
        return err_set(why, ERR_IO, "zmq_socket: %s", zmq_strerror(errno));
    }
    set_options(bus->socket, options);
    int failed = row->bind ? zmq_bind(bus->socket, options->endpoint)
                           : zmq_connect(bus->socket, options->endpoint);
    if (failed != 0) {
        int saved = errno;
        bus_close(&bus);
        return err_set(why, ERR_CONFIG, "%s %s: %s", row->bind ? "bind" : "connect",
                       options->endpoint, zmq_strerror(saved));
    }
    size_t len = sizeof bus->endpoint;
    if (zmq_getsockopt(bus->socket, ZMQ_LAST_ENDPOINT, bus->endpoint, &len) != 0) {
        bus->endpoint[0] = '\0';
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
    loop_unwatch(&bus->watch);
    (void)zmq_close(bus->socket);
    free(bus);
    *bus_p = NULL;
}

enum err bus_subscribe(struct bus *bus, const char *prefix)
{
    return zmq_setsockopt(bus->socket, ZMQ_SUBSCRIBE, prefix, strlen(prefix)) == 0 ? ERR_OK
                                                                                   : ERR_IO;
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

enum err bus_attach(struct bus *bus, struct loop *loop, bus_message_fn *fn, void *arg)
{
    int fd = -1;
    size_t len = sizeof fd;
    if (zmq_getsockopt(bus->socket, ZMQ_FD, &fd, &len) != 0) {
        return ERR_IO;
    }
    bus->loop = loop;
    bus->fn = fn;
    bus->arg = arg;
    bus->look = true;
    return loop_watch(loop, fd, LOOP_READ, wake, bus, &bus->watch);
}

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

/* Subscriptions come in on an XPUB and are of no interest. */
static void drop_subscriptions(struct bus *bus)
{
    char ignored[WIRE_TOPIC_BYTES];
    while (zmq_recv(bus->socket, ignored, sizeof ignored, ZMQ_DONTWAIT) >= 0) {
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
        drop_subscriptions(bus);
        return;
    }
    for (int i = 0; i < budget; i++) {
        struct wire_in in;
        look_before_message(bus);
        enum err err = wire_recv(bus->socket, bus->role == BUS_ROUTER, &in);
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
