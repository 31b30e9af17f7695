/* The ZAP handler (RFC 27/ZAP): libzmq asks it at each handshake of a socket that has a domain, and lets nobody in without
 * its yes. Open it before any socket is bound. */
#ifndef TPN_ZAP_H
#define TPN_ZAP_H

#include "bus_key.h"
#include "loop.h"

#include <stdbool.h>

enum { ZAP_ADDRESS_BYTES = 64, ZAP_DOMAIN_BYTES = 32 };

struct zap;

/* One handshake. */
struct zap_ask {
    char domain[ZAP_DOMAIN_BYTES];   /* which socket: bus_options.domain */
    char address[ZAP_ADDRESS_BYTES]; /* where it comes from; an IP address */
    char key
        [BUS_KEY_TEXT_BYTES]; /* the peer's public key, which it has proved to own; "" = it has none */
};

/* True lets it in; the key is then the user id of all its messages (wire_in.user). */
typedef bool zap_fn(void *arg, const struct zap_ask *ask);

/* Bind inproc://zeromq.zap.01 in that context and answer from the loop, without waiting. ERR_CONFLICT: there is one already. */
enum err zap_open(struct zap **out, void *context, struct loop *loop, zap_fn *fn, void *arg,
                  struct err_text *why) NODISCARD;

/* Close and null; after the sockets that it answers for. Accepts null. */
void zap_close(struct zap **zap);

#endif
