/* The ZAP handler.
 *
 * A REP socket in the loop of whoever owns the sockets: it shares the allow list with nobody, and a handshake waits in the
 * I/O thread at most ZMQ_HANDSHAKE_IVL for it. It decides nothing: zap_fn does.
 *
 *   request   version "1.0", request id, domain, address, identity, mechanism, credentials (CURVE: 32 bytes, the public key)
 *   reply     version "1.0", request id, status, text, user id, metadata
 *
 * Source: rfc.zeromq.org/spec/27. Status 400 rather than 300: the client is told, and does not hammer. */
#include "zap.h"

#include "mem.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_VERSION "1.0"

enum { VERSION, REQUEST_ID, DOMAIN, ADDRESS, IDENTITY, MECHANISM, CREDENTIALS, FRAMES };
enum { FRAME_BYTES = 256, PUBLIC_BYTES = 32 };

struct zap {
    void *socket;
    struct loop_watch *watch;
    zap_fn *fn;
    void *arg;
};

struct frame {
    char data[FRAME_BYTES]; /* ends with a NUL */
    size_t len;
};

/* All frames of one message; those behind FRAMES are read and dropped. False = nothing there. */
static bool receive(void *socket, struct frame frames[FRAMES], size_t *count)
{
    int more = 1;
    size_t len = sizeof more;
    *count = 0;
    while (more) {
        struct frame extra;
        struct frame *frame = *count < FRAMES ? &frames[*count] : &extra;
        int got = zmq_recv(socket, frame->data, FRAME_BYTES - 1, ZMQ_DONTWAIT);
        if (got < 0) {
            return false;
        }
        frame->len = (size_t)got < FRAME_BYTES ? (size_t)got : FRAME_BYTES - 1;
        frame->data[frame->len] = '\0';
        *count += 1;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &len) != 0) {
            return false;
        }
    }
    return true;
}

static void send_text(void *socket, const char *text, size_t len, int flags)
{
    (void)zmq_send(socket, text, len,
                   flags | ZMQ_DONTWAIT); /* to libzmq itself: there is room */
}

static void reply(void *socket, const struct frame *id, bool yes, const char *user)
{
    const char *status = yes ? "200" : "400";
    const char *text = yes ? "OK" : "this key may not use this socket";
    send_text(socket, ZAP_VERSION, strlen(ZAP_VERSION), ZMQ_SNDMORE);
    send_text(socket, id->data, id->len, ZMQ_SNDMORE);
    send_text(socket, status, strlen(status), ZMQ_SNDMORE);
    send_text(socket, text, strlen(text), ZMQ_SNDMORE);
    send_text(socket, user, yes ? strlen(user) : 0, ZMQ_SNDMORE);
    send_text(socket, "", 0, 0);
}

static void answer(struct zap *zap, const struct frame frames[FRAMES], size_t count)
{
    struct zap_ask ask = {.key = ""};
    bool curve = count == FRAMES && strcmp(frames[MECHANISM].data, "CURVE") == 0 &&
                 frames[CREDENTIALS].len == PUBLIC_BYTES;
    bool yes = false;
    if (count >= FRAMES && strcmp(frames[VERSION].data, ZAP_VERSION) == 0) {
        (void)snprintf(ask.domain, sizeof ask.domain, "%.31s", frames[DOMAIN].data);
        (void)snprintf(ask.address, sizeof ask.address, "%.63s", frames[ADDRESS].data);
        if (curve) {
            (void)zmq_z85_encode(ask.key, (const uint8_t *)frames[CREDENTIALS].data,
                                 PUBLIC_BYTES);
        }
        yes = zap->fn(zap->arg, &ask) && curve;
    }
    reply(zap->socket, &frames[REQUEST_ID], yes, ask.key);
}

static void wake(void *arg, int events)
{
    struct zap *zap = arg;
    (void)events;
    /* The descriptor is edge-triggered, and a send may take its edge: until nothing is there. */
    for (;;) {
        struct frame frames[FRAMES];
        size_t count = 0;
        frames[REQUEST_ID].len = 0;
        if (!receive(zap->socket, frames, &count)) {
            return;
        }
        answer(zap, frames, count);
    }
}

enum err zap_open(struct zap **out, void *context, struct loop *loop, zap_fn *fn, void *arg,
                  struct err_text *why)
{
    int fd = -1;
    int none = 0;
    size_t len = sizeof fd;
    enum err err = ERR_OK;
    struct zap *zap = mem_zero(1, sizeof *zap);
    zap->fn = fn;
    zap->arg = arg;
    zap->socket = zmq_socket(context, ZMQ_REP);
    if (zap->socket == NULL ||
        zmq_setsockopt(zap->socket, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_bind(zap->socket, ZAP_ENDPOINT) != 0 ||
        zmq_getsockopt(zap->socket, ZMQ_FD, &fd, &len) != 0) {
        err = err_set(why, errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO, "%s: %s", ZAP_ENDPOINT,
                      zmq_strerror(errno));
    }
    if (err == ERR_OK && loop_watch(loop, fd, LOOP_READ, wake, zap, &zap->watch) != ERR_OK) {
        err = err_set(why, ERR_IO, "%s cannot be watched", ZAP_ENDPOINT);
    }
    if (err != ERR_OK) {
        zap_close(&zap);
        return err;
    }
    *out = zap;
    return ERR_OK;
}

void zap_close(struct zap **zap_p)
{
    struct zap *zap = *zap_p;
    if (zap == NULL) {
        return;
    }
    loop_unwatch(&zap->watch);
    if (zap->socket != NULL) {
        (void)zmq_close(zap->socket);
    }
    free(zap);
    *zap_p = NULL;
}
