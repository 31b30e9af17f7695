/* One walk over a message, from its last field to its first.
 *
 * Knows what our .proto files use: proto3 fields without presence, lists, messages, numbers that are varints, texts and
 * bytes. Leaves everything else to protobuf-c. No recursion: a message inside is a frame more. */
#include "pack.h"

#include "mem.h"

#include <stdbool.h>
#include <string.h>

enum {
    MAX_DEPTH = 8, /* of messages in messages; deeper ones are protobuf-c's */
    VARINT_BYTES = 10
};

/* One message that is being written. */
struct frame {
    const ProtobufCMessage *message;
    unsigned fields;    /* that are not written yet */
    size_t entries;     /* of the list that is being written: those that are not yet */
    const uint8_t *end; /* behind its last byte */
};

struct writer {
    uint8_t *at; /* the first byte written */
    uint8_t *begin;
    struct frame frames[MAX_DEPTH];
    unsigned depth;
};

/* protobuf.dev/programming-guides/encoding#structure */
enum wire_type { WIRE_VARINT = 0, WIRE_LEN = 2 };

/* Sets of types, a bit each: numbers that are varints, by their size in the struct. */
enum {
    NARROW = 1U << PROTOBUF_C_TYPE_INT32 | 1U << PROTOBUF_C_TYPE_UINT32 |
             1U << PROTOBUF_C_TYPE_ENUM | 1U << PROTOBUF_C_TYPE_BOOL,
    WIDE = 1U << PROTOBUF_C_TYPE_INT64 | 1U << PROTOBUF_C_TYPE_UINT64,
    NUMBERS = NARROW | WIDE
};

static bool is_one_of(ProtobufCType type, unsigned set)
{
    return (1U << type & set) != 0;
}

/* Room for a value of so many bytes, its length or number, and its tag. */
static bool has_room(const struct writer *w, size_t len)
{
    return len + (size_t)2 * VARINT_BYTES <= (size_t)(w->at - w->begin);
}

static void put_long(struct writer *w, uint64_t value)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(value);
    uint8_t *out = w->at -= (bits + 6) / 7;
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out = (uint8_t)value;
}

/* There is room. */
static inline void put_varint(struct writer *w, uint64_t value)
{
    if (value < 0x80) { /* nearly all of them */
        *--w->at = (uint8_t)value;
    } else {
        put_long(w, value);
    }
}

static inline void put_tag(struct writer *w, const ProtobufCFieldDescriptor *field,
                           enum wire_type type)
{
    put_varint(w, (uint64_t)field->id << 3 | type);
}

/* Bytes with their length and tag in front. */
static bool put_bytes(struct writer *w, const ProtobufCFieldDescriptor *field, const void *data,
                      size_t len)
{
    if (len > PACK_SMALL_BYTES || !has_room(w, len)) {
        return false;
    }
    if (len > 0) {
        w->at -= len;
        memcpy(w->at, data, len);
    }
    put_varint(w, len);
    put_tag(w, field, WIRE_LEN);
    return true;
}

/* As it goes on the wire: what is signed is extended to 64 bits. */
static inline uint64_t number_of(ProtobufCType type, const uint8_t *member)
{
    uint64_t wide;
    uint32_t narrow;
    if (is_one_of(type, WIDE)) {
        memcpy(&wide, member, sizeof wide);
        return wide;
    }
    memcpy(&narrow, member, sizeof narrow);
    if (narrow == 0 || type == PROTOBUF_C_TYPE_UINT32) {
        return narrow;
    }
    return type == PROTOBUF_C_TYPE_BOOL ? 1 : (uint64_t)(int64_t)(int32_t)narrow;
}

static const void *pointer_at(const uint8_t *member)
{
    const void *pointer;
    memcpy(&pointer, member, sizeof pointer);
    return pointer;
}

/* A message: written next; of one inside another, length and tag come last (leave). */
static bool enter(struct writer *w, const ProtobufCMessage *message)
{
    if (w->depth == MAX_DEPTH || message->n_unknown_fields > 0) {
        return false;
    }
    w->frames[w->depth++] = (struct frame){
        .message = message, .fields = message->descriptor->n_fields, .end = w->at};
    return true;
}

static bool leave(struct writer *w)
{
    size_t len = (size_t)(w->frames[--w->depth].end - w->at);
    if (w->depth == 0) {
        return true;
    }
    struct frame *outer = &w->frames[w->depth - 1];
    const ProtobufCFieldDescriptor *field =
        &outer->message->descriptor->fields[outer->fields - 1];
    outer->fields -= outer->entries == 0 ? 1 : 0;
    if (!has_room(w, 0)) {
        return false;
    }
    put_varint(w, len);
    put_tag(w, field, WIRE_LEN);
    return true;
}

static bool put_number(struct writer *w, const ProtobufCFieldDescriptor *field, uint64_t number)
{
    if (!has_room(w, 0)) {
        return false;
    }
    put_varint(w, number);
    put_tag(w, field, WIRE_VARINT);
    return true;
}

/* A field that is no list; one without a value is not written. *inside: it is a message, entered. */
static inline bool put_single(struct writer *w, const ProtobufCFieldDescriptor *field,
                              const uint8_t *member, bool *inside)
{
    if (is_one_of(field->type, NUMBERS)) {
        uint64_t number = number_of(field->type, member);
        return number == 0 || put_number(w, field, number);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = pointer_at(member);
        return text == NULL || text[0] == '\0' || put_bytes(w, field, text, strlen(text));
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *message = pointer_at(member);
        *inside = message != NULL;
        return message == NULL || enter(w, message);
    }
    if (field->type != PROTOBUF_C_TYPE_BYTES) {
        return false;
    }
    ProtobufCBinaryData bytes;
    memcpy(&bytes, member, sizeof bytes);
    return bytes.len == 0 || put_bytes(w, field, bytes.data, bytes.len);
}

static bool put_numbers(struct writer *w, const ProtobufCFieldDescriptor *field,
                        const uint8_t *items, size_t count)
{
    const uint8_t *end = w->at;
    size_t size = is_one_of(field->type, WIDE) ? sizeof(uint64_t) : sizeof(uint32_t);
    for (size_t i = count; i-- > 0;) {
        if (!has_room(w, 0)) {
            return false;
        }
        put_varint(w, number_of(field->type, items + i * size));
    }
    if (!has_room(w, 0)) {
        return false;
    }
    put_varint(w, (uint64_t)(end - w->at));
    put_tag(w, field, WIRE_LEN);
    return true;
}

/* The last entry of a list that is not written yet. */
static bool put_entry(struct writer *w, const ProtobufCFieldDescriptor *field,
                      const uint8_t *items, struct frame *frame, bool *inside)
{
    const void *item = pointer_at(items + --frame->entries * sizeof item);
    if (item == NULL) {
        return false;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return put_bytes(w, field, item, strlen(item));
    }
    *inside = true;
    return enter(w, item);
}

static bool put_list(struct writer *w, const ProtobufCFieldDescriptor *field,
                     const uint8_t *items, struct frame *frame, bool *inside)
{
    if (is_one_of(field->type, NUMBERS)) {
        size_t count = frame->entries;
        frame->entries = 0;
        return (field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0 &&
               put_numbers(w, field, items, count);
    }
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return false;
    }
    while (frame->entries > 0 && !*inside) {
        if (!put_entry(w, field, items, frame, inside)) {
            return false;
        }
    }
    return true;
}

/* A list's first time: all its entries. Later: those that are left. */
static bool put_repeated(struct writer *w, const ProtobufCFieldDescriptor *field,
                         const uint8_t *base, struct frame *frame, bool *inside)
{
    if (frame->entries == 0) {
        memcpy(&frame->entries, base + field->quantifier_offset, sizeof frame->entries);
    }
    return frame->entries == 0 ||
           put_list(w, field, pointer_at(base + field->offset), frame, inside);
}

/* The fields of the innermost message, from its last, up to one that is a message (*inside). */
static bool put_fields(struct writer *w, bool *inside)
{
    struct frame *frame = &w->frames[w->depth - 1];
    const ProtobufCFieldDescriptor *first = frame->message->descriptor->fields;
    const uint8_t *base = (const uint8_t *)frame->message;
    for (unsigned i = frame->fields; i-- > 0;) {
        const ProtobufCFieldDescriptor *field = &first[i];
        bool good = false;
        if (field->label == PROTOBUF_C_LABEL_NONE &&
            (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
            good = put_single(w, field, base + field->offset, inside);
        } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            good = put_repeated(w, field, base, frame, inside);
        }
        if (!good || *inside) {
            frame->fields = i + 1;
            return good;
        }
    }
    return true;
}

static bool put_message(struct writer *w, const ProtobufCMessage *message)
{
    bool good = enter(w, message);
    while (good && w->depth > 0) {
        bool inside = false;
        good = put_fields(w, &inside) && (inside || leave(w));
    }
    return good;
}

size_t pack_begin(struct pack *pack, const ProtobufCMessage *message)
{
    struct writer w;
    w.begin = pack->room;
    w.at = pack->room + sizeof pack->room;
    w.depth = 0;
    const uint8_t *end = w.at;
    pack->message = message;
    if (put_message(&w, message)) {
        pack->small = w.at;
        pack->len = (size_t)(end - w.at);
    } else {
        pack->small = NULL;
        pack->len = protobuf_c_message_get_packed_size(message);
    }
    return pack->len;
}

void pack_write(const struct pack *pack, uint8_t *out)
{
    if (pack->small == NULL) {
        (void)protobuf_c_message_pack(pack->message, out);
    } else if (pack->len > 0) {
        memcpy(out, pack->small, pack->len);
    }
}

uint8_t *pack_new(const ProtobufCMessage *message, size_t *len)
{
    struct pack pack;
    *len = pack_begin(&pack, message);
    uint8_t *bytes = mem_resize(NULL, 1, *len);
    pack_write(&pack, bytes);
    return bytes;
}
