/* The monitor's lines: events, gaps, restarts, filters; and the JSON and text below them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "follow.h"
#include "json.h"
#include "pb_text.h"
#include "utf8.h"

static char *text(const char *constant)
{
    return (char *)(uintptr_t)constant;
}

static void feed(struct follow *follow, uint64_t epoch, uint64_t sequence, struct buf *out)
{
    PB(RecipientResult) recipient = PB_INIT(RECIPIENT_RESULT);
    PB(RecipientResult) *recipients[] = {&recipient};
    PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
    recipient.address = text("ana@example.org");
    recipient.outcome = PB_OUTCOME(REFUSED);
    recipient.phase = PB_PHASE(RCPT);
    recipient.failure_class = PB_CLASS(RECIPIENT);
    recipient.smtp_code = 550;
    recipient.enhanced_code = text("5.1.1");
    recipient.text = text("no \"such\" user\x1b[2J");
    event.epoch = epoch;
    event.sequence = sequence;
    event.request_id = text("id-1");
    event.producer = text("lab");
    event.state = PB_STATE(FAILED);
    event.attempt = 2;
    event.recipients = recipients;
    event.n_recipients = 1;
    follow_event(follow, &event, out);
}

#define LINE                                                                                   \
    "1970-01-01T00:00:00.000Z FAILED id=id-1 producer=lab attempt=2 to=<ana@example.org> "     \
    "REFUSED (RECIPIENT) RCPT 550 5.1.1 "                                                      \
    "\"no \\\"such\\\" user\\x1b[2J\"\n"

struct follow_row {
    const char *name;
    uint64_t events[6]; /* epoch, sequence, … ; 0 ends */
    const char *producer;
    int state;
    const char *wanted;
};

static const struct follow_row rows[] = {
    {"first event, wherever it starts", {5, 17}, NULL, -1, LINE},
    {"no gap", {5, 17, 5, 18}, NULL, -1, LINE LINE},
    {"gap", {5, 1, 5, 4}, NULL, -1, LINE "GAP epoch=5 missed=2 first=2 last=3\n" LINE},
    {"restart", {5, 9, 6, 1}, NULL, -1, LINE "RESTART epoch=6 before=5\n" LINE},
    {"restart with a gap",
     {5, 9, 6, 3},
     NULL,
     -1,
     LINE "RESTART epoch=6 before=5\nGAP epoch=6 missed=2 first=1 last=2\n" LINE},
    {"gap is told though the events are filtered",
     {5, 1, 5, 3},
     "other",
     -1,
     "GAP epoch=5 missed=1 first=2 last=2\n"},
    {"filter by state", {5, 1}, "lab", PB_STATE(SENT), ""},
    {"filter that fits", {5, 1}, "lab", PB_STATE(FAILED), LINE},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct follow follow = {.producer = rows[i].producer, .state = rows[i].state};
        struct buf out;
        buf_init(&out, 65536);
        for (size_t n = 0; n + 1 < 6 && rows[i].events[n] != 0; n += 2) {
            feed(&follow, rows[i].events[n], rows[i].events[n + 1], &out);
        }
        if (strcmp(buf_text(&out), rows[i].wanted) != 0) {
            fail_msg("%s: got %s", rows[i].name, buf_text(&out));
        }
        buf_fini(&out);
    }
}

static void test_json_lines(void **state)
{
    struct follow follow = {.state = -1, .form = FOLLOW_JSON};
    struct buf out;
    (void)state;
    buf_init(&out, 65536);
    feed(&follow, 5, 1, &out);
    assert_non_null(
        strstr(buf_text(&out), "{\"epoch\":5,\"sequence\":1,\"request_id\":\"id-1\""));
    assert_non_null(
        strstr(buf_text(&out), "\"state\":\"FAILED\",\"previous\":\"UNSPECIFIED\""));
    assert_non_null(strstr(buf_text(&out), "\"phase\":\"RCPT\",\"smtp_code\":550"));
    assert_non_null(
        strstr(buf_text(&out),
               "\"text\":\"no \\\"such\\\" "
               "user\\u001b[2J\",\"failure_class\":\"RECIPIENT\",\"may_have_it\":false}]"));
    buf_reset(&out);
    feed(&follow, 5, 3, &out);
    assert_true(
        strncmp(buf_text(&out),
                "{\"gap\":{\"epoch\":5,\"missed\":1,\"first\":2,\"last\":2}}\n{\"epoch\"",
                56) == 0);
    buf_fini(&out);
}

static void test_enum_words(void **state)
{
    int value = 0;
    (void)state;
    assert_string_equal(pb_state_word(PB_STATE(HANDED_OFF)), "HANDED_OFF");
    assert_string_equal(pb_phase_word(PB_PHASE(FINAL_DOT)), "FINAL_DOT");
    assert_string_equal(pb_enum_word(PB_DESCRIPTOR(receipt_status), PB_RECEIPT(BUSY)), "BUSY");
    assert_string_equal(pb_state_word(99), "?");
    assert_int_equal(pb_enum_parse(PB_DESCRIPTOR(state), "handed_off", &value), ERR_OK);
    assert_int_equal(value, PB_STATE(HANDED_OFF));
    assert_int_equal(pb_enum_parse(PB_DESCRIPTOR(state), "gone", &value), ERR_NOT_FOUND);
}

struct utf8_row {
    const char *text;
    size_t valid; /* bytes that are UTF-8 */
    size_t columns;
};

static const struct utf8_row utf8_rows[] = {
    {"abc", 3, 3},
    {"\xC3\xA4", 2, 1},
    {"e\xCC\x81", 3, 1},
    {"\xE6\xBC\xA2", 3, 2},
    {"a\xC0\x80", 1, 3},        /* overlong */
    {"\xED\xA0\x80", 0, 3},     /* surrogate */
    {"\xF4\x90\x80\x80", 0, 4}, /* above U+10FFFF */
    {"ok\xE6\xBC", 2, 4},       /* cut */
    {"\xF0\x9F\x98\x80", 4, 2},
};

static void test_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof utf8_rows / sizeof utf8_rows[0]; i++) {
        assert_int_equal(utf8_check(utf8_rows[i].text, strlen(utf8_rows[i].text)),
                         utf8_rows[i].valid);
        assert_int_equal(utf8_columns(utf8_rows[i].text), utf8_rows[i].columns);
    }
}

static void test_json_writer(void **state)
{
    struct buf out;
    struct json j;
    (void)state;
    buf_init(&out, 4096);
    json_init(&j, &out);
    json_open(&j, NULL, '{');
    json_text(&j, "a\"b", "c\\d\n\xC0\xE2\x80\xA8");
    json_open(&j, "list", '[');
    json_int(&j, NULL, -1);
    json_uint(&j, NULL, UINT64_MAX);
    json_open(&j, NULL, '{');
    json_close(&j);
    json_close(&j);
    json_bool(&j, "t", true);
    json_null(&j, "n");
    json_close(&j);
    assert_string_equal(buf_text(&out), "{\"a\\\"b\":\"c\\\\d\\u000a\xEF\xBF\xBD\\u2028\","
                                        "\"list\":[-1,18446744073709551615,{}],"
                                        "\"t\":true,\"n\":null}");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),       cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_enum_words),  cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_json_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
