/* Secret references: each form, and no secret in any error text. */
#include "secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static void put(const char *name, const char *bytes, size_t len)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static int set_up(void **state)
{
    static char long_secret[SECRET_MAX_BYTES + 1];
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/tpn-secret-XXXXXX");
    assert_non_null(mkdtemp(folder));
    memset(long_secret, 'z', sizeof long_secret);
    put("plain", "hunter2", 7);
    put("newline", "hunter2\n", 8);
    put("crlf", "hunter2\r\n", 9);
    put("two_newlines", "hunter2\n\n", 9);
    put("nul", "hun\0ter2", 8);
    put("empty", "", 0);
    put("only_newline", "\n", 1);
    put("longest", long_secret, SECRET_MAX_BYTES);
    put("too_long", long_secret, SECRET_MAX_BYTES + 1);
    (void)setenv("TPN_SECRET_TEST", "hunter2", 1);
    (void)setenv("CREDENTIALS_DIRECTORY", folder, 1);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"plain", "newline", "crlf",     "two_newlines", "nul",
                                        "empty", "longest", "too_long", "only_newline"};
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

/* reference: %s becomes the folder. */
static const struct row {
    const char *reference;
    enum err err;
    const char *secret; /* null: not compared */
} rows[] = {
    {"file:%s/plain", ERR_OK, "hunter2"},
    {"file:%s/newline", ERR_OK, "hunter2"},
    {"file:%s/crlf", ERR_OK, "hunter2"},
    {"file:%s/longest", ERR_OK, NULL},
    {"file:%s/two_newlines", ERR_INVALID, NULL},
    {"file:%s/nul", ERR_INVALID, NULL},
    {"file:%s/empty", ERR_NOT_FOUND, NULL},
    {"file:%s/only_newline", ERR_NOT_FOUND, NULL},
    {"file:%s/too_long", ERR_LIMIT, NULL},
    {"file:%s/missing", ERR_NOT_FOUND, NULL},
    {"file:%s", ERR_IO, NULL},
    {"file:relative", ERR_INVALID, NULL},
    {"env:TPN_SECRET_TEST", ERR_OK, "hunter2"},
    {"env:TPN_SECRET_TEST_MISSING", ERR_NOT_FOUND, NULL},
    {"credential:plain", ERR_OK, "hunter2"},
    {"credential:missing", ERR_NOT_FOUND, NULL},
    {"credential:../plain", ERR_INVALID, NULL},
    {"credential:", ERR_INVALID, NULL},
    {"hunter2", ERR_INVALID, NULL},
    {"", ERR_INVALID, NULL},
};

static void each_form_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err_text why = {.code = ERR_OK};
        char reference[256];
        char *secret = NULL;
        const char *form = strstr(rows[i].reference, "%s");
        (void)snprintf(reference, sizeof reference, "%.*s%s%s",
                       form != NULL ? (int)(form - rows[i].reference) : 256, rows[i].reference,
                       form != NULL ? folder : "", form != NULL ? form + 2 : "");
        print_message("  %s\n", rows[i].reference);
        assert_int_equal(secret_open(NULL, reference, &secret, &why), rows[i].err);
        if (rows[i].err != ERR_OK) {
            assert_null(secret);
            assert_null(strstr(why.text, "hunter2"));
        } else if (rows[i].secret != NULL) {
            assert_string_equal(secret, rows[i].secret);
        }
        secret_free(&secret);
        assert_null(secret);
    }
}

static void a_credential_needs_its_folder(void **state)
{
    struct err_text why = {.code = ERR_OK};
    char *secret = NULL;
    (void)state;
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(secret_open(NULL, "credential:plain", &secret, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "CREDENTIALS_DIRECTORY"));
    (void)setenv("CREDENTIALS_DIRECTORY", folder, 1);
}

static void a_key_keeps_its_lines(void **state)
{
    struct err_text why = {.code = ERR_OK};
    char reference[256];
    char *secret = NULL;
    (void)state;
    (void)snprintf(reference, sizeof reference, "file:%s/two_newlines", folder);
    assert_int_equal(secret_open_lines(NULL, "dkim_key", reference, &secret, &why), ERR_OK);
    assert_string_equal(secret, "hunter2\n\n");
    secret_free(&secret);
    (void)snprintf(reference, sizeof reference, "file:%s/missing", folder);
    assert_int_equal(secret_open_lines(NULL, "dkim_key", reference, &secret, &why),
                     ERR_NOT_FOUND);
    assert_ptr_equal(strstr(why.text, "dkim_key: "), why.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_read),
        cmocka_unit_test(a_credential_needs_its_folder),
        cmocka_unit_test(a_key_keeps_its_lines),
    };
    return cmocka_run_group_tests_name("secret", tests, set_up, tear_down);
}
