/* JWT with RS256: base64url of header and claims, and EVP_DigestSign over both. */
#include "oauth_jwt.h"

#include "json.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { KEY_MIN_BITS = 2048, CLAIMS_MAX_BYTES = 16384, SIGNATURE_MAX_BYTES = 2048 };

/* RFC 7515 2: base64 with - and _, no padding. */
static void add_base64url(struct buf *out, const void *data, size_t len)
{
    size_t room = 4 * ((len + 2) / 3);
    if (len == 0 || buf_reserve(out, room + 1) != ERR_OK) {
        return;
    }
    char *at = out->data + out->len;
    (void)EVP_EncodeBlock((unsigned char *)at, data, (int)len);
    while (room > 0 && at[room - 1] == '=') {
        room--;
    }
    for (size_t i = 0; i < room; i++) {
        if (at[i] == '+') {
            at[i] = '-';
        } else if (at[i] == '/') {
            at[i] = '_';
        }
    }
    out->len += room;
    out->data[out->len] = '\0';
}

/* A prompt for a passphrase would stop a service: there is none. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key =
        bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

static void add_claims(const struct oauth_jwt *jwt, struct buf *out)
{
    struct json j;
    struct buf claims;
    buf_init(&claims, CLAIMS_MAX_BYTES);
    json_init(&j, &claims);
    json_open(&j, NULL, '{');
    json_text(&j, "iss", jwt->issuer);
    json_text(&j, "sub", jwt->subject);
    json_text(&j, "aud", jwt->audience);
    json_text(&j, "scope", jwt->scope);
    json_int(&j, "iat", jwt->issued_at_s);
    json_int(&j, "exp", jwt->issued_at_s + OAUTH_JWT_LIFE_S);
    json_close(&j);
    add_base64url(out, claims.data, claims.len);
    buf_fini(&claims);
}

enum err oauth_jwt_sign(const struct oauth_jwt *jwt, const char *pem, struct buf *out,
                        struct err_text *why)
{
    static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
    enum err err = ERR_OK;
    EVP_MD_CTX *context = NULL;
    uint8_t signature[SIGNATURE_MAX_BYTES];
    size_t signature_len = sizeof signature;
    size_t start = out->len;
    EVP_PKEY *key = read_key(pem);
    if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
        EVP_PKEY_get_bits(key) < KEY_MIN_BITS) {
        err = err_set(why, ERR_INVALID,
                      "oauth_key: must be an RSA key of %d bits or more in PEM, without a "
                      "passphrase",
                      (int)KEY_MIN_BITS);
        goto out;
    }
    add_base64url(out, header, sizeof header - 1);
    buf_add_char(out, '.');
    add_claims(jwt, out);
    context = EVP_MD_CTX_new();
    if (buf_status(out) != ERR_OK || context == NULL ||
        EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, signature, &signature_len,
                       (const unsigned char *)out->data + start, out->len - start) != 1) {
        ERR_clear_error();
        err = err_set(why, ERR_IO, "oauth_key: OpenSSL cannot sign with it");
        goto out;
    }
    buf_add_char(out, '.');
    add_base64url(out, signature, signature_len);
    err = buf_status(out);
out:
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return err;
}
