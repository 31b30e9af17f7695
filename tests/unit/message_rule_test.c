/* What makes a message mail: each rule of more than one field, refused with the path of the field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "check_rules.h"
#include "header_rule.h"
#include "message_rule.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A message with room for what the rows put into it. */
struct sample {
    PB(Message) message;
    PB(Mailbox) from, sender, to[2];
    PB(Mailbox) *to_list[2];
    PB(Attachment) attachment;
    PB(Attachment) *attachments[1];
    PB(Header) headers[2];
    PB(Header) *header_list[2];
    PB(ListUnsubscribe) unsubscribe;
    char *uris[2];
};

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal; /* the generated structs know no const */
}

static void set_box(PB(Mailbox) *box, const char *address)
{
    PB(Mailbox) init = PB_INIT(MAILBOX);
    *box = init;
    box->address = text(address);
}

/* A message that is fine. */
static void sample_init(struct sample *s)
{
    PB(Message) message = PB_INIT(MESSAGE);
    PB(Attachment) attachment = PB_INIT(ATTACHMENT);
    PB(Header) header = PB_INIT(HEADER);
    PB(ListUnsubscribe) unsubscribe = PB_INIT(LIST_UNSUBSCRIBE);
    memset(s, 0, sizeof *s);
    s->message = message;
    set_box(&s->from, "trackpro@lab.test");
    set_box(&s->sender, "desk@lab.test");
    for (size_t i = 0; i < COUNT(s->to); i++) {
        set_box(&s->to[i], "ann@lab.test");
        s->to_list[i] = &s->to[i];
        s->headers[i] = header;
        s->headers[i].name = text("X-Fine");
        s->header_list[i] = &s->headers[i];
    }
    s->attachment = attachment;
    s->attachments[0] = &s->attachment;
    s->unsubscribe = unsubscribe;
    s->unsubscribe.uris = s->uris;
    s->uris[0] = text("mailto:leave@lab.test");
    s->uris[1] = text("https://lab.test/leave");
    s->message.from = &s->from;
    s->message.to = s->to_list;
    s->message.n_to = COUNT(s->to);
    s->message.attachments = s->attachments;
    s->message.headers = s->header_list;
    s->message.subject = text("Due");
    s->message.text = text("Hello\n");
}

static void header(struct sample *s, const char *name, const char *value)
{
    s->headers[1].name = text(name);
    s->headers[1].value = text(value);
    s->message.n_headers = 2;
}

static void attach(struct sample *s, bool is_inline, const char *id)
{
    s->attachment.is_inline = is_inline;
    s->attachment.content_id = text(id);
    s->message.n_attachments = 1;
}

static void unsubscribe(struct sample *s, size_t uris, bool one_click)
{
    s->unsubscribe.n_uris = uris;
    s->unsubscribe.one_click = one_click;
    s->message.list_unsubscribe = &s->unsubscribe;
}

static void calendar(struct sample *s, const char *bytes)
{
    s->message.calendar.data = (uint8_t *)(uintptr_t)bytes;
    s->message.calendar.len = strlen(bytes);
}

typedef void change_fn(struct sample *s, PB(Message) *m);

#define CHANGE(name, body)                                                                     \
    static void name(struct sample *s, PB(Message) *m)                                         \
    {                                                                                          \
        (void)s;                                                                               \
        (void)m;                                                                               \
        body;                                                                                  \
    }

CHANGE(nothing, (void)m)
CHANGE(everything, m->sender = &s->sender; m->html = text("<p>"); attach(s, true, "logo");
       s->attachment.content_type = text("image/png"); unsubscribe(s, 2, true);
       calendar(s, "BEGIN:VCALENDAR\r\n"); m->request_read_receipt = 1;
       header(s, "X-Asset", "TW-17"))
CHANGE(no_from, m->from = NULL)
CHANGE(no_recipient, m->n_to = 0)
CHANGE(bad_from, s->from.address = text("nobody"))
CHANGE(bad_from_name, s->from.name = text("a\nb"))
CHANGE(bad_sender, m->sender = &s->sender; s->sender.address = text("@lab.test"))
CHANGE(bad_to, s->to[1].address = text("bob"))
CHANGE(bad_reply_to, m->reply_to = s->to_list; m->n_reply_to = 2; s->to[1].name = text("\xff"))
CHANGE(only_bcc, m->bcc = m->to; m->n_bcc = 2; m->n_to = 0)
CHANGE(lf_subject, m->subject = text("a\nBcc: b"))
CHANGE(nul_like_text, m->text = text("a\x01"))
CHANGE(bad_html, m->html = text("\xc0\x8a"))
CHANGE(bad_calendar, calendar(s, "BEGIN:\x7f"))
CHANGE(calendar_not_utf8, calendar(s, "BEGIN:\xe4"))
CHANGE(lf_file_name, attach(s, false, ""); s->attachment.file_name = text("a\nb"))
CHANGE(bad_type, attach(s, false, ""); s->attachment.content_type = text("text"))
CHANGE(bad_content_id, attach(s, false, "a>b"))
CHANGE(inline_without_id, m->html = text("<p>"); attach(s, true, ""))
CHANGE(inline_without_html, attach(s, true, "logo"))
CHANGE(reserved, header(s, "Bcc", "eve@evil.test"))
CHANGE(header_value, header(s, "X-A", "b\r\nEvil: yes"))
CHANGE(http_uri, unsubscribe(s, 2, false); s->uris[1] = text("http://lab.test"))
CHANGE(empty_uri, unsubscribe(s, 1, false); s->uris[0] = text(""))
CHANGE(one_click_mailto, unsubscribe(s, 1, true))
CHANGE(one_click_nothing, unsubscribe(s, 0, true))
CHANGE(two_receipts, m->request_read_receipt = 1;
       header(s, "disposition-notification-to", "a@lab.test"))
CHANGE(own_receipt, header(s, "Disposition-Notification-To", "a@lab.test"))
CHANGE(two_unsubscribes, unsubscribe(s, 2, false);
       header(s, "List-Unsubscribe", "<mailto:a@lab.test>"))
CHANGE(two_posts, unsubscribe(s, 2, false); header(s, "LIST-UNSUBSCRIBE-POST", "x"))
CHANGE(own_unsubscribe, header(s, "List-Unsubscribe", "<mailto:a@lab.test>"))

static const struct {
    const char *name;
    change_fn *change;
    const char *field; /* "" = fine */
    const char *rule;  /* stands in it */
} rows[] = {
    {"fine", nothing, "", ""},
    {"every field", everything, "", ""},
    {"hidden copies only", only_bcc, "", ""},
    {"no author", no_from, "message.from", "required"},
    {"nobody to send to", no_recipient, "message.to", "at least one"},
    {"author without a domain", bad_from, "message.from.address", ""},
    {"LF in a name", bad_from_name, "message.from.name", "CR, LF"},
    {"bad sender", bad_sender, "message.sender.address", ""},
    {"second recipient", bad_to, "message.to[1].address", ""},
    {"name that is not UTF-8", bad_reply_to, "message.reply_to[1].name", "UTF-8"},
    {"LF in subject", lf_subject, "message.subject", "CR, LF"},
    {"control character in text", nul_like_text, "message.text", "control"},
    {"overlong LF in HTML", bad_html, "message.html", "UTF-8"},
    {"DEL in calendar", bad_calendar, "message.calendar", "control"},
    {"calendar in Latin-1", calendar_not_utf8, "message.calendar", "UTF-8"},
    {"LF in file name", lf_file_name, "message.attachments[0].file_name", "CR, LF"},
    {"no subtype", bad_type, "message.attachments[0].content_type", "type/subtype"},
    {"> in content id", bad_content_id, "message.attachments[0].content_id", "visible"},
    {"inline without id", inline_without_id, "message.attachments[0].content_id", "inline"},
    {"inline without HTML", inline_without_html, "message.attachments[0].is_inline", "HTML"},
    {"reserved header", reserved, "message.headers[1].name", "not the producer's"},
    {"CRLF in header value", header_value, "message.headers[1].value", "CR, LF"},
    {"http URI", http_uri, "message.list_unsubscribe.uris[1]", "https"},
    {"empty URI", empty_uri, "message.list_unsubscribe.uris[0]", "https"},
    {"one click by mail", one_click_mailto, "message.list_unsubscribe.one_click", "https"},
    {"one click at nothing", one_click_nothing, "message.list_unsubscribe.one_click", "https"},
    {"read receipt twice", two_receipts, "message.headers[1].name", "request_read_receipt"},
    {"own read receipt", own_receipt, "", ""},
    {"unsubscribe twice", two_unsubscribes, "message.headers[1].name", "list_unsubscribe"},
    {"one click twice", two_posts, "message.headers[1].name", "list_unsubscribe"},
    {"own unsubscribe", own_unsubscribe, "", ""},
};

static void a_message_is_refused_by_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sample s;
        struct wire_fault fault = {"", ""};
        sample_init(&s);
        rows[i].change(&s, &s.message);
        enum err err = message_rule_check(&s.message, &fault);
        if (err == ERR_OK) {
            err = message_rule_content(&s.message, &fault);
        }
        enum err wanted = rows[i].field[0] == '\0' ? ERR_OK : ERR_INVALID;
        if (err != wanted || strcmp(fault.field, rows[i].field) != 0 ||
            strstr(fault.rule, rows[i].rule) == NULL ||
            (err != ERR_OK && fault.rule[0] == '\0')) {
            fail_msg("%s: got %s %s: %s", rows[i].name, err_name(err), fault.field, fault.rule);
        }
    }
}

static void recipients_are_counted_together(void **state)
{
    (void)state;
    struct sample s;
    struct wire_fault fault;
    PB(Mailbox) *many[MESSAGE_MAX_RECIPIENTS + 1];
    sample_init(&s);
    for (size_t i = 0; i < COUNT(many); i++) {
        many[i] = &s.to[0];
    }
    s.message.cc = many;
    s.message.n_cc = MESSAGE_MAX_RECIPIENTS - 2;
    assert_int_equal(message_rule_check(&s.message, &fault), ERR_OK);
    s.message.n_cc++;
    assert_int_equal(message_rule_check(&s.message, &fault), ERR_INVALID);
    assert_string_equal(fault.field, "message.to");
}

static void a_mailbox_gets_its_wire_form(void **state)
{
    (void)state;
    struct message_address out;
    struct err_text why = {0};
    const char *part = NULL;
    PB(Mailbox) box;
    set_box(&box, "\xc3\xbc@b\xc3\xbc"
                  "cher.test");
    assert_int_equal(message_rule_mailbox(&box, &out, &part, &why), ERR_OK);
    assert_string_equal(out.text, "\xc3\xbc@xn--bcher-kva.test");
    assert_true(out.needs_utf8);
}

static const struct {
    const char *name;
    const char *value;
    const char *part; /* null = fine */
} headers[] = {
    {"X-Asset", "TW-17", NULL},
    {"X-Asset", "", NULL},
    {"References", "<a@b>", NULL},
    {"Importance", "high", NULL},
    {"Today", "x", NULL},    /* begins as To */
    {"Contents", "x", NULL}, /* begins as Content, without the dash */
    {"X-TrackPro", "x", NULL},
    {"Toast", "x", NULL},
    {"", "x", "name"},
    {"X A", "x", "name"},
    {"X-A:", "x", "name"},
    {".X", "x", "name"},
    {"X\xc3\xa4", "x", "name"},
    {"To", "x", "name"},
    {"tO", "x", "name"},
    {"from", "x", "name"},
    {"BCC", "x", "name"},
    {"Reply-To", "x", "name"},
    {"Resent-To", "x", "name"},
    {"Resent-Anything", "x", "name"},
    {"content-type", "x", "name"},
    {"Content-", "x", "name"},
    {"MIME-version", "x", "name"},
    {"message-id", "x", "name"},
    {"Received", "x", "name"},
    {"Return-Path", "x", "name"},
    {"Auto-Submitted", "no", "name"},
    {"DKIM-Signature", "x", "name"},
    {"x-sender", "x", "name"},
    {"X-Receiver", "x", "name"},
    {"x-trackpro-anything", "x", "name"},
    {"X-A", "a\rb", "value"},
    {"X-A", "a\nb", "value"},
    {"X-A", "a\tb", "value"},
    {"X-A", "\xc2\x85", "value"},
    {"X-A", "\xff", "value"},
};

static void a_header_is_refused_by_part(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        struct err_text why = {0};
        const char *part = NULL;
        enum err err = header_rule_check(headers[i].name, headers[i].value, &part, &why);
        bool same = part == headers[i].part ||
                    (part != NULL && headers[i].part != NULL && !strcmp(part, headers[i].part));
        if ((err == ERR_OK) != (headers[i].part == NULL) || !same) {
            fail_msg("%s: %s: got %s %s", headers[i].name, headers[i].value,
                     part != NULL ? part : "fine", why.text);
        }
    }
    char name[CHECK_HEADER_NAME_MAX_BYTES + 2] = "";
    struct err_text why;
    const char *part = NULL;
    memset(name, 'x', sizeof name - 2);
    assert_int_equal(header_rule_check(name, "", &part, &why), ERR_OK);
    name[sizeof name - 2] = 'x';
    assert_int_equal(header_rule_check(name, "", &part, &why), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_refused_by_field),
        cmocka_unit_test(recipients_are_counted_together),
        cmocka_unit_test(a_mailbox_gets_its_wire_form),
        cmocka_unit_test(a_header_is_refused_by_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
