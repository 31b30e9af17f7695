/* The assertion of a service account: its form, and that the signature is the key's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "oauth_jwt.h"

static const struct oauth_jwt who = {.issuer = "robot@accounts.test",
                                     .subject = "box@example.test",
                                     .audience = "https://example.test/token",
                                     .scope = "https://mail.example.test/",
                                     .issued_at_s = 1700000000};

static char *pem_of(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(bio, &data);
    char *pem = calloc(1, (size_t)len + 1);
    assert_non_null(pem);
    memcpy(pem, data, (size_t)len);
    BIO_free(bio);
    return pem;
}

/* base64url without padding to bytes; returns their number. */
static size_t decode(const char *text, size_t len, uint8_t *out)
{
    char copy[4096] = {0};
    assert_true(len + 4 < sizeof copy);
    for (size_t i = 0; i < len; i++) {
        copy[i] = text[i];
        copy[i] = copy[i] == '-' ? '+' : copy[i];
        copy[i] = copy[i] == '_' ? '/' : copy[i];
    }
    size_t padding = (4 - len % 4) % 4;
    memset(copy + len, '=', padding);
    int got = EVP_DecodeBlock(out, (const unsigned char *)copy, (int)(len + padding));
    assert_true(got >= 0);
    return (size_t)got - padding;
}

static void assertion_is_signed_by_the_key(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct buf out;
    struct err_text why = {0};
    EVP_PKEY *key = EVP_RSA_gen(2048);
    char *pem = pem_of(key);
    buf_init(&out, 65536);
    assert_int_equal(oauth_jwt_sign(&who, pem, &out, &why), ERR_OK);
    const char *first = strchr(out.data, '.');
    const char *second = strchr(first + 1, '.');
    size_t len = decode(out.data, (size_t)(first - out.data), bytes);
    assert_memory_equal(bytes, "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", len);
    len = decode(first + 1, (size_t)(second - first - 1), bytes);
    static const char claims[] =
        "{\"iss\":\"robot@accounts.test\",\"sub\":\"box@example.test\",\"aud\":"
        "\"https://example.test/token\",\"scope\":\"https://mail.example.test/\",\"iat\":"
        "1700000000,\"exp\":1700003600}";
    assert_int_equal(len, sizeof claims - 1);
    assert_memory_equal(bytes, claims, len);
    len = decode(second + 1, strlen(second + 1), bytes);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(context, bytes, len, (const unsigned char *)out.data,
                                      (size_t)(second - out.data)),
                     1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    free(pem);
    buf_fini(&out);
}

static void keys_of_the_wrong_kind_are_refused(void **state)
{
    (void)state;
    EVP_PKEY *small = EVP_RSA_gen(1024);
    EVP_PKEY *other = EVP_EC_gen("P-256");
    char *pems[] = {pem_of(small), pem_of(other),
                    strdup("-----BEGIN PRIVATE KEY-----\nsecret\n"), strdup("")};
    for (size_t i = 0; i < sizeof pems / sizeof pems[0]; i++) {
        struct buf out;
        struct err_text why = {0};
        buf_init(&out, 65536);
        assert_int_equal(oauth_jwt_sign(&who, pems[i], &out, &why), ERR_INVALID);
        assert_non_null(strstr(why.text, "oauth_key: must be an RSA key of 2048 bits"));
        assert_int_equal(out.len, 0);
        buf_fini(&out);
        free(pems[i]);
    }
    EVP_PKEY_free(small);
    EVP_PKEY_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assertion_is_signed_by_the_key),
        cmocka_unit_test(keys_of_the_wrong_kind_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
