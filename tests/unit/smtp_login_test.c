/* The login dialogue: what is said for each mechanism, and what counts as logged in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp_login.h"

#define M(name) SETTINGS_MECHANISM_##name
#define BIT(name) (1U << SETTINGS_MECHANISM_##name)

enum { TURNS = 4 };

/* One dialogue: the AUTH line, then what the server says and what is answered. */
struct row {
    const char *name;
    enum settings_mechanism mechanism;
    const char *auth;
    struct {
        const char *server;
        const char *answer; /* null: the dialogue ends here */
    } turns[TURNS];
    enum smtp_login_next end;
    unsigned code;
    const char *says;
};

#define USER "dGlt" /* tim */
static const struct row rows[] = {
    /* RFC 4616 and 2195: the user tim with the secret of the latter's example. */
    {"plain",
     M(PLAIN),
     "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
     {{"235 2.7.0 ok\r\n", NULL}},
     SMTP_LOGIN_DONE,
     235,
     ""},
    {"plain-refused",
     M(PLAIN),
     "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
     {{"535-5.7.8 first line\r\n535 5.7.8 second\r\n", NULL}},
     SMTP_LOGIN_REFUSED,
     535,
     "first line second"},
    {"plain-250-is-no-login",
     M(PLAIN),
     "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
     {{"250 2.0.0 ok\r\n", NULL}},
     SMTP_LOGIN_BROKEN,
     0,
     "neither 235"},
    {"plain-asked-again",
     M(PLAIN),
     "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
     {{"334 \r\n", NULL}},
     SMTP_LOGIN_BROKEN,
     0,
     "asks for more"},
    {"a-refusal-that-repeats-the-line",
     M(PLAIN),
     "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
     {{"535-5.7.8 What is AUTH PLAIN (AHRpbQB0YW5zdGFhZnRhbnN0YWFm) and\r\n535 5.7.8 "
       "tanstaaftanstaaf?\r\n",
       NULL}},
     SMTP_LOGIN_REFUSED,
     535,
     "What is AUTH PLAIN (****************************) and ****************?"},
    {"a-refusal-that-repeats-a-part",
     M(PLAIN),
     "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
     {{"501 5.5.2 Bad: \"PLAIN AHRpbQB0YW5zdG\r\n", NULL}},
     SMTP_LOGIN_REFUSED,
     501,
     "Bad: \"PLAIN **************"},
    {"bytes-behind-235",
     M(PLAIN),
     "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
     {{"235 ok\r\n250 unasked\r\n", NULL}},
     SMTP_LOGIN_BROKEN,
     0,
     "out of turn"},
    {"login",
     M(LOGIN),
     "AUTH LOGIN\r\n",
     {{"334 VXNlcm5hbWU6\r\n", USER "\r\n"},
      {"334 Passwort bitte\r\n", "dGFuc3RhYWZ0YW5zdGFhZg==\r\n"},
      {"235 ok\r\n", NULL}},
     SMTP_LOGIN_DONE,
     235,
     ""},
    {"login-that-never-ends",
     M(LOGIN),
     "AUTH LOGIN\r\n",
     {{"334 \r\n", USER "\r\n"},
      {"334\r\n", "dGFuc3RhYWZ0YW5zdGFhZg==\r\n"},
      {"334 \r\n", NULL}},
     SMTP_LOGIN_BROKEN,
     0,
     "more than user and password"},
    {"cram-md5",
     M(CRAM_MD5),
     "AUTH CRAM-MD5\r\n",
     {{"334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n",
       "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n"},
      {"235 ok\r\n", NULL}},
     SMTP_LOGIN_DONE,
     235,
     ""},
    {"cram-md5-no-base64",
     M(CRAM_MD5),
     "AUTH CRAM-MD5\r\n",
     {{"334 <1896.697>\r\n", NULL}},
     SMTP_LOGIN_BROKEN,
     0,
     "no base64"},
    {"xoauth2",
     M(XOAUTH2),
     "AUTH XOAUTH2 dXNlcj10aW0BYXV0aD1CZWFyZXIgdGFuc3RhYWZ0YW5zdGFhZgEB\r\n",
     {{"235 ok\r\n", NULL}},
     SMTP_LOGIN_DONE,
     235,
     ""},
    /* {"status":"401"}: the error is answered with an empty line, and the 535 is read. */
    {"xoauth2-refused",
     M(XOAUTH2),
     "AUTH XOAUTH2 dXNlcj10aW0BYXV0aD1CZWFyZXIgdGFuc3RhYWZ0YW5zdGFhZgEB\r\n",
     {{"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n", "\r\n"}, {"535 5.7.8 no such token\r\n", NULL}},
     SMTP_LOGIN_REFUSED,
     535,
     "no such token (of the token: {\"status\":\"401\"})"},
    {"oauthbearer-refused",
     M(OAUTHBEARER),
     "AUTH OAUTHBEARER "
     "bixhPXRpbSwBaG9zdD1tYWlsLnRlc3QBcG9ydD01ODcBYXV0aD1CZWFyZXIgdGFuc3RhYWZ0YW5zdGFhZgEB\r\n",
     {{"334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\r\n", "AQ==\r\n"}, {"535 5.7.8 no\r\n", NULL}},
     SMTP_LOGIN_REFUSED,
     535,
     "invalid_token"},
    {"ntlm-of-version-1",
     M(NTLM),
     "AUTH NTLM\r\n",
     {{"334 NTLM supported\r\n",
       "TlRMTVNTUAABAAAABYKIoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\r\n"},
      {"334 TlRMTVNTUAACAAAAAAAAACgAAAABggAAU3J2Tm9uY2UAAAAAAAAAAA==\r\n", NULL}},
     SMTP_LOGIN_BROKEN,
     0,
     "version 1"},
    {"not-smtp",
     M(PLAIN),
     NULL,
     {{"HTTP/1.1 200 OK\r\n", NULL}},
     SMTP_LOGIN_BROKEN,
     0,
     "neither"},
    {"temporary",
     M(PLAIN),
     NULL,
     {{"454 4.7.0 later\r\n", NULL}},
     SMTP_LOGIN_REFUSED,
     454,
     "later"},
};

/* Feed a server's line in pieces; the last piece decides. */
static enum smtp_login_next feed(struct smtp_login *login, const char *text, size_t piece,
                                 struct buf *out, struct err_text *why)
{
    size_t len = strlen(text);
    enum smtp_login_next next = SMTP_LOGIN_MORE;
    for (size_t at = 0; at < len && next == SMTP_LOGIN_MORE; at += piece) {
        next = smtp_login_feed(login, text + at, len - at < piece ? len - at : piece, out, why);
    }
    return next;
}

static void run(const struct row *row, size_t piece)
{
    static const struct smtp_login_setup who = {
        .user = "tim", .secret = "tanstaaftanstaaf", .server = "mail.test", .port = 587};
    struct smtp_login_setup setup = who;
    struct buf out;
    struct err_text why = {0};
    buf_init(&out, 65536);
    setup.mechanism = row->mechanism;
    struct smtp_login *login = smtp_login_new(&setup, &out);
    if (row->auth != NULL && strcmp(buf_text(&out), row->auth) != 0) {
        fail_msg("%s: said %s", row->name, buf_text(&out));
    }
    enum smtp_login_next next = SMTP_LOGIN_SEND;
    for (size_t i = 0; i < TURNS && row->turns[i].server != NULL; i++) {
        buf_reset(&out);
        next = feed(login, row->turns[i].server, piece, &out, &why);
        if (row->turns[i].answer != NULL &&
            (next != SMTP_LOGIN_SEND || strcmp(buf_text(&out), row->turns[i].answer) != 0)) {
            fail_msg("%s: turn %zu: %d, answered %s, %s", row->name, i, (int)next,
                     buf_text(&out), why.text);
        }
    }
    const struct smtp_reply *reply = smtp_login_reply(login);
    if (next != row->end || (row->code != 0 && reply->code != row->code) ||
        strstr(row->end == SMTP_LOGIN_BROKEN ? why.text : reply->text, row->says) == NULL) {
        fail_msg("%s: end %d code %u text %s, %s", row->name, (int)next, reply->code,
                 reply->text, why.text);
    }
    buf_fini(&out);
    smtp_login_free(&login);
}

static void dialogues_go_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run(&rows[i], 4096);
        if (strcmp(rows[i].name, "bytes-behind-235") != 0) { /* those came with the 235 */
            run(&rows[i], 1);
        }
    }
}

static void long_first_answer_waits_for_the_prompt(void **state)
{
    (void)state;
    static char token[3000];
    memset(token, 't', sizeof token - 1);
    const struct smtp_login_setup setup = {.mechanism = M(XOAUTH2),
                                           .user = "tim",
                                           .secret = token,
                                           .server = "mail.test",
                                           .port = 587};
    struct buf out;
    struct err_text why = {0};
    buf_init(&out, 65536);
    struct smtp_login *login = smtp_login_new(&setup, &out);
    assert_string_equal(buf_text(&out), "AUTH XOAUTH2\r\n");
    buf_reset(&out);
    assert_int_equal(feed(login, "334 \r\n", 4096, &out, &why), SMTP_LOGIN_SEND);
    assert_true(out.len > 4000);
    smtp_login_free(&login);
    buf_fini(&out);
}

static void line_without_end_is_given_up(void **state)
{
    (void)state;
    static char line[20000];
    memset(line, '3', sizeof line - 1);
    const struct smtp_login_setup setup = {
        .mechanism = M(LOGIN), .user = "tim", .secret = "x", .server = "m", .port = 25};
    struct buf out;
    struct err_text why = {0};
    buf_init(&out, 65536);
    struct smtp_login *login = smtp_login_new(&setup, &out);
    assert_int_equal(feed(login, line, 1000, &out, &why), SMTP_LOGIN_BROKEN);
    assert_non_null(strstr(why.text, "longer than"));
    smtp_login_free(&login);
    buf_fini(&out);
}

static void mechanism_is_the_first_allowed_that_is_offered(void **state)
{
    static const struct {
        int authentication;
        enum settings_tls tls;
        const char *allowed;
        unsigned offered;
        enum settings_mechanism chosen; /* COUNT: none */
    } choices[] = {
        {PB_AUTH(BASIC), SETTINGS_TLS_STARTTLS, "", BIT(CRAM_MD5) | BIT(LOGIN) | BIT(PLAIN),
         M(PLAIN)},
        {PB_AUTH(BASIC), SETTINGS_TLS_STARTTLS, "", BIT(CRAM_MD5) | BIT(LOGIN), M(LOGIN)},
        {PB_AUTH(BASIC), SETTINGS_TLS_STARTTLS, "", BIT(CRAM_MD5) | BIT(NTLM), M(CRAM_MD5)},
        {PB_AUTH(BASIC), SETTINGS_TLS_NONE, "", BIT(CRAM_MD5) | BIT(LOGIN) | BIT(PLAIN),
         M(CRAM_MD5)},
        {PB_AUTH(BASIC), SETTINGS_TLS_IMPLICIT, "cram-md5, LOGIN", BIT(LOGIN) | BIT(CRAM_MD5),
         M(CRAM_MD5)},
        {PB_AUTH(BASIC), SETTINGS_TLS_IMPLICIT, "cram-md5", BIT(LOGIN) | BIT(PLAIN), M(COUNT)},
        {PB_AUTH(BASIC), SETTINGS_TLS_IMPLICIT, "", BIT(NTLM) | BIT(XOAUTH2), M(COUNT)},
        {PB_AUTH(NTLM), SETTINGS_TLS_STARTTLS, "", BIT(PLAIN) | BIT(NTLM), M(NTLM)},
        {PB_AUTH(NTLM), SETTINGS_TLS_STARTTLS, "", BIT(PLAIN) | BIT(LOGIN), M(COUNT)},
        {PB_AUTH(BASIC), SETTINGS_TLS_STARTTLS, "", 0, M(COUNT)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const struct settings_plan plan = {.authentication = choices[i].authentication,
                                           .tls = choices[i].tls,
                                           .login_mechanisms = choices[i].allowed};
        enum settings_mechanism got = M(COUNT);
        struct err_text why = {0};
        enum err err = smtp_login_choose(&plan, choices[i].offered, &got, &why);
        if (got != choices[i].chosen || (err == ERR_OK) != (choices[i].chosen != M(COUNT))) {
            fail_msg("row %zu: %s, %s", i, settings_mechanism_name(got), why.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogues_go_as_the_table_says),
        cmocka_unit_test(long_first_answer_waits_for_the_prompt),
        cmocka_unit_test(line_without_end_is_given_up),
        cmocka_unit_test(mechanism_is_the_first_allowed_that_is_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
