/* Writing outcomes, and the back end that refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "deliver.h"
#include "mem.h"

struct row {
    const char *name;
    const char *text;
    const char *wanted; /* null: no text */
};

static const struct row rows[] = {
    {"none", NULL, NULL},
    {"empty", "", NULL},
    {"plain", "250 2.0.0 Ok", "250 2.0.0 Ok"},
    {"control bytes", "a\r\nb\tc\x7f", "a  b c "},
    {"C1",
     "a\xc2\x85"
     "b",
     "a b"},
    {"UTF-8", "\xc3\xa4", "\xc3\xa4"},
    {"no UTF-8",
     "a\xe4"
     "b\xff",
     "a?b?"},
};

static void test_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct deliver_recipient r = {0};
        deliver_set(&r, OUTCOME(REFUSED, RECIPIENT), PB_PHASE(RCPT), 550, "5.1.1",
                    rows[i].text);
        bool same = rows[i].wanted == NULL
                        ? r.text == NULL
                        : r.text != NULL && strcmp(r.text, rows[i].wanted) == 0;
        if (!same) {
            fail_msg("%s: %s", rows[i].name, r.text != NULL ? r.text : "(none)");
        }
        assert_int_equal(r.outcome, PB_OUTCOME(REFUSED));
        assert_int_equal(r.phase, PB_PHASE(RCPT));
        assert_int_equal(r.code, 550);
        assert_string_equal(r.enhanced, "5.1.1");
        free(r.text);
    }
}

/* A long text is cut, and never inside a character. */
static void test_cut(void **state)
{
    (void)state;
    char longer[2 * DELIVER_TEXT_BYTES];
    for (size_t shift = 0; shift < 3; shift++) {
        struct deliver_recipient r = {0};
        memset(longer, 'x', shift);
        size_t len = shift;
        while (len + 4 < sizeof longer) {
            memcpy(longer + len, "\xe2\x82\xac", 3);
            len += 3;
        }
        longer[len] = '\0';
        deliver_set(&r, OUTCOME(REFUSED, RECIPIENT), PB_PHASE(RCPT), 550, "5.7.139 and more",
                    longer);
        size_t whole = (DELIVER_TEXT_BYTES - 1 - shift) / 3 * 3 + shift;
        assert_int_equal(strlen(r.text), whole);
        assert_memory_equal(r.text, longer, whole);
        assert_string_equal(r.enhanced, "5.7.139 and");
        free(r.text);
    }
}

static void test_rest(void **state)
{
    (void)state;
    struct delivery d = {0};
    d.recipients = mem_zero(3, sizeof d.recipients[0]);
    d.recipient_count = 3;
    deliver_set(&d.recipients[1], OUTCOME(DELIVERED, NONE), PB_PHASE(FINAL_DOT), 250, "2.0.0",
                "Ok");
    deliver_set_rest(&d, OUTCOME(DEFERRED, TRANSIENT), PB_PHASE(DATA), 451, NULL, "Later");
    assert_int_equal(d.recipients[0].outcome, PB_OUTCOME(DEFERRED));
    assert_int_equal(d.recipients[1].outcome, PB_OUTCOME(DELIVERED));
    assert_string_equal(d.recipients[1].text, "Ok");
    assert_string_equal(d.recipients[2].text, "Later");
    assert_string_equal(d.recipients[2].enhanced, "");
    /* The text that is replaced may be the source of the new one. */
    deliver_set(&d.recipients[2], OUTCOME(REFUSED, MESSAGE), PB_PHASE(DATA), 550, "",
                d.recipients[2].text);
    assert_string_equal(d.recipients[2].text, "Later");
    delivery_fini(&d);
    assert_null(d.recipients);
    delivery_fini(&d);
}

static void never_ask(void *arg, struct delivery *delivery)
{
    (void)arg;
    (void)delivery;
    fail_msg("the client back end asked for a permit");
}

static void count_done(void *arg, struct delivery *delivery)
{
    (void)delivery;
    (*(int *)arg)++;
}

static void test_client(void **state)
{
    (void)state;
    static const struct deliver_owner owner = {.ask = never_ask, .done = count_done};
    const struct deliver_backend *client = deliver_backend_of(SETTINGS_CLIENT);
    const struct deliver_context context = {0};
    int done = 0;
    void *self = NULL;
    struct err_text why = {0};
    struct delivery d = {.owner = &owner, .owner_arg = &done};
    d.recipients = mem_zero(2, sizeof d.recipients[0]);
    d.recipient_count = 2;
    assert_int_equal(client->open(&context, &self, &why), ERR_OK);
    client->start(self, &d);
    assert_int_equal(done, 1);
    for (size_t i = 0; i < d.recipient_count; i++) {
        assert_int_equal(d.recipients[i].outcome, PB_OUTCOME(REFUSED));
        assert_int_equal(d.recipients[i].phase, PB_PHASE(CLIENT));
        assert_string_equal(d.recipients[i].text, "this pool has no worker with a mail client");
    }
    client->drain(self);
    client->close(&self);
    delivery_fini(&d);
}

static void test_table(void **state)
{
    (void)state;
    assert_ptr_equal(deliver_backend_of(SETTINGS_SMTP), &deliver_smtp);
    assert_ptr_equal(deliver_backend_of(SETTINGS_PICKUP), &deliver_pickup);
    assert_ptr_equal(deliver_backend_of(SETTINGS_CLIENT), &deliver_client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),  cmocka_unit_test(test_cut),
        cmocka_unit_test(test_rest),  cmocka_unit_test(test_client),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
