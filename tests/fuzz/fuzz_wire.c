/* Frames: what comes out of a socket, over a pair of ZeroMQ's inproc sockets and no network.
 *
 * Input: a byte (odd: as a ROUTER gets it, the peer's id first), then frames: two bytes of length, big-endian, and as many
 * bytes, or what is left of them. A good message is sent on and must arrive as the same verb. */
#include "fuzz.h"

#include "pb.h"
#include "wire.h"

#include <string.h>
#include <zmq.h>

enum { FRAMES = 8, LENGTH_BYTES = 2, EVENT_FLAG = 2 };

struct pair {
    void *context;
    void *near;
    void *far;
    struct arena arena; /* of what comes out of far */
};

static void pair_open(struct pair *p)
{
    int none = 0;
    arena_init(&p->arena, NULL, 0); /* blocks of its own, which a sanitizer watches */
    p->context = zmq_ctx_new();
    p->near = zmq_socket(p->context, ZMQ_PAIR);
    p->far = zmq_socket(p->context, ZMQ_PAIR);
    demand(zmq_setsockopt(p->near, ZMQ_LINGER, &none, sizeof none) == 0, "linger");
    demand(zmq_setsockopt(p->far, ZMQ_LINGER, &none, sizeof none) == 0, "linger");
    demand(zmq_bind(p->near, "inproc://fuzz") == 0, "bind");
    demand(zmq_connect(p->far, "inproc://fuzz") == 0, "connect");
}

/* A context of one input would cost a thread each: the pair stays, and is empty between inputs. */
static struct pair *pair_shared(void)
{
    static struct pair pair;
    if (pair.context == NULL) {
        pair_open(&pair);
    }
    return &pair;
}

/* Returns false when there was no frame. */
static bool send_frames(void *socket, const uint8_t *data, size_t size)
{
    size_t at = 0;
    for (int i = 0; i < FRAMES && size - at >= LENGTH_BYTES; i++) {
        size_t len = (size_t)data[at] << 8 | data[at + 1];
        at += LENGTH_BYTES;
        len = len < size - at ? len : size - at;
        bool more = i + 1 < FRAMES && size - at - len >= LENGTH_BYTES;
        demand(zmq_send(socket, data + at, len, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0,
               "send");
        at += len;
    }
    return at > 0;
}

static void demand_same(struct pair *p, const struct wire_in *in)
{
    struct wire_in again = {.verb = WIRE_NONE};
    bool routed = in->peer.len > 0;
    const struct wire_peer *peer = routed ? &in->peer : NULL;
    demand(wire_send(p->far, peer, in->verb, in->body, in->payload) == ERR_OK, "send on");
    enum err err = wire_recv(p->near, routed, NULL, &again);
    demand(err == ERR_OK, "sent on: %s, %s: %s", err_name(err), again.fault.field,
           again.fault.rule);
    demand(again.verb == in->verb, "%s became %s", wire_verb_name(in->verb),
           wire_verb_name(again.verb));
    demand(!routed || wire_peer_same(&again.peer, &in->peer), "another peer");
    wire_in_fini(&again);
}

/* Each request of a SUBMITS is a message of its own. */
static void try_parts(const struct wire_in *whole)
{
    const PB(Submits) *list = (const PB(Submits) *)wire_body_copy(whole->body);
    struct wire_in bare =
        *whole; /* the parts in pieces of their own: the arena has the whole */
    bare.arena = NULL;
    struct wire_piece piece = {.data = wire_blob_data(whole->payload)};
    for (size_t i = 0; i < list->n_request_bytes; i++) {
        struct wire_in part;
        piece.len = list->request_bytes[i];
        enum err err = wire_recv_part(&bare, piece, &part);
        demand(part.verb == WIRE_SUBMIT && wire_blob_len(part.raw) == piece.len,
               "another part");
        demand((err == ERR_OK) == (part.body != NULL), "part after %s", err_name(err));
        demand(err == ERR_OK || part.fault.rule[0] != '\0', "%s without a rule", err_name(err));
        wire_in_fini(&part);
        piece.data += piece.len;
    }
    demand(piece.data == wire_blob_data(whole->payload) + wire_blob_len(whole->payload),
           "parts that do not come out even");
    protobuf_c_message_free_unpacked((ProtobufCMessage *)(uintptr_t)&list->base, NULL);
}

static void try_message(struct pair *p, bool routed)
{
    struct wire_in in = {.verb = WIRE_NONE};
    enum err err = wire_recv(p->far, routed, &p->arena, &in);
    demand(err != ERR_AGAIN && err != ERR_IO, "nothing came: %s", err_name(err));
    if (err == ERR_OK) {
        demand(in.verb != WIRE_NONE && in.body != NULL && in.raw != NULL, "half a message");
        if (!routed || in.peer.len > 0) {
            demand_same(p, &in);
        }
        if (in.verb == WIRE_SUBMITS) {
            try_parts(&in);
        }
    } else {
        demand(in.body == NULL && in.fault.rule[0] != '\0', "%s without a rule", err_name(err));
    }
    wire_in_fini(&in);
}

static void try_event(struct pair *p)
{
    char topic[WIRE_TOPIC_BYTES];
    ProtobufCMessage *event = NULL;
    enum err err = wire_recv_event(p->far, NULL, topic, &event);
    demand(err == ERR_OK || err == ERR_PROTO, "event: %s", err_name(err));
    demand((err == ERR_OK) == (event != NULL), "event after %s", err_name(err));
    if (event != NULL) {
        demand(strnlen(topic, sizeof topic) < sizeof topic, "no end of the topic");
        protobuf_c_message_free_unpacked(event, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pair *p = pair_shared();
    if (size == 0 || !send_frames(p->near, data + 1, size - 1)) {
        return 0;
    }
    if ((data[0] & EVENT_FLAG) != 0) {
        try_event(p);
    } else {
        try_message(p, data[0] % 2 == 1);
    }
    return 0;
}
