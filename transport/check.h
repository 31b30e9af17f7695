/* The field rules of proto/README.md, held against the bytes before anything is allocated.
 *
 * Walks the protobuf encoding with the message's descriptor and one table of rules: depth, counts, lengths, UTF-8,
 * control characters, ranges, required fields. Knows nothing of mail: what an address is says address.h. */
#ifndef TPN_CHECK_H
#define TPN_CHECK_H

#include "err.h"
#include "wire.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/* Check the encoding of one message.
 *  type   descriptor of the message in data
 *  fault  filled on any return but ERR_OK: path and rule
 * Returns ERR_OK; ERR_PROTO not the encoding of such a message (cut, wrong wire type, too deep); ERR_INVALID a value
 * breaks its rule; ERR_LIMIT too long or too many.
 * Source: protobuf.dev/programming-guides/encoding; proto/README.md "Fields". */
enum err check_bytes(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                     struct wire_fault *fault) NODISCARD;

/* The text of a top-level string field, without unpacking the rest: so that a refusal can name the request.
 *  out  room bytes; "" when the field is missing, does not fit or is no valid text
 */
void check_find_text(const uint8_t *data, size_t len, uint32_t field, char *out, size_t room);

#endif
