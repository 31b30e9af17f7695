/* The rules of a message as a whole.
 *
 * The form of a single text (a line, a media type, a URI) is the field table's (check_rules.h) and is asked for again here, so
 * that whoever composes from a message that passed needs no guard of its own against a CR or a '>'. The first rule that is
 * broken is told. Cost is linear in the message: texts go 64 bytes a step (text.h), addresses one by one. */
#include "message_rule.h"

#include "check_form.h"
#include "check_rules.h"
#include "header_rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_set(const char *text)
{
    return text[0] != '\0';
}

PRINTF_LIKE(3, 4)
static enum err refuse(struct wire_fault *fault, const char *rule, const char *path, ...)
{
    va_list args;
    va_start(args, path);
    (void)vsnprintf(fault->field, sizeof fault->field, path, args);
    va_end(args);
    (void)snprintf(fault->rule, sizeof fault->rule, "%.*s", (int)sizeof fault->rule - 1, rule);
    return ERR_INVALID;
}

static const char *fault_of(enum check_form form, const char *text)
{
    return is_set(text) ? check_form_fault(form, text, strlen(text)) : NULL;
}

/* ---- mailboxes ---- */

enum err message_rule_mailbox(const PB(Mailbox) *box, struct message_address *out,
                              const char **part, struct err_text *why)
{
    *part = "address";
    out->needs_utf8 = false;
    if (address_to_ascii(box->address, out->text, &out->needs_utf8, why) != ERR_OK) {
        return ERR_INVALID;
    }
    const char *fault = fault_of(CHECK_LINE, box->name);
    if (fault != NULL) {
        *part = "name";
        return err_set(why, ERR_INVALID, "%s", fault);
    }
    return ERR_OK;
}

static enum err check_single(const PB(Mailbox) *box, const char *path, struct wire_fault *fault)
{
    struct message_address address;
    struct err_text why;
    const char *part = NULL;
    if (message_rule_mailbox(box, &address, &part, &why) != ERR_OK) {
        return refuse(fault, why.text, "%s.%s", path, part);
    }
    return ERR_OK;
}

static enum err check_list(PB(Mailbox) *const boxes[], size_t count, const char *path,
                           struct wire_fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        struct message_address address;
        struct err_text why;
        const char *part = NULL;
        if (message_rule_mailbox(boxes[i], &address, &part, &why) != ERR_OK) {
            return refuse(fault, why.text, "%s[%zu].%s", path, i, part);
        }
    }
    return ERR_OK;
}

static enum err check_mailboxes(const PB(Message) *message, struct wire_fault *fault)
{
    size_t recipients = message->n_to + message->n_cc + message->n_bcc;
    if (message->from == NULL) {
        return refuse(fault, "required", "message.from");
    }
    if (recipients == 0) {
        return refuse(fault, "at least one recipient in to, cc or bcc", "message.to");
    }
    if (recipients > MESSAGE_MAX_RECIPIENTS) {
        return refuse(fault, "at most 3000 recipients in to, cc and bcc together",
                      "message.to");
    }
    const struct {
        PB(Mailbox) *const *boxes;
        size_t count;
        const char *path;
    } lists[] = {
        {message->reply_to, message->n_reply_to, "message.reply_to"},
        {message->to, message->n_to, "message.to"},
        {message->cc, message->n_cc, "message.cc"},
        {message->bcc, message->n_bcc, "message.bcc"},
    };
    enum err err = check_single(message->from, "message.from", fault);
    if (err == ERR_OK && message->sender != NULL) {
        err = check_single(message->sender, "message.sender", fault);
    }
    for (size_t i = 0; err == ERR_OK && i < sizeof lists / sizeof lists[0]; i++) {
        err = check_list(lists[i].boxes, lists[i].count, lists[i].path, fault);
    }
    return err;
}

/* ---- content ---- */

static enum err check_texts(const PB(Message) *message, struct wire_fault *fault)
{
    const struct {
        const char *path;
        enum check_form form;
        const char *data;
        size_t len;
    } texts[] = {
        {"message.subject", CHECK_LINE, message->subject, strlen(message->subject)},
        {"message.text", CHECK_TEXT, message->text, strlen(message->text)},
        {"message.html", CHECK_TEXT, message->html, strlen(message->html)},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *rule = texts[i].len > 0
                               ? check_form_fault(texts[i].form, texts[i].data, texts[i].len)
                               : NULL;
        if (rule != NULL) {
            return refuse(fault, rule, "%s", texts[i].path);
        }
    }
    return ERR_OK;
}

static enum err check_attachment(const PB(Message) *message, size_t i, struct wire_fault *fault)
{
    const PB(Attachment) *a = message->attachments[i];
    const struct {
        const char *field;
        const char *rule; /* null = it is kept */
    } rules[] = {
        {"file_name", fault_of(CHECK_LINE, a->file_name)},
        {"content_type", fault_of(CHECK_MEDIA_TYPE, a->content_type)},
        {"content_id", fault_of(CHECK_CONTENT_ID, a->content_id)},
        {"content_id",
         a->is_inline && !is_set(a->content_id) ? "is needed for an inline attachment" : NULL},
        {"is_inline", a->is_inline && !is_set(message->html)
                          ? "an inline attachment needs an HTML part"
                          : NULL},
    };
    for (size_t rule = 0; rule < sizeof rules / sizeof rules[0]; rule++) {
        if (rules[rule].rule != NULL) {
            return refuse(fault, rules[rule].rule, "message.attachments[%zu].%s", i,
                          rules[rule].field);
        }
    }
    return ERR_OK;
}

/* A header that the worker writes for a field which is set: the producer's own would be the second of that name. */
static const char *rule_of_twin(const PB(Message) *message, const char *name)
{
    const struct {
        const char *name;
        bool written;
        const char *rule;
    } twins[] = {
        {"Disposition-Notification-To", message->request_read_receipt != 0,
         "request_read_receipt writes this header: set one of the two"},
        {"List-Unsubscribe", message->list_unsubscribe != NULL,
         "list_unsubscribe writes this header: set one of the two"},
        {"List-Unsubscribe-Post", message->list_unsubscribe != NULL,
         "list_unsubscribe writes this header: set one of the two"},
    };
    for (size_t i = 0; i < sizeof twins / sizeof twins[0]; i++) {
        if (twins[i].written && strcasecmp(name, twins[i].name) == 0) {
            return twins[i].rule;
        }
    }
    return NULL;
}

static enum err check_header(const PB(Message) *message, size_t i, struct wire_fault *fault)
{
    const PB(Header) *header = message->headers[i];
    struct err_text why;
    const char *part = NULL;
    if (header_rule_check(header->name, header->value, &part, &why) != ERR_OK) {
        return refuse(fault, why.text, "message.headers[%zu].%s", i, part);
    }
    const char *rule = rule_of_twin(message, header->name);
    return rule == NULL ? ERR_OK : refuse(fault, rule, "message.headers[%zu].name", i);
}

static enum err check_unsubscribe(const PB(ListUnsubscribe) *list, struct wire_fault *fault)
{
    bool https = false;
    for (size_t i = 0; list != NULL && i < list->n_uris; i++) {
        const char *rule = check_form_fault(CHECK_URI, list->uris[i], strlen(list->uris[i]));
        if (rule == NULL && strlen(list->uris[i]) > CHECK_URI_MAX_BYTES) {
            rule = "is too long";
        }
        if (rule != NULL) {
            return refuse(fault, rule, "message.list_unsubscribe.uris[%zu]", i);
        }
        https = https || strncmp(list->uris[i], "https:", 6) == 0;
    }
    if (list != NULL && list->one_click && !https) {
        return refuse(fault, "needs an https URI", "message.list_unsubscribe.one_click");
    }
    return ERR_OK;
}

/* Bytes for the field table, which takes any; but it goes out as a text part. */
static enum err check_calendar(const ProtobufCBinaryData *calendar, struct wire_fault *fault)
{
    const char *rule =
        calendar->len > 0 ? check_form_fault(CHECK_TEXT, calendar->data, calendar->len) : NULL;
    return rule == NULL ? ERR_OK : refuse(fault, rule, "message.calendar");
}

enum err message_rule_parts(const PB(Message) *message, struct wire_fault *fault)
{
    enum err err = check_calendar(&message->calendar, fault);
    for (size_t i = 0; err == ERR_OK && i < message->n_attachments; i++) {
        err = check_attachment(message, i, fault);
    }
    for (size_t i = 0; err == ERR_OK && i < message->n_headers; i++) {
        err = check_header(message, i, fault);
    }
    return err == ERR_OK ? check_unsubscribe(message->list_unsubscribe, fault) : err;
}

enum err message_rule_content(const PB(Message) *message, struct wire_fault *fault)
{
    enum err err = check_texts(message, fault);
    return err == ERR_OK ? message_rule_parts(message, fault) : err;
}

enum err message_rule_check(const PB(Message) *message, struct wire_fault *fault)
{
    enum err err = check_mailboxes(message, fault);
    return err == ERR_OK ? message_rule_parts(message, fault) : err;
}
