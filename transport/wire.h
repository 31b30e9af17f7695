/* The only code that knows verbs and frames (proto/README.md "Frames").
 *
 *   frame 0   ASCII verb, TPN1.<NAME>
 *   frame 1   a protobuf message of the type that the verb names
 *   frame 2   JOB only: a NotificationRequest, byte for byte as its producer sent it; JOBS and SUBMITS: several, one behind
 *             the other
 *
 * On a ROUTER the peer's routing id goes before, and an empty delimiter when the peer is a REQ socket. */
#ifndef TPN_WIRE_H
#define TPN_WIRE_H

#include "arena.h"
#include "err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_REQUEST_MAX_BYTES = 25 * 1024 * 1024, /* frame 1 of SUBMIT */
    WIRE_BODY_MAX_BYTES = 4 * 1024 * 1024,     /* frame 1 of every other verb */
    WIRE_SUBMITS_MAX_BYTES = 64 * 1024,        /* frame 2 of SUBMITS */
    WIRE_SUBMITS_MAX = 256,                    /* requests in it */
    WIRE_PEER_MAX_BYTES = 255,                 /* of a ZeroMQ routing id */
    WIRE_USER_BYTES = 64                       /* of a ZAP user id, with its NUL */
};

enum wire_verb {
    WIRE_NONE = 0,
    /* submit */
    WIRE_SUBMIT,
    WIRE_RECEIPT,
    WIRE_QUERY,
    WIRE_STATE,
    WIRE_ERROR,
    /* work */
    WIRE_READY,
    WIRE_CREDIT,
    WIRE_PERMIT_ASK, /* TPN1.PERMIT? */
    WIRE_RESULT,
    WIRE_EXTEND,
    WIRE_BYE,
    WIRE_BEAT,
    WIRE_JOB,
    WIRE_PERMIT,
    WIRE_RESULT_OK,
    WIRE_PROFILE,
    WIRE_DRAIN,
    /* submit, admin and work */
    WIRE_PROBE,
    WIRE_PROBED,
    /* admin */
    WIRE_QUEUE_LS,
    WIRE_QUEUE_PAGE,
    WIRE_QUEUE_SHOW,
    WIRE_PROFILES,
    WIRE_PROFILES_OK,
    WIRE_STATS,
    WIRE_STATS_OK,
    WIRE_WITHDRAW,
    WIRE_WITHDRAWN,
    WIRE_PAUSE,
    WIRE_PAUSED,
    WIRE_QUEUE_ACT,
    WIRE_QUEUE_ACTED,
    WIRE_TOP,
    WIRE_TOPS,
    WIRE_DRAIN_ACT,
    WIRE_DRAINING,
    WIRE_DAYS,
    WIRE_DAYS_OK,
    WIRE_EVIDENCE,
    WIRE_EVIDENCE_OK,
    WIRE_BACKUP,
    WIRE_BACKED_UP,
    /* submit and admin */
    WIRE_REPLAY,
    WIRE_REPLAYED,
    /* work */
    WIRE_JOBS,
    /* submit */
    WIRE_SUBMITS,
    WIRE_RECEIPTS,
    WIRE_VERB_COUNT
};

/* "TPN1.SUBMIT", …; borrowed. WIRE_NONE gives "". */
const char *wire_verb_name(enum wire_verb verb);

/* Type of frame 1. */
const ProtobufCMessageDescriptor *wire_verb_type(enum wire_verb verb);

/* Bytes that came in one frame, kept without a copy, with one owner. One thread at a time. */
struct wire_blob;
/* Its bytes; borrowed while the blob lives. */
const uint8_t *wire_blob_data(const struct wire_blob *blob);
/* How many. */
size_t wire_blob_len(const struct wire_blob *blob);
/* Free it and null the pointer. */
void wire_blob_free(struct wire_blob **blob); /* accepts null */
/* A blob of the caller's own bytes, copied. */
struct wire_blob *wire_blob_copy(const void *data, size_t len);
/* Bytes of somebody else's. */
struct wire_piece {
    const uint8_t *data;
    size_t len;
};
/* A blob of the bytes of all of them, copied, one behind the other. */
struct wire_blob *wire_blob_join(const struct wire_piece pieces[], size_t count);

/* Who sent a message to a ROUTER, and how it wants its answer. */
struct wire_peer {
    uint8_t len; /* 0 on sockets that do not route */
    uint8_t id[WIRE_PEER_MAX_BYTES];
    bool delimiter; /* a REQ socket: an empty frame stands before the verb */
    bool together;  /* what it asked came in a SUBMITS: it knows RECEIPTS */
};

/* What was wrong with a message that could not be used. */
struct wire_fault {
    char field
        [160]; /* path of the field, "message.to[2].address"; empty for the frames themselves */
    char rule[256];
};

/* Say what is wrong, cut where it is too long.
 *  field  its path; "" for the frames themselves
 * Returns false, for who has to say so in turn. */
bool wire_refuse(struct wire_fault *fault, const char *field, const char *rule, ...)
    PRINTF_LIKE(3, 4);

/* A received message. wire_in_fini frees what it holds. */
struct wire_in {
    struct wire_peer peer;
    /* The ZAP user id of the connection (zap.h): the sender's public key; "" on a socket without keys. No peer can choose it. */
    char user[WIRE_USER_BYTES];
    enum wire_verb verb;    /* WIRE_NONE when frame 0 is no verb of ours */
    ProtobufCMessage *body; /* frame 1, unpacked; null with a fault */
    struct arena *arena;    /* where body lies; null = in pieces of its own */
    struct wire_blob *raw;  /* frame 1 as it came; null when it was missing */
    struct wire_blob *
        payload; /* frame 2; null when there was none. Of JOBS and SUBMITS: as long as frame 1 says */
    size_t frames; /* that the socket gave, with the peer's id; for who counts them */
    struct wire_fault fault;
};
/* Free body, raw and payload, those that were not taken out. Everything in the arena is gone. */
void wire_in_fini(struct wire_in *in);
/* A protobuf varint (protobuf.dev/programming-guides/encoding) at out: 1 to 10 bytes; returns how many. For who puts a
 * tag or a length before bytes that are packed already. */
size_t wire_put_varint(uint8_t *out, uint64_t value);
/* Put a copy of the text into a string field of the body. */
void wire_in_set_text(const struct wire_in *in, char **field, const char *text);
/* A copy with all that is in it; the caller frees it with protobuf_c_message_free_unpacked. */
ProtobufCMessage *wire_body_copy(const ProtobufCMessage *body) __attribute__((returns_nonnull));
/* Unpack into an arena, where everything of the message then lies; null = in pieces of its own. Null when the bytes are no such message, or for want of memory. */
ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, struct arena *arena,
                              size_t len, const uint8_t *data);
/* Take the body out: the caller frees it with protobuf_c_message_free_unpacked. Null when there is none. One that lies in an
 * arena is copied, so this is not for what comes by the thousand. */
ProtobufCMessage *wire_in_take_body(struct wire_in *in);

/* Receive one message from a ZeroMQ socket, without waiting.
 *  routed  the socket is a ROUTER: the peer's id comes first
 *  arena   where the body goes, empty; borrowed until wire_in_fini, which empties it. Null = the body may be taken out as it is
 * Returns ERR_OK; ERR_AGAIN nothing there; ERR_PROTO frames, verb or protobuf are wrong (in->fault, in->peer and,
 * as far as it was read, in->verb say what); ERR_INVALID or ERR_LIMIT a field breaks its rule (in->fault, in->raw);
 * ERR_IO the socket failed. After any return but ERR_AGAIN and ERR_IO the caller calls wire_in_fini. */
enum err wire_recv(void *socket, bool routed, struct arena *arena,
                   struct wire_in *in) NODISCARD;

/* One request of a SUBMITS, as wire_recv would give it had it come in a SUBMIT of its own, with peer.together set.
 *  whole  the SUBMITS; its body is not used, and when both have an arena it must have been dropped: the arena is empty
 *  piece  the request, of whole's frame 2; copied
 *  part   out; wire_in_fini frees it, and empties the arena
 * Returns ERR_OK, ERR_PROTO, ERR_INVALID or ERR_LIMIT, as wire_recv. */
enum err wire_recv_part(const struct wire_in *whole, struct wire_piece piece,
                        struct wire_in *part) NODISCARD;

/* Send one message, without waiting. peer is null on sockets that do not route; payload may be null; both
 * and the body are borrowed.
 * Returns ERR_OK; ERR_AGAIN the peer's queue is full; ERR_NOT_FOUND the peer is gone; ERR_IO otherwise. */
enum err wire_send(void *socket, const struct wire_peer *peer, enum wire_verb verb,
                   const ProtobufCMessage *body, struct wire_blob *payload) NODISCARD;

/* As wire_send with frame 1 already packed. */
enum err wire_send_packed(void *socket, const struct wire_peer *peer, enum wire_verb verb,
                          const void *data, size_t len) NODISCARD;

/* A status event: frame 0 the topic, frame 1 the packed StatusEvent. The same errors as wire_send. */
enum err wire_publish(void *socket, const char *topic, const void *event, size_t len) NODISCARD;

/* Receive a status event, without waiting.
 *  topic  out, at least WIRE_TOPIC_BYTES
 *  arena  where the event goes, until the caller empties it; null = the caller frees the event with
 *         protobuf_c_message_free_unpacked
 *  event  out, unpacked
 * Returns ERR_OK, ERR_AGAIN, ERR_PROTO or ERR_IO. */
enum { WIRE_TOPIC_BYTES = 256 };
enum err wire_recv_event(void *socket, struct arena *arena, char topic[WIRE_TOPIC_BYTES],
                         ProtobufCMessage **event) NODISCARD;

/* Receive a subscription to an XPUB, without waiting.
 *  subscribes  out: true = begins, false = ends
 *  prefix      out; one that is longer is cut, which makes it match more than was asked for: refuse it (ERR_LIMIT)
 *  user        out: as wire_in.user
 * Returns ERR_OK, ERR_AGAIN, ERR_PROTO (no subscription), ERR_LIMIT or ERR_IO. */
enum err wire_recv_subscription(void *socket, bool *subscribes, char prefix[WIRE_TOPIC_BYTES],
                                char user[WIRE_USER_BYTES]) NODISCARD;

/* Topic of an event, "tpn1.<producer>.<STATE>.<id>"; state without its prefix; returns out. */
const char *wire_topic(const char *producer, const char *state, const char *id,
                       char out[WIRE_TOPIC_BYTES]);

/* True when two peers are the same. */
bool wire_peer_same(const struct wire_peer *a, const struct wire_peer *b);

#endif
