/* Sealed values: what one key sealed another does not open, every kind of certificate, what is no sealed value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"
#include "path.h"
#include "seal.h"
#include "seal_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])
#define SECRET "h\xc3\xbcnter2 with blanks"

static char folder[] = "/tmp/tpn-seal-XXXXXX";
static const char *const names[] = {"rsa", "ec", "other"};

static char *place(const char *name, const char *ending)
{
    static char path[4][128];
    static unsigned turn;
    char *out = path[turn++ % 4];
    (void)snprintf(out, sizeof path[0], "%s/%s%s", folder, name, ending);
    return out;
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_int_equal(
            seal_write_identity(place(names[i], ""), i == 1 ? SEAL_EC : SEAL_RSA, (long)i + 1),
            0);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        (void)unlink(place(names[i], ".pem"));
        (void)unlink(place(names[i], ".key"));
    }
    return rmdir(folder);
}

static enum err add_key(struct seal_keys **keys, const char *certificate, const char *key,
                        struct err_text *why)
{
    struct buf pem;
    buf_init(&pem, 1 << 16);
    assert_int_equal(path_read(place(key, ".key"), &pem, why), ERR_OK);
    enum err err = seal_keys_add(keys, place(certificate, ".pem"), buf_text(&pem), why);
    buf_fini(&pem);
    return err;
}

/* Seal to the named certificates, two at most. */
static void seal_to(const char *one, const char *two, struct buf *out)
{
    const char *const paths[] = {place(one, ".pem"), two != NULL ? place(two, ".pem") : NULL,
                                 NULL};
    struct seal_certificates *certificates = NULL;
    struct err_text why = {.code = ERR_OK};
    assert_int_equal(seal_certificates_read(paths, &certificates, &why), ERR_OK);
    assert_int_equal(seal_make(certificates, SECRET, strlen(SECRET), out, &why), ERR_OK);
    seal_certificates_free(&certificates);
    seal_certificates_free(&certificates);
}

static void assert_opens(const struct seal_keys *keys, const char *text)
{
    char secret[256];
    size_t len = 0;
    struct err_text why = {.code = ERR_OK};
    if (seal_open(keys, text, secret, sizeof secret, &len, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(len, strlen(SECRET));
    assert_memory_equal(secret, SECRET, len);
}

static void assert_refused(const struct seal_keys *keys, const char *text, enum err err,
                           const char *says)
{
    static const char nothing[256] = {0};
    char secret[256] = "before";
    size_t len = 9;
    struct err_text why = {.code = ERR_OK};
    enum err got = seal_open(keys, text, secret, sizeof secret, &len, &why);
    if (got != err || strstr(why.text, says) == NULL) {
        fail_msg("%.40s: %s: %s", text, err_name(got), why.text);
    }
    assert_int_equal(len, 0);
    if (strnlen(text, SEAL_TEXT_MAX_BYTES + 1) <= SEAL_TEXT_MAX_BYTES) {
        assert_memory_equal(secret, nothing, sizeof secret);
    }
    assert_null(strstr(why.text, "nter2"));
}

static void only_the_key_of_a_recipient_opens(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct seal_keys *keys = NULL;
        struct seal_keys *stranger = NULL;
        struct err_text why = {.code = ERR_OK};
        struct buf text;
        buf_init(&text, SEAL_TEXT_MAX_BYTES);
        seal_to(names[i], NULL, &text);
        assert_true(seal_is_sealed(buf_text(&text)));
        assert_null(strstr(buf_text(&text), "nter2"));
        assert_int_equal(add_key(&keys, names[i], names[i], &why), ERR_OK);
        assert_int_equal(add_key(&stranger, names[(i + 1) % 3], names[(i + 1) % 3], &why),
                         ERR_OK);
        assert_opens(keys, buf_text(&text));
        assert_refused(stranger, buf_text(&text), ERR_NOT_FOUND, "another certificate");
        assert_refused(NULL, buf_text(&text), ERR_NOT_FOUND, "no key");
        seal_keys_free(&keys);
        seal_keys_free(&stranger);
        buf_fini(&text);
    }
}

/* Old and new certificate, old and new key: at no step is there a value that nobody opens. */
static void keys_change_without_a_gap(void **state)
{
    struct seal_keys *old = NULL;
    struct seal_keys *new = NULL;
    struct seal_keys *both = NULL;
    struct err_text why = {.code = ERR_OK};
    struct buf text;
    (void)state;
    assert_int_equal(add_key(&old, "rsa", "rsa", &why), ERR_OK);
    assert_int_equal(add_key(&new, "ec", "ec", &why), ERR_OK);
    assert_int_equal(add_key(&both, "rsa", "rsa", &why), ERR_OK);
    assert_int_equal(add_key(&both, "ec", "ec", &why), ERR_OK);
    buf_init(&text, SEAL_TEXT_MAX_BYTES);
    seal_to("rsa", "ec", &text);
    assert_opens(old, buf_text(&text));
    assert_opens(new, buf_text(&text));
    buf_reset(&text);
    seal_to("ec", NULL, &text);
    assert_opens(both, buf_text(&text));
    buf_fini(&text);
    seal_keys_free(&old);
    seal_keys_free(&new);
    seal_keys_free(&both);
    seal_keys_free(&both);
}

static void what_is_no_sealed_value_is_told(void **state)
{
    static const char *const bad[] = {
        "sealed:",
        "sealed:A",
        "sealed:AAA",
        "sealed:AAAA",
        "sealed:====",
        "sealed:A===",
        "sealed:AA=A",
        "sealed:MAA=",
        "sealed:AA A",
        "sealed:AAAA\n",
        "sealed:MIAA*",
        "file:/etc/pass",
        "",
        "sealed:MIAwgDCA",
    };
    struct seal_keys *keys = NULL;
    struct err_text why = {.code = ERR_OK};
    struct buf text;
    (void)state;
    assert_int_equal(add_key(&keys, "ec", "ec", &why), ERR_OK);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_refused(keys, bad[i], ERR_INVALID, "no base64 of a CMS EnvelopedData");
    }
    buf_init(&text, 2 * SEAL_TEXT_MAX_BYTES);
    seal_to("ec", NULL, &text);
    char *cut = mem_text(buf_text(&text));
    cut[strlen(cut) - 8] = '\0';
    assert_refused(keys, cut, ERR_INVALID, "no base64");
    free(cut);
    while (text.len <= SEAL_TEXT_MAX_BYTES) {
        buf_add_text(&text, "AAAA");
    }
    assert_refused(keys, buf_text(&text), ERR_INVALID, "longer than");
    buf_fini(&text);
    seal_keys_free(&keys);
}

static void a_key_must_be_that_of_its_certificate(void **state)
{
    struct seal_keys *keys = NULL;
    struct err_text why = {.code = ERR_OK};
    (void)state;
    assert_int_equal(add_key(&keys, "rsa", "other", &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "not that of the certificate"));
    assert_int_equal(seal_keys_add(&keys, place("rsa", ".key"), "", &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "no certificate"));
    assert_int_equal(seal_keys_add(&keys, place("rsa", ".pem"), "x", &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "no private key"));
    assert_int_equal(seal_keys_add(&keys, "/nowhere.pem", "x", &why), ERR_CONFIG);
    seal_keys_free(&keys);
}

static void what_cannot_be_sealed_is_told(void **state)
{
    static char longest[SEAL_CLEAR_MAX_BYTES + 1];
    const char *const paths[] = {place("ec", ".pem"), NULL};
    const char *const many[] = {paths[0], paths[0], paths[0], paths[0], paths[0],
                                paths[0], paths[0], paths[0], paths[0], NULL};
    struct seal_certificates *certificates = NULL;
    struct err_text why = {.code = ERR_OK};
    struct buf out;
    (void)state;
    memset(longest, 'x', sizeof longest);
    buf_init(&out, SEAL_TEXT_MAX_BYTES);
    assert_int_equal(seal_certificates_read(many, &certificates, &why), ERR_CONFIG);
    assert_null(certificates);
    assert_int_equal(seal_certificates_read(paths, &certificates, &why), ERR_OK);
    assert_int_equal(seal_make(certificates, "", 0, &out, &why), ERR_INVALID);
    assert_int_equal(seal_make(certificates, longest, sizeof longest, &out, &why), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    assert_int_equal(seal_make(certificates, longest, sizeof longest - 1, &out, &why), ERR_OK);
    seal_certificates_free(&certificates);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_key_of_a_recipient_opens),
        cmocka_unit_test(keys_change_without_a_gap),
        cmocka_unit_test(what_is_no_sealed_value_is_told),
        cmocka_unit_test(a_key_must_be_that_of_its_certificate),
        cmocka_unit_test(what_cannot_be_sealed_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
