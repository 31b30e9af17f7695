/* Mail addresses: what may stand in an envelope and in a header.
 *
 * Stricter than RFC 5321 where laxness helps nobody: no source routes, no comments, no CR, LF, NUL or other control
 * byte anywhere, no leading '-' (a local part that a program could take for an option). */
#ifndef TPN_ADDRESS_H
#define TPN_ADDRESS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ADDRESS_MAX_BYTES = 254, /* RFC 5321 4.5.3.1.3: path 256 with < > */
    ADDRESS_LOCAL_MAX_BYTES = 64,
    ADDRESS_DOMAIN_MAX_BYTES = 253
};

/* local-part@domain: dot-string or quoted string, host name of letters, digits, hyphens and underscores (or UTF-8
 * labels, RFC 6531) or an address literal [192.0.2.1], [IPv6:…].
 * Returns ERR_OK, ERR_INVALID or ERR_LIMIT; why says the rule that is broken, without the address. */
enum err address_check(const char *address, struct err_text *why) NODISCARD;

/* The form for the wire: the domain as A-labels (IDNA2008, libidn2), the local part untouched.
 *  out        at least ADDRESS_MAX_BYTES + 1
 *  needs_utf8 out: the local part has non-ASCII, so only an SMTPUTF8 server can take it
 * The address must have passed address_check. ERR_INVALID: the domain is no valid internationalised name. */
enum err address_to_ascii(const char *address, char out[ADDRESS_MAX_BYTES + 1],
                          bool *needs_utf8, struct err_text *why) NODISCARD;

/* A host name as A-labels, checked: labels of 1..63 letters, digits, hyphens and underscores; no address literal.
 *  host  len bytes, UTF-8 or ASCII; a final dot is refused
 * Returns ERR_OK, ERR_INVALID or ERR_LIMIT. Source: RFC 1123 2.1; RFC 5891; UTS 46. */
enum err address_host_to_ascii(const char *host, size_t len,
                               char out[ADDRESS_DOMAIN_MAX_BYTES + 1],
                               struct err_text *why) NODISCARD;

/* The part after the last @; borrowed from address, "" when there is none. */
const char *address_domain(const char *address);

#endif
