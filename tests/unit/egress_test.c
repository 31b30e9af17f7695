/* Where a worker may connect to: every kind of address in every spelling, the two lists, what a profile may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

struct row {
    const char *address;
    const char *says; /* a part of the refusal; null = allowed */
};

static const struct sockaddr *address_of(const char *text, struct sockaddr_storage *room)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    memset(room, 0, sizeof *room);
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(room, &v4, sizeof v4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        memcpy(room, &v6, sizeof v6);
    }
    return (const struct sockaddr *)room;
}

static void assert_row(const struct egress *egress, enum egress_trust trust,
                       const struct row *row)
{
    struct sockaddr_storage room;
    struct err_text why = {.code = ERR_OK};
    enum err err = egress_check(egress, trust, address_of(row->address, &room), &why);
    if ((err == ERR_OK) != (row->says == NULL)) {
        fail_msg("%s: %s %s", row->address, err_name(err), why.text);
    }
    if (row->says != NULL &&
        (strstr(why.text, row->says) == NULL || strstr(why.text, "smtp_server") == NULL)) {
        fail_msg("%s: '%s' is not in: %s", row->address, row->says, why.text);
    }
}

static void assert_rows(const struct egress *egress, enum egress_trust trust,
                        const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_row(egress, trust, &rows[i]);
    }
}

static void test_nobody_connects_to_what_is_near(void **state)
{
    static const struct row rows[] = {
        {"127.0.0.1", "127.0.0.1 (loopback)"},
        {"127.255.255.254", "loopback"},
        {"::1", "::1 (loopback)"},
        {"::ffff:127.0.0.1", "loopback"},
        {"::127.0.0.1", "loopback"},
        {"64:ff9b::7f00:1", "loopback"},
        {"2002:7f00:1::", "loopback"},
        {"0.0.0.0", "unspecified"},
        {"0.1.2.3", "unspecified"},
        {"::", "unspecified"},
        {"::ffff:0.0.0.0", "unspecified"},
        {"169.254.169.254", "metadata"},
        {"::ffff:169.254.169.254", "metadata"},
        {"64:ff9b::a9fe:a9fe", "metadata"},
        {"168.63.129.16", "metadata"},
        {"100.100.100.200", "metadata"},
        {"fd00:ec2::254", "metadata"},
        {"fd20:ce::254", "metadata"},
        {"169.254.0.1", "link-local"},
        {"fe80::1", "link-local"},
        {"febf::1", "link-local"},
        {"224.0.0.1", "multicast"},
        {"239.255.255.255", "multicast"},
        {"ff02::1", "multicast"},
        {"255.255.255.255", "reserved"},
        {"240.0.0.1", "reserved"},
        {"100::1", "reserved"},
        /* The neighbours of each, and what companies have inside. */
        {"126.255.255.255", NULL},
        {"128.0.0.1", NULL},
        {"1.0.0.1", NULL},
        {"10.1.2.3", NULL},
        {"172.17.0.1", NULL},
        {"192.168.1.25", NULL},
        {"169.253.255.255", NULL},
        {"169.255.0.0", NULL},
        {"223.255.255.255", NULL},
        {"192.0.2.1", NULL},
        {"::ffff:192.0.2.1", NULL},
        {"64:ff9b::c000:201", NULL},
        {"2001:db8::1", NULL},
        {"fd00:ec2::253", NULL},
        {"fec0::1", NULL},
        {"::2", NULL},
    };
    (void)state;
    assert_rows(NULL, EGRESS_ANY, rows, COUNT(rows));
}

static void test_a_profile_may_name_this_machine_and_no_other(void **state)
{
    static const struct row rows[] = {
        {"127.0.0.1", NULL},        {"::1", NULL},
        {"::ffff:127.0.0.1", NULL}, {"169.254.169.254", "metadata"},
        {"0.0.0.0", "unspecified"}, {"fe80::1", "link-local"},
    };
    (void)state;
    assert_rows(NULL, EGRESS_NAMES_LOOPBACK, rows, COUNT(rows));
}

static void test_lists_decide(void **state)
{
    static const char *const allow[] = {"127.0.0.0/8", "fe80::/10", "169.254.169.254", NULL};
    static const char *const only[] = {"10.0.0.0/9", "2001:db8::/33", NULL};
    static const struct row allowed[] = {
        {"127.1.2.3", NULL}, {"::ffff:127.0.0.1", NULL},
        {"fe80::2", NULL},   {"169.254.169.254", NULL},
        {"::1", "loopback"}, {"169.254.169.253", "link-local"},
        {"192.0.2.1", NULL},
    };
    static const struct row fenced[] = {
        {"10.0.0.1", NULL},
        {"10.127.255.255", NULL},
        {"10.128.0.0", "egress.only"},
        {"2001:db8:7fff::1", NULL},
        {"2001:db8:8000::1", "egress.only"},
        {"192.0.2.1", "egress.only"},
        {"127.0.0.1", NULL}, /* egress.allow goes before */
        {"::1", "egress.only"},
    };
    struct egress *egress = NULL;
    struct err_text why;
    (void)state;
    assert_int_equal(egress_new(allow, NULL, &egress, &why), ERR_OK);
    assert_rows(egress, EGRESS_ANY, allowed, COUNT(allowed));
    egress_free(&egress);
    assert_int_equal(egress_new(allow, only, &egress, &why), ERR_OK);
    assert_rows(egress, EGRESS_NAMES_LOOPBACK, fenced, COUNT(fenced));
    egress_free(&egress);
    assert_null(egress);
    egress_free(&egress);
}

static void test_what_is_no_network_is_refused(void **state)
{
    static const char *const good[] = {
        "0.0.0.0/0",  "::/0",          "192.0.2.1", "192.0.2.1/32",
        "10.0.0.0/8", "2001:db8::/32", "::1/128",   "::ffff:10.0.0.0/104"};
    static const char *const bad[] = {"",
                                      "/",
                                      "localhost",
                                      "10.0.0/8",
                                      "10.0.0.0/33",
                                      "10.0.0.0/",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/ 8",
                                      "10.0.0.0/8x",
                                      "10.0.0.1/8",
                                      "::1/129",
                                      "2001:db8::1/32",
                                      "300.0.0.1",
                                      "[::1]",
                                      "10.0.0.0/8/8"};
    struct err_text why;
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        if (egress_check_network(good[i], &why) != ERR_OK) {
            fail_msg("%s: %s", good[i], why.text);
        }
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        const char *const list[] = {bad[i], NULL};
        struct egress *egress = NULL;
        if (egress_check_network(bad[i], &why) != ERR_CONFIG || why.text[0] == '\0' ||
            egress_new(NULL, list, &egress, &why) != ERR_CONFIG || egress != NULL) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void test_only_the_administrator_names_this_machine(void **state)
{
    static const struct {
        const char *server;
        bool of_request;
        enum egress_trust trust;
    } rows[] = {
        {"localhost", false, EGRESS_NAMES_LOOPBACK},
        {"LOCALHOST", false, EGRESS_NAMES_LOOPBACK},
        {"127.0.0.1", false, EGRESS_NAMES_LOOPBACK},
        {"::1", false, EGRESS_NAMES_LOOPBACK},
        {"localhost", true, EGRESS_ANY},
        {"127.0.0.1", true, EGRESS_ANY},
        {"relay.example.test", false, EGRESS_ANY},
        {"localhost.example.test", false, EGRESS_ANY},
        {"169.254.169.254", false, EGRESS_ANY},
        {"10.0.0.1", false, EGRESS_ANY},
        {"", false, EGRESS_ANY},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct settings_plan plan = {.of_request = rows[i].of_request};
        (void)snprintf(plan.server, sizeof plan.server, "%s", rows[i].server);
        assert_int_equal(egress_trust_of(&plan), rows[i].trust);
    }
}

static void test_only_ip_is_gone_to(void **state)
{
    static const struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    struct err_text why = {.code = ERR_OK};
    (void)state;
    assert_int_equal(
        egress_check(NULL, EGRESS_NAMES_LOOPBACK, (const struct sockaddr *)&local, &why),
        ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_connects_to_what_is_near),
        cmocka_unit_test(test_a_profile_may_name_this_machine_and_no_other),
        cmocka_unit_test(test_lists_decide),
        cmocka_unit_test(test_what_is_no_network_is_refused),
        cmocka_unit_test(test_only_the_administrator_names_this_machine),
        cmocka_unit_test(test_only_ip_is_gone_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
