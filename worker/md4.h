/* MD4 (RFC 1320), which NTLM's password hash is made of and nothing else may be.
 *
 * Our own, because OpenSSL 3 keeps it in the legacy provider: not loaded by default, and left out
 * of many installations. */
#ifndef TPN_MD4_H
#define TPN_MD4_H

#include <stddef.h>
#include <stdint.h>

enum { MD4_BYTES = 16 };

/* The digest of len bytes. What was copied of them is wiped. */
void md4(const void *data, size_t len, uint8_t out[MD4_BYTES]);

#endif
