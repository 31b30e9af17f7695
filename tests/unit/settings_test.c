/* The Server tab: which settings make a plan, and what the others are refused with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "settings.h"

#define PIN "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

typedef PB(MailingSettings) settings_t;
typedef void change_fn(settings_t *s);

/* A change of settings that are fine (server mail.test, TLS on) as an expression. */
#define CHANGE(name, body)                                                                     \
    static void name(settings_t *s)                                                            \
    {                                                                                          \
        body;                                                                                  \
    }

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal; /* the generated structs know no const */
}

static void basic(settings_t *s)
{
    s->authentication = PB_AUTH(BASIC);
    s->user_name = text("john");
    s->password = text("file:/run/secret");
}

CHANGE(nothing, (void)s)
CHANGE(port_465, s->smtp_port = 465)
CHANGE(port_587, s->smtp_port = 587)
CHANGE(port_2525, s->smtp_port = 2525)
CHANGE(port_65535, s->smtp_port = 65535)
CHANGE(port_65536, s->smtp_port = 65536)
CHANGE(tls_off, s->use_tls = 0)
CHANGE(tls_off_465, s->use_tls = 0; s->smtp_port = 465)
CHANGE(tls_off_587, s->use_tls = 0; s->smtp_port = 587)
CHANGE(mode_none, s->use_tls = 0; s->tls_mode = PB_TLS(NONE))
CHANGE(mode_none_tls, s->tls_mode = PB_TLS(NONE))
CHANGE(mode_none_465, s->use_tls = 0; s->tls_mode = PB_TLS(NONE); s->smtp_port = 465)
CHANGE(mode_implicit, s->tls_mode = PB_TLS(IMPLICIT))
CHANGE(mode_implicit_2525, s->tls_mode = PB_TLS(IMPLICIT); s->smtp_port = 2525)
CHANGE(mode_implicit_tls_off, s->use_tls = 0; s->tls_mode = PB_TLS(IMPLICIT))
CHANGE(mode_starttls_25, s->tls_mode = PB_TLS(STARTTLS); s->smtp_port = 25)
CHANGE(mode_starttls_465, s->tls_mode = PB_TLS(STARTTLS); s->smtp_port = 465)
CHANGE(mode_unknown, s->tls_mode = (int)77)
CHANGE(no_server, s->smtp_server = text(""))
CHANGE(null_server, s->smtp_server = NULL)
CHANGE(server_v4, s->smtp_server = text("192.0.2.7"))
CHANGE(server_v6, s->smtp_server = text("2001:db8::7"))
CHANGE(server_v6_brackets, s->smtp_server = text("[2001:db8::7]"))
CHANGE(server_v4_brackets, s->smtp_server = text("[192.0.2.7]"))
CHANGE(server_idn, s->smtp_server = text("mail.b\xc3\xbc"
                                         "cher.example"))
CHANGE(server_blank, s->smtp_server = text("mail test"))
CHANGE(server_port, s->smtp_server = text("mail.test:25"))
CHANGE(server_url, s->smtp_server = text("smtp://mail.test"))
CHANGE(server_crlf, s->smtp_server = text("mail.test\r\nX"))
CHANGE(server_option, s->smtp_server = text("-oProxy"))
CHANGE(server_bad_v4, s->smtp_server = text("192.0.2.700"))
CHANGE(server_path, s->smtp_server = text("/srv/pickup"))
CHANGE(basic_tls, basic(s))
CHANGE(basic_no_user, basic(s); s->user_name = text(""))
CHANGE(basic_no_password, basic(s); s->password = text(""))
CHANGE(basic_clear, basic(s); s->use_tls = 0)
CHANGE(basic_clear_allowed, basic(s); s->use_tls = 0; s->allow_cleartext_auth = 1)
CHANGE(password_clear, basic(s); s->password = text("hunter2"))
CHANGE(password_env, basic(s); s->password = text("env:SMTP_PASSWORD"))
CHANGE(password_credential, basic(s); s->password = text("credential:smtp"))
CHANGE(password_no_name, basic(s); s->password = text("file:"))
CHANGE(anonymous_user, s->user_name = text("john"))
CHANGE(anonymous_password, s->authentication = PB_AUTH(ANONYMOUS); s->password = text("env:X"))
CHANGE(ntlm, basic(s); s->authentication = PB_AUTH(NTLM))
CHANGE(ntlm_own, basic(s); s->authentication = PB_AUTH(NTLM); s->ntlm_engine = PB_NTLM(OWN))
CHANGE(ntlm_clear, basic(s); s->authentication = PB_AUTH(NTLM); s->use_tls = 0)
CHANGE(ntlm_no_user, basic(s); s->authentication = PB_AUTH(NTLM); s->user_name = text(""))
CHANGE(ntlm_engine_basic, basic(s); s->ntlm_engine = PB_NTLM(OWN))
CHANGE(mechanisms, basic(s); s->login_mechanisms = text("cram-md5, Plain"))
CHANGE(mechanisms_unknown, basic(s); s->login_mechanisms = text("plain gssapi"))
CHANGE(mechanisms_other, basic(s); s->login_mechanisms = text("plain ntlm"))
CHANGE(mechanisms_anonymous, s->login_mechanisms = text("plain"))
static void oauth(settings_t *s)
{
    s->authentication = PB_AUTH(OAUTH2);
    s->user_name = text("box@example.test");
    s->oauth_token_endpoint = text("https://login.example.test/token");
    s->oauth_client_id = text("app");
    s->oauth_refresh_token = text("file:/run/refresh");
}

static void oauth_service(settings_t *s)
{
    oauth(s);
    s->oauth_grant = PB_GRANT(SERVICE_ACCOUNT);
    s->oauth_refresh_token = text("");
    s->oauth_scope = text("https://mail.example.test/");
    s->oauth_key = text("file:/run/key");
}

CHANGE(oauth_refresh, oauth(s))
CHANGE(oauth_account, oauth_service(s))
CHANGE(oauth_password, oauth(s); s->password = text("env:X"))
CHANGE(oauth_clear, oauth(s); s->use_tls = 0)
CHANGE(oauth_no_endpoint, oauth(s); s->oauth_token_endpoint = text(""))
CHANGE(oauth_http, oauth(s); s->oauth_token_endpoint = text("http://login.example.test/"))
CHANGE(oauth_login_in_url, oauth(s); s->oauth_token_endpoint = text("https://a:b@login.test/"))
CHANGE(oauth_no_refresh, oauth(s); s->oauth_refresh_token = text(""))
CHANGE(oauth_clear_secret, oauth(s); s->oauth_client_secret = text("hunter2"))
CHANGE(oauth_client, oauth(s); s->oauth_grant = PB_GRANT(CLIENT_CREDENTIALS))
CHANGE(oauth_no_key, oauth_service(s); s->oauth_key = text(""))
CHANGE(oauth_mechanisms, oauth(s); s->login_mechanisms = text("plain"))
CHANGE(oauth_grant_basic, basic(s); s->oauth_grant = PB_GRANT(CLIENT_CREDENTIALS))
CHANGE(oauth_scope_basic, basic(s); s->oauth_scope = text("x"))
CHANGE(pin, s->pinned_public_key = text(PIN))
CHANGE(pin_two, s->pinned_public_key = text(PIN ";" PIN))
CHANGE(pin_short, s->pinned_public_key = text("sha256//AAAA="))
CHANGE(pin_md5, s->pinned_public_key = text("md5//AAAA"))
CHANGE(pin_tail, s->pinned_public_key = text(PIN "x"))
CHANGE(pin_no_tls, s->use_tls = 0; s->pinned_public_key = text(PIN))
CHANGE(ca_no_tls, s->use_tls = 0; s->ca_file = text("/etc/ca.pem"))
CHANGE(ca_relative, s->ca_file = text("ca.pem"))
CHANGE(no_verify_pin, s->tls_no_verify = 1; s->pinned_public_key = text(PIN))
CHANGE(helo, s->helo_name = text("app.example"))
CHANGE(helo_literal, s->helo_name = text("[192.0.2.1]"))
CHANGE(helo_crlf, s->helo_name = text("a\r\nMAIL FROM:<x@y>"))
CHANGE(helo_idn, s->helo_name = text("b\xc3\xbc"
                                     "cher.example"))
CHANGE(timeout_99, s->connect_timeout_ms = 99)
CHANGE(timeout_100, s->connect_timeout_ms = 100)
CHANGE(timeout_hour, s->content_timeout_ms = 3600000)
CHANGE(timeout_more, s->content_timeout_ms = 3600001)
CHANGE(minute_limit, s->max_messages_per_minute = 30)
CHANGE(day_limit, s->max_recipients_per_day = 500)
CHANGE(failover, s->failover_profile = text("b"))
CHANGE(exchange, s->use_pickup_folder = 1; s->smtp_server = text("/srv/pickup");
       s->pickup_dialect = PB_DIALECT(EXCHANGE); s->max_recipients_per_message = 100)
CHANGE(exchange_many, s->use_pickup_folder = 1; s->smtp_server = text("/srv/pickup");
       s->pickup_dialect = PB_DIALECT(EXCHANGE); s->max_recipients_per_message = 101)
static void sign(PB(MailingSettings) *s)
{
    s->dkim_domain = text("lab.test");
    s->dkim_selector = text("a");
    s->dkim_key = text("file:/a.pem");
}
CHANGE(dkim_half, s->dkim_domain = text("lab.test"))
CHANGE(dkim_no_key, sign(s); s->dkim_key = text(""))
CHANGE(dkim_no_domain, sign(s); s->dkim_domain = text(""))
CHANGE(dkim_bad_domain, sign(s); s->dkim_domain = text("lab..test"))
CHANGE(dkim_selector, sign(s); s->dkim_selector = text("a;d=x"))
CHANGE(dkim_clear_key, sign(s); s->dkim_key = text("-----BEGIN PRIVATE KEY-----"))
CHANGE(dkim_twice, sign(s); s->dkim_second_selector = text("a");
       s->dkim_second_key = text("env:B"))
CHANGE(dkim_second_half, sign(s); s->dkim_second_selector = text("b"))
CHANGE(limit_more, s->max_connections = 1000001)
CHANGE(pickup, s->use_pickup_folder = 1; s->smtp_server = text("/srv/pickup"))
CHANGE(pickup_dots_in_name, s->use_pickup_folder = 1; s->smtp_server = text("/srv/..pickup"))
CHANGE(pickup_relative, s->use_pickup_folder = 1; s->smtp_server = text("pickup"))
CHANGE(pickup_empty, s->use_pickup_folder = 1; s->smtp_server = text(""))
CHANGE(pickup_up, s->use_pickup_folder = 1; s->smtp_server = text("/srv/../etc"))
CHANGE(pickup_up_last, s->use_pickup_folder = 1; s->smtp_server = text("/srv/.."))
CHANGE(mapi, s->method = PB_METHOD(MAPI); s->smtp_server = text(""))
CHANGE(mapi_stale, s->method = PB_METHOD(MAPI); s->use_pickup_folder = 1; basic(s))
CHANGE(method_unknown, s->method = (int)9)

struct row {
    change_fn *change;
    const char *name;
    const char *field; /* null: a plan is made */
    const char *rule;  /* part of the sentence */
    enum settings_route route;
    enum settings_tls tls;
    uint16_t port;
    const char *server;
};

#define GOOD(change, tls, port, server)                                                        \
    {                                                                                          \
        change, #change, NULL, "", SETTINGS_SMTP, SETTINGS_TLS_##tls, port, server             \
    }
#define OTHER(change, route)                                                                   \
    {                                                                                          \
        change, #change, NULL, "", SETTINGS_##route, SETTINGS_TLS_NONE, 0, ""                  \
    }
#define BAD(change, field, rule)                                                               \
    {                                                                                          \
        change, #change, field, rule, SETTINGS_SMTP, SETTINGS_TLS_NONE, 0, ""                  \
    }

static const struct row rows[] = {
    GOOD(nothing, STARTTLS, 587, "mail.test"),
    GOOD(minute_limit, STARTTLS, 587, "mail.test"),
    GOOD(day_limit, STARTTLS, 587, "mail.test"),
    GOOD(port_465, IMPLICIT, 465, "mail.test"),
    GOOD(port_587, STARTTLS, 587, "mail.test"),
    GOOD(port_2525, STARTTLS, 2525, "mail.test"),
    GOOD(port_65535, STARTTLS, 65535, "mail.test"),
    BAD(port_65536, "smtp_port", "from 1 to 65535"),
    GOOD(tls_off, NONE, 25, "mail.test"),
    BAD(tls_off_465, "smtp_port", "port 465 speaks TLS from the first byte"),
    GOOD(tls_off_587, NONE, 587, "mail.test"),
    GOOD(mode_none, NONE, 25, "mail.test"),
    BAD(mode_none_tls, "tls_mode", "use_tls is on"),
    BAD(mode_none_465, "smtp_port", "port 465"),
    GOOD(mode_implicit, IMPLICIT, 465, "mail.test"),
    GOOD(mode_implicit_2525, IMPLICIT, 2525, "mail.test"),
    GOOD(mode_implicit_tls_off, IMPLICIT, 465, "mail.test"),
    GOOD(mode_starttls_25, STARTTLS, 25, "mail.test"),
    BAD(mode_starttls_465, "tls_mode", "port 465"),
    BAD(mode_unknown, "tls_mode", "no value 77"),
    BAD(no_server, "smtp_server", "required"),
    BAD(null_server, "smtp_server", "required"),
    GOOD(server_v4, STARTTLS, 587, "192.0.2.7"),
    GOOD(server_v6, STARTTLS, 587, "2001:db8::7"),
    GOOD(server_v6_brackets, STARTTLS, 587, "2001:db8::7"),
    GOOD(server_v4_brackets, STARTTLS, 587, "192.0.2.7"),
    GOOD(server_idn, STARTTLS, 587, "mail.xn--bcher-kva.example"),
    BAD(server_blank, "smtp_server", "host name"),
    BAD(server_port, "smtp_server", "host name"),
    BAD(server_url, "smtp_server", "path"),
    BAD(server_crlf, "smtp_server", "control"),
    BAD(server_option, "smtp_server", "hyphen"),
    BAD(server_bad_v4, "smtp_server", "number"),
    BAD(server_path, "smtp_server", "use_pickup_folder"),
    GOOD(basic_tls, STARTTLS, 587, "mail.test"),
    BAD(basic_no_user, "user_name", "required"),
    BAD(basic_no_password, "password", "required"),
    BAD(basic_clear, "authentication", "allow_cleartext_auth"),
    GOOD(basic_clear_allowed, NONE, 25, "mail.test"),
    BAD(password_clear, "password", "file:"),
    GOOD(password_env, STARTTLS, 587, "mail.test"),
    GOOD(password_credential, STARTTLS, 587, "mail.test"),
    BAD(password_no_name, "password", "reference"),
    BAD(anonymous_user, "user_name", "given, but authentication is ANONYMOUS"),
    BAD(anonymous_password, "password", "given, but authentication is ANONYMOUS"),
    GOOD(ntlm, STARTTLS, 587, "mail.test"),
    GOOD(ntlm_own, STARTTLS, 587, "mail.test"),
    BAD(ntlm_clear, "authentication", "NTLM without TLS"),
    BAD(ntlm_no_user, "user_name", "required: authentication is NTLM"),
    BAD(ntlm_engine_basic, "ntlm_engine", "authentication is BASIC"),
    GOOD(mechanisms, STARTTLS, 587, "mail.test"),
    BAD(mechanisms_unknown, "login_mechanisms", "\"gssapi\" is none of"),
    BAD(mechanisms_other, "login_mechanisms", "NTLM is no mechanism of authentication BASIC"),
    BAD(mechanisms_anonymous, "login_mechanisms", "authentication is ANONYMOUS"),
    GOOD(oauth_refresh, STARTTLS, 587, "mail.test"),
    GOOD(oauth_account, STARTTLS, 587, "mail.test"),
    BAD(oauth_password, "password", "given, but authentication is OAUTH2"),
    BAD(oauth_clear, "authentication", "OAUTH2 without TLS"),
    BAD(oauth_no_endpoint, "oauth_token_endpoint", "required: oauth_grant is refresh_token"),
    BAD(oauth_http, "oauth_token_endpoint", "https://"),
    BAD(oauth_login_in_url, "oauth_token_endpoint", "without a user name"),
    BAD(oauth_no_refresh, "oauth_refresh_token", "required"),
    BAD(oauth_clear_secret, "oauth_client_secret", "reference"),
    BAD(oauth_client, "oauth_client_secret", "required: oauth_grant is client_credentials"),
    BAD(oauth_no_key, "oauth_key", "required: oauth_grant is service_account"),
    BAD(oauth_mechanisms, "login_mechanisms", "PLAIN is no mechanism of authentication OAUTH2"),
    BAD(oauth_grant_basic, "oauth_grant", "authentication is not OAUTH2"),
    BAD(oauth_scope_basic, "oauth_scope", "authentication is not OAUTH2"),
    GOOD(pin, STARTTLS, 587, "mail.test"),
    GOOD(pin_two, STARTTLS, 587, "mail.test"),
    BAD(pin_short, "pinned_public_key", "sha256//"),
    BAD(pin_md5, "pinned_public_key", "sha256//"),
    BAD(pin_tail, "pinned_public_key", "sha256//"),
    BAD(pin_no_tls, "pinned_public_key", "TLS is off"),
    BAD(ca_no_tls, "ca_file", "TLS is off"),
    BAD(ca_relative, "ca_file", "absolute"),
    GOOD(no_verify_pin, STARTTLS, 587, "mail.test"),
    GOOD(helo, STARTTLS, 587, "mail.test"),
    GOOD(helo_literal, STARTTLS, 587, "mail.test"),
    BAD(helo_crlf, "helo_name", "host name"),
    BAD(helo_idn, "helo_name", "ASCII"),
    BAD(timeout_99, "connect_timeout_ms", "from 100 to 3600000"),
    GOOD(timeout_100, STARTTLS, 587, "mail.test"),
    GOOD(timeout_hour, STARTTLS, 587, "mail.test"),
    BAD(timeout_more, "content_timeout_ms", "from 100 to 3600000"),
    OTHER(exchange, PICKUP),
    BAD(exchange_many, "max_recipients_per_message", "takes 100 recipients"),
    BAD(dkim_half, "dkim_selector", "required: dkim_domain is set"),
    BAD(dkim_no_key, "dkim_key", "required"),
    BAD(dkim_no_domain, "dkim_domain", "required"),
    BAD(dkim_bad_domain, "dkim_domain", "domain name"),
    BAD(dkim_selector, "dkim_selector", "DNS label"),
    BAD(dkim_clear_key, "dkim_key", "must be a reference"),
    BAD(dkim_twice, "dkim_second_selector", "its own"),
    BAD(dkim_second_half, "dkim_second_key", "required"),
    BAD(failover, "failover_profile", "belongs to a profile"),
    BAD(limit_more, "max_connections", "from 1 to 1000000"),
    OTHER(pickup, PICKUP),
    OTHER(pickup_dots_in_name, PICKUP),
    BAD(pickup_relative, "smtp_server", "absolute"),
    BAD(pickup_empty, "smtp_server", "absolute"),
    BAD(pickup_up, "smtp_server", ".."),
    BAD(pickup_up_last, "smtp_server", ".."),
    OTHER(mapi, CLIENT),
    OTHER(mapi_stale, CLIENT),
    BAD(method_unknown, "method", "no value 9"),
};

static enum err make(change_fn *change, settings_t *s, struct settings_plan *plan,
                     const char **field, struct err_text *why)
{
    *s = (settings_t)PB_INIT(MAILING_SETTINGS);
    s->smtp_server = text("mail.test");
    s->use_tls = 1;
    change(s);
    return settings_plan(s, plan, field, why);
}

static void check_refusal(const struct row *row)
{
    settings_t s;
    struct settings_plan plan;
    struct err_text why = {0};
    const char *field = "";
    enum err got = make(row->change, &s, &plan, &field, &why);
    if (got != ERR_INVALID || strcmp(field, row->field) != 0 ||
        strstr(why.text, row->rule) == NULL) {
        fail_msg("%s: got %s, %s: %s", row->name, err_name(got), field, why.text);
    }
}

static void check_plan(const struct row *row)
{
    settings_t s;
    struct settings_plan plan;
    struct err_text why = {0};
    const char *field = "untouched";
    if (make(row->change, &s, &plan, &field, &why) != ERR_OK ||
        strcmp(field, "untouched") != 0) {
        fail_msg("%s: refused, %s: %s", row->name, field, why.text);
    }
    if (plan.route != row->route || plan.tls != row->tls || plan.port != row->port ||
        strcmp(plan.server, row->server) != 0) {
        fail_msg("%s: route %d tls %d port %u server \"%s\"", row->name, (int)plan.route,
                 (int)plan.tls, (unsigned)plan.port, plan.server);
    }
}

static void settings_make_a_plan_or_name_field_and_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].field != NULL) {
            check_refusal(&rows[i]);
        } else {
            check_plan(&rows[i]);
        }
    }
}

static void what_is_left_out_gets_its_default(void **state)
{
    (void)state;
    settings_t s;
    struct settings_plan plan;
    const char *field = NULL;
    assert_int_equal(make(nothing, &s, &plan, &field, NULL), ERR_OK);
    assert_int_equal(plan.authentication, PB_AUTH(ANONYMOUS));
    assert_true(plan.verify);
    assert_false(plan.allow_cleartext_auth);
    assert_int_equal(plan.connect_timeout_ms, 30000);
    assert_int_equal(plan.reply_timeout_ms, 300000);
    assert_int_equal(plan.content_timeout_ms, 600000);
    assert_int_equal(plan.max_connections, 10);
    assert_int_equal(plan.max_recipients_per_message, 100);
    assert_int_equal(plan.max_messages_per_connection, 100);
    assert_int_equal(plan.max_connection_age_ms, 300000);
    assert_int_equal(plan.idle_timeout_ms, 20000);
    assert_int_equal(plan.pipelining, PB_PIPELINING(AUTO));
    assert_int_equal(plan.dialect, PB_DIALECT(IIS));
    assert_int_equal(plan.unknown_policy, PB_POLICY(HOLD));
    assert_string_equal(plan.folder, "");
    assert_string_equal(plan.helo_name, "");
}

static void what_is_given_is_kept(void **state)
{
    (void)state;
    settings_t s;
    struct settings_plan plan;
    const char *field = NULL;
    assert_int_equal(make(no_verify_pin, &s, &plan, &field, NULL), ERR_OK);
    assert_false(plan.verify);
    assert_string_equal(plan.pinned_public_key, PIN);
    assert_int_equal(make(pickup, &s, &plan, &field, NULL), ERR_OK);
    assert_string_equal(plan.folder, "/srv/pickup");
    assert_int_equal(make(basic_tls, &s, &plan, &field, NULL), ERR_OK);
    assert_int_equal(plan.authentication, PB_AUTH(BASIC));
    assert_string_equal(plan.user_name, "john");
    assert_string_equal(plan.password, "file:/run/secret");
    assert_int_equal(make(timeout_100, &s, &plan, &field, NULL), ERR_OK);
    assert_int_equal(plan.connect_timeout_ms, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_make_a_plan_or_name_field_and_rule),
        cmocka_unit_test(what_is_left_out_gets_its_default),
        cmocka_unit_test(what_is_given_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
