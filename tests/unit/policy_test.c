/* Policies of producers: what each list lets through, what it refuses and with which words; and the rate. And the allow list itself:
 * who is found under a key, and every error with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem.h"
#include "path.h"
#include "policy.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KEY1 "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define KEY2 "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

/* ---- patterns ---- */

static const struct {
    const char *pattern;
    const char *address;
    bool match;
} pattern_rows[] = {
    {"*", "a@b.test", true},
    {"a@b.test", "a@b.test", true},
    {"a@b.test", "A@B.Test", true},
    {"a@b.test", "aa@b.test", false},
    {"a@b.test", "a@c.b.test", false},
    {"@b.test", "x@b.test", true},
    {"@b.test", "x@B.TEST", true},
    {"@b.test", "x@ab.test", false},
    {"@b.test", "x@c.b.test", false},
    {"@*.b.test", "x@c.b.test", true},
    {"@*.b.test", "x@d.c.b.test", true},
    {"@*.b.test", "x@b.test", false},
    {"@*.b.test", "x@cb.test", false},
    {"@m\xc3\xbcller.test", "x@xn--mller-kva.test", true},
    {"@xn--mller-kva.test", "x@M\xc3\xbcller.test", true},
    {"@b.test", "\"x@b.test\"@evil.test", false},
    {"\"a b\"@b.test", "\"a b\"@b.test", true},
};

static void a_pattern_matches_what_it_says_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pattern_rows); i++) {
        char *items[] = {(char *)(uintptr_t)pattern_rows[i].pattern, NULL};
        struct conf_texts patterns = {items, 1};
        struct err_text why = {0};
        assert_int_equal(policy_check_pattern(items[0], &why), ERR_OK);
        if (policy_matches(&patterns, pattern_rows[i].address) != pattern_rows[i].match) {
            fail_msg("%s and %s", pattern_rows[i].pattern, pattern_rows[i].address);
        }
    }
}

static void what_is_no_pattern_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "b.test", "@",  "@*.",        "*.b.test",
                                      "@a b", "a@",     "@*", "a*@b.test\n"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err_text why = {0};
        if (policy_check_pattern(bad[i], &why) == ERR_OK) {
            fail_msg("\"%s\"", bad[i]);
        }
    }
}

/* ---- the list ---- */

static enum err read_text(const char *text, struct access **out, struct buf *errors)
{
    char path[] = "/tmp/tpn-allow-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    buf_init(errors, 65536);
    enum err err = access_read(path, out, errors);
    (void)unlink(path);
    return err;
}

static const struct {
    const char *text;
    const char *wanted; /* in the errors */
} bad_lists[] = {
    {"access: {a: {keys: ['" KEY1 "']}}", "access.a.role: required"},
    {"access: {a: {role: monitor}}", "access.a.keys: required"},
    {"access: {a: {role: king, keys: ['" KEY1 "']}}", "access.a.role: "},
    {"access: {a: {role: broker, keys: ['" KEY1 "']}}", "access.a.role: "},
    {"access: {a: {role: worker, keys: [short]}}", "40 characters"},
    {"access: {a: {role: worker, keys: ['" KEY1 "', '" KEY1 "']}}", "twice"},
    {"access: {a: {role: worker, keys: ['" KEY1 "']}, b: {role: operator, keys: ['" KEY1 "']}}",
     "a's too"},
    {"access: {a/b: {role: worker, keys: ['" KEY1 "']}}", "a name is"},
    {"access: {a: {role: operator, keys: ['" KEY1 "'], rights: [all]}}", "read, act or reveal"},
    {"access: {a: {role: producer, keys: ['" KEY1 "'], from: [b.test]}}", "'@domain'"},
    {"access: {a: {role: producer, keys: ['" KEY1 "'], profiles: ['a*b']}}",
     "beginning of names"},
    {"access: {a: {role: producer, keys: ['" KEY1 "'], max_bytes: 1GiB}}", "max_bytes"},
    {"access: {a: {role: producer, keys: ['" KEY1 "'], secret: x}}", "access.a.secret"},
};

static void a_list_with_an_error_is_refused_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad_lists); i++) {
        struct access *access = NULL;
        struct buf errors;
        assert_int_equal(read_text(bad_lists[i].text, &access, &errors), ERR_CONFIG);
        if (strstr(buf_text(&errors), bad_lists[i].wanted) == NULL) {
            fail_msg("\"%s\" is not in \"%s\"", bad_lists[i].wanted, buf_text(&errors));
        }
        assert_null(access);
        buf_fini(&errors);
    }
}

static void two_keys_are_one_owner(void **state)
{
    (void)state;
    struct access *access = NULL;
    struct buf errors;
    assert_int_equal(read_text("access: {a: {role: operator, keys: ['" KEY1 "', '" KEY2
                               "'], rights: [read, reveal]}}",
                               &access, &errors),
                     ERR_OK);
    const struct access_entry *entry = access_find(access, KEY1);
    assert_non_null(entry);
    assert_ptr_equal(entry, access_find(access, KEY2));
    assert_int_equal(entry->right_bits, ACCESS_READ | ACCESS_REVEAL);
    assert_null(access_find(access, ""));
    assert_int_equal(access_keys(access), 2);
    access_free(&access);
    buf_fini(&errors);
}

/* s ubmit, w ork, t opic, a dmin: the sockets of each role. */
static void each_role_has_its_sockets(void **state)
{
    (void)state;
    static const char *const wanted[BUS_KEY_ROLE_COUNT] = {
        [BUS_KEY_NOBODY] = "",  [BUS_KEY_BROKER] = "",      [BUS_KEY_PRODUCER] = "st",
        [BUS_KEY_WORKER] = "w", [BUS_KEY_OPERATOR] = "sta", [BUS_KEY_MONITOR] = "t"};
    static const char doors[ACCESS_DOORS] = {'s', 'w', 't', 'a'};
    for (int role = 0; role < BUS_KEY_ROLE_COUNT; role++) {
        for (int door = 0; door < ACCESS_DOORS; door++) {
            assert_int_equal(
                access_role_enters((enum bus_key_role)role, (enum access_door)door),
                strchr(wanted[role], doors[door]) != NULL);
        }
    }
}

/* ---- requests ---- */

struct mail {
    PB(NotificationRequest) request;
    PB(Message) message;
    PB(Mailbox) boxes[4];
    PB(Mailbox) *to[1];
    PB(Mailbox) *cc[1];
    PB(Mailbox) *bcc[1];
    PB(MailingSettings) settings;
};

static void mail_init(struct mail *mail)
{
    PB(NotificationRequest) request = PB_INIT(NOTIFICATION_REQUEST);
    PB(Message) message = PB_INIT(MESSAGE);
    PB(MailingSettings) settings = PB_INIT(MAILING_SETTINGS);
    static const char *const addresses[] = {"cal@lab.test", "ann@lab.test", "ben@lab.test",
                                            "eve@lab.test"};
    mail->request = request;
    mail->message = message;
    mail->settings = settings;
    for (size_t i = 0; i < COUNT(mail->boxes); i++) {
        PB(Mailbox) box = PB_INIT(MAILBOX);
        mail->boxes[i] = box;
        mail->boxes[i].address = (char *)(uintptr_t)addresses[i];
    }
    mail->to[0] = &mail->boxes[1];
    mail->cc[0] = &mail->boxes[2];
    mail->bcc[0] = &mail->boxes[3];
    mail->message.from = &mail->boxes[0];
    mail->message.to = mail->to;
    mail->message.cc = mail->cc;
    mail->message.bcc = mail->bcc;
    mail->message.n_to = mail->message.n_cc = mail->message.n_bcc = 1;
    mail->request.message = &mail->message;
    mail->request.profile = (char *)(uintptr_t) "office";
}

static void set_from(struct mail *mail)
{
    mail->boxes[0].address = (char *)(uintptr_t) "cal@evil.test";
}
static void set_sender(struct mail *mail)
{
    mail->message.sender = &mail->boxes[1];
    mail->boxes[0].address = (char *)(uintptr_t) "cal@lab.test";
    mail->boxes[1].address = (char *)(uintptr_t) "x@evil.test";
}
static void set_to(struct mail *mail)
{
    mail->boxes[1].address = (char *)(uintptr_t) "a@evil.test";
}
static void set_cc(struct mail *mail)
{
    mail->boxes[2].address = (char *)(uintptr_t) "a@evil.test";
}
static void set_bcc(struct mail *mail)
{
    mail->boxes[3].address = (char *)(uintptr_t) "a@evil.test";
}
static void set_profile(struct mail *mail)
{
    mail->request.profile = (char *)(uintptr_t) "bank";
}
static void set_settings(struct mail *mail)
{
    mail->request.settings = &mail->settings;
}
static void set_urgent(struct mail *mail)
{
    mail->request.priority = PB_PRIORITY(URGENT);
}
static void set_nothing(struct mail *mail)
{
    (void)mail;
}

static const struct {
    void (*change)(struct mail *mail);
    size_t bytes;
    const char *field; /* null = allowed */
    const char *list;  /* named in the rule */
} request_rows[] = {
    {set_nothing, 100, NULL, NULL},
    {set_nothing, 1025, "", "max_bytes"},
    {set_from, 100, "message.from.address", "from"},
    {set_sender, 100, "message.sender.address", "from"},
    {set_to, 100, "message.to[0].address", "recipients"},
    {set_cc, 100, "message.cc[0].address", "recipients"},
    {set_bcc, 100, "message.bcc[0].address", "recipients"},
    {set_profile, 100, "profile", "profiles"},
    {set_settings, 100, "settings", "inline_settings"},
    {set_urgent, 100, "priority", "priority"},
};

static void a_refusal_names_field_and_list(void **state)
{
    (void)state;
    struct access *access = NULL;
    struct buf errors;
    assert_int_equal(read_text("access: {lab: {role: producer, keys: ['" KEY1
                               "'], profiles: ['off*'], from: [cal@lab.test],"
                               " recipients: ['@lab.test'], max_bytes: 1KiB},\n"
                               " nothing: {role: producer, keys: ['" KEY2 "']}}",
                               &access, &errors),
                     ERR_OK);
    const struct access_entry *who = access_find(access, KEY1);
    for (size_t i = 0; i < COUNT(request_rows); i++) {
        struct mail mail;
        struct wire_fault fault = {"", ""};
        mail_init(&mail);
        request_rows[i].change(&mail);
        bool good = policy_request(who, &mail.request, request_rows[i].bytes, &fault);
        assert_int_equal(good, request_rows[i].field == NULL);
        if (!good) {
            assert_string_equal(fault.field, request_rows[i].field);
            if (strstr(fault.rule, request_rows[i].list) == NULL ||
                strstr(fault.rule, "lab") == NULL) {
                fail_msg("row %zu: %s", i, fault.rule);
            }
        }
    }
    struct mail mail;
    struct wire_fault fault = {"", ""};
    mail_init(&mail);
    assert_false(policy_request(access_find(access, KEY2), &mail.request, 100,
                                &fault)); /* what is not listed is not allowed */
    access_free(&access);
    buf_fini(&errors);
}

static const struct {
    const char *profile;
    bool settings;
    const char *from;
    const char *recipient;
    const char *field; /* null = allowed */
} probe_rows[] = {
    {"office", false, "", "", NULL},
    {"office", false, "cal@lab.test", "x@lab.test", NULL},
    {"bank", false, "", "", "profile"},
    {"", true, "", "", "settings"},
    {"office", false, "x@evil.test", "", "from"},
    {"office", false, "", "x@evil.test", "recipient"},
};

static void a_test_of_settings_has_the_same_limits(void **state)
{
    (void)state;
    struct access *access = NULL;
    struct buf errors;
    assert_int_equal(read_text("access: {lab: {role: producer, keys: ['" KEY1
                               "'], profiles: [office], from: [cal@lab.test],"
                               " recipients: ['@lab.test']}}",
                               &access, &errors),
                     ERR_OK);
    for (size_t i = 0; i < COUNT(probe_rows); i++) {
        PB(Probe) probe = PB_INIT(PROBE);
        PB(MailingSettings) settings = PB_INIT(MAILING_SETTINGS);
        struct wire_fault fault = {"", ""};
        probe.profile = (char *)(uintptr_t)probe_rows[i].profile;
        probe.from = (char *)(uintptr_t)probe_rows[i].from;
        probe.recipient = (char *)(uintptr_t)probe_rows[i].recipient;
        probe.settings = probe_rows[i].settings ? &settings : NULL;
        assert_int_equal(policy_probe(access_find(access, KEY1), &probe, &fault),
                         probe_rows[i].field == NULL);
        assert_string_equal(fault.field,
                            probe_rows[i].field != NULL ? probe_rows[i].field : "");
    }
    access_free(&access);
    buf_fini(&errors);
}

static void the_rate_holds_over_a_minute(void **state)
{
    (void)state;
    struct policy_bucket bucket = {0};
    int64_t now_ms = 1000000;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(policy_take(&bucket, 60, now_ms), 0);
    }
    uint32_t wait_ms = policy_take(&bucket, 60, now_ms);
    assert_in_range(wait_ms, 900, 1100);
    assert_int_equal(policy_take(&bucket, 60, now_ms + wait_ms), 0);
    assert_true(policy_take(&bucket, 60, now_ms + wait_ms) > 0);
    int taken = 0;
    for (int64_t at_ms = now_ms + 2000; at_ms < now_ms + 602000;
         at_ms += 7) { /* ten minutes, asked all the time */
        taken += policy_take(&bucket, 60, at_ms) == 0;
    }
    assert_in_range(taken, 590, 610);
    assert_int_equal(policy_take(&bucket, 0, now_ms), 0);
    assert_true(policy_take(&bucket, 1, now_ms + 602001) > 0); /* a limit that was lowered */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_matches_what_it_says_and_nothing_else),
        cmocka_unit_test(what_is_no_pattern_is_refused),
        cmocka_unit_test(a_list_with_an_error_is_refused_whole),
        cmocka_unit_test(two_keys_are_one_owner),
        cmocka_unit_test(each_role_has_its_sockets),
        cmocka_unit_test(a_refusal_names_field_and_list),
        cmocka_unit_test(a_test_of_settings_has_the_same_limits),
        cmocka_unit_test(the_rate_holds_over_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
