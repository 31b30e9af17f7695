/* Building a request: what goes in comes out of the bytes, and mistakes are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "pb.h"
#include "tpn.h"
#include "tpn_request.h"

static struct tpn_request *good_request(void)
{
    struct tpn_request *request = tpn_request_new();
    tpn_request_text(request, TPN_ID, "one");
    tpn_request_text(request, TPN_ID, "id-1");
    tpn_request_text(request, TPN_PROFILE, "office");
    tpn_request_mailbox(request, TPN_FROM, "Old", "old@example.org");
    tpn_request_mailbox(request, TPN_FROM, "TrackPro", "trackpro@example.org");
    tpn_request_mailbox(request, TPN_TO, "Ana", "ana@example.org");
    tpn_request_mailbox(request, TPN_TO, NULL, "bo@example.org");
    tpn_request_mailbox(request, TPN_CC, NULL, "cy@example.org");
    tpn_request_mailbox(request, TPN_BCC, NULL, "di@example.org");
    tpn_request_mailbox(request, TPN_REPLY_TO, NULL, "re@example.org");
    tpn_request_text(request, TPN_SUBJECT, "Calibration due");
    tpn_request_text(request, TPN_TEXT, "text");
    tpn_request_text(request, TPN_HTML, "<p>html</p>");
    tpn_request_number(request, TPN_KIND, 1);
    tpn_request_number(request, TPN_PRIORITY, 3);
    tpn_request_number(request, TPN_NOT_BEFORE_MS, 1795000000000);
    tpn_request_number(request, TPN_READ_RECEIPT, 1);
    tpn_request_attachment(request, "a.pdf", "application/pdf", NULL, "\0\1\2", 3);
    tpn_request_calendar(request, "BEGIN:VCALENDAR", 15);
    tpn_request_calendar(request, "END:VCALENDAR", 13);
    tpn_request_unsubscribe(request, "mailto:leave@x.test", 0);
    tpn_request_unsubscribe(request, "https://x.test/leave", 1);
    tpn_request_attachment(request, "logo.png", "image/png", "logo", "png", 3);
    tpn_request_label(request, "asset", "TW-17");
    return request;
}

static void test_everything_comes_out(void **state)
{
    struct tpn_request *request = good_request();
    uint8_t *data = NULL;
    size_t len = 0;
    (void)state;
    assert_int_equal(request_encode(request, NULL, &data, &len, NULL), ERR_OK);
    struct err_text why = {0};
    if (request_check(data, len, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    PB(NotificationRequest) *read = PB_UNPACK(notification_request, len, data);
    assert_non_null(read);
    assert_string_equal(read->id, "id-1");
    assert_string_equal(read->profile, "office");
    assert_string_equal(read->message->from->address, "trackpro@example.org");
    assert_int_equal(read->message->n_to, 2);
    assert_string_equal(read->message->to[1]->address, "bo@example.org");
    assert_int_equal(read->message->n_cc, 1);
    assert_int_equal(read->message->n_bcc, 1);
    assert_int_equal(read->message->n_reply_to, 1);
    assert_string_equal(read->message->html, "<p>html</p>");
    assert_int_equal(read->kind, PB_KIND(CUSTODIAN_ALERT));
    assert_int_equal(read->priority, PB_PRIORITY(URGENT));
    assert_true(read->not_before_ms == 1795000000000);
    assert_true(read->message->request_read_receipt);
    assert_int_equal(read->message->calendar.len, 13);
    assert_memory_equal(read->message->calendar.data, "END:VCALENDAR", 13);
    assert_int_equal(read->message->list_unsubscribe->n_uris, 2);
    assert_string_equal(read->message->list_unsubscribe->uris[1], "https://x.test/leave");
    assert_true(read->message->list_unsubscribe->one_click);
    assert_int_equal(read->message->n_attachments, 2);
    assert_int_equal(read->message->attachments[0]->content.len, 3);
    assert_false(read->message->attachments[0]->is_inline);
    assert_true(read->message->attachments[1]->is_inline);
    assert_string_equal(read->labels[0]->value, "TW-17");
    protobuf_c_message_free_unpacked(&read->base, NULL);
    tpn_free(data);
    tpn_request_free(&request);
    assert_null(request);
}

static void test_encoding_is_repeatable(void **state)
{
    struct tpn_request *request = good_request();
    void *one = NULL;
    void *two = NULL;
    size_t one_len = 0;
    size_t two_len = 0;
    (void)state;
    assert_int_equal(tpn_request_pack(request, &one, &one_len, NULL), TPN_OK);
    assert_int_equal(tpn_request_pack(request, &two, &two_len, NULL), TPN_OK);
    assert_int_equal(one_len, two_len);
    assert_memory_equal(one, two, one_len);
    tpn_free(one);
    tpn_free(two);
    tpn_request_free(&request);
}

typedef void spoil_fn(struct tpn_request *request);

static void spoil_number(struct tpn_request *request)
{
    tpn_request_number(request, TPN_PRIORITY, 9);
}

static void spoil_negative(struct tpn_request *request)
{
    tpn_request_number(request, TPN_EXPIRE_AT_MS, -1);
}

static void spoil_address(struct tpn_request *request)
{
    tpn_request_mailbox(request, TPN_TO, "x", "a\nb@example.org");
}

static void spoil_subject(struct tpn_request *request)
{
    tpn_request_text(request, TPN_SUBJECT, "a\r\nBcc: x@example.org");
}

static void spoil_id(struct tpn_request *request)
{
    tpn_request_text(request, TPN_ID, "no blanks");
}

struct spoil_row {
    const char *name;
    spoil_fn *spoil;
    const char *wanted;
};

static const struct spoil_row spoils[] = {
    {"number", spoil_number, "out of range"},
    {"negative time", spoil_negative, "out of range"},
    {"address", spoil_address, "message.to[2].address"},
    {"subject", spoil_subject, "message.subject"},
    {"id", spoil_id, "id"},
};

static void test_mistakes_are_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        struct tpn_request *request = good_request();
        struct err_text why = {0};
        uint8_t *data = NULL;
        size_t len = 0;
        spoils[i].spoil(request);
        enum err err = request_encode(request, NULL, &data, &len, &why);
        if (err == ERR_OK) {
            err = request_check(data, len, &why);
        }
        if (err == ERR_OK || strstr(why.text, spoils[i].wanted) == NULL) {
            fail_msg("%s: %s", spoils[i].name, why.text);
        }
        tpn_free(data);
        tpn_request_free(&request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_out),
        cmocka_unit_test(test_encoding_is_repeatable),
        cmocka_unit_test(test_mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
