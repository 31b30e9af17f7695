/* SHA-256 (OpenSSL) and identifiers made from it or from chance. */
#ifndef TPN_DIGEST_H
#define TPN_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_BYTES = 32, DIGEST_UUID_BYTES = 37 };

/* SHA-256 of len bytes. Source: FIPS 180-4; EVP_Digest(3). */
void digest_sha256(const void *data, size_t len, uint8_t out[DIGEST_BYTES]);

/* SHA-256 over several texts, each with its terminating NUL, so that "ab","c" differs from "a","bc". */
void digest_texts(const char *const texts[], size_t count, uint8_t out[DIGEST_BYTES]);

/* A piece of what is digested. */
struct digest_part {
    const void *data;
    size_t len;
};

/* Digests many small things: setting OpenSSL up anew for each costs more than the digest itself. */
struct digest_maker;
struct digest_maker *digest_maker_new(void);
/* Free and null; accepts null. */
void digest_maker_free(struct digest_maker **maker);
/* SHA-256 of the parts, one behind the other. */
void digest_maker_run(struct digest_maker *maker, const struct digest_part parts[],
                      size_t count, uint8_t out[DIGEST_BYTES]);

/* As digest_texts, without the setting up. */
void digest_maker_texts(struct digest_maker *maker, const char *const texts[], size_t count,
                        uint8_t out[DIGEST_BYTES]);

/* The first bytes of data as lower-case hex; out has 2 * len + 1 bytes; returns out. */
const char *digest_hex(const uint8_t *data, size_t len, char *out);

/* A new UUIDv7 (RFC 9562 5.7): its order is the order of making, to the millisecond. */
const char *digest_uuid7(char out[DIGEST_UUID_BYTES]);

#endif
