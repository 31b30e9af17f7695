/* Verbs and frames.
 *
 * The only file that builds or takes apart a ZeroMQ message. It checks every frame 1 against the field rules before it
 * unpacks it, so nothing behind it sees a value that breaks one. It knows no mail and keeps no state.
 *
 * Design notes: a received frame is kept as it came (wire_blob holds the zmq_msg_t) and sent on by reference, so the bytes
 * of a request are not copied between the producer's message and the worker's. */
#include "wire.h"

#include "check.h"
#include "mem.h"
#include "pack.h"
#include "pb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define VERB_PREFIX "TPN1."

struct verb_row {
    const char *name;
    const ProtobufCMessageDescriptor *type;
    size_t max_bytes; /* of frame 1; 0 = WIRE_BODY_MAX_BYTES */
    bool payload;     /* has frame 2 */
};

static const struct verb_row verbs[WIRE_VERB_COUNT] = {
    [WIRE_NONE] = {"", NULL, 0, false},
    [WIRE_SUBMIT] = {VERB_PREFIX "SUBMIT", PB_DESCRIPTOR(notification_request),
                     WIRE_REQUEST_MAX_BYTES, false},
    [WIRE_RECEIPT] = {VERB_PREFIX "RECEIPT", PB_DESCRIPTOR(receipt), 0, false},
    [WIRE_QUERY] = {VERB_PREFIX "QUERY", PB_DESCRIPTOR(query), 0, false},
    [WIRE_STATE] = {VERB_PREFIX "STATE", PB_DESCRIPTOR(query_reply), WIRE_REQUEST_MAX_BYTES,
                    false},
    [WIRE_WITHDRAW] = {VERB_PREFIX "WITHDRAW", PB_DESCRIPTOR(withdraw), 0, false},
    [WIRE_WITHDRAWN] = {VERB_PREFIX "WITHDRAWN", PB_DESCRIPTOR(withdrawn), 0, false},
    [WIRE_ERROR] = {VERB_PREFIX "ERROR", PB_DESCRIPTOR(error), 0, false},
    [WIRE_READY] = {VERB_PREFIX "READY", PB_DESCRIPTOR(ready), 0, false},
    [WIRE_CREDIT] = {VERB_PREFIX "CREDIT", PB_DESCRIPTOR(credit), 0, false},
    [WIRE_PERMIT_ASK] = {VERB_PREFIX "PERMIT?", PB_DESCRIPTOR(permit_ask), 0, false},
    [WIRE_RESULT] = {VERB_PREFIX "RESULT", PB_DESCRIPTOR(result), WIRE_REQUEST_MAX_BYTES,
                     false},
    [WIRE_EXTEND] = {VERB_PREFIX "EXTEND", PB_DESCRIPTOR(extend), 0, false},
    [WIRE_BYE] = {VERB_PREFIX "BYE", PB_DESCRIPTOR(bye), 0, false},
    [WIRE_BEAT] = {VERB_PREFIX "BEAT", PB_DESCRIPTOR(beat), 0, false},
    [WIRE_JOB] = {VERB_PREFIX "JOB", PB_DESCRIPTOR(job), 0, true},
    [WIRE_JOBS] = {VERB_PREFIX "JOBS", PB_DESCRIPTOR(jobs), 0, true},
    [WIRE_SUBMITS] = {VERB_PREFIX "SUBMITS", PB_DESCRIPTOR(submits), 0, true},
    [WIRE_RECEIPTS] = {VERB_PREFIX "RECEIPTS", PB_DESCRIPTOR(receipts), 0, false},
    [WIRE_PERMIT] = {VERB_PREFIX "PERMIT", PB_DESCRIPTOR(permit), 0, false},
    [WIRE_RESULT_OK] = {VERB_PREFIX "RESULT_OK", PB_DESCRIPTOR(result_ok), 0, false},
    [WIRE_PROFILE] = {VERB_PREFIX "PROFILE", PB_DESCRIPTOR(profile), 0, false},
    [WIRE_DRAIN] = {VERB_PREFIX "DRAIN", PB_DESCRIPTOR(drain), 0, false},
    [WIRE_PROBE] = {VERB_PREFIX "PROBE", PB_DESCRIPTOR(probe), 0, false},
    [WIRE_PROBED] = {VERB_PREFIX "PROBED", PB_DESCRIPTOR(probe_report), 0, false},
    [WIRE_QUEUE_LS] = {VERB_PREFIX "QUEUE_LS", PB_DESCRIPTOR(queue_list), 0, false},
    [WIRE_QUEUE_PAGE] = {VERB_PREFIX "QUEUE_PAGE", PB_DESCRIPTOR(queue_page),
                         WIRE_REQUEST_MAX_BYTES, false},
    [WIRE_QUEUE_SHOW] = {VERB_PREFIX "QUEUE_SHOW", PB_DESCRIPTOR(queue_show), 0, false},
    [WIRE_QUEUE_ACT] = {VERB_PREFIX "QUEUE_ACT", PB_DESCRIPTOR(queue_act), 0, false},
    [WIRE_QUEUE_ACTED] = {VERB_PREFIX "QUEUE_ACTED", PB_DESCRIPTOR(queue_acted), 0, false},
    [WIRE_PROFILES] = {VERB_PREFIX "PROFILES", PB_DESCRIPTOR(profile_ask), 0, false},
    [WIRE_PROFILES_OK] = {VERB_PREFIX "PROFILES_OK", PB_DESCRIPTOR(profile_list),
                          WIRE_REQUEST_MAX_BYTES, false},
    [WIRE_STATS] = {VERB_PREFIX "STATS", PB_DESCRIPTOR(stats_ask), 0, false},
    [WIRE_STATS_OK] = {VERB_PREFIX "STATS_OK", PB_DESCRIPTOR(stats), 0, false},
    [WIRE_PAUSE] = {VERB_PREFIX "PAUSE", PB_DESCRIPTOR(pause), 0, false},
    [WIRE_PAUSED] = {VERB_PREFIX "PAUSED", PB_DESCRIPTOR(paused), 0, false},
    [WIRE_TOP] = {VERB_PREFIX "TOP", PB_DESCRIPTOR(top), 0, false},
    [WIRE_TOPS] = {VERB_PREFIX "TOPS", PB_DESCRIPTOR(tops), 0, false},
    [WIRE_DRAIN_ACT] = {VERB_PREFIX "DRAIN_ACT", PB_DESCRIPTOR(drain_act), 0, false},
    [WIRE_DRAINING] = {VERB_PREFIX "DRAINING", PB_DESCRIPTOR(draining), 0, false},
    [WIRE_DAYS] = {VERB_PREFIX "DAYS", PB_DESCRIPTOR(days_ask), 0, false},
    [WIRE_DAYS_OK] = {VERB_PREFIX "DAYS_OK", PB_DESCRIPTOR(days), 0, false},
    [WIRE_EVIDENCE] = {VERB_PREFIX "EVIDENCE", PB_DESCRIPTOR(evidence_ask), 0, false},
    [WIRE_EVIDENCE_OK] = {VERB_PREFIX "EVIDENCE_OK", PB_DESCRIPTOR(evidence),
                          WIRE_REQUEST_MAX_BYTES, false},
    [WIRE_BACKUP] = {VERB_PREFIX "BACKUP", PB_DESCRIPTOR(backup_act), 0, false},
    [WIRE_BACKED_UP] = {VERB_PREFIX "BACKED_UP", PB_DESCRIPTOR(backed_up), 0, false},
    [WIRE_REPLAY] = {VERB_PREFIX "REPLAY", PB_DESCRIPTOR(replay), 0, false},
    [WIRE_REPLAYED] = {VERB_PREFIX "REPLAYED", PB_DESCRIPTOR(replayed), WIRE_REQUEST_MAX_BYTES,
                       false},
};

const char *wire_verb_name(enum wire_verb verb)
{
    return verbs[verb].name;
}

const ProtobufCMessageDescriptor *wire_verb_type(enum wire_verb verb)
{
    return verbs[verb].type;
}

/* ---- blobs ---- */

struct wire_blob {
    zmq_msg_t msg;
};

const uint8_t *wire_blob_data(const struct wire_blob *blob)
{
    /* zmq_msg_data takes no const, and changes nothing. */
    return zmq_msg_data((zmq_msg_t *)(uintptr_t)&blob->msg);
}

size_t wire_blob_len(const struct wire_blob *blob)
{
    return zmq_msg_size(&blob->msg);
}

void wire_blob_free(struct wire_blob **blob_p)
{
    struct wire_blob *blob = *blob_p;
    *blob_p = NULL;
    if (blob != NULL) {
        (void)zmq_msg_close(&blob->msg);
        free(blob);
    }
}

/* The message moves into the blob. */
static struct wire_blob *blob_of(zmq_msg_t *msg)
{
    struct wire_blob *blob = mem_zero(1, sizeof *blob);
    (void)zmq_msg_init(&blob->msg);
    (void)zmq_msg_move(&blob->msg, msg);
    return blob;
}

/* A message of the given bytes; data null leaves them to be filled. */
static void *msg_new(zmq_msg_t *msg, const void *data, size_t len)
{
    if (zmq_msg_init_size(msg, len) != 0) {
        bug("out of memory for a message of %zu bytes", len);
    }
    if (data != NULL && len > 0) {
        memcpy(zmq_msg_data(msg), data, len);
    }
    return zmq_msg_data(msg);
}

struct wire_blob *wire_blob_copy(const void *data, size_t len)
{
    zmq_msg_t msg;
    msg_new(&msg, data, len);
    return blob_of(&msg);
}

struct wire_blob *wire_blob_join(const struct wire_piece pieces[], size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += pieces[i].len;
    }
    zmq_msg_t msg;
    uint8_t *at = msg_new(&msg, NULL, len);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len > 0) {
            memcpy(at, pieces[i].data, pieces[i].len);
        }
        at += pieces[i].len;
    }
    return blob_of(&msg);
}

/* ---- receiving ---- */

enum { MAX_FRAMES = 5 }; /* id, delimiter, verb, body, payload */

struct frames {
    zmq_msg_t msg[MAX_FRAMES];
    size_t count;
    size_t seen; /* with those that had no room */
    bool too_many;
};

static void frames_close(struct frames *frames)
{
    for (size_t i = 0; i < frames->count; i++) {
        (void)zmq_msg_close(&frames->msg[i]);
    }
    frames->count = 0;
}

/* All frames of one message; those behind the room are read and dropped, for the message must be read whole. */
static enum err frames_recv(void *socket, struct frames *frames)
{
    int more = 1;
    frames->count = 0;
    frames->seen = 0;
    frames->too_many = false;
    while (more) {
        zmq_msg_t extra;
        bool fits = frames->count < MAX_FRAMES;
        // cppcheck-suppress uninitvar ; zmq_msg_init below makes it one
        zmq_msg_t *msg = fits ? &frames->msg[frames->count] : &extra;
        (void)zmq_msg_init(msg);
        if (zmq_msg_recv(msg, socket, ZMQ_DONTWAIT) < 0) {
            int saved = errno;
            (void)zmq_msg_close(msg);
            frames_close(frames);
            return saved == EAGAIN || saved == EINTR ? ERR_AGAIN : ERR_IO;
        }
        more = zmq_msg_more(msg);
        frames->seen++;
        if (fits) {
            frames->count++;
        } else {
            frames->too_many = true;
            (void)zmq_msg_close(msg);
        }
    }
    return ERR_OK;
}

/* Who sent it, as the ZAP handler said at the handshake (zmq_msg_gets(3), RFC 27). */
static void take_user(const zmq_msg_t *msg, char user[WIRE_USER_BYTES])
{
    const char *value = zmq_msg_gets(msg, "User-Id");
    mem_text_into(user, WIRE_USER_BYTES, value != NULL ? value : "");
}

static enum wire_verb verb_of(zmq_msg_t *msg)
{
    const char *data = zmq_msg_data(msg);
    size_t len = zmq_msg_size(msg);
    for (int i = WIRE_NONE + 1; i < WIRE_VERB_COUNT; i++) {
        if (strlen(verbs[i].name) == len && memcmp(verbs[i].name, data, len) == 0) {
            return (enum wire_verb)i;
        }
    }
    return WIRE_NONE;
}

static enum err fault(struct wire_in *in, enum err code, const char *rule)
{
    in->fault.field[0] = '\0';
    (void)snprintf(in->fault.rule, sizeof in->fault.rule, "%s", rule);
    return code;
}

static enum err unknown_verb(struct wire_in *in, zmq_msg_t *msg)
{
    const char *data = zmq_msg_data(msg);
    size_t len = zmq_msg_size(msg);
    size_t prefix = strlen(VERB_PREFIX);
    if (len < prefix || memcmp(data, VERB_PREFIX, prefix) != 0) {
        return fault(in, ERR_PROTO,
                     "frame 0 must be a verb of this version, " VERB_PREFIX "<NAME>");
    }
    return fault(in, ERR_PROTO, "unknown verb");
}

static void *body_alloc(void *arena, size_t len)
{
    return arena_take(arena, len);
}

/* Pieces go with their arena. */
static void body_free(void *arena, void *piece)
{
    (void)arena;
    (void)piece;
}

ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, struct arena *arena,
                              size_t len, const uint8_t *data)
{
    ProtobufCAllocator allocator = {body_alloc, body_free, arena};
    return protobuf_c_message_unpack(type, arena != NULL ? &allocator : NULL, len, data);
}

/* Frame 1: length, field rules, then the message itself. */
static enum err take_body(struct wire_in *in, zmq_msg_t *msg)
{
    const struct verb_row *row = &verbs[in->verb];
    size_t max = row->max_bytes > 0 ? row->max_bytes : WIRE_BODY_MAX_BYTES;
    in->raw = blob_of(msg);
    size_t len = wire_blob_len(in->raw);
    if (len > max) {
        (void)fault(in, ERR_LIMIT, "");
        (void)snprintf(in->fault.rule, sizeof in->fault.rule,
                       "frame 1 has %zu bytes, at most %zu are allowed", len, max);
        return ERR_LIMIT;
    }
    const uint8_t *data = wire_blob_data(in->raw);
    enum err err = check_bytes(row->type, data, len, &in->fault);
    if (err != ERR_OK) {
        return err;
    }
    in->body = wire_unpack(row->type, in->arena, len, data);
    if (in->body == NULL) {
        return fault(in, ERR_PROTO, "frame 1 is not the protobuf message that the verb names");
    }
    return ERR_OK;
}

/* What lies in an arena goes with it. */
static void drop_body(struct wire_in *in)
{
    if (in->arena == NULL && in->body != NULL) {
        protobuf_c_message_free_unpacked(in->body, NULL);
    }
    in->body = NULL;
}

/* Frame 2 of JOBS and SUBMITS is cut by what frame 1 says: that must come out even. */
static enum err check_joined(struct wire_in *in)
{
    const PB(Jobs) *jobs = in->verb == WIRE_JOBS ? (const PB(Jobs) *)in->body : NULL;
    const PB(Submits) *submits = jobs == NULL ? (const PB(Submits) *)in->body : NULL;
    size_t count = jobs != NULL ? jobs->n_jobs : submits->n_request_bytes;
    size_t left = wire_blob_len(in->payload);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = jobs != NULL ? jobs->jobs[i]->request_bytes : submits->request_bytes[i];
        bool last = i + 1 == count;
        if (bytes > 0 && (last ? bytes == left : bytes < left)) {
            left -= bytes;
            continue;
        }
        (void)snprintf(in->fault.field, sizeof in->fault.field,
                       jobs != NULL ? "jobs[%zu].request_bytes" : "request_bytes[%zu]", i);
        (void)snprintf(in->fault.rule, sizeof in->fault.rule,
                       "is %zu, but frame 2 has %zu bytes for %s", bytes, left,
                       last ? "this request, the last" : "this request and those behind it");
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* Frame 2, once frame 1 is read. */
static enum err check_payload(struct wire_in *in)
{
    size_t len = in->payload != NULL ? wire_blob_len(in->payload) : 0;
    if (in->verb == WIRE_SUBMITS && len > WIRE_SUBMITS_MAX_BYTES) {
        (void)wire_refuse(&in->fault, "", "frame 2 has %zu bytes, at most %d are allowed", len,
                          (int)WIRE_SUBMITS_MAX_BYTES);
        return ERR_LIMIT;
    }
    return in->verb == WIRE_JOBS || in->verb == WIRE_SUBMITS ? check_joined(in) : ERR_OK;
}

/* Everything from the verb on. */
static enum err take_frames(struct wire_in *in, struct frames *frames, size_t at)
{
    if (at >= frames->count) {
        return fault(in, ERR_PROTO, "frame 0, the verb, is missing");
    }
    in->verb = verb_of(&frames->msg[at]);
    if (in->verb == WIRE_NONE) {
        return unknown_verb(in, &frames->msg[at]);
    }
    size_t wanted = at + 2 + (verbs[in->verb].payload ? 1 : 0);
    if (frames->too_many || frames->count > wanted) {
        return fault(in, ERR_PROTO, "too many frames");
    }
    if (frames->count < wanted) {
        return fault(in, ERR_PROTO,
                     frames->count == at + 1 ? "frame 1, the message, is missing"
                                             : "frame 2, the request, is missing");
    }
    if (verbs[in->verb].payload) {
        in->payload = blob_of(&frames->msg[at + 2]);
    }
    enum err err = take_body(in, &frames->msg[at + 1]);
    if (err == ERR_OK) {
        err = check_payload(in);
    }
    if (err != ERR_OK) {
        drop_body(in);
    }
    return err;
}

enum err wire_recv(void *socket, bool routed, struct arena *arena, struct wire_in *in)
{
    struct frames frames;
    memset(in, 0, offsetof(struct wire_in, peer.id));
    in->peer.delimiter = false;
    in->peer.together = false;
    in->user[0] = '\0';
    in->verb = WIRE_NONE;
    in->body = NULL;
    in->arena = arena;
    in->raw = NULL;
    in->payload = NULL;
    in->fault.field[0] = '\0';
    in->fault.rule[0] = '\0';
    enum err err = frames_recv(socket, &frames);
    if (err != ERR_OK) {
        return err;
    }
    in->frames = frames.seen;
    /* The first frame of a ROUTER is its own, the last is the peer's. */
    take_user(&frames.msg[frames.count - 1], in->user);
    size_t at = 0;
    if (routed) {
        size_t len = zmq_msg_size(&frames.msg[0]);
        in->peer.len = (uint8_t)(len <= WIRE_PEER_MAX_BYTES ? len : WIRE_PEER_MAX_BYTES);
        memcpy(in->peer.id, zmq_msg_data(&frames.msg[0]), in->peer.len);
        at = 1;
    }
    if (at < frames.count && zmq_msg_size(&frames.msg[at]) == 0) {
        in->peer.delimiter = true;
        at++;
    }
    err = take_frames(in, &frames, at);
    frames_close(&frames);
    return err;
}

enum err wire_recv_part(const struct wire_in *whole, struct wire_piece piece,
                        struct wire_in *part)
{
    zmq_msg_t msg;
    part->peer = whole->peer;
    part->peer.together = true;
    memcpy(part->user, whole->user, sizeof part->user);
    part->verb = WIRE_SUBMIT;
    part->body = NULL;
    part->arena = whole->arena;
    part->payload = NULL;
    part->frames = 0;
    part->fault.field[0] = '\0';
    part->fault.rule[0] = '\0';
    msg_new(&msg, piece.data, piece.len);
    enum err err = take_body(part, &msg);
    if (err != ERR_OK) {
        drop_body(part);
    }
    return err;
}

void wire_in_fini(struct wire_in *in)
{
    drop_body(in);
    if (in->arena != NULL) {
        arena_reset(in->arena);
    }
    wire_blob_free(&in->raw);
    wire_blob_free(&in->payload);
}

bool wire_refuse(struct wire_fault *fault, const char *field, const char *rule, ...)
{
    va_list args;
    va_start(args, rule);
    (void)snprintf(fault->field, sizeof fault->field, "%s", field);
    if (vsnprintf(fault->rule, sizeof fault->rule, rule, args) < 0) {
        fault->rule[0] = '\0';
    }
    va_end(args);
    return false;
}

size_t wire_put_varint(uint8_t *out, uint64_t value)
{
    size_t used = 0;
    while (value >= 0x80) {
        out[used++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[used++] = (uint8_t)value;
    return used;
}

void wire_in_set_text(const struct wire_in *in, char **field, const char *text)
{
    if (in->arena != NULL) {
        *field = arena_copy(in->arena, text, strlen(text) + 1);
        return;
    }
    if (*field != protobuf_c_empty_string) { /* what an absent field points to */
        free(*field);                        /* protobuf-c's own allocator is malloc(3) */
    }
    *field = mem_text(text);
}

ProtobufCMessage *wire_body_copy(const ProtobufCMessage *body)
{
    size_t len;
    uint8_t *bytes = pack_new(body, &len);
    ProtobufCMessage *copy = wire_unpack(body->descriptor, NULL, len, bytes);
    free(bytes);
    if (copy == NULL) {
        bug("%s: packed, but not unpacked", body->descriptor->name);
    }
    return copy;
}

ProtobufCMessage *wire_in_take_body(struct wire_in *in)
{
    ProtobufCMessage *body = in->body;
    in->body = NULL;
    return body != NULL && in->arena != NULL ? wire_body_copy(body) : body;
}

/* ---- sending ---- */

static enum err send_error(void)
{
    switch (errno) {
    case EAGAIN:
    case EINTR:
        return ERR_AGAIN;
    case EHOSTUNREACH:
        return ERR_NOT_FOUND;
    default:
        return ERR_IO;
    }
}

static enum err send_frame(void *socket, zmq_msg_t *msg, int flags)
{
    if (zmq_msg_send(msg, socket, flags | ZMQ_DONTWAIT) < 0) {
        enum err err = send_error();
        (void)zmq_msg_close(msg);
        return err;
    }
    return ERR_OK;
}

static enum err send_bytes(void *socket, const void *data, size_t len, int flags)
{
    zmq_msg_t msg;
    msg_new(&msg, data, len);
    return send_frame(socket, &msg, flags);
}

/* Routing id and delimiter. Only the first frame of a message can fail for want of room or of the peer. */
static enum err send_envelope(void *socket, const struct wire_peer *peer)
{
    if (peer == NULL) {
        return ERR_OK;
    }
    enum err err = send_bytes(socket, peer->id, peer->len, ZMQ_SNDMORE);
    if (err == ERR_OK && peer->delimiter) {
        err = send_bytes(socket, NULL, 0, ZMQ_SNDMORE);
    }
    return err;
}

static enum err send_head(void *socket, const struct wire_peer *peer, enum wire_verb verb)
{
    enum err err = send_envelope(socket, peer);
    if (err != ERR_OK) {
        return err;
    }
    return send_bytes(socket, verbs[verb].name, strlen(verbs[verb].name), ZMQ_SNDMORE);
}

enum err wire_send(void *socket, const struct wire_peer *peer, enum wire_verb verb,
                   const ProtobufCMessage *body, struct wire_blob *payload)
{
    enum err err = send_head(socket, peer, verb);
    if (err != ERR_OK) {
        return err;
    }
    zmq_msg_t msg;
    uint8_t *room = msg_new(&msg, NULL, protobuf_c_message_get_packed_size(body));
    (void)protobuf_c_message_pack(body, room);
    err = send_frame(socket, &msg, payload != NULL ? ZMQ_SNDMORE : 0);
    if (err != ERR_OK || payload == NULL) {
        return err;
    }
    zmq_msg_t copy;
    (void)zmq_msg_init(&copy);
    (void)zmq_msg_copy(&copy, &payload->msg);
    return send_frame(socket, &copy, 0);
}

enum err wire_send_packed(void *socket, const struct wire_peer *peer, enum wire_verb verb,
                          const void *data, size_t len)
{
    enum err err = send_head(socket, peer, verb);
    if (err != ERR_OK) {
        return err;
    }
    return send_bytes(socket, data, len, 0);
}

/* ---- status ---- */

enum err wire_publish(void *socket, const char *topic, const void *event, size_t len)
{
    enum err err = send_bytes(socket, topic, strlen(topic), ZMQ_SNDMORE);
    if (err != ERR_OK) {
        return err;
    }
    return send_bytes(socket, event, len, 0);
}

enum err wire_recv_event(void *socket, struct arena *arena, char topic[WIRE_TOPIC_BYTES],
                         ProtobufCMessage **event)
{
    struct frames frames;
    enum err err = frames_recv(socket, &frames);
    if (err != ERR_OK) {
        return err;
    }
    err = ERR_PROTO;
    *event = NULL;
    if (frames.count == 2 && !frames.too_many &&
        zmq_msg_size(&frames.msg[0]) < WIRE_TOPIC_BYTES) {
        size_t len = zmq_msg_size(&frames.msg[0]);
        memcpy(topic, zmq_msg_data(&frames.msg[0]), len);
        topic[len] = '\0';
        *event = wire_unpack(PB_DESCRIPTOR(status_event), arena, zmq_msg_size(&frames.msg[1]),
                             zmq_msg_data(&frames.msg[1]));
        err = *event != NULL ? ERR_OK : ERR_PROTO;
    }
    frames_close(&frames);
    return err;
}

enum err wire_recv_subscription(void *socket, bool *subscribes, char prefix[WIRE_TOPIC_BYTES],
                                char user[WIRE_USER_BYTES])
{
    struct frames frames;
    enum err err = frames_recv(socket, &frames);
    if (err != ERR_OK) {
        return err;
    }
    const char *data = zmq_msg_data(&frames.msg[0]);
    size_t len = zmq_msg_size(&frames.msg[0]);
    take_user(&frames.msg[0], user);
    prefix[0] = '\0';
    if (len == 0 || (data[0] != 0 && data[0] != 1)) {
        err = ERR_PROTO;
    } else if (len > WIRE_TOPIC_BYTES) {
        err = ERR_LIMIT;
    } else {
        *subscribes = data[0] == 1;
        memcpy(prefix, data + 1, len - 1);
        prefix[len - 1] = '\0';
    }
    frames_close(&frames);
    return err;
}

const char *wire_topic(const char *producer, const char *state, const char *id,
                       char out[WIRE_TOPIC_BYTES])
{
    const char *const words[] = {"tpn1.", producer, ".", state, ".", id};
    size_t used = 0; /* an event each: printf would cost as much as all the rest of it */
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t len = strnlen(words[i], WIRE_TOPIC_BYTES - 1 - used);
        memcpy(out + used, words[i], len);
        used += len;
    }
    out[used] = '\0';
    return out;
}

bool wire_peer_same(const struct wire_peer *a, const struct wire_peer *b)
{
    return a->len == b->len && memcmp(a->id, b->id, a->len) == 0;
}
