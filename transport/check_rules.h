/* The table of field rules: one row for each field of each message, in the order of the field
 * numbers.
 *
 * proto/README.md shows the same rows to people; a unit test holds the two against each
 * other, and both against the .proto files. To add a field: a row here, a row there. */
#ifndef TPN_CHECK_RULES_H
#define TPN_CHECK_RULES_H

#include "check_form.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHECK_MAX_FIELDS = 96,  /* of one message */
    CHECK_MAX_DEPTH = 8,    /* messages within messages */
    CHECK_MAX_UNKNOWN = 64, /* fields of a later version, in one message */
    CHECK_HEADER_NAME_MAX_BYTES = 64,
    CHECK_URI_MAX_BYTES = 500
};

struct check_set;

struct check_rule {
    const char *field; /* its name in the .proto file */
    enum check_form form;
    bool
        required; /* a value other than 0 or "", a message that is there, a list with an entry */
    uint32_t max_entries; /* of a repeated field, 0 for others */
    uint64_t min, max;    /* NUMBER: the range; texts and bytes: max bytes, of each entry */
    const struct check_set *set; /* MESSAGE: its rules */
};

/* The rules of one message; rules[i] belongs to type->fields[i]. */
struct check_set {
    const ProtobufCMessageDescriptor *type;
    const struct check_rule *rules;
    unsigned count;
};

/* The rules of a message type; null when there are none. */
const struct check_set *check_rules_find(const ProtobufCMessageDescriptor *type);

/* All sets, for tests; null behind the last. */
const struct check_set *check_rules_at(size_t i);

#endif
