/* Private keys for DKIM signatures (RFC 6376, RFC 8463), fetched by reference and kept for a minute.
 *
 * Reading a key costs more than half a signature, so it is not done for each mail; a changed file counts after
 * DKIM_KEY_FRESH_MS at the latest. */
#ifndef TPN_DKIM_KEY_H
#define TPN_DKIM_KEY_H

#include "err.h"

#include <stdint.h>

#include <openssl/types.h>

enum {
    DKIM_KEY_FRESH_MS = 60000,
    DKIM_KEYS_MAX = 64,         /* kept at a time; the one that was read first makes room */
    DKIM_RSA_LEAST_BITS = 1024, /* RFC 8301 3.2: verifiers take 1024 to 4096 */
    DKIM_RSA_MOST_BITS = 4096
};

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };

struct dkim_key {
    EVP_PKEY *key;
    enum dkim_algorithm algorithm;
};

/* The keys that are kept; for one thread. */
struct dkim_keys;
struct seal_keys;

/* seal opens sealed: references; may be null, else it outlives the keys. */
struct dkim_keys *dkim_keys_new(const struct seal_keys *seal);
/* Forget all and null; accepts null. */
void dkim_keys_free(struct dkim_keys **keys);

/* The private key that a reference names.
 *  field   name of the setting, for messages: "dkim_key"
 *  now_ms  monotonic
 *  out     borrowed until the next call
 * Returns ERR_OK; ERR_CONFIG with the reason in plain words: no such file, not a private key in PEM, encrypted, neither
 * RSA nor Ed25519, too short or too long. Source: RFC 8301 3, RFC 8463. */
enum err dkim_keys_get(struct dkim_keys *keys, const char *field, const char *reference,
                       int64_t now_ms, struct dkim_key *out, struct err_text *why) NODISCARD;

#endif
