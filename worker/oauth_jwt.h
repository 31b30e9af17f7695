/* The assertion of a service account: a JWT signed with RS256 (RFC 7523, RFC 7515). */
#ifndef TPN_OAUTH_JWT_H
#define TPN_OAUTH_JWT_H

#include "buf.h"
#include "err.h"

#include <stdint.h>

enum { OAUTH_JWT_LIFE_S = 3600 }; /* Google takes no more */

struct oauth_jwt {
    const char *issuer;   /* the account: client_email at Google */
    const char *subject;  /* the mailbox to act for */
    const char *audience; /* the token endpoint */
    const char *scope;
    int64_t issued_at_s; /* since 1970; it expires OAUTH_JWT_LIFE_S later */
};

/* Append header.claims.signature.
 *  key  PEM, PKCS#8 or PKCS#1, RSA of 2048 bits or more, without a passphrase
 * Returns ERR_OK; ERR_INVALID no such key; ERR_IO OpenSSL cannot sign. why has nothing of the key.
 * About a millisecond for 2048 bits, once for each token: not worth a thread. */
enum err oauth_jwt_sign(const struct oauth_jwt *jwt, const char *key, struct buf *out,
                        struct err_text *why) NODISCARD;

#endif
