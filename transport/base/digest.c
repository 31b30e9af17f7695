/* Digests and identifiers, on OpenSSL's libcrypto. */
#include "digest.h"

#include "clock.h"
#include "err.h"
#include "mem.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct digest_maker {
    EVP_MD_CTX *context; /* keeps the algorithm from one digest to the next */
};

void digest_sha256(const void *data, size_t len, uint8_t out[DIGEST_BYTES])
{
    if (EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) != 1) {
        bug("SHA-256 is not available");
    }
}

void digest_texts(const char *const texts[], size_t count, uint8_t out[DIGEST_BYTES])
{
    struct digest_maker *maker = digest_maker_new();
    digest_maker_texts(maker, texts, count, out);
    digest_maker_free(&maker);
}

struct digest_maker *digest_maker_new(void)
{
    struct digest_maker *maker = mem_zero(1, sizeof *maker);
    maker->context = EVP_MD_CTX_new();
    if (maker->context == NULL || EVP_DigestInit_ex(maker->context, EVP_sha256(), NULL) != 1) {
        bug("SHA-256 is not available");
    }
    return maker;
}

void digest_maker_free(struct digest_maker **maker)
{
    if (*maker != NULL) {
        EVP_MD_CTX_free((*maker)->context);
        free(*maker);
        *maker = NULL;
    }
}

void digest_maker_run(struct digest_maker *maker, const struct digest_part parts[],
                      size_t count, uint8_t out[DIGEST_BYTES])
{
    int good = EVP_DigestInit_ex(maker->context, NULL, NULL) == 1;
    for (size_t i = 0; good && i < count; i++) {
        good = EVP_DigestUpdate(maker->context, parts[i].data, parts[i].len) == 1;
    }
    if (!good || EVP_DigestFinal_ex(maker->context, out, NULL) != 1) {
        bug("SHA-256 is not available");
    }
}

void digest_maker_texts(struct digest_maker *maker, const char *const texts[], size_t count,
                        uint8_t out[DIGEST_BYTES])
{
    int good = EVP_DigestInit_ex(maker->context, NULL, NULL) == 1;
    for (size_t i = 0; good && i < count; i++) {
        good = EVP_DigestUpdate(maker->context, texts[i], strlen(texts[i]) + 1) == 1;
    }
    if (!good || EVP_DigestFinal_ex(maker->context, out, NULL) != 1) {
        bug("SHA-256 is not available");
    }
}

const char *digest_hex(const uint8_t *data, size_t len, char *out)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex[data[i] >> 4];
        out[2 * i + 1] = hex[data[i] & 15];
    }
    out[2 * len] = '\0';
    return out;
}

const char *digest_uuid7(char out[DIGEST_UUID_BYTES])
{
    uint8_t b[16];
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    if (RAND_bytes(b + 6, 10) != 1) {
        bug("no random bytes");
    }
    for (int i = 0; i < 6; i++) {
        b[i] = (uint8_t)(now_ms >> (40 - 8 * i));
    }
    b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
    char hex[33];
    digest_hex(b, sizeof b, hex);
    (void)snprintf(out, DIGEST_UUID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
    return out;
}
