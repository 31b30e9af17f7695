/* Walks the bytes of a protobuf message before they are unpacked, so that nothing is allocated
 * for a message that breaks a rule of proto/README.md.
 *
 * Stricter than protobuf where laxness could be abused: a field that is not repeated comes
 * once (protobuf merges, which would get round the limits), and fields of a later version
 * are skipped but counted. Does not know what the values mean. No recursion, no allocation;
 * the path of a fault is only written when there is one. */
#include "check.h"

#include "check_rules.h"
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Wire types: protobuf.dev/programming-guides/encoding#structure. Groups (3, 4) are not in
 * proto3. */
enum wire_type {
    WIRE_TYPE_VARINT = 0,
    WIRE_TYPE_I64 = 1,
    WIRE_TYPE_LEN = 2,
    WIRE_TYPE_I32 = 5
};

/* One message that is being read. */
struct level {
    const struct check_set *set;
    const uint8_t *end;
    uint64_t seen; /* bit i: field i had a value that counts as given */
    uint64_t once; /* bit i: field i, not repeated, has come */
    uint32_t unknown;
    unsigned field; /* where we are: place in the set; count = nowhere */
    uint32_t entries[CHECK_MAX_FIELDS];
};

struct walk {
    const uint8_t *at;
    struct level levels[CHECK_MAX_DEPTH];
    unsigned depth; /* levels in use */
    struct wire_fault *fault;
};

/* One field's value as it stands on the wire. */
struct value {
    uint64_t number;     /* VARINT */
    const uint8_t *data; /* LEN */
    size_t len;
};

static struct level *top(struct walk *walk)
{
    return &walk->levels[walk->depth - 1];
}

/* "message.to[2].address", cut when it is too long for the room. */
static void write_path(const struct walk *walk, char *out, size_t room)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < walk->depth; i++) {
        const struct level *level = &walk->levels[i];
        if (level->field >= level->set->count || used >= room) {
            break;
        }
        const struct check_rule *rule = &level->set->rules[level->field];
        int put;
        if (rule->max_entries > 0 && level->entries[level->field] > 0) {
            put = snprintf(out + used, room - used, "%s%s[%" PRIu32 "]", i > 0 ? "." : "",
                           rule->field, level->entries[level->field] - 1);
        } else {
            put = snprintf(out + used, room - used, "%s%s", i > 0 ? "." : "", rule->field);
        }
        used += put > 0 ? (size_t)put : 0;
    }
}

PRINTF_LIKE(3, 4)
static enum err refuse(struct walk *walk, enum err code, const char *fmt, ...)
{
    write_path(walk, walk->fault->field, sizeof walk->fault->field);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(walk->fault->rule, sizeof walk->fault->rule, fmt, args);
    va_end(args);
    return code;
}

/* A varint of at most 64 bits; false when it is cut or too long. */
static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    const uint8_t *p = *at;
    if (p < end && *p < 0x80) { /* nearly all of them */
        *out = *p;
        *at = p + 1;
        return true;
    }
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && p < end; shift += 7) {
        uint8_t byte = *p++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7fU) << shift;
        if (byte < 0x80) {
            *out = value;
            *at = p;
            return true;
        }
    }
    return false;
}

/* A varint of at most 32 bits, as tags and lengths are: protobuf-c does not read one of more than 5 bytes, even when
 * the bytes above hold nothing. */
static bool read_varint32(const uint8_t **at, const uint8_t *end, uint32_t *out)
{
    enum { MAX_BYTES = 5 };
    uint64_t value;
    if (*at < end && **at < 0x80) { /* nearly all of them */
        *out = *(*at)++;
        return true;
    }
    const uint8_t *limit = end - *at > MAX_BYTES ? *at + MAX_BYTES : end;
    if (!read_varint(at, limit, &value) || value > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

/* The value behind a tag; false when it is cut or of no known wire type. */
static bool read_value(const uint8_t **at, const uint8_t *end, unsigned wire,
                       struct value *value)
{
    uint32_t len;
    switch (wire) {
    case WIRE_TYPE_VARINT:
        return read_varint(at, end, &value->number);
    case WIRE_TYPE_I64:
        len = 8;
        break;
    case WIRE_TYPE_I32:
        len = 4;
        break;
    case WIRE_TYPE_LEN:
        if (!read_varint32(at, end, &len)) {
            return false;
        }
        break;
    default:
        return false;
    }
    if (len > (size_t)(end - *at)) {
        return false;
    }
    value->data = *at;
    value->len = len;
    *at += len;
    return true;
}

/* A tag is at most 5 bytes; field numbers go from 1 to 2^29 - 1. */
static bool read_tag(const uint8_t **at, const uint8_t *end, uint32_t *field, unsigned *wire)
{
    uint32_t tag;
    if (!read_varint32(at, end, &tag) || tag >> 3 == 0) {
        return false;
    }
    *field = tag >> 3;
    *wire = tag & 7U;
    return true;
}

static enum err check_text(struct walk *walk, const struct check_rule *rule,
                           const struct value *value)
{
    if (value->len > rule->max) {
        return refuse(walk, ERR_LIMIT, "at most %" PRIu64 " bytes", rule->max);
    }
    if (value->len == 0) {
        return ERR_OK;
    }
    const char *fault = check_form_fault(rule->form, value->data, value->len);
    return fault == NULL ? ERR_OK : refuse(walk, ERR_INVALID, "%s", fault);
}

static bool is_narrow(ProtobufCType type)
{
    return type == PROTOBUF_C_TYPE_UINT32 || type == PROTOBUF_C_TYPE_INT32;
}

static enum err check_number(struct walk *walk, const ProtobufCFieldDescriptor *field,
                             const struct check_rule *rule, uint64_t number)
{
    if (rule->form == CHECK_ENUM) {
        if (number > INT32_MAX ||
            protobuf_c_enum_descriptor_get_value(field->descriptor, (int)number) == NULL) {
            return refuse(walk, ERR_INVALID, "has no value %" PRIu64, number);
        }
        return ERR_OK;
    }
    if (rule->max > 0) {
        if (number != 0 && (number < rule->min || number > rule->max)) {
            return refuse(walk, ERR_INVALID, "must be from %" PRIu64 " to %" PRIu64, rule->min,
                          rule->max);
        }
        return ERR_OK;
    }
    if (is_narrow(field->type) && number > UINT32_MAX) {
        return refuse(walk, ERR_INVALID, "must be from 0 to %" PRIu32, UINT32_MAX);
    }
    return ERR_OK;
}

static enum err count_entry(struct walk *walk, const struct check_rule *rule)
{
    struct level *level = top(walk);
    if (level->entries[level->field] >= rule->max_entries) {
        level->entries[level->field] = 0; /* the path names the list, not an entry */
        return refuse(walk, ERR_LIMIT, "at most %" PRIu32 " entries", rule->max_entries);
    }
    level->entries[level->field]++;
    return ERR_OK;
}

/* Repeated numbers in one LEN value: protobuf.dev/programming-guides/encoding#packed. */
static enum err check_packed(struct walk *walk, const ProtobufCFieldDescriptor *field,
                             const struct check_rule *rule, const struct value *value)
{
    const uint8_t *at = value->data;
    const uint8_t *end = at + value->len;
    enum err err = ERR_OK;
    while (at < end && err == ERR_OK) {
        uint64_t number;
        if (!read_varint(&at, end, &number)) {
            return refuse(walk, ERR_PROTO, "is cut short or malformed");
        }
        err = count_entry(walk, rule);
        if (err == ERR_OK) {
            err = check_number(walk, field, rule, number);
        }
    }
    return err;
}

static enum err enter(struct walk *walk, const struct check_set *set, const uint8_t *end)
{
    if (walk->depth == CHECK_MAX_DEPTH) {
        return refuse(walk, ERR_PROTO, "is nested too deep");
    }
    struct level *level = &walk->levels[walk->depth++];
    level->set = set;
    level->end = end;
    level->seen = 0;
    level->once = 0;
    level->unknown = 0;
    level->field = set->count;
    memset(level->entries, 0, set->count * sizeof level->entries[0]);
    return ERR_OK;
}

/* A message ends: are its required fields there? */
static enum err leave(struct walk *walk)
{
    struct level *level = top(walk);
    for (unsigned i = 0; i < level->set->count; i++) {
        if (level->set->rules[i].required && (level->seen & UINT64_C(1) << i) == 0) {
            level->field = i;
            level->entries[i] = 0;
            return refuse(walk, ERR_INVALID, "required");
        }
    }
    walk->depth--;
    return ERR_OK;
}

/* Place of a field number in the set, or count. Encoders write fields in order, so look from this one on. */
static unsigned find_field(const struct level *level, uint32_t number)
{
    const ProtobufCMessageDescriptor *type = level->set->type;
    unsigned first = level->field < level->set->count ? level->field : 0;
    for (unsigned i = first; i < level->set->count && type->fields[i].id <= number; i++) {
        if (type->fields[i].id == number) {
            return i;
        }
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(type, number);
    return field == NULL ? level->set->count : (unsigned)(field - type->fields);
}

/* A value of a field that we know; a message is entered, its fields come next. */
static enum err check_value(struct walk *walk, unsigned wire, const struct value *value)
{
    struct level *level = top(walk);
    const ProtobufCFieldDescriptor *field = &level->set->type->fields[level->field];
    const struct check_rule *rule = &level->set->rules[level->field];
    uint64_t bit = UINT64_C(1) << level->field;
    bool numeric = rule->form == CHECK_NUMBER || rule->form == CHECK_ENUM;
    bool packed = numeric && wire == WIRE_TYPE_LEN && rule->max_entries > 0;
    if (!packed && wire != (numeric ? WIRE_TYPE_VARINT : WIRE_TYPE_LEN)) {
        return refuse(walk, ERR_PROTO, "has the wrong wire type");
    }
    if (rule->max_entries == 0) {
        if ((level->once & bit) != 0) {
            return refuse(walk, ERR_PROTO, "is given twice");
        }
        level->once |= bit;
    } else if (!packed) {
        enum err err = count_entry(walk, rule);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (packed) {
        level->seen |= value->len > 0 ? bit : 0;
        return check_packed(walk, field, rule, value);
    }
    if (numeric) {
        level->seen |= value->number != 0 ? bit : 0;
        return check_number(walk, field, rule, value->number);
    }
    if (rule->form == CHECK_MESSAGE) {
        level->seen |= bit;
        enum err err = enter(walk, rule->set, value->data + value->len);
        walk->at = value->data;
        return err;
    }
    level->seen |= value->len > 0 ? bit : 0;
    return check_text(walk, rule, value);
}

/* The next field of the innermost message. */
static enum err step(struct walk *walk)
{
    struct level *level = top(walk);
    uint32_t number;
    unsigned wire;
    struct value value = {0};
    if (!read_tag(&walk->at, level->end, &number, &wire)) {
        level->field = level->set->count;
        return refuse(walk, ERR_PROTO, "is cut short or malformed");
    }
    level->field = find_field(level, number);
    if (!read_value(&walk->at, level->end, wire, &value)) {
        return refuse(walk, ERR_PROTO, "is cut short or malformed");
    }
    if (level->field < level->set->count) {
        return check_value(walk, wire, &value);
    }
    if (++level->unknown > CHECK_MAX_UNKNOWN) {
        return refuse(walk, ERR_LIMIT, "at most %d unknown fields", CHECK_MAX_UNKNOWN);
    }
    return ERR_OK;
}

enum err check_bytes(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                     struct wire_fault *fault)
{
    const struct check_set *set = check_rules_find(type);
    if (set == NULL) {
        bug("no rules for %s", type->name);
    }
    struct walk walk;
    walk.at = data;
    walk.depth = 0;
    walk.fault = fault;
    enum err err = enter(&walk, set, len > 0 ? data + len : data);
    while (err == ERR_OK && walk.depth > 0) {
        err = walk.at < top(&walk)->end ? step(&walk) : leave(&walk);
    }
    return err;
}

void check_find_text(const uint8_t *data, size_t len, uint32_t field, char *out, size_t room)
{
    if (room == 0) {
        return;
    }
    out[0] = '\0';
    const uint8_t *at = data;
    const uint8_t *end = len > 0 ? data + len : data;
    while (at < end) {
        uint32_t number;
        unsigned wire;
        struct value value = {0};
        if (!read_tag(&at, end, &number, &wire) || !read_value(&at, end, wire, &value)) {
            return;
        }
        if (number != field || wire != WIRE_TYPE_LEN) {
            continue;
        }
        if (value.len < room && text_check(value.data, value.len, TEXT_LINE) == TEXT_OK) {
            if (value.len > 0) {
                memcpy(out, value.data, value.len);
            }
            out[value.len] = '\0';
        }
        return;
    }
}
