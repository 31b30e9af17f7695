/* SUBMITS, taken apart.
 *
 * Knows nothing of requests: the gate judges them, one after the other. */
#include "submits.h"

#include "broker.h"
#include "gate.h"
#include "pb.h"

#include <stdio.h>
#include <string.h>

/* The gate answers bytes that are no request at all with ERROR, which names no request: it has to say which one it was. */
static void say_which(struct wire_in *part, size_t number)
{
    part->verb = WIRE_SUBMITS;
    (void)snprintf(part->fault.field, sizeof part->fault.field, "request_bytes[%zu]", number);
}

void submits_take(struct broker *broker, struct bus *bus, struct wire_in *in)
{
    uint32_t lengths[WIRE_SUBMITS_MAX];
    const PB(Submits) *list = (const PB(Submits) *)in->body;
    size_t count = list->n_request_bytes;
    if (in->peer.delimiter) {
        (void)wire_refuse(&in->fault, "",
                          "only from a DEALER: a REQ socket gets one answer to a message");
        gate_send_error(bus, in);
        return;
    }
    memcpy(lengths, list->request_bytes, count * sizeof *lengths);
    if (in->arena != NULL) { /* each request is unpacked into it in its turn */
        in->body = NULL;
        arena_reset(in->arena);
    }
    struct wire_piece piece = {.data = wire_blob_data(in->payload)};
    for (size_t i = 0; i < count; i++) {
        struct wire_in part;
        piece.len = lengths[i];
        enum err err = wire_recv_part(in, piece, &part);
        if (err == ERR_PROTO) {
            say_which(&part, i);
        }
        gate_message(broker, bus, err, &part);
        wire_in_fini(&part);
        piece.data += piece.len;
    }
    if (in->user[0] != '\0') {
        /* With keys one of them may have brought a clear password, which the gate has sealed. Nobody else has the frame. */
        explicit_bzero((void *)(uintptr_t)wire_blob_data(in->payload),
                       wire_blob_len(in->payload));
    }
}
