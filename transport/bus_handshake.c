/* The monitor socket of a ZeroMQ socket, and its events in our words.
 *
 * libzmq writes an event with a send that waits (socket_base.cpp, monitor_event), in its I/O thread; so the monitor has no
 * high-water mark, and whoever attached it to a loop reads it empty. An event costs the peer a TCP connection and us 40 bytes. */
#include "bus_handshake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum {
    ENDPOINT_BYTES = 64,
    EVENT_BYTES =
        6, /* 16 bits event, 32 bits value, in the machine's order (zmq_socket_monitor(3)) */
    ADDRESS_BYTES = 256
};

static const int failures = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                            ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                            ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

enum err bus_handshake_begin(void *context, void *socket, enum bus_handshake_side side,
                             void **monitor, struct err_text *why)
{
    char endpoint[ENDPOINT_BYTES];
    int none = 0;
    int events =
        side == BUS_HANDSHAKE_CLIENT ? failures | ZMQ_EVENT_HANDSHAKE_SUCCEEDED : failures;
    (void)snprintf(endpoint, sizeof endpoint, "inproc://handshakes-%p", socket);
    *monitor = NULL;
    if (zmq_socket_monitor(socket, endpoint, events) != 0) {
        return err_set(why, ERR_IO, "zmq_socket_monitor: %s", zmq_strerror(errno));
    }
    *monitor = zmq_socket(context, ZMQ_PAIR);
    if (*monitor == NULL || zmq_setsockopt(*monitor, ZMQ_RCVHWM, &none, sizeof none) != 0 ||
        zmq_setsockopt(*monitor, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_connect(*monitor, endpoint) != 0) {
        int saved = errno;
        bus_handshake_end(socket, monitor);
        return err_set(why, ERR_IO, "monitor of a socket: %s", zmq_strerror(saved));
    }
    return ERR_OK;
}

void bus_handshake_end(void *socket, void **monitor)
{
    /* In this order: a monitor without a reader would make the I/O thread wait. */
    (void)zmq_socket_monitor(socket, NULL, 0);
    if (*monitor != NULL) {
        (void)zmq_close(*monitor);
        *monitor = NULL;
    }
}

int bus_handshake_fd(void *monitor)
{
    int fd = -1;
    size_t len = sizeof fd;
    return zmq_getsockopt(monitor, ZMQ_FD, &fd, &len) == 0 ? fd : -1;
}

static enum bus_handshake_news news_of(uint16_t event)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        return BUS_HANDSHAKE_GOOD;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return BUS_HANDSHAKE_DENIED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return BUS_HANDSHAKE_DIFFERS;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return BUS_HANDSHAKE_CLOSED;
    default:
        return BUS_HANDSHAKE_NONE;
    }
}

enum bus_handshake_news bus_handshake_next(void *monitor)
{
    uint8_t event[EVENT_BYTES];
    char address[ADDRESS_BYTES];
    for (;;) {
        int len = zmq_recv(monitor, event, sizeof event, ZMQ_DONTWAIT);
        if (len < 0) {
            return BUS_HANDSHAKE_NONE;
        }
        (void)zmq_recv(monitor, address, sizeof address, ZMQ_DONTWAIT); /* the second frame */
        uint16_t number = 0;
        memcpy(&number, event, sizeof number);
        enum bus_handshake_news news =
            len == EVENT_BYTES ? news_of(number) : BUS_HANDSHAKE_NONE;
        if (news != BUS_HANDSHAKE_NONE) {
            return news;
        }
    }
}
