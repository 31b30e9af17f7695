/* What people want to know of a server's certificate. Checks nothing: libcurl did. */
#ifndef TPN_CERTIFICATE_H
#define TPN_CERTIFICATE_H

#include <openssl/x509.h>
#include <stdint.h>

enum {
    CERTIFICATE_NAMES_BYTES = 256,
    CERTIFICATE_ISSUER_BYTES = 128,
    CERTIFICATE_PIN_BYTES = 64
};

struct certificate {
    char names
        [CERTIFICATE_NAMES_BYTES]; /* DNS names and addresses it is for, "a.example, 10.0.0.1";
                                            cut at a name; "" = none */
    char issuer[CERTIFICATE_ISSUER_BYTES]; /* common name, else organisation; "" = none */
    int64_t not_after_ms;                  /* wall clock; 0 = cannot be read */
    char pin
        [CERTIFICATE_PIN_BYTES]; /* "sha256//BASE64" of its key, as pinned_public_key wants it */
};

/* Read a certificate, borrowed. What it lacks stays empty.
 * Source: RFC 5280 4.2.1.6; CURLOPT_PINNEDPUBLICKEY(3). */
void certificate_read(const X509 *x509, struct certificate *out);

#endif
