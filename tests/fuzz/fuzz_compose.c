/* Composing, with texts as the fuzzer's playground instead of protobuf's bytes.
 *
 * Input: a byte (dialect, split), then records with 0xFF between them (no UTF-8 has it): a letter that names a field
 * (add_record says which), then its value. A request that the field rules refuse is dropped. What goes to a server is
 * CRLF, 7-bit, without a leading dot, with one From, one Message-ID and no Bcc; and the same request gives the same
 * bytes again. */
#include "fuzz.h"

#include "check.h"
#include "compose.h"
#include "message_rule.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_BOXES = 24, MAX_LIST = 8, MAX_TEXTS = 96, SEPARATOR = 0xff, LINE_LIMIT = 998 };

/* A request under construction; everything it points to is its own. */
struct build {
    PB(NotificationRequest) request;
    PB(Message) message;
    PB(Mailbox) boxes[MAX_BOXES];
    PB(Mailbox) *lists[4][MAX_LIST]; /* to, cc, bcc, reply_to */
    size_t box_count;
    PB(Attachment) attachments[MAX_LIST];
    PB(Attachment) *attachment_list[MAX_LIST];
    PB(Header) headers[MAX_LIST];
    PB(Header) *header_list[MAX_LIST];
    PB(ListUnsubscribe) unsubscribe;
    char *uris[MAX_LIST];
    char *texts[MAX_TEXTS];
    size_t text_count;
};

static PB(Mailbox) *new_box(struct build *b, char *address)
{
    if (b->box_count == MAX_BOXES) {
        return NULL;
    }
    PB(Mailbox) *box = &b->boxes[b->box_count++];
    *box = (PB(Mailbox))PB_INIT(MAILBOX);
    box->address = address;
    return box;
}

static void add_box(struct build *b, char *address, unsigned list, size_t *count)
{
    if (*count < MAX_LIST) {
        PB(Mailbox) *box = new_box(b, address);
        if (box != NULL) {
            b->lists[list][(*count)++] = box;
        }
    }
}

static void add_part(struct build *b, char letter, char *value)
{
    size_t n = b->message.n_attachments;
    if (letter == 'a' && n < MAX_LIST) {
        PB(Attachment) *part = &b->attachments[n];
        *part = (PB(Attachment))PB_INIT(ATTACHMENT);
        part->content.data = (uint8_t *)value;
        part->content.len = strlen(value);
        b->attachment_list[b->message.n_attachments++] = part;
    } else if (letter == 'A' && n > 0) {
        b->attachments[n - 1].file_name = value;
    } else if (letter == 'Y' && n > 0) {
        b->attachments[n - 1].content_type = value;
    } else if (letter == 'I' && n > 0) {
        b->attachments[n - 1].content_id = value;
        b->attachments[n - 1].is_inline = 1;
    }
}

static void add_header(struct build *b, char letter, char *value)
{
    size_t n = b->message.n_headers;
    if (letter == 'H' && n < MAX_LIST) {
        b->headers[n] = (PB(Header))PB_INIT(HEADER);
        b->headers[n].name = value;
        b->header_list[b->message.n_headers++] = &b->headers[n];
    } else if (letter == 'V' && n > 0) {
        b->headers[n - 1].value = value;
    }
}

static void add_text(struct build *b, char letter, char *value)
{
    PB(Message) *m = &b->message;
    switch (letter) {
    case 's':
        m->subject = value;
        break;
    case 't':
        m->text = value;
        break;
    case 'h':
        m->html = value;
        break;
    case 'd':
        b->request.id = value;
        break;
    case 'k':
        m->calendar.data = (uint8_t *)value;
        m->calendar.len = strlen(value);
        break;
    case 'u':
        if (b->unsubscribe.n_uris < MAX_LIST) {
            b->uris[b->unsubscribe.n_uris++] = value;
            m->list_unsubscribe = &b->unsubscribe;
        }
        break;
    default:
        add_part(b, letter, value);
        add_header(b, letter, value);
        break;
    }
}

/* Letters of fields: f from, S sender, c cc, b bcc, R reply-to, T to, n name of the last mailbox; those of add_text,
 * add_part and add_header; r receipts, i importance. */
static void add_record(struct build *b, char letter, char *value)
{
    PB(Message) *m = &b->message;
    switch (letter) {
    case 'f':
        m->from->address = value;
        break;
    case 'S':
        m->sender = new_box(b, value);
        break;
    case 'T':
        add_box(b, value, 0, &m->n_to);
        break;
    case 'c':
        add_box(b, value, 1, &m->n_cc);
        break;
    case 'b':
        add_box(b, value, 2, &m->n_bcc);
        break;
    case 'R':
        add_box(b, value, 3, &m->n_reply_to);
        break;
    case 'n':
        b->boxes[b->box_count - 1].name = value;
        break;
    case 'r':
        m->request_read_receipt = m->request_delivery_receipt = 1;
        break;
    case 'i':
        m->importance = (Trackpro__Notify__V1__Importance)(value[0] & 3);
        break;
    default:
        add_text(b, letter, value);
        break;
    }
}

static char *literal(const char *text)
{
    return (char *)(uintptr_t)text; /* the generated structs know no const */
}

static void build_init(struct build *b)
{
    b->request = (PB(NotificationRequest))PB_INIT(NOTIFICATION_REQUEST);
    b->message = (PB(Message))PB_INIT(MESSAGE);
    b->unsubscribe = (PB(ListUnsubscribe))PB_INIT(LIST_UNSUBSCRIBE);
    b->unsubscribe.uris = b->uris;
    b->request.id = literal("id");
    b->request.profile = literal("lab");
    b->request.message = &b->message;
    b->message.from = new_box(b, literal("trackpro@example.test"));
    b->message.to = b->lists[0];
    b->message.cc = b->lists[1];
    b->message.bcc = b->lists[2];
    b->message.reply_to = b->lists[3];
    b->message.attachments = b->attachment_list;
    b->message.headers = b->header_list;
}

static void build_read(struct build *b, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size && b->text_count < MAX_TEXTS;) {
        const uint8_t *end = memchr(data + at, SEPARATOR, size - at);
        size_t len = end != NULL ? (size_t)(end - (data + at)) : size - at;
        if (len > 0) {
            char *value = fuzz_text(data + at + 1, len - 1);
            b->texts[b->text_count++] = value;
            add_record(b, (char)data[at], value);
        }
        at += len + 1;
    }
    if (b->message.n_to + b->message.n_cc + b->message.n_bcc == 0) {
        add_box(b, literal("ann@example.test"), 0, &b->message.n_to);
    }
}

static void build_free(struct build **b)
{
    for (size_t i = 0; i < (*b)->text_count; i++) {
        free((*b)->texts[i]);
    }
    free(*b);
    *b = NULL;
}

/* How many headers of that name the mail has. */
static size_t count_headers(const char *mail, const char *name)
{
    size_t count = 0;
    size_t len = strlen(name);
    for (const char *line = mail; line[0] != '\r' && line[0] != '\0';
         line = strstr(line, "\r\n") + 2) {
        count += strncasecmp(line, name, len) == 0 && line[len] == ':';
    }
    return count;
}

static void demand_mail(const struct compose_input *input, const struct delivery *delivery)
{
    const char *mail = buf_text(&delivery->content);
    size_t len = delivery->content.len;
    fuzz_demand_lines(
        mail, len, &(struct fuzz_lines){.longest = LINE_LIMIT, .utf8 = delivery->needs_utf8});
    demand(len > 2 && memcmp(mail + len - 2, "\r\n", 2) == 0, "no CRLF at the end");
    demand(delivery->recipient_count == input->recipient_count, "recipients");
    static const char *const once[] = {"From", "Date", "Message-ID", "Subject", "MIME-Version"};
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++) {
        demand(count_headers(mail, once[i]) <= 1, "%s more than once", once[i]);
    }
    demand(count_headers(mail, "From") == 1 && count_headers(mail, "Message-ID") == 1 &&
               count_headers(mail, "Date") == 1,
           "a header is missing");
    demand(count_headers(mail, "To") <= 1 && count_headers(mail, "Cc") <= 1, "two To or Cc");
    demand(input->plan->dialect == PB_DIALECT(EXCHANGE) || count_headers(mail, "Bcc") == 0,
           "a Bcc");
}

static void compose_twice(const struct compose_input *input, bool accepted)
{
    struct delivery first = {0};
    struct delivery second = {0};
    struct err_text why = {0};
    enum err err = compose_mail(input, &first, &why);
    demand(err != ERR_INVALID || !accepted, "accepted, but: %s", why.text);
    demand(compose_mail(input, &second, &why) == err, "not the same again");
    if (err == ERR_OK) {
        demand_mail(input, &first);
        demand(first.content.len == second.content.len &&
                   memcmp(first.content.data, second.content.data, first.content.len) == 0,
               "not the same bytes again");
    }
    delivery_fini(&first);
    delivery_fini(&second);
}

static void compose(const PB(NotificationRequest) *request, uint8_t choice)
{
    static const struct {
        enum settings_route route;
        int dialect;
    } kinds[] = {
        {SETTINGS_SMTP, PB_DIALECT(IIS)},
        {SETTINGS_PICKUP, PB_DIALECT(IIS)},
        {SETTINGS_PICKUP, PB_DIALECT(EXCHANGE)},
        {SETTINGS_PICKUP, PB_DIALECT(PLAIN)},
    };
    struct settings_plan plan = {.route = kinds[choice & 3].route,
                                 .dialect = kinds[choice & 3].dialect};
    uint32_t all[3 * MAX_LIST];
    size_t count = compose_recipient_count(request);
    demand(count <= 3 * (size_t)MAX_LIST, "%zu recipients", count);
    for (size_t i = 0; i < count; i++) {
        all[i] = (uint32_t)i;
    }
    struct wire_fault fault = {.field = ""};
    struct compose_input input = {.request = request,
                                  .plan = &plan,
                                  .producer = "fuzz",
                                  .accepted_at_ms = 1795420800123,
                                  .recipients = all,
                                  .recipient_count = (choice & 4) != 0 ? 1 : count,
                                  .one_each = (choice & 4) != 0,
                                  .possible_duplicate = (choice & 8) != 0};
    compose_twice(&input, message_rule_check(request->message, &fault) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct build *b = mem_zero(1, sizeof *b);
    build_init(b);
    build_read(b, data + 1, size - 1);
    struct wire_fault fault = {.field = ""};
    size_t len = protobuf_c_message_get_packed_size(&b->request.base);
    uint8_t *packed = mem_zero(len + 1, 1);
    (void)protobuf_c_message_pack(&b->request.base, packed);
    if (check_bytes(PB_DESCRIPTOR(notification_request), packed, len, &fault) == ERR_OK) {
        compose(&b->request, data[0]);
    }
    free(packed);
    build_free(&b);
    return 0;
}
