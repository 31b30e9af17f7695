/* Protobuf messages for people and for scripts.
 *
 * JSON is made from the descriptors, so a field added to a .proto file shows up by itself. Text
 * of a peer is quoted and its control bytes are escaped: nobody gets to move the cursor of an
 * operator's terminal. Reference: protobuf-c/protobuf-c.h (ProtobufCFieldDescriptor: offsets
 * into the struct). */
#include "pb_text.h"

#include "clock.h"
#include "log.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* "STATE_SENT" of the enum "State" is "SENT": the name of the enum, in capitals and with
 * underscores, is skipped. */
static const char *without_prefix(const ProtobufCEnumDescriptor *type, const char *name)
{
    const char *prefix = type->short_name;
    const char *at = name;
    while (*prefix != '\0') {
        if (*at == '_') {
            at++;
        }
        if (toupper((unsigned char)*prefix) != *at) {
            return name;
        }
        prefix++;
        at++;
    }
    return *at == '_' ? at + 1 : name;
}

const char *pb_enum_word(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *row = protobuf_c_enum_descriptor_get_value(type, value);
    return row != NULL ? without_prefix(type, row->name) : "?";
}

enum err pb_enum_parse(const ProtobufCEnumDescriptor *type, const char *word, int *value)
{
    for (unsigned i = 0; i < type->n_values; i++) {
        if (strcasecmp(without_prefix(type, type->values[i].name), word) == 0) {
            *value = type->values[i].value;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

const char *pb_state_word(int state)
{
    return pb_enum_word(PB_DESCRIPTOR(state), state);
}

const char *pb_outcome_word(int outcome)
{
    return pb_enum_word(PB_DESCRIPTOR(outcome), outcome);
}

const char *pb_phase_word(int phase)
{
    return pb_enum_word(PB_DESCRIPTOR(phase), phase);
}

const char *pb_class_word(int class)
{
    return pb_enum_word(PB_DESCRIPTOR(failure_class), class);
}

const char *pb_watch_word(int kind)
{
    return pb_enum_word(PB_DESCRIPTOR(watch_kind), kind);
}

const char *pb_scope_words(int scope)
{
    return scope == PB_SCOPE(PROFILE)    ? "profile "
           : scope == PB_SCOPE(PRODUCER) ? "producer "
           : scope == PB_SCOPE(DOMAIN)   ? "mail to "
                                         : "all mail";
}

bool pb_state_final(int state)
{
    return state == PB_STATE(SENT) || state == PB_STATE(HANDED_OFF) ||
           state == PB_STATE(FAILED) || state == PB_STATE(EXPIRED) ||
           state == PB_STATE(CANCELLED);
}

/* ---- JSON ---- */

static size_t type_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return sizeof(uint32_t);
    }
}

/* Recursion below ends: messages nest as deep as the .proto files do, and none holds itself. */
// NOLINTBEGIN(misc-no-recursion)
static void json_pointer(struct json *j, const char *key, const ProtobufCFieldDescriptor *field,
                         const void *value)
{
    const void *pointer = *(const void *const *)value;
    if (pointer == NULL) {
        json_null(j, key);
    } else if (field->type == PROTOBUF_C_TYPE_STRING) {
        json_text(j, key, pointer);
    } else {
        pb_json(j, key, pointer);
    }
}

/* value points at the member itself. */
static void json_value(struct json *j, const char *key, const ProtobufCFieldDescriptor *field,
                       const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        json_pointer(j, key, field, value);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        json_text(j, key, pb_enum_word(field->descriptor, *(const int *)value));
        break;
    case PROTOBUF_C_TYPE_BOOL:
        json_bool(j, key, *(const protobuf_c_boolean *)value != 0);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        json_uint(j, key, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        json_int(j, key, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        json_uint(j, key, *(const uint64_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        json_int(j, key, *(const int64_t *)value);
        break;
    default: /* bytes; the wire has no floating point */
        break;
    }
}

void pb_json(struct json *j, const char *key, const ProtobufCMessage *message)
{
    const char *base = (const char *)message;
    json_open(j, key, '{');
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const char *member = base + field->offset;
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            json_value(j, field->name, field, member);
            continue;
        }
        size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
        const char *items = *(const char *const *)(const void *)member;
        json_open(j, field->name, '[');
        for (size_t item = 0; item < count; item++) {
            json_value(j, NULL, field, items + item * type_size(field->type));
        }
        json_close(j);
    }
    json_close(j);
}

// NOLINTEND(misc-no-recursion)

/* ---- fields ---- */

static bool is_set(const ProtobufCFieldDescriptor *field, const void *value)
{
    static const uint8_t zeros[sizeof(uint64_t)] = {0};
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(const char *const *)value;
        return text != NULL && text[0] != '\0';
    }
    return memcmp(value, zeros, type_size(field->type)) != 0;
}

void pb_text_fields(struct buf *out, const ProtobufCMessage *message, const char *indent)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const void *value = (const char *)message + field->offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED ||
            field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_BYTES ||
            !is_set(field, value)) {
            continue;
        }
        struct json j;
        json_init(&j, out);
        buf_add_format(out, "%s%s: ", indent, field->name);
        json_value(&j, NULL, field, value);
        buf_add_char(out, '\n');
    }
}

/* ---- text ---- */

/* A value with any of these is quoted: what ends a value, and what moves a cursor. */
#define UNQUOTABLE                                                                             \
    " \"\\\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f"                              \
    "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"

static void add_word(struct buf *out, const char *key, const char *value)
{
    if (value[0] != '\0') {
        char quoted[LOG_QUOTE_BYTES];
        const char *text =
            strpbrk(value, UNQUOTABLE) != NULL ? log_quote(value, quoted) : value;
        buf_add_format(out, " %s=%s", key, text);
    }
}

void pb_text_recipient(struct buf *out, const PB(RecipientResult) *recipient)
{
    char quoted[LOG_QUOTE_BYTES];
    const char *address = recipient->address;
    if (strpbrk(address, UNQUOTABLE) != NULL) {
        address = log_quote(address, quoted);
    }
    buf_add_format(out, "<%s> %s", address, pb_outcome_word((int)recipient->outcome));
    if (recipient->failure_class != PB_CLASS(NONE)) {
        buf_add_format(out, " (%s)", pb_class_word((int)recipient->failure_class));
    }
    if (recipient->phase != PB_PHASE(UNSPECIFIED)) {
        buf_add_format(out, " %s", pb_phase_word((int)recipient->phase));
    }
    if (recipient->smtp_code != 0) {
        buf_add_format(out, " %" PRIu32, recipient->smtp_code);
    }
    if (recipient->enhanced_code[0] != '\0') {
        buf_add_format(out, " %s", recipient->enhanced_code);
    }
    if (recipient->text[0] != '\0') {
        buf_add_format(out, " %s", log_quote(recipient->text, quoted));
    }
}

/* An event of no request. */
static void add_watch(struct buf *out, const PB(StatusEvent) *event)
{
    char when[CLOCK_TEXT_BYTES];
    buf_add_format(out, "%s %s", clock_text(event->at_ms, when),
                   pb_watch_word((int)event->watch->kind));
    add_word(out, "expectation", event->watch->name);
    add_word(out, "producer", event->watch->producer);
    add_word(out, "profile", event->watch->profile);
    add_word(out, "label", event->watch->label);
    add_word(out, "reason", event->reason);
}

void pb_text_event(struct buf *out, const PB(StatusEvent) *event)
{
    char when[CLOCK_TEXT_BYTES];
    if (event->watch != NULL) {
        add_watch(out, event);
        return;
    }
    buf_add_format(out, "%s %s", clock_text(event->at_ms, when),
                   pb_state_word((int)event->state));
    add_word(out, "id", event->request_id);
    add_word(out, "producer", event->producer);
    add_word(out, "profile", event->profile);
    buf_add_format(out, " attempt=%" PRIu32, event->attempt);
    if (event->partial) {
        buf_add_text(out, " partial=yes");
    }
    add_word(out, "worker", event->worker);
    add_word(out, "server", event->server);
    add_word(out, "tls", event->tls_version);
    add_word(out, "queue_id", event->queue_id);
    add_word(out, "reason", event->reason);
    if (event->next_attempt_ms != 0) {
        buf_add_format(out, " next=%s", clock_text(event->next_attempt_ms, when));
    }
    for (size_t i = 0; i < event->n_recipients; i++) {
        buf_add_text(out, i == 0 ? " to=" : " ; ");
        pb_text_recipient(out, event->recipients[i]);
    }
}
