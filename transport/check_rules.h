/* The table of field rules: one row for each field of each message, in the order of the field
 * numbers.
 *
 * proto/README.md shows the same rows to people; a unit test holds the two against each
 * other, and both against the .proto files. To add a field: a row here, a row there. */
#ifndef TPN_CHECK_RULES_H
#define TPN_CHECK_RULES_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a value may look like. */
enum check_form {
    CHECK_NUMBER,  /* integer or bool: 0 (not set) or min..max; max 0 = any */
    CHECK_ENUM,    /* a number that the enum knows */
    CHECK_MESSAGE, /* see set */
    CHECK_BYTES,   /* any bytes, at most max */
    CHECK_LINE,    /* UTF-8 without control characters */
    CHECK_TEXT,    /* UTF-8; of the control characters only tab, CR and LF */
    CHECK_ID, /* letters, digits and . _ : @ + = - : it stands in topics, logs and file names */
    CHECK_HEADER_NAME, /* letters, digits, - and _ */
    CHECK_MEDIA_TYPE,  /* type/subtype, RFC 6838 4.2, no parameters */
    CHECK_CONTENT_ID,  /* visible ASCII without < > ( ) , " and backslash */
    CHECK_URI,         /* mailto: or https:, visible ASCII without < > " and backslash */
    CHECK_FORM_COUNT
};

enum {
    CHECK_MAX_FIELDS = 40, /* of one message */
    CHECK_MAX_DEPTH = 8,   /* messages within messages */
    CHECK_MAX_UNKNOWN = 64 /* fields of a later version, in one message */
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

/* What is told when a text breaks its form: "may only contain letters, …"; "" for forms
 * without a sentence. */
const char *check_rules_form_text(enum check_form form);

#endif
