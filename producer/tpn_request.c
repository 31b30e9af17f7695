/* Building a request.
 *
 * A request is a protobuf tree that grows by its setters; every text in it is a copy. Setters
 * return nothing: the first mistake stays in the request and is told when it is encoded. The
 * field rules themselves are not here but in check.h, so that the library refuses what the
 * broker would refuse, in the same words. */
#include "tpn_request.h"

#include "check.h"
#include "mem.h"
#include "pb.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tpn_request {
    PB(NotificationRequest) *pb; /* with its message, always */
    struct err_text mistake;     /* of the first wrong setter */
};

/* Where a value goes: in the message, or in the request around it. */
struct place {
    bool in_message;
    size_t offset;
    int64_t max; /* of a number */
};

#define IN_REQUEST(field) false, offsetof(PB(NotificationRequest), field)
#define IN_MESSAGE(field) true, offsetof(PB(Message), field)

static const struct place text_places[TPN_TEXT_COUNT] = {
    [TPN_ID] = {IN_REQUEST(id), 0},
    [TPN_PROFILE] = {IN_REQUEST(profile), 0},
    [TPN_SUBJECT] = {IN_MESSAGE(subject), 0},
    [TPN_TEXT] = {IN_MESSAGE(text), 0},
    [TPN_HTML] = {IN_MESSAGE(html), 0},
    [TPN_SUPERSEDE_KEY] = {IN_REQUEST(supersede_key), 0},
    [TPN_TRACEPARENT] = {IN_REQUEST(traceparent), 0},
};

/* All but the two times are int-sized: enums and protobuf booleans. */
static const struct place number_places[TPN_NUMBER_COUNT] = {
    [TPN_KIND] = {IN_REQUEST(kind), 3},
    [TPN_SPLIT] = {IN_REQUEST(split), 2},
    [TPN_PRIORITY] = {IN_REQUEST(priority), 3},
    [TPN_IMPORTANCE] = {IN_MESSAGE(importance), 3},
    [TPN_READ_RECEIPT] = {IN_MESSAGE(request_read_receipt), 1},
    [TPN_DELIVERY_RECEIPT] = {IN_MESSAGE(request_delivery_receipt), 1},
    [TPN_NOT_BEFORE_MS] = {IN_REQUEST(not_before_ms), INT64_MAX},
    [TPN_EXPIRE_AT_MS] = {IN_REQUEST(expire_at_ms), INT64_MAX},
};

struct tpn_request *tpn_request_new(void)
{
    struct tpn_request *request = mem_zero(1, sizeof *request);
    request->pb = mem_zero(1, sizeof *request->pb);
    trackpro__notify__v1__notification_request__init(request->pb);
    request->pb->message = mem_zero(1, sizeof *request->pb->message);
    trackpro__notify__v1__message__init(request->pb->message);
    return request;
}

void tpn_request_free(struct tpn_request **request_p)
{
    struct tpn_request *request = *request_p;
    if (request == NULL) {
        return;
    }
    protobuf_c_message_free_unpacked(&request->pb->base, NULL);
    free(request);
    *request_p = NULL;
}

static void mistake(struct tpn_request *request, const char *text)
{
    if (request->mistake.code == ERR_OK) {
        (void)err_set(&request->mistake, ERR_INVALID, "%s", text);
    }
}

static char *place_of(const struct tpn_request *request, const struct place *place)
{
    char *base = place->in_message ? (char *)request->pb->message : (char *)request->pb;
    return base + place->offset;
}

/* protobuf-c marks a text that is not set with a constant of its own, which must not be freed.
 */
static void set_text(char **field, const char *value)
{
    if (*field != protobuf_c_empty_string) {
        free(*field);
    }
    *field = mem_text(value);
}

void tpn_request_text(struct tpn_request *request, enum tpn_text which, const char *value)
{
    if ((unsigned)which >= TPN_TEXT_COUNT) {
        mistake(request, "tpn_request_text: no such text");
        return;
    }
    set_text((char **)(void *)place_of(request, &text_places[which]), value);
}

void tpn_request_number(struct tpn_request *request, enum tpn_number which, int64_t value)
{
    if ((unsigned)which >= TPN_NUMBER_COUNT) {
        mistake(request, "tpn_request_number: no such number");
        return;
    }
    const struct place *place = &number_places[which];
    if (value < 0 || value > place->max) {
        mistake(request, "tpn_request_number: the value is out of range");
        return;
    }
    void *field = place_of(request, place);
    if (place->max == INT64_MAX) {
        *(int64_t *)field = value;
    } else {
        *(int *)field = (int)value;
    }
}

/* Room for one more pointer in a repeated field. */
static void *grow(void *items, size_t count)
{
    return mem_resize(items, count + 1, sizeof(void *));
}

static PB(Mailbox) *mailbox_new(const char *name, const char *address)
{
    PB(Mailbox) *mailbox = mem_zero(1, sizeof *mailbox);
    trackpro__notify__v1__mailbox__init(mailbox);
    mailbox->name = mem_text(name);
    mailbox->address = mem_text(address);
    return mailbox;
}

static void mailbox_replace(PB(Mailbox) **field, PB(Mailbox) *mailbox)
{
    if (*field != NULL) {
        protobuf_c_message_free_unpacked(&(*field)->base, NULL);
    }
    *field = mailbox;
}

static void mailbox_add(PB(Mailbox) ***items, size_t *count, PB(Mailbox) *mailbox)
{
    *items = grow(*items, *count);
    (*items)[(*count)++] = mailbox;
}

void tpn_request_mailbox(struct tpn_request *request, enum tpn_mailbox which, const char *name,
                         const char *address)
{
    PB(Message) *message = request->pb->message;
    if ((unsigned)which >= TPN_MAILBOX_COUNT) {
        mistake(request, "tpn_request_mailbox: no such mailbox");
        return;
    }
    PB(Mailbox) *mailbox = mailbox_new(name, address);
    switch (which) {
    case TPN_FROM:
        mailbox_replace(&message->from, mailbox);
        break;
    case TPN_SENDER:
        mailbox_replace(&message->sender, mailbox);
        break;
    case TPN_REPLY_TO:
        mailbox_add(&message->reply_to, &message->n_reply_to, mailbox);
        break;
    case TPN_TO:
        mailbox_add(&message->to, &message->n_to, mailbox);
        break;
    case TPN_CC:
        mailbox_add(&message->cc, &message->n_cc, mailbox);
        break;
    default:
        mailbox_add(&message->bcc, &message->n_bcc, mailbox);
        break;
    }
}

void tpn_request_attachment(struct tpn_request *request, const char *file_name,
                            const char *content_type, const char *content_id,
                            const void *content, size_t len)
{
    PB(Message) *message = request->pb->message;
    if (len > WIRE_REQUEST_MAX_BYTES) {
        mistake(request, "message.attachments: larger than a request may be (25 MiB)");
        return;
    }
    PB(Attachment) *attachment = mem_zero(1, sizeof *attachment);
    trackpro__notify__v1__attachment__init(attachment);
    attachment->file_name = mem_text(file_name);
    attachment->content_type = mem_text(content_type);
    attachment->is_inline = content_id != NULL;
    attachment->content_id = mem_text(content_id);
    attachment->content.len = len;
    attachment->content.data = len > 0 ? mem_copy(content, len) : NULL;
    message->attachments = grow(message->attachments, message->n_attachments);
    message->attachments[message->n_attachments++] = attachment;
}

void tpn_request_calendar(struct tpn_request *request, const void *data, size_t len)
{
    ProtobufCBinaryData *calendar = &request->pb->message->calendar;
    if (len > WIRE_REQUEST_MAX_BYTES) {
        mistake(request, "message.calendar: larger than a request may be (25 MiB)");
        return;
    }
    free(calendar->data);
    calendar->len = len;
    calendar->data = len > 0 ? mem_copy(data, len) : NULL;
}

void tpn_request_unsubscribe(struct tpn_request *request, const char *uri, int one_click)
{
    PB(Message) *message = request->pb->message;
    if (message->list_unsubscribe == NULL) {
        message->list_unsubscribe = mem_zero(1, sizeof *message->list_unsubscribe);
        trackpro__notify__v1__list_unsubscribe__init(message->list_unsubscribe);
    }
    PB(ListUnsubscribe) *list = message->list_unsubscribe;
    list->uris = grow(list->uris, list->n_uris);
    list->uris[list->n_uris++] = mem_text(uri);
    list->one_click = list->one_click || one_click != 0;
}

void tpn_request_label(struct tpn_request *request, const char *name, const char *value)
{
    PB(Label) *label = mem_zero(1, sizeof *label);
    trackpro__notify__v1__label__init(label);
    label->name = mem_text(name);
    label->value = mem_text(value);
    request->pb->labels = grow(request->pb->labels, request->pb->n_labels);
    request->pb->labels[request->pb->n_labels++] = label;
}

void tpn_request_header(struct tpn_request *request, const char *name, const char *value)
{
    PB(Message) *message = request->pb->message;
    PB(Header) *header = mem_zero(1, sizeof *header);
    trackpro__notify__v1__header__init(header);
    header->name = mem_text(name);
    header->value = mem_text(value);
    message->headers = grow(message->headers, message->n_headers);
    message->headers[message->n_headers++] = header;
}

/* ---- encoding ---- */

const char *request_id(const struct tpn_request *request)
{
    return request->pb->id;
}

enum err request_encode(const struct tpn_request *request, const char *id, uint8_t **data,
                        size_t *len, struct err_text *why)
{
    if (request->mistake.code != ERR_OK) {
        return err_set(why, ERR_INVALID, "%s", request->mistake.text);
    }
    /* A shallow copy, so that the request stays as it is. */
    PB(NotificationRequest) copy = *request->pb;
    char *text = mem_text(id != NULL ? id : request->pb->id);
    copy.id = text;
    size_t need = protobuf_c_message_get_packed_size(&copy.base);
    if (need > WIRE_REQUEST_MAX_BYTES) {
        free(text);
        return err_set(why, ERR_LIMIT, "the request has %zu bytes, at most %d are allowed",
                       need, WIRE_REQUEST_MAX_BYTES);
    }
    *data = mem_resize(NULL, need + 1, 1);
    *len = protobuf_c_message_pack(&copy.base, *data);
    free(text);
    return ERR_OK;
}

enum err request_check(const uint8_t *data, size_t len, struct err_text *why)
{
    struct wire_fault fault = {{0}, {0}};
    if (len > WIRE_REQUEST_MAX_BYTES) {
        return err_set(why, ERR_LIMIT, "the request has %zu bytes, at most %d are allowed", len,
                       WIRE_REQUEST_MAX_BYTES);
    }
    enum err err = check_bytes(PB_DESCRIPTOR(notification_request), data, len, &fault);
    if (err != ERR_OK) {
        return err_set(why, err, "%s: %s", fault.field[0] != '\0' ? fault.field : "request",
                       fault.rule);
    }
    return ERR_OK;
}

void request_tell(const struct err_text *from, struct tpn_why *to)
{
    if (to != NULL) {
        (void)snprintf(to->text, sizeof to->text, "%s", from->text);
    }
}

enum tpn_result tpn_request_pack(const struct tpn_request *request, void **data, size_t *len,
                                 struct tpn_why *why)
{
    struct err_text text = {0};
    uint8_t *bytes = NULL;
    if (request_encode(request, NULL, &bytes, len, &text) != ERR_OK) {
        request_tell(&text, why);
        return TPN_INVALID;
    }
    *data = bytes;
    return TPN_OK;
}

void tpn_free(void *data)
{
    free(data);
}
