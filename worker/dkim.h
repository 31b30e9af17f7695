/* DKIM signatures: relaxed/relaxed, rsa-sha256 and ed25519-sha256, one header for each key.
 *
 * The headers that make a mail what it is are over-signed: named once more than they occur, so that nobody on the way can
 * add a second one. The time of a signature is the time of acceptance, and both algorithms are deterministic: every
 * attempt makes the same bytes. */
#ifndef TPN_DKIM_H
#define TPN_DKIM_H

#include "buf.h"
#include "dkim_key.h"
#include "settings.h"

#include <stddef.h>
#include <stdint.h>

struct dkim_job {
    const struct settings_dkim *settings; /* count 1 and up */
    struct dkim_keys *keys;
    int64_t signed_at_ms; /* becomes t= */
    size_t head; /* where the header block begins in the mail: the signatures go there */
};

/* Insert a DKIM-Signature header for each key of the settings.
 *  mail  CRLF only, header block, blank line, body; the bytes before head are not signed
 * Returns ERR_OK; ERR_CONFIG a key cannot be used (why names the field); ERR_LIMIT the mail would be larger than its
 * buffer may be. On an error the mail is as it was. Source: RFC 6376 3.4, 3.5, 5.4; RFC 8463; RFC 8301. */
enum err dkim_sign(const struct dkim_job *job, struct buf *mail,
                   struct err_text *why) NODISCARD;

#endif
