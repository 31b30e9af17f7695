/* NTLMv2: the vectors of MS-NLMP 4.2.4 and RFC 1320, the MIC, and challenges that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "md4.h"
#include "ntlm.h"

/* MS-NLMP 4.2.4.3: CHALLENGE of "Server" in "Domain", nonce 0123456789abcdef. */
static const uint8_t spec_challenge[] = {
    0x4e, 0x54, 0x4c, 0x4d, 0x53, 0x53, 0x50, 0x00, 0x02, 0x00, 0x00, 0x00, 0x0c, 0x00, 0x0c,
    0x00, 0x38, 0x00, 0x00, 0x00, 0x33, 0x82, 0x8a, 0xe2, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
    0xcd, 0xef, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x24, 0x00, 0x24, 0x00, 0x44,
    0x00, 0x00, 0x00, 0x06, 0x00, 0x70, 0x17, 0x00, 0x00, 0x00, 0x0f, 0x53, 0x00, 0x65, 0x00,
    0x72, 0x00, 0x76, 0x00, 0x65, 0x00, 0x72, 0x00, 0x02, 0x00, 0x0c, 0x00, 0x44, 0x00, 0x6f,
    0x00, 0x6d, 0x00, 0x61, 0x00, 0x69, 0x00, 0x6e, 0x00, 0x01, 0x00, 0x0c, 0x00, 0x53, 0x00,
    0x65, 0x00, 0x72, 0x00, 0x76, 0x00, 0x65, 0x00, 0x72, 0x00, 0x00, 0x00, 0x00, 0x00};

static const struct ntlm_identity spec_identity = {"Domain\\User", "Password"};
/* Time 0, client nonce aa…; 4.2.1. */
static const struct ntlm_chance spec_chance = {{0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa},
                                               0};

static const char *hex(const void *data, size_t len)
{
    static char out[2048];
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
    return out;
}

static void md4_gives_the_digests_of_rfc_1320(void **state)
{
    static const struct {
        const char *text;
        const char *digest;
    } rows[] = {
        {"", "31d6cfe0d16ae931b73c59d7e0c089c0"},
        {"abc", "a448017aaf21d8525fc10ae87aa6729d"},
        {"message digest", "d9130a8164549fe818874806e1c7014b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "043f8582f241db351ce627e153e7f0e4"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "e33b4ddc9c38f2199c3e7b164fcc0536"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t digest[MD4_BYTES];
        md4(rows[i].text, strlen(rows[i].text), digest);
        assert_string_equal(hex(digest, sizeof digest), rows[i].digest);
    }
}

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] | (unsigned)at[1] << 8;
}

/* A part of an AUTHENTICATE message by where its head stands. */
static const uint8_t *part(const struct buf *message, size_t head, size_t *len)
{
    const uint8_t *data = (const uint8_t *)message->data;
    size_t at = get16(data + head + 4);
    *len = get16(data + head);
    assert_true(at + *len <= message->len);
    return data + at;
}

static enum err answer(const struct ntlm_identity *identity, const void *challenge, size_t len,
                       struct buf *out, struct err_text *why)
{
    struct buf first;
    struct buf second;
    buf_init(&first, 1024);
    buf_init(&second, 16384);
    buf_init(out, 65536);
    ntlm_negotiate(&first);
    buf_add(&second, challenge, len);
    enum err err = ntlm_authenticate(identity, &first, &second, &spec_chance, out, why);
    buf_fini(&first);
    buf_fini(&second);
    return err;
}

static void key_is_that_of_the_specification(void **state)
{
    (void)state;
    uint8_t key[NTLM_KEY_BYTES];
    struct err_text why = {0};
    assert_int_equal(ntlm_key(&spec_identity, key, &why), ERR_OK);
    assert_string_equal(hex(key, sizeof key), "0c868a403bfd7a93a3001ef22ef02e3f");
}

static void answer_is_that_of_the_specification(void **state)
{
    (void)state;
    struct buf out;
    struct err_text why = {0};
    size_t len = 0;
    assert_int_equal(answer(&spec_identity, spec_challenge, sizeof spec_challenge, &out, &why),
                     ERR_OK);
    const uint8_t *at = part(&out, 12, &len);
    assert_string_equal(hex(at, len), "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa");
    at = part(&out, 20, &len);
    assert_string_equal(hex(at, 16), "68cd0ab851e51c96aabc927bebef6a1c");
    /* temp: the target information comes back as it was. */
    assert_string_equal(hex(at + 16, 28),
                        "01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000");
    assert_memory_equal(at + 16 + 28, spec_challenge + 0x44, 0x24);
    at = part(&out, 28, &len);
    assert_string_equal(hex(at, len), "44006f006d00610069006e00");
    at = part(&out, 36, &len);
    assert_string_equal(hex(at, len), "5500730065007200");
    buf_fini(&out);
}

/* The specification's challenge with a time in it, as every Windows since Vista sends. */
static size_t with_time(uint8_t out[sizeof spec_challenge + 12])
{
    static const uint8_t pair[12] = {7, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    size_t end = sizeof spec_challenge - 4;
    memcpy(out, spec_challenge, end);
    memcpy(out + end, pair, sizeof pair);
    memset(out + end + sizeof pair, 0, 4);
    out[40] = out[42] = 0x24 + 12;
    return sizeof spec_challenge + 12;
}

static void server_with_a_time_gets_a_mic_and_no_lm_response(void **state)
{
    (void)state;
    static const uint8_t zeros[24];
    uint8_t challenge[sizeof spec_challenge + 12];
    size_t challenge_len = with_time(challenge);
    struct buf out;
    struct err_text why = {0};
    size_t len = 0;
    assert_int_equal(answer(&spec_identity, challenge, challenge_len, &out, &why), ERR_OK);
    const uint8_t *at = part(&out, 12, &len);
    assert_memory_equal(at, zeros, 24);
    at = part(&out, 20, &len);
    assert_string_equal(hex(at + 16 + 8, 8), "0102030405060708"); /* the server's time */
    /* MsvAvFlags 2 announces the MIC. */
    assert_string_equal(hex(at + len - 16, 16), "06000400020000000000000000000000");
    uint8_t key[NTLM_KEY_BYTES];
    uint8_t session[NTLM_KEY_BYTES];
    uint8_t mic[NTLM_KEY_BYTES];
    uint8_t wanted[NTLM_KEY_BYTES];
    unsigned got = 0;
    assert_int_equal(ntlm_key(&spec_identity, key, &why), ERR_OK);
    assert_non_null(HMAC(EVP_md5(), key, 16, at, 16, session, &got));
    memcpy(mic, out.data + 72, sizeof mic);
    memset(out.data + 72, 0, sizeof mic);
    struct buf all;
    buf_init(&all, 65536);
    ntlm_negotiate(&all);
    buf_add(&all, challenge, challenge_len);
    buf_add(&all, out.data, out.len);
    assert_non_null(
        HMAC(EVP_md5(), session, 16, (const uint8_t *)all.data, all.len, wanted, &got));
    assert_memory_equal(mic, wanted, sizeof mic);
    buf_fini(&all);
    buf_fini(&out);
}

static void names_and_passwords_of_any_script_are_taken(void **state)
{
    (void)state;
    static const struct {
        struct ntlm_identity a;
        struct ntlm_identity b; /* the same key */
    } same[] = {
        {{"D\\user", "p"}, {"D\\USER", "p"}},
        {{"D/user", "p"}, {"D\\user", "p"}},
        {{"j\xc3\xb6rg", "p"}, {"J\xc3\x96RG", "p"}}, /* jörg */
        {{"\xd1\x8e\xd1\x80\xd0\xb8\xd0\xb9", "p"}, {"\xd0\xae\xd0\xa0\xd0\x98\xd0\x99", "p"}},
        {{"user@d.test", "p"}, {"USER@D.TEST", "p"}}, /* a UPN goes whole, domain empty */
    };
    static const struct ntlm_identity odd[] = {
        {"D\\\xe6\x97\xa5\xe6\x9c\xac", "\xe5\xaf\x86\xe7\xa0\x81"}, /* 日本, 密码 */
        {"D\\user", "\xf0\x9f\x94\x91"}, /* a key, outside the BMP */
    };
    uint8_t a[NTLM_KEY_BYTES];
    uint8_t b[NTLM_KEY_BYTES];
    struct err_text why = {0};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_int_equal(ntlm_key(&same[i].a, a, &why), ERR_OK);
        assert_int_equal(ntlm_key(&same[i].b, b, &why), ERR_OK);
        assert_memory_equal(a, b, sizeof a);
    }
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_int_equal(ntlm_key(&odd[i], a, &why), ERR_OK);
    }
    const struct ntlm_identity bad = {"D\\user", "caf\xe9"}; /* Latin-1 */
    assert_int_equal(ntlm_key(&bad, a, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "password: is not UTF-8"));
    assert_null(strstr(why.text, "caf"));
}

static void bad_challenges_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        size_t len;
        size_t at;
        uint8_t value;
    } rows[] = {
        {"no challenge", 0, 0, 'N'},
        {"no challenge", sizeof spec_challenge, 0, 'X'},
        {"no challenge", sizeof spec_challenge, 8, 1},
        {"cut short", 20, 0, 'N'},
        {"version 1", 40, 0, 'N'},
        {"version 1", sizeof spec_challenge, 22, 0x0a},
        {"Unicode", sizeof spec_challenge, 20, 0x32},
        {"outside", sizeof spec_challenge - 1, 0, 'N'},
        {"outside", sizeof spec_challenge, 44, 0xff},
        {"does not end", sizeof spec_challenge, 40, 0x20},
        {"does not end", sizeof spec_challenge, 0x46, 0xff},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[sizeof spec_challenge];
        struct buf out;
        struct err_text why = {0};
        memcpy(bytes, spec_challenge, sizeof bytes);
        bytes[rows[i].at] = rows[i].value;
        enum err err = answer(&spec_identity, bytes, rows[i].len, &out, &why);
        if (err != ERR_PROTO || strstr(why.text, rows[i].says) == NULL || out.len != 0) {
            fail_msg("row %zu: %s: %s", i, err_name(err), why.text);
        }
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(md4_gives_the_digests_of_rfc_1320),
        cmocka_unit_test(key_is_that_of_the_specification),
        cmocka_unit_test(answer_is_that_of_the_specification),
        cmocka_unit_test(server_with_a_time_gets_a_mic_and_no_lm_response),
        cmocka_unit_test(names_and_passwords_of_any_script_are_taken),
        cmocka_unit_test(bad_challenges_are_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
