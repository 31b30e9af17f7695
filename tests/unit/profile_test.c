/* Profiles: what a file gives, and every error with its place, the ones of several fields too. */
#include "profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { TEXT_BYTES = 4096 };

/* Read a text as a file; in errors its name is "f". */
static enum err read_text(const char *text, struct profiles **out, char errors[TEXT_BYTES])
{
    char path[] = "/tmp/tpn-profiles-XXXXXX";
    int fd = mkstemp(path);
    struct buf raw;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    buf_init(&raw, TEXT_BYTES);
    enum err err = profiles_read(path, out, &raw);
    (void)unlink(path);
    size_t used = 0;
    for (const char *at = buf_text(&raw); *at != '\0' && used + 1 < TEXT_BYTES;) {
        bool name = strncmp(at, path, strlen(path)) == 0;
        errors[used++] = name ? 'f' : *at;
        at += name ? strlen(path) : 1;
    }
    errors[used] = '\0';
    buf_fini(&raw);
    return err;
}

static const struct {
    const char *name;
    const char *text;
    const char *wanted[5]; /* the start of each line of errors */
} rows[] = {
    {"port 465 without TLS",
     "profiles:\n  a:\n    smtp_server: m.test\n    smtp_port: 465\n",
     {"f:4:16: profiles.a.smtp_port: "}},
    {"login without a name",
     "profiles:\n  a:\n    smtp_server: m.test\n    use_tls: yes\n    authentication: basic\n",
     {"f:2:3: profiles.a.user_name: "}},
    {"clear password",
     "profiles: {a: {smtp_server: m.test, use_tls: yes, authentication: basic, user_name: u,\n"
     "  password: secret}}\n",
     {"f:2:13: profiles.a.password: "}},
    {"an empty profile", "profiles:\n  empty:\n", {"f:2:3: profiles.empty.smtp_server: "}},
    {"an empty mapping", "profiles: {e: {}}\n", {"f:1:12: profiles.e.smtp_server: "}},
    {"two wrong of three, one line each",
     "profiles:\n"
     "  a:\n    smtp_server: /srv\n"
     "  b: {smtp_server: m.test}\n"
     "  c: {smtp_server: m.test, smtp_port: 465}\n",
     {"f:3:18: profiles.a.smtp_server: ", "f:5:39: profiles.c.smtp_port: "}},
    {"rules: what is wrong with them",
     "profiles:\n"
     "  a:\n    smtp_server: m.test\n    reply_rules:\n"
     "      one: {code: 450}\n"
     "      two: {code: 250, class: quota}\n"
     "      three: {phase: rcpt, class: quota}\n"
     "      four: {text: busy, enhanced_code: 5.7, class: uncertain}\n",
     {"f:5:7: profiles.a.reply_rules.one.class: required",
      "f:6:19: profiles.a.reply_rules.two.code: must be",
      "f:7:7: profiles.a.reply_rules.three.code: a rule needs",
      "f:8:53: profiles.a.reply_rules.four.class: "}},
    {"rules for all: what is wrong with them",
     "reply_rules:\n  one: {code: 4x1, class: quota}\n  t o: {code: 451, class: quota}\n"
     "  six: {enhanced_code: 5.7, class: quota}\n",
     {"f:2:15: reply_rules.one.code: must be", "f:3:3: reply_rules.t o: a rule's name",
      "f:4:24: reply_rules.six.enhanced_code: must be"}},
    {"presets that there are not, and one without its folder",
     "profiles:\n  a: {preset: gmial}\n  b: {preset: [gmail]}\n  c: {preset: "
     "exchange-pickup}\n",
     {"f:2:15: profiles.a.preset: must be one of: none, gmail",
      "f:3:15: profiles.b.preset: must be one value", "f:4:3: profiles.c.smtp_server: "}},
    {"a failover profile that there is not, or that is the profile itself",
     "profiles:\n  a: {smtp_server: m.test, failover_profile: [b, c]}\n"
     "  b: {smtp_server: m.test}\n",
     {"f:2:3: profiles: a: failover_profile: no other profile \"c\""}},
    {"breakers out of range",
     "profiles:\n  a: {smtp_server: m.test, breaker_failures: 0, breaker_wait: soon,\n"
     "    quota_wait: 100d}\n",
     {"f:2:46: profiles.a.breaker_failures: ", "f:2:63: profiles.a.breaker_wait: ",
      "f:3:17: profiles.a.quota_wait: "}},
    {"retries out of range",
     "profiles:\n  a: {smtp_server: m.test,\n    retry_delays: [1x], max_age: 1ms}\n",
     {"f:3:20: profiles.a.retry_delays: ", "f:3:34: profiles.a.max_age: "}},
    {"errors of one key come before those of several",
     "profiles:\n  a: {smtp_server: m.test, smtp_port: 465, idle_timeout: x}\n  b:\n",
     {"f:2:58: profiles.a.idle_timeout: ", "f:3:3: profiles.b.smtp_server: "}},
};

static void every_error_has_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char errors[TEXT_BYTES];
        struct profiles *profiles = NULL;
        enum err err = read_text(rows[i].text, &profiles, errors);
        const char *at = errors;
        bool good = err == ERR_CONFIG && profiles == NULL;
        for (size_t line = 0; good && rows[i].wanted[line] != NULL; line++) {
            good = strncmp(at, rows[i].wanted[line], strlen(rows[i].wanted[line])) == 0;
            at += strcspn(at, "\n");
            at += *at == '\n';
        }
        if (!good || *at != '\0') {
            fail_msg("%s: got %s\n%s", rows[i].name, err_name(err), errors);
        }
    }
}

/* The same settings have the same version, also after a new start; others have another. */
static void a_version_is_made_of_the_contents(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "profiles: {a: {smtp_server: m.test}, b: {smtp_server: m.test, smtp_port: 26}}\n",
        "profiles:\n  b:\n    smtp_port: 26\n    smtp_server: m.test\n"
        "  a: {smtp_server: x.test}\n",
    };
    uint64_t versions[2][2];
    for (size_t i = 0; i < COUNT(texts); i++) {
        char errors[TEXT_BYTES];
        struct profiles *profiles = NULL;
        assert_int_equal(read_text(texts[i], &profiles, errors), ERR_OK);
        assert_int_equal(profiles_count(profiles), 2);
        assert_null(profiles_find(profiles, "c"));
        const struct profile *a = profiles_find(profiles, "a");
        const struct profile *b = profiles_find(profiles, "b");
        assert_int_equal(b->plan.port, 26);
        assert_ptr_equal(profiles_version(profiles, a->wire.version), a);
        versions[i][0] = a->wire.version;
        versions[i][1] = b->wire.version;
        profiles_free(&profiles);
    }
    assert_true(versions[0][0] != versions[1][0]);
    assert_true(versions[0][1] == versions[1][1]);
}

/* A profile's own come first, in the order of the file, then those for all; they are in the version and in the plan. */
static void rules_go_with_every_profile(void **state)
{
    (void)state;
    char errors[TEXT_BYTES];
    struct profiles *profiles = NULL;
    struct profiles *without = NULL;
    static const char text[] =
        "profiles:\n"
        "  a:\n    smtp_server: m.test\n    reply_rules:\n"
        "      z: {phase: rcpt, code: 45x, class: recipient}\n"
        "      y: {enhanced_code: x.7.1, text: policy, class: configuration}\n"
        "  b: {smtp_server: m.test}\n"
        "reply_rules:\n  all: {code: 5xx, class: transient}\n";
    assert_int_equal(read_text(text, &profiles, errors), ERR_OK);
    const struct profile *a = profiles_find(profiles, "a");
    const struct profile *b = profiles_find(profiles, "b");
    assert_int_equal(a->plan.reply_rule_count, 3);
    assert_string_equal(a->plan.reply_rules[0]->name, "z");
    assert_int_equal(a->plan.reply_rules[0]->phase, PB_PHASE(RCPT));
    assert_int_equal(a->plan.reply_rules[0]->failure_class, PB_CLASS(RECIPIENT));
    assert_string_equal(a->plan.reply_rules[1]->text, "policy");
    assert_string_equal(a->plan.reply_rules[2]->name, "all");
    assert_int_equal(a->settings.n_reply_rules, 3);
    assert_int_equal(b->plan.reply_rule_count, 1);
    assert_string_equal(b->settings.reply_rules[0]->code, "5xx");
    assert_int_equal(read_text("profiles: {b: {smtp_server: m.test}}\n", &without, errors),
                     ERR_OK);
    assert_true(profiles_find(without, "b")->wire.version != b->wire.version);
    profiles_free(&without);
    profiles_free(&profiles);
}

/* A preset is as if its keys stood in the file; the profile's own win, before it and behind it. */
static void a_preset_fills_what_is_not_given(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        const char *server; /* or the folder */
        uint16_t port;
        enum settings_tls tls;
        uint32_t connections;
        uint32_t minute;
        uint32_t per_message;
        uint32_t day;
    } wanted[] = {
        {"preset: gmail", "smtp.gmail.com", 587, SETTINGS_TLS_STARTTLS, 10, 0, 100, 500},
        {"preset: workspace", "smtp.gmail.com", 587, SETTINGS_TLS_STARTTLS, 10, 0, 100, 2000},
        {"preset: outlook", "smtp-mail.outlook.com", 587, SETTINGS_TLS_STARTTLS, 3, 0, 100,
         300},
        {"preset: microsoft365", "smtp.office365.com", 587, SETTINGS_TLS_STARTTLS, 3, 30, 500,
         10000},
        {"preset: yahoo", "smtp.mail.yahoo.com", 587, SETTINGS_TLS_STARTTLS, 10, 0, 100, 500},
        {"preset: exchange-pickup, smtp_server: /srv/pickup", "/srv/pickup", 0,
         SETTINGS_TLS_NONE, 10, 100, 100, 0},
        {"preset: none, smtp_server: m.test", "m.test", 25, SETTINGS_TLS_NONE, 10, 0, 100, 0},
        /* own keys */
        {"preset: gmail, smtp_port: 465", "smtp.gmail.com", 465, SETTINGS_TLS_IMPLICIT, 10, 0,
         100, 500},
        {"preset: gmail, tls_mode: implicit", "smtp.gmail.com", 465, SETTINGS_TLS_IMPLICIT, 10,
         0, 100, 500},
        {"max_recipients_per_day: 0, max_connections: 1, smtp_server: relay.test, preset: "
         "gmail",
         "relay.test", 587, SETTINGS_TLS_STARTTLS, 1, 0, 100, 0},
        {"use_tls: false, preset: microsoft365", "smtp.office365.com", 25, SETTINGS_TLS_NONE, 3,
         30, 500, 10000},
    };
    for (size_t i = 0; i < COUNT(wanted); i++) {
        char errors[TEXT_BYTES];
        char text[TEXT_BYTES];
        struct profiles *profiles = NULL;
        (void)snprintf(text, sizeof text, "profiles: {a: {%s}}\n", wanted[i].keys);
        if (read_text(text, &profiles, errors) != ERR_OK) {
            fail_msg("%s: %s", wanted[i].keys, errors);
        }
        const struct settings_plan *plan = &profiles_find(profiles, "a")->plan;
        assert_string_equal(plan->server[0] != '\0' ? plan->server : plan->folder,
                            wanted[i].server);
        assert_int_equal(plan->port, wanted[i].port);
        assert_int_equal(plan->tls, wanted[i].tls);
        assert_int_equal(plan->max_connections, wanted[i].connections);
        assert_int_equal(plan->max_messages_per_minute, wanted[i].minute);
        assert_int_equal(plan->max_recipients_per_message, wanted[i].per_message);
        assert_int_equal(plan->max_recipients_per_day, wanted[i].day);
        profiles_free(&profiles);
    }
}

static void a_list_of_rules_has_an_end(void **state)
{
    (void)state;
    char errors[TEXT_BYTES];
    char text[TEXT_BYTES];
    struct profiles *profiles = NULL;
    int len = snprintf(text, sizeof text, "reply_rules:\n");
    for (int i = 0; i < 33; i++) {
        len += snprintf(text + len, sizeof text - (size_t)len,
                        "  r%d: {code: 450, class: quota}\n", i);
    }
    assert_int_equal(read_text(text, &profiles, errors), ERR_CONFIG);
    assert_string_equal(errors, "f:34:3: reply_rules.r32: at most 32 rules\n");
}

static void a_refused_file_leaves_the_old_ones(void **state)
{
    (void)state;
    char errors[TEXT_BYTES];
    struct profiles *profiles = NULL;
    assert_int_equal(read_text("profiles: {a: {smtp_server: m.test}}\n", &profiles, errors),
                     ERR_OK);
    assert_int_equal(read_text("profiles: {b: {}}\n", &profiles, errors), ERR_CONFIG);
    assert_non_null(profiles_find(profiles, "a"));
    profiles_free(&profiles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_place),
        cmocka_unit_test(a_version_is_made_of_the_contents),
        cmocka_unit_test(rules_go_with_every_profile),
        cmocka_unit_test(a_preset_fills_what_is_not_given),
        cmocka_unit_test(a_list_of_rules_has_an_end),
        cmocka_unit_test(a_refused_file_leaves_the_old_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
