/* A password inside a request: who may bring one, and how it is sealed before anything keeps it.
 *
 *   clear text  ─► allowed? over CURVE? ─► sealed to the workers' certificates ─► only then accepted, stored, sent on
 *   sealed:…    ─► allowed?             ─► as it is
 *   reference   ─► refused: it would name a worker's file or variable */
#ifndef TPN_GATE_SECRET_H
#define TPN_GATE_SECRET_H

#include "access.h"
#include "store.h"
#include "wire.h"

#include <stdbool.h>

struct broker;

/* What became of a request's password. */
struct gate_secret {
    bool sealed_here; /* the message was changed */
    uint8_t digest
        [STORE_DIGEST_BYTES]; /* with sealed_here: of the request as it came, but without its password */
};

/* Take a good SUBMIT. A clear password is replaced in in->body and in->raw by a sealed one, and wiped where this
 * program holds it. A request without one is left alone.
 * Returns true, or false with the field and the rule in in->fault; no text of a fault has the password. */
bool gate_secret_take(struct broker *broker, const struct access_entry *who, struct wire_in *in,
                      struct gate_secret *out) NODISCARD;

#endif
