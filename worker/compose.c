/* A request becomes mail: envelope, header block, and the body that mime.c makes.
 *
 * Everything is checked before it is written, so a refusal names the field and costs no half mail; the broker has asked the
 * same questions (message_rule.h), but this is the last door before a server. The same input gives the same bytes:
 * no clock, no chance. Bcc is never written, but for the Exchange pickup dialect, where the headers are the envelope
 * (and so name exactly the recipients of this part and nobody else). */
#include "compose.h"

#include "check_rules.h"
#include "digest.h"
#include "digits.h"
#include "dkim.h"
#include "header.h"
#include "mem.h"
#include "message_rule.h"
#include "mime.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { EXCHANGE_HEADER_BYTES = 64 * 1024 /* PickupDirectoryMaxHeaderSize */ };
enum { HEADER_GUESS_BYTES = 4096, MAILBOX_GUESS_BYTES = 96, PATH_BYTES = 96 };
enum { DATE_BYTES = 64 };

/* What composing works on. */
struct compose {
    const struct compose_input *input;
    const PB(Message) *message;
    struct delivery *delivery;
    struct buf *out;
    char id[MIME_ID_CHARS + 1];
    size_t head; /* where the mail begins in out: behind the envelope of a pickup file */
    bool pickup_iis;
    bool pickup_exchange;
    struct message_address from; /* asked for several times: filled first, by fill_envelope */
    bool from_known;
    struct err_text *why;
};

/* The three recipient lists in the order of the indices. */
enum list { LIST_TO, LIST_CC, LIST_BCC, LIST_COUNT };

struct list_view {
    const char *header;
    const char *field;
    PB(Mailbox) **boxes;
    size_t count;
    size_t first; /* index of boxes[0] */
};

static struct list_view list_of(const PB(Message) *m, enum list list)
{
    switch (list) {
    case LIST_TO:
        return (struct list_view){"To", "to", m->to, m->n_to, 0};
    case LIST_CC:
        return (struct list_view){"Cc", "cc", m->cc, m->n_cc, m->n_to};
    default:
        return (struct list_view){"Bcc", "bcc", m->bcc, m->n_bcc, m->n_to + m->n_cc};
    }
}

size_t compose_recipient_count(const PB(NotificationRequest) *request)
{
    const PB(Message) *m = request->message;
    return m == NULL ? 0 : m->n_to + m->n_cc + m->n_bcc;
}

/* The list that an index lies in, LIST_COUNT when it is out of range. */
static enum list list_at(const PB(Message) *m, uint32_t index)
{
    for (enum list list = LIST_TO; list < LIST_COUNT; list++) {
        struct list_view view = list_of(m, list);
        if (index >= view.first && index - view.first < view.count) {
            return list;
        }
    }
    return LIST_COUNT;
}

const PB(Mailbox) *compose_recipient(const PB(NotificationRequest) *request, uint32_t index)
{
    if (request->message == NULL) {
        return NULL;
    }
    enum list list = list_at(request->message, index);
    if (list == LIST_COUNT) {
        return NULL;
    }
    struct list_view view = list_of(request->message, list);
    return view.boxes[index - view.first];
}

static enum err refuse(const struct compose *c, const char *field, const char *rule)
{
    return err_set(c->why, ERR_INVALID, "%s: %s", field, rule);
}

/* Where a mailbox stands in the request. Made into a path only when something is wrong with it. */
struct place {
    const char *field;
    size_t index;
    bool single;
};

static enum err refuse_mailbox(const struct compose *c, const struct place *place,
                               const char *part, const char *rule)
{
    char field[PATH_BYTES];
    if (place->single) {
        (void)snprintf(field, sizeof field, "message.%s.%s", place->field, part);
    } else {
        (void)snprintf(field, sizeof field, "message.%s[%zu].%s", place->field, place->index,
                       part);
    }
    return refuse(c, field, rule);
}

/* Check a mailbox and bring its address into wire form. */
static enum err resolve(const struct compose *c, const PB(Mailbox) *box,
                        const struct place *place, struct message_address *out)
{
    struct err_text rule; /* read only after a failure, which fills it */
    const char *part = NULL;
    if (box == c->message->from && c->from_known) {
        *out = c->from;
        return ERR_OK;
    }
    if (message_rule_mailbox(box, out, &part, &rule) != ERR_OK) {
        return refuse_mailbox(c, place, part, rule.text);
    }
    return ERR_OK;
}

/* Write one mailbox of a header that is open. */
static enum err put_mailbox(const struct compose *c, struct header *h, const PB(Mailbox) *box,
                            const struct place *place)
{
    struct message_address address;
    enum err err = resolve(c, box, place, &address);
    if (err != ERR_OK) {
        return err;
    }
    if (c->input->ascii_only && address.needs_utf8 && !place->single) {
        header_mailbox_group(h, box->name, address.text);
        return ERR_OK;
    }
    c->delivery->needs_utf8 = c->delivery->needs_utf8 || address.needs_utf8;
    header_mailbox(h, box->name, address.text, "");
    return ERR_OK;
}

static enum err put_one_mailbox(const struct compose *c, const char *name,
                                const PB(Mailbox) *box, const char *field)
{
    const struct place place = {.field = field, .single = true};
    struct header h;
    header_open(&h, c->out, name);
    enum err err = put_mailbox(c, &h, box, &place);
    header_close(&h);
    return err;
}

static bool in_envelope(const struct compose *c, size_t index)
{
    for (size_t i = 0; i < c->input->recipient_count; i++) {
        if (c->input->recipients[i] == index) {
            return true;
        }
    }
    return false;
}

enum choice { CHOOSE_ALL, CHOOSE_ENVELOPE /* only those that this part goes to */ };

/* Write a list of mailboxes; nothing when it is empty. */
static enum err put_list(const struct compose *c, const struct list_view *view,
                         enum choice choice)
{
    struct header h;
    bool open = false;
    for (size_t i = 0; i < view->count; i++) {
        if (choice == CHOOSE_ENVELOPE && !in_envelope(c, view->first + i)) {
            continue;
        }
        if (open) {
            buf_add_char(c->out, ',');
        } else {
            header_open(&h, c->out, view->header);
            open = true;
        }
        const struct place place = {.field = view->field, .index = i};
        enum err err = put_mailbox(c, &h, view->boxes[i], &place);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (open) {
        header_close(&h);
    }
    return ERR_OK;
}

/* To names the one recipient, wherever the request lists it. */
static enum err put_single_recipient(const struct compose *c)
{
    enum list list = list_at(c->message, c->input->recipients[0]);
    struct list_view view = list_of(c->message, list);
    view.header = "To";
    return put_list(c, &view, CHOOSE_ENVELOPE);
}

static enum err put_recipients(const struct compose *c)
{
    if (c->input->one_each) {
        return put_single_recipient(c);
    }
    size_t before = c->out->len;
    for (enum list list = LIST_TO; list < LIST_BCC; list++) {
        struct list_view view = list_of(c->message, list);
        enum err err = put_list(c, &view, c->pickup_exchange ? CHOOSE_ENVELOPE : CHOOSE_ALL);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (c->out->len == before) {
        header_line(c->out, "To", "undisclosed-recipients:;");
    }
    if (c->pickup_exchange) {
        struct list_view view = list_of(c->message, LIST_BCC);
        return put_list(c, &view, CHOOSE_ENVELOPE);
    }
    return ERR_OK;
}

static enum err put_date(const struct compose *c)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(c->input->accepted_at_ms / 1000);
    struct tm tm;
    char text[DATE_BYTES];
    /* RFC 5322 3.3: from 1900 on, four digits of a year. */
    if (c->input->accepted_at_ms < 0 || gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 8099) {
        return refuse(c, "accepted_at_ms", "is no time between 1970 and 9999");
    }
    char *at = stpcpy(stpcpy(text, days[tm.tm_wday]), ", ");
    at = digits_put(at, (uint64_t)tm.tm_mday, 1);
    *at++ = ' ';
    at = stpcpy(stpcpy(at, months[tm.tm_mon]), " ");
    at = digits_put(at, (uint64_t)tm.tm_year + 1900, 4);
    *at++ = ' ';
    at = digits_put(at, (uint64_t)tm.tm_hour, 2);
    *at++ = ':';
    at = digits_put(at, (uint64_t)tm.tm_min, 2);
    *at++ = ':';
    at = digits_put(at, (uint64_t)tm.tm_sec, 2);
    (void)stpcpy(at, " +0000");
    header_line(c->out, "Date", text);
    return ERR_OK;
}

static bool is_sender_needed(const PB(Message) *m)
{
    /* RFC 5322 3.6.2: not when author and sender are the same. */
    return m->sender != NULL && strcmp(m->sender->address, m->from->address) != 0;
}

static enum err put_originators(const struct compose *c)
{
    enum err err = put_date(c);
    if (err == ERR_OK) {
        err = put_one_mailbox(c, "From", c->message->from, "from");
    }
    if (err == ERR_OK && is_sender_needed(c->message)) {
        err = put_one_mailbox(c, "Sender", c->message->sender, "sender");
    }
    if (err == ERR_OK) {
        struct list_view view = {"Reply-To", "reply_to", c->message->reply_to,
                                 c->message->n_reply_to, 0};
        err = put_list(c, &view, CHOOSE_ALL);
    }
    return err;
}

static void put_subject(const struct compose *c)
{
    struct header h;
    header_open(&h, c->out, "Subject");
    header_text(&h, c->message->subject, HEADER_WORD_FOLD);
    header_close(&h);
}

static void put_producer_headers(const struct compose *c)
{
    for (size_t i = 0; i < c->message->n_headers; i++) {
        struct header h;
        header_open(&h, c->out, c->message->headers[i]->name);
        header_text(&h, c->message->headers[i]->value, HEADER_WORD_KEEP);
        header_close(&h);
    }
}

/* A header of ours that a producer may replace by its own of the same name. */
static void put_default(const struct compose *c, const char *name, const char *value)
{
    for (size_t i = 0; i < c->message->n_headers; i++) {
        if (strcasecmp(c->message->headers[i]->name, name) == 0) {
            return;
        }
    }
    header_line(c->out, name, value);
}

static void put_importance(const struct compose *c)
{
    /* Three headers for one thing: Importance (RFC 2156), the older Priority, and X-Priority for Outlook. */
    static const struct {
        int importance;
        const char *name;
        const char *priority;
        const char *x_priority;
    } rows[] = {
        {PB_IMPORTANCE(LOW), "low", "non-urgent", "5"},
        {PB_IMPORTANCE(NORMAL), "normal", "normal", "3"},
        {PB_IMPORTANCE(HIGH), "high", "urgent", "1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].importance == (int)c->message->importance) {
            put_default(c, "Importance", rows[i].name);
            put_default(c, "Priority", rows[i].priority);
            put_default(c, "X-Priority", rows[i].x_priority);
        }
    }
}

static void put_unsubscribe(const struct compose *c)
{
    const PB(ListUnsubscribe) *list = c->message->list_unsubscribe;
    if (list == NULL || list->n_uris == 0) {
        return;
    }
    struct header h;
    header_open(&h, c->out, "List-Unsubscribe");
    for (size_t i = 0; i < list->n_uris; i++) {
        char text[CHECK_URI_MAX_BYTES + 4];
        int len = snprintf(text, sizeof text, "<%s>%s", list->uris[i],
                           i + 1 < list->n_uris ? "," : "");
        header_word(&h, text, (size_t)len);
    }
    header_close(&h);
    if (list->one_click) {
        header_line(c->out, "List-Unsubscribe-Post",
                    "List-Unsubscribe=One-Click"); /* RFC 8058 */
    }
}

static enum err put_options(const struct compose *c)
{
    enum err err = ERR_OK;
    header_line(c->out, "Auto-Submitted", "auto-generated"); /* RFC 3834 5 */
    put_default(c, "X-Auto-Response-Suppress", "OOF, AutoReply");
    put_importance(c);
    if (c->message->request_read_receipt) {
        err = put_one_mailbox(c, "Disposition-Notification-To", c->message->from, "from");
    }
    put_unsubscribe(c);
    put_producer_headers(c);
    if (c->input->possible_duplicate) {
        header_line(c->out, "X-TrackPro-Possible-Duplicate", "yes");
    }
    return err;
}

/* The envelope as the first lines of the file: what the IIS SMTP service reads from its pickup folder. */
static void put_iis_envelope(const struct compose *c)
{
    if (!c->pickup_iis) {
        return;
    }
    buf_add_text(c->out, "X-Sender: <");
    buf_add_text(c->out, c->delivery->mail_from);
    buf_add_text(c->out, ">\r\n");
    for (size_t i = 0; i < c->delivery->recipient_count; i++) {
        buf_add_text(c->out, "X-Receiver: <");
        buf_add_text(c->out, c->delivery->recipients[i].address);
        /* A blind recipient stands in no other header. */
        c->delivery->needs_utf8 =
            c->delivery->needs_utf8 || c->delivery->recipients[i].needs_utf8;
        buf_add_text(c->out, ">\r\n");
    }
}

static enum err put_headers(struct compose *c)
{
    put_iis_envelope(c);
    c->head = c->out->len;
    enum err err = put_originators(c);
    if (err == ERR_OK) {
        err = put_recipients(c);
    }
    if (err == ERR_OK) {
        put_subject(c);
        /* Never folded: some servers do not find a Message-ID on a second line. */
        buf_add_text(c->out, "Message-ID: <");
        buf_add_text(c->out, c->delivery->message_id);
        buf_add_text(c->out, ">\r\nMIME-Version: 1.0\r\n");
        err = put_options(c);
    }
    return err;
}

static enum err fill_sender(const struct compose *c)
{
    const PB(Message) *m = c->message;
    struct message_address address;
    const PB(Mailbox) *box = m->sender != NULL ? m->sender : m->from;
    const struct place place = {.field = m->sender != NULL ? "sender" : "from", .single = true};
    enum err err = resolve(c, box, &place, &address);
    if (err == ERR_OK) {
        memcpy(c->delivery->mail_from, address.text, sizeof c->delivery->mail_from);
        c->delivery->needs_utf8 = address.needs_utf8;
    }
    return err;
}

static enum err fill_recipients(const struct compose *c)
{
    const struct compose_input *input = c->input;
    size_t known = compose_recipient_count(input->request);
    if (input->recipient_count == 0 || input->recipient_count > known) {
        return refuse(c, "recipients", "there must be one, and not more than the request has");
    }
    if (input->one_each && input->recipient_count != 1) {
        return refuse(c, "recipients", "a mail of its own has one recipient");
    }
    struct delivery *d = c->delivery;
    d->recipients = mem_zero(input->recipient_count, sizeof d->recipients[0]);
    for (size_t i = 0; i < input->recipient_count; i++) {
        uint32_t index = input->recipients[i];
        enum list list = list_at(c->message, index);
        if (list == LIST_COUNT) {
            return err_set(c->why, ERR_INVALID,
                           "recipients[%zu]: the request has no recipient %u", i, index);
        }
        struct list_view view = list_of(c->message, list);
        struct message_address address;
        const struct place place = {.field = view.field, .index = index - view.first};
        enum err err = resolve(c, view.boxes[place.index], &place, &address);
        if (err != ERR_OK) {
            return err;
        }
        struct deliver_recipient *r = &d->recipients[d->recipient_count++];
        memcpy(r->address, address.text, sizeof r->address);
        r->needs_utf8 = address.needs_utf8;
        r->index = index;
    }
    return ERR_OK;
}

/* The names of the mail: the same on every attempt, so that a server, a reader or we ourselves can see a double. */
static void fill_names(struct compose *c)
{
    struct delivery *d = c->delivery;
    const char *const texts[] = {c->input->producer, c->input->request->id,
                                 d->recipients[0].address};
    uint8_t digest[DIGEST_BYTES];
    size_t count = c->input->one_each ? 3 : 2;
    if (c->input->digests != NULL) {
        digest_maker_texts(c->input->digests, texts, count, digest);
    } else {
        digest_texts(texts, count, digest);
    }
    digest_hex(digest, MIME_ID_CHARS / 2, c->id);
    char *at = d->message_id;
    memcpy(at, c->id, MIME_ID_CHARS);
    at += MIME_ID_CHARS;
    *at++ = '@';
    mem_text_into(at, sizeof d->message_id - MIME_ID_CHARS - 1, address_domain(c->from.text));
    at = stpcpy(stpcpy(stpcpy(d->file_name, "tpn-"), c->id), "-");
    *digits_put(at, d->part, 1) = '\0';
}

static enum err fill_envelope(struct compose *c)
{
    if (c->message == NULL || c->message->from == NULL) {
        return refuse(c, c->message == NULL ? "message" : "message.from", "is missing");
    }
    const struct place place = {.field = "from", .single = true};
    enum err err = resolve(c, c->message->from, &place, &c->from);
    if (err != ERR_OK) {
        return err;
    }
    c->from_known = true;
    err = fill_sender(c);
    if (err == ERR_OK) {
        err = fill_recipients(c);
    }
    if (err == ERR_OK) {
        fill_names(c);
    }
    return err;
}

/* The header block of a file that is larger than Exchange takes: it would bounce the mail and delete the file. */
static enum err check_exchange(const struct compose *c)
{
    if (!c->pickup_exchange) {
        return ERR_OK;
    }
    const char *text = buf_text(c->out);
    const char *end = strstr(text, "\r\n\r\n");
    size_t len = end != NULL ? (size_t)(end - text) + 4 : c->out->len;
    if (len <= EXCHANGE_HEADER_BYTES) {
        return ERR_OK;
    }
    return err_set(
        c->why, ERR_INVALID,
        "message: its headers have %zu bytes, an Exchange pickup folder takes %d: lower "
        "max_recipients_per_message, or shorten the headers",
        len, (int)EXCHANGE_HEADER_BYTES);
}

static enum err sign(const struct compose *c)
{
    const struct settings_dkim *dkim = &c->input->plan->dkim;
    if (dkim->count == 0) {
        return ERR_OK;
    }
    if (c->input->keys == NULL) {
        bug("a plan that signs, and nobody to keep the keys");
    }
    const struct dkim_job job = {.settings = dkim,
                                 .keys = c->input->keys,
                                 .signed_at_ms = c->input->accepted_at_ms,
                                 .head = c->head};
    return dkim_sign(&job, c->out, c->why);
}

enum err compose_mail(const struct compose_input *input, struct delivery *delivery,
                      struct err_text *why)
{
    bool pickup = input->plan->route == SETTINGS_PICKUP;
    struct compose c = {
        .input = input,
        .message = input->request->message,
        .delivery = delivery,
        .out = &delivery->content,
        .pickup_iis = pickup && input->plan->dialect == PB_DIALECT(IIS),
        .pickup_exchange = pickup && input->plan->dialect == PB_DIALECT(EXCHANGE),
        .why = why,
    };
    buf_init(c.out, COMPOSE_MAX_BYTES);
    struct wire_fault fault;
    enum err err = fill_envelope(&c);
    if (err != ERR_OK) {
        return err;
    }
    err = input->forms_checked ? message_rule_parts(c.message, &fault)
                               : message_rule_content(c.message, &fault);
    if (err != ERR_OK) {
        return refuse(&c, fault.field, fault.rule);
    }
    delivery->want_delivery_receipt = c.message->request_delivery_receipt;
    size_t guess = HEADER_GUESS_BYTES +
                   MAILBOX_GUESS_BYTES * compose_recipient_count(input->request) +
                   mime_guess_bytes(c.message);
    if (guess < c.out->max) {
        (void)buf_reserve(c.out, guess);
    }
    err = put_headers(&c);
    if (err == ERR_OK) {
        mime_put_body(c.out, c.message, c.id);
        err = buf_status(c.out);
        if (err != ERR_OK) {
            err = err_set(why, ERR_LIMIT, "message: the mail would be larger than %d bytes",
                          (int)COMPOSE_MAX_BYTES);
        }
    }
    if (err == ERR_OK) {
        err = sign(&c);
    }
    if (err == ERR_OK) {
        err = check_exchange(&c);
    }
    return err;
}
