/* Composing: the bytes of whole mails, the envelope, the dialects, and what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compose.h"
#include "mem.h"

enum { BOXES_MAX = 4, PARTS_MAX = 8, ACCEPTED_MS = 0 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef PB(Mailbox) mailbox_t;
typedef PB(Attachment) attachment_t;
typedef PB(Header) header_t;

/* A request with room for what the tests put into it. */
struct sample {
    PB(NotificationRequest) request;
    PB(Message) message;
    PB(ListUnsubscribe) unsubscribe;
    mailbox_t from, sender, boxes[3][BOXES_MAX], reply_to;
    mailbox_t *lists[3][BOXES_MAX];
    mailbox_t *reply_to_list[1];
    attachment_t attachments[PARTS_MAX];
    attachment_t *attachment_list[PARTS_MAX];
    header_t headers[2];
    header_t *header_list[2];
    char *uris[2];
    struct settings_plan plan;
    struct compose_input input;
    uint32_t recipients[3 * BOXES_MAX];
};

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal; /* the generated structs know no const */
}

static void set_box(mailbox_t *box, const char *name, const char *address)
{
    *box = (mailbox_t)PB_INIT(MAILBOX);
    box->name = text(name);
    box->address = text(address);
}

static void fill_lists(struct sample *s)
{
    static const char *const addresses[3][BOXES_MAX] = {
        {"to0@x.test", "to1@x.test", "to2@x.test", "to3@x.test"},
        {"cc0@x.test", "cc1@x.test", "cc2@x.test", "cc3@x.test"},
        {"bcc0@x.test", "bcc1@x.test", "bcc2@x.test", "bcc3@x.test"},
    };
    for (size_t list = 0; list < 3; list++) {
        for (size_t i = 0; i < BOXES_MAX; i++) {
            set_box(&s->boxes[list][i], "", addresses[list][i]);
            s->lists[list][i] = &s->boxes[list][i];
        }
    }
    s->message.to = s->lists[0];
    s->message.cc = s->lists[1];
    s->message.bcc = s->lists[2];
}

/* One recipient, a subject and a text. */
static void sample_init(struct sample *s)
{
    memset(s, 0, sizeof *s);
    s->request = (PB(NotificationRequest))PB_INIT(NOTIFICATION_REQUEST);
    s->message = (PB(Message))PB_INIT(MESSAGE);
    s->unsubscribe = (PB(ListUnsubscribe))PB_INIT(LIST_UNSUBSCRIBE);
    s->request.id = text("id-1");
    s->request.message = &s->message;
    set_box(&s->from, "TrackPro", "trackpro@lab.test");
    set_box(&s->sender, "", "");
    set_box(&s->reply_to, "", "desk@lab.test");
    s->reply_to_list[0] = &s->reply_to;
    s->message.reply_to = s->reply_to_list;
    s->message.from = &s->from;
    s->message.subject = text("Due");
    s->message.text = text("Hello\n");
    fill_lists(s);
    s->message.n_to = 1;
    for (size_t i = 0; i < PARTS_MAX; i++) {
        s->attachments[i] = (attachment_t)PB_INIT(ATTACHMENT);
        s->attachments[i].content = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "abc"};
        s->attachment_list[i] = &s->attachments[i];
    }
    s->message.attachments = s->attachment_list;
    for (size_t i = 0; i < COUNT(s->headers); i++) {
        s->headers[i] = (header_t)PB_INIT(HEADER);
        s->header_list[i] = &s->headers[i];
    }
    s->message.headers = s->header_list;
    s->unsubscribe.uris = s->uris;
    s->plan.route = SETTINGS_SMTP;
    s->plan.dialect = PB_DIALECT(IIS);
    s->input.request = &s->request;
    s->input.plan = &s->plan;
    s->input.producer = "lab";
    s->input.accepted_at_ms = ACCEPTED_MS;
}

/* Compose for every recipient, or for those that the test has set. */
static enum err sample_compose(struct sample *s, struct delivery *delivery,
                               struct err_text *why)
{
    if (s->input.recipients == NULL) {
        s->input.recipients = s->recipients;
        s->input.recipient_count = compose_recipient_count(&s->request);
        for (size_t i = 0; i < s->input.recipient_count; i++) {
            s->recipients[i] = (uint32_t)i;
        }
    }
    *delivery = (struct delivery){0};
    return compose_mail(&s->input, delivery, why);
}

typedef void change_fn(struct sample *s);

#define CHANGE(name, body)                                                                     \
    static void name(struct sample *s)                                                         \
    {                                                                                          \
        PB(Message) *m = &s->message;                                                          \
        (void)m;                                                                               \
        body;                                                                                  \
    }

/* What holds for every mail. */
static void check_bytes(const char *name, const struct delivery *d)
{
    const char *data = d->content.data;
    size_t len = d->content.len;
    if (len < 2 || memcmp(data + len - 2, "\r\n", 2) != 0) {
        fail_msg("%s: does not end in CRLF", name);
    }
    for (size_t i = 0; i < len; i++) {
        bool line_start = i == 0 || data[i - 1] == '\n';
        if ((data[i] == '\r') != (i + 1 < len && data[i + 1] == '\n') ||
            (data[i] == '\n' && i == 0) || (data[i] == '\n' && data[i - 1] != '\r')) {
            fail_msg("%s: bare CR or LF at %zu", name, i);
        }
        if (line_start && data[i] == '.') {
            fail_msg("%s: line begins with a dot at %zu", name, i);
        }
        if (!d->needs_utf8 && (unsigned char)data[i] > 126) {
            fail_msg("%s: not 7-bit at %zu", name, i);
        }
    }
}

/* The values of all headers of a name, of the mail and of its parts, each with ';' behind it. */
static void collect(const struct delivery *d, const char *name, char out[1024])
{
    size_t used = 0;
    size_t len = strlen(name);
    out[0] = '\0';
    for (const char *line = d->content.data; line != NULL; line = strstr(line, "\r\n")) {
        line += *line == '\r' ? 2 : 0;
        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            const char *value = line + len + 1;
            while (*value != '\r' || value[2] == ' ') {
                out[used++] = *value != '\r' && *value != '\n' ? *value : '~';
                value++;
            }
            out[used++] = '|';
            out[used] = '\0';
        }
    }
}

/* The first mail of all, byte by byte: order and form of the headers. */
static void test_golden(void **state)
{
    (void)state;
    static const char wanted[] =
        "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
        "From: TrackPro <trackpro@lab.test>\r\n"
        "Sender: robot@lab.test\r\n"
        "Reply-To: desk@lab.test\r\n"
        "To: to0@x.test, to1@x.test\r\n"
        "Cc: cc0@x.test\r\n"
        "Subject: Due\r\n"
        "Message-ID: <%s>\r\n"
        "MIME-Version: 1.0\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "X-Auto-Response-Suppress: OOF, AutoReply\r\n"
        "Importance: high\r\n"
        "Priority: urgent\r\n"
        "X-Priority: 1\r\n"
        "Disposition-Notification-To: TrackPro <trackpro@lab.test>\r\n"
        "List-Unsubscribe: <mailto:off@lab.test>, <https://lab.test/off>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        "X-Asset: 17\r\n"
        "X-TrackPro-Possible-Duplicate: yes\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "Hello\r\n";
    struct sample s;
    struct delivery d;
    struct err_text why = {0};
    sample_init(&s);
    s.message.n_to = 2;
    s.message.n_cc = 1;
    s.message.n_bcc = 1;
    s.message.n_reply_to = 1;
    s.sender.address = text("robot@lab.test");
    s.message.sender = &s.sender;
    s.message.importance = PB_IMPORTANCE(HIGH);
    s.message.request_read_receipt = 1;
    s.message.request_delivery_receipt = 1;
    s.uris[0] = text("mailto:off@lab.test");
    s.uris[1] = text("https://lab.test/off");
    s.unsubscribe.n_uris = 2;
    s.unsubscribe.one_click = 1;
    s.message.list_unsubscribe = &s.unsubscribe;
    s.headers[0].name = text("X-Asset");
    s.headers[0].value = text("17");
    s.message.n_headers = 1;
    s.input.possible_duplicate = true;
    assert_int_equal(sample_compose(&s, &d, &why), ERR_OK);
    char *mail = mem_format(wanted, d.message_id);
    assert_string_equal(buf_text(&d.content), mail);
    assert_string_equal(d.mail_from, "robot@lab.test");
    assert_int_equal(d.recipient_count, 4);
    assert_string_equal(d.recipients[3].address, "bcc0@x.test");
    assert_int_equal(d.recipients[3].index, 3);
    assert_true(d.want_delivery_receipt);
    check_bytes("golden", &d);
    free(mail);
    delivery_fini(&d);
}

CHANGE(nothing, (void)s)
CHANGE(html_only, m->text = text(""); m->html = text("<p>Hi</p>"))
CHANGE(both, m->html = text("<p>Hi</p>"))
CHANGE(neither, m->text = text(""))
CHANGE(attached, m->n_attachments = 2; s->attachments[0].file_name = text("a.pdf");
       s->attachments[0].content_type = text("application/pdf"))
CHANGE(only_attached, neither(s); attached(s))
CHANGE(inline_image, both(s); m->n_attachments = 1; s->attachments[0].is_inline = 1;
       s->attachments[0].content_id = text("logo");
       s->attachments[0].content_type = text("image/png"))
CHANGE(inline_and_attached, inline_image(s); m->n_attachments = 2)

static void set_calendar(struct sample *s, const char *bytes)
{
    s->message.calendar.data = (uint8_t *)(uintptr_t)bytes;
    s->message.calendar.len = strlen(bytes);
}

CHANGE(with_calendar, set_calendar(s, "BEGIN:VCALENDAR\nMETHOD:REQUEST\n"))
CHANGE(odd_calendar, set_calendar(s, "METHOD:A; charset=x\n"))
CHANGE(everything, inline_and_attached(s); with_calendar(s))
CHANGE(attached_mail, m->n_attachments = 1;
       s->attachments[0].content_type = text("message/rfc822"))
CHANGE(attached_text, m->n_attachments = 1; s->attachments[0].content_type = text("text/csv"))

/* Which parts are made of what; the boundary's name is replaced by its last letter. */
static void test_structure(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        change_fn *change;
        const char *wanted;
    } rows[] = {
        {"text", nothing, "text/plain|"},
        {"html gets a text", html_only, "alternative|text/plain|text/html|"},
        {"both", both, "alternative|text/plain|text/html|"},
        {"neither", neither, "text/plain|"},
        {"attached", attached, "mixed|text/plain|application/pdf|application/octet-stream|"},
        {"only attached", only_attached,
         "mixed|text/plain|application/pdf|application/octet-stream|"},
        {"inline", inline_image, "alternative|text/plain|related|text/html|image/png|"},
        {"inline and attached", inline_and_attached,
         "mixed|alternative|text/plain|related|text/html|image/png|application/octet-stream|"},
        {"calendar", with_calendar, "alternative|text/plain|text/calendar REQUEST|"},
        {"method that is none", odd_calendar, "alternative|text/plain|text/calendar PUBLISH|"},
        {"everything", everything,
         "mixed|alternative|text/plain|related|text/html|image/png|text/calendar REQUEST|"
         "application/octet-stream|"},
        {"mail attached", attached_mail, "mixed|text/plain|application/octet-stream|"},
        {"text attached", attached_text, "mixed|text/plain|text/csv|"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sample s;
        struct delivery d;
        struct err_text why = {0};
        char types[1024];
        char got[1024] = "";
        sample_init(&s);
        rows[i].change(&s);
        if (sample_compose(&s, &d, &why) != ERR_OK) {
            fail_msg("%s: %s", rows[i].name, why.text);
        }
        check_bytes(rows[i].name, &d);
        collect(&d, "Content-Type", types);
        for (char *rest = types, *type = strsep(&rest, "|"); rest != NULL;
             type = strsep(&rest, "|")) {
            const char *method = strstr(type, "method=");
            type += strspn(type, " ");
            type += strncmp(type, "multipart/", 10) == 0 ? 10 : 0;
            type[strcspn(type, ";")] = '\0';
            strncat(got, type, 100);
            if (method != NULL) {
                strncat(strncat(got, " ", 2), method + 7, 100);
            }
            strncat(got, "|", 2);
        }
        if (strcmp(got, rows[i].wanted) != 0) {
            fail_msg("%s: %s", rows[i].name, got);
        }
        delivery_fini(&d);
    }
}

CHANGE(no_message, s->request.message = NULL)
CHANGE(no_from, m->from = NULL)
CHANGE(bad_from, s->from.address = text("nobody"))
CHANGE(bad_to, m->n_to = 3; s->boxes[0][2].address = text("a b@x.test"))
CHANGE(bad_to_domain, s->boxes[0][0].address = text("a@-x.test"))
CHANGE(crlf_address, s->boxes[0][0].address = text("a@x.test\r\nBcc: b@x.test"))
CHANGE(crlf_quoted_local, s->boxes[0][0].address = text("\"a\r\nBcc: b\"@x.test"))
CHANGE(two_addresses, s->boxes[0][0].address = text("a@x.test, b@x.test"))
CHANGE(crlf_name, s->boxes[0][0].name = text("a\r\nBcc: b@x.test"))
CHANGE(lf_name, s->from.name = text("a\nBcc: b@x.test"))
CHANGE(crlf_subject, m->subject = text("a\r\nBcc: b@x.test"))
CHANGE(cr_subject, m->subject = text("a\rBcc: b@x.test"))
CHANGE(overlong_subject, m->subject = text("a\xc0\x8a"
                                           "Bcc: b@x.test"))
CHANGE(bad_sender, m->sender = &s->sender; s->sender.address = text("x"))
CHANGE(bad_reply_to, m->n_reply_to = 1; s->reply_to.address = text("@x.test"))
CHANGE(crlf_reply_to, m->n_reply_to = 1; s->reply_to.name = text("a\r\n b"))

static void set_header(struct sample *s, const char *name, const char *value)
{
    s->headers[0].name = text(name);
    s->headers[0].value = text(value);
    s->message.n_headers = 1;
}

CHANGE(header_crlf_value, set_header(s, "X-A", "a\r\nBcc: b@x.test"))
CHANGE(header_crlf_name, set_header(s, "X-A\r\nBcc", "b@x.test"))
CHANGE(header_colon_name, set_header(s, "X-A: x", "a"))
CHANGE(header_dot_name, set_header(s, ".X", "a"))
CHANGE(header_empty_name, set_header(s, "", "a"))
CHANGE(header_bcc, set_header(s, "bCC", "b@x.test"))
CHANGE(header_resent, set_header(s, "Resent-Foo", "b"))
CHANGE(header_content, set_header(s, "Content-Foo", "b"))
CHANGE(header_x_sender, set_header(s, "X-Sender", "b"))
CHANGE(header_received, set_header(s, "Received", "b"))
CHANGE(header_mark, set_header(s, "X-TrackPro-Possible-Duplicate", "no"))
CHANGE(inline_without_html, inline_image(s); m->html = text(""))
CHANGE(inline_without_id, inline_image(s); s->attachments[0].content_id = text(""))
CHANGE(crlf_content_id, inline_image(s); s->attachments[0].content_id = text("a>\r\nX: b"))
CHANGE(crlf_file_name, attached(s); s->attachments[1].file_name = text("a\r\nX: b"))
CHANGE(bad_type, attached(s); s->attachments[0].content_type = text("text"))
CHANGE(type_with_parameter, attached(s);
       s->attachments[0].content_type = text("text/plain; x=y"))
CHANGE(crlf_type, attached(s); s->attachments[0].content_type = text("text/plain\r\nX: b"))
CHANGE(bad_text, m->text = text("a\xff"))
CHANGE(bad_html, m->html = text("a\xed\xa0\x80"))

static void set_uri(struct sample *s, const char *uri, bool one_click)
{
    s->uris[0] = text(uri);
    s->unsubscribe.n_uris = 1;
    s->unsubscribe.one_click = one_click;
    s->message.list_unsubscribe = &s->unsubscribe;
}

CHANGE(crlf_uri, set_uri(s, "https://x.test/\r\nBcc: b", false))
CHANGE(http_uri, set_uri(s, "http://x.test/", false))
CHANGE(bracket_uri, set_uri(s, "https://x.test/>, <b", false))
CHANGE(one_click_mailto, set_uri(s, "mailto:a@x.test", true))
CHANGE(no_recipient, m->n_to = 0)
CHANGE(wrong_index, static const uint32_t two[] = {2}; m->n_to = 2; s->input.recipients = two;
       s->input.recipient_count = 1)
CHANGE(two_of_each, m->n_to = 2; s->input.one_each = true)
CHANGE(before_1970, s->input.accepted_at_ms = -1)
CHANGE(after_9999, s->input.accepted_at_ms = INT64_MAX)

/* What cannot be mail is refused, with the path of the field. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        change_fn *change;
        const char *wanted; /* the start of why */
    } rows[] = {
        {no_message, "message: is missing"},
        {no_from, "message.from: is missing"},
        {bad_from, "message.from.address: "},
        {bad_to, "message.to[2].address: "},
        {bad_to_domain, "message.to[0].address: "},
        {crlf_address, "message.to[0].address: "},
        {crlf_quoted_local, "message.to[0].address: "},
        {two_addresses, "message.to[0].address: "},
        {crlf_name, "message.to[0].name: must not contain"},
        {lf_name, "message.from.name: must not contain"},
        {crlf_subject, "message.subject: must not contain"},
        {cr_subject, "message.subject: must not contain"},
        {overlong_subject, "message.subject: must be valid UTF-8"},
        {bad_sender, "message.sender.address: "},
        {bad_reply_to, "message.reply_to[0].address: "},
        {crlf_reply_to, "message.reply_to[0].name: must not contain"},
        {header_crlf_value, "message.headers[0].value: must not contain"},
        {header_crlf_name, "message.headers[0].name: may only"},
        {header_colon_name, "message.headers[0].name: may only"},
        {header_dot_name, "message.headers[0].name: may only"},
        {header_empty_name, "message.headers[0].name: 1 to 64 bytes"},
        {header_bcc, "message.headers[0].name: this header is not"},
        {header_resent, "message.headers[0].name: this header is not"},
        {header_content, "message.headers[0].name: this header is not"},
        {header_x_sender, "message.headers[0].name: this header is not"},
        {header_received, "message.headers[0].name: this header is not"},
        {header_mark, "message.headers[0].name: this header is not"},
        {inline_without_html, "message.attachments[0].is_inline: "},
        {inline_without_id, "message.attachments[0].content_id: is needed"},
        {crlf_content_id, "message.attachments[0].content_id: may only"},
        {crlf_file_name, "message.attachments[1].file_name: must not contain"},
        {bad_type, "message.attachments[0].content_type: "},
        {type_with_parameter, "message.attachments[0].content_type: "},
        {crlf_type, "message.attachments[0].content_type: "},
        {bad_text, "message.text: must be valid UTF-8"},
        {bad_html, "message.html: must be valid UTF-8"},
        {crlf_uri, "message.list_unsubscribe.uris[0]: "},
        {http_uri, "message.list_unsubscribe.uris[0]: "},
        {bracket_uri, "message.list_unsubscribe.uris[0]: "},
        {one_click_mailto, "message.list_unsubscribe.one_click: needs an https URI"},
        {no_recipient, "recipients: "},
        {wrong_index, "recipients[0]: the request has no recipient 2"},
        {two_of_each, "recipients: a mail of its own has one recipient"},
        {before_1970, "accepted_at_ms: "},
        {after_9999, "accepted_at_ms: "},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sample s;
        struct delivery d;
        struct err_text why = {0};
        sample_init(&s);
        rows[i].change(&s);
        enum err err = sample_compose(&s, &d, &why);
        if (err != ERR_INVALID ||
            strncmp(why.text, rows[i].wanted, strlen(rows[i].wanted)) != 0) {
            fail_msg("row %zu, %s: %s, %s", i, rows[i].wanted, err_name(err), why.text);
        }
        delivery_fini(&d);
    }
}

static void pickup(struct sample *s, int dialect)
{
    s->plan.route = SETTINGS_PICKUP;
    s->plan.dialect = dialect;
    s->message.n_to = 2;
    s->message.n_cc = 1;
    s->message.n_bcc = 2;
}

static void only(struct sample *s, uint32_t index)
{
    s->recipients[0] = index;
    s->input.recipients = s->recipients;
    s->input.recipient_count = 1;
}

CHANGE(as_smtp, pickup(s, PB_DIALECT(EXCHANGE)); s->plan.route = SETTINGS_SMTP)
CHANGE(as_plain, pickup(s, PB_DIALECT(PLAIN)))
CHANGE(as_iis, pickup(s, PB_DIALECT(IIS)))
CHANGE(as_exchange, pickup(s, PB_DIALECT(EXCHANGE)))
CHANGE(smtp_rest, as_smtp(s); only(s, 1))
CHANGE(iis_rest, as_iis(s); only(s, 4))
CHANGE(exchange_rest, as_exchange(s); only(s, 1))
CHANGE(exchange_hidden_rest, as_exchange(s); only(s, 4))
CHANGE(each_cc, as_smtp(s); only(s, 2); s->input.one_each = true)
CHANGE(each_bcc, as_exchange(s); only(s, 3); s->input.one_each = true)
CHANGE(hidden_only, m->n_to = 0; m->n_bcc = 2)
CHANGE(cc_only, m->n_to = 0; m->n_cc = 1)
CHANGE(same_sender, m->sender = &s->sender; s->sender.address = s->from.address)

/* Who stands in which header, and who in the envelope lines. */
static void test_recipients(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        change_fn *change;
        const char *to, *cc, *bcc, *x_sender, *x_receiver;
    } rows[] = {
        {"smtp", as_smtp, " to0@x.test, to1@x.test|", " cc0@x.test|", "", "", ""},
        {"plain", as_plain, " to0@x.test, to1@x.test|", " cc0@x.test|", "", "", ""},
        {"iis", as_iis, " to0@x.test, to1@x.test|", " cc0@x.test|", "", " <trackpro@lab.test>|",
         " <to0@x.test>| <to1@x.test>| <cc0@x.test>| <bcc0@x.test>| <bcc1@x.test>|"},
        {"exchange", as_exchange, " to0@x.test, to1@x.test|", " cc0@x.test|",
         " bcc0@x.test, bcc1@x.test|", "", ""},
        {"smtp, one of them", smtp_rest, " to0@x.test, to1@x.test|", " cc0@x.test|", "", "",
         ""},
        {"iis, one of them", iis_rest, " to0@x.test, to1@x.test|", " cc0@x.test|", "",
         " <trackpro@lab.test>|", " <bcc1@x.test>|"},
        {"exchange, one of them", exchange_rest, " to1@x.test|", "", "", "", ""},
        {"exchange, a hidden one", exchange_hidden_rest, " undisclosed-recipients:;|", "",
         " bcc1@x.test|", "", ""},
        {"each, from cc", each_cc, " cc0@x.test|", "", "", "", ""},
        {"each, from bcc", each_bcc, " bcc0@x.test|", "", "", "", ""},
        {"hidden only", hidden_only, " undisclosed-recipients:;|", "", "", "", ""},
        {"cc only", cc_only, "", " cc0@x.test|", "", "", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sample s;
        struct delivery d;
        struct err_text why = {0};
        char value[1024];
        const struct {
            const char *header, *wanted;
        } checks[] = {{"To", rows[i].to},
                      {"Cc", rows[i].cc},
                      {"Bcc", rows[i].bcc},
                      {"X-Sender", rows[i].x_sender},
                      {"X-Receiver", rows[i].x_receiver}};
        sample_init(&s);
        rows[i].change(&s);
        if (sample_compose(&s, &d, &why) != ERR_OK) {
            fail_msg("%s: %s", rows[i].name, why.text);
        }
        check_bytes(rows[i].name, &d);
        for (size_t c = 0; c < COUNT(checks); c++) {
            collect(&d, checks[c].header, value);
            if (strcmp(value, checks[c].wanted) != 0) {
                fail_msg("%s: %s:%s", rows[i].name, checks[c].header, value);
            }
        }
        if (rows[i].x_sender[0] != '\0') {
            assert_memory_equal(d.content.data, "X-Sender: ", 10);
        }
        delivery_fini(&d);
    }
}

CHANGE(other_id, s->request.id = text("id-2"))
CHANGE(other_producer, s->input.producer = "la")
CHANGE(other_split, s->input.one_each = true)
CHANGE(later, s->input.accepted_at_ms = 1)
CHANGE(marked, s->input.possible_duplicate = true)
CHANGE(other_domain, s->from.address = text("trackpro@b\xc3\xbc"
                                            "cher.test"))

/* The names hang on producer, id and, when split, the recipient; on nothing else. */
static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        change_fn *change;
        bool same;
        const char *domain;
    } rows[] = {
        {"the same request", nothing, true, "@lab.test"},
        {"another id", other_id, false, "@lab.test"},
        {"another producer", other_producer, false, "@lab.test"},
        {"split", other_split, false, "@lab.test"},
        {"another time", later, true, "@lab.test"},
        {"another attempt", marked, true, "@lab.test"},
        {"A-labels", other_domain, true, "@xn--bcher-kva.test"},
    };
    struct sample s;
    struct delivery first;
    struct err_text why = {0};
    sample_init(&s);
    assert_int_equal(sample_compose(&s, &first, &why), ERR_OK);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct delivery d;
        sample_init(&s);
        rows[i].change(&s);
        assert_int_equal(sample_compose(&s, &d, &why), ERR_OK);
        if ((strcmp(d.file_name, first.file_name) == 0) != rows[i].same ||
            (strncmp(d.message_id, first.message_id, 32) == 0) != rows[i].same ||
            strcmp(d.message_id + 32, rows[i].domain) != 0) {
            fail_msg("%s: %s %s", rows[i].name, d.message_id, d.file_name);
        }
        delivery_fini(&d);
    }
    assert_int_equal(strlen(first.file_name), 4 + 32 + 2);
    assert_memory_equal(first.file_name, "tpn-", 4);
    assert_memory_equal(first.file_name + 4, first.message_id, 32);
    assert_string_equal(first.file_name + 36, "-0");
    delivery_fini(&first);
}

static void test_file_name_of_part(void **state)
{
    (void)state;
    struct sample s;
    struct delivery d = {.part = 17};
    struct err_text why = {0};
    sample_init(&s);
    only(&s, 0);
    assert_int_equal(compose_mail(&s.input, &d, &why), ERR_OK);
    assert_string_equal(d.file_name + 4 + 32, "-17");
    delivery_fini(&d);
}

static void test_same_bytes(void **state)
{
    (void)state;
    struct sample s;
    struct delivery a;
    struct delivery b;
    struct err_text why = {0};
    sample_init(&s);
    everything(&s);
    assert_int_equal(sample_compose(&s, &a, &why), ERR_OK);
    assert_int_equal(sample_compose(&s, &b, &why), ERR_OK);
    assert_string_equal(buf_text(&a.content), buf_text(&b.content));
    delivery_fini(&a);
    delivery_fini(&b);
}

/* Names of hosts become A-labels; a local part of UTF-8 goes raw and is told. */
static void test_utf8_addresses(void **state)
{
    (void)state;
    struct sample s;
    struct delivery d;
    struct err_text why = {0};
    char value[1024];
    sample_init(&s);
    s.message.n_to = 2;
    s.boxes[0][0].address = text("a@b\xc3\xbc"
                                 "cher.test");
    assert_int_equal(sample_compose(&s, &d, &why), ERR_OK);
    assert_false(d.needs_utf8);
    collect(&d, "To", value);
    assert_string_equal(value, " a@xn--bcher-kva.test, to1@x.test|");
    assert_string_equal(d.recipients[0].address, "a@xn--bcher-kva.test");
    delivery_fini(&d);
    s.boxes[0][1].address = text("\xc3\xbc@b\xc3\xbc"
                                 "cher.test");
    assert_int_equal(sample_compose(&s, &d, &why), ERR_OK);
    assert_true(d.needs_utf8);
    assert_false(d.recipients[0].needs_utf8);
    assert_true(d.recipients[1].needs_utf8);
    collect(&d, "To", value);
    assert_string_equal(value, " a@xn--bcher-kva.test, \xc3\xbc@xn--bcher-kva.test|");
    delivery_fini(&d);
}

static void test_sender_same_as_from(void **state)
{
    (void)state;
    struct sample s;
    struct delivery d;
    struct err_text why = {0};
    char value[1024];
    sample_init(&s);
    same_sender(&s);
    assert_int_equal(sample_compose(&s, &d, &why), ERR_OK);
    collect(&d, "Sender", value);
    assert_string_equal(value, "");
    assert_string_equal(d.mail_from, "trackpro@lab.test");
    delivery_fini(&d);
}

/* A producer may set what an option of ours would set: its own value stands alone. */
static void test_producer_replaces(void **state)
{
    (void)state;
    struct sample s;
    struct delivery d;
    struct err_text why = {0};
    char value[1024];
    sample_init(&s);
    set_header(&s, "x-auto-response-suppress", "All");
    assert_int_equal(sample_compose(&s, &d, &why), ERR_OK);
    collect(&d, "X-Auto-Response-Suppress", value);
    assert_string_equal(value, "");
    collect(&d, "x-auto-response-suppress", value);
    assert_string_equal(value, " All|");
    delivery_fini(&d);
}

/* A text that knows our boundary cannot end its part. */
static void test_boundary_in_text(void **state)
{
    (void)state;
    struct sample s;
    struct delivery d;
    struct err_text why = {0};
    sample_init(&s);
    both(&s);
    assert_int_equal(sample_compose(&s, &d, &why), ERR_OK);
    char *evil = mem_format("a\n--=_%.32s_a--\nb", d.message_id);
    delivery_fini(&d);
    s.message.text = evil;
    assert_int_equal(sample_compose(&s, &d, &why), ERR_OK);
    char *boundary = mem_format("\r\n--=_%.32s_a", d.message_id);
    size_t found = 0;
    for (const char *at = strstr(d.content.data, boundary); at != NULL;
         at = strstr(at + 1, boundary)) {
        found++;
    }
    assert_int_equal(found, 3); /* before each of two parts, and the end */
    free(boundary);
    free(evil);
    delivery_fini(&d);
}

/* 100 recipients with long names: more than Exchange reads of a header. */
static void test_exchange_header(void **state)
{
    enum { MANY = 100, NAME_BYTES = 700 };
    (void)state;
    struct sample s;
    struct delivery delivery;
    struct err_text why = {0};
    mailbox_t boxes[MANY];
    mailbox_t *list[MANY];
    uint32_t indices[MANY];
    char name[NAME_BYTES + 1];
    memset(name, 'n', NAME_BYTES);
    name[NAME_BYTES] = '\0';
    for (uint32_t i = 0; i < MANY; i++) {
        set_box(&boxes[i], name, "someone@x.test");
        list[i] = &boxes[i];
        indices[i] = i;
    }
    sample_init(&s);
    pickup(&s, PB_DIALECT(EXCHANGE));
    s.message.to = list;
    s.message.n_to = MANY;
    s.input.recipients = indices;
    s.input.recipient_count = MANY;
    assert_int_equal(sample_compose(&s, &delivery, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "an Exchange pickup folder takes 65536"));
    delivery_fini(&delivery);
    s.plan.dialect = PB_DIALECT(IIS);
    assert_int_equal(sample_compose(&s, &delivery, &why), ERR_OK);
    delivery_fini(&delivery);
}

static void test_too_large(void **state)
{
    (void)state;
    enum { PART_BYTES = 8 * 1024 * 1024 };
    struct sample s;
    struct delivery d;
    struct err_text why = {0};
    uint8_t *content = mem_zero(PART_BYTES, 1);
    sample_init(&s);
    s.message.n_attachments = PARTS_MAX;
    for (size_t i = 0; i < PARTS_MAX; i++) {
        s.attachments[i].content = (ProtobufCBinaryData){PART_BYTES, content};
    }
    assert_int_equal(sample_compose(&s, &d, &why), ERR_LIMIT);
    assert_int_equal(why.code, ERR_LIMIT);
    delivery_fini(&d);
    free(content);
}

static void test_recipient_index(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    s.message.n_to = 2;
    s.message.n_cc = 0;
    s.message.n_bcc = 1;
    assert_int_equal(compose_recipient_count(&s.request), 3);
    assert_string_equal(compose_recipient(&s.request, 1)->address, "to1@x.test");
    assert_string_equal(compose_recipient(&s.request, 2)->address, "bcc0@x.test");
    assert_null(compose_recipient(&s.request, 3));
    assert_null(compose_recipient(&s.request, UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_file_name_of_part),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_utf8_addresses),
        cmocka_unit_test(test_sender_same_as_from),
        cmocka_unit_test(test_producer_replaces),
        cmocka_unit_test(test_boundary_in_text),
        cmocka_unit_test(test_exchange_header),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_recipient_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
