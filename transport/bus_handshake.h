/* What became of the handshakes of a socket: ZeroMQ says nothing to who uses it, only to a monitor socket (zmq_socket_monitor(3)).
 *
 * Without this a client with a wrong key waits for ever, for its socket only looks as if nobody listened. */
#ifndef TPN_BUS_HANDSHAKE_H
#define TPN_BUS_HANDSHAKE_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum bus_handshake_news {
    BUS_HANDSHAKE_NONE,
    BUS_HANDSHAKE_GOOD,
    BUS_HANDSHAKE_DENIED, /* the other side refused our key (ZAP status 400) */
    BUS_HANDSHAKE_DIFFERS, /* one side speaks CURVE, the other does not, or it is no ZeroMQ socket */
    BUS_HANDSHAKE_CLOSED /* the connection ended in the middle, or the time was over */
};

enum bus_handshake_side {
    BUS_HANDSHAKE_SERVER, /* hears failures only */
    BUS_HANDSHAKE_CLIENT
};

/* Let a socket tell of its handshakes; call before bind or connect. monitor: out, a PAIR socket of that context, the
 * caller's to close by bus_handshake_end. ERR_IO. */
enum err bus_handshake_begin(void *context, void *socket, enum bus_handshake_side side,
                             void **monitor, struct err_text *why) NODISCARD;

/* Stop it and close the monitor; accepts null. Before the socket is closed. */
void bus_handshake_end(void *socket, void **monitor);

/* Its descriptor, edge-triggered: when it wakes, bus_handshake_next until NONE. -1 = none. */
int bus_handshake_fd(void *monitor);

/* The next news, without waiting. */
enum bus_handshake_news bus_handshake_next(void *monitor);

#endif
