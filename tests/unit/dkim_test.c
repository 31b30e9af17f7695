/* DKIM signing: keys that can be used and those that cannot, the form of the header, the same bytes again. That the signatures are
 * right is told by other people's verifiers: tests/integration/30-dkim.py. */
#include "dkim.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cmocka.h>

enum { MAIL_MAX_BYTES = 65536, PATH_BYTES = 200 };

static char folder[] = "/tmp/tpn-dkim-XXXXXX";

static const char mail_text[] = "X-Receiver: <a@x.test>\r\n"
                                "From: a@x.test\r\n"
                                "Subject:  two   blanks\r\n\tand a fold \r\n"
                                "To: b@x.test\r\n"
                                "\r\n"
                                "Hello\r\n";

enum cipher { CLEAR, ENCRYPTED, PUBLIC_HALF };

/* Write a key into the folder as NAME. */
static void put_key(const char *name, EVP_PKEY *key, enum cipher cipher)
{
    char path[PATH_BYTES];
    static unsigned char phrase[] = "secret";
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_non_null(key);
    int good =
        cipher == PUBLIC_HALF
            ? PEM_write_PUBKEY(file, key)
            : PEM_write_PrivateKey(file, key, cipher == ENCRYPTED ? EVP_aes_128_cbc() : NULL,
                                   phrase, sizeof phrase - 1, NULL, NULL);
    assert_int_equal(good, 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static int set_up(void **state)
{
    char path[PATH_BYTES];
    (void)state;
    assert_non_null(mkdtemp(folder));
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    EVP_PKEY *weak = EVP_RSA_gen(768);
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    put_key("rsa", rsa, CLEAR);
    put_key("encrypted", rsa, ENCRYPTED);
    put_key("public", rsa, PUBLIC_HALF);
    put_key("weak", weak, CLEAR);
    put_key("ed", ed, CLEAR);
    put_key("ec", ec, CLEAR);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(weak);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(ec);
    (void)snprintf(path, sizeof path, "%s/junk", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("not a key\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"rsa", "encrypted", "public", "weak",
                                        "ed",  "ec",        "junk"};
    char path[PATH_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

struct work {
    struct settings_dkim settings;
    struct dkim_keys *keys;
    struct buf mail;
    char references[2][PATH_BYTES];
};

static void work_init(struct work *w, const char *first, const char *second)
{
    const char *const names[] = {first, second};
    *w = (struct work){.settings = {.domain = "x.test"}, .keys = dkim_keys_new(NULL)};
    for (size_t i = 0; i < 2 && names[i] != NULL; i++) {
        (void)snprintf(w->references[i], PATH_BYTES, "file:%s/%s", folder, names[i]);
        w->settings.keys[w->settings.count++] = (struct settings_dkim_key){
            names[i], w->references[i], i == 0 ? "dkim_key" : "dkim_second_key"};
    }
    buf_init(&w->mail, MAIL_MAX_BYTES);
    buf_add_text(&w->mail, mail_text);
}

static enum err work_sign(struct work *w, struct err_text *why)
{
    const struct dkim_job job = {.settings = &w->settings,
                                 .keys = w->keys,
                                 .signed_at_ms = 1795420800123,
                                 .head = strcspn(mail_text, "\n") + 1};
    return dkim_sign(&job, &w->mail, why);
}

static void work_fini(struct work *w)
{
    buf_fini(&w->mail);
    dkim_keys_free(&w->keys);
}

static void each_key_is_judged(void **state)
{
    static const struct {
        const char *name;
        const char *rule; /* null: it can be used */
    } rows[] = {
        {"rsa", NULL},
        {"ed", NULL},
        {"missing", "dkim_key: cannot open"},
        {"junk", "dkim_key: is no private key in PEM"},
        {"encrypted", "dkim_key: the key is encrypted"},
        {"public", "dkim_key: is the public key"},
        {"weak", "dkim_key: an RSA key of 768 bits"},
        {"ec", "dkim_key: is neither an RSA nor an Ed25519 key"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err_text why = {.code = ERR_OK};
        struct work w;
        print_message("  %s\n", rows[i].name);
        work_init(&w, rows[i].name, NULL);
        enum err err = work_sign(&w, &why);
        assert_int_equal(err, rows[i].rule == NULL ? ERR_OK : ERR_CONFIG);
        if (rows[i].rule != NULL) {
            assert_ptr_equal(strstr(why.text, rows[i].rule), why.text);
            assert_string_equal(buf_text(&w.mail), mail_text);
        }
        work_fini(&w);
    }
}

static void the_second_key_is_named_in_its_error(void **state)
{
    struct err_text why = {.code = ERR_OK};
    struct work w;
    (void)state;
    work_init(&w, "rsa", "junk");
    assert_int_equal(work_sign(&w, &why), ERR_CONFIG);
    assert_ptr_equal(strstr(why.text, "dkim_second_key: "), why.text);
    assert_string_equal(buf_text(&w.mail), mail_text);
    work_fini(&w);
}

static void the_header_stands_behind_the_envelope(void **state)
{
    struct err_text why = {.code = ERR_OK};
    struct work w;
    struct work again;
    (void)state;
    work_init(&w, "rsa", "ed");
    assert_int_equal(work_sign(&w, &why), ERR_OK);
    const char *text = buf_text(&w.mail);
    static const char begin[] =
        "X-Receiver: <a@x.test>\r\nDKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; "
        "d=x.test; s=rsa;\r\n t=1795420800; "
        "h=from:from:to:to:cc:subject:subject:date:message-id:";
    assert_memory_equal(text, begin, strlen("X-Receiver: <a@x.test>\r\nDKIM-Signature: v=1;"));
    assert_non_null(strstr(text, "h=from:from:to:to:cc:subject:subject:date:"));
    assert_null(strstr(text, "x-receiver:"));
    const char *second = strstr(text, "\r\nDKIM-Signature: v=1; a=ed25519-sha256;");
    assert_non_null(second);
    assert_string_equal(strstr(text, "\r\nFrom:"), strstr(mail_text, "\r\nFrom:"));
    work_init(&again, "rsa", "ed");
    assert_int_equal(work_sign(&again, &why), ERR_OK);
    assert_string_equal(text, buf_text(&again.mail));
    work_fini(&again);
    work_fini(&w);
}

static void a_mail_at_its_limit_is_refused_whole(void **state)
{
    struct err_text why = {.code = ERR_OK};
    struct work w;
    (void)state;
    work_init(&w, "rsa", NULL);
    w.mail.max = w.mail.len + 100;
    assert_int_equal(work_sign(&w, &why), ERR_LIMIT);
    assert_string_equal(buf_text(&w.mail), mail_text);
    work_fini(&w);
}

static void a_changed_key_counts_after_a_minute(void **state)
{
    struct err_text why = {.code = ERR_OK};
    struct dkim_keys *keys = dkim_keys_new(NULL);
    struct dkim_key key;
    char path[PATH_BYTES];
    char reference[PATH_BYTES + 8];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/changing", folder);
    (void)snprintf(reference, sizeof reference, "file:%s", path);
    EVP_PKEY *rsa = EVP_RSA_gen(1024);
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    put_key("changing", rsa, CLEAR);
    assert_int_equal(dkim_keys_get(keys, "dkim_key", reference, 1000, &key, &why), ERR_OK);
    assert_int_equal(key.algorithm, DKIM_RSA_SHA256);
    put_key("changing", ed, CLEAR);
    assert_int_equal(dkim_keys_get(keys, "dkim_key", reference, 60999, &key, &why), ERR_OK);
    assert_int_equal(key.algorithm, DKIM_RSA_SHA256);
    assert_int_equal(dkim_keys_get(keys, "dkim_key", reference, 61000, &key, &why), ERR_OK);
    assert_int_equal(key.algorithm, DKIM_ED25519_SHA256);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(dkim_keys_get(keys, "dkim_key", reference, 200000, &key, &why),
                     ERR_CONFIG);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ed);
    dkim_keys_free(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_is_judged),
        cmocka_unit_test(the_second_key_is_named_in_its_error),
        cmocka_unit_test(the_header_stands_behind_the_envelope),
        cmocka_unit_test(a_mail_at_its_limit_is_refused_whole),
        cmocka_unit_test(a_changed_key_counts_after_a_minute),
    };
    return cmocka_run_group_tests_name("dkim", tests, set_up, tear_down);
}
