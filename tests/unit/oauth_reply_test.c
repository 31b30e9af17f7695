/* Answers of OAuth 2 servers: what is read, what is refused, and who has to act when there is no token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oauth_reply.h"
#include "oauth_verdict.h"
#include "pb.h"

static void good_answers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *token;
        const char *refresh;
        uint32_t seconds;
    } rows[] = {
        {"{\"access_token\":\"ey.J-_~+/=\",\"token_type\":\"Bearer\",\"expires_in\":3599}",
         "ey.J-_~+/=", NULL, 3599},
        {"{\"access_token\":\"a\",\"token_type\":\"bearer\",\"expires_in\":\"3600\",\"refresh_"
         "token\":"
         "\"r\",\"x\":{\"y\":[1,null]}}",
         "a", "r", 3600},
        {"{\"access_token\":\"a\",\"expires_in\":1e300,\"refresh_token\":null}", "a", NULL,
         OAUTH_SECONDS_MAX},
        {" {\"access_token\":\"a\"} ", "a", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct oauth_reply reply;
        struct err_text why = {0};
        if (oauth_reply_read(rows[i].json, strlen(rows[i].json), &reply, &why) != ERR_OK) {
            fail_msg("row %zu: %s", i, why.text);
        }
        assert_string_equal(reply.access_token, rows[i].token);
        assert_int_equal(reply.expires_in_s, rows[i].seconds);
        assert_int_equal(reply.refresh_token == NULL, rows[i].refresh == NULL);
        oauth_reply_fini(&reply);
    }
}

static void bad_answers_are_refused_without_their_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *says;
    } rows[] = {
        {"", "no JSON object"},
        {"secret", "no JSON object"},
        {"[\"secret\"]", "no JSON object"},
        {"{\"access_token\":\"secret\"", "no JSON object"},
        {"{\"access_token\":\"secret\"} x", "no JSON object"},
        {"{\"access_token\":\"secret\",\"access_token\":\"b\"}", "no JSON object"},
        {"{\"access_token\":[\"secret\"]}", "access_token: must be a text"},
        {"{\"access_token\":\"\"}", "access_token"},
        {"{\"access_token\":\"secret\\r\\nQUIT\"}", "access_token"},
        {"{\"access_token\":\"secret\\u0001\"}", "access_token"},
        {"{\"access_token\":\"s\xc3\xa9"
         "cret\"}",
         "access_token"},
        {"{\"access_token\":\"a\",\"refresh_token\":\"secret x\"}", "refresh_token"},
        {"{\"access_token\":\"secret\",\"expires_in\":-1}", "expires_in"},
        {"{\"access_token\":\"secret\",\"expires_in\":\"soon\"}", "expires_in"},
        {"{\"access_token\":\"secret\",\"expires_in\":true}", "expires_in"},
        {"{\"access_token\":\"secret\",\"token_type\":\"mac\"}", "token_type"},
        {"{\"access_token\":\"secret\",\"token_type\":1}", "token_type"},
        {"{\"token_type\":\"bearer\"}", "neither a token"},
        {"{\"device_code\":\"secret\",\"user_code\":\"A\"}", "verification_uri"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct oauth_reply reply;
        struct err_text why = {0};
        enum err err = oauth_reply_read(rows[i].json, strlen(rows[i].json), &reply, &why);
        if (err != ERR_PROTO || strstr(why.text, rows[i].says) == NULL ||
            strstr(why.text, "secret") != NULL || reply.access_token != NULL) {
            fail_msg("row %zu: %s: %s", i, err_name(err), why.text);
        }
    }
}

static void words_of_an_error_become_one_line(void **state)
{
    (void)state;
    static const char json[] = "{\"error\":\"invalid_grant\",\"error_description\":"
                               "\"AADSTS70008:\\r\\nw\\u00f6rds\\u0007\"}";
    struct oauth_reply reply;
    struct err_text why = {0};
    assert_int_equal(oauth_reply_read(json, sizeof json - 1, &reply, &why), ERR_OK);
    assert_string_equal(reply.error, "invalid_grant");
    assert_string_equal(reply.words, "AADSTS70008:  w??rds?");
    oauth_reply_fini(&reply);
}

static void key_files_are_read(void **state)
{
    (void)state;
    static const char json[] = "{\"private_key\":\"-----BEGIN\\nX\",\"client_email\":\"a@b\"}";
    char *key = NULL;
    char *email = NULL;
    struct err_text why = {0};
    assert_int_equal(oauth_key_file_read(json, sizeof json - 1, &key, &email, &why), ERR_OK);
    assert_string_equal(key, "-----BEGIN\nX");
    assert_string_equal(email, "a@b");
    free(key);
    free(email);
    assert_int_equal(oauth_key_file_read("{\"private_key\":\"k\"}", 19, &key, &email, &why),
                     ERR_PROTO);
    assert_null(key);
}

static void verdicts_are_those_of_the_table(void **state)
{
    (void)state;
    static const struct {
        struct oauth_ending ending;
        int class;
    } rows[] = {
        {{CURLE_COULDNT_CONNECT, 0, ""}, PB_CLASS(TRANSIENT)},
        {{CURLE_OPERATION_TIMEDOUT, 0, ""}, PB_CLASS(TRANSIENT)},
        {{CURLE_PEER_FAILED_VERIFICATION, 0, ""}, PB_CLASS(CONFIGURATION)},
        {{CURLE_WRITE_ERROR, 200, ""}, PB_CLASS(CONFIGURATION)},
        {{CURLE_OK, 400, "invalid_grant"}, PB_CLASS(LOGIN)},
        {{CURLE_OK, 401, "invalid_client"}, PB_CLASS(LOGIN)},
        {{CURLE_OK, 400, "invalid_scope"}, PB_CLASS(CONFIGURATION)},
        {{CURLE_OK, 400, "temporarily_unavailable"}, PB_CLASS(TRANSIENT)},
        {{CURLE_OK, 429, ""}, PB_CLASS(TRANSIENT)},
        {{CURLE_OK, 503, "something_new"}, PB_CLASS(TRANSIENT)},
        {{CURLE_OK, 404, ""}, PB_CLASS(CONFIGURATION)},
        {{CURLE_OK, 302, ""}, PB_CLASS(CONFIGURATION)},
        {{CURLE_OK, 200, ""}, PB_CLASS(CONFIGURATION)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (oauth_verdict(&rows[i].ending) != rows[i].class) {
            fail_msg("row %zu: %d", i, oauth_verdict(&rows[i].ending));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_answers_are_read),
        cmocka_unit_test(bad_answers_are_refused_without_their_secrets),
        cmocka_unit_test(words_of_an_error_become_one_line),
        cmocka_unit_test(key_files_are_read),
        cmocka_unit_test(verdicts_are_those_of_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
