/* Inside libtpn: from a struct tpn_request to the bytes on the wire. */
#ifndef TPN_REQUEST_H
#define TPN_REQUEST_H

#include "tpn.h"

#include "err.h"

/* The id that the request was given, "" when none; borrowed. */
const char *request_id(const struct tpn_request *request);

/* Encode with the given id in place of the request's own; id null = its own.
 *  data  out: len bytes, the caller frees them
 * Returns ERR_OK; ERR_INVALID an earlier setter was wrong; ERR_LIMIT larger than a request may
 * be. */
enum err request_encode(const struct tpn_request *request, const char *id, uint8_t **data,
                        size_t *len, struct err_text *why) NODISCARD;

/* Hold the bytes against the field rules, as the broker will. why names field and rule. */
enum err request_check(const uint8_t *data, size_t len, struct err_text *why) NODISCARD;

/* Copy why out to a caller of the library, who may not want it. */
void request_tell(const struct err_text *from, struct tpn_why *to);

#endif
