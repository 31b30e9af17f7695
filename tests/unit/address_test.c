/* Mail addresses and host names: one row, one rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "address.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define X63 X60 "xxx"
/* A domain of 3 * 64 + n bytes. */
#define DOMAIN_192 X63 "." X63 "." X63 "."

struct check_row {
    const char *name;
    const char *address;
    enum err wanted;
    const char *rule; /* part of the sentence */
};

static const struct check_row rows[] = {
    {"plain", "john@example.com", ERR_OK, ""},
    {"one label domain", "root@localhost", ERR_OK, ""},
    {"all of atext", "a!#$%&'*+-/=?^_`{|}~z@example.com", ERR_OK, ""},
    {"dots inside", "a.b.c@example.com", ERR_OK, ""},
    {"hyphen inside", "a-b@ex-ample.com", ERR_OK, ""},
    {"underscore in the domain", "a@my_host.example", ERR_OK, ""},
    {"digits first", "1@3com.com", ERR_OK, ""},
    {"quoted blank", "\"john smith\"@example.com", ERR_OK, ""},
    {"quoted at", "\"a@b\"@example.com", ERR_OK, ""},
    {"quoted escape", "\"a\\\"b\\\\\"@example.com", ERR_OK, ""},
    {"UTF-8 local part", "jos\xc3\xa9@example.com", ERR_OK, ""},
    {"UTF-8 domain",
     "a@b\xc3\xbc"
     "cher.example",
     ERR_OK, ""},
    {"IPv4 literal", "a@[192.0.2.1]", ERR_OK, ""},
    {"IPv6 literal", "a@[IPv6:2001:db8::1]", ERR_OK, ""},
    {"local part of 64", X60 "xxxx@example.com", ERR_OK, ""},
    {"254 bytes", "a@" DOMAIN_192 X60, ERR_OK, ""},

    {"empty", "", ERR_INVALID, "empty"},
    {"no at", "example.com", ERR_INVALID, "local-part@domain"},
    {"no local part", "@example.com", ERR_INVALID, "local part: is missing"},
    {"no domain", "a@", ERR_INVALID, "domain: is missing"},
    {"two ats", "a@b@example.com", ERR_INVALID, "local part"},
    {"source route", "@relay.example:a@example.com", ERR_INVALID, "local part"},
    {"display name", "John <john@example.com>", ERR_INVALID, "local part"},
    {"comment", "john(boss)@example.com", ERR_INVALID, "local part"},
    {"leading hyphen", "-oQ@example.com", ERR_INVALID, "hyphen"},
    {"leading dot", ".a@example.com", ERR_INVALID, "dot"},
    {"final dot", "a.@example.com", ERR_INVALID, "dot"},
    {"two dots", "a..b@example.com", ERR_INVALID, "dot"},
    {"blank", "a b@example.com", ERR_INVALID, "local part"},
    {"CR LF", "a@example.com\r\nRCPT TO:<b@example.com>", ERR_INVALID, "control"},
    {"LF in quotes", "\"a\nb\"@example.com", ERR_INVALID, "control"},
    {"DEL", "a\x7f@example.com", ERR_INVALID, "control"},
    {"C1 control", "a\xc2\x85@example.com", ERR_INVALID, "control"},
    {"bad UTF-8", "a\xff@example.com", ERR_INVALID, "UTF-8"},
    {"overlong UTF-8", "a\xc0\xae@example.com", ERR_INVALID, "UTF-8"},
    {"open quote", "\"a@example.com", ERR_INVALID, "quotes"},
    {"empty quotes", "\"\"@example.com", ERR_INVALID, "quotes"},
    {"text behind quotes", "\"a\"b@example.com", ERR_INVALID, "quotes"},
    {"backslash last", "\"a\\\"@example.com", ERR_INVALID, "quotes"},
    {"domain with a leading dot", "a@.example.com", ERR_INVALID, "domain"},
    {"domain with a final dot", "a@example.com.", ERR_INVALID, "domain"},
    {"domain with two dots", "a@example..com", ERR_INVALID, "domain"},
    {"label with a leading hyphen", "a@-x.example", ERR_INVALID, "hyphen"},
    {"label with a final hyphen", "a@x-.example", ERR_INVALID, "hyphen"},
    {"domain with a blank", "a@ex ample.com", ERR_INVALID, "domain"},
    {"domain with a slash", "a@ex/ample.com", ERR_INVALID, "domain"},
    {"IPv4 without brackets", "a@192.0.2.1", ERR_INVALID, "[ ]"},
    {"bad IPv4 literal", "a@[192.0.2.256]", ERR_INVALID, "IPv4"},
    {"IPv6 literal without its tag", "a@[2001:db8::1]", ERR_INVALID, "IPv6:"},
    {"open literal", "a@[192.0.2.1", ERR_INVALID, "IPv4"},
    {"empty literal", "a@[]", ERR_INVALID, "IPv4"},
    {"text behind a literal", "a@[192.0.2.1]x", ERR_INVALID, "IPv4"},
    /* UTS 46 makes a plain slash of this one, and a dot of the next. */
    {"full-width slash",
     "a@ex\xef\xbc\x8f"
     "ample.com",
     ERR_INVALID, "domain"},
    {"ideographic dots in a row",
     "a@ex\xe3\x80\x82\xe3\x80\x82"
     "com",
     ERR_INVALID, "domain"},
    {"label that IDNA2008 forbids", "a@\xf0\x9f\x98\x80.example", ERR_INVALID,
     "internationalised"},
    {"local part of 65", X60 "xxxxx@example.com", ERR_LIMIT, "64"},
    {"255 bytes", "ab@" DOMAIN_192 X60, ERR_LIMIT, "254"},
    {"label of 64", "a@" X63 "x.example", ERR_LIMIT, "63"},
};

static void addresses_are_held_against_each_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err_text why = {0};
        enum err got = address_check(rows[i].address, &why);
        if (got != rows[i].wanted || strstr(why.text, rows[i].rule) == NULL) {
            fail_msg("%s: got %s, \"%s\"", rows[i].name, err_name(got), why.text);
        }
        /* A message ends in a log: it never holds the address. */
        if (got != ERR_OK && strlen(rows[i].address) > 8 &&
            strstr(why.text, rows[i].address) != NULL) {
            fail_msg("%s: the message shows the address", rows[i].name);
        }
    }
}

struct ascii_row {
    const char *name;
    const char *address;
    const char *wanted; /* null: refused */
    bool needs_utf8;
};

static const struct ascii_row ascii_rows[] = {
    {"plain is untouched", "John@Example.COM", "John@Example.COM", false},
    {"underscore is kept", "a@a_b.test", "a@a_b.test", false},
    {"domain becomes A-labels",
     "a@b\xc3\xbc"
     "cher.example",
     "a@xn--bcher-kva.example", false},
    {"non-transitional sharp s",
     "a@stra\xc3\x9f"
     "e.example",
     "a@xn--strae-oqa.example", false},
    {"decomposed umlaut is composed",
     "a@bu\xcc\x88"
     "cher.example",
     "a@xn--bcher-kva.example", false},
    {"capitals are mapped",
     "a@B\xc3\x9c"
     "CHER.example",
     "a@xn--bcher-kva.example", false},
    {"local part stays UTF-8", "jos\xc3\xa9@example.com", "jos\xc3\xa9@example.com", true},
    {"both",
     "jos\xc3\xa9@b\xc3\xbc"
     "cher.example",
     "jos\xc3\xa9@xn--bcher-kva.example", true},
    {"literal is untouched", "a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]", false},
    {"emoji", "a@\xf0\x9f\x98\x80.example", NULL, false},
};

static void domains_go_out_as_a_labels(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ascii_rows / sizeof ascii_rows[0]; i++) {
        const struct ascii_row *row = &ascii_rows[i];
        char out[ADDRESS_MAX_BYTES + 1] = "";
        bool needs_utf8 = !row->needs_utf8;
        struct err_text why = {0};
        enum err got = address_to_ascii(row->address, out, &needs_utf8, &why);
        if (row->wanted == NULL) {
            assert_int_equal(got, ERR_INVALID);
            continue;
        }
        if (got != ERR_OK || strcmp(out, row->wanted) != 0 || needs_utf8 != row->needs_utf8) {
            fail_msg("%s: got %s \"%s\" %d %s", row->name, err_name(got), out, needs_utf8,
                     why.text);
        }
    }
}

static void an_address_that_grows_too_long_is_refused(void **state)
{
    (void)state;
    /* 60 bytes of umlauts a label: more as A-label than 63. */
    char address[ADDRESS_MAX_BYTES + 1] = "a@";
    for (int i = 0; i < 62; i++) {
        (void)strncat(address, i % 2 == 0 ? "\xc3\xbc" : "\xe6\x9c\xac",
                      sizeof address - 1 - strlen(address));
    }
    struct err_text why = {0};
    assert_int_not_equal(address_check(address, &why), ERR_OK);
}

static void the_domain_is_what_follows_the_last_at(void **state)
{
    (void)state;
    assert_string_equal(address_domain("a@example.com"), "example.com");
    assert_string_equal(address_domain("\"a@b\"@example.com"), "example.com");
    assert_string_equal(address_domain("nothing"), "");
    assert_string_equal(address_domain(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_held_against_each_rule),
        cmocka_unit_test(domains_go_out_as_a_labels),
        cmocka_unit_test(an_address_that_grows_too_long_is_refused),
        cmocka_unit_test(the_domain_is_what_follows_the_last_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
