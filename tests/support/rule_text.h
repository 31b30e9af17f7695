/* How proto/README.md spells the rules of transport/check_rules.h: the "type" and "limit"
 * columns. */
#ifndef TPN_RULE_TEXT_H
#define TPN_RULE_TEXT_H

#include "check_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RULE_TEXT_BYTES = 160 };

static inline const char *rule_type_name(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return "string";
    case PROTOBUF_C_TYPE_BYTES:
        return "bytes";
    case PROTOBUF_C_TYPE_BOOL:
        return "bool";
    case PROTOBUF_C_TYPE_UINT32:
        return "uint32";
    case PROTOBUF_C_TYPE_UINT64:
        return "uint64";
    case PROTOBUF_C_TYPE_INT64:
        return "int64";
    case PROTOBUF_C_TYPE_ENUM:
        return ((const ProtobufCEnumDescriptor *)field->descriptor)->short_name;
    case PROTOBUF_C_TYPE_MESSAGE:
        return ((const ProtobufCMessageDescriptor *)field->descriptor)->short_name;
    default:
        return "?";
    }
}

static inline void rule_type(const ProtobufCFieldDescriptor *field, char out[RULE_TEXT_BYTES])
{
    (void)snprintf(out, RULE_TEXT_BYTES, "%s%s",
                   field->label == PROTOBUF_C_LABEL_REPEATED ? "repeated " : "",
                   rule_type_name(field));
}

/* "≤ 128 bytes, id", "≤ 8 MiB, text", "1..65535", "known value", "any"; "—" where nothing is
 * limited. */
static inline void rule_value_limit(const ProtobufCFieldDescriptor *field,
                                    const struct check_rule *rule, char out[RULE_TEXT_BYTES])
{
    static const char *const forms[CHECK_FORM_COUNT] = {[CHECK_BYTES] = "",
                                                        [CHECK_LINE] = ", line",
                                                        [CHECK_TEXT] = ", text",
                                                        [CHECK_ID] = ", id",
                                                        [CHECK_HEADER_NAME] = ", header name",
                                                        [CHECK_MEDIA_TYPE] = ", media type",
                                                        [CHECK_CONTENT_ID] = ", content id",
                                                        [CHECK_URI] = ", uri"};
    const uint64_t mib = 1024 * 1024;
    if (rule->form == CHECK_MESSAGE || field->type == PROTOBUF_C_TYPE_BOOL) {
        (void)snprintf(out, RULE_TEXT_BYTES, "—");
    } else if (rule->form == CHECK_ENUM) {
        (void)snprintf(out, RULE_TEXT_BYTES, "known value");
    } else if (rule->form == CHECK_NUMBER && rule->max == 0) {
        (void)snprintf(out, RULE_TEXT_BYTES, "any");
    } else if (rule->form == CHECK_NUMBER) {
        (void)snprintf(out, RULE_TEXT_BYTES, "%" PRIu64 "..%" PRIu64, rule->min, rule->max);
    } else if (rule->max % mib == 0) {
        (void)snprintf(out, RULE_TEXT_BYTES, "≤ %" PRIu64 " MiB%s", rule->max / mib,
                       forms[rule->form]);
    } else {
        (void)snprintf(out, RULE_TEXT_BYTES, "≤ %" PRIu64 " bytes%s", rule->max,
                       forms[rule->form]);
    }
}

static inline void rule_limit(const ProtobufCFieldDescriptor *field,
                              const struct check_rule *rule, char out[RULE_TEXT_BYTES])
{
    char value[RULE_TEXT_BYTES];
    rule_value_limit(field, rule, value);
    if (rule->max_entries == 0) {
        memcpy(out, value, sizeof value);
    } else if (strcmp(value, "—") == 0 || strcmp(value, "any") == 0) {
        (void)snprintf(out, RULE_TEXT_BYTES, "≤ %" PRIu32 " entries", rule->max_entries);
    } else {
        (void)snprintf(out, RULE_TEXT_BYTES, "≤ %" PRIu32 " entries, each %.100s",
                       rule->max_entries, value);
    }
}

#endif
