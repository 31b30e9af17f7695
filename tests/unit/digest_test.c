/* Digests against published values, identifiers against RFC 9562. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "digest.h"

static void sha256_gives_the_published_values(void **state)
{
    (void)state;
    uint8_t sum[DIGEST_BYTES];
    char hex[2 * DIGEST_BYTES + 1];
    digest_sha256("abc", 3, sum); /* FIPS 180-4, example of the standard */
    assert_string_equal(digest_hex(sum, sizeof sum, hex),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_sha256("", 0, sum);
    assert_string_equal(digest_hex(sum, sizeof sum, hex),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void texts_are_digested_with_their_borders(void **state)
{
    (void)state;
    static const char *const one[] = {"ab", "c"};
    static const char *const other[] = {"a", "bc"};
    uint8_t a[DIGEST_BYTES];
    uint8_t b[DIGEST_BYTES];
    digest_texts(one, 2, a);
    digest_texts(other, 2, b);
    assert_memory_not_equal(a, b, sizeof a);
    digest_sha256("ab\0c", 5, b); /* each with its NUL */
    assert_memory_equal(a, b, sizeof a);
    struct digest_maker *maker = digest_maker_new();
    for (int i = 0; i < 2; i++) { /* the second time out of the same context */
        digest_maker_texts(maker, one, 2, b);
        assert_memory_equal(a, b, sizeof a);
    }
    digest_maker_free(&maker);
}

static void uuids_are_of_version_7_and_rise(void **state)
{
    (void)state;
    char last[DIGEST_UUID_BYTES] = "";
    for (int i = 0; i < 1000; i++) {
        char uuid[DIGEST_UUID_BYTES];
        (void)digest_uuid7(uuid);
        assert_int_equal(strlen(uuid), 36);
        assert_int_equal(strspn(uuid, "0123456789abcdef-"), 36);
        assert_true(uuid[8] == '-' && uuid[13] == '-' && uuid[18] == '-' && uuid[23] == '-');
        assert_int_equal(uuid[14], '7');
        assert_non_null(strchr("89ab", uuid[19]));
        assert_string_not_equal(uuid, last);
        assert_true(strncmp(uuid, last, 13) >= 0); /* the milliseconds */
        memcpy(last, uuid, sizeof last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_published_values),
        cmocka_unit_test(texts_are_digested_with_their_borders),
        cmocka_unit_test(uuids_are_of_version_7_and_rise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
